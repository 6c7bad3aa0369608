"""What a study derives: phenotypes, traits and outcomes, as immutable definitions.

A definition's identity is the SHA-256 of its canonical form: its rules and options with every code list
replaced by the hash of its content. Its name and label are for people and take no part.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from cohorts.errors import StudyError
from phenotypes.codelist import CodeList
from phenotypes.rules import AnyOf, Rule, canonical, is_always_dated, leaves

Until = Literal["end", "index"]
Onset = Literal["any", "incident"]
#: A shorter break between two registrations is none.
REGISTRATION_GAP_DAYS = 90
Pick = Literal["median", "mean", "nearest", "last", "first", "min", "max", "slope", "sd", "count"]


@dataclass(frozen=True)
class Phenotype:
    """A condition that people have or have not.

    The status of a person is the first of these that applies, judged on the records up to `until`:

    1. *excluded*: meets a rule of `exclude`, whether or not `rule` holds (someone with type 1 diabetes is
       neither a case nor a control of type 2); or is of the other sex where `sex` is given; or `rule` holds
       but the condition is not known to be new, where it must be; or is not a case, was observed and meets
       a rule of `exclude_controls`;
    2. *case*: `rule` holds;
    3. *control*: observed, that is, registered with a practice for a day or more, or with a record of any
       kind, before the limit;
    4. *unknown*: nothing was observed (or `sex` is given and the person's is not recorded).

    Parameters
    ----------
    name, label
        Short name (a column) and words for people.
    rule
        What makes a case.
    exclude
        Rules that exclude; any one suffices.
    exclude_controls
        Rules that make somebody who is not a case unfit as a control.
    until
        'end': records up to the end of the data; 'index': those before the index date.
    sex
        'M' or 'F' where the condition is of one sex.
    onset
        'any'; or 'incident': the condition must begin on the index date or later, and whoever had it before
        is excluded.
    washout_days
        Days that a case must have been registered with a practice before the day that dates it, breaks of
        up to 90 days passed over; whoever was not is excluded, because what is written down on joining a
        practice may be old.
    """

    name: str
    rule: Rule
    label: str = ""
    exclude: tuple[Rule, ...] = ()
    exclude_controls: tuple[Rule, ...] = ()
    until: Until = "end"
    sex: Literal["M", "F"] | None = None
    onset: Onset = "any"
    washout_days: int = 0

    def __post_init__(self) -> None:
        if self.must_be_new and not is_always_dated(self.rule):
            raise StudyError(
                "what must be new can hold without a date",
                where=f"phenotypes.{self.name}",
                expected="a rule in which something dated must happen",
                fix="put 'none' beside a dated rule, under 'all'",
            )
        if self.onset == "incident" and self.until == "index":
            raise StudyError(
                "nothing begins on or after the index date before it",
                where=f"phenotypes.{self.name}.onset",
                found="onset: incident, until: index",
                fix="leave one of the two out",
            )
        if self.washout_days < 0:
            raise StudyError("washout_days cannot be negative", where=f"phenotypes.{self.name}.washout_days")

    @property
    def must_be_new(self) -> bool:
        """Whether a case must be known to be new."""
        return self.onset == "incident" or self.washout_days > 0

    @property
    def parts(self) -> dict[str, Rule]:
        """Its rules by role: 'case', and where given 'exclude' and 'exclude_controls'."""
        roles: dict[str, Rule] = {"case": self.rule}
        if self.exclude:
            roles["exclude"] = AnyOf(self.exclude)
        if self.exclude_controls:
            roles["exclude_controls"] = AnyOf(self.exclude_controls)
        return roles

    @property
    def id(self) -> str:
        """SHA-256 of what it means."""
        parts = {role: canonical(rule) for role, rule in self.parts.items()}
        new = {"onset": self.onset, "washout_days": self.washout_days} if self.must_be_new else {}
        return _digest({"phenotype": parts, "until": self.until, "sex": self.sex, **new})

    def codelists(self) -> Iterator[CodeList]:
        """Code lists it reads."""
        for rule in self.parts.values():
            yield from (leaf.codelist for leaf in leaves(rule))


@dataclass(frozen=True)
class Adjustment:
    """What a measurement is worth without the drug: ``(value + add) * multiply``.

    It applies to a measurement where the drug was prescribed in the `within_days` days before it; a
    prescription on the day itself does not count, since it usually follows from the result.
    """

    drug: CodeList
    add: float = 0.0
    multiply: float = 1.0
    within_days: int = 365


def value_unit(unit: str, pick: Pick) -> str:
    """Unit of what a pick makes of measurements in a unit.

    Examples
    --------
    >>> value_unit("mmol/L", "median"), value_unit("mmol/L", "slope"), value_unit("mmol/L", "count")
    ('mmol/L', 'mmol/L a year', 'days')
    """
    return {"slope": f"{unit} a year", "count": "days"}.get(pick, unit)


@dataclass(frozen=True)
class NumericTrait:
    """A number for each person, from measurements.

    Measurements of `codes` dated in `window_days` are converted to `unit`, those outside `plausible` are
    set aside, drug adjustments are made, the median of each day is taken, and `pick` chooses among days:
    'median', 'mean', 'min', 'max' of the days; 'last', 'first'; 'nearest' to the index date (of two
    equally near days, the earlier); 'slope', the change a year of 365.25 days by the straight line of least
    squares through the days; 'sd', the standard deviation of the days (divisor n - 1); 'count' of the days,
    0 for who has none. A slope or standard deviation needs two days.

    Parameters
    ----------
    codes
        Code lists of the measurement.
    unit
        Canonical unit of the result.
    plausible
        Smallest and largest believable value in `unit`, both included, before adjustment.
    window_days
        Days from the index date, half-open: (-1825, 0) is five years before it. None is no limit.
    adjust
        Drug adjustments, applied in this order.
    analyte
        What is measured, for conversions that depend on it.
    blank_unit
        What a measurement without a unit is worth: 'reject', or 'assume' that it is in `unit`.
    formula
        'ckd_epi_2021': the measurements are creatinine, and the value is the eGFR they give with the
        person's sex and age on the day; `plausible` is then a range of eGFR.
    at_least
        Fewest days with a value; who has fewer has none of this trait.
    span_days
        Fewest days from the first to the last of them.
    shrink
        Draw slopes to their mean, the more the less is known about each
        (:func:`phenotypes.trajectory.shrunken`): of many people with few measurements, the steepest slopes are
        mostly noise. Needs three days or more of each person.
    """

    name: str
    codes: tuple[CodeList, ...]
    unit: str
    plausible: tuple[float, float]
    label: str = ""
    pick: Pick = "median"
    window_days: tuple[int | None, int | None] = (None, None)
    adjust: tuple[Adjustment, ...] = ()
    analyte: str | None = None
    blank_unit: Literal["reject", "assume"] = "reject"
    formula: Literal["ckd_epi_2021"] | None = None
    at_least: int = 1
    span_days: int = 0
    shrink: bool = False

    def __post_init__(self) -> None:
        if self.at_least < 1 or self.span_days < 0:
            raise StudyError("a number of days below its least", where=f"traits.{self.name}")
        if self.shrink and (self.pick != "slope" or self.at_least < 3):
            raise StudyError(
                "only slopes through three days or more can be shrunk",
                where=f"traits.{self.name}.shrink",
                fix="give pick: slope and at_least: 3 or more",
            )
        if self.pick == "count" and (self.at_least > 1 or self.span_days):
            raise StudyError("a count has no least number of days", where=f"traits.{self.name}.at_least")

    @property
    def fewest_days(self) -> int:
        """Fewest days that give a value."""
        return max(self.at_least, 2) if self.pick in ("slope", "sd") else self.at_least

    @property
    def value_unit(self) -> str:
        """Unit of the values: that of the measurements, a year for a slope, and days for a count."""
        return value_unit(self.unit, self.pick)

    @property
    def source_unit(self) -> str:
        """Unit the recorded values are brought to before any formula."""
        return "umol/L" if self.formula == "ckd_epi_2021" else self.unit

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the wide frame: the name itself."""
        return (self.name,)

    @property
    def id(self) -> str:
        """SHA-256 of what it means."""
        adjust = [[a.drug.id, a.add, a.multiply, a.within_days] for a in self.adjust]
        keys = ("unit", "plausible", "pick", "window_days", "analyte", "blank_unit", "formula")
        codes = sorted(c.id for c in self.codes)
        few = {"at_least": self.at_least, "span_days": self.span_days, "shrink": self.shrink}
        few = {key: value for key, value in few.items() if value != getattr(type(self), key)}
        return _digest({"trait": {k: getattr(self, k) for k in keys} | few, "codes": codes, "adjust": adjust})

    def codelists(self) -> Iterator[CodeList]:
        """Code lists it reads."""
        yield from self.codes
        yield from (adjustment.drug for adjustment in self.adjust)


@dataclass(frozen=True)
class CategoryTrait:
    """One of several levels for each person, each level a code list.

    The record chosen by `pick` ('last', 'first' or 'nearest' to the index date) says the level; where a
    day holds several levels, the one declared first counts. The last declared level is the reference:
    the wide frame gets a 1/0 column ``name_level`` for every other.
    """

    name: str
    levels: tuple[tuple[str, CodeList], ...]
    label: str = ""
    pick: Literal["last", "first", "nearest"] = "last"
    window_days: tuple[int | None, int | None] = (None, None)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the wide frame: one for every level but the last."""
        return tuple(f"{self.name}_{level}" for level, _ in self.levels[:-1])

    @property
    def id(self) -> str:
        """SHA-256 of what it means."""
        levels = [[level, codes.id] for level, codes in self.levels]
        return _digest({"category": levels, "pick": self.pick, "window_days": self.window_days})

    def codelists(self) -> Iterator[CodeList]:
        """Code lists it reads."""
        yield from (codes for _, codes in self.levels)


Trait = NumericTrait | CategoryTrait


@dataclass(frozen=True)
class Entry:
    """Delayed entry: each person enters on a day of their own, the index date or later.

    That is the first day on or after the index date on which the person is registered with a practice, has
    been for `registered_days`, and is `age` years old or older. The analysis must allow for it: nobody is at
    risk before entry (left truncation).

    Parameters
    ----------
    registered_days
        Days since the registration, or the run of registrations without a longer gap than the outcome
        allows, began.
    age
        Least age in completed years; None sets none.
    """

    registered_days: int = 0
    age: int | None = None


@dataclass(frozen=True)
class Outcome:
    """Time from entry to an event, to a competing event, or to the end of follow-up.

    People enter on the index date, or as `entry` says, and are followed from `landmark_days` later. Whoever
    met `event` on or before the day that follow-up begins has the condition already and is left out where
    `exclude_prior`, in all records or, with `washout_days`, in those of that many days before entry;
    earlier ones are passed over. Without `exclude_prior`, records up to the day follow-up begins are passed
    over. Also left out are those who died on or before that day, or were not registered on it (and, without
    `entry`, on the index date). Follow-up is half-open and ends at the first of: the event, a competing
    event, death, the end of registration, `years` later, the birthday `until_age`, the end of the data. A
    gap of up to `registration_gap_days` between registrations, or from the last registration to death, does
    not end follow-up. Of what happens on one day the event counts before competing events, these in the
    order they are declared, and they before death; an event on the day that follow-up ends does not count,
    a death at the end of a registration does.

    Parameters
    ----------
    event
        What the event is; it is dated as :mod:`phenotypes.rules` says.
    competing
        'death', or None, which makes death an end of follow-up like any other.
    years
        Longest follow-up in years of 365.25 days.
    competing_events
        Further competing events by name; each is looked for in records after the day follow-up begins.
    entry
        Delayed entry; None is entry on the index date.
    landmark_days
        Follow-up begins this long after entry, of those who are then still registered, alive and without
        the event.
    washout_days
        Only an event in this many days before entry, or from then on, is one that a person had already.
    until_age
        Follow-up ends on this birthday.
    """

    name: str
    event: Rule
    label: str = ""
    years: float = 10.0
    exclude_prior: bool = True
    competing: Literal["death"] | None = "death"
    registration_gap_days: int = 90
    competing_events: tuple[tuple[str, Rule], ...] = ()
    entry: Entry | None = None
    landmark_days: int = 0
    washout_days: int | None = None
    until_age: int | None = None

    def __post_init__(self) -> None:
        for place, rule in (("event", self.event), *self.competing_events):
            if not is_always_dated(rule):
                raise StudyError(
                    "the event can hold without a date",
                    where=f"outcomes.{self.name}.{place}",
                    expected="a rule in which something dated must happen",
                    fix="put 'none' beside a dated rule, under 'all'",
                )
        if self.washout_days is not None and not self.exclude_prior:
            raise StudyError(
                "a wash-out leaves people out, which exclude_prior says not to do",
                where=f"outcomes.{self.name}.washout_days",
            )
        if self.landmark_days < 0 or (self.washout_days or 0) < 0:
            raise StudyError("a number of days below 0", where=f"outcomes.{self.name}")

    @property
    def horizon_days(self) -> int:
        """Days of follow-up: years x 365.25, halves up."""
        return int(self.years * 365.25 + 0.5)

    @property
    def id(self) -> str:
        """SHA-256 of what it means."""
        keys = ("years", "exclude_prior", "competing", "registration_gap_days")
        said: dict[str, Any] = {k: getattr(self, k) for k in keys}
        for key in ("landmark_days", "washout_days", "until_age"):
            if getattr(self, key) != getattr(type(self), key):
                said[key] = getattr(self, key)
        if self.entry is not None:
            said["entry"] = [self.entry.registered_days, self.entry.age]
        if self.competing_events:
            said["competing_events"] = [[name, canonical(rule)] for name, rule in self.competing_events]
        return _digest({"outcome": said, "event": canonical(self.event)})

    def codelists(self) -> Iterator[CodeList]:
        """Code lists it reads."""
        for rule in (self.event, *(rule for _, rule in self.competing_events)):
            yield from (leaf.codelist for leaf in leaves(rule))


def _digest(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
