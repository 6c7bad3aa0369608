"""Worked patients: the study's definitions on people whose answer a clinician can give from their records."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from pydantic import ValidationError

from cohorts.errors import StudyError
from phenotypes.codelist import CodeList
from phenotypes.definitions import Phenotype
from phenotypes.rules import has, none_of
from phenotypes.spec import PhenotypeSpec
from phenotypes.worked import check, patients

INDEX, DATA_END = date(2012, 1, 1), date(2022, 12, 31)
CODES = Path(__file__).resolve().parents[2] / "workflows" / "demo" / "codes"
STUDY = """
label: Type 2 diabetes
any:
  - {has: t2d, at_least: 2, gap_days: 30}
  - all: [{has: t2d}, {prescribed: diabetes_drugs}]
  - {value: hba1c, unit: mmol/mol, at_least: 48}
none:
  - {has: t1d}
"""


def _lists() -> dict[str, CodeList]:
    return {path.stem: CodeList.read(path) for path in sorted(CODES.glob("*.csv"))}


def _phenotype(text: str, **more: Any) -> Phenotype:
    return PhenotypeSpec.model_validate({**yaml.safe_load(text), **more}).build(_lists(), "checked")


def _agrees(phenotype: Phenotype, table: str, expected: dict[str, str]) -> None:
    people = patients(table)
    result = check(phenotype, people, expected, index_date=INDEX, data_end=DATA_END)
    pd.testing.assert_frame_equal(result[~result["agrees"]], result.iloc[:0])


def test_type_2_diabetes_by_two_codes_code_and_drug_or_hba1c() -> None:
    _agrees(
        _phenotype(STUDY),
        """
        who           | date       | code                    | value | unit
        two codes     | 2010-03-01 | snomed 44054006         |       |
        two codes     | 2010-03-31 | icd10 E11.9             |       |
        too close     | 2010-03-01 | snomed 44054006         |       |
        too close     | 2010-03-30 | snomed 44054006         |       |
        one code      | 2010-03-01 | snomed 44054006         |       |
        code and drug | 2010-03-01 | snomed 44054006         |       |
        code and drug | 2009-01-01 | bnf 0601022B0AAABAB     |       |
        drug alone    | 2009-01-01 | bnf 0601022B0AAABAB     |       |
        insulin alone | 2010-03-01 | snomed 44054006         |       |
        insulin alone | 2010-04-15 | bnf 0601012Z0AAAAAA     |       |
        lab           | 2015-03-01 | snomed 999791000000106  | 48    | mmol/mol
        lab percent   | 2015-03-01 | snomed 1003671000000109 | 6.5   | %
        wrong unit    | 2015-03-01 | snomed 999791000000106  | 48    | %
        no unit       | 2015-03-01 | snomed 999791000000106  | 60    |
        near miss     | 2015-03-01 | snomed 999791000000106  | 47    | mmol/mol
        type 1        | 2010-03-01 | snomed 46635009         |       |
        both types    | 2010-03-01 | snomed 44054006         |       |
        both types    | 2010-05-01 | snomed 44054006         |       |
        both types    | 2020-05-01 | icd10 E10.9             |       |
        healthy       |            |                         |       |
        """,
        {
            "two codes": "case",
            "too close": "control",
            "one code": "control",
            "code and drug": "case",
            "drug alone": "control",
            "insulin alone": "control",
            "lab": "case",
            "lab percent": "case",
            # 48% would be 501 mmol/mol: nobody lives with it, so nothing is concluded from it
            "wrong unit": "control",
            "no unit": "control",
            "near miss": "control",
            "type 1": "excluded",
            "both types": "excluded",
            "healthy": "control",
        },
    )


def test_controls_without_keeps_doubtful_people_out_of_the_controls() -> None:
    doubtful = _phenotype(STUDY, controls_without=[{"has": "t2d"}, {"prescribed": "diabetes_drugs"}])
    _agrees(
        doubtful,
        """
        who        | date       | code
        one code   | 2010-03-01 | snomed 44054006
        drug alone | 2009-01-01 | bnf 0601022B0AAABAB
        two codes  | 2010-03-01 | snomed 44054006
        two codes  | 2011-03-31 | snomed 44054006
        healthy    |            |
        """,
        {"one code": "excluded", "drug alone": "excluded", "two codes": "case", "healthy": "control"},
    )


def test_until_index_does_not_look_ahead() -> None:
    _agrees(
        _phenotype(STUDY, until="index"),
        """
        who      | date       | code
        before   | 2011-01-01 | snomed 44054006
        before   | 2011-12-31 | snomed 44054006
        index    | 2011-01-01 | snomed 44054006
        index    | 2012-01-01 | snomed 44054006
        t1 later | 2011-01-01 | snomed 44054006
        t1 later | 2011-12-01 | snomed 44054006
        t1 later | 2012-02-01 | snomed 46635009
        """,
        {"before": "case", "index": "control", "t1 later": "case"},
    )


def test_coronary_disease_from_any_kind_of_record() -> None:
    _agrees(
        _phenotype("label: Coronary disease\nany: [{has: chd}]"),
        """
        who        | date       | code
        gp         | 2010-03-01 | snomed 22298006
        hospital   | 2010-03-01 | icd10 I21.4
        operation  | 2010-03-01 | opcs4 K75.1
        statin     | 2010-03-01 | bnf 0212000Y0AAADAD
        heart fail | 2010-03-01 | icd10 I50.0
        """,
        {"gp": "case", "hospital": "case", "operation": "case", "statin": "control", "heart fail": "control"},
    )


# The published electronic algorithm for type 2 diabetes (eMERGE; Kho et al., JAMIA 2012) has five ways to be
# a case. The people below restate, in our codes, the facts of the eleven public test cases of that
# algorithm: who has which records, and whether they are a case.
EMERGE = """
label: Type 2 diabetes (eMERGE)
any:
  - all: [{has: t2d}, {in_order: [{prescribed: diabetes_drugs}, {prescribed: insulin}]}]
  - all: [{has: t2d}, {prescribed: diabetes_drugs}, {none: [{prescribed: insulin}]}]
  - all:
      - {has: t2d}
      - {none: [{prescribed: insulin}, {prescribed: diabetes_drugs}]}
      - any:
          - {value: fasting_glucose, unit: mg/dL, at_least: 125}
          - {value: glucose, unit: mg/dL, at_least: 200}
          - {value: hba1c, unit: "%", at_least: 6.5}
  - all:
      - {none: [{has: t2d}]}
      - {prescribed: diabetes_drugs}
      - any:
          - {value: fasting_glucose, unit: mg/dL, at_least: 125}
          - {value: glucose, unit: mg/dL, at_least: 200}
          - {value: hba1c, unit: "%", at_least: 6.5}
  - all:
      - {any: [{has: t2d, source: gp}, {has: t2d, source: hospital}], at_least: 2}
      - {prescribed: insulin}
      - {none: [{prescribed: diabetes_drugs}]}
none: [{has: t1d}]
"""


def test_the_emerge_algorithm_answers_its_eleven_public_cases() -> None:
    lists = _lists() | {
        "fasting_glucose": CodeList.of("fasting_glucose", [("snomed", "271062006")]),
        "glucose": CodeList.of("glucose", [("snomed", "997671000000106")]),
    }
    emerge = PhenotypeSpec.model_validate(yaml.safe_load(EMERGE)).build(lists, "emerge")
    people = patients(
        """
        who | date       | code                    | value | unit  | source
        01  | 2008-11-12 | snomed 46635009         |       |       | gp
        02  | 2008-11-12 | snomed 44054006         |       |       | gp
        02  | 2010-10-10 | snomed 44054006         |       |       | gp
        02  | 2008-11-12 | bnf 0601012Z0AAAAAA     |       |       |
        02  | 2009-10-15 | bnf 0601012Z0AAAAAA     |       |       |
        02  | 2014-10-15 | bnf 0601023B0AAABAB     |       |       |
        02  | 2016-11-22 | bnf 0601023B0AAABAB     |       |       |
        02  | 2018-09-01 | bnf 0601023B0AAABAB     |       |       |
        03  | 2008-11-12 | snomed 44054006         |       |       | gp
        03  | 2014-10-10 | snomed 44054006         |       |       | gp
        03  | 2014-10-15 | bnf 0601023B0AAABAB     |       |       |
        03  | 2015-11-22 | bnf 0601023B0AAABAB     |       |       |
        03  | 2016-11-12 | bnf 0601012Z0AAAAAA     |       |       |
        03  | 2017-10-15 | bnf 0601012Z0AAAAAA     |       |       |
        03  | 2018-10-15 | bnf 0601012Z0AAAAAA     |       |       |
        04  | 2014-10-10 | snomed 44054006         |       |       | gp
        04  | 2014-10-15 | bnf 0601023B0AAABAB     |       |       |
        05  | 2014-10-15 | bnf 0601023B0AAABAB     |       |       |
        06  | 2014-10-10 | snomed 44054006         |       |       | gp
        06  | 2014-10-11 | snomed 271062006        | 125   | mg/dl | gp
        07  | 2014-10-11 | snomed 997671000000106  | 200   | mg/dl | gp
        07  | 2014-10-15 | bnf 0601023B0AAABAB     |       |       |
        08  | 2014-10-10 | snomed 44054006         |       |       | unstated
        08  | 2015-10-10 | snomed 44054006         |       |       | unstated
        08  | 2016-11-12 | bnf 0601012Z0AAAAAA     |       |       |
        09  | 2014-10-10 | snomed 44054006         |       |       | gp
        09  | 2015-10-10 | snomed 44054006         |       |       | gp
        09  | 2014-10-12 | bnf 0601012Z0AAAAAA     |       |       |
        10  | 2014-10-10 | snomed 44054006         |       |       | hospital
        10  | 2015-10-10 | snomed 44054006         |       |       | hospital
        10  | 2014-10-12 | bnf 0601012Z0AAAAAA     |       |       |
        11  | 2014-10-10 | snomed 44054006         |       |       | gp
        11  | 2015-10-10 | snomed 44054006         |       |       | hospital
        11  | 2014-10-12 | bnf 0601012Z0AAAAAA     |       |       |
        """
    )
    not_cases = {"01": "excluded", "02": "control", "05": "control", "08": "control"}
    expected = {name: not_cases.get(name, "case") for name in people}
    result = check(emerge, people, expected, index_date=INDEX, data_end=DATA_END)
    assert len(result) == 11
    pd.testing.assert_frame_equal(result[~result["agrees"]], result.iloc[:0])


@pytest.mark.parametrize(("sex", "status"), [("F", "case"), ("M", "excluded"), (None, "unknown")])
def test_a_condition_of_one_sex_excludes_the_other(sex: str | None, status: str) -> None:
    phenotype = _phenotype("label: Breast disease\nsex: F\nany: [{has: asthma}]")
    person = replace(patients("who | date | code\n a | 2010-01-01 | icd10 J45.0")["a"], sex=sex)
    result = check(phenotype, {"a": person}, {"a": status}, index_date=INDEX, data_end=DATA_END)
    assert result["agrees"].all(), result


def test_incident_leaves_out_who_had_it_before_and_wash_out_who_has_just_joined() -> None:
    records = """
        who      | date       | code
        before   | 2011-12-31 | icd10 E11
        on       | 2012-01-01 | icd10 E11
        joined   | 2013-12-31 | icd10 E11
        settled  | 2014-01-01 | icd10 E11
        returned | 2016-03-31 | icd10 E11
        moved    | 2016-03-30 | icd10 E11
        healthy  |            |
    """
    span = date(2013, 1, 1), date(2016, 1, 1)
    registered = {
        "joined": (span,),
        "settled": (span,),
        # a break of 90 days is none, one of 91 begins the wash-out anew
        "moved": (span, (date(2016, 3, 31), date(2030, 1, 1))),
        "returned": ((date(2013, 1, 1), date(2015, 12, 31)), (date(2016, 3, 31), date(2030, 1, 1))),
    }
    people = {
        name: replace(person, registrations=registered.get(name, person.registrations))
        for name, person in patients(records).items()
    }
    rule = has(CodeList.of("t2d", [("icd10", "E11*")]))
    new = {
        "settled": "case",
        "moved": "case",
        "joined": "excluded",
        "returned": "excluded",
        "healthy": "control",
    }
    for phenotype, expected in (
        (Phenotype("p", rule, onset="incident"), {"before": "excluded", "on": "case", "healthy": "control"}),
        (Phenotype("p", rule, washout_days=365), {"before": "case", **new}),
    ):
        result = check(phenotype, people, expected, index_date=INDEX, data_end=DATA_END)
        pd.testing.assert_frame_equal(result[~result["agrees"]], result.iloc[:0])


def test_a_definition_that_cannot_be_new_is_refused() -> None:
    with pytest.raises(StudyError, match="without a date"):
        Phenotype("p", none_of(has(CodeList.of("t2d", [("icd10", "E11*")]))), washout_days=1)
    with pytest.raises(ValidationError, match="begins on or after"):
        PhenotypeSpec.model_validate({**yaml.safe_load(STUDY), "onset": "incident", "until": "index"})
    assert _phenotype(STUDY).id != _phenotype(STUDY, washout_days=365).id
