"""Published answers on real data: BOLT-LMM's example, and asthma in SNPassoc's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gwas.association import associate
from gwas.design import Design, make_design
from gwas.genotypes import Genotypes, open_genotypes
from gwas.kernels.packed import pack
from gwas.whole_genome import whole_genome_regression

DataFile = Callable[[str], Path]


def test_offsets_bring_t_tests_to_bolts_mixed_model(data_file: DataFile) -> None:
    """366 people: BOLT estimates a heritability of 0.518 and tests with the same 2,431 variants as background."""
    genotypes = open_genotypes(data_file("geno_1kg_eur_bolt/EUR_subset.bed"))
    folder = data_file("geno_1kg_eur_bolt/example.stats").parent
    bolt = pd.read_csv(folder / "example.stats", sep="\t").set_index("SNP")
    background = set((folder / "EUR_subset.modelSnps").read_text().split())
    table = pd.read_csv(folder / "EUR_subset.pheno2.covars", sep=" ", keep_default_na=False).set_index("IID")
    removed = {line.split()[1] for line in (folder / "EUR_subset.remove").read_text().splitlines()}
    table = table.drop(index=removed & set(table.index))
    numbers = table[["PHENO", "QCOV1", "QCOV2"]].apply(pd.to_numeric, errors="coerce").replace(-9, np.nan)
    # BOLT made the text -9 a missing covariate here
    numbers["B"] = table["CAT_COV"].map({"A": 0.0, "B": 1.0})
    kept = np.flatnonzero(genotypes.samples["iid"].isin(numbers.index))
    genotypes = genotypes.select(samples=kept)
    design = make_design(list(genotypes.samples["iid"]), numbers[["PHENO"]], numbers.drop(columns="PHENO"))
    assert design.summary()["N"].tolist() == [366]
    names = genotypes.variants["id"]
    tested = genotypes.select(variants=np.flatnonzero(names.isin(bolt.index)))
    panel = genotypes.select(variants=np.flatnonzero(names.isin(background & set(bolt.index))))
    assert (len(tested.variants), len(panel.variants)) == (5475, 2431)

    fit = whole_genome_regression(panel, design, mac=1, threads=2)
    z = (bolt["BETA"] / bolt["SE"]).to_numpy()
    agreement = {}
    for name, offsets in (("plain", None), ("offsets", fit.offsets)):
        found = associate(tested, design, offsets=offsets)["PHENO"].set_index("ID").loc[bolt.index]
        np.testing.assert_allclose(found["A1_FREQ"], bolt["A1FREQ"], atol=1e-6)
        known = found["T_STAT"].notna().to_numpy()
        assert known.mean() > 0.999
        agreement[name] = np.corrcoef(found["T_STAT"][known] ** 2, z[known] ** 2)[0, 1]
    assert agreement["offsets"] > 0.975
    assert agreement["plain"] < 0.94


@pytest.fixture(scope="module")
def asthma(data_file: DataFile, tmp_path_factory: pytest.TempPathFactory) -> tuple[Genotypes, pd.DataFrame]:
    """rs1422993, counted in T, of 340 people with asthma and 1,238 without."""
    table = pd.read_csv(data_file("geno_asthma_snpassoc/asthma.csv.gz"))
    table.index = pd.Index([f"i{i}" for i in range(len(table))])
    calls = table["rs1422993"].str.count("T").to_numpy(dtype=np.int8)[None, :]
    prefix = tmp_path_factory.mktemp("asthma") / "asthma"
    prefix.with_suffix(".bed").write_bytes(b"\x6c\x1b\x01" + pack(calls).tobytes())
    prefix.with_suffix(".fam").write_text("".join(f"{i} {i} 0 0 0 -9\n" for i in table.index))
    prefix.with_suffix(".bim").write_text("5 rs1422993 0 1 T G\n")
    return open_genotypes(prefix), table


def row(genotypes: Genotypes, design: Design, coding: str) -> pd.Series:
    return associate(genotypes, design, logistic="wald", coding=coding)["casecontrol"].iloc[0]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("coding", "published"),
    [("additive", (1.22, 1.01, 1.47)), ("dominant", (1.39, 1.09, 1.77)), ("recessive", (0.96, 0.59, 1.57))],
)
def test_asthma_has_the_odds_ratios_that_snpassoc_prints(
    asthma: tuple[Genotypes, pd.DataFrame], coding: str, published: tuple[float, float, float]
) -> None:
    """Genotypes GG, GT, TT: 730, 425, 83 controls and 173, 145, 22 cases."""
    genotypes, table = asthma
    found = row(genotypes, make_design(list(table.index), table[["casecontrol"]]), coding)
    assert found["OBS_CT"] == 1578
    interval = np.exp(found["BETA"] + np.array([0.0, -1.959964, 1.959964]) * found["SE"])
    assert tuple(np.round(interval, 2)) == published


def test_asthma_beside_country_and_smoking_is_statsmodels_answer(
    asthma: tuple[Genotypes, pd.DataFrame],
) -> None:
    from statsmodels.formula.api import logit

    genotypes, table = asthma
    # where everybody has asthma the likelihood has no maximum
    alone = table["country"].isin(["Belgium", "Estonia"])
    table = table.assign(casecontrol=table["casecontrol"].mask(alone), country=table["country"].mask(alone))
    covariates = table[["country", "smoke"]]
    design = make_design(list(table.index), table[["casecontrol"]], covariates)
    found = row(genotypes, design, "dominant")
    known = table.assign(carrier=(table["rs1422993"].str.count("T") > 0).astype(float))
    fit = logit("casecontrol ~ carrier + C(country) + smoke", known).fit(disp=0)
    assert found["OBS_CT"] == 1551
    assert found["BETA"] == pytest.approx(fit.params["carrier"], rel=1e-4)
    assert found["SE"] == pytest.approx(fit.bse["carrier"], rel=1e-4)
