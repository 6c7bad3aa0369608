"""Code lists of one edition of ICD-10 find records of a source that codes in the other."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from cohorts.hub import Hub, connect, create_hub_tables
from phenotypes import CodeList
from phenotypes.cache import Cache
from phenotypes.editions import respelled
from phenotypes.narrow import narrow
from phenotypes.session import session

MOVED = [
    ("B59", "B485"),
    ("U073", "U08"),
    ("U074", "U099"),
    ("U075", "U109"),
    ("U076", "U11"),
    ("U077", "U12"),
]
PEOPLE = pd.DataFrame({"person_id": [1], "sex": ["F"], "birth_date": pd.to_datetime(["1950-01-01"])})


def hub_of(records: list[tuple[str, str]], editions: dict[str, str | None]) -> Hub:
    hub = connect()
    create_hub_tables(hub)
    for i, (source, code) in enumerate(records):
        hub.connection.execute(
            "INSERT INTO events VALUES (?, 1, DATE '2010-01-01', ?, 'diagnosis', 'icd10', ?, NULL, NULL)",
            [i, source, code],
        )
    for source, edition in editions.items():
        hub.connection.execute("INSERT INTO sources VALUES (?, ?)", [source, edition])
    return hub


def entries_met(hub: Hub, codes: CodeList) -> list[int]:
    with session(hub) as opened:
        records = narrow(opened, PEOPLE, [codes], index_date=date(2000, 1, 1), data_end=date(2020, 1, 1))
        return sorted(opened.frame(records.narrow.select("entry"))["entry"].tolist())


@pytest.mark.parametrize(("nhs", "who"), MOVED)
def test_a_list_of_who_2019_finds_the_moved_codes_of_hospitals_and_the_other_way_round(nhs, who):
    both = {"hospital": "2016", "deaths": "2019"}
    hub = hub_of([("hospital", nhs), ("deaths", who)], both)
    for edition, code in (("2019", who), ("2016", nhs), (None, who), (None, nhs)):
        codes = CodeList.of("list", [("icd10", "A00"), ("icd10", f"{code}*")], edition=edition)
        assert entries_met(hub, codes) == [1, 1], (edition, code)


def test_without_a_declared_edition_only_what_the_list_says_is_found():
    hub = hub_of([("hospital", "B59"), ("clinic", "B485")], {"hospital": None})
    assert entries_met(hub, CodeList.of("list", [("icd10", "B48.5")])) == [0]


def test_the_other_spelling_is_looked_for_in_sources_of_that_edition():
    records = [("hospital", "B59"), ("hospital", "B48"), ("hospital", "B484"), ("hospital", "U071")]
    hub = hub_of(records, {"hospital": "2016"})
    assert entries_met(hub, CodeList.of("list", [("icd10", "B48.5"), ("icd10", "U09*")])) == [0]
    assert entries_met(hub, CodeList.of("list", [("icd10", "U10.9")])) == []


def test_exclusions_and_wider_entries_of_a_list_of_known_edition_are_respelled_too():
    hub = hub_of([("hospital", "B59"), ("hospital", "B484")], {"hospital": "2016"})
    wide = [("icd10", "B48*")]
    assert entries_met(hub, CodeList.of("list", wide, edition="2019")) == [0, 0]
    assert entries_met(hub, CodeList.of("list", wide)) == [0]
    without = CodeList.of("list", [*wide, ("icd10", "!B48.5")], edition="2019")
    assert entries_met(hub, without) == [without.entries.index(CodeList.of("x", wide).entries[0])]


def test_lists_without_moved_codes_are_left_as_they_are():
    assert respelled(CodeList.of("list", [("icd10", "J45*"), ("snomed", "195967001")]), "2019") is None


def test_a_declared_edition_makes_kept_answers_out_of_date():
    contexts = set()
    for edition in (None, "2016", "2019"):
        with session(hub_of([("hospital", "B59")], {"hospital": edition})) as opened:
            kept = Cache.of({}, opened, PEOPLE, index_date=date(2000, 1, 1), data_end=None)
            contexts.add(kept.context)
    assert len(contexts) == 3
