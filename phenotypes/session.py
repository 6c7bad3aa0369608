"""The one place that talks to the query engine.

Everything else in this package builds Ibis expressions and hands them here. The work is done on a cursor
of the hub's connection: Ibis changes settings of the connection it is given, and the temporary tables made
here belong to the cursor and vanish with it, so that the hub itself is left as it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import ibis
import pandas as pd
import pyarrow as pa


class HubLike(Protocol):
    """What is needed of a hub: its DuckDB connection."""

    @property
    def connection(self) -> Any:
        """The open DuckDB connection."""


@dataclass(frozen=True)
class Session:
    """Runs Ibis expressions and keeps intermediate tables, on DuckDB.

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
        """A table of the hub, or one kept here."""
        return self.backend.table(name)

    def load(self, name: str, rows: pa.Table) -> Any:
        """Keep an Arrow table under a name; gives the Ibis table."""
        self.cursor.register("careome_incoming", rows)
        self.cursor.execute(f'CREATE OR REPLACE TEMP TABLE "{name}" AS SELECT * FROM careome_incoming')
        self.cursor.unregister("careome_incoming")
        return self.backend.table(name)

    def keep(self, name: str, expression: Any) -> Any:
        """Compute an expression once and keep its rows under a name; gives the Ibis table."""
        # Not Ibis's create_table: with temp=True and overwrite=True its SQL does not parse on DuckDB 1.5.
        self.cursor.execute(f'CREATE OR REPLACE TEMP TABLE "{name}" AS {self.backend.compile(expression)}')
        return self.backend.table(name)

    def arrow(self, expression: Any) -> pa.Table:
        """Rows of an expression as an Arrow table."""
        # sql() and not execute(): a streamed UNION ALL of joins never returns once its rows outgrow the
        # stream's buffer (duckdb issue 22215).
        return self.cursor.sql(self.backend.compile(expression)).to_arrow_table()

    def frame(self, expression: Any) -> pd.DataFrame:
        """Rows of an expression as a pandas frame."""
        rows: pd.DataFrame = self.arrow(expression).to_pandas()
        return rows


@contextmanager
def session(hub: HubLike) -> Iterator[Session]:
    """Open a session on a hub; its temporary tables go when the block ends."""
    cursor = hub.connection.cursor()
    try:
        # A cursor starts in the connection's first database, which need not be the one in use.
        database, schema = hub.connection.execute("SELECT current_database(), current_schema()").fetchone()
        cursor.execute(f'USE "{database}"."{schema}"')
        yield Session(ibis.duckdb.from_connection(cursor), cursor)
    finally:
        cursor.close()
