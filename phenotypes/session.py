"""The one place that talks to the query engine.

Everything else in this package builds Ibis expressions and hands them here: to DuckDB by this module, to
Spark by :mod:`phenotypes.spark_session`. On DuckDB the work is done on a cursor of the hub's connection:
Ibis changes settings of the connection it is given, and the temporary tables made here belong to the cursor
and vanish with it, so that the hub itself is left as it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, cast

import duckdb
import ibis
import pandas as pd
import pyarrow as pa

from cohorts.errors import DesignError


class DuckDBHub(Protocol):
    """What is needed of a hub in DuckDB: its connection, such as that of :class:`cohorts.hub.Hub`."""

    @property
    def connection(self) -> Any:
        """The open DuckDB connection."""


class OpensSessions(Protocol):
    """A hub of another engine, such as :class:`phenotypes.spark_session.SparkHub`."""

    def open_session(self) -> AbstractContextManager[Session]:
        """Open a session on it."""


HubLike = DuckDBHub | OpensSessions


class Session(Protocol):
    """Runs Ibis expressions and keeps intermediate tables."""

    def table(self, name: str) -> Any:
        """A table of the hub, or one kept here."""

    def load(self, name: str, rows: pa.Table) -> Any:
        """Keep an Arrow table under a name; gives the Ibis table."""

    def keep(self, name: str, *expressions: Any, by: str | None = None) -> Any:
        """Compute expressions of the same columns once and keep their rows, one after another, under a name.

        Parameters
        ----------
        name
            Of the kept table; what was kept under it before is lost.
        expressions
            One or more Ibis tables of the same columns and types, `who` among them; nobody's rows depend on
            another person's. They are run one by one, where that saves memory; a union of hundreds would not
            compile.
        by
            A column by which the table will be filtered; rows may be stored in its order.
        """

    def frame(self, expression: Any) -> pd.DataFrame:
        """Rows of an expression as a pandas frame."""

    def frames(self, expressions: Sequence[Any]) -> Iterator[pd.DataFrame]:
        """Rows of each of several expressions of kept tables, in turn.

        Nobody's rows may depend on another person's: an engine may ask one group of people after another, and
        give their rows one after another. What is counted over people has a row from each group then, and
        whoever reads it adds them up.
        """

    def fingerprint(self, tables: Mapping[str, tuple[str, ...]]) -> str:
        """What some columns of some tables hold, whatever the order of the rows.

        It tells accidental changes; it is no protection from somebody who wants two tables to look the same.
        """


@dataclass(frozen=True)
class DuckDBSession:
    """A :class:`Session` on DuckDB.

    Attributes
    ----------
    backend
        Ibis backend over `cursor`.
    cursor
        DuckDB cursor that owns the temporary tables.
    """

    backend: Any
    cursor: Any

    def table(self, name: str) -> Any:
        """See :class:`Session`."""
        return self.backend.table(name)

    def load(self, name: str, rows: pa.Table) -> Any:
        """See :class:`Session`."""
        self.cursor.register("careome_incoming", rows)
        self.cursor.execute(f'CREATE OR REPLACE TEMP TABLE "{name}" AS SELECT * FROM careome_incoming')
        self.cursor.unregister("careome_incoming")
        return self.backend.table(name)

    def keep(self, name: str, *expressions: Any, by: str | None = None) -> Any:
        """See :class:`Session`."""
        first, *others = (self.backend.compile(e if by is None else e.order_by(by)) for e in expressions)
        # Not Ibis's create_table: with temp=True and overwrite=True its SQL does not parse on DuckDB 1.5.
        self.cursor.execute(f'CREATE OR REPLACE TEMP TABLE "{name}" AS {first}')
        for other in others:
            self.cursor.execute(f'INSERT INTO "{name}" {other}')
        return self.backend.table(name)

    def frame(self, expression: Any) -> pd.DataFrame:
        """See :class:`Session`."""
        # sql() and not execute(): a streamed UNION ALL of joins never returns once its rows outgrow the
        # stream's buffer (duckdb issue 22215).
        rows: pa.Table = self.cursor.sql(self.backend.compile(expression)).to_arrow_table()
        found: pd.DataFrame = rows.to_pandas()
        return found

    def frames(self, expressions: Sequence[Any]) -> Iterator[pd.DataFrame]:
        """See :class:`Session`."""
        return map(self.frame, expressions)

    def fingerprint(self, tables: Mapping[str, tuple[str, ...]]) -> str:
        """See :class:`Session`."""
        said = [f"duckdb {duckdb.__version__}"]
        for name, columns in tables.items():
            hashed = f"hash({', '.join(_quoted(column) for column in columns)})"
            row = self.cursor.execute(
                f'SELECT count(*), sum({hashed})::VARCHAR, bit_xor({hashed}) FROM "{name}"'
            ).fetchone()
            said.append(f"{name} {row}")
        return "; ".join(said)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def session(hub: HubLike) -> AbstractContextManager[Session]:
    """Open a session on a hub; its temporary tables go when the block ends."""
    if hasattr(hub, "open_session"):
        return cast("OpensSessions", hub).open_session()
    if not hasattr(hub, "connection"):
        raise DesignError(
            "not a hub",
            where="hub",
            found=type(hub).__name__,
            expected="a Hub",
            fix="open the file with cohorts.connect(path, read_only=True)",
        )
    return _duckdb_session(hub)


@contextmanager
def _duckdb_session(hub: DuckDBHub) -> Iterator[Session]:
    cursor = hub.connection.cursor()
    try:
        # A cursor starts in the connection's first database, which need not be the one in use.
        database, schema = hub.connection.execute("SELECT current_database(), current_schema()").fetchone()
        cursor.execute(f'USE "{database}"."{schema}"')
        yield DuckDBSession(ibis.duckdb.from_connection(cursor), cursor)
    finally:
        cursor.close()
