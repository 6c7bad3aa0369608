"""Code lists: reading, normalising, refusing, and their identity."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cohorts.errors import InputError
from phenotypes.caliber import read_caliber, read_caliber_phenotypes
from phenotypes.codelist import CodeList

CODES = Path(__file__).resolve().parents[2] / "workflows" / "demo" / "codes"


def _file(folder: Path, text: str | bytes) -> Path:
    path = folder / "list.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_dots_case_and_spaces_do_not_matter_but_a_star_does(tmp_path: Path) -> None:
    codes = CodeList.read(_file(tmp_path, "system,code,label\nICD10, e11.9 ,x\nicd10,I20*,y\n"))
    assert [str(entry) for entry in codes.entries] == ["icd10 E119", "icd10 I20*"]
    assert codes.matches("icd10", "E119")
    assert not codes.matches("icd10", "E1191")
    assert codes.matches("icd10", "I209")
    assert not codes.matches("opcs4", "I209")


def test_identity_ignores_order_labels_repeats_and_name_but_not_the_star(tmp_path: Path) -> None:
    one = CodeList.of("a", [("icd10", "E11*"), ("snomed", "44054006")])
    assert CodeList.of("b", [("snomed", "44054006"), ("icd10", "e11*"), ("icd10", "E11*")]).id == one.id
    assert CodeList.of("a", [("icd10", "E11"), ("snomed", "44054006")]).id != one.id
    assert len(one.id) == 64


def test_byte_order_mark_crlf_and_blank_lines_are_read(tmp_path: Path) -> None:
    codes = CodeList.read(_file(tmp_path, b"\xef\xbb\xbfSystem,Code\r\n\r\nsnomed,44054006\r\n,\r\n"))
    assert len(codes.entries) == 1


def test_repeats_and_needless_lines_are_remarked_not_refused(tmp_path: Path) -> None:
    codes = CodeList.read(_file(tmp_path, "system,code\nicd10,E11*\nicd10,E11.*\nicd10,E113\n"), "t2d")
    assert codes.remarks == (
        "t2d: line 3 repeats line 2 (icd10 E11*)",
        "t2d: icd10 E113 is already meant by icd10 E11*",
    )


def test_the_most_specific_entry_is_the_one_that_counts() -> None:
    codes = CodeList.of("t2d", [("icd10", "E11*"), ("icd10", "E113*"), ("icd10", "E1130")])
    found = [codes.entry_for("icd10", code) for code in ("E119", "E1139", "E1130", "I10")]
    assert [None if i is None else str(codes.entries[i]) for i in found] == [
        "icd10 E11*",
        "icd10 E113*",
        "icd10 E1130",
        None,
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("system,label\nicd10,x\n", "list.csv:1: code list lacks a column"),
        ("", "lacks a column"),
        ("system,code\n", "code list is empty"),
        ("system,code\nicd9,250\n", "line 2: unknown code system; found 'icd9', expected snomed, icd10"),
        ("system,code\nicd10,E11\nicd10,11E\n", "line 3: not a code of icd10; found '11E'"),
        ("system,code\nsnomed,1.02219E+15\n", "a spreadsheet has rounded it"),
        ("system,code\nicd10\n", "list.csv:2: line is too short"),
        (b"system,code\nicd10,\xff\n", "is not UTF-8 text; found byte 18"),
        ("system,code\nicd10,E11\x00\n", "is not text"),
    ],
)
def test_a_bad_code_list_is_refused_with_file_and_line(
    tmp_path: Path, text: str | bytes, message: str
) -> None:
    with pytest.raises(InputError) as refused:
        CodeList.read(_file(tmp_path, text))
    assert message in str(refused.value)
    assert str(tmp_path) in str(refused.value)


def test_a_missing_code_list_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="absent.csv: code list cannot be read"):
        CodeList.read(tmp_path / "absent.csv")


def test_the_demo_code_lists_are_readable_and_without_remarks() -> None:
    lists = [CodeList.read(path) for path in sorted(CODES.glob("*.csv"))]
    assert {"t2d", "t1d", "chd", "statins", "ldl", "hba1c", "smoking_never"} <= {
        codes.name for codes in lists
    }
    assert [codes.remarks for codes in lists] == [()] * len(lists)


def test_read_codes_keep_their_case_and_lose_dots_and_synonym() -> None:
    codes = CodeList.of("dm", [("read2", "C10F.00"), ("read2", "C108.12")])
    assert codes.matches("read2", "C10F.")
    assert codes.matches("read2", "C10F.11")
    assert not codes.matches("read2", "C10f.")


def test_every_caliber_file_is_read(data_file: Callable[[str], Path]) -> None:
    folder = data_file("codes_caliber/dictionary.csv").parent
    files = sorted(folder.glob("*_care/*.csv"))
    assert len(files) == 608
    assert all(read_caliber(path).entries for path in files)


def test_caliber_categories_tell_the_types_of_diabetes_apart(data_file: Callable[[str], Path]) -> None:
    path = data_file("codes_caliber/secondary_care/ICD_diabetes.csv")
    type1, type2 = read_caliber(path, categories={3}), read_caliber(path, categories={4})
    assert (type1.matches("icd10", "E109"), type1.matches("icd10", "E119")) == (True, False)
    assert (type2.matches("icd10", "E109"), type2.matches("icd10", "E119")) == (False, True)
    with pytest.raises(InputError, match="no line has a wanted category"):
        read_caliber(path, categories={99})


def test_every_caliber_phenotype_is_one_list_of_all_its_systems(data_file: Callable[[str], Path]) -> None:
    phenotypes = read_caliber_phenotypes(data_file("codes_caliber/dictionary.csv").parent)
    assert len(phenotypes) == 306
    assert {e.system for e in phenotypes["Diabetes"].entries} == {"icd10", "read2"}
    assert phenotypes["Diabetes"].matches("icd10", "E1190")


def test_a_file_that_is_no_caliber_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a CALIBER code list"):
        read_caliber(_file(tmp_path, "system,code\nicd10,E11\n"))
