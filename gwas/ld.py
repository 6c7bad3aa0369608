"""Linkage disequilibrium: r2 between variants, and pruning to a nearly independent set."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from gwas.engines.threads import checked_threads
from gwas.genotypes import Genotypes
from gwas.kernels import ld as kernel
from gwas.kernels.planes import variant_planes
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
    order: kernel.Order = "plink2",
    threads: int = 2,
) -> Index:
    """Choose variants such that no two within a window are in strong linkage disequilibrium.

    The set is that of PLINK's ``--indep-pairwise`` with the same options, on the autosomes and on X, Y and MT
    (see :mod:`gwas.ld_planes`). Monomorphic variants are left out.

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
    order
        In which order the pairs of a window are looked at: as PLINK 2 does by default since 2023 (from the
        window's last variant backwards), or as PLINK 1.x and earlier PLINK 2 (``--indep-order 1``).
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
    place = genotypes.variant_values("pos")

    def one(rows: Index) -> Index:
        pos = place[rows]
        if (np.diff(pos) < 0).any():
            raise ValueError("variants are not in order of position within their chromosome")
        spans = windows(len(rows), window=window, step=step) if kb is None else kb_windows(pos, kb=kb)
        return rows[_prune_chromosome(genotypes.select(variants=rows), *spans, r2=r2, order=order)]

    runs = _chromosomes(genotypes)
    with ThreadPoolExecutor(max_workers=checked_threads(threads)) as pool:
        kept = list(pool.map(one, runs))
    return np.sort(np.concatenate(kept)) if kept else np.empty(0, dtype=np.int64)


def _chromosomes(genotypes: Genotypes) -> list[Index]:
    """Rows of each chromosome, in one piece or not."""
    names, lengths = genotypes.variant_text("chrom").runs()
    stops = np.cumsum(lengths)
    rows: dict[str, list[Index]] = {}
    for name, start, stop in zip(names, (stops - lengths).tolist(), stops.tolist(), strict=True):
        rows.setdefault(name, []).append(np.arange(start, stop, dtype=np.int64))
    return [np.concatenate(parts) for parts in rows.values()]


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


def _prune_chromosome(
    genotypes: Genotypes, starts: Index, stops: Index, *, r2: float, order: kernel.Order
) -> npt.NDArray[np.bool_]:
    people = ld_people(genotypes)
    genotypes = people.genotypes
    m, n = genotypes.n_variants, genotypes.n_samples
    splits = np.stack([starts, np.maximum(starts, np.concatenate([[0], stops[:-1]])), stops], axis=1)
    removed = np.zeros(m, dtype=np.bool_)
    unchecked = np.zeros(m, dtype=np.int64)
    major = np.ones(m, dtype=np.float64)
    part = kernel.first_part(n, r2)
    window: kernel.Window | None = None
    base = done = 0
    for block in genotypes.blocks(BLOCK):
        hom, alt = people.planes(block)
        rows = slice(block.start, block.stop)
        called, total, _ = kernel.moments(hom, alt).T
        copies = (total + called) / np.maximum(2 * called, 1)
        major[rows] = np.maximum(copies, 1.0 - copies)
        new = kernel.Window.of(hom, people.without_mixed(hom, alt), n=n, part=part)
        removed[rows] = new.invariable()
        if window is None:
            window = new
        else:
            # Only what a later window can still see stays in memory.
            keep_from = int(starts[done]) if done < len(starts) else block.start
            drop = min(keep_from - base, len(window.hom))
            window = window.followed_by(new, drop=drop)
            base += drop
        ready = int(np.searchsorted(stops, block.stop, side="right"))
        kernel.prune(
            window,
            base=base,
            n=n,
            splits=splits[done:ready],
            threshold=r2,
            part=part,
            major=major,
            removed=removed,
            unchecked=unchecked,
            order=order,
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
    rows = np.concatenate([[lead], np.asarray(others, dtype=np.int64)]).astype(np.int64)
    first = np.zeros(1, dtype=np.int64)
    r = _correlations(genotypes, rows, first, first + 1)
    return r * r


def ld_matrix(genotypes: Genotypes, variants: npt.ArrayLike | None = None) -> npt.NDArray[np.float64]:
    """r2 of all pairs of the chosen variants (default: all), float64 (m, m); nan where one does not vary."""
    rows = np.arange(genotypes.n_variants) if variants is None else np.asarray(variants, dtype=np.int64)
    every = np.arange(len(rows), dtype=np.int64)
    r = _correlations(genotypes, rows.astype(np.int64), every, np.zeros_like(every))
    return (r * r).reshape(len(rows), len(rows))


def _correlations(
    genotypes: Genotypes, variants: Index, rows: Index, starts: Index
) -> npt.NDArray[np.float64]:
    """r of some of the variants with all from a start on, one after another."""
    block = genotypes.select(variants=variants).read_block(0, len(variants))
    hom, alt = variant_planes(block.packed, block.n_file, block.sample_index)
    stops = np.full_like(rows, len(variants))
    return kernel.r_of_spans(hom, alt, kernel.moments(hom, alt), block.n_samples, rows, starts, stops)
