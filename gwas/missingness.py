"""Who lacks how many calls, and which variants do, in one pass of the file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gwas.counts import in_one_pass
from gwas.genotypes import Block, Genotypes
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


class MissingTally:
    """Missing calls of every sample and every variant, counted block by block; on Y of men alone."""

    def __init__(self, genotypes: Genotypes) -> None:
        self._genotypes = genotypes
        self._on_y = ploidy_class(genotypes.variant_text("chrom")) == "y"
        self._male = np.asarray(genotypes.sample_values("sex") == "M", dtype=np.bool_)
        n_file = genotypes.reader.n_samples
        self._rows = np.arange(n_file) if genotypes.sample_index is None else genotypes.sample_index
        self._by_variant = np.empty(genotypes.n_variants, dtype=np.int64)
        self._elsewhere = np.zeros(4 * ((n_file + 3) // 4), dtype=np.int64)
        self._y = np.zeros_like(self._elsewhere)
        self._everybody, self._men = self._bits(self._rows), self._bits(self._rows[self._male])

    def _bits(self, rows: Counts) -> npt.NDArray[np.uint8]:
        mask = np.zeros(self._genotypes.reader.n_samples, dtype=np.bool_)
        mask[rows] = True
        return keep_bits(mask)

    def add(self, block: Block) -> None:
        """Count a block."""
        of_y = self._on_y[block.start : block.stop]
        kinds = ((~of_y, self._everybody, self._elsewhere), (of_y, self._men, self._y))
        for which, bits, by_sample in kinds:
            if which.any():
                packed = block.packed if which.all() else block.packed[which]
                at = block.start + np.flatnonzero(which)
                self._by_variant[at] = count_missing(packed, bits, by_sample)

    def calls(self) -> MissingCalls:
        """What was found."""
        y = self._y[self._rows]
        return MissingCalls(
            by_sample=self._elsewhere[self._rows] + np.where(self._male, y, 0),
            of_sample=len(self._on_y) - np.where(self._male, 0, int(self._on_y.sum())),
            by_variant=self._by_variant,
            of_variant=np.where(self._on_y, int(self._male.sum()), self._genotypes.n_samples),
        )


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
    tally = MissingTally(genotypes)
    in_one_pass(genotypes, tally)
    return tally.calls()
