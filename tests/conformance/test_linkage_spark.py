"""The linkage on Spark comes to the people that the linkage on DuckDB comes to."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from cohorts import linkage_model
from cohorts.hub import Hub, connect
from cohorts.linkage import link, pair_quality
from cohorts.linkage_spark import SparkBackend
from cohorts.sources import TableSource, read_sources
from cohorts.synthetic import RegionConfig, make_region

pytestmark = pytest.mark.slow

# Small data: what takes the time is starting tasks and compiling queries.
SMALL = {
    "spark.sql.shuffle.partitions": "1",
    "spark.default.parallelism": "1",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory) -> tuple[Hub, pd.DataFrame]:
    pytest.importorskip("pyspark")
    folder = tmp_path_factory.mktemp("spark-region")
    parts: dict[str, list[pd.DataFrame]] = {}
    for name, frame in make_region(RegionConfig(people=400, genotyped=100, variants=500, seed=5)).tables():
        parts.setdefault(name, []).append(frame)
    sources = {}
    for name, frames in parts.items():
        if name.endswith("_patients.csv"):
            source = name.removeprefix("extracts/").removesuffix("_patients.csv")
            pd.concat(frames).to_csv(folder / f"{source}.csv", index=False)
            sources[source] = {"patients": TableSource(folder / f"{source}.csv")}
    hub = connect()
    read_sources(hub, sources)
    return hub, pd.concat(parts["truth/links.parquet"])


def test_spark_and_duckdb_link_the_same_people(
    region: tuple[Hub, pd.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Every rule is a join of its own and every learning some twenty queries, whose compiling is what takes the
    # time: the wider rules and half of the learning are of the same kind as those that are left.
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1")
    monkeypatch.setattr(linkage_model, "WIDE", linkage_model.WIDE[:1])
    monkeypatch.setattr(linkage_model, "LEARNING", linkage_model.LEARNING[:3:2])
    hub, truth = region
    here = link(hub, threshold=0.95, seed=1, sample_pairs=5e4)
    with SparkBackend.start("local[2]", scratch=tmp_path, memory="1g", settings=SMALL) as backend:
        there = link(hub, threshold=0.95, seed=1, sample_pairs=5e4, backend=backend)
        assert {path.stat().st_mode & 0o077 for path in tmp_path.iterdir()} == {0}, "others see identifiers"
    assert len(here.crosswalk) > 800
    same = (here.crosswalk["entity"] == there.crosswalk["entity"]).mean()
    assert same >= 0.995
    for links in (here, there):
        found = pair_quality(links.crosswalk, truth)
        assert found.precision >= 0.998
        assert found.recall >= 0.985
    assert here.blocking.equals(there.blocking)
    assert list(here.model["level"]) == list(there.model["level"])
    assert list(tmp_path.rglob("*")) == [], "identified records are left behind"
