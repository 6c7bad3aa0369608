"""The records behind a status, and one person's path through a definition."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from cohorts.errors import DesignError
from phenotypes.codelist import CodeList
from phenotypes.definitions import Outcome, Phenotype
from phenotypes.evidence import evidence, tell, trace
from phenotypes.rules import all_of, any_of, has, none_of, prescribed
from phenotypes.worked import hub_of, patients

INDEX, END = date(2012, 1, 1), date(2012, 12, 31)
GOUT = CodeList.of("gout", [("icd10", "M10*")])
DRUG = CodeList.of("allopurinol", [("bnf", "1001040*")])
CKD = CodeList.of("ckd", [("icd10", "N18*")])
RULE = any_of(
    has(GOUT).at_least(2, gap_days=30),
    all_of(has(GOUT).near(prescribed(DRUG), 0, 91), none_of(has(CKD))),
)
DEFINITION = Phenotype("gout", RULE, label="Gout", exclude=(has(CKD).at_least(2),))
PEOPLE = patients(
    """
    who      | date       | code
    twice    | 2010-05-01 | icd10 M10.0
    twice    | 2010-07-01 | icd10 M10.9
    twice    | 2010-07-01 | icd10 M109
    treated  | 2010-05-01 | icd10 M100
    treated  | 2010-06-01 | bnf 1001040C0
    treated  | 2012-11-01 | icd10 I10
    once     | 2010-05-01 | icd10 M100
    excluded | 2010-05-01 | icd10 N180
    excluded | 2010-06-01 | icd10 N180
    empty    |            |
    """
)


def test_evidence_is_the_records_on_the_dates_that_count() -> None:
    hub, persons = hub_of(PEOPLE.values())
    with hub:
        found = evidence(DEFINITION, hub, persons, index_date=INDEX, data_end=END)
    names = list(PEOPLE)
    found["who"] = [names[i] for i in found["person_id"]]
    rows = found.groupby(["who", "role"])["row_id"].apply(lambda r: sorted(set(r))).to_dict()
    assert rows == {
        ("twice", "case"): [0, 1, 2],
        ("treated", "case"): [3],
        ("excluded", "exclude"): [7, 8],
    }
    assert set(found["codelist"]) == {"gout", "ckd"}
    assert found.loc[found["row_id"] == 2, "code"].unique() == ["M109"]


def test_evidence_stops_at_its_limit_and_has_its_columns_when_there_is_none() -> None:
    hub, persons = hub_of(PEOPLE.values())
    with hub:
        some = evidence(DEFINITION, hub, persons, index_date=INDEX, data_end=END, limit=2)
        none = evidence(DEFINITION, hub, persons.tail(1), index_date=INDEX, data_end=END)
    assert len(some) == 2
    assert none.empty
    assert list(none.columns) == list(some.columns)


def test_a_path_tells_which_rule_held_and_when_and_no_codes_or_values() -> None:
    hub, persons = hub_of(PEOPLE.values())
    with hub:
        path = trace(DEFINITION, hub, 1, index_date=INDEX, data_end=END, persons=persons)
    assert (path.status, path.day) == ("case", date(2010, 5, 1))
    assert list(path.records["row_id"]) == [3, 4]
    assert tell(path).splitlines() == [
        "Gout: person 1 is a case, dated 1 May 2010.",
        "What makes a case:",
        "  yes  one or more of: 1 May 2010",
        "    no   a record of gout on at least 2 different days, the first and last at least 30 days apart",
        "      yes  a record of gout: 1 May 2010 (record 3)",
        "    yes  all of: 1 May 2010",
        "      yes  a record of gout with a prescription of allopurinol from the same day to 90 days later: "
        "1 May 2010",
        "        yes  a record of gout: 1 May 2010 (record 3)",
        "        yes  a prescription of allopurinol: 1 June 2010 (record 4)",
        "      yes  none of",
        "        no   a record of CKD",
        "What excludes:",
        "  no   a record of CKD on at least 2 different days",
        "    no   a record of CKD",
    ]


def test_a_path_of_somebody_excluded_and_of_somebody_never_seen() -> None:
    hub, persons = hub_of(PEOPLE.values())
    with hub:
        excluded = trace(DEFINITION, hub, 3, index_date=INDEX, data_end=END, persons=persons)
        empty = trace(DEFINITION, hub, 4, index_date=INDEX, data_end=END, persons=persons)
    assert tell(excluded).startswith("Gout: person 3 is neither case nor control.")
    assert empty.status == "control"  # registered, without a record
    assert not empty.roles["case"].holds


def test_a_path_through_the_event_of_an_outcome() -> None:
    outcome = Outcome("ihd", has(CodeList.of("ihd", [("icd10", "I10")])), label="IHD")
    hub, persons = hub_of(PEOPLE.values())
    with hub:
        path = trace(outcome, hub, 1, index_date=INDEX, data_end=END, persons=persons)
        none = trace(outcome, hub, 0, index_date=INDEX, data_end=END, persons=persons)
    assert (path.status, path.day) == ("event", date(2012, 11, 1))
    assert tell(none).startswith("IHD: person 0 has no event.")


def test_nobody_of_that_pseudonym_is_an_error_that_does_not_repeat_it() -> None:
    hub, persons = hub_of(PEOPLE.values())
    with hub, pytest.raises(DesignError, match="nobody there has this pseudonym") as caught:
        trace(DEFINITION, hub, 987654, index_date=INDEX, data_end=END, persons=persons)
    assert "987654" not in str(caught.value)


def test_people_come_from_the_hub_where_none_are_given() -> None:
    hub, _ = hub_of(PEOPLE.values())
    hub.connection.execute("INSERT INTO people VALUES (0, 'F', DATE '1960-01-01')")
    with hub:
        assert trace(DEFINITION, hub, 0, index_date=INDEX).status == "case"


def test_every_column_of_the_evidence_is_filled() -> None:
    hub, persons = hub_of(PEOPLE.values())
    with hub:
        found = evidence(DEFINITION, hub, persons, index_date=INDEX, data_end=END)
    assert isinstance(found, pd.DataFrame)
    assert found.drop(columns=["value", "unit"]).notna().all().all()
