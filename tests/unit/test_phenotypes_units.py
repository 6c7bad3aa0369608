"""Units and kidney function: the test values of the literature."""

from __future__ import annotations

from datetime import date
from typing import get_args

import numpy as np
import pytest

from phenotypes.egfr import ckd_epi_2021, years_of_age
from phenotypes.units import (
    ANALYTES,
    BELIEVABLE,
    CONVERSIONS,
    PER_MG_DL,
    QUANTITIES,
    SPELLINGS,
    Analyte,
    believable,
    canonical_unit,
    conversion,
)


@pytest.mark.parametrize(
    ("analyte", "found", "wanted", "value", "expected"),
    [
        ("hba1c", "%", "mmol/mol", 6.5, 48.0),
        ("hba1c", "%", "mmol/mol", 6.0, 42.0),
        ("hba1c", "%", "mmol/mol", 7.0, 53.0),
        ("hba1c", "mmol/mol", "%", 48.0, 6.542),
        ("cholesterol", "mg/dL", "mmol/L", 100.0, 2.586),
        ("cholesterol", "mmol/L", "mg/dL", 5.0, 193.35),
        ("glucose", "mg/dL", "mmol/L", 126.0, 6.994),
        ("triglycerides", "mg/dL", "mmol/L", 150.0, 1.694),
        ("creatinine", "mg/dL", "umol/L", 1.2, 106.08),
        ("creatinine", "umol/L", "mg/dL", 88.4, 1.0),
        ("urea", "mg/dL", "mmol/L", 30.0, 4.995),
        ("urea_nitrogen", "mg/dL", "mmol/L", 14.0, 4.998),
        ("haemoglobin", "g/dL", "g/L", 13.5, 135.0),
        ("haemoglobin", "g/dL", "mmol/L", 14.0, 8.688),
        ("bilirubin", "mg/dL", "umol/L", 1.2, 20.52),
        ("urate", "mg/dL", "umol/L", 6.0, 356.88),
        ("crp", "mg/dL", "mg/L", 1.0, 10.0),
        ("calcium", "mg/dL", "mmol/L", 10.0, 2.495),
        ("phosphate", "mg/dL", "mmol/L", 3.5, 1.130),
        ("magnesium", "mg/dL", "mmol/L", 2.0, 0.8228),
        ("iron", "ug/dL", "umol/L", 100.0, 17.91),
        ("vitamin_d", "ng/mL", "nmol/L", 30.0, 74.88),
        ("albumin_creatinine_ratio", "mg/g", "mg/mmol", 30.0, 3.394),
        ("sodium", "mEq/L", "mmol/L", 140.0, 140.0),
        ("glucose", "mg/dL", "umol/L", 18.016, 1000.0),
        (None, "lb", "kg", 154.0, 69.853),
        (None, "st", "kg", 11.0, 69.853),
        (None, "oz", "lb", 16.0, 1.0),
        (None, "in", "cm", 70.0, 177.8),
        (None, "ft", "in", 1.0, 12.0),
        (None, "m", "cm", 1.78, 178.0),
        (None, "kPa", "mmHg", 16.0, 120.0099),
        (None, "ng/mL", "ug/L", 20.0, 20.0),
        (None, "L/L", "%", 0.45, 45.0),
    ],
)
def test_conversions_give_the_published_values_both_ways(
    analyte: str | None, found: str, wanted: str, value: float, expected: float
) -> None:
    how, back = conversion(analyte, found, wanted), conversion(analyte, wanted, found)
    assert how is not None
    assert back is not None
    assert how(value) == pytest.approx(expected, abs=5e-4)
    # HbA1c is reported in whole mmol/mol, half of which is a 0.05 of a percent
    assert back(how(value)) == pytest.approx(value, rel=1e-12, abs=0.05 if analyte == "hba1c" else 0)
    if analyte is not None and found in ("mg/dL", "mmol/L", "umol/L"):
        assert conversion(None, found, wanted) is None or QUANTITIES[found][0] == QUANTITIES[wanted][0]


def test_a_conversion_that_depends_on_the_analyte_is_not_guessed() -> None:
    assert conversion(None, "mg/dL", "mmol/L") is None
    assert conversion("hba1c", "mg/dL", "mmol/L") is None
    assert conversion("cholesterol", None, "mmol/L") is None
    same = conversion(None, "mmHg", "mmHg")
    assert same is not None
    assert same(120.0) == 120.0


def test_every_conversion_has_its_way_back_and_a_believable_range() -> None:
    for analyte, found, wanted in CONVERSIONS:
        assert (analyte, wanted, found) in CONVERSIONS
        assert believable(analyte, found) is not None
    known = set(get_args(Analyte))
    assert known == set(ANALYTES.values()) == {analyte for analyte, _ in BELIEVABLE}
    assert set(PER_MG_DL) <= known
    for analyte in PER_MG_DL:
        assert believable(analyte, "mg/dL") is not None
        assert believable(analyte, "mmol/L") is not None
    for (analyte, unit), (low, high) in BELIEVABLE.items():
        assert low < high
        assert unit in QUANTITIES, analyte
    assert set(SPELLINGS.values()) <= set(QUANTITIES)
    assert all(spelling == spelling.lower() for spelling in SPELLINGS)


def test_a_range_in_another_unit_is_the_same_range() -> None:
    assert believable("haemoglobin", "g/dL") == pytest.approx((1.5, 27.0))
    assert believable("weight", "lb") == pytest.approx((0.4 / 0.45359237, 500 / 0.45359237))
    assert believable("cholesterol", "kg") is None


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("MMOL/L", "mmol/L"),
        ("µmol/L", "umol/L"),
        ("μmol/l", "umol/L"),
        (" mm Hg ", "mmHg"),
        ("kg/m²", "kg/m2"),
        ("mL/min/{1.73_m2}", "mL/min/1.73m2"),
        ("", None),
        (None, None),
        ("stone", "st"),
        ("[lb_av]", "lb"),
        ("10^9/L", "10*9/L"),
        ("10*3/uL", "10*9/L"),
        ("IU/L", "U/L"),
        ("furlong", None),
    ],
)
def test_spellings_of_a_unit_are_one(text: str | None, unit: str | None) -> None:
    assert canonical_unit(text) == unit


@pytest.mark.parametrize(
    ("creatinine", "age", "female", "expected"),
    [
        (1.2, 55, False, 71.42),
        (1.0, 50, False, 91.69),
        (1.0, 50, True, 68.63),
        (2.0, 70, True, 26.38),
        (0.6, 30, True, 123.76),
    ],
)
def test_ckd_epi_2021_gives_the_published_values(
    creatinine: float, age: int, female: bool, expected: float
) -> None:
    assert float(ckd_epi_2021(creatinine * 88.4, age, female)) == pytest.approx(expected, abs=0.005)


def test_ckd_epi_takes_arrays() -> None:
    result = ckd_epi_2021(np.array([106.08, 88.4]), np.array([55, 50]), np.array([False, True]))
    np.testing.assert_allclose(result, [71.42, 68.63], atol=0.005)


@pytest.mark.parametrize(
    ("birth", "on", "age"),
    [
        (date(1960, 2, 29), date(2012, 2, 28), 51),
        (date(1960, 2, 29), date(2012, 2, 29), 52),
        (date(1960, 2, 29), date(2013, 2, 28), 52),
        (date(1960, 2, 29), date(2013, 3, 1), 53),
        (date(1960, 12, 31), date(2012, 1, 1), 51),
    ],
)
def test_age_is_by_year_month_and_day(birth: date, on: date, age: int) -> None:
    assert years_of_age(birth, on) == age
