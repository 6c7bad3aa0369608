"""What may be wrong with a code list.

:data:`RULES` names every check. An error makes the list unusable or sure to miss records; a warning deserves a
look; a note is harmless.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from cohorts.errors import InputError
from phenotypes.code_entries import CodeEntry, entries_of, wider_entry
from phenotypes.code_systems import (
    ASTERISK_CATEGORIES,
    CODE_SYSTEMS,
    EDITIONS,
    identifier_fault,
    in_other_edition,
)
from phenotypes.codelist import CodeList
from phenotypes.codelist_files import said_edition
from phenotypes.published_lists import Line, PublishedList, read_lines
from phenotypes.terminology import Terminology

Severity = Literal["error", "warning", "note"]

RULES: dict[str, tuple[Severity, str]] = {
    "unknown-system": ("error", "the code system is none that is known here"),
    "no-code": ("error", "the line has no code"),
    "not-a-code": ("error", "this cannot be a code of its system"),
    "rounded": ("error", "a spreadsheet has rounded the identifier"),
    "several-codes": ("error", "one cell holds several codes"),
    "shifted-columns": ("error", "another column of the line holds what looks like its code"),
    "check-digit": ("error", "the identifier cannot be right"),
    "edition": ("warning", "the code belongs to another edition of ICD-10"),
    "duplicate": ("warning", "the code stands twice"),
    "implied": ("warning", "another line already means this code"),
    "unknown": ("warning", "the terminology does not know the code"),
    "inactive": ("warning", "the code is no longer in use"),
    "children-left-out": ("warning", "codes below it are not in the list"),
    "nothing-excluded": ("warning", "the exclusion takes nothing out"),
    "marker": ("warning", "a star may mean an asterisk code or everything below"),
    "needs-terminology": ("note", "only a terminology file tells what it means"),
    "mixed-dots": ("warning", "some codes are written with a dot and some without"),
    "no-dot": ("note", "the code is written without its dot"),
    "synonym": ("note", "two lines name one Read code by different synonyms"),
    "padding": ("note", "a Read code is written without its trailing dots"),
    "case-pair": ("note", "two Read codes differ by case alone, and mean different things"),
    "spelling": ("note", "the code is written in lower case"),
    "never-seen": ("warning", "no record has the code"),
}

# Sorts behind every character of a code.
_LAST = "\U0010ffff"

COLUMNS = ["severity", "rule", "line", "system", "code", "message"]


@dataclass(frozen=True)
class _Finding:
    rule: str
    line: int | None
    system: str
    code: str
    detail: str = ""


def lint(
    codes: str | Path | PublishedList | CodeList,
    *,
    system: str | None = None,
    terminology: Terminology | None = None,
    counts: pd.DataFrame | None = None,
    edition: str | None = None,
) -> pd.DataFrame:
    """Everything that may be wrong with a code list.

    Parameters
    ----------
    codes
        A file in any form of :mod:`phenotypes.published_lists`, its lines, or a list. Only a file's lines can be
        checked for how they are written.
    system
        Code system, for files that do not say it.
    terminology
        Checks that its codes exist, are in use, and that none below them is forgotten.
    counts
        Codes in use (:func:`phenotypes.code_counts.codes_in_use`): checks that each is ever recorded.
    edition
        Edition of ICD-10 of the records that will be searched, '2016' or '2019'; that of the list where it says one.

    Returns
    -------
    DataFrame
        severity ('error', 'warning', 'note'), rule (a key of :data:`RULES`), line (Int64, <NA> for a list that is
        not of a file), system, code (as written), message; errors first, then by line. Empty where nothing is
        wrong.

    Raises
    ------
    InputError
        Where a file cannot be read as a code list at all, or the edition is unknown.

    Examples
    --------
    >>> codes = CodeList.of("t2d", [("icd10", "E11*"), ("icd10", "E113"), ("snomed", "44054007")])
    >>> lint(codes)[["severity", "rule", "code"]].values.tolist()
    [['error', 'check-digit', '44054007'], ['warning', 'implied', 'E113']]
    """
    published = codes
    if isinstance(codes, CodeList):
        edition = edition or codes.edition
        published = _as_lines(codes)
    elif not isinstance(codes, PublishedList):
        published = read_lines(codes, system=system)
    assert isinstance(published, PublishedList)
    if edition is None:
        edition = said_edition(((x.number, x.row) for x in published.lines), where=published.source)
    if edition is not None and edition not in EDITIONS:
        raise InputError("unknown edition of ICD-10", found=repr(edition), expected=", ".join(EDITIONS))
    findings: list[_Finding] = []
    meant: dict[CodeEntry, Line] = {}
    for line in published.lines:
        faults, entries = _line(line)
        findings += faults
        for entry in entries:
            if entry in meant:
                findings.append(_again(line, meant[entry]))
            else:
                meant[entry] = line
    if not isinstance(codes, CodeList):
        findings += _spellings(published)
    findings += _overlaps(meant)
    if edition is not None:
        findings += _editions(meant, edition)
    if terminology is not None:
        findings += _known(meant, terminology)
    if counts is not None:
        findings += _seen(meant, counts)
    return _table(findings)


def _as_lines(codes: CodeList) -> PublishedList:
    lines = tuple(Line(0, e.system, e.text, "", "", e.text, {}) for e in codes.entries)
    return PublishedList(codes.name, codes.name, "careome", lines)


def _found(rule: str, line: Line, detail: str = "") -> _Finding:
    return _Finding(rule, line.number or None, line.system, line.code, detail)


def _line(line: Line) -> tuple[list[_Finding], tuple[CodeEntry, ...]]:
    """Faults of one line alone, and what it means."""
    if line.system not in CODE_SYSTEMS:
        return [_found("unknown-system", line, line.system)], ()
    if not line.code:
        shifted = _looks_like_code(line)
        return [_found("shifted-columns" if shifted else "no-code", line, shifted)], ()
    try:
        entries = entries_of(line.system, line.meant, where="")
    except InputError as error:
        return [_not_a_code(line, error)], ()
    faults = []
    for entry in entries:
        if (fault := identifier_fault(entry.system, entry.code)) is not None:
            faults.append(_found("check-digit", line, fault))
        if entry.needs_terminology:
            faults.append(_found("needs-terminology", line))
    starred = re.fullmatch(r"([A-Z][0-9]{2})\.?[0-9]\*", line.code.upper())
    if line.system == "icd10" and starred is not None and starred[1] in ASTERISK_CATEGORIES:
        faults.append(_found("marker", line, f"{starred[1]} is a category of asterisk codes"))
    return faults, entries


def _again(line: Line, other: Line) -> _Finding:
    also = f"line {other.number}" if other.number else "another line"
    seven = line.system in ("read2", "ctv3") and len(line.code) == len(other.code) == 7
    if seven and line.code != other.code:
        return _found("synonym", line, f"{also} has {other.code}")
    return _found("duplicate", line, f"{also} says it as {other.code!r}")


def _not_a_code(line: Line, error: InputError) -> _Finding:
    if re.fullmatch(r"[0-9]+[.,]?[0-9]*[eE]\+?[0-9]+", line.code):
        return _found("rounded", line, "format the column as text")
    if shifted := _looks_like_code(line):
        return _found("shifted-columns", line, shifted)
    parts = [part for part in re.split(r"[,;/\s]+", line.code) if part]
    shape = CODE_SYSTEMS[line.system]
    if len(parts) > 1 and all(shape.shape.fullmatch(shape.normalise(part)) for part in parts):
        return _found("several-codes", line, "write one line for each")
    return _found("not-a-code", line, f"{error.problem}; expected {error.expected or error.fix}")


def _looks_like_code(line: Line) -> str:
    """The column that holds what looks more like the code than the code column does; '' where none does."""
    known = CODE_SYSTEMS[line.system]
    for column, cell in line.row.items():
        if cell == line.code or not re.search(r"[0-9]", cell) or column == "system":
            continue
        # A medcode or a year is a number, which a Read code could be too.
        if re.fullmatch(r"[0-9.]+", cell) and known.hierarchy == "prefix":
            continue
        if (known.full or known.shape).fullmatch(known.normalise(cell)):
            return f"the column {column} holds one"
    return ""


def _spellings(published: PublishedList) -> Iterator[_Finding]:
    icd = [x for x in published.lines if x.system == "icd10" and re.fullmatch(r"[A-Za-z]\d\d.*", x.code)]
    longer = [x for x in icd if len(re.sub(r"[^A-Za-z0-9]", "", x.code)) > 3 and "-" not in x.code]
    bare = [x for x in longer if "." not in x.code]
    rule = "mixed-dots" if len(bare) < len(longer) else "no-dot"
    for line in bare:
        yield _found(rule, line, f"usually {line.code[:3]}.{line.code[3:]}")
    for line in published.lines:
        upper = line.system not in ("read2", "ctv3", "loinc") and line.code != line.code.upper()
        if upper and line.system in CODE_SYSTEMS and re.search(r"[0-9]", line.code):
            yield _found("spelling", line)
        if line.system in ("read2", "ctv3") and 0 < len(line.code.rstrip("*%")) < 5 and "*" not in line.code:
            yield _found("padding", line)
    by_letters: dict[tuple[str, str], set[str]] = {}
    for line in published.lines:
        if line.system in ("read2", "ctv3"):
            clean = CODE_SYSTEMS[line.system].normalise(line.code)
            by_letters.setdefault((line.system, clean.lower()), set()).add(clean)
    for line in published.lines:
        clean = CODE_SYSTEMS[line.system].normalise(line.code) if line.system in CODE_SYSTEMS else ""
        others = by_letters.get((line.system, clean.lower()), set()) - {clean}
        if others:
            yield _found("case-pair", line, f"also {', '.join(sorted(others))}")


def _overlaps(meant: dict[CodeEntry, Line]) -> Iterator[_Finding]:
    included = [e for e in meant if not e.excluded]
    for entry, line in meant.items():
        if (wide := wider_entry(entry, meant)) is not None:
            yield _found("implied", line, f"by {wide.text}")
        if entry.excluded and not entry.needs_terminology:
            touched = any(
                e.needs_terminology
                or entry.matches(e.system, e.code)
                or (e.prefix and e.system == entry.system and entry.code.startswith(e.code))
                for e in included
                if e.system == entry.system
            )
            if not touched:
                yield _found("nothing-excluded", line)


def _editions(meant: dict[CodeEntry, Line], edition: str) -> Iterator[_Finding]:
    for entry, line in meant.items():
        if entry.system == "icd10" and (ours := in_other_edition(entry.code, edition)) is not None:
            yield _found("edition", line, f"in edition {edition} it is {ours}")


def _known(meant: dict[CodeEntry, Line], terminology: Terminology) -> Iterator[_Finding]:
    named = f"{terminology.system} {terminology.version}".strip()
    listed = {e.code for e in meant if e.system == terminology.system and not e.excluded}
    for entry, line in meant.items():
        if entry.system != terminology.system:
            continue
        known = entry.code in terminology
        if entry.prefix and not known:
            known = any(code.startswith(entry.code) for code in terminology.parents)
        if not known:
            whole = next((entry.code[:n] for n in (4, 3) if entry.code[:n] in terminology), None)
            fifth = entry.system == "icd10" and len(entry.code) == 5 and whole == entry.code[:4]
            if not fifth:
                yield _found("unknown", line, f"to {named}")
        elif entry.code in terminology.inactive:
            after = ", ".join(terminology.successors.get(entry.code, ()))
            yield _found("inactive", line, f"{after} took its place" if after else "")
        elif not entry.prefix and not entry.below and not entry.excluded:
            below = terminology.below(entry.code) - terminology.inactive
            if below and not below & listed:
                yield _found("children-left-out", line, f"{len(below)} codes are below it")


def _seen(meant: dict[CodeEntry, Line], counts: pd.DataFrame) -> Iterator[_Finding]:
    used = {
        str(system): sorted(set(group["code"].astype(str)))
        for system, group in counts[counts["records"] > 0].groupby("system")
    }
    whole = CodeList("", tuple(sorted(meant)))
    needs = {entry.system for entry in meant if entry.needs_terminology}
    for entry, line in meant.items():
        if entry.needs_terminology or entry.excluded:
            continue
        if (
            not entry.prefix
            and entry.system not in needs
            and CODE_SYSTEMS[entry.system].hierarchy == "prefix"
        ):
            recorded = used.get(entry.system, [])
            at, after = bisect_left(recorded, entry.code), bisect_left(recorded, entry.code + _LAST)
            below = [code for code in recorded[at:after] if not whole.matches(entry.system, code)]
            if below:
                yield _found(
                    "children-left-out", line, f"{len(below)} of them are recorded, such as {below[0]}"
                )
        alone = CodeList("", (entry,))
        if not alone.found_in(entry.system, used.get(entry.system, [])):
            reason = "" if entry.system in used else f"the records hold no code of {entry.system} at all"
            yield _found("never-seen", line, reason)


def _table(findings: Iterable[_Finding]) -> pd.DataFrame:
    rank = {"error": 0, "warning": 1, "note": 2}
    rows = []
    for f in findings:
        severity, sentence = RULES[f.rule]
        message = f"{sentence}: {f.detail}" if f.detail else sentence
        rows.append((severity, f.rule, f.line, f.system, f.code, message))
    rows.sort(key=lambda r: (rank[r[0]], r[2] or 0, r[1], r[3], r[4]))
    return pd.DataFrame(rows, columns=COLUMNS).astype({"line": "Int64"})
