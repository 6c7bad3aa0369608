"""The dosages of PGEN records, and their phases, which are stepped over; see :mod:`gwas.kernels.pgen`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from gwas.kernels.bitplanes import popcount
from gwas.kernels.pgen import PADDED, SHORT, TOO_MANY, UNCALLED
from gwas.kernels.pgen_lists import clean, count_bits, number, samples_of_list


@njit
def decode_dosages(
    data: Any,
    spans: Any,
    told: Any,
    n: Any,
    samples: Any,
    calls: Any,
    values: Any,
    out: Any,
    places: Any,
    fault: Any,
) -> None:
    """Write dosages into float32 (m, n), of calls where there are no others; go on in each record.

    ``values`` float32 (256, 4) are those of a byte of calls.
    """
    for step in range(spans.shape[0]):
        if told[step, 1] < 0:
            continue
        row = out[told[step, 1]]
        _of_calls(calls[told[step, 1]], n, values, row)
        if told[step, 0] & 0x60:
            at = _dosage_tracks(data, places[step], spans[step, 1], told[step, 0], n, samples, row)
            if at < 0:
                fault[0] = step
                fault[1] = at
                return
            places[step] = at


@njit
def _of_calls(calls: Any, n: Any, values: Any, row: Any) -> None:
    for byte in range(n >> 2):
        for part in range(4):
            row[4 * byte + part] = values[calls[byte], part]
    for sample in range(n & ~3, n):
        row[sample] = values[calls[sample >> 2], sample & 3]


@njit
def _dosage_tracks(data: Any, at: Any, end: Any, kind: Any, n: Any, samples: Any, row: Any) -> Any:
    """Put the dosages of a record with one ALT into a row that holds its calls; step over their phases."""
    stored = (kind >> 5) & 3
    if stored == 1:
        count, at = samples_of_list(data, at, end, n, samples)
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
    beyond: Any = False
    for k in range(count):
        value = number(data, at + 2 * k, 2)
        beyond |= value > 32768
        row[samples[k]] = np.float32(value) * np.float32(1 / 16384)
    return np.int64(TOO_MANY) if beyond else at + 2 * count


@njit
def _of_everyone(data: Any, at: Any, end: Any, n: Any, row: Any) -> Any:
    if at + 2 * n > end:
        return np.int64(SHORT)
    beyond: Any = False
    uncalled: Any = False
    stored = data[at : at + 2 * n]
    for sample in range(n):
        value = np.int32(stored[2 * sample]) | np.int32(stored[2 * sample + 1]) << np.int32(8)
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
    beyond = np.int64(0)
    marks, stored = data[at:values], data[values : values + 2 * count]
    k = np.int64(0)
    for first in range(0, marks.shape[0], 8):
        word = np.uint64(0)
        for byte in range(min(np.int64(8), marks.shape[0] - first)):
            word |= np.uint64(marks[first + byte]) << np.uint64(8 * byte)
        while word != np.uint64(0):
            # the lowest one, and then without it
            sample = 8 * first + popcount(~word & (word - np.uint64(1)))
            word &= word - np.uint64(1)
            value = np.int64(stored[2 * k]) | np.int64(stored[2 * k + 1]) << np.int64(8)
            beyond |= np.int64(value > 32768)
            row[sample] = np.float32(value) * np.float32(1 / 16384)
            k += 1
    return np.int64(TOO_MANY) if beyond else values + 2 * count
