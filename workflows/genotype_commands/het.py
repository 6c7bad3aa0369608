"""``careome het``: OUT.het with PLINK 2's columns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cohorts.errors import DesignError
from gwas.counts import AUTOSOME, ELSEWHERE, GenotypeTally, SampleTally, alt_frequency, in_one_pass
from gwas.frequencies import alleles, founders
from gwas.genotypes import Block, Genotypes
from gwas.genotypes.chromosomes import ploidy_class
from workflows.genotype_commands.outcome import Outcome, Table, sample_cells

F64 = npt.NDArray[np.float64]


def tables(genotypes: Genotypes, *, threads: int) -> Outcome:
    """Observed and expected homozygotes of every sample, at founders' frequencies, where variants vary.

    Genotypes are hard calls. Frequencies are those of dosages where these are used, as in PLINK 2.
    """
    if not bool((ploidy_class(genotypes.variant_text("chrom")) == "diploid").any()):
        raise DesignError(
            "no variant lies on an autosome, where heterozygosity is counted",
            where=genotypes.path,
            fix="choose autosomes with --chr; for X there is careome sex-check",
        )
    dosed = genotypes.values == "dosage"
    tally = HetTally(genotypes, frequency=alleles(genotypes).frequency if dosed else None)
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
    notes = [f"{sums.variants[AUTOSOME]} diploid variants that vary"]
    if dosed:
        notes.append("genotypes are hard calls, frequencies are of dosages")
    return Outcome([Table("het", columns)], notes)


class HetTally:
    """Heterozygotes of samples against given frequencies of ALT, else those of the same block's founders."""

    def __init__(self, genotypes: Genotypes, *, frequency: F64 | None = None) -> None:
        self._given = frequency
        self._diploid = ploidy_class(genotypes.variant_text("chrom")) == "diploid"
        self._founders = GenotypeTally(genotypes, founders(genotypes))
        self.sums = SampleTally(genotypes)

    def add(self, block: Block) -> None:
        """Count a block."""
        if self._given is None:
            self._founders.add(block)
            frequency = alt_frequency(self._founders.counts[block.start : block.stop])
        else:
            frequency = self._given[block.start : block.stop]
        p = np.nan_to_num(frequency)
        varies = self._diploid[block.start : block.stop] & (p > 0) & (p < 1)
        group = np.where(varies, AUTOSOME, ELSEWHERE).astype(np.int64)
        self.sums.add(block, group=group, frequency=p)
