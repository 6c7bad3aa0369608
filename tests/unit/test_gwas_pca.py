"""Principal components against a dense decomposition, and projection without shrinkage."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from cohorts.errors import DesignError
from gwas.components import pca, project, structure_variants
from gwas.long_range_ld import LONG_RANGE_LD, in_long_range_ld
from gwas.standardised import StandardisedGenotypes


def people(m: int, sizes: list[int], *, seed: int, fst: float = 0.1) -> npt.NDArray[np.int8]:
    """Unrelated people of several ancestries (Balding and Nichols), some calls missing."""
    rng = np.random.default_rng(seed)
    ancestral = rng.uniform(0.1, 0.9, m)
    shape = (1 - fst) / fst
    groups = []
    for size in sizes:
        frequency = rng.beta(ancestral * shape, (1 - ancestral) * shape)
        groups.append(rng.binomial(2, frequency[:, None], (m, size)))
    calls = np.concatenate(groups, axis=1).astype(np.int8)
    calls[rng.random(calls.shape) < 0.01] = -9
    return calls


def dense(calls: npt.NDArray[np.int8]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    g = np.where(calls < 0, np.nan, calls.astype(float))
    mean = np.nanmean(g, axis=1, keepdims=True)
    varies = (mean[:, 0] > 0) & (mean[:, 0] < 2)
    g, mean = g[varies], mean[varies]
    z = np.nan_to_num((g - mean) / np.sqrt(mean * (1 - mean / 2)))
    values, vectors = np.linalg.eigh(z.T @ z / len(z))
    return values[::-1], vectors[:, ::-1]


def every(calls: npt.NDArray[np.int8]) -> npt.NDArray[np.int64]:
    return np.arange(len(calls))


def test_components_are_those_of_the_dense_decomposition(genotypes_of) -> None:
    calls = people(1500, [60, 50, 41, 30], seed=1)
    found = pca(
        genotypes_of(calls), components=6, variants=every(calls), rng=np.random.default_rng(3), tolerance=1e-4
    )
    values, vectors = dense(calls)
    np.testing.assert_allclose(found.eigenvalues, values[:6], rtol=1e-6)
    cosines = np.abs((found.scores.to_numpy() * vectors[:, :6]).sum(axis=0))
    assert cosines.min() > 0.9999
    assert found.residual <= 1e-4
    assert found.total_variance == pytest.approx(values.sum(), rel=1e-5)
    np.testing.assert_allclose((found.loadings**2).sum(axis=0), 1.0, rtol=1e-4)


def test_neither_the_seed_nor_the_passes_change_the_answer(genotypes_of, monkeypatch) -> None:
    calls = people(900, [50, 45, 40], seed=2)
    first = pca(genotypes_of(calls), components=2, variants=every(calls), rng=np.random.default_rng(1))
    monkeypatch.setattr("gwas.standardised.ROWS", 70)
    monkeypatch.setattr("gwas.standardised.HELD_BYTES", 0)
    again = pca(genotypes_of(calls), components=2, variants=every(calls), rng=np.random.default_rng(99))
    np.testing.assert_allclose(again.scores, first.scores, atol=1e-4)


def test_threads_change_nothing_at_all(genotypes_of) -> None:
    calls = people(700, [50, 45, 40], seed=3)
    one, three = (
        pca(genotypes_of(calls), components=3, variants=every(calls), rng=np.random.default_rng(1), threads=t)
        for t in (1, 3)
    )
    assert np.array_equal(one.scores, three.scores)
    assert np.array_equal(one.loadings, three.loadings)


@pytest.mark.parametrize(("m", "n"), [(1, 5), (7, 64), (130, 61), (300, 203), (67, 1031)])
def test_the_operator_is_the_standardised_matrix(genotypes_of, m, n) -> None:
    rng = np.random.default_rng(m)
    calls = rng.binomial(2, rng.uniform(0.02, 0.98, m)[:, None], (m, n)).astype(np.int8)
    calls[rng.random(calls.shape) < 0.05] = -9
    rows = rng.permutation(n)[: n - 1]
    chosen = calls[:, rows]
    g = np.where(chosen < 0, np.nan, chosen.astype(float))
    mean = np.nanmean(g, axis=1)
    scale = np.sqrt(np.maximum(mean * (1 - mean / 2), 0.01))
    z = np.nan_to_num((g - mean[:, None]) / scale[:, None])
    matrix = StandardisedGenotypes(genotypes_of(calls).select(samples=rows), mean, scale, threads=2)
    v, w = rng.standard_normal((n - 1, 19)), rng.standard_normal((m, 19))
    np.testing.assert_allclose(matrix.times(v), z @ v, atol=2e-4)
    np.testing.assert_allclose(
        matrix.gram(v), z.T @ (z @ v), rtol=1e-4, atol=1e-4 * np.abs(z.T @ (z @ v)).max()
    )
    weighed, squares = matrix.weigh(w)
    np.testing.assert_allclose(weighed, z.T @ w, atol=2e-4)
    np.testing.assert_allclose(squares, (z**2).sum(axis=0), rtol=1e-4, atol=1e-4)


def test_the_sign_follows_the_people_not_the_allele_names(genotypes_of) -> None:
    calls = people(800, [70, 30], seed=4)
    flipped = np.where(calls < 0, calls, 2 - calls)
    one, other = (
        pca(genotypes_of(c), components=1, variants=every(c), rng=np.random.default_rng(1))
        for c in (calls, flipped)
    )
    np.testing.assert_allclose(other.scores, one.scores, atol=1e-4)
    assert (one.scores["PC1"] ** 3).sum() > 0


def test_people_left_out_are_projected_where_they_would_have_been(genotypes_of) -> None:
    calls = people(4000, [90, 80, 70], seed=5, fst=0.02)
    genotypes = genotypes_of(calls)
    fit_on = np.random.default_rng(1).random(240) < 0.7
    found = pca(genotypes, components=4, fit_on=fit_on, variants=every(calls), rng=np.random.default_rng(2))
    group = np.repeat([0, 1, 2], [90, 80, 70])
    scores = found.scores.to_numpy()[:, :2]
    for g in range(3):
        centre = scores[fit_on & (group == g)].mean(axis=0)
        placed = scores[~fit_on & (group == g)].mean(axis=0)
        stretch = float(placed @ centre / (centre @ centre))
        assert stretch == pytest.approx(1.0, abs=0.04)
    # The plain projection falls short here; that is what the method is for.
    z = np.where(calls < 0, 0.0, (calls - found.mean[:, None]) / found.scale[:, None])
    plain = (z.T @ found.loadings / np.sqrt(found.eigenvalues * len(calls)))[:, :2]
    centres = np.stack([scores[fit_on & (group == g)].mean(axis=0) for g in range(3)])
    short = [
        float(plain[~fit_on & (group == g)].mean(axis=0) @ centres[g] / (centres[g] @ centres[g]))
        for g in range(3)
    ]
    assert max(short) < 0.93


def test_a_single_person_can_be_placed_later(genotypes_of) -> None:
    calls = people(3000, [60, 60], seed=6)
    known, new = calls[:, 1:], calls[:, :1]
    model = pca(genotypes_of(known), components=2, variants=every(calls), rng=np.random.default_rng(1))
    placed = project(model, genotypes_of(new).select(variants=model.variants))
    assert placed.shape == (1, 2)
    own = model.scores["PC1"].to_numpy()[:59].mean()
    other = model.scores["PC1"].to_numpy()[59:].mean()
    assert abs(placed["PC1"].iloc[0] - own) < 0.3 * abs(placed["PC1"].iloc[0] - other)


def test_projecting_onto_other_alleles_is_refused(genotypes_of) -> None:
    calls = people(200, [30, 30], seed=7)
    model = pca(genotypes_of(calls), components=2, variants=every(calls), rng=np.random.default_rng(1))
    swapped = genotypes_of(calls)
    swapped.variants.loc[3, ["ref", "alt"]] = ["A", "G"]
    with pytest.raises(DesignError, match="model's variants"):
        project(model, swapped)


def test_too_few_people_are_refused(genotypes_of) -> None:
    calls = people(50, [5], seed=8)
    with pytest.raises(DesignError, match="fewer components"):
        pca(genotypes_of(calls), components=10, variants=every(calls), rng=np.random.default_rng(1))


def test_structure_variants_are_common_autosomal_and_outside_long_range_ld(genotypes_of) -> None:
    calls = people(400, [80], seed=9)
    calls[7] = 0
    calls[7, 0] = 1
    calls[8, :20] = -9
    chrom = ["6"] * 200 + ["2"] * 150 + ["X"] * 50
    pos = np.concatenate(
        [np.arange(200) * 1_000_000, 150_000_000 + np.arange(150) * 10_000, np.arange(50) * 9999]
    )
    kept = structure_variants(genotypes_of(calls, chrom=chrom, pos=pos), build="GRCh38")
    assert not {7, 8} & set(kept.tolist())
    assert kept.max() < 350
    assert not {26, 30, 33} & set(kept.tolist())
    assert {10, 50} <= set(kept.tolist())


def test_regions_are_well_formed_and_the_builds_speak_of_the_same_places() -> None:
    assert set(LONG_RANGE_LD) == {"GRCh37", "GRCh38"}
    for old, new in zip(LONG_RANGE_LD["GRCh37"], LONG_RANGE_LD["GRCh38"], strict=True):
        assert old[0] == new[0]
        assert old[1] < old[2]
        assert new[1] < new[2]
        assert abs(old[1] - new[1]) < 3_000_000
    everywhere = in_long_range_ld(pd.Series(["6"]), pd.Series([30_000_000]))
    assert everywhere.all()
