"""Between dosages and packed two-bit calls."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from numba import njit, prange

_OF_CODE: Final = np.array([2.0, np.nan, 1.0, 0.0], dtype=np.float32)


def from_packed(packed: npt.NDArray[np.uint8], n_file: int) -> npt.NDArray[np.float32]:
    """Turn packed hard calls into dosages.

    Parameters
    ----------
    packed
        uint8 (m, ceil(n_file / 4)): PLINK 1 two-bit codes.
    n_file
        Samples in the file.

    Returns
    -------
    ndarray of float32 (m, n_file)
        0, 1 or 2 copies of ALT; NaN where missing.

    Examples
    --------
    >>> from_packed(np.array([[0b11100100]], dtype=np.uint8), 4).tolist()
    [[2.0, nan, 1.0, 0.0]]
    """
    out = np.empty((packed.shape[0], n_file), dtype=np.float32)
    _from_packed(np.ascontiguousarray(packed), out)
    return out


@njit(parallel=True, cache=True)
def _from_packed(packed: Any, out: Any) -> None:
    for row in prange(out.shape[0]):
        for sample in range(out.shape[1]):
            out[row, sample] = _OF_CODE[(packed[row, sample >> 2] >> (2 * (sample & 3))) & 3]


def to_packed(dosages: npt.NDArray[np.float32], threshold: float) -> npt.NDArray[np.uint8]:
    """Call genotypes from dosages: the nearest whole number if it is near enough, else missing.

    Parameters
    ----------
    dosages
        float32 (m, n): copies of ALT from 0 to 2, NaN where missing.
    threshold
        Largest distance from a whole number, as PLINK 2's ``--hard-call-threshold``; below 0.5.

    Returns
    -------
    ndarray of uint8 (m, ceil(n / 4))
        PLINK 1 two-bit codes; padding bits are zero.

    Examples
    --------
    >>> to_packed(np.array([[2.0, np.nan, 0.95, 0.3]], dtype=np.float32), 0.1).tolist() == [[0b01100100]]
    True
    """
    out = np.zeros((dosages.shape[0], (dosages.shape[1] + 3) // 4), dtype=np.uint8)
    _to_packed(np.ascontiguousarray(dosages), call_limit(threshold), out)
    return out


def call_limit(threshold: float) -> np.float32:
    """Give the threshold with the leeway that a dosage printed with few digits needs: a float32's rounding.

    Examples
    --------
    >>> bool(np.abs(np.float32(0.9) - np.float32(1)) <= call_limit(0.1))
    True
    """
    return np.float32(threshold + 1e-6)


@njit(cache=True, nogil=True)
def call_code(value: Any, limit: Any) -> Any:
    """PLINK 1 two-bit code of one dosage; ``limit`` is of :func:`call_limit`.

    Examples
    --------
    >>> [call_code(np.float32(value), call_limit(0.1)) for value in (0.05, 1.0, 1.95, 0.5, np.nan)]
    [3, 2, 0, 1, 1]
    """
    # sums of comparisons, not branches: calls come in no order that a processor could guess
    none, one, two = value <= limit, abs(value - np.float32(1.0)) <= limit, value >= np.float32(2.0) - limit
    return np.uint8(np.uint8(1) + np.uint8(2) * np.uint8(none) + np.uint8(one) - np.uint8(two))


@njit(parallel=True, cache=True)
def _to_packed(dosages: Any, limit: Any, out: Any) -> None:
    for row in prange(dosages.shape[0]):
        for sample in range(dosages.shape[1]):
            out[row, sample >> 2] |= call_code(dosages[row, sample], limit) << np.uint8(2 * (sample & 3))
