"""Code lists of one edition of ICD-10 find records of a source that codes in the other."""

from __future__ import annotations

from datetime import date
from itertools import product
from pathlib import Path

import pandas as pd
import pytest

from cohorts.errors import InputError
from cohorts.hub import Hub, connect, create_hub_tables
from phenotypes import CodeList, Phenotype, derive, has
from phenotypes.cache import Cache
from phenotypes.code_systems import EDITION_CHANGES
from phenotypes.codelist import merged
from phenotypes.codelist_lint import lint
from phenotypes.comorbidities import comorbidity, read_index
from phenotypes.editions import respelled
from phenotypes.evidence import trace
from phenotypes.narrow import narrow
from phenotypes.phecode_map import PhecodeMap
from phenotypes.phenome import phecodes
from phenotypes.published_lists import read_published
from phenotypes.reference import Event, Person, status
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
        hub.connection.execute("INSERT INTO sources VALUES (?, ?, NULL)", [source, edition])
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


def phenome_of(hub: Hub, folder: Path, *codes: str) -> pd.DataFrame:
    pairs = "".join(f"ICD10,{code},{480 + n}\n" for n, code in enumerate(codes))
    (folder / "map.csv").write_text(f"vocabulary_id,code,phecode\n{pairs}")
    hub.connection.execute("INSERT INTO people VALUES (1, 'F', DATE '1950-01-01')")
    with hub:
        return phecodes(hub, PhecodeMap.read(folder / "map.csv"), min_dates=1).codes


@pytest.mark.parametrize(("nhs", "who"), MOVED)
def test_a_phecode_map_of_one_edition_finds_the_moved_codes_of_the_other(nhs, who, tmp_path):
    both = {"hospital": "2016", "deaths": "2019"}
    kept = next(change for change in EDITION_CHANGES if nhs.startswith(change.nhs))
    for mapped in (kept.nhs, kept.who):
        used = phenome_of(hub_of([("hospital", nhs), ("deaths", who)], both), tmp_path, "A00", mapped)
        assert used["mapped_as"].tolist() == [mapped, mapped], mapped
        assert set(used["edition"]) == {"2016", "2019"}


def test_a_moved_code_is_itself_first_then_its_other_spelling_then_what_stands_above_it(tmp_path):
    records = [("deaths", "B485"), ("deaths", "B484")]
    for codes, found in (
        (("B48", "B48.5", "B59"), "B485"), (("B48", "B59"), "B59"), (("B48",), "B48"),
    ):  # fmt: skip
        used = phenome_of(hub_of(records, {"deaths": "2019"}), tmp_path, *codes).set_index("code")
        assert used["mapped_as"].to_dict() == {"B485": found, "B484": "B48"}, codes


def test_phecodes_of_sources_without_an_edition_are_as_before(tmp_path):
    records = [("clinic", "B59"), ("hospital", "B59"), ("hospital", "B59")]
    used = phenome_of(hub_of(records, {"hospital": "2016", "clinic": None}), tmp_path, "B48.5")
    assert used[["edition", "records", "mapped_as"]].values.tolist() == [["", 1, ""], ["2016", 2, "B485"]]
    used = phenome_of(hub_of(records, {}), tmp_path, "B48.5")
    assert used[["edition", "records", "mapped_as"]].values.tolist() == [["", 3, ""]]


def test_a_person_gets_the_phecode_of_the_other_spelling_on_its_own_day(tmp_path):
    (tmp_path / "map.csv").write_text("vocabulary_id,code,phecode\nICD10,B48.5,076\n")
    hub = hub_of([("hospital", "B59"), ("clinic", "B59")], {"hospital": "2016"})
    hub.connection.execute("INSERT INTO people VALUES (1, 'F', DATE '1950-01-01')")
    with hub:
        found = phecodes(hub, PhecodeMap.read(tmp_path / "map.csv"), min_dates=1)
    assert found.long[["person_id", "phecode", "n_dates"]].values.tolist() == [[1, "076", 1]]


def test_comorbidity_finds_moved_codes_of_declared_sources_alone(tmp_path):
    (tmp_path / "own.csv").write_text("condition,system,code\nlungs,icd10,B48.5\n")
    index = read_index(tmp_path / "own.csv")
    for editions, score in (({"hospital": "2016"}, 1.0), ({"deaths": "2016"}, 0.0), ({}, 0.0)):
        with hub_of([("hospital", "B59")], editions) as hub:
            assert comorbidity(hub, PEOPLE, on=date(2020, 1, 1), index=index)["score"].tolist() == [score]


def test_a_file_says_its_edition_once_for_all_its_lines_and_goes_on_saying_it(tmp_path):
    file = tmp_path / "list.csv"
    file.write_text("system,code,icd10_edition\nicd10,B48*,2019\nicd10,A00,\nsnomed,44054006,\n")
    codes = CodeList.read(file)
    assert codes.edition == "2019" == read_published(file).edition
    assert codes.id != CodeList.of("list", [("icd10", "B48*"), ("icd10", "A00"), ("snomed", "44054006")]).id
    hub = hub_of([("hospital", "B59"), ("hospital", "B484")], {"hospital": "2016"})
    assert entries_met(hub, codes) == [1, 1]
    file.write_text(codes.csv())
    assert file.read_text().splitlines()[2:] == ["icd10,B48*,2019", "snomed,44054006,"]
    assert CodeList.read(file).id == codes.id
    found = lint(tmp_path / "list.csv")
    assert found.empty
    file.write_text("system,code,icd10_edition\nicd10,B59,2019\n")
    assert lint(file)["rule"].tolist() == ["edition"]


def test_two_editions_in_one_file_or_an_unknown_one_are_refused_with_the_line(tmp_path):
    file = tmp_path / "list.csv"
    file.write_text("system,code,icd10_edition\nicd10,B59,2016\nicd10,B48.5,2019\n")
    for read in (CodeList.read, read_published, lint):
        with pytest.raises(InputError, match=r"list\.csv:3, icd10_edition: a code list is of one edition"):
            read(file)
    file.write_text("system,code,icd10_edition\nicd10,B59,2016\n")
    with pytest.raises(InputError, match="one edition"):
        CodeList.read(file, edition="2019")
    file.write_text("system,code,icd10_edition\nicd10,B59,5\n")
    with pytest.raises(InputError, match="unknown edition"):
        CodeList.read(file)


def test_merged_lists_are_of_an_edition_only_where_all_are():
    one, other = (CodeList.of(e, [("icd10", "A00")], edition=e) for e in ("2016", "2019"))
    plain = CodeList.of("drugs", [("bnf", "0601")])
    assert [merged("x", lists).edition for lists in ([one, plain], [one, other], [one, one])] == [
        "2016", None, "2016",
    ]  # fmt: skip


LISTS = [
    [("icd10", "B59")], [("icd10", "B48.5")], [("icd10", "B48*")], [("icd10", "B48*"), ("icd10", "!B48.5")],
    [("icd10", "B48*"), ("icd10", "!B59")], [("icd10", "U07*")], [("icd10", "U09*"), ("icd10", "U07.3")],
]  # fmt: skip
CODES = ["B59", "B485", "B48", "B484", "U073", "U07", "U08", "U089", "U074", "U099"]


def test_the_plain_engine_and_a_persons_path_tell_what_the_derivation_finds_in_every_edition():
    sources = {"plain": None, "nhs": "2016", "who": "2019"}
    hub = connect()
    create_hub_tables(hub)
    rows = [(source, code) for source in sources for code in CODES]
    for i, (source, code) in enumerate(rows):
        hub.connection.execute("INSERT INTO people VALUES (?, 'F', DATE '1950-01-01')", [i])
        hub.connection.execute(
            "INSERT INTO events VALUES (?, ?, DATE '2010-01-01', ?, 'diagnosis', 'icd10', ?, NULL, NULL)",
            [i, i, source, code],
        )
    for source, edition in sources.items():
        hub.connection.execute("INSERT INTO sources VALUES (?, ?, NULL)", [source, edition])
    persons = hub.frame("SELECT person_id, sex, birth_date FROM people ORDER BY person_id")
    days = {"index_date": date(2012, 1, 1), "data_end": date(2020, 1, 1)}
    asked = {
        f"p{n}": Phenotype(f"p{n}", has(CodeList.of("x", codes, edition=edition)))
        for n, (codes, edition) in enumerate(product(LISTS, (None, "2016", "2019")))
    }
    found = derive(hub, persons, phenotypes=asked, **days).wide
    for name, phenotype in asked.items():
        codes = phenotype.rule.codelist
        for i, (source, code) in enumerate(rows):
            event = Event(date(2010, 1, 1), "icd10", code, "diagnosis", source, edition=sources[source])
            case = status(phenotype, Person((event,), "F"), days["index_date"], 3000)[0] == "case"
            assert case == (found.loc[i, name] == 1), (codes.entries, codes.edition, source, code)
            if source == "plain":
                assert case == codes.matches("icd10", code)
    nhs = rows.index(("nhs", "B59"))
    assert [trace(asked[name], hub, nhs, **days).status for name in ("p0", "p3", "p8")] == [
        "case",
        "case",
        "case",
    ]
    assert trace(asked["p3"], hub, rows.index(("plain", "B59")), **days).status != "case"
