"""Reading summary statistics of any program into one frame, block by block, every row that is left out counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cohorts.errors import InputError
from gwas.genotypes.chromosomes import canonical_chromosome
from gwas.sumstats import FIELDS, UNKNOWN_POSITION, EffectKind, Origin, Scale, SumStats
from gwas.sumstats_estimates import Estimates, estimate, ratio_se_is_of_log
from gwas.sumstats_layouts import Columns, find_columns
from gwas.sumstats_tables import TextTable, open_table, trait_folders

F64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Objects = npt.NDArray[np.object_]

LEFT_OUT: Final = {
    "other_test": "a row of another test than the additive one",
    "no_variant": "neither a name nor a position",
    "invalid_position": "a position that is not a whole number of base pairs",
    "other_contig": "not one of the chromosomes 1 to 22, X, Y, XY and MT",
    "no_allele": "an allele is not given",
    "same_alleles": "both alleles are the same",
    "p_out_of_range": "P is below 0 or above 1",
    "p_zero": "P is 0 and nothing else tells how small it is",
    "no_estimate": "no effect, or no SE and nothing to take it from",
    "frequency_out_of_range": "the frequency is below 0 or above 1",
    "n_out_of_range": "N is not positive",
}
"""Why rows are left out when reading."""

_NOTHING: Final = pa.array(["", "na", "nan", "-nan", "null", ".", "#na", "none", "n/a", "-"])
_CHROMOSOMES: Final = frozenset([*(str(k) for k in range(1, 23)), "X", "Y", "XY", "MT"])
_LAST_POSITION: Final = (1 << 31) - 1


def read_sumstats(
    path: str | Path,
    *,
    kind: EffectKind | None = None,
    build: str | None = None,
    trait: str | None = None,
    layout: str | None = None,
    columns: Mapping[str, str] | None = None,
) -> SumStats:
    """Read summary statistics of PLINK 2, REGENIE, GWAS-SSF, LDSC, COJO, SAIGE, GCTA, BOLT, METAL and others.

    Parameters
    ----------
    path
        Text (tabs, commas or blanks; plain, gzip or Zstandard) or Parquet; of a folder with results of many
        traits (``trait=NAME/``) that of `trait`.
    kind
        What the effects are; by default as the columns tell (an odds ratio: ``binary``), else None.
    build
        Genome build of the positions.
    trait
        Its name; by default the file's.
    layout
        Name of a layout of :data:`gwas.sumstats_layouts.LAYOUTS`, ``other`` for usual names of columns; by
        default told by the header, and refused where it cannot be told.
    columns
        Role to column, such as ``{"effect_allele": "A1"}``, over what the layout says.

    Returns
    -------
    SumStats
        `origin` has the layout, the rows left out by reason (:data:`LEFT_OUT`) and what was inferred. Odds
        and hazard ratios become logarithms. -log10 P is kept where P is too small for a number. A missing SE
        comes from the confidence interval or from effect and P; a missing P, or one written as 0, from effect
        and SE.

    Raises
    ------
    InputError
        Unreadable, ambiguous, or without a row that can be used.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "height.ma"
    >>> _ = file.write_text("SNP A1 A2 freq b se p N\\nrs1 A G 0.2 0.5 0.1 5.7e-7 900\\nrs2 C C 0.2 0.5 0.1 1 9\\n")
    >>> stats = read_sumstats(file)
    >>> stats.frame[["id", "beta", "se", "n"]].values.tolist(), stats.origin.left_out
    ([['rs1', 0.5, 0.1, 900.0]], {'same_alleles': 1})
    """
    parts = list(sumstats_blocks(path, kind=kind, build=build, trait=trait, layout=layout, columns=columns))
    last = parts[-1]
    frame = pd.concat([part.frame for part in parts], ignore_index=True)
    if frame.empty:
        assert last.origin is not None
        raise InputError(
            "has no row that can be used",
            where=path,
            found=", ".join(f"{reason} {count}" for reason, count in last.origin.left_out.items())
            or "0 rows",
            fix="check the columns",
        )
    return replace(last, frame=frame)


def sumstats_blocks(
    path: str | Path,
    *,
    kind: EffectKind | None = None,
    build: str | None = None,
    trait: str | None = None,
    layout: str | None = None,
    columns: Mapping[str, str] | None = None,
    block_bytes: int = 1 << 24,
) -> Iterator[SumStats]:
    """Read as :func:`read_sumstats`, a block of the file at a time, in memory that does not grow with it.

    Parameters
    ----------
    path, kind, build, trait, layout, columns
        As there.
    block_bytes
        Text of a block, after decompression.

    Yields
    ------
    SumStats
        At least one. Its `origin` tells of all that was read so far.
    """
    path, name = _chosen(Path(path), trait)
    table = open_table(path)
    found = find_columns(table.header, where=str(path), layout=layout, columns=columns)
    reader = _Reader(table, found)
    kind = kind or found.kind
    any_block = False
    for block in table.blocks(list(found.column.values()), block_bytes=block_bytes):
        any_block = True
        frame = reader.frame(block)
        yield SumStats(name, frame, kind, build, reader.scale, reader.origin())
    if not any_block:
        raise InputError("has no rows", where=path, expected="a row for each variant")


def _trait_of(name: str) -> str:
    """The trait that a file's name tells.

    Examples
    --------
    >>> _trait_of("run2.height.glm.linear"), _trait_of("height.tsv.gz")
    ('height', 'height')
    """
    before, of_plink, _ = name.partition(".glm.")
    return before.rpartition(".")[2] if of_plink else name.split(".")[0]


def _chosen(path: Path, trait: str | None) -> tuple[Path, str]:
    """What to read, and the name of its trait."""
    found = trait_folders(path)
    if not found:
        own = path.name.removeprefix("trait=") if path.is_dir() else _trait_of(path.name)
        return path, trait or own
    if trait is None and len(found) == 1:
        trait = next(iter(found))
    if trait not in found:
        raise InputError(
            "holds results of several traits" if trait is None else f"has no trait named {trait}",
            where=path,
            found=f"{len(found)} traits: {', '.join(list(found)[:8])}{', …' if len(found) > 8 else ''}",
            fix="choose one, with --trait",
        )
    return found[trait], trait


class _Reader:
    """Turns blocks of text into frames; what the first block tells about the file holds for the rest."""

    def __init__(self, table: TextTable, columns: Columns) -> None:
        self.path, self.columns = table.path, columns
        self.has = frozenset(columns.column)
        self.rows = 0
        self.left_out: dict[str, int] = {}
        self.notes: dict[str, None] = {}
        self.test: str | None = None
        self.se_of_log: bool | None = None
        self.names: dict[str, str] = {}
        effects = {"beta", "odds_ratio", "hazard_ratio"}
        self.scale: Scale = "allele" if effects & self.has else "standardised"

    def origin(self) -> Origin:
        return Origin(str(self.path), self.columns.layout, self.rows, dict(self.left_out), tuple(self.notes))

    def frame(self, block: Mapping[str, pa.Array]) -> pd.DataFrame:
        text = {role: _text(block[name]) for role, name in self.columns.column.items()}
        rows = len(next(iter(text.values())))
        self.rows += rows
        reasons: dict[str, Mask] = {}
        if "test" in text:
            reasons["other_test"] = self._other_test(text["test"])
        chrom, pos, place = self._places(text, rows)
        name = _strings(text["id"]) if "id" in text else np.full(rows, "", dtype=object)
        reasons |= place
        reasons["no_variant"] = (pos == UNKNOWN_POSITION) & (name == "")
        effect, other = self._alleles(text)
        reasons["no_allele"] = (effect == "") | (other == "")
        reasons["same_alleles"] = effect == other
        found = self._estimates(text, rows)
        eaf, n, info = (self._number(text, role, rows) for role in ("eaf", "n", "info"))
        if "n" not in self.has and {"n_cases", "n_controls"} <= self.has:
            n = _numbers(text["n_cases"]) + _numbers(text["n_controls"])
        reasons["p_out_of_range"], reasons["p_zero"] = found.p_out_of_range, found.p_zero
        reasons["no_estimate"] = ~found.usable
        reasons["frequency_out_of_range"] = (eaf < 0) | (eaf > 1)
        reasons["n_out_of_range"] = (n <= 0) | np.isinf(n)
        kept = self._account(reasons, rows)
        values = (
            chrom, pos, name, effect, other, found.beta, found.se, found.log10p, eaf, n,
            np.where(info >= 0, info, np.nan),
        )  # fmt: skip
        return pd.DataFrame({field: value[kept] for field, value in zip(FIELDS, values, strict=True)})

    def _account(self, reasons: Mapping[str, Mask], rows: int) -> Mask:
        """Count every row left out under the first reason that holds."""
        kept = np.ones(rows, dtype=np.bool_)
        for reason in LEFT_OUT:
            if reason in reasons:
                now = kept & reasons[reason]
                if now.any():
                    self.left_out[reason] = self.left_out.get(reason, 0) + int(now.sum())
                kept &= ~now
        return kept

    def _other_test(self, column: pa.Array) -> Mask:
        tests = _strings(column)
        if self.test is None:
            named = set(tests.tolist()) - {""}
            self.test = "ADD" if "ADD" in named or not named else min(named)
            if self.test != "ADD" and len(named) > 1:
                raise InputError(
                    "has several tests and none is ADD",
                    where=self.path,
                    found=", ".join(sorted(named)[:5]),
                    fix="keep the rows of one test",
                )
            if self.test != "ADD":
                self.notes[f"test {self.test}"] = None
        return np.asarray((tests != self.test) & (tests != ""), dtype=np.bool_)

    def _places(self, text: Mapping[str, pa.Array], rows: int) -> tuple[Objects, Any, dict[str, Mask]]:
        if not {"chrom", "pos"} <= self.has:
            return (
                np.full(rows, "", dtype=object),
                np.full(rows, UNKNOWN_POSITION, dtype=np.int64),
                {},
            )
        chrom = self._mapped(text["chrom"], canonical_chromosome)
        value = _numbers(text["pos"])
        given = np.asarray(pc.is_valid(text["pos"]).to_numpy(zero_copy_only=False))
        unknown = ~given | (value == 0) | (chrom == "") | (chrom == "0")
        whole = (value >= 1) & (value <= _LAST_POSITION) & (value == np.floor(value))
        pos = np.where(whole & ~unknown, np.nan_to_num(value, posinf=0, neginf=0), UNKNOWN_POSITION)
        known = np.array([name in _CHROMOSOMES for name in chrom.tolist()], dtype=np.bool_)
        chrom[unknown] = ""
        reasons = {"invalid_position": ~unknown & ~whole, "other_contig": ~unknown & ~known}
        return chrom, pos.astype(np.int64), reasons

    def _alleles(self, text: Mapping[str, pa.Array]) -> tuple[Objects, Objects]:
        effect = self._mapped(text["effect_allele"], str.upper)
        other = self._mapped(text["other_allele"], str.upper) if "other_allele" in text else None
        if other is None:
            ref, alt = (self._mapped(text[role], str.upper) for role in ("ref", "alt"))
            # Of several ALT alleles the one tested is the effect allele, and REF stands for all others.
            other = np.where(effect == ref, alt, ref)
        return effect, np.asarray(other, dtype=object)

    def _mapped(self, column: pa.Array, change: Any) -> Objects:
        """A text column with few distinct values, each changed once and shared by its rows."""
        coded = column.dictionary_encode()
        values = np.array([*(change(v) for v in coded.dictionary.to_pylist()), ""], dtype=object)
        index = coded.indices.fill_null(len(values) - 1).to_numpy(zero_copy_only=False)
        return np.asarray(values[index])

    def _number(self, text: Mapping[str, pa.Array], role: str, rows: int) -> F64:
        return _numbers(text[role]) if role in text else np.full(rows, np.nan)

    def _estimates(self, text: Mapping[str, pa.Array], rows: int) -> Estimates:
        number = {
            role: _numbers(text[role])
            for role in ("beta", "odds_ratio", "hazard_ratio", "z", "se", "ci_low", "ci_high", "n", "log10p")
            if role in text
        }
        if "p" in text:
            number["p"], number["p_log10"] = _p_values(text["p"])
        ratio = number.get("odds_ratio", number.get("hazard_ratio"))
        if ratio is not None and "beta" not in number and "se" in number and self.se_of_log is None:
            named = self.columns.column["se"]
            self.se_of_log = "LOG" in named or ratio_se_is_of_log(ratio, number["se"], number)
            self.notes["the SE is taken as that of the " + ("logarithm" if self.se_of_log else "ratio")] = (
                None
            )
        return estimate(number, rows, se_of_log=self.se_of_log is not False, notes=self.notes)


def _text(column: pa.Array) -> pa.Array:
    """Blanks trimmed; null where nothing is said."""
    trimmed = pc.utf8_trim_whitespace(column)
    nothing = pc.is_in(pc.utf8_lower(trimmed), value_set=_NOTHING)
    return pc.if_else(nothing, pa.scalar(None, pa.string()), trimmed)


def _strings(column: pa.Array) -> Objects:
    return np.asarray(column.fill_null("").to_numpy(zero_copy_only=False), dtype=object)


def _numbers(column: pa.Array) -> F64:
    """float64, NaN where it is not a number."""
    try:
        values = pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        values = pd.to_numeric(column.to_pandas(), errors="coerce").to_numpy(dtype=np.float64)
    return np.asarray(values, dtype=np.float64)


def _p_values(column: pa.Array) -> tuple[F64, F64]:
    """P, and its -log10, the latter from the text where the number underflows; inf where P is 0."""
    p = _numbers(column)
    with np.errstate(divide="ignore", invalid="ignore"):
        log10p = -np.log10(p) + 0.0
    for row in np.flatnonzero((p >= 0) & (p < 1e-300)):
        mantissa, _, exponent = column[row].as_py().lower().partition("e")
        if float(mantissa) > 0:
            log10p[row] = -np.log10(float(mantissa)) - float(exponent or 0)
    return p, log10p
