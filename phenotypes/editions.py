"""Code lists of one edition of ICD-10 searched in the records of a source that codes in the other.

A hub says in its table ``sources`` in which edition a source codes, where the study has declared it. The few codes
that changed between NHS's fifth edition (2016) and WHO's of 2019 mean the same wherever they stand
(:data:`phenotypes.code_systems.EDITION_CHANGES`): none of them has another meaning in the other edition. So a list
finds a code of a declared source under the spelling of that source's edition, besides its own; in records of sources
without a declared edition only what the list says is found.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import ibis
import pandas as pd

from phenotypes.code_entries import CodeEntry
from phenotypes.code_systems import EDITION_CHANGES, EDITIONS, in_other_edition, normalised
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


def spellings(code: str, edition: str | None) -> tuple[str, ...]:
    """What a recorded ICD-10 code may be looked up as, the most specific first; never shorter than a category.

    Parameters
    ----------
    code
        Normalised.
    edition
        Of the source that recorded it; None where it declares none, and then the code and what stands above it are
        all. Else what the other edition calls a moved code comes before what stands above it.

    Examples
    --------
    >>> spellings("B59", "2016"), spellings("B485", "2019"), spellings("B485", None)
    (('B59', 'B485'), ('B485', 'B59', 'B48'), ('B485', 'B48'))
    """
    own = [code[:n] for n in range(len(code), 2, -1)]
    for change in EDITION_CHANGES if edition is not None else ():
        ours, theirs = (change.nhs, change.who) if edition == EDITIONS[0] else (change.who, change.nhs)
        if code.startswith(ours):
            below = len(code) - len(ours) + 1
            return (*own[:below], theirs, *own[below:])
    return tuple(own)


def moved_codes(used: pd.DataFrame, editions: Mapping[str, str]) -> dict[str, list[str]]:
    """By edition, the codes as its sources record them that the other edition spells otherwise.

    Parameters
    ----------
    used
        ``source``, ``system`` and ``code``: what is in use.
    editions
        Source to its edition.

    Examples
    --------
    >>> used = pd.DataFrame({"source": ["apc", "gp"], "system": "icd10", "code": "B59"})
    >>> moved_codes(used, {"apc": "2016"})
    {'2016': ['B59']}
    """
    found: dict[str, set[str]] = {}
    mine = used.loc[(used["system"] == "icd10") & used["source"].isin(list(editions)), ["source", "code"]]
    for source, raw in mine.dropna().drop_duplicates().itertuples(index=False):
        if is_moved(raw, edition := editions[source]):
            found.setdefault(edition, set()).add(raw)
    return {edition: sorted(codes) for edition, codes in sorted(found.items())}


def is_moved(code: str, edition: str) -> bool:
    """Whether the other edition spells a recorded ICD-10 code of this one otherwise.

    Examples
    --------
    >>> is_moved("B59", "2016"), is_moved("B59", "2019")
    (True, False)
    """
    return in_other_edition(normalised("icd10", code), _OTHER[edition]) is not None


def marked(events: Any, moved: Mapping[str, Iterable[str]], editions: Mapping[str, str]) -> Any:
    """Events (Ibis) in which moved codes of a source say its edition, so that they can be told apart by their code.

    Parameters
    ----------
    moved
        Result of :func:`moved_codes`; each is written as :func:`mark` writes it.
    """
    code = events.code
    for edition, codes in moved.items():
        mine = sorted(source for source, its in editions.items() if its == edition)
        here = (events.system == "icd10") & events.source.isin(mine) & events.code.isin(list(codes))
        code = here.ifelse(ibis.literal(mark(edition, "")) + events.code, code)
    return events.mutate(code=code) if moved else events


def mark(edition: str, code: str) -> str:
    """A recorded code with the edition of its source; no code has a blank.

    Examples
    --------
    >>> mark("2016", "B59")
    '2016 B59'
    """
    return f"{edition} {code}"


_OTHER = dict(zip(EDITIONS, reversed(EDITIONS), strict=True))


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
