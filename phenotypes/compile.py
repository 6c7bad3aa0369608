"""Rules as Ibis expressions over the narrowed records.

The leaves of all definitions are gathered first: each different leaf is selected once into one table of
distinct dates, and every rule is put together from that table. What a rule means is stated in
:mod:`phenotypes.rules` and, in plain Python, in :mod:`phenotypes.reference`; this module must equal it.
Only what holds is brought back, a few bytes for each person it holds for: at 3 million people and a hundred
questions, columns of everybody would not fit in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import ibis
import numpy as np
import pandas as pd

from phenotypes.egfr import MICROMOLES_PER_MG_DL
from phenotypes.narrow import Records
from phenotypes.rules import (
    KINDS,
    After,
    Aged,
    AllOf,
    AnyOf,
    AtLeast,
    Before,
    Episodes,
    First,
    Has,
    InOrder,
    Last,
    Lasting,
    Leaf,
    Near,
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

HITS = "careome_hits"


@dataclass(frozen=True)
class Question:
    """A rule asked of every person's records dated in [start, end) days from the index date.

    Attributes
    ----------
    since
        A kept table (who, since): a person's records are those from day `since` on, and nobody else's count.
    counted
        Whether the number of dates of evidence is wanted; without it the answer costs less.
    """

    rule: Rule
    start: int | None = None
    end: int | None = None
    counted: bool = True
    since: str | None = None


@dataclass(frozen=True)
class Answer:
    """Who fulfils a rule.

    Attributes
    ----------
    people
        Number of people asked about.
    who
        int32: those for whom it holds, as positions among the people.
    days
        float32, for each of these: the day that dates the rule, counted from the index date; NaN where it
        has none.
    counts
        int32, for each of these: number of different dates of evidence; 0 where it was not asked for.
    """

    people: int
    who: np.ndarray
    days: np.ndarray
    counts: np.ndarray

    @property
    def holds(self) -> np.ndarray:
        """bool, one for each person."""
        return self._of_everybody(np.ones(len(self.who), dtype=bool), False)

    @property
    def day(self) -> np.ndarray:
        """float64, one for each person: the day that dates the rule; NaN where it has none."""
        return self._of_everybody(self.days.astype(np.float64), np.nan)

    @property
    def n_dates(self) -> np.ndarray:
        """int64, one for each person: number of different dates of evidence."""
        return self._of_everybody(self.counts.astype(np.int64), 0)

    def _of_everybody(self, found: np.ndarray, otherwise: float) -> np.ndarray:
        values = np.full(self.people, otherwise, dtype=found.dtype)
        values[self.who] = found
        return values


@dataclass(frozen=True)
class Hits:
    """The kept table (leaf int16, who int32, day int32) of the distinct dates of every leaf."""

    records: Records
    numbers: dict[Leaf, int]

    @property
    def table(self) -> Any:
        """Its Ibis table."""
        return self.records.session.table(HITS)

    def people(self, leaves: Iterable[Leaf]) -> dict[Leaf, int]:
        """Number of people with a date of each of some leaves, on any day."""
        numbers = {leaf: self.numbers[leaf] for leaf in leaves}
        if not numbers:
            return {}
        t = self.table.filter(lambda r: r.leaf.isin(list(numbers.values())))
        rows = self.records.session.frame(t.group_by("leaf").agg(n=t.who.nunique()))
        found = dict(zip(rows["leaf"].astype(int), rows["n"].astype(int), strict=True))
        return {leaf: found.get(number, 0) for leaf, number in numbers.items()}


def gather_hits(records: Records, rules: Iterable[Rule]) -> Hits:
    """Select the dates of every different leaf into one kept table."""
    numbers = {leaf: i for i, leaf in enumerate(dict.fromkeys(x for rule in rules for x in leaves(rule)))}
    parts = [
        _leaf_rows(records, leaf)
        .select("who", "day")
        .distinct()
        .select(leaf=ibis.literal(i, "int16"), who="who", day="day")
        for leaf, i in numbers.items()
    ]
    if parts:
        records.session.keep(HITS, *parts)
    return Hits(records, numbers)


def ask(records: Records, questions: Mapping[Any, Question]) -> tuple[dict[Any, Answer], Hits]:
    """Answer many questions from the narrowed records, without going back to the events.

    Parameters
    ----------
    records
        The narrowed records.
    questions
        Rules with their windows, by any key.

    Returns
    -------
    answers : dict
        An :class:`Answer` for each key; positions are those of ``records.persons``.
    hits : Hits
        The dates of every leaf asked about.
    """
    hits = gather_hits(records, [question.rule for question in questions.values()])
    asked = [_Asker(records, hits, question).answer() for question in questions.values()]
    rows = records.session.frames(asked)
    n = len(records.persons)
    return {key: _answer(found, n) for key, found in zip(questions, rows, strict=True)}, hits


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


def with_egfr(records: Records, rows: Any, creatinine: Any) -> Any:
    """Rows with a column `egfr` by CKD-EPI 2021; NULL where sex or birth date is not known.

    Parameters
    ----------
    rows
        Ibis table with `who` and `day`.
    creatinine
        Expression of `rows`: umol/L.
    """
    t = rows.mutate(creatinine=creatinine).join(records.people.select("who", "sex", "birth_date"), "who")
    birth = t.birth_date
    age = _age(records, t)
    female = t.sex == "F"
    ratio = t.creatinine / MICROMOLES_PER_MG_DL / female.ifelse(0.7, 0.9)
    egfr = (
        142.0
        * ibis.least(ratio, 1.0).pow(female.ifelse(-0.241, -0.302))
        * ibis.greatest(ratio, 1.0).pow(-1.2)
        * ibis.literal(0.9938).pow(age)
        * female.ifelse(1.012, 1.0)
    )
    usable = t.sex.notnull() & birth.notnull() & (t.creatinine > 0)
    return t.mutate(egfr=usable.ifelse(egfr, ibis.null("float64"))).drop("creatinine", "sex", "birth_date")


def _age(records: Records, t: Any) -> Any:
    """Expression of the full years of age on `day`; NULL where the birth date is not known."""
    on = (ibis.date(records.index_date) + t.day.as_interval("D")).cast("date")
    birth = t.birth_date
    # By year, month and day: engines differ about a difference in years.
    turned = (on.month() * 100 + on.day()) >= (birth.month() * 100 + birth.day())
    return on.year() - birth.year() - (~turned).cast("int32")


def _leaf_rows(records: Records, leaf: Leaf) -> Any:
    rows = records.rows(leaf.codelist, rx=isinstance(leaf, Prescribed))
    if isinstance(leaf, Has) and leaf.source is not None:
        rows = rows.filter(rows.source == records.source(leaf.source))
    if isinstance(leaf, Has) and leaf.kinds:
        rows = rows.filter(rows.kind.isin([KINDS.index(kind) for kind in leaf.kinds]))
    if isinstance(leaf, Value):
        rows = rows.filter(rows.value.notnull())
        if leaf.source_unit is not None:
            rows = rows.filter(_is_believable(records, rows, leaf.analyte))
            rows = rows.mutate(value=convert(records, rows, leaf.analyte, leaf.source_unit))
        if leaf.formula is not None:
            rows = with_egfr(records, rows, rows.value)
            rows = rows.mutate(value=rows.egfr)
        rows = rows.filter(rows.value.notnull())
        if leaf.low is not None:
            rows = rows.filter(rows.value > leaf.low if leaf.low_open else rows.value >= leaf.low)
        if leaf.high is not None:
            rows = rows.filter(rows.value < leaf.high if leaf.high_open else rows.value <= leaf.high)
    return rows


@dataclass(frozen=True)
class _Asker:
    """Builds the expressions of one question."""

    records: Records
    hits: Hits
    question: Question

    def answer(self) -> Any:
        """Table (who, day, n): a row for each person the rule holds for."""
        rule = self.question.rule
        if is_date_rule(rule):
            return self._summary(rule)
        holds = self.holds(rule)
        if not self.question.counted:
            return holds.select("who", "day", n=ibis.literal(0, "int64"))
        counts = self.evidence(rule).group_by("who").agg(n=lambda t: t.count())
        joined = holds.left_join(counts, "who")
        return joined.select("who", "day", n=joined.n.fill_null(0))

    def holds(self, rule: Rule) -> Any:
        """Table (who, day): a row for each person a rule holds for."""
        if is_date_rule(rule):
            return self._summary(rule).select("who", "day")
        assert isinstance(rule, AnyOf | AllOf | NoneOf | InOrder)
        if isinstance(rule, NoneOf):
            people = self.records.people.select("who")
            return people.anti_join(self._any(rule), "who").select("who", day=ibis.null("int32"))
        if isinstance(rule, InOrder):
            return _one_after_another([self.holds(part) for part in rule.parts])
        if isinstance(rule, AnyOf):
            return self._any(rule)
        # "And none of" takes people away, which costs less than listing everybody without.
        wanted = [part for part in rule.parts if not isinstance(part, NoneOf)]
        if not wanted:
            return self.holds(NoneOf(tuple(q for p in rule.parts if isinstance(p, NoneOf) for q in p.parts)))
        together = _union([self.holds(part) for part in wanted], distinct=False).group_by("who")
        every = together.agg(day=lambda t: t.day.max(), met=lambda t: t.count())
        every = every.filter(every.met == len(wanted)).select("who", "day")
        for part in rule.parts:
            if isinstance(part, NoneOf):
                every = every.anti_join(self._any(part), "who")
        return every

    def evidence(self, rule: Rule) -> Any:
        """Table (who, day) of the distinct dates of evidence of a rule where it holds."""
        if is_date_rule(rule):
            return self.dates(rule)
        assert isinstance(rule, AnyOf | AllOf | NoneOf | InOrder)
        if isinstance(rule, NoneOf):
            return self.hits.table.select("who", "day").filter(ibis.literal(False))
        dates = _union([self.evidence(part) for part in rule.parts], distinct=True)
        return dates if isinstance(rule, AnyOf) else dates.semi_join(self.holds(rule), "who")

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
        if isinstance(rule, Aged):
            return self._aged(t, rule)
        if isinstance(rule, First | Last):
            return self._summary(rule).select("who", "day")
        if isinstance(rule, Near):
            return _near(t, self.dates(rule.other).select("who", other="day"), rule)
        if isinstance(rule, Lasting):
            return _lasting(t, self.dates(rule.other), rule.days)
        if isinstance(rule, Episodes):
            run = t.mutate(last=t.day.lag().over(group_by=t.who, order_by=t.day))
            starts = run.filter(run.last.isnull() | (run.day - run.last > rule.gap_days))
            return starts.select("who", "day")
        assert isinstance(rule, AtLeast)
        return t.semi_join(self._summary(rule), "who")

    def _summary(self, rule: Any) -> Any:
        """Table (who, day, n): first of the dates of a date rule and their number, for who has any."""
        if isinstance(rule, First | Last):
            t = self.dates(rule.rule)
            day = t.day.min() if isinstance(rule, First) else t.day.max()
            return t.group_by("who").agg(day=day).mutate(n=ibis.literal(1, "int64"))
        if isinstance(rule, AtLeast):
            t = self.dates(rule.rule)
            found = t.group_by("who").agg(day=t.day.min(), n=t.count(), span=t.day.max() - t.day.min())
            return found.filter(found.n >= rule.n, found.span >= rule.gap_days).drop("span")
        t = self.dates(rule)
        return t.group_by("who").agg(day=t.day.min(), n=t.count())

    def _any(self, rule: AnyOf | NoneOf) -> Any:
        """Table (who, day): who any part of a rule holds for."""
        if len(rule.parts) == 1:
            return self.holds(rule.parts[0])
        together = _union([self.holds(part) for part in rule.parts], distinct=False).group_by("who")
        return together.agg(day=lambda t: t.day.min())

    def _leaf(self, leaf: Leaf) -> Any:
        t = self.hits.table
        t = t.filter(t.leaf == ibis.literal(self.hits.numbers[leaf], "int16")).select("who", "day")
        if self.question.since is not None:
            t = t.join(self.records.session.table(self.question.since), "who")
            t = t.filter(t.day >= t.since).select("who", "day")
        return _between(t, self.question.start, self.question.end)

    def _aged(self, t: Any, rule: Aged) -> Any:
        """Rows of `t` on whose day the person was of an age."""
        t = t.join(self.records.people.select("who", "birth_date"), "who")
        age = _age(self.records, t)
        if rule.start is not None:
            t = t.filter(age >= rule.start)
        if rule.end is not None:
            t = t.filter(age < rule.end)
        return t.select("who", "day")

    def _day(self, when: When) -> int:
        return 0 if when == "index" else self.records.day(when)


def _near(t: Any, others: Any, rule: Near) -> Any:
    """Rows of `t` with, or without, a row of `others` of the same person in the window around its day."""
    together = [t.who == others.who]
    if rule.start is not None:
        together.append(others.other >= t.day + rule.start)
    if rule.end is not None:
        together.append(others.other < t.day + rule.end)
    return t.semi_join(others, together) if rule.present else t.anti_join(others, together)


def _lasting(t: Any, others: Any, days: int) -> Any:
    """Rows of `t` with an earlier one `days` or more before, and no row of `others` between the two."""
    both = t.mutate(kept=ibis.literal(1), stop=ibis.literal(0)).union(
        others.mutate(kept=ibis.literal(0), stop=ibis.literal(1))
    )
    both = both.group_by(["who", "day"]).agg(kept=both.kept.max(), stop=both.stop.max())
    before = ibis.window(group_by=both.who, order_by=both.day, preceding=(None, 1))
    stopped = (both.stop == 1).ifelse(both.day, ibis.null("int32"))
    both = both.mutate(
        since=stopped.max().over(before),
        since_kept=(both.kept == 1).ifelse(stopped, ibis.null("int32")).max().over(before),
    )
    # A row on the day of the last stop may begin what lasts; else the first row after that stop does.
    first = (both.kept == 1).ifelse(both.day, ibis.null("int32")).min()
    both = both.mutate(first=first.over(ibis.window(group_by=[both.who, both.since])))
    begun = (both.since == both.since_kept).ifelse(both.since, both.first)
    return both.filter(both.kept == 1, both.day - ibis.coalesce(begun, both.first) >= days).select(
        "who", "day"
    )


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
    return Answer(
        people,
        rows["who"].to_numpy(np.int32),
        rows["day"].to_numpy(np.float32, na_value=np.nan),
        rows["n"].to_numpy(np.int32),
    )
