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
def list_head(data: Any, at: Any, end: Any, n: Any, with_calls: Any) -> Any:
    """How many samples a difflist has, and where their calls and the steps between them lie."""
    count, at = varint(data, at, end)
    if at < 0 or count == 0:
        return count, at, at, at
    if count > n:
        return count, at, at, np.int64(LIST)
    groups = (count + 63) >> 6
    calls = at + groups * id_width(n) + groups - 1
    place = calls + (((count + 3) >> 2) * with_calls)
    # a step from one sample to the next takes a byte at least
    if place + count - groups > end:
        return count, at, calls, np.int64(SHORT)
    if with_calls and not clean(data, calls, 2 * count):
        return count, at, calls, np.int64(PADDED)
    return count, at, calls, place


@njit
def id_width(n: Any) -> Any:
    """Bytes of a sample's number: those that ``n`` itself takes, as all programs have it (not one less at 256)."""
    return 1 + np.int64(n >= 1 << 8) + np.int64(n >= 1 << 16) + np.int64(n >= 1 << 24)


@njit
def next_group(
    data: Any, at: Any, place: Any, end: Any, n: Any, count: Any, first: Any, before: Any, samples: Any
) -> Any:
    """Write samples of a difflist from number ``first``, up to 64, which follow ``before``; the place behind.

    ``at`` is where the list's first numbers of groups lie, ``place`` where the steps of this group do.
    """
    groups, group, width = (count + 63) >> 6, first >> 6, id_width(n)
    sample = number(data, at + group * width, width)
    size = min(count - first, 64)
    stop = end
    if group < groups - 1:
        stop = place + 63 + np.int64(data[at + groups * width + group])
    if sample <= before or sample >= n:
        return np.int64(LIST)
    if stop > end:
        return np.int64(SHORT)
    samples[0] = sample
    if stop - place == size - 1:
        wrong = np.int64(0)
        for k in range(1, size):
            step = np.int64(data[np.uint64(place + k - 1)])
            wrong |= step | (step - 1)
            sample += step
            samples[k] = sample
        return np.int64(LIST) if wrong & -128 or sample >= n else stop
    for k in range(1, size):
        if place >= stop:
            return np.int64(SHORT)
        step = np.int64(data[np.uint64(place)])
        place += 1
        if step >= 128:
            step, place = varint(data, place - 1, stop)
            if place < 0:
                return place
        sample += step
        if step == 0 or sample >= n:
            return np.int64(LIST)
        samples[k] = sample
    return np.int64(LIST) if group < groups - 1 and place != stop else place


@njit
def samples_of_list(data: Any, at: Any, end: Any, n: Any, samples: Any) -> Any:
    """Write the samples of a difflist without calls, which increase; how many, and the place behind."""
    count, at, _, place = list_head(data, at, end, n, np.int64(0))
    before = np.int64(-1)
    first = np.int64(0)
    while place >= 0 and first < count:
        place = next_group(data, at, place, end, n, count, first, before, samples[first:])
        first = min(first + 64, count)
        before = np.int64(samples[first - 1])
    return count, place


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
