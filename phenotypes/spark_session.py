"""The same expressions on Spark: a hub of Parquet files or Spark tables, and a session on it.

This is the only module of the package that talks to Spark, and it is imported by those who have a Spark
session (:func:`cohorts.spark.start_spark` makes one). Definitions, rules and results are those of DuckDB;
tests hold the two engines and the plain reference to the same answers. What differs between engines and is
therefore kept out of expressions: differences in months and years, as-of joins, interpolated medians of
anything but doubles.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

import ibis
import pandas as pd
import pyarrow as pa

from cohorts.errors import InputError
from cohorts.hub import HUB_TABLES
from phenotypes.session import Session

#: Questions answered by one Spark job: a job has a cost of its own, and a plan of hundreds of parts a larger one.
TOGETHER = 8
_NEEDED = ("events", "registrations", "deaths")


@dataclass(frozen=True)
class SparkHub:
    """A hub on Spark.

    Attributes
    ----------
    spark
        The Spark session.
    tables
        Spark frames by the name of the hub's table.

    Examples
    --------
    >>> hub = SparkHub.read(spark, "hub")  # doctest: +SKIP
    >>> derived = derive(hub, people, index_date=on, phenotypes=rules)  # doctest: +SKIP
    """

    spark: Any
    tables: Mapping[str, Any]

    @classmethod
    def read(cls, spark: Any, folder: str | Path) -> SparkHub:
        """A hub of Parquet: ``TABLE.parquet`` or ``TABLE/`` for each table, in a folder every worker sees.

        Raises
        ------
        InputError
            Where events, registrations or deaths are not there.
        """
        folder = Path(folder).resolve()
        paths = {name: [folder / f"{name}.parquet", folder / name] for name in HUB_TABLES}
        there = {name: next((p for p in some if p.exists()), None) for name, some in paths.items()}
        missing = [name for name in _NEEDED if there[name] is None]
        if missing:
            raise InputError(
                "not a hub of Parquet files",
                where=folder,
                found=f"no {' and no '.join(missing)}",
                expected="TABLE.parquet for each table of a hub",
            )
        return cls(spark, {n: spark.read.parquet(f"file://{p}") for n, p in there.items() if p is not None})

    @classmethod
    def of(cls, spark: Any, **names: str) -> SparkHub:
        """A hub of tables that Spark knows, such as ``events="records.events"``."""
        return cls(spark, {table: spark.table(name) for table, name in names.items()})

    @contextmanager
    def open_session(self) -> Iterator[Session]:
        """Open a session; what it keeps goes when the block ends."""
        opened = SparkQueries(ibis.pyspark.connect(self.spark), self.spark, f"careome_{uuid.uuid4().hex}_")
        self.spark.conf.set("spark.sql.execution.arrow.pyspark.enabled", "true")
        try:
            for name, frame in self.tables.items():
                opened.name(name, frame)
            yield opened
        finally:
            opened.close()


@dataclass(frozen=True)
class SparkQueries:
    """A :class:`phenotypes.session.Session` on Spark.

    Attributes
    ----------
    backend
        Ibis backend over `spark`.
    spark
        The Spark session.
    prefix
        Of the names of its views, so that two sessions do not meet.
    """

    backend: Any
    spark: Any
    prefix: str
    known: dict[str, Any] = field(default_factory=dict)

    def name(self, name: str, frame: Any) -> Any:
        """Make a Spark frame known under a name; gives the Ibis table."""
        frame.createOrReplaceTempView(self.prefix + name)
        self.known[name] = self.backend.table(self.prefix + name)
        return self.known[name]

    def table(self, name: str) -> Any:
        """See :class:`phenotypes.session.Session`."""
        return self.known[name]

    def load(self, name: str, rows: pa.Table) -> Any:
        """See :class:`phenotypes.session.Session`."""
        from ibis.backends.pyspark.datatypes import PySparkSchema

        schema = PySparkSchema.from_ibis(ibis.Schema.from_pyarrow(rows.schema))
        return self._keep(name, self.spark.createDataFrame(rows.to_pandas(), schema))

    def keep(self, name: str, *expressions: Any, by: str | None = None) -> Any:
        """See :class:`phenotypes.session.Session`; rows are not ordered, which would cost a shuffle of all."""
        frames = [self.spark.sql(self.backend.compile(expression)) for expression in expressions]
        return self._keep(name, reduce(lambda a, b: a.unionByName(b), frames))

    def frame(self, expression: Any) -> pd.DataFrame:
        """See :class:`phenotypes.session.Session`."""
        found: pd.DataFrame = self.spark.sql(self.backend.compile(expression)).toPandas()
        return found

    def frames(self, expressions: Sequence[Any]) -> Iterator[pd.DataFrame]:
        """See :class:`phenotypes.session.Session`; some of them are asked together."""
        for start in range(0, len(expressions), TOGETHER):
            some = expressions[start : start + TOGETHER]
            marked = [e.mutate(careome_part=ibis.literal(i, "int16")) for i, e in enumerate(some)]
            frames = [self.spark.sql(self.backend.compile(expression)) for expression in marked]
            rows = reduce(lambda a, b: a.unionByName(b), frames).toPandas()
            parts = rows.pop("careome_part")
            yield from (rows[parts == i].reset_index(drop=True) for i in range(len(some)))

    def fingerprint(self, tables: Mapping[str, tuple[str, ...]]) -> str:
        """See :class:`phenotypes.session.Session`."""
        said = [f"spark {self.spark.version}"]
        for name, columns in tables.items():
            hashed = f"xxhash64({', '.join(f'`{column}`' for column in columns)})"
            (row,) = self.spark.sql(
                f"SELECT count(*), sum(cast({hashed} AS decimal(38))), bit_xor({hashed}) FROM `{self.prefix}{name}`"
            ).collect()
            said.append(f"{name} {tuple(map(str, row))}")
        return "; ".join(said)

    def close(self) -> None:
        """Forget every view; what was kept goes with the last that refers to it."""
        for name in self.known:
            self.spark.catalog.dropTempView(self.prefix + name)

    def _keep(self, name: str, frame: Any) -> Any:
        # A view of a persisted frame brings its whole history into every query that names it, and planning those
        # costs more than running them; after a checkpoint there is no history.
        return self.name(name, frame.localCheckpoint(eager=True))
