"""Columns by which people are linked, aged or followed: where they cannot be read, nothing goes on quietly."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from cohorts.errors import StudyError
from workflows.keys import new_project_key
from workflows.study_file import read_hub_plan

PEOPLE = 100
HEADER = "patient_id,nhs_number,given_name,family_name,birth_date,sex,postcode\n"


def study(
    folder: Path, births: list[str], sexes: list[str], *, starts: list[str] | None = None, **source: object
) -> Path:
    """A study file with one source of so many people."""
    rows = [
        f"p{i},,Ann{i},Lee{i},{born},{sex},\n"
        for i, (born, sex) in enumerate(zip(births, sexes, strict=True))
    ]
    (folder / "patients.csv").write_text(HEADER + "".join(rows))
    registered = [f"p{i},G1,{start},\n" for i, start in enumerate(starts or ["2001-01-01"] * len(births))]
    (folder / "registrations.csv").write_text("patient_id,practice,start,end\n" + "".join(registered))
    patients = {"path": "patients.csv"} | ({"date_format": source.pop("form")} if "form" in source else {})
    text = {
        "study": {"name": "small", "index_date": "2010-01-01", "data_end": "2020-12-31"},
        "privacy": {"key": "custodian/project.key"},
        "sources": {"gp": {"patients": patients, "registrations": "registrations.csv", **source}},
    }
    if not (folder / "custodian").exists():
        new_project_key(folder / "custodian" / "project.key")
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(text))
    return path


def born(bad: int) -> list[str]:
    return ["01/02/1950"] * bad + [f"19{50 + i % 40}-02-01" for i in range(PEOPLE - bad)]


def test_a_form_that_the_dates_do_not_have_stops_check_and_build_with_one_line(tmp_path, careome):
    path = study(tmp_path, born(0), ["F"] * PEOPLE, form="%d/%m/%Y")
    for command in (("check", path), ("build", path, "--out", tmp_path / "hub.duckdb")):
        done = careome("records", *command)
        assert done.returncode == 11
        last = done.stderr.strip().splitlines()[-1]
        assert "sources.gp.patients.birth_date: 100.0% of the filled values cannot be read" in last
        assert "found 100 of 100 unreadable, expected dates of the declared form %d/%m/%Y" in last
        assert "date_format" in last.partition("To fix")[2]
        assert "1950" not in done.stdout + done.stderr
    assert not (tmp_path / "hub.duckdb").exists()
    assert not list(tmp_path.rglob("*.duckdb"))


@pytest.mark.parametrize(
    ("bad", "people", "stops"),
    [(19, 100, False), (20, 100, True), (20, 400, False), (21, 400, True)],
)
def test_few_unreadable_birth_dates_are_a_warning_and_many_an_end(tmp_path, careome, bad, people, stops):
    births = ["01/02/1950"] * bad + ["1950-02-01"] * (people - bad)
    done = careome("records", "check", study(tmp_path, births, ["F"] * people))
    assert done.returncode == (11 if stops else 0)
    assert f"warning: gp.patients.birth_date: {bad} of {people} filled values cannot be read" in done.stderr


def test_the_warning_of_a_build_is_rounded_and_nothing_is_said_where_all_is_read(tmp_path, careome):
    done = careome(
        "records", "build", study(tmp_path, born(3), ["F"] * PEOPLE), "--out", tmp_path / "hub.duckdb"
    )
    assert done.returncode == 0, done.stderr
    assert "warning: gp.patients.birth_date: <10 of 100 filled values cannot be read" in done.stderr
    again = careome(
        "records", "build", study(tmp_path, born(0), ["F"] * PEOPLE), "--out", tmp_path / "two.duckdb"
    )
    assert "warning" not in again.stderr


def test_unknown_sex_codes_stop_and_a_plain_unknown_does_not(tmp_path, careome):
    done = careome("records", "check", study(tmp_path, born(0), ["0", "1"] * 50))
    assert done.returncode == 11
    assert "sources.gp.patients.sex: 50.0%" in done.stderr
    assert "values: {sex" in done.stderr
    done = careome("records", "check", study(tmp_path, born(0), ["unknown", "F"] * 50))
    assert done.returncode == 0, done.stderr
    assert "noted 50: sex: given as unknown" in done.stdout


def test_starts_of_registration_that_cannot_be_read_stop_although_their_rows_are_refused(tmp_path, careome):
    starts = ["01/01/2001"] * 30 + ["2001-01-01"] * 70
    done = careome("records", "check", study(tmp_path, born(0), ["F"] * PEOPLE, starts=starts))
    assert done.returncode == 11
    assert "sources.gp.registrations.start" in done.stderr
    assert "found 30 of 100 unreadable, expected ISO dates" in done.stderr


def test_most_rejected_counts_values_that_were_only_noted(tmp_path, careome):
    done = careome("records", "check", study(tmp_path, born(3), ["F"] * PEOPLE, most_rejected=0.02))
    assert done.returncode == 11
    assert "sources.gp.most_rejected, table patients.birth_date" in done.stderr
    assert "3 of 100 filled values could not be read" in done.stderr
    assert (
        careome("records", "check", study(tmp_path, born(3), ["F"] * PEOPLE, most_rejected=0.03)).returncode
        == 0
    )


@pytest.mark.parametrize("form", ["DD/MM/YYYY", "%d/%m", "%H:%M"])
def test_a_form_that_tells_no_day_is_refused_in_the_study_file(tmp_path, form):
    with pytest.raises(
        StudyError, match=r"sources\.gp\.patients\.date_format' is wrong: a date_format has"
    ) as caught:
        read_hub_plan(study(tmp_path, born(0), ["F"] * PEOPLE, form=form))
    assert repr(form) in str(caught.value)


def test_a_key_that_a_run_refuses_is_a_warning_of_the_check(tmp_path, careome):
    path = study(tmp_path, born(0), ["F"] * PEOPLE)
    assert "warning" not in careome("records", "check", path).stderr
    key = tmp_path / "custodian" / "project.key"
    key.chmod(0o644)
    done = careome("records", "check", path)
    assert done.returncode == 0
    assert "warning: a run will be refused: " in done.stderr
    assert "found mode 0644, expected mode 0600" in done.stderr
    key.unlink()
    done = careome("records", "check", path)
    assert done.returncode == 0
    assert "the project key is missing" in done.stderr
