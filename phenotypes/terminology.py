"""What is below a code, from the user's own terminology file.

A terminology is read from ICD-10 in ClaML, from the snapshot files of a SNOMED CT release (RF2), or from a plain
list of codes; :mod:`phenotypes.terminology_files` reads them. Nothing of any terminology is shipped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from phenotypes.code_systems import normalised


@dataclass(frozen=True, eq=False)
class Terminology:
    """The codes of one system and what stands above each.

    Attributes
    ----------
    system
        Code system, as in code lists.
    version
        Edition or release, as far as the file tells; '' otherwise.
    parents
        For every known code, in use or not, the codes just above it. Normalised.
    inactive
        Codes that are no longer in use.
    successors
        For an inactive code, the codes that took its place or mean the same.
    terms
        Words for a code, where the user's file has them. Never written into a code list that is to be shared
        unless the user asks for it.

    Examples
    --------
    >>> icd = Terminology.of_codes("icd10", ["E11", "E11.2", "E11.9", "E10"])
    >>> sorted(icd.below("E11"))
    ['E112', 'E119']
    """

    system: str
    version: str
    parents: Mapping[str, tuple[str, ...]] = field(repr=False)
    inactive: frozenset[str] = field(default=frozenset(), repr=False)
    successors: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    terms: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, path: str | Path, *, system: str | None = None, version: str | None = None) -> Terminology:
        """Read a terminology file or folder; see :func:`phenotypes.terminology_files.read_terminology`."""
        from phenotypes.terminology_files import read_terminology

        return read_terminology(path, system=system, version=version)

    @classmethod
    def of_codes(
        cls,
        system: str,
        codes: Iterable[str],
        *,
        version: str = "",
        terms: Mapping[str, str] | None = None,
    ) -> Terminology:
        """Terminology of a system in which what begins with a code is below it.

        Parameters
        ----------
        codes
            Every code; the parent of one is the longest other that it begins with.
        """
        clean = {normalised(system, code) for code in codes}
        parents = {}
        for code in clean:
            above = (code[:n] for n in range(len(code) - 1, 0, -1))
            parent = next((p for p in above if p in clean), None)
            parents[code] = () if parent is None else (parent,)
        known = {normalised(system, code): term for code, term in (terms or {}).items()}
        return cls(system, version, parents, terms=known)

    def __contains__(self, code: object) -> bool:
        return code in self.parents

    def __len__(self) -> int:
        return len(self.parents)

    @cached_property
    def id(self) -> str:
        """SHA-256 (hexadecimal) of the codes, what is above each and which are in use."""
        digest = hashlib.sha256(f"{self.system}\n".encode())
        for code in sorted(self.parents):
            mark = "-" if code in self.inactive else ""
            digest.update(f"{code}{mark},{' '.join(sorted(self.parents[code]))}\n".encode())
        return digest.hexdigest()

    @cached_property
    def _children(self) -> dict[str, list[str]]:
        children: dict[str, list[str]] = {}
        for code, above in self.parents.items():
            for parent in above:
                children.setdefault(parent, []).append(code)
        return children

    @cached_property
    def _predecessors(self) -> dict[str, list[str]]:
        before: dict[str, list[str]] = {}
        for code, after in self.successors.items():
            for successor in after:
                before.setdefault(successor, []).append(code)
        return before

    def children(self, code: str) -> tuple[str, ...]:
        """Codes just below a code, sorted."""
        return tuple(sorted(self._children.get(code, ())))

    def below(self, code: str, *, itself: bool = False) -> frozenset[str]:
        """Every code below a code, at any depth, with the inactive codes that these replaced.

        Inactive codes stand in old records, so that leaving them out would lose people.
        """
        seen: set[str] = set()
        waiting = [code]
        while waiting:
            at = waiting.pop()
            for child in self._children.get(at, ()):
                if child not in seen:
                    seen.add(child)
                    waiting.append(child)
        if itself and code in self.parents:
            seen.add(code)
        if self.successors:
            for active in tuple(seen):
                seen.update(self._predecessors.get(active, ()))
        if not itself:
            seen.discard(code)
        return frozenset(seen)

    def above(self, code: str) -> frozenset[str]:
        """Every code above a code, at any height."""
        seen: set[str] = set()
        waiting = list(self.parents.get(code, ()))
        while waiting:
            at = waiting.pop()
            if at not in seen:
                seen.add(at)
                waiting += self.parents.get(at, ())
        return frozenset(seen)
