"""``careome het``: OUT.het with PLINK 2's columns."""

from __future__ import annotations

import numpy as np

from gwas.counts import AUTOSOME, ELSEWHERE, GenotypeTally, SampleTally, alt_frequency, in_one_pass
from gwas.frequencies import founders
from gwas.genotypes import Block, Genotypes
from gwas.genotypes.chromosomes import ploidy_class
from workflows.genotype_commands.outcome import Outcome, Table, sample_cells


def tables(genotypes: Genotypes, *, threads: int) -> Outcome:
    """Observed and expected homozygotes of every sample, at founders' frequencies, where variants vary."""
    tally = HetTally(genotypes)
    in_one_pass(genotypes, tally)
    sums = tally.sums.sums()
    called = sums.variants[AUTOSOME] - sums.missing[:, AUTOSOME]
    columns = {
        **sample_cells(genotypes),
        "O(HOM)": called - sums.het[:, AUTOSOME],
        "E(HOM)": called - sums.expected_het[:, AUTOSOME],
        "OBS_CT": called,
        "F": sums.f(AUTOSOME),
    }
    return Outcome([Table("het", columns)], [f"{sums.variants[AUTOSOME]} diploid variants that vary"])


class HetTally:
    """Heterozygotes of samples against the frequencies of the same block."""

    def __init__(self, genotypes: Genotypes) -> None:
        self._diploid = ploidy_class(genotypes.variant_text("chrom")) == "diploid"
        self._founders = GenotypeTally(genotypes, founders(genotypes))
        self.sums = SampleTally(genotypes)

    def add(self, block: Block) -> None:
        """Count a block."""
        self._founders.add(block)
        p = np.nan_to_num(alt_frequency(self._founders.counts[block.start : block.stop]))
        varies = self._diploid[block.start : block.stop] & (p > 0) & (p < 1)
        group = np.where(varies, AUTOSOME, ELSEWHERE).astype(np.int64)
        self.sums.add(block, group=group, frequency=p)
