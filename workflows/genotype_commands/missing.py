"""``careome missing``: OUT.smiss and OUT.vmiss with PLINK 2's columns."""

from __future__ import annotations

import numpy as np
import pandas as pd

from gwas.genotypes import Genotypes
from gwas.missingness import missing_calls
from workflows.genotype_commands.outcome import Outcome, Table, sample_columns, variant_columns


def tables(genotypes: Genotypes, *, threads: int) -> Outcome:
    """Missing calls of every sample and of every variant; nobody but a man has a Y to miss."""
    found = missing_calls(genotypes)
    variants = variant_columns(genotypes)[["#CHROM", "ID"]]
    return Outcome(
        [
            Table("smiss", _rates(sample_columns(genotypes), found.by_sample, found.of_sample)),
            Table("vmiss", _rates(variants, found.by_variant, found.of_variant)),
        ]
    )


def _rates(frame: pd.DataFrame, missing: np.ndarray, possible: np.ndarray) -> pd.DataFrame:
    rate = np.divide(missing, possible, out=np.full(len(missing), np.nan), where=possible > 0)
    return frame.assign(MISSING_CT=missing, OBS_CT=possible, F_MISS=rate)
