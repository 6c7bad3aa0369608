"""``careome ld-score``: OUT.l2.ldscore.gz, OUT.l2.M and OUT.l2.M_5_50, as LD score regression reads them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cohorts.errors import DesignError
from gwas.counts import AUTOSOME, variant_group
from gwas.frequencies import founders
from gwas.genotypes import Genotypes
from gwas.ld_score_sums import ld_scores, reference_size
from workflows.genotype_commands.outcome import Outcome, Table


def tables(
    genotypes: Genotypes,
    *,
    threads: int,
    window_kb: float | None = None,
    window_cm: float | None = None,
    window_variants: int | None = None,
) -> Outcome:
    """LD scores of autosomal variants that vary, among founders."""
    autosomal = variant_group(genotypes) == AUTOSOME
    if not autosomal.any():
        raise DesignError("no variant lies on an autosome", fix="check the filters and chromosome names")
    chosen = genotypes.select(variants=autosomal, samples=founders(genotypes))
    scores = ld_scores(
        chosen, window_kb=window_kb, window_cm=window_cm, window_variants=window_variants, threads=threads
    )
    m, m_5_50 = reference_size(scores)
    notes = [
        f"{chosen.n_samples} founders; {int((~autosomal).sum())} variants off the autosomes and"
        f" {chosen.n_variants - m} that do not vary left out",
        f"mean LD score {scores['L2'].mean():.4g}; {m_5_50} variants with MAF above 5 %",
    ]
    return Outcome(
        [
            Table("l2.ldscore.gz", scores[["CHR", "SNP", "BP", "L2"]]),
            Table("l2.M", pd.DataFrame({"M": np.array([m])}), header=False),
            Table("l2.M_5_50", pd.DataFrame({"M": np.array([m_5_50])}), header=False),
        ],
        notes,
    )
