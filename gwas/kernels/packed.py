"""Work directly on packed two-bit calls (PLINK 1 codes).

A byte holds four calls, the first in the lowest bits: ``00`` two copies of ALT, ``01`` missing, ``10`` one
copy, ``11`` none (ALT is the first allele of a .bim). A table of 256 entries turns a byte into its four calls,
and popcounts of words count them, so that no call costs a branch.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from gwas.kernels.machine_code import MachineCode

MISSING: Final = -9


def _decode_table() -> npt.NDArray[np.int8]:
    of_code = np.array([2, MISSING, 1, 0], dtype=np.int8)
    byte = np.arange(256)
    return np.stack([of_code[(byte >> shift) & 3] for shift in (0, 2, 4, 6)], axis=1)


DECODE: Final = _decode_table()
"""int8 (256, 4): ALT copies of the four calls in a byte; missing is -9."""

_COUNT_ROWS: Final = MachineCode("counting_loops", "count_rows", "uint64:2", "uint64:1", "int64", "int64:2")


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
    # numba takes a while to import, and most commands never decode
    from gwas.kernels.packed_loops import decode_chosen

    out = np.empty((packed.shape[0], len(sample_index)), dtype=np.int8)
    decode_chosen(packed, sample_index, out)
    return out


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
    from gwas.kernels import packed_loops

    out = np.zeros((packed.shape[0], (len(sample_index) + 3) // 4), dtype=np.uint8)
    packed_loops.repack(packed, sample_index, out)
    return out


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
    _COUNT_ROWS(as_words(packed), *_kept(mask.tobytes()), out)
    return out


@lru_cache(maxsize=32)
def _kept(mask: bytes) -> tuple[npt.NDArray[np.uint64], int]:
    """Words with ``11`` where a sample is kept, and how many are: block after block has the same mask."""
    chosen = np.frombuffer(mask, dtype=bool)
    return as_words(keep_bits(chosen)[None])[0], int(chosen.sum())


def as_words(packed: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """See packed calls as uint64 (m, ceil(bytes / 8)); a copy with zeros at the end where that must be."""
    m, width = packed.shape
    if width % 8 or not packed.flags.c_contiguous:
        whole = np.zeros((m, -(-width // 8) * 8), dtype=np.uint8)
        whole[:, :width] = packed
        packed = whole
    return packed.view(np.uint64)
