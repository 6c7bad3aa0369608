"""Overlap between definitions, and accuracy against a reference, by numbers counted by hand."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

from cohorts.hub import connect, create_hub_tables
from phenotypes import CodeList, Phenotype, derive, has
from phenotypes.accuracy import accuracy
from phenotypes.overlap import overlap

INDEX = date(2010, 6, 1)
CODES = {"a": "73211009", "b": "44054006", "c": "46635009"}
DATED = {
    "a": {1: "2010-01-01", 2: "2010-01-01", 3: "2010-01-01", 4: "2010-01-01"},
    "b": {2: "2010-01-11", 3: "2010-01-01", 4: "2009-12-31", 5: "2011-01-01"},
    "c": {},
}


@pytest.fixture(scope="module")
def derived():
    hub = connect()
    create_hub_tables(hub)
    hub.connection.executemany(
        "INSERT INTO people VALUES (?, 'F', '1960-01-01')", [[i] for i in range(1, 11)]
    )
    rows = [(p, day, CODES[name]) for name, dated in DATED.items() for p, day in dated.items()]
    hub.connection.executemany(
        "INSERT INTO events VALUES (1, ?, ?, 'gp', 'observation', 'snomed', ?, NULL, NULL)", rows
    )
    lists = {name: CodeList.of(name, [("snomed", code)]) for name, code in CODES.items()}
    persons = hub.frame("SELECT * FROM people ORDER BY person_id DESC")
    found = {name: Phenotype(name, has(codes)) for name, codes in lists.items()}
    return derive(hub, persons, index_date=INDEX, phenotypes=found, codelists=lists)


def test_overlap_counts_cases_of_both_and_who_was_first(derived):
    table = overlap(derived)
    assert list(zip(table["a"], table["b"], strict=True)) == [("a", "b"), ("a", "c"), ("b", "c")]
    row = table.iloc[0]
    assert (row["cases_a"], row["cases_b"], row["both"]) == (4, 4, 3)
    assert (row["jaccard"], row["of_a"], row["of_b"]) == (3 / 5, 3 / 4, 3 / 4)
    assert (row["a_first"], row["same_day"], row["b_first"], row["median_days"]) == (1, 1, 1, 0)
    nobody = table.iloc[1]
    assert (nobody["both"], nobody["jaccard"], nobody["of_a"]) == (0, 0, 0)
    assert np.isnan(nobody["of_b"])
    assert np.isnan(nobody["median_days"])


def test_overlap_of_chosen_definitions_turns_with_their_order(derived):
    row = overlap(derived, ["b", "a"]).iloc[0]
    assert (row["a"], row["b"], row["both"]) == ("b", "a", 3)


def test_accuracy_equals_counting_by_hand(derived):
    reference = pd.DataFrame(
        {
            "phenotype": "a",
            "person_id": [1, 2, 7, 99],
            "onset": pd.to_datetime(["2009-12-22", "2008-01-01", "2005-01-01", "2005-01-01"]),
        }
    )
    row = accuracy(derived, reference).iloc[0]
    assert (row["people"], row["true"], row["cases"], row["both"]) == (10, 3, 4, 2)
    assert row["sensitivity"] == pytest.approx(2 / 3)
    assert row["ppv"] == pytest.approx(2 / 4)
    assert row["specificity"] == pytest.approx(5 / 7)
    assert row["npv"] == pytest.approx(5 / 6)
    assert row["sensitivity_low"] < 2 / 3 < row["sensitivity_high"]
    assert (row["dated"], row["median_days"], row["within_year"]) == (2, (10 + 731) / 2, 0.5)


def test_accuracy_without_dates_or_cases_leaves_blanks(derived):
    row = accuracy(derived, pd.DataFrame({"phenotype": ["c"], "person_id": [1]})).iloc[0]
    assert (row["sensitivity"], row["specificity"], row["dated"]) == (0, 1, 0)
    assert np.isnan(row["ppv"])
    assert np.isnan(row["median_days"])
