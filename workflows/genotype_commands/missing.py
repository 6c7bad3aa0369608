"""``careome missing``: OUT.smiss and OUT.vmiss with PLINK 2's columns."""

from __future__ import annotations

import numpy as np

from gwas.genotypes import Genotypes
from gwas.missingness import MissingCalls, missing_calls
from workflows.genotype_commands.outcome import Cells, Outcome, Table, sample_cells, variant_cells


def tables(genotypes: Genotypes, *, threads: int) -> Outcome:
    """Missing calls of every sample and of every variant; nobody but a man has a Y to miss."""
    return rates_of(genotypes, missing_calls(genotypes))


def rates_of(genotypes: Genotypes, found: MissingCalls) -> Outcome:
    """The two tables of missing calls."""
    variants = variant_cells(genotypes)
    names = {name: variants[name] for name in ("#CHROM", "ID")}
    return Outcome(
        [
            Table("smiss", _rates(sample_cells(genotypes), found.by_sample, found.of_sample)),
            Table("vmiss", _rates(names, found.by_variant, found.of_variant)),
        ]
    )


def _rates(names: Cells, missing: np.ndarray, possible: np.ndarray) -> Cells:
    rate = np.divide(missing, possible, out=np.full(len(missing), np.nan), where=possible > 0)
    return {**names, "MISSING_CT": missing, "OBS_CT": possible, "F_MISS": rate}
