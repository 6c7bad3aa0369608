"""The rules: a small closed set of immutable nodes that say what counts as having a condition.

Two kinds of node. A *date rule* gives each person a set of dates: :class:`Has`, :class:`Value`,
:class:`Prescribed`, and what narrows one (:class:`Within`, :class:`Before`, :class:`After`, :class:`Aged`,
:class:`First`, :class:`Last`, :class:`Episodes`, :class:`Near`, :class:`Lasting`, :class:`AtLeast`);
:class:`AnyOf` of date rules is their union and again a date rule.
A *condition* (:class:`AllOf`, :class:`NoneOf`, :class:`InOrder`, :class:`AnyOf` with a condition in it) is
true or false for a person and carries the dates of its evidence. Windows and counts belong on date rules;
putting one on a condition is refused, because it could mean two things.

Meaning, which :mod:`phenotypes.reference` states in plain Python and the compiler must equal:

- a date rule holds where its set is not empty; it is dated by the earliest of its dates;
- ``any_of`` holds where a part holds, and is dated by the earliest of those parts;
- ``all_of`` holds where every part holds, and is dated by the latest of them (the day it became true);
- ``none_of`` holds where no part does, and has no date;
- ``in_order`` holds where every part holds and each is dated earlier than the next; it is dated by the last;
- dates are distinct days: two rows on one day are one date;
- every interval is half-open: ``within(-365, 0)`` is the year before the index date, without that day.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from phenotypes.codelist import CodeList

When = date | Literal["index"]
Formula = Literal["ckd_epi_2021"]

#: How a coded record came to be, as the hub's events have it: written down in a record ('event'), the reason of a
#: visit or call ('contact'), a diagnosis or an operation of a stay in hospital, or a cause of death.
Kind = Literal["event", "contact", "diagnosis", "procedure", "death"]
KINDS: tuple[Kind, ...] = ("event", "contact", "diagnosis", "procedure", "death")

EGFR_UNIT = "mL/min/1.73m2"


class _Chain:
    """What can follow a date rule, read from left to right."""

    def at_least(self, n: int, *, gap_days: int = 0) -> AtLeast:
        """Hold where there are n dates or more, the first and last `gap_days` or more apart."""
        return AtLeast(_dated(self), n, gap_days)

    def within(self, start: int | None, end: int | None) -> Within:
        """Keep dates from `start` days after the index date (negative: before) to just before `end`."""
        return Within(_dated(self), start, end)

    def before(self, when: When) -> Before:
        """Keep dates earlier than a day, or than the index date."""
        return Before(_dated(self), when)

    def after(self, when: When) -> After:
        """Keep dates on or later than a day, or than the index date."""
        return After(_dated(self), when)

    def aged(self, start: int | None, end: int | None = None) -> Aged:
        """Keep dates from the birthday of `start` years to just before that of `end`."""
        return Aged(_dated(self), start, end)

    def first(self) -> First:
        """Keep the earliest date."""
        return First(_dated(self))

    def last(self) -> Last:
        """Keep the latest date."""
        return Last(_dated(self))

    def near(self, other: DateRule, start: int | None, end: int | None) -> Near:
        """Keep dates with a date of `other` from `start` days after them (negative: before) to before `end`."""
        return Near(_dated(self), _dated(other), start, end, True)

    def not_near(self, other: DateRule, start: int | None, end: int | None) -> Near:
        """Keep dates without such a date of `other`."""
        return Near(_dated(self), _dated(other), start, end, False)

    def lasting(self, days: int, *, unless: DateRule) -> Lasting:
        """Keep dates with an earlier one `days` or more before and no date of `unless` between the two."""
        return Lasting(_dated(self), _dated(unless), days)

    def episodes(self, gap_days: int) -> Episodes:
        """Keep the first date of each run of dates; a run ends where more than `gap_days` pass."""
        return Episodes(_dated(self), gap_days)


@dataclass(frozen=True)
class Has(_Chain):
    """Dates of coded records (not prescriptions) of a code list, of any source or one, of any kind or some.

    What a record is (a diagnosis of a stay in hospital, say) is asked by its kind, which means the same everywhere;
    names of sources are each study's own.
    """

    codelist: CodeList
    source: str | None = None
    kinds: tuple[Kind, ...] = ()

    def __post_init__(self) -> None:
        if (unknown := sorted({*self.kinds} - {*KINDS})) or len({*self.kinds}) < len(self.kinds):
            raise ValueError(f"kinds of records are {', '.join(KINDS)}, each once: {unknown or self.kinds}")


@dataclass(frozen=True)
class Prescribed(_Chain):
    """Dates of prescriptions of a code list."""

    codelist: CodeList


@dataclass(frozen=True)
class Value(_Chain):
    """Dates of measurements from `low` to `high` in `unit`; a bound is included unless it is `open`.

    Records in another unit are converted where the conversion is known (see :mod:`phenotypes.units`);
    those in an unknown unit, or in none, do not count, nor, where the analyte is known, do values no living
    person can have (a "48 %" that was meant as mmol/mol). Without `unit`, numbers are taken as recorded.

    With the formula 'ckd_epi_2021' the measurements are creatinine and the bounds are of the eGFR that each
    gives with the person's sex and age on the day, unrounded; it gives none where sex or birth date is not
    known.
    """

    codelist: CodeList
    unit: str | None = None
    low: float | None = None
    high: float | None = None
    analyte: str | None = None
    low_open: bool = False
    high_open: bool = False
    formula: Formula | None = None

    def __post_init__(self) -> None:
        if self.formula is not None and (self.unit, self.analyte) != (EGFR_UNIT, "creatinine"):
            raise ValueError(f"an eGFR is made from the analyte creatinine and has the unit {EGFR_UNIT}")

    @property
    def source_unit(self) -> str | None:
        """Unit that recorded values are brought to before any formula."""
        return "umol/L" if self.formula else self.unit

    def includes(self, value: float) -> bool:
        """Whether a number lies between the bounds."""
        if self.low is not None and not (value > self.low if self.low_open else value >= self.low):
            return False
        return self.high is None or (value < self.high if self.high_open else value <= self.high)


@dataclass(frozen=True)
class Within(_Chain):
    """Dates d of `rule` with index + start <= d < index + end."""

    rule: DateRule
    start: int | None
    end: int | None

    def __post_init__(self) -> None:
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise ValueError(f"a window must end after it starts: [{self.start}, {self.end})")


@dataclass(frozen=True)
class Before(_Chain):
    """Dates of `rule` earlier than `when`."""

    rule: DateRule
    when: When


@dataclass(frozen=True)
class After(_Chain):
    """Dates of `rule` on or later than `when`."""

    rule: DateRule
    when: When


@dataclass(frozen=True)
class Aged(_Chain):
    """Dates of `rule` on which the person was `start` years old or older and younger than `end`.

    Ages are full years by year, month and day; nobody whose birth date is not known has such a date.
    """

    rule: DateRule
    start: int | None
    end: int | None

    def __post_init__(self) -> None:
        if self.start is None and self.end is None:
            raise ValueError("aged needs a youngest age or an age to stay below")
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise ValueError(f"ages must end after they start: [{self.start}, {self.end})")

    def includes(self, age: int) -> bool:
        """Whether an age in full years is meant."""
        return (self.start is None or age >= self.start) and (self.end is None or age < self.end)


@dataclass(frozen=True)
class First(_Chain):
    """The earliest date of `rule`."""

    rule: DateRule


@dataclass(frozen=True)
class Last(_Chain):
    """The latest date of `rule`."""

    rule: DateRule


@dataclass(frozen=True)
class Near(_Chain):
    """Dates d of `rule` with (or, where not `present`, without) a date e of `other`: d + start <= e < d + end.

    Neither bound counts days from the index date: "two measurements at least 90 days apart" is
    ``low.near(low, 90, None)``, "no later code that it was resolved" is ``asthma.not_near(resolved, 0, None)``
    and "nothing in the year before" is ``code.not_near(code, -365, 0)``.
    """

    rule: DateRule
    other: DateRule
    start: int | None
    end: int | None
    present: bool = True

    def __post_init__(self) -> None:
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise ValueError(f"a window must end after it starts: [{self.start}, {self.end})")


@dataclass(frozen=True)
class Lasting(_Chain):
    """Dates d of `rule` with a date e of it at d - days or earlier, and no date u of `other` with e < u < d.

    What lasts is so dated by the day on which it had lasted long enough: chronic kidney disease is
    ``low.lasting(90, unless=normal)``, and the day of the second low value.
    """

    rule: DateRule
    other: DateRule
    days: int

    def __post_init__(self) -> None:
        if self.days < 1:
            raise ValueError("lasting needs a number of days of 1 or more")


@dataclass(frozen=True)
class Episodes(_Chain):
    """First dates of the runs of dates of `rule`."""

    rule: DateRule
    gap_days: int

    def __post_init__(self) -> None:
        if self.gap_days < 0:
            raise ValueError("gap_days cannot be negative")


@dataclass(frozen=True)
class AtLeast(_Chain):
    """All dates of `rule` where there are enough of them and they lie far enough apart; else none."""

    rule: DateRule
    n: int
    gap_days: int = 0

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError("at_least needs a number of dates of 1 or more")
        if self.gap_days < 0:
            raise ValueError("gap_days cannot be negative")
        if self.n == 1 and self.gap_days:
            raise ValueError("gap_days needs at least 2 dates")


@dataclass(frozen=True)
class AnyOf(_Chain):
    """Holds where one part or more holds."""

    parts: tuple[Rule, ...]

    def __post_init__(self) -> None:
        _some(self.parts, "any_of")


@dataclass(frozen=True)
class AllOf:
    """Holds where every part holds."""

    parts: tuple[Rule, ...]

    def __post_init__(self) -> None:
        _some(self.parts, "all_of")


@dataclass(frozen=True)
class NoneOf:
    """Holds where no part holds."""

    parts: tuple[Rule, ...]

    def __post_init__(self) -> None:
        _some(self.parts, "none_of")


@dataclass(frozen=True)
class InOrder:
    """Holds where every part holds and each is dated earlier than the next."""

    parts: tuple[Rule, ...]

    def __post_init__(self) -> None:
        if len(self.parts) < 2:
            raise ValueError("in_order needs at least two rules")
        if not all(is_always_dated(part) for part in self.parts):
            raise ValueError("in_order needs rules that have a date whenever they hold")


Leaf = Has | Prescribed | Value
Narrowing = Within | Before | After | Aged | First | Last | Near | Lasting | Episodes | AtLeast
DateRule = Leaf | Narrowing | AnyOf
Rule = DateRule | AllOf | NoneOf | InOrder


def has(codelist: CodeList, source: str | None = None, *, kinds: Iterable[Kind] = ()) -> Has:
    """Coded records of a list; with `source`, of that source alone, with `kinds`, of those kinds.

    Examples
    --------
    >>> rule = has(CodeList.of("t2d", [("icd10", "E11*")])).at_least(2, gap_days=30)
    >>> rule.n, rule.gap_days
    (2, 30)
    """
    return Has(codelist, source, tuple(kinds))


def prescribed(codelist: CodeList) -> Prescribed:
    """Prescriptions of a list."""
    return Prescribed(codelist)


def value(
    codelist: CodeList,
    unit: str | None = None,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    above: float | None = None,
    below: float | None = None,
    analyte: str | None = None,
    formula: Formula | None = None,
) -> Value:
    """Measurements of a list between two bounds: `at_least` and `at_most` count themselves, `above` and `below` not.

    Examples
    --------
    >>> low = value(CodeList.of("egfr", [("snomed", "1011481000000105")]), "mL/min/1.73m2", below=60)
    >>> chronic = low.at_least(2, gap_days=90)
    >>> low.includes(59.9), low.includes(60)
    (True, False)
    """
    if (at_least is not None and above is not None) or (at_most is not None and below is not None):
        raise ValueError("a measurement has one lower and one upper bound")
    low, high = (at_least if above is None else above), (at_most if below is None else below)
    if formula is not None:
        unit, analyte = unit or EGFR_UNIT, analyte or "creatinine"
    return Value(codelist, unit, low, high, analyte, above is not None, below is not None, formula)


def all_of(*parts: Rule) -> AllOf:
    """Every part holds."""
    return AllOf(parts)


def any_of(*parts: Rule) -> AnyOf:
    """One part or more holds."""
    return AnyOf(parts)


def none_of(*parts: Rule) -> NoneOf:
    """No part holds."""
    return NoneOf(parts)


def in_order(*parts: Rule) -> InOrder:
    """Every part holds, each dated earlier than the next."""
    return InOrder(parts)


def is_date_rule(rule: object) -> bool:
    """Whether a rule gives dates that can be windowed and counted.

    >>> is_date_rule(none_of(has(CodeList.of("x", [("icd10", "I10")]))))
    False
    """
    if isinstance(rule, AnyOf):
        return all(is_date_rule(part) for part in rule.parts)
    return isinstance(rule, Leaf | Narrowing)


def is_always_dated(rule: Rule) -> bool:
    """Whether a rule has a date whenever it holds, as the event of an outcome must."""
    if isinstance(rule, AnyOf):
        return all(is_always_dated(part) for part in rule.parts)
    if isinstance(rule, AllOf):
        return any(is_always_dated(part) for part in rule.parts)
    return not isinstance(rule, NoneOf)


def leaves(rule: Rule) -> Iterator[Leaf]:
    """Every leaf of a rule, in the order written."""
    if isinstance(rule, Leaf):
        yield rule
    elif isinstance(rule, AnyOf | AllOf | NoneOf | InOrder):
        for part in rule.parts:
            yield from leaves(part)
    else:
        yield from leaves(rule.rule)
        if isinstance(rule, Near | Lasting):
            yield from leaves(rule.other)


def canonical(rule: Rule) -> dict[str, Any]:
    """A rule as plain data for its identity: code lists by content hash, dates as ISO text."""
    name = type(rule).__name__
    if isinstance(rule, AnyOf | AllOf | NoneOf | InOrder):
        return {name: [canonical(part) for part in rule.parts]}
    fields = {key: getattr(rule, key) for key in rule.__dataclass_fields__}
    return {name: {key: _plain(field) for key, field in fields.items()}}


def _plain(field: object) -> object:
    if isinstance(field, CodeList):
        return field.id
    if isinstance(field, date):
        return field.isoformat()
    if isinstance(field, _Chain):
        return canonical(field)  # type: ignore[arg-type]
    return field


def _dated(rule: object) -> Any:
    if not is_date_rule(rule):
        raise ValueError("windows and counts belong on the parts of a condition, not on all_of or none_of")
    return rule


def _some(parts: tuple[Rule, ...], name: str) -> None:
    if not parts:
        raise ValueError(f"{name} needs at least one rule")
