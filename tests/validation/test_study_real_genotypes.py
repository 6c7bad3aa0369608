"""The whole study on real genotypes: a region grown around the 957 people of HapMap 3."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from workflows.custodian import open_crosswalks
from workflows.demo import lay_out_study

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def hapmap(tmp_path_factory, careome, data_file):
    folder = tmp_path_factory.mktemp("hapmap3")
    bfile = data_file("geno_hapmap3/hapmap3.bed").with_suffix("")
    made = careome("synth", folder / "region", "--people", 6000, "--bfile", bfile)
    assert made.returncode == 0, made.stderr
    lay_out_study(folder, build="GRCh36")
    done = careome("run", folder / "study.yaml", "--out", folder / "run")
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_the_study_runs_from_records_to_both_reports(hapmap):
    assert (hapmap / "run/reports/cohort.html").stat().st_size > 100_000
    assert len(list((hapmap / "run/reports/patients").glob("*.html"))) == 5
    assert (hapmap / "run/manifest.json").exists()


def test_the_sex_check_says_that_it_was_not_done(hapmap):
    flow = pd.read_parquet(hapmap / "run/results/qc_sample_flow.parquet").set_index("step")
    assert "no X variants" in flow.loc["sex differs from the record", "threshold"]


def test_components_separate_the_populations(hapmap, data_file):
    """Nearest centroid, each person left out of the centre of their own population."""
    labels = pd.read_csv(data_file("geno_hapmap3/relationships_w_pops_121708.txt"), sep="\t").set_index("IID")
    placed = pd.read_parquet(hapmap / "run/results/components.parquet").set_index("person_id")
    truth = hapmap / "region/truth"
    crosswalk = open_crosswalks(hapmap / "custodian/crosswalk", hapmap / "custodian/custodian.key")
    samples = pd.read_parquet(truth / "samples.parquet").set_index("true_person")["sample_id"]
    links = crosswalk.merge(pd.read_parquet(truth / "links.parquet"), on=["source", "patient_id"])
    who = links.drop_duplicates("person_id").set_index("person_id")["true_person"]
    population = who.reindex(placed.index).map(samples).map(labels["population"])
    known = population.notna().to_numpy()
    points = placed.loc[known, [f"PC{k}" for k in range(1, 7)]].to_numpy()
    points = points / points.std(axis=0)
    names = population[known].to_numpy()
    assert len(set(names)) == 11
    right = 0
    for row, name in enumerate(names):
        others = np.arange(len(names)) != row
        centres = {p: points[others & (names == p)].mean(axis=0) for p in set(names)}
        right += min(centres, key=lambda p: float(((points[row] - centres[p]) ** 2).sum())) == name
    assert right / len(names) > 0.7


def test_an_unsure_study_gives_nobody_a_number(hapmap):
    """Some 240 people are too few for a model of nine factors: every report must abstain, with reasons."""
    risk = pd.read_parquet(hapmap / "run/results/risk_chd_10y.parquet")
    for page in (hapmap / "run/reports/patients").glob("*.html"):
        text = page.read_text(encoding="utf-8")
        if risk["risk"].isna().all():
            assert "Out of 100" not in text
            assert "could not be" in text
