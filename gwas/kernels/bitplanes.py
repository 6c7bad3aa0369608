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
def _variant_planes(packed: Any, n: int, hom: Any, alt: Any) -> None:
    width = packed.shape[1]
    tail = n % 64
    for row in range(packed.shape[0]):
        for word in range(hom.shape[1]):
            h = np.uint64(0)
            a = np.uint64(0)
            for half in range(2):
                codes = np.uint64(0)
                first = word * 16 + half * 8
                for byte in range(max(0, min(8, width - first))):
                    codes |= np.uint64(packed[row, first + byte]) << np.uint64(8 * byte)
                low = codes
                high = codes >> np.uint64(1)
                # Codes: 00 two ALT, 01 missing, 10 one, 11 none (bits high, low).
                h |= _even_bits(~(low ^ high)) << np.uint64(32 * half)
                a |= _even_bits(~low) << np.uint64(32 * half)
            if word == hom.shape[1] - 1 and tail:
                inside = (np.uint64(1) << np.uint64(tail)) - np.uint64(1)
                h &= inside
                a &= inside
            hom[row, word] = h
            alt[row, word] = a


@njit(cache=True, nogil=True)
def _chosen_variant_planes(packed: Any, samples: Any, hom: Any, alt: Any) -> None:
    n = samples.shape[0]
    for row in range(packed.shape[0]):
        for word in range(hom.shape[1]):
            h = np.uint64(0)
            a = np.uint64(0)
            first = word * 64
            for k in range(min(64, n - first)):
                s = samples[first + k]
                code = np.uint64(packed[row, s >> 2]) >> np.uint64(2 * (s & 3))
                low = code & np.uint64(1)
                high = (code >> np.uint64(1)) & np.uint64(1)
                h |= (np.uint64(1) ^ low ^ high) << np.uint64(k)
                a |= (np.uint64(1) ^ low) << np.uint64(k)
            hom[row, word] = h
            alt[row, word] = a


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
    hom, alt : ndarray of uint64 (m, ceil(n / 64))
        Sample ``s`` is bit ``s % 64`` of word ``s // 64``; bits past ``n`` are zero in both.
    """
    n = n_file if sample_index is None else len(sample_index)
    shape = (packed.shape[0], (n + 63) // 64)
    hom = np.empty(shape, dtype=np.uint64)
    alt = np.empty(shape, dtype=np.uint64)
    if sample_index is None:
        _variant_planes(packed, n, hom, alt)
    else:
        _chosen_variant_planes(packed, sample_index, hom, alt)
    return hom, alt


@njit(cache=True, nogil=True)
def add_sample_planes(packed: Any, samples: Any, offset: int, hom: Any, alt: Any) -> None:
    """Write a block of variants into bit-planes of samples over variants.

    Parameters
    ----------
    packed
        uint8 (m, bytes): PLINK 1 two-bit codes of all samples of the file.
    samples
        int64 (n,): file positions of the wanted samples.
    offset
        Variants already written: this block's first variant is bit ``offset`` of every row.
    hom, alt
        uint64 (n, words), written in place; must be zero beyond ``offset``.
    """
    n = samples.shape[0]
    stripe = 512
    h = np.zeros(stripe, dtype=np.uint64)
    a = np.zeros(stripe, dtype=np.uint64)
    for first in range(0, n, stripe):
        count = min(stripe, n - first)
        row = 0
        while row < packed.shape[0]:
            word = (offset + row) // 64
            until = min(packed.shape[0], (word + 1) * 64 - offset)
            h[:] = 0
            a[:] = 0
            for r in range(row, until):
                bit = np.uint64((offset + r) % 64)
                for k in range(count):
                    s = samples[first + k]
                    code = np.uint64(packed[r, s >> 2]) >> np.uint64(2 * (s & 3))
                    low = code & np.uint64(1)
                    high = (code >> np.uint64(1)) & np.uint64(1)
                    h[k] |= (np.uint64(1) ^ low ^ high) << bit
                    a[k] |= (np.uint64(1) ^ low) << bit
            for k in range(count):
                hom[first + k, word] |= h[k]
                alt[first + k, word] |= a[k]
            row = until
