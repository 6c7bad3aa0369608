"""The parts of a PGEN record, one after another: numba pieces of :mod:`gwas.kernels.pgen_loops`.

Each gives the place behind what it read, or a fault; see :mod:`gwas.kernels.pgen_lists`. Rows are PLINK 1 codes:
``11`` no copy of ALT, ``10`` one, ``00`` two, ``01`` missing; bits behind the last sample are zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from gwas.kernels.pgen import ALLELES, CATEGORIES, PADDED, SHORT, TOO_MANY, UNCALLED
from gwas.kernels.pgen_lists import (
    clean,
    count_bits,
    count_code,
    number,
    packed_number,
    patch,
    plink1_code,
    samples_of_code,
    samples_of_list,
)


@njit
def main_track(data: Any, at: Any, end: Any, kind: Any, n: Any, base: Any, samples: Any, row: Any) -> Any:
    """Write the calls of a record, of whatever ALT, by the low three bits of its type."""
    if kind == 0:
        return _as_they_are(data, at, end, n, row)
    if kind == 1:
        return _two_common(data, at, end, n, samples, row)
    width = row.shape[0]
    if kind <= 3:
        for byte in range(width):
            row[byte] = base[byte]
    else:
        code = plink1_code(kind & 3)
        for byte in range(width):
            row[byte] = code * 0x55
        _end(row, n)
    place = patch(data, at, end, n, samples, -1, row)
    if kind == 3 and place >= 0:
        for byte in range(width):
            x = row[byte]
            row[byte] = x ^ ((~(x ^ (x >> 1)) & 0x55) * 3)
        _end(row, n)
    return place


@njit(inline="always")
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
    for byte in range(width):
        x = data[at + byte]
        row[byte] = (~x & 0xAA) | (~(x ^ (x >> 1)) & 0x55)
    _end(row, n)
    return at + width


@njit
def _two_common(data: Any, at: Any, end: Any, n: Any, samples: Any, row: Any) -> Any:
    """A byte says which two calls are common, a bit of each sample which of them it has; others are listed."""
    bits = (n + 7) >> 3
    if at + 1 + bits > end:
        return np.int64(SHORT)
    which = np.int64(data[at])
    low, high = which >> 2, (which >> 2) + (which & 3)
    if which & 3 == 0 or high > 3:
        return np.int64(CATEGORIES)
    at += 1
    if not clean(data, at, n):
        return np.int64(PADDED)
    low, high = plink1_code(low), plink1_code(high)
    lows, change = np.uint32(low * 0x5555), np.uint32(low ^ high)
    width = row.shape[0]
    for byte in range(width >> 1):
        both = _spread(data[at + byte]) * change ^ lows
        row[2 * byte] = both & np.uint32(0xFF)
        row[2 * byte + 1] = both >> np.uint32(8)
    if width & 1:
        row[width - 1] = (_spread(data[at + bits - 1]) * change ^ lows) & np.uint32(0xFF)
    _end(row, n)
    return patch(data, at + bits, end, n, samples, high, row)


@njit(inline="always")
def _spread(byte: Any) -> Any:
    """Eight bits, each in the low bit of a pair."""
    x = np.uint32(byte)
    x = (x | (x << np.uint32(4))) & np.uint32(0x0F0F)
    x = (x | (x << np.uint32(2))) & np.uint32(0x3333)
    return (x | (x << np.uint32(1))) & np.uint32(0x5555)


@njit
def allele_track(
    data: Any, at: Any, end: Any, kind: Any, n: Any, alts: Any, allele: Any, main: Any, samples: Any, row: Any
) -> Any:
    """Write the calls of one ALT of several; also give how many samples have two different alleles."""
    if allele == 1:
        for byte in range(row.shape[0]):
            row[byte] = main[byte]
    else:
        for byte in range(row.shape[0]):
            x = main[byte]
            row[byte] = ~((x & ~(x >> 1) & 0x55) << 1)
        _end(row, n)
    mixed = count_code(main, n, 2)
    if kind & 8 == 0:
        return at, mixed
    if at >= end:
        return np.int64(SHORT), mixed
    formats = np.int64(data[at])
    at = _one_copy_of_others(data, at + 1, end, formats & 15, n, alts, allele, main, samples, row)
    if at < 0:
        return at, mixed
    at, more = _two_copies_of_others(data, at, end, formats >> 4, n, alts, allele, main, samples, row)
    return at, mixed + more


@njit
def _patched(data: Any, at: Any, end: Any, form: Any, n: Any, main: Any, code: Any, samples: Any) -> Any:
    """Samples of one code whose alleles are told; how many, and the place behind."""
    if form == 15:
        return np.int64(0), at
    if form == 0:
        return samples_of_code(data, at, end, main, n, code, samples)
    if form != 1:
        return np.int64(0), np.int64(ALLELES)
    count, _, place = samples_of_list(data, at, end, n, False, samples)
    if place >= 0:
        for k in range(count):
            sample = np.int64(samples[k])
            if (np.int64(main[sample >> 2]) >> (2 * (sample & 3))) & 3 != code:
                return count, np.int64(ALLELES)
    return count, place


@njit(inline="always")
def _put(row: Any, sample: Any, code: Any) -> None:
    shift = 2 * (sample & 3)
    row[sample >> 2] = (np.int64(row[sample >> 2]) & ~(np.int64(3) << shift)) | (code << shift)


@njit
def _one_copy_of_others(
    data: Any, at: Any, end: Any, form: Any, n: Any, alts: Any, allele: Any, main: Any, samples: Any, row: Any
) -> Any:
    """REF and an ALT other than the first."""
    count, at = _patched(data, at, end, form, n, main, 2, samples)
    if at < 0:
        return at
    bits = 0
    if alts > 2:
        bits = 1 if alts == 3 else 2 if alts < 6 else 4 if alts < 18 else 8
    if alts > 257:
        bits = 16 if alts < 65538 else 24
    place = at + ((count * bits + 7) >> 3)
    if place > end:
        return np.int64(SHORT)
    if not clean(data, at, count * bits):
        return np.int64(PADDED)
    for k in range(count):
        other = np.int64(2)
        if bits:
            other += packed_number(data, at, k, bits)
        if other > alts:
            return np.int64(ALLELES)
        if allele == 1:
            _put(row, np.int64(samples[k]), 3)
        elif other == allele:
            _put(row, np.int64(samples[k]), 2)
    return place


@njit
def _two_copies_of_others(
    data: Any, at: Any, end: Any, form: Any, n: Any, alts: Any, allele: Any, main: Any, samples: Any, row: Any
) -> Any:
    """Two ALTs, not both the first; also give how many are two different ones."""
    mixed = np.int64(0)
    count, at = _patched(data, at, end, form, n, main, 0, samples)
    if at < 0:
        return at, mixed
    bits = 2 if alts < 5 else 4 if alts < 17 else 8 if alts < 257 else 16 if alts < 65537 else 24
    each = 1 if alts == 2 else 2 * bits
    place = at + ((count * each + 7) >> 3)
    if place > end:
        return np.int64(SHORT), mixed
    if not clean(data, at, count * each):
        return np.int64(PADDED), mixed
    for k in range(count):
        if alts == 2:
            first, second = 1 + packed_number(data, at, k, 1), np.int64(2)
        else:
            first = 1 + packed_number(data, at, 2 * k, bits)
            second = 1 + packed_number(data, at, 2 * k + 1, bits)
        if first > second or second > alts or second == 1:
            return np.int64(ALLELES), mixed
        mixed += first != second
        copies = np.int64(first == allele) + np.int64(second == allele)
        # three less the copies, but for two, whose code is 0
        _put(row, np.int64(samples[k]), np.int64(0) if copies == 2 else 3 - copies)
    return place, mixed


@njit
def phase_track(data: Any, at: Any, end: Any, mixed: Any) -> Any:
    """Step over the phases of samples with two different alleles."""
    place = at + ((1 + mixed + 7) >> 3)
    if place > end:
        return np.int64(SHORT)
    if not clean(data, at, 1 + mixed):
        return np.int64(PADDED)
    if data[at] & 1:
        phased = count_bits(data, at, place - at) - 1
        at, place = place, place + ((phased + 7) >> 3)
        if place > end:
            return np.int64(SHORT)
        if not clean(data, at, phased):
            return np.int64(PADDED)
    return place


@njit
def dosage_tracks(data: Any, at: Any, end: Any, kind: Any, n: Any, samples: Any, row: Any) -> Any:
    """Put the dosages of a record with one ALT into a row that holds its calls; step over their phases."""
    stored = (kind >> 5) & 3
    if stored == 1:
        count, _, at = samples_of_list(data, at, end, n, False, samples)
        if at >= 0:
            at = _listed(data, at, end, count, samples, row)
    elif stored == 2:
        count = n
        at = _of_everyone(data, at, end, n, row)
    else:
        if at + ((n + 7) >> 3) > end:
            return np.int64(SHORT)
        count = count_bits(data, at, (n + 7) >> 3)
        at = _marked(data, at, end, n, count, row)
    if at < 0 or kind & 0x80 == 0:
        return at
    if stored == 2:
        return at + 2 * n if at + 2 * n <= end else np.int64(SHORT)
    width = (count + 7) >> 3
    if at + width > end:
        return np.int64(SHORT)
    if not clean(data, at, count):
        return np.int64(PADDED)
    at += width + 2 * count_bits(data, at, width)
    return at if at <= end else np.int64(SHORT)


@njit
def _listed(data: Any, at: Any, end: Any, count: Any, samples: Any, row: Any) -> Any:
    if at + 2 * count > end:
        return np.int64(SHORT)
    beyond = False
    for k in range(count):
        value = number(data, at + 2 * k, 2)
        beyond |= value > 32768
        row[samples[k]] = np.float32(value) * np.float32(1 / 16384)
    return np.int64(TOO_MANY) if beyond else at + 2 * count


@njit
def _of_everyone(data: Any, at: Any, end: Any, n: Any, row: Any) -> Any:
    if at + 2 * n > end:
        return np.int64(SHORT)
    beyond = False
    uncalled = False
    for sample in range(n):
        value = np.int32(data[at + 2 * sample]) | np.int32(data[at + 2 * sample + 1]) << np.int32(8)
        missing = value == 65535
        beyond |= (value > 32768) & ~missing
        uncalled |= missing & (row[sample] == row[sample])
        exact = np.float32(value) * np.float32(1 / 16384)
        row[sample] = np.float32(np.nan) if missing else exact
    if beyond:
        return np.int64(TOO_MANY)
    return np.int64(UNCALLED) if uncalled else at + 2 * n


@njit
def _marked(data: Any, at: Any, end: Any, n: Any, count: Any, row: Any) -> Any:
    values = at + ((n + 7) >> 3)
    if values + 2 * count > end:
        return np.int64(SHORT)
    if not clean(data, at, n):
        return np.int64(PADDED)
    if count == 0:
        return values
    beyond = False
    k = np.int64(0)
    for sample in range(n):
        marked = (np.int64(data[at + (sample >> 3)]) >> (sample & 7)) & 1
        # a load that nobody asked for is of the last value
        place = values + 2 * min(k, count - 1)
        value = np.int32(data[place]) | np.int32(data[place + 1]) << np.int32(8)
        beyond |= value > 32768
        exact = np.float32(value) * np.float32(1 / 16384)
        row[sample] = exact if marked else row[sample]
        k += marked
    return np.int64(TOO_MANY) if beyond else values + 2 * count
