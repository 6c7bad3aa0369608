"""Worked patients: small people written down by hand, to check a definition before trusting it.

A table says what is in their records::

    who | date       | code                    | value | unit
    amy | 2010-03-01 | snomed 44054006         |       |
    amy | 2010-05-01 | bnf 0601022B0AAABAB     |       |
    ben | 2011-06-01 | snomed 999791000000106  | 48    | mmol/mol

:func:`check` runs a phenotype on them through both engines, so that a definition that reads well but means
something else is found out at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa

from cohorts.errors import StudyError
from cohorts.hub import OPEN_END, Hub, connect, create_hub_tables
from phenotypes import reference
from phenotypes.codelist import normalised
from phenotypes.definitions import Phenotype
from phenotypes.derivation import derive
from phenotypes.reference import Event, Person

KINDS: dict[str, str] = {
    "bnf": "prescription",
    "dmd": "prescription",
    "opcs4": "procedure",
    "icd10": "diagnosis",
}
SOURCES: dict[str, str] = {"opcs4": "hospital", "icd10": "hospital"}
COLUMNS = ("who", "date", "code", "value", "unit", "source")


def patients(table: str) -> dict[str, Person]:
    """People from a table with the columns who, date, code and, where wanted, value, unit and source.

    Parameters
    ----------
    table
        Lines of cells between bars, the first with the names of the columns. A code is its system and the
        code; prescriptions are those in bnf or dmd. A line with `who` alone is a person without records.

    Returns
    -------
    dict
        People by name, registered from 1990 on.

    Raises
    ------
    StudyError
        Where a column is unknown or a cell cannot be read, naming the line.

    Examples
    --------
    >>> people = patients("who | date | code \\n amy | 2010-03-01 | snomed 44054006")
    >>> people["amy"].events[0].code
    '44054006'
    """
    lines = [line for line in table.splitlines() if line.strip() and not set(line) <= set("-|+ ")]
    header = [cell.strip() for cell in lines[0].split("|")]
    if not {"who"} <= set(header) <= set(COLUMNS):
        raise StudyError("unknown columns", where="worked patients", found=header, expected=COLUMNS)
    people: dict[str, Person] = {}
    for number, line in enumerate(lines[1:], 1):
        cells = dict(zip(header, (cell.strip() for cell in line.split("|")), strict=False))
        name = cells["who"]
        person = people.get(name, Person(registrations=((date(1990, 1, 1), date.fromisoformat(OPEN_END)),)))
        if cells.get("code"):
            person = replace(person, events=(*person.events, _event(cells, number)))
        people[name] = person
    return people


def hub_of(people: Iterable[Person]) -> tuple[Hub, pd.DataFrame]:
    """A hub in memory that holds some people, numbered from 0, and their frame of persons."""
    people = list(people)
    hub = connect(":memory:")
    create_hub_tables(hub)
    events = [(i, e) for i, person in enumerate(people) for e in person.events]
    columns = {
        "person_id": pa.array([i for i, _ in events], pa.int64()),
        "date": pa.array([e.day for _, e in events], pa.date32()),
        **{
            key: pa.array([getattr(e, key) for _, e in events], pa.string())
            for key in ("source", "kind", "system", "code", "unit")
        },
        "value": pa.array([e.value for _, e in events], pa.float64()),
    }
    _insert(hub, "events", columns)
    spans = [(i, a, b) for i, person in enumerate(people) for a, b in person.registrations]
    _insert(
        hub,
        "registrations",
        {
            "person_id": pa.array([i for i, _, _ in spans], pa.int64()),
            "start": pa.array([a for _, a, _ in spans], pa.date32()),
            "end": pa.array([b for _, _, b in spans], pa.date32()),
        },
    )
    dead = [(i, person.death) for i, person in enumerate(people) if person.death is not None]
    _insert(
        hub,
        "deaths",
        {
            "person_id": pa.array([i for i, _ in dead], pa.int64()),
            "date": pa.array([d for _, d in dead], pa.date32()),
        },
    )
    persons = pd.DataFrame(
        {
            "person_id": np.arange(len(people), dtype=np.int64),
            "sex": [person.sex for person in people],
            "birth_date": pd.to_datetime(pd.Series([person.birth for person in people], dtype=object)),
        }
    )
    return hub, persons


def check(
    phenotype: Phenotype,
    people: Mapping[str, Person],
    expected: Mapping[str, str],
    *,
    index_date: date,
    data_end: date,
) -> pd.DataFrame:
    """Compare the status of worked patients with what their author expects.

    Returns
    -------
    DataFrame
        patient, expected, found, reference, agrees: a row for each expected patient. `found` is the
        compiled engine's answer, `reference` the plain one's.
    """
    hub, persons = hub_of(people.values())
    with hub:
        derived = derive(
            hub, persons, index_date=index_date, data_end=data_end, phenotypes={"checked": phenotype}
        )
    found = dict(zip(people, derived.long["status"].astype(str), strict=True))
    end_day = (data_end + timedelta(days=1) - index_date).days
    rows = []
    for name, wanted in expected.items():
        plain = reference.status(phenotype, people[name], index_date, end_day)[0]
        rows.append((name, wanted, found[name], plain, wanted == found[name] == plain))
    return pd.DataFrame(rows, columns=["patient", "expected", "found", "reference", "agrees"])


def _event(cells: Mapping[str, str], number: int) -> Event:
    try:
        system, code = cells["code"].split()
        value = cells.get("value", "")
        return Event(
            date.fromisoformat(cells["date"]),
            system,
            normalised(system, code),
            KINDS.get(system, "event"),
            cells.get("source") or SOURCES.get(system, "gp"),
            float(value) if value else None,
            cells.get("unit") or None,
        )
    except (KeyError, ValueError) as error:
        raise StudyError(
            "a record cannot be read", where=f"worked patients, record {number}", found=error
        ) from None


def _insert(hub: Hub, table: str, columns: dict[str, pa.Array]) -> None:
    names = ", ".join(f'"{name}"' for name in columns)
    hub.connection.register("careome_worked", pa.table(columns))
    hub.connection.execute(f'INSERT INTO "{table}" ({names}) SELECT {names} FROM careome_worked')
    hub.connection.unregister("careome_worked")
