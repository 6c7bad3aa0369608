"""Code lists: which codes mean a condition, a drug or a measurement.

A code list is a CSV file with the columns ``system`` and ``code`` (others, such as ``label``, are for
readers and are not read). Its identity is the SHA-256 of its normalised content, so that a label or the
order of lines may change and the list stays the same.

How a line may say what it means:

==============  ==============================================================================
``E11.9``       the one code
``E11*``        the code and everything below it (also ``E11.-`` in ICD-10, and ``<<`` anywhere)
``<<44054006``  the code and everything below it, in any system
``<44054006``   everything below it, without itself
``E10-E14``     a range of ICD or OPCS-4 categories with everything below each
``!E11.2*``     not these, whatever else the list says; also a column ``exclude`` with yes
==============  ==============================================================================

Below a SNOMED CT, dm+d or CTV3 code stands what the user's own terminology file says: such a list must be
given to :meth:`CodeList.expand` before records are searched. SNOMED CT identifiers are shipped and stored
without terms: the terms need a licence.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cohorts.errors import DesignError, InputError
from phenotypes.code_systems import CODE_SYSTEMS, EDITIONS, in_other_edition, normalised

if TYPE_CHECKING:
    import pandas as pd

    from phenotypes.terminology import Terminology

__all__ = [
    "CodeEntry",
    "CodeList",
    "build_list",
    "entries_of",
    "merged",
    "normalised",
    "read_header",
    "read_rows",
    "wider_entry",
]

LONGEST_RANGE = 3000


@dataclass(frozen=True, order=True)
class CodeEntry:
    """One line of a code list.

    Attributes
    ----------
    system, code
        Normalised.
    prefix
        What begins with the code is meant too.
    below
        '<' leaves the code itself out. Without `prefix`, '<' and '<<' ask a terminology what is below.
    excluded
        What the line means is taken out of the list.
    """

    system: str
    code: str
    prefix: bool = False
    below: Literal["", "<", "<<"] = ""
    excluded: bool = False

    @property
    def needs_terminology(self) -> bool:
        """Whether only a terminology file can tell what the line means."""
        return self.below != "" and not self.prefix

    def matches(self, system: str, code: str) -> bool:
        """Whether a normalised code is meant by this line, were it not excluded."""
        if system != self.system or not code.startswith(self.code):
            return False
        return self.below != "<" if code == self.code else self.prefix

    @property
    def text(self) -> str:
        """The line's code as a code list writes it."""
        below = self.below if self.needs_terminology or self.below == "<" else ""
        star = "*" if self.prefix and not below else ""
        return f"{'!' if self.excluded else ''}{below}{self.code}{star}"

    def __str__(self) -> str:
        return f"{self.system} {self.text}"


@dataclass(frozen=True)
class CodeList:
    """A named, ordered-by-content set of codes.

    Parameters
    ----------
    name
        Short name used in rules.
    entries
        Codes, normalised and sorted, without duplicates.
    remarks
        What was odd in the file but harmless, such as a code given twice. Not part of the identity.
    edition
        Edition of ICD-10 that the list was written for, '2016' or '2019'; None where it does not matter.
    spellings
        What the file said, by entry; kept for :meth:`diff`. Not part of the identity.

    Examples
    --------
    >>> t2d = CodeList.of("t2d", [("icd10", "E11*"), ("icd10", "!E11.2*"), ("snomed", "44054006")])
    >>> t2d.matches("icd10", "E119"), t2d.matches("icd10", "E112"), t2d.matches("icd10", "E10")
    (True, False, False)
    """

    name: str
    entries: tuple[CodeEntry, ...]
    remarks: tuple[str, ...] = field(default=(), compare=False)
    edition: str | None = None
    spellings: Mapping[CodeEntry, str] = field(default_factory=dict, compare=False, repr=False)

    def __repr__(self) -> str:
        systems = Counter(entry.system for entry in self.entries)
        told = ", ".join(f"{n} {system}" for system, n in sorted(systems.items()))
        return f"CodeList({self.name}: {told or 'no codes'}; id {self.id[:8]})"

    @classmethod
    def of(cls, name: str, codes: Iterable[tuple[str, str]], *, edition: str | None = None) -> CodeList:
        """Code list from (system, code) pairs, each code written as in a file.

        Raises
        ------
        InputError
            Where a system or the edition is unknown, a code cannot be one of its system, or there is no code.
        """
        lines = [(f"entry {i}", s, c) for i, (s, c) in enumerate(codes, 1)]
        return build_list(name, lines, where=name, edition=edition)

    @classmethod
    def read(cls, path: str | Path, name: str | None = None, *, edition: str | None = None) -> CodeList:
        """Read a code list from a CSV file with the columns ``system`` and ``code``.

        Parameters
        ----------
        path
            UTF-8 text, with or without a byte order mark; blank lines are passed over. A column ``exclude``
            may say yes where what a line means is to be taken out.
        name
            Name of the list; the file's stem where left out.
        edition
            Edition of ICD-10 that it was written for.

        Raises
        ------
        InputError
            Naming file and line, where the file is missing, empty, not text, lacks a column, or holds
            an unknown system or an impossible code (such as one that a spreadsheet has rounded).
        """
        path = Path(path)
        lines: list[tuple[str, str, str]] = []
        for number, row in read_rows(path, ("system", "code")):
            out = "!" if row.get("exclude", "").lower() in ("yes", "true", "1", "y", "x") else ""
            lines.append((f"line {number}", row["system"], out + row["code"]))
        return build_list(path.stem if name is None else name, lines, where=path, edition=edition)

    @property
    def id(self) -> str:
        """SHA-256 (hexadecimal) of the sorted, normalised content, and the edition where one is given."""
        content = "\n".join(f"{e.system},{e.text}" for e in self.entries)
        if self.edition is not None:
            content += f"\nedition,{self.edition}"
        return hashlib.sha256(content.encode()).hexdigest()

    def matches(self, system: str, code: str) -> bool:
        """Whether a recorded code belongs to the list."""
        return self.entry_for(system, code) is not None

    def entry_for(self, system: str, code: str) -> int | None:
        """Position of the most specific entry that a recorded code matches, if any does.

        Raises
        ------
        DesignError
            Where an entry of this system needs a terminology first.
        """
        if (found := self._by_system.get(system)) is None:
            return None
        # Records repeat few codes many times over.
        if code not in (known := found.known):
            known[code] = found.entry(normalised(system, code), self.name)
        return known[code]

    def found_in(self, system: str, codes: Sequence[str]) -> list[tuple[str, int]]:
        """Which of many codes belong to the list, and by which entry.

        Parameters
        ----------
        codes
            Normalised codes of one system, sorted, each once.

        Returns
        -------
        list of tuple
            (code, position of its entry), sorted by code.

        Raises
        ------
        DesignError
            Where an entry of this system needs a terminology first.

        Examples
        --------
        >>> CodeList.of("t2d", [("icd10", "E11*")]).found_in("icd10", ["E10", "E11", "E119", "I10"])
        [('E11', 0), ('E119', 0)]
        """
        if (found := self._by_system.get(system)) is None:
            return []
        candidates: set[str] = set()
        for entry in found.entries:
            start = bisect_left(codes, entry.code)
            stop = bisect_left(codes, entry.code + _LAST) if entry.prefix else start + 1
            candidates.update(codes[start:stop])
        hits = ((code, found.entry(code, self.name)) for code in sorted(candidates))
        return [(code, i) for code, i in hits if i is not None]

    @cached_property
    def _by_system(self) -> dict[str, _Lookup]:
        return {
            system: _Lookup.of([(i, e) for i, e in enumerate(self.entries) if e.system == system])
            for system in {e.system for e in self.entries}
        }

    def expand(self, terminology: Terminology) -> CodeList:
        """The list with every code of one terminology spelled out, exclusions carried out.

        See :func:`phenotypes.codelist_expand.expand`.
        """
        from phenotypes.codelist_expand import expand

        return expand(self, terminology)

    def diff(self, other: CodeList, *, counts: pd.DataFrame | None = None) -> pd.DataFrame:
        """What `other` has that this list has not, and the other way round.

        See :func:`phenotypes.codelist_diff.diff`.
        """
        from phenotypes.codelist_diff import diff

        return diff(self, other, counts=counts)

    def in_edition(self, edition: str) -> CodeList:
        """The list with the ICD-10 codes that the other edition coded differently put into this one.

        Examples
        --------
        >>> [str(e) for e in CodeList.of("pneumocystis", [("icd10", "B59")]).in_edition("2019").entries]
        ['icd10 B485*']
        """
        return self._edited(edition, keep=False)

    def across_editions(self) -> CodeList:
        """The list with both spellings of the ICD-10 codes that changed between 2016 and 2019.

        For lists that search hospital records (NHS 5th edition, 2016) and death records (WHO 2019) alike.

        Examples
        --------
        >>> [str(e) for e in CodeList.of("pneumocystis", [("icd10", "B59")]).across_editions().entries]
        ['icd10 B485*', 'icd10 B59']
        """
        both = self._edited(EDITIONS[0], keep=True)._edited(EDITIONS[1], keep=True)
        return replace(both, edition=None)

    def _edited(self, edition: str, *, keep: bool) -> CodeList:
        entries, remarks = set(self.entries), list(self.remarks)
        for entry in self.entries:
            if entry.system != "icd10" or (code := in_other_edition(entry.code, edition)) is None:
                continue
            # Below a changed code the subdivisions changed as well, so that the whole of it is meant.
            counterpart = replace(entry, code=code, prefix=True, below="")
            if not keep:
                entries.discard(entry)
            if counterpart not in entries:
                entries.add(counterpart)
                remarks.append(f"{self.name}: {entry} is {counterpart.text} in edition {edition}")
        return CodeList(self.name, tuple(sorted(entries)), tuple(remarks), _edition(edition, self.name))

    def remarked(self, remarks: Iterable[str]) -> CodeList:
        """The same list with more remarks."""
        return replace(self, remarks=(*self.remarks, *(f"{self.name}: {remark}" for remark in remarks)))

    def csv(self, terms: Mapping[tuple[str, str], str] | None = None) -> str:
        """The list as the text of a file that :meth:`read` reads; `terms` by (system, code), where known."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["system", "code", *(["term"] if terms else [])])
        for e in self.entries:
            writer.writerow([e.system, e.text, *([terms.get((e.system, e.code), "")] if terms else [])])
        return out.getvalue()


@dataclass(frozen=True)
class _Lookup:
    """The entries of one system by their code, so that finding does not walk through all of them."""

    entries: tuple[CodeEntry, ...]
    by_code: dict[str, list[tuple[int, CodeEntry]]]
    unexpanded: CodeEntry | None
    known: dict[str, int | None] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, entries: list[tuple[int, CodeEntry]]) -> _Lookup:
        by_code: dict[str, list[tuple[int, CodeEntry]]] = {}
        for i, entry in entries:
            by_code.setdefault(entry.code, []).append((i, entry))
        unexpanded = next((e for _, e in entries if e.needs_terminology), None)
        return cls(tuple(e for _, e in entries), by_code, unexpanded)

    def entry(self, clean: str, name: str) -> int | None:
        """Position of the most specific entry that means a normalised code, unless an exclusion means it too."""
        if self.unexpanded is not None:
            raise DesignError(
                "only a terminology file can tell what the code list means",
                where=name,
                found=str(self.unexpanded),
                fix="expand it first: codelist.expand(terminology), or careome codes expand",
            )
        best = None
        for n in range(len(clean), 0, -1):
            for i, entry in self.by_code.get(clean[:n], ()):
                if entry.matches(entry.system, clean):
                    if entry.excluded:
                        return None
                    best = i if best is None else best
        return best


# Sorts behind every character of a code.
_LAST = "\U0010ffff"


def read_header(path: Path) -> list[str]:
    """Names of the columns of a CSV (or tab-separated) file, in lower case."""
    text = _text(path)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text))
    return [column.strip().lower() for column in next(reader, [])]


def _delimiter(text: str) -> str:
    """Tab where the first line has one and no comma, as CPRD's code browsers write."""
    first = text.partition("\n")[0]
    return "\t" if "\t" in first and "," not in first else ","


def _text(path: Path) -> str:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(
            "code list cannot be read", where=path, found=error.strerror, fix="check the path"
        ) from None
    except UnicodeDecodeError as error:
        raise InputError(
            "code list is not UTF-8 text",
            where=path,
            found=f"byte {error.start}",
            fix="save it as CSV in UTF-8",
        ) from None
    if "\x00" in text:
        raise InputError(
            "code list is not text", where=path, found="a NUL byte", fix="save it as CSV in UTF-8"
        )
    return text


def read_rows(path: Path, required: tuple[str, ...]) -> Iterable[tuple[int, dict[str, str]]]:
    """Yield (line number, row) of a CSV file whose header holds the required columns (any case).

    Raises
    ------
    InputError
        Where the file is missing or not UTF-8, a column is absent, or a line has too few fields.
    """
    text = _text(path)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text))
    header = [column.strip().lower() for column in next(reader, [])]
    missing = [column for column in required if column not in header]
    if missing:
        raise InputError(
            "code list lacks a column",
            where=f"{path}:1",
            found=", ".join(header) or "an empty file",
            expected=", ".join(required),
            fix="give the first line the names of the columns",
        )
    for row in reader:
        if not any(cell.strip() for cell in row):
            continue
        if len(row) < len(header) and any(header.index(c) >= len(row) for c in required):
            raise InputError(
                "line is too short",
                where=f"{path}:{reader.line_num}",
                found=f"{len(row)} fields",
                expected=len(header),
            )
        yield reader.line_num, {name: cell.strip() for name, cell in zip(header, row, strict=False)}


def build_list(
    name: str, lines: list[tuple[str, str, str]], *, where: object, edition: str | None = None
) -> CodeList:
    """Code list from (place, system, code) lines; places are for messages.

    Raises
    ------
    InputError
        As :meth:`CodeList.of`.
    """
    seen: dict[CodeEntry, str] = {}
    spellings: dict[CodeEntry, str] = {}
    remarks: list[str] = []
    for place, system, code in lines:
        for entry in entries_of(system, code, where=f"{where}, {place}"):
            if entry in seen:
                remarks.append(f"{name}: {place} repeats {seen[entry]} ({entry})")
            else:
                seen[entry] = place
                spellings[entry] = code.strip()
    if not any(not entry.excluded for entry in seen):
        raise InputError("code list is empty", where=where, expected="at least one code")
    entries = tuple(sorted(seen))
    for entry in entries:
        if (wider := wider_entry(entry, seen)) is not None:
            remarks.append(f"{name}: {entry} is already meant by {wider}")
    return CodeList(name, entries, tuple(remarks), _edition(edition, where), spellings)


def merged(name: str, lists: Iterable[CodeList]) -> CodeList:
    """One list that means what any of several means.

    Raises
    ------
    DesignError
        Where one of several excludes codes: it would take them from the others too.

    Examples
    --------
    >>> both = [CodeList.of("a", [("icd10", "I20*")]), CodeList.of("b", [("opcs4", "K40*")])]
    >>> [str(e) for e in merged("chd", both).entries]
    ['icd10 I20*', 'opcs4 K40*']
    """
    lists = list(lists)
    if len(lists) > 1 and any(e.excluded for codes in lists for e in codes.entries):
        raise DesignError(
            "a list with exclusions cannot be merged with others", where=name, fix="expand the lists first"
        )
    return CodeList(
        name,
        tuple(sorted({e for codes in lists for e in codes.entries})),
        tuple(remark for codes in lists for remark in codes.remarks),
        next((codes.edition for codes in lists if codes.edition is not None), None),
        {e: written for codes in lists for e, written in codes.spellings.items()},
    )


def wider_entry(entry: CodeEntry, entries: Mapping[CodeEntry, object]) -> CodeEntry | None:
    """The widest of some entries that already means all that another means; None where there is none.

    Examples
    --------
    >>> wide = CodeEntry("icd10", "E11", prefix=True)
    >>> str(wider_entry(CodeEntry("icd10", "E113"), {wide: None}))
    'icd10 E11*'
    """
    for n in range(1, len(entry.code) + 1):
        wide = CodeEntry(entry.system, entry.code[:n], prefix=True, excluded=entry.excluded)
        if wide != entry and wide in entries:
            return wide
    return None


def entries_of(system: str, code: str, *, where: str) -> tuple[CodeEntry, ...]:
    """The entries that one line of a code list means: several where it is a range.

    Raises
    ------
    InputError
        Where the system is unknown, the code cannot be one of it, or the system has no such hierarchy.

    Examples
    --------
    >>> [str(e) for e in entries_of("icd10", "E10-E12", where="line 2")]
    ['icd10 E10*', 'icd10 E11*', 'icd10 E12*']
    """
    system, written = system.strip().lower(), code.strip()
    if system not in CODE_SYSTEMS:
        raise InputError(
            "unknown code system", where=where, found=repr(system), expected=", ".join(CODE_SYSTEMS)
        )
    excluded = written.startswith("!")
    text = written.removeprefix("!").strip()
    ends = re.fullmatch(r"([A-Za-z0-9.]+)\s*[-\u2013]\s*([A-Za-z0-9.]+)", text)
    if ends is not None and system in _RANGES:
        return tuple(
            CodeEntry(system, code, prefix=True, excluded=excluded)
            for code in _range(system, ends[1], ends[2], where=where)
        )
    below: Literal["", "<", "<<"] = "<<" if text.startswith("<<") else "<" if text.startswith("<") else ""
    # ECL writes a term between bars behind the code.
    text = re.sub(r"\s*\|[^|]*\|?\s*$", "", text[len(below) :].strip())
    starred = re.fullmatch(r"(.*?)(?:\*|%|(?<=\.)-)", text) if system != "loinc" else None
    clean = _checked(system, text if starred is None else starred[1], written, where=where)
    if starred is None and below == "":
        return (CodeEntry(system, clean, excluded=excluded),)
    if CODE_SYSTEMS[system].hierarchy == "prefix":
        strict: Literal["", "<"] = "<" if below == "<" else ""
        return (CodeEntry(system, clean, prefix=True, below=strict, excluded=excluded),)
    if starred is not None or CODE_SYSTEMS[system].hierarchy == "none":
        raise InputError(
            f"what begins with a code of {system} is not below it",
            where=where,
            found=repr(written),
            fix=f"write <<{clean} and expand the list with a terminology file"
            if CODE_SYSTEMS[system].hierarchy == "file"
            else "list the codes one by one",
        )
    return (CodeEntry(system, clean, below=below, excluded=excluded),)


_RANGES = ("icd10", "icd10cm", "icd9cm", "opcs4")


def _range(system: str, first: str, last: str, *, where: str) -> list[str]:
    low, high = (_checked(system, end, f"{first}-{last}", where=where) for end in (first, last))
    shape = re.compile(r"[A-Z]?[0-9]{2,4}")
    if len(low) != len(high) or not (shape.fullmatch(low) and shape.fullmatch(high)):
        raise InputError(
            "a range needs two codes of one length", where=where, found=repr(f"{first}-{last}"),
            expected="such as E10-E14 or E11.2-E11.5",
        )  # fmt: skip
    start, stop = _position(low), _position(high)
    if not start <= stop < start + LONGEST_RANGE:
        raise InputError(
            "the range runs backwards" if stop < start else "the range is too long",
            where=where,
            found=repr(f"{first}-{last}"),
            fix="list its parts",
        )
    digits = len(low) - low[0].isalpha()
    return [_at(position, digits, lettered=low[0].isalpha()) for position in range(start, stop + 1)]


def _position(code: str) -> int:
    """Where a code of a letter and digits stands among all of its length."""
    digits = code[1:] if code[0].isalpha() else code
    letter = ord(code[0]) - ord("A") if code[0].isalpha() else 0
    return letter * int(f"1{'0' * len(digits)}") + int(digits)


def _at(position: int, digits: int, *, lettered: bool) -> str:
    letter, number = divmod(position, 10**digits)
    return f"{chr(ord('A') + letter) if lettered else ''}{number:0{digits}d}"


def _checked(system: str, code: str, written: str, *, where: str) -> str:
    known = CODE_SYSTEMS[system]
    clean = known.normalise(code)
    if not known.shape.fullmatch(clean):
        rounded = re.fullmatch(r"[0-9.]+[eE]\+?[0-9]+", written) is not None
        raise InputError(
            f"not a code of {system}",
            where=where,
            found=repr(written),
            expected=known.expected,
            fix="format the column as text: a spreadsheet has rounded it"
            if rounded
            else "correct the code or its system",
        )
    return clean


def _edition(edition: str | None, where: object) -> str | None:
    if edition is not None and edition not in EDITIONS:
        raise InputError(
            "unknown edition of ICD-10", where=where, found=repr(edition), expected=", ".join(EDITIONS)
        )
    return edition
