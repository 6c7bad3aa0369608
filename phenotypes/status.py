"""Status of each person for a phenotype: case, control, excluded or unknown.

:class:`~phenotypes.definitions.Phenotype` says in which order the statuses are decided.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ibis
import numpy as np

from phenotypes.compile import Answer, Question
from phenotypes.definitions import REGISTRATION_GAP_DAYS, Phenotype
from phenotypes.narrow import Records
from phenotypes.registration import registration_runs

STATUSES: tuple[str, ...] = ("case", "control", "excluded", "unknown")
CASE, CONTROL, EXCLUDED, UNKNOWN = range(4)


@dataclass(frozen=True)
class Statuses:
    """Status of everyone for one phenotype.

    Attributes
    ----------
    status
        int8 positions in :data:`STATUSES`, in the order of the people.
    day
        float64: day that dates the case, counted from the index date; NaN for everyone not a case.
    n_dates
        int32: different dates of evidence of a case; 0 for everyone else.
    """

    status: np.ndarray
    day: np.ndarray
    n_dates: np.ndarray


@dataclass(frozen=True)
class Runs:
    """Runs of registrations, one element a run: who it is of, first day, and the day after the last (int32)."""

    who: np.ndarray
    start: np.ndarray
    end: np.ndarray


def questions(phenotype: Phenotype) -> dict[str, Question]:
    """What to ask of the records, by role."""
    end = 0 if phenotype.until == "index" else None
    return {role: Question(rule, end=end, counted=role == "case") for role, rule in phenotype.parts.items()}


def decide(
    records: Records,
    phenotype: Phenotype,
    answers: dict[str, Answer],
    *,
    sex: np.ndarray,
    first_seen: np.ndarray,
    runs: Runs | None = None,
) -> Statuses:
    """Status of everyone, from the answers to :func:`questions`.

    Parameters
    ----------
    sex
        'M', 'F' or anything else for unknown, one for each person.
    first_seen
        Result of :func:`first_seen`.
    runs
        Result of :func:`runs`; wanted where the phenotype has a wash-out.
    """
    n = len(records.persons)
    limit = 0 if phenotype.until == "index" else records.end_day
    nobody = np.zeros(n, dtype=bool)
    case = answers["case"]
    excluded = answers["exclude"].holds if "exclude" in answers else nobody
    no_control = answers["exclude_controls"].holds if "exclude_controls" in answers else nobody
    sexless = nobody
    if phenotype.sex is not None:
        sexless = ~np.isin(sex, ["M", "F"])
        excluded = excluded | (~sexless & (sex != phenotype.sex))
    old = case.holds & ~_new(phenotype, case.day, runs) if phenotype.must_be_new else nobody
    observed = first_seen < limit
    status = np.select(
        [excluded, sexless, old, case.holds, no_control, observed],
        [EXCLUDED, UNKNOWN, EXCLUDED, CASE, EXCLUDED, CONTROL],
        UNKNOWN,
    ).astype(np.int8)
    is_case = status == CASE
    return Statuses(
        status, np.where(is_case, case.day, np.nan), np.where(is_case, case.n_dates, 0).astype(np.int32)
    )


def runs(records: Records) -> Runs:
    """Every run of registrations of everyone."""
    rows = records.session.frame(registration_runs(records, gap_days=REGISTRATION_GAP_DAYS).drop("at_index"))
    return Runs(*(rows[column].to_numpy(np.int32) for column in ("who", "start", "end")))


def _new(phenotype: Phenotype, day: np.ndarray, runs: Runs | None) -> np.ndarray:
    """Whether what is dated `day` is known to be new, for each person; false where there is no day."""
    new: np.ndarray = day >= 0 if phenotype.onset == "incident" else ~np.isnan(day)
    if phenotype.washout_days:
        assert runs is not None
        on = day[runs.who]
        long_enough = (runs.start + phenotype.washout_days <= on) & (on <= runs.end + REGISTRATION_GAP_DAYS)
        registered = np.zeros(len(day), dtype=bool)
        registered[runs.who[long_enough]] = True
        new = new & registered
    return new


def first_seen(records: Records) -> np.ndarray:
    """First day on which each person was registered or has any record; NaN where never (float64)."""
    session, zero = records.session, ibis.date(records.index_date)
    people = records.people.select("who", "person_id")
    spans = session.table("registrations")
    spans = spans.filter(spans["end"] > spans.start).join(people, "person_id")
    registered = spans.group_by("who").agg(date=spans.start.min())
    # Records matter only for those whom no registration shows to be observed before the index date.
    early = registered.filter(registered.date < zero)
    others = people.anti_join(early, "who")
    events = session.table("events").join(others, "person_id")
    recorded = events.group_by("who").agg(date=events.date.min())
    both: Any = registered.union(recorded)
    first = both.group_by("who").agg(date=both.date.min())
    rows = session.frame(first.select("who", day=first.date.delta(zero, unit="day")))
    seen = np.full(len(records.persons), np.nan)
    seen[rows["who"].to_numpy(np.int64)] = rows["day"].to_numpy(np.float64)
    return seen
