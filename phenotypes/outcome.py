"""Outcomes: entry, exit and how follow-up ended, for each person at risk.

:class:`~phenotypes.definitions.Outcome` says what is done; `state` is 0 (follow-up ended without either),
1 (the event) or 2 (a competing event), and `cause` says which event, or why follow-up ended:

=============== ======= ==========================================================
cause           state   follow-up ended by
=============== ======= ==========================================================
event           1       the event
a name          2       the competing event of that name
death           2 or 0  death; 0 where the outcome does not call it competing
registration    0       leaving the practice
horizon         0       the longest follow-up
age             0       the birthday `until_age`
data            0       the end of the data
=============== ======= ==========================================================

Time runs from entry (`years`) or, on the scale of age, from `age_entry` to `age_exit`; with delayed entry or
on the scale of age a model must be told the entry: ``lifelines``' ``entry_col``, ``statsmodels``' ``entry``,
``Surv(age_entry, age_exit, state == 1)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa

from phenotypes.compile import Answer, Question
from phenotypes.definitions import Outcome
from phenotypes.narrow import Records
from phenotypes.registration import registration_runs

DAYS_IN_YEAR = 365.25
STATES = {0: "censored", 1: "event", 2: "competing"}
#: Why follow-up ends without any event, where several fall on one day in this order.
ENDS = ("registration", "horizon", "age", "data")
ENTRIES = "careome_entry"
#: Columns of a survival frame.
COLUMNS: dict[str, str] = {
    "person_id": "int64",
    "outcome": "object",
    "entry": "datetime64[ns]",
    "exit": "datetime64[ns]",
    "years": "float64",
    "state": "int8",
    "cause": "object",
    "age_entry": "float64",
    "age_exit": "float64",
}


@dataclass(frozen=True)
class FollowUp:
    """What can begin and end follow-up, in days from the index date.

    Attributes
    ----------
    runs
        who, start, end, at_index: each run of registrations that ends after the index date, in that order.
    death
        float64: day of death of each person, NaN where none is known.
    birth
        datetime64[D]: day of birth of each person, NaT where not known.
    """

    runs: pd.DataFrame
    death: np.ndarray
    birth: np.ndarray


@dataclass(frozen=True)
class Entered:
    """Who is followed from when: float64 days from the index date, one for each person.

    Attributes
    ----------
    day
        Day that follow-up begins; NaN for whoever is not registered so as to enter.
    registered_to
        End of the registration of which that is.
    """

    day: np.ndarray
    registered_to: np.ndarray


def follow_up(records: Records, *, gap_days: int) -> FollowUp:
    """Registrations, deaths and births of the people.

    Parameters
    ----------
    gap_days
        A gap this long or shorter between two registrations does not end follow-up.
    """
    runs = registration_runs(records, gap_days=gap_days)
    found = records.session.frame(runs.filter(runs["end"] > 0)).sort_values(["who", "start"])
    birth = pd.to_datetime(records.persons["birth_date"]).to_numpy("datetime64[D]")
    return FollowUp(found.reset_index(drop=True), deaths(records), birth)


def deaths(records: Records) -> np.ndarray:
    """Day of death of each person, float64; NaN where none is known."""
    table = records.session.table("deaths")
    table = table.join(records.people.select("who", "person_id"), "person_id")
    first = table.group_by("who").agg(date=table.date.min())
    day = first.select("who", day=first.date.delta(ibis.date(records.index_date), unit="day"))
    rows = records.session.frame(day)
    days = np.full(len(records.persons), np.nan)
    days[rows["who"].to_numpy(np.int64)] = rows["day"].to_numpy(np.float64)
    return days


def birthdays(birth: np.ndarray, age: int, index_date: date) -> np.ndarray:
    """Day of a birthday, counted from the index date; NaN where the birth is not known.

    Parameters
    ----------
    birth
        datetime64[D]. Who was born on 29 February turns on 1 March in common years.

    Examples
    --------
    >>> birthdays(np.array(["1960-02-29", "NaT"], "datetime64[D]"), 51, date(2011, 3, 1)).tolist()
    [0.0, nan]
    """
    known = ~np.isnat(birth)
    month = birth[known].astype("datetime64[M]")
    turned = (month + np.timedelta64(12 * age, "M")).astype("datetime64[D]") + (
        birth[known] - month.astype("datetime64[D]")
    )
    days = np.full(len(birth), np.nan)
    days[known] = (turned - np.datetime64(index_date, "D")).astype(np.float64)
    return days


def entries(records: Records, outcome: Outcome, known: FollowUp) -> Entered:
    """When each person's follow-up for an outcome begins, events and deaths apart."""
    runs = known.runs
    start, end = runs["start"].to_numpy(np.float64), runs["end"].to_numpy(np.float64)
    who = runs["who"].to_numpy(np.int64)
    enters = np.zeros(len(runs))
    if outcome.entry is None:
        chosen = runs["at_index"].to_numpy(bool)
    else:
        enters = np.maximum(start + outcome.entry.registered_days, 0)
        if outcome.entry.age is not None:
            enters = np.maximum(enters, birthdays(known.birth, outcome.entry.age, records.index_date)[who])
        chosen = enters < end
    first = np.flatnonzero(chosen)
    first = first[np.unique(who[first], return_index=True)[1]]
    day, registered_to = (np.full(len(records.persons), np.nan) for _ in range(2))
    day[who[first]] = enters[first] + outcome.landmark_days
    registered_to[who[first]] = end[first]
    return Entered(day, registered_to)


def questions(records: Records, outcome: Outcome, entered: Entered) -> dict[str, Question]:
    """What to ask of the records: by 'event' and the names of competing events."""
    begin = outcome.landmark_days
    first: int | None = None
    if not outcome.exclude_prior:
        first = begin + 1
    elif outcome.washout_days is not None:
        first = -outcome.washout_days
    rules = [("event", outcome.event, first), *((n, r, begin + 1) for n, r in outcome.competing_events)]
    if outcome.entry is None:
        return {name: Question(rule, start=since, counted=False) for name, rule, since in rules}
    asked = {}
    for name, rule, since in rules:
        table = None if since is None else _keep_entries(records, outcome, entered, since - begin)
        asked[name] = Question(rule, counted=False, since=table)
    return asked


def _keep_entries(records: Records, outcome: Outcome, entered: Entered, offset: int) -> str:
    """Keep the table of the days from which each person's records count; gives its name."""
    name = f"{ENTRIES}_{outcome.id[:16]}_{'before' if offset < 0 else 'after'}_{abs(offset)}"
    who = np.flatnonzero(~np.isnan(entered.day))
    since = entered.day[who].astype(np.int64) + offset
    records.session.load(name, pa.table({"who": who.astype(np.int32), "since": since.astype(np.int32)}))
    return name


def survive(
    records: Records, outcome: Outcome, answers: Mapping[str, Answer], entered: Entered, known: FollowUp
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Survival rows of an outcome, and what became of everyone.

    Parameters
    ----------
    answers
        Answers to :func:`questions`, by the same keys.

    Returns
    -------
    survival : DataFrame
        Columns as :data:`COLUMNS`: entry (the day that follow-up begins) and exit; years between them; ages
        at both in years of 365.25 days, NaN where the birth is not known. A row for each person at risk.
    flow : DataFrame
        outcome, reason, n: everybody, once.
    """
    n, begin = len(records.persons), entered.day
    end = entered.registered_to.copy()
    dies_registered = (known.death >= end) & (known.death <= end + outcome.registration_gap_days)
    end[dies_registered] = known.death[dies_registered] + 1
    ends = [end, begin + outcome.horizon_days, np.full(n, np.inf), np.full(n, float(records.end_day))]
    if outcome.until_age is not None:
        ends[2] = birthdays(known.birth, outcome.until_age, records.index_date)
    close = np.fmin.reduce(ends)
    death = np.where(np.isnan(known.death), np.inf, known.death)

    # From the last that counts to the first, each overruling those after it on the same day.
    state, exit_day = np.zeros(n, np.int8), close.copy()
    cause = np.select([close == e for e in ends], ENDS, ENDS[0]).astype(object)
    happenings = [("death", death, 2 if outcome.competing == "death" else 0)]
    happenings += [(name, _day(answers[name]), 2) for name, _ in reversed(outcome.competing_events)]
    happenings += [("event", _day(answers["event"]), 1)]
    for name, day, code in happenings:
        happens = (day < close) & (day <= exit_day) & (day <= death)
        state[happens], exit_day[happens], cause[happens] = code, day[happens], name

    fixed = outcome.entry is None and not outcome.landmark_days
    no_age = outcome.entry is not None and outcome.entry.age is not None and np.isnat(known.birth)
    why = {
        "died by the index date" if fixed else "died before follow-up": death
        <= np.where(np.isnan(begin), outcome.landmark_days, begin),
        "birth date not known": np.zeros(n, bool) | no_age,
        "not registered then": ~(begin < end),
        "had it already": _day(answers["event"]) <= begin,
        "follow-up ends before it begins": close <= begin,
    }
    named = np.array([STATES[i] for i in range(3)], dtype=object)[state]
    other = (state == 2) & (cause != "death")
    named[other] = [f"competing: {name}" for name in cause[other]]
    reasons = np.select(list(why.values()), list(why), named)
    at_risk = ~np.logical_or.reduce(list(why.values()))
    begin, until = begin[at_risk], exit_day[at_risk]
    survival = pd.DataFrame(
        {
            "person_id": records.persons["person_id"].to_numpy(np.int64)[at_risk],
            "outcome": outcome.name,
            "entry": dates(records.index_date, begin),
            "exit": dates(records.index_date, until),
            "years": np.minimum((until - begin) / DAYS_IN_YEAR, outcome.years),
            "state": state[at_risk],
            "cause": cause[at_risk],
            "age_entry": _ages(known.birth[at_risk], records.index_date, begin),
            "age_exit": _ages(known.birth[at_risk], records.index_date, until),
        }
    ).astype(COLUMNS)
    counts = pd.Series(reasons).value_counts().sort_index()
    flow = pd.DataFrame({"outcome": outcome.name, "reason": counts.index, "n": counts.to_numpy(np.int64)})
    assert int(flow["n"].sum()) == n
    return survival, flow


def _day(answer: Answer) -> np.ndarray:
    return np.where(answer.holds, answer.day, np.inf)


def _ages(birth: np.ndarray, index_date: date, days: np.ndarray) -> np.ndarray:
    known = ~np.isnat(birth)
    ages = np.full(len(birth), np.nan)
    old = (np.datetime64(index_date, "D") - birth[known]).astype(np.float64)
    ages[known] = (old + days[known]) / DAYS_IN_YEAR
    return ages


def dates(index_date: date, days: np.ndarray) -> np.ndarray:
    """datetime64[ns] of days counted from the index date; NaT for NaN."""
    known = ~np.isnan(days)
    offsets = np.where(known, days, 0).astype("timedelta64[D]")
    return np.where(known, np.datetime64(index_date, "ns") + offsets, np.datetime64("NaT", "ns"))


def nothing() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Survival and flow of a study without outcomes: the columns and no row."""
    survival = pd.DataFrame({name: np.empty(0) for name in COLUMNS}).astype(COLUMNS)
    return survival, pd.DataFrame({"outcome": np.empty(0, object), "reason": np.empty(0, object), "n": []})
