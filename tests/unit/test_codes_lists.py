"""What a line of a code list may say, and what lists mean to each other."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from cohorts.errors import DesignError, InputError
from phenotypes.code_systems import identifier_fault, normalised, verhoeff_digit
from phenotypes.codelist import CodeList, merged


def _texts(codes: CodeList) -> list[str]:
    return [str(entry) for entry in codes.entries]


@pytest.mark.parametrize(
    ("system", "written", "clean"),
    [
        ("icd10", "I10X", "I10"),
        ("icd10", "h36.0D", "H360"),
        ("icd10", "E10.3†", "E103"),
        ("icd10", "H36.0*", "H360"),
        ("icd10", "M45.X9", "M45X9"),
        ("icd10", "S52.00", "S5200"),
        ("icd10", "I10-", "I10"),
        ("read2", "C10F.00", "C10F"),
        ("read2", "G311500", "G3115"),
        ("read2", "66Ak.00", "66Ak"),
        ("ctv3", "XaELP", "XaELP"),
        ("opcs4", "k40.1", "K401"),
        ("bnf", "6.1.2.2", "0601022"),
        ("bnf", "0212000B0AAABAB", "0212000B0AAABAB"),
        ("loinc", "4548-4", "4548-4"),
    ],
)
def test_each_system_has_one_spelling_of_a_code(system: str, written: str, clean: str) -> None:
    assert normalised(system, written) == clean


@pytest.mark.parametrize("code", ["22298006", "44054006", "1022191000000100", "999791000000106"])
def test_right_identifiers_pass_the_check_digit(code: str) -> None:
    assert identifier_fault("snomed", code) is None


def test_every_single_wrong_digit_and_swap_of_neighbours_is_noticed() -> None:
    code = "999791000000106"
    for i, digit in enumerate(code):
        for other in "0123456789":
            if other != digit:
                assert identifier_fault("snomed", code[:i] + other + code[i + 1 :]) is not None
    for i in range(len(code) - 1):
        if code[i] != code[i + 1]:
            swapped = code[:i] + code[i + 1] + code[i] + code[i + 2 :]
            assert identifier_fault("snomed", swapped) is not None


def test_a_description_is_not_a_concept() -> None:
    assert (
        identifier_fault("snomed", "75478601" + verhoeff_digit("75478601"))
        == "this names a description, not a concept"
    )


def test_ranges_cross_letters_and_take_in_what_is_below() -> None:
    codes = CodeList.of("cancer", [("icd10", "C97-D01")])
    assert len(codes.entries) == 5
    assert codes.matches("icd10", "C991")
    assert codes.matches("icd10", "D019")
    assert not codes.matches("icd10", "D02")
    assert _texts(CodeList.of("x", [("icd10", "E11.2-E11.4")])) == [
        "icd10 E112*",
        "icd10 E113*",
        "icd10 E114*",
    ]


@pytest.mark.parametrize("written", ["E14-E10", "A00-E11.9", "A00-Z999"])
def test_ranges_that_make_no_sense_are_refused(written: str) -> None:
    with pytest.raises(InputError, match="range"):
        CodeList.of("x", [("icd10", written)])


def test_an_exclusion_wins_over_every_other_line() -> None:
    codes = CodeList.of("t2d", [("icd10", "E11*"), ("icd10", "!E11.2*"), ("icd10", "E1121")])
    assert [codes.matches("icd10", c) for c in ("E11", "E119", "E112", "E1121")] == [True, True, False, False]


def test_below_without_itself() -> None:
    codes = CodeList.of("x", [("icd10", "<E11")])
    assert [codes.matches("icd10", c) for c in ("E11", "E110", "E12")] == [False, True, False]


def test_found_in_equals_asking_code_by_code() -> None:
    codes = CodeList.of("x", [("icd10", "E11*"), ("icd10", "!E112*"), ("icd10", "I10"), ("icd10", "<J45")])
    used = sorted(["E10", "E11", "E112", "E1121", "E119", "I10", "I109", "J45", "J450"])
    assert codes.found_in("icd10", used) == [
        (code, entry) for code in used if (entry := codes.entry_for("icd10", code)) is not None
    ]


def test_a_list_that_needs_a_terminology_is_never_searched_as_if_it_did_not() -> None:
    codes = CodeList.of("t2d", [("snomed", "<<44054006"), ("icd10", "E11*")])
    assert codes.matches("icd10", "E119")
    for ask in (
        lambda: codes.matches("snomed", "44054006"),
        lambda: codes.found_in("snomed", ["44054006"]),
    ):
        with pytest.raises(DesignError, match="only a terminology file can tell"):
            ask()


@pytest.mark.parametrize("system", ["snomed", "ctv3", "dmd"])
def test_a_star_is_refused_where_codes_do_not_begin_like_their_parents(system: str) -> None:
    with pytest.raises(InputError, match="is not below it"):
        CodeList.of("x", [(system, "44054006*" if system != "ctv3" else "X40J5*")])


def test_an_exclude_column_and_ecl_terms_are_read(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("system,code,exclude\nicd10,E11*,\nicd10,E11.2*,yes\nsnomed,<< 44054006 |Type 2|,no\n")
    assert _texts(CodeList.read(path)) == ["icd10 E11*", "icd10 !E112*", "snomed <<44054006"]


def test_what_is_written_is_read_back_the_same(tmp_path: Path) -> None:
    codes = CodeList.of(
        "x", [("icd10", "<E11"), ("icd10", "!E11.2*"), ("snomed", "<<44054006"), ("read2", "C10F.")]
    )
    path = tmp_path / "x.csv"
    path.write_text(codes.csv())
    assert CodeList.read(path) == codes
    assert CodeList.read(path).id == codes.id


def test_codes_of_the_other_edition_are_found_either_way() -> None:
    hospital = CodeList.of("x", [("icd10", "B59"), ("icd10", "U07.4"), ("icd10", "J17*")])
    deaths = hospital.in_edition("2019")
    assert [deaths.matches("icd10", c) for c in ("B485", "B59", "U099", "U074", "J172")] == [
        True, False, True, False, True,
    ]  # fmt: skip
    both = hospital.across_editions()
    assert all(both.matches("icd10", c) for c in ("B485", "B59", "U099", "U074"))
    assert deaths.id != hospital.id
    assert len(both.remarks) == 2
    with pytest.raises(InputError, match="unknown edition"):
        hospital.in_edition("2010")


def test_merging_keeps_all_and_refuses_exclusions() -> None:
    a, b = CodeList.of("a", [("icd10", "I20*")]), CodeList.of("b", [("icd10", "I20*"), ("icd10", "!I201")])
    assert merged("ab", [a, a]).id == a.id
    with pytest.raises(DesignError, match="exclusions"):
        merged("ab", [a, b])


def test_diff_counts_what_the_records_use() -> None:
    old = CodeList.of("x", [("icd10", "E11.9"), ("icd10", "E11.8"), ("icd10", "I10")])
    new = CodeList.of("x", [("icd10", "E11*"), ("icd10", "I10")])
    counts = pd.DataFrame(
        [("icd10", "E119", 70, 50), ("icd10", "E112", 30, 20), ("icd10", "I10", 9, 9)],
        columns=["system", "code", "records", "people"],
    )
    assert old.diff(new, counts=counts)[["change", "code", "people"]].to_numpy().tolist() == [
        ["added", "E11*", 70],
        ["removed", "E118", 0],
        ["removed", "E119", 50],
        ["reached", "E112", 20],
    ]
    assert old.diff(old).empty
