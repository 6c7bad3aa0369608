"""Nothing that names a person survives in a run folder."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from workflows.custodian import open_crosswalks


@pytest.fixture(scope="module")
def identifiers(demo) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {
        "nhs_number": set(),
        "patient_id": set(),
        "sample_id": set(),
        "postcode": set(),
    }
    for path in (demo / "region" / "extracts").glob("*.csv"):
        table = pd.read_csv(path, dtype=str, on_bad_lines="skip")
        for column in found:
            if column in table:
                found[column] |= set(table[column].dropna().str.strip())
    found["nhs_number"] |= {"".join(c for c in value if c.isdigit()) for value in found["nhs_number"]}
    # Short or blank cells are planted faults, not identifiers.
    return {column: {value for value in values if len(value) >= 6} for column, values in found.items()}


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


def test_no_identifier_is_in_any_file_of_the_run(demo, identifiers):
    assert min(len(values) for values in identifiers.values()) > 300
    looked = 0
    for path in (demo / "run").rglob("*"):
        if path.is_file():
            text = texts_of(path)
            words = tokens(text)
            for column, values in identifiers.items():
                assert not words & values, f"{column} in {path.relative_to(demo)}"
                spaced = [value for value in values if " " in value]
                assert not any(value in text for value in spaced), f"{column} in {path.relative_to(demo)}"
            looked += 1
    assert looked > 30


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
