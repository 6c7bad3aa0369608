"""A study without genotypes, from extracts to its report: only what it does is shown, and its counts are released."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from cohorts.hub import connect

RESULTS = {
    "attrition", "code_counts", "incidence", "intake", "intake_rejects", "linkage", "linkage_doubts",
    "linkage_model", "linkage_quality", "linkage_rules", "objections", "objections_without_effect",
    "outcome_flow", "people", "phenotypes", "prevalence", "survival", "trait_measurements",
}  # fmt: skip


def result(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(folder / "run" / "results" / f"{name}.parquet")


@pytest.fixture(scope="module")
def page(records_study: Path) -> str:
    return (records_study / "run" / "reports" / "cohort.html").read_text(encoding="utf-8")


def test_the_run_leaves_what_records_say_and_nothing_of_a_genome(records_study: Path, careome) -> None:
    run = records_study / "run"
    assert {path.stem for path in (run / "results").iterdir()} == RESULTS
    assert [path.name for path in (run / "reports").iterdir()] == ["cohort.html"]
    assert not (run / ".scratch").exists()
    done = careome("verify", run)
    assert done.returncode == 0, done.stderr
    manifest = json.loads((run / "manifest.json").read_text())
    assert set(manifest["counts"]) == {"people_in_study", "rows_accepted", "rows_read", "rows_rejected"}
    assert not [name for name in manifest["inputs"] if name.startswith(("genotypes", "genes", "scores"))]
    crate = json.loads((run / "ro-crate-metadata.json").read_text())
    assert {"@id": "results/prevalence.parquet"} in crate["@graph"][1]["hasPart"]


def test_the_steps_shown_are_those_that_run(records_study: Path) -> None:
    printed = (records_study / "printed.txt").read_text()
    assert re.findall(r"^\[(\d+)/(\d+)\]", printed, flags=re.MULTILINE) == [
        (str(n), "8") for n in range(1, 9)
    ]
    assert "variant" not in printed
    assert "Risk reports" not in printed
    assert re.search(r"^Coronary disease: [\d.]+% on 2012-01-01$", printed, flags=re.MULTILINE)


def test_the_report_has_no_heading_of_the_genome_and_none_that_is_empty(page: str) -> None:
    sections = re.findall(r'<section id="(\w+)">', page)
    assert sections == ["findings", "people", "phenotypes", "methods", "limits", "receipts"]
    assert re.findall(r'<a href="#(\w+)">', page) == sections
    tops = re.findall(r"<h2>(.*?)</h2>(.*?)</section>", page, flags=re.DOTALL)
    headings = re.findall(r"<h3>(.*?)</h3>(.*?)(?=<h3>|</section>)", page, flags=re.DOTALL)
    assert len(headings) > 10
    for heading, below in [*tops, *headings]:
        assert re.sub(r"<[^>]+>", "", below).strip(), heading
    words = re.sub(r"<(style|svg).*?</\1>|<[^>]+>", " ", page, flags=re.DOTALL).lower()
    for word in ("genotype", "genome", "variant", "polygenic", "king-robust", "discovery part"):
        assert word not in words.replace("genotyped", ""), word


def test_prevalence_and_incidence_are_released_and_the_same_in_the_report(
    records_study: Path, page: str
) -> None:
    prevalence, incidence = result(records_study, "prevalence"), result(records_study, "incidence")
    assert set(prevalence["phenotype"]) == {"t2d", "chd", "heart_failure", "t2d_before"}
    # Nothing of a definition that reads no record after the index date, or of new cases only.
    assert set(incidence["phenotype"]) == {"t2d", "chd", "heart_failure"}
    assert set(incidence["year"]) == set(range(2012, 2023))
    for table, columns in (
        (prevalence, ["people", "cases"]),
        (incidence, ["people", "person_years", "events"]),
    ):
        for column in columns:
            shown = table[column].dropna()
            assert (shown >= 10).all(), column
            assert (shown % 5 == 0).all(), column
    assert prevalence["cases"].isna().any()
    shown = prevalence.dropna(subset=["cases", "people"])
    assert len(shown) >= 5
    pd.testing.assert_series_equal(
        shown["prevalence"], (shown["cases"] / shown["people"]).astype(float), check_names=False
    )
    # Exactly, from what the run holds of every person.
    people, statuses = result(records_study, "people"), result(records_study, "phenotypes")
    chd = statuses[statuses["phenotype"] == "chd"]
    had = set(chd.loc[chd["first_date"] <= "2012-01-01", "person_id"])
    women = people[(people["sex"] == 0) & people["age"].between(60, 69)]
    exact = int(women["person_id"].isin(had).sum())
    cell = prevalence[
        (prevalence["phenotype"] == "chd") & (prevalence["age_band"] == "60-69") & (prevalence["sex"] == "F")
    ].iloc[0]
    assert abs(cell["people"] - len(women)) <= 2
    assert (cell["cases"] == 5 * round(exact / 5)) if exact >= 10 else pd.isna(cell["cases"])
    assert "How common, and how often new" in page
    assert "New coronary disease is not among the counts" in page
    for share in shown["prevalence"]:
        assert f"{100 * share:.1f}%" in page


def test_the_hub_is_built_from_a_small_file_whole_private_and_never_overwritten(
    records_study: Path, careome, tmp_path: Path
) -> None:
    place = Path(shutil.copytree(records_study, tmp_path / "place", ignore=shutil.ignore_patterns("run")))
    out = tmp_path / "hub.duckdb"
    done = careome("records", "build", place / "hub.yaml", "--out", out)
    assert done.returncode == 0, done.stderr
    assert out.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hub.duckdb", "place"]
    rows = re.search(
        r"^all: ([\d,]+) read = ([\d,]+) accepted \+ ([\d,]+) rejected$", done.stdout, re.MULTILINE
    )
    assert rows is not None
    read, accepted, rejected = (int(n.replace(",", "")) for n in rows.groups())
    assert read == accepted + rejected
    linked = int(re.search(r"records are of ([\d,]+) people", done.stdout)[1].replace(",", ""))
    objected = int(re.search(r"^([\d,]+) people left out by objection", done.stdout, re.MULTILINE)[1])
    with connect(out, read_only=True) as hub:
        people = hub.frame("SELECT person_id FROM people")["person_id"]
        assert len(people) == linked - objected > 1_000
        assert len(hub.frame("SELECT 1 FROM events")) > 50_000
    # The same people as in a run: one project key, one pseudonym.
    assert set(result(records_study, "people")["person_id"]) <= set(people)
    trail = [json.loads(line) for line in (place / "custodian/audit.jsonl").read_text().splitlines()]
    assert [entry["event"] for entry in trail][-1] == "hub written"
    assert trail[-1]["details"]["people"] == len(people)
    assert not [path for path in (place / "custodian").iterdir() if path.name.endswith("-records")]
    before = out.read_bytes()
    again = careome("records", "build", place / "hub.yaml", "--out", out)
    assert again.returncode == 14
    assert "is there already" in again.stderr
    assert out.read_bytes() == before


def test_a_hub_is_not_written_where_too_much_was_refused_or_into_a_run(
    records_study: Path, careome, tmp_path: Path
) -> None:
    inside = careome(
        "records", "build", records_study / "hub.yaml", "--out", records_study / "run/hub.duckdb"
    )
    assert inside.returncode == 13
    assert not (records_study / "run/hub.duckdb").exists()
    place = Path(shutil.copytree(records_study, tmp_path / "place", ignore=shutil.ignore_patterns("run")))
    text = (place / "hub.yaml").read_text().replace("  gp:\n", "  gp:\n    most_rejected: 0.0001\n")
    (place / "hub.yaml").write_text(text)
    done = careome("records", "build", place / "hub.yaml", "--out", tmp_path / "hub.duckdb")
    assert done.returncode == 11, done.stderr
    assert "sources.gp.most_rejected" in done.stderr
    assert not (tmp_path / "hub.duckdb").exists()
    assert not [path for path in (place / "custodian").iterdir() if path.name.endswith("-records")]
