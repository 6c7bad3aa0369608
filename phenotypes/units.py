"""Units of measurement: which spellings mean the same, and how to convert, by analyte.

mg/dL to mmol/L depends on what was measured, so that a conversion is made where the analyte is known and
nowhere else. Factors: cholesterol 38.67, triglycerides 88.57, glucose 18.016 mg/dL per mmol/L; creatinine
88.4 umol/L per mg/dL; HbA1c by the IFCC-NGSP master equation, IFCC = (DCCT - 2.15) x 10.929, reported in
whole mmol/mol (6.5% is 48 mmol/mol).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Conversion:
    """``value * scale + offset``, then to the nearest whole number where `whole` (halves away from zero)."""

    scale: float
    offset: float = 0.0
    whole: bool = False

    def __call__(self, value: float) -> float:
        converted = value * self.scale + self.offset
        return math.copysign(math.floor(abs(converted) + 0.5), converted) if self.whole else converted


SPELLINGS: dict[str, str] = {
    "mmol/l": "mmol/L",
    "mmol/litre": "mmol/L",
    "mg/dl": "mg/dL",
    "mg%": "mg/dL",
    "umol/l": "umol/L",
    "micromol/l": "umol/L",
    "mmol/mol": "mmol/mol",
    "mmol/molhb": "mmol/mol",
    "mmol/molcrt": "mmol/mol creatinine",
    "%": "%",
    "percent": "%",
    "%hb": "%",
    "mmhg": "mmHg",
    "mm[hg]": "mmHg",
    "kg/m2": "kg/m2",
    "kg/m^2": "kg/m2",
    "kg/m²": "kg/m2",
    "ml/min/1.73m2": "mL/min/1.73m2",
    "ml/min/1.73m^2": "mL/min/1.73m2",
    "ml/min/{1.73_m2}": "mL/min/1.73m2",
    "kg": "kg",
    "cm": "cm",
    "m": "m",
}

ANALYTES: dict[str, str] = {
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
}

CONVERSIONS: dict[tuple[str, str, str], Conversion] = {
    ("cholesterol", "mg/dL", "mmol/L"): Conversion(1 / 38.67),
    ("cholesterol", "mmol/L", "mg/dL"): Conversion(38.67),
    ("triglycerides", "mg/dL", "mmol/L"): Conversion(1 / 88.57),
    ("triglycerides", "mmol/L", "mg/dL"): Conversion(88.57),
    ("glucose", "mg/dL", "mmol/L"): Conversion(1 / 18.016),
    ("glucose", "mmol/L", "mg/dL"): Conversion(18.016),
    ("creatinine", "mg/dL", "umol/L"): Conversion(88.4),
    ("creatinine", "umol/L", "mg/dL"): Conversion(1 / 88.4),
    ("hba1c", "%", "mmol/mol"): Conversion(10.929, -2.15 * 10.929, whole=True),
    ("hba1c", "mmol/mol", "%"): Conversion(1 / 10.929, 2.15),
}

SAME = Conversion(1.0)

#: What a living person can have, in recorded units. Wide on purpose: it catches a value under the wrong
#: unit (an HbA1c of "48 %"), not an unusual patient.
BELIEVABLE: dict[tuple[str, str], tuple[float, float]] = {
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
    >>> canonical_unit(" MMOL / L "), canonical_unit("µmol/L"), canonical_unit(""), canonical_unit("stone")
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
        raise ValueError(f"unknown unit {text!r}; known units: {', '.join(sorted(set(SPELLINGS.values())))}")
    return unit


def analyte_of(*names: str) -> str | None:
    """What is measured, from the names of a trait or its code lists; None where they do not say."""
    for name in names:
        if name.lower() in ANALYTES:
            return ANALYTES[name.lower()]
    return None


def conversion(analyte: str | None, found: str | None, wanted: str) -> Conversion | None:
    """How to bring a recorded unit to the wanted one; None where that cannot be known.

    Parameters
    ----------
    analyte
        One of cholesterol, triglycerides, glucose, creatinine, hba1c, or None.
    found, wanted
        Canonical units.

    Examples
    --------
    >>> conversion("hba1c", "%", "mmol/mol")(6.5)
    48.0
    >>> conversion(None, "mg/dL", "mmol/L") is None
    True
    """
    if found is None:
        return None
    if found == wanted:
        return SAME
    return None if analyte is None else CONVERSIONS.get((analyte, found, wanted))


def believable(analyte: str | None, unit: str | None) -> tuple[float, float] | None:
    """Smallest and largest value a living person can have; None where we have no opinion.

    Examples
    --------
    >>> believable("hba1c", "%"), believable(None, "mmHg")
    ((2.9, 25.0), None)
    """
    return None if analyte is None or unit is None else BELIEVABLE.get((analyte, unit))
