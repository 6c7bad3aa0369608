"""Nothing that names a person survives in a run folder."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from cohorts.hub import HUB_TABLES, connect
from workflows.custodian import open_crosswalks


def identifiers_in(extracts: Path) -> dict[str, set[str]]:
    """What the extracts know people by, column by column."""
    found: dict[str, set[str]] = {
        "nhs_number": set(),
        "patient_id": set(),
        "sample_id": set(),
        "postcode": set(),
    }
    for path in extracts.glob("*.csv"):
        table = pd.read_csv(path, dtype=str, on_bad_lines="skip")
        for column in found:
            if column in table:
                found[column] |= set(table[column].dropna().str.strip())
    found["nhs_number"] |= {"".join(c for c in value if c.isdigit()) for value in found["nhs_number"]}
    # Short or blank cells are planted faults, not identifiers.
    return {column: {value for value in values if len(value) >= 6} for column, values in found.items()}


@pytest.fixture(scope="module")
def identifiers(demo: Path) -> dict[str, set[str]]:
    return identifiers_in(demo / "region" / "extracts")


def texts_of(path: Path) -> str:
    if path.suffix == ".parquet":
        table = pd.read_parquet(path)
        values = ["\n".join(table[column].dropna().astype(str).unique()) for column in table]
        return "\n".join([*values, *map(str, table.columns)])
    return path.read_text(encoding="utf-8", errors="replace")


def tokens(text: str) -> set[str]:
    for mark in "<>\"'(),;:=[]{}\t|/":
        text = text.replace(mark, " ")
    return set(text.split())


@pytest.mark.parametrize(("study", "files"), [("demo", 30), ("records_study", 20)])
def test_no_identifier_is_in_any_file_of_the_run(study, files, request):
    place = request.getfixturevalue(study)
    identifiers = identifiers_in(place / "region" / "extracts")
    assert min(len(values) for values in identifiers.values()) > 300
    looked = 0
    for path in (place / "run").rglob("*"):
        if path.is_file():
            assert_nobody_in(texts_of(path), identifiers, path.relative_to(place))
            looked += 1
    assert looked > files


def assert_nobody_in(text: str, identifiers: dict[str, set[str]], where: object) -> None:
    words = tokens(text)
    for column, values in identifiers.items():
        assert not words & values, f"{column} in {where}"
        spaced = [value for value in values if " " in value]
        assert not any(value in text for value in spaced), f"{column} in {where}"


def test_a_hub_that_is_kept_and_what_is_said_of_it_name_nobody(records_study, tmp_path, careome):
    place = Path(
        shutil.copytree(records_study, tmp_path / "place", ignore=shutil.ignore_patterns("run", "custodian"))
    )
    shutil.copytree(
        records_study / "custodian", place / "custodian", ignore=shutil.ignore_patterns("crosswalk")
    )
    out = tmp_path / "hub.duckdb"
    done = careome("records", "build", place / "study.yaml", "--out", out)
    assert done.returncode == 0, done.stderr
    identifiers = identifiers_in(place / "region" / "extracts")
    trail = (place / "custodian" / "crosswalk" / "audit.jsonl").read_text()
    assert_nobody_in(done.stdout + done.stderr + trail, identifiers, "what is printed and recorded")
    # Which sample is whose must stand in a hub, or nobody's genotypes could be found.
    samples = identifiers.pop("sample_id")
    with connect(out, read_only=True) as hub:
        for table in HUB_TABLES:
            text = hub.frame(f"SELECT * FROM {table}").to_csv(index=False)
            assert_nobody_in(text, identifiers, table)
            assert (table == "samples") == bool(tokens(text) & samples), table
    raw = out.read_bytes()
    assert not set(re.findall(rb"\d{10}", raw)) & {value.encode() for value in identifiers["nhs_number"]}
    assert not any(value.encode() in raw for value in identifiers["postcode"])
    assert not (place / "custodian" / ".coronary-disease-records").exists()
    # Whoever the custodian may name is in the sealed crosswalk, and all of them are in the hub.
    sealed = open_crosswalks(place / "custodian" / "crosswalk", place / "custodian" / "custodian.key")
    with connect(out, read_only=True) as hub:
        assert set(sealed["person_id"]) == set(hub.frame("SELECT person_id FROM people")["person_id"])


def test_the_search_finds_an_identifier_that_is_planted(demo, identifiers, tmp_path):
    number = min(value for value in identifiers["nhs_number"] if value.isdigit())
    pd.DataFrame({"note": [f"seen {number}"]}).to_parquet(tmp_path / "leak.parquet")
    assert tokens(texts_of(tmp_path / "leak.parquet")) & identifiers["nhs_number"]


def test_the_crosswalk_is_the_custodians_and_private(demo):
    for path in (demo / "custodian").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path.name
    assert (demo / "custodian" / "project.key").stat().st_mode & 0o077 == 0
    key = (demo / "custodian" / "project.key").read_text().strip()
    assert key not in json.dumps([texts_of(p) for p in (demo / "run").rglob("*") if p.is_file()])


def test_person_level_files_are_readable_by_the_owner_alone(demo):
    for path in (demo / "run").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path.relative_to(demo)


def test_people_who_objected_are_in_no_result(demo):
    optouts = set(pd.read_csv(demo / "region/extracts/optouts.csv", dtype=str)["nhs_number"])
    truth = pd.read_parquet(demo / "region/truth/links.parquet")
    patients = pd.read_csv(demo / "region/extracts/gp_patients.csv", dtype=str)
    objected = patients[patients["nhs_number"].isin(optouts)].assign(source="gp")
    people = set(objected.merge(truth, on=["source", "patient_id"])["true_person"])
    crosswalk = open_crosswalks(demo / "custodian/crosswalk", demo / "custodian/custodian.key")
    crosswalk = crosswalk.merge(truth, on=["source", "patient_id"])
    assert len(people) > 100
    left = crosswalk[crosswalk["true_person"].isin(people) & (crosswalk["source"] == "gp")]
    assert len(left) <= 0.01 * len(people)
