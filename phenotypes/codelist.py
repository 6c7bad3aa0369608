"""Code lists: which codes mean a condition, a drug or a measurement.

A code list is a CSV file with the columns ``system`` and ``code`` (others, such as ``label``, are for
readers and are not read). A trailing ``*`` takes in everything below a code. Its identity is the SHA-256
of its normalised content, so that a label or the order of lines may change and the list stays the same.

SNOMED CT identifiers are shipped and stored without terms: the terms need a licence.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cohorts.errors import InputError


def _without_dots(code: str) -> str:
    return code.upper().replace(".", "").replace(" ", "")


def _read_code(code: str) -> str:
    # Upper and lower case differ in Read codes; characters 6 and 7 name a synonym of the same concept.
    return code[:5].rstrip(".")


SYSTEMS: dict[str, tuple[Callable[[str], str], re.Pattern[str]]] = {
    "snomed": (str, re.compile(r"[1-9][0-9]{5,17}")),
    "icd10": (_without_dots, re.compile(r"[A-Z][0-9][0-9A-Z]{0,4}")),
    "opcs4": (_without_dots, re.compile(r"[A-Z][0-9]{0,4}")),
    "bnf": (_without_dots, re.compile(r"[0-9]{2}[0-9A-Z]{0,13}")),
    "dmd": (str, re.compile(r"[1-9][0-9]{5,17}")),
    "read2": (_read_code, re.compile(r"[0-9A-Za-z][0-9A-Za-z.]{0,4}")),
    "ctv3": (_read_code, re.compile(r"[0-9A-Za-z.]{1,5}")),
}


def normalised(system: str, code: str) -> str:
    """A recorded code in the one spelling that code lists use.

    Examples
    --------
    >>> normalised("icd10", "e11.9"), normalised("read2", "C10F.00")
    ('E119', 'C10F')
    """
    return SYSTEMS[system][0](code) if system in SYSTEMS else code


@dataclass(frozen=True, order=True)
class CodeEntry:
    """One line of a code list: a code, or with `prefix` that code and everything below it."""

    system: str
    code: str
    prefix: bool = False

    def matches(self, system: str, code: str) -> bool:
        """Whether a normalised code is meant by this line."""
        if system != self.system:
            return False
        return code.startswith(self.code) if self.prefix else code == self.code

    def __str__(self) -> str:
        return f"{self.system} {self.code}{'*' if self.prefix else ''}"


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

    Examples
    --------
    >>> t2d = CodeList.of("t2d", [("icd10", "E11*"), ("snomed", "44054006")])
    >>> t2d.matches("icd10", "E119"), t2d.matches("icd10", "E10")
    (True, False)
    """

    name: str
    entries: tuple[CodeEntry, ...]
    remarks: tuple[str, ...] = field(default=(), compare=False)

    @classmethod
    def of(cls, name: str, codes: Iterable[tuple[str, str]]) -> CodeList:
        """Code list from (system, code) pairs; a trailing ``*`` makes a prefix.

        Raises
        ------
        InputError
            Where a system is unknown, a code cannot be one of its system, or there is no code.
        """
        return _build(name, [(f"entry {i}", s, c) for i, (s, c) in enumerate(codes, 1)], where=name)

    @classmethod
    def read(cls, path: str | Path, name: str | None = None) -> CodeList:
        """Read a code list from a CSV file with the columns ``system`` and ``code``.

        Parameters
        ----------
        path
            UTF-8 text, with or without a byte order mark; blank lines are passed over.
        name
            Name of the list; the file's stem where left out.

        Raises
        ------
        InputError
            Naming file and line, where the file is missing, empty, not text, lacks a column, or holds
            an unknown system or an impossible code (such as one that a spreadsheet has rounded).
        """
        path = Path(path)
        lines: list[tuple[str, str, str]] = []
        for number, row in read_rows(path, ("system", "code")):
            lines.append((f"line {number}", row["system"], row["code"]))
        return _build(path.stem if name is None else name, lines, where=path)

    @property
    def id(self) -> str:
        """SHA-256 (hexadecimal) of the sorted, normalised content."""
        content = "\n".join(f"{e.system},{e.code}{'*' if e.prefix else ''}" for e in self.entries)
        return hashlib.sha256(content.encode()).hexdigest()

    def matches(self, system: str, code: str) -> bool:
        """Whether a recorded code belongs to the list."""
        return self.entry_for(system, code) is not None

    def entry_for(self, system: str, code: str) -> int | None:
        """Position of the most specific entry that a recorded code matches, if any does."""
        clean = normalised(system, code)
        hits = [i for i, entry in enumerate(self.entries) if entry.matches(system, clean)]
        return max(hits, key=lambda i: (not self.entries[i].prefix, len(self.entries[i].code)), default=None)


def read_rows(path: Path, required: tuple[str, ...]) -> Iterable[tuple[int, dict[str, str]]]:
    """Yield (line number, row) of a CSV file whose header holds the required columns (any case).

    Raises
    ------
    InputError
        Where the file is missing or not UTF-8, a column is absent, or a line has too few fields.
    """
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
    reader = csv.reader(io.StringIO(text, newline=""))
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


def _build(name: str, lines: list[tuple[str, str, str]], *, where: object) -> CodeList:
    seen: dict[CodeEntry, str] = {}
    remarks: list[str] = []
    for place, system, code in lines:
        entry = _entry(system, code, where=f"{where}, {place}")
        if entry in seen:
            remarks.append(f"{name}: {place} repeats {seen[entry]} ({entry})")
        else:
            seen[entry] = place
    if not seen:
        raise InputError("code list is empty", where=where, expected="at least one code")
    entries = tuple(sorted(seen))
    for entry in entries:
        wider = [e for e in entries if e != entry and e.prefix and e.matches(entry.system, entry.code)]
        if wider:
            remarks.append(f"{name}: {entry} is already meant by {wider[0]}")
    return CodeList(name, entries, tuple(remarks))


def _entry(system: str, code: str, *, where: str) -> CodeEntry:
    system, code = system.strip().lower(), code.strip()
    if system not in SYSTEMS:
        raise InputError("unknown code system", where=where, found=repr(system), expected=", ".join(SYSTEMS))
    normalise, shape = SYSTEMS[system]
    prefix = code.endswith("*")
    clean = normalise(code.removesuffix("*"))
    if not shape.fullmatch(clean):
        rounded = re.fullmatch(r"[0-9.]+[eE]\+?[0-9]+", code) is not None
        raise InputError(
            f"not a code of {system}",
            where=where,
            found=repr(code),
            expected=_SHAPES[system],
            fix="format the column as text: a spreadsheet has rounded it"
            if rounded
            else "correct the code or its system",
        )
    return CodeEntry(system, clean, prefix)


_SHAPES: dict[str, str] = {
    "snomed": "6 to 18 digits",
    "icd10": "a letter and two digits, then up to four more characters",
    "opcs4": "a letter and up to four digits",
    "bnf": "2 to 15 digits or letters, beginning with two digits",
    "dmd": "6 to 18 digits",
    "read2": "up to five letters or digits",
    "ctv3": "up to five letters, digits or dots",
}
