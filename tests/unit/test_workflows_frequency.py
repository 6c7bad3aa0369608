"""How common and how often new: exact inside, released on the way out, and honest about what cannot be counted."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

from cohorts.hub import connect, create_hub_tables
from phenotypes import CodeList, Outcome, Phenotype, derive, has, none_of
from workflows.frequency import Frequency, frequencies
from workflows.reports.counts import SUPPRESSED, Disclosure
from workflows.results import hidden_as_null
from workflows.study import Study

INDEX = date(2012, 1, 1)
A = CodeList.of("a", [("snomed", "73211009")])
ABOUT = {"name": "s", "title": "S", "summary": "S", "index_date": "2012-01-01", "data_end": "2015-12-31"}
USE = dict.fromkeys(("purpose", "public_benefit", "legal_basis", "controller", "contact", "opt_out"), "-")


@pytest.fixture(scope="module")
def counted() -> Frequency:
    """200 women (1 to 200) and 200 men (201 to 400) of 52, all registered throughout."""
    study = Study.model_validate(
        {
            "study": ABOUT,
            "data_use": USE,
            "privacy": {"key": "k"},
            "sources": {"gp": {"patients": "p.csv"}},
        }
    )
    days = {
        **dict.fromkeys(range(1, 41), "2011-03-01"),
        **dict.fromkeys(range(41, 53), "2012-01-01"),
        **dict.fromkeys(range(53, 70), "2013-06-01"),
        **dict.fromkeys(range(201, 204), "2010-01-01"),
        **dict.fromkeys(range(204, 208), "2014-01-01"),
    }
    with connect() as hub:
        create_hub_tables(hub)
        hub.connection.execute(
            "INSERT INTO people SELECT i, CASE WHEN i <= 200 THEN 'F' ELSE 'M' END, DATE '1959-06-01' "
            "FROM range(1, 401) t(i)"
        )
        hub.connection.execute(
            "INSERT INTO registrations SELECT i, 'p', DATE '2000-01-01', DATE '9999-12-31' FROM range(1, 401) t(i)"
        )
        hub.connection.executemany(
            "INSERT INTO events VALUES (?, ?, ?, 'gp', 'observation', 'snomed', '73211009', NULL, NULL)",
            [(person, person, day) for person, day in days.items()],
        )
        persons = hub.frame("SELECT * FROM people ORDER BY person_id")
        derived = derive(
            hub,
            persons,
            index_date=INDEX,
            data_end=date(2015, 12, 31),
            phenotypes={
                "a": Phenotype("a", has(A)),
                "before": Phenotype("before", has(A), until="index"),
                "new": Phenotype("new", has(A), onset="incident"),
                "without": Phenotype("without", none_of(has(A))),
            },
            outcomes={"first": Outcome("first", has(A), years=3)},
        )
        return frequencies(study, hub, persons, derived, Disclosure())


def test_prevalence_is_of_the_index_date_and_small_cells_are_hidden(counted: Frequency) -> None:
    table = counted.prevalence.set_index(["phenotype", "sex"])
    women, men = table.loc[("a", "F")], table.loc[("a", "M")]
    assert (women["age_band"], women["people"], women["cases"]) == ("50-59", 200, 50)
    assert women["prevalence"] == pytest.approx(0.25)
    assert (men["people"], men["cases"]) == (200, SUPPRESSED)
    assert np.isnan(men["prevalence"])
    everybody = counted.overall.set_index("phenotype").loc["a"]
    assert (everybody["people"], everybody["cases"]) == (400, 55)


def test_a_definition_that_stops_at_the_index_date_is_counted_on_the_day_before(counted: Frequency) -> None:
    before = counted.prevalence.set_index(["phenotype", "sex"]).loc[("before", "F")]
    assert (before["on"], before["cases"]) == (pd.Timestamp("2011-12-31"), 40)
    assert "before" not in set(counted.incidence["phenotype"])


def test_who_turns_the_youngest_age_on_the_index_date_opens_no_band_of_their_own() -> None:
    study = Study.model_validate(
        {"study": ABOUT, "data_use": USE, "privacy": {"key": "k"}, "sources": {"gp": {"patients": "p.csv"}}}
    )
    with connect() as hub:
        create_hub_tables(hub)
        hub.connection.execute(
            "INSERT INTO people SELECT i, 'F', CASE WHEN i = 1 THEN DATE '1994-01-01' ELSE DATE '1980-01-01' END "
            "FROM range(1, 21) t(i)"
        )
        hub.connection.execute(
            "INSERT INTO registrations SELECT i, 'p', DATE '2000-01-01', DATE '9999-12-31' FROM range(1, 21) t(i)"
        )
        persons = hub.frame("SELECT * FROM people ORDER BY person_id")
        phenotypes = {"before": Phenotype("before", has(A), until="index")}
        derived = derive(hub, persons, index_date=INDEX, data_end=date(2015, 12, 31), phenotypes=phenotypes)
        table = frequencies(study, hub, persons, derived, Disclosure()).prevalence
    assert table[["age_band", "people"]].to_numpy().tolist() == [["18-39", 20]]


def test_incidence_is_by_calendar_year_from_the_index_date(counted: Frequency) -> None:
    table = counted.incidence.set_index("year")
    assert set(table["phenotype"]) == {"a"}
    assert list(table.index) == [2012, 2013, 2014, 2015]
    # Twelve women have it from the index date on.
    assert list(table["events"]) == [10, 15, SUPPRESSED, SUPPRESSED]
    assert table.loc[2013, "rate"] == pytest.approx(1000 * 15 / table.loc[2013, "person_years"])
    assert np.isnan(table.loc[2014, "rate"])
    for column in ("people", "person_years"):
        assert all(n % 5 == 0 for n in table[column])


def test_what_cannot_be_counted_is_named_with_the_reason(counted: Frequency) -> None:
    assert dict(counted.uncounted) == {
        "new": "its definition is of new cases only",
        "without": "its cases need not have a date",
    }


def test_follow_up_of_an_outcome_is_released(counted: Frequency) -> None:
    (row,) = counted.outcomes.to_dict("records")
    # Of 400, 55 had it by the index date; 17 women and 4 men have it later.
    assert (row["outcome"], row["people"], row["events"], row["competing"]) == ("first", 345, 20, 0)
    assert row["rate"] == pytest.approx(1000 * 20 / row["person_years"])
    assert row["low"] < row["rate"] < row["high"]


def test_hidden_counts_are_null_in_the_results(counted: Frequency, tmp_path) -> None:
    hidden_as_null(counted.incidence).to_parquet(tmp_path / "i.parquet")
    table = pd.read_parquet(tmp_path / "i.parquet")
    assert table["events"].isna().tolist() == [False, False, True, True]
    assert {str(table[name].dtype) for name in ("people", "person_years", "events")} == {"Int64"}


def test_a_study_without_phenotypes_has_empty_tables(counted: Frequency, tmp_path) -> None:
    study = Study.model_validate(
        {"study": ABOUT, "data_use": USE, "privacy": {"key": "k"}, "sources": {"gp": {"patients": "p.csv"}}}
    )
    with connect() as hub:
        create_hub_tables(hub)
        persons = pd.DataFrame({"person_id": [7], "sex": ["F"], "birth_date": [pd.Timestamp("1960-01-01")]})
        derived = derive(hub, persons, index_date=INDEX, data_end=date(2015, 12, 31))
        none = frequencies(study, hub, persons, derived, Disclosure())
    for name in ("prevalence", "incidence", "outcomes"):
        mine, theirs = getattr(none, name), getattr(counted, name)
        assert list(mine) == list(theirs)
        assert mine.empty
        hidden_as_null(mine).to_parquet(tmp_path / f"{name}.parquet")
