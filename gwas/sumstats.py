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

from gwas.design import Kind
from gwas.tails import p_text

NUMERIC_CHROMOSOMES: Final = {"X": "23", "Y": "24", "XY": "25", "MT": "26"}
SSF_CHROMOSOMES: Final = {"X": "23", "XY": "23", "Y": "24", "MT": "25"}
GENOME_WIDE: Final = float(-np.log10(5e-8))
_MEDIAN_CHI2: Final = float(special.ndtri(0.75) ** 2)
_P_BINS: Final = 1 << 16


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
