"""Fisher's exact test of two-by-two tables, one after another, never underflowing."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

# Two tables of equal probability can differ by rounding after a few thousand steps of the recurrence.
TIE = 1e-9
NEGLIGIBLE = 1e-18
SMALL = 1e-250


def fisher_ln_p(
    a: npt.NDArray[np.int64],
    b: npt.NDArray[np.int64],
    c: npt.NDArray[np.int64],
    d: npt.NDArray[np.int64],
    midp: bool,
) -> npt.NDArray[np.float64]:
    """Natural log of the two-sided P of each table ``[[a, b], [c, d]]``.

    Parameters
    ----------
    a, b, c, d
        int64 (m,): not negative.
    midp
        Count the tables exactly as likely as the observed one by half.

    Returns
    -------
    ndarray of float64 (m,)
        0 (P = 1) where a margin is empty.
    """
    out = np.empty(len(a), dtype=np.float64)
    _all(a, b, c, d, midp, out)
    return out


@njit(cache=True, nogil=True)
def _all(a: Any, b: Any, c: Any, d: Any, midp: bool, out: Any) -> None:
    for i in range(a.shape[0]):
        out[i] = _ln_p(a[i], a[i] + b[i], a[i] + c[i], a[i] + b[i] + c[i] + d[i], midp)


@njit(cache=True, nogil=True)
def _step(k: int, row: int, column: int, n: int, up: bool) -> float:
    """Probability of the next table (k + 1, or k - 1) over that of table k."""
    if up:
        return ((row - k) * float(column - k)) / ((k + 1.0) * (n - row - column + k + 1.0))
    return (k * (n - row - column + float(k))) / ((row - k + 1.0) * (column - k + 1.0))


@njit(cache=True, nogil=True)
def _outward(k: int, row: int, column: int, n: int, up: bool) -> float:
    """Sum of the tables beyond k in one direction, relative to table k."""
    total, term = 0.0, 1.0
    low, high = max(0, row + column - n), min(row, column)
    while (up and k < high) or (not up and k > low):
        term *= _step(k, row, column, n, up)
        k += 1 if up else -1
        total += term
        if term < NEGLIGIBLE * total:
            break
    return total


@njit(cache=True, nogil=True)
def _ln_p(observed: int, row: int, column: int, n: int, midp: bool) -> float:
    """Tail over total, both taken outward from where they are largest, so that nothing overflows."""
    low, high = max(0, row + column - n), min(row, column)
    mode = min(max(int((row + 1.0) * (column + 1.0) / (n + 2.0)), low), high)
    whole = 1.0 + _outward(mode, row, column, n, True) + _outward(mode, row, column, n, False)
    up = observed > mode
    k, height, ln_height = mode, 1.0, 0.0
    while k != observed:
        height *= _step(k, row, column, n, up)
        k += 1 if up else -1
        if height < SMALL:
            ln_height += np.log(height)
            height = 1.0
    ln_observed = ln_height + np.log(height)
    tail, ties = 1.0 + _outward(observed, row, column, n, up), 1.0
    k, height, ln_height = mode, 1.0, 0.0
    up = not up
    if observed == mode:
        # the other side begins one further; of the own side only the neighbour can be as likely
        if k > low and abs(_step(k, row, column, n, False) - 1.0) < TIE:
            ties += 1.0
        if k == high:
            k = -1
        else:
            height = _step(k, row, column, n, True)
            k += 1
    while k >= 0:
        if height < SMALL:
            ln_height += np.log(height)
            height = 1.0
        gap = ln_height + np.log(height) - ln_observed
        if gap <= TIE:
            if gap >= -TIE:
                ties += 1.0
            tail += np.exp(gap) * (1.0 + _outward(k, row, column, n, up))
            break
        if (up and k == high) or (not up and k == low):
            break
        height *= _step(k, row, column, n, up)
        k += 1 if up else -1
    kept = tail - 0.5 * ties if midp else tail
    return float(min(0.0, np.log(kept) + ln_observed - np.log(whole)))
