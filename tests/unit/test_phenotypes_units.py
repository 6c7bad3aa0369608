"""Units and kidney function: the test values of the literature."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from phenotypes.egfr import ckd_epi_2021, years_of_age
from phenotypes.units import ANALYTES, BELIEVABLE, CONVERSIONS, canonical_unit, conversion


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
    ],
)
def test_conversions_give_the_published_values(
    analyte: str, found: str, wanted: str, value: float, expected: float
) -> None:
    how = conversion(analyte, found, wanted)
    assert how is not None
    assert how(value) == pytest.approx(expected, abs=5e-4)


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
        assert (analyte, found) in BELIEVABLE
    assert {analyte for analyte, _, _ in CONVERSIONS} == set(ANALYTES.values())


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
        ("st", None),
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
