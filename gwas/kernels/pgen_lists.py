"""Lists of samples in the records of a PGEN, and what is packed beside them: numba pieces of the loops.

A function that reads takes where it may begin and where the record ends, and gives the place behind what it read,
or one of the faults of :mod:`gwas.kernels.pgen`, which are negative.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from gwas.kernels.pgen import LIST, PADDED, REPEATED, SHORT


@njit(inline="always")
def clean(data: Any, at: Any, bits: Any) -> Any:
    """Whether the bits behind the last of a packed array are zero."""
    return (bits & 7) == 0 or (np.int64(data[at + (bits >> 3)]) >> (bits & 7)) == 0


@njit(inline="always")
def number(data: Any, at: Any, width: Any) -> Any:
    """A whole number of ``width`` bytes."""
    value = np.int64(0)
    for byte in range(width):
        value |= np.int64(data[at + byte]) << np.int64(8 * byte)
    return value


@njit(inline="always")
def packed_number(data: Any, at: Any, k: Any, bits: Any) -> Any:
    """Number ``k`` of a packed array of numbers of 1, 2, 4, 8, 16 or 24 bits."""
    if bits >= 8:
        return number(data, at + k * (bits >> 3), bits >> 3)
    place = k * bits
    return (np.int64(data[at + (place >> 3)]) >> (place & 7)) & ((np.int64(1) << bits) - 1)


@njit
def varint(data: Any, at: Any, end: Any) -> Any:
    """A number of seven bits a byte, of at most 32 bits, and the place behind it."""
    value = np.int64(0)
    for shift in range(0, 35, 7):
        if at >= end:
            return value, np.int64(SHORT)
        byte = np.int64(data[at])
        at += 1
        value |= (byte & 127) << np.int64(shift)
        if byte < 128:
            return value, at
    return value, np.int64(LIST)


@njit
def samples_of_list(data: Any, at: Any, end: Any, n: Any, with_calls: Any, samples: Any) -> Any:
    """Write the samples of a difflist, which increase; how many, where their calls lie, and the place behind."""
    count, at = varint(data, at, end)
    if at < 0:
        return count, at, at
    if count == 0:
        return count, at, at
    if count > n:
        return count, at, np.int64(LIST)
    width = 1 if n <= 1 << 8 else 2 if n <= 1 << 16 else 3 if n <= 1 << 24 else 4
    groups = (count + 63) >> 6
    sizes = at + groups * width
    calls = sizes + groups - 1
    place = calls + ((count + 3) >> 2 if with_calls else 0)
    # a step from one sample to the next takes a byte at least
    if place + count - groups > end:
        return count, calls, np.int64(SHORT)
    if with_calls and not clean(data, calls, 2 * count):
        return count, calls, np.int64(PADDED)
    before = np.int64(-1)
    for group in range(groups):
        sample = number(data, at + group * width, width)
        if sample <= before or sample >= n:
            return count, calls, np.int64(LIST)
        stop = end
        if group < groups - 1:
            stop = place + 63 + np.int64(data[sizes + group])
            if stop > end:
                return count, calls, np.int64(SHORT)
        first = group << 6
        samples[first] = sample
        for k in range(first + 1, min(first + 64, count)):
            if place >= stop:
                return count, calls, np.int64(SHORT)
            step = np.int64(data[place])
            place += 1
            if step >= 128:
                step, place = varint(data, place - 1, stop)
                if place < 0:
                    return count, calls, place
            sample += step
            if step == 0 or sample >= n:
                return count, calls, np.int64(LIST)
            samples[k] = sample
        if group < groups - 1 and place != stop:
            return count, calls, np.int64(LIST)
        before = sample
    return count, calls, place


@njit
def patch(data: Any, at: Any, end: Any, n: Any, samples: Any, common: Any, row: Any) -> Any:
    """Put the calls of a difflist into a row; none may be there already, nor be ``common``."""
    count, calls, place = samples_of_list(data, at, end, n, True, samples)
    if place < 0:
        return place
    repeated = False
    for k in range(count):
        code = plink1_code(np.int64(data[calls + (k >> 2)]) >> np.int64(2 * (k & 3)))
        sample = np.int64(samples[k])
        byte, shift = sample >> 2, 2 * (sample & 3)
        old = np.int64(row[byte])
        change = ((old >> shift) & 3) ^ code
        repeated |= (change == 0) | (code == common)
        row[byte] = old ^ (change << shift)
    return np.int64(REPEATED) if repeated else place


@njit(inline="always")
def plink1_code(call: Any) -> Any:
    """PLINK 1's code of one of the four calls: 0, 1, 2 copies, missing in the low two bits."""
    return (~call & 2) | (~(call ^ (call >> 1)) & 1)


@njit
def count_code(row: Any, n: Any, code: Any) -> Any:
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
def count_bits(data: Any, at: Any, bytes_: Any) -> Any:
    """Ones in some bytes."""
    total = np.int64(0)
    for byte in range(bytes_):
        x = np.int64(data[at + byte])
        x = x - ((x >> 1) & 0x55)
        x = (x & 0x33) + ((x >> 2) & 0x33)
        total += (x & 0x0F) + (x >> 4)
    return total


@njit
def samples_of_code(data: Any, at: Any, end: Any, row: Any, n: Any, code: Any, samples: Any) -> Any:
    """Write the samples marked in an array of a bit for each that has ``code``; how many, and the place behind."""
    bits = count_code(row, n, code)
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
