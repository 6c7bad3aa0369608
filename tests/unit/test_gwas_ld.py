"""Linkage disequilibrium against plain correlations and scikit-allel."""

from __future__ import annotations

import allel
import numpy as np
import numpy.typing as npt
import pytest

from gwas.ld import kb_windows, ld_matrix, ld_prune, ld_r2, windows


def linked_calls(m: int, n: int, *, seed: int, missing: float = 0.0) -> npt.NDArray[np.int8]:
    """Variants in chains of correlated haplotypes."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal(2 * n)
    calls = np.empty((m, n), dtype=np.int8)
    for v in range(m):
        rho = 0.0 if v % 40 == 0 else 0.93
        z = rho * z + np.sqrt(1 - rho**2) * rng.standard_normal(2 * n)
        allele = z < rng.uniform(-1.3, 0.5)
        calls[v] = allele[:n].astype(np.int8) + allele[n:]
    calls[rng.random((m, n)) < missing] = -9
    return calls


def plain_r2(x: npt.NDArray[np.int8], y: npt.NDArray[np.int8]) -> float:
    both = (x >= 0) & (y >= 0)
    return float(np.corrcoef(x[both], y[both])[0, 1] ** 2)


@pytest.mark.parametrize("missing", [0.0, 0.04])
@pytest.mark.parametrize("n", [63, 64, 130])
def test_r2_is_the_squared_correlation_of_complete_pairs(genotypes_of, n, missing) -> None:
    calls = linked_calls(12, n, seed=n, missing=missing)
    genotypes = genotypes_of(calls)
    matrix = ld_matrix(genotypes)
    wanted = [[plain_r2(x, y) for y in calls] for x in calls]
    np.testing.assert_allclose(matrix, wanted, rtol=1e-10)
    np.testing.assert_allclose(ld_r2(genotypes, 5, [7, 2]), [wanted[5][7], wanted[5][2]], rtol=1e-10)


def test_r2_uses_the_selected_samples_in_any_order(genotypes_of) -> None:
    calls = linked_calls(6, 100, seed=3, missing=0.02)
    rows = np.random.default_rng(0).permutation(100)[:77]
    got = ld_matrix(genotypes_of(calls).select(samples=rows))
    np.testing.assert_allclose(got, ld_matrix(genotypes_of(calls[:, rows])), rtol=1e-12)


def test_r2_with_a_variant_that_does_not_vary_is_nan(genotypes_of) -> None:
    calls = linked_calls(2, 50, seed=1)
    calls[1] = 1
    assert np.isnan(ld_r2(genotypes_of(calls), 0, [1]))[0]


def test_pruned_variants_are_nearly_independent_within_every_window(genotypes_of) -> None:
    calls = linked_calls(300, 200, seed=5)
    kept = ld_prune(genotypes_of(calls), window=50, step=5, r2=0.2)
    assert 30 < len(kept) < 200
    squared = ld_matrix(genotypes_of(calls[kept]))
    near = np.abs(kept[:, None] - kept[None, :]) < 45
    np.fill_diagonal(near, False)
    assert squared[near].max() <= 0.2


def test_scikit_allel_finds_nothing_more_to_prune(genotypes_of) -> None:
    calls = linked_calls(240, 150, seed=8)
    kept = ld_prune(genotypes_of(calls), window=240, step=240, r2=0.3)
    assert allel.locate_unlinked(calls[kept], size=240, step=240, threshold=0.3).all()
    assert not allel.locate_unlinked(calls, size=240, step=240, threshold=0.3).all()


def test_of_two_linked_variants_the_rarer_goes(genotypes_of) -> None:
    common = np.array([0, 0, 1, 1, 2, 1, 0, 2, 1, 0] * 4)
    rare = common.copy()
    rare[common == 2] = 1
    assert ld_prune(genotypes_of([rare, common]), window=2, step=1, r2=0.2).tolist() == [1]


def test_monomorphic_variants_are_left_out(genotypes_of) -> None:
    calls = linked_calls(3, 60, seed=2)
    calls[1] = 2
    assert 1 not in ld_prune(genotypes_of(calls), window=3, step=1, r2=0.9)


def plain_prune(calls: npt.NDArray[np.int8], *, window: int, step: int, r2: float, order: str) -> list[int]:
    """PLINK's greedy pruning with loops over all correlations."""
    m = len(calls)
    alt = [float(c[c >= 0].mean()) / 2 if (c >= 0).any() else 0.0 for c in calls]
    major = [max(p, 1 - p) for p in alt]
    gone = {v for v in range(m) if np.unique(calls[v][calls[v] >= 0]).size < 2}
    still = set(gone)

    here = (calls >= 0).astype(np.int64)
    x = np.where(calls < 0, 0, calls).astype(np.int64)
    n, total, products = here @ here.T, x @ here.T, x @ x.T
    variance = (n * ((x * x) @ here.T) - total**2).astype(float)
    linked = (n * products - total * total.T).astype(float) ** 2 > r2 * variance * variance.T

    def rarer(early: int, late: int) -> int:
        return early if major[early] > major[late] * (1 + 1e-12) else late

    starts, stops = windows(m, window=window, step=step)
    fresh = 0
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        if order == "plink2":
            for late in range(stop - 1, max(start, fresh) - 1, -1):
                for early in range(late - 1, start - 1, -1):
                    if late not in still and early not in gone and linked[early, late]:
                        gone.add(rarer(early, late))
                        if rarer(early, late) == late:
                            break
            fresh = stop
            continue
        before = -1
        while before != len(gone):
            before = len(gone)
            for i in range(start, stop):
                for j in range(i + 1, stop):
                    if i not in gone and j not in gone and linked[i, j]:
                        gone.add(rarer(i, j))
                        break
    return [v for v in range(m) if v not in gone]


@pytest.mark.parametrize("order", ["plink1", "plink2"])
@pytest.mark.parametrize(("n", "missing"), [(63, 0.0), (800, 0.0), (800, 0.004), (1100, 0.02), (530, 0.3)])
def test_pruning_is_that_of_plain_loops(genotypes_of, order: str, n: int, missing: float) -> None:
    calls = linked_calls(110, n, seed=n, missing=missing)
    for v in range(0, 110, 9):
        calls[v] = np.where(
            np.random.default_rng(v).random(n) < 0.97, np.where(calls[v] < 0, -9, 0), calls[v]
        )
    calls[::2] = np.where(calls[::2] < 0, -9, 2 - calls[::2])
    genotypes = genotypes_of(calls)
    for window, step, r2 in ((110, 110, 0.05), (40, 7, 0.2), (25, 25, 0.5), (60, 1, 0.9)):
        kept = ld_prune(genotypes, window=window, step=step, r2=r2, order=order)
        assert kept.tolist() == plain_prune(calls, window=window, step=step, r2=r2, order=order)


def test_chromosomes_are_pruned_apart_and_blocks_do_not_matter(genotypes_of, monkeypatch) -> None:
    calls = linked_calls(200, 90, seed=9, missing=0.01)
    both = genotypes_of(np.concatenate([calls, calls]), chrom=["1"] * 200 + ["2"] * 200)
    kept = ld_prune(both, window=30, step=7, r2=0.2)
    first = kept[kept < 200]
    assert (kept[kept >= 200] - 200).tolist() == first.tolist()
    monkeypatch.setattr("gwas.ld.BLOCK", 17)
    assert ld_prune(both, window=30, step=7, r2=0.2, threads=1).tolist() == kept.tolist()


def test_windows_cover_every_variant_and_stop_at_the_last() -> None:
    starts, stops = windows(103, window=20, step=5)
    assert stops[-1] == 103
    assert (stops[:-1] < 103).all()
    assert (np.diff(starts) == 5).all()
    starts, stops = windows(7, window=20, step=5)
    assert (starts.tolist(), stops.tolist()) == ([0], [7])


def test_kb_windows_span_no_more_than_asked_and_each_reaches_further() -> None:
    pos = np.sort(np.random.default_rng(0).integers(0, 10_000_000, 400))
    starts, stops = kb_windows(pos, kb=250)
    assert (pos[stops - 1] - pos[starts] <= 250_000).all()
    assert (np.diff(stops) > 0).all()
    assert stops[-1] == 400


def test_positions_out_of_order_are_refused(genotypes_of) -> None:
    with pytest.raises(ValueError, match="not in order"):
        ld_prune(genotypes_of(linked_calls(3, 40, seed=1), pos=[5, 3, 9]), window=3, step=1)
