"""Matching weights to the variants of a genotype file: every weight gets a status, none is lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohorts.errors import InputError
from gwas.polygenic.weights import EFFECTS, UNKNOWN_POSITION, Weights

Floats = NDArray[np.float64]
By = Literal["auto", "position", "id"]
Palindromic = Literal["drop", "keep", "frequency"]

USED: Final = "used"
STATUSES: Final = {
    USED: "enters the score",
    "not_found": "no variant at its position or of its name",
    "allele_mismatch": "a variant is there, but with other alleles",
    "palindromic": "A/T or C/G: the strand cannot be told",
    "ambiguous": "several variants of the file fit equally well",
    "duplicate": "an earlier weight is for the same variant and allele",
    "no_position": "neither a position nor a name to look for",
    "invalid_allele": "the allele is not a sequence of A, C, G and T",
    "unsupported_effect": "a haplotype or an interaction",
    "no_calls": "nobody has a genotype there and no frequency is known",
}
FREQUENCY_MARGIN: Final = 0.08  # a palindromic variant nearer than this to 0.5 stays undecided
_COMPLEMENT: Final = str.maketrans("ACGT", "TGCA")


@dataclass(frozen=True, eq=False)
class Match:
    """What became of every weight of a score.

    Parameters
    ----------
    weights
        The score.
    table
        One row a weight, in order. The columns of ``weights.frame`` and status (a key of `STATUSES`),
        variant (row of the genotype file's variants, -1 if none), effect_is_alt (the effect allele is
        the counted one), flipped (named on the other strand), matched_by (``position``, ``id`` or '').
    other_build
        How many of the weights found by name lie elsewhere in the genotype file: above a few, the two
        are on different genome builds.
    """

    weights: Weights
    table: pd.DataFrame
    other_build: int

    @property
    def used(self) -> pd.DataFrame:
        """Rows of `table` that enter the score."""
        return self.table[self.table["status"] == USED]

    def counts(self) -> dict[str, int]:
        """How many weights have each status; their sum is the number of weights."""
        found = self.table["status"].value_counts()
        return {status: int(found.get(status, 0)) for status in STATUSES}


def match(
    weights: Weights,
    variants: pd.DataFrame,
    *,
    by: By = "auto",
    palindromic: Palindromic = "drop",
    frequencies: Floats | None = None,
    frequency_margin: float = FREQUENCY_MARGIN,
) -> Match:
    """Find the variant of every weight and whether its effect allele is the counted one.

    Parameters
    ----------
    weights
        The score.
    variants
        Variants of the genotype file: chrom, pos, id, ref, alt, one row each, in file order.
    by
        ``position``: chromosome and position; ``id``: name; ``auto``: position, and by name those that
        have no variant of fitting alleles there.
    palindromic
        What to do with A/T and C/G variants, whose strand the alleles cannot tell: ``drop``, ``keep``
        (as on the genotypes' strand) or ``frequency`` (compare the weight's effect_frequency with
        `frequencies`, and drop near 0.5). Weights with `same_strand` keep them always.
    frequencies
        ALT frequency of each variant, shape (len(variants),), NaN if unknown.
    frequency_margin
        How near to 0.5, on either side, a frequency does not tell the strand.

    Returns
    -------
    Match

    Notes
    -----
    A weight without its other allele fits a variant that has its effect allele on either strand. The same
    variant may come twice with either allele as the effect allele (both count); twice with the same allele
    the first counts and the second is a ``duplicate``.

    Examples
    --------
    >>> from gwas.polygenic.weights import make_weights
    >>> rows = pd.DataFrame({"id": ["rs1", "rs2"], "effect_allele": ["T", "G"], "other_allele": ["C", "C"],
    ...                      "weight": [1.0, 2.0]})
    >>> variants = pd.DataFrame({"chrom": ["1", "1"], "pos": [10, 20], "id": ["rs1", "rs2"],
    ...                          "ref": ["A", "C"], "alt": ["G", "G"]})
    >>> found = match(make_weights("s", rows), variants)
    >>> found.table[["status", "effect_is_alt", "flipped"]].values.tolist()
    [['used', False, True], ['palindromic', True, False]]
    """
    frame = weights.frame.reset_index(drop=True)
    n = len(frame)
    result = frame.assign(status="", variant=-1, effect_is_alt=False, flipped=False, matched_by="")
    status = np.full(n, "", dtype=object)
    usable = frame["effect_allele"].str.fullmatch("[ACGT]+").to_numpy(dtype=bool)
    other = frame["other_allele"]
    usable &= (other.str.fullmatch("[ACGT]+") | (other == "")).to_numpy(dtype=bool)
    status[~usable] = "invalid_allele"
    status[~frame["effect_type"].isin(EFFECTS).to_numpy()] = "unsupported_effect"
    placed = (frame["pos"] != UNKNOWN_POSITION).to_numpy() & (frame["chrom"] != "").to_numpy()
    named = (frame["id"] != "").to_numpy() & (frame["id"] != ".").to_numpy()
    lookable = (placed if by == "position" else named if by == "id" else placed | named) & (status == "")
    status[(status == "") & ~lookable] = "no_position"
    searches = [("position", ["chrom", "pos"], placed)] if by != "id" else []
    searches += [("id", ["id"], named)] if by != "position" else []
    for method, keys, possible in searches:
        todo = np.flatnonzero(possible & np.isin(status, ("", "not_found", "allele_mismatch")))
        hits = _candidates(frame.iloc[todo], variants, keys)
        _settle(result, status, todo, hits, method)
    status[status == ""] = "not_found"
    _judge_strand(result, status, weights, variants, palindromic, frequencies, frequency_margin)
    first = ~pd.DataFrame({"v": result["variant"], "a": result["effect_is_alt"]})[status == USED].duplicated()
    status[first.index[~first]] = "duplicate"
    result["status"] = status
    return Match(weights, result, _elsewhere(result, variants))


def require_used(found: Match) -> None:
    """Refuse a match in which no weight at all can be used.

    Raises
    ------
    InputError
        With the counts of every reason.
    """
    if found.used.empty:
        raise InputError(
            "none of its variants is in the genotypes",
            where=found.weights.source or found.weights.name,
            found=", ".join(f"{k} {v}" for k, v in found.counts().items() if v),
            expected="variants of the genotype file",
            fix="check the genome build and the chromosomes",
        )


def _candidates(frame: pd.DataFrame, variants: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Every pair of weight and variant that share the keys: row, variant, fit and orientation."""
    columns = list(dict.fromkeys([*keys, "effect_allele", "other_allele", "id"]))
    left = frame[columns].assign(row=frame.index.to_numpy())
    right = variants[[*dict.fromkeys([*keys, "ref", "alt", "id"])]].reset_index(drop=True)
    right = right.rename(columns={"id": "file_id"}) if "id" not in keys else right.assign(file_id=right["id"])
    right["variant"] = np.arange(len(right))
    pairs = left.merge(right, on=keys, how="inner")
    ref, alt = pairs["ref"].str.upper(), pairs["alt"].str.upper()
    effect, other = pairs["effect_allele"], pairs["other_allele"]
    turned_effect, turned_other = complement(effect), complement(other)
    blank = other == ""
    straight_alt = (effect == alt) & (blank | (other == ref))
    straight_ref = (effect == ref) & (blank | (other == alt))
    turned_alt = (turned_effect == alt) & (blank | (turned_other == ref))
    turned_ref = (turned_effect == ref) & (blank | (turned_other == alt))
    straight = straight_alt | straight_ref
    pairs["fit"] = np.where(straight, 2, np.where(turned_alt | turned_ref, 1, 0))
    pairs["effect_is_alt"] = np.where(straight, straight_alt, turned_alt)
    pairs["named"] = (pairs["id"] == pairs["file_id"]) if "id" not in keys else True
    return pairs


def _settle(
    result: pd.DataFrame, status: NDArray[np.object_], todo: NDArray[np.intp], hits: pd.DataFrame, method: str
) -> None:
    """Take the one best variant of each weight; note a mismatch or an ambiguity otherwise."""
    seen = hits["row"].unique()
    still = status[seen] != "allele_mismatch"
    status[seen[still]] = "allele_mismatch"
    fitting = hits[hits["fit"] > 0]
    if fitting.empty:
        return
    fitting = fitting.assign(rank=fitting["fit"] * 2 + fitting["named"])
    best = fitting[fitting["rank"] == fitting.groupby("row")["rank"].transform("max")]
    many = best["row"].duplicated(keep=False)
    status[best.loc[many, "row"].unique()] = "ambiguous"
    one = best[~many]
    rows = one["row"].to_numpy()
    status[rows] = USED
    result.loc[rows, "variant"] = one["variant"].to_numpy()
    result.loc[rows, "effect_is_alt"] = one["effect_is_alt"].to_numpy(dtype=bool)
    result.loc[rows, "flipped"] = (one["fit"] == 1).to_numpy()
    result.loc[rows, "matched_by"] = method


def _judge_strand(
    result: pd.DataFrame,
    status: NDArray[np.object_],
    weights: Weights,
    variants: pd.DataFrame,
    palindromic: Palindromic,
    frequencies: Floats | None,
    margin: float,
) -> None:
    """Drop, keep or turn the palindromic ones among the matched."""
    rows = np.flatnonzero(status == USED)
    hit = result["variant"].to_numpy()[rows]
    ref = variants["ref"].str.upper().to_numpy()[hit]
    alt = variants["alt"].str.upper().to_numpy()[hit]
    puzzling = complement(pd.Series(ref)).to_numpy() == alt
    if weights.same_strand or palindromic == "keep":
        return
    rows, hit = rows[puzzling], hit[puzzling]
    if palindromic == "drop" or frequencies is None:
        status[rows] = "palindromic"
        return
    theirs = result["effect_frequency"].to_numpy()[rows]
    counted = result["effect_is_alt"].to_numpy()[rows]
    ours = np.where(counted, frequencies[hit], 1 - frequencies[hit])
    clear = (np.abs(theirs - 0.5) > margin) & (np.abs(ours - 0.5) > margin)
    status[rows[~clear]] = "palindromic"
    turn = clear & ((theirs > 0.5) != (ours > 0.5))
    result.loc[rows[turn], "effect_is_alt"] = ~counted[turn]
    result.loc[rows[turn], "flipped"] = True


def complement(alleles: pd.Series) -> pd.Series:
    """The same sequence read on the other strand."""
    distinct = alleles.unique()
    return alleles.map({allele: allele.translate(_COMPLEMENT)[::-1] for allele in distinct}).astype(object)


def _elsewhere(result: pd.DataFrame, variants: pd.DataFrame) -> int:
    """Weights found by name whose own position is not that of the variant they found."""
    named = result[(result["matched_by"] == "id") & (result["pos"] != UNKNOWN_POSITION)]
    there = variants["pos"].to_numpy()[named["variant"].to_numpy()]
    return int((named["pos"].to_numpy() != there).sum())
