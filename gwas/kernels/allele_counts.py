"""Between counts of an allele, one byte a person, and packed two-bit calls."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from numba import njit, prange

# of the low two bits of a count: 0, 1, 2 copies, and missing, since -9 ends in binary 11
_CODE: Final = np.array([3, 2, 0, 1], dtype=np.uint8)
_CODES: Final = sum(
    (_CODE[(np.arange(256) >> shift) & 3].astype(np.uint8) << np.uint8(shift) for shift in (0, 2, 4, 6)),
    start=np.zeros(256, dtype=np.uint8),
)


def pack_counts(counts: npt.NDArray[np.int8]) -> npt.NDArray[np.uint8]:
    """Pack counts of ALT into PLINK 1 two-bit codes.

    Parameters
    ----------
    counts
        int8 (m, n): 0, 1 or 2 copies of ALT; missing is -9.

    Returns
    -------
    ndarray of uint8 (m, ceil(n / 4))
        PLINK 1 two-bit codes; padding bits are zero.

    Examples
    --------
    >>> pack_counts(np.array([[2, -9, 1, 0, 2]], dtype=np.int8)).tolist() == [[0b11100100, 0]]
    True
    """
    packed = np.empty((counts.shape[0], (counts.shape[1] + 3) // 4), dtype=np.uint8)
    _pack_counts(np.ascontiguousarray(counts).view(np.uint8), packed)
    return packed


@njit(parallel=True, cache=True)
def _pack_counts(counts: Any, packed: Any) -> None:
    n = counts.shape[1]
    whole = n // 4
    for row in prange(counts.shape[0]):
        line = counts[row]
        for byte in range(whole):
            at = 4 * byte
            bits = (
                (line[at] & 3)
                | ((line[at + 1] & 3) << 2)
                | ((line[at + 2] & 3) << 4)
                | ((line[at + 3] & 3) << 6)
            )
            packed[row, byte] = _CODES[bits]
        if n % 4:
            last = np.uint8(0)
            for at in range(4 * whole, n):
                last |= _CODE[line[at] & 3] << np.uint8(2 * (at & 3))
            packed[row, whole] = last
