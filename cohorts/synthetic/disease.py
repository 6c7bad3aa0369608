"""Lives: levels, liabilities, diseases, treatments and deaths, year by year in continuous time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cohorts.synthetic.config import RegionConfig
from cohorts.synthetic.effects import ARCHITECTURES, TRAITS
from cohorts.synthetic.hazards import (
    CENTRES,
    DEATHS,
    DISEASES,
    FRAILTY,
    LEVELS,
    TREATMENTS,
    Hazard,
    Level,
    knots,
)
from cohorts.synthetic.people import ANCESTRIES, YEAR, People
from cohorts.synthetic.places import Places
from cohorts.synthetic.tables import NEVER, day

FIRST_YEAR = 1955
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Lives:
    """What happened to people, row for row.

    Attributes
    ----------
    own
        Personal level of each trait at the reference age, before treatment, in its unit.
    genetic
        (n, traits) genetic values in the order of ``TRAITS``.
    liability
        Log hazard from genes and the unmeasured, for each disease that has one.
    onset, treated
        Day of each disease and of the start of each treatment, `NEVER` if it does not come before death.
    death, cause
        Day of death within the calendar, and position in ``list(DEATHS)``, -1 for the living.
    spread
        (n,) how far a diabetic's HbA1c lies from the average, in standard deviations.
    loss
        Disease and (n,) what kidneys lose each year after it, in mL/min/1.73m².
    """

    own: dict[str, Floats]
    genetic: Floats
    liability: dict[str, Floats]
    onset: dict[str, NDArray[np.int32]]
    treated: dict[str, NDArray[np.int32]]
    death: NDArray[np.int32]
    cause: NDArray[np.int8]
    spread: Floats
    loss: Mapping[str, Floats] = field(default_factory=dict)

    def since(self, name: str) -> NDArray[np.int32]:
        """Day on which a disease or treatment began."""
        return self.onset[name] if name in self.onset else self.treated[name]


def draw_lives(
    people: People, genetic: Floats, places: Places, config: RegionConfig, rng: np.random.Generator
) -> Lives:
    """Simulate lives under :mod:`cohorts.synthetic.hazards`.

    Parameters
    ----------
    people
        A chunk of people.
    genetic
        (n, traits) genetic values.
    places
        The map, for air and deprivation.
    config
        The calendar.
    rng
        Source of randomness of this chunk.
    """
    n = len(people)
    own: dict[str, Floats] = {}
    for trait, item in LEVELS.items():
        architecture = ARCHITECTURES[trait]
        spare = architecture.sd**2 * (1 - architecture.genetic_variance) - item.noise**2
        rest = np.sqrt(max(spare, 0.1 * architecture.sd**2)) * _residual(trait, n, rng)
        own[trait] = (item.mean + genetic[:, TRAITS.index(trait)] + rest).astype(np.float32)
    liability = {
        name: (genetic[:, TRAITS.index(name)] + sd * rng.normal(size=n)).astype(np.float32)
        for name, sd in FRAILTY.items()
    }
    names = [*DISEASES, *TREATMENTS]
    begun = {name: np.full(n, NEVER, np.int32) for name in names}
    lives = Lives(
        own,
        genetic,
        liability,
        {name: begun[name] for name in DISEASES},
        {name: begun[name] for name in TREATMENTS},
        np.full(n, NEVER, np.int32),
        np.full(n, -1, np.int8),
        rng.normal(size=n).astype(np.float32),
    )
    for year in range(FIRST_YEAR, config.end_date.year + 1):
        _live_year(year, people, lives, places, config, rng)
    for name in names:
        begun[name][begun[name] >= lives.death] = NEVER
    return lives


def _residual(trait: str, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    if trait == "bmi":  # skewed to the right, as body mass is
        return (rng.gamma(4.0, size=n) - 4.0) / 2.0
    return rng.normal(size=n)


def _live_year(
    year: int, people: People, lives: Lives, places: Places, config: RegionConfig, rng: np.random.Generator
) -> None:
    """Begin diseases and treatments and end lives within one calendar year."""
    first, after = day(date(year, 1, 1)), day(date(year + 1, 1, 1))
    entry = np.maximum(people.birth, first)
    exposed = (people.birth < after) & (lives.death >= first)
    if not exposed.any():
        return
    values = covariates(year, people, lives, places)
    age = ((first + after) / 2 - people.birth) / YEAR
    waits = rng.standard_exponential((len(DISEASES) + len(TREATMENTS) + 1, len(people)))
    row = 0
    for group in (DISEASES, TREATMENTS):
        for name, hazard in group.items():
            begun = lives.since(name)
            rate = yearly_hazard(hazard, age, values, people, lives)
            ready = exposed & (begun >= NEVER) & _allowed(hazard, lives, first)
            when = entry + waits[row] / np.maximum(rate, 1e-12) * YEAR
            starts = ready & (when < after)
            begun[starts] = when[starts].astype(np.int32)
            row += 1
    if first >= day(config.start_date):
        _end_lives(first, after, entry, age, values, waits[row], people, lives, config, rng)


def _end_lives(
    first: int,
    after: int,
    entry: NDArray[np.int32],
    age: NDArray[np.floating],
    values: Mapping[str, NDArray[Any]],
    wait: NDArray[np.float64],
    people: People,
    lives: Lives,
    config: RegionConfig,
    rng: np.random.Generator,
) -> None:
    rates = np.stack(
        [
            yearly_hazard(hazard, age, values, people, lives) * _allowed(hazard, lives, first)
            for hazard in DEATHS.values()
        ]
    )
    total = rates.sum(axis=0)
    when = entry + wait / np.maximum(total, 1e-12) * YEAR
    # whoever gave DNA was alive to give it; people reach the region alive
    spared = (people.genome >= 0) & (first < day(config.index_date))
    dies = (lives.death >= NEVER) & (when < after) & ~spared & (people.birth < after) & (when > people.arrive)
    lives.death[dies] = when[dies].astype(np.int32)
    share = np.cumsum(rates[:, dies] / total[dies], axis=0)
    lives.cause[dies] = (rng.random(int(dies.sum())) > share).sum(axis=0).clip(0, len(DEATHS) - 1)


def _allowed(hazard: Hazard, lives: Lives, first: int) -> NDArray[np.bool_] | bool:
    if not hazard.after:
        return True
    ready: NDArray[np.bool_] = np.any([lives.since(name) < first for name in hazard.after], axis=0)
    return ready


def yearly_hazard(
    hazard: Hazard,
    age: NDArray[np.floating],
    values: Mapping[str, NDArray[Any]],
    people: People,
    lives: Lives,
) -> NDArray[np.float64]:
    """(n,) hazard per year, ignoring who is at risk."""
    log = hazard.intercept + np.interp(age, *knots(hazard.age))
    for name, coefficient in hazard.terms.items():
        log += coefficient * (values[name] - CENTRES[name])
    if hazard.ancestry:
        log += np.array([hazard.ancestry.get(name, 0.0) for name in ANCESTRIES])[people.ancestry]
    if hazard.liability:
        log += lives.liability[hazard.liability]
    rate: NDArray[np.float64] = np.exp(log)
    return rate


def covariates(year: int, people: People, lives: Lives, places: Places) -> dict[str, NDArray[Any]]:
    """Values of all terms as they stand on 1 January of `year`."""
    first = day(date(year, 1, 1))
    days = np.full(len(people), first, np.int32)
    who = np.arange(len(people))
    area = people.area[who, people.home_at(who, days)]
    column = places.air(year)
    current = (people.smoke_start <= first) & (people.smoke_quit > first)
    values: dict[str, NDArray[Any]] = {
        name: levels(name, who, days, people, lives) for name in ("bmi", "ldl", "sbp", "hba1c", "egfr")
    }
    diabetes = np.minimum(lives.onset["t2d"], lives.onset["t1d"])
    return values | {
        "male": people.male.astype(np.float32),
        "smoking_current": current.astype(np.float32),
        "smoking_ex": (people.smoke_quit <= first).astype(np.float32),
        "pm25": places.pm25[area, column],
        "no2": places.no2[area, column],
        "deprivation": (11 - places.imd[area]).astype(np.float32),
        "t2d": (lives.onset["t2d"] < first).astype(np.float32),
        "t1d": (lives.onset["t1d"] < first).astype(np.float32),
        "chd": (lives.onset["chd"] < first).astype(np.float32),
        "hypertension": (lives.onset["hypertension"] < first).astype(np.float32),
        "lung_cancer": (lives.onset["lung_cancer"] < first).astype(np.float32),
        "chd_new": _recent(lives.onset["chd"], first),
        "lung_cancer_new": _recent(lives.onset["lung_cancer"], first),
        "diabetes_years": np.where(diabetes < first, (first - diabetes) / YEAR, 0).astype(np.float32),
    }


def _recent(onset: NDArray[np.int32], first: int) -> Floats:
    recent: Floats = ((onset < first) & (onset >= first - 366)).astype(np.float32)
    return recent


def levels(
    name: str, who: NDArray[np.int64], days: NDArray[np.int32], people: People, lives: Lives
) -> Floats:
    """True level of a trait of people `who` on `days`, in its unit, without measurement noise."""
    item = LEVELS[name]
    age = (days - people.birth[who]) / YEAR
    own = lives.own[name][who].astype(np.float64)
    if name == "bmi":  # children differ less from each other than adults do
        own = item.mean + (own - item.mean) * np.interp(age, [0, 5, 25], [0.25, 0.4, 1.0])
    value = own + np.interp(age, *knots(item.age)) + item.male * people.male[who]
    value += item.bmi * (lives.own["bmi"][who] - CENTRES["bmi"])
    for treatment, factor in item.times.items():
        value *= np.where(lives.since(treatment)[who] <= days, factor, 1.0)
    if name == "hba1c":
        value += _diabetic_hba1c(item, who, days, lives)
    else:
        for cause, amount in item.adds.items():
            value += amount * (lives.since(cause)[who] <= days)
        for disease, amount in item.per_year.items():
            value += amount * _years_since(lives.onset[disease][who], days)
    if name == "egfr":
        for disease, rate in lives.loss.items():
            value -= rate[who] * np.maximum(days - lives.onset[disease][who], 0) / YEAR
    out: Floats = np.maximum(value, item.least).astype(np.float32)
    return out


def _years_since(onset: NDArray[np.int32], days: NDArray[np.int32]) -> NDArray[np.float64]:
    return np.where(onset <= days, np.minimum((days - onset) / YEAR, 15.0), 0.0)


def _diabetic_hba1c(
    item: Level, who: NDArray[np.int64], days: NDArray[np.int32], lives: Lives
) -> NDArray[np.float64]:
    """What diabetes and its drugs add to HbA1c, in mmol/mol.

    It climbs in the year before onset, and treated or not stays 6 above the range of the healthy.
    """
    t2d, t1d = lives.onset["t2d"][who], lives.onset["t1d"][who]
    diabetic = np.minimum(t2d, t1d) <= days
    extra = item.adds["t2d"] * np.clip((days.astype(np.float64) - t2d + 365) / 365, 0, 1)
    extra += item.per_year["t2d"] * _years_since(t2d, days) + item.adds["t1d"] * (t1d <= days)
    extra += item.spread * lives.spread[who] * diabetic
    for drug in ("metformin", "second_drug", "insulin"):
        extra += item.adds[drug] * (lives.treated[drug][who] <= days)
    return np.maximum(extra, np.where(diabetic, 6.0, 0.0))
