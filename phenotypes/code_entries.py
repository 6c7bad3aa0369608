"""What one line of a code list means: a code, what is below it, a range, or an exception.

How a line is written is said in :mod:`phenotypes.codelist`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from cohorts.errors import InputError
from phenotypes.code_systems import CODE_SYSTEMS

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
