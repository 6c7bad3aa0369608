"""How common conditions are, and how often they begin: by age, sex, deprivation and calendar year.

Person-time is read and cut once for all definitions (:mod:`phenotypes.person_time`). Everybody under
observation, and of the sex that a definition is for, is in its denominator, whatever their status: those whom
a definition makes unfit as controls live in the region too.

Counts are exact and include small ones; they are for the study team inside the safe setting. What leaves it
passes ``workflows.release``.

Sources: intervals of proportions by Wilson E.B., J Am Stat Assoc 1927; 22: 209-212; of rates by Garwood F.,
Biometrika 1936; 28: 437-442 (exact Poisson).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from statistics import NormalDist

import numpy as np
import pandas as pd

from cohorts.errors import DesignError
from phenotypes.ages import AGE_EDGES, ages_on, band_labels, band_of
from phenotypes.definitions import REGISTRATION_GAP_DAYS, Phenotype
from phenotypes.derivation import Derived
from phenotypes.diagnostics import sexes
from phenotypes.library import Band
from phenotypes.narrow import last_day, unread
from phenotypes.outcome import DAYS_IN_YEAR, deaths
from phenotypes.person_time import levels_of, observed, person_time
from phenotypes.session import HubLike, Session, session
from phenotypes.status import Statuses

PER = 1000.0


class NobodyObserved(DesignError):
    """Nobody is registered, or otherwise under observation, in the time that is asked about."""


def prevalence(
    hub: HubLike,
    persons: pd.DataFrame,
    derived: Derived,
    *,
    on: date | Sequence[date],
    by: Sequence[str] = ("age_band", "sex"),
    age_edges: Sequence[int] = AGE_EDGES,
    level: float = 0.95,
) -> pd.DataFrame:
    """Share of those registered on a day whose condition is dated by that day.

    Somebody in a gap of up to 90 days between two registrations is registered; whoever died on the day or
    before is not.

    Parameters
    ----------
    hub
        The hub that `derived` came from.
    persons
        The same people that were given to ``derive``: person_id, sex, birth_date and any column of `by`.
    derived
        Result of ``derive``.
    on
        The day, or several.
    by
        'age_band', 'sex', or other columns of `persons` such as 'imd_decile'; () for everybody together.
    age_edges
        Youngest age of each age band.
    level
        Of the intervals.

    Returns
    -------
    DataFrame
        phenotype, on datetime64, a column for each of `by`, people int64, cases int64, prevalence, low, high
        float64 (Wilson's interval). A row for each cell with somebody in it; true counts.

    Raises
    ------
    DesignError
        Where `persons` are not those of `derived`, or a definition cannot be counted so.

    Examples
    --------
    >>> prevalence(hub, persons, derived, on=date(2020, 1, 1), by=["sex"])  # doctest: +SKIP
    """
    days = [on] if isinstance(on, date) else list(on)
    conditions = _countable(persons, derived, until=max(days))
    levels = {c: levels_of(persons, c) for c in by if c != "age_band"}
    sex, parts = sexes(persons), []
    with session(hub) as opened:
        records = unread(opened, persons, index_date=derived.index_date, data_end=max(days))
        first, last = ((d - derived.index_date).days for d in (min(days), max(days)))
        spans = observed(records, start=first, end=last + 1, washout_days=0, gap_days=REGISTRATION_GAP_DAYS)
        died = deaths(records)
    for day in days:
        at = (day - derived.index_date).days
        here = np.zeros(len(persons), dtype=bool)
        here[spans.who[(spans.start <= at) & (at < spans.end)]] = True
        here &= died != at
        band = band_of(ages_on(persons["birth_date"], day), age_edges)
        known = {**levels, "age_band": (band, np.array([*band_labels(age_edges), "unknown"], dtype=object))}
        cell, cells = _cells({c: known[c] for c in by}, len(persons))
        for name, (phenotype, found) in conditions.items():
            counted = here & (True if phenotype.sex is None else sex == phenotype.sex)
            case = np.zeros(len(persons), dtype=bool)
            case[found.who[found.days <= at]] = True
            people = np.bincount(cell[counted], minlength=len(cells))
            cases = np.bincount(cell[counted & case], minlength=len(cells))
            table = cells.assign(people=people, cases=cases)
            table.insert(0, "on", pd.Timestamp(day))
            table.insert(0, "phenotype", name)
            parts.append(table[people > 0])
    columns = ["phenotype", "on", *by, "people", "cases"]
    found_all = pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)
    low, high = wilson(found_all["cases"].to_numpy(), found_all["people"].to_numpy(), level=level)
    return found_all.assign(prevalence=found_all["cases"] / found_all["people"], low=low, high=high)


def incidence(
    hub: HubLike,
    persons: pd.DataFrame,
    derived: Derived,
    *,
    start: date,
    end: date | None = None,
    washout_days: int = 365,
    by: Sequence[str] = ("age_band", "sex"),
    age_edges: Sequence[int] = AGE_EDGES,
    level: float = 0.95,
) -> pd.DataFrame:
    """New cases per 1,000 person-years under observation.

    Person-time runs from `washout_days` after the beginning of a registration, and from `start`, to the first
    of: the day that dates the case, the end of registration, death, `end`. A gap of up to 90 days between
    registrations ends nothing. Whoever had the condition earlier, or was first known to have it within the
    wash-out, is not at risk. Time is exact in days, each day in the cell of its own year and age.

    A definition is asked of the whole record. Where a path of it wants something never to happen ('none'), those to
    whom it has not happened yet take that path, and are dated by it, more often near the end of the data than
    before: compare the last years with a run whose data end earlier, or ask what had not happened by the day of
    the case ('not_near', as type 2 diabetes of the catalogue does for tablets).

    Parameters
    ----------
    hub, persons, derived, age_edges, level
        See :func:`prevalence`.
    start, end
        First day, and the day after the last; the end of the data where None.
    washout_days
        Days at the beginning of a registration in which what is written down may be old.
    by
        'year', 'age_band', 'sex', or other columns of `persons`; () for everybody together.

    Returns
    -------
    DataFrame
        phenotype, a column for each of `by`, people int64 (different people at risk), person_years float64,
        events int64, rate, low, high float64 (per 1,000 person-years; exact Poisson interval). A row for each
        cell under observation; true counts.

    Raises
    ------
    DesignError
        As :func:`prevalence`; a :class:`NobodyObserved` where nothing is observed between the two days.

    Examples
    --------
    >>> incidence(hub, persons, derived, start=date(2010, 1, 1), by=["year"])  # doctest: +SKIP
    """
    zero = derived.index_date
    with session(hub) as opened:
        end = _after_last(opened) if end is None else end
        if end <= start:
            raise DesignError("observation ends before it begins", where="end", found=end, expected=start)
        conditions = _countable(persons, derived, until=end - timedelta(days=1))
        records = unread(opened, persons, index_date=zero, data_end=end - timedelta(days=1))
        spans = observed(
            records, start=(start - zero).days, end=(end - zero).days, washout_days=washout_days,
            gap_days=REGISTRATION_GAP_DAYS,
        )  # fmt: skip
    if not len(spans.who):
        raise NobodyObserved(
            "nobody is registered between these days",
            where="start, end",
            found=f"{start}, {end}",
            fix="choose days that the registrations cover; where a source has none, a study may declare "
            "'observed: records' for it",
        )
    pieces = person_time(spans, persons, by=by, index_date=zero, age_edges=age_edges)
    sex, parts = sexes(persons), []
    for name, (phenotype, found) in conditions.items():
        until = np.full(len(persons), np.inf)
        until[found.who] = found.days
        of_sex = np.ones(len(persons), dtype=bool) if phenotype.sex is None else sex == phenotype.sex
        until[~of_sex] = -np.inf
        people, days = pieces.at_risk(until)
        mine = of_sex[found.who]
        events = pieces.events(found.who[mine], found.days[mine].astype(np.float64))
        table = pieces.cells.assign(people=people, person_years=days / DAYS_IN_YEAR, events=events)
        table.insert(0, "phenotype", name)
        parts.append(table[people > 0])
    columns = ["phenotype", *by, "people", "person_years", "events"]
    rates = pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)
    years = rates["person_years"].to_numpy(np.float64)
    low, high = poisson(rates["events"].to_numpy(np.int64), level=level)
    with np.errstate(divide="ignore", invalid="ignore"):
        return rates.assign(
            rate=PER * rates["events"].to_numpy() / years, low=PER * low / years, high=PER * high / years
        )


def compare_with_bands(
    hub: HubLike,
    persons: pd.DataFrame,
    derived: Derived,
    bands: Mapping[str, Sequence[Band]],
    *,
    on: date,
    level: float = 0.95,
) -> pd.DataFrame:
    """Prevalence beside published figures.

    Parameters
    ----------
    bands
        Published bands of each phenotype, such as ``entry.spec.related_bands``.
    on
        The day.

    Returns
    -------
    DataFrame
        phenotype, ages, place, year, published_low, published_high, people, cases, prevalence, low, high,
        verdict: 'inside', 'below' or 'above' where the interval meets the band or lies beyond it, 'nobody'.

    Examples
    --------
    >>> compare_with_bands(hub, persons, derived, {"copd": entry.spec.related_bands},
    ...                    on=date(2020, 1, 1))  # doctest: +SKIP
    """
    rows = []
    asked = {(band.ages[0], band.ages[1]) for listed in bands.values() for band in listed}
    counted = {}
    for youngest, oldest in asked:
        # everyone younger falls into the first band, so that an edge at 0 keeps them apart
        edges = sorted({0, youngest, *(() if oldest is None else (oldest + 1,))})
        table = prevalence(hub, persons, derived, on=on, by=["age_band"], age_edges=edges)
        counted[youngest, oldest] = table[table["age_band"] == band_labels(edges)[edges.index(youngest)]]
    for name, listed in bands.items():
        for band in listed:
            mine = counted[band.ages[0], band.ages[1]]
            mine = mine[mine["phenotype"] == name]
            people, cases = int(mine["people"].sum()), int(mine["cases"].sum())
            low, high = (float(x[0]) for x in wilson(np.array([cases]), np.array([people]), level=level))
            verdict = "below" if high < band.low else "above" if low > band.high else "inside"
            ages = f"{band.ages[0]}+" if band.ages[1] is None else f"{band.ages[0]}-{band.ages[1]}"
            rows.append(
                (name, ages, band.place, band.year, band.low, band.high, people, cases,
                 cases / people if people else np.nan, low, high, verdict if people else "nobody")
            )  # fmt: skip
    columns = [
        "phenotype", "ages", "place", "year", "published_low", "published_high", "people", "cases",
        "prevalence", "low", "high", "verdict",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def wilson(cases: np.ndarray, people: np.ndarray, *, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's score interval of proportions; NaN where there are no people.

    Examples
    --------
    >>> [x.round(4).tolist() for x in wilson(np.array([0, 10]), np.array([20, 20]))]
    [[0.0, 0.2993], [0.1611, 0.7007]]
    """
    z = NormalDist().inv_cdf(0.5 + level / 2)
    n = np.where(np.asarray(people) > 0, people, np.nan).astype(np.float64)
    p = np.asarray(cases, dtype=np.float64) / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return np.clip(middle - half, 0, 1), np.clip(middle + half, 0, 1)


def poisson(events: np.ndarray, *, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Exact interval of the mean of Poisson counts (Garwood).

    Examples
    --------
    >>> [x.round(3).tolist() for x in poisson(np.array([0, 10]))]
    [[0.0, 4.795], [3.689, 18.39]]
    """
    from scipy.special import gammaincinv

    tail = (1 - level) / 2
    counts = np.asarray(events, dtype=np.float64)
    low = np.where(counts == 0, 0.0, gammaincinv(np.maximum(counts, 1), tail))
    return low, gammaincinv(counts + 1, 1 - tail)


def _countable(
    persons: pd.DataFrame, derived: Derived, *, until: date
) -> dict[str, tuple[Phenotype, Statuses]]:
    """Definitions with their cases, after checks."""
    if not np.array_equal(persons["person_id"].to_numpy(np.int64), derived.person_id):
        raise DesignError(
            "these are not the people that were derived",
            where="persons",
            expected="the same people in the same order",
        )
    conditions = {}
    for name, found in derived.statuses.items():
        phenotype = derived.phenotypes[name]
        where = f"phenotypes.{name}"
        if phenotype.must_be_new:
            raise DesignError(
                "a definition of new cases says nothing about those who had it before",
                where=where,
                fix="leave out onset and washout_days: incidence has a wash-out of its own",
            )
        if phenotype.until == "index" and until >= derived.index_date:
            raise DesignError(
                "the definition reads no record from the index date on",
                where=f"{where}.until",
                found=f"until: index, counted to {until}",
                expected=f"days before {derived.index_date}",
            )
        if np.isnan(found.days).any():
            raise DesignError(
                "cases without a date cannot be placed in time",
                where=where,
                fix="use a rule in which something dated must happen",
            )
        conditions[name] = (phenotype, found)
    return conditions


def _cells(levels: Mapping[str, tuple[np.ndarray, np.ndarray]], n: int) -> tuple[np.ndarray, pd.DataFrame]:
    cell = np.zeros(n, dtype=np.int64)
    for number, names in levels.values():
        cell = cell * len(names) + number
    shape = tuple(len(names) for _, names in levels.values())
    parts = np.unravel_index(np.arange(int(np.prod(shape))), shape) if shape else ()
    cells = {c: names[part] for (c, (_, names)), part in zip(levels.items(), parts, strict=True)}
    return cell, pd.DataFrame(cells, index=range(int(np.prod(shape))))


def _after_last(opened: Session) -> date:
    return last_day(opened) + timedelta(days=1)
