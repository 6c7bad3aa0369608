"""Linkage disequilibrium: r2 between variants, and pruning to a nearly independent set."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from gwas.genotypes import Genotypes
from gwas.kernels import ld as kernel
from gwas.kernels.bitplanes import Words, variant_planes
from gwas.ld_planes import ld_people

Index = npt.NDArray[np.int64]
BLOCK = 512


def ld_prune(
    genotypes: Genotypes,
    *,
    window: int = 200,
    step: int = 50,
    r2: float = 0.2,
    kb: float | None = None,
    threads: int = 2,
) -> Index:
    """Choose variants such that no two within a window are in strong linkage disequilibrium.

    The set is that of PLINK 2's ``--indep-pairwise`` with the same options, on the autosomes and
    on X, Y and MT (see :mod:`gwas.ld_planes`). Monomorphic variants are left out.

    Parameters
    ----------
    genotypes
        Variants in genomic order within each chromosome; all its samples are used.
    window, step
        Window and shift, in variants.
    r2
        Largest r2 allowed to stay, over the samples called in both variants.
    kb
        Use windows of so many kilobases, shifted by one variant, instead.
    threads
        Chromosomes done at once.

    Returns
    -------
    ndarray of int64
        Rows of ``genotypes.variants`` to keep, ascending.

    Raises
    ------
    ValueError
        If an option is out of range or positions within a chromosome are not in order.

    Notes
    -----
    Memory holds one window and one block of variants a thread, whatever the file's size.

    Examples
    --------
    >>> windows(6, window=4, step=2)
    (array([0, 2]), array([4, 6]))
    """
    if not 0.0 <= r2 < 1.0 or window < 2 or not 1 <= step <= window:
        raise ValueError("pruning needs 0 <= r2 < 1, a window of at least 2 variants and a step within it")
    chrom = genotypes.variants["chrom"].to_numpy()
    runs = [np.flatnonzero(chrom == name) for name in dict.fromkeys(chrom.tolist())]

    def one(rows: Index) -> Index:
        pos = genotypes.variants["pos"].to_numpy()[rows]
        if (np.diff(pos) < 0).any():
            raise ValueError("variants are not in order of position within their chromosome")
        spans = windows(len(rows), window=window, step=step) if kb is None else kb_windows(pos, kb=kb)
        return rows[_prune_chromosome(genotypes.select(variants=rows), *spans, r2)]

    with ThreadPoolExecutor(max_workers=max(1, threads)) as pool:
        kept = list(pool.map(one, runs))
    return np.sort(np.concatenate(kept)) if kept else np.empty(0, dtype=np.int64)


def windows(count: int, *, window: int, step: int) -> tuple[Index, Index]:
    """Half-open windows of ``window`` variants, ``step`` apart; the last one ends at ``count``."""
    starts = np.arange(0, max(count - window, 0) + step, step, dtype=np.int64)
    stops = np.minimum(starts + window, count)
    needed = int(np.argmax(stops == count)) + 1 if count else 0
    return starts[:needed], stops[:needed]


def kb_windows(pos: Index, *, kb: float) -> tuple[Index, Index]:
    """Half-open windows that span at most ``kb`` kilobases, each ending at least one variant further on."""
    span = int(kb * 1000)
    ends = np.searchsorted(pos, pos + span, side="right").astype(np.int64)
    starts = np.flatnonzero(np.diff(ends, prepend=0) > 0).astype(np.int64)
    return starts, ends[starts]


def _prune_chromosome(genotypes: Genotypes, starts: Index, stops: Index, r2: float) -> npt.NDArray[np.bool_]:
    people = ld_people(genotypes)
    genotypes = people.genotypes
    m, n = genotypes.n_variants, genotypes.n_samples
    words = (n + 63) // 64
    removed = np.zeros(m, dtype=np.bool_)
    unchecked = np.zeros(m, dtype=np.int64)
    major = np.ones(m, dtype=np.float64)
    hom = alt = np.empty((0, words), dtype=np.uint64)
    stats = np.empty((0, 3), dtype=np.int64)
    base = done = 0
    for block in genotypes.blocks(BLOCK):
        new_hom, new_alt = people.planes(block)
        rows = slice(block.start, block.stop)
        called, total, _ = kernel.moments(new_hom, new_alt).T
        copies = (total + called) / np.maximum(2 * called, 1)
        major[rows] = np.maximum(copies, 1.0 - copies)
        new_alt = people.without_mixed(new_hom, new_alt)
        new_stats = kernel.moments(new_hom, new_alt)
        called, total, squares = new_stats.T
        removed[rows] = squares * called == total * total
        # Only what a later window can still see stays in memory.
        keep_from = int(starts[done]) if done < len(starts) else block.start
        drop = max(0, min(keep_from - base, len(hom)))
        hom = np.concatenate([hom[drop:], new_hom])
        alt = np.concatenate([alt[drop:], new_alt])
        stats = np.concatenate([stats[drop:], new_stats])
        base += drop
        ready = int(np.searchsorted(stops, block.stop, side="right"))
        kernel.prune_windows(
            hom, alt, stats, base, n, starts[done:ready], stops[done:ready], major, removed, unchecked, r2
        )
        done = ready
    return ~removed


def ld_r2(genotypes: Genotypes, lead: int, others: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """r2 of one variant with others, over the samples called in both.

    Parameters
    ----------
    genotypes
        All its samples are used.
    lead
        Row of ``genotypes.variants``.
    others
        int (k,): rows of ``genotypes.variants``.

    Returns
    -------
    ndarray of float64 (k,)
        r2; nan where one of the two does not vary.
    """
    rows = np.asarray(others, dtype=np.int64)
    planes = _planes(genotypes, np.concatenate([[lead], rows]).astype(np.int64))
    hom, alt = planes
    r2: npt.NDArray[np.float64] = kernel.r2_rows(hom[:1], alt[:1], hom[1:], alt[1:], genotypes.n_samples)[0]
    return r2


def ld_matrix(genotypes: Genotypes, variants: npt.ArrayLike | None = None) -> npt.NDArray[np.float64]:
    """r2 of all pairs of the chosen variants (default: all), float64 (m, m); nan where one does not vary."""
    rows = np.arange(genotypes.n_variants) if variants is None else np.asarray(variants, dtype=np.int64)
    hom, alt = _planes(genotypes, rows.astype(np.int64))
    return np.asarray(kernel.r2_rows(hom, alt, hom, alt, genotypes.n_samples))


def _planes(genotypes: Genotypes, rows: Index) -> tuple[Words, Words]:
    block = genotypes.select(variants=rows).read_block(0, len(rows))
    return variant_planes(block.packed, block.n_file, block.sample_index)
