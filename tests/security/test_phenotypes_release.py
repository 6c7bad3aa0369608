"""Tables about phenotypes leave without small numbers, and a hidden cell is never a number."""

from __future__ import annotations

import re
from datetime import date

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from cohorts.errors import DesignError, InputError
from cohorts.hub import connect, create_hub_tables
from phenotypes import CodeList, Phenotype, derive, has
from phenotypes.overlap import overlap
from phenotypes.prevalence import incidence, poisson, prevalence, wilson
from workflows.cli import application
from workflows.release import released_counts, released_incidence, released_overlap, released_prevalence
from workflows.reports.counts import SUPPRESSED, Disclosure

RULE = Disclosure()
ON = date(2019, 1, 1)


@pytest.fixture(scope="module")
def hub_file(tmp_path_factory):
    """400 people with asthma in a third, COPD in a few, and dementia in nobody."""
    path = tmp_path_factory.mktemp("hub") / "hub.duckdb"
    rng = np.random.default_rng(2)
    with connect(path) as hub:
        create_hub_tables(hub)
        for person in range(400):
            born = f"{rng.integers(1930, 2000)}-05-01"
            hub.connection.execute("INSERT INTO people VALUES (?, ?, ?)", [person, "MF"[person % 2], born])
            hub.connection.execute(
                "INSERT INTO registrations VALUES (?, 'p', '2005-01-01', '2023-01-01')", [person]
            )
            for share, code in ((0.3, "195967001"), (0.02, "13645005")):
                if rng.random() < share:
                    day = f"{rng.integers(2006, 2022)}-03-01"
                    hub.connection.execute(
                        "INSERT INTO events VALUES (1, ?, ?, 'gp', 'observation', 'snomed', ?, NULL, NULL)",
                        [person, day, code],
                    )
    return path


@pytest.fixture(scope="module")
def world(hub_file):
    hub = connect(hub_file, read_only=True)
    persons = hub.frame("SELECT * FROM people ORDER BY person_id")
    lists = {"asthma": "195967001", "copd": "13645005", "dementia": "52448006"}
    phenotypes = {
        name: Phenotype(name, has(CodeList.of(name, [("snomed", code)]))) for name, code in lists.items()
    }
    return hub, persons, derive(hub, persons, index_date=ON, phenotypes=phenotypes)


def _is_shown(value) -> bool:
    return value == SUPPRESSED or (isinstance(value, int) and value >= 10 and value % 5 == 0)


def _differs(shown: pd.DataFrame, column: str) -> pd.Series:
    return shown[column] == SUPPRESSED


def test_prevalence_hides_few_none_and_nearly_all(world):
    table = prevalence(*world, on=ON, by=["age_band", "sex"])
    assert (table["cases"] < 10).any()
    assert (table["cases"] >= 10).any()
    shown = released_prevalence(table, RULE)
    assert shown[["people", "cases"]].map(_is_shown).all(axis=None)
    small = table["cases"].to_numpy() < 10
    assert (
        _differs(shown, "cases").to_numpy() == small | (table["people"] - table["cases"] < 10).to_numpy()
    ).all()
    hidden = shown[_differs(shown, "cases")]
    assert hidden[["prevalence", "low", "high"]].isna().all(axis=None)
    everybody = pd.DataFrame({"people": [50, 50], "cases": [45, 40]})
    assert released_prevalence(everybody, RULE)["cases"].tolist() == [SUPPRESSED, 40]


def test_proportions_and_rates_follow_from_what_is_shown_alone(world):
    shown = released_prevalence(prevalence(*world, on=ON, by=["sex"]), RULE)
    known = shown[shown["cases"] != SUPPRESSED].astype({"people": float, "cases": float})
    assert len(known)
    np.testing.assert_array_equal(known["prevalence"], known["cases"] / known["people"])
    np.testing.assert_array_equal(
        known["low"], wilson(known["cases"].to_numpy(), known["people"].to_numpy())[0]
    )
    rates = released_incidence(incidence(*world, start=date(2006, 1, 1), by=["sex"]), RULE)
    known = rates[rates["events"] != SUPPRESSED].astype({"person_years": float, "events": float})
    assert len(known)
    np.testing.assert_array_equal(known["rate"], 1000 * known["events"] / known["person_years"])
    np.testing.assert_array_equal(
        known["high"], 1000 * poisson(known["events"].to_numpy())[1] / known["person_years"]
    )


def test_incidence_hides_events_and_what_follows_from_them(world):
    table = incidence(*world, start=date(2006, 1, 1), by=["year", "age_band"])
    shown = released_incidence(table, RULE)
    assert shown[["people", "person_years", "events"]].map(_is_shown).all(axis=None)
    hidden = shown[_differs(shown, "events")]
    assert len(hidden)
    assert hidden[["rate", "low", "high"]].isna().all(axis=None)
    few = shown[_differs(shown, "people")]
    assert (few["person_years"] == SUPPRESSED).all()


def test_overlap_hides_small_intersections_with_their_shares(world):
    shown = released_overlap(overlap(world[2]), RULE)
    counts = ["cases_a", "cases_b", "both", "a_first", "same_day", "b_first"]
    assert shown[counts].map(_is_shown).all(axis=None)
    hidden = shown[_differs(shown, "both")]
    assert len(hidden)
    assert hidden[["jaccard", "of_a", "of_b", "median_days"]].isna().all(axis=None)


def test_a_true_zero_stays_apart_from_a_hidden_number():
    shown = released_counts(pd.DataFrame({"people": [0, 1, 9, 12]}), ["people"], RULE)["people"]
    assert shown.tolist() == [0, SUPPRESSED, SUPPRESSED, 10]


@pytest.mark.parametrize("by", ["sex", "age_band,sex", "year", ""])
def test_the_command_prints_no_small_number_of_people(hub_file, by):
    names = ["asthma", "copd", "dementia"]
    ran = CliRunner().invoke(
        application(),
        ["phenotype", "diagnose", *names, "--hub", str(hub_file), "--on", "2019-01-01", "--by", by],
    )
    assert ran.exit_code == 0, ran.output
    assert "Why dementia finds nobody" in ran.output
    assert "<10" in ran.output
    head, _, rest = ran.output.partition(" codelist ")
    for line in head.splitlines():
        if line.split()[:1] and line.split()[0] in names:
            cells = re.sub(r"\b(\d0-\d9|0-9|90\+|20\d\d)\b", "", line).split()
            counts = [c for c in cells[1:] if c == "<10" or re.fullmatch(r"\d+", c)][:2]
            assert all(c == "<10" or (int(c) % 5 == 0 and int(c) >= 10) for c in counts), line
    assert "overlap" in rest.lower()


@pytest.mark.parametrize("by", ["birth_date", "person_id"])
def test_nothing_is_counted_by_what_tells_people_apart(hub_file, by):
    ran = CliRunner().invoke(
        application(),
        ["phenotype", "diagnose", "asthma", "--hub", str(hub_file), "--on", "2019-01-01", "--by", by],
    )
    assert isinstance(ran.exception, DesignError)
    assert "no such column to count by" in str(ran.exception)
    assert "Prevalence" not in ran.output


def test_why_nobody_is_told_in_lines_that_fit_a_screen(hub_file):
    ran = CliRunner().invoke(
        application(),
        [
            "phenotype",
            "diagnose",
            "type_2_diabetes",
            "dementia",
            "--hub",
            str(hub_file),
            "--on",
            "2019-01-01",
        ],
    )
    told = ran.output.partition("Why type_2_diabetes finds nobody")[2].partition("Why")[0].splitlines()
    assert sum(line.startswith(("  codes", "  rule", "  status")) for line in told) >= 20
    assert max(map(len, told)) <= 100


def test_the_day_and_the_hub_must_be_given(hub_file, tmp_path):
    ran = CliRunner().invoke(application(), ["phenotype", "diagnose", "asthma", "--hub", str(hub_file)])
    assert ran.exit_code == 2
    assert "--on" in ran.output
    missing = ["phenotype", "diagnose", "asthma", "--hub", str(tmp_path / "no"), "--on", "2019-01-01"]
    assert isinstance(CliRunner().invoke(application(), missing).exception, InputError)
