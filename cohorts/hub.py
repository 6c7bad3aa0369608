"""The hub: an embedded DuckDB database, either of identified intake or of pseudonymous records.

Why a thin wrapper and not a bare connection: every connection of ours must refuse to download
extensions, must never spill rows to a folder nobody chose, and must take its memory and threads from
the caller. One place sets that. The tables of a pseudonymous hub are listed in :data:`HUB_TABLES`;
dates are half-open spans ``[start, end)`` and an open end is :data:`OPEN_END`. A consent whose ``withdrawn`` is
not NULL is withdrawn; 1880-01-01 stands for a withdrawal without a readable day.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from cohorts.errors import InputError

OPEN_END = "9999-12-31"

HUB_TABLES: Mapping[str, str] = {
    "people": "person_id BIGINT, sex VARCHAR, birth_date DATE",
    "registrations": 'person_id BIGINT, practice VARCHAR, start DATE, "end" DATE',
    "addresses": 'person_id BIGINT, area VARCHAR, start DATE, "end" DATE',
    "events": (
        "row_id BIGINT, person_id BIGINT, date DATE, source VARCHAR, kind VARCHAR, system VARCHAR, "
        "code VARCHAR, value DOUBLE, unit VARCHAR"
    ),
    "deaths": "person_id BIGINT, date DATE, underlying VARCHAR",
    "care": 'person_id BIGINT, start DATE, "end" DATE, care_type VARCHAR',
    "samples": "sample_id VARCHAR, person_id BIGINT, collected DATE",
    "consents": "person_id BIGINT, consented BOOLEAN, consented_on DATE, withdrawn DATE",
    "pollution": "area VARCHAR, year INTEGER, pm25 DOUBLE, no2 DOUBLE",
    "deprivation": "area VARCHAR, imd_decile INTEGER",
    # observed: the tables whose rows stand in for registrations (cohorts/observed.py), where they do
    "sources": "source VARCHAR, icd10_edition VARCHAR, observed VARCHAR",
}


@dataclass(frozen=True)
class Hub:
    """A DuckDB database of records. It prints the number of rows of each table.

    Attributes
    ----------
    connection
        The open connection. Code inside the house may use it; a researcher needs only :meth:`frame`.

    Examples
    --------
    >>> with connect() as hub:
    ...     int(hub.frame("SELECT 40 + 2 AS answer").answer[0])
    42
    """

    connection: duckdb.DuckDBPyConnection

    def __repr__(self) -> str:
        try:
            counts = self.counts()
        except duckdb.Error:
            return "Hub(closed)"
        told = ", ".join(f"{table} {rows:,}" for table, rows in counts.itertuples(index=False))
        return f"Hub({told or 'no tables'})"

    def frame(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Run one query and return its rows as a pandas frame (dates as ``datetime64``)."""
        return self.connection.execute(sql, parameters).df()

    def tables(self) -> list[str]:
        """Names of the tables, schema-qualified outside ``main``, in alphabetical order."""
        rows = self.connection.execute(
            "SELECT CASE WHEN schema_name = 'main' THEN table_name ELSE schema_name || '.' || table_name END "
            "FROM duckdb_tables() WHERE NOT internal ORDER BY 1"
        ).fetchall()
        return [name for (name,) in rows]

    def counts(self) -> pd.DataFrame:
        """Rows of every table.

        Returns
        -------
        DataFrame
            ``table`` (str), ``rows`` (int64); no content of any row.
        """
        found = []
        for name in self.tables():
            quoted = ".".join(f'"{part}"' for part in name.split("."))
            row = self.connection.execute(f"SELECT count(*) FROM {quoted}").fetchone()
            found.append((name, row[0] if row else 0))
        return pd.DataFrame(found, columns=["table", "rows"]).astype({"rows": "int64"})

    def close(self) -> None:
        """Close the connection; an in-memory hub is gone after this."""
        self.connection.close()

    def __enter__(self) -> Hub:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def connect(
    target: str | Path = ":memory:",
    *,
    memory_limit: str = "1GB",
    threads: int = 2,
    spill: str | Path | None = None,
    read_only: bool = False,
) -> Hub:
    """Open (or make) a hub.

    Parameters
    ----------
    target
        ``":memory:"`` or the path of a DuckDB file.
    memory_limit
        DuckDB's own limit, such as ``"1GB"``.
    threads
        Threads a query may use.
    spill
        Folder for rows that do not fit in memory. None (the default) means that nothing is ever written
        beside the database: identified rows must not land in a temporary folder nobody watches.
    read_only
        Open an existing file without the right to change it.

    Raises
    ------
    InputError
        The file exists but is not a DuckDB database, is locked, or cannot be opened.

    Examples
    --------
    >>> connect().counts().shape
    (0, 2)
    """
    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": memory_limit,
        "threads": threads,
        "temp_directory": "" if spill is None else str(spill),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_community_extensions": False,
    }
    connection = duckdb.connect(":memory:", config=settings)
    if str(target) == ":memory:":
        return Hub(connection)
    # attached under a name of ours: DuckDB would name the catalog after the file, and a file called
    # intake.duckdb would make the schema intake ambiguous
    quoted = str(target).replace("'", "''")
    try:
        connection.execute(f"ATTACH '{quoted}' AS hub{' (READ_ONLY)' if read_only else ''}")
        connection.execute("USE hub")
        return Hub(connection)
    except duckdb.Error as error:
        connection.close()
        raise InputError(
            "cannot be opened as a DuckDB database",
            where=target,
            found=type(error).__name__,
            expected="a new path, or a DuckDB file that no other program has open",
            fix="close the other program or give another path",
        ) from None


def create_hub_tables(hub: Hub) -> None:
    """Make the empty tables of a pseudonymous hub (:data:`HUB_TABLES`).

    Examples
    --------
    >>> hub = connect()
    >>> create_hub_tables(hub)
    >>> len(hub.tables()) == len(HUB_TABLES)
    True
    """
    for name, columns in HUB_TABLES.items():
        hub.connection.execute(f"CREATE TABLE {name} ({columns})")
