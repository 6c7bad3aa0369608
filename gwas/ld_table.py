"""Linkage disequilibrium as a table of pairs within a window, or as the matrix of a region."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from cohorts.errors import DesignError, InputError
from gwas.engines.threads import checked_threads
from gwas.genotypes import Genotypes
from gwas.kernels.ld import moments, r_of_spans
from gwas.kernels.planes import plane_words
from gwas.ld_planes import ld_people

F64 = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

BLOCK: Final = 512
PAIRS: Final = 2**20
"""Pairs that a thread correlates at a time."""


def ld_pairs(
    genotypes: Genotypes,
    *,
    window_kb: float = 1000.0,
    window_variants: int | None = None,
    r2: float = 0.2,
    signed: bool = False,
    threads: int = 2,
) -> pd.DataFrame:
    """r2 of all pairs of variants within a window that reach a threshold, as PLINK 2's ``--r2-unphased``.

    Parameters
    ----------
    genotypes
        Variants in order of position, each chromosome in one piece; all its samples are used.
    window_kb
        Largest distance of a pair, in kilobases.
    window_variants
        Also the largest distance in variants; None for any. (PLINK's ``--ld-window`` is one more than that.)
    r2
        Smallest r2 to list.
    signed
        Give r instead: positive where the two ALT alleles go together.
    threads
        Threads.

    Returns
    -------
    DataFrame
        ``first``, ``second`` (int64 rows of ``genotypes.variants``, first < second, ascending) and ``r2`` or,
        if signed, ``r``. Pairs of which one does not vary are not listed.

    Raises
    ------
    ValueError
        If an option is out of range.
    InputError
        If variants are out of order.

    Notes
    -----
    The correlation is of allele counts (no phase) over the people called in both. On X women weigh twice as
    much as men (see :mod:`gwas.ld_planes`). Memory holds one window and what is listed.
    """
    if window_kb < 0 or not 0.0 <= r2 <= 1.0 or (window_variants is not None and window_variants < 1):
        raise ValueError("pairs need a window that is not negative and 0 <= r2 <= 1")
    chrom, pos = genotypes.variants["chrom"], genotypes.variants["pos"]
    new = (chrom != chrom.shift()).to_numpy()
    if int(new.sum()) != chrom.nunique() or bool(((pos.diff() < 0) & ~new).any()):
        raise InputError(
            "variants are not in order of position",
            where=genotypes.path,
            expected="each chromosome in one piece, positions ascending",
            fix="sort the genotypes, e.g. with plink2 --sort-vars",
        )
    edges = [*np.flatnonzero(new).tolist(), len(chrom)]
    found: list[tuple[Index, Index, F64]] = []
    for a, b in itertools.pairwise(edges):
        place = pos.to_numpy()[a:b]
        stops = np.searchsorted(place, place + int(window_kb * 1000), side="right").astype(np.int64)
        if window_variants is not None:
            stops = np.minimum(stops, np.arange(b - a) + window_variants + 1)
        chosen = genotypes.select(variants=np.arange(a, b))
        for first, second, r in _correlations(chosen, stops, threads):
            # PLINK's slack: a threshold is a decimal and not exact in binary.
            keep = r * r >= r2 * (1.0 - 2.0**-44)
            found.append((first[keep] + a, second[keep] + a, r[keep]))
    empty = np.empty(0, dtype=np.int64)
    first, second = (np.concatenate([part[k] for part in found]) if found else empty for k in (0, 1))
    r = np.concatenate([part[2] for part in found]) if found else np.empty(0)
    return pd.DataFrame({"first": first, "second": second, "r" if signed else "r2": r if signed else r * r})


def ld_region(
    genotypes: Genotypes, *, chrom: str, start: int, stop: int, signed: bool = False, most: int = 20_000
) -> tuple[F64, pd.DataFrame]:
    """r2 of all pairs of variants of a region, and which variants they are.

    Parameters
    ----------
    genotypes
        All its samples are used.
    chrom, start, stop
        Canonical chromosome and 1-based positions, both included.
    signed
        Give r instead: positive where the two ALT alleles go together.
    most
        More variants than this are refused.

    Returns
    -------
    (ndarray of float64 (m, m), DataFrame)
        The matrix, nan where a variant does not vary; and the rows of ``genotypes.variants`` it is about,
        with their index.

    Raises
    ------
    DesignError
        If the region holds no variant, or too many.
    """
    variants = genotypes.variants
    inside = np.flatnonzero((variants["chrom"] == chrom) & variants["pos"].between(start, stop))
    m = len(inside)
    if not 0 < m <= most:
        raise DesignError(
            "a matrix of linkage disequilibrium cannot be made of this region",
            where=f"{chrom}:{start}-{stop}",
            found=f"{m} variants",
            expected=f"1 to {most}",
            fix="choose another region, or filter variants",
        )
    people = ld_people(genotypes.select(variants=inside))
    hom, alt = people.planes(people.genotypes.read_block(0, m))
    stats = moments(hom, alt)
    rows = np.arange(m, dtype=np.int64)
    flat = r_of_spans(hom, alt, stats, people.genotypes.n_samples, rows, rows + 1, np.full_like(rows, m))
    matrix = np.empty((m, m))
    matrix[np.triu_indices(m, 1)] = flat
    matrix.T[np.triu_indices(m, 1)] = flat
    called, total, squares = stats.T
    np.fill_diagonal(matrix, np.where(squares * called > total * total, 1.0, np.nan))
    return matrix if signed else matrix**2, variants.iloc[inside]


def _correlations(genotypes: Genotypes, stops: Index, threads: int) -> Iterator[tuple[Index, Index, F64]]:
    """Pairs of one chromosome, first variants ascending, with their r."""
    people = ld_people(genotypes)
    n = people.genotypes.n_samples
    hom = alt = np.empty((0, plane_words(n)), dtype=np.uint64)
    base = done = 0
    with ThreadPoolExecutor(max_workers=checked_threads(threads)) as pool:
        for block in people.genotypes.blocks(BLOCK):
            new_hom, new_alt = people.planes(block)
            # Only what a variant still to be paired can see stays in memory.
            hom, alt = (
                np.concatenate([hom[done - base :], new_hom]),
                np.concatenate([alt[done - base :], new_alt]),
            )
            base = done
            stats = moments(hom, alt)
            ready = int(np.searchsorted(stops, block.stop, side="right"))

            def job(
                span: tuple[int, int],
                hom: npt.NDArray[np.uint64] = hom,
                alt: npt.NDArray[np.uint64] = alt,
                stats: Index = stats,
                base: int = base,
            ) -> tuple[Index, Index, F64]:
                rows = np.arange(span[0], span[1], dtype=np.int64)
                partners = stops[rows] - rows - 1
                r = r_of_spans(hom, alt, stats, n, rows - base, rows + 1 - base, stops[rows] - base)
                first = np.repeat(rows, partners)
                offset = np.repeat(np.cumsum(partners) - partners, partners)
                return first, first + 1 + np.arange(len(r)) - offset, r

            yield from pool.map(job, _spans(stops, done, ready))
            done = max(done, ready)


def _spans(stops: Index, start: int, stop: int) -> list[tuple[int, int]]:
    """Cut rows into runs of about PAIRS pairs."""
    if stop <= start:
        return []
    rows = np.arange(start, stop)
    part = np.cumsum(stops[rows] - rows) // PAIRS
    cuts = [start, *(start + np.flatnonzero(np.diff(part)) + 1).tolist(), stop]
    return [(int(a), int(b)) for a, b in itertools.pairwise(cuts)]
