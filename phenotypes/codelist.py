"""Code lists: which codes mean a condition, a drug or a measurement.

A code list is a CSV file with the columns ``system`` and ``code`` (others, such as ``label``, are for
readers and are not read). Its identity is the SHA-256 of its normalised content, so that a label or the
order of lines may change and the list stays the same. A column ``icd10_edition`` (2016 for the NHS's fifth edition,
2019 for WHO's) says for which edition of ICD-10 the list was written; one line may say it for all. It counts where a
hub's source says its own (:mod:`phenotypes.editions`).

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
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from cohorts.errors import DesignError, InputError
from phenotypes.code_entries import CodeEntry, entries_of, wider_entry
from phenotypes.code_systems import EDITIONS, in_other_edition, normalised
from phenotypes.codelist_files import EDITION, read_rows, said_edition

if TYPE_CHECKING:
    import pandas as pd

    from phenotypes.terminology import Terminology


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
            may say yes where what a line means is to be taken out, and a column ``icd10_edition`` 2016 or 2019.
        name
            Name of the list; the file's stem where left out.
        edition
            Edition of ICD-10 that it was written for, where the file does not say it.

        Raises
        ------
        InputError
            Naming file and line, where the file is missing, empty, not text, lacks a column, holds
            an unknown system or an impossible code (such as one that a spreadsheet has rounded), or names two
            editions.
        """
        path = Path(path)
        lines: list[tuple[str, str, str]] = []
        rows = list(read_rows(path, ("system", "code")))
        edition = said_edition(rows, where=path, given=edition)
        for number, row in rows:
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
        dated = self.edition is not None
        writer.writerow(["system", "code", *([EDITION] if dated else []), *(["term"] if terms else [])])
        for e in self.entries:
            edition = [self.edition if e.system == "icd10" else ""] if dated else []
            term = [terms.get((e.system, e.code), "")] if terms else []
            writer.writerow([e.system, e.text, *edition, *term])
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
    """One list that means what any of several means, of an edition of ICD-10 where all say the same.

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
    editions = {codes.edition for codes in lists if any(e.system == "icd10" for e in codes.entries)}
    if len(lists) > 1 and any(e.excluded for codes in lists for e in codes.entries):
        raise DesignError(
            "a list with exclusions cannot be merged with others", where=name, fix="expand the lists first"
        )
    return CodeList(
        name,
        tuple(sorted({e for codes in lists for e in codes.entries})),
        tuple(remark for codes in lists for remark in codes.remarks),
        editions.pop() if len(editions) == 1 else None,
        {e: written for codes in lists for e, written in codes.spellings.items()},
    )


def _edition(edition: str | None, where: object) -> str | None:
    if edition is not None and edition not in EDITIONS:
        raise InputError(
            "unknown edition of ICD-10", where=where, found=repr(edition), expected=", ".join(EDITIONS)
        )
    return edition
