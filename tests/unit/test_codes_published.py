"""Code lists are read as others publish them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cohorts.errors import InputError
from phenotypes.published_lists import read_lines, read_published


def _file(folder: Path, text: str) -> Path:
    path = folder / "list.csv"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "system", "form", "entries"),
    [
        ("system,code\nicd10,E11*\n", None, "careome", ["icd10 E11*"]),
        (
            "code,term\n44054006,x\n313436004,y\n",
            None,
            "opencodelists",
            ["snomed 313436004", "snomed 44054006"],
        ),
        ("id,name\nE11,x\n", "icd10", "opencodelists", ["icd10 E11"]),
        (
            "CTV3ID,CTV3PreferredTermDesc\nXE0Uc,x\nG2...,y\n",
            None,
            "opencodelists",
            ["ctv3 G2", "ctv3 XE0Uc"],
        ),
        ("type,dmd_id,bnf_code\nvmp,319996000,0212\n", None, "opencodelists", ["dmd 319996000"]),
        (
            "code,description,coding_system,concept_id,phenotype_id\n"
            "C10F.,x,Read codes v2,C1,PH1\nE11,y,ICD10 codes,C2,PH1\n44054006,z,SNOMED  CT codes,C3,PH1\n",
            None,
            "phenotype-library",
            ["icd10 E11", "read2 C10F", "snomed 44054006"],
        ),
        ("Disease,ICD10code,ICD10codeDescr,Category\nx,E11,y,z (4)\n", None, "caliber", ["icd10 E11*"]),
        (
            '"medcodeid","term"\n"2196071000000116","Body mass index"\n',
            None,
            "cprd",
            ["cprd_medcode 2196071000000116"],
        ),
        (
            "ProdCodeId\tTermfromEMIS\n3092241000033113\tMetformin, 500mg\n",
            None,
            "cprd",
            ["cprd_prodcode 3092241000033113"],
        ),
    ],
)
def test_the_header_tells_the_form(
    tmp_path: Path, text: str, system: str | None, form: str, entries: list[str]
) -> None:
    path = _file(tmp_path, text)
    assert read_lines(path, system=system).form == form
    assert [str(e) for e in read_published(path, system=system).entries] == entries


def test_a_system_is_guessed_for_snomed_alone(tmp_path: Path) -> None:
    for text in ("code,term\nE11.9,x\n", "code,term\n44054006,x\n44054007,y\n", "id,name\nXE0Uc,x\n"):
        with pytest.raises(InputError, match="does not say of which system"):
            read_published(_file(tmp_path, text))


def test_categories_choose_lines_by_text_or_number(tmp_path: Path) -> None:
    path = _file(tmp_path, "code,term,asthma_category\nE11,x,type 2\nE10,y,Type 1\n")
    assert [e.code for e in read_published(path, system="icd10", categories=["type 1"]).entries] == ["E10"]
    with pytest.raises(InputError, match="no line has a wanted category"):
        read_published(path, system="icd10", categories=["type 3"])


def test_foreign_systems_and_blank_codes_are_left_out_with_a_remark(tmp_path: Path) -> None:
    path = _file(tmp_path, "code,coding_system\nE11,ICD10 codes\nx1,OXMIS codes\n,ICD10 codes\n")
    assert read_published(path, name="dm").remarks == (
        "dm: lines of OXMIS codes are left out",
        "dm: line 4 has no code",
    )


def test_other_tables_and_unknown_forms_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a code list; found a, b"):
        read_published(_file(tmp_path, "a,b\n1,2\n"))
    with pytest.raises(InputError, match="unknown form"):
        read_published(_file(tmp_path, "code\n1\n"), form="excel")
