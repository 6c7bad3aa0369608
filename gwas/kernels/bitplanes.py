"""Genotypes as two bit-planes, so that sixty-four of them meet in one machine word.

Plane ``hom`` has a 1 for either homozygote, plane ``alt`` a 1 where at least one ALT allele is seen:

===================  ===  ===
genotype             hom  alt
===================  ===  ===
two copies of ALT     1    1
one copy              0    1
none                  1    0
missing               0    0
===================  ===  ===

So ``hom | alt`` says "called", and counts over pairs of samples or variants are popcounts of ands.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.extending import intrinsic

from gwas.kernels.packed import repack

Words = npt.NDArray[np.uint64]


@intrinsic
def popcount(typing_context: Any, word: Any) -> Any:
    """Number of ones in a uint64, as int64 (one machine instruction)."""
    signature = types.int64(types.uint64)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        count = builder.module.declare_intrinsic("llvm.ctpop", [ir.IntType(64)])
        return builder.call(count, [args[0]])

    return signature, generate


@njit(cache=True, nogil=True)
def _even_bits(word: Any) -> Any:
    """Gather the 32 even bits of a uint64 into its low half."""
    x = word & np.uint64(0x5555555555555555)
    x = (x | (x >> np.uint64(1))) & np.uint64(0x3333333333333333)
    x = (x | (x >> np.uint64(2))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    x = (x | (x >> np.uint64(4))) & np.uint64(0x00FF00FF00FF00FF)
    x = (x | (x >> np.uint64(8))) & np.uint64(0x0000FFFF0000FFFF)
    return (x | (x >> np.uint64(16))) & np.uint64(0x00000000FFFFFFFF)


@njit(cache=True, nogil=True)
def _split(codes: Any, hom: Any, alt: Any) -> None:
    """Bit-planes (words,) of the codes of one variant (2 * words,), both uint64."""
    for word in range(hom.shape[0]):
        first, second = codes[2 * word], codes[2 * word + 1]
        # Codes: 00 two ALT, 01 missing, 10 one, 11 none (bits high, low).
        hom[word] = _even_bits(~(first ^ (first >> np.uint64(1)))) | (
            _even_bits(~(second ^ (second >> np.uint64(1)))) << np.uint64(32)
        )
        alt[word] = _even_bits(~first) | (_even_bits(~second) << np.uint64(32))


@njit(cache=True, nogil=True)
def _variant_planes(codes: Any, n: int, hom: Any, alt: Any) -> None:
    words = (n + 63) // 64
    inside = ~np.uint64(0) if n % 64 == 0 else (np.uint64(1) << np.uint64(n % 64)) - np.uint64(1)
    for row in range(hom.shape[0]):
        _split(codes[row], hom[row, :words], alt[row, :words])
        if words:
            hom[row, words - 1] &= inside
            alt[row, words - 1] &= inside
        hom[row, words:] = np.uint64(0)
        alt[row, words:] = np.uint64(0)


def whole_codes(packed: npt.NDArray[np.uint8]) -> Words:
    """Packed calls as uint64 (m, 2 * ceil(bytes / 16)), a view where their rows are whole words already.

    What fills up a row are missing calls.
    """
    m, width = packed.shape
    if width % 16 == 0 and packed.flags.c_contiguous:
        return packed.view(np.uint64)
    whole = np.full((m, -(-width // 16) * 16), 0x55, dtype=np.uint8)
    whole[:, :width] = packed
    return whole.view(np.uint64)


def variant_planes(
    packed: npt.NDArray[np.uint8],
    n_file: int,
    sample_index: npt.NDArray[np.int64] | None = None,
    *,
    words: int | None = None,
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
    words
        Words a variant; default ``ceil(n / 64)``, no fewer. What is beyond is zero.

    Returns
    -------
    hom, alt : ndarray of uint64 (m, words)
        Sample ``s`` is bit ``s % 64`` of word ``s // 64``; bits past ``n`` are zero in both.
    """
    n = n_file if sample_index is None else len(sample_index)
    shape = (packed.shape[0], (n + 63) // 64 if words is None else words)
    hom = np.empty(shape, dtype=np.uint64)
    alt = np.empty(shape, dtype=np.uint64)
    _variant_planes(whole_codes(selected_calls(packed, sample_index)), n, hom, alt)
    return hom, alt


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


@njit(cache=True, nogil=True)
def _transpose(words: Any) -> None:
    """Transpose 64 by 64 bits in place: bit c of word r becomes bit r of word c (Warren, Hacker's Delight)."""
    width = 32
    mask = np.uint64(0x00000000FFFFFFFF)
    while width:
        shift = np.uint64(width)
        for block in range(0, 64, 2 * width):
            for row in range(block, block + width):
                swap = ((words[row] >> shift) ^ words[row + width]) & mask
                words[row] ^= swap << shift
                words[row + width] ^= swap
        width //= 2
        mask ^= mask << np.uint64(width)


@njit(cache=True, nogil=True)
def add_sample_planes(codes: Any, n: int, first: int, last: int, word: int, hom: Any, alt: Any) -> None:
    """Write a block of variants into bit-planes of samples over variants.

    Parameters
    ----------
    codes
        uint64 (m, words of codes): from :func:`whole_codes`.
    n
        Number of samples.
    first, last
        Groups of 64 samples to do. Threads share the work by them.
    word
        Where in every row the block's first 64 variants go.
    hom, alt
        uint64 (n, words), written.
    """
    m = codes.shape[0]
    h = np.empty(64, dtype=np.uint64)
    a = np.empty(64, dtype=np.uint64)
    for group in range(first, last):
        for row in range(0, m, 64):
            count = min(64, m - row)
            h[count:] = np.uint64(0)
            a[count:] = np.uint64(0)
            for k in range(count):
                low, high = codes[row + k, 2 * group], codes[row + k, 2 * group + 1]
                h[k] = _even_bits(~(low ^ (low >> np.uint64(1)))) | (
                    _even_bits(~(high ^ (high >> np.uint64(1)))) << np.uint64(32)
                )
                a[k] = _even_bits(~low) | (_even_bits(~high) << np.uint64(32))
            _transpose(h)
            _transpose(a)
            at = word + row // 64
            for k in range(min(64, n - 64 * group)):
                hom[64 * group + k, at] = h[k]
                alt[64 * group + k, at] = a[k]
