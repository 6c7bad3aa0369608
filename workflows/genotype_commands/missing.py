"""``careome missing``: OUT.smiss and OUT.vmiss with PLINK 2's columns."""

from __future__ import annotations

import numpy as np
import pandas as pd

from gwas.counts import genotype_counts, sample_sums
from gwas.genotypes import Genotypes
from gwas.genotypes.chromosomes import ploidy_class
from workflows.genotype_commands.outcome import Outcome, Table, sample_columns, variant_columns


def tables(genotypes: Genotypes, *, threads: int) -> Outcome:
    """Missing calls of every sample and of every variant; nobody but a man has a Y to miss."""
    on_y = ploidy_class(genotypes.variants["chrom"]) == "y"
    male = np.asarray(genotypes.samples["sex"] == "M", dtype=np.bool_)
    return Outcome(
        [
            Table("smiss", _by_sample(genotypes, on_y, male)),
            Table("vmiss", _by_variant(genotypes, on_y, male)),
        ]
    )


def _by_sample(genotypes: Genotypes, on_y: np.ndarray, male: np.ndarray) -> pd.DataFrame:
    no_frequency = np.zeros(genotypes.n_variants)
    sums = sample_sums(genotypes, group=on_y.astype(np.int64), frequency=no_frequency)
    missing = sums.missing[:, 0] + np.where(male, sums.missing[:, 1], 0)
    observable = sums.variants[0] + np.where(male, sums.variants[1], 0)
    return _rates(sample_columns(genotypes), missing, observable)


def _by_variant(genotypes: Genotypes, on_y: np.ndarray, male: np.ndarray) -> pd.DataFrame:
    counts = genotype_counts(genotypes, np.ones(genotypes.n_samples, dtype=np.bool_))[0]
    counts[on_y] = genotype_counts(genotypes.select(variants=on_y), male)[0]
    return _rates(variant_columns(genotypes)[["#CHROM", "ID"]], counts[:, 3], counts.sum(axis=1))


def _rates(frame: pd.DataFrame, missing: np.ndarray, observable: np.ndarray) -> pd.DataFrame:
    rate = np.divide(missing, observable, out=np.full(len(missing), np.nan), where=observable > 0)
    return frame.assign(MISSING_CT=missing, OBS_CT=observable, F_MISS=rate)
