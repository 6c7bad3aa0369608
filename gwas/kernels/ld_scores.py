"""Sums of r2 over windows of variants, straight from packed calls.

Tiles of variants by people are decoded to standardised float32 that stays in cache, and multiplied by BLAS; no
correlation outlives its tile. The products run on scipy's BLAS, which callers keep to one thread.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

PEOPLE: Final = 2048
"""People in a tile; a multiple of four, so that tiles begin at whole bytes."""
CHUNK: Final = 256
GROUP: Final = 4096


@njit(cache=True, nogil=True)
def decode_values(packed: Any, values: Any, first: int, count: int, out: Any) -> None:
    """Look up a value for each call of some people.

    Parameters
    ----------
    packed
        uint8 (m, bytes).
    values
        float32 (m, 4): value of the codes 00, 01 (missing), 10 and 11.
    first, count
        First person, a multiple of four, and how many.
    out
        float32 (at least m, at least count), written.
    """
    whole = count // 4
    byte0 = first // 4
    for row in range(packed.shape[0]):
        table = values[row]
        for b in range(whole):
            byte = packed[row, byte0 + b]
            out[row, 4 * b] = table[byte & 3]
            out[row, 4 * b + 1] = table[(byte >> 2) & 3]
            out[row, 4 * b + 2] = table[(byte >> 4) & 3]
            out[row, 4 * b + 3] = table[byte >> 6]
        for k in range(4 * whole, count):
            out[row, k] = table[(packed[row, byte0 + (k >> 2)] >> (2 * (k & 3))) & 3]


@njit(cache=True, nogil=True)
def sum_r2(packed: Any, values: Any, n: int, own: int, left: Any, sums: Any) -> None:
    """Add the r2 of a tile of variants with all variants before them in their windows, to both of each pair.

    Parameters
    ----------
    packed
        uint8 (rows, ceil(n / 4)): variants of one chromosome, the tile being the rows from ``own`` on.
    values
        float32 (rows, 4): standardised genotype (mean 0, variance 1 over the n people) of each code.
    n
        Number of people, at least 3.
    own
        First row of the tile.
    left
        int64 (rows - own,): first row of each tile variant's window; not descending.
    sums
        float64 (rows,), added to: r2 less its bias, ``r2 - (1 - r2) / (n - 2)``; a variant with itself is left
        out.
    """
    rows = packed.shape[0]
    size = rows - own
    mine = np.empty((size, PEOPLE), dtype=np.float32)
    others = np.empty((CHUNK, PEOPLE), dtype=np.float32)
    for g in range(0, rows, GROUP):
        end = min(g + GROUP, rows)
        dot = np.zeros((end - g, size), dtype=np.float32)
        for first in range(0, n, PEOPLE):
            count = min(PEOPLE, n - first)
            if count < PEOPLE:
                mine[:, count:] = np.float32(0.0)
                others[:, count:] = np.float32(0.0)
            decode_values(packed[own:], values[own:], first, count, mine)
            for c in range(g, end, CHUNK):
                stop = min(c + CHUNK, end)
                decode_values(packed[c:stop], values[c:stop], first, count, others)
                dot[c - g : stop - g] += np.dot(others[: stop - c], mine.T)
        _add_r2(dot, n, g, own, left, sums)


@njit(cache=True, nogil=True)
def _add_r2(dot: Any, n: int, first: int, own: int, left: Any, sums: Any) -> None:
    over = 1.0 / n
    bias = 1.0 / (n - 2)
    for row in range(dot.shape[0]):
        at = first + row
        total = 0.0
        for k in range(max(0, at - own + 1), dot.shape[1]):
            if left[k] > at:
                break
            r = float(dot[row, k]) * over
            r2 = r * r
            r2 -= (1.0 - r2) * bias
            total += r2
            sums[own + k] += r2
        sums[at] += total
