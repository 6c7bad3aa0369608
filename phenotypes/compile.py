"""Rules as Ibis expressions over the narrowed records.

The leaves of all definitions are gathered first: each different leaf is selected once into one table of
distinct dates, and every rule is put together from that table. What a rule means is stated in
:mod:`phenotypes.rules` and, in plain Python, in :mod:`phenotypes.reference`; this module must equal it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ibis
import numpy as np
import pandas as pd

from phenotypes.narrow import Records
from phenotypes.rules import (
    After,
    AllOf,
    AnyOf,
    AtLeast,
    Before,
    Episodes,
    First,
    Has,
    InOrder,
    Leaf,
    NoneOf,
    Prescribed,
    Rule,
    Value,
    When,
    Within,
    is_date_rule,
    leaves,
)
from phenotypes.units import Conversion, believable, conversion


@dataclass(frozen=True)
class Question:
    """A rule asked of every person's records dated in [start, end) days from the index date."""

    rule: Rule
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True)
class Answer:
    """Who fulfils a rule.

    Attributes
    ----------
    holds
        bool, one for each person.
    day
        float64: the day that dates the rule, counted from the index date; NaN where it has none.
    n_dates
        int64: number of different dates of evidence.
    """

    holds: np.ndarray
    day: np.ndarray
    n_dates: np.ndarray


@dataclass(frozen=True)
class _Found:
    """Ibis tables: `holds` (who, day, one row for each person the rule holds for), `dates` (who, day)."""

    holds: Any
    dates: Any


def gather_hits(records: Records, rules: list[Rule]) -> dict[Leaf, int]:
    """Select the dates of every different leaf into one kept table; gives the leaves' numbers there."""
    numbers = {leaf: i for i, leaf in enumerate(dict.fromkeys(x for rule in rules for x in leaves(rule)))}
    parts = [
        _leaf_rows(records, leaf).select("who", "day", leaf=ibis.literal(i, "int32"))
        for leaf, i in numbers.items()
    ]
    if parts:
        records.session.keep(
            "careome_hits", ibis.union(*parts, distinct=True) if parts[1:] else parts[0].distinct()
        )
    return numbers


def ask(records: Records, questions: Mapping[Any, Question]) -> tuple[dict[Any, Answer], dict[Leaf, int]]:
    """Answer many questions in one query.

    Parameters
    ----------
    records
        The narrowed records.
    questions
        Rules with their windows, by any key.

    Returns
    -------
    answers : dict
        An :class:`Answer` for each key; arrays are in the order of ``records.persons``.
    people : dict
        Number of people with a date of each leaf, on any day.
    """
    if not questions:
        return {}, {}
    numbers = gather_hits(records, [question.rule for question in questions.values()])
    hits = records.session.table("careome_hits")
    asked = []
    for i, question in enumerate(questions.values()):
        found = _Asker(records, hits, numbers, question).find(question.rule)
        counts = found.dates.group_by("who").agg(n=lambda t: t.count())
        joined = found.holds.left_join(counts, "who")
        asked.append(joined.select("who", "day", n=joined.n.fill_null(0), part=ibis.literal(i, "int32")))
    rows = records.session.frame(ibis.union(*asked) if asked[1:] else asked[0])
    by_part = dict(tuple(rows.groupby("part", sort=False)))
    empty = rows.iloc[:0]
    answers = {key: _answer(by_part.get(i, empty), len(records.persons)) for i, key in enumerate(questions)}
    counted = records.session.frame(hits.group_by("leaf").agg(n=hits.who.nunique())).set_index("leaf")["n"]
    return answers, {leaf: int(counted.get(i, 0)) for leaf, i in numbers.items()}


def convert(
    records: Records, rows: Any, analyte: str | None, unit: str, *, assume_blank: bool = False
) -> Any:
    """Expression of a recorded value in another unit; NULL where its unit is unknown."""
    branches = []
    for number, found in enumerate(records.units):
        how = conversion(analyte, unit if number == 0 and assume_blank else found, unit)
        if how is not None:
            branches.append((rows.unit == number, apply_conversion(rows.value, how)))
    return ibis.cases(*branches) if branches else ibis.null("float64")


def _is_believable(records: Records, rows: Any, analyte: str | None) -> Any:
    """Expression: whether a recorded value is one that a living person can have."""
    branches = []
    for number, found in enumerate(records.units):
        if (limits := believable(analyte, found)) is not None:
            branches.append((rows.unit == number, rows.value.between(*limits)))
    return ibis.cases(*branches, else_=True) if branches else ibis.literal(True)


def apply_conversion(value: Any, how: Conversion) -> Any:
    """Expression of `how` applied to a value."""
    converted = value * how.scale + how.offset
    return converted.round().cast("float64") if how.whole else converted


def _leaf_rows(records: Records, leaf: Leaf) -> Any:
    rows = records.rows(leaf.codelist, rx=isinstance(leaf, Prescribed))
    if isinstance(leaf, Has) and leaf.source is not None:
        rows = rows.filter(rows.source == leaf.source)
    if isinstance(leaf, Value):
        rows = rows.filter(rows.value.notnull())
        if leaf.unit is not None:
            rows = rows.filter(_is_believable(records, rows, leaf.analyte))
            rows = rows.mutate(value=convert(records, rows, leaf.analyte, leaf.unit))
            rows = rows.filter(rows.value.notnull())
        if leaf.low is not None:
            rows = rows.filter(rows.value >= leaf.low)
        if leaf.high is not None:
            rows = rows.filter(rows.value <= leaf.high)
    return rows


@dataclass(frozen=True)
class _Asker:
    """Builds the expressions of one question."""

    records: Records
    hits: Any
    numbers: dict[Leaf, int]
    question: Question

    def find(self, rule: Rule) -> _Found:
        if is_date_rule(rule):
            dates = self.dates(rule)
            return _Found(dates.group_by("who").agg(day=lambda t: t.day.min()), dates)
        assert isinstance(rule, AnyOf | AllOf | NoneOf | InOrder)
        if isinstance(rule, NoneOf):
            found = self.find(AnyOf(rule.parts))
            people = self.records.people
            nobody = people.anti_join(found.holds, "who").select("who", day=ibis.null("int32"))
            return _Found(nobody, found.dates.filter(ibis.literal(False)))
        parts = [self.find(part) for part in rule.parts]
        dates = _union([part.dates for part in parts], distinct=True)
        if isinstance(rule, InOrder):
            holds = _one_after_another([part.holds for part in parts])
            return _Found(holds, dates.semi_join(holds, "who"))
        together = _union([part.holds for part in parts], distinct=False).group_by("who")
        if isinstance(rule, AnyOf):
            return _Found(together.agg(day=lambda t: t.day.min()), dates)
        every = together.agg(day=lambda t: t.day.max(), met=lambda t: t.count())
        holds = every.filter(every.met == len(parts)).select("who", "day")
        return _Found(holds, dates.semi_join(holds, "who"))

    def dates(self, rule: Any) -> Any:
        """Table (who, day) of the distinct dates of a date rule."""
        if isinstance(rule, Leaf):
            return self._leaf(rule)
        if isinstance(rule, AnyOf):
            return _union([self.dates(part) for part in rule.parts], distinct=True)
        t = self.dates(rule.rule)
        if isinstance(rule, Within):
            return _between(t, rule.start, rule.end)
        if isinstance(rule, Before):
            return t.filter(t.day < self._day(rule.when))
        if isinstance(rule, After):
            return t.filter(t.day >= self._day(rule.when))
        if isinstance(rule, First):
            return t.group_by("who").agg(day=t.day.min())
        if isinstance(rule, Episodes):
            run = t.mutate(last=t.day.lag().over(group_by=t.who, order_by=t.day))
            starts = run.filter(run.last.isnull() | (run.day - run.last > rule.gap_days))
            return starts.select("who", "day")
        assert isinstance(rule, AtLeast)
        enough = t.group_by("who").agg(n=t.count(), span=t.day.max() - t.day.min())
        return t.semi_join(enough.filter(enough.n >= rule.n, enough.span >= rule.gap_days), "who")

    def _leaf(self, leaf: Leaf) -> Any:
        t = self.hits.filter(self.hits.leaf == self.numbers[leaf]).select("who", "day")
        return _between(t, self.question.start, self.question.end)

    def _day(self, when: When) -> int:
        return 0 if when == "index" else self.records.day(when)


def _between(t: Any, start: int | None, end: int | None) -> Any:
    if start is not None:
        t = t.filter(t.day >= start)
    return t if end is None else t.filter(t.day < end)


def _one_after_another(parts: list[Any]) -> Any:
    """Who has every part, each dated earlier than the next; `day` is that of the last."""
    so_far = parts[0]
    for part in parts[1:]:
        both = so_far.join(part.select("who", later=part.day), "who")
        so_far = both.filter(both.day < both.later).select("who", day=both.later)
    return so_far


def _union(tables: list[Any], *, distinct: bool) -> Any:
    if len(tables) == 1:
        return tables[0]
    return ibis.union(*tables, distinct=distinct)


def _answer(rows: pd.DataFrame, people: int) -> Answer:
    who = rows["who"].to_numpy(np.int64)
    holds = np.zeros(people, dtype=bool)
    day = np.full(people, np.nan)
    n_dates = np.zeros(people, dtype=np.int64)
    holds[who] = True
    day[who] = rows["day"].to_numpy(np.float64)
    n_dates[who] = rows["n"].to_numpy(np.int64)
    return Answer(holds, day, n_dates)
