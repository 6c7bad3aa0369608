"""Summary statistics on the strand and alleles of a reference, every row accounted for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from cohorts.errors import InputError
from gwas.polygenic.matching import Palindromic, match
from gwas.polygenic.weights import make_weights
from gwas.sumstats import SumStats

Index = npt.NDArray[np.int64]

REASONS: Final = {
    "not_found": "the reference has no variant there",
    "allele_mismatch": "the reference has other alleles there",
    "palindromic": "A/T or C/G, and the strand cannot be told",
    "ambiguous": "several variants of the reference fit equally well",
    "duplicate": "an earlier row is for the same variant",
    "no_position": "neither a position nor a name to look for",
    "invalid_allele": "an allele is not a sequence of A, C, G and T",
}
"""Why a row is left out."""


@dataclass(frozen=True)
class HarmonyCounts:
    """What became of the rows.

    Attributes
    ----------
    rows, kept
        Before and after; they differ by the sum of `reasons`.
    swapped, flipped, palindromic
        Of those kept: the effect allele was the reference's REF and the effect was turned round; the alleles
        were named on the other strand; A/T or C/G, with a strand told by frequency or trusted.
    reasons
        Key of :data:`REASONS` to how many rows were left out.
    """

    rows: int
    kept: int
    swapped: int
    flipped: int
    palindromic: int
    reasons: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert self.rows == self.kept + sum(self.reasons.values()), "a row is not accounted for"

    def __add__(self, other: HarmonyCounts) -> HarmonyCounts:
        reasons = {
            key: self.reasons.get(key, 0) + other.reasons.get(key, 0)
            for key in REASONS
            if key in self.reasons or key in other.reasons
        }
        return HarmonyCounts(
            self.rows + other.rows,
            self.kept + other.kept,
            self.swapped + other.swapped,
            self.flipped + other.flipped,
            self.palindromic + other.palindromic,
            reasons,
        )

    def sentence(self) -> str:
        """All counts in one line."""
        out = "".join(f", {count} {reason}" for reason, count in self.reasons.items())
        return (
            f"{self.rows} rows, {self.kept} kept ({self.swapped} swapped, {self.flipped} on the other strand,"
            f" {self.palindromic} palindromic){out}"
        )


class Harmoniser:
    """Harmonises block after block of one file to a reference; a variant met before is a duplicate.

    Parameters
    ----------
    reference, build, palindromic, maf_limit
        As of :func:`harmonise`.
    """

    def __init__(
        self,
        reference: pd.DataFrame,
        *,
        build: str | None,
        palindromic: Palindromic = "frequency",
        maf_limit: float = 0.42,
    ) -> None:
        absent = [name for name in ("id", "ref", "alt") if name not in reference]
        if absent:
            raise InputError("columns are missing", where="reference", found=f"no {', '.join(absent)}")
        if not 0.0 <= maf_limit <= 0.5:
            raise InputError("is not between 0 and 0.5", where="maf_limit", found=maf_limit)
        self._placed = {"chrom", "pos"} <= set(reference.columns) and bool((reference["pos"] > 0).any())
        self._build, self._palindromic, self._margin = build, palindromic, 0.5 - maf_limit
        order = np.arange(len(reference))
        if self._placed:
            order = np.lexsort((reference["pos"].to_numpy(), pd.factorize(reference["chrom"])[0]))
        self._reference = reference.iloc[order].reset_index(drop=True)
        if "alt_freq" not in reference:
            self._reference = self._reference.assign(alt_freq=np.nan)
        self._taken = np.zeros(len(reference), dtype=np.bool_)
        self._stretches = self._find_stretches()

    def _find_stretches(self) -> dict[str, tuple[int, int]]:
        """First row of each chromosome and the one after its last."""
        if not self._placed:
            return {}
        chrom = self._reference["chrom"].to_numpy()
        starts = np.flatnonzero(np.r_[True, chrom[1:] != chrom[:-1]]) if len(chrom) else np.zeros(0, int)
        ends = np.r_[starts[1:], len(chrom)]
        return {str(chrom[a]): (int(a), int(b)) for a, b in zip(starts, ends, strict=True)}

    def apply(self, sumstats: SumStats) -> tuple[SumStats, HarmonyCounts]:
        """Harmonise a block; see :func:`harmonise`."""
        if sumstats.build and self._build and sumstats.build != self._build:
            raise InputError(
                "is on another genome build than the reference",
                where=sumstats.trait,
                found=sumstats.build,
                expected=self._build,
                fix="lift it over with --chain",
            )
        frame = sumstats.frame
        if frame.empty:
            return replace(sumstats, build=self._build), HarmonyCounts(0, 0, 0, 0, 0)
        by_place = self._placed and bool((frame["pos"] > 0).any())
        rows = self._near(frame) if by_place else np.arange(len(self._reference))
        variants = self._reference.iloc[rows].reset_index(drop=True)
        if not {"chrom", "pos"} <= set(variants.columns):
            variants = variants.assign(chrom="", pos=-1)
        weights = frame.rename(columns={"beta": "weight", "eaf": "effect_frequency"})
        found = match(
            make_weights(sumstats.trait, weights),
            variants,
            by="position" if by_place else "id",
            palindromic=self._palindromic,
            frequencies=variants["alt_freq"].to_numpy(dtype=np.float64),
            frequency_margin=self._margin,
        ).table
        status = found["status"].to_numpy(dtype=object).copy()
        # The same variant with either allele as the effect allele is two weights but one association.
        candidates = np.flatnonzero(np.isin(status, ("used", "duplicate")))
        there = rows[found["variant"].to_numpy()[candidates]]
        first = ~self._taken[there] & ~pd.Series(there).duplicated().to_numpy()
        status[candidates] = np.where(first, "used", "duplicate")
        self._taken[there[first]] = True
        return self._oriented(sumstats, found, status, variants)

    def _near(self, frame: pd.DataFrame) -> Index:
        """Rows of the reference between the first and the last position of the block on each chromosome."""
        parts = [np.zeros(0, dtype=np.int64)]
        positions = self._reference["pos"].to_numpy()
        for chrom, group in frame.groupby("chrom", sort=False)["pos"]:
            start, stop = self._stretches.get(str(chrom), (0, 0))
            low, high = np.searchsorted(positions[start:stop], [group.min(), group.max() + 1])
            parts.append(np.arange(start + low, start + high, dtype=np.int64))
        return np.concatenate(parts)

    def _oriented(
        self, sumstats: SumStats, found: pd.DataFrame, status: npt.NDArray[np.object_], variants: pd.DataFrame
    ) -> tuple[SumStats, HarmonyCounts]:
        kept = status == "used"
        rows = sumstats.frame[kept].reset_index(drop=True)
        hit = variants.iloc[found["variant"].to_numpy()[kept]].reset_index(drop=True)
        swapped = ~found["effect_is_alt"].to_numpy(dtype=np.bool_)[kept]
        named = ~hit["id"].isin(["", "."])
        placed = hit["pos"] > 0
        frame = rows.assign(
            chrom=rows["chrom"].where(~placed, hit["chrom"]),
            pos=rows["pos"].where(~placed, hit["pos"]),
            id=rows["id"].where(~named, hit["id"]),
            effect_allele=hit["alt"].str.upper().to_numpy(),
            other_allele=hit["ref"].str.upper().to_numpy(),
            beta=np.where(swapped, -rows["beta"], rows["beta"]),
            eaf=np.where(swapped, 1.0 - rows["eaf"], rows["eaf"]),
        )
        result = replace(sumstats, frame=frame, build=self._build or sumstats.build)
        reasons = {reason: int((status == reason).sum()) for reason in REASONS}
        counts = HarmonyCounts(
            len(status),
            int(kept.sum()),
            int(swapped.sum()),
            int(found["flipped"].to_numpy(dtype=np.bool_)[kept].sum()),
            int(result.palindromic.sum()),
            {reason: count for reason, count in reasons.items() if count},
        )
        return result, counts


def harmonise(
    sumstats: SumStats,
    reference: pd.DataFrame,
    *,
    build: str | None,
    palindromic: Palindromic = "frequency",
    maf_limit: float = 0.42,
) -> tuple[SumStats, HarmonyCounts]:
    """Bring summary statistics onto the alleles and strand of a reference: the effect allele is its ALT.

    Parameters
    ----------
    sumstats
        Any.
    reference
        Variants: id, ref, alt; chrom and pos unless it is a list of names; alt_freq (frequency of ALT) where
        palindromic variants are to be told by it. Such as `variants` of a genotype file.
    build
        Its genome build. Statistics on another are refused.
    palindromic
        A/T and C/G variants, whose strand the alleles cannot tell: ``frequency`` (the strand on which both
        frequencies are on the same side of one half; left out where either is not known or too near to one
        half), ``drop``, or ``keep`` (trust that both are on the same strand).
    maf_limit
        Largest minor allele frequency, here and there, that tells the strand.

    Returns
    -------
    SumStats
        Rows kept, in order: place, name and alleles of the reference; beta and eaf turned round where the
        effect allele was its REF.
    HarmonyCounts

    Raises
    ------
    InputError
        The builds differ, or the reference lacks columns.

    Notes
    -----
    Found by place if both have places, else by name; alleles as in :func:`gwas.polygenic.matching.match`,
    sequences on the other strand read backwards.

    Examples
    --------
    >>> from gwas.sumstats import FIELDS
    >>> rows = [("1", 5, "a", "T", "C", 0.1, 0.1, 0.5, 0.3, 90.0, 1.0),
    ...         ("1", 6, "b", "A", "T", 0.2, 0.1, 0.5, 0.2, 90.0, 1.0)]
    >>> reference = pd.DataFrame({"chrom": "1", "pos": [5, 6], "id": ["rs5", "rs6"], "ref": ["A", "T"],
    ...                           "alt": ["G", "A"], "alt_freq": [0.7, 0.8]})
    >>> stats, counts = harmonise(SumStats("t", pd.DataFrame(rows, columns=FIELDS)), reference, build="GRCh37")
    >>> stats.frame[["effect_allele", "beta", "eaf"]].values.tolist()
    [['G', -0.1, 0.7], ['A', -0.2, 0.8]]
    >>> counts.flipped
    2
    """
    return Harmoniser(reference, build=build, palindromic=palindromic, maf_limit=maf_limit).apply(sumstats)
