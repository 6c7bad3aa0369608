"""Outcomes: entry, exit and how follow-up ended, for each person at risk.

:class:`~phenotypes.definitions.Outcome` says what is done; `state` is 0 (follow-up ended without either),
1 (the event) or 2 (the competing event).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import ibis
import numpy as np
import pandas as pd

from phenotypes.compile import Answer, Question
from phenotypes.definitions import Outcome
from phenotypes.narrow import Records
from phenotypes.registration import registration_runs

DAYS_IN_YEAR = 365.25
STATES = {0: "censored", 1: "event", 2: "competing"}


@dataclass(frozen=True)
class FollowUp:
    """What can end follow-up, in days from the index date; float64, NaN where it does not happen.

    Attributes
    ----------
    registered_to
        End of the registration that covers the index date; NaN where none does.
    death
        Day of death.
    """

    registered_to: np.ndarray
    death: np.ndarray


def question(outcome: Outcome) -> Question:
    """What to ask of the records: the event, of later records alone where earlier ones do not matter."""
    return Question(outcome.event, start=None if outcome.exclude_prior else 1, counted=False)


def follow_up(records: Records, *, gap_days: int) -> FollowUp:
    """End of registration and day of death of each person.

    Parameters
    ----------
    gap_days
        A gap this long or shorter between two registrations does not end follow-up.
    """
    ends = registration_runs(records, gap_days=gap_days)
    registered = records.session.frame(ends.filter(ends.at_index).select("who", "end"))
    return FollowUp(_by_person(records, registered, "end"), deaths(records))


def deaths(records: Records) -> np.ndarray:
    """Day of death of each person, float64; NaN where none is known."""
    table = records.session.table("deaths")
    table = table.join(records.people.select("who", "person_id"), "person_id")
    first = table.group_by("who").agg(date=table.date.min())
    day = first.select("who", day=first.date.delta(ibis.date(records.index_date), unit="day"))
    return _by_person(records, records.session.frame(day), "day")


def survive(
    records: Records, outcome: Outcome, event: Answer, known: FollowUp
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Survival rows of an outcome, and what became of everyone.

    Returns
    -------
    survival : DataFrame
        person_id int64, outcome, entry and exit datetime64, years float64, state int8; a row for each
        person at risk.
    flow : DataFrame
        outcome, reason, n: everybody, once.
    """
    n = len(records.persons)
    end = known.registered_to.copy()
    grace = outcome.registration_gap_days
    dies_registered = (known.death >= end) & (known.death <= end + grace)
    end[dies_registered] = known.death[dies_registered] + 1
    day = np.where(event.holds, event.day, np.inf)
    death = np.where(np.isnan(known.death), np.inf, known.death)
    close = np.fmin(end, min(outcome.horizon_days, records.end_day))

    died, absent, prior = death <= 0, np.isnan(end), day <= 0
    reasons = np.select(
        [died, absent, prior], ["died by the index date", "not registered then", "had it already"], ""
    )
    happened = (day < close) & (day <= death)
    dead = ~happened & (death < close)
    state = np.where(happened, 1, np.where(dead & (outcome.competing == "death"), 2, 0))
    exit_day = np.where(happened, day, np.where(dead, death, close))
    reasons = np.where(reasons == "", np.array([STATES[s] for s in range(3)])[state], reasons)

    at_risk = ~(died | absent | prior)
    days = exit_day[at_risk]
    survival = pd.DataFrame(
        {
            "person_id": records.persons["person_id"].to_numpy(np.int64)[at_risk],
            "outcome": outcome.name,
            "entry": dates(records.index_date, np.zeros(len(days))),
            "exit": dates(records.index_date, days),
            "years": np.minimum(days / DAYS_IN_YEAR, outcome.years),
            "state": state[at_risk].astype(np.int8),
        }
    )
    counts = pd.Series(reasons).value_counts().sort_index()
    flow = pd.DataFrame({"outcome": outcome.name, "reason": counts.index, "n": counts.to_numpy(np.int64)})
    assert int(flow["n"].sum()) == n
    return survival, flow


def dates(index_date: date, days: np.ndarray) -> np.ndarray:
    """datetime64[ns] of days counted from the index date; NaT for NaN."""
    known = ~np.isnan(days)
    offsets = np.where(known, days, 0).astype("timedelta64[D]")
    return np.where(known, np.datetime64(index_date, "ns") + offsets, np.datetime64("NaT", "ns"))


def nothing() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Survival and flow of a study without outcomes: the columns and no row."""
    empty = np.empty(0)
    survival = pd.DataFrame(
        {
            "person_id": empty.astype(np.int64),
            "outcome": empty.astype(object),
            "entry": empty.astype("datetime64[ns]"),
            "exit": empty.astype("datetime64[ns]"),
            "years": empty,
            "state": empty.astype(np.int8),
        }
    )
    return survival, pd.DataFrame({"outcome": empty.astype(object), "reason": empty.astype(object), "n": []})


def _by_person(records: Records, rows: pd.DataFrame, column: str) -> np.ndarray:
    values = np.full(len(records.persons), np.nan)
    values[rows["who"].to_numpy(np.int64)] = rows[column].to_numpy(np.float64)
    return values
