"""The first part of PGEN records, the calls of whatever ALT; see :mod:`gwas.kernels.pgen`, which runs the loops.

Rows are PLINK 1 codes: ``11`` no copy of ALT, ``10`` one, ``00`` two, ``01`` missing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from gwas.kernels.pgen import CATEGORIES, PADDED, REPEATED, SHORT
from gwas.kernels.pgen_lists import clean, list_head, next_group


@njit
def decode_main(
    data: Any, spans: Any, told: Any, n: Any, base: Any, samples: Any, out: Any, places: Any, fault: Any
) -> None:
    """Write the calls of records into uint8 (m, ceil(n / 4)), and where what follows in each begins.

    ``base`` (1, ceil(n / 4)) is the row that differences are told from; ``fault`` is the step and the fault.
    """
    for step in range(spans.shape[0]):
        row = out[told[step, 1]] if told[step, 1] >= 0 else base[0]
        at = _main_track(data, spans[step, 0], spans[step, 1], told[step, 0] & 7, n, base[0], samples, row)
        if at < 0:
            fault[0] = step
            fault[1] = at
            return
        places[step] = at
        if told[step, 1] >= 0 and _leads(told, step):
            for byte in range(row.shape[0]):
                base[0, byte] = row[byte]


@njit
def _leads(told: Any, step: Any) -> Any:
    """Whether the next record is told, or might be, by its differences from this one."""
    return (told[step, 0] & 6) != 2 and (step + 1 == told.shape[0] or (told[step + 1, 0] & 6) == 2)


@njit
def _main_track(data: Any, at: Any, end: Any, kind: Any, n: Any, base: Any, samples: Any, row: Any) -> Any:
    """Write the calls of one record; the place behind them, or a fault."""
    width = row.shape[0]
    common = np.int64(-1)
    if kind == 0:
        return _as_they_are(data, at, end, n, row)
    if kind == 1:
        at, common = _two_common(data, at, end, n, row)
        if at < 0:
            return at
    elif kind <= 3:
        for byte in range(width):
            row[byte] = base[byte]
    else:
        code = _plink1_code(kind & 3)
        for byte in range(width):
            row[byte] = code * 0x55
    _end(row, n)
    at = _patch(data, at, end, n, samples, common, row)
    if kind == 3 and at >= 0:
        for byte in range(width):
            x = row[byte]
            row[byte] = x ^ ((~(x ^ (x >> 1)) & 0x55) * 3)
        _end(row, n)
    return at


@njit
def _end(row: Any, n: Any) -> None:
    if n & 3:
        row[row.shape[0] - 1] &= (1 << (2 * (n & 3))) - 1


@njit
def _as_they_are(data: Any, at: Any, end: Any, n: Any, row: Any) -> Any:
    width = row.shape[0]
    if at + width > end:
        return np.int64(SHORT)
    if not clean(data, at, 2 * n):
        return np.int64(PADDED)
    calls = data[at : at + width]
    for byte in range(width):
        x = calls[byte]
        row[byte] = (~x & 0xAA) | (~(x ^ (x >> 1)) & 0x55)
    _end(row, n)
    return at + width


@njit
def _two_common(data: Any, at: Any, end: Any, n: Any, row: Any) -> Any:
    """A byte says which two calls are common, and a bit of each sample which; also give the second's code."""
    bits = (n + 7) >> 3
    if at + 1 + bits > end:
        return np.int64(SHORT), np.int64(0)
    which = np.int64(data[at])
    low, high = which >> 2, (which >> 2) + (which & 3)
    if which & 3 == 0 or high > 3:
        return np.int64(CATEGORIES), np.int64(0)
    at += 1
    if not clean(data, at, n):
        return np.int64(PADDED), np.int64(0)
    low, high = _plink1_code(low), _plink1_code(high)
    lows, change = np.uint32(low * 0x5555), np.uint32(low ^ high)
    width = row.shape[0]
    marks = data[at : at + bits]
    for byte in range(width >> 1):
        both = _spread(marks[byte]) * change ^ lows
        row[2 * byte] = both & np.uint32(0xFF)
        row[2 * byte + 1] = both >> np.uint32(8)
    if width & 1:
        row[width - 1] = (_spread(marks[bits - 1]) * change ^ lows) & np.uint32(0xFF)
    return at + bits, high


@njit
def _spread(byte: Any) -> Any:
    """Eight bits, each in the low bit of a pair."""
    x = np.uint32(byte)
    x = (x | (x << np.uint32(4))) & np.uint32(0x0F0F)
    x = (x | (x << np.uint32(2))) & np.uint32(0x3333)
    return (x | (x << np.uint32(1))) & np.uint32(0x5555)


@njit
def _patch(data: Any, at: Any, end: Any, n: Any, samples: Any, common: Any, row: Any) -> Any:
    """Put the calls of a difflist into a row; none may be there already, nor be ``common``."""
    count, at, calls, place = list_head(data, at, end, n, np.int64(1))
    before = np.int64(-1)
    repeated = np.int64(0)
    for first in range(0, count, 64):
        if place < 0:
            return place
        place = next_group(data, at, place, end, n, count, first, before, samples)
        if place < 0:
            return place
        size = min(count - first, 64)
        for k in range(size):
            call = data[np.uint64(calls + ((first + k) >> 2))] >> (2 * (k & 3))
            code = _plink1_code(np.int64(call) & 3)
            sample = np.uint64(samples[k])
            byte, shift = sample >> np.uint64(2), np.int64(2 * (sample & np.uint64(3)))
            old = np.int64(row[byte])
            change = ((old >> shift) & 3) ^ code
            repeated |= np.int64(change == 0) | np.int64(code == common)
            row[byte] = old ^ (change << shift)
        before = np.int64(samples[size - 1])
    return np.int64(REPEATED) if repeated else place


@njit
def _plink1_code(call: Any) -> Any:
    """PLINK 1's code of one of the four calls: 0, 1, 2 copies, missing."""
    return (np.int64(0b01001011) >> (2 * call)) & 3
