"""A hub of Parquet files or Spark tables, and a session on it: the same expressions, the same answers.

What is asked of the hub's own tables, first of all which records any code list means, Spark answers. Those
records are then kept in files, person by person, and what is asked of them is answered by tasks that each know
some of the people (:mod:`phenotypes.spark_tasks`). Tests hold DuckDB, Spark and the plain reference to the same
answers. What differs between engines and is therefore kept out of expressions: differences in months and years,
as-of joins, interpolated medians of anything but doubles.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial, reduce
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.operations as ops
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cohorts.errors import CareomeError, InputError
from cohorts.hub import HUB_TABLES
from cohorts.spark import SCRATCH
from phenotypes.session import Session
from phenotypes.spark_tasks import PART, Kept, Work, deal, failed, rows_of, run

#: Most people of a task; more need more memory, fewer ask every question more often.
PEOPLE = 200_000
#: Questions answered by one Spark job, whose answers are in memory at once.
TOGETHER = 32
#: Rows of a loaded table that every worker gets whole: a join with it moves no record then.
BROADCAST = 10_000_000
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
    scratch
        Folder that every worker sees, and nobody else, for narrowed records while a session is open.

    Examples
    --------
    >>> hub = SparkHub.read(spark, "hub")  # doctest: +SKIP
    >>> derived = derive(hub, people, index_date=on, phenotypes=rules)  # doctest: +SKIP
    """

    spark: Any
    tables: Mapping[str, Any]
    scratch: Path

    @classmethod
    def read(cls, spark: Any, folder: str | Path, *, scratch: str | Path | None = None) -> SparkHub:
        """A hub of Parquet: ``TABLE.parquet`` or ``TABLE/`` for each table, in a folder every worker sees.

        Parameters
        ----------
        spark
            The Spark session.
        folder
            Where the tables are.
        scratch
            As the attribute; that of :func:`cohorts.spark.start_spark` where None.

        Raises
        ------
        InputError
            Where events, registrations or deaths are not there, or no scratch folder is known.
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
        tables = {n: spark.read.parquet(f"file://{p}") for n, p in there.items() if p is not None}
        return cls(spark, tables, _scratch(spark, scratch))

    @classmethod
    def of(cls, spark: Any, *, scratch: str | Path | None = None, **names: str) -> SparkHub:
        """A hub of tables that Spark knows, such as ``events="records.events"``."""
        return cls(
            spark, {table: spark.table(name) for table, name in names.items()}, _scratch(spark, scratch)
        )

    @contextmanager
    def open_session(self) -> Iterator[Session]:
        """Open a session; what it keeps goes when the block ends."""
        mark = f"careome_{uuid.uuid4().hex}_"
        folder = self.scratch / mark
        folder.mkdir(mode=0o700)
        opened = SparkQueries(self.spark, mark, folder)
        self.spark.conf.set("spark.sql.execution.arrow.pyspark.enabled", "true")
        try:
            for name, frame in self.tables.items():
                opened.name(name, frame)
            yield opened
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            opened.close()


def _scratch(spark: Any, given: str | Path | None) -> Path:
    folder = spark.conf.get(SCRATCH, None) if given is None else given
    if folder is None or not Path(folder).is_dir():
        raise InputError(
            "Spark has no folder for narrowed records",
            where="scratch",
            found=folder,
            expected="an existing folder that every worker sees",
            fix="give one, or start Spark with cohorts.spark.start_spark",
        )
    return Path(folder).resolve()


class SparkQueries:
    """A :class:`phenotypes.session.Session` on Spark.

    Parameters
    ----------
    spark
        The Spark session.
    prefix
        Of the names of its views, so that two sessions do not meet.
    folder
        For what it keeps, empty.
    """

    def __init__(self, spark: Any, prefix: str, folder: Path) -> None:
        self.spark = spark
        self.backend = ibis.pyspark.connect(spark)
        self.prefix = prefix
        self.folder = folder
        self.known: dict[str, Any] = {}
        self._kept: dict[str, Kept] = {}
        self._groups, self._people = 1, 1

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
        if {"who", "person_id"} <= set(rows.schema.names):
            self._deal(rows.num_rows)
        kept = self._new(name, rows.schema, divided=False)
        kept.folder.mkdir(mode=0o700)
        pq.write_table(rows, kept.folder / "rows.parquet")
        return self._known(name, kept, broadcast=rows.num_rows <= BROADCAST)

    def keep(self, name: str, *expressions: Any, by: str | None = None) -> Any:
        """See :class:`phenotypes.session.Session`."""
        kept = self._new(name, expressions[0].schema().to_pyarrow(), divided=True)
        if self._are_of_kept(expressions):
            self._run(expressions, kept.folder)
            return self._known(name, kept)
        frames = [self.spark.sql(self.backend.compile(expression)) for expression in expressions]
        rows = reduce(lambda a, b: a.unionByName(b), frames)
        work = Work((kept,), (), self._people, self.folder)
        kept.folder.mkdir(mode=0o700)
        marked = rows.selectExpr("*", f"spark_partition_id() AS {PART}")
        for fault in marked.mapInArrow(partial(deal, work=work, by=by), "fault string").collect():
            raise failed(fault[0])
        return self._known(name, kept)

    def frame(self, expression: Any) -> pd.DataFrame:
        """See :class:`phenotypes.session.Session`."""
        found: pd.DataFrame = self.spark.sql(self.backend.compile(expression)).toPandas()
        return found

    def frames(self, expressions: Sequence[Any]) -> Iterator[pd.DataFrame]:
        """See :class:`phenotypes.session.Session`; some of them are asked together."""
        for start in range(0, len(expressions), TOGETHER):
            found = self._run(expressions[start : start + TOGETHER])
            yield from (rows_of(streams).to_pandas() for streams in zip(*found, strict=True))

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
        """Forget every view."""
        for name in self.known:
            self.spark.catalog.dropTempView(self.prefix + name)

    def _deal(self, people: int) -> None:
        """Deal the people into groups: work for every core, and no more than :data:`PEOPLE` in each."""
        cores = int(self.spark.sparkContext.defaultParallelism)
        self._groups = max(1, min(people, max(cores, -(-people // PEOPLE))))
        self._people = max(1, -(-people // self._groups))

    def _new(self, name: str, schema: pa.Schema, *, divided: bool) -> Kept:
        folder = self.folder / f"{name}-{uuid.uuid4().hex[:8]}"
        return Kept(self.prefix + name, folder, schema, divided)

    def _known(self, name: str, kept: Kept, *, broadcast: bool = False) -> Any:
        """Make kept rows known, in place of what had their name."""
        from ibis.backends.pyspark.datatypes import PySparkSchema

        if name in self._kept:
            shutil.rmtree(self._kept[name].folder, ignore_errors=True)
        self._kept[name] = kept
        schema = PySparkSchema.from_ibis(ibis.Schema.from_pyarrow(kept.schema))
        frame = self.spark.read.schema(schema).parquet(f"file://{kept.folder}")
        frame = frame.select(*kept.schema.names)
        return self.name(name, frame.hint("broadcast") if broadcast else frame)

    def _are_of_kept(self, expressions: Sequence[Any]) -> bool:
        kept = {one.name for one in self._kept.values()}
        return all(_tables(expression) <= kept for expression in expressions)

    def _run(self, expressions: Sequence[Any], target: Path | None = None) -> list[list[bytes]]:
        """Put expressions to every group of people: their rows, group by group."""
        queries = tuple(ibis.to_sql(e, dialect="duckdb", pretty=False) for e in expressions)
        asked = set().union(*(_tables(e) for e in expressions))
        tables = tuple(kept for kept in self._kept.values() if kept.name in asked)
        work = Work(tables, queries, self._people, self.folder, target)
        groups = self.spark.sparkContext.parallelize(range(self._groups), self._groups)
        found: list[list[bytes] | CareomeError] = groups.map(partial(run, work)).collect()
        answers = []
        for outcome in found:
            if isinstance(outcome, CareomeError):
                raise outcome
            answers.append(outcome)
        return answers


def _tables(expression: Any) -> set[str]:
    return {table.name for table in expression.op().find(ops.PhysicalTable)}
