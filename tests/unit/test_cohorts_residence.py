"""Residence-weighted pollution equals a walk through every day of the window."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from cohorts.errors import DesignError
from cohorts.hub import Hub, connect, create_hub_tables
from cohorts.residence import exposure, exposure_window

ON = date(2012, 1, 1)


def small_hub(addresses: list[tuple], pollution: list[tuple]) -> Hub:
    hub = connect()
    create_hub_tables(hub)
    for row in addresses:
        hub.connection.execute("INSERT INTO addresses VALUES (?, ?, ?, ?)", row)
    for row in pollution:
        hub.connection.execute("INSERT INTO pollution VALUES (?, ?, ?, ?)", row)
    return hub


def twin(
    addresses: list[tuple], pollution: list[tuple], person: int, start: date, end: date
) -> tuple[float, float]:
    levels = {(area, year): pm25 for area, year, pm25, _ in pollution if pm25 is not None}
    total, days = 0.0, 0
    day = start
    while day < end:
        homes = [(a, area) for p, area, a, b in addresses if p == person and a <= day < b]
        if homes:
            level = levels.get((max(homes)[1], day.year))
            if level is not None:
                total, days = total + level, days + 1
        day += timedelta(1)
    return (total / days if days else float("nan")), days / (end - start).days


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("window", "lag"), [(3, 0), (2, 1), (1.5, 0.25)])
def test_exposure_equals_a_walk_through_the_days(seed: int, window: float, lag: float) -> None:
    rng = np.random.default_rng(seed)
    areas = ["A", "B", "C", "D"]
    pollution = [
        (area, year, None if rng.random() < 0.15 else float(rng.uniform(5, 20)), 1.0)
        for area in areas[:3]
        for year in range(2006, 2013)
        if rng.random() > 0.1
    ]
    addresses = []
    for person in range(12):
        for _ in range(int(rng.integers(0, 5))):
            start = date(2006, 1, 1) + timedelta(int(rng.integers(0, 2400)))
            addresses.append(
                (person, str(rng.choice(areas)), start, start + timedelta(int(rng.integers(0, 1500))))
            )
    addresses.append((3, "B", date(2000, 1, 1), date(9999, 12, 31)))
    hub = small_hub(addresses, pollution)
    persons = pd.DataFrame({"person_id": rng.permutation(12)})
    found = exposure(hub, persons, on=ON, pollutant="pm25", window_years=window, lag_years=lag)
    assert found["person_id"].tolist() == persons["person_id"].tolist()
    start, end = exposure_window(ON, window_years=window, lag_years=lag)
    for person, value, coverage in found.itertuples(index=False):
        expected, covered = twin(addresses, pollution, person, start, end)
        np.testing.assert_allclose(value, expected, rtol=1e-12)
        np.testing.assert_allclose(coverage, covered, rtol=1e-12)


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
