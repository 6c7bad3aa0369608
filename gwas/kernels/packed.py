"""Work directly on packed two-bit calls (PLINK 1 codes).

A byte holds four calls, the first in the lowest bits: ``00`` two copies of ALT, ``01`` missing, ``10`` one
copy, ``11`` none (ALT is the first allele of a .bim). Tables of 256 entries turn a byte into its four calls
or their counts, so that no call costs a branch.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from numba import njit, prange

MISSING: Final = -9


def _decode_table() -> npt.NDArray[np.int8]:
    of_code = np.array([2, MISSING, 1, 0], dtype=np.int8)
    byte = np.arange(256)
    return np.stack([of_code[(byte >> shift) & 3] for shift in (0, 2, 4, 6)], axis=1)


def _count_table() -> npt.NDArray[np.int64]:
    """Of each byte: calls with 0 and 1 copies and missing ones, in three lanes of 21 bits."""
    calls = _decode_table()
    lanes: npt.NDArray[np.int64] = (
        (calls == 0).sum(axis=1)
        | ((calls == 1).sum(axis=1).astype(np.int64) << 21)
        | ((calls == MISSING).sum(axis=1).astype(np.int64) << 42)
    ).astype(np.int64)
    return lanes


DECODE: Final = _decode_table()
"""int8 (256, 4): ALT copies of the four calls in a byte; missing is -9."""

_COUNTS: Final = _count_table()
_LANE: Final = (1 << 21) - 1
_FLUSH: Final = 1 << 18
_WORTH_THREADS: Final = 1 << 20


def decode(
    packed: npt.NDArray[np.uint8], n_file: int, sample_index: npt.NDArray[np.int64] | None = None
) -> npt.NDArray[np.int8]:
    """Decode packed calls to ALT copies.

    Parameters
    ----------
    packed
        uint8 (m, ceil(n_file / 4)).
    n_file
        Samples in the file.
    sample_index
        int64 (n,): file positions to decode, in this order; None for all.

    Returns
    -------
    ndarray of int8 (m, n)
        0, 1, 2; missing is -9.

    Examples
    --------
    >>> decode(np.array([[0b11100100]], dtype=np.uint8), 4).tolist()
    [[2, -9, 1, 0]]
    """
    if sample_index is None:
        return np.ascontiguousarray(DECODE[packed].reshape(packed.shape[0], -1)[:, :n_file])
    out = np.empty((packed.shape[0], len(sample_index)), dtype=np.int8)
    _decode_chosen(packed, sample_index, out)
    return out


@njit(parallel=True, cache=True)
def _decode_chosen(packed: Any, sample_index: Any, out: Any) -> None:
    for row in prange(packed.shape[0]):
        for column in range(sample_index.shape[0]):
            sample = sample_index[column]
            out[row, column] = DECODE[packed[row, sample >> 2], sample & 3]


def repack(packed: npt.NDArray[np.uint8], sample_index: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """Keep the chosen samples, in their order, as packed calls.

    Parameters
    ----------
    packed
        uint8 (m, bytes of all samples).
    sample_index
        int64 (n,): positions to keep.

    Returns
    -------
    ndarray of uint8 (m, ceil(n / 4))
        Padding bits of the last byte are zero.
    """
    out = np.zeros((packed.shape[0], (len(sample_index) + 3) // 4), dtype=np.uint8)
    _repack(packed, sample_index, out)
    return out


@njit(parallel=True, cache=True)
def _repack(packed: Any, sample_index: Any, out: Any) -> None:
    for row in prange(packed.shape[0]):
        for column in range(sample_index.shape[0]):
            sample = sample_index[column]
            code = (packed[row, sample >> 2] >> (2 * (sample & 3))) & 3
            out[row, column >> 2] |= np.uint8(code << (2 * (column & 3)))


def pack(dosages: npt.NDArray[np.int8]) -> npt.NDArray[np.uint8]:
    """Pack ALT copies (0, 1, 2; anything negative is missing) into two-bit codes.

    Parameters
    ----------
    dosages
        int8 (m, n).

    Returns
    -------
    ndarray of uint8 (m, ceil(n / 4))
        The payload of a BED file; padding bits are zero.

    Examples
    --------
    >>> bin(pack(np.array([[2, -9, 1, 0]], dtype=np.int8))[0, 0])
    '0b11100100'
    """
    code_of = np.array([3, 2, 0, 1], dtype=np.uint8)
    m, n = dosages.shape
    codes = np.zeros((m, (n + 3) // 4 * 4), dtype=np.uint8)
    codes[:, :n] = code_of[np.where(dosages < 0, 3, dosages)]
    return _four_in_a_byte(codes.reshape(m, -1, 4))


def _four_in_a_byte(codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    merged = codes[..., 0] | (codes[..., 1] << 2) | (codes[..., 2] << 4) | (codes[..., 3] << 6)
    return np.asarray(merged, dtype=np.uint8)


def keep_bits(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Turn a mask over file samples into bytes with ``11`` where a sample is kept: uint8 (ceil(n / 4),).

    Examples
    --------
    >>> bin(keep_bits(np.array([True, False, False, True]))[0])
    '0b11000011'
    """
    codes = np.zeros((len(mask) + 3) // 4 * 4, dtype=np.uint8)
    codes[: len(mask)] = np.where(mask, 3, 0)
    return _four_in_a_byte(codes.reshape(-1, 4))


def count_genotypes(packed: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Count calls of each variant among the masked samples.

    Parameters
    ----------
    packed
        uint8 (m, ceil(n_file / 4)).
    mask
        bool (n_file,): the samples to count.

    Returns
    -------
    ndarray of int64 (m, 4)
        Samples with 0, 1 and 2 copies of ALT, and with a missing call.

    Examples
    --------
    >>> count_genotypes(np.array([[0b11100100]], dtype=np.uint8), np.ones(4, dtype=bool)).tolist()
    [[1, 1, 1, 1]]
    """
    out = np.empty((packed.shape[0], 4), dtype=np.int64)
    # starting threads costs more than a small count does
    count = _count_rows if packed.size < _WORTH_THREADS else _count_rows_in_parallel
    count(packed, keep_bits(mask), int(mask.sum()), out)
    return out


@njit(cache=True)
def _count_rows(packed: Any, keep: Any, n_kept: int, out: Any) -> None:
    for row in range(packed.shape[0]):
        _count_row(packed[row], keep, n_kept, out[row])


@njit(parallel=True, cache=True)
def _count_rows_in_parallel(packed: Any, keep: Any, n_kept: int, out: Any) -> None:
    for row in prange(packed.shape[0]):
        _count_row(packed[row], keep, n_kept, out[row])


@njit(cache=True)
def _count_row(codes: Any, keep: Any, n_kept: int, out: Any) -> None:
    # samples outside the mask turn into code 00, which no lane counts; two copies are what is left
    none = np.int64(0)
    one = np.int64(0)
    missing = np.int64(0)
    for first in range(0, codes.shape[0], _FLUSH):
        lanes: Any = np.int64(0)
        for column in range(first, min(first + _FLUSH, codes.shape[0])):
            lanes += _COUNTS[codes[column] & keep[column]]
        none += lanes & _LANE
        one += (lanes >> 21) & _LANE
        missing += lanes >> 42
    out[0] = none
    out[1] = one
    out[2] = n_kept - none - one - missing
    out[3] = missing


def count_by_sample(packed: npt.NDArray[np.uint8], n_file: int) -> npt.NDArray[np.int64]:
    """Count calls of each sample over the variants of a block.

    Parameters
    ----------
    packed
        uint8 (m, ceil(n_file / 4)).
    n_file
        Samples in the file.

    Returns
    -------
    ndarray of int64 (n_file, 4)
        Variants with 0, 1 and 2 copies of ALT, and with a missing call. Blocks add up.
    """
    counts = np.zeros((packed.shape[1] * 4, 4), dtype=np.int64)
    _count_by_sample(packed, counts)
    return counts[:n_file]


@njit(parallel=True, cache=True)
def _count_by_sample(packed: Any, counts: Any) -> None:
    width = packed.shape[1]
    stripe = 512
    column_of = np.array([2, 3, 1, 0])
    for part in prange((width + stripe - 1) // stripe):
        for row in range(packed.shape[0]):
            for column in range(part * stripe, min((part + 1) * stripe, width)):
                byte = packed[row, column]
                for call in range(4):
                    counts[4 * column + call, column_of[(byte >> (2 * call)) & 3]] += 1
