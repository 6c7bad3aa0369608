"""Lists of samples in the records of a PGEN, and what is packed beside them: numba pieces of the loops.

A function that reads takes where it may begin and where the record ends, and gives the place behind what it read,
or one of the faults of :mod:`gwas.kernels.pgen`, which are negative.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from gwas.kernels.pgen import LIST, PADDED, SHORT


@njit
def clean(data: Any, at: Any, bits: Any) -> Any:
    """Whether the bits behind the last of a packed array are zero."""
    return (bits & 7) == 0 or (np.int64(data[at + (bits >> 3)]) >> (bits & 7)) == 0


@njit
def number(data: Any, at: Any, width: Any) -> Any:
    """A whole number of ``width`` bytes."""
    value = np.int64(0)
    for byte in range(width):
        value |= np.int64(data[at + byte]) << np.int64(8 * byte)
    return value


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
def count_bits(data: Any, at: Any, bytes_: Any) -> Any:
    """Ones in some bytes."""
    total = np.int64(0)
    for byte in range(bytes_):
        x = np.int64(data[at + byte])
        x = x - ((x >> 1) & 0x55)
        x = (x & 0x33) + ((x >> 2) & 0x33)
        total += (x & 0x0F) + (x >> 4)
    return total
