"""The region's other diseases: those that a catalogue of phenotypes needs beside the ones with planted genes.

They come after the lives of :mod:`cohorts.synthetic.disease` and change nothing in them, neither deaths nor
the records of other diseases. No variant acts on them directly; genes reach them through body mass, blood
pressure, diabetes and the like.

Each disease has a hazard of the same form as the others (:mod:`cohorts.synthetic.hazards`), with a person's
own lifelong levels in place of the day's. As deaths come first, what a disease does to survival is stated
from its other side: the term ``dying`` is 1 in a person's last three years, so that who falls ill lives
shorter. Chronic kidney disease is not drawn: it begins on the day on which a person's filtration falls
below 60 for good, by age, by diabetes, or by the progressive loss that follows ``kidney_disease``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date

import numpy as np
from numpy.typing import NDArray

from cohorts.synthetic.config import RegionConfig
from cohorts.synthetic.disease import Lives, levels
from cohorts.synthetic.hazards import CENTRES, Hazard, knots
from cohorts.synthetic.people import ANCESTRIES, YEAR, People
from cohorts.synthetic.places import Places
from cohorts.synthetic.tables import NEVER, day

#: First year in which they can begin.
FIRST = 1960
_DIABETES = ("t2d", "t1d")
#: mL/min/1.73m² below which filtration is chronic kidney disease.
CKD_BELOW = 60.0

CONDITIONS: Mapping[str, Hazard] = {
    "atrial_fibrillation": Hazard(
        intercept=-5.95,
        age={30: -4.5, 45: -2.3, 55: -1.1, 65: 0.0, 75: 1.0, 85: 1.4, 95: 1.4},
        terms={"male": 0.35, "bmi": 0.04, "hypertension": 0.4, "chd": 0.4, "dying": 0.4},
    ),
    "heart_failure": Hazard(
        intercept=-7.1,
        age={30: -3.5, 45: -2.0, 55: -1.0, 65: 0.0, 75: 0.9, 85: 1.5, 95: 1.7},
        terms={
            "male": 0.25,
            "bmi": 0.03,
            "chd": 1.2,
            "atrial_fibrillation": 1.0,
            "hypertension": 0.35,
            "t2d": 0.5,
            "deprivation": 0.05,
            "dying": 1.4,
        },
    ),
    "stroke": Hazard(
        intercept=-6.5,
        age={20: -4.0, 30: -3.2, 45: -1.7, 55: -0.8, 65: 0.0, 75: 0.9, 85: 1.55, 95: 1.8},
        terms={
            "male": 0.2,
            "sbp": 0.012,
            "hypertension": 0.3,
            "atrial_fibrillation": 0.9,
            "t2d": 0.4,
            "t1d": 0.6,
            "smoking_current": 0.5,
            "deprivation": 0.04,
            "dying": 0.9,
        },
    ),
    "copd": Hazard(
        intercept=-7.4,
        age={15: -7.0, 30: -3.5, 40: -1.8, 50: -0.6, 60: 0.0, 70: 0.5, 80: 0.6, 95: 0.2},
        terms={
            "smoking_current": 2.2,
            "smoking_ex": 1.4,
            "deprivation": 0.09,
            "asthma": 0.6,
            "male": 0.1,
            "dying": 0.7,
        },
    ),
    "breast_cancer": Hazard(
        intercept=-5.75,
        age={20: -5.0, 30: -2.6, 40: -1.05, 50: -0.2, 60: 0.0, 70: 0.17, 85: 0.25},
        terms={"bmi": 0.01, "deprivation": -0.02, "dying": 0.6},
        only="F",
    ),
    "prostate_cancer": Hazard(
        intercept=-5.75,
        age={40: -5.0, 50: -1.8, 60: 0.0, 70: 0.75, 80: 0.8, 95: 0.7},
        terms={"deprivation": -0.03, "dying": 0.4},
        ancestry={"afr": 0.8, "sas": -0.5},
        only="M",
    ),
    "colorectal_cancer": Hazard(
        intercept=-7.55,
        age={25: -4.0, 40: -2.1, 50: -0.9, 60: 0.0, 70: 0.75, 80: 1.2, 95: 1.2},
        terms={"male": 0.35, "bmi": 0.015, "smoking_current": 0.15, "dying": 1.4},
    ),
    "depression": Hazard(
        intercept=-4.95,
        age={8: -6.0, 12: -2.0, 16: -0.4, 20: 0.1, 30: 0.1, 45: 0.0, 60: -0.4, 75: -0.5, 95: -0.7},
        terms={
            "male": -0.6,
            "smoking_current": 0.4,
            "deprivation": 0.06,
            "bmi": 0.015,
            "t2d": 0.2,
            "chd": 0.3,
            "dying": 0.2,
        },
    ),
    "dementia": Hazard(
        intercept=-5.35,
        age={
            20: -9.0,
            50: -4.7,
            60: -2.7,
            65: -1.8,
            70: -0.85,
            75: 0.0,
            80: 0.75,
            85: 1.35,
            90: 1.75,
            100: 2.1,
        },
        terms={
            "male": -0.15,
            "stroke": 0.8,
            "t2d": 0.3,
            "depression": 0.4,
            "deprivation": 0.03,
            "dying": 0.9,
        },
    ),
    "kidney_disease": Hazard(
        intercept=-8.2,
        age={0: -1.0, 30: -0.6, 60: 0.0, 90: 0.5},
        terms={"male": 0.2, "hypertension": 0.6, "t2d": 0.6, "t1d": 0.8, "nephropathy": 2.0, "dying": 0.5},
        ancestry={"afr": 0.6, "sas": 0.5},
    ),
    "neuropathy": Hazard(
        intercept=-4.4,
        age={20: -0.6, 60: 0.0, 85: 0.3},
        terms={"hba1c_spread": 0.3, "diabetes_years": 0.05, "male": 0.1, "bmi": 0.01},
        after=_DIABETES,
    ),
    "amputation": Hazard(
        intercept=-8.9,
        age={20: -0.6, 60: 0.0, 85: 0.4},
        terms={
            "foot_ulcer": 2.6,
            "neuropathy": 1.0,
            "smoking_current": 0.5,
            "male": 0.6,
            "diabetes_years": 0.02,
            "deprivation": 0.05,
            "dying": 0.6,
        },
        after=_DIABETES,
    ),
    "severe_hypoglycaemia": Hazard(
        intercept=-7.8,
        age={20: 0.1, 60: 0.0, 85: 0.6},
        terms={"insulin": 2.0, "second_drug": 1.0, "t1d": 0.5, "diabetes_years": 0.03, "dying": 0.5},
        after=_DIABETES,
    ),
}

#: Loss of filtration a year after kidney_disease and after nephropathy, mL/min/1.73m²: mean, at most.
LOSS: Mapping[str, tuple[float, float]] = {"kidney_disease": (3.0, 8.0), "nephropathy": (1.2, 4.0)}


def add_conditions(
    people: People, lives: Lives, places: Places, config: RegionConfig, rng: np.random.Generator
) -> Lives:
    """Lives with these diseases too.

    One exponential number a disease and person: the disease begins where the summed hazard reaches it.

    Parameters
    ----------
    people, lives
        A chunk, and its lives without these diseases.
    places, config
        The map and the calendar.
    rng
        Source of randomness of their own, apart from that of the lives.
    """
    years = np.arange(FIRST, config.end_date.year + 1)
    first = np.array([day(date(int(year), 1, 1)) for year in years], np.int64)
    edge = np.append(first, day(date(int(years[-1]) + 1, 1, 1)))
    inside = np.maximum(edge[1:], people.birth[:, None]) - np.maximum(edge[:-1], people.birth[:, None])
    span = (inside / YEAR).astype(np.float32)
    age = ((edge[:-1] + edge[1:]) / 2 - people.birth[:, None]).astype(np.float32) / np.float32(YEAR)
    onset = dict(lives.onset)
    fixed = _fixed(people, lives, places)
    for name, hazard in CONDITIONS.items():
        rate = _rates(hazard, age, first, fixed, people, lives, onset)
        summed = np.cumsum(rate * span, axis=1)
        need = rng.standard_exponential(len(people))
        at = (summed < need[:, None]).sum(axis=1)
        comes = np.flatnonzero(at < len(years))
        year = at[comes]
        before = np.where(year > 0, summed[comes, year - 1], 0.0)
        begin = np.maximum(edge[year], people.birth[comes])
        share = (need[comes] - before) / (summed[comes, year] - before)
        when = begin + (share * (edge[year + 1] - begin)).astype(np.int64)
        began = np.full(len(people), NEVER, np.int32)
        began[comes] = np.minimum(when, edge[year + 1] - 1)
        began[began >= lives.death] = NEVER
        onset[name] = began
    extended = _with_kidneys(people, replace(lives, onset=onset), config, rng)
    extended.onset["diabetic_cvd"] = _diabetic_cvd(extended.onset)
    return extended


def _fixed(people: People, lives: Lives, places: Places) -> dict[str, NDArray[np.float32]]:
    """Terms that do not change with the year."""
    values = {
        "male": people.male,
        "bmi": lives.own["bmi"],
        "sbp": lives.own["sbp"],
        "hba1c_spread": lives.spread,
        "deprivation": 11 - places.imd[people.area[:, 0]],
    }
    return {name: np.asarray(value, np.float32) for name, value in values.items()}


def _rates(
    hazard: Hazard,
    age: NDArray[np.float32],
    first: NDArray[np.int64],
    fixed: Mapping[str, NDArray[np.float32]],
    people: People,
    lives: Lives,
    onset: Mapping[str, NDArray[np.int32]],
) -> NDArray[np.float32]:
    """(people, years) hazard a year, 0 for those who cannot have the disease."""
    own = np.full(len(people), hazard.intercept, np.float32)
    changing = {}
    for name, coefficient in hazard.terms.items():
        if name in fixed:
            own += np.float32(coefficient) * (fixed[name] - np.float32(CENTRES.get(name, 0.0)))
        else:
            changing[name] = coefficient
    if hazard.ancestry:
        table = np.array([hazard.ancestry.get(name, 0.0) for name in ANCESTRIES], np.float32)
        own += table[people.ancestry]
    log = np.interp(age, *knots(hazard.age)).astype(np.float32)
    log += own[:, None]
    for name, coefficient in changing.items():
        log += np.float32(coefficient) * _term(name, first, people, lives, onset)
    rate: NDArray[np.float32] = np.exp(log)
    if hazard.after:
        rate *= np.any([onset[name][:, None] < first for name in hazard.after], axis=0)
    if hazard.only:
        rate *= (people.male == (hazard.only == "M"))[:, None]
    return rate


def _term(
    name: str,
    first: NDArray[np.int64],
    people: People,
    lives: Lives,
    onset: Mapping[str, NDArray[np.int32]],
) -> NDArray[np.bool_] | NDArray[np.float32]:
    """(people, years) values of a term as on 1 January."""
    if name == "dying":
        return lives.death[:, None] < first + int(3 * YEAR)
    if name == "smoking_current":
        return (people.smoke_start[:, None] <= first) & (people.smoke_quit[:, None] > first)
    if name == "smoking_ex":
        return people.smoke_quit[:, None] <= first
    if name == "diabetes_years":
        since = np.minimum(lives.onset["t2d"], lives.onset["t1d"])[:, None]
        years: NDArray[np.float32] = np.clip((first - since) / YEAR, 0, 40).astype(np.float32)
        return years
    began = onset[name] if name in onset else lives.treated[name]
    return began[:, None] < first


def _with_kidneys(people: People, lives: Lives, config: RegionConfig, rng: np.random.Generator) -> Lives:
    """Progressive loss of filtration, and the day on which it falls below `CKD_BELOW` for good."""
    n = len(people)
    loss = {
        cause: np.minimum(rng.gamma(2.0, mean / 2, n), most).astype(np.float32)
        for cause, (mean, most) in LOSS.items()
    }
    lives = replace(lives, loss=loss)
    who = np.arange(n)
    first = day(date(FIRST, 1, 1))
    steps = np.arange(first, day(config.end_date) + 183, 182)
    low = np.zeros((n, len(steps)), bool)
    for k, when in enumerate(steps):
        low[:, k] = levels("egfr", who, np.full(n, when, np.int32), people, lives) < CKD_BELOW
    # the last half-year in which it was not low; what comes after is for good
    sound = np.where(low.all(axis=1), -1, len(steps) - 1 - np.argmax(~low[:, ::-1], axis=1))
    begins = np.where(sound < len(steps) - 1, steps[np.minimum(sound + 1, len(steps) - 1)] - 91, NEVER)
    begins = np.maximum(begins, people.birth)
    begins[(begins >= lives.death) | (begins > day(config.end_date))] = NEVER
    lives.onset["ckd"] = begins.astype(np.int32)
    return lives


def _diabetic_cvd(onset: Mapping[str, NDArray[np.int32]]) -> NDArray[np.int32]:
    """Coronary disease or stroke of a diabetic: from the first day on which they had both."""
    diabetes = np.minimum(onset["t2d"], onset["t1d"])
    vessels = np.minimum(onset["chd"], onset["stroke"])
    both: NDArray[np.int32] = np.maximum(diabetes, vessels)
    return both
