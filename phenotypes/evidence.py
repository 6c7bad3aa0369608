"""The records behind a status, and one person's path through a definition.

Both read the hub again, for the people asked about and no others, and follow the rules with the plain
reference engine: the path shows what the definition means, not how an engine happened to run it. Rows hold a
pseudonymous person's records: nothing here is printed or written by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from cohorts.errors import DesignError
from cohorts.without_rows import WithoutRows
from phenotypes import reference
from phenotypes.definitions import Outcome, Phenotype
from phenotypes.editions import source_editions
from phenotypes.narrow import checked, last_day
from phenotypes.plain_english import long_date, phrase
from phenotypes.reference import Event, Person
from phenotypes.rules import (
    AllOf,
    AnyOf,
    InOrder,
    Lasting,
    Leaf,
    Near,
    NoneOf,
    Rule,
    is_date_rule,
)
from phenotypes.session import HubLike, Session, session

EVIDENCE = (
    "person_id",
    "definition",
    "role",
    "rule",
    "codelist",
    "row_id",
    "date",
    "source",
    "kind",
    "system",
    "code",
    "value",
    "unit",
)
_RECORD = ("row_id", "date", "source", "kind", "system", "code", "value", "unit")
_BATCH = 2000


@dataclass(frozen=True, repr=False)
class Step(WithoutRows):
    """One rule of a definition, as it went for one person.

    Attributes
    ----------
    rule
        The rule.
    holds
        Whether it held.
    day
        Day that dates it; None where it did not hold or has no date.
    dates
        Its dates (of a condition: those of its evidence), in order.
    rows
        Of a leaf: the row_id of the records it means, in order of their dates; else empty.
    parts
        The rules within it, in the order written; of ``near`` and ``lasting`` the other rule comes second.
    """

    rule: Rule
    holds: bool
    day: date | None
    dates: tuple[date, ...]
    rows: tuple[int, ...]
    parts: tuple[Step, ...]


@dataclass(frozen=True, repr=False)
class Path(WithoutRows):
    """One person's path through a definition.

    Attributes
    ----------
    person_id
        Pseudonym.
    definition
        What was followed.
    status
        'case', 'control', 'excluded' or 'unknown'; of an outcome 'event', 'no event'.
    day
        Day that dates a case or an event.
    roles
        The rules by role: 'case', 'exclude', 'exclude_controls'; of an outcome 'event'.
    records
        The person's records that any leaf means: row_id, date, source, kind, system, code, value, unit.
    """

    person_id: int
    definition: Phenotype | Outcome
    status: str
    day: date | None = field(repr=False)
    roles: Mapping[str, Step]
    records: pd.DataFrame


def trace(
    definition: Phenotype | Outcome,
    hub: HubLike,
    person_id: int,
    *,
    index_date: date,
    data_end: date | None = None,
    persons: pd.DataFrame | None = None,
) -> Path:
    """Follow one person through a definition.

    Parameters
    ----------
    definition
        A phenotype, or an outcome, of which the event is followed.
    hub
        As for :func:`phenotypes.derivation.derive`.
    person_id
        Pseudonym of somebody of the hub.
    index_date, data_end
        As for :func:`phenotypes.derivation.derive`.
    persons
        Where sex and birth dates are; the hub's table of people where None.

    Raises
    ------
    DesignError
        Where the person is not there.

    Examples
    --------
    >>> path = trace(definition, hub, 1042, index_date=date(2012, 1, 1))  # doctest: +SKIP
    >>> print(tell(path))  # doctest: +SKIP
    """
    with session(hub) as opened:
        people = opened.table("people")
        known = opened.frame(people.filter(people.person_id == person_id)) if persons is None else persons
        known = known[known["person_id"] == person_id]
        if known.empty:
            raise DesignError(
                "nobody there has this pseudonym", where="person_id", fix="take one of this hub's"
            )
        end = last_day(opened) if data_end is None else data_end
        ((_, person, rows),) = _read(opened, checked(known))
    return _follow(definition, person_id, person, rows, index_date, end)


def evidence(
    definition: Phenotype | Outcome,
    hub: HubLike,
    persons: pd.DataFrame,
    *,
    index_date: date,
    data_end: date | None = None,
    limit: int | None = 1000,
) -> pd.DataFrame:
    """The records that made people cases, or excluded them.

    Parameters
    ----------
    definition, hub, index_date, data_end
        As for :func:`trace`.
    persons
        The people asked about: person_id, sex and birth_date, such as some rows of a population.
    limit
        Most rows to give; reading ends there. None is no limit: at 3 to 5 ms of processor a person, give the
        people you mean.

    Returns
    -------
    DataFrame
        person_id, definition, role, rule (the leaf in words), codelist, row_id, date, source, kind, system,
        code, value, unit: a row for each record on a date of evidence and leaf that means it, by person and
        date. A rule that does not hold has none, nor has ``none_of``.

    Examples
    --------
    >>> evidence(definition, hub, people.persons.head(20), index_date=date(2012, 1, 1))  # doctest: +SKIP
    """
    found: list[pd.DataFrame] = []
    n = 0
    for batch in evidence_batches(definition, hub, persons, index_date=index_date, data_end=data_end):
        found.append(batch)
        n += len(batch)
        if limit is not None and n >= limit:
            break
    some = [batch for batch in found if len(batch)]
    if not some:
        return pd.DataFrame(columns=list(EVIDENCE))
    joined = pd.concat(some, ignore_index=True)
    return joined if limit is None else joined.head(limit)


def evidence_batches(
    definition: Phenotype | Outcome,
    hub: HubLike,
    persons: pd.DataFrame,
    *,
    index_date: date,
    data_end: date | None = None,
) -> Iterator[pd.DataFrame]:
    """The rows of :func:`evidence`, for some thousands of people at a time."""
    persons = checked(persons)
    with session(hub) as opened:
        end = last_day(opened) if data_end is None else data_end
        for start in range(0, len(persons), _BATCH):
            rows: list[tuple[Any, ...]] = []
            for person_id, person, records in _read(opened, persons.iloc[start : start + _BATCH]):
                path = _follow(definition, person_id, person, records, index_date, end)
                rows += _rows_of(path)
            yield pd.DataFrame(rows, columns=list(EVIDENCE))


def tell(path: Path) -> str:
    """A path in plain English: pseudonym, dates and row numbers, no codes and no values.

    Examples
    --------
    >>> from phenotypes.codelist import CodeList
    >>> from phenotypes.rules import has
    >>> from phenotypes.worked import hub_of, patients
    >>> gout = Phenotype("gout", has(CodeList.of("gout", [("icd10", "M10*")])), label="Gout")
    >>> table = "who | date | code \\n amy | 2010-03-01 | icd10 M10.9"
    >>> hub, persons = hub_of(patients(table).values())
    >>> print(tell(trace(gout, hub, 0, index_date=date(2012, 1, 1), persons=persons)))
    Gout: person 0 is a case, dated 1 March 2010.
    What makes a case:
      yes  a record of gout: 1 March 2010 (record 0)
    """
    named = path.definition.label or path.definition.name
    when = f", dated {long_date(path.day)}" if path.day else ""
    lines = [f"{named}: person {path.person_id} {_SAID[path.status]}{when}."]
    for role, step in path.roles.items():
        lines.append(f"{_ROLES[role]}:")
        lines += _lines(step, 1)
    return "\n".join(lines)


_SAID = {
    "case": "is a case",
    "control": "is a control",
    "excluded": "is neither case nor control",
    "unknown": "was not observed",
    "event": "has the event",
    "no event": "has no event",
}
_GROUPS = {AnyOf: "one or more of", AllOf: "all of", NoneOf: "none of", InOrder: "one after another"}
_ROLES = {
    "case": "What makes a case",
    "exclude": "What excludes",
    "exclude_controls": "What is not allowed in a control",
    "event": "The event",
}


def _lines(step: Step, depth: int) -> list[str]:
    if isinstance(step.rule, AnyOf) and len(step.parts) == 1:
        return _lines(step.parts[0], depth)
    mark = "yes" if step.holds else "no "
    dates = f": {_listed([long_date(day) for day in step.dates])}" if step.dates else ""
    words = _GROUPS.get(type(step.rule)) or phrase(step.rule)
    rows = ""
    if step.rows:
        rows = f" (record{'s' if len(step.rows) > 1 else ''} {_listed([str(row) for row in step.rows])})"
    lines = [f"{'  ' * depth}{mark}  {words}{dates}{rows}"]
    for part in step.parts:
        lines += _lines(part, depth + 1)
    return lines


def _listed(items: Sequence[str], most: int = 5) -> str:
    shown = ", ".join(items[:most])
    return shown if len(items) <= most else f"{shown} and {len(items) - most} more"


def _read(opened: Session, persons: pd.DataFrame) -> Iterator[tuple[int, Person, pd.DataFrame]]:
    """(pseudonym, person without records, their records) of some people."""
    ids = persons["person_id"].to_numpy(np.int64)
    wanted = opened.load("careome_wanted", pa.table({"person_id": pa.array(ids)}))

    def rows_of(name: str, columns: Sequence[str]) -> dict[Any, pd.DataFrame]:
        t = opened.table(name).semi_join(wanted, "person_id").select("person_id", *columns)
        return dict(tuple(opened.frame(t).groupby("person_id")))

    events, editions = rows_of("events", _RECORD), source_editions(opened)
    spans, deaths = rows_of("registrations", ("start", "end")), rows_of("deaths", ("date",))
    nothing = pd.DataFrame(columns=list(_RECORD))
    for person_id, sex, birth in zip(ids, persons["sex"], pd.to_datetime(persons["birth_date"]), strict=True):
        registered = spans.get(person_id)
        dead = deaths.get(person_id)
        person = Person(
            sex=sex if sex in ("M", "F") else None,
            birth=None if pd.isna(birth) else birth.date(),
            registrations=()
            if registered is None
            else tuple(zip(registered["start"], registered["end"], strict=True)),
            death=None if dead is None or dead["date"].isna().all() else dead["date"].dropna().min(),
        )
        mine = events.get(person_id, nothing)
        yield int(person_id), person, mine.assign(edition=mine["source"].map(editions))


@dataclass(frozen=True)
class _Follower:
    """Follows the rules of a definition through one person's records."""

    events: list[tuple[int, Event]]
    index: date
    who: Person

    def step(self, rule: Rule) -> tuple[Step, set[int]]:
        """The step, and its dates as days from the index date."""
        if is_date_rule(rule):
            return self._dated(rule)
        assert isinstance(rule, AnyOf | AllOf | NoneOf | InOrder)
        steps = [self.step(part) for part in rule.parts]
        found = reference.combine(rule, [self._found(step, days) for step, days in steps])
        return self._made(rule, found.holds, found.day, set(found.dates), steps), set(found.dates)

    def _dated(self, rule: Rule) -> tuple[Step, set[int]]:
        if isinstance(rule, Leaf):
            rows = [(self._day(e), row) for row, e in self.events if reference.is_meant(e, rule, self.who)]
            days = {day for day, _ in rows}
            step = self._made(rule, bool(days), min(days, default=None), days, [])
            return Step(rule, step.holds, step.day, step.dates, tuple(r for _, r in sorted(rows)), ()), days
        if isinstance(rule, AnyOf):
            inner = [self.step(part) for part in rule.parts]
            days = set().union(*(days for _, days in inner))
        else:
            within: Any = rule
            inner = [self.step(within.rule)]
            if isinstance(rule, Near | Lasting):
                inner.append(self.step(rule.other))
            days = reference.kept(within, inner[0][1], inner[-1][1], self.index, self.who)
        return self._made(rule, bool(days), min(days, default=None), days, inner), days

    def _found(self, step: Step, days: set[int]) -> reference.Found:
        day = None if step.day is None else (step.day - self.index).days
        return reference.Found(step.holds, day, frozenset(days))

    def _made(
        self, rule: Rule, holds: bool, day: int | None, days: set[int], parts: list[tuple[Step, set[int]]]
    ) -> Step:
        return Step(
            rule,
            holds,
            None if day is None else self.index + timedelta(days=day),
            tuple(self.index + timedelta(days=d) for d in sorted(days)),
            (),
            tuple(step for step, _ in parts),
        )

    def _day(self, event: Event) -> int:
        return (event.day - self.index).days


def _follow(
    definition: Phenotype | Outcome,
    person_id: int,
    person: Person,
    records: pd.DataFrame,
    index: date,
    data_end: date,
) -> Path:
    end_day = (data_end - index).days + 1
    records = records[records["date"].notna()].sort_values(["date", "row_id"], kind="stable")
    row_ids = records["row_id"].astype("int64").tolist()
    events = [(row_id, _event(row)) for row_id, row in zip(row_ids, records.itertuples(), strict=True)]
    whole = Person(tuple(e for _, e in events), person.sex, person.birth, person.registrations, person.death)
    if isinstance(definition, Phenotype):
        status, day, _ = reference.status(definition, whole, index, end_day)
        stop = 0 if definition.until == "index" else end_day
        roles = definition.parts
        seen = [(row, e) for row, e in events if (e.day - index).days < stop]
    else:
        ended = reference.survival(definition, whole, index, end_day)
        roles = {"event": definition.event}
        status, day = "no event", None
        if isinstance(ended, reference.Followed) and ended.state == 1:
            status, day = "event", ended.end
        looked_at = {id(e) for e in reference.looked_at(definition, whole, index, end_day)}
        seen = [(row, e) for row, e in events if id(e) in looked_at]
    follower = _Follower(seen, index, whole)
    steps = {role: follower.step(rule)[0] for role, rule in roles.items()}
    used = {row for step in steps.values() for row in _leaf_rows(step)}
    return Path(
        person_id,
        definition,
        status,
        None if day is None else index + timedelta(days=day),
        steps,
        records.loc[records["row_id"].isin(used), list(_RECORD)].reset_index(drop=True),
    )


def _event(row: Any) -> Event:
    value = None if pd.isna(row.value) else float(row.value)
    unit = row.unit if isinstance(row.unit, str) else None
    edition = row.edition if isinstance(row.edition, str) else None
    return Event(row.date, row.system, row.code, row.kind, row.source, value, unit, edition)


def _leaf_rows(step: Step) -> Iterator[int]:
    yield from step.rows
    for part in step.parts:
        yield from _leaf_rows(part)


def _rows_of(path: Path) -> list[tuple[Any, ...]]:
    by_row = {row[0]: row for row in path.records.itertuples(index=False, name=None)}
    found: dict[tuple[Any, ...], None] = {}
    for role, step in path.roles.items():
        for leaf, row in _support(step, None, by_row):
            said = (phrase(leaf), leaf.codelist.name)
            found[(path.person_id, path.definition.name, role, *said, *by_row[row])] = None
    return list(found)


def _support(
    step: Step, days: frozenset[date] | None, by_row: Mapping[int, tuple[Any, ...]]
) -> Iterator[tuple[Leaf, int]]:
    """Leaves and rows on the dates of evidence of a step that holds; `days` narrows them from outside."""
    if not step.holds or isinstance(step.rule, NoneOf):
        return
    if is_date_rule(step.rule):
        days = frozenset(step.dates) if days is None else days & frozenset(step.dates)
    if isinstance(step.rule, Leaf):
        assert days is not None
        yield from ((step.rule, row) for row in step.rows if by_row[row][1] in days)
        return
    # The other rule of `near` and `lasting` is a condition on the dates, not one of them.
    parts = step.parts[:1] if isinstance(step.rule, Near | Lasting) else step.parts
    for part in parts:
        yield from _support(part, days, by_row)
