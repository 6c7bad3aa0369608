"""Tables of a PostgreSQL server, drawn as streams of Arrow batches.

Everything of one source is read in one read-only transaction that sees one moment of the server. Cells come as
text, as PostgreSQL itself writes them, and are judged as a CSV's would be. Rows are numbered in the order of a
declared key, else as the server gives them.

A server has no file whose hash tells whether it changed. :meth:`PostgresSource.states` asks it for one: SHA-256 of
every row, as far as it is read, added up over the rows, so that their order says nothing (two sums of 64 bits); or,
where a watermark is declared, the count of rows and the watermark's greatest value, which costs less and notices
less. It is asked before the rows are read, in a transaction of its own.

The connection string holds a password as often as not: it is never shown, and neither is
what the server says about it.

The driver (Apache Arrow ADBC) is the optional part ``careome[postgres]``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from cohorts.errors import InputError
from cohorts.hub import Hub
from cohorts.models.protocol import Opened
from cohorts.streams import Stream, batch_schema, judged, one_line
from cohorts.table_source import TableSource, apply_declared, check_declared, choose_columns
from cohorts.tables import TABLES, TableSpec

SERVER = "PostgreSQL server"
# what the standard calls them: real and double precision
FLOATS = ("float4", "float8")


@dataclass(frozen=True)
class PostgresSource:
    """A provider whose tables lie on a PostgreSQL server.

    Attributes
    ----------
    dsn
        Connection string of libpq: ``postgresql://user:password@host/database`` or ``host=... dbname=...``.
        Never shown.
    tables
        Canonical table to relation, ``path`` being ``name`` or ``schema.name``; columns, constants, values and
        date_format are declared as for a file.
    schema
        Schema of relations without one.

    Examples
    --------
    >>> PostgresSource("host=db", {"patients": TableSource("gp.patients")})
    PostgresSource(tables={'patients': TableSource(path='gp.patients', columns={}, encoding='utf-8', \
date_format=None, delimiter=None, quoted=True, constants={}, values={}, key=(), watermark=None)}, \
schema='public')
    """

    dsn: str = field(repr=False)
    tables: Mapping[str, TableSource]
    schema: str = "public"

    @contextmanager
    def opened(self, hub: Hub) -> Iterator[Opened]:
        """Connect, then give the tables."""
        unknown = sorted(set(self.tables) - set(TABLES))
        if unknown or "patients" not in self.tables:
            raise InputError(
                "unknown table" if unknown else "no patients table",
                where="PostgreSQL source",
                found=", ".join(unknown or self.tables) or "nothing",
                expected=", ".join(TABLES),
            )
        with PostgresShelf.connected(self.dsn, self.schema) as shelf:
            yield Opened({name: partial(self._streams, shelf, name) for name in self.tables})

    def states(self) -> dict[str, str]:
        """SHA-256 of the present state of each table, which changes when rows of it do.

        Raises
        ------
        InputError
            The server cannot be reached, or lacks a table or a column.
        """
        with PostgresShelf.connected(self.dsn, self.schema) as shelf:
            return {
                table: shelf.state(str(source.path), source, TABLES[table])
                for table, source in self.tables.items()
            }

    def _streams(self, shelf: PostgresShelf, table: str) -> Iterable[Stream]:
        source = self.tables[table]
        stream = shelf.stream(str(source.path), source, TABLES[table], table)
        apply_declared(stream, source)
        yield stream


@dataclass(frozen=True)
class PostgresShelf:
    """An open connection and the schema whose relations are the tables.

    Attributes
    ----------
    connection
        In one read-only transaction.
    schema
        Schema of the tables.
    elsewhere
        Table to its schema, where that is another.
    columns
        Table to our column to the relation's.
    """

    connection: Any
    schema: str
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @classmethod
    @contextmanager
    def connected(
        cls,
        dsn: str,
        schema: str,
        *,
        elsewhere: Mapping[str, str] | None = None,
        columns: Mapping[str, Mapping[str, str]] | None = None,
    ) -> Iterator[PostgresShelf]:
        """Connect for the time of a ``with`` block.

        Raises
        ------
        InputError
            The driver is not installed, or the server cannot be reached or refuses us.
        """
        try:
            from adbc_driver_postgresql import dbapi
        except ImportError:
            raise InputError(
                "the driver is not installed", where=SERVER, fix="pip install 'careome[postgres]'"
            ) from None
        try:
            connection = dbapi.connect(dsn)
        except dbapi.Error as error:
            raise _refused("cannot be reached", error) from None
        try:
            _run(connection, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            _run(connection, "SET LOCAL datestyle TO 'ISO, YMD'")
            yield cls(connection, schema, elsewhere or {}, columns or {})
        finally:
            connection.rollback()
            connection.close()

    def has(self, table: str) -> bool:
        """Whether the schema has a relation of that name that we may read."""
        return bool(self._found(self.elsewhere.get(table, self.schema), table))

    def streams(self, table: str, spec: TableSpec) -> Iterator[Stream]:
        """Stream of one relation under the names of `spec`; columns that it may lack are left out."""
        relation = f"{self.elsewhere.get(table, self.schema)}.{table}"
        found = {name.lower(): name for name, _ in self._found(*relation.rsplit(".", 1))}
        given = self.columns.get(table, {})
        columns = {f.name: given.get(f.name) or found.get(f.name, f.name) for f in spec.fields}
        there = set(found.values())
        source = TableSource(
            relation,
            columns={
                n: c for n, c in columns.items() if c in there or n in given or not spec.field(n).may_lack
            },
        )
        yield self.stream(relation, source, spec, table)

    def stream(self, relation: str, source: TableSource, spec: TableSpec, origin: str) -> Stream:
        """Stream of one relation.

        Raises
        ------
        InputError
            There is no such relation, or it lacks a column, or keeps codes as floating-point numbers.
        """
        where = f"{SERVER}, table {relation}"
        kinds, chosen = self._chosen(relation, source, spec, where)
        for ours, theirs in chosen.items():
            wanted = spec.field(ours).kind
            if kinds[theirs] in FLOATS and wanted not in ("number", "year", "decile", "flag"):
                raise InputError(
                    f"column {theirs!r} is stored as floating-point numbers, which lose digits of long codes",
                    where=where,
                    found=kinds[theirs],
                    expected="text or whole numbers",
                )
        cells = ", ".join(f"{_name(theirs)}::text AS {_name(ours)}" for ours, theirs in chosen.items())
        order = f" ORDER BY {', '.join(map(_name, source.key))}" if source.key else ""
        query = f"SELECT {cells} FROM {self._qualified(relation)}{order}"
        stream = Stream(batch_schema(dict.fromkeys(chosen, pa.string())), iter(()), origin=origin)
        stream.date_format = source.date_format
        stream.batches = self._batches(stream, query, where)
        return stream

    def state(self, relation: str, source: TableSource, spec: TableSpec | None) -> str:
        """SHA-256 of the present state of a relation, in the columns that are read; of all where `spec` is None.

        Raises
        ------
        InputError
            There is no such relation, or it lacks a column.
        """
        where = f"{SERVER}, table {relation}"
        if spec is None:
            columns = list(self._kinds(relation, where))
        else:
            columns = sorted(set(self._chosen(relation, source, spec, where)[1].values()))
        place = self._qualified(relation)
        if source.watermark is not None:
            query = f"SELECT count(*)::text || ' ' || coalesce(max({_name(source.watermark)})::text, '') FROM {place}"
        else:
            row = f"ROW({', '.join(f'{_name(column)}::text' for column in columns)})::text"
            halves = ", ".join(
                f"coalesce(sum(('x' || substr(h, {start}, 16))::bit(64)::bigint::numeric), 0)::text"
                for start in (1, 17)
            )
            query = (
                f"SELECT concat_ws(' ', count(*)::text, {halves}) FROM "
                f"(SELECT encode(sha256(convert_to({row}, 'UTF8')), 'hex') AS h FROM {place}) AS hashed"
            )
        import adbc_driver_manager

        try:
            with self.connection.cursor() as cursor:
                cursor.execute(query)
                told = cursor.fetchone()[0]
        except (adbc_driver_manager.Error, pa.ArrowException, OSError) as error:
            raise _refused("could not be asked for its state", error, where) from None
        said = [relation, source.watermark or columns, str(told)]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()

    def _qualified(self, relation: str) -> str:
        schema, _, name = relation.rpartition(".")
        return f"{_name(schema or self.schema)}.{_name(name)}"

    def _kinds(self, relation: str, where: str) -> dict[str, str]:
        """Columns of a relation and their types."""
        schema, _, name = relation.rpartition(".")
        kinds = dict(self._found(schema or self.schema, name))
        if not kinds:
            raise InputError(
                "no such table, or no right to read it",
                where=where,
                fix="check the name, its schema and the rights of the database user",
            )
        return kinds

    def _chosen(
        self, relation: str, source: TableSource, spec: TableSpec, where: str
    ) -> tuple[dict[str, str], dict[str, str]]:
        """Columns of a relation with their types, and our columns with the relation's."""
        kinds = self._kinds(relation, where)
        check_declared(source, spec, where)
        lacking = sorted({*source.key, *filter(None, [source.watermark])} - set(kinds))
        if lacking:
            raise InputError(
                "key or watermark names a column that the table does not have",
                where=where,
                found=", ".join(lacking),
                expected="one of " + ", ".join(kinds),
            )
        return kinds, choose_columns(where, list(kinds), source, spec)

    def _batches(self, stream: Stream, query: str, where: str) -> Iterator[pa.RecordBatch]:
        import adbc_driver_manager

        try:
            with self.connection.cursor() as cursor:
                cursor.execute(query)
                for raw in cursor.fetch_record_batch():
                    cells = [one_line(column.cast(pa.string())) for column in raw.columns]
                    columns, lines, fault = judged(cells)
                    rows = pa.array(np.arange(stream.read + 1, stream.read + raw.num_rows + 1))
                    stream.read += raw.num_rows
                    yield pa.record_batch([*columns, lines, fault, rows], schema=stream.schema)
        except (adbc_driver_manager.Error, pa.ArrowException, OSError) as error:
            raise _refused("was lost while it was read", error, where) from None

    def _found(self, schema: str, name: str) -> list[tuple[str, str]]:
        """Columns of a relation and the names of their types, in its order."""
        with self.connection.cursor() as cursor:
            cursor.execute(
                "SELECT a.attname::text, t.typname::text FROM pg_catalog.pg_attribute a "
                "JOIN pg_catalog.pg_class c ON c.oid = a.attrelid "
                "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
                "JOIN pg_catalog.pg_type t ON t.oid = a.atttypid "
                "WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped "
                "AND c.relkind IN ('r', 'v', 'm', 'f', 'p') AND has_table_privilege(c.oid, 'SELECT') "
                "ORDER BY a.attnum",
                (schema, name),
            )
            return [(str(column), str(kind)) for column, kind in cursor.fetchall()]


def _run(connection: Any, statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _refused(problem: str, error: Exception, where: str = SERVER) -> InputError:
    """An error without the server's message, which may quote the connection string or a row."""
    state = getattr(error, "sqlstate", None)
    reason = {"28P01": "wrong password", "28000": "user not allowed", "3D000": "no such database"}
    code = str(state) if state and re.fullmatch(r"[0-9A-Z]{5}", str(state)) else None
    found = reason.get(code or "", f"SQLSTATE {code}" if code else type(error).__name__)
    return InputError(
        problem, where=where, found=found, fix="check the connection string and that the server is up"
    )
