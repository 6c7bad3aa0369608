"""Weights of a polygenic score, wherever they came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pandas as pd

from cohorts.errors import InputError
from gwas.genotypes.chromosomes import canonical_chromosomes

COLUMNS: Final = ("chrom", "pos", "id", "effect_allele", "other_allele", "weight")
EFFECTS: Final = ("additive", "dominant", "recessive")
UNKNOWN_POSITION: Final = -1


@dataclass(frozen=True, eq=False)
class Weights:
    """One polygenic score.

    Parameters
    ----------
    name
        Name of the score, such as ``PGS000001``.
    frame
        One row a weight, in the order of the source. Columns chrom (canonical, '' if unknown), pos (int64,
        1-based, -1 if unknown), id ('' if unknown), effect_allele, other_allele (upper case, '' if
        unknown), weight (float64, per copy of the effect allele), effect_type (``additive``, ``dominant``,
        ``recessive``, or why it cannot be used: ``haplotype``, ``interaction``), effect_frequency (float64
        in [0, 1], NaN if unknown), se (float64 standard error of the weight, NaN if unknown).
    build
        Genome build of the positions, such as ``GRCh37``; None if the source does not say.
    source
        Where it came from: a file name, or the summary statistics.
    sha256
        Checksum of that file; None if there is none.
    header
        What else the source said about itself.
    same_strand
        True if the alleles are known to be named on the strand of the genotypes (weights learnt from the
        same file), so that A/T and C/G variants are no riddle.
    """

    name: str
    frame: pd.DataFrame
    build: str | None = None
    source: str | None = None
    sha256: str | None = None
    header: Mapping[str, str] = field(default_factory=dict)
    same_strand: bool = False

    def __len__(self) -> int:
        return len(self.frame)


def make_weights(
    name: str,
    frame: pd.DataFrame,
    *,
    build: str | None = None,
    source: str | None = None,
    sha256: str | None = None,
    header: Mapping[str, str] | None = None,
    same_strand: bool = False,
) -> Weights:
    """Check and complete a frame of weights.

    Parameters
    ----------
    name, build, source, sha256, header, same_strand
        As in :class:`Weights`.
    frame
        The columns effect_allele and weight, and id or chrom and pos; the rest is filled in as unknown.

    Raises
    ------
    InputError
        If a column is absent, there are no rows, or a weight is not a finite number.

    Examples
    --------
    >>> rows = pd.DataFrame({"id": ["rs1"], "effect_allele": ["a"], "weight": [0.1]})
    >>> made = make_weights("mine", rows).frame
    >>> made["effect_allele"][0], int(made["pos"][0]), made["effect_type"][0]
    ('A', -1, 'additive')
    """
    where = source or name
    lacking = [c for c in ("effect_allele", "weight") if c not in frame]
    if lacking or not ("id" in frame or {"chrom", "pos"} <= set(frame.columns)):
        expected = "effect_allele, weight, and id or chrom and pos"
        raise InputError("columns are absent", where=where, found=", ".join(frame.columns), expected=expected)
    if frame.empty:
        raise InputError("no weights", where=where, found="0 rows", expected="at least 1")
    n = len(frame)
    weight = pd.to_numeric(frame["weight"], errors="coerce").to_numpy(dtype=np.float64)
    if not np.isfinite(weight).all():
        bad = int(np.flatnonzero(~np.isfinite(weight))[0])
        raise InputError(
            "a weight is not a finite number", where=where, found=f"row {bad + 1}", expected="a number"
        )
    clean = pd.DataFrame(
        {
            "chrom": canonical_chromosomes(_text(frame, "chrom")),
            "pos": _positions(frame, n),
            "id": _text(frame, "id"),
            "effect_allele": _text(frame, "effect_allele").str.upper(),
            "other_allele": _text(frame, "other_allele").str.upper(),
            "weight": weight,
            "effect_type": _text(frame, "effect_type").replace("", "additive"),
            "effect_frequency": _numbers(frame, "effect_frequency", n),
            "se": _numbers(frame, "se", n),
        }
    )
    return Weights(name, clean, build, source, sha256, dict(header or {}), same_strand)


def weights_from_sumstats(
    sumstats: pd.DataFrame, *, name: str = "sumstats", build: str | None = None
) -> Weights:
    """Take effects of summary statistics as weights.

    Parameters
    ----------
    sumstats
        PLINK 2 columns (#CHROM POS ID REF ALT A1 A1_FREQ BETA or OR, SE or LOG(OR)_SE), or those of
        PLINK 1, GCTA and fastGWA (CHR BP/POS SNP A1 A2 AF1 BETA SE). The effect is A1's.

    Returns
    -------
    Weights
        One row a row of `sumstats`, in its order. A row without a finite effect gets weight 0.

    Raises
    ------
    InputError
        If chromosome, position, identifier, allele or effect is absent.
    """
    picked = {role: next((c for c in names if c in sumstats), None) for role, names in _SUMSTATS.items()}
    lacking = [role for role in ("chrom", "pos", "id", "effect_allele") if picked[role] is None]
    if picked["weight"] is None and "OR" not in sumstats:
        lacking.append("BETA or OR")
    if lacking:
        raise InputError("summary statistics lack columns", where=name, found=", ".join(lacking))
    frame = pd.DataFrame({role: sumstats[c] for role, c in picked.items() if c is not None})
    if picked["weight"] is None:
        with np.errstate(divide="ignore", invalid="ignore"):
            frame["weight"] = np.log(sumstats["OR"].to_numpy(dtype=np.float64))
    frame["weight"] = frame["weight"].where(np.isfinite(frame["weight"].astype("float64")), 0.0)
    if "other_allele" not in frame and {"REF", "ALT"} <= set(sumstats.columns):
        ref, alt = sumstats["REF"].astype(str), sumstats["ALT"].astype(str)
        frame["other_allele"] = ref.where(alt == sumstats[picked["effect_allele"]].astype(str), alt)
    return make_weights(name, frame, build=build)


_SUMSTATS: Final[dict[str, tuple[str, ...]]] = {
    "chrom": ("#CHROM", "CHROM", "CHR"),
    "pos": ("POS", "BP"),
    "id": ("ID", "SNP"),
    "effect_allele": ("A1",),
    "other_allele": ("A2",),
    "weight": ("BETA",),
    "se": ("SE", "LOG(OR)_SE"),
    "effect_frequency": ("A1_FREQ", "AF1"),
}


def _text(frame: pd.DataFrame, column: str) -> pd.Series:
    if column not in frame:
        return pd.Series([""] * len(frame), dtype=object)
    values = frame[column].astype(object).where(frame[column].notna(), "")
    return values.astype(str).str.strip().reset_index(drop=True)


def _numbers(frame: pd.DataFrame, column: str, n: int) -> np.ndarray:
    if column not in frame:
        return np.full(n, np.nan)
    return np.asarray(
        pd.to_numeric(frame[column], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    )


def _positions(frame: pd.DataFrame, n: int) -> np.ndarray:
    values = _numbers(frame, "pos", n)
    return np.where(np.isfinite(values), values, UNKNOWN_POSITION).astype(np.int64)
