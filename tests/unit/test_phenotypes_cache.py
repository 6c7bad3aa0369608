"""Kept answers: what did not change is not asked again, and nothing changes what is answered."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from cohorts.errors import InputError
from phenotypes import derivation
from phenotypes.codelist import CodeList
from phenotypes.definitions import CategoryTrait, NumericTrait, Outcome, Phenotype
from phenotypes.derivation import Derived, derive
from phenotypes.rules import has, prescribed, value
from phenotypes.worked import hub_of, patients
from workflows.answers import AnswerFolder

INDEX, END = date(2012, 1, 1), date(2014, 12, 31)
GOUT = CodeList.of("gout", [("icd10", "M10*")])
WIDER = CodeList.of("gout", [("icd10", "M10*"), ("icd10", "M11*")])
SUGAR = CodeList.of("sugar", [("snomed", "999791000000106")])
DRUG = CodeList.of("drug", [("bnf", "0601022*")])
ABSENT = CodeList.of("absent", [("icd10", "Z99")])
PEOPLE = patients(
    """
    who | date       | code                   | value | unit
    amy | 2010-05-01 | icd10 M100             |       |
    amy | 2011-05-01 | snomed 999791000000106 | 51    | mmol/mol
    ben | 2010-05-01 | icd10 M110             |       |
    ben | 2013-05-01 | icd10 M109             |       |
    cat | 2011-07-01 | bnf 0601022B0          |       |
    dan |            |                        |       |
    """
)


def _definitions(gout: CodeList = GOUT) -> dict[str, Any]:
    return {
        "phenotypes": {
            "gout": Phenotype("gout", has(gout), label="Gout"),
            "sugar": Phenotype("sugar", value(SUGAR, "mmol/mol", at_least=48), exclude=(prescribed(DRUG),)),
            "nobody": Phenotype("nobody", has(ABSENT)),
        },
        "traits": {
            "a1c": NumericTrait("a1c", (SUGAR,), "mmol/mol", (20, 200)),
            "level": CategoryTrait("level", (("gout", GOUT), ("drug", ABSENT))),
        },
        "outcomes": {"new": Outcome("new", has(GOUT)), "never": Outcome("never", has(ABSENT))},
    }


def _derived(store: Any, people: Any = PEOPLE, gout: CodeList = GOUT, **more: Any) -> Derived:
    hub, persons = hub_of(people.values())
    with hub:
        asked = {"index_date": INDEX, "data_end": END, "cache": store, **_definitions(gout), **more}
        return derive(hub, persons, **asked)


def _assert_same(one: Derived, other: Derived) -> None:
    pd.testing.assert_frame_equal(one.long, other.long)
    pd.testing.assert_frame_equal(one.wide, other.wide)
    pd.testing.assert_frame_equal(one.survival, other.survival)
    for table in ("statuses", "codes", "traits", "outcomes", "notes"):
        found, wanted = getattr(one.diagnostics, table), getattr(other.diagnostics, table)
        pd.testing.assert_frame_equal(found, wanted, check_dtype=False)


PLACES = ("phenotypes.gout", "phenotypes.sugar", "phenotypes.nobody", "traits.a1c", "traits.level")
PLACES += ("outcomes.new", "outcomes.never")


def test_a_second_derivation_asks_nothing_and_answers_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    store: dict[str, pa.Table] = {}
    plain, first = _derived(None), _derived(store)
    monkeypatch.setattr(derivation, "narrow", lambda *_, **__: pytest.fail("the records were narrowed again"))
    second = _derived(store)
    assert (plain.reused, first.reused, second.reused) == ((), (), PLACES)
    _assert_same(first, plain)
    _assert_same(second, plain)


def test_a_changed_code_list_asks_its_definition_again_and_no_other() -> None:
    store: dict[str, pa.Table] = {}
    _derived(store)
    again = _derived(store, gout=WIDER)
    assert set(PLACES) - set(again.reused) == {"phenotypes.gout"}
    _assert_same(again, _derived(None, gout=WIDER))


@pytest.mark.parametrize(
    "change",
    [
        {"index_date": date(2012, 1, 2)},
        {"data_end": date(2014, 12, 30)},
        {"hub_id": "another"},
        {"people": {**PEOPLE, "eve": PEOPLE["dan"]}},
        {"people": {**PEOPLE, "dan": PEOPLE["amy"]}},
    ],
)
def test_other_people_records_or_dates_are_asked_about_anew(change: dict[str, Any]) -> None:
    store: dict[str, pa.Table] = {}
    _derived(store)
    again = _derived(store, **change)
    assert again.reused == ()
    _assert_same(again, _derived(None, **change))


def test_renamed_definitions_and_lists_reuse_answers_under_their_new_names() -> None:
    store: dict[str, pa.Table] = {}
    _derived(store)
    hub, persons = hub_of(PEOPLE.values())
    renamed = CodeList("podagra", GOUT.entries)
    with hub:
        asked = {
            "phenotypes": {"p": Phenotype("p", has(renamed))},
            "outcomes": {"o": Outcome("o", has(renamed))},
        }
        found = derive(hub, persons, index_date=INDEX, data_end=END, cache=store, **asked)
    assert found.reused == ("phenotypes.p", "outcomes.o")
    assert set(found.long["phenotype"]) == {"p"}
    assert set(found.survival["outcome"]) == set(found.diagnostics.outcomes["outcome"]) == {"o"}
    assert set(found.diagnostics.codes["codelist"]) == {"podagra"}


def test_a_folder_keeps_answers_for_the_next_process_and_says_which_file_is_damaged(tmp_path: Path) -> None:
    first = _derived(AnswerFolder(tmp_path / "answers"))
    second = _derived(AnswerFolder(tmp_path / "answers"))
    assert second.reused == PLACES
    _assert_same(second, first)
    damaged = next((tmp_path / "answers").glob("*.parquet"))
    damaged.write_bytes(b"PAR1 no more")
    with pytest.raises(InputError, match="a kept answer cannot be read"):
        AnswerFolder(tmp_path / "answers").get(damaged.stem)
