"""``careome codes`` from the outside."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cohorts.errors import InputError
from cohorts.hub import connect, create_hub_tables
from workflows.codes_cli import app


def _run(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "old.csv").write_text("system,code\nicd10,E11.9\nicd10,I10\n")
    (tmp_path / "new.csv").write_text("system,code\nicd10,E11*\nicd10,I10\n")
    (tmp_path / "icd.csv").write_text("code,term\nE11,diabetes\nE11.2,kidneys\nE11.9,plain\nI10,pressure\n")
    return tmp_path


def _hub(path: Path) -> Path:
    with connect(path) as hub:
        create_hub_tables(hub)
        hub.connection.execute(
            "INSERT INTO events SELECT i, i, DATE '2020-01-01', 'gp', 'diagnosis', 'icd10', "
            "CASE WHEN i < 3 THEN 'E112' ELSE 'E119' END, NULL, NULL FROM range(40) t(i)"
        )
    return path


def test_show_names_the_codes_the_identity_and_terms_of_the_users_own_file(folder: Path) -> None:
    told = _run(
        "show", folder / "new.csv", "--terminology", folder / "icd.csv", "--terminology-system", "icd10"
    )
    assert "new: 2 codes of icd10" in told
    assert "identity " in told
    assert "diabetes" in told


def test_expand_writes_a_list_without_terms_unless_asked(folder: Path) -> None:
    known = ["--terminology", folder / "icd.csv", "--terminology-system", "icd10"]
    _run("expand", folder / "new.csv", *known, "--out", folder / "x.csv")
    assert (folder / "x.csv").read_text() == "system,code\nicd10,E11\nicd10,E112*\nicd10,E119*\nicd10,I10\n"
    _run("expand", folder / "new.csv", *known, "--out", folder / "x.csv", "--terms")
    assert "kidneys" in (folder / "x.csv").read_text()


def test_diff_shows_both_spellings_of_a_code_that_means_the_same(folder: Path) -> None:
    (folder / "old.csv").write_text("system,code\nicd10,E11.9\n")
    (folder / "new.csv").write_text("system,code\nicd10,e119\n")
    told = _run("diff", folder / "old.csv", folder / "new.csv").splitlines()
    assert told[1].split() == ["respelt", "icd10", "e119", "E11.9"]


def test_the_edition_of_a_list_is_shown_kept_and_compared(folder: Path) -> None:
    (folder / "new.csv").write_text("system,code,icd10_edition\nicd10,E11.9,2019\nicd10,I10,\n")
    assert "edition of ICD-10: 2019" in _run("show", folder / "new.csv")
    assert "edition" not in _run("show", folder / "old.csv")
    told = _run("diff", folder / "old.csv", folder / "new.csv").splitlines()
    assert told[0] == "edition of ICD-10: none said before, 2019 after"
    assert told[1].startswith("both name the same codes; identity ")
    known = ["--terminology", folder / "icd.csv", "--terminology-system", "icd10"]
    _run("expand", folder / "new.csv", *known, "--out", folder / "x.csv")
    assert (folder / "x.csv").read_text().splitlines()[1] == "icd10,E119,2019"


def test_diff_counts_the_hubs_codes_and_hides_small_numbers(folder: Path) -> None:
    told = _run("diff", folder / "old.csv", folder / "new.csv", "--hub", _hub(folder / "hub.duckdb"))
    lines = {line.split()[0]: line for line in told.splitlines() if line}
    assert lines["reached"].endswith("under 10  under 10")
    assert lines["removed"].split()[-2:] == ["37", "37"]
    assert _run("diff", folder / "old.csv", folder / "old.csv").startswith("both mean the same")


def test_lint_fails_on_an_error_and_not_on_a_warning(folder: Path) -> None:
    out = folder / "findings.csv"
    told = _run(
        "lint", folder / "old.csv", folder / "new.csv", "--hub", _hub(folder / "hub.duckdb"), "--out", out
    )
    assert "2 lists: 0 errors, 2 warnings" in told
    assert out.read_text().startswith("list,severity,rule")
    (folder / "bad.csv").write_text("system,code\nsnomed,44054007\n")
    with pytest.raises(InputError, match="code lists have errors"):
        _run("lint", folder / "bad.csv")
