"""The linkage's pairs on Spark, for more records than one machine can hold the pairs of.

The only place of the linkage that imports pyspark, on first use. Records, the rule of the NHS number and the
clustering stay where they are (their cost grows with the records); what grows with the pairs, blocking,
comparing, learning and scoring, runs on Spark by the same Splink model. Prepared records go over as Parquet in a
scratch folder of the caller's, **with identifiers**; it must be one that every worker reads and nobody else,
and all of it is removed when the backend is closed.

Random pairs are drawn by each engine in its own way, so that u and with it probabilities differ a little from
DuckDB's: 99.5 records in 100 and more come to the same person (tests/conformance/test_linkage_spark.py).
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from cohorts.errors import InputError
from cohorts.hub import Hub
from cohorts.java import INSTALL, find_java
from cohorts.linkage_model import RECORDS

PARTITIONS_PER_CORE = 2


class SparkBackend:
    """A :class:`cohorts.linkage_model.Backend` on a Spark session of its own.

    Parameters
    ----------
    session
        A Spark session with Splink's functions on its class path, as :meth:`start` makes it.
    scratch
        Folder for what goes between DuckDB and Spark.
    """

    dialect = "spark"

    def __init__(self, session: Any, *, scratch: Path) -> None:
        self.session = session
        self.scratch = scratch

    @classmethod
    @contextmanager
    def start(
        cls,
        master: str = "local[*]",
        *,
        scratch: Path,
        memory: str = "4g",
        settings: Mapping[str, str] | None = None,
    ) -> Iterator[SparkBackend]:
        """Start Spark for a linkage, and end it and its Java afterwards.

        Parameters
        ----------
        master
            Where Spark runs.
        scratch
            An existing folder; Spark's own files go below it and are removed at the end.
        memory
            Of the driver, and of each worker of a cluster.
        settings
            More of Spark's settings.

        Raises
        ------
        InputError
            Spark, a Java for it, or the cluster is not there.
        """
        home = find_java()
        try:
            import pyspark  # noqa: F401
        except ImportError as error:
            raise InputError("Spark is not installed", fix=INSTALL) from error
        folder = scratch.resolve() / "spark"
        folder.mkdir(mode=0o700, exist_ok=True)
        try:
            session = _session(master, home, folder, memory, settings or {})
        except Exception as error:
            _end_java()
            shutil.rmtree(folder, ignore_errors=True)
            raise InputError(
                "Spark could not be started",
                where=master,
                found=type(error).__name__,
                fix="check the address and the memory",
            ) from error
        try:
            yield cls(session, scratch=folder)
        finally:
            session.stop()
            _end_java()
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def opened(self, hub: Hub) -> Iterator[tuple[Any, Any]]:
        """Splink's database and the registered records; see :class:`cohorts.linkage_model.Backend`."""
        from splink.backends.spark import SparkAPI

        path = self.scratch / "records.parquet"
        quoted = str(path).replace("'", "''")
        hub.connection.execute(f"COPY {RECORDS} TO '{quoted}' (FORMAT parquet)")
        os.chmod(path, 0o600)
        try:
            records = self.session.read.parquet(f"file://{path}")
            records = records.repartition(self._partitions(), "record").persist()
            api = SparkAPI(spark_session=self.session, break_lineage_method="parquet")
            yield api, api.register(records)
        finally:
            path.unlink()

    def frame(self, sql: str) -> pd.DataFrame:
        """Rows of a query over the tables that Splink made."""
        found: pd.DataFrame = self.session.sql(sql).toPandas()
        return found

    def clean(self, linker: Any) -> None:
        """Nothing: what Splink made ends with the session."""

    def _partitions(self) -> int:
        return int(self.session.sparkContext.defaultParallelism) * PARTITIONS_PER_CORE


def _session(master: str, home: Path, folder: Path, memory: str, settings: Mapping[str, str]) -> Any:
    from pyspark.sql import SparkSession
    from splink.backends.spark import similarity_jar_location

    jar = similarity_jar_location()
    for name in ("local", "java", "checkpoints"):
        (folder / name).mkdir(mode=0o700, exist_ok=True)
    chosen = {
        "spark.jars": jar,
        "spark.driver.extraClassPath": jar,
        "spark.driver.memory": memory,
        "spark.driver.maxResultSize": "0",
        "spark.driver.extraJavaOptions": f"-Djava.io.tmpdir={folder / 'java'} -XX:-UsePerfData",
        "spark.local.dir": str(folder / "local"),
        "spark.sql.warehouse.dir": f"file://{folder / 'warehouse'}",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
    }
    if master.startswith("local"):
        cores = len(os.sched_getaffinity(0))
        chosen["spark.driver.host"] = chosen["spark.driver.bindAddress"] = "127.0.0.1"
        chosen["spark.sql.shuffle.partitions"] = str(PARTITIONS_PER_CORE * cores)
        chosen["spark.default.parallelism"] = str(PARTITIONS_PER_CORE * cores)
    else:
        chosen["spark.executor.memory"] = memory
    before = {name: os.environ.get(name) for name in ("JAVA_HOME", "PYSPARK_PYTHON")}
    os.environ |= {"JAVA_HOME": str(home), "PYSPARK_PYTHON": sys.executable}
    try:
        builder = SparkSession.builder.master(master).appName("careome linkage")
        for name, value in {**chosen, **settings}.items():
            builder = builder.config(name, value)
        session = builder.getOrCreate()
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    session.sparkContext.setCheckpointDir(f"file://{folder / 'checkpoints'}")
    return session


def _end_java() -> None:
    """End Spark's Java, so that the next start, the genetics' Hail among them, has one with its own settings."""
    from pyspark import SparkContext

    gateway = SparkContext._gateway
    if gateway is None:
        return
    gateway.shutdown()
    process = getattr(gateway, "proc", None)
    if process is not None:
        process.stdin.close()
        process.wait(timeout=60)
    SparkContext._gateway = SparkContext._jvm = None
