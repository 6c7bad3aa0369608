"""Quantitative traits under the null: as many small P values as there should be, at any allele count."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from gwas.association import associate_tests
from gwas.design import make_design
from gwas.genotypes import Genotypes, open_genotypes
from gwas.kernels.packed import pack
from gwas.models.phenome import AssociationOptions
from gwas.rank_normal import rank_normal
from gwas.sumstats import lambda_gc

N = 1200
BINS = {"MAC 5-20": (5, 20), "MAC 20-100": (20, 100), "MAC > 100": (100, N)}
Rule = Literal["mean", "complete-case"]


def write(folder: Path, rng: np.random.Generator, each: int) -> tuple[Genotypes, np.ndarray]:
    """Independent variants, `each` of every bin, a third of them on X, calls missing at half of them."""
    counts = np.concatenate(
        [np.exp(rng.uniform(np.log(low), np.log(high), each)) for low, high in BINS.values()]
    )
    on_x = np.arange(len(counts)) % 3 == 2
    order = np.argsort(on_x, kind="stable")
    counts, on_x = counts[order], on_x[order]
    male = np.arange(N) % 2 == 0
    frequency = np.minimum(counts / (2 * N), 0.5)[:, None]
    calls = rng.binomial(2, frequency, (len(counts), N))
    calls[on_x] = np.where(male, 2 * rng.binomial(1, frequency[on_x], (int(on_x.sum()), N)), calls[on_x])
    missing = np.where(rng.random(len(counts)) < 0.5, 0.03, 0.0)[:, None]
    calls = np.where(rng.random(calls.shape) < missing, -9, calls).astype(np.int8)
    (folder / "null.bed").write_bytes(b"\x6c\x1b\x01" + pack(calls).tobytes())
    (folder / "null.fam").write_text("".join(f"f s{i} 0 0 {1 + i % 2} -9\n" for i in range(N)))
    (folder / "null.bim").write_text(
        "".join(f"{'X' if x else 1} v{j} 0 {j} A G\n" for j, x in enumerate(on_x))
    )
    known = np.where(calls < 0, 0, calls).sum(axis=1)
    return open_genotypes(folder / "null"), np.minimum(known, 2 * (calls >= 0).sum(axis=1) - known)


def tables(
    genotypes: Genotypes,
    rng: np.random.Generator,
    traits: int,
    scale: Callable[[np.ndarray], np.ndarray] = np.positive,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Traits, normal before `scale`, that age and sex explain in part, in four patterns of missingness."""
    ids = list(genotypes.samples["iid"])
    age = rng.normal(size=N)
    values = scale(rng.normal(size=(N, traits)) + (0.5 * age + 0.7 * (np.arange(N) % 2))[:, None])
    values[rng.random((N, 4))[:, np.arange(traits) % 4] < 0.05 * (np.arange(traits) % 4)] = np.nan
    names = [f"t{i}" for i in range(traits)]
    return pd.DataFrame(values, ids, names), pd.DataFrame({"age": age, "other": rng.normal(size=N)}, ids)


def log10_p(
    genotypes: Genotypes, phenotypes: pd.DataFrame, covariates: pd.DataFrame, missing: Rule
) -> np.ndarray:
    """float64 (traits, variants): -log10 P."""
    design = make_design(list(genotypes.samples["iid"]), phenotypes, covariates)
    blocks = associate_tests(genotypes, design, AssociationOptions(missing=missing), threads=2)
    return np.concatenate([np.stack([test.log10p for test in b.tests.values()]) for b in blocks], axis=1)


def assert_nominal(found: np.ndarray, mac: np.ndarray, alphas: tuple[float, ...]) -> dict[str, float]:
    ratios = {}
    for name, (low, high) in BINS.items():
        p = found[:, (mac >= low) & (mac < high)]
        p = p[np.isfinite(p)]
        for alpha in alphas:
            hits = int((p >= -np.log10(alpha)).sum())
            ratios[f"{name} at {alpha:g}"] = hits / (alpha * p.size)
            inside = stats.binom.interval(0.9999, p.size, alpha)
            assert inside[0] <= hits <= inside[1], (name, alpha, ratios)
    return ratios


@pytest.mark.parametrize("missing", ["mean", "complete-case"])
def test_lambda_and_type_one_error_are_nominal(tmp_path: Path, missing: Rule) -> None:
    rng = np.random.default_rng(41)
    genotypes, mac = write(tmp_path, rng, each=1500)
    phenotypes, covariates = tables(genotypes, rng, 100)
    found = log10_p(genotypes, phenotypes, covariates, missing)
    assert np.isfinite(found[:, mac >= 5]).mean() > 0.999
    x = (genotypes.variants["chrom"] == "X").to_numpy()
    for part in (x, ~x):
        tests = found[:, part & (mac >= 5)].ravel()
        assert abs(lambda_gc(tests) - 1) < 3 * 2.33 / np.sqrt(len(tests))
    each = np.array([lambda_gc(row[np.isfinite(row)]) for row in found])
    assert (abs(each - 1) < 2 * 2.33 / np.sqrt(found.shape[1])).mean() >= 0.9
    assert_nominal(found, mac, (1e-2, 1e-3, 1e-4))


@pytest.mark.slow
def test_type_one_error_at_one_in_ten_thousand_is_within_a_tenth(tmp_path: Path) -> None:
    rng = np.random.default_rng(42)
    genotypes, mac = write(tmp_path, rng, each=6000)
    phenotypes, covariates = tables(genotypes, rng, 1000)
    ratios = assert_nominal(log10_p(genotypes, phenotypes, covariates, "mean"), mac, (1e-3, 1e-4))
    assert all(0.9 <= ratio <= 1.1 for ratio in ratios.values()), ratios


def test_normal_scores_mend_what_a_skewed_trait_breaks_at_low_counts(tmp_path: Path) -> None:
    """A t test supposes normal residuals; with ten carriers of a log-normal trait there are too many hits."""
    rng = np.random.default_rng(43)
    genotypes, mac = write(tmp_path, rng, each=1500)
    phenotypes, covariates = tables(genotypes, rng, 100, np.exp)
    rare = (mac >= 5) & (mac < 20)
    raw = log10_p(genotypes, phenotypes, covariates, "mean")
    assert (raw[:, rare] >= 4).mean() > 5e-4
    scores = phenotypes.apply(lambda column: rank_normal(column.to_numpy()))
    found = log10_p(genotypes, scores, covariates, "mean")
    assert_nominal(found, mac, (1e-2, 1e-3))
    assert (found[:, rare] >= 4).mean() < 2e-4
