"""Correlation of variants, and greedy pruning, on bit-planes (see :mod:`gwas.kernels.bitplanes`).

Run as :class:`gwas.kernels.machine_code.MachineCode` by :mod:`gwas.kernels.ld`. A genotype counts as -1, 0 or 1
(ALT copies less one), so that its moments are popcounts. A pair's r2 uses the samples called in both variants.
Planes are flat in the loops over pairs, ``words`` a variant.

Pruning asks of millions of pairs only whether r2 is above a threshold, which it nearly never is, so it first
looks for a bound that says no:

- Missing calls are made the commoner homozygote, minor allele count 0. Then the sum of products of two variants'
  minor allele counts needs nothing but two popcounts a word, and is still that over the samples called in both;
  every other moment over those samples is within what the other variant's missing calls could take away.
- Only a first part of the samples is looked at. What the rest could add to the covariance is no more than the
  geometric mean of the two variances there (Cauchy-Schwarz).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from gwas.kernels.bitplanes import popcount
from gwas.kernels.ld import COUNTS
from gwas.kernels.planes import LANES
from gwas.kernels.vectors import INDEX, add_popcount, add_total, data_of, load_words, new_sums

# Allele frequencies that differ by rounding alone are the same frequency.
SAME_FREQUENCY: Final = 2.0**-44

# Bounds are rounded too; what is closer to the threshold than this is counted exactly.
MARGIN: Final = 1.0 - 1e-9

# Columns of the whole numbers and of the real numbers that pruning knows of a variant.
CALLED, SUM, SQUARES, PART_SUM, SIGN, HETS, RARE = range(7)
MEAN, REST, MINOR, MINOR_SQUARES = range(4)


@intrinsic
def _add_products(
    typing_context: Any, hom: Any, alt: Any, one: Any, other: Any, first: Any, last: Any, out: Any
) -> Any:
    """Add to ``out`` the samples homozygous in both variants, and those of them homozygous for unlike alleles.

    ``one`` and ``other`` are where the variants' words start, ``first`` and ``last`` which words to look at.
    """
    signature = types.void(hom, alt, *[types.int64] * 4, out)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        homs, alts = (data_of(context, builder, signature.args[k], args[k]) for k in (0, 1))
        target = data_of(context, builder, signature.args[6], args[6])
        sums = new_sums(builder, 2)
        lanes = ir.Constant(INDEX, LANES)
        with cgutils.for_range(builder, builder.sdiv(builder.sub(args[5], args[4]), lanes)) as loop:
            at = builder.add(args[4], builder.mul(loop.index, lanes))
            places = [builder.add(start, at) for start in args[2:4]]
            h1, h2 = (load_words(builder, homs, place) for place in places)
            a1, a2 = (load_words(builder, alts, place) for place in places)
            same = builder.and_(h1, h2)
            add_popcount(builder, sums[0], same)
            add_popcount(builder, sums[1], builder.and_(same, builder.xor(a1, a2)))
        for k, place in enumerate(sums):
            add_total(builder, target, ir.Constant(INDEX, k), place)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _add_complete(
    typing_context: Any, hom: Any, alt: Any, calls: Any, one: Any, other: Any, words: Any, out: Any
) -> Any:
    """Add to ``out`` counts of the samples called in both variants.

    Homozygous in both; homozygous for unlike alleles; all of them; homozygotes of the first and of the second;
    ALT homozygotes of the first and of the second.
    """
    signature = types.void(hom, alt, calls, *[types.int64] * 3, out)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        planes = [data_of(context, builder, signature.args[k], args[k]) for k in range(3)]
        target = data_of(context, builder, signature.args[6], args[6])
        sums = new_sums(builder, COUNTS)
        lanes = ir.Constant(INDEX, LANES)
        with cgutils.for_range(builder, builder.sdiv(args[5], lanes)) as loop:
            places = [builder.add(start, builder.mul(loop.index, lanes)) for start in args[3:5]]
            (h1, h2), (a1, a2), (c1, c2) = (
                [load_words(builder, plane, place) for place in places] for plane in planes
            )
            called = builder.and_(c1, c2)
            one, other = builder.and_(h1, called), builder.and_(h2, called)
            same = builder.and_(one, other)
            unlike = builder.and_(same, builder.xor(a1, a2))
            plus = builder.and_(one, a1), builder.and_(other, a2)
            for place, words in zip(sums, (same, unlike, called, one, other, *plus), strict=True):
                add_popcount(builder, place, words)
        for k, place in enumerate(sums):
            add_total(builder, target, ir.Constant(INDEX, k), place)
        return context.get_dummy_value()

    return signature, generate


@njit
def moments(hom: Any, alt: Any, out: Any) -> None:
    """Called samples, sum and sum of squares of each variant: int64 (m, 3), from uint64 (m, words) planes."""
    for row in range(hom.shape[0]):
        called = np.int64(0)
        homs = np.int64(0)
        plus = np.int64(0)
        for w in range(hom.shape[1]):
            called += popcount(hom[row, w] | alt[row, w])
            homs += popcount(hom[row, w])
            plus += popcount(hom[row, w] & alt[row, w])
        out[row, 0] = called
        out[row, 1] = 2 * plus - homs
        out[row, 2] = homs


@njit
def _products(hom: Any, alt: Any, words: int, i: int, j: int, first: int, last: int, counts: Any) -> Any:
    """Sum of products over the words from ``first`` to ``last``, a missing call as 0."""
    counts[0] = 0
    counts[1] = 0
    _add_products(hom, alt, i * words, j * words, first, last, counts)
    return counts[0] - 2 * counts[1]


@njit
def _complete(
    hom: Any, alt: Any, calls: Any, words: int, i: int, j: int, counts: Any
) -> tuple[float, float, float]:
    """n^2 times covariance and the two variances over the n samples called in both variants."""
    for k in range(COUNTS):
        counts[k] = 0
    _add_complete(hom, alt, calls, i * words, j * words, words, counts)
    dot, n, q1, q2 = counts[0] - 2 * counts[1], counts[2], counts[3], counts[4]
    s1, s2 = 2 * counts[5] - q1, 2 * counts[6] - q2
    return float(dot * n - s1 * s2), float(q1 * n - s1 * s1), float(q2 * n - s2 * s2)


@njit(error_model="numpy")
def r_of_spans(
    hom: Any,
    alt: Any,
    calls: Any,
    words: int,
    stats: Any,
    n: int,
    rows: Any,
    starts: Any,
    stops: Any,
    counts: Any,
    out: Any,
) -> None:
    """Write the correlations of :func:`gwas.kernels.ld.r_of_spans`."""
    at = 0
    for k in range(rows.shape[0]):
        i = rows[k]
        s1, q1 = stats[i, SUM], stats[i, SQUARES]
        for j in range(starts[k], stops[k]):
            if stats[i, CALLED] == n and stats[j, CALLED] == n:
                s2 = stats[j, SUM]
                dot = _products(hom, alt, words, i, j, 0, words, counts)
                cov, var1, var2 = dot * n - s1 * s2, q1 * n - s1 * s1, stats[j, SQUARES] * n - s2 * s2
                r = cov / np.sqrt(float(var1) * float(var2))
            else:
                cov, var1, var2 = _complete(hom, alt, calls, words, i, j, counts)
                r = cov / np.sqrt(var1 * var2)
            out[at] = np.nan
            if var1 > 0 and var2 > 0:
                out[at] = r
            at += 1


@njit(error_model="numpy")
def prepare(hom: Any, alt: Any, n: int, part: int, calls: Any, known: Any, table: Any) -> None:
    """Make missing calls the commoner homozygote, and write what pruning wants to know of a variant.

    Parameters
    ----------
    hom, alt
        uint64 (m, words): planes, changed in place.
    n
        Number of samples.
    part
        Words to look at first.
    calls
        uint64 (m, words), written: who is called.
    known
        int64 (m, 7), written: samples called, sum and sum of squares of their genotypes; sum over the first
        part, missing calls being the commoner homozygote; whether ALT is the minor allele (1) or not (-1);
        heterozygotes; homozygotes of the minor allele.
    table
        float64 (m, 4), written, missing calls being the commoner homozygote: mean; root of the sum of
        squares about it beyond the first part; sum, and sum of squares, of minor alleles.
    """
    for row in range(hom.shape[0]):
        called = np.int64(0)
        homs = np.int64(0)
        plus = np.int64(0)
        for w in range(hom.shape[1]):
            calls[row, w] = hom[row, w] | alt[row, w]
            called += popcount(calls[row, w])
            homs += popcount(hom[row, w])
            plus += popcount(hom[row, w] & alt[row, w])
        total = 2 * plus - homs
        sign = -1 if total > 0 else 1
        part_homs = np.int64(0)
        part_plus = np.int64(0)
        for w in range(hom.shape[1]):
            left = n - 64 * w
            inside = ~np.uint64(0)
            if left < 64:
                inside = (np.uint64(1) << np.uint64(max(left, 0))) - np.uint64(1)
            gaps = inside & ~calls[row, w]
            hom[row, w] |= gaps
            if sign < 0:
                alt[row, w] |= gaps
            if w < part:
                part_homs += popcount(hom[row, w])
                part_plus += popcount(hom[row, w] & alt[row, w])
        filled, squares = total - sign * (n - called), homs + n - called
        mean = filled / n
        part_sum, part_size = 2 * part_plus - part_homs, min(n, 64 * part)
        known[row, CALLED] = called
        known[row, SUM] = total
        known[row, SQUARES] = homs
        known[row, PART_SUM] = part_sum
        known[row, SIGN] = sign
        known[row, HETS] = called - homs
        known[row, RARE] = plus if sign > 0 else homs - plus
        table[row, MEAN] = mean
        beyond = (squares - part_homs) - 2.0 * mean * (filled - part_sum) + (n - part_size) * mean * mean
        table[row, REST] = np.sqrt(max(beyond, 0.0))
        table[row, MINOR] = known[row, HETS] + 2.0 * known[row, RARE]
        table[row, MINOR_SQUARES] = known[row, HETS] + 4.0 * known[row, RARE]


@njit
def _apart(
    known: Any, table: Any, n: int, i: int, j: int, covariance: float, rest: float, threshold: float
) -> Any:
    """Whether r2 is surely not above the threshold.

    ``covariance`` (sum of products about the means, missing calls being the commoner homozygote) is known to
    within ``rest``.
    """
    gaps1, gaps2 = n - known[i, CALLED], n - known[j, CALLED]
    fewest, most = n - gaps1 - gaps2, n - max(gaps1, gaps2)
    # Most that the other's missing calls can take away: the minor homozygotes first, then heterozygotes.
    rare1, rare2 = min(gaps2, known[i, RARE]), min(gaps1, known[j, RARE])
    hets1, hets2 = min(gaps2 - rare1, known[i, HETS]), min(gaps1 - rare2, known[j, HETS])
    minor1, minor2 = table[i, MINOR], table[j, MINOR]
    least1 = fewest * (table[i, MINOR_SQUARES] - 4 * rare1 - hets1) - minor1 * minor1
    least2 = fewest * (table[j, MINOR_SQUARES] - 4 * rare2 - hets2) - minor2 * minor2
    if fewest <= 0 or least1 <= 0.0 or least2 <= 0.0:
        return False
    product = minor1 * minor2 / n + known[i, SIGN] * known[j, SIGN] * covariance
    highest = most * (product + rest) - (minor1 - 2 * rare1 - hets1) * (minor2 - 2 * rare2 - hets2)
    lowest = fewest * max(product - rest, 0.0) - minor1 * minor2
    largest = max(highest, -lowest)
    return largest * largest < MARGIN * threshold * least1 * least2


@njit
def _linked(
    hom: Any,
    alt: Any,
    calls: Any,
    words: int,
    part: int,
    known: Any,
    table: Any,
    n: int,
    i: int,
    j: int,
    threshold: float,
    counts: Any,
) -> Any:
    """Whether r2 of rows i and j is above the threshold."""
    dot = _products(hom, alt, words, i, j, 0, part, counts)
    mean1, mean2 = table[i, MEAN], table[j, MEAN]
    seen = min(n, 64 * part)
    covariance = dot - mean1 * known[j, PART_SUM] - mean2 * known[i, PART_SUM] + seen * mean1 * mean2
    rest = table[i, REST] * table[j, REST]
    if _apart(known, table, n, i, j, covariance, rest, threshold):
        return False
    if part < words:
        dot += _products(hom, alt, words, i, j, part, words, counts)
    if known[i, CALLED] == n and known[j, CALLED] == n:
        s1, s2 = known[i, SUM], known[j, SUM]
        cov = float(dot * n - s1 * s2)
        var1, var2 = float(known[i, SQUARES] * n - s1 * s1), float(known[j, SQUARES] * n - s2 * s2)
        return cov * cov > threshold * var1 * var2
    if part < words and _apart(known, table, n, i, j, dot - n * mean1 * mean2, 0.0, threshold):
        return False
    cov, var1, var2 = _complete(hom, alt, calls, words, i, j, counts)
    return cov * cov > threshold * var1 * var2


@njit
def prune_backwards(
    hom: Any,
    alt: Any,
    calls: Any,
    words: int,
    part: int,
    known: Any,
    table: Any,
    base: int,
    n: int,
    splits: Any,
    threshold: float,
    major: Any,
    removed: Any,
    unchecked: Any,
    counts: Any,
) -> None:
    """Prune in PLINK 2's order, see :func:`gwas.kernels.ld.prune`."""
    for k in range(splits.shape[0]):
        start = splits[k, 0]
        for late in range(splits[k, 2] - 1, splits[k, 1] - 1, -1):
            j = late - base
            if known[j, SQUARES] * known[j, CALLED] == known[j, SUM] * known[j, SUM]:
                continue
            for early in range(late - 1, start - 1, -1):
                if removed[early]:
                    continue
                if _linked(hom, alt, calls, words, part, known, table, n, early - base, j, threshold, counts):
                    if major[early] <= major[late] * (1.0 + SAME_FREQUENCY):
                        removed[late] = 1
                        break
                    removed[early] = 1


@njit
def prune_forwards(
    hom: Any,
    alt: Any,
    calls: Any,
    words: int,
    part: int,
    known: Any,
    table: Any,
    base: int,
    n: int,
    splits: Any,
    threshold: float,
    major: Any,
    removed: Any,
    unchecked: Any,
    counts: Any,
) -> None:
    """Prune in PLINK 1's order, see :func:`gwas.kernels.ld.prune`."""
    for k in range(splits.shape[0]):
        start, stop = splits[k, 0], splits[k, 2]
        again = True
        while again:
            again = False
            for i in range(start, stop):
                if removed[i]:
                    continue
                j = max(i + 1, unchecked[i])
                while j < stop:
                    if not removed[j] and _linked(
                        hom, alt, calls, words, part, known, table, n, i - base, j - base, threshold, counts
                    ):
                        again = True
                        if major[i] > major[j] * (1.0 + SAME_FREQUENCY):
                            removed[i] = 1
                        else:
                            removed[j] = 1
                        break
                    j += 1
                unchecked[i] = min(j + 1, stop) if j < stop else stop
