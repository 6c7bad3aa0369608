"""Summary statistics: anyone's estimates for one trait as a checked value, inflation, top loci.

Files of other programs are read by :mod:`gwas.sumstats_reader`, laid out by :mod:`gwas.sumstats_writers`.
The tables of our own results, with a row and a code for every variant, get PLINK 2's or REGENIE's columns here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from cohorts.errors import InputError
from gwas.design import Kind
from gwas.tails import GENOME_WIDE, p_text

NUMERIC_CHROMOSOMES: Final = {"X": "23", "Y": "24", "XY": "25", "MT": "26"}
_MEDIAN_CHI2: Final = 0.45493642311957283
_P_BINS: Final = 1 << 16


EffectKind = Literal["quantitative", "binary", "survival"]
Scale = Literal["allele", "standardised"]

FIELDS: Final = (
    "chrom",
    "pos",
    "id",
    "effect_allele",
    "other_allele",
    "beta",
    "se",
    "log10p",
    "eaf",
    "n",
    "info",
)
"""Columns of :class:`SumStats`."""
UNKNOWN_POSITION: Final = -1


@dataclass(frozen=True)
class Origin:
    """Where summary statistics came from, and what of it was left out.

    Attributes
    ----------
    path, layout
        The file and the name of its layout, see :data:`gwas.sumstats_layouts.LAYOUTS`.
    rows
        Data rows of the file.
    left_out
        Reason to how many rows; `rows` less their sum is what was kept.
    notes
        What had to be inferred, in sentences.
    """

    path: str
    layout: str
    rows: int
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class SumStats:
    """Estimates of one trait, from whatever program.

    Attributes
    ----------
    trait
        Its name.
    frame
        One row a variant, columns :data:`FIELDS`: chrom (canonical, '' if unknown), pos (int64, 1-based, -1
        if unknown), id ('' if unknown), effect_allele and other_allele (upper case), beta (per copy of the
        effect allele: units of the trait, log odds or log hazard), se, log10p (-log10 P), eaf (frequency of
        the effect allele), n, info; numbers are float64, NaN where eaf, n or info are not known.
    kind
        ``quantitative``, ``binary`` or ``survival``; None if the source does not say.
    build
        Genome build of the positions, None if the source does not say.
    scale
        ``allele``, or ``standardised`` where the source gave Z alone: beta is then Z / sqrt(n + Z²), in
        standard deviations of trait and genotype (Zhu et al. 2016, Nat Genet 48:481), and beta / se is Z.
    origin
        The file, None if there is none.
    """

    trait: str
    frame: pd.DataFrame
    kind: EffectKind | None = None
    build: str | None = None
    scale: Scale = "allele"
    origin: Origin | None = None

    def __post_init__(self) -> None:
        check_sumstats(self.frame, where=self.trait)

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def lambda_gc(self) -> float:
        """Genomic inflation, see :func:`lambda_gc`."""
        return lambda_gc(self.frame["log10p"].to_numpy())

    @property
    def palindromic(self) -> npt.NDArray[np.bool_]:
        """Rows with A/T or C/G, whose strand the alleles cannot tell."""
        pairs = self.frame["effect_allele"] + self.frame["other_allele"]
        return np.asarray(pairs.isin(["AT", "TA", "CG", "GC"]))

    def where(self, rows: npt.NDArray[np.bool_]) -> SumStats:
        """The same with these rows alone; bool (len,)."""
        return replace(self, frame=self.frame[rows].reset_index(drop=True))


def check_sumstats(frame: pd.DataFrame, *, where: str = "summary statistics") -> None:
    """Refuse a frame that does not keep the promises of :class:`SumStats`.

    Raises
    ------
    InputError
        A column is absent; an estimate is not finite, an SE not positive, a P above 1, a frequency outside
        0 to 1, N not positive, or an allele is absent or twice the same.
    """
    absent = [name for name in FIELDS if name not in frame.columns]
    if absent:
        raise InputError("columns are missing", where=where, found=f"no {', '.join(absent)}")
    beta, se, log10p, eaf, n = (
        frame[name].to_numpy(dtype=np.float64) for name in ("beta", "se", "log10p", "eaf", "n")
    )
    effect, other = frame["effect_allele"].to_numpy(), frame["other_allele"].to_numpy()
    faults = {
        "an effect that is not finite": ~np.isfinite(beta),
        "an SE that is not positive": ~((se > 0) & np.isfinite(se)),
        "a P outside 0 to 1": ~((log10p >= 0) & np.isfinite(log10p)),
        "a frequency outside 0 to 1": (eaf < 0) | (eaf > 1),
        "an N that is not positive": n <= 0,
        "an allele that is absent, or both the same": (effect == "") | (other == "") | (effect == other),
    }
    for fault, rows in faults.items():
        if rows.any():
            raise InputError(
                f"{fault} in {int(rows.sum())} rows", where=where, fix="check how the table was made"
            )


def from_results(
    frame: pd.DataFrame, *, trait: str, kind: EffectKind | None = None, build: str | None = None
) -> SumStats:
    """Take the estimates of a table of results, leaving out what was not tested.

    Parameters
    ----------
    frame
        Results of one trait, columns :data:`gwas.association.COLUMNS` with or without TRAIT.
    trait, kind, build
        As in :class:`SumStats`.

    Examples
    --------
    >>> table = pd.DataFrame({"#CHROM": ["1", "1"], "POS": [5, 6], "ID": ["a", "b"], "REF": "G", "ALT": "A",
    ...                       "A1": "A", "A1_FREQ": 0.2, "OBS_CT": 90, "BETA": [0.5, np.nan], "SE": [0.1, np.nan],
    ...                       "LOG10_P": [6.2, np.nan], "ERRCODE": [".", "CONST_ALLELE"]})
    >>> from_results(table, trait="height").frame[["id", "effect_allele", "beta", "n"]].values.tolist()
    [['a', 'A', 0.5, 90.0]]
    """
    rows = frame[frame["ERRCODE"] == "."].reset_index(drop=True)
    table = pd.DataFrame(
        {
            "chrom": rows["#CHROM"].astype(object),
            "pos": rows["POS"].astype(np.int64),
            "id": rows["ID"].replace(".", "").astype(object),
            "effect_allele": rows["A1"].astype(object),
            "other_allele": _other_allele(rows).astype(object),
            "beta": rows["BETA"].astype(np.float64),
            "se": rows["SE"].astype(np.float64),
            "log10p": rows["LOG10_P"].astype(np.float64),
            "eaf": rows["A1_FREQ"].astype(np.float64),
            "n": rows["OBS_CT"].astype(np.float64),
            "info": rows["INFO"].astype(np.float64) if "INFO" in rows else np.nan,
        }
    )
    return SumStats(trait, table, kind, build)


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
    from scipy import special

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


def _other_allele(frame: pd.DataFrame) -> pd.Series:
    return frame["REF"].where(frame["A1"] == frame["ALT"], frame["ALT"])
