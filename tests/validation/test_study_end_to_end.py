"""A whole study of a synthetic region: what lies where, what adds up, and what agrees with the truth."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

RESULTS = (
    "attrition", "components", "intake", "kinship", "linkage", "people", "phenotypes", "qc_sample_flow",
    "qc_variant_flow", "scores", "survival",
)  # fmt: skip


def result(demo: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(demo / "run" / "results" / f"{name}.parquet")


def test_everything_lies_where_the_readme_says(demo):
    for place in ("region/extracts", "region/genotypes", "region/truth", "codes", "custodian"):
        assert (demo / place).is_dir(), place
    run = demo / "run"
    for name in ("manifest.json", "audit.jsonl", "run.log", "reports/cohort.html", "results/top_loci.tsv"):
        assert (run / name).stat().st_size > 0, name
    for name in RESULTS:
        assert len(result(demo, name)), name
    assert len(list((run / "reports" / "patients").glob("*.html"))) == 5
    assert not (run / ".scratch").exists()
    assert not (run / "state.json").exists()


def test_the_finished_run_verifies(demo, careome):
    done = careome("verify", demo / "run")
    assert done.returncode == 0, done.stderr


def test_every_row_read_was_accepted_or_rejected_with_a_reason(demo):
    intake, rejects = result(demo, "intake"), result(demo, "intake_rejects")
    assert (intake["read"] == intake["accepted"] + intake["rejected"]).all()
    assert rejects["rows"].sum() == intake["rejected"].sum() > 0


def test_every_flow_adds_up(demo):
    for name in ("attrition", "genotyped", "qc_sample_flow", "qc_variant_flow"):
        flow = result(demo, name)
        assert (
            flow["remaining"].shift(1).iloc[1:] - flow["removed"].iloc[1:] == flow["remaining"].iloc[1:]
        ).all(), name


def test_linkage_agrees_with_the_truth(demo):
    comparison = pd.read_csv(demo / "comparison.tsv", sep="\t").set_index("what")["value"]
    assert float(comparison["Linkage, precision"].split()[0]) > 0.995
    assert float(comparison["Linkage, recall"].split()[0]) > 0.985


def test_phenotypes_agree_with_the_truth(demo):
    comparison = pd.read_csv(demo / "comparison.tsv", sep="\t").set_index("what")["value"]
    for disease in ("Type 2 diabetes", "Coronary disease"):
        sensitivity, ppv = (float(part.split()[-1]) for part in comparison[f"{disease}, cases"].split(", "))
        assert sensitivity > 0.9
        assert ppv > 0.97


def test_scores_rank_people_as_their_true_genetic_value_does(demo):
    comparison = pd.read_csv(demo / "comparison.tsv", sep="\t").set_index("what")["value"]
    correlations = [float(v.split()[1]) for k, v in comparison.items() if str(k).endswith(", score")]
    # The small region leaves some 500 people to find associations in: single scores may fail, all may not.
    assert len(correlations) >= 3
    assert sum(correlations) / len(correlations) > 0.1


def test_the_parts_share_nobody_and_no_family(demo):
    components, kinship = result(demo, "components"), result(demo, "kinship")
    assert components["person_id"].is_unique
    part = components.set_index("person_id")["part"]
    assert set(part) == {"discovery", "target", "validation"}
    both = kinship[kinship["person_id1"].isin(part.index) & kinship["person_id2"].isin(part.index)]
    assert len(both) > 5
    assert (both["person_id1"].map(part).to_numpy() == both["person_id2"].map(part).to_numpy()).all()


def test_risk_reports_are_of_people_nothing_was_learnt_from(demo):
    part = result(demo, "components").set_index("person_id")["part"]
    for page in (demo / "run" / "reports" / "patients").glob("*.html"):
        assert part[int(page.stem, 16)] == "validation"


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("src", "href", "xlink:href") and value and not value.startswith(("#", "data:")):
                self.outside.append(value)


def test_reports_need_nothing_from_outside(demo):
    pages = [demo / "run/reports/cohort.html", *(demo / "run/reports/patients").glob("*.html")]
    for page in pages:
        parser = _Links()
        text = page.read_text(encoding="utf-8")
        parser.feed(text)
        assert parser.outside == []
        assert "@import" not in text
        assert "<script" not in text


def test_the_manifest_accounts_for_inputs_and_outputs(demo):
    manifest = json.loads((demo / "run" / "manifest.json").read_text())
    assert manifest["status"] == "complete"
    assert "sources.gp.patients" in manifest["inputs"]
    assert "reports/cohort.html" in manifest["outputs"]
    assert str(demo) not in json.dumps(manifest)


def test_a_finished_run_is_not_overwritten(demo, careome):
    done = careome("run", demo / "study.yaml", "--out", demo / "run")
    assert done.returncode == 14
    assert "finished run" in done.stderr


def test_a_demo_is_not_made_over_another(demo, careome):
    done = careome("demo", demo)
    assert done.returncode == 14
    assert "is there already" in done.stderr


@pytest.mark.parametrize("name", ["gp_patients.csv", "region.bed", "t2d.csv"])
def test_a_missing_input_stops_the_run_before_it_begins(demo, careome, tmp_path, name):
    text = (demo / "study.yaml").read_text()
    moved = (
        text.replace(name.removesuffix(".bed"), f"gone_{name.removesuffix('.bed')}")
        if name != "region.bed"
        else (text.replace("region/genotypes/region", "region/genotypes/gone"))
    )
    study = demo / f"study-without-{name}.yaml"
    study.write_text(moved)
    try:
        done = careome("run", study, "--out", tmp_path / "run")
    finally:
        study.unlink()
    assert done.returncode == 10, done.stderr
    assert "gone" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_the_spark_engine_gives_the_results_of_the_local_one(demo, careome, tmp_path):
    pytest.importorskip("hail", reason="needs careome[spark]")
    text = (demo / "study.yaml").read_text()
    study = demo / "study-on-spark.yaml"
    study.write_text(
        text.replace("  components: 10\n", "  components: 10\n  engine: spark\n  spark_master: local[2]\n")
    )
    try:
        done = careome("run", study, "--out", tmp_path / "run", "--threads", "2", cwd=tmp_path)
    finally:
        study.unlink()
    assert done.returncode == 0, done.stderr[-3000:]
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    for part in sorted((demo / "run/results/association").glob("*.parquet")):
        mine = pd.read_parquet(tmp_path / "run/results/association" / part.name)
        pd.testing.assert_frame_equal(mine, pd.read_parquet(part), rtol=1e-6, atol=1e-8)


@pytest.mark.slow
def test_the_demo_as_shipped_finds_what_was_planted_and_tells_most_people_a_risk(careome, tmp_path):
    folder = tmp_path / "careome-demo"
    done = careome("demo", folder, "--threads", "2")
    assert done.returncode == 0, done.stderr[-3000:]
    comparison = pd.read_csv(folder / "comparison.tsv", sep="\t").set_index("what")["value"]
    assert float(comparison["Linkage, precision"].split()[0]) > 0.999
    assert float(comparison["Linkage, recall"].split()[0]) > 0.995
    loci = [value.split(";")[0].split() for what, value in comparison.items() if str(what).endswith(", loci")]
    planted, found = (sum(int(words[at]) for words in loci) for at in (0, 2))
    assert found >= 5
    assert planted == found
    pages = [page.read_text(encoding="utf-8") for page in (folder / "run/reports/patients").glob("*.html")]
    assert len(pages) == 5
    assert sum("Out of 100" in page for page in pages) >= 3
