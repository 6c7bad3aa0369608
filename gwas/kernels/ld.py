"""Squared correlation of variants, and greedy pruning, on bit-planes (see :mod:`gwas.kernels.bitplanes`).

A genotype counts as -1, 0 or 1 (ALT copies less one), so that its moments are popcounts. A pair's r2 uses
the samples called in both variants.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from gwas.kernels.bitplanes import popcount

# Allele frequencies that differ by rounding alone are the same frequency.
SAME_FREQUENCY = 2.0**-44


@njit(cache=True, nogil=True)
def moments(hom: Any, alt: Any) -> Any:
    """Called samples, sum and sum of squares of each variant: int64 (m, 3), from uint64 (m, words) planes."""
    out = np.empty((hom.shape[0], 3), dtype=np.int64)
    for row in range(hom.shape[0]):
        called = np.int64(0)
        homs = np.int64(0)
        plus = np.int64(0)
        for w in range(hom.shape[1]):
            called += popcount(hom[row, w] | alt[row, w])
            homs += popcount(hom[row, w])
            plus += popcount(hom[row, w] & alt[row, w])
        out[row, 0] = called
        out[row, 1] = 2 * plus - homs
        out[row, 2] = homs
    return out


@njit(cache=True, nogil=True)
def _cov_and_variances(
    hom1: Any, alt1: Any, stats1: Any, hom2: Any, alt2: Any, stats2: Any, n: int
) -> tuple[float, float, float]:
    """n^2 times covariance and the two variances over the samples called in both variants."""
    words = hom1.shape[0]
    both = np.int64(0)
    differ = np.int64(0)
    for w in range(words):
        same = hom1[w] & hom2[w]
        both += popcount(same)
        differ += popcount(same & (alt1[w] ^ alt2[w]))
    dot = both - 2 * differ
    called, s1, q1, s2, q2 = np.int64(n), stats1[1], stats1[2], stats2[1], stats2[2]
    if stats1[0] != n or stats2[0] != n:
        called = np.int64(0)
        q1 = np.int64(0)
        q2 = np.int64(0)
        plus1 = np.int64(0)
        plus2 = np.int64(0)
        for w in range(words):
            called1 = hom1[w] | alt1[w]
            called2 = hom2[w] | alt2[w]
            called += popcount(called1 & called2)
            h1 = hom1[w] & called2
            h2 = hom2[w] & called1
            q1 += popcount(h1)
            q2 += popcount(h2)
            plus1 += popcount(h1 & alt1[w])
            plus2 += popcount(h2 & alt2[w])
        s1 = 2 * plus1 - q1
        s2 = 2 * plus2 - q2
    return (
        float(dot * called - s1 * s2),
        float(q1 * called - s1 * s1),
        float(q2 * called - s2 * s2),
    )


@njit(cache=True, nogil=True)
def r2_rows(hom1: Any, alt1: Any, hom2: Any, alt2: Any, n: int) -> Any:
    """r2 of each row of the first planes with each row of the second: float64 (m1, m2).

    nan where a variant does not vary among the samples called in both.
    """
    stats1 = moments(hom1, alt1)
    stats2 = moments(hom2, alt2)
    out = np.empty((hom1.shape[0], hom2.shape[0]), dtype=np.float64)
    for i in range(hom1.shape[0]):
        for j in range(hom2.shape[0]):
            cov, var1, var2 = _cov_and_variances(hom1[i], alt1[i], stats1[i], hom2[j], alt2[j], stats2[j], n)
            out[i, j] = cov * cov / (var1 * var2) if var1 > 0.0 and var2 > 0.0 else np.nan
    return out


@njit(cache=True, nogil=True)
def prune_windows(
    hom: Any,
    alt: Any,
    stats: Any,
    base: int,
    n: int,
    starts: Any,
    stops: Any,
    major: Any,
    removed: Any,
    unchecked: Any,
    threshold: float,
) -> None:
    """Prune greedily within consecutive windows of one chromosome.

    In a window the surviving variants are taken in order; each is compared with the later survivors it has
    not met, up to the first whose r2 is above the threshold; of the two the rarer minor allele goes (the
    later one on a tie). Rounds repeat until one removes nothing.

    Parameters
    ----------
    hom, alt
        uint64 (rows, words): planes of variants ``base`` to ``base + rows`` of the chromosome.
    stats
        int64 (rows, 3): their :func:`moments`.
    n
        Number of samples.
    starts, stops
        int64 (k,): half-open windows, in order, all within the rows at hand.
    major
        float64 (m,): frequency of the commoner allele, over the whole chromosome.
    removed, unchecked
        bool (m,) and int64 (m,), updated in place: variants gone; first later variant not yet compared.
    threshold
        Largest r2 allowed to stay.
    """
    for k in range(starts.shape[0]):
        start, stop = starts[k], stops[k]
        again = True
        while again:
            again = False
            for i in range(start, stop):
                if removed[i]:
                    continue
                j = max(i + 1, unchecked[i])
                while j < stop:
                    if not removed[j]:
                        cov, var1, var2 = _cov_and_variances(
                            hom[i - base],
                            alt[i - base],
                            stats[i - base],
                            hom[j - base],
                            alt[j - base],
                            stats[j - base],
                            n,
                        )
                        if cov * cov > threshold * var1 * var2:
                            again = True
                            if major[i] > major[j] * (1.0 + SAME_FREQUENCY):
                                removed[i] = True
                            else:
                                removed[j] = True
                            break
                    j += 1
                unchecked[i] = min(j + 1, stop) if j < stop else stop
