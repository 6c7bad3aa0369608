"""Status of each person for a phenotype: case, control, excluded or unknown.

:class:`~phenotypes.definitions.Phenotype` says in which order the statuses are decided.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ibis
import numpy as np

from cohorts.without_rows import WithoutRows
from phenotypes.compile import Answer, Question
from phenotypes.definitions import REGISTRATION_GAP_DAYS, Phenotype
from phenotypes.narrow import Records
from phenotypes.registration import registration_runs

STATUSES: tuple[str, ...] = ("case", "control", "excluded", "unknown")
CASE, CONTROL, EXCLUDED, UNKNOWN = range(4)


@dataclass(frozen=True, repr=False)
class Statuses(WithoutRows):
    """Status of everyone for one phenotype.

    Attributes
    ----------
    status
        int8 positions in :data:`STATUSES`, in the order of the people.
    who
        int32: the cases, as positions among the people.
    days, counts
        float32 and int32, for each case: the day that dates it, counted from the index date (NaN where it has
        no date), and the number of different dates of evidence.
    """

    status: np.ndarray
    who: np.ndarray
    days: np.ndarray
    counts: np.ndarray

    @property
    def day(self) -> np.ndarray:
        """float64, one for each person: day that dates the case; NaN for everyone not a case."""
        day = np.full(len(self.status), np.nan)
        day[self.who] = self.days
        return day

    @property
    def n_dates(self) -> np.ndarray:
        """int32, one for each person: different dates of evidence of a case; 0 for everyone else."""
        n_dates = np.zeros(len(self.status), dtype=np.int32)
        n_dates[self.who] = self.counts
        return n_dates


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
    limit = 0 if phenotype.until == "index" else records.end_day
    case = answers["case"]
    # From the last that applies to the first, each overruling what was said before.
    observed = first_seen < limit
    status = np.where(observed, np.int8(CONTROL), np.int8(UNKNOWN))
    if "exclude_controls" in answers:
        unfit = answers["exclude_controls"].who
        status[unfit[observed[unfit]]] = EXCLUDED
    status[case.who] = CASE
    if phenotype.must_be_new:
        status[case.who[~_new(phenotype, case.day, runs)[case.who]]] = EXCLUDED
    if phenotype.sex is not None:
        status[(sex != "M") & (sex != "F")] = UNKNOWN
        status[sex == ("F" if phenotype.sex == "M" else "M")] = EXCLUDED
    if "exclude" in answers:
        status[answers["exclude"].who] = EXCLUDED
    stays = status[case.who] == CASE
    return Statuses(status, case.who[stays], case.days[stays], case.counts[stays])


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
