"""What a Spark task does with the narrowed records: ask DuckDB about some of the people.

The questions of a study are hundreds of small queries. Spark plans and compiles each for longer than it runs it
(measured: 280 s for what DuckDB answers in 14); and whoever a rule holds for depends on that person's records
alone. So the people are dealt into groups, and a task puts all questions to the records of one group, as
:mod:`phenotypes.session` would on one machine. Nothing here knows Spark, and workers import little else.
"""

from __future__ import annotations

import itertools
import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from cohorts.errors import CareomeError, InputError
from cohorts.hub import Hub, connect

#: DuckDB's memory in a task; what does not fit goes into the scratch folder.
MEMORY = "1GB"
GROUP = "careome_group"
PART = "careome_part"
#: Rows of a row group, within which a filter reads everything.
_ROWS = 122_880


@dataclass(frozen=True)
class Kept:
    """A table in files that every worker sees.

    Attributes
    ----------
    name
        What queries call it.
    folder
        Where its Parquet files are.
    schema
        Its columns.
    divided
        Whether each group of people has a folder of its own there, named by :func:`place`.
    """

    name: str
    folder: Path
    schema: pa.Schema
    divided: bool


@dataclass(frozen=True)
class Work:
    """Queries for every group of people.

    Attributes
    ----------
    tables
        What they read.
    queries
        SQL of DuckDB, each of the tables' rows of one group.
    people
        People in a group: group g holds those from ``g * people`` on.
    scratch
        Folder for what does not fit in memory.
    target
        Folder for the rows of all queries, one after another; they are sent back where None.
    """

    tables: tuple[Kept, ...]
    queries: tuple[str, ...]
    people: int
    scratch: Path
    target: Path | None = None


def place(folder: Path, group: int) -> Path:
    """Folder of a group's rows."""
    return folder / f"{GROUP}={group}"


def run(work: Work, group: int) -> list[bytes] | CareomeError:
    """Put the queries to one group: each one's rows as an Arrow stream, or nothing where they were written.

    A fault travels back as a value, as one line without what the query held.
    """
    try:
        with _opened(work, group) as hub:
            if work.target is None:
                return [_stream(hub, query) for query in work.queries]
            _write(hub, work.queries, place(work.target, group))
            return []
    except (duckdb.Error, OSError) as error:
        return failed(type(error).__name__)


def deal(batches: Iterable[pa.RecordBatch], work: Work, by: str | None) -> Iterator[pa.RecordBatch]:
    """Write the rows that a Spark task found, those of each group into the group's folder.

    Parameters
    ----------
    batches
        Columns of ``work.tables``' only table, and :data:`PART`: number of the task, which names its files, so that
        one that is run twice leaves the same.
    by
        Column by whose order the rows of a group are written.

    Yields
    ------
    RecordBatch
        fault (string): one row where something went wrong, saying what.
    """
    try:
        for group in _dealt(iter(batches), work, by):
            _copy(*group)
    except (duckdb.Error, OSError) as error:
        yield pa.RecordBatch.from_pydict({"fault": [type(error).__name__]})


def failed(found: str) -> InputError:
    """What to raise where a task failed."""
    return InputError(
        "a Spark task failed", found=found, fix="check the disk and memory of the workers, then try again"
    )


def rows_of(streams: Iterable[bytes]) -> pa.Table:
    """What several groups answered to one query."""
    return pa.concat_tables([pa.ipc.open_stream(stream).read_all() for stream in streams])


def _dealt(
    batches: Iterator[pa.RecordBatch], work: Work, by: str | None
) -> Iterator[tuple[Hub, str, Path, str]]:
    """For each group among the rows: the query of its rows, and the folder and name of their file."""
    first = next(batches, None)
    if first is None:
        return
    (kept,) = work.tables
    columns = ", ".join(f'"{name}"' for name in kept.schema.names)
    reader = pa.RecordBatchReader.from_batches(first.schema, itertools.chain([first], batches))
    with _connected(work) as hub:
        hub.connection.register("careome_found", reader)
        hub.connection.register("careome_empty", kept.schema.empty_table())
        # the types are those of the schema, whatever Spark made of them
        hub.connection.execute(
            f"CREATE TABLE careome_made AS SELECT *, 0 AS {PART}, 0 AS {GROUP} FROM careome_empty"
        )
        hub.connection.execute(
            f"INSERT INTO careome_made SELECT {columns}, {PART}, who // {work.people} FROM careome_found"
        )
        parts = f"SELECT {GROUP}, any_value({PART}) FROM careome_made GROUP BY 1 ORDER BY 1"
        order = "" if by is None else f'ORDER BY "{by}"'
        for group, part in hub.connection.execute(parts).fetchall():
            query = f"SELECT {columns} FROM careome_made WHERE {GROUP} = {group} {order}"
            yield hub, query, place(kept.folder, group), f"part-{part}"


def _connected(work: Work) -> Hub:
    return connect(memory_limit=MEMORY, threads=1, spill=work.scratch / f"spill-{uuid.uuid4().hex}")


@contextmanager
def _opened(work: Work, group: int) -> Iterator[Hub]:
    with _connected(work) as hub:
        for table in work.tables:
            _name(hub, table, group, work.people)
        yield hub


def _name(hub: Hub, table: Kept, group: int, people: int) -> None:
    """Make a group's rows of a table known."""
    folder = place(table.folder, group) if table.divided else table.folder
    if not any(folder.glob("*.parquet")):
        hub.connection.register(table.name, table.schema.empty_table())
        return
    files = str(folder / "*.parquet").replace("'", "''")
    chosen = ""
    if not table.divided and "who" in table.schema.names:
        chosen = f"WHERE who >= {group * people} AND who < {(group + 1) * people}"
    columns = ", ".join(f'"{name}"' for name in table.schema.names)
    hub.connection.execute(
        f'CREATE VIEW "{table.name}" AS SELECT {columns} '
        f"FROM read_parquet('{files}', hive_partitioning = false) {chosen}"
    )


def _stream(hub: Hub, query: str) -> bytes:
    rows: pa.Table = hub.connection.sql(query).to_arrow_table()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _write(hub: Hub, queries: tuple[str, ...], folder: Path) -> None:
    first, *others = queries
    hub.connection.execute(f"CREATE TABLE careome_made AS {first}")
    for other in others:
        hub.connection.execute(f"INSERT INTO careome_made {other}")
    _copy(hub, "SELECT * FROM careome_made", folder, "rows")


def _copy(hub: Hub, query: str, folder: Path, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    # a task may be run twice: what it leaves is whole, and the same
    temporary = folder / f"{uuid.uuid4().hex}.part"
    quoted = str(temporary).replace("'", "''")
    hub.connection.execute(f"COPY ({query}) TO '{quoted}' (FORMAT parquet, ROW_GROUP_SIZE {_ROWS})")
    os.replace(temporary, folder / f"{name}.parquet")
