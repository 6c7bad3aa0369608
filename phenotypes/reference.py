"""What rules, statuses, traits and outcomes mean, in plain Python: one person at a time, loops and sets.

This is the definition; the compiled engine must give the same answers, and tests generate hubs and rules
to see that it does. Days are counted from the index date.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
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
from phenotypes.editions import is_moved, respelled
from phenotypes.egfr import ckd_epi_2021, years_of_age
from phenotypes.rules import (
    After,
    Aged,
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
    # of ICD-10, where the source declares one
    edition: str | None = None


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
    return kept(rule, _dates(rule.rule, events, index, who), others, index, who)


def kept(rule: Narrowing, dates: set[int], others: set[int], index: date, who: Person) -> set[int]:
    """The dates that a narrowing keeps of those of the rule in it; `others` are those of the other rule in it."""
    if isinstance(rule, Within):
        return {d for d in dates if _inside(d, (rule.start, rule.end))}
    if isinstance(rule, Before):
        return {d for d in dates if d < _day(rule.when, index)}
    if isinstance(rule, After):
        return {d for d in dates if d >= _day(rule.when, index)}
    if isinstance(rule, Aged):
        if (birth := who.birth) is None:
            return set()
        return {d for d in dates if rule.includes(years_of_age(birth, index + timedelta(days=d)))}
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
    if (event.kind == "prescription") != isinstance(leaf, Prescribed):
        return False
    codes = leaf.codelist
    if event.system == "icd10" and event.edition is not None and is_moved(event.code, event.edition):
        other = respelled(codes, event.edition)
        codes = codes if other is None else other.codelist
    if not codes.matches(event.system, event.code):
        return False
    if isinstance(leaf, Has):
        return leaf.source in (None, event.source) and (not leaf.kinds or event.kind in leaf.kinds)
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


@dataclass(frozen=True)
class Followed:
    """Days from the index date on which follow-up begins and ends, and how it ends (see :mod:`phenotypes.outcome`)."""

    begin: int
    end: int
    state: int
    cause: str


def survival(outcome: Outcome, person: Person, index: date, end_day: int) -> Followed | str:
    """How a person is followed, or why not."""
    death = None if person.death is None else (person.death - index).days
    entered = _entered(outcome, person, index)
    if death is not None and death <= (outcome.landmark_days if entered is None else entered[0]):
        return "died"
    if entered is None:
        return "not registered"
    begin, registered = entered
    if death is not None and registered <= death <= registered + outcome.registration_gap_days:
        registered = death + 1
    if begin >= registered:
        return "not registered"
    event = evaluate(outcome.event, looked_at(outcome, person, index, end_day), index, person)
    if event.day is not None and event.day <= begin:
        return "prior"
    ends = {"registration": registered, "horizon": begin + outcome.horizon_days}
    if outcome.until_age is not None and person.birth is not None:
        ends["age"] = (birthday(person.birth, outcome.until_age) - index).days
    ends["data"] = end_day
    close = min(ends.values())
    if close <= begin:
        return "ended"
    later = [e for e in person.events if begin < (e.day - index).days < end_day]
    happened = [(event.day, 1, "event")]
    happened += [(evaluate(r, later, index, person).day, 2, name) for name, r in outcome.competing_events]
    happened += [(death, 2 if outcome.competing == "death" else 0, "death")]
    possible = [
        (day, place, state, cause)
        for place, (day, state, cause) in enumerate(happened)
        if day is not None and day < close and (death is None or day <= death)
    ]
    if possible:
        day, _, state, cause = min(possible)
        return Followed(begin, day, state, cause)
    return Followed(begin, close, 0, next(why for why, end in ends.items() if end == close))


def looked_at(outcome: Outcome, person: Person, index: date, end_day: int) -> list[Event]:
    """The records in which the event of an outcome is looked for; none for whoever never enters."""
    entered = _entered(outcome, person, index)
    start = None
    if not outcome.exclude_prior or outcome.washout_days is not None:
        if entered is None:
            return []
        entry = entered[0] - outcome.landmark_days
        start = entered[0] + 1 if not outcome.exclude_prior else entry - (outcome.washout_days or 0)
    return [e for e in person.events if _inside((e.day - index).days, (start, end_day))]


def _entered(outcome: Outcome, person: Person, index: date) -> tuple[int, int] | None:
    """Day on which follow-up begins and the end of that registration, deaths and events apart."""
    runs: list[tuple[int, int, bool]] = []
    for start, stop in sorted(((a - index).days, (b - index).days) for a, b in person.registrations if b > a):
        now = start <= 0 < stop
        if runs and start <= runs[-1][1] + outcome.registration_gap_days:
            runs[-1] = (runs[-1][0], max(runs[-1][1], stop), runs[-1][2] or now)
        else:
            runs.append((start, stop, now))
    for start, stop, now in runs:
        if outcome.entry is None:
            if now:
                return outcome.landmark_days, stop
            continue
        enters = max(0, start + outcome.entry.registered_days)
        if outcome.entry.age is not None:
            if person.birth is None:
                return None
            enters = max(enters, (birthday(person.birth, outcome.entry.age) - index).days)
        if enters < stop:
            return enters + outcome.landmark_days, stop
    return None


def birthday(birth: date, age: int) -> date:
    """Day of a birthday (29 February turns on 1 March in common years).

    Examples
    --------
    >>> birthday(date(1960, 2, 29), 51).isoformat(), birthday(date(1960, 2, 29), 52).isoformat()
    ('2011-03-01', '2012-02-29')
    """
    try:
        return birth.replace(year=birth.year + age)
    except ValueError:
        return date(birth.year + age, 3, 1)


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
