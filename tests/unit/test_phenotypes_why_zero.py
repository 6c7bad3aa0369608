"""Each reason for which a definition finds nobody is told, and the right one."""

from __future__ import annotations

from datetime import date

import pytest

from cohorts.hub import connect, create_hub_tables
from phenotypes import CodeList, Phenotype, all_of, derive, has, none_of, value
from phenotypes.rules import in_order
from phenotypes.why_zero import why_zero

INDEX = date(2012, 1, 1)
T2D = CodeList.of("t2d", [("snomed", "44054006")])
ASTHMA = CodeList.of("asthma", [("icd10", "J45")])
HBA1C = CodeList.of("hba1c", [("snomed", "999791000000106")])
NEVER = CodeList.of("never", [("snomed", "73211009")])
#: person, day, source, kind, system, code, value, unit; person 4 is outside the study
ROWS = [
    (1, "2011-05-01", "gp", "observation", "snomed", "44054006", None, None),
    (2, "2013-05-01", "gp", "observation", "snomed", "44054006", None, None),
    (2, "2011-05-01", "gp", "observation", "snomed", "999791000000106", 40.0, "mmol/mol"),
    (3, "2011-05-01", "hospital", "diagnosis", "icd10", "J45", None, None),
    (4, "2011-05-01", "gp", "observation", "snomed", "195967001", None, None),
    (1, "2011-05-01", "gp", "observation", "ctv3", "C10F.", None, None),
    (1, "2011-05-01", "gp", "observation", "read2", "h33", None, None),
    (1, "2011-05-01", "gp", "prescription", "rxnorm", "861820", None, None),
]


@pytest.fixture(scope="module")
def world():
    hub = connect()
    create_hub_tables(hub)
    hub.connection.executemany(
        "INSERT INTO people VALUES (?, ?, '1960-01-01')", [(i, "MFFM"[i - 1]) for i in range(1, 5)]
    )
    hub.connection.executemany("INSERT INTO events VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?)", ROWS)
    return hub, hub.frame("SELECT * FROM people WHERE person_id < 4 ORDER BY person_id")


def _told(world, phenotype: Phenotype):
    hub, persons = world
    table = why_zero(hub, persons, phenotype, index_date=INDEX)
    found = derive(hub, persons, index_date=INDEX, phenotypes={"x": phenotype}).statuses["x"]
    by_status = table[table["what"] == "case"]
    assert by_status["people"].tolist() == [len(found.who)]
    return table


@pytest.mark.parametrize(
    ("codes", "note"),
    [
        (NEVER, "no code of the list is recorded by anybody"),
        (
            CodeList.of("x", [("rxnorm", "6809")]),
            "no code of the list is recorded by anybody; where it lists ingredients",
        ),
        (CodeList.of("x", [("snomed", "195967001")]), "recorded, but only of people outside the study"),
        (CodeList.of("x", [("read2", "C10F")]), "its read2 codes are recorded under the system ctv3"),
        (CodeList.of("x", [("read2", "H33")]), "recorded in another spelling, such as 'h33' (read2)"),
        (
            CodeList.of("x", [("opcs4", "X09")]),
            "no code of opcs4 is recorded by anybody; there is ctv3, icd10",
        ),
    ],
)
def test_codes_that_nobody_has(world, codes, note):
    row = _told(world, Phenotype("x", has(codes))).iloc[0]
    assert (row["step"], row["people"]) == ("codes", 0)
    assert row["note"].startswith(note)


@pytest.mark.parametrize(
    ("phenotype", "note"),
    [
        (Phenotype("x", has(T2D).within(-3650, -1000)), "what it narrows has dates, but none that it keeps"),
        (
            Phenotype("x", has(ASTHMA, source="clinic")),
            "the hub has no source 'clinic'; there is gp, hospital",
        ),
        (
            Phenotype("x", value(HBA1C, "mmol/mol", at_least=48)),
            "hba1c is recorded, but not as an HbA1c measurement",
        ),
        (Phenotype("x", all_of(has(T2D), has(ASTHMA))), "each part holds for somebody, but not together"),
        (
            Phenotype("x", in_order(has(T2D), value(HBA1C, "mmol/mol"))),
            "each part holds for somebody, but not in this",
        ),
        (Phenotype("x", all_of(has(T2D), has(NEVER))), "a part holds for nobody"),
        (Phenotype("x", has(T2D).at_least(2)), "what it narrows has dates, but none that it keeps"),
    ],
)
def test_parts_of_the_rule_that_hold_for_nobody(world, phenotype, note):
    table = _told(world, phenotype)
    last = table[table["step"] == "rule"].iloc[-1]
    assert last["people"] == 0
    assert last["note"].startswith(note)


def test_a_definition_that_reads_to_the_index_date_says_when_all_is_later(world):
    late = Phenotype("x", all_of(has(T2D), value(HBA1C, "mmol/mol")), until="index")
    rule = _told(world, late).query("step == 'rule'").iloc[-1]
    assert rule["note"] == "holds for some people, but only from the index date on"


@pytest.mark.parametrize(
    ("phenotype", "what", "people"),
    [
        (Phenotype("x", has(ASTHMA), sex="M"), "rule holds, but not of sex M", 1),
        (Phenotype("x", has(T2D), exclude=(has(T2D),)), "rule holds, but a rule excludes", 2),
        (Phenotype("x", has(T2D), washout_days=365), "rule holds, but not known to be new", 2),
        (
            Phenotype("x", all_of(has(T2D), none_of(has(NEVER))), exclude=(has(NEVER),)),
            "rule holds, but a rule excludes",
            0,
        ),
    ],
)
def test_those_whom_the_rule_holds_for_are_followed_to_their_status(world, phenotype, what, people):
    table = _told(world, phenotype).set_index("what")
    assert table.loc[what, "people"] == people
    assert (table.loc["case", "note"] != "") == (people > 0)


def test_every_person_has_one_status(world):
    table = _told(world, Phenotype("x", has(T2D)))
    assert table.set_index("what").loc[["case", "control", "excluded", "unknown"], "people"].sum() == 3
