"""Each check of a code list finds its fault, and finds nothing in a good list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from phenotypes.codelist import CodeList
from phenotypes.codelist_lint import RULES, lint
from phenotypes.terminology import Terminology


def _rules(path: Path, text: str, **options: object) -> list[tuple[str, int]]:
    path.write_text(text)
    table = lint(path, **options)  # type: ignore[arg-type]
    return [(rule, int(line)) for rule, line in zip(table["rule"], table["line"], strict=True)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("system,code\nicd10,E11.9\nsnomed,44054006\nread2,C10F.\n", []),
        ("system,code\nicd9,250\n", [("unknown-system", 2)]),
        ("system,code,term\nicd10,,x\n", [("no-code", 2)]),
        ("system,code\nicd10,asthma\n", [("not-a-code", 2)]),
        ("system,code\nsnomed,1.02219E+15\n", [("rounded", 2)]),
        ('system,code\nicd10,"I20.1, I20.8"\n', [("several-codes", 2)]),
        ("system,code,label\nicd10,angina,I20.9\n", [("shifted-columns", 2)]),
        ("system,code\nsnomed,44054007\n", [("check-digit", 2)]),
        ("system,code\nsnomed,7547860114\n", [("check-digit", 2)]),
        ("system,code\nicd10,I20.1\nicd10,I201\n", [("duplicate", 3), ("mixed-dots", 3)]),
        ("system,code\nicd10,I201\n", [("no-dot", 2)]),
        ("system,code\nicd10,E11*\nicd10,E11.3\n", [("implied", 3)]),
        ("system,code\nicd10,E11*\nicd10,!I10*\n", [("nothing-excluded", 3)]),
        ("system,code\nicd10,H36.0*\n", [("marker", 2)]),
        ("system,code\nsnomed,<<44054006\n", [("needs-terminology", 2)]),
        ("system,code\nread2,C10F\n", [("padding", 2)]),
        ("system,code\nread2,C10F.00\nread2,C10F.11\n", [("synonym", 3)]),
        ("system,code\nread2,66Ak.\nread2,66AK.\n", [("case-pair", 2), ("case-pair", 3)]),
        ("system,code\nicd10,e11.9\n", [("spelling", 2)]),
    ],
)
def test_each_fault_is_found_on_its_line(tmp_path: Path, text: str, found: list[tuple[str, int]]) -> None:
    assert _rules(tmp_path / "list.csv", text) == found


def test_the_wrong_edition_is_named_with_its_counterpart() -> None:
    codes = CodeList.of("x", [("icd10", "B59"), ("icd10", "U09.9")])
    assert lint(codes, edition="2019")["message"].tolist() == [
        "the code belongs to another edition of ICD-10: in edition 2019 it is B485"
    ]
    assert lint(codes, edition="2016")["code"].tolist() == ["U099"]


def test_a_terminology_finds_unknown_inactive_and_forgotten_codes(tmp_path: Path) -> None:
    path = tmp_path / "icd.csv"
    path.write_text("code,active\nE11,1\nE11.1,1\nE11.9,1\nE15,0\nJ45,1\n")
    icd = Terminology.read(path, system="icd10", version="2019")
    text = "system,code\nicd10,E11\nicd10,E15\nicd10,J45\nicd10,K99\nicd10,E11.90\nicd10,E2*\n"
    assert _rules(tmp_path / "list.csv", text, terminology=icd) == [
        ("children-left-out", 2),
        ("inactive", 3),
        ("unknown", 5),
        ("unknown", 7),
    ]
    with_children = "system,code\nicd10,E11\nicd10,E11.1\n"
    assert _rules(tmp_path / "list.csv", with_children, terminology=icd) == []


def test_codes_that_no_record_has_are_named(tmp_path: Path) -> None:
    counts = pd.DataFrame([("icd10", "E119", 5, 4)], columns=["system", "code", "records", "people"])
    text = "system,code\nicd10,E11*\nicd10,I10\nsnomed,44054006\n"
    assert _rules(tmp_path / "list.csv", text, counts=counts) == [("never-seen", 3), ("never-seen", 4)]


def test_errors_come_first_and_every_rule_has_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("system,code\nread2,C10F\nicd10,E11.9\nicd10,E11.9\nicd10,asthma\n")
    assert lint(path)["severity"].tolist() == ["error", "warning", "note"]
    assert all(severity in ("error", "warning", "note") and text for severity, text in RULES.values())


def test_the_faults_of_the_caliber_repository_are_counted(data_file: Callable[[str], Path]) -> None:
    folder = data_file("codes_caliber/dictionary.csv").parent
    found: Counter[str] = Counter()
    for path in sorted(folder.glob("secondary_care/*.csv")):
        found.update(lint(path, edition="2019")["rule"])
    for path in sorted(folder.glob("primary_care/*.csv"))[:80]:
        found.update(lint(path)["rule"])
    assert found["edition"] == 2
    assert found["implied"] > 300
    assert found["padding"] > 0
    assert not set(found) & {"not-a-code", "unknown-system", "no-code", "shifted-columns"}


def test_recorded_codes_with_one_more_character_than_the_list_has_are_told() -> None:
    rows = [
        ("icd10", "M8180", 9, 9),
        ("icd10", "M8185", 9, 9),
        ("icd10", "M819", 9, 9),
        ("snomed", "442", 9, 9),
    ]
    counts = pd.DataFrame(rows, columns=["system", "code", "records", "people"])
    exact = lint(CodeList.of("bones", [("icd10", "M81.8"), ("icd10", "M81.9")]), counts=counts)
    assert exact[["rule", "code"]].values.tolist() == [["children-left-out", "M818"], ["never-seen", "M818"]]
    assert exact["message"][0].endswith("2 of them are recorded, such as M8180")
    assert lint(CodeList.of("bones", [("icd10", "M81.8*")]), counts=counts).empty
    kept_out = CodeList.of("bones", [("icd10", "M81.8"), ("icd10", "M81.80"), ("icd10", "M81.85")])
    assert "children-left-out" not in set(lint(kept_out, counts=counts)["rule"])
