"""Phecode maps, from the user's own files: which ICD code means which phecode, and what the phecodes are.

No map is shipped: their licences are not ours to pass on. The files are read as they are published:

================  ======================================================================================
map               ``phecode`` with ``code``, ``icd`` or ``icd10`` and, if there, ``vocabulary_id`` or
                  ``flag`` (9 or 10); names, categories and sex beside them are used
names             ``phecode`` with ``description``, ``phecode_string`` or ``phenotype``; ``group``,
                  ``category`` or ``phecode_category``; ``sex`` (Both, Male, Female)
exclusions        ``code`` and ``exclusion_criteria``, a line for each pair; or, in the file of names,
                  ``phecode_exclude_range`` such as ``249-250.99``
sex               ``phecode`` with ``male_only`` and ``female_only``
================  ======================================================================================

Sources: Wu P. et al., Mapping ICD-10 and ICD-10-CM codes to phecodes, JMIR Med Inform 2019 (phecode 1.2); Shuey M. M.
et al., Next-generation phenotyping: introducing phecodeX, Bioinformatics 2023.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import pandas as pd

from cohorts.errors import InputError, unreadable
from phenotypes.code_systems import CODE_SYSTEMS
from phenotypes.codelist import CodeList

Icd = Literal["who", "cm"]

_SYSTEMS: dict[Icd, dict[str, str]] = {
    "who": {"10": "icd10", "icd10": "icd10"},
    "cm": {
        **dict.fromkeys(("10", "icd10", "icd10cm"), "icd10cm"),
        **dict.fromkeys(("9", "icd9", "icd9cm"), "icd9cm"),
    },
}

# Categories of WHO's ICD-10 that the clinical modification has never had.
_WHO_ALONE = frozenset(["B21", "B22", "B23", "B24", "C97", "E12", "E14", "F00", "I64", "I84", "J46"])
# Of a map's codes, how many may be impossible before it is one of another ICD: slips are few, foreign maps are not.
_MOST_IMPOSSIBLE = 0.2
# So many codes without a sixth character, or a letter after the third, are not of the clinical modification.
_MANY = 1000


@dataclass(frozen=True, eq=False)
class PhecodeMap:
    """Which ICD codes mean which phecode.

    Attributes
    ----------
    codes
        system, code (normalised), phecode: a row for each pair, with every parent phecode where rolled up; sorted,
        without duplicates.
    phecodes
        phecode, name, category, sex ('M', 'F' or None): every phecode that is mapped, sorted.
    exclusions
        By phecode, the phecodes of which none may be recorded for a control.
    written
        The lines of the map as they were, for :func:`phenotypes.phecode_lint.lint_phecodes`: line, system, code,
        phecode.
    """

    codes: pd.DataFrame = field(repr=False)
    phecodes: pd.DataFrame = field(repr=False)
    exclusions: Mapping[str, frozenset[str]] = field(repr=False)
    written: pd.DataFrame = field(repr=False)

    def __repr__(self) -> str:
        mapped = len(self.codes[["system", "code"]].drop_duplicates())
        return f"PhecodeMap({len(self.phecodes)} phecodes of {mapped} codes of {', '.join(self.systems)})"

    @classmethod
    def read(
        cls,
        path: str | Path,
        *,
        names: str | Path | None = None,
        exclusions: str | Path | None = None,
        sex: str | Path | None = None,
        icd: Icd = "who",
        rollup: bool = True,
    ) -> PhecodeMap:
        """Read a map, plain or gzipped CSV.

        Parameters
        ----------
        path
            The map of version 1.2 or X.
        names, exclusions, sex
            Files beside it, where there are any.
        icd
            'who': codes of ICD-10 as the United Kingdom records them (system icd10). 'cm': the United States' clinical
            modification (icd10cm, icd9cm). The maps differ, and the wrong one would lose cases without a word.
        rollup
            A code of 250.21 also counts for 250.2 and 250.

        Raises
        ------
        InputError
            Where a file cannot be read or lacks a column, the map holds no code of the kind asked for, or what it
            holds cannot be of that kind: of WHO's where over a fifth of the codes are longer than any of WHO's, of the
            clinical modification where none of many is, or where WHO's own categories (I64, E14 …) are there.

        Examples
        --------
        >>> x = PhecodeMap.read("phecodeX_WHO.csv.gz")  # doctest: +SKIP
        """
        rows = _table(path)
        code = _column(rows, ("code", "icd", "icd10"), path)
        phecode = _column(rows, ("phecode",), path)
        kind = next((c for c in ("vocabulary_id", "flag") if c in rows), None)
        said = rows[kind].str.lower().str.replace(r"[^a-z0-9]", "", regex=True) if kind else "10"
        systems = _SYSTEMS[icd]
        if icd == "cm" and kind and "icd10cm" in set(said):
            # a file of both has WHO's under this name
            systems = {name: system for name, system in systems.items() if name != "icd10"}
        written = pd.DataFrame(
            {
                "line": range(2, len(rows) + 2),
                "system": pd.Series(said, index=rows.index).map(systems),
                "code": rows[code],
                "phecode": rows[phecode],
            }
        )
        if written["system"].isna().all():
            raise InputError(
                f"the map holds no code of ICD ({icd.upper()})", where=path,
                found=", ".join(sorted(set(map(str, said)))[:3]), fix="give the map of the records' ICD",
            )  # fmt: skip
        _refuse_other_icd(written, icd, path)
        described = [rows] if names is None else [_table(names), rows]
        mapped = _mapped(written, rollup=rollup)
        known = _described(mapped["phecode"].unique(), described, None if sex is None else _table(sex))
        return cls(mapped, known, _exclusions(known["phecode"], described[0], exclusions), written)

    @cached_property
    def id(self) -> str:
        """SHA-256 (hexadecimal) of the pairs, exclusions and sexes."""
        lines = [
            *(f"{s},{c},{p}" for s, c, p in self.codes.itertuples(index=False)),
            *(f"{p}!{' '.join(sorted(e))}" for p, e in sorted(self.exclusions.items())),
            *(f"{p}={s}" for p, s in zip(self.phecodes["phecode"], self.phecodes["sex"], strict=True) if s),
        ]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    @property
    def systems(self) -> tuple[str, ...]:
        """Code systems of the map."""
        return tuple(sorted(self.codes["system"].unique()))

    def codelist(self, phecode: str) -> CodeList:
        """The codes of one phecode, as a code list.

        Raises
        ------
        InputError
            Where the map has no such phecode.
        """
        rows = self.codes[self.codes["phecode"] == phecode]
        if rows.empty:
            raise InputError("no such phecode in the map", found=repr(phecode))
        # Below a three-character category the map lists its own; a fifth character is below the fourth.
        return CodeList.of(
            phecode,
            (
                (s, f"{c}*" if s == "icd10" and len(c) == 4 else c)
                for s, c in zip(rows["system"], rows["code"], strict=True)
            ),
        )


def parents_of(phecode: str) -> tuple[str, ...]:
    """Phecodes above a phecode, the nearest first.

    Examples
    --------
    >>> parents_of("250.21"), parents_of("EM_202"), parents_of("EM_202.2")
    (('250.2', '250'), (), ('EM_202',))
    """
    above = []
    while "." in phecode:
        phecode = phecode[:-1].rstrip(".")
        above.append(phecode)
    return tuple(above)


def _table(path: str | Path) -> pd.DataFrame:
    try:
        rows = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except OSError as error:
        raise unreadable(path, error) from None
    except (ValueError, EOFError) as error:
        raise InputError(
            "not a CSV file", where=path, found=type(error).__name__, fix="give the file as published"
        ) from None
    rows.columns = [str(c).strip().lower().replace(" ", "_") for c in rows.columns]
    for column in rows.columns:
        rows[column] = rows[column].str.strip()
    return rows


def _column(rows: pd.DataFrame, names: Iterable[str], path: object) -> str:
    found = next((name for name in names if name in rows), None)
    if found is None:
        raise InputError(
            "phecode file lacks a column",
            where=path,
            found=", ".join(rows.columns),
            expected=" or ".join(names),
        )
    return found


def is_phecode(text: str) -> bool:
    """Whether some text looks like a phecode of version 1.2 or X.

    Examples
    --------
    >>> is_phecode("250.21"), is_phecode("EM_202.2"), is_phecode("NA")
    (True, True, False)
    """
    return re.fullmatch(r"(?:[A-Z]{2}_)?[0-9]{1,4}(?:\.[0-9]{1,3})?", text) is not None


def _refuse_other_icd(written: pd.DataFrame, icd: Icd, path: str | Path) -> None:
    """Refuse a map of the other ICD-10, with the evidence: neither file says which it is."""
    mine = written.loc[written["system"].isin(["icd10", "icd10cm"]), "code"]
    codes = [clean for clean in map(CODE_SYSTEMS["icd10cm"].normalise, mine) if clean]
    if not codes:
        return
    full = CODE_SYSTEMS["icd10"].full
    assert full is not None
    longer = [code for code in codes if full.fullmatch(code) is None]
    example = next((code for code in longer if CODE_SYSTEMS["icd10cm"].shape.fullmatch(code)), "")
    share, who_alone = len(longer) / len(codes), sorted({code[:3] for code in codes} & _WHO_ALONE)
    if icd == "who" and share > _MOST_IMPOSSIBLE:
        raise InputError(
            "the map is one of the United States' ICD-10-CM, not of WHO's ICD-10",
            where=path,
            found=f"{share:.0%} of its {len(codes):,} codes cannot be WHO's, such as {example or longer[0]}",
            fix="give the WHO map, or say icd='cm' where the records are American",
        )
    if icd == "cm" and share <= _MOST_IMPOSSIBLE and (who_alone or (not longer and len(codes) >= _MANY)):
        found = f"{1 - share:.0%} of its {len(codes):,} codes are no longer than WHO's"
        if who_alone:
            found += f", and ICD-10-CM has no {', '.join(who_alone[:4])}"
        raise InputError(
            "the map is one of WHO's ICD-10, not of the United States' ICD-10-CM",
            where=path,
            found=found,
            fix="give the map of ICD-10-CM, or leave icd out where the records have WHO's codes",
        )


def _mapped(written: pd.DataFrame, *, rollup: bool) -> pd.DataFrame:
    pairs: set[tuple[str, str, str]] = set()
    usable = written.dropna(subset=["system"])
    for system, code, phecode in zip(usable["system"], usable["code"], usable["phecode"], strict=True):
        clean = CODE_SYSTEMS[system].normalise(code)
        if not is_phecode(phecode) or not CODE_SYSTEMS[system].shape.fullmatch(clean):
            continue
        pairs.add((system, clean, phecode))
        if rollup:
            pairs.update((system, clean, above) for above in parents_of(phecode))
    return pd.DataFrame(sorted(pairs), columns=["system", "code", "phecode"])


def _described(wanted: Iterable[str], tables: list[pd.DataFrame], sex: pd.DataFrame | None) -> pd.DataFrame:
    known = pd.DataFrame({"phecode": sorted(wanted)})
    for column, choices in (
        ("name", ("description", "phecode_string", "phenotype", "name")),
        ("category", ("group", "category", "phecode_category")),
        ("sex", ("sex",)),
    ):
        words: dict[str, str] = {}
        for table in reversed(tables):
            found = next((c for c in choices if c in table), None)
            if found is not None and "phecode" in table:
                words.update(zip(table["phecode"], table[found], strict=True))
        known[column] = known["phecode"].map(words).fillna("")
    letters = {"male": "M", "m": "M", "female": "F", "f": "F"}
    known["sex"] = known["sex"].str.lower().map(letters).astype(object)
    if sex is not None:
        yes = ("true", "1", "yes", "t")
        for letter, column in (("M", "male_only"), ("F", "female_only")):
            if column in sex:
                only = set(sex.loc[sex[column].str.lower().isin(yes), "phecode"])
                known.loc[known["phecode"].isin(only), "sex"] = letter
    known["sex"] = known["sex"].where(known["sex"].notna(), None)
    return known


def _exclusions(
    phecodes: pd.Series, names: pd.DataFrame, path: str | Path | None
) -> dict[str, frozenset[str]]:
    known = set(phecodes)
    found: dict[str, set[str]] = {}
    if path is not None:
        rows = _table(path)
        code, barred = _column(rows, ("code", "phecode"), path), _column(rows, ("exclusion_criteria",), path)
        for phecode, other in zip(rows[code], rows[barred], strict=True):
            if phecode in known and other in known:
                found.setdefault(phecode, set()).add(other)
    elif "phecode_exclude_range" in names and "phecode" in names:
        for phecode, ranges in zip(names["phecode"], names["phecode_exclude_range"], strict=True):
            inside = {p for p in known if any(_within(p, part) for part in ranges.split(","))}
            if phecode in known and inside:
                found[phecode] = inside
    return {phecode: frozenset(others) for phecode, others in found.items()}


def _within(phecode: str, written: str) -> bool:
    ends = re.fullmatch(r"\s*([0-9.]+)\s*-\s*([0-9.]+)\s*", written)
    if ends is None or not re.fullmatch(r"[0-9.]+", phecode):
        return False
    return float(ends[1]) <= float(phecode) <= float(ends[2])
