"""Spark that is not there, does not answer, or is lost while it works: one line, and nothing left behind."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cohorts.errors import InputError
from cohorts.linkage_spark import SparkBackend
from cohorts.spark import refuse_silent_cluster, start_spark
from phenotypes.definitions import Phenotype
from phenotypes.derivation import derive
from phenotypes.rules import has
from phenotypes.spark_session import SparkHub
from phenotypes.worked import hub_of

slow = pytest.mark.slow
_BESIDE = Path(__file__).parents[1] / "generative" / "test_phenotypes_engines.py"


@pytest.fixture(scope="module")
def engines() -> Any:
    """How people and definitions are made for the tests of the engines."""
    spec = importlib.util.spec_from_file_location("engines", _BESIDE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def said_in_one_line(capfd: pytest.CaptureFixture[str], says: str) -> Iterator[None]:
    """What is raised is one line for the user, exit code 11; nothing is printed beside it."""
    with pytest.raises(InputError, match=says) as caught:
        yield
    assert caught.value.exit_code == 11
    assert "\n" not in str(caught.value)
    assert "To fix: " in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_cluster_that_does_not_answer_is_refused_before_anything_starts(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyspark")
    monkeypatch.setattr("cohorts.spark.find_java", lambda: Path("java"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = f"spark://127.0.0.1:{taken.getsockname()[1]}"
    for start in (start_spark, SparkBackend.start):
        with (
            said_in_one_line(capfd, f"^{nobody}: the Spark cluster does not answer"),
            start(nobody, scratch=tmp_path),
        ):
            pass
    with said_in_one_line(capfd, "does not answer"):
        refuse_silent_cluster("spark://no-port")
    assert list(tmp_path.iterdir()) == []


def test_one_of_several_masters_is_enough() -> None:
    with socket.create_server(("127.0.0.1", 0)) as master:
        refuse_silent_cluster(f"spark://127.0.0.1:1,127.0.0.1:{master.getsockname()[1]}")


def test_without_the_extra_the_message_says_what_to_install() -> None:
    script = (
        "import sys; sys.modules['pyspark'] = None\n"
        "from cohorts.errors import CareomeError\n"
        "from cohorts.spark import refuse_second_session\n"
        "try: refuse_second_session()\n"
        "except CareomeError as error: print(error.exit_code, error)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == (
        '11 Spark is not installed; found no package pyspark. To fix: pip install "careome[spark]".'
    )


@slow
def test_java_that_is_killed_is_told_and_the_next_start_works(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pyspark")
    with (
        said_in_one_line(capfd, r"^local\[1\]: Spark stopped before it was done; found its Java ended"),
        start_spark("local[1]", scratch=tmp_path, memory="512m") as spark,
    ):
        os.kill(spark.sparkContext._gateway.proc.pid, signal.SIGKILL)
        spark.range(3).count()
    assert list(tmp_path.iterdir()) == []
    with start_spark("local[1]", scratch=tmp_path, memory="512m") as spark:
        (folder,) = tmp_path.iterdir()
        assert {path.stat().st_mode & 0o777 for path in (folder, *folder.iterdir()) if path.is_dir()} == {
            0o700
        }
        assert spark.range(3).count() == 3
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


@slow
def test_a_worker_killed_in_the_middle_changes_nothing_and_one_that_always_dies_is_told(
    engines: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An executor of a cluster on this machine is killed while it asks its people."""
    pytest.importorskip("pyspark")
    people = [person for i in range(20) for person in engines._population(i)]
    hub, persons = hub_of(people)
    asked = {"index_date": engines.INDEX, "phenotypes": {"p": Phenotype("p", has(engines.LISTS[0]))}}
    scratch, tables, mark = tmp_path / "scratch", tmp_path / "hub", tmp_path / "killed"
    for folder in (scratch, tables):
        folder.mkdir()
    with hub:
        here = derive(hub, persons, **asked)
        for name in ("events", "registrations", "deaths"):
            hub.connection.execute(f"COPY {name} TO '{tables / name}.parquet' (FORMAT parquet)")
    always: list[bool] = []
    monkeypatch.setattr("phenotypes.spark_session.run", _killing(str(mark), always))
    settings = {
        "spark.task.maxFailures": "2",
        "spark.sql.shuffle.partitions": "1",
        "spark.sql.adaptive.enabled": "false",
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    }
    with (
        said_in_one_line(capfd, "Spark stopped before it was done; found a worker was lost"),
        start_spark("local-cluster[1,1,1024]", scratch=scratch, memory="1g", settings=settings) as spark,
    ):
        there = derive(SparkHub.read(spark, tables), persons, **asked)
        assert mark.exists()
        pd.testing.assert_frame_equal(there.long, here.long)
        assert (here.long["status"] == "case").any()
        always.append(True)
        derive(SparkHub.read(spark, tables), persons, **asked)
    assert list(scratch.iterdir()) == []


def _killing(mark: str, always: list[bool]) -> Callable[..., Any]:
    """What a task does, after killing its executor: the first time, or every time.

    Its content goes to the workers, which cannot import this file.
    """

    def run(work: Any, group: int) -> Any:
        import os
        import signal
        import time
        from pathlib import Path

        from phenotypes.spark_tasks import run as answer

        if always or not Path(mark).exists():
            Path(mark).touch()
            daemon = Path(f"/proc/{os.getppid()}/stat").read_text()
            os.kill(int(daemon.rpartition(")")[2].split()[1]), signal.SIGKILL)
            time.sleep(60)
        return answer(work, group)

    return run
