"""Products with genotypes straight from packed bytes, by tables instead of decoding (four Russians).

A byte holds four calls, so for four fixed rows of the right-hand side there are just 256 things it can add to
a product. They are tabulated once and looked up for every variant (or sample): one addition does the work of
four multiplications, nothing is decoded, and no BLAS is involved, so that the result depends neither on its
threads nor on how busy the machine is. Sixteen columns at a time fill a vector register.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

COLUMNS: Final = 16
BYTES: Final = 16


@njit(cache=True, nogil=True)
def _tabulate(values: Any, right: Any, first: int, count: int, table: Any, low: Any, high: Any) -> None:
    """What each byte adds, for ``count`` bytes of calls that start at right-hand row ``4 * first``."""
    for q in range(count):
        row = 4 * (first + q)
        for nibble in range(16):
            a, b = nibble & 3, nibble >> 2
            for c in range(COLUMNS):
                low[nibble, c] = values[row, a] * right[row, c] + values[row + 1, b] * right[row + 1, c]
                high[nibble, c] = (
                    values[row + 2, a] * right[row + 2, c] + values[row + 3, b] * right[row + 3, c]
                )
        for byte in range(256):
            for c in range(COLUMNS):
                table[q, byte, c] = low[byte & 15, c] + high[byte >> 4, c]


@njit(cache=True, nogil=True)
def add_product(packed: Any, values: Any, right: Any, out: Any) -> None:
    """Add ``X r`` to ``out``, where the entries of X are packed two-bit codes.

    Parameters
    ----------
    packed
        uint8 (rows, bytes): four codes a byte, the first in the lowest bits.
    values
        float32 (4 * bytes, 4): what each code stands for at each position of a row.
    right
        float32 (4 * bytes, COLUMNS); zero beyond the last position that exists.
    out
        float32 (rows, COLUMNS), added to.
    """
    table = np.zeros((BYTES, 256, COLUMNS), dtype=np.float32)
    low = np.empty((16, COLUMNS), dtype=np.float32)
    high = np.empty((16, COLUMNS), dtype=np.float32)
    width = packed.shape[1]
    for first in range(0, width, BYTES):
        count = min(BYTES, width - first)
        _tabulate(values, right, first, count, table, low, high)
        whole = count - count % 4
        for row in range(packed.shape[0]):
            for q in range(0, whole, 4):
                b0 = packed[row, first + q]
                b1 = packed[row, first + q + 1]
                b2 = packed[row, first + q + 2]
                b3 = packed[row, first + q + 3]
                for c in range(COLUMNS):
                    out[row, c] += (table[q, b0, c] + table[q + 1, b1, c]) + (
                        table[q + 2, b2, c] + table[q + 3, b3, c]
                    )
            for q in range(whole, count):
                byte = packed[row, first + q]
                for c in range(COLUMNS):
                    out[row, c] += table[q, byte, c]


@njit(cache=True, nogil=True)
def transpose_packed(packed: Any, n: int, out: Any) -> None:
    """Turn variants by samples into samples by variants.

    Parameters
    ----------
    packed
        uint8 (m, ceil(n / 4)).
    n
        Number of samples.
    out
        uint8 (n, ceil(m / 4)), written; padding codes are 00.
    """
    m = packed.shape[0]
    for column in range(out.shape[1]):
        for byte_at in range(packed.shape[1]):
            calls = np.uint32(0)
            for k in range(min(4, m - 4 * column)):
                byte = np.uint32(packed[4 * column + k, byte_at])
                spread = (byte | (byte << np.uint32(12))) & np.uint32(0x000F000F)
                spread = (spread | (spread << np.uint32(6))) & np.uint32(0x03030303)
                calls |= spread << np.uint32(2 * k)
            for s in range(min(4, n - 4 * byte_at)):
                out[4 * byte_at + s, column] = (calls >> np.uint32(8 * s)) & np.uint32(0xFF)


@njit(cache=True, nogil=True)
def count_missing(packed: Any, n: int, out: Any) -> None:
    """Missing calls of each row: int64 (m,), from uint8 (m, ceil(n / 4)); padding is 00, hence not missing."""
    for row in range(packed.shape[0]):
        total = 0
        for byte_at in range(packed.shape[1]):
            byte = packed[row, byte_at]
            gaps = byte & ~(byte >> 1) & 0x55
            if gaps:
                for call in range(4):
                    total += (gaps >> (2 * call)) & 1
        out[row] = total


@njit(cache=True, nogil=True)
def list_missing(packed: Any, starts: Any, out: Any) -> None:
    """Write which samples each row lacks to ``out[starts[row]:]`` (int32), rows one after another."""
    for row in range(packed.shape[0]):
        at = starts[row]
        for byte_at in range(packed.shape[1]):
            byte = packed[row, byte_at]
            gaps = byte & ~(byte >> 1) & 0x55
            if gaps:
                for call in range(4):
                    if (gaps >> (2 * call)) & 1:
                        out[at] = 4 * byte_at + call
                        at += 1


@njit(cache=True, nogil=True)
def standardise_product(product: Any, missing: Any, starts: Any, right: Any, mean: Any, scale: Any) -> None:
    """Turn ``G r`` into ``Z r``, in place, for standardised genotypes Z with missing calls at the mean.

    Parameters
    ----------
    product
        float32 (m, COLUMNS): ALT copies (missing as 0) times ``right``.
    missing, starts
        int32 and int64 (m + 1,): the samples that each row lacks, from :func:`list_missing`.
    right
        float32 (n, COLUMNS) whose columns add up to 0, so that the mean itself contributes nothing.
    mean, scale
        float64 (m,).
    """
    for row in range(product.shape[0]):
        mu = np.float32(mean[row])
        over = np.float32(1.0 / scale[row])
        for at in range(starts[row], starts[row + 1]):
            sample = missing[at]
            for c in range(COLUMNS):
                product[row, c] += mu * right[sample, c]
        for c in range(COLUMNS):
            product[row, c] *= over
