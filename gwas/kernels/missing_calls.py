"""Missing calls of every variant and every sample, 32 calls at a time.

Samples are columns, so their counts are kept side by side in the lanes of a word: three variants fit into lanes
of two bits, five such sums into four bits, seventeen of those into a byte. Only then does anything leave the
word, once in 255 variants.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from numba import njit

from gwas.kernels.bitplanes import popcount
from gwas.kernels.packed import as_words

_PAIRS: Final = np.uint64(0x5555555555555555)
_NIBBLES: Final = np.uint64(0x3333333333333333)
_BYTES: Final = np.uint64(0x0F0F0F0F0F0F0F0F)


def count_missing(
    packed: npt.NDArray[np.uint8], keep: npt.NDArray[np.uint8], by_sample: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Count the missing calls of a block both ways.

    Parameters
    ----------
    packed
        uint8 (m, ceil(n_file / 4)): PLINK 1 two-bit codes.
    keep
        uint8 (ceil(n_file / 4),): the low bit of a pair is set for samples that count towards their variant.
    by_sample
        int64 (at least 4 * ceil(n_file / 4),): missing calls of every sample of the file, added to.

    Returns
    -------
    ndarray of int64 (m,)
        Missing calls of each variant among the samples kept.
    """
    m, width = packed.shape
    # padding reads as two copies of ALT, which is not missing
    codes = as_words(packed)
    by_variant = np.empty(m, dtype=np.int64)
    lanes = np.zeros((4, codes.shape[1]), dtype=np.uint64)
    sums = np.zeros((codes.shape[1], 32), dtype=np.int64)
    _count(codes, as_words(keep[None])[0], by_variant, lanes, sums)
    by_sample[: 4 * width] += sums.reshape(-1)[: 4 * width]
    return by_variant


@njit(cache=True, nogil=True)
def _count(codes: Any, keep: Any, by_variant: Any, lanes: Any, sums: Any) -> None:
    m, words = codes.shape
    nibbles = np.zeros((2, words), dtype=np.uint64)
    for first in range(0, m, 255):
        last = min(first + 255, m)
        for fifteen in range(first, last, 15):
            for row in range(fifteen, min(fifteen + 15, last), 3):
                _add_three(codes, keep, row, min(row + 3, last), by_variant, nibbles)
            for w in range(words):
                for half in range(2):
                    four = nibbles[half, w]
                    lanes[2 * half, w] += four & _BYTES
                    lanes[2 * half + 1, w] += (four >> np.uint64(4)) & _BYTES
                    nibbles[half, w] = 0
        for w in range(words):
            for lane in range(4):
                value = lanes[lane, w]
                # lanes hold the first, third, second and fourth call of each byte
                within = (lane >> 1) + 2 * (lane & 1)
                for byte in range(8):
                    sums[w, 4 * byte + within] += np.int64((value >> np.uint64(8 * byte)) & np.uint64(255))
                lanes[lane, w] = 0


@njit(cache=True, nogil=True)
def _gaps(code: Any) -> Any:
    """A one in the low bit of every missing call's pair (code 01)."""
    return code & ~(code >> np.uint64(1)) & _PAIRS


@njit(cache=True, nogil=True)
def _add_three(codes: Any, keep: Any, first: int, last: int, by_variant: Any, nibbles: Any) -> None:
    """Add up to three variants to the four-bit sums: odd calls of a byte in row 0, even ones in row 1."""
    totals = np.zeros(3, dtype=np.int64)
    one, two, three = first, min(first + 1, last - 1), min(first + 2, last - 1)
    second = np.uint64(_PAIRS if last - first > 1 else np.uint64(0))
    third = np.uint64(_PAIRS if last - first > 2 else np.uint64(0))
    for w in range(codes.shape[1]):
        a, b, c = _gaps(codes[one, w]), _gaps(codes[two, w]) & second, _gaps(codes[three, w]) & third
        totals[0] += popcount(a & keep[w])
        totals[1] += popcount(b & keep[w])
        totals[2] += popcount(c & keep[w])
        total = a + b + c
        nibbles[0, w] += total & _NIBBLES
        nibbles[1, w] += (total >> np.uint64(2)) & _NIBBLES
    for k in range(last - first):
        by_variant[first + k] = totals[k]
