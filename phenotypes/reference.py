"""What rules, statuses, traits and outcomes mean, in plain Python: one person at a time, loops and sets.

This is the definition; the compiled engine must give the same answers, and tests generate hubs and rules
to see that it does. Days are counted from the index date.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from statistics import fmean, linear_regression, median, stdev
from typing import cast

from phenotypes.definitions import (
    REGISTRATION_GAP_DAYS,
    Adjustment,
    CategoryTrait,
    NumericTrait,
    Outcome,
    Phenotype,
)
from phenotypes.egfr import ckd_epi_2021, years_of_age
from phenotypes.rules import (
    After,
    AllOf,
    AnyOf,
    Before,
    Episodes,
    First,
    Has,
    InOrder,
    Last,
    Lasting,
    Leaf,
    Narrowing,
    Near,
    NoneOf,
    Prescribed,
    Rule,
    Value,
    When,
    Within,
    is_date_rule,
)
from phenotypes.units import believable, canonical_unit, conversion, usable_value


@dataclass(frozen=True)
class Event:
    """One record, as the hub holds it."""

    day: date
    system: str
    code: str
    kind: str = "event"
    source: str = "gp"
    value: float | None = None
    unit: str | None = None


@dataclass(frozen=True)
class Person:
    """One person's records and, for outcomes, registrations (half-open) and death."""

    events: tuple[Event, ...] = ()
    sex: str | None = None
    birth: date | None = None
    registrations: tuple[tuple[date, date], ...] = ()
    death: date | None = None


@dataclass(frozen=True)
class Found:
    """Whether a rule holds, the day that dates it (None: no date), and the distinct days of evidence."""

    holds: bool
    day: int | None
    dates: frozenset[int]


def evaluate(rule: Rule, events: Iterable[Event], index: date, person: Person | None = None) -> Found:
    """Evaluate a rule on the records of one person; an eGFR also needs who that is."""
    events = tuple(events)
    who = person or Person()
    if is_date_rule(rule):
        dates = _dates(rule, events, index, who)
        return Found(bool(dates), min(dates, default=None), frozenset(dates))
    assert isinstance(rule, AnyOf | AllOf | NoneOf | InOrder)
    return combine(rule, [evaluate(part, events, index, who) for part in rule.parts])


def combine(rule: AnyOf | AllOf | NoneOf | InOrder, parts: Sequence[Found]) -> Found:
    """What a condition makes of its parts."""
    holding = [part for part in parts if part.holds]
    days = [part.day for part in holding if part.day is not None]
    evidence = frozenset().union(*(part.dates for part in holding))
    if isinstance(rule, AnyOf):
        return Found(bool(holding), min(days, default=None), evidence)
    if isinstance(rule, AllOf) and len(holding) == len(parts):
        return Found(True, max(days, default=None), evidence)
    if isinstance(rule, InOrder) and len(days) == len(parts) and days == sorted(set(days)):
        return Found(True, days[-1], evidence)
    return Found(isinstance(rule, NoneOf) and not holding, None, frozenset())


def _dates(rule: Rule, events: Sequence[Event], index: date, who: Person) -> set[int]:
    if isinstance(rule, Leaf):
        return {(event.day - index).days for event in events if is_meant(event, rule, who)}
    if isinstance(rule, AnyOf):
        return set().union(*(_dates(part, events, index, who) for part in rule.parts))
    others = _dates(rule.other, events, index, who) if isinstance(rule, Near | Lasting) else set()
    assert isinstance(rule, Narrowing)
    return kept(rule, _dates(rule.rule, events, index, who), others, index)


def kept(rule: Narrowing, dates: set[int], others: set[int], index: date) -> set[int]:
    """The dates that a narrowing keeps of those of the rule in it; `others` are those of the other rule in it."""
    if isinstance(rule, Within):
        return {d for d in dates if _inside(d, (rule.start, rule.end))}
    if isinstance(rule, Before):
        return {d for d in dates if d < _day(rule.when, index)}
    if isinstance(rule, After):
        return {d for d in dates if d >= _day(rule.when, index)}
    if isinstance(rule, First):
        return {min(dates)} if dates else set()
    if isinstance(rule, Last):
        return {max(dates)} if dates else set()
    if isinstance(rule, Near):
        window = (rule.start, rule.end)
        return {d for d in dates if any(_inside(e - d, window) for e in others) == rule.present}
    if isinstance(rule, Lasting):
        return {
            d for d in dates if any(d - e >= rule.days and not any(e < u < d for u in others) for e in dates)
        }
    if isinstance(rule, Episodes):
        return {d for d in dates if all(e >= d or d - e > rule.gap_days for e in dates)}
    enough = len(dates) >= rule.n and max(dates) - min(dates) >= rule.gap_days
    return dates if enough else set()


def is_meant(event: Event, leaf: Leaf, who: Person) -> bool:
    """Whether a leaf means a record of a person."""
    if not leaf.codelist.matches(event.system, event.code):
        return False
    if (event.kind == "prescription") != isinstance(leaf, Prescribed):
        return False
    if isinstance(leaf, Has):
        return leaf.source is None or event.source == leaf.source
    if isinstance(leaf, Value):
        if not usable_value(event.value):
            return False
        found = cast("float", event.value)
        if leaf.source_unit is not None:
            unit = canonical_unit(event.unit)
            how, limits = conversion(leaf.analyte, unit, leaf.source_unit), believable(leaf.analyte, unit)
            if how is None or (limits is not None and not limits[0] <= found <= limits[1]):
                return False
            found = how(found)
        if leaf.formula is not None:
            egfr = _egfr(found, who, event.day)
            return egfr is not None and leaf.includes(egfr)
        return leaf.includes(found)
    return True


def status(phenotype: Phenotype, person: Person, index: date, end_day: int) -> tuple[str, int | None, int]:
    """Status, day of the case definition and number of dates of evidence (None and 0 unless a case)."""
    limit = 0 if phenotype.until == "index" else end_day
    events = [event for event in person.events if (event.day - index).days < limit]
    parts = {role: evaluate(rule, events, index, person) for role, rule in phenotype.parts.items()}
    starts = [start for start, stop in person.registrations if stop > start]
    observed = bool(events) or any((start - index).days < limit for start in starts)
    case = parts["case"]
    if ("exclude" in parts and parts["exclude"].holds) or (
        phenotype.sex and person.sex in ("M", "F") and person.sex != phenotype.sex
    ):
        return "excluded", None, 0
    if phenotype.sex and person.sex != phenotype.sex:
        return "unknown", None, 0
    if case.holds:
        new = case.day is None or _is_new(phenotype, person, index, case.day)
        return ("case", case.day, len(case.dates)) if new else ("excluded", None, 0)
    if not observed:
        return "unknown", None, 0
    unfit = "exclude_controls" in parts and parts["exclude_controls"].holds
    return ("excluded" if unfit else "control"), None, 0


def _is_new(phenotype: Phenotype, person: Person, index: date, day: int) -> bool:
    if phenotype.onset == "incident" and day < 0:
        return False
    runs: list[tuple[int, int]] = []
    for start, stop in sorted(((a - index).days, (b - index).days) for a, b in person.registrations if b > a):
        if runs and start <= runs[-1][1] + REGISTRATION_GAP_DAYS:
            runs[-1] = (runs[-1][0], max(runs[-1][1], stop))
        else:
            runs.append((start, stop))
    washout = phenotype.washout_days
    return not washout or any(a + washout <= day <= b + REGISTRATION_GAP_DAYS for a, b in runs)


def trait_value(trait: NumericTrait, person: Person, index: date, end_day: int) -> float | None:
    """The number a trait gives one person; None where it gives none. A slope is not shrunk, which takes others."""
    by_day: dict[int, dict[tuple[float | None, str], float]] = {}
    for event in person.events:
        day = (event.day - index).days
        meant = event.kind != "prescription" and any(c.matches(event.system, event.code) for c in trait.codes)
        if meant and day < end_day and _inside(day, trait.window_days):
            measured = _measured(trait, person, event)
            if measured is not None and trait.plausible[0] <= measured <= trait.plausible[1]:
                by_day.setdefault(day, {})[event.value, (event.unit or "").strip()] = measured
    daily: dict[int, float] = {}
    for day, values in by_day.items():
        adjusted = list(values.values())
        for adjustment in trait.adjust:
            if _on_drug(adjustment, person.events, day, index):
                adjusted = [(value + adjustment.add) * adjustment.multiply for value in adjusted]
        daily[day] = median(adjusted)
    if trait.pick == "count":
        return float(len(daily))
    if len(daily) < trait.fewest_days or max(daily) - min(daily) < trait.span_days:
        return None
    if trait.pick == "slope":
        return linear_regression(list(daily), list(daily.values())).slope * 365.25
    if trait.pick in ("last", "first", "nearest"):
        return daily[_picked(daily, trait.pick)]
    values_of_days = list(daily.values())
    choose: dict[str, Callable[[list[float]], float]] = {
        "median": median,
        "mean": fmean,
        "min": min,
        "max": max,
        "sd": stdev,
    }
    return choose[trait.pick](values_of_days)


def _measured(trait: NumericTrait, person: Person, event: Event) -> float | None:
    if not usable_value(event.value):
        return None
    value = cast("float", event.value)
    unit = canonical_unit(event.unit)
    if trait.blank_unit == "assume" and not (event.unit or "").strip():
        unit = trait.source_unit
    how = conversion(trait.analyte, unit, trait.source_unit)
    if how is None:
        return None
    if trait.formula is None:
        return how(value)
    return _egfr(how(value), person, event.day)


def _egfr(creatinine: float, person: Person, on: date) -> float | None:
    if person.sex not in ("M", "F") or person.birth is None or creatinine <= 0:
        return None
    return float(ckd_epi_2021(creatinine, years_of_age(person.birth, on), person.sex == "F"))


def category(trait: CategoryTrait, person: Person, index: date, end_day: int) -> str | None:
    """The level a category trait gives one person; None where no level is recorded."""
    found: dict[int, str] = {}
    for level, codes in reversed(trait.levels):
        for event in person.events:
            day = (event.day - index).days
            meant = event.kind != "prescription" and codes.matches(event.system, event.code)
            if meant and day < end_day and _inside(day, trait.window_days):
                found[day] = level
    return found[_picked(found, trait.pick)] if found else None


def survival(outcome: Outcome, person: Person, index: date, end_day: int) -> tuple[int, int] | str:
    """(days of follow-up, state), or why the person is not followed. States as in :mod:`outcome`."""
    start = None if outcome.exclude_prior else 1
    events = [e for e in person.events if _inside((e.day - index).days, (start, end_day))]
    event = evaluate(outcome.event, events, index, person)
    death = None if person.death is None else (person.death - index).days
    if death is not None and death <= 0:
        return "died"
    registered = _registered_to(outcome, person, index, death)
    if registered is None:
        return "not registered"
    if event.day is not None and event.day <= 0:
        return "prior"
    close = min(outcome.horizon_days, end_day, registered)
    if event.day is not None and event.day < close and (death is None or event.day <= death):
        return event.day, 1
    if death is not None and death < close:
        return death, 2 if outcome.competing == "death" else 0
    return close, 0


def _registered_to(outcome: Outcome, person: Person, index: date, death: int | None) -> int | None:
    spans = sorted(((a - index).days, (b - index).days) for a, b in person.registrations if b > a)
    covered: int | None = None
    for start, stop in spans:
        if covered is None:
            covered = stop if start <= 0 < stop else None
    if covered is None:
        return None
    for start, stop in spans:
        if start <= covered + outcome.registration_gap_days:
            covered = max(covered, stop)
    if death is not None and covered <= death <= covered + outcome.registration_gap_days:
        covered = death + 1
    return covered


def _on_drug(adjustment: Adjustment, events: Sequence[Event], day: int, index: date) -> bool:
    days = [(e.day - index).days for e in events if is_meant(e, Prescribed(adjustment.drug), Person())]
    return any(day - adjustment.within_days <= d < day for d in days)


def _picked(days: Iterable[int], pick: str) -> int:
    keys = {"last": lambda d: -d, "first": lambda d: d, "nearest": lambda d: (abs(d), d)}
    return min(days, key=keys[pick])


def _inside(day: int, window: tuple[int | None, int | None]) -> bool:
    return (window[0] is None or day >= window[0]) and (window[1] is None or day < window[1])


def _day(when: When, index: date) -> int:
    return 0 if when == "index" else (when - index).days
