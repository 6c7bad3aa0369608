"""LD scores: how much of its neighbours' variation each variant tags."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from cohorts.errors import DesignError, InputError
from gwas.counts import alt_frequency, genotype_counts
from gwas.engines.threads import checked_threads
from gwas.genotypes import Genotypes

F64 = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]
Packed = npt.NDArray[np.uint8]

SMALLEST_TILE: Final = 64
LARGEST_TILE: Final = 256
COMMON: Final = 0.05
"""M_5_50 counts variants with a minor allele frequency above this."""


def ld_scores(
    genotypes: Genotypes,
    *,
    window_kb: float | None = None,
    window_cm: float | None = None,
    window_variants: int | None = None,
    threads: int = 2,
) -> pd.DataFrame:
    """LD score of each variant: the sum of its r2 with all variants of its window, itself included.

    Parameters
    ----------
    genotypes
        Variants in order of position, each chromosome in one piece; all its samples are used, and people
        should be unrelated and of one ancestry. Variants that do not vary are left out.
    window_kb, window_cm, window_variants
        Reach of the window to either side, inclusive: kilobases, centimorgans (of ``variants.cm``), or
        variants. Exactly one of them.
    threads
        Threads; the result does not depend on their number.

    Returns
    -------
    DataFrame
        One row a variant that varies: ``CHR SNP BP CM MAF L2``.

    Raises
    ------
    ValueError
        If not exactly one window is given, or it is not positive.
    DesignError
        If there are fewer than three people, no variant varies, or centimorgans are asked for and not known.
    InputError
        If variants are out of order.

    Notes
    -----
    Genotypes are standardised to mean 0 and variance 1, missing calls at the mean, and each pair counts
    ``r2 - (1 - r2) / (N - 2)``, which is unbiased (Bulik-Sullivan et al. 2015, Nat Genet 47:291). Windows are
    exact; the ldsc program widens them to whole chunks of 50 variants unless ``--chunk-size 1`` is given.
    Memory holds the packed calls of one window and some tiles, whatever the number of variants.

    See Also
    --------
    reference_size : ``M`` and ``M_5_50`` that go with the scores.
    """
    checked_threads(threads)
    given = [w for w in (window_kb, window_cm, window_variants) if w is not None]
    if len(given) != 1 or not given[0] > 0:
        raise ValueError("give exactly one positive window: window_kb, window_cm or window_variants")
    n = genotypes.n_samples
    if n < 3:
        raise DesignError("too few people for LD scores", found=f"{n}", expected="at least 3")
    counts = genotype_counts(genotypes, np.ones(n, dtype=np.bool_))[0]
    mean = 2.0 * np.nan_to_num(alt_frequency(counts))
    # The imputed mean adds nothing to the sum of squares but counts among the people.
    variance = (counts[:, 1] + 4.0 * counts[:, 2] - counts[:, :3].sum(axis=1) * mean**2) / n
    varies = np.count_nonzero(counts[:, :3], axis=1) > 1
    if not varies.any():
        raise DesignError("no variant varies, so there are no LD scores", fix="check the filters")
    chosen = genotypes.select(variants=varies)
    mean, variance = mean[varies], variance[varies]
    codes = np.array([2.0, np.nan, 1.0, 0.0])
    values = (codes[None, :] - mean[:, None]) / np.sqrt(variance)[:, None]
    values = np.nan_to_num(values).astype(np.float32)
    sums = np.ones(chosen.n_variants)
    for rows in _chromosomes(chosen):
        left = _window_starts(chosen.variants.iloc[rows], window_kb, window_cm, window_variants)
        _sum_chromosome(
            chosen.select(variants=np.arange(rows.start, rows.stop)), values[rows], left, sums[rows], threads
        )
    variants = chosen.variants
    return pd.DataFrame(
        {
            "CHR": variants["chrom"],
            "SNP": variants["id"],
            "BP": variants["pos"],
            "CM": variants["cm"],
            "MAF": np.minimum(mean, 2.0 - mean) / 2.0,
            "L2": sums,
        }
    )


def reference_size(scores: pd.DataFrame) -> tuple[int, int]:
    """``M`` and ``M_5_50`` of LD score regression: variants scored, and those of them with MAF above 5 %.

    Examples
    --------
    >>> reference_size(pd.DataFrame({"MAF": [0.01, 0.05, 0.3]}))
    (3, 1)
    """
    return len(scores), int((scores["MAF"] > COMMON).sum())


def _chromosomes(genotypes: Genotypes) -> Iterator[slice]:
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
    return (slice(a, b) for a, b in itertools.pairwise(edges))


def _window_starts(
    variants: pd.DataFrame, kb: float | None, cm: float | None, count: int | None
) -> npt.NDArray[np.int64]:
    """First variant that each variant's window reaches, within one chromosome."""
    if count is not None:
        return np.maximum(np.arange(len(variants), dtype=np.int64) - count, 0)
    if kb is not None:
        place = variants["pos"].to_numpy()
        return np.searchsorted(place, place - int(kb * 1000)).astype(np.int64)
    assert cm is not None
    morgans = variants["cm"].to_numpy(dtype=np.float64)
    if len(morgans) > 1 and (not np.isfinite(morgans).all() or morgans.max() == morgans.min()):
        raise DesignError(
            "the variants have no genetic positions",
            where=f"chromosome {variants['chrom'].iloc[0]}",
            fix="add centimorgans, or give a window in kilobases",
        )
    if (np.diff(morgans) < 0).any():
        raise InputError(
            "genetic positions are not in order",
            where=f"chromosome {variants['chrom'].iloc[0]}",
            expected="centimorgans that never fall along the chromosome",
        )
    return np.searchsorted(morgans, morgans - cm * (1 + 1e-12)).astype(np.int64)


def _sum_chromosome(
    genotypes: Genotypes, values: npt.NDArray[np.float32], left: Index, sums: F64, threads: int
) -> None:
    """Add each pair's r2 to both of its variants, tile by tile; ``sums`` is updated in place."""
    # numba and scipy cost a second to load, which `import gwas` should not pay.
    from gwas.engines.blas_threads import one_blas_thread
    from gwas.kernels.ld_scores import sum_r2

    n = genotypes.n_samples
    reach = float(np.mean(np.arange(len(left)) - left))
    tile = int(np.clip(2 ** round(np.log2(reach + 1)), SMALLEST_TILE, LARGEST_TILE))

    def job(packed: Packed, first: int, own: int) -> tuple[int, F64]:
        part = np.zeros(len(packed))
        stop = first + len(packed)
        sum_r2(packed, values[first:stop], n, own, left[first + own : stop] - first, part)
        return first, part

    waiting: deque[Future[tuple[int, F64]]] = deque()

    def collect() -> None:
        first, part = waiting.popleft().result()
        sums[first : first + len(part)] += part

    held: deque[tuple[int, Packed]] = deque()
    with one_blas_thread(), ThreadPoolExecutor(max_workers=checked_threads(threads)) as pool:
        for block in genotypes.blocks(tile):
            held.append((block.start, np.ascontiguousarray(block.packed_selected())))
            while len(held) > 1 and held[1][0] <= left[block.start]:
                held.popleft()
            first = held[0][0]
            packed = np.concatenate([rows for _, rows in held])
            waiting.append(pool.submit(job, packed, first, block.start - first))
            if len(waiting) > 2 * threads:
                collect()
        while waiting:
            collect()
