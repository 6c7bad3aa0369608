"""Rules as words."""

from __future__ import annotations

import pytest

from phenotypes.codelist import CodeList
from phenotypes.plain_english import phrase
from phenotypes.rules import InOrder, Rule, all_of, any_of, has, none_of, prescribed, value

A = CodeList.of("gout", [("icd10", "M10*")])
B = CodeList.of("urate_lowering", [("bnf", "100104*")])


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (has(A).last(), "a latest record (a record of gout)"),
        (
            has(A, kinds=["event", "diagnosis"]),
            "a record of gout as an entry of a record or as a diagnosis of a stay in hospital",
        ),
        (has(A).aged(35), "a record of gout at the age of 35 or older"),
        (has(A).aged(18, 35), "a record of gout at an age from 18 to 34"),
        (has(A).aged(None, 18), "a record of gout before the age of 18"),
        (
            has(A).near(prescribed(B), -30, 31),
            "a record of gout with a prescription of urate lowering within 30 days of it",
        ),
        (
            has(A).near(prescribed(B), 0, 1),
            "a record of gout with a prescription of urate lowering the same day",
        ),
        (
            has(A).not_near(has(A), -365, 0),
            "a record of gout without a record of gout from 365 days earlier to 1 day earlier",
        ),
        (
            has(A).not_near(prescribed(B), 0, None),
            "a record of gout without a prescription of urate lowering the same day or later",
        ),
        (
            has(A).near(has(A), 90, None),
            "a record of gout with a record of gout at least 90 days later",
        ),
        (
            has(A).near(has(A), None, 0),
            "a record of gout with a record of gout at least 1 day earlier",
        ),
        (
            has(A).near(prescribed(B), None, None),
            "a record of gout with a prescription of urate lowering on any day",
        ),
        (
            value(A, below=60).lasting(90, unless=value(A, at_least=60)),
            "a gout measurement below 60 and another at least 90 days earlier, "
            "with no gout measurement of at least 60 between them",
        ),
        (
            all_of(has(A), any_of(has(B), prescribed(B)), none_of(has(A).first(), has(B))),
            "a record of gout, and either a record of urate lowering or a prescription of urate lowering, "
            "and neither a first record (a record of gout) nor a record of urate lowering",
        ),
        (
            all_of(has(A).at_least(2, gap_days=30), has(B)),
            "a record of gout on at least 2 different days, the first and last at least 30 days apart, "
            "and a record of urate lowering",
        ),
        (
            any_of(has(A), all_of(has(A), has(B)), any_of(has(B), prescribed(B))),
            "a record of gout, both a record of gout and a record of urate lowering, "
            "a record of urate lowering or a prescription of urate lowering",
        ),
        (
            any_of(has(A), has(B)).at_least(2),
            "(a record of gout or a record of urate lowering) on at least 2 different days",
        ),
        (
            none_of(InOrder((has(A), prescribed(B)))),
            "not (first a record of gout, and later a prescription of urate lowering)",
        ),
        (value(A, "mmol/L", above=11, below=20), "a gout measurement above 11 and below 20 mmol/L"),
        (value(A, "mmol/L", at_least=11, at_most=20), "a gout measurement from 11 to 20 mmol/L"),
        (value(A, at_most=20), "a gout measurement of at most 20"),
        (value(A, at_least=20), "a gout measurement of at least 20"),
        (
            value(A, below=60, formula="ckd_epi_2021"),
            "an eGFR (CKD-EPI 2021, from gout) below 60 mL/min/1.73m2",
        ),
    ],
)
def test_a_rule_is_said_in_words(rule: Rule, words: str) -> None:
    assert phrase(rule) == words
