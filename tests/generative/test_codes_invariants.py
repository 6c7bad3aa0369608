"""What holds for every code list: normalising, spelling out and comparing never change what it means."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from phenotypes.code_systems import CODE_SYSTEMS, normalised, verhoeff_digit, verhoeff_is_valid
from phenotypes.codelist import CodeList
from phenotypes.terminology import Terminology

# Few letters and digits, so that codes often lie below each other.
CODES = st.builds(
    lambda letter, digits: letter + digits, st.sampled_from("EI"), st.text("12", min_size=2, max_size=4)
)
LINES = st.builds(
    lambda mark, code, star: ("icd10", f"{mark}{code}{'*' if star and mark != '<' else ''}"),
    st.sampled_from(["", "", "", "!", "<", "<<"]),
    CODES,
    st.booleans(),
)
LISTS = st.lists(LINES, min_size=1, max_size=6).filter(lambda x: any(not c.startswith("!") for _, c in x))
ALL = [
    letter + "".join(d)
    for letter in "EI"
    for n in (2, 3, 4)
    for d in __import__("itertools").product("12", repeat=n)
]


@given(st.sampled_from(sorted(CODE_SYSTEMS)), st.text("ACDEX0123.-* †ab", max_size=8))
def test_normalising_twice_is_normalising_once(system: str, code: str) -> None:
    once = normalised(system, code)
    if CODE_SYSTEMS[system].shape.fullmatch(once):
        assert normalised(system, once) == once


@given(st.text("0123456789", min_size=5, max_size=17))
def test_a_check_digit_is_the_only_one_that_fits(digits: str) -> None:
    fits = [d for d in "0123456789" if verhoeff_is_valid(digits + d)]
    assert fits == [verhoeff_digit(digits)]


@given(LISTS)
def test_order_and_repeats_do_not_change_the_identity(lines: list[tuple[str, str]]) -> None:
    assert CodeList.of("a", lines).id == CodeList.of("b", [*reversed(lines), *lines]).id


@given(LISTS, st.sets(CODES, min_size=1, max_size=20))
@settings(max_examples=200)
def test_spelling_out_keeps_the_meaning(lines: list[tuple[str, str]], known: set[str]) -> None:
    codes = CodeList.of("x", lines)
    icd = Terminology.of_codes("icd10", known)
    expanded = codes.expand(icd)
    leaves = [code + "9" for code in known if not icd.children(code)]
    for code in [*icd.parents, *leaves]:
        assert expanded.matches("icd10", code) == codes.matches("icd10", code), code


@given(LISTS)
def test_found_in_equals_matches(lines: list[tuple[str, str]]) -> None:
    codes = CodeList.of("x", lines)
    found = codes.found_in("icd10", sorted(ALL))
    assert [code for code, _ in found] == [code for code in sorted(ALL) if codes.matches("icd10", code)]
    assert all(codes.entry_for("icd10", code) == entry for code, entry in found)


@given(LISTS, LISTS)
def test_diff_is_empty_just_where_identities_agree_and_turns_round(
    one: list[tuple[str, str]], two: list[tuple[str, str]]
) -> None:
    a, b = CodeList.of("a", one), CodeList.of("b", two)
    there, back = a.diff(b), b.diff(a)
    changed = there[there["change"] != "respelt"]
    assert changed.empty == (a.id == b.id)
    assert set(there.loc[there["change"] == "added", "code"]) == set(
        back.loc[back["change"] == "removed", "code"]
    )


@given(LISTS)
def test_a_written_list_reads_back(lines: list[tuple[str, str]]) -> None:
    codes = CodeList.of("x", lines)
    rows = [line.split(",") for line in codes.csv().splitlines()[1:]]
    assert CodeList.of("x", [(system, code) for system, code in rows]) == codes
