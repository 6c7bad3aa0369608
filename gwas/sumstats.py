"""Summary statistics: one trait's results as a checked value, its inflation, top loci, other tools' layouts.

The layouts are functions that return frames; nothing is written here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special

from cohorts.errors import InputError
from gwas.association import COLUMNS
from gwas.design import Kind
from gwas.tails import p_text

NUMERIC_CHROMOSOMES: Final = {"X": "23", "Y": "24", "XY": "25", "MT": "26"}
SSF_CHROMOSOMES: Final = {"X": "23", "XY": "23", "Y": "24", "MT": "25"}
GENOME_WIDE: Final = float(-np.log10(5e-8))
_MEDIAN_CHI2: Final = float(special.ndtri(0.75) ** 2)
_P_BINS: Final = 1 << 16


@dataclass(frozen=True, eq=False)
class SumStats:
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
        check_sumstats(self.frame, where=self.trait)

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


def check_sumstats(frame: pd.DataFrame, *, where: str = "summary statistics") -> None:
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


def lambda_gc(log10p: npt.ArrayLike) -> float:
    """Genomic inflation: median chi-squared (1 df) of the P values over that of the null, 0.4549.

    Parameters
    ----------
    log10p
        -log10 P; NaN is left out.

    Returns
    -------
    float
        NaN without any P. Devlin & Roeder (1999), Biometrics 55:997.

    Examples
    --------
    >>> round(lambda_gc(-np.log10((np.arange(10000) + 0.5) / 10000)), 3)
    1.0
    """
    values = np.asarray(log10p, dtype=np.float64)
    values = values[~np.isnan(values)]
    if not len(values):
        return float("nan")
    return _chi2_of_p(10.0 ** -float(np.median(values))) / _MEDIAN_CHI2


def _chi2_of_p(p: float) -> float:
    return float(special.ndtri(p / 2.0) ** 2)


@dataclass(eq=False)
class InflationCounter:
    """λ of a stream of results in fixed memory: P values are counted in 65,536 equal bins.

    Examples
    --------
    >>> counter = InflationCounter()
    >>> counter.add(-np.log10((np.arange(10000) + 0.5) / 10000))
    >>> round(counter.lambda_gc, 2)
    1.0
    """

    def __init__(self) -> None:
        self.counts = np.zeros(_P_BINS, dtype=np.int64)

    def add(self, log10p: npt.ArrayLike) -> None:
        """Count more -log10 P values; NaN is left out."""
        values = np.asarray(log10p, dtype=np.float64)
        p = 10.0 ** -values[~np.isnan(values)]
        bins = np.minimum((p * _P_BINS).astype(np.int64), _P_BINS - 1)
        self.counts += np.bincount(bins, minlength=_P_BINS)

    @property
    def lambda_gc(self) -> float:
        """Genomic inflation of what was counted, right to about 1e-4; NaN without any P."""
        total = int(self.counts.sum())
        if not total:
            return float("nan")
        below = np.cumsum(self.counts)
        at = int(np.searchsorted(below, total / 2.0))
        before = int(below[at - 1]) if at else 0
        inside = (total / 2.0 - before) / int(self.counts[at])
        return _chi2_of_p((at + inside) / _P_BINS) / _MEDIAN_CHI2


def top_loci(frame: pd.DataFrame, *, log10p: float = GENOME_WIDE, distance: int = 500_000) -> pd.DataFrame:
    """Choose lead variants greedily by P, none within `distance` of a better one.

    Parameters
    ----------
    frame
        Results of one trait.
    log10p
        Least -log10 P of a lead variant.
    distance
        Base pairs on either side that a lead variant stands for.

    Returns
    -------
    DataFrame
        The leads in genome order of the file, with N_NEAR: how many other variants in reach pass `log10p`.
        This is by distance alone; for clumping by linkage disequilibrium see :mod:`gwas.polygenic`.
    """
    passing = frame[(frame["ERRCODE"] == ".") & (frame["LOG10_P"] >= log10p)]
    leads: list[int] = []
    near: list[int] = []
    for _, rows in passing.groupby("#CHROM", sort=False):
        pos = rows["POS"].to_numpy()
        strength = rows["LOG10_P"].to_numpy(dtype=np.float64)
        free = np.ones(len(rows), dtype=bool)
        for i in np.lexsort((np.arange(len(rows)), -strength)):
            if free[i]:
                reach = np.abs(pos - pos[i]) <= distance
                leads.append(int(rows.index[i]))
                near.append(int(reach.sum()) - 1)
                free &= ~reach
    chosen = frame.loc[leads].assign(N_NEAR=near)
    return chosen.sort_index().reset_index(drop=True)


def to_plink(frame: pd.DataFrame, *, kind: Kind) -> pd.DataFrame:
    """PLINK 2's columns for ``.glm.linear`` or ``.glm.logistic.hybrid``, plus A1_FREQ and LOG10_P.

    Returns
    -------
    DataFrame
        Quantitative: ``#CHROM POS ID REF ALT A1 A1_FREQ TEST OBS_CT BETA SE T_STAT P LOG10_P ERRCODE``;
        binary: ``… A1_FREQ FIRTH? TEST OBS_CT OR LOG(OR)_SE Z_STAT P LOG10_P ERRCODE``. P is text, so that it
        does not underflow.
    """
    table = frame.drop(columns="TRAIT", errors="ignore").assign(P=p_text(frame["LOG10_P"].to_numpy()))
    if kind == "quantitative":
        return table.drop(columns="FIRTH?")
    with np.errstate(over="ignore"):
        table["BETA"] = np.exp(table["BETA"])
    return table.rename(columns={"BETA": "OR", "SE": "LOG(OR)_SE", "T_STAT": "Z_STAT"})


def to_regenie(frame: pd.DataFrame) -> pd.DataFrame:
    """REGENIE's columns; ALLELE1 is the effect allele, EXTRA the error code where there is no result."""
    return pd.DataFrame(
        {
            "CHROM": frame["#CHROM"].replace(NUMERIC_CHROMOSOMES),
            "GENPOS": frame["POS"],
            "ID": frame["ID"],
            "ALLELE0": _other_allele(frame),
            "ALLELE1": frame["A1"],
            "A1FREQ": frame["A1_FREQ"],
            "INFO": 1,
            "N": frame["OBS_CT"],
            "TEST": frame["TEST"],
            "BETA": frame["BETA"],
            "SE": frame["SE"],
            "CHISQ": frame["T_STAT"] ** 2,
            "LOG10P": frame["LOG10_P"],
            "EXTRA": frame["ERRCODE"].where(frame["ERRCODE"] != ".", "NA"),
        }
    )


def to_gwas_ssf(frame: pd.DataFrame, *, effect: Literal["beta", "odds_ratio"] = "beta") -> pd.DataFrame:
    """GWAS-SSF's columns in their fixed order, tested variants only; write missing values as ``#NA``.

    Parameters
    ----------
    frame
        Results of one trait.
    effect
        Report ``beta`` (log odds ratio where the trait is binary) or ``odds_ratio``.

    Returns
    -------
    DataFrame
        Sorted by chromosome (1-25) and position. GWAS-SSF 1.0: Hayhurst et al. (2022), bioRxiv
        2022.07.15.500230.
    """
    rows = frame[frame["ERRCODE"] == "."]
    chromosome = rows["#CHROM"].replace(SSF_CHROMOSOMES)
    beta = rows["BETA"]
    table = pd.DataFrame(
        {
            "chromosome": chromosome,
            "base_pair_location": rows["POS"],
            "effect_allele": rows["A1"],
            "other_allele": _other_allele(rows),
            effect: np.exp(beta) if effect == "odds_ratio" else beta,
            "standard_error": rows["SE"],
            "effect_allele_frequency": rows["A1_FREQ"],
            "neg_log_10_p_value": rows["LOG10_P"],
            "variant_id": chromosome + "_" + rows["POS"].astype(str) + "_" + rows["REF"] + "_" + rows["ALT"],
            "rsid": rows["ID"].where(rows["ID"].str.match(r"rs\d+$"), None),
            "n": rows["OBS_CT"],
        }
    )
    number = pd.to_numeric(table["chromosome"], errors="coerce")
    order = np.lexsort((table["base_pair_location"].to_numpy(), number.to_numpy()))
    return table.iloc[order].reset_index(drop=True)


def _other_allele(frame: pd.DataFrame) -> pd.Series:
    return frame["REF"].where(frame["A1"] == frame["ALT"], frame["ALT"])
