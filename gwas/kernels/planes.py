"""Make bit-planes (see :mod:`gwas.kernels.bitplanes`) of packed calls."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from gwas.kernels.machine_code import MachineCode
from gwas.kernels.packed import repack

Words = npt.NDArray[np.uint64]

LANES: Final = 8
"""Words that a kernel takes at once: planes are filled up with zeros to a multiple of them."""

_PLANES = ("uint64:2", "uint64:2")
_SPLIT: Final = MachineCode("bitplanes", "split_variants", "uint64:2", "int64", *_PLANES)
_TURN: Final = MachineCode(
    "bitplanes", "turn_to_samples", "uint64:2", *["int64"] * 4, "uint64:1", "uint64:1", *_PLANES
)


def plane_words(bits: int) -> int:
    """Words of a row of planes of so many bits.

    Examples
    --------
    >>> plane_words(1), plane_words(512), plane_words(513)
    (8, 8, 16)
    """
    return -(-bits // (64 * LANES)) * LANES


def variant_planes(
    packed: npt.NDArray[np.uint8], n_file: int, sample_index: npt.NDArray[np.int64] | None = None
) -> tuple[Words, Words]:
    """Bit-planes of variants over samples.

    Parameters
    ----------
    packed
        uint8 (m, ceil(n_file / 4)): PLINK 1 two-bit codes of all samples of the file.
    n_file
        Number of samples in the file.
    sample_index
        int64 (n,): file positions of the wanted samples, in order; None for all.

    Returns
    -------
    hom, alt : ndarray of uint64 (m, plane_words(n))
        Sample ``s`` is bit ``s % 64`` of word ``s // 64``; bits past ``n`` are zero in both.
    """
    n = n_file if sample_index is None else len(sample_index)
    shape = (packed.shape[0], plane_words(n))
    hom = np.empty(shape, dtype=np.uint64)
    alt = np.empty(shape, dtype=np.uint64)
    _SPLIT(whole_codes(selected_calls(packed, sample_index)), n, hom, alt)
    return hom, alt


def add_sample_planes(
    codes: Words, n: int, groups: tuple[int, int], start: int, hom: Words, alt: Words
) -> None:
    """Write a block of variants into bit-planes of samples over variants.

    Parameters
    ----------
    codes
        uint64 (m, words of codes): from :func:`whole_codes`.
    n
        Number of samples.
    groups
        First and last (half-open) 64 samples to do. Threads share the work by them.
    start
        Where the block's variants start: a multiple of 64.
    hom, alt
        uint64 (at least n, words), written.
    """
    scratch = np.empty((2, 64), dtype=np.uint64)
    _TURN(codes, n, *groups, start // 64, scratch[0], scratch[1], hom, alt)


def whole_codes(packed: npt.NDArray[np.uint8]) -> Words:
    """Packed calls as uint64 (m, ceil(bytes / 8)), a view where their rows are whole words already.

    What fills up a row are missing calls.
    """
    m, width = packed.shape
    if width % 8 == 0 and packed.flags.c_contiguous:
        return packed.view(np.uint64)
    whole = np.empty((m, -(-width // 8) * 8), dtype=np.uint8)
    whole[:, :width] = packed
    whole[:, width:] = 0x55
    return whole.view(np.uint64)


def selected_calls(
    packed: npt.NDArray[np.uint8], sample_index: npt.NDArray[np.int64] | None
) -> npt.NDArray[np.uint8]:
    """Calls of the chosen samples alone, uint8 (m, ceil(n / 4)); a view where they are a run of whole bytes.

    Bits past the last sample are undefined.
    """
    if sample_index is None:
        return packed
    first = int(sample_index[0]) if len(sample_index) else 0
    if first % 4 == 0 and (np.diff(sample_index) == 1).all():
        return packed[:, first // 4 : (first + len(sample_index) + 3) // 4]
    return repack(packed, sample_index)
