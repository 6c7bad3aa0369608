"""``careome phenotype diagnose`` of a whole study, and of records in which not everything can be counted."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from cohorts.errors import StudyError
from cohorts.hub import connect, create_hub_tables
from workflows.phenotype_cli import app

DEMO = Path(__file__).resolve().parents[2] / "workflows" / "demo"
MYOCARDIAL, ASTHMA = "22298006", "195967001"


def hub_file(folder: Path, *, registered: bool) -> Path:
    """Sixty people; thirty with a heart attack, fifteen with asthma."""
    path = folder / "hub.duckdb"
    with connect(path) as hub:
        create_hub_tables(hub)
        run = hub.connection.execute
        for person in range(60):
            run("INSERT INTO people VALUES (?, ?, DATE '1950-05-01')", [person, "MF"[person % 2]])
            if registered:
                run("INSERT INTO registrations VALUES (?, 'p', '2000-01-01', '2023-01-01')", [person])
            had = [MYOCARDIAL] * (person < 30) + [ASTHMA] * (person >= 45)
            for code in had:
                run(
                    "INSERT INTO events VALUES (1, ?, ?, 'gp', 'event', 'snomed', ?, NULL, NULL)",
                    [person, date(2009, 3, 1), code],
                )
    return path


def study_file(folder: Path) -> Path:
    text = yaml.safe_load((DEMO / "study.yaml").read_text())
    text["codelists"] = {name: str(DEMO / path) for name, path in text["codelists"].items()}
    text["phenotypes"] = {
        "chd": {"label": "Coronary disease", "any": [{"has": "coronary_disease"}], "washout_days": 365},
        "asthma": {"catalogue": "asthma"},
        "never": {"label": "No heart disease", "all": [{"none": [{"has": "coronary_disease"}]}]},
    }
    text["association"]["traits"], text["risk"] = ["chd"], []
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(text, sort_keys=False))
    return path


def said(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["diagnose", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def part(text: str, heading: str) -> list[str]:
    """Lines below a heading."""
    return text.partition(f"\n{heading}\n")[2].partition("\n\n")[0].splitlines()


def test_a_whole_study_needs_its_file_and_a_hub_and_nothing_else(tmp_path: Path) -> None:
    told = said(study_file(tmp_path), "--hub", hub_file(tmp_path, registered=True))
    assert told.startswith("Everybody of the hub, not the study's population (--population), on 2012-01-01.")
    assert [line.split()[:5] for line in part(told, "Prevalence")[1:3]] == [
        ["chd", "F", "30", "15", "0.5"], ["chd", "M", "30", "15", "0.5"],
    ]  # fmt: skip
    assert part(told, "New cases per 1,000 person-years")[1].split()[:5] == ["chd", "F", "30", "105", "15"]
    assert "asthma" in part(told, "Beside published figures")[1]
    assert "Why asthma finds nobody" in told


def test_the_studys_population_alone_is_described_where_asked(tmp_path: Path) -> None:
    path = hub_file(tmp_path, registered=True)
    with connect(path) as hub:
        hub.connection.execute("UPDATE people SET birth_date = DATE '2000-05-01' WHERE person_id % 4 = 0")
    told = said(study_file(tmp_path), "--hub", path, "--population")
    assert told.startswith("The study's population, on 2012-01-01.")
    assert "had to live and stay until that day" in told.splitlines()[1]
    chd = [line.split()[:4] for line in part(told, "Prevalence") if line.split()[0] == "chd"]
    assert chd == [["chd", "F", "30", "15"], ["chd", "M", "15", "<10"]]
    refused = CliRunner().invoke(app, ["diagnose", "asthma", "--hub", str(path), "--population"])
    assert refused.exit_code == 2


def test_median_days_between_two_conditions_are_whole_days(tmp_path: Path) -> None:
    path, study = hub_file(tmp_path, registered=True), study_file(tmp_path)
    with connect(path) as hub:
        hub.connection.execute(
            "INSERT INTO events SELECT 1, person_id, DATE '1975-06-02', 'gp', 'event', 'snomed', '44054006', "
            "NULL, NULL FROM people WHERE person_id < 30"
        )
    text = yaml.safe_load(study.read_text())
    text["phenotypes"]["t2d"] = {"label": "Diabetes", "any": [{"has": "type_2_diabetes"}]}
    study.write_text(yaml.safe_dump(text, sort_keys=False))
    lines = part(said(study, "chd", "t2d", "--hub", path), "Overlap of 1 of 1 pairs")
    assert lines[0].split()[-1] == "median_days"
    assert lines[1].split()[-1] == str((date(1975, 6, 2) - date(2009, 3, 1)).days)


def test_a_definition_that_dates_nobody_is_left_out_of_what_needs_dates_and_said(tmp_path: Path) -> None:
    told = said(study_file(tmp_path), "--hub", hub_file(tmp_path, registered=True))
    for heading in ("Prevalence", "New cases per 1,000 person-years"):
        lines = part(told, heading)
        assert lines[-1].startswith("never is left out: its cases have no date")
        assert sum(line.split()[0] == "never" for line in lines) == 1
    assert any("never" in line for line in part(told, "Overlap of 3 of 3 pairs"))


def test_without_registrations_all_else_is_given_and_the_reason_said(tmp_path: Path) -> None:
    told = said(study_file(tmp_path), "--hub", hub_file(tmp_path, registered=False))
    assert "nobody is registered on 2012-01-01" in part(told, "Prevalence")
    missing = part(told, "New cases per 1,000 person-years")[0]
    assert missing.startswith("nobody is registered between these days (2007-01-01, 2012-01-02)")
    assert "observed: records" in missing
    assert any(line.split()[-1] == "1" for line in part(told, "Codes in use by people enough to be shown"))
    assert "Why asthma finds nobody" in told
    assert "Beside published figures" not in told


def test_records_that_stand_in_for_registrations_are_said(tmp_path: Path) -> None:
    hub = hub_file(tmp_path, registered=True)
    with connect(hub) as opened:
        opened.connection.execute("INSERT INTO sources VALUES ('gp', NULL, NULL), ('clinic', NULL, 'events')")
    told = said(study_file(tmp_path), "--hub", hub).partition("\nPrevalence")[0].splitlines()
    assert told[1:] == [
        "clinic does not say who was registered: people count from their first to their last record (events)."
    ]
    with connect(hub) as opened:
        opened.connection.execute("ALTER TABLE sources DROP COLUMN observed")
    assert "clinic" not in said(study_file(tmp_path), "chd", "--hub", hub)


def test_some_phenotypes_of_a_study_and_another_day_may_be_named(tmp_path: Path) -> None:
    study, hub = study_file(tmp_path), hub_file(tmp_path, registered=True)
    told = said(study, "chd", "--hub", hub, "--on", "2008-01-01", "--by", "")
    assert "asthma" not in told
    assert "before that day" not in told
    assert "Why chd finds nobody" not in told
    assert "the last record of the hub is of 2009-03-01, before that day" in said(study, "chd", "--hub", hub)
    with pytest.raises(
        StudyError, match=r"no such phenotype in the study; found copd, expected chd, asthma, never"
    ):
        CliRunner().invoke(app, ["diagnose", str(study), "copd", "--hub", str(hub)], catch_exceptions=False)
