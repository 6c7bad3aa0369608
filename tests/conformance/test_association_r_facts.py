"""Association of binary traits against tabulated answers of R's logistf 1.26.1, glm and SPAtest 3.1.2 (R 4.2.2).

The tables are invented. Run in R with iterations to 1e-12:
``logistf(case ~ genotype + age + sex, pl = TRUE)``, P by the profile of the penalised likelihood;
``glm(..., family = binomial)``; ``ScoreTest_SPA(method = "SPA", Cutoff = 0.1)`` beside ``y ~ cov``.
Tolerances: estimates and SE 1e-5 of themselves, -log10 P of Firth 1e-4, of the saddle-point 1e-3.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gwas.association import associate
from gwas.design import make_design
from gwas.genotypes import Genotypes, open_genotypes
from gwas.kernels import tilted
from gwas.kernels.packed import pack
from gwas.models.group import make_group
from gwas.models.logistic_null import fit_logistic_null

CASE = "000000101100000000000100010110110000110001011010110000000001"
SEX = "101010011010010100101100101111111001110110010010101001001001"
AGE = """
-8 -11 17 10 -12 -10 5 1 8 3 8 10 -5 -1 -15 17 -11 -6 -11 -14 2 16 -5 -16 -6 16 10 -3 8 13 18 12 -5
8 14 -9 7 15 -11 1 -11 12 8 6 15 13 14 12 19 17 4 10 -7 -4 -15 -5 -2 1 17 -6
"""
GENOTYPES = {
    "common": "001021001010110200012111112020200121101000001112210220100111",
    "effect": "100012100001010001001100011020110021120011010111110000100101",
    "cases_only": "000000000000000000000000000000000000010000000000110000000001",
    "controls_only": "000000000000000000000000000001000010000110000000000010100010",
    "one_homozygote": "000000000000000000000200000000000000000000000000000000000000",
    "missing": "100001110211101101100110001010201100000-01011-12-00--00010-1",
}
CARRIERS = {
    "five": """
    313 347 540 827 1382
    """,
    "nine": """
    184 191 417 490 989 1278 1343 1598 1606
    """,
    "fifteen": """
    253 262 361 417 501 852 1104 1281 1319 1412 1574 1647 1665 1886 1970
    """,
    "thirty": """
    50 272 423 484 548 644 776 846 870 926 930 950 985 994 1001 1041 1114 1155 1244 1301 1319 1380
    1642 1650 1723 1754 1875 1915 1940 1951
    """,
    "thirty_null": """
    46 174 213 242 243 316 396 402 509 519 564 634 641 642 745 915 957 1132 1231 1235 1251 1293 1380
    1513 1583 1661 1686 1706 1882 1954
    """,
    "sixty": """
    11 53 89 130 152 162 176 216 230 236 253 264 289 292 368 392 475 500 512 527 529 539 548 561 664
    702 745 777 859 875 893 922 928 933 958 969 1015 1089 1093 1096 1162 1172 1253 1277 1332 1442
    1447 1520 1524 1684 1686 1695 1770 1796 1828 1831 1835 1919 1929 1943
    """,
    "hundred": """
    15 31 33 48 61 71 80 82 105 127 137 169 185 209 213 234 264 281 287 326 350 352 353 413 445 447
    466 486 494 499 534 539 547 548 558 562 605 626 654 699 709 711 770 870 871 895 917 926 970 976
    1032 1063 1076 1115 1155 1169 1223 1227 1250 1254 1260 1263 1271 1280 1282 1342 1343 1360 1365
    1367 1381 1385 1389 1401 1415 1421 1427 1428 1440 1442 1496 1524 1528 1534 1558 1604 1653 1662
    1665 1677 1683 1688 1696 1768 1780 1814 1864 1866 1954 1999
    """,
    "hundred_fifty": """
    6 64 76 97 100 107 134 138 159 188 193 195 213 221 261 267 268 285 296 315 318 337 355 359 370
    384 385 427 428 444 446 482 502 511 528 531 546 555 564 575 591 605 613 621 646 650 673 687 690
    733 738 743 752 756 767 776 781 793 794 801 823 840 843 897 917 918 930 934 949 951 953 956 968
    976 981 1041 1055 1075 1098 1127 1133 1150 1153 1172 1214 1274 1302 1311 1314 1325 1358 1391
    1392 1399 1408 1418 1419 1428 1438 1441 1450 1467 1468 1471 1476 1496 1497 1507 1510 1527 1535
    1539 1546 1567 1571 1577 1604 1626 1627 1653 1657 1669 1675 1676 1682 1689 1694 1703 1719 1751
    1773 1774 1776 1783 1788 1793 1805 1818 1822 1825 1848 1874 1884 1895 1912 1919 1932 1945 1959
    1969
    """,
}
"""Each has one copy; everyone else none."""
PEOPLE = 2000

LOGISTF = {
    "common": (-0.5387792894, 0.4687851476, 0.2283046393),
    "effect": (1.067608174, 0.5592049902, 0.04219386352),
    "cases_only": (3.045675051, 1.93919933, 0.02685359251),
    "controls_only": (-2.462271506, 1.699089904, 0.04540036201),
    "one_homozygote": (0.1711868085, 1.19010602, 0.8396712213),
    "missing": (0.4784562577, 0.5544694692, 0.3676214231),
}
"""Coefficient, its SE and P. SE is that of Heinze and Schemper 2002, of Fisher's information, computed in R at
logistf's coefficients; this version of it prints a smaller one, of data augmented by their leverage."""
GLM = {"common": (-0.6241641464, 0.4902638139), "effect": (1.18051466, 0.588040761)}
SPATEST = {
    "five": (0.0009917078623, 1.160119538e-09),
    "nine": (0.0001742192767, 2.264488452e-11),
    "fifteen": (0.0009659682304, 5.086812787e-07),
    "thirty": (0.00108099016, 8.536939816e-06),
    "thirty_null": (0.6378832096, 0.5932958724),
    "sixty": (0.0004620204132, 6.735425566e-06),
    "hundred": (0.0003276875345, 1.155424227e-05),
    "hundred_fifty": (0.06191986061, 0.06904379595),
}
"""P by saddle-point and P of the score test."""


def bed(prefix: Path, calls: np.ndarray, names: list[str]) -> Genotypes:
    prefix.with_suffix(".bed").write_bytes(b"\x6c\x1b\x01" + pack(calls).tobytes())
    prefix.with_suffix(".fam").write_text("".join(f"p{i} p{i} 0 0 1 -9\n" for i in range(calls.shape[1])))
    lines = (f"1 {name} 0 {j + 1} A G\n" for j, name in enumerate(names))
    prefix.with_suffix(".bim").write_text("".join(lines))
    return open_genotypes(prefix)


def answers(tmp_path: Path, logistic: str) -> pd.DataFrame:
    calls = np.array([[-9 if c == "-" else int(c) for c in text] for text in GENOTYPES.values()], np.int8)
    genotypes = bed(tmp_path / "small", calls, list(GENOTYPES))
    ids = list(genotypes.samples["iid"])
    trait = pd.DataFrame({"y": [float(c) for c in CASE]}, ids)
    covariates = pd.DataFrame({"age": [float(a) for a in AGE.split()], "sex": [float(c) for c in SEX]}, ids)
    found = associate(
        genotypes,
        make_design(ids, trait, covariates),
        logistic=logistic,  # type: ignore[arg-type]
        tail_below=1.0,
        missing="complete-case",
    )
    return found["y"].set_index("ID")


@pytest.mark.parametrize("name", LOGISTF)
def test_firth_is_that_of_logistf(tmp_path: Path, name: str) -> None:
    row, (beta, se, p) = answers(tmp_path, "score-firth").loc[name], LOGISTF[name]
    assert row["ERRCODE"] == "."
    assert row["FIRTH?"] == "Y"
    assert row["OBS_CT"] == len(CASE) - GENOTYPES[name].count("-")
    assert row["BETA"] == pytest.approx(beta, rel=1e-5)
    assert row["SE"] == pytest.approx(se, rel=1e-5)
    assert row["LOG10_P"] == pytest.approx(-np.log10(p), abs=1e-4)


@pytest.mark.parametrize("name", GLM)
def test_maximum_likelihood_is_that_of_glm(tmp_path: Path, name: str) -> None:
    row, (beta, se) = answers(tmp_path, "wald").loc[name], GLM[name]
    assert row["FIRTH?"] == "N"
    assert row["BETA"] == pytest.approx(beta, rel=1e-5)
    assert row["SE"] == pytest.approx(se, rel=1e-5)


@pytest.fixture(scope="module")
def rare() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Calls of CARRIERS, 40 cases of 2,000 people, and a covariate."""
    calls = np.zeros((len(CARRIERS), PEOPLE), dtype=np.int8)
    for row, text in zip(calls, CARRIERS.values(), strict=True):
        row[[int(place) for place in text.split()]] = 1
    y = np.zeros(PEOPLE)
    y[(np.arange(40) * 41 + 7) % PEOPLE] = 1
    return calls, y, ((np.arange(PEOPLE) * 7919) % 31 - 15) / 10.0


def test_saddle_point_is_that_of_spatest(rare: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    calls, y, covariate = rare
    everyone = np.ones(PEOPLE, dtype=bool)
    group = make_group(covariate[:, None], ["cov"], everyone, rows=np.arange(PEOPLE), n_columns=PEOPLE)
    null = fit_logistic_null(group, y)
    found = tilted.tilted_tests(
        pack(calls),
        np.arange(len(calls)),
        flip=np.zeros(len(calls), dtype=bool),
        means=calls.mean(axis=1),
        place=null.place,
        on_basis=calls @ null.linear[:, 1:],
        lower=null.lower,
        null=null.by_likelihood,
        method=tilted.SADDLE,
    )
    expected = -np.log10([p for p, _ in SPATEST.values()])
    np.testing.assert_allclose(tilted.log10p_of_saddle(found), expected, atol=1e-3)


def test_default_is_spatest_beyond_twenty_copies_and_larger_where_whole_copies_count(
    rare: tuple[np.ndarray, np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    calls, y, covariate = rare
    genotypes = bed(tmp_path / "rare", calls, list(CARRIERS))
    ids = list(genotypes.samples["iid"])
    design = make_design(ids, pd.DataFrame({"y": y}, ids), pd.DataFrame({"cov": covariate}, ids))
    found = associate(genotypes, design, tail_below=1.0)["y"].set_index("ID")
    score = associate(genotypes, design, logistic="score")["y"].set_index("ID")
    for name, (p, normal) in SPATEST.items():
        height = -np.log10(p)
        if calls[list(CARRIERS).index(name)].sum() > 20:
            assert found.loc[name, "LOG10_P"] == pytest.approx(height, abs=1e-3)
        else:
            # two of five at 2 %: 3.8e-3 exactly, half of that as mid-P; SPAtest's 1e-3 is too small
            assert height - 0.7 < found.loc[name, "LOG10_P"] < height - 0.1
        assert score.loc[name, "LOG10_P"] == pytest.approx(-np.log10(normal), abs=1e-3)
