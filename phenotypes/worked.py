"""Worked patients: small people written down by hand, to check a definition before trusting it.

A table says what is in their records::

    who | date       | code                    | value | unit
    amy | 2010-03-01 | snomed 44054006         |       |
    amy | 2010-05-01 | bnf 0601022B0AAABAB     |       |
    ben | 2011-06-01 | snomed 999791000000106  | 48    | mmol/mol

:func:`check` runs a phenotype on them through both engines, so that a definition that reads well but means
something else is found out at once.

An entry of the catalogue keeps its worked patients in ``patients.yaml``, read by :func:`read_worked`::

    index_date: 2012-01-01
    data_end: 2022-12-31
    patients:
      amy:
        is: case
        first_date: 2010-05-01
        shows: typical
        why: a diagnosis and a tablet
        records:
          - {date: 2010-03-01, code: snomed 44054006}
          - {date: 2010-05-01, code: bnf 0601022B0AAABAB}
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic import BeforeValidator, Field

from cohorts.errors import StudyError
from cohorts.hub import OPEN_END, Hub, connect, create_hub_tables
from phenotypes import reference
from phenotypes.code_systems import normalised
from phenotypes.definitions import Phenotype
from phenotypes.derivation import derive
from phenotypes.library import Entry, parse
from phenotypes.reference import Event, Person
from phenotypes.rules import Kind
from phenotypes.rulespec import Closed

#: What a record is, by the system of its code, where the author does not say its kind; an event otherwise.
KINDS: dict[str, str] = {
    "bnf": "prescription",
    "dmd": "prescription",
    "rxnorm": "prescription",
    "opcs4": "procedure",
    "icd10": "diagnosis",
}
SOURCES: dict[str, str] = {"opcs4": "hospital", "icd10": "hospital"}
COLUMNS = ("who", "date", "code", "value", "unit", "source", "kind")


REGISTERED: tuple[tuple[date, date], ...] = ((date(1990, 1, 1), date.fromisoformat(OPEN_END)),)

#: What a worked patient is there to show.
Shows = Literal["typical", "near miss", "excluded", "unknown", "boundary", "wrong unit"]


class RecordSpec(Closed):
    """One record: a code as "system code", with a value and unit where there is one."""

    date: date
    code: str
    value: Annotated[str, BeforeValidator(str)] | None = None
    unit: str | None = None
    source: str | None = None
    kind: Kind | None = Field(default=None, description="where the system of the code does not tell")


class PatientSpec(Closed):
    """A worked patient, and what a clinician would say of them."""

    status: Literal["case", "control", "excluded", "unknown"] = Field(alias="is")
    shows: Shows
    first_date: date | None = Field(default=None, description="the day that dates the case")
    why: str | None = None
    sex: Literal["M", "F"] | None = None
    born: date | None = None
    died: date | None = None
    registered: list[tuple[date, date]] | None = Field(
        default=None, description="from 1990 on where left out"
    )
    records: list[RecordSpec] = Field(default=[])


class WorkedSpec(Closed):
    """The worked patients of a definition."""

    index_date: date
    data_end: date
    patients: dict[str, PatientSpec] = Field(min_length=1)


@dataclass(frozen=True)
class Worked:
    """Worked patients of a definition, and what is expected of it.

    Attributes
    ----------
    index_date, data_end
        As in a study.
    people
        The patients, by name.
    expected
        Status by name.
    first_dates
        Day that dates the case, by name, where the author gives one.
    shows
        What each is there to show.
    """

    index_date: date
    data_end: date
    people: Mapping[str, Person]
    expected: Mapping[str, str]
    first_dates: Mapping[str, date] = field(default_factory=dict)
    shows: Mapping[str, str] = field(default_factory=dict)


def read_worked(path: str | Path) -> Worked:
    """Worked patients from a YAML file.

    Raises
    ------
    InputError
        Where the file is missing or not YAML.
    StudyError
        Where a key is wrong or a record cannot be read, naming it.
    """
    spec: WorkedSpec = parse(WorkedSpec, Path(path))
    people = {name: _person(patient, f"{path}: {name}") for name, patient in spec.patients.items()}
    return Worked(
        spec.index_date,
        spec.data_end,
        people,
        {name: patient.status for name, patient in spec.patients.items()},
        {name: p.first_date for name, p in spec.patients.items() if p.first_date is not None},
        {name: patient.shows for name, patient in spec.patients.items()},
    )


def check_entry(entry: Entry) -> pd.DataFrame:
    """The worked patients of an entry against its definition, as :func:`check` gives them."""
    worked = read_worked(entry.patients)
    return check(
        entry.phenotype,
        worked.people,
        worked.expected,
        index_date=worked.index_date,
        data_end=worked.data_end,
        first_dates=worked.first_dates,
    )


def patients(table: str) -> dict[str, Person]:
    """People from a table with the columns who, date, code and, where wanted, value, unit, source and kind.

    Parameters
    ----------
    table
        Lines of cells between bars, the first with the names of the columns. A code is its system and the
        code; prescriptions are those in bnf, dmd or rxnorm. A line with `who` alone is a person without records.

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
        person = people.get(name, Person(registrations=REGISTERED))
        if cells.get("code"):
            person = replace(
                person, events=(*person.events, _event(cells, f"worked patients, record {number}"))
            )
        people[name] = person
    return people


def hub_of(people: Iterable[Person]) -> tuple[Hub, pd.DataFrame]:
    """A hub in memory that holds some people, numbered from 0, and their frame of persons."""
    people = list(people)
    hub = connect(":memory:")
    create_hub_tables(hub)
    events = [(i, e) for i, person in enumerate(people) for e in person.events]
    columns = {
        "row_id": pa.array(range(len(events)), pa.int64()),
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
    first_dates: Mapping[str, date] | None = None,
) -> pd.DataFrame:
    """Compare the status of worked patients with what their author expects.

    Parameters
    ----------
    first_dates
        Days that date cases, for those patients whose author gives one.

    Returns
    -------
    DataFrame
        patient, expected, found, reference, agrees: a row for each expected patient. `found` is the
        compiled engine's answer, `reference` the plain one's; where a day is expected, it follows the status.
    """
    hub, persons = hub_of(people.values())
    with hub:
        derived = derive(
            hub, persons, index_date=index_date, data_end=data_end, phenotypes={"checked": phenotype}
        )
    dated = derived.long["first_date"].dt.date
    found = dict(zip(people, zip(derived.long["status"].astype(str), dated, strict=True), strict=True))
    end_day = (data_end + timedelta(days=1) - index_date).days
    rows = []
    for name, status in expected.items():
        day = (first_dates or {}).get(name)
        plain, days, _ = reference.status(phenotype, people[name], index_date, end_day)
        plain_day = None if days is None else index_date + timedelta(days=days)
        said = [
            who if day is None or who != "case" else f"{who} on {on}"
            for who, on in ((status, day), found[name], (plain, plain_day))
        ]
        rows.append((name, *said, len(set(said)) == 1))
    return pd.DataFrame(rows, columns=["patient", "expected", "found", "reference", "agrees"])


def _person(spec: PatientSpec, where: str) -> Person:
    records = [
        _event(
            {key: str(value) for key, value in record.model_dump().items() if value is not None},
            f"{where}, record {number}",
        )
        for number, record in enumerate(spec.records, 1)
    ]
    registered = REGISTERED if spec.registered is None else tuple(spec.registered)
    return Person(tuple(records), spec.sex, spec.born, registered, spec.died)


def _event(cells: Mapping[str, str], where: str) -> Event:
    try:
        system, code = cells["code"].split()
        value = cells.get("value", "")
        return Event(
            date.fromisoformat(cells["date"]),
            system,
            normalised(system, code),
            cells.get("kind") or KINDS.get(system, "event"),
            cells.get("source") or SOURCES.get(system, "gp"),
            float(value) if value else None,
            cells.get("unit") or None,
        )
    except (KeyError, ValueError) as error:
        raise StudyError("a record cannot be read", where=where, found=error) from None


def _insert(hub: Hub, table: str, columns: dict[str, pa.Array]) -> None:
    names = ", ".join(f'"{name}"' for name in columns)
    hub.connection.register("careome_worked", pa.table(columns))
    hub.connection.execute(f'INSERT INTO "{table}" ({names}) SELECT {names} FROM careome_worked')
    hub.connection.unregister("careome_worked")
