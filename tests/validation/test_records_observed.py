"""A study of FHIR alone, whose records stand in for registrations: from the files to the report that says so."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

from cohorts.errors import StudyError
from workflows.study_file import read_study

HTML = re.compile(r"<[^>]+>|\s+")


@pytest.fixture
def study(tmp_path: Path, records_example) -> Path:
    """Forty people with a record in 2010 and one in 2014, and three with one record each."""
    make = records_example
    resources = []
    for n in range(43):
        resources.append(make.patient(f"p{n}", birthDate=f"19{30 + n}-06-01"))
        days = ("2010-03-01", "2014-03-01") if n < 40 else ("2011-03-01",)
        resources += [make.condition(f"c{n}-{day}", f"Patient/p{n}", "44054006", day) for day in days]
    make.write_json(tmp_path / "fhir" / "1.json", make.bundle(*resources))
    (tmp_path / "t2d.csv").write_text("system,code\nsnomed,44054006\n")
    text = {
        "study": {
            "name": "fhir", "title": "t", "summary": "s", "index_date": "2012-01-01", "data_end": "2016-12-31",
        },
        "data_use": dict.fromkeys(
            ("purpose", "public_benefit", "legal_basis", "controller", "contact", "opt_out"), "none"
        ),
        "privacy": {"key": "project.key"},
        "sources": {"clinic": {"model": "fhir", "path": "fhir", "observed": {"records": ["events"], "least_days": 30}}},
        "codelists": {"t2d": "t2d.csv"},
        "phenotypes": {"t2d": {"label": "Diabetes", "any": [{"has": "t2d"}]}},
    }  # fmt: skip
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(text, sort_keys=False))
    return path


def test_it_is_told_in_the_account_the_log_and_the_report(study: Path, tmp_path: Path, careome) -> None:
    assert careome("key", tmp_path / "project.key").returncode == 0
    checked = careome("records", "check", study)
    assert checked.returncode == 0, checked.stderr
    assert (
        "clinic: observed by records (events): 40 people from their first to their last; 0 have none; 3 observed for "
        "fewer than 30 days do not count"
    ) in checked.stdout
    ran = careome("run", study, "--out", tmp_path / "run")
    assert ran.returncode == 0, ran.stderr
    assert (
        "40 people from their first to their last; 0 have none; <10 observed"
        in (tmp_path / "run/run.log").read_text()
    )
    report = HTML.sub(" ", (tmp_path / "run/reports/cohort.html").read_text())
    assert "The source clinic does not say who was registered when: its people count as registered" in report
    assert "if that is 30 days or more" in report
    assert "immortal time" in report
    assert len(pd.read_parquet(tmp_path / "run/results/people.parquet")) == 40


def test_a_wrong_word_is_refused_with_its_place(study: Path) -> None:
    text = study.read_text()
    study.write_text(text.replace("least_days: 30", "least_days: 0"))
    with pytest.raises(StudyError, match=r"sources\.clinic\.observed\.least_days"):
        read_study(study)
    start = text.index("    observed:")
    study.write_text(text[:start] + "    observed: record\n" + text[text.index("codelists:") :])
    with pytest.raises(StudyError, match=r"sources\.clinic\.observed.*found 'record'"):
        read_study(study)
