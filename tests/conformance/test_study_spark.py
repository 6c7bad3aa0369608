"""A whole study on Spark: linkage, records and association give what they give on this machine."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

PEOPLE = ["--people", "2000", "--genotyped", "900", "--variants", "1500", "--threads", "2"]
# Small data: what takes the time is starting tasks and compiling queries.
SETTINGS = """spark.sql.adaptive.enabled false
spark.sql.codegen.wholeStage false
spark.sql.codegen.factoryMode NO_CODEGEN
spark.eventLog.enabled true
spark.eventLog.dir file:{log}
"""
# What linkage learns depends on random pairs, which each engine draws in its own way; how near the two come is
# tested in test_linkage_spark.py. Here the model stays as it is before learning, so that all else must be the same.
# The wider rules of blocking, each a join of its own, are of the same kind as the one that is left.
CAREOME = """import sys
import cohorts.linkage_model as model
model.WIDE, model.LEARNING = model.WIDE[:1], ()
from workflows.cli import main
sys.exit(main())
"""


def _on_spark(study: str) -> str:
    engine = "  engine: spark\n  spark_master: local[2]\n"
    for line in ("  threshold: 0.95\n", "  components: 10\n"):
        assert study.count(line) == 1
        study = study.replace(line, line + engine)
    return f"{study}\nrecords:\n{engine}"


def _run(study: Path, out: Path) -> None:
    command = [sys.executable, "-c", CAREOME, "run", str(study), "--out", str(out), "--threads", "2"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=out.parent)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "WARN" not in done.stdout + done.stderr
    assert not (out / ".scratch").exists()


@pytest.mark.slow
def test_a_study_on_spark_alone_gives_the_results_of_this_machine(
    careome: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("hail", reason="needs careome[spark]")
    demo, settings, log = (tmp_path / name for name in ("demo", "settings", "log"))
    made = careome("demo", demo, *PEOPLE)
    assert made.returncode == 0, made.stderr[-3000:]
    for folder in (settings, log):
        folder.mkdir()
    (settings / "spark-defaults.conf").write_text(SETTINGS.format(log=log))
    monkeypatch.setenv("SPARK_CONF_DIR", str(settings))
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1")
    study = demo / "study-on-spark.yaml"
    study.write_text(_on_spark((demo / "study.yaml").read_text(encoding="utf-8")), encoding="utf-8")
    _run(demo / "study.yaml", tmp_path / "here")
    _run(study, tmp_path / "there")
    assert len(list(log.iterdir())) == 3, "linkage, records and association each start Spark"

    here, there = tmp_path / "here" / "results", tmp_path / "there" / "results"
    names = sorted(path.relative_to(here) for path in here.rglob("*.parquet"))
    assert names == sorted(path.relative_to(there) for path in there.rglob("*.parquet"))
    assert {path.parts[0] for path in names} >= {"people.parquet", "phenotypes.parquet", "survival.parquet"}
    for name in names:
        wanted, found = (pd.read_parquet(folder / name) for folder in (here, there))
        rtol, atol = (1e-6, 1e-8) if _is_fitted(name) else (1e-12, 0.0)
        pd.testing.assert_frame_equal(found, wanted, rtol=rtol, atol=atol, obj=str(name))
    assert pd.read_parquet(there / "linkage_quality.parquet")["probable"].sum() > 0


def _is_fitted(name: Path) -> bool:
    """Whether a result follows from sums of fractions, of which each engine has an order of its own."""
    return name.parts[0] in ("association", "weights") or name.stem.startswith(("linkage", "score", "risk"))
