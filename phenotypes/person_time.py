"""Time under observation, cut where calendar years and ages turn: one table that serves every definition.

Registrations and deaths are read once. Each stretch of observation is cut at 1 January and at the birthdays
that begin an age band, and every piece is given to one cell; how much of it somebody spent at risk of a
condition is then a comparison with the day that dates their case.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from cohorts.errors import DesignError
from phenotypes import outcome
from phenotypes.ages import AGE_EDGES, band_labels, band_of
from phenotypes.diagnostics import sexes
from phenotypes.narrow import Records
from phenotypes.registration import registration_runs

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Spans:
    """Stretches of observation, by person and time: positions of the people, first day, and the day after the
    last; int32, days counted from the index date."""

    who: np.ndarray
    start: np.ndarray
    end: np.ndarray


@dataclass(frozen=True)
class PersonTime:
    """Pieces of observation, each within one cell.

    Attributes
    ----------
    spans
        The pieces, by person and time.
    cell
        int64: position of each piece in `cells`.
    first
        bool: the person's first piece in that cell.
    cells
        A row for each cell: its level of each thing asked for.
    """

    spans: Spans
    cell: np.ndarray
    first: np.ndarray
    cells: pd.DataFrame

    def at_risk(self, until: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """People and days at risk in each cell, where each person is at risk until (and not on) a day.

        Parameters
        ----------
        until
            float64, one for each person: inf where never ended, -inf where never at risk.

        Returns
        -------
        people, days
            int64, one for each cell.
        """
        left = until[self.spans.who]
        days = np.clip(np.minimum(self.spans.end, left) - self.spans.start, 0, None)
        here = self.first & (self.spans.start <= left)
        return self._sum(here.astype(np.float64)), self._sum(days)

    def events(self, who: np.ndarray, day: np.ndarray) -> np.ndarray:
        """Events in each cell: those on a day of a piece of the person's observation; int64.

        Parameters
        ----------
        who, day
            Position and day of each event, one a person.
        """
        on = np.full(int(self.spans.who.max(initial=-1)) + 1, np.nan)
        known = who < len(on)
        on[who[known]] = day[known]
        day_of = on[self.spans.who]
        return self._sum(((self.spans.start <= day_of) & (day_of < self.spans.end)).astype(np.float64))

    def _sum(self, weights: np.ndarray) -> np.ndarray:
        sums: np.ndarray = np.bincount(self.cell, weights, minlength=len(self.cells)).astype(np.int64)
        return sums


def observed(records: Records, *, start: int, end: int, washout_days: int, gap_days: int) -> Spans:
    """Registered life of everyone between two days.

    A gap of up to `gap_days` between registrations ends nothing. Observation ends with death, which may follow
    the last registration by as many days; the day of death is observed.

    Parameters
    ----------
    start, end
        First day, and the day after the last, counted from the index date.
    washout_days
        Days at the beginning of a registration that do not count.
    """
    rows = records.session.frame(registration_runs(records, gap_days=gap_days).drop("at_index"))
    who, first, last = (rows[column].to_numpy(np.int64) for column in ("who", "start", "end"))
    death = outcome.deaths(records)[who]
    # a death at the end of a registration belongs to it
    last = np.where((death >= last) & (death <= last + gap_days), death + 1, np.fmin(last, death + 1))
    first = np.maximum(first + washout_days, start)
    last = np.minimum(last, end).astype(np.int64)
    some = first < last
    who, first, last = who[some], first[some], last[some]
    order = np.lexsort((first, who))
    return Spans(*(column[order].astype(np.int32) for column in (who, first, last)))


def person_time(
    spans: Spans,
    persons: pd.DataFrame,
    *,
    by: Sequence[str],
    index_date: date,
    age_edges: Sequence[int] = AGE_EDGES,
) -> PersonTime:
    """Cut stretches of observation into cells.

    Parameters
    ----------
    spans
        Result of :func:`observed`.
    persons
        The people, in their order.
    by
        What makes a cell: 'year', 'age_band', 'sex', or another column of `persons`.
    age_edges
        Youngest age of each age band, ascending; who is younger than the first belongs to it.
    """
    levels: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    year = np.empty(0, np.int64)
    if {"year", "age_band"} & set(by):
        spans, year = _by_year(spans, index_date)
    if "age_band" in by:
        spans, year, band = _by_age(spans, year, persons["birth_date"], index_date, age_edges)
        levels["age_band"] = (band, np.array([*band_labels(age_edges), UNKNOWN], dtype=object))
    if "year" in by:
        names, numbers = np.unique(year, return_inverse=True)
        levels["year"] = (numbers, names)
    for column in by:
        if column not in levels:
            number, names = levels_of(persons, column)
            levels[column] = (number[spans.who], names)
    cell = np.zeros(len(spans.who), dtype=np.int64)
    for column in by:
        cell = cell * len(levels[column][1]) + levels[column][0]
    seen, cell = np.unique(cell, return_inverse=True)
    first = np.zeros(len(cell), dtype=bool)
    first[np.unique(cell * max(len(persons), 1) + spans.who, return_index=True)[1]] = True
    parts = np.unravel_index(seen, tuple(len(levels[column][1]) for column in by)) if by else ()
    cells = {column: levels[column][1][part] for column, part in zip(by, parts, strict=True)}
    return PersonTime(spans, cell, first, pd.DataFrame(cells, index=range(len(seen))))


def levels_of(persons: pd.DataFrame, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Position of everyone's level of a column, and the levels; missing ones are 'unknown', the last.

    Raises
    ------
    DesignError
        Where `persons` has no such column, or it tells people apart: a birth date, an identifier.

    Examples
    --------
    >>> levels_of(pd.DataFrame({"imd_decile": [2, None, 1]}), "imd_decile")[1].tolist()
    [1, 2, 'unknown']
    """
    countable = [c for c in persons.columns if c not in ("person_id", "birth_date")]
    if column not in countable:
        raise DesignError(
            "no such column to count by",
            where="by",
            found=repr(column),
            expected=", ".join(["age_band", *countable, "or for incidence year"]),
        )
    values = pd.Series(sexes(persons)) if column == "sex" else persons[column]
    values = values.where(values.notna(), None)
    number, names = pd.factorize(values.convert_dtypes(), sort=True)
    labels = np.array([*names.tolist(), UNKNOWN], dtype=object)
    return np.where(number < 0, len(names), number), labels


def _by_year(spans: Spans, index_date: date) -> tuple[Spans, np.ndarray]:
    zero = np.datetime64(index_date, "D")
    begins = (zero + spans.start).astype("datetime64[Y]").astype(np.int64) + 1970
    ends = (zero + spans.end - 1).astype("datetime64[Y]").astype(np.int64) + 1970
    pieces = ends - begins + 1
    at = np.repeat(np.arange(len(pieces)), pieces)
    year = begins[at] + np.arange(len(at)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    start = np.maximum(spans.start[at], _new_year(year, zero))
    end = np.minimum(spans.end[at], _new_year(year + 1, zero))
    return Spans(spans.who[at], start.astype(np.int32), end.astype(np.int32)), year


def _new_year(year: np.ndarray, zero: np.datetime64) -> np.ndarray:
    days: np.ndarray = ((year - 1970).astype("datetime64[Y]").astype("datetime64[D]") - zero).astype(np.int64)
    return days


def _by_age(
    spans: Spans, year: np.ndarray, births: pd.Series, index_date: date, edges: Sequence[int]
) -> tuple[Spans, np.ndarray, np.ndarray]:
    """Pieces of one year cut again at a birthday on which the age band turns, their year, and their band."""
    born = pd.to_datetime(births).iloc[spans.who]
    unknown = born.isna().to_numpy()
    of_year, month, day = (
        getattr(born.dt, part).fillna(1).to_numpy(np.int64) for part in ("year", "month", "day")
    )
    # counted from the first of the month, a birthday on 29 February falls on 1 March in common years
    months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]").astype("datetime64[D]")
    birthday = (months - np.datetime64(index_date, "D")).astype(np.int64) + day - 1
    before, after = (
        np.where(unknown, len(edges), band_of((year - of_year - less).astype(np.float64), edges))
        for less in (1, 0)
    )
    cut = (before != after) & (spans.start < birthday) & (birthday < spans.end)
    at = np.repeat(np.arange(len(cut)), 1 + cut)
    second = np.zeros(len(at), dtype=bool)
    second[np.flatnonzero(cut) + np.cumsum(cut)[cut]] = True
    start = np.where(second, birthday[at], spans.start[at]).astype(np.int32)
    end = np.where(cut[at] & ~second, birthday[at], spans.end[at]).astype(np.int32)
    band = np.where(start >= birthday[at], after[at], before[at])
    return Spans(spans.who[at], start, end), year[at], band
