"""Units of measurement: which spellings mean the same, and how to convert, by analyte.

Units of one quantity (kg and lb, g/L and mg/dL, kPa and mmHg) convert whatever was measured. Mass to amount
of substance (mg/dL to mmol/L) depends on what was measured, so that it is made where the analyte is known
and nowhere else. Factors per mg/dL follow from molar masses, rounded as laboratories print them (Tietz
Textbook of Clinical Chemistry, SI conversion table): cholesterol 386.7 g/mol, triglycerides 885.7 (as
triolein), glucose 180.16, creatinine 113.12, urea 60.06, nitrogen of urea 28.01, bilirubin 584.7, urate
168.1, haemoglobin 16114 (one chain with its iron), calcium 40.08, phosphate 30.97 (as phosphorus),
magnesium 24.31, iron 55.85, 25-hydroxyvitamin D 400.6. HbA1c goes by the IFCC-NGSP master equation, IFCC =
(DCCT - 2.15) x 10.929, reported in whole mmol/mol (6.5% is 48 mmol/mol). Pounds, stones, inches and feet
are the international ones; 1 kPa is 7.50062 mmHg.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cache
from typing import Literal


@dataclass(frozen=True)
class Conversion:
    """``value * scale + offset``, then to the nearest whole number where `whole` (halves away from zero)."""

    scale: float
    offset: float = 0.0
    whole: bool = False

    def __call__(self, value: float) -> float:
        converted = value * self.scale + self.offset
        return math.copysign(math.floor(abs(converted) + 0.5), converted) if self.whole else converted


#: Unit: what it is a unit of, and how many of the first unit of that quantity it is.
QUANTITIES: dict[str, tuple[str, float]] = {
    "mg/dL": ("mass concentration", 1.0),
    "g/dL": ("mass concentration", 1000.0),
    "g/L": ("mass concentration", 100.0),
    "mg/L": ("mass concentration", 0.1),
    "ug/dL": ("mass concentration", 1e-3),
    "ug/L": ("mass concentration", 1e-4),
    "ng/mL": ("mass concentration", 1e-4),
    "ng/dL": ("mass concentration", 1e-6),
    "pg/mL": ("mass concentration", 1e-7),
    "mmol/L": ("amount concentration", 1.0),
    "umol/L": ("amount concentration", 1e-3),
    "nmol/L": ("amount concentration", 1e-6),
    "pmol/L": ("amount concentration", 1e-9),
    "kg": ("mass", 1.0),
    "g": ("mass", 1e-3),
    "lb": ("mass", 0.45359237),
    "oz": ("mass", 0.028349523125),
    "st": ("mass", 6.35029318),
    "cm": ("length", 1.0),
    "m": ("length", 100.0),
    "mm": ("length", 0.1),
    "in": ("length", 2.54),
    "ft": ("length", 30.48),
    "mmHg": ("pressure", 1.0),
    "kPa": ("pressure", 7.50062),
    "%": ("share", 1.0),
    "L/L": ("share", 100.0),
    "mmol/mol": ("amount ratio", 1.0),
    "mg/mmol": ("mass per amount", 1.0),
    "g/mol": ("mass per amount", 1.0),
    "mg/g": ("mass ratio", 1.0),
    "ug/mg": ("mass ratio", 1.0),
    "mmol/mol creatinine": ("amount ratio to creatinine", 1.0),
    "kg/m2": ("mass per area", 1.0),
    "mL/min/1.73m2": ("filtration", 1.0),
    "mL/s/1.73m2": ("filtration", 60.0),
    "mL/min": ("clearance", 1.0),
    "10*9/L": ("count concentration", 1.0),
    "10*12/L": ("count concentration", 1000.0),
    "/uL": ("count concentration", 1e-3),
    "U/L": ("catalytic concentration", 1.0),
    "ukat/L": ("catalytic concentration", 60.0),
    "mU/L": ("arbitrary concentration", 1.0),
    "mEq/L": ("equivalents", 1.0),
    "/min": ("rate", 1.0),
    "L": ("volume", 1.0),
    "mL": ("volume", 1e-3),
    "fL": ("cell volume", 1.0),
    "pg": ("cell mass", 1.0),
    "pack-years": ("smoking", 1.0),
    "{score}": ("score", 1.0),
}

#: Other spellings, in lower case without blanks, micro sign as u; UCUM's among them.
SPELLINGS: dict[str, str] = {
    **{unit.lower(): unit for unit in QUANTITIES},
    "mmol/litre": "mmol/L",
    "millimol/l": "mmol/L",
    "mg/100ml": "mg/dL",
    "mg%": "mg/dL",
    "g%": "g/dL",
    "gm/dl": "g/dL",
    "gm/l": "g/L",
    "g/litre": "g/L",
    "mcg/l": "ug/L",
    "mcg/dl": "ug/dL",
    "ng/l": "pg/mL",
    "micromol/l": "umol/L",
    "mmol/molhb": "mmol/mol",
    "mmol/molcrt": "mmol/mol creatinine",
    "percent": "%",
    "%hb": "%",
    "%{hb}": "%",
    "mm[hg]": "mmHg",
    "kilopascal": "kPa",
    "kg/m^2": "kg/m2",
    "kg/m²": "kg/m2",
    "ml/min/1.73m^2": "mL/min/1.73m2",
    "ml/min/1.73m²": "mL/min/1.73m2",
    "ml/min/1.73sqm": "mL/min/1.73m2",
    "ml/min/{1.73_m2}": "mL/min/1.73m2",
    "kgs": "kg",
    "kilogram": "kg",
    "kilograms": "kg",
    "gram": "g",
    "grams": "g",
    "lbs": "lb",
    "pound": "lb",
    "pounds": "lb",
    "[lb_av]": "lb",
    "[oz_av]": "oz",
    "stone": "st",
    "stones": "st",
    "[stone_av]": "st",
    "cms": "cm",
    "metre": "m",
    "metres": "m",
    "inch": "in",
    "inches": "in",
    "[in_i]": "in",
    "[in_us]": "in",
    "feet": "ft",
    "[ft_i]": "ft",
    "mg/mmolcrt": "mg/mmol",
    "mg/mmol{creat}": "mg/mmol",
    "mg/g{creat}": "mg/g",
    "mg/gcrt": "mg/g",
    "10^9/l": "10*9/L",
    "x10^9/l": "10*9/L",
    "10*3/ul": "10*9/L",
    "10^3/ul": "10*9/L",
    "k/ul": "10*9/L",
    "10^12/l": "10*12/L",
    "x10^12/l": "10*12/L",
    "10*6/ul": "10*12/L",
    "10^6/ul": "10*12/L",
    "m/ul": "10*12/L",
    "iu/l": "U/L",
    "[iu]/l": "U/L",
    "mu/l": "mU/L",
    "miu/l": "mU/L",
    "m[iu]/l": "mU/L",
    "beats/min": "/min",
    "bpm": "/min",
    "{beats}/min": "/min",
    "packyears": "pack-years",
    "{pack-years}": "pack-years",
    "{packyears}": "pack-years",
}

Analyte = Literal[
    "albumin",
    "albumin_creatinine_ratio",
    "bilirubin",
    "bmi",
    "calcium",
    "cholesterol",
    "creatinine",
    "crp",
    "diastolic_pressure",
    "gfr",
    "glucose",
    "haemoglobin",
    "hba1c",
    "heart_rate",
    "height",
    "iron",
    "magnesium",
    "phosphate",
    "platelets",
    "potassium",
    "sodium",
    "systolic_pressure",
    "triglycerides",
    "urate",
    "urea",
    "urea_nitrogen",
    "vitamin_d",
    "weight",
    "white_cells",
]

#: What traits and code lists are called, where the name says what is measured.
ANALYTES: dict[str, Analyte] = {
    "ldl": "cholesterol",
    "hdl": "cholesterol",
    "cholesterol": "cholesterol",
    "total_cholesterol": "cholesterol",
    "non_hdl": "cholesterol",
    "triglycerides": "triglycerides",
    "glucose": "glucose",
    "hba1c": "hba1c",
    "hba1c_dcct": "hba1c",
    "hba1c_ifcc": "hba1c",
    "creatinine": "creatinine",
    "urea": "urea",
    "bun": "urea_nitrogen",
    "urea_nitrogen": "urea_nitrogen",
    "bilirubin": "bilirubin",
    "urate": "urate",
    "uric_acid": "urate",
    "haemoglobin": "haemoglobin",
    "hemoglobin": "haemoglobin",
    "crp": "crp",
    "albumin": "albumin",
    "acr": "albumin_creatinine_ratio",
    "albumin_creatinine_ratio": "albumin_creatinine_ratio",
    "calcium": "calcium",
    "phosphate": "phosphate",
    "magnesium": "magnesium",
    "iron": "iron",
    "vitamin_d": "vitamin_d",
    "sodium": "sodium",
    "potassium": "potassium",
    "platelets": "platelets",
    "white_cells": "white_cells",
    "egfr": "gfr",
    "reported_egfr": "gfr",
    "sbp": "systolic_pressure",
    "systolic_blood_pressure": "systolic_pressure",
    "dbp": "diastolic_pressure",
    "diastolic_blood_pressure": "diastolic_pressure",
    "heart_rate": "heart_rate",
    "bmi": "bmi",
    "body_mass_index": "bmi",
    "weight": "weight",
    "height": "height",
}

#: What 1 mg/dL of an analyte is as an amount of substance.
PER_MG_DL: dict[str, tuple[float, str]] = {
    "cholesterol": (1 / 38.67, "mmol/L"),
    "triglycerides": (1 / 88.57, "mmol/L"),
    "glucose": (1 / 18.016, "mmol/L"),
    "urea": (1 / 6.006, "mmol/L"),
    "urea_nitrogen": (1 / 2.801, "mmol/L"),
    "haemoglobin": (0.6206e-3, "mmol/L"),
    "calcium": (0.2495, "mmol/L"),
    "phosphate": (0.3229, "mmol/L"),
    "magnesium": (0.4114, "mmol/L"),
    "creatinine": (88.4, "umol/L"),
    "bilirubin": (17.1, "umol/L"),
    "urate": (59.48, "umol/L"),
    "iron": (179.1, "umol/L"),
    "vitamin_d": (24960.0, "nmol/L"),
}

#: Conversions that are of no such kind. A milliequivalent of a monovalent ion is a millimole.
CONVERSIONS: dict[tuple[str, str, str], Conversion] = {
    ("hba1c", "%", "mmol/mol"): Conversion(10.929, -2.15 * 10.929, whole=True),
    ("hba1c", "mmol/mol", "%"): Conversion(1 / 10.929, 2.15),
    ("albumin_creatinine_ratio", "mg/g", "mg/mmol"): Conversion(1 / 8.84),
    ("albumin_creatinine_ratio", "mg/mmol", "mg/g"): Conversion(8.84),
    ("albumin_creatinine_ratio", "ug/mg", "mg/mmol"): Conversion(1 / 8.84),
    ("albumin_creatinine_ratio", "mg/mmol", "ug/mg"): Conversion(8.84),
    ("sodium", "mEq/L", "mmol/L"): Conversion(1.0),
    ("sodium", "mmol/L", "mEq/L"): Conversion(1.0),
    ("potassium", "mEq/L", "mmol/L"): Conversion(1.0),
    ("potassium", "mmol/L", "mEq/L"): Conversion(1.0),
}

SAME = Conversion(1.0)

#: What a living person can have, in recorded units. Wide on purpose: it catches a value under the wrong
#: unit (an HbA1c of "48 %"), not an unusual patient. In other units the range is converted.
BELIEVABLE: dict[tuple[Analyte, str], tuple[float, float]] = {
    ("hba1c", "%"): (2.9, 25.0),
    ("hba1c", "mmol/mol"): (8.0, 250.0),
    ("cholesterol", "mmol/L"): (0.05, 40.0),
    ("cholesterol", "mg/dL"): (2.0, 1550.0),
    ("triglycerides", "mmol/L"): (0.05, 120.0),
    ("triglycerides", "mg/dL"): (4.0, 10600.0),
    ("glucose", "mmol/L"): (0.3, 150.0),
    ("glucose", "mg/dL"): (5.0, 2700.0),
    ("creatinine", "umol/L"): (5.0, 4000.0),
    ("creatinine", "mg/dL"): (0.05, 45.0),
    ("urea", "mmol/L"): (0.3, 120.0),
    ("urea_nitrogen", "mmol/L"): (0.3, 120.0),
    ("haemoglobin", "g/L"): (15.0, 270.0),
    ("bilirubin", "umol/L"): (0.5, 1200.0),
    ("urate", "umol/L"): (10.0, 2500.0),
    ("crp", "mg/L"): (0.0, 1000.0),
    ("albumin", "g/L"): (5.0, 80.0),
    ("albumin_creatinine_ratio", "mg/mmol"): (0.0, 5000.0),
    ("calcium", "mmol/L"): (0.5, 6.0),
    ("phosphate", "mmol/L"): (0.1, 8.0),
    ("magnesium", "mmol/L"): (0.1, 6.0),
    ("iron", "umol/L"): (0.2, 200.0),
    ("vitamin_d", "nmol/L"): (1.0, 1500.0),
    ("sodium", "mmol/L"): (90.0, 200.0),
    ("potassium", "mmol/L"): (1.0, 12.0),
    ("platelets", "10*9/L"): (0.0, 4000.0),
    ("white_cells", "10*9/L"): (0.0, 1000.0),
    ("gfr", "mL/min/1.73m2"): (0.5, 250.0),
    ("systolic_pressure", "mmHg"): (40.0, 350.0),
    ("diastolic_pressure", "mmHg"): (10.0, 250.0),
    ("heart_rate", "/min"): (15.0, 350.0),
    ("bmi", "kg/m2"): (8.0, 150.0),
    ("weight", "kg"): (0.4, 500.0),
    ("height", "cm"): (25.0, 275.0),
}


#: A recorded value beyond this is not a measurement of anything, and would overflow exact sums.
LARGEST_VALUE = 1e12


def usable_value(value: float | None) -> bool:
    """Whether a recorded value is a number that can be a measurement.

    Examples
    --------
    >>> usable_value(5.2), usable_value(None), usable_value(float("nan")), usable_value(1e300)
    (True, False, False, False)
    """
    return value is not None and abs(value) <= LARGEST_VALUE


def canonical_unit(text: str | None) -> str | None:
    """One spelling for each unit; None where blank or not known.

    Examples
    --------
    >>> canonical_unit(" MMOL / L "), canonical_unit("µmol/L"), canonical_unit(""), canonical_unit("furlong")
    ('mmol/L', 'umol/L', None, None)
    """
    if text is None:
        return None
    bare = re.sub(r"\s+", "", text).lower().replace("µ", "u").replace("μ", "u")
    return SPELLINGS.get(bare)


def known_unit(text: str) -> str:
    """The one spelling of a unit that a study asks for.

    Raises
    ------
    ValueError
        Where the unit is unknown.
    """
    unit = canonical_unit(text)
    if unit is None:
        raise ValueError(f"unknown unit {text!r}; known units: {', '.join(sorted(QUANTITIES))}")
    return unit


def analyte_of(*names: str) -> Analyte | None:
    """What is measured, from the names of a trait or its code lists; None where they do not say."""
    for name in names:
        if name.lower() in ANALYTES:
            return ANALYTES[name.lower()]
    return None


@cache
def conversion(analyte: str | None, found: str | None, wanted: str) -> Conversion | None:
    """How to bring a recorded unit to the wanted one; None where that cannot be known.

    Parameters
    ----------
    analyte
        One of :data:`Analyte`, or None where it is not known what was measured.
    found, wanted
        Canonical units.

    Examples
    --------
    >>> conversion("hba1c", "%", "mmol/mol")(6.5), conversion(None, "st", "lb")(1.0)
    (48.0, 14.0)
    >>> conversion(None, "mg/dL", "mmol/L") is None
    True
    """
    if found is None:
        return None
    if found == wanted:
        return SAME
    if (analyte, found, wanted) in CONVERSIONS:
        return CONVERSIONS[analyte, found, wanted]  # type: ignore[index]
    (from_what, much), (to_what, per) = QUANTITIES[found], QUANTITIES[wanted]
    if from_what == to_what:
        return Conversion(much / per)
    if analyte not in PER_MG_DL:
        return None
    times, amount = PER_MG_DL[analyte]
    if (from_what, to_what) == ("mass concentration", "amount concentration"):
        return Conversion(much * times * (QUANTITIES[amount][1] / per))
    if (from_what, to_what) == ("amount concentration", "mass concentration"):
        return Conversion(much / QUANTITIES[amount][1] / times / per)
    return None


def usual_units(analyte: str | None) -> list[str]:
    """Units in which an analyte is usually given; none where we have no opinion.

    Examples
    --------
    >>> usual_units("hba1c")
    ['%', 'mmol/mol']
    """
    return [known for what, known in BELIEVABLE if what == analyte]


def is_unit_of(analyte: str | None, unit: str) -> bool:
    """Whether an analyte can be given in a unit; True where we have no opinion.

    What is usually a concentration can be one by mass or by amount, whether or not we know its molar mass.

    Examples
    --------
    >>> is_unit_of("hba1c", "%"), is_unit_of("hba1c", "kg"), is_unit_of(None, "kg"), is_unit_of("crp", "nmol/L")
    (True, False, True, True)
    """
    usual = usual_units(analyte)
    if not usual or any(conversion(analyte, known, unit) is not None for known in usual):
        return True
    dissolved = ("mass concentration", "amount concentration")
    return QUANTITIES[unit][0] in dissolved and any(QUANTITIES[u][0] in dissolved for u in usual)


@cache
def believable(analyte: str | None, unit: str | None) -> tuple[float, float] | None:
    """Smallest and largest value a living person can have; None where we have no opinion.

    Examples
    --------
    >>> believable("hba1c", "%"), believable("systolic_pressure", "mmHg"), believable(None, "mmHg")
    ((2.9, 25.0), (40.0, 350.0), None)
    """
    if analyte is None or unit is None:
        return None
    ranges = {known: limits for (what, known), limits in BELIEVABLE.items() if what == analyte}
    if unit in ranges:
        return ranges[unit]
    for known, (low, high) in ranges.items():
        how = conversion(analyte, known, unit)
        if how is not None:
            return how(low), how(high)
    return None
