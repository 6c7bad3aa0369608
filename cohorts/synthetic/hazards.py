"""The stated hazards: every coefficient by which the region's people fall ill and die.

The hazard of a disease in a calendar year is

    log h = intercept + age(t) + sum over terms of coefficient * (value - centre) + liability,

per year, constant within the year, with covariates as they stand on 1 January (or at birth) and age at
the middle of the year. ``age`` is linear between knots. The ``liability`` of a disease is its genetic
value plus a normal term for what nobody measured. Diseases that need others first (``after``) have no
hazard until the 1 January after. The numbers are ours: sizes in the range that cohort studies report,
intercepts set so that the region's rates resemble England's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Hazard:
    """One disease, treatment or way of dying.

    Attributes
    ----------
    intercept
        Log hazard a year where every other term is zero.
    age
        Knots of age in years and their log hazards; outside the knots the ends hold.
    terms
        Covariate and coefficient.
    ancestry
        Additive log hazards.
    liability
        Name of the liability that is added, or ''.
    after
        Diseases of which one must have begun.
    only
        'M' or 'F' where the other sex cannot have it.
    """

    intercept: float
    age: Mapping[float, float]
    terms: Mapping[str, float] = field(default_factory=dict)
    ancestry: Mapping[str, float] = field(default_factory=dict)
    liability: str = ""
    after: tuple[str, ...] = ()
    only: str = ""


#: Values at which the terms are zero.
CENTRES: Mapping[str, float] = {
    "bmi": 27.0,
    "ldl": 3.3,
    "sbp": 130.0,
    "hba1c": 37.0,
    "egfr": 90.0,
    "pm25": 10.0,
    "no2": 25.0,
    "deprivation": 5.5,
    "male": 0.0,
    "smoking_current": 0.0,
    "smoking_ex": 0.0,
    "t2d": 0.0,
    "t1d": 0.0,
    "chd": 0.0,
    "lung_cancer": 0.0,
    "hypertension": 0.0,
    "diabetes_years": 0.0,
    "lung_cancer_new": 0.0,
    "chd_new": 0.0,
}

#: Standard deviation of the unmeasured, non-genetic part of each liability.
FRAILTY: Mapping[str, float] = {"t2d": 0.45, "chd": 0.45, "asthma": 0.5, "lung_cancer": 0.4}

DISEASES: Mapping[str, Hazard] = {
    "t2d": Hazard(
        intercept=-5.45,
        age={15: -6.0, 25: -3.2, 35: -1.6, 45: -0.5, 55: 0.0, 65: 0.3, 75: 0.25, 90: -0.3},
        terms={"male": 0.35, "bmi": 0.11, "smoking_current": 0.25, "pm25": 0.03, "deprivation": 0.05},
        ancestry={"sas": 0.8, "afr": 0.5, "eas": 0.3},
        liability="t2d",
    ),
    "t1d": Hazard(intercept=-8.6, age={0: -0.5, 4: 0.2, 12: 0.6, 20: -0.3, 40: -2.0, 60: -4.0}),
    "chd": Hazard(
        intercept=-5.45,
        age={30: -4.2, 40: -2.2, 50: -0.9, 60: 0.0, 70: 0.65, 80: 1.15, 95: 1.6},
        terms={
            "male": 0.7,
            "ldl": 0.35,
            "sbp": 0.014,
            "smoking_current": 0.65,
            "smoking_ex": 0.2,
            "t2d": 0.55,
            "t1d": 0.8,
            "bmi": 0.015,
            "pm25": 0.04,
            "deprivation": 0.03,
        },
        ancestry={"sas": 0.35, "afr": -0.2},
        liability="chd",
    ),
    "asthma": Hazard(
        intercept=-5.85,
        age={0: -0.5, 4: 1.2, 10: 1.0, 18: 0.1, 30: -0.4, 60: -0.4, 90: -0.7},
        terms={"smoking_current": 0.2, "bmi": 0.03, "no2": 0.012, "male": -0.1},
        liability="asthma",
    ),
    "lung_cancer": Hazard(
        intercept=-9.1,
        age={40: -2.9, 50: -1.3, 60: 0.0, 70: 0.85, 80: 1.2, 95: 1.0},
        terms={"smoking_current": 2.6, "smoking_ex": 1.5, "pm25": 0.06, "deprivation": 0.03, "male": 0.1},
        liability="lung_cancer",
    ),
    "hypertension": Hazard(
        intercept=-3.75,
        age={18: -4.0, 30: -2.4, 40: -1.1, 50: -0.3, 60: 0.0, 75: 0.2, 90: 0.0},
        terms={"sbp": 0.05, "bmi": 0.03, "t2d": 0.4},
        ancestry={"afr": 0.3},
    ),
    "retinopathy": Hazard(
        intercept=-4.8,
        age={0: 0.0},
        terms={"hba1c": 0.03, "diabetes_years": 0.05, "sbp": 0.01},
        after=("t2d", "t1d"),
    ),
    "nephropathy": Hazard(
        intercept=-5.2,
        age={0: 0.0},
        terms={"hba1c": 0.025, "diabetes_years": 0.04, "egfr": -0.03, "sbp": 0.012},
        after=("t2d", "t1d"),
    ),
    "foot_ulcer": Hazard(
        intercept=-5.8,
        age={0: -0.5, 60: 0.0, 85: 0.4},
        terms={"hba1c": 0.025, "diabetes_years": 0.04, "smoking_current": 0.3, "male": 0.3},
        after=("t2d", "t1d"),
    ),
    "dka": Hazard(
        intercept=-7.4, age={0: 0.6, 30: 0.0}, terms={"t1d": 3.4, "hba1c": 0.02}, after=("t2d", "t1d")
    ),
}

TREATMENTS: Mapping[str, Hazard] = {
    "statin": Hazard(
        intercept=-4.6,
        age={30: -4.0, 40: -1.5, 50: -0.5, 60: 0.2, 75: 0.6, 90: 0.0},
        terms={"ldl": 0.55, "t2d": 1.9, "chd": 3.2, "hypertension": 0.8, "smoking_current": 0.2},
    ),
    "antihypertensive": Hazard(intercept=-0.1, age={0: 0.0}, terms={"sbp": 0.02}, after=("hypertension",)),
    "metformin": Hazard(intercept=-0.8, age={0: 0.0, 75: 0.0, 90: -1.0}, terms={"bmi": 0.03}, after=("t2d",)),
    "second_drug": Hazard(
        intercept=-2.6, age={0: 0.0}, terms={"hba1c": 0.02, "diabetes_years": 0.05}, after=("t2d",)
    ),
    "insulin": Hazard(
        intercept=-5.0,
        age={0: 0.0},
        terms={"t1d": 6.0, "diabetes_years": 0.09, "hba1c": 0.03},
        after=("t2d", "t1d"),
    ),
}

#: Causes of death add up; nobody dies before `start_date`, the genotyped not before the index date.
DEATHS: Mapping[str, Hazard] = {
    "other": Hazard(
        intercept=-4.75,
        age={
            0: -3.4,
            1: -4.6,
            12: -5.2,
            18: -4.2,
            30: -3.7,
            40: -2.6,
            50: -1.75,
            60: -0.95,
            70: 0.0,
            80: 1.1,
            90: 2.1,
            100: 3.0,
        },
        terms={
            "male": 0.25,
            "smoking_current": 0.55,
            "smoking_ex": 0.15,
            "t2d": 0.3,
            "t1d": 0.6,
            "bmi": 0.01,
            "egfr": -0.008,
            "deprivation": 0.04,
            "pm25": 0.01,
        },
    ),
    "chd": Hazard(
        intercept=-4.5,
        age={40: -1.6, 60: -0.6, 70: 0.0, 80: 0.8, 95: 1.8},
        terms={"chd_new": 1.6, "male": 0.2, "smoking_current": 0.5, "t2d": 0.3},
        after=("chd",),
    ),
    "lung_cancer": Hazard(
        intercept=-1.1,
        age={40: -0.3, 70: 0.0, 90: 0.4},
        terms={"lung_cancer_new": 0.8},
        after=("lung_cancer",),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Level:
    """How a level on a day follows from a person's own level (at the reference age, untreated).

    Attributes
    ----------
    mean
        Mean of the own levels of people without genetic value.
    noise
        Standard deviation of a single measurement around the level.
    age
        Knots of age and what they add.
    male, bmi
        Added for men, and per kg/m² of own BMI above 27.
    times
        Treatment and the factor from its first day on.
    adds
        Treatment, or disease, and what it adds from its first day on.
    per_year
        Disease and what each year with it adds, up to 15 years.
    spread
        Standard deviation between diabetics of what diabetes adds (HbA1c).
    least
        The level never falls below this.
    """

    mean: float
    noise: float
    age: Mapping[float, float]
    least: float
    male: float = 0.0
    bmi: float = 0.0
    times: Mapping[str, float] = field(default_factory=dict)
    adds: Mapping[str, float] = field(default_factory=dict)
    per_year: Mapping[str, float] = field(default_factory=dict)
    spread: float = 0.0


LEVELS: Mapping[str, Level] = {
    "bmi": Level(
        mean=27.0,
        noise=0.6,
        age={0: -10, 5: -11, 12: -8, 18: -4, 30: -1.2, 45: 0, 60: 0.6, 75: -0.3, 90: -2},
        least=11.0,
    ),
    "ldl": Level(
        mean=3.3,
        noise=0.28,
        age={0: -1.2, 20: -0.6, 40: 0, 60: 0.25, 75: 0, 90: -0.4},
        times={"statin": 0.68},
        least=0.6,
    ),
    "sbp": Level(
        mean=126.0,
        noise=8.0,
        age={0: -36, 10: -24, 20: -10, 40: -3, 50: 0, 70: 9, 90: 12},
        male=3.0,
        bmi=0.5,
        adds={"antihypertensive": -12.0},
        least=75.0,
    ),
    "hba1c": Level(
        mean=36.5,
        noise=1.2,
        age={0: -4, 20: -2.5, 40: -0.8, 60: 0.6, 80: 1.2},
        bmi=0.1,
        adds={"t2d": 20.0, "t1d": 32.0, "metformin": -8.0, "second_drug": -6.0, "insulin": -6.0},
        per_year={"t2d": 0.7},
        spread=7.0,
        least=20.0,
    ),
    "egfr": Level(
        mean=92.0,
        noise=4.0,
        age={0: 15, 20: 18, 40: 8, 60: -6, 75: -18, 90: -32},
        per_year={"t2d": -0.6},
        least=8.0,
    ),
}


def knots(table: Mapping[float, float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Knots as two arrays for :func:`numpy.interp`."""
    return np.array(list(table), float), np.array(list(table.values()), float)
