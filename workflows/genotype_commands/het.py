"""``careome het``: OUT.het with PLINK 2's columns."""

from __future__ import annotations

import numpy as np

from gwas.counts import AUTOSOME, ELSEWHERE, sample_sums
from gwas.frequencies import freq
from gwas.genotypes import Genotypes
from gwas.genotypes.chromosomes import ploidy_class
from workflows.genotype_commands.outcome import Outcome, Table, sample_columns


def tables(genotypes: Genotypes, *, threads: int) -> Outcome:
    """Observed and expected homozygotes of every sample, at founders' frequencies, where variants vary."""
    diploid = genotypes.select(variants=ploidy_class(genotypes.variants["chrom"]) == "diploid")
    p = np.nan_to_num(freq(diploid)["alt_freq"].to_numpy())
    group = np.where((p > 0) & (p < 1), AUTOSOME, ELSEWHERE).astype(np.int64)
    sums = sample_sums(diploid, group=group, frequency=p)
    called = sums.variants[AUTOSOME] - sums.missing[:, AUTOSOME]
    frame = sample_columns(genotypes).assign(
        **{"O(HOM)": called - sums.het[:, AUTOSOME], "E(HOM)": called - sums.expected_het[:, AUTOSOME]},
        OBS_CT=called,
        F=sums.f(AUTOSOME),
    )
    return Outcome([Table("het", frame)], [f"{sums.variants[AUTOSOME]} diploid variants that vary"])
