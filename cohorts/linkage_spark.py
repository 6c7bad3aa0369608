"""The linkage's pairs on Spark, for more records than one machine can hold the pairs of.

Records, the rule of the NHS number and the clustering stay where they are (their cost grows with the records);
what grows with the pairs, blocking, comparing, learning and scoring, runs on Spark by the same Splink model.
Prepared records go over as Parquet in a scratch folder of the caller's, **with identifiers**: it must be one
that every worker reads and nobody else. All of it is removed when the backend is closed.

Random pairs are drawn by each engine in its own way, so that u and with it probabilities differ a little from
DuckDB's: 99.5 records in 100 and more come to the same person (tests/conformance/test_linkage_spark.py).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from cohorts.hub import Hub
from cohorts.linkage_records import SCORED
from cohorts.spark import PARTITIONS_PER_CORE, start_spark


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
        master: str = "local[2]",
        *,
        scratch: Path,
        memory: str = "4g",
        settings: Mapping[str, str] | None = None,
    ) -> Iterator[SparkBackend]:
        """Start Spark for a linkage, and end it and its Java afterwards.

        Parameters
        ----------
        master, memory, settings
            As :func:`cohorts.spark.start_spark` takes them.
        scratch
            An existing folder; what is put below it is removed at the end.

        Raises
        ------
        InputError, DesignError
            Spark, a Java for it, or the cluster is not there, or a session is running already.
        """
        from splink.backends.spark import similarity_jar_location

        jar = similarity_jar_location()
        own = {"spark.jars": jar, "spark.driver.extraClassPath": jar, **(settings or {})}
        with tempfile.TemporaryDirectory(prefix="linkage-", dir=scratch, ignore_cleanup_errors=True) as name:
            folder = Path(name).resolve()
            with start_spark(master, scratch=folder, memory=memory, settings=own) as session:
                session.sparkContext.setCheckpointDir(f"file://{folder / 'checkpoints'}")
                yield cls(session, scratch=folder)

    @contextmanager
    def opened(self, hub: Hub) -> Iterator[tuple[Any, Any]]:
        """Splink's database and the registered records; see :class:`cohorts.linkage_model.Backend`."""
        from splink.backends.spark import SparkAPI

        path = self.scratch / "records.parquet"
        quoted = str(path).replace("'", "''")
        # made before it is filled, so that it never has other rights
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
        hub.connection.execute(f"COPY (SELECT * FROM {SCORED}) TO '{quoted}' (FORMAT parquet)")
        try:
            records = self.session.read.parquet(f"file://{path}")
            parts = int(self.session.sparkContext.defaultParallelism) * PARTITIONS_PER_CORE
            api = SparkAPI(spark_session=self.session, break_lineage_method="parquet")
            yield api, api.register(records.repartition(parts, "record").persist())
        finally:
            path.unlink()

    def frame(self, sql: str) -> pd.DataFrame:
        """Rows of a query over the tables that Splink made."""
        found: pd.DataFrame = self.session.sql(sql).toPandas()
        return found

    def clean(self, linker: Any) -> None:
        """Nothing: what Splink made ends with the session."""
