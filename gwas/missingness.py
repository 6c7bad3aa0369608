"""Who lacks how many calls, and which variants do, in one pass of the file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gwas.genotypes import Genotypes
from gwas.genotypes.chromosomes import ploidy_class
from gwas.kernels.missing_calls import count_missing
from gwas.kernels.packed import keep_bits

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class MissingCalls:
    """Missing calls, and how many there could be: int64 (n,) of samples and (m,) of variants."""

    by_sample: Counts
    of_sample: Counts
    by_variant: Counts
    of_variant: Counts


def missing_calls(genotypes: Genotypes) -> MissingCalls:
    """Count missing calls of every sample and every variant.

    Parameters
    ----------
    genotypes
        All its samples and variants are counted; on Y those of men alone, who have one.

    Returns
    -------
    MissingCalls

    Raises
    ------
    InputError
        If the genotype file shrank or vanished.
    """
    on_y = ploidy_class(genotypes.variants["chrom"]) == "y"
    male = np.asarray(genotypes.samples["sex"] == "M", dtype=np.bool_)
    n_file = genotypes.reader.n_samples
    rows = np.arange(n_file) if genotypes.sample_index is None else genotypes.sample_index
    by_variant = np.empty(genotypes.n_variants, dtype=np.int64)
    elsewhere = np.zeros(4 * ((n_file + 3) // 4), dtype=np.int64)
    y = np.zeros_like(elsewhere)
    keep = []
    for chosen in (rows, rows[male]):
        mask = np.zeros(n_file, dtype=np.bool_)
        mask[chosen] = True
        keep.append(keep_bits(mask))
    for block in genotypes.blocks(1020):
        of_y = on_y[block.start : block.stop]
        for which, bits, by_sample in ((~of_y, keep[0], elsewhere), (of_y, keep[1], y)):
            if which.any():
                packed = block.packed if which.all() else block.packed[which]
                by_variant[block.start + np.flatnonzero(which)] = count_missing(packed, bits, by_sample)
    n_y = int(on_y.sum())
    return MissingCalls(
        by_sample=elsewhere[rows] + np.where(male, y[rows], 0),
        of_sample=len(on_y) - np.where(male, 0, n_y),
        by_variant=by_variant,
        of_variant=np.where(on_y, int(male.sum()), genotypes.n_samples),
    )
