"""Survival rows are ready for a regression: planted hazard ratios come back, with delayed entry and causes."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from phenotypes.codelist import CodeList
from phenotypes.definitions import Entry, Outcome
from phenotypes.derivation import derive
from phenotypes.reference import Event, Person
from phenotypes.rules import has
from phenotypes.worked import hub_of

INDEX, DATA_END = date(2005, 1, 1), date(2019, 12, 31)
EVENT, OTHER = CodeList.of("event", [("icd10", "I21")]), CodeList.of("other", [("icd10", "C34")])
EFFECT = 0.5
OUTCOMES = {
    "fixed": Outcome("fixed", has(EVENT), years=10, competing_events=(("cancer", has(OTHER)),)),
    "delayed": Outcome(
        "delayed", has(EVENT), years=20, entry=Entry(registered_days=365, age=50), until_age=75
    ),
}


def _region(rng: np.random.Generator, n: int) -> tuple[list[Person], np.ndarray]:
    """People whose yearly hazard is 0.03 exp(0.5 x) at every age from 40 on, and of cancer 0.02."""
    x = rng.normal(size=n)
    people = []
    for carried in x:
        born = date(1935, 1, 1) + timedelta(days=int(rng.integers(0, 30 * 365)))
        came = INDEX + timedelta(days=int(rng.integers(-3000, 2500)))
        left = came + timedelta(days=int(rng.integers(500, 9000)))
        adult = born + timedelta(days=40 * 365)
        event = adult + timedelta(days=float(rng.exponential(1 / (0.03 * np.exp(EFFECT * carried)))) * 365.25)
        cancer = adult + timedelta(days=float(rng.exponential(50.0)) * 365.25)
        # a cohort of people who lived to join: whoever had it before had it, and left no new record
        events = tuple(
            Event(day, "icd10", code) for day, code in ((event, "I21"), (cancer, "C34")) if day <= DATA_END
        )
        people.append(Person(events, "F", born, ((came, left),)))
    return people, x


def _estimates(rows: pd.DataFrame, x: np.ndarray, scale: str) -> tuple[float, float]:
    from statsmodels.duration.hazard_regression import PHReg

    carried = x[rows["person_id"].to_numpy()]
    if scale == "age":
        times, entry = rows["age_exit"].to_numpy(), rows["age_entry"].to_numpy()
    else:
        times, entry = rows["years"].to_numpy(), None
    fit = PHReg(times, carried[:, None], status=(rows["state"] == 1).to_numpy(int), entry=entry).fit()
    return float(fit.params[0]), float(fit.bse[0])


def _derived(people: list[Person]) -> Any:
    hub, persons = hub_of(people)
    with hub:
        return derive(hub, persons, index_date=INDEX, data_end=DATA_END, outcomes=OUTCOMES)


def test_a_planted_hazard_ratio_is_within_its_interval_as_often_as_it_says() -> None:
    rng = np.random.default_rng(20)
    inside: dict[str, list[bool]] = {"fixed": [], "delayed": []}
    found: dict[str, list[float]] = {"fixed": [], "delayed": []}
    for _ in range(25):
        people, x = _region(rng, 450)
        survival = _derived(people).survival
        for name in OUTCOMES:
            rows = survival[survival["outcome"] == name]
            estimate, error = _estimates(rows, x, "age" if name == "delayed" else "years")
            inside[name].append(abs(estimate - EFFECT) < 1.96 * error)
            found[name].append(estimate)
    for name in OUTCOMES:
        # 25 intervals of 95%: 20 or fewer inside has a probability of 0.7%
        assert sum(inside[name]) >= 21
        assert np.mean(found[name]) == pytest.approx(EFFECT, abs=0.05)


def test_rows_are_of_people_at_risk_and_agree_with_what_was_planted() -> None:
    people, _ = _region(np.random.default_rng(4), 800)
    derived = _derived(people)
    rows = derived.survival
    assert (rows["entry"] < rows["exit"]).all()
    assert (rows["age_entry"] < rows["age_exit"]).all()
    np.testing.assert_allclose(rows["age_exit"] - rows["age_entry"], rows["years"], atol=0.0015)
    assert set(rows.loc[rows["state"] == 2, "cause"]) == {"cancer"}
    assert set(rows.loc[rows["state"] == 0, "cause"]) == {"registration", "horizon", "data", "age"}
    fixed, delayed = (rows[rows["outcome"] == name] for name in OUTCOMES)
    assert (fixed["entry"].dt.date == INDEX).all()
    assert delayed["age_entry"].min() >= 49.99
    assert delayed["age_exit"].max() <= 75.01
    assert (delayed["entry"].dt.date > INDEX).any()
    for row in rows[rows["state"] == 1].itertuples():
        assert row.exit.date() in {e.day for e in people[row.person_id].events if e.code == "I21"}
    flow = derived.diagnostics.outcomes
    assert flow.groupby("outcome")["n"].sum().eq(800).all()
    assert "competing: cancer" in set(flow["reason"])
