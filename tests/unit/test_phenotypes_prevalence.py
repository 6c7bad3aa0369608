"""Prevalence and incidence against day-by-day counting in plain Python."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from cohorts.eligibility import age_on
from cohorts.errors import DesignError
from cohorts.hub import connect, create_hub_tables
from phenotypes import CodeList, Phenotype, derive, has, none_of
from phenotypes.library import Band
from phenotypes.prevalence import compare_with_bands, incidence, poisson, prevalence, wilson

INDEX = date(2012, 7, 1)
LISTS = {name: CodeList.of(name, [("snomed", code)]) for name, code in (("a", "73211009"), ("b", "44054006"))}
PHENOTYPES = {
    "a": Phenotype("a", has(LISTS["a"])),
    "b": Phenotype("b", has(LISTS["b"]), sex="F", exclude_controls=(has(LISTS["a"]),)),
}


def _some_day(rng: np.random.Generator, first: date, last: date) -> date:
    return first + timedelta(days=int(rng.integers((last - first).days)))


@pytest.fixture(scope="module")
def world():
    """A hub of 60 people with gaps between registrations, deaths and leap days, and its people."""
    rng = np.random.default_rng(5)
    hub = connect()
    create_hub_tables(hub)
    rows: dict[str, list[tuple]] = {"people": [], "registrations": [], "events": [], "deaths": []}
    for person in range(1, 61):
        born = date(1948, 2, 29) if person % 7 == 0 else _some_day(rng, date(1930, 1, 1), date(2005, 1, 1))
        sex = None if person == 9 else "MF"[person % 2]
        rows["people"].append((person, sex, None if person == 11 else born))
        at = _some_day(rng, date(2005, 1, 1), date(2011, 1, 1))
        for _ in range(int(rng.integers(0, 4))):
            stop = at + timedelta(days=int(rng.integers(1, 1500)))
            rows["registrations"].append((person, "p", at, min(stop, date(2015, 6, 1))))
            at = stop + timedelta(days=int(rng.choice([0, 30, 90, 91, 400])))
        if rng.random() < 0.3 and rows["registrations"] and rows["registrations"][-1][0] == person:
            rows["deaths"].append(
                (person, rows["registrations"][-1][3] + timedelta(days=int(rng.integers(-3, 3))), None)
            )
        for code in ("73211009", "44054006"):
            for _ in range(int(rng.integers(0, 2))):
                day = _some_day(rng, date(2006, 1, 1), date(2015, 1, 1))
                rows["events"].append(
                    (len(rows["events"]), person, day, "gp", "observation", "snomed", code, None, None)
                )
    for table, content in rows.items():
        hub.connection.executemany(
            f"INSERT INTO {table} VALUES ({', '.join('?' * len(content[0]))})", content
        )
    persons = hub.frame("SELECT * FROM people ORDER BY person_id")
    persons["imd_decile"] = pd.array(
        [None if p % 5 == 0 else p % 3 for p in persons["person_id"]], dtype="Int64"
    )
    return hub, persons, rows, derive(hub, persons, index_date=INDEX, phenotypes=PHENOTYPES, codelists=LISTS)


def _observed_days(rows, person: int, washout: int = 0) -> set[date]:
    """Days under observation, one by one."""
    spans = sorted((a, b) for p, _, a, b in rows["registrations"] if p == person and b > a)
    runs: list[list[date]] = []
    for a, b in spans:
        if runs and (a - runs[-1][1]).days <= 90:
            runs[-1][1] = max(runs[-1][1], b)
        else:
            runs.append([a, b])
    death = next((d for p, d, _ in rows["deaths"] if p == person), None)
    days: set[date] = set()
    for a, b in runs:
        if death is not None:
            b = (
                death + timedelta(days=1)
                if 0 <= (death - b).days <= 90
                else min(b, death + timedelta(days=1))
            )
        days |= {a + timedelta(days=i) for i in range(washout, (b - a).days)}
    return days


def _first(rows, person: int, code: str) -> date | None:
    return min((r[2] for r in rows["events"] if r[1] == person and r[6] == code), default=None)


def _band(born, on: date) -> str:
    if pd.isna(born):
        return "unknown"
    low = min(age_on(born.date(), on) // 10 * 10, 90)
    return "90+" if low == 90 else f"{low}-{low + 9}"


@pytest.mark.parametrize("washout", [0, 200])
def test_incidence_equals_counting_every_day(world, washout):
    hub, persons, rows, derived = world
    start, end = date(2008, 3, 1), date(2014, 9, 10)
    by = ["year", "age_band", "sex"]
    found = incidence(hub, persons, derived, start=start, end=end, washout_days=washout, by=by)
    days: dict[tuple, int] = {}
    events: dict[tuple, int] = {}
    people: dict[tuple, set[int]] = {}
    for row in persons.itertuples():
        for name, code in (("a", "73211009"), ("b", "44054006")):
            if name == "b" and row.sex != "F":
                continue
            case = _first(rows, row.person_id, code)
            for day in _observed_days(rows, row.person_id, washout):
                if not start <= day < end or (case is not None and day > case):
                    continue
                key = (name, day.year, _band(row.birth_date, day), row.sex or "unknown")
                people.setdefault(key, set()).add(row.person_id)
                if day == case:
                    events[key] = events.get(key, 0) + 1
                else:
                    days[key] = days.get(key, 0) + 1
    got = found.set_index(["phenotype", *by])
    assert set(got.index) == set(people)
    for key in people:
        assert got.loc[key, "people"] == len(people[key])
        assert got.loc[key, "events"] == events.get(key, 0)
        assert got.loc[key, "person_years"] == pytest.approx(days.get(key, 0) / 365.25)
    assert found["events"].sum() > 5


def test_incidence_does_not_depend_on_how_time_is_cut(world):
    hub, persons, _, derived = world
    whole = incidence(hub, persons, derived, start=date(2008, 1, 1), by=[]).set_index("phenotype")
    for by in (["year"], ["age_band"], ["sex"], ["imd_decile"], ["year", "imd_decile", "age_band"]):
        parts = incidence(hub, persons, derived, start=date(2008, 1, 1), by=by).groupby("phenotype")
        np.testing.assert_allclose(parts["person_years"].sum(), whole["person_years"])
        np.testing.assert_array_equal(parts["events"].sum(), whole["events"])


def test_prevalence_equals_counting_one_by_one(world):
    hub, persons, rows, derived = world
    days = [date(2009, 5, 5), date(2013, 1, 1)]
    found = prevalence(hub, persons, derived, on=days, by=["age_band", "sex"])
    expected: dict[tuple, list[int]] = {}
    for day in days:
        for row in persons.itertuples():
            died = {d for p, d, _ in rows["deaths"] if p == row.person_id}
            if day not in _observed_days(rows, row.person_id) or day in died:
                continue
            for name, code in (("a", "73211009"), ("b", "44054006")):
                if name == "b" and row.sex != "F":
                    continue
                cell = expected.setdefault(
                    (name, pd.Timestamp(day), _band(row.birth_date, day), row.sex or "unknown"), [0, 0]
                )
                case = _first(rows, row.person_id, code)
                cell[0] += 1
                cell[1] += case is not None and case <= day
    got = found.set_index(["phenotype", "on", "age_band", "sex"])[["people", "cases"]]
    assert {key: list(row) for key, row in zip(got.index, got.to_numpy().tolist(), strict=True)} == expected


def test_unfit_controls_stay_in_the_denominator(world):
    hub, persons, _, derived = world
    one = prevalence(hub, persons, derived, on=INDEX, by=["sex"]).set_index(["phenotype", "sex"])["people"]
    assert (derived.statuses["b"].status == 2).any()
    assert one["b", "F"] == one["a", "F"]


def test_what_cannot_be_counted_is_refused(world):
    hub, persons, _, derived = world
    with pytest.raises(DesignError, match="not the people"):
        prevalence(hub, persons.iloc[::-1], derived, on=INDEX)
    with pytest.raises(DesignError, match="no such column"):
        prevalence(hub, persons, derived, on=INDEX, by=["ethnicity"])
    with pytest.raises(DesignError, match="before it begins"):
        incidence(hub, persons, derived, start=INDEX, end=INDEX)
    for refused, message in (
        (Phenotype("a", has(LISTS["a"]), washout_days=30), "new cases"),
        (Phenotype("a", has(LISTS["a"]), until="index"), "no record from the index date on"),
        (Phenotype("a", none_of(has(LISTS["a"]))), "without a date"),
    ):
        other = derive(hub, persons, index_date=INDEX, phenotypes={"a": refused}, codelists=LISTS)
        with pytest.raises(DesignError, match=message):
            incidence(hub, persons, other, start=date(2012, 8, 1))


def test_published_bands_say_on_which_side_a_region_lies(world):
    hub, persons, _, derived = world
    bands = [
        Band(what="prevalence", low=low, high=high, ages=ages, place="nowhere", year="2012", source="none")
        for low, high, ages in (
            (0.0, 0.01, (0, None)),
            (0.0, 1.0, (18, 64)),
            (0.99, 1.0, (0, None)),
            (0, 1, (118, None)),
        )
    ]
    found = compare_with_bands(hub, persons, derived, {"a": bands}, on=INDEX)
    assert found["verdict"].tolist() == ["above", "inside", "below", "nobody"]
    assert found["ages"].tolist() == ["0+", "18-64", "0+", "118+"]
    all_ages = prevalence(hub, persons, derived, on=INDEX, by=["age_band"])
    known = all_ages[(all_ages["phenotype"] == "a") & (all_ages["age_band"] != "unknown")]
    assert found["people"][0] == known["people"].sum()


def test_intervals_equal_those_of_scipy():
    from scipy import stats

    for k, n in ((0, 7), (3, 50), (50, 50)):
        theirs = stats.binomtest(k, n).proportion_ci(method="wilson")
        assert [float(x[0]) for x in wilson(np.array([k]), np.array([n]))] == pytest.approx(
            [theirs.low, theirs.high]
        )
    for k in (0, 1, 40):
        ours = [float(x[0]) for x in poisson(np.array([k]), level=0.9)]
        assert ours == pytest.approx(
            [stats.chi2.ppf(0.05, 2 * k) / 2 if k else 0, stats.chi2.ppf(0.95, 2 * k + 2) / 2]
        )
