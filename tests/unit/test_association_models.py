"""Each model against a slow, plain twin: statsmodels, or a few lines of numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import integrate, optimize, special

from gwas.association import associate
from gwas.design import make_design
from gwas.genotypes import Genotypes, open_genotypes
from gwas.kernels.packed import pack
from gwas.kernels.products import FixedPoint, by_word, combinations
from gwas.kernels.student import student_tail
from gwas.tails import log10p_normal, log10p_t

Floats = npt.NDArray[np.float64]
N, M = 203, 60


def write(prefix: Path, table: npt.NDArray[np.int8], *, chrom: str = "1", sexes: str = "12") -> Genotypes:
    n = table.shape[1]
    prefix.with_suffix(".bed").write_bytes(b"\x6c\x1b\x01" + pack(table).tobytes())
    prefix.with_suffix(".fam").write_text(
        "".join(f"f{i} s{i} 0 0 {sexes[i % len(sexes)]} -9\n" for i in range(n))
    )
    prefix.with_suffix(".bim").write_text("".join(f"{chrom} v{j} 0 {j + 1} A G\n" for j in range(len(table))))
    return open_genotypes(prefix)


@pytest.fixture(scope="module")
def calls() -> npt.NDArray[np.int8]:
    rng = np.random.default_rng(11)
    frequency = rng.uniform(0.02, 0.98, M)
    table = rng.binomial(2, frequency[:, None], (M, N)).astype(np.int8)
    table[rng.random((M, N)) < rng.choice([0.0, 0.01, 0.1], M)[:, None]] = -9
    return table


@pytest.fixture(scope="module")
def people(calls: npt.NDArray[np.int8]) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(12)
    ids = [f"s{i}" for i in range(N)]
    covariates = pd.DataFrame({"age": rng.normal(50, 10, N), "pc": rng.normal(size=N)}, index=ids)
    liability = 0.4 * np.maximum(calls[3], 0) + 0.02 * covariates["age"].to_numpy()
    values = {
        "height": liability + rng.normal(size=N),
        "weight": rng.normal(size=N) * 5 + 70,
        "disease": (rng.random(N) < special.expit(liability - 1.8)).astype(float),
        "rare": (rng.random(N) < 0.05).astype(float),
    }
    phenotypes = pd.DataFrame(values, index=ids)
    phenotypes.iloc[rng.permutation(N)[:20], 0] = np.nan
    phenotypes.iloc[rng.permutation(N)[:9], 2] = np.nan
    covariates.iloc[5, 1] = np.nan
    return phenotypes, covariates


@pytest.fixture(scope="module")
def genotypes(tmp_path_factory: pytest.TempPathFactory, calls: npt.NDArray[np.int8]) -> Genotypes:
    return write(tmp_path_factory.mktemp("twins") / "study", calls)


def predictors(
    row: npt.NDArray[np.int8], y: Floats, covariates: pd.DataFrame, missing: str
) -> tuple[Floats, Floats]:
    """Outcome and [genotype, 1, covariates] of the people used, the long way round."""
    used = ~np.isnan(y) & covariates.notna().all(axis=1).to_numpy()
    g = row.astype(float)
    g[g < 0] = np.nan
    if missing == "complete-case":
        used &= ~np.isnan(g)
    else:
        g[np.isnan(g)] = np.nanmean(g[used])
    return y[used], np.column_stack([g, np.ones(len(g)), covariates])[used]


@pytest.mark.parametrize("missing", ["mean", "complete-case"])
def test_linear_equals_statsmodels_for_every_trait_and_variant(
    genotypes: Genotypes,
    calls: npt.NDArray[np.int8],
    people: tuple[pd.DataFrame, pd.DataFrame],
    missing: str,
) -> None:
    phenotypes, covariates = people
    traits = ["height", "weight"]
    design = make_design(list(genotypes.samples["iid"]), phenotypes[traits], covariates)
    found = associate(genotypes, design, missing=missing, block_size=7)
    for trait in traits:
        for j in range(M):
            y, x = predictors(calls[j], phenotypes[trait].to_numpy(), covariates, missing)
            fit = sm.OLS(y, x).fit()
            row = found[trait].iloc[j]
            assert len(y) == row.OBS_CT
            assert abs(row.BETA - fit.params[0]) < 1e-6 * fit.bse[0]
            assert pytest.approx(fit.bse[0], rel=1e-7) == row.SE
            assert pytest.approx(-np.log10(fit.pvalues[0]), rel=1e-6, abs=1e-6) == row.LOG10_P
            called = calls[j][~np.isnan(phenotypes[trait]) & covariates.notna().all(axis=1)]
            assert pytest.approx(called[called >= 0].mean() / 2) == row.A1_FREQ


@pytest.mark.parametrize("missing", ["mean", "complete-case"])
def test_wald_logistic_equals_statsmodels(
    genotypes: Genotypes,
    calls: npt.NDArray[np.int8],
    people: tuple[pd.DataFrame, pd.DataFrame],
    missing: str,
) -> None:
    phenotypes, covariates = people
    design = make_design(list(genotypes.samples["iid"]), phenotypes[["disease"]], covariates)
    found = associate(genotypes, design, missing=missing, logistic="wald")["disease"]
    by_ml = found[(found["ERRCODE"] == ".") & (found["FIRTH?"] == "N")]
    assert len(by_ml) > M * 0.8
    for j, row in by_ml.iterrows():
        y, x = predictors(calls[j], phenotypes["disease"].to_numpy(), covariates, missing)
        x[:, 2] = (x[:, 2] - x[:, 2].mean()) / x[:, 2].std()
        fit = sm.Logit(y, x).fit(disp=0, method="newton", tol=1e-13, maxiter=100)
        assert pytest.approx(fit.params[0], rel=1e-6, abs=1e-8) == row.BETA
        assert pytest.approx(fit.bse[0], rel=1e-6) == row.SE
        assert len(y) == row.OBS_CT


def firth_slowly(y: Floats, x: Floats, fixed: bool) -> tuple[Floats, Floats, float]:
    """Maximise the penalised likelihood directly, by a general optimiser."""

    def information(beta: Floats) -> Floats:
        p = special.expit(x @ beta)
        return x.T @ (x * (p * (1 - p))[:, None])

    def objective(free: Floats) -> float:
        beta = np.concatenate([[0.0], free]) if fixed else free
        eta = x @ beta
        loglik = (y * eta - np.logaddexp(0, eta)).sum()
        return -(loglik + 0.5 * np.linalg.slogdet(information(beta))[1])

    start = np.zeros(x.shape[1] - fixed)
    found = optimize.minimize(objective, start, method="BFGS", options={"gtol": 1e-7})
    polished = optimize.minimize(
        objective, found.x, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-13}
    )
    beta = np.concatenate([[0.0], polished.x]) if fixed else polished.x
    return beta, np.sqrt(np.diag(np.linalg.inv(information(beta)))), -polished.fun


@pytest.mark.parametrize("missing", ["mean", "complete-case"])
def test_firth_equals_direct_maximisation_of_the_penalised_likelihood(
    genotypes: Genotypes,
    calls: npt.NDArray[np.int8],
    people: tuple[pd.DataFrame, pd.DataFrame],
    missing: str,
) -> None:
    phenotypes, covariates = people
    scaled = (covariates - covariates.mean()) / covariates.std()
    design = make_design(list(genotypes.samples["iid"]), phenotypes[["rare"]], scaled)
    wald = associate(genotypes, design, missing=missing, logistic="wald")["rare"]
    tail = associate(genotypes, design, missing=missing, logistic="score-firth", tail_below=1.0)["rare"]
    separated = np.flatnonzero((wald["FIRTH?"] == "Y") & (wald["ERRCODE"] == "."))
    assert len(separated) >= 3
    for j in [*separated[:3], 1, 2]:
        y, x = predictors(calls[j], phenotypes["rare"].to_numpy(), scaled, missing)
        beta, se, value = firth_slowly(y, x, fixed=False)
        _, _, without = firth_slowly(y, x, fixed=True)
        assert tail["BETA"][j] == pytest.approx(beta[0], abs=2e-5 * se[0])
        assert tail["SE"][j] == pytest.approx(se[0], rel=2e-5)
        assert tail["T_STAT"][j] ** 2 == pytest.approx(2 * (value - without), rel=1e-5, abs=1e-6)
        if j in separated:
            assert wald["BETA"][j] == pytest.approx(tail["BETA"][j], rel=1e-6)
            assert wald["T_STAT"][j] == pytest.approx(wald["BETA"][j] / wald["SE"][j])


@pytest.mark.parametrize("missing", ["mean", "complete-case"])
def test_score_test_equals_its_definition(
    genotypes: Genotypes,
    calls: npt.NDArray[np.int8],
    people: tuple[pd.DataFrame, pd.DataFrame],
    missing: str,
) -> None:
    phenotypes, covariates = people
    design = make_design(list(genotypes.samples["iid"]), phenotypes[["disease", "height"]], covariates)
    found = associate(genotypes, design, missing=missing, tail_below=0.0)["disease"]
    for j in range(M):
        y, x = predictors(calls[j], phenotypes["disease"].to_numpy(), covariates, missing)
        p = sm.GLM(y, x[:, 1:], family=sm.families.Binomial()).fit(tol=1e-13).fittedvalues
        w = p * (1 - p)
        information = x.T @ (x * w[:, None])
        rest = information[0, 1:] @ np.linalg.solve(information[1:, 1:], information[1:, 0])
        variance = information[0, 0] - rest
        u = x[:, 0] @ (y - p)
        assert found["T_STAT"][j] == pytest.approx(u / np.sqrt(variance), rel=1e-6, abs=1e-6)
        assert found["SE"][j] == pytest.approx(1 / np.sqrt(variance), rel=1e-6)


def test_products_equal_decoding_and_multiplying() -> None:
    rng = np.random.default_rng(3)
    table = rng.choice(np.array([0, 1, 2, -9], dtype=np.int8), (130, 9001))
    flip = rng.random(130) < 0.5
    right, squared = rng.normal(size=(9001, 5)), rng.normal(size=(9001, 2))
    g = np.where(table < 0, 0, np.where(flip[:, None], 2 - table, table)).astype(float)
    index, mean = combinations(by_word(pack(table)), flip), g.mean(axis=1)
    first = FixedPoint.of(right, 2).products(index, mean)
    second = FixedPoint.of(squared, 4).products(index, mean)
    np.testing.assert_allclose(first, g @ right, rtol=0, atol=2e-6 * np.sqrt(9001))
    np.testing.assert_allclose(second, (g * g) @ squared, rtol=0, atol=4e-6 * np.sqrt(9001))


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_products_are_right_to_a_hundred_thousandth_of_their_standard_error(scale: float) -> None:
    rng = np.random.default_rng(4)
    n = 5003
    g = rng.binomial(2, rng.uniform(0.001, 0.5, 90)[:, None], (90, n))
    g[0] = 1 + (np.arange(n) == 9)
    columns = np.column_stack([rng.normal(size=n), rng.standard_cauchy(n), np.arange(n) == 7, np.zeros(n)])
    index = combinations(by_word(pack(g.astype(np.int8))), np.zeros(90, dtype=bool))
    found = FixedPoint.of(columns * scale, 2).products(index, g.mean(axis=1))
    spread = np.sqrt(((g - g.mean(axis=1, keepdims=True)) ** 2).sum(axis=1))
    error = np.sqrt((columns**2).sum(axis=0) / n) * spread[:, None]
    assert (np.abs(found / scale - g @ columns) <= 1e-5 * error).all()


def test_products_have_the_same_bits_in_any_company() -> None:
    rng = np.random.default_rng(5)
    table = rng.choice(np.array([0, 1, 2, -9], dtype=np.int8), (70, 3001))
    flip = rng.random(70) < 0.5
    right = rng.normal(size=(3001, 37))
    mean = rng.uniform(0, 2, 70)
    whole = FixedPoint.of(right, 2).products(combinations(by_word(pack(table)), flip), mean)
    alone = FixedPoint.of(right[:, 20:21], 2).products(
        combinations(by_word(pack(table[5:6])), flip[5:6]), mean[5:6]
    )
    assert alone[0, 0] == whole[5, 20]


def test_statuses_say_why_there_is_no_result(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    n = 60
    covariate = rng.binomial(2, 0.4, n)
    table = np.stack(
        [
            np.zeros(n),
            np.ones(n),
            np.full(n, -9),
            covariate,
            rng.binomial(2, 0.3, n),
            np.where(np.arange(n) < 3, rng.binomial(2, 0.5, n), -9),
        ]
    ).astype(np.int8)
    genotypes = write(tmp_path / "study", table)
    ids = list(genotypes.samples["iid"])
    phenotypes = pd.DataFrame({"y": rng.normal(size=n), "d": rng.binomial(1, 0.5, n)}, index=ids)
    covariates = pd.DataFrame({"c": covariate.astype(float)}, index=ids)
    design = make_design(ids, phenotypes, covariates)
    expected = ["CONST_OMITTED_ALLELE", "CONST_OMITTED_ALLELE", "NO_CALLS", "CORR_TOO_HIGH", "."]
    for trait, frame in associate(genotypes, design).items():
        assert frame["ERRCODE"].tolist()[:5] == expected, trait
        assert frame.loc[frame["ERRCODE"] != ".", ["BETA", "SE", "T_STAT", "P", "LOG10_P"]].isna().all().all()
    complete = associate(genotypes, design, missing="complete-case")["y"]
    assert complete["ERRCODE"].tolist()[5] == "SAMPLE_CT<=PREDICTOR_CT"


def test_covariates_that_separate_cases_do_not_stop_the_trait_or_its_neighbours(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    genotypes = write(tmp_path / "study", rng.binomial(2, 0.3, (8, 80)).astype(np.int8))
    ids = list(genotypes.samples["iid"])
    marker = np.arange(80) < 20
    phenotypes = pd.DataFrame({"d": marker.astype(int), "y": rng.normal(size=80)}, index=ids)
    covariates = pd.DataFrame({"c": marker + rng.normal(size=80) * 0.1}, index=ids)
    for mode in ("wald", "score-firth"):
        found = associate(genotypes, make_design(ids, phenotypes, covariates), logistic=mode)
        assert (found["y"]["ERRCODE"] == ".").all()
        assert found["d"]["FIRTH?"].eq("Y").all()
        assert found["d"]["ERRCODE"].isin([".", "FIRTH_CONVERGE_FAIL"]).all()


def test_x_adds_sex_and_y_takes_males_alone(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    table = rng.binomial(2, 0.4, (5, 90)).astype(np.int8)
    ids = [f"s{i}" for i in range(90)]
    y = rng.normal(size=90)
    sexes = "1212120"
    male = np.array([sexes[i % 7] == "1" for i in range(90)], dtype=float)
    known = np.array([sexes[i % 7] != "0" for i in range(90)])
    design = make_design(ids, pd.DataFrame({"y": y}, index=ids))
    on_x = associate(write(tmp_path / "x", table, chrom="chrX", sexes=sexes), design)["y"]
    on_y = associate(write(tmp_path / "y", table, chrom="24", sexes=sexes), design)["y"]
    on_par = associate(write(tmp_path / "p", table, chrom="25", sexes=sexes), design)["y"]
    for j in range(5):
        x = np.column_stack([table[j], np.ones(90), male]).astype(float)
        assert on_x["BETA"][j] == pytest.approx(sm.OLS(y[known], x[known]).fit().params[0])
        males = x[male == 1, :2]
        assert on_y["BETA"][j] == pytest.approx(2 * sm.OLS(y[male == 1], males).fit().params[0])
        assert on_par["BETA"][j] == pytest.approx(sm.OLS(y, x[:, :2]).fit().params[0])
    assert on_x["OBS_CT"].eq(known.sum()).all()
    assert on_y["OBS_CT"].eq(male.sum()).all()


@pytest.mark.parametrize(
    ("t", "df"),
    [(3.0, 10), (4.0, 300), (40.0, 300), (60.0, 373), (15.0, 20_000), (500.0, 100_000), (45.0, 400_000)],
)
def test_t_tail_equals_integration_of_the_density(t: float, df: int) -> None:
    constant = special.gammaln((df + 1) / 2) - special.gammaln(df / 2) - 0.5 * np.log(df * np.pi)

    def log_density(x: float) -> float:
        return float(constant - (df + 1) / 2 * np.log1p(x * x / df))

    peak = log_density(t)
    scale = df * (1 + t * t / df) / ((df + 1) * t)
    area, _ = integrate.quad(
        lambda s: np.exp(log_density(t + s * scale) - peak), 0, 200, epsabs=0, epsrel=1e-11
    )
    expected = -(peak + np.log(area * scale) + np.log(2)) / np.log(10)
    assert float(log10p_t(t, df)) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("df", [100.0, 313.0, 19_986.0, 4e6])
def test_series_of_the_t_tail_equals_scipy_where_it_holds(df: float) -> None:
    t = np.append(np.geomspace(1e-4, 20, 400), [0.0, np.nan])
    found = student_tail(t, np.full(len(t), df))
    held = found != -1
    assert held.sum() > 200
    expected = -np.log10(np.minimum(2 * special.stdtr(df, -t[held]), 1.0))
    np.testing.assert_allclose(found[held], expected, rtol=1e-12, atol=1e-14)
    assert (np.log1p(t[~held] ** 2 / df) > 0.1).all()
    assert (student_tail(t[:5], np.full(5, 99.0)) == -1).all()


def test_log10p_never_underflows_and_is_monotone_to_ten_thousand() -> None:
    t = np.geomspace(0.01, 400, 4000)
    for values in (log10p_t(t, 50_000_000), log10p_normal(t)):
        assert np.isfinite(values).all()
        assert (np.diff(values) > 0).all()
        assert values[-1] > 10_000
    assert float(log10p_t(1e5, 30_000)) > 10_000
