"""What a run would refuse after hours, ``careome study check`` refuses at once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

import workflows
from cohorts.errors import StudyError
from phenotypes.codelist import CodeList
from phenotypes.rulespec import ValueSpec
from phenotypes.spec import NumericTraitSpec
from workflows.keys import new_project_key

CODES = Path(workflows.__file__).parent / "demo" / "codes"
HBA1C = {"hba1c": CodeList.of("hba1c", [("snomed", "999791000000106")])}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A study of one disease and one trait, with its files."""
    new_project_key(tmp_path / "custodian" / "project.key")
    (tmp_path / "people.csv").write_text("patient_id\n")
    shutil.copytree(CODES, tmp_path / "codes")
    (tmp_path / "codes" / "hba1c.csv").write_text("system,code\nsnomed,999791000000106\n")
    write(tmp_path)
    return tmp_path


def write(place: Path, **trait: object) -> None:
    text = {
        "study": {
            "name": "small",
            "title": "Small",
            "summary": "A test.",
            "index_date": "2010-01-01",
            "data_end": "2020-12-31",
        },
        "data_use": dict.fromkeys(
            ("purpose", "public_benefit", "legal_basis", "controller", "contact", "opt_out"), "A test."
        ),
        "privacy": {"key": "custodian/project.key"},
        "sources": {"gp": {"patients": "people.csv"}},
        "codelists": {"hba1c": "codes/hba1c.csv"},
        "phenotypes": {"known": {"label": "Tested", "any": [{"has": "hba1c"}]}},
        "traits": {"sugar": {"label": "HbA1c", "codes": "hba1c", "unit": "mmol/mol"} | trait},
    }
    (place / "study.yaml").write_text(yaml.safe_dump(text))


def test_a_sound_study_is_fine(place, careome):
    done = careome("study", "check", place / "study.yaml")
    assert done.returncode == 0, done.stderr
    assert "fine, a study of records alone" in done.stdout
    assert "warning" not in done.stderr


@pytest.mark.parametrize("command", [("study", "check"), ("run",)])
def test_a_code_list_that_a_run_cannot_read_is_refused_before_any_record(place, careome, command):
    (place / "codes" / "hba1c.csv").write_text("system,code\nsnomed,999791000000106\nsnomed,9.9979E+14\n")
    out = () if command[0] == "study" else ("--out", place / "out")
    done = careome(*command, place / "study.yaml", *out)
    assert done.returncode == 11
    assert "hba1c.csv, line 3" in done.stderr
    assert "fine" not in done.stdout
    assert "Reading the extracts" not in done.stderr


def test_what_the_linter_calls_an_error_though_a_run_takes_it_is_a_warning(place, careome):
    (place / "codes" / "hba1c.csv").write_text("system,code\nsnomed,999791000000107\n")
    done = careome("study", "check", place / "study.yaml")
    assert done.returncode == 0, done.stderr
    assert "warning: codelists.hba1c" in done.stderr
    assert "hba1c.csv:2: " in done.stderr


@pytest.mark.parametrize("more", [{}, {"plausible": [1, 5]}])
def test_a_unit_that_the_analyte_never_has_is_refused_with_those_it_has(place, careome, more):
    write(place, unit="kg", **more)
    done = careome("study", "check", place / "study.yaml")
    assert done.returncode == 10
    assert "traits.sugar.unit: hba1c is never measured in this unit; found kg" in done.stderr
    assert "such as % or mmol/mol" in done.stderr


def test_the_bounds_of_a_rule_have_a_unit_of_the_analyte_too():
    with pytest.raises(StudyError, match="found kg, expected a unit such as % or mmol/mol"):
        ValueSpec(value="hba1c", unit="kg", at_least=48).build(HBA1C, "phenotypes.t2d.any[0]")


def test_an_analyte_that_we_do_not_know_has_any_unit():
    lists = {"lead": CodeList.of("lead", [("snomed", "44054006")])}
    spec = NumericTraitSpec(label="Lead", codes=["lead"], unit="umol/L", plausible=(0, 10))
    assert spec.build(lists, "lead").unit == "umol/L"
