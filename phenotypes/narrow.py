"""One pass over the events table that serves every definition.

The hub's events are read twice, never once per definition: first to list the different codes and units in
use, then to copy the rows that any code list means, for the people of the study, into a narrow table of
small integers. Everything later works on that table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa

from cohorts.errors import DesignError
from phenotypes.code_systems import by_spelling
from phenotypes.codelist import CodeList
from phenotypes.editions import mark, marked, moved_codes, respelled, source_editions
from phenotypes.rules import KINDS
from phenotypes.session import Session
from phenotypes.units import LARGEST_VALUE, canonical_unit


@dataclass(frozen=True)
class Records:
    """The narrowed records of the study's people.

    Attributes
    ----------
    session
        Where expressions run.
    people
        Ibis table (who int32, person_id int64, sex string, birth_date date): `who` is the row number in
        `persons`.
    narrow
        Ibis table (who int32, day int32 counted from the index date, list int16, entry int32, rx bool,
        kind int16 (position in :data:`phenotypes.rules.KINDS`, else -1), source int16, value double,
        unit int16): a row for each record and code list that means it. A
        record matched by several entries of a list counts for the most specific; a value that cannot be a
        measurement (not a number, not finite, absurdly large) is NULL.
    persons
        The people, in the order given, with a fresh index.
    codelists
        The code lists; the number of a list is its position here.
    units
        Canonical spelling of each unit number; None for a blank (0) or unknown unit.
    sources
        Name of each source number.
    index_date, end_day
        The index date, and the number of days from it to the day after the end of the data.
    """

    session: Session
    people: Any
    narrow: Any
    persons: pd.DataFrame
    codelists: tuple[CodeList, ...]
    units: tuple[str | None, ...]
    sources: tuple[str, ...]
    index_date: date
    end_day: int

    def number(self, codelist: CodeList) -> int:
        """Number of a code list in the narrow table."""
        return next(i for i, known in enumerate(self.codelists) if known.id == codelist.id)

    def source(self, name: str) -> int:
        """Number of a source in the narrow table; -1 for one without records."""
        return self.sources.index(name) if name in self.sources else -1

    def day(self, when: date) -> int:
        """Days from the index date."""
        return (when - self.index_date).days

    def rows(self, *codelists: CodeList, rx: bool) -> Any:
        """Narrowed rows of some code lists, prescriptions or all else, to the end of the data."""
        t = self.narrow
        numbers = [self.number(codes) for codes in codelists]
        return t.filter(t.list.isin(numbers), t.rx == ibis.literal(rx), t.day < self.end_day)


def narrow(
    session: Session,
    persons: pd.DataFrame,
    codelists: Iterable[CodeList],
    *,
    index_date: date,
    data_end: date | None = None,
) -> Records:
    """Narrow the hub's events to some people and code lists.

    Parameters
    ----------
    session
        An open session on the hub.
    persons
        Frame with person_id, sex and birth_date, one row a person.
    codelists
        Every code list that will be asked for.
    index_date
        Day zero.
    data_end
        Last day the records cover; the last day of any event or death where None.

    Raises
    ------
    DesignError
        Where there are no people, one stands twice, a column is missing, or the data end too early.
    """
    persons = checked(persons)
    lists = tuple({codes.id: codes for codes in codelists}.values())
    used = _used_codes(session)
    end = last_day(session) if data_end is None else data_end
    if end <= index_date:
        raise DesignError(
            "the records end on or before the index date",
            where="data_end",
            found=end,
            expected=f"later than {index_date}",
        )
    units: list[str | None] = [None, *sorted(u for u in used["unit"].dropna().unique() if u.strip())]
    sources = sorted(used["source"].dropna().unique())
    people = session.load("careome_people", _people_table(persons))
    editions = source_editions(session)
    moved = moved_codes(used, editions)
    codes = session.load("careome_codes", _code_table(used, lists, moved))
    unit_numbers = session.load("careome_units", _numbers("unit", units[1:], first=1))
    source_numbers = session.load("careome_sources", _numbers("source", sources))
    events = marked(session.table("events"), moved, editions)
    rows = (
        events.join(codes, ["system", "code"])
        .join(people.select("who", "person_id"), "person_id")
        .left_join(unit_numbers, "unit")
        .left_join(source_numbers, "source")
    )
    kept = rows.select(
        "who",
        (rows.date - ibis.date(index_date)).cast("int32").name("day"),
        "list",
        "entry",
        (rows.kind == "prescription").fill_null(False).name("rx"),
        _kind_number(rows.kind).name("kind"),
        rows.source_number.fill_null(-1).cast("int16").name("source"),
        rows.value.between(-LARGEST_VALUE, LARGEST_VALUE)
        .ifelse(rows.value, ibis.null("float64"))
        .name("value"),
        rows.unit_number.fill_null(0).cast("int16").name("unit"),
    ).filter(lambda t: t.day.notnull())
    return Records(
        session,
        people,
        session.keep("careome_narrow", kept, by="list"),
        persons,
        lists,
        tuple(canonical_unit(unit) for unit in units),
        tuple(sources),
        index_date,
        (end + timedelta(days=1) - index_date).days,
    )


def unread(session: Session, persons: pd.DataFrame, *, index_date: date, data_end: date) -> Records:
    """The people without any of their events: for what registrations and deaths alone can say.

    Raises
    ------
    DesignError
        Where there are no people, one stands twice or a column is missing.
    """
    persons = checked(persons)
    people = session.load("careome_people", _people_table(persons))
    end_day = (data_end + timedelta(days=1) - index_date).days
    return Records(session, people, None, persons, (), (None,), (), index_date, end_day)


def checked(persons: pd.DataFrame) -> pd.DataFrame:
    """The people with a fresh index, after checks.

    Raises
    ------
    DesignError
        Where there are no people, one stands twice or a column is missing.
    """
    needed = ["person_id", "sex", "birth_date"]
    if not set(needed) <= set(persons.columns):
        raise DesignError(
            "people lack a column", where="persons", found=list(persons.columns), expected=needed
        )
    if persons.empty:
        raise DesignError("nobody to derive phenotypes for", where="persons", fix="widen the population")
    repeated = int(persons["person_id"].duplicated().sum())
    if repeated:
        raise DesignError("people stand more than once", where="persons", found=f"{repeated} repeated rows")
    return persons.reset_index(drop=True)


def _used_codes(session: Session) -> pd.DataFrame:
    events = session.table("events")
    return session.frame(events.select("system", "code", "unit", "source").distinct())


def _kind_number(kind: Any) -> Any:
    numbered = [(kind == name, ibis.literal(i, "int16")) for i, name in enumerate(KINDS)]
    return ibis.cases(*numbered, else_=ibis.literal(-1, "int16"))


def _numbers(column: str, names: list[Any], first: int = 0) -> pa.Table:
    return pa.table(
        {
            column: pa.array(names, pa.string()),
            f"{column}_number": pa.array(range(first, first + len(names)), pa.int16()),
        }
    )


def last_day(session: Session) -> date:
    """Last day of any event or death.

    Raises
    ------
    DesignError
        Where there is none.
    """
    tables = [session.table(name) for name in ("events", "deaths")]
    found = pd.concat([session.frame(t.agg(last=t.date.max())) for t in tables])
    days = pd.to_datetime(found["last"]).dropna()
    if days.empty:
        raise DesignError(
            "the hub holds no dated record", where="events", fix="check that the sources were read"
        )
    last: date = days.max().date()
    return last


def _people_table(persons: pd.DataFrame) -> pa.Table:
    sex = persons["sex"].astype(object)
    return pa.table(
        {
            "who": pa.array(np.arange(len(persons), dtype=np.int32)),
            "person_id": pa.array(persons["person_id"].to_numpy(np.int64)),
            "sex": pa.array(sex.where(sex.isin(["M", "F"]), None), pa.string()),
            "birth_date": pa.array(pd.to_datetime(persons["birth_date"]), pa.timestamp("us")).cast(
                pa.date32()
            ),
        }
    )


def _code_table(
    used: pd.DataFrame, codelists: tuple[CodeList, ...], moved: Mapping[str, Sequence[str]]
) -> pa.Table:
    """Every recorded (system, code) that a list means, with the numbers of the list and its entry.

    ICD-10 codes of a source whose edition is declared are also meant by their spelling in the other edition; they bear
    the mark of their edition.
    """
    found: list[tuple[str, str, int, int]] = []
    pairs = used[["system", "code"]].dropna().drop_duplicates()
    for system, group in pairs.groupby("system", sort=True):
        written = by_spelling(str(system), group["code"])
        clean = sorted(written)
        for number, codelist in enumerate(codelists):
            for code, entry in codelist.found_in(str(system), clean):
                found += [(str(system), raw, number, entry) for raw in written[code]]
    for edition, codes in moved.items():
        written = by_spelling("icd10", codes)
        for number, codelist in enumerate(codelists):
            other = respelled(codelist, edition)
            for code, entry in (codelist if other is None else other.codelist).found_in(
                "icd10", sorted(written)
            ):
                origin = entry if other is None else other.origin[entry]
                found += [("icd10", mark(edition, raw), number, origin) for raw in written[code]]
    columns = list(zip(*found, strict=True)) or [(), (), (), ()]
    kinds = {"system": pa.string(), "code": pa.string(), "list": pa.int16(), "entry": pa.int32()}
    return pa.table({n: pa.array(c, k) for (n, k), c in zip(kinds.items(), columns, strict=True)})
