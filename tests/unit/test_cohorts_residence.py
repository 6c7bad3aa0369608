"""Residence-weighted pollution equals a walk through every day of the window; deprivation on a day."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cohorts.errors import DesignError, InputError
from cohorts.hub import Hub, connect, create_hub_tables
from cohorts.residence import deprivation, exposure, exposure_window

ON = date(2012, 1, 1)


def small_hub(addresses: list[tuple], pollution: list[tuple]) -> Hub:
    hub = connect()
    create_hub_tables(hub)
    for row in addresses:
        hub.connection.execute("INSERT INTO addresses VALUES (?, ?, ?, ?)", row)
    for row in pollution:
        hub.connection.execute("INSERT INTO pollution VALUES (?, ?, ?, ?)", row)
    return hub


def twin(addresses: list[tuple], levels: dict, person: int, start: date, end: date, fill: int) -> tuple:
    """Mean and coverage by a walk through the days; levels by (area, year, month or None)."""
    monthly = any(month for _, _, month in levels)
    values = []
    for day in (start + timedelta(i) for i in range((end - start).days)):
        homes = [(a, area) for p, area, a, b in addresses if p == person and a <= day < b]
        for years in sorted(range(-fill, fill + 1), key=lambda y: (abs(y), y)) if homes else []:
            level = levels.get((max(homes)[1], day.year + years, day.month if monthly else None))
            if level is not None:
                values.append(level)
                break
    return (sum(values) / len(values) if values else float("nan")), len(values) / (end - start).days


days = st.integers(0, 2400).map(lambda d: date(2006, 1, 1) + timedelta(d))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    # three people who move, leave gaps and have two homes at once; C has no values, D none at all
    st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from("AABBCD"), days, st.integers(-20, 1500)), max_size=9
    ),
    st.dictionaries(
        st.tuples(st.sampled_from("ABC"), st.integers(2005, 2012), st.sampled_from([1, 2, 6, 12])),
        st.none() | st.floats(0, 50),
        max_size=40,
    ),
    st.booleans(),
    st.lists(st.none() | days, min_size=3, max_size=3),
    st.sampled_from([(3, 0), (2, 1), (1.5, 0.25), (0.1, 0)]),
    st.sampled_from([0, 0, 1, 3]),
    st.sampled_from([0.0, 0.5, 1.0]),
)
def test_exposure_equals_a_walk_through_the_days(
    moves: list, given_levels: dict, monthly: bool, on: list, window: tuple, fill: int, least: float
) -> None:
    addresses = [(p, area, start, start + timedelta(length)) for p, area, start, length in moves]
    levels = {(a, y, m if monthly else None): v for (a, y, m), v in given_levels.items()}
    columns = {"area": 0, "year": 1, "month": 2} if monthly else {"area": 0, "year": 1}
    surface = pd.DataFrame({name: [key[i] for key in levels] for name, i in columns.items()})
    surface["soot"] = pd.Series(list(levels.values()), dtype=float)
    found = exposure(
        small_hub(addresses, []),
        pd.DataFrame({"person_id": [2, 0, 1]}),
        on=pd.Series(on),
        pollutant="soot",
        window_years=window[0],
        lag_years=window[1],
        surface=surface,
        fill_years=fill,
        min_coverage=least,
    )
    assert found["person_id"].tolist() == [2, 0, 1]
    for day, (person, value, coverage) in zip(on, found.itertuples(index=False), strict=True):
        expected, covered = float("nan"), 0.0
        if day is not None:
            start, end = exposure_window(day, window_years=window[0], lag_years=window[1])
            expected, covered = twin(addresses, levels, person, start, end, fill)
        np.testing.assert_allclose(coverage, covered, rtol=1e-12)
        np.testing.assert_allclose(
            value, expected if covered >= least else float("nan"), rtol=1e-9, atol=1e-11
        )


def test_a_year_in_one_area_is_that_areas_value() -> None:
    hub = small_hub([(1, "A", date(2000, 1, 1), date(9999, 12, 31))], [("A", 2011, 11.5, 30.0)])
    found = exposure(hub, pd.DataFrame({"person_id": [1]}), on=ON, pollutant="no2", window_years=1)
    assert found["value"].tolist() == [30.0]
    assert found["coverage"].tolist() == [1.0]


def test_a_move_halfway_through_the_year_weighs_by_days() -> None:
    hub = small_hub(
        [(1, "A", date(2000, 1, 1), date(2011, 4, 1)), (1, "B", date(2011, 4, 1), date(9999, 12, 31))],
        [("A", 2011, 10.0, 0.0), ("B", 2011, 20.0, 0.0)],
    )
    found = exposure(hub, pd.DataFrame({"person_id": [1]}), on=ON, pollutant="pm25", window_years=1)
    assert found["value"].tolist() == pytest.approx([(90 * 10 + 275 * 20) / 365])


def test_who_has_no_address_has_no_value_and_no_coverage() -> None:
    hub = small_hub([], [("A", 2011, 10.0, 0.0)])
    found = exposure(hub, pd.DataFrame({"person_id": [9]}), on=ON, pollutant="pm25", window_years=1)
    assert found["value"].isna().all()
    assert found["coverage"].tolist() == [0.0]


def test_windows_from_29_february_go_to_28_february() -> None:
    assert exposure_window(date(2012, 2, 29), window_years=1) == (date(2011, 2, 28), date(2012, 2, 29))


@pytest.mark.parametrize(("pollutant", "window", "lag"), [("ozone", 1, 0), ("pm25", 0, 0), ("pm25", 1, -1)])
def test_unknown_pollutants_and_empty_windows_are_refused(pollutant: str, window: float, lag: float) -> None:
    hub = small_hub([], [])
    with pytest.raises(DesignError):
        exposure(
            hub,
            pd.DataFrame({"person_id": [9]}),
            on=ON,
            pollutant=pollutant,
            window_years=window,
            lag_years=lag,
        )


ONE = pd.DataFrame({"person_id": [1]})
HOME = [(1, "A", date(2000, 1, 1), date(9999, 12, 31))]


def test_a_surface_may_be_a_file_of_months(tmp_path) -> None:
    months = pd.DataFrame({"area": "A", "year": 2011, "month": range(1, 13), "soot": range(1, 13)})
    months.to_parquet(tmp_path / "soot.parquet")
    months.to_csv(tmp_path / "soot.csv", index=False)
    lengths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    for name in ("soot.parquet", "soot.csv"):
        found = exposure(
            small_hub(HOME, []), ONE, on=ON, pollutant="soot", window_years=1, surface=tmp_path / name
        )
        assert found["value"].tolist() == pytest.approx([np.average(range(1, 13), weights=lengths)])


@pytest.mark.parametrize(
    ("surface", "message"),
    [
        (pd.DataFrame({"area": ["A"], "soot": [1.0]}), "lacks a column"),
        (pd.DataFrame({"area": ["A", "A"], "year": [2011, 2011], "soot": [1.0, 2.0]}), "two values"),
        (pd.DataFrame({"area": ["A"], "year": [2011], "soot": ["much"]}), "cannot be read"),
        (pd.DataFrame({"area": ["A"], "year": [2011], "month": [13], "soot": [1.0]}), "no time"),
        ("no/such/file.parquet", "cannot be read"),
    ],
)
def test_a_surface_that_says_nothing_certain_is_refused(surface, message: str) -> None:
    hub = small_hub(HOME, [])
    with pytest.raises(InputError, match=message):
        exposure(hub, ONE, on=ON, pollutant="soot", window_years=1, surface=surface)
    assert hub.tables() == small_hub([], []).tables()


@pytest.mark.parametrize("options", [{"min_coverage": 1.5}, {"fill_years": -1}, {"on": pd.Series([ON, ON])}])
def test_impossible_options_are_refused(options: dict) -> None:
    with pytest.raises(DesignError):
        exposure(small_hub(HOME, []), ONE, **{"on": ON, "pollutant": "pm25", "window_years": 1, **options})


def test_deprivation_is_that_of_the_home_on_the_day() -> None:
    hub = small_hub(
        [
            (1, "A", date(2000, 1, 1), date(2011, 4, 1)),
            (1, "B", date(2011, 4, 1), date(9999, 12, 31)),
            (2, "A", date(2005, 1, 1), date(9999, 12, 31)),
            (2, "B", date(2010, 1, 1), date(2011, 6, 1)),
            (3, "Z", date(2000, 1, 1), date(9999, 12, 31)),
        ],
        [],
    )
    hub.connection.execute("INSERT INTO deprivation VALUES ('A', 3), ('B', 9)")
    persons = pd.DataFrame({"person_id": [3, 2, 1, 1, 4]})
    on = pd.Series([ON, date(2011, 5, 31), date(2011, 3, 31), date(2011, 4, 1), ON])
    assert deprivation(hub, persons, on=on)["imd_decile"].tolist() == [pd.NA, 9, 3, 9, pd.NA]
    assert deprivation(hub, persons, on=ON)["imd_decile"].tolist() == [pd.NA, 3, 9, 9, pd.NA]
