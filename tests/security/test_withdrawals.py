"""Withdrawals traced to what was made beside runs, to people who left the extracts, and to what cannot be searched."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from cohorts.errors import InputError
from cohorts.hub import connect, create_hub_tables
from workflows.custodian import keep_crosswalk
from workflows.custodian_cli import register
from workflows.custodian_withdrawals import GONE, contained, pseudonymous, sampled, trace_withdrawals
from workflows.hub_plan import HubPlan
from workflows.keys import new_project_key
from workflows.sealing import new_custodian_key

OURS, OTHER = (1 << 62) + 12345, (1 << 61) + 7


def hub_file(path: Path) -> Path:
    with connect(path) as hub:
        create_hub_tables(hub)
        hub.connection.execute("INSERT INTO people VALUES (?, 'F', NULL), (?, 'M', NULL)", [OURS, OTHER])
        hub.connection.execute("INSERT INTO deaths VALUES (?, NULL, NULL)", [OURS])
    return path


def test_kept_hubs_and_parquet_files_are_searched_for_pseudonyms_and_text_for_samples(tmp_path: Path) -> None:
    hub_file(tmp_path / "hub.duckdb")
    (tmp_path / "deep").mkdir()
    pd.DataFrame({"person_id": [OTHER, OURS], "x": [1.0, 2.0]}).to_parquet(
        tmp_path / "deep" / "frame.parquet"
    )
    (tmp_path / "a.keep").write_text("s1\n")
    expected = [
        (OURS, "deep/frame.parquet", "1 row under the pseudonym"),
        (OURS, "hub.duckdb", "2 rows under the pseudonym"),
    ]
    assert list(pseudonymous([tmp_path], {OURS: "withdrawal"})) == expected
    assert list(pseudonymous([tmp_path / "hub.duckdb", tmp_path / "a.keep"], {OURS: "x"})) == expected[1:]
    assert [file for _, file, _ in sampled([tmp_path, tmp_path / "hub.duckdb"], {"s1": OURS})] == ["a.keep"]
    with pytest.raises(InputError, match="file not found"):
        list(pseudonymous([tmp_path / "no.duckdb"], {OURS: "x"}))
    (tmp_path / "bad.duckdb").write_text("nothing")
    with pytest.raises(InputError, match="cannot be opened"):
        list(pseudonymous([tmp_path / "bad.duckdb"], {OURS: "x"}))


@pytest.fixture
def plan(tmp_path: Path) -> HubPlan:
    new_project_key(tmp_path / "project.key")
    new_custodian_key(tmp_path / "custodian.key")
    people = "patient_id,nhs_number,given_name,family_name,birth_date,sex,postcode\n"
    (tmp_path / "people.csv").write_text(
        people + "".join(f"{who},,,,1950-06-01,F,\n" for who in ("here", "left"))
    )
    (tmp_path / "consents.csv").write_text("patient_id,consented,withdrawn\nhere,1,\n")
    plan = HubPlan.model_validate(
        {
            "study": {"name": "s", "index_date": "2012-01-01", "data_end": "2020-01-01"},
            "privacy": {
                "key": tmp_path / "project.key", "crosswalk": tmp_path / "crosswalk",
                "custodian": tmp_path / "custodian.key.pub", "cache": tmp_path / "cache",
            },
            "sources": {"gp": {"patients": tmp_path / "people.csv", "consents": tmp_path / "consents.csv"}},
        }
    )  # fmt: skip
    crosswalk = pd.DataFrame(
        {"source": "gp", "patient_id": ["here", "left"], "person_id": pd.array([OTHER, OURS], dtype="int64")}
    )
    (tmp_path / "crosswalk").mkdir(mode=0o700)
    keep_crosswalk(plan, crosswalk, "f" * 12)
    run = tmp_path / "run"
    (run / "results").mkdir(parents=True)
    (run / "reports").mkdir()
    (run / "reports" / "cohort.html").write_text("")
    (run / "manifest.json").write_text(json.dumps({"fingerprint": "f" * 64}))
    return plan


def traced(plan: HubPlan, folder: Path, name: str, *, gone: bool = False) -> tuple[object, pd.DataFrame]:
    found = trace_withdrawals(
        plan,
        [folder / "run"],
        key=folder / "custodian.key",
        out=folder / name,
        also=[folder / "beside"],
        gone=gone,
    )
    return found, pd.read_csv(folder / name, sep="\t", dtype=str, keep_default_na=False)


def test_who_left_the_extracts_is_counted_and_traced_when_asked_for(plan: HubPlan, tmp_path: Path) -> None:
    (tmp_path / "beside").mkdir()
    hub_file(tmp_path / "beside" / "hub.duckdb")
    assert traced(plan, tmp_path, "0.tsv")[0].gone == 0
    people = tmp_path / "people.csv"
    people.write_text("".join(line for line in people.open() if not line.startswith("left")))
    found, table = traced(plan, tmp_path, "1.tsv")
    assert (found.objected, found.found, found.gone, len(table)) == (0, 0, 1, 0)
    found, table = traced(plan, tmp_path, "2.tsv", gone=True)
    assert (found.objected, found.found, found.gone) == (0, 1, 1)
    assert table[["person", "reason", "run", "file"]].values.tolist() == [
        [f"{OURS:016x}", GONE, "", "hub.duckdb"],
        [f"{OURS:016x}", GONE, "run", "reports/cohort.html"],
    ]
    assert "left" not in (tmp_path / "2.tsv").read_text().replace(GONE, "")


def test_a_report_counts_who_was_in_the_runs_records_and_in_none_of_its_tables(
    plan: HubPlan, tmp_path: Path
) -> None:
    (tmp_path / "beside").mkdir()
    (tmp_path / "consents.csv").write_text("patient_id,consented,withdrawn\nleft,1,2019-01-01\n")
    found, table = traced(plan, tmp_path, "1.tsv")
    assert (found.objected, found.found, found.files, found.runs) == (1, 1, 1, 1)
    assert table["file"].tolist() == ["reports/cohort.html"]
    assert list(contained(tmp_path / "run", {OURS: "withdrawal"}, {OTHER})) == []


def test_places_that_cannot_be_searched_are_said(plan: HubPlan, tmp_path: Path) -> None:
    (tmp_path / "beside").mkdir()
    assert traced(plan, tmp_path, "1.tsv")[0].unsearched == ()
    (tmp_path / "cache" / "state").mkdir(parents=True)
    pd.DataFrame({"status": [0]}).to_parquet(tmp_path / "cache" / "state" / "a.parquet")
    (tmp_path / "run" / ".scratch").mkdir()
    cache, scratch = traced(plan, tmp_path, "2.tsv")[0].unsearched
    assert cache.startswith(f"{tmp_path / 'cache'}: answers kept")
    assert "left by a killed run" in scratch


def test_the_command_tells_counts_what_is_not_searched_and_what_must_be_made_again(
    plan: HubPlan, tmp_path: Path
) -> None:
    (tmp_path / "study.yaml").write_text(
        "study: {name: s, index_date: 2012-01-01, data_end: 2020-01-01}\n"
        "privacy: {key: project.key, crosswalk: crosswalk, custodian: custodian.key.pub, cache: cache}\n"
        "sources: {gp: {patients: people.csv, consents: consents.csv}}\n"
    )
    (tmp_path / "people.csv").write_text((tmp_path / "people.csv").read_text().replace("left,", "new,"))
    (tmp_path / "consents.csv").write_text("patient_id,consented,withdrawn\nhere,1,2019-01-01\n")
    (tmp_path / "run" / ".scratch").mkdir()
    hub_file(tmp_path / "hub.duckdb")
    command = ["withdrawals", tmp_path / "study.yaml", tmp_path / "run", "--key", tmp_path / "custodian.key"]
    asked = [*command, "--also", tmp_path / "hub.duckdb", "--gone", "--out", tmp_path / "out.tsv"]
    register(app := typer.Typer())
    done = CliRunner().invoke(app, [str(word) for word in asked], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[0].startswith(
        "1 people object; 2 people are traced to 2 files, of 1 of 1 runs and beside them: "
    )
    assert lines[1:] == [
        "1 people of past runs are in no extract any more: their outputs are listed too",
        f"not searched: {tmp_path / 'run' / '.scratch'}: left by a killed run, with records; give its command again, "
        "or remove it",
        "the next run of the study leaves out who objects; kept hubs and weights must be made again",
    ]
    assert (tmp_path / "out.tsv").stat().st_mode & 0o777 == 0o600
