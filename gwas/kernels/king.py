"""KING-robust kinship of all pairs, from bit-planes of samples (see :mod:`gwas.kernels.bitplanes`)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from gwas.kernels.bitplanes import popcount

TILE = 32
CHUNK = 128


@njit(cache=True, nogil=True)
def _tile_counts(hom: Any, alt: Any, i0: int, i1: int, j0: int, j1: int, counts: Any) -> None:
    """Counts (ti, tj, 4) of one tile: IBS0, het-het, het-hom and hom-het variants."""
    counts[:] = 0
    words = hom.shape[1]
    for first in range(0, words, CHUNK):
        last = min(words, first + CHUNK)
        for i in range(i0, i1):
            for j in range(max(j0, i + 1), j1):
                ibs0 = np.int64(0)
                hethet = np.int64(0)
                hethom = np.int64(0)
                homhet = np.int64(0)
                for w in range(first, last):
                    hi, ai = hom[i, w], alt[i, w]
                    hj, aj = hom[j, w], alt[j, w]
                    ti, tj = ai & ~hi, aj & ~hj
                    ibs0 += popcount(hi & hj & (ai ^ aj))
                    hethet += popcount(ti & tj)
                    hethom += popcount(ti & hj)
                    homhet += popcount(hi & tj)
                counts[i - i0, j - j0, 0] += ibs0
                counts[i - i0, j - j0, 1] += hethet
                counts[i - i0, j - j0, 2] += hethom
                counts[i - i0, j - j0, 3] += homhet


@njit(cache=True, nogil=True)
def _both_called(hom: Any, alt: Any, i: int, j: int) -> Any:
    n = np.int64(0)
    for w in range(hom.shape[1]):
        n += popcount((hom[i, w] | alt[i, w]) & (hom[j, w] | alt[j, w]))
    return n


@njit(cache=True, nogil=True)
def king_rows(
    hom: Any, alt: Any, first: int, last: int, at_least: float, index: Any, found: Any, kinship: Any
) -> int:
    """Pairs (i, j), ``first <= i < last``, ``j > i``, whose kinship is at least ``at_least``.

    Parameters
    ----------
    hom, alt
        uint64 (n, words): bit-planes of samples over variants.
    first, last
        Rows to do; ``first`` a multiple of TILE. Threads share the work by rows.
    at_least
        Smallest kinship to keep; use -inf for all pairs.
    index, found, kinship
        int64 (capacity, 2), int64 (capacity, 3) and float64 (capacity,), filled in no particular order:
        the two rows; the variants called in both, of opposite homozygotes (IBS0), and heterozygous in
        both; the kinship, nan where no shared variant is heterozygous (kept only with -inf).

    Returns
    -------
    int
        Pairs found. Where it exceeds the capacity, only the first ``capacity`` are stored.
    """
    n = hom.shape[0]
    capacity = kinship.shape[0]
    size = 0
    counts = np.zeros((TILE, TILE, 4), dtype=np.int64)
    for i0 in range(first, last, TILE):
        i1 = min(last, i0 + TILE)
        for j0 in range(i0, n, TILE):
            j1 = min(n, j0 + TILE)
            _tile_counts(hom, alt, i0, i1, j0, j1, counts)
            for i in range(i0, i1):
                for j in range(max(j0, i + 1), j1):
                    ibs0 = counts[i - i0, j - j0, 0]
                    hethet = counts[i - i0, j - j0, 1]
                    hethom = counts[i - i0, j - j0, 2]
                    homhet = counts[i - i0, j - j0, 3]
                    fewer = hethet + min(hethom, homhet)
                    phi = np.nan
                    if fewer > 0:
                        phi = 0.5 - (4.0 * ibs0 + hethom + homhet) / (4.0 * fewer)
                    if phi >= at_least or at_least == -np.inf:
                        if size < capacity:
                            index[size, 0] = i
                            index[size, 1] = j
                            found[size, 0] = _both_called(hom, alt, i, j)
                            found[size, 1] = ibs0
                            found[size, 2] = hethet
                            kinship[size] = phi
                        size += 1
    return size
