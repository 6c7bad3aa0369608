"""Results of one trait as our own tests gave them: every variant, with its estimate or the code for why not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cohorts.errors import InputError
from gwas.association import COLUMNS
from gwas.design import Kind
from gwas.sumstats import lambda_gc, top_loci
from gwas.tails import GENOME_WIDE


@dataclass(frozen=True, eq=False)
class TraitResults:
    """Results of one trait.

    Attributes
    ----------
    trait
        Its name.
    kind
        ``quantitative`` (BETA per copy of A1, T_STAT is t) or ``binary`` (BETA is a log odds ratio, T_STAT
        is z).
    frame
        One row a variant, columns :data:`gwas.association.COLUMNS` without TRAIT; checked when made.
    """

    trait: str
    kind: Kind
    frame: pd.DataFrame

    def __post_init__(self) -> None:
        check_results(self.frame, where=self.trait)

    @property
    def tested(self) -> pd.DataFrame:
        """Rows with a result."""
        return self.frame[self.frame["ERRCODE"] == "."]

    @property
    def lambda_gc(self) -> float:
        """Genomic inflation, see :func:`lambda_gc`."""
        return lambda_gc(self.tested["LOG10_P"].to_numpy(dtype=np.float64))

    def top_loci(self, *, log10p: float = GENOME_WIDE, distance: int = 500_000) -> pd.DataFrame:
        """Lead variants, see :func:`top_loci`."""
        return top_loci(self.frame, log10p=log10p, distance=distance)


def check_results(frame: pd.DataFrame, *, where: str = "results") -> None:
    """Refuse a frame that is not what :func:`gwas.association.associate` gives.

    Raises
    ------
    InputError
        A column is missing; an SE is not positive, a frequency outside [0, 1], an effect allele that is
        neither REF nor ALT; a result without code ``.`` or a code with a result.
    """
    absent = [name for name in COLUMNS[1:] if name not in frame.columns]
    if absent:
        raise InputError(
            "columns are missing",
            where=where,
            found=f"no {', '.join(absent)}",
            expected=", ".join(COLUMNS[1:]),
        )
    fine = (frame["ERRCODE"] == ".").to_numpy()
    numbers = frame[["BETA", "SE", "T_STAT", "LOG10_P"]].to_numpy(dtype=np.float64)
    frequency = frame["A1_FREQ"].to_numpy(dtype=np.float64)
    faults = {
        "a result that is not finite": ~np.isfinite(numbers[fine]).all(axis=1),
        "an SE that is not positive": ~(numbers[fine, 1] > 0),
        "a result beside an error code": ~np.isnan(numbers[~fine]).all(axis=1),
        "a frequency outside 0 to 1": (frequency < 0) | (frequency > 1),
        "an A1 that is neither REF nor ALT": (
            (frame["A1"] != frame["ALT"]) & (frame["A1"] != frame["REF"])
        ).to_numpy(),
    }
    for fault, rows in faults.items():
        if rows.any():
            raise InputError(
                f"{fault} in {int(rows.sum())} rows", where=where, fix="check how the table was made"
            )
