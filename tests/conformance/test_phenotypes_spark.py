"""A study's records on Spark, as its study file asks for: the answers are DuckDB's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import workflows
from cohorts.hub import connect
from cohorts.synthetic import RegionConfig
from phenotypes.codelist import CodeList
from phenotypes.comorbidities import comorbidity
from phenotypes.derivation import Derived, derive
from phenotypes.phecode_map import PhecodeMap
from phenotypes.phenome import phecodes
from phenotypes.session import HubLike
from workflows.deriving import engine_hub
from workflows.hub_plan import canonical_text
from workflows.study import Study
from workflows.study_file import read_study
from workflows.synth import write_hub

DEMO = Path(workflows.__file__).parent / "demo"
# Beside the outcome that the demonstration declares.
MORE = """
outcomes:
  t2d_5y:
    label: type 2 diabetes
    event: {all: [{has: type_2_diabetes}]}
    competing: none
    years: 5
"""
MAP = "vocabulary_id,code,phecode\nICD10,E11,250.2\nICD10,I25,411\nICD10,I21,411.2\nICD10,J45,495\n"
NAMES = """phecode,phenotype,phecode_exclude_range,sex,category
250.2,type 2 diabetes,249-250.99,Both,endocrine
411,heart disease,411-414.99,Both,circulatory
411.2,heart attack,411-414.99,Both,circulatory
495,asthma,490-498.99,Both,respiratory
"""


def _study(folder: Path, engine: str) -> Study:
    text = (DEMO / "study.yaml").read_text(encoding="utf-8")
    text = text.replace("\noutcomes:\n", MORE)
    text += f"\nrecords: {{engine: {engine}, spark_master: 'local[2]'}}\n"
    path = folder / f"{engine}.yaml"
    path.write_text(text, encoding="utf-8")
    study = read_study(path)
    few = {"phenotypes": ("t2d", "chd"), "traits": ("sbp", "smoking")}
    return study.model_copy(
        update={kind: {name: getattr(study, kind)[name] for name in names} for kind, names in few.items()}
    )


def _derived(study: Study, hub: HubLike, persons: pd.DataFrame) -> Derived:
    lists = {name: CodeList.read(DEMO / "codes" / path.name, name) for name, path in study.codelists.items()}
    return derive(
        hub,
        persons,
        index_date=study.study.index_date,
        data_end=study.study.data_end,
        phenotypes=study.phenotypes,
        traits=study.traits,
        outcomes=study.outcomes,
        codelists=lists,
    )


def test_the_engine_is_part_of_what_a_study_declares(tmp_path: Path) -> None:
    assert canonical_text(_study(tmp_path, "local")) != canonical_text(_study(tmp_path, "spark"))


@pytest.mark.slow
def test_phenotypes_traits_outcomes_phecodes_and_comorbidity_are_those_of_duckdb(tmp_path: Path) -> None:
    pytest.importorskip("pyspark")
    (tmp_path / "map.csv").write_text(MAP)
    (tmp_path / "names.csv").write_text(NAMES)
    maps = PhecodeMap.read(tmp_path / "map.csv", names=tmp_path / "names.csv")
    write_hub(RegionConfig(people=800, genotyped=50, variants=400, seed=3), tmp_path / "region")
    study, scratch = _study(tmp_path, "spark"), tmp_path / "scratch"
    with connect(tmp_path / "region" / "hub.duckdb", read_only=True) as hub:
        persons = hub.frame("SELECT person_id, sex, birth_date FROM people ORDER BY person_id")
        here = _derived(study, hub, persons)
        coded = phecodes(hub, maps, persons=persons, min_dates=2)
        scored = comorbidity(hub, persons, on=study.study.index_date)
        with engine_hub(study, hub, scratch) as on_spark:
            assert on_spark is not hub
            there = _derived(study, on_spark, persons)
            coded_there = phecodes(on_spark, maps, persons=persons, min_dates=2)
            scored_there = comorbidity(on_spark, persons, on=study.study.index_date)
    assert not list(scratch.iterdir())

    assert (here.long["status"] == "case").groupby(here.long["phenotype"], observed=True).sum().min() > 5
    pd.testing.assert_frame_equal(there.long, here.long)
    assert {"smoking_current", "smoking_ex"} <= set(here.wide)
    pd.testing.assert_frame_equal(there.wide, here.wide, rtol=1e-12)
    assert (here.survival["state"] == 1).groupby(here.survival["outcome"]).sum().min() > 5
    keys = ["outcome", "person_id"]
    pd.testing.assert_frame_equal(
        there.survival.sort_values(keys, ignore_index=True),
        here.survival.sort_values(keys, ignore_index=True),
    )
    for table in ("statuses", "codes", "traits", "outcomes", "notes"):
        found, wanted = getattr(there.diagnostics, table), getattr(here.diagnostics, table)
        pd.testing.assert_frame_equal(found, wanted, check_dtype=False)

    assert coded.counts["case"].gt(0).sum() >= 2
    pd.testing.assert_frame_equal(coded_there.long, coded.long)
    pd.testing.assert_frame_equal(coded_there.counts, coded.counts)
    for phecode in maps.phecodes["phecode"]:
        np.testing.assert_array_equal(coded_there.status(phecode), coded.status(phecode))
    assert scored["score"].gt(0).any()
    pd.testing.assert_frame_equal(scored_there, scored)
