"""What follows the calls of a PGEN record: which of several ALTs they are of, and phases, which are stepped over.

Run as machine code by :mod:`gwas.kernels.pgen`.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

from gwas.kernels.pgen import ALLELES, PADDED, SHORT
from gwas.kernels.pgen_lists import clean, count_bits, number, samples_of_list

_NONE: Final = 3
_ONE: Final = 2
_TWO: Final = 0


@njit
def decode_alleles(
    data: Any, spans: Any, told: Any, n: Any, main: Any, samples: Any, out: Any, places: Any, fault: Any
) -> None:
    """Turn rows of calls of whatever ALT, uint8 (m, ceil(n / 4)), into those of the asked one; go on in each."""
    for step in range(spans.shape[0]):
        kind, alts = told[step, 0], told[step, 3]
        if told[step, 1] < 0 or (alts == 1 and kind & 0x10 == 0):
            continue
        row, at, end = out[told[step, 1]], places[step], spans[step, 1]
        mixed = np.int64(0)
        if alts > 1:
            at, mixed = _allele_track(data, at, end, kind, n, alts, told[step, 2], main, samples, row)
        else:
            mixed = _count_code(row, n, np.int64(_ONE))
        if at >= 0 and kind & 0x10:
            at = _phase_track(data, at, end, mixed)
        if at < 0:
            fault[0] = step
            fault[1] = at
            return
        places[step] = at


@njit
def _allele_track(
    data: Any, at: Any, end: Any, kind: Any, n: Any, alts: Any, allele: Any, main: Any, samples: Any, row: Any
) -> Any:
    """Turn the calls of whatever ALT into those of one; also give how many samples have two different alleles."""
    for byte in range(row.shape[0]):
        main[byte] = row[byte]
    if allele > 1:
        for byte in range(row.shape[0]):
            x = main[byte]
            row[byte] = ~((x & ~(x >> 1) & 0x55) << 1)
        if n & 3:
            row[row.shape[0] - 1] &= (1 << (2 * (n & 3))) - 1
    mixed = _count_code(main, n, np.int64(_ONE))
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
        return _samples_of_code(data, at, end, main, n, code, samples)
    if form != 1:
        return np.int64(0), np.int64(ALLELES)
    count, place = samples_of_list(data, at, end, n, samples)
    if place >= 0:
        for k in range(count):
            sample = np.int64(samples[k])
            if (np.int64(main[sample >> 2]) >> (2 * (sample & 3))) & 3 != code:
                return count, np.int64(ALLELES)
    return count, place


@njit
def _put(row: Any, sample: Any, code: Any) -> None:
    shift = 2 * (sample & 3)
    row[sample >> 2] = (np.int64(row[sample >> 2]) & ~(np.int64(3) << shift)) | (code << shift)


@njit
def _one_copy_of_others(
    data: Any, at: Any, end: Any, form: Any, n: Any, alts: Any, allele: Any, main: Any, samples: Any, row: Any
) -> Any:
    """REF and an ALT other than the first."""
    count, at = _patched(data, at, end, form, n, main, np.int64(_ONE), samples)
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
            other += _packed_number(data, at, k, bits)
        if other > alts:
            return np.int64(ALLELES)
        if allele == 1:
            _put(row, np.int64(samples[k]), np.int64(_NONE))
        elif other == allele:
            _put(row, np.int64(samples[k]), np.int64(_ONE))
    return place


@njit
def _two_copies_of_others(
    data: Any, at: Any, end: Any, form: Any, n: Any, alts: Any, allele: Any, main: Any, samples: Any, row: Any
) -> Any:
    """Two ALTs, not both the first; also give how many are two different ones."""
    mixed = np.int64(0)
    count, at = _patched(data, at, end, form, n, main, np.int64(_TWO), samples)
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
            first, second = 1 + _packed_number(data, at, k, np.int64(1)), np.int64(2)
        else:
            first = 1 + _packed_number(data, at, 2 * k, bits)
            second = 1 + _packed_number(data, at, 2 * k + 1, bits)
        if first > second or second > alts or second == 1:
            return np.int64(ALLELES), mixed
        mixed += first != second
        copies = np.int64(first == allele) + np.int64(second == allele)
        # three less the copies, but for two, whose code is 0
        _put(row, np.int64(samples[k]), np.int64(0) if copies == 2 else 3 - copies)
    return place, mixed


@njit
def _samples_of_code(data: Any, at: Any, end: Any, row: Any, n: Any, code: Any, samples: Any) -> Any:
    """Write the samples marked in an array of a bit for each that has ``code``; how many, and the place behind."""
    bits = _count_code(row, n, code)
    place = at + ((bits + 7) >> 3)
    count = np.int64(0)
    if place > end:
        return count, np.int64(SHORT)
    if not clean(data, at, bits):
        return count, np.int64(PADDED)
    bit = np.int64(0)
    for sample in range(n):
        if (np.int64(row[sample >> 2]) >> (2 * (sample & 3))) & 3 == code:
            samples[count] = sample
            count += (np.int64(data[at + (bit >> 3)]) >> (bit & 7)) & 1
            bit += 1
    return count, place


@njit
def _count_code(row: Any, n: Any, code: Any) -> Any:
    """Samples that have this code."""
    flip = np.uint8((~code & 3) * 0x55)
    total = np.int64(0)
    for byte in range(row.shape[0]):
        x = row[byte] ^ flip
        both = x & (x >> 1) & 0x55
        pairs = (both & 0x33) + ((both >> 2) & 0x33)
        total += (pairs & 0x0F) + (pairs >> 4)
    return total - (4 * row.shape[0] - n if code == 0 else 0)


@njit
def _packed_number(data: Any, at: Any, k: Any, bits: Any) -> Any:
    """Number ``k`` of a packed array of numbers of 1, 2, 4, 8, 16 or 24 bits."""
    if bits >= 8:
        return number(data, at + k * (bits >> 3), bits >> 3)
    place = k * bits
    return (np.int64(data[at + (place >> 3)]) >> (place & 7)) & ((np.int64(1) << bits) - 1)


@njit
def _phase_track(data: Any, at: Any, end: Any, mixed: Any) -> Any:
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
