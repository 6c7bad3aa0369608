"""Terminologies of the user's own, and lists spelled out by them."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from cohorts.errors import InputError
from phenotypes.code_systems import verhoeff_digit
from phenotypes.codelist import CodeList
from phenotypes.terminology import Terminology

CLAML = """<?xml version="1.0" encoding="UTF-8"?>
<ClaML version="2.0.0"><Title name="Invented" version="2016"/>
<Modifier code="M4"/><ModifierClass modifier="M4" code=".0"><Rubric kind="preferred"><Label>with coma</Label></Rubric>
</ModifierClass><ModifierClass modifier="M4" code=".9"><Rubric kind="preferred"><Label>plain</Label></Rubric>
</ModifierClass>
<ModifierClass modifier="M5" code="1"><Rubric kind="preferred"><Label>arm</Label></Rubric></ModifierClass>
<Class code="IV" kind="chapter"/>
<Class code="E10-E14" kind="block"><SuperClass code="IV"/><ModifiedBy code="M4"/></Class>
<Class code="E10" kind="category"><SuperClass code="E10-E14"/>
  <Rubric kind="preferred"><Label>First <Term>kind</Term></Label></Rubric></Class>
<Class code="E14" kind="category"><SuperClass code="E10-E14"/><ExcludeModifier code="M4"/></Class>
<Class code="M10" kind="category"><ModifiedBy code="M5"/></Class>
<Class code="M10.1" kind="category"><SuperClass code="M10"/></Class>
</ClaML>"""


def _id(item: int, kind: str = "00") -> str:
    return (body := f"{item}{kind}") + verhoeff_digit(body)


# a small world: ROOT > LUNG > {ASTHMA, COPD > SEVERE}, CHILD below both ASTHMA and COPD; OLD was replaced by ASTHMA
ROOT, LUNG, ASTHMA, COPD, SEVERE, CHILD, OLD, LOST = (_id(1000 + i) for i in range(8))


def _rf2(folder: Path) -> Path:
    terminology = folder / "Snapshot" / "Terminology"
    refsets = folder / "Snapshot" / "Refset" / "Content"
    terminology.mkdir(parents=True)
    refsets.mkdir(parents=True)
    concepts = [(c, "20200101", "1") for c in (ROOT, LUNG, ASTHMA, COPD, SEVERE, CHILD)]
    concepts += [(OLD, "20200101", "0"), (LOST, "20200101", "0")]
    # an extension repeats a concept in an older state, which must not win
    (terminology / "sct2_Concept_Snapshot_INT_20200101.txt").write_text(
        "id\teffectiveTime\tactive\tmoduleId\tdefinitionStatusId\n"
        + "".join(f"{c}\t{t}\t{a}\t900\t900\n" for c, t, a in concepts)
    )
    (terminology / "sct2_Concept_Snapshot_GB_20190101.txt").write_text(
        f"id\teffectiveTime\tactive\tmoduleId\tdefinitionStatusId\n{ASTHMA}\t20190101\t0\t900\t900\n"
    )
    isa = [(LUNG, ROOT), (ASTHMA, LUNG), (COPD, LUNG), (SEVERE, COPD), (CHILD, ASTHMA), (CHILD, COPD)]
    rows = [(_id(5000 + i, "02"), "1", a, b, "116680003") for i, (a, b) in enumerate(isa)]
    rows += [
        (_id(6000, "02"), "0", SEVERE, ASTHMA, "116680003"),
        (_id(6001, "02"), "1", ROOT, CHILD, "363698007"),
    ]
    (terminology / "sct2_Relationship_Snapshot_INT_20200101.txt").write_text(
        "id\teffectiveTime\tactive\tmoduleId\tsourceId\tdestinationId\trelationshipGroup\ttypeId\n"
        + "".join(f"{i}\t20200101\t{on}\t900\t{a}\t{b}\t0\t{t}\n" for i, on, a, b, t in rows)
    )
    (terminology / "sct2_Description_Snapshot-en_INT_20200101.txt").write_text(
        "id\teffectiveTime\tactive\tconceptId\ttypeId\tterm\n"
        f'{_id(7000, "01")}\t20200101\t1\t{ASTHMA}\t900000000000003001\tAsthma "so called" (disorder)\n'
    )
    (refsets / "der2_cRefset_AssociationSnapshot_INT_20200101.txt").write_text(
        "id\teffectiveTime\tactive\tmoduleId\trefsetId\treferencedComponentId\ttargetComponentId\n"
        f"u1\t20200101\t1\t900\t900000000000526001\t{OLD}\t{ASTHMA}\n"
        f"u2\t20200101\t1\t900\t900000000000523009\t{LOST}\t{ASTHMA}\n"
    )
    return folder


def test_a_snomed_release_gives_descendants_of_several_parents_and_replaced_concepts(tmp_path: Path) -> None:
    sct = Terminology.read(_rf2(tmp_path))
    assert (sct.system, sct.version, len(sct)) == ("snomed", "20200101", 8)
    assert sct.below(COPD) == {SEVERE, CHILD}
    assert sct.below(LUNG) == {ASTHMA, COPD, SEVERE, CHILD, OLD}
    assert sct.below(ASTHMA, itself=True) == {ASTHMA, CHILD, OLD}
    assert sct.above(CHILD) == {ASTHMA, COPD, LUNG, ROOT}
    assert sct.inactive == {OLD, LOST}
    assert sct.terms[ASTHMA] == 'Asthma "so called" (disorder)'


def test_a_list_of_descendants_and_exclusions_is_spelled_out(tmp_path: Path) -> None:
    sct = Terminology.read(_rf2(tmp_path))
    codes = CodeList.of("lung", [("snomed", f"<{LUNG}"), ("snomed", f"!<<{COPD}"), ("icd10", "J4*")])
    expanded = codes.expand(sct)
    assert {e.code for e in expanded.entries if e.system == "snomed"} == {ASTHMA, OLD}
    assert expanded.matches("snomed", OLD)
    assert expanded.matches("icd10", "J45")
    assert expanded.remarks == ()


def test_what_the_terminology_does_not_know_stays_with_a_remark(tmp_path: Path) -> None:
    sct = Terminology.read(_rf2(tmp_path))
    stranger = _id(9999)
    expanded = CodeList.of("x", [("snomed", f"<<{stranger}"), ("snomed", OLD)]).expand(sct)
    assert {e.code for e in expanded.entries} == {stranger, OLD}
    assert expanded.matches("snomed", stranger)
    assert expanded.remarks == (
        f"x: snomed {OLD} is no longer in use; {ASTHMA} took its place",
        f"x: snomed <<{stranger} is not in snomed 20200101",
    )


def test_claml_gives_categories_their_modified_characters(tmp_path: Path) -> None:
    path = tmp_path / "icd.xml.gz"
    path.write_bytes(gzip.compress(CLAML.encode()))
    icd = Terminology.read(path)
    assert (icd.system, icd.version) == ("icd10", "2016")
    assert set(icd.parents) == {"E10", "E100", "E109", "E14", "M10", "M101", "M1011"}
    assert icd.terms["E100"] == "First kind: with coma"
    assert icd.below("M10") == {"M101", "M1011"}


def test_leaves_of_icd_10_keep_taking_in_fifth_characters(tmp_path: Path) -> None:
    icd = Terminology.of_codes("icd10", ["M05", "M05.8", "M05.9"])
    expanded = CodeList.of("ra", [("icd10", "M05*"), ("icd10", "!M05.8*")]).expand(icd)
    assert [str(e) for e in expanded.entries] == ["icd10 M05", "icd10 M059*"]
    assert expanded.matches("icd10", "M0590")
    assert not expanded.matches("icd10", "M0580")


def test_plain_lists_are_ordered_by_their_beginnings_or_by_a_parent_column(tmp_path: Path) -> None:
    read = tmp_path / "read.txt"
    read.write_text("C10..\nC10F.\nC10F1\nC11..\n")
    assert Terminology.read(read, system="read2").below("C10") == {"C10F", "C10F1"}
    ctv3 = tmp_path / "ctv3.csv"
    ctv3.write_text("code,parent,term,active\nX1,,lung,1\nX2,X1,asthma,1\nX3,X1,old,0\n")
    known = Terminology.read(ctv3, system="ctv3")
    assert known.below("X1") == {"X2", "X3"}
    assert known.inactive == {"X3"}


@pytest.mark.parametrize(
    ("name", "text", "system", "message"),
    [
        ("a.txt", "E11\n", None, "does not say of which system"),
        ("a.txt", "E11\nwhat\n", "icd10", "not a code of icd10; found 'what'"),
        ("a.txt", "44054006\n", "snomed", "do not tell what is below"),
        ("a.txt", "\n", "icd10", "terminology is empty"),
        ("a.xml", "<ClaML><Class", None, "not well-formed XML"),
        ("a.xml", "<html/>", None, "not a terminology"),
        ("a.xml", "<ClaML/>", None, "holds no category"),
        ("a.xml.gz", "plain", None, "damaged gzip"),
        ("a.txt", "x", "icd9", "unknown code system"),
    ],
)
def test_a_file_that_is_no_terminology_is_refused(
    tmp_path: Path, name: str, text: str, system: str | None, message: str
) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        Terminology.read(path, system=system)


def test_an_empty_or_damaged_release_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no snapshot of concepts"):
        Terminology.read(tmp_path)
    (tmp_path / "sct2_Concept_Snapshot_X.txt").write_text("id\tactive\n1\t1\n")
    with pytest.raises(InputError, match="not a file of an RF2 release"):
        Terminology.read(tmp_path)


def test_icd_10_of_who_is_read(data_file: Callable[[str], Path]) -> None:
    icd = Terminology.read(data_file("codes_icd10_who/icd_10_v2019.claml.xml.gz"))
    assert (icd.version, len(icd)) == ("2019", 12246)
    assert len(icd.below("E11")) == 10
    assert "B485" in icd
    assert "B59" not in icd
    assert CodeList.of("dm", [("icd10", "E10-E14")]).expand(icd).remarks == ()
