"""``careome phenotype``: what is printed, and how it ends."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cohorts.errors import DesignError, InputError, StudyError
from cohorts.hub import connect, create_hub_tables
from phenotypes import library
from workflows.phenotype_cli import app

DEMO = Path(__file__).resolve().parents[2] / "workflows" / "demo" / "study.yaml"


def _said(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_list_names_every_entry_with_its_label() -> None:
    lines = _said("list").splitlines()
    assert [line.split()[0] for line in lines] == list(library.names())
    assert "copd                             Chronic obstructive pulmonary disease" in lines


def test_show_says_what_an_entry_is_and_where_it_comes_from() -> None:
    said = _said("show", "chronic_kidney_disease")
    assert said.startswith("Chronic kidney disease, stages 3 to 5\n")
    for part in (
        "doi:10.1056/NEJMoa2102953",
        "creatinine: 3 loinc, 4 read2, 14 snomed",
        "Published prevalence: 3.0% to 8.0%",
    ):
        assert part in said
    assert library.load("chronic_kidney_disease").phenotype.id in said


def test_show_tells_which_lists_are_of_another_entry() -> None:
    assert "(of type_2_diabetes/diabetes_of_any_type)" in _said("show", "diabetic_neuropathy")


def test_show_yaml_is_the_definition_as_written() -> None:
    written = (library.CATALOGUE / "asthma" / "definition.yaml").read_text(encoding="utf-8")
    assert _said("show", "asthma", "--yaml") == written


def test_explain_tells_an_entry_a_file_and_a_study() -> None:
    told = _said("explain", "heart_failure")
    assert told.startswith("Heart failure. A case has a record of heart failure.")
    assert _said("explain", str(library.CATALOGUE / "heart_failure" / "definition.yaml")) == told
    study = _said("explain", str(DEMO))
    assert "Type 2 diabetes. A case has one or more of:" in study
    assert "LDL cholesterol in mmol/L" in study


def test_check_counts_and_fails_where_a_patient_comes_out_otherwise(tmp_path: Path) -> None:
    assert _said("check", "dementia") == "dementia: 15 of 15 worked patients as expected\n"
    folder = Path(shutil.copytree(library.CATALOGUE / "dementia", tmp_path / "dementia"))
    file = folder / "definition.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("gap_days: 30", "gap_days: 29"), encoding="utf-8")
    result = CliRunner().invoke(app, ["check", str(folder)])
    assert isinstance(result.exception, StudyError)
    assert "14 of 15 worked patients as expected" in result.output
    assert "drugs 29 days apart: expected excluded, found case" in result.output


def test_check_wants_a_name() -> None:
    assert CliRunner().invoke(app, ["check"]).exit_code == 2


def test_an_unknown_entry_is_refused() -> None:
    with pytest.raises(StudyError, match="did you mean 'dementia'"):
        CliRunner().invoke(app, ["show", "dementa"], catch_exceptions=False)


def _hub(tmp_path: Path) -> Path:
    file = tmp_path / "hub.duckdb"
    with connect(file) as hub:
        create_hub_tables(hub)
        run = hub.connection.execute
        run("INSERT INTO people (person_id, sex, birth_date) VALUES (26, 'F', DATE '1950-05-01')")
        run(
            "INSERT INTO registrations (person_id, start, \"end\") VALUES (26, DATE '2000-01-01', DATE '2030-01-01')"
        )
        run(
            "INSERT INTO events (row_id, person_id, date, source, kind, system, code) "
            "VALUES (7, 26, DATE '2010-03-01', 'gp', 'event', 'snomed', '84114007')"
        )
    return file


def test_explain_follows_one_pseudonymous_person(tmp_path: Path) -> None:
    hub = str(_hub(tmp_path))
    said = _said("explain", "heart_failure", "--hub", hub, "--person", "26", "--on", "2012-01-01")
    assert said.startswith("Heart failure: person 26 is a case, dated 1 March 2010.")
    assert "yes  a record of heart failure: 1 March 2010 (record 7)" in said
    assert "84114007" not in said
    as_reports = _said(
        "explain", "heart_failure", "--hub", hub, "--person", f"{26:016x}", "--on", "2012-01-01"
    )
    assert as_reports == said


def test_explain_needs_hub_person_and_day_together(tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["explain", "copd", "--person", "26"]).exit_code == 2
    hub = str(_hub(tmp_path))
    nobody = ["explain", "copd", "--hub", hub, "--person", "x", "--on", "2012-01-01"]
    assert CliRunner().invoke(app, nobody).exit_code == 2
    nobody[5] = "99"
    with pytest.raises(DesignError, match="nobody there"):
        CliRunner().invoke(app, nobody, catch_exceptions=False)
    nobody[3] = str(tmp_path / "other.duckdb")
    with pytest.raises(InputError, match="no such hub"):
        CliRunner().invoke(app, nobody, catch_exceptions=False)
