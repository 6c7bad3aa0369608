"""Between counts of an allele, one byte a person, and packed two-bit calls."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit


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
    n = counts.shape[1]
    if n % 4:
        counts = np.pad(counts, ((0, 0), (0, -n % 4)))
    words = np.ascontiguousarray(counts).view(np.uint32)
    return pack_words(words, n)


def pack_words(words: npt.NDArray[np.uint32], n: int) -> npt.NDArray[np.uint8]:
    """Pack counts of ALT that lie four to a word, as :func:`pack_counts` does.

    Parameters
    ----------
    words
        uint32 (m, ceil(n / 4)): int8 counts 0, 1, 2 or -9; those past ``n`` may be anything.
    n
        People.

    Returns
    -------
    ndarray of uint8 (m, ceil(n / 4))
        PLINK 1 two-bit codes; padding bits are zero.

    Examples
    --------
    >>> words = np.array([[2, -9, 1, 0]], dtype=np.int8).view(np.uint32)
    >>> pack_words(words, 3).tolist() == [[0b00100100]]
    True
    """
    packed = np.empty(words.shape, dtype=np.uint8)
    _pack_words(words, packed)
    if n % 4:
        packed[:, -1] &= (1 << (2 * (n % 4))) - 1
    return packed


@njit(cache=True, nogil=True)
def _pack_words(words: Any, packed: Any) -> None:
    for row in range(words.shape[0]):
        for at in range(words.shape[1]):
            # the low two bits of -9 are 11, so they tell missing from 0, 1 and 2
            low = words[row, at] & np.uint32(0x03030303)
            pairs = low | (low >> np.uint32(6))
            quads = (pairs | (pairs >> np.uint32(12))) & np.uint32(0xFF)
            # 00 -> 11, 01 -> 10, 10 -> 00, 11 -> 01
            first = ~quads & np.uint32(0xAA)
            second = ~(quads ^ (quads >> np.uint32(1))) & np.uint32(0x55)
            packed[row, at] = np.uint8(first | second)
