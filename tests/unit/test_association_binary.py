"""Tests of binary traits in the tail: approximate Firth and saddle-point against slow plain twins."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from scipy import optimize, special, stats

from gwas.association import associate
from gwas.design import make_design
from gwas.genotypes import Genotypes, open_genotypes
from gwas.kernels import maximum, refit, tilted, tilted_loops
from gwas.kernels.elementary import fast_exp32
from gwas.kernels.logistic import logistic_newton
from gwas.kernels.packed import pack

Floats = npt.NDArray[np.float64]
Table = npt.NDArray[np.int8]


def write(prefix: Path, table: Table) -> Genotypes:
    m, n = table.shape
    prefix.with_suffix(".bed").write_bytes(b"\x6c\x1b\x01" + pack(table).tobytes())
    prefix.with_suffix(".fam").write_text("".join(f"f{i} s{i} 0 0 1 -9\n" for i in range(n)))
    prefix.with_suffix(".bim").write_text("".join(f"1 v{j} 0 {j + 1} A G\n" for j in range(m)))
    return open_genotypes(prefix)


def null_model(n: int, k: int, case_share: float, seed: int) -> tuple[Floats, Floats, tilted.TiltedNull]:
    """Covariates, the log odds they give (held to be the null fit), and the null model."""
    rng = np.random.default_rng(seed)
    design = np.vstack([np.ones(n), rng.normal(size=(k - 1, n))])
    eta = special.logit(case_share) + 0.5 * design[1]
    p = special.expit(eta)
    y = (rng.random(n) < p).astype(float)
    return design, eta, tilted.TiltedNull.of(design, y, p)


def calls_of(n: int, frequencies: Floats, seed: int, missing: float = 0.0) -> Table:
    rng = np.random.default_rng(seed)
    table = rng.binomial(2, frequencies[:, None], (len(frequencies), n)).astype(np.int8)
    table[rng.random(table.shape) < missing] = -9
    return table


def values(table: Table, null: tilted.TiltedNull, drop: bool) -> tuple[Floats, Floats, dict[str, Floats]]:
    """Genotypes beside the weighted covariates, means and products with the basis, the long way round."""
    g = np.where(table < 0, np.nan, table.astype(float))
    means = np.nanmean(g, axis=1)
    filled = np.where(np.isnan(g), means[:, None], g)
    w = null.p * (1 - null.p)
    a = np.linalg.solve((null.design * w) @ null.design.T, (null.design * w) @ filled.T).T
    beside = filled - a @ null.design
    lower = np.linalg.cholesky((null.design * w) @ null.design.T)
    return np.where(np.isnan(g) & drop, 0.0, beside), means, {"on_basis": a @ lower, "lower": lower}


FREQUENCIES = np.array([0.4, 0.2, 0.05, 0.01, 0.004, 0.002])


@pytest.mark.parametrize("drop", [False, True])
@pytest.mark.parametrize("dosages", [False, True])
@pytest.mark.parametrize("case_share", [0.4, 0.03])
def test_approximate_firth_maximises_the_penalised_likelihood_of_one_coefficient(
    case_share: float, dosages: bool, drop: bool
) -> None:
    n = 3000
    _, eta, null = null_model(n, 4, case_share, 1)
    table = calls_of(n, FREQUENCIES, 2, missing=0.02)
    g, means, a = values(table, null, drop)
    alt = np.where(table < 0, np.nan, table).astype(np.float32)
    found = tilted.tilted_tests(
        alt if dosages else pack(table),
        np.arange(len(table)),
        flip=np.zeros(len(table), dtype=bool),
        means=np.full(len(table), np.nan) if drop else means,
        place=np.arange(n),
        **a,
        null=null,
        method=tilted.FIRTH,
    )
    y = null.residual + null.p
    for j in range(len(table)):

        def objective(beta: float, j: int = j) -> float:
            q = special.expit(eta + beta * g[j])
            fit = (y * (eta + beta * g[j]) - np.logaddexp(0, eta + beta * g[j])).sum()
            return float(-fit - 0.5 * np.log((q * (1 - q) * g[j] ** 2).sum()))

        best = optimize.minimize_scalar(objective, bracket=(-0.5, 0.5), tol=1e-10)
        q = special.expit(eta + best.x * g[j])
        se = 1 / np.sqrt((q * (1 - q) * g[j] ** 2).sum())
        assert found[j, 0] == 1
        assert found[j, 1] == pytest.approx(best.x, abs=1e-4 * se)
        assert found[j, 2] == pytest.approx(se, rel=1e-4)
        assert found[j, 3] == pytest.approx(2 * (objective(0.0) - best.fun), abs=2e-4)


def test_a_flipped_allele_changes_the_sign_alone() -> None:
    n = 1000
    _, _, null = null_model(n, 3, 0.2, 5)
    table = calls_of(n, FREQUENCIES, 6)
    _, means, a = values(table, null, False)
    common = {"place": np.arange(n), "null": null}
    rows = np.arange(len(table))
    for method in (tilted.FIRTH, tilted.SADDLE):
        one, other = (
            tilted.tilted_tests(
                pack(calls),
                rows,
                flip=np.full(len(table), flip),
                means=means,
                **a,
                method=method,
                **common,
            )
            for calls, flip in ((table, False), ((2 - table).astype(np.int8), True))
        )
        np.testing.assert_array_equal(one, other)


def saddle(g: Floats, p: Floats, s: float) -> float:
    """Two-sided P of Σ g (y - p) by Lugannani and Rice, root by bisection."""

    def cgf(t: float) -> tuple[float, float, float]:
        d = 1 - p + p * np.exp(t * g)
        q = p * np.exp(t * g) / d
        return (
            float(np.log(d).sum() - t * (g * p).sum()),
            float((g * (q - p)).sum()),
            float((q * (1 - q) * g**2).sum()),
        )

    total = 0.0
    for side in (s, -s):
        if cgf(40 * np.sign(side))[1] * np.sign(side) < abs(side):
            continue
        t = optimize.brentq(lambda t, side=side: cgf(t)[1] - side, -40, 40, xtol=1e-13)
        k, _, k2 = cgf(t)
        w = np.sign(t) * np.sqrt(2 * (t * side - k))
        v = t * np.sqrt(k2)
        total += stats.norm.sf(abs(w + np.log(v / w) / w))
    return total


@pytest.mark.parametrize("case_share", [0.4, 0.02])
def test_saddle_point_equals_its_formula_with_everybody_in_it(case_share: float) -> None:
    n = 4000
    _, _, null = null_model(n, 4, case_share, 11)
    table = calls_of(n, FREQUENCIES, 12, missing=0.01)
    g, means, a = values(table, null, False)
    found = tilted.tilted_tests(
        pack(table),
        np.arange(len(table)),
        flip=np.zeros(len(table), dtype=bool),
        means=means,
        place=np.arange(n),
        **a,
        null=null,
        method=tilted.SADDLE,
    )
    for j in range(len(table)):
        s = float((g[j] * null.residual).sum())
        if abs(s) < 0.2 * np.sqrt((g[j] ** 2 * null.p * (1 - null.p)).sum()):
            continue
        expected = saddle(g[j], null.p, s)
        height = tilted.log10p_of_saddle(found)[j]
        assert height == pytest.approx(-np.log10(expected), abs=2e-4)


@pytest.mark.parametrize("carriers", [5, 8, 10])
@pytest.mark.parametrize("cases", [3, 4, 5])
def test_saddle_point_is_near_the_exact_distribution_of_few_carriers(carriers: int, cases: int) -> None:
    """Exact: mid-P over all outcomes of the carriers, of cases at 1:100."""
    n = 60_000
    design = np.ones((1, n))
    p = np.full(n, 0.01)
    y = np.zeros(n)
    y[:cases] = 1
    # everybody else as expected, so that the carriers alone make the score
    null = tilted.TiltedNull.of(design, np.where(np.arange(n) < carriers, y, p), p)
    table = np.zeros((1, n), dtype=np.int8)
    table[0, :carriers] = 1
    g, means, a = values(table, null, False)
    found = tilted.tilted_tests(
        pack(table),
        np.arange(1),
        flip=np.zeros(1, dtype=bool),
        means=means,
        place=np.arange(n),
        **a,
        null=null,
        method=tilted.SADDLE_OF_COUNTS,
    )
    observed = float((g[0, :carriers] * (y - p)[:carriers]).sum())
    exact = 0.0
    for outcome in product([0, 1], repeat=carriers):
        taken = np.array(outcome)
        chance = np.prod(np.where(taken == 1, p[:carriers], 1 - p[:carriers]))
        s = float((g[0, :carriers] * (taken - p[:carriers])).sum())
        if abs(s) > abs(observed) + 1e-9:
            exact += chance
        elif abs(s) > abs(observed) - 1e-9:
            exact += 0.5 * chance
    assert abs(tilted.log10p_of_saddle(found)[0] + np.log10(exact)) < 0.31
    normal = 2 * stats.norm.sf(observed / np.sqrt((g[0] ** 2 * p * (1 - p)).sum()))
    assert abs(np.log10(normal) - np.log10(exact)) > 1


def test_firth_without_covariates_adds_half_a_person_to_every_cell(tmp_path: Path) -> None:
    """Known closed form: with one binary predictor Firth's estimate is the log odds ratio of the cells + 1/2."""
    cells = {"a": 7, "b": 0, "c": 20, "d": 33}
    g = np.repeat([1, 1, 0, 0], list(cells.values()))
    y = np.repeat([1, 0, 1, 0], list(cells.values()))
    genotypes = write(tmp_path / "cells", np.stack([g, g]).astype(np.int8))
    design = make_design(
        list(genotypes.samples["iid"]), pd.DataFrame({"d": y}, index=genotypes.samples["iid"])
    )
    half = {name: count + 0.5 for name, count in cells.items()}
    expected = np.log(half["a"] * half["d"] / (half["b"] * half["c"]))
    full = associate(genotypes, design, logistic="score-firth", tail_below=1.0)["d"]
    assert full["BETA"][0] == pytest.approx(expected, rel=1e-6)
    # the covariates' share is fixed, so that the estimate is near but not the same
    fixed = associate(genotypes, design, logistic="score-firth-approx", tail_below=1.0)["d"]
    assert fixed["ERRCODE"].tolist() == [".", "."]
    assert fixed["LOG10_P"][0] == pytest.approx(full["LOG10_P"][0], abs=0.3)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Genotypes, pd.DataFrame, pd.DataFrame]:
    """900 people; variants of 3 to 900 copies, the first only in cases; a trait of 5 % cases."""
    rng = np.random.default_rng(21)
    n, m = 900, 40
    table = rng.binomial(2, np.geomspace(0.004, 0.5, m)[:, None], (m, n)).astype(np.int8)
    covariates = pd.DataFrame({"c": rng.normal(size=n), "e": rng.normal(size=n)})
    y = (rng.random(n) < special.expit(-3 + 0.5 * covariates["c"].to_numpy())).astype(float)
    table[0] = 0
    table[0, np.flatnonzero(y == 1)[:5]] = 1
    table[1] = 0
    table[1, :3] = 1
    table[rng.random((m, n)) < rng.choice([0.0, 0.02], m)[:, None]] = -9
    genotypes = write(tmp_path_factory.mktemp("binary") / "study", table)
    ids = list(genotypes.samples["iid"])
    other = (rng.random(n) < 0.3).astype(float)
    return genotypes, pd.DataFrame({"d": y, "e": other}, index=ids), covariates.set_index(pd.Index(ids))


MODES = ["score", "score-firth", "score-firth-approx", "score-spa", "score-spa-firth"]


@pytest.mark.parametrize("missing", ["mean", "complete-case"])
@pytest.mark.parametrize("mode", MODES)
def test_a_separated_variant_has_a_finite_answer(
    study: tuple[Genotypes, pd.DataFrame, pd.DataFrame], mode: str, missing: str
) -> None:
    genotypes, phenotypes, covariates = study
    found = associate(
        genotypes, make_design(list(phenotypes.index), phenotypes, covariates), logistic=mode, missing=missing
    )["d"]
    assert found["ERRCODE"].eq(".").all()
    assert np.isfinite(found[["BETA", "SE", "T_STAT", "LOG10_P"]].to_numpy()).all()
    assert found["BETA"][0] > 0
    height = found["LOG10_P"][0]
    # 5 carriers, all cases at 5 %: about 0.05^5; the uncorrected score test says far more
    assert height > 15 if mode == "score" else 3 < height < 8


@pytest.mark.parametrize("mode", MODES)
def test_tail_is_the_same_for_any_block_and_beside_any_trait(
    study: tuple[Genotypes, pd.DataFrame, pd.DataFrame], mode: str
) -> None:
    genotypes, phenotypes, covariates = study
    ids = list(phenotypes.index)
    both = associate(genotypes, make_design(ids, phenotypes, covariates), logistic=mode, tail_below=0.5)
    alone = associate(
        genotypes,
        make_design(ids, phenotypes[["d"]], covariates),
        logistic=mode,
        tail_below=0.5,
        block_size=7,
        threads=1,
    )
    pd.testing.assert_frame_equal(both["d"], alone["d"], check_exact=True)


def test_tail_methods_agree_where_carriers_and_cases_are_many(
    study: tuple[Genotypes, pd.DataFrame, pd.DataFrame],
) -> None:
    genotypes, phenotypes, covariates = study
    design = make_design(list(phenotypes.index), phenotypes, covariates)
    found = {mode: associate(genotypes, design, logistic=mode, tail_below=1.0)["e"] for mode in MODES}
    common = slice(25, None)
    for mode in MODES[1:]:
        np.testing.assert_allclose(
            found[mode]["LOG10_P"][common], found["score"]["LOG10_P"][common], atol=0.05
        )
        np.testing.assert_allclose(found[mode]["BETA"][common], found["score"]["BETA"][common], atol=0.02)
    assert found["score-firth-approx"]["FIRTH?"].eq("Y").all()
    assert found["score-spa"]["FIRTH?"].eq("N").all()


@pytest.mark.parametrize("missing", ["mean", "complete-case"])
def test_default_has_the_saddle_points_p_and_firths_effect(
    study: tuple[Genotypes, pd.DataFrame, pd.DataFrame], missing: str
) -> None:
    genotypes, phenotypes, covariates = study
    design = make_design(list(phenotypes.index), phenotypes, covariates)
    found = {mode: associate(genotypes, design, logistic=mode, missing=missing)["d"] for mode in MODES}
    both = associate(genotypes, design, missing=missing)["d"]
    pd.testing.assert_frame_equal(both, found["score-spa-firth"], check_exact=True)
    tail = found["score"]["P"] < 0.05
    assert tail.any()
    assert not tail.all()
    assert both["FIRTH?"].eq("Y").equals(tail)
    np.testing.assert_array_equal(both["LOG10_P"], found["score-spa"]["LOG10_P"])
    np.testing.assert_array_equal(both["BETA"][tail], found["score-firth-approx"]["BETA"][tail])
    pd.testing.assert_frame_equal(both[~tail], found["score"][~tail], check_exact=True)
    np.testing.assert_allclose(both["BETA"] / both["SE"], both["T_STAT"], rtol=1e-9)
    np.testing.assert_allclose(2 * stats.norm.sf(np.abs(both["T_STAT"])), both["P"], rtol=1e-6)


@pytest.mark.parametrize("mode", ["score-firth", "score-firth-approx"])
def test_firth_se_goes_with_estimate_and_p(
    study: tuple[Genotypes, pd.DataFrame, pd.DataFrame], mode: str
) -> None:
    genotypes, phenotypes, covariates = study
    design = make_design(list(phenotypes.index), phenotypes, covariates)
    usual, by_p = (
        associate(genotypes, design, logistic=mode, firth_se=given)["d"] for given in (False, True)
    )
    tail = by_p["FIRTH?"].eq("Y")
    np.testing.assert_allclose(
        np.abs(by_p["BETA"] / by_p["SE"])[tail], np.abs(by_p["T_STAT"])[tail], rtol=1e-9
    )
    assert (np.abs(by_p["SE"] / usual["SE"] - 1)[tail] > 1e-4).any()
    assert tail.sum() > 1
    rest = ["BETA", "T_STAT", "LOG10_P"]
    pd.testing.assert_frame_equal(by_p[rest], usual[rest], check_exact=True)
    pd.testing.assert_frame_equal(by_p[~tail], usual[~tail], check_exact=True)


def test_an_offset_equals_a_covariate_of_known_effect() -> None:
    from gwas.models.group import make_group
    from gwas.models.logistic_null import fit_logistic_null

    rng = np.random.default_rng(31)
    n = 500
    covariates = rng.normal(size=(n, 1))
    known = rng.normal(size=n)
    y = (rng.random(n) < special.expit(known + 0.3 * covariates[:, 0] - 1)).astype(float)
    group = make_group(covariates, ["c"], np.ones(n, dtype=bool), rows=np.arange(n), n_columns=n)
    null = fit_logistic_null(group, y, known)

    def gradient(b: Floats) -> Floats:
        return np.asarray(null.design @ (y - special.expit(known + b @ null.design)))

    np.testing.assert_allclose(gradient(null.coefficients), 0, atol=1e-6)
    np.testing.assert_allclose(null.linear[:, 0], y - special.expit(known + null.coefficients @ null.design))


@pytest.mark.parametrize("drop", [False, True])
@pytest.mark.parametrize("case_share", [0.4, 0.05])
def test_many_fits_at_once_equal_single_fits(case_share: float, drop: bool) -> None:
    n = 5000
    design, _, null = null_model(n, 5, case_share, 41)
    table = calls_of(n, np.linspace(0.02, 0.5, 21), 42, missing=0.02)
    y = null.residual + null.p
    start = np.zeros(5)
    assert logistic_newton(design, y, np.zeros(n), start)[0]
    g = np.where(table < 0, np.nan, table.astype(float))
    given = {
        "flip": np.zeros(21, dtype=bool),
        "means": np.nanmean(g, axis=1),
        "positions": np.arange(n),
        "covariates": design,
        "outcome": y,
        "offset": np.zeros(n),
        "start": start,
        "drop_missing": drop,
    }
    rows = np.arange(21)
    at_null = {name: given[name] for name in ("flip", "means", "positions", "drop_missing")}
    at_null["start"] = maximum.StartingPoint.of(design, y, np.zeros(n), start)
    single = refit.refit_variants(pack(table), rows, method=refit.WALD, **given)
    for genotypes in (pack(table), g.astype(np.float32)):
        many = maximum.maximise_variants(genotypes, rows, **at_null)
        found = many[:, 0] == 1
        assert found.all()
        assert (np.abs(many[:, 1] - single[:, 1])[found] < 1e-5 * single[found, 2]).all()
        np.testing.assert_allclose(many[found, 2], single[found, 2], rtol=1e-5)
        np.testing.assert_array_equal(many[3:5], maximum.maximise_variants(genotypes, rows[3:5], **at_null))


def test_vector_exp_and_log_are_accurate() -> None:
    x = np.linspace(-300, 300, 4001)
    np.testing.assert_allclose([tilted_loops.fast_exp(v) for v in x], np.exp(x), rtol=2e-14)
    y = np.geomspace(1e-130, 1e130, 4001)
    np.testing.assert_allclose([tilted_loops.fast_log(v) for v in y], np.log(y), rtol=2e-14, atol=1e-16)
    single = np.linspace(-80, 80, 4001, dtype=np.float32)
    np.testing.assert_allclose([fast_exp32(v) for v in single], np.exp(single.astype(float)), rtol=2e-7)
    near = 1 + np.linspace(-0.4, 0.4, 801)
    np.testing.assert_allclose([tilted_loops.fast_log(v) for v in near], np.log(near), atol=1e-15)
