"""Eligibility on a day against a slow twin, and an attrition that loses nobody."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from cohorts.eligibility import age_on, deaths, population
from cohorts.errors import DesignError
from cohorts.hub import Hub, connect, create_hub_tables

ON = date(2012, 1, 1)


def small_hub(**tables: list[tuple]) -> Hub:
    hub = connect()
    create_hub_tables(hub)
    for name, rows in tables.items():
        for row in rows:
            hub.connection.execute(f"INSERT INTO {name} VALUES ({', '.join('?' * len(row))})", row)
    return hub


def adult(person: int, **changes: object) -> tuple:
    return (person, "F", changes.get("born", date(1970, 6, 1)))


def test_each_person_leaves_at_the_first_step_that_applies() -> None:
    year = (date(2005, 1, 1), date(9999, 12, 31))
    hub = small_hub(
        people=[
            adult(1),
            adult(2, born=None),
            adult(3, born=date(2013, 1, 1)),
            adult(4),
            adult(5),
            adult(6),
            adult(7, born=date(2000, 1, 1)),
        ],
        registrations=[
            (1, "P", *year),
            (4, "P", *year),
            (6, "P", date(2011, 6, 1), year[1]),
            (7, "P", *year),
            (3, "P", *year),
        ],
        deaths=[(4, date(2012, 1, 1), "I219")],
    )
    found = population(hub, on=ON)
    assert found.persons["person_id"].tolist() == [1]
    assert found.persons["age"].tolist() == [41]
    assert found.attrition["removed"].tolist() == [0, 1, 1, 1, 1, 1, 1]
    assert found.attrition["remaining"].tolist() == [7, 6, 5, 4, 3, 2, 1]


def test_registration_ends_on_the_day_it_names_and_starts_on_its_first() -> None:
    hub = small_hub(
        people=[adult(1), adult(2)],
        registrations=[(1, "P", date(2001, 1, 1), ON), (2, "P", ON, date(2020, 1, 1))],
    )
    assert population(hub, on=ON, registered_days=0).persons["person_id"].tolist() == [2]


def test_registration_runs_on_through_practices_that_touch_or_overlap_and_breaks_at_a_gap() -> None:
    end = date(9999, 12, 31)
    hub = small_hub(
        people=[adult(1), adult(2), adult(3)],
        registrations=[
            (1, "P", date(2001, 1, 1), date(2011, 12, 1)),
            (1, "Q", date(2011, 12, 1), end),
            (2, "P", date(2001, 1, 1), date(2011, 12, 20)),
            (2, "Q", date(2011, 12, 1), end),
            (3, "P", date(2001, 1, 1), date(2011, 11, 30)),
            (3, "Q", date(2011, 12, 1), end),
        ],
    )
    found = population(hub, on=ON)
    assert found.persons["person_id"].tolist() == [1, 2]
    assert found.persons["registered_since"].dt.date.tolist() == [date(2001, 1, 1)] * 2


def test_the_address_that_began_last_holds_and_brings_its_deprivation() -> None:
    end = date(9999, 12, 31)
    hub = small_hub(
        people=[adult(1)],
        registrations=[(1, "P", date(2001, 1, 1), end)],
        addresses=[
            (1, "old", date(2000, 1, 1), end),
            (1, "new", date(2010, 1, 1), end),
            (1, "next", ON + timedelta(1), end),
        ],
        deprivation=[("old", 1), ("new", 9)],
    )
    person = population(hub, on=ON).persons.iloc[0]
    assert (person["area"], person["imd_decile"], person["consented"]) == ("new", 9, False)


def test_requirements_remove_those_without_sample_or_consent() -> None:
    end = date(9999, 12, 31)
    hub = small_hub(
        people=[adult(i) for i in (1, 2, 3)],
        registrations=[(i, "P", date(2001, 1, 1), end) for i in (1, 2, 3)],
        samples=[("S1", 1, None), ("S2", 2, None)],
        consents=[(1, True, None, None), (2, True, None, date(2011, 1, 1)), (3, True, None, None)],
    )
    assert population(hub, on=ON, require=("genotyped", "consented")).persons["person_id"].tolist() == [1]
    with pytest.raises(DesignError, match="unknown requirement"):
        population(hub, on=ON, require=("blue eyes",))


def test_nobody_eligible_is_an_error_that_names_the_step() -> None:
    hub = small_hub(people=[adult(1)])
    with pytest.raises(DesignError, match="registered on the index date.*add a source that says who was"):
        population(hub, on=ON)
    hub = small_hub(people=[adult(1)], registrations=[(1, "P", date(1990, 1, 1), date(1991, 1, 1))])
    with pytest.raises(DesignError, match="registered on the index date.*check the index date"):
        population(hub, on=ON)


def test_deaths_come_one_a_person() -> None:
    hub = small_hub(deaths=[(5, date(2010, 1, 1), "I219"), (2, date(2011, 1, 1), None)])
    assert deaths(hub)["person_id"].tolist() == [2, 5]


def _twin(
    people: pd.DataFrame, spans: pd.DataFrame, died: dict[int, date], days: int, ages: tuple[int, int]
) -> list[int]:
    """Day by day: walk back from the index date while some span holds the day."""
    eligible = []
    for person, born in zip(people["person_id"], people["birth_date"], strict=True):
        own = [(a, b) for p, a, b in spans.itertuples(index=False) if p == person]
        if person in died and died[person] <= ON:
            continue
        day = ON
        while any(a <= day < b for a, b in own) and (ON - day).days <= days:
            day -= timedelta(1)
        registered = (ON - day).days > days
        if registered and ages[0] <= age_on(born, ON) <= ages[1] and born <= ON:
            eligible.append(int(person))
    return eligible


@pytest.mark.parametrize("seed", range(4))
def test_population_equals_a_walk_through_the_days(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 60
    day0 = date(2008, 1, 1)
    people = pd.DataFrame(
        {
            "person_id": range(n),
            "birth_date": [date(1930, 1, 1) + timedelta(int(d)) for d in rng.integers(0, 30_000, n)],
        }
    )
    spans = []
    for person in rng.integers(0, n, 140):
        start = day0 + timedelta(int(rng.integers(0, 1400)))
        spans.append((int(person), start, start + timedelta(int(rng.integers(0, 1500)))))
    died = {
        int(p): ON + timedelta(int(d))
        for p, d in zip(rng.integers(0, n, 8), rng.integers(-40, 40, 8), strict=True)
    }
    hub = small_hub(
        people=[(p, "M", b) for p, b in people.itertuples(index=False)],
        registrations=[(p, "P", a, b) for p, a, b in spans],
        deaths=[(p, d, None) for p, d in died.items()],
    )
    found = population(hub, on=ON, registered_days=200, age=(18, 70))
    assert found.persons["person_id"].tolist() == _twin(people, pd.DataFrame(spans), died, 200, (18, 70))
    assert found.attrition["removed"].sum() + len(found.persons) == n


def test_ages_equal_counting_birthdays() -> None:
    rng = np.random.default_rng(3)
    for _ in range(300):
        born = date(1940, 1, 1) + timedelta(int(rng.integers(0, 20_000)))
        on = born + timedelta(int(rng.integers(0, 25_000)))
        age = 0
        while True:
            year = born.year + age + 1
            leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
            birthday = (
                date(year, 3, 1)
                if (born.month, born.day) == (2, 29) and not leap
                else born.replace(year=year)
            )
            if birthday > on:
                break
            age += 1
        assert age_on(born, on) == age
