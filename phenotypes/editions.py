"""Code lists of one edition of ICD-10 searched in the records of a source that codes in the other.

A hub says in its table ``sources`` in which edition a source codes, where the study has declared it. The few codes
that changed between NHS's fifth edition (2016) and WHO's of 2019 mean the same wherever they stand
(:data:`phenotypes.code_systems.EDITION_CHANGES`): none of them has another meaning in the other edition. So a list
finds a code of a declared source under the spelling of that source's edition, besides its own; in records of sources
without a declared edition only what the list says is found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import ibis
import pandas as pd

from phenotypes.code_entries import CodeEntry
from phenotypes.code_systems import EDITION_CHANGES, EDITIONS, in_other_edition
from phenotypes.codelist import CodeList
from phenotypes.session import Session


@dataclass(frozen=True)
class Respelled:
    """A code list with what another edition calls the changed codes.

    Attributes
    ----------
    codelist
        The list with the other spellings added.
    origin
        Position of each entry of it among the entries of the list as given.
    """

    codelist: CodeList
    origin: tuple[int, ...]


def source_editions(session: Session) -> dict[str, str]:
    """Edition of ICD-10 of each source that declares one; empty where the hub has no such table."""
    try:
        sources = session.table("sources")
    except (KeyError, ibis.common.exceptions.TableNotFound):
        return {}
    found = session.frame(sources.select("source", "icd10_edition")).dropna()
    return {str(s): str(e) for s, e in zip(found["source"], found["icd10_edition"], strict=True)}


def respelled(codelist: CodeList, edition: str) -> Respelled | None:
    """A list with the spellings of an edition beside its own; None where nothing in it changed.

    A list that says which edition it is of also finds a changed code that one of its wider entries holds.

    Examples
    --------
    >>> other = respelled(CodeList.of("pneumocystis", [("icd10", "B20*"), ("icd10", "B48.5")]), "2016")
    >>> [str(entry) for entry in other.codelist.entries], other.origin
    (['icd10 B20*', 'icd10 B485', 'icd10 B59*'], (0, 1, 1))
    >>> respelled(CodeList.of("asthma", [("icd10", "J45*")]), "2016") is None
    True
    """
    origin: dict[CodeEntry, int] = {}
    for position, entry in enumerate(codelist.entries):
        if entry.system != "icd10":
            continue
        for code in _other_spellings(entry, codelist.edition, edition):
            origin.setdefault(replace(entry, code=code, prefix=True, below=""), position)
    own = {entry: position for position, entry in enumerate(codelist.entries)}
    if not set(origin) - set(own):
        return None
    every = {**origin, **own}
    entries = tuple(sorted(every))
    return Respelled(
        CodeList(codelist.name, entries, edition=codelist.edition), tuple(every[e] for e in entries)
    )


def _other_spellings(entry: CodeEntry, written: str | None, edition: str) -> list[str]:
    if (code := in_other_edition(entry.code, edition)) is not None:
        return [code]
    if not entry.prefix or written is None or written == edition:
        return []
    pairs = [(c.who, c.nhs) if edition == EDITIONS[0] else (c.nhs, c.who) for c in EDITION_CHANGES]
    return [ours for theirs, ours in pairs if theirs.startswith(entry.code)]


def found_by_edition(
    used: pd.DataFrame, codelist: CodeList, editions: Mapping[str, str]
) -> list[tuple[str, int]]:
    """Recorded ICD-10 codes that a list means only by another edition's spelling.

    Parameters
    ----------
    used
        ``source`` and ``clean``: normalised ICD-10 codes in use, by source.
    editions
        Source to its edition.

    Returns
    -------
    list of tuple
        (code, position of the entry that means it), sorted.
    """
    found: dict[str, int] = {}
    for edition in sorted(set(editions.values())):
        other = respelled(codelist, edition)
        if other is None:
            continue
        mine = used.loc[used["source"].map(editions) == edition, "clean"]
        for code, entry in other.codelist.found_in("icd10", sorted(set(mine))):
            found.setdefault(code, other.origin[entry])
    return sorted(found.items())
