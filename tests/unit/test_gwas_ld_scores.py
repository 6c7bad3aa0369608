"""LD scores against a plain double loop over the definition."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from cohorts.errors import DesignError, InputError
from gwas.ld_score_sums import ld_scores, reference_size


def linked_calls(m: int, n: int, *, seed: int, missing: float = 0.02) -> npt.NDArray[np.int8]:
    rng = np.random.default_rng(seed)
    z = rng.standard_normal(2 * n)
    calls = np.empty((m, n), dtype=np.int8)
    for v in range(m):
        z = 0.9 * z + np.sqrt(1 - 0.81) * rng.standard_normal(2 * n)
        allele = z < rng.uniform(-1.5, 1.0)
        calls[v] = allele[:n].astype(np.int8) + allele[n:]
    calls[rng.random((m, n)) < missing] = -9
    return calls


def plain_scores(calls, chrom, place, window) -> npt.NDArray[np.float64]:
    """The sum over pairs of r2 - (1 - r2) / (N - 2), of genotypes with the mean for a missing call."""
    n = calls.shape[1]
    z = []
    for row in calls.astype(float):
        row = np.where(row < 0, row[row >= 0].mean(), row)
        z.append((row - row.mean()) / row.std())
    scores = np.zeros(len(calls))
    for i in range(len(calls)):
        for j in range(len(calls)):
            if chrom[i] == chrom[j] and abs(place[i] - place[j]) <= window:
                r2 = float(z[i] @ z[j] / n) ** 2
                scores[i] += r2 - (1 - r2) / (n - 2)
    return scores


@pytest.mark.parametrize("n", [37, 400])
def test_scores_are_those_of_the_definition_whatever_the_window(genotypes_of, n) -> None:
    calls = linked_calls(150, n, seed=n)
    chrom = ["1"] * 90 + ["2"] * 60
    pos = np.concatenate([np.sort(np.random.default_rng(1).integers(1, 10**6, k)) for k in (90, 60)])
    genotypes = genotypes_of(calls, chrom=chrom, pos=pos)
    genotypes.variants["cm"] = genotypes.variants["pos"] / 5e5
    for options, place, window in (
        ({"window_kb": 100}, pos, 100_000),
        ({"window_cm": 0.3}, pos / 5e5, 0.3),
        ({"window_variants": 7}, np.arange(150), 7),
    ):
        found = ld_scores(genotypes, **options)
        np.testing.assert_allclose(found["L2"], plain_scores(calls, chrom, place, window), rtol=2e-5)


def test_neither_threads_nor_tiles_nor_people_a_tile_change_the_scores(genotypes_of, monkeypatch) -> None:
    calls = linked_calls(700, 120, seed=3)
    genotypes = genotypes_of(calls, pos=1000 * np.arange(700) + 1)
    one = ld_scores(genotypes, window_kb=150, threads=1)
    assert one.equals(ld_scores(genotypes, window_kb=150, threads=3))
    monkeypatch.setattr("gwas.ld_score_sums.LARGEST_TILE", 32)
    np.testing.assert_allclose(ld_scores(genotypes, window_kb=150)["L2"], one["L2"], rtol=1e-6)


def test_more_people_than_a_tile_holds(genotypes_of) -> None:
    calls = linked_calls(20, 4103, seed=8)
    found = ld_scores(genotypes_of(calls), window_variants=5)
    wanted = plain_scores(calls, ["1"] * 20, np.arange(20), 5)
    np.testing.assert_allclose(found["L2"], wanted, rtol=2e-5)


def test_selected_samples_alone_count(genotypes_of) -> None:
    calls = linked_calls(40, 90, seed=5)
    rows = np.random.default_rng(0).permutation(90)[:61]
    chosen = ld_scores(genotypes_of(calls).select(samples=rows), window_variants=10)
    np.testing.assert_allclose(
        chosen["L2"], ld_scores(genotypes_of(calls[:, rows]), window_variants=10)["L2"]
    )


def test_independent_variants_score_one_on_average(genotypes_of) -> None:
    rng = np.random.default_rng(2)
    calls = rng.binomial(2, rng.uniform(0.05, 0.95, 400)[:, None], (400, 150)).astype(np.int8)
    scores = ld_scores(genotypes_of(calls), window_variants=400)["L2"]
    # 400 r2 without the correction for chance would add 400 / 150 = 2.7.
    assert scores.mean() == pytest.approx(1.0, abs=0.15)


def test_variants_that_do_not_vary_are_left_out(genotypes_of) -> None:
    calls = linked_calls(6, 60, seed=4, missing=0)
    calls[1], calls[4] = 2, 1
    found = ld_scores(genotypes_of(calls), window_variants=3)
    assert found["SNP"].tolist() == ["rs0", "rs2", "rs3", "rs5"]
    wanted = plain_scores(calls[[0, 2, 3, 5]], ["1"] * 4, np.arange(4), 3)
    np.testing.assert_allclose(found["L2"], wanted, rtol=2e-5)
    assert reference_size(found)[0] == 4


def test_frequency_is_of_the_minor_allele_among_calls(genotypes_of) -> None:
    calls = linked_calls(10, 80, seed=6)
    found = ld_scores(genotypes_of(calls), window_variants=2)
    alt = np.array([row[row >= 0].mean() / 2 for row in calls])
    np.testing.assert_allclose(found["MAF"], np.minimum(alt, 1 - alt), rtol=1e-12)


def test_what_cannot_be_done_is_refused(genotypes_of) -> None:
    calls = linked_calls(5, 30, seed=1)
    with pytest.raises(ValueError, match="exactly one"):
        ld_scores(genotypes_of(calls), window_kb=1, window_cm=1)
    with pytest.raises(ValueError, match="positive"):
        ld_scores(genotypes_of(calls), window_kb=0)
    with pytest.raises(DesignError, match="no genetic positions"):
        ld_scores(genotypes_of(calls), window_cm=1)
    with pytest.raises(InputError, match="not in order"):
        ld_scores(genotypes_of(calls, pos=[1, 2, 9, 4, 5]), window_kb=1)
    with pytest.raises(DesignError, match="too few people"):
        ld_scores(genotypes_of(calls[:, :2]), window_kb=1)
    with pytest.raises(DesignError, match="no variant varies"):
        ld_scores(genotypes_of(np.zeros((3, 20))), window_kb=1)
