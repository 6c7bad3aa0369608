"""The inner loops of counting: arrays in and out, nothing allocated, nothing raised.

They run as :class:`gwas.kernels.machine_code.MachineCode`; this module is imported only to compile them.

Samples are columns, so their counts are kept side by side in the lanes of a word: three variants fit into lanes
of two bits, five such sums into four bits, seventeen of those into a byte. Only then does anything leave the
word, once in 255 variants.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

from gwas.kernels.bitplanes import popcount

_PAIRS: Final = np.uint64(0x5555555555555555)
_NIBBLES: Final = np.uint64(0x3333333333333333)
_BYTES: Final = np.uint64(0x0F0F0F0F0F0F0F0F)
_ONE: Final = np.uint64(1)
_NONE: Final = np.uint64(0)


@njit
def count_rows(codes: Any, keep: Any, n_kept: int, out: Any) -> None:
    """Count 0, 1 and 2 copies of ALT and missing calls of every row among the samples kept."""
    for row in range(codes.shape[0]):
        none = np.int64(0)
        low = np.int64(0)
        high = np.int64(0)
        for w in range(codes.shape[1]):
            code = codes[row, w] & keep[w]
            ones, twos = code & _PAIRS, (code >> _ONE) & _PAIRS
            none += popcount(ones & twos)
            low += popcount(ones)
            high += popcount(twos)
        # samples outside the mask turn into code 00, so two copies are what is left
        out[row, 0] = none
        out[row, 1] = high - none
        out[row, 2] = n_kept - low - high + none
        out[row, 3] = low - none


@njit
def _gaps(code: Any) -> Any:
    """A one in the low bit of every missing call's pair (code 01)."""
    return code & ~(code >> _ONE) & _PAIRS


@njit
def _hets(code: Any) -> Any:
    """A one in the low bit of every heterozygote's pair (code 10)."""
    return ~code & (code >> _ONE) & _PAIRS


@njit
def _add_nibbles(nibbles: Any, lanes: Any) -> None:
    for w in range(nibbles.shape[1]):
        for half in range(2):
            four = nibbles[half, w]
            lanes[2 * half, w] += four & _BYTES
            lanes[2 * half + 1, w] += (four >> np.uint64(4)) & _BYTES
            nibbles[half, w] = _NONE


@njit
def _add_lanes(lanes: Any, by_sample: Any) -> None:
    for w in range(lanes.shape[1]):
        for lane in range(4):
            value = lanes[lane, w]
            # lanes hold the first, third, second and fourth call of each byte
            within = (lane >> 1) + 2 * (lane & 1)
            for byte in range(8):
                by_sample[32 * w + 4 * byte + within] += np.int64(
                    (value >> np.uint64(8 * byte)) & np.uint64(255)
                )
            lanes[lane, w] = _NONE


@njit
def count_missing(codes: Any, keep: Any, by_variant: Any, by_sample: Any, nibbles: Any, lanes: Any) -> None:
    """Count missing calls of every row among the samples kept, and add those of every sample.

    ``by_sample`` has 32 places a word; ``nibbles`` (2, words) and ``lanes`` (4, words) are zero before and
    after.
    """
    m = codes.shape[0]
    for first in range(0, m, 255):
        last = min(first + 255, m)
        for fifteen in range(first, last, 15):
            until = min(fifteen + 15, last)
            for row in range(fifteen, until, 3):
                two, three = min(row + 1, until - 1), min(row + 2, until - 1)
                second = _PAIRS if until - row > 1 else _NONE
                third = _PAIRS if until - row > 2 else _NONE
                total_a = np.int64(0)
                total_b = np.int64(0)
                total_c = np.int64(0)
                for w in range(codes.shape[1]):
                    a = _gaps(codes[row, w])
                    b, c = _gaps(codes[two, w]) & second, _gaps(codes[three, w]) & third
                    total_a += popcount(a & keep[w])
                    total_b += popcount(b & keep[w])
                    total_c += popcount(c & keep[w])
                    total = a + b + c
                    nibbles[0, w] += total & _NIBBLES
                    nibbles[1, w] += (total >> np.uint64(2)) & _NIBBLES
                by_variant[row] = total_a
                if until - row > 1:
                    by_variant[row + 1] = total_b
                if until - row > 2:
                    by_variant[row + 2] = total_c
            _add_nibbles(nibbles, lanes)
        _add_lanes(lanes, by_sample)


@njit
def add_sample_sums(
    codes: Any,
    rows: Any,
    expected_het: Any,
    het: Any,
    missing: Any,
    missing_expected: Any,
    nibbles: Any,
    lanes: Any,
) -> None:
    """Add heterozygotes, missing calls and their expected heterozygosity of the chosen rows to each sample.

    The sums have 32 places a word; ``nibbles`` (4, words) and ``lanes`` (8, words) are zero before and after.
    """
    m = rows.shape[0]
    for first in range(0, m, 255):
        last = min(first + 255, m)
        for fifteen in range(first, last, 15):
            until = min(fifteen + 15, last)
            for at in range(fifteen, until, 3):
                one, two, three = rows[at], rows[min(at + 1, until - 1)], rows[min(at + 2, until - 1)]
                second = _PAIRS if until - at > 1 else _NONE
                third = _PAIRS if until - at > 2 else _NONE
                for w in range(codes.shape[1]):
                    a, b, c = codes[one, w], codes[two, w], codes[three, w]
                    total = _hets(a) + (_hets(b) & second) + (_hets(c) & third)
                    nibbles[0, w] += total & _NIBBLES
                    nibbles[1, w] += (total >> np.uint64(2)) & _NIBBLES
                    total = _gaps(a) + (_gaps(b) & second) + (_gaps(c) & third)
                    nibbles[2, w] += total & _NIBBLES
                    nibbles[3, w] += (total >> np.uint64(2)) & _NIBBLES
            _add_nibbles(nibbles[:2], lanes[:4])
            _add_nibbles(nibbles[2:], lanes[4:])
        _add_lanes(lanes[:4], het)
        _add_lanes(lanes[4:], missing)
    for at in range(m):
        expected = expected_het[rows[at]]
        for w in range(codes.shape[1]):
            left = _gaps(codes[rows[at], w])
            while left != _NONE:
                call = popcount((left & (~left + _ONE)) - _ONE) >> 1
                missing_expected[32 * w + call] += expected
                left &= left - _ONE
