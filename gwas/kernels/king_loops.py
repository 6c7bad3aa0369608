"""KING-robust kinship of all pairs, from bit-planes of samples (see :mod:`gwas.kernels.bitplanes`).

With D the sum of squared differences of two people's genotypes, kinship is ``1/2 - D / (4 h)``, h the smaller
number of heterozygous calls, both over the variants called in the two. D takes two popcounts a word, the
rest three more. So where only close pairs are asked for, a first pass counts D alone and divides by each
sample's own heterozygotes, called in the other or not: they are no fewer, so that the result is never below
the kinship, and equal to it where nothing is missing. What it lets through is counted in full.

Run as :class:`gwas.kernels.machine_code.MachineCode` by :mod:`gwas.kernels.king`.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from gwas.kernels.king import PARTNERS, TILE
from gwas.kernels.planes import LANES
from gwas.kernels.vectors import INDEX, add_popcount, add_total, data_of, load_words, new_sums

CHUNK: Final = 128


@intrinsic
def _add_distances(
    typing_context: Any, hom: Any, alt: Any, one: Any, others: Any, stride: Any, steps: Any, out: Any, to: Any
) -> Any:
    """Squared genotype differences of one sample with PARTNERS consecutive others, added to ``out[to:]``.

    ``hom`` and ``alt`` are flat; ``one`` and ``others`` are where the samples' words start, ``stride`` the
    words of a sample, ``steps`` how many times LANES words are looked at.
    """
    whole = types.int64
    signature = types.void(hom, alt, whole, whole, whole, whole, out, whole)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        homs = data_of(context, builder, signature.args[0], args[0])
        alts = data_of(context, builder, signature.args[1], args[1])
        target = data_of(context, builder, signature.args[6], args[6])
        sums = new_sums(builder, PARTNERS)
        with cgutils.for_range(builder, args[5]) as loop:
            at = builder.mul(loop.index, ir.Constant(INDEX, LANES))
            h1 = load_words(builder, homs, builder.add(args[2], at))
            a1 = load_words(builder, alts, builder.add(args[2], at))
            first = builder.add(args[3], at)
            for k, place in enumerate(sums):
                where = builder.add(first, builder.mul(args[4], ir.Constant(INDEX, k)))
                h2 = load_words(builder, homs, where)
                a2 = load_words(builder, alts, where)
                # One is homozygous, the other heterozygous: its hom bit is 0, so alt must say it is called.
                called = builder.or_(builder.and_(h1, a2), builder.and_(builder.not_(h1), a1))
                add_popcount(builder, place, builder.and_(builder.xor(h1, h2), called))
                opposite = builder.and_(builder.and_(h1, h2), builder.xor(a1, a2))
                add_popcount(builder, place, opposite, times=4)
        for k, place in enumerate(sums):
            add_total(builder, target, builder.add(args[7], ir.Constant(INDEX, k)), place)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _add_counts(
    typing_context: Any, hom: Any, alt: Any, one: Any, other: Any, steps: Any, out: Any, to: Any
) -> Any:
    """Five counts of a pair added to ``out[to:]``: variants called in both, IBS0, het-het, het-hom, hom-het."""
    whole = types.int64
    signature = types.void(hom, alt, whole, whole, whole, out, whole)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        homs = data_of(context, builder, signature.args[0], args[0])
        alts = data_of(context, builder, signature.args[1], args[1])
        target = data_of(context, builder, signature.args[5], args[5])
        sums = new_sums(builder, 5)
        with cgutils.for_range(builder, args[4]) as loop:
            at = builder.mul(loop.index, ir.Constant(INDEX, LANES))
            h1, h2 = (load_words(builder, homs, builder.add(args[k], at)) for k in (2, 3))
            a1, a2 = (load_words(builder, alts, builder.add(args[k], at)) for k in (2, 3))
            het1, het2 = (builder.and_(a, builder.not_(h)) for a, h in ((a1, h1), (a2, h2)))
            called = builder.and_(builder.or_(h1, a1), builder.or_(h2, a2))
            opposite = builder.and_(builder.and_(h1, h2), builder.xor(a1, a2))
            pairs = [
                called,
                opposite,
                *(builder.and_(x, y) for x, y in ((het1, het2), (het1, h2), (h1, het2))),
            ]
            for place, words in zip(sums, pairs, strict=True):
                add_popcount(builder, place, words)
        for k, place in enumerate(sums):
            add_total(builder, target, builder.add(args[6], ir.Constant(INDEX, k)), place)
        return context.get_dummy_value()

    return signature, generate


@njit(error_model="numpy")
def _kinship(counts: Any, at: int) -> Any:
    fewer = counts[at + 2] + min(counts[at + 3], counts[at + 4])
    if fewer == 0:
        return np.nan
    return 0.5 - (4 * counts[at + 1] + counts[at + 3] + counts[at + 4]) / (4.0 * fewer)


@njit
def _tile_distances(hom: Any, alt: Any, words: int, i0: int, i1: int, j0: int, j1: int, out: Any) -> None:
    """Squared differences (TILE * TILE,) of a tile of pairs; whole groups of partners, some beyond ``j1``."""
    for at in range(TILE * TILE):
        out[at] = 0
    for first in range(0, words, CHUNK):
        steps = min(CHUNK, words - first) // LANES
        for i in range(i0, i1):
            for j in range(j0, j1, PARTNERS):
                to = (i - i0) * TILE + j - j0
                _add_distances(hom, alt, i * words + first, j * words + first, words, steps, out, to)


@njit
def _tile_counts(hom: Any, alt: Any, words: int, i0: int, i1: int, j0: int, j1: int, out: Any) -> None:
    """Five counts (TILE * TILE * 5,) of each pair of a tile."""
    for at in range(TILE * TILE * 5):
        out[at] = 0
    for first in range(0, words, CHUNK):
        steps = min(CHUNK, words - first) // LANES
        for i in range(i0, i1):
            for j in range(max(j0, i + 1), j1):
                to = 5 * ((i - i0) * TILE + j - j0)
                _add_counts(hom, alt, i * words + first, j * words + first, steps, out, to)


@njit(error_model="numpy")
def king_rows(
    hom: Any,
    alt: Any,
    words: int,
    hets: Any,
    first: int,
    last: int,
    other: int,
    at_least: float,
    distances: Any,
    counts: Any,
    index: Any,
    found: Any,
    kinship: Any,
    size: Any,
) -> None:
    """Write the pairs of :func:`gwas.kernels.king.king_rows`, and to ``size[0]`` how many there are.

    Planes are flat here. ``distances`` (TILE * TILE) and ``counts`` (TILE * TILE * 5) are scratch.
    """
    n = hets.shape[0]
    every = at_least == -np.inf
    size[0] = 0
    for i0 in range(first, last, TILE):
        i1 = min(last, i0 + TILE)
        for j0 in range(max(i0, other), n, TILE):
            j1 = min(n, j0 + TILE)
            if every:
                _tile_counts(hom, alt, words, i0, i1, j0, j1, counts)
            else:
                _tile_distances(hom, alt, words, i0, i1, j0, j1, distances)
            for i in range(i0, i1):
                for j in range(max(j0, i + 1), j1):
                    pair = (i - i0) * TILE + j - j0
                    at = 5 * pair
                    if not every:
                        fewer = min(hets[i], hets[j])
                        if fewer == 0 or 0.5 - distances[pair] / (4.0 * fewer) < at_least:
                            continue
                        for k in range(5):
                            counts[at + k] = 0
                        _add_counts(hom, alt, i * words, j * words, words // LANES, counts, at)
                    phi = _kinship(counts, at)
                    if every or phi >= at_least:
                        if size[0] < kinship.shape[0]:
                            index[size[0], 0] = i
                            index[size[0], 1] = j
                            for k in range(3):
                                found[size[0], k] = counts[at + k]
                            kinship[size[0]] = phi
                        size[0] += 1
