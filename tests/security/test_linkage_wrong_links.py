"""A wrong link harms: people who share no more than a year of birth and a sex are never made one."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from cohorts.consent import apply_consent
from cohorts.hub import connect
from cohorts.linkage import Links, link
from cohorts.pseudonymise import BuiltHub, build_hub
from cohorts.sources import Intake, TableSource, read_sources

COLUMNS = (
    "patient_id", "nhs_number", "given_name", "family_name", "birth_date", "birth_precision", "sex", "postcode",
)  # fmt: skip
NUMBER, OTHER = "9434765919", "4010232137"
BARE = "records that hold too little to be linked by probability"
THIN = "link refused: too little agrees besides birth date and sex"


def linked(folder: Path, **sources: list[tuple[str, ...]]) -> tuple[Links, BuiltHub, Intake]:
    hub = connect()
    given = {}
    for name, rows in sources.items():
        pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(folder / f"{name}.csv", index=False)
        given[name] = {"patients": TableSource(folder / f"{name}.csv")}
    intake = read_sources(hub, given)
    links = link(hub, seed=1)
    return links, build_hub(hub, links, apply_consent(hub, links), key=bytes(range(32))), intake


def one_person(links: Links, *records: tuple[str, str]) -> bool:
    entity = links.crosswalk.set_index(["source", "patient_id"])["entity"]
    return len({entity[record] for record in records}) == 1


def count(links: Links, conflict: str) -> int:
    return int(links.conflicts.set_index("conflict")["count"][conflict])


def test_year_of_birth_and_sex_link_nobody_in_sources_large_or_small(tmp_path: Path) -> None:
    research = [(str(i), "", "", "", f"{1940 + i % 40}-07-01", "year", "FM"[i % 2], "") for i in range(400)]
    links, _, intake = linked(
        tmp_path,
        gp=[("1", "", "Ada", "Quill", "1970-07-01", "day", "F", "AB1 2CD")],
        one=[("1", "", "", "", "1970-07-01", "year", "F", "")],
        two=[("1", "", "", "", "1970-07-01", "year", "F", "")],
        research=research,
    )
    assert (links.crosswalk["method"] == "single").all()
    assert count(links, BARE) == 402
    noted = intake.notes.set_index("source")["rows"]
    assert noted.to_dict() == {"one": 1, "two": 1, "research": 400}


@pytest.mark.parametrize("precision", ["day", "month", "year"])
def test_a_birth_date_and_a_sex_alone_make_nobody_the_same_person(tmp_path: Path, precision: str) -> None:
    links, _, _ = linked(
        tmp_path,
        a=[("1", "", "", "", "1970-07-01", precision, "F", "")],
        b=[("1", "", "", "", "1970-07-01", precision, "F", "")],
    )
    assert (links.crosswalk["method"] == "single").all()
    assert count(links, BARE) == 2


def test_neighbours_born_on_one_day_stay_two_people(tmp_path: Path) -> None:
    links, _, _ = linked(
        tmp_path,
        a=[("1", "", "Amy", "Stone", "1970-05-06", "day", "F", "AB1 2CD")],
        b=[("1", "", "Zoe", "Marsh", "1970-05-06", "day", "F", "AB1 9XX")],
    )
    assert not one_person(links, ("a", "1"), ("b", "1"))


def test_one_shared_name_is_not_enough_beside_a_year_of_birth_and_two_may_be(tmp_path: Path) -> None:
    links, _, _ = linked(
        tmp_path,
        a=[
            ("1", "", "Ottoline", "", "1970-07-01", "year", "F", ""),
            ("2", "", "Peregrine", "Wetherby", "1961-07-01", "year", "M", "AB1 2CD"),
        ],
        b=[
            ("1", "", "Ottoline", "", "1970-07-01", "year", "F", ""),
            ("2", "", "Peregrine", "Wetherby", "1961-11-05", "day", "M", "AB1 2CD"),
            ("3", "", "Peregrine", "Wetherby", "1988-11-05", "day", "M", "ZE9 9ZZ"),
        ],
    )
    assert not one_person(links, ("a", "1"), ("b", "1"))
    assert one_person(links, ("a", "2"), ("b", "2"))
    assert not one_person(links, ("a", "2"), ("b", "3"))
    assert set(links.model.loc[links.model["comparison"] == "part", "level"]) == {
        "same year and month", "same year", "else",
    }  # fmt: skip


def test_brothers_born_in_one_year_stay_two_people(tmp_path: Path) -> None:
    links, _, _ = linked(
        tmp_path,
        gp=[
            ("1", "", "Amos", "Barlow", "2001-07-01", "year", "M", "AB1 2CD"),
            ("2", "", "Cecil", "Barlow", "2001-07-01", "year", "M", "AB1 2CD"),
        ],
    )
    assert not one_person(links, ("gp", "1"), ("gp", "2"))


GP = ("1", NUMBER, "Margaret", "Oakes", "1950-03-04", "day", "F", "AB1 2CD")


def test_one_number_and_one_year_link_only_with_names_or_where_there_are_none(tmp_path: Path) -> None:
    links, _, _ = linked(
        tmp_path,
        gp=[GP],
        same_name=[("1", NUMBER, "Margret", "Oakes", "1950-07-01", "year", "F", "")],
        nameless=[("1", NUMBER, "", "", "1950-07-01", "year", "F", "")],
        month=[("1", NUMBER, "", "", "1950-03-15", "month", "F", "")],
    )
    assert len(set(links.crosswalk["entity"])) == 1
    assert (links.crosswalk["method"] == "nhs").all()


@pytest.mark.parametrize(
    "other",
    [
        ("1", NUMBER, "Iris", "Pike", "1950-07-01", "year", "F", "ZE1 0AA"),
        ("1", NUMBER, "", "", "1950-07-01", "year", "M", ""),
        ("1", NUMBER, "", "", "1951-07-01", "year", "F", ""),
        ("1", NUMBER, "", "", "1950-04-15", "month", "F", ""),
    ],
    ids=["name", "sex", "year", "month"],
)
def test_a_number_whose_records_disagree_links_nobody_by_a_year_of_birth(
    tmp_path: Path, other: tuple[str, ...]
) -> None:
    nameless = ("1", NUMBER, "", "", "1950-07-01", "year", "F", "")
    links, _, _ = linked(tmp_path, gp=[GP], other=[other], nameless=[nameless])
    assert not one_person(links, ("gp", "1"), ("other", "1"))
    assert not one_person(links, ("other", "1"), ("nameless", "1"))
    assert links.conflicts.set_index("conflict")["count"]["NHS number on several people"] == 1


def test_a_filled_in_day_keeps_nobody_apart_and_never_enters_the_hub_for_a_known_one(tmp_path: Path) -> None:
    links, built, _ = linked(
        tmp_path,
        research=[
            ("1", NUMBER, "", "", "1950-07-01", "year", "F", ""),
            ("2", NUMBER, "", "", "1950-07-01", "year", "F", ""),
            ("3", OTHER, "", "", "1960-07-01", "year", "M", ""),
        ],
        gp=[("1", NUMBER, "Margaret", "Oakes", "1950-03-04", "", "F", "AB1 2CD")],
    )
    assert one_person(links, ("gp", "1"), ("research", "1"), ("research", "2"))
    born = built.hub.frame("SELECT birth_date::VARCHAR AS born FROM people ORDER BY born")["born"]
    assert born.tolist() == ["1950-03-04", "1960-07-01"]
    assert built.births == {"day": 1, "year": 1}


def test_rows_of_one_patient_agree_as_far_as_both_know_the_birth_date(tmp_path: Path) -> None:
    _, built, intake = linked(
        tmp_path,
        gp=[
            ("1", "", "Una", "Marsh", "1970-07-01", "year", "F", ""),
            ("1", "", "Una", "Marsh", "1970-05-06", "day", "F", ""),
            ("2", "", "Ida", "Marsh", "1971-07-01", "year", "F", ""),
            ("2", "", "Ida", "Marsh", "1970-05-06", "day", "F", ""),
            ("3", "", "Eva", "Marsh", "1972-01-01", "century", "F", ""),
        ],
    )
    assert built.hub.frame("SELECT birth_date::VARCHAR AS b FROM people ORDER BY b")["b"].tolist() == [
        "1970-05-06",
        "1972-01-01",
    ]
    assert intake.counts["rejected"].sum() == 3
    assert "birth_precision: neither day, month nor year, taken as year" in set(intake.notes["note"])
    assert built.births == {"day": 1, "year": 1}
