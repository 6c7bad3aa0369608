"""Slopes, spread and counts of repeated measurements."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from cohorts.errors import StudyError
from phenotypes.codelist import CodeList
from phenotypes.derivation import derive
from phenotypes.reference import Event, Person
from phenotypes.spec import TraitSpec
from phenotypes.trajectory import shrunken
from phenotypes.worked import hub_of

INDEX, DATA_END = date(2012, 1, 1), date(2022, 12, 31)
LISTS = {"egfr": CodeList.of("egfr", [("snomed", "1020291000000106")])}
TRAITS: TypeAdapter[Any] = TypeAdapter(TraitSpec)
EGFR = {"label": "eGFR", "codes": "egfr", "unit": "mL/min/1.73m2"}


def _events(days: list[int], values: list[float]) -> Person:
    return Person(
        tuple(
            Event(INDEX + timedelta(days=d), "snomed", "1020291000000106", value=v, unit="mL/min/1.73m2")
            for d, v in zip(days, values, strict=True)
        )
    )


def _values(people: list[Person], **spec: Any) -> tuple[np.ndarray, dict[str, Any]]:
    hub, persons = hub_of(people)
    trait = TRAITS.validate_python({**EGFR, **spec})
    with hub:
        derived = derive(
            hub, persons, index_date=INDEX, data_end=DATA_END, traits={"t": trait}, codelists=LISTS
        )
    return derived.wide["t"].to_numpy(), derived.diagnostics.traits.iloc[0].to_dict()


def test_a_slope_is_the_change_a_year_of_the_line_of_least_squares() -> None:
    rng = np.random.default_rng(3)
    days = np.sort(rng.choice(3000, 12, replace=False))
    values = np.round(80 - 3 * days / 365.25 + rng.normal(0, 4, 12), 1)
    falling = _events([0, 731], [60.0, 56.0])
    found, row = _values(
        [_events(days.tolist(), values.tolist()), falling, _events([5], [60.0]), Person()], pick="slope"
    )
    expected = np.polyfit(days, values, 1)[0] * 365.25
    np.testing.assert_allclose(found, [expected, -4 / 731 * 365.25, np.nan, np.nan], rtol=1e-9)
    assert (row["unit"], row["people"]) == ("mL/min/1.73m2 a year", 2)


def test_slopes_need_as_many_days_and_as_long_a_span_as_asked() -> None:
    people = [_events(days, [60.0] * len(days)) for days in ([0, 400], [0, 100, 200], [0, 100, 365])]
    found, _ = _values(people, pick="slope", at_least=3, span_days=365)
    np.testing.assert_array_equal(found, [np.nan, np.nan, 0.0])


def test_standard_deviation_and_count_of_days() -> None:
    people = [_events([0, 9, 9, 30], [50.0, 60.0, 62.0, 80.0]), _events([1], [50.0]), Person()]
    spread, _ = _values(people, pick="sd")
    np.testing.assert_allclose(spread, [np.std([50, 61, 80], ddof=1), np.nan, np.nan], rtol=1e-9)
    counts, row = _values(people, pick="count")
    assert counts.tolist() == [3.0, 1.0, 0.0]
    assert row["unit"] == "days"


def test_shrunken_slopes_are_nearer_to_the_truth_than_least_squares() -> None:
    rng = np.random.default_rng(11)
    truth = rng.normal(-1.5, 1.0, 400)
    people, plain = [], []
    for slope in truth:
        days = np.sort(rng.choice(1500, int(rng.integers(3, 9)), replace=False))
        values = np.round(90 + slope * days / 365.25 + rng.normal(0, 3, len(days)), 1)
        people.append(_events(days.tolist(), values.tolist()))
        plain.append(np.polyfit(days, values, 1)[0] * 365.25)
    found, _ = _values(people, pick="slope", at_least=3, shrink=True)
    error = np.sqrt(np.mean((found - truth) ** 2))
    assert error < 0.75 * np.sqrt(np.mean((np.array(plain) - truth) ** 2))
    assert error < 1.0  # what the mean slope alone would give
    assert np.corrcoef(found, truth)[0, 1] > np.corrcoef(plain, truth)[0, 1]


def test_slopes_without_error_or_of_one_person_are_left_as_they_are() -> None:
    one, two = np.array([2.0]), np.array([2.0, 3.0])
    assert shrunken(one, one, one, np.array([4])).tolist() == [2.0]
    assert shrunken(two, two, np.zeros(2), np.array([4, 5])).tolist() == [2.0, 3.0]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"pick": "slope", "shrink": True}, "at_least: 3"),
        ({"shrink": True, "at_least": 3}, "only slopes"),
        ({"pick": "count", "at_least": 2}, "a count has no at_least"),
    ],
)
def test_what_cannot_be_asked_of_a_trajectory_is_refused(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TRAITS.validate_python({**EGFR, **spec})


def test_a_range_is_that_of_the_analyte_and_else_must_be_given() -> None:
    assert TRAITS.validate_python(EGFR).build(LISTS, "egfr").plausible == (0.5, 250.0)
    with pytest.raises(StudyError, match="never measured in this unit"):
        TRAITS.validate_python({**EGFR, "unit": "kg"}).build(LISTS, "egfr")
    unknown = {"label": "Spots", "codes": "spots", "unit": "{score}"}
    lists = {"spots": CodeList.of("spots", [("snomed", "1020291000000106")])}
    with pytest.raises(StudyError, match="no range of plausible values"):
        TRAITS.validate_python(unknown).build(lists, "spots")
    given = TRAITS.validate_python({**unknown, "plausible": [0, 9]})
    assert given.build(lists, "spots").plausible == (0, 9)


def test_weights_in_stones_and_pounds_are_brought_to_kilograms_and_counted() -> None:
    codes = {"weight": CodeList.of("weight", [("snomed", "27113001")])}
    recorded = [(70.0, "kg"), (154.0, "lb"), (11.0, "st"), (11.0, "furlong"), (900.0, "kg"), (None, "kg")]
    people = [Person((Event(INDEX, "snomed", "27113001", value=v, unit=u),)) for v, u in recorded]
    spec = TRAITS.validate_python({"label": "Weight", "codes": "weight", "unit": "kg"})
    hub, persons = hub_of(people)
    with hub:
        derived = derive(
            hub, persons, index_date=INDEX, data_end=DATA_END, traits={"w": spec}, codelists=codes
        )
    expected = [70.0, 154 * 0.45359237, 154 * 0.45359237, np.nan, np.nan, np.nan]
    np.testing.assert_allclose(derived.wide["w"], expected, rtol=1e-12)
    row = derived.diagnostics.traits.iloc[0]
    keys = ["read", "no_value", "unknown_unit", "implausible", "used", "converted"]
    assert row[keys].tolist() == [6, 1, 1, 1, 3, 2]
