"""Comorbidity indices: Charlson, Elixhauser, hospital frailty, multimorbidity and frailty, or one of the user's own.

Everything recorded in the look-back counts, main diagnosis or not, from one pass over the events.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa

from cohorts.errors import DesignError, InputError
from phenotypes.code_systems import by_spelling
from phenotypes.codelist import build_list
from phenotypes.codelist_files import read_rows, said_edition
from phenotypes.comorbidity_lists import INDICES, ComorbidityIndex, comorbidity_index
from phenotypes.editions import mark, marked, moved_codes, respelled, source_editions
from phenotypes.session import HubLike, Session, session


class MeetsNoRecord(UserWarning):
    """The lists of an index meet no record, so that its scores say nothing."""


def comorbidity(
    hub: HubLike,
    persons: pd.DataFrame | None = None,
    *,
    on: date,
    index: str | ComorbidityIndex = "charlson-quan2011",
    lookback_days: int | None = None,
) -> pd.DataFrame:
    """Comorbidity of each person before a day.

    ICD-10 codes of a source that declares its edition are also meant by their spelling in the other, as in code lists.
    Indices are of hospital codes: where no record of the hub meets a list, as in a hub of practices alone, which write
    SNOMED CT or Read, everybody's score is 0, and a :class:`MeetsNoRecord` says so.

    Parameters
    ----------
    hub
        Pseudonymous hub; read, not changed.
    persons
        With person_id, one row a person; everyone in the hub where None.
    on
        Records dated before this day count.
    index
        A name of :data:`phenotypes.comorbidity_lists.INDICES`, or an index of the user's own (:func:`read_index`).
        'multimorbidity' and 'frailty' are short lists of our own, of hospital codes: they order people, and are not
        the published instruments.
    lookback_days
        Records dated in the last so many days count; all where None. The Hospital Frailty Risk Score was made for 730.

    Returns
    -------
    DataFrame
        person_id int64; a bool column for each condition, as recorded; score float64, in which a severe condition takes
        the place of its mild form; n_conditions int64, those that count after that. In the order of `persons`, or of
        person_id.

    Raises
    ------
    DesignError
        Where the index is unknown, the look-back is not positive, or people are missing or stand twice.

    Warns
    -----
    MeetsNoRecord
        Names the code systems of the index and those of the records.

    Examples
    --------
    >>> comorbidity(hub, on=date(2020, 1, 1), lookback_days=5 * 365)  # doctest: +SKIP
    """
    if isinstance(index, str) and index not in INDICES:
        raise DesignError("unknown comorbidity index", found=repr(index), expected=", ".join(INDICES))
    if lookback_days is not None and lookback_days < 1:
        raise DesignError("no look-back", where="lookback_days", found=lookback_days, expected="1 or more")
    wanted = comorbidity_index(index) if isinstance(index, str) else index
    with session(hub) as opened:
        people = _people(opened, persons)
        found = _recorded(opened, people, wanted, on, lookback_days)
    return scored(people, found, wanted)


def scored(people: np.ndarray, found: Mapping[str, np.ndarray], index: ComorbidityIndex) -> pd.DataFrame:
    """Score people whose conditions are known.

    Parameters
    ----------
    people
        int64 person_id.
    found
        By condition of the index, bool for each person.

    Returns
    -------
    DataFrame
        As :func:`comorbidity`.

    Examples
    --------
    >>> charlson = comorbidity_index("charlson-1987")
    >>> has = {name: np.array([name in ("diabetes", "diabetes_complicated")]) for name in charlson.conditions}
    >>> float(scored(np.array([7]), has, charlson)["score"][0])
    2.0
    """
    counts = {name: has.copy() for name, has in found.items()}
    for severe, mild in index.trumps:
        counts[mild] &= ~found[severe]
    total = np.zeros(len(people))
    for name, has in counts.items():
        total += has * index.weights.get(name, 1.0)
    n = np.sum(np.array(list(counts.values())), axis=0, dtype=np.int64)
    # Weights in tenths add up to tenths.
    score = np.round(total, 6) / index.divisor
    return pd.DataFrame({"person_id": people, **found, "score": score, "n_conditions": n})


def read_index(path: str | Path, *, name: str | None = None, fraction: bool = False) -> ComorbidityIndex:
    """Read an index of the user's own.

    Parameters
    ----------
    path
        CSV file with the columns condition, system and code (as in a code list), and weight if wanted: the same on
        every line of a condition. A column ``icd10_edition`` is read as in a code list.
    name
        What to call it; the file's stem where None.
    fraction
        The score is the share of the conditions, as frailty indices have it, and not their sum.

    Raises
    ------
    InputError
        Where the file cannot be read, a code is impossible, or a condition has two weights.
    """
    path = Path(path)
    lines: dict[str, list[tuple[str, str, str]]] = {}
    weights: dict[str, float] = {}
    rows = list(read_rows(path, ("condition", "system", "code")))
    edition = said_edition(rows, where=path)
    for number, row in rows:
        condition = row["condition"]
        if condition in ("", "person_id", "score", "n_conditions"):
            raise InputError("not a name of a condition", where=f"{path}:{number}", found=repr(condition))
        lines.setdefault(condition, []).append((f"line {number}", row["system"], row["code"]))
        try:
            weight = float(row.get("weight") or 1.0)
        except ValueError:
            weight = float("nan")
        if not np.isfinite(weight) or weights.setdefault(condition, weight) != weight:
            raise InputError(
                "a condition needs one weight, a number", where=f"{path}:{number}", found=repr(row["weight"])
            )
    if not lines:
        raise InputError("index is empty", where=path, expected="at least one condition")
    lists = {
        condition: build_list(condition, codes, where=path, edition=edition)
        for condition, codes in lines.items()
    }
    return ComorbidityIndex(name or path.stem, lists, weights, divisor=float(len(lists)) if fraction else 1.0)


def _people(opened: Session, persons: pd.DataFrame | None) -> np.ndarray:
    if persons is None:
        persons = opened.frame(opened.table("people").select("person_id").order_by("person_id"))
    if "person_id" not in persons or persons.empty:
        raise DesignError("nobody to look for", where="persons", expected="a column person_id with people")
    if persons["person_id"].duplicated().any():
        raise DesignError("people stand more than once", where="persons")
    return persons["person_id"].to_numpy(np.int64)


def _recorded(
    opened: Session, people: np.ndarray, index: ComorbidityIndex, on: date, lookback_days: int | None
) -> dict[str, np.ndarray]:
    systems = sorted({e.system for codes in index.conditions.values() for e in codes.entries})
    events = opened.table("events")
    events = events.filter(events.system.isin(systems), events.code.notnull(), events.date < ibis.date(on))
    if lookback_days is not None:
        events = events.filter(events.date >= ibis.date(on - timedelta(days=lookback_days)))
    editions = source_editions(opened)
    by = ["source", "system", "code"] if editions else ["system", "code"]
    used = opened.frame(events.select(*by).distinct())
    moved = moved_codes(used, editions) if editions else {}
    meant = _meanings(used, index, moved)
    if not meant.num_rows:
        there = opened.frame(opened.table("events").select("system").distinct())["system"].dropna()
        warnings.warn(
            f"every score is 0: no record in the look-back meets a list of {index.source} ({', '.join(systems)}); "
            f"the records have codes of {', '.join(sorted(there)) or 'no code system'}",
            MeetsNoRecord,
            stacklevel=3,
        )
    codes = opened.load("careome_conditions", meant)
    rows = opened.load(
        "careome_condition_people",
        pa.table(
            {
                "who": pa.array(np.arange(len(people), dtype=np.int32)),
                "person_id": pa.array(people),
            }
        ),
    )
    joined: Any = marked(events, moved, editions).join(codes, ["system", "code"]).join(rows, "person_id")
    hits = opened.frame(joined.select("who", "condition").distinct())
    who, condition = hits["who"].to_numpy(np.int64), hits["condition"].to_numpy(np.int64)
    found = {}
    for number, name in enumerate(index.conditions):
        found[name] = np.zeros(len(people), dtype=bool)
        found[name][who[condition == number]] = True
    return found


def _meanings(used: pd.DataFrame, index: ComorbidityIndex, moved: Mapping[str, list[str]]) -> pa.Table:
    """Recorded codes, moved ones also with the edition of their source, and the condition that each means."""
    found: list[tuple[str, str, int]] = []
    for system, group in used.groupby("system", sort=True):
        written = by_spelling(str(system), set(group["code"]))
        for number, codes in enumerate(index.conditions.values()):
            for code, _ in codes.found_in(str(system), sorted(written)):
                found += [(str(system), raw, number) for raw in written[code]]
    for edition, raws in moved.items():
        written = by_spelling("icd10", raws)
        for number, codes in enumerate(index.conditions.values()):
            other = respelled(codes, edition)
            for code, _ in (codes if other is None else other.codelist).found_in("icd10", sorted(written)):
                found += [("icd10", mark(edition, raw), number) for raw in written[code]]
    columns = list(zip(*found, strict=True)) or [(), (), ()]
    kinds = {"system": pa.string(), "code": pa.string(), "condition": pa.int32()}
    return pa.table({n: pa.array(c, k) for (n, k), c in zip(kinds.items(), columns, strict=True)})
