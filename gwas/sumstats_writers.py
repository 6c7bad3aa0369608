"""Summary statistics in other programs' columns: functions that return tables; nothing is written here.

PLINK 2's and REGENIE's columns come from :func:`as_results` and :func:`gwas.sumstats.to_plink`,
:func:`gwas.sumstats.to_regenie`. What a layout cannot hold is left out beforehand, counted, by :func:`fit_layout`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from cohorts.errors import InputError
from gwas.association import COLUMNS
from gwas.sumstats import SumStats
from gwas.tails import log10p_normal, p_text, z_of_log10p

Target = Literal["plink2", "regenie", "ssf", "ldsc", "cojo", "saige"]
SsfP = Literal["p_value", "neg_log_10_p_value"]
Mask = npt.NDArray[np.bool_]

SSF_CHROMOSOMES: Final = {"X": "23", "XY": "23", "Y": "24", "MT": "25"}
UNFIT: Final = {
    "no_position": "no position is known",
    "no_name": "no name is known",
    "no_frequency": "the effect allele's frequency is not known",
    "no_n": "N is not known",
    "not_a_sequence": "an allele is not a sequence of A, C, G and T",
    "not_a_snp": "an allele is longer than a base",
    "palindromic": "A/T or C/G: the strand cannot be told",
    "duplicate_name": "an earlier row has the same name",
}
"""Why a layout cannot hold a row."""
_NEEDS: Final[Mapping[Target, tuple[str, ...]]] = {
    "plink2": ("no_position",),
    "regenie": ("no_position",),
    "saige": ("no_position",),
    "ssf": ("no_position", "no_frequency", "not_a_sequence"),
    "ldsc": ("no_name", "no_n", "not_a_sequence", "not_a_snp", "palindromic", "duplicate_name"),
    "cojo": ("no_name", "no_frequency", "no_n", "duplicate_name"),
}
_PER_ALLELE: Final = ("plink2", "regenie", "saige", "cojo")


def fit_layout(
    sumstats: SumStats, target: Target, *, seen: set[str] | None = None
) -> tuple[SumStats, dict[str, int]]:
    """Leave out the rows that a layout cannot hold.

    Parameters
    ----------
    sumstats
        Any.
    target
        The layout. LDSC takes neither indels nor palindromic variants nor a name twice, as its own
        munge_sumstats does (Bulik-Sullivan et al. 2015, Nat Genet 47:291).
    seen
        Names met in earlier blocks; those of this one are added.

    Returns
    -------
    SumStats
    dict
        Reason, a key of :data:`UNFIT`, to how many rows, each under the first that holds.

    Raises
    ------
    InputError
        The statistics are Z scores without an effect per allele, and the layout has no room for such.

    Examples
    --------
    >>> frame = pd.DataFrame({"chrom": "1", "pos": [5, 6], "id": ["a", "b"], "effect_allele": "A",
    ...                       "other_allele": ["G", "T"], "beta": 0.1, "se": 0.1, "log10p": 0.5, "eaf": 0.2,
    ...                       "n": 90.0, "info": np.nan})
    >>> fit_layout(SumStats("t", frame), "ldsc")[1]
    {'palindromic': 1}
    """
    if sumstats.scale == "standardised" and target in _PER_ALLELE:
        raise InputError(
            f"has Z scores but no effect of an allele, which {target} needs",
            where=sumstats.trait,
            fix="choose ldsc or ssf",
        )
    frame = sumstats.frame
    kept = np.ones(len(frame), dtype=np.bool_)
    counts: dict[str, int] = {}
    for reason in _NEEDS[target]:
        bad = kept & _unfit(sumstats, reason, kept, seen)
        if bad.any():
            counts[reason] = int(bad.sum())
            kept &= ~bad
    if seen is not None:
        seen.update(frame["id"].to_numpy()[kept].tolist())
    return sumstats.where(kept), counts


def _unfit(sumstats: SumStats, reason: str, kept: Mask, seen: set[str] | None) -> Mask:
    frame = sumstats.frame
    if reason == "no_position":
        return np.asarray((frame["pos"] < 1) | (frame["chrom"] == ""))
    if reason == "no_name":
        return np.asarray(frame["id"] == "")
    if reason in ("no_frequency", "no_n"):
        return np.asarray(frame["eaf" if reason == "no_frequency" else "n"].isna())
    if reason == "palindromic":
        return sumstats.palindromic
    if reason == "duplicate_name":
        names = frame["id"].where(pd.Series(kept, index=frame.index))
        again = names.duplicated() & names.notna()
        return np.asarray(again | names.isin(list(seen)) if seen else again)
    pattern = "[ACGT]+" if reason == "not_a_sequence" else "[ACGT]"
    return ~_all_distinct(frame["effect_allele"], pattern) | ~_all_distinct(frame["other_allele"], pattern)


def _all_distinct(alleles: pd.Series, pattern: str) -> Mask:
    """Does the whole allele match?; asked once for each distinct one."""
    distinct = pd.Series(alleles.unique())
    return np.asarray(alleles.isin(distinct[distinct.str.fullmatch(pattern)]))


def as_results(sumstats: SumStats) -> pd.DataFrame:
    """Lay statistics out as results, columns :data:`gwas.association.COLUMNS` and INFO, without TRAIT.

    Parameters
    ----------
    sumstats
        REF is taken to be the other allele, which a file of statistics does not say.

    Returns
    -------
    DataFrame
        One row a variant; OBS_CT is whole or NaN, T_STAT is beta / se.
    """
    frame = sumstats.frame
    table = pd.DataFrame(
        {
            "#CHROM": frame["chrom"],
            "POS": frame["pos"],
            "ID": frame["id"].replace("", "."),
            "REF": frame["other_allele"],
            "ALT": frame["effect_allele"],
            "A1": frame["effect_allele"],
            "A1_FREQ": frame["eaf"],
            "FIRTH?": "N",
            "TEST": "ADD",
            "OBS_CT": frame["n"].round().astype("Int64"),
            "BETA": frame["beta"],
            "SE": frame["se"],
            "T_STAT": frame["beta"] / frame["se"],
            "P": 10.0 ** -frame["log10p"],
            "LOG10_P": frame["log10p"],
            "ERRCODE": ".",
        }
    )
    return table[[*COLUMNS[1:]]].assign(INFO=frame["info"])


def to_gwas_ssf(
    sumstats: SumStats,
    *,
    effect: Literal["beta", "odds_ratio", "hazard_ratio"] | None = None,
    p: SsfP = "neg_log_10_p_value",
    sort: bool = True,
) -> pd.DataFrame:
    """GWAS-SSF's columns in their fixed order; write missing values as ``#NA``.

    Parameters
    ----------
    sumstats
        Through :func:`fit_layout`.
    effect
        By default ``beta`` (a log odds ratio where the trait is binary), ``hazard_ratio`` of a survival trait.
        Of Z scores alone it is ``z-score`` with an SE of ``#NA``, which GWAS-SSF 1.1.0 allows. The SE is
        always that of the logarithm.
    p
        P itself as text that does not underflow, or its -log10.
    sort
        By chromosome (1-25) and position.

    Returns
    -------
    DataFrame
        GWAS-SSF 1.0.2 and 1.1.0, https://github.com/EBISPOT/gwas-summary-statistics-standard.
    """
    frame = sumstats.frame
    chromosome = frame["chrom"].replace(SSF_CHROMOSOMES)
    beta, se = frame["beta"], frame["se"]
    column: str = effect or ("hazard_ratio" if sumstats.kind == "survival" else "beta")
    value = beta if column == "beta" else np.exp(beta)
    if sumstats.scale == "standardised":
        column, value, se = "z-score", beta / se, pd.Series(np.nan, index=se.index)
    log10p = frame["log10p"]
    table = pd.DataFrame(
        {
            "chromosome": chromosome,
            "base_pair_location": frame["pos"],
            "effect_allele": frame["effect_allele"],
            "other_allele": frame["other_allele"],
            column: value,
            "standard_error": se,
            "effect_allele_frequency": frame["eaf"],
            p: p_text(log10p.to_numpy(), digits=9) if p == "p_value" else log10p,
            "rsid": frame["id"].where(_all_distinct(frame["id"], r"rs\d+"), None),
            "info": frame["info"].where(frame["info"] <= 1),
            "n": frame["n"].round().astype("Int64"),
        }
    )
    if not sort:
        return table
    number = pd.to_numeric(table["chromosome"], errors="coerce").to_numpy()
    return table.iloc[np.lexsort((table["base_pair_location"].to_numpy(), number))].reset_index(drop=True)


def to_ldsc(sumstats: SumStats) -> pd.DataFrame:
    """LDSC's columns ``SNP A1 A2 Z N``; Z is that of P, with the sign of the effect, as munge_sumstats has it."""
    frame = sumstats.frame
    beta, se, log10p = (frame[name].to_numpy() for name in ("beta", "se", "log10p"))
    wald = beta / se
    # Where P is that of beta / se anyway, its rounding would only take digits from Z.
    same = np.abs(log10p_normal(wald) - log10p) <= 1e-5 * np.maximum(log10p, 1.0)
    z = np.where(same, wald, np.sign(beta) * z_of_log10p(log10p))
    return pd.DataFrame(
        {
            "SNP": frame["id"],
            "A1": frame["effect_allele"],
            "A2": frame["other_allele"],
            "Z": z,
            "N": frame["n"],
        }
    )


def to_cojo(sumstats: SumStats) -> pd.DataFrame:
    """GCTA-COJO's columns ``SNP A1 A2 freq b se p N`` (.ma); p is text, so that it does not underflow."""
    frame = sumstats.frame
    return pd.DataFrame(
        {
            "SNP": frame["id"],
            "A1": frame["effect_allele"],
            "A2": frame["other_allele"],
            "freq": frame["eaf"],
            "b": frame["beta"],
            "se": frame["se"],
            "p": p_text(frame["log10p"].to_numpy(), digits=9),
            "N": frame["n"],
        }
    )


def to_saige(sumstats: SumStats) -> pd.DataFrame:
    """SAIGE's columns; Allele2 is the effect allele, var is 1 / se² and Tstat beta / se², as in its score test."""
    frame = sumstats.frame
    variance = 1.0 / frame["se"] ** 2
    return pd.DataFrame(
        {
            "CHR": frame["chrom"],
            "POS": frame["pos"],
            "MarkerID": frame["id"].replace("", "."),
            "Allele1": frame["other_allele"],
            "Allele2": frame["effect_allele"],
            "AC_Allele2": 2.0 * frame["n"] * frame["eaf"],
            "AF_Allele2": frame["eaf"],
            "imputationInfo": frame["info"],
            "BETA": frame["beta"],
            "SE": frame["se"],
            "Tstat": frame["beta"] * variance,
            "var": variance,
            "p.value": p_text(frame["log10p"].to_numpy(), digits=9),
            "N": frame["n"].round().astype("Int64"),
        }
    )
