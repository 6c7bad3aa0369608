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

:mod:`gwas.kernels.planes` makes them by the loops here.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

NOT_CALLED: Final = np.uint64(0x5555555555555555)


@intrinsic
def popcount(typing_context: Any, word: Any) -> Any:
    """Number of ones in a uint64, as int64 (one machine instruction)."""
    signature = types.int64(types.uint64)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        count = builder.module.declare_intrinsic("llvm.ctpop", [ir.IntType(64)])
        return builder.call(count, [args[0]])

    return signature, generate


@njit
def _even_bits(word: Any) -> Any:
    """Gather the 32 even bits of a uint64 into its low half."""
    x = word & np.uint64(0x5555555555555555)
    x = (x | (x >> np.uint64(1))) & np.uint64(0x3333333333333333)
    x = (x | (x >> np.uint64(2))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    x = (x | (x >> np.uint64(4))) & np.uint64(0x00FF00FF00FF00FF)
    x = (x | (x >> np.uint64(8))) & np.uint64(0x0000FFFF0000FFFF)
    return (x | (x >> np.uint64(16))) & np.uint64(0x00000000FFFFFFFF)


@njit
def _hom(first: Any, second: Any) -> Any:
    """Homozygotes of 64 codes in two words. Codes: 00 two ALT, 01 missing, 10 one, 11 none (high, low bit)."""
    return _even_bits(~(first ^ (first >> np.uint64(1)))) | (
        _even_bits(~(second ^ (second >> np.uint64(1)))) << np.uint64(32)
    )


@njit
def _alt(first: Any, second: Any) -> Any:
    return _even_bits(~first) | (_even_bits(~second) << np.uint64(32))


@njit
def split_variants(codes: Any, n: int, hom: Any, alt: Any) -> None:
    """Write bit-planes of variants over samples.

    Parameters
    ----------
    codes
        uint64 (m, words of codes): 32 calls a word, as many as it takes.
    n
        Number of samples.
    hom, alt
        uint64 (m, words), written; zero past ``n``.
    """
    words = (n + 63) // 64
    inside = ~np.uint64(0)
    if n % 64:
        inside = (np.uint64(1) << np.uint64(n % 64)) - np.uint64(1)
    whole = codes.shape[1] // 2
    for row in range(hom.shape[0]):
        for word in range(whole):
            hom[row, word] = _hom(codes[row, 2 * word], codes[row, 2 * word + 1])
            alt[row, word] = _alt(codes[row, 2 * word], codes[row, 2 * word + 1])
        if whole < words:
            hom[row, whole] = _hom(codes[row, 2 * whole], NOT_CALLED)
            alt[row, whole] = _alt(codes[row, 2 * whole], NOT_CALLED)
        if words:
            hom[row, words - 1] &= inside
            alt[row, words - 1] &= inside
        for word in range(words, hom.shape[1]):
            hom[row, word] = np.uint64(0)
            alt[row, word] = np.uint64(0)


@njit
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


@njit
def turn_to_samples(
    codes: Any, n: int, first: int, last: int, word: int, h: Any, a: Any, hom: Any, alt: Any
) -> None:
    """Write a block of variants into bit-planes of samples over variants.

    Parameters
    ----------
    codes
        uint64 (m, words of codes), as in :func:`split_variants`.
    n
        Number of samples.
    first, last
        Groups of 64 samples to do. Threads share the work by them.
    word
        Where in every row the block's first 64 variants go.
    h, a
        uint64 (64,): scratch.
    hom, alt
        uint64 (n, words), written.
    """
    m = codes.shape[0]
    for group in range(first, last):
        for row in range(0, m, 64):
            count = min(64, m - row)
            for k in range(count):
                second = NOT_CALLED
                if 2 * group + 1 < codes.shape[1]:
                    second = codes[row + k, 2 * group + 1]
                h[k] = _hom(codes[row + k, 2 * group], second)
                a[k] = _alt(codes[row + k, 2 * group], second)
            for k in range(count, 64):
                h[k] = np.uint64(0)
                a[k] = np.uint64(0)
            _transpose(h)
            _transpose(a)
            at = word + row // 64
            for k in range(min(64, n - 64 * group)):
                hom[64 * group + k, at] = h[k]
                alt[64 * group + k, at] = a[k]
