"""Reading what providers hand over into the identified intake, with every row accounted for.

The intake is a DuckDB database of its own (schema ``intake``): it holds names and NHS numbers, and it is
closed and deleted once the pseudonymous hub has been built from it. For every table
``read = accepted + rejected`` holds and is asserted: *read* is counted while the file is drawn,
*accepted* is counted in the table at the end, *rejected* is the sum over reasons.

Records carry ``record``, the running number of their row in ``intake.patients``. Patients of one source
are numbered in the order of their ``patient_id``, so the order of lines in a file changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from cohorts.errors import InputError
from cohorts.hub import Hub
from cohorts.readers import LINES, RAGGED, TableSource, open_stream
from cohorts.staging import STAGED, refuse_repeated_keys, refuse_repeated_patients, stage
from cohorts.tables import LATEST, REGION_TABLES, TABLES, TableSpec, column_types

__all__ = ["Intake", "TableSource", "drop_intake", "read_sources"]


@dataclass(frozen=True)
class Intake:
    """What was read.

    Attributes
    ----------
    counts
        ``source``, ``table``, ``read``, ``accepted``, ``rejected``: one row a file; always
        ``read = accepted + rejected``.
    rejects
        ``source``, ``table``, ``reason``, ``rows``: why rows were refused.
    notes
        ``source``, ``table``, ``note``, ``rows``: cells made blank in rows that were kept.
    sources
        Names of the sources in the order given, which breaks ties between them.
    """

    counts: pd.DataFrame
    rejects: pd.DataFrame
    notes: pd.DataFrame
    sources: tuple[str, ...]


def read_sources(
    hub: Hub,
    sources: Mapping[str, Mapping[str, TableSource]],
    region: Mapping[str, TableSource] | None = None,
    *,
    until: str = LATEST,
) -> Intake:
    """Read all tables of all sources into the identified intake.

    Parameters
    ----------
    hub
        An identified hub of its own, from :func:`cohorts.hub.connect`; the schema ``intake`` is made in it.
    sources
        Source name to table name to file. Table names are those of :data:`cohorts.tables.TABLES`, and
        every source needs ``patients``.
    region
        Tables about the region: ``optouts``, ``pollution``, ``deprivation``.
    until
        ISO date; rows dated later are refused.

    Returns
    -------
    Intake

    Raises
    ------
    InputError
        A file is missing or unreadable, or lacks a column; a table name is unknown; a source has no
        patients.
    """
    _check_names(sources, region or {})
    hub.connection.execute("CREATE SCHEMA intake")
    hub.connection.execute("CREATE TABLE intake.sources (position INTEGER, source VARCHAR)")
    for name, spec in TABLES.items():
        _create(hub, f"intake.{name}", spec, keyed=True)
    for name, spec in REGION_TABLES.items():
        _create(hub, f"intake.{name}", spec, keyed=False)
    counts: list[tuple[str, str, int, int, int]] = []
    rejects: list[tuple[str, str, str, int]] = []
    notes: list[tuple[str, str, str, int]] = []
    for position, (source, tables) in enumerate(sources.items()):
        hub.connection.execute("INSERT INTO intake.sources VALUES (?, ?)", [position, source])
        for table in sorted(tables, key=list(TABLES).index):
            outcome = _read_table(hub, source, table, TABLES[table], tables[table], until)
            _note(outcome, source, table, counts, rejects, notes)
    for table, where in (region or {}).items():
        outcome = _read_table(hub, None, table, REGION_TABLES[table], where, until)
        _note(outcome, "region", table, counts, rejects, notes)
    return Intake(
        pd.DataFrame(counts, columns=["source", "table", "read", "accepted", "rejected"]),
        pd.DataFrame(rejects, columns=["source", "table", "reason", "rows"]),
        pd.DataFrame(notes, columns=["source", "table", "note", "rows"]),
        tuple(sources),
    )


def drop_intake(hub: Hub) -> None:
    """Drop every table of the identified hub and close it.

    A file that held identifiers still has to be deleted afterwards (DuckDB frees blocks, it does not wipe
    them); the caller, who chose its path, does that.
    """
    connection = hub.connection
    for view, _ in connection.execute(
        "SELECT view_name, 1 FROM duckdb_views() WHERE NOT internal"
    ).fetchall():
        connection.execute(f'DROP VIEW IF EXISTS "{view}"')
    for name in hub.tables():
        quoted = ".".join(f'"{part}"' for part in name.split("."))
        connection.execute(f"DROP TABLE {quoted}")
    hub.close()


@dataclass(frozen=True)
class _Outcome:
    read: int
    accepted: int
    rejects: list[tuple[str, int]]
    notes: list[tuple[str, int]]


def _note(
    outcome: _Outcome,
    source: str,
    table: str,
    counts: list[tuple[str, str, int, int, int]],
    rejects: list[tuple[str, str, str, int]],
    notes: list[tuple[str, str, str, int]],
) -> None:
    rejected = sum(rows for _, rows in outcome.rejects)
    if outcome.read != outcome.accepted + rejected:
        raise AssertionError(
            f"{source} {table}: {outcome.read} rows read, {outcome.accepted} accepted, {rejected} rejected"
        )
    counts.append((source, table, outcome.read, outcome.accepted, rejected))
    rejects.extend((source, table, reason, rows) for reason, rows in outcome.rejects)
    notes.extend((source, table, note, rows) for note, rows in outcome.notes)


def _check_names(sources: Mapping[str, Mapping[str, TableSource]], region: Mapping[str, TableSource]) -> None:
    for source, tables in sources.items():
        unknown = sorted(set(tables) - set(TABLES))
        if unknown:
            raise InputError(
                "unknown table",
                where=f"source {source!r}",
                found=", ".join(unknown),
                expected=", ".join(TABLES),
            )
        if "patients" not in tables:
            raise InputError(
                "no patients table",
                where=f"source {source!r}",
                found=", ".join(tables) or "nothing",
                expected="patients, which the other tables refer to",
            )
    unknown = sorted(set(region) - set(REGION_TABLES))
    if unknown:
        raise InputError(
            "unknown table", where="region", found=", ".join(unknown), expected=", ".join(REGION_TABLES)
        )


def _columns(spec: TableSpec, *, keyed: bool) -> list[tuple[str, str]]:
    """Columns of an intake table; only ``patients`` keeps ``patient_id``, the others point at it."""
    own = [column for field in spec.fields for column in column_types(field)]
    if not keyed:
        return own
    if spec is not TABLES["patients"]:
        own = [column for column in own if column[0] != "patient_id"]
    return [("record", "INTEGER"), ("source", "VARCHAR"), *own]


def _create(hub: Hub, name: str, spec: TableSpec, *, keyed: bool) -> None:
    columns = ", ".join(f'"{column}" {kind}' for column, kind in _columns(spec, keyed=keyed))
    hub.connection.execute(f"CREATE TABLE {name} ({columns})")


def _read_table(
    hub: Hub, source: str | None, table: str, spec: TableSpec, where: TableSource, until: str
) -> _Outcome:
    connection = hub.connection
    stream = open_stream(where, spec)
    try:
        linked_to = None if table == "patients" else source
        notes = stage(hub, stream, spec, source=linked_to, form=where.date_format, until=until)
        if table == "patients":
            refuse_repeated_patients(hub)
        else:
            refuse_repeated_keys(hub, spec)
        rejects = connection.execute(
            f"SELECT __reason, sum({LINES})::BIGINT FROM {STAGED} WHERE __reason IS NOT NULL "
            "GROUP BY 1 ORDER BY 1"
        ).fetchall()
        counted = connection.execute(
            "SELECT "
            + ", ".join(["count(*)", *(f"count(*) FILTER (__note_{i})" for i in range(len(notes)))])
            + f" FROM {STAGED} WHERE __reason IS NULL"
        ).fetchone()
        assert counted is not None
        accepted = _move(hub, source, table, spec)
    finally:
        connection.execute(f"DROP TABLE IF EXISTS {STAGED}")
    if stream.ragged:
        rejects.append((RAGGED, stream.ragged))
    kept = [(note, rows) for note, rows in zip(notes, counted[1:], strict=True) if rows]
    return _Outcome(stream.read, accepted, rejects, kept)


def _move(hub: Hub, source: str | None, table: str, spec: TableSpec) -> int:
    """Move accepted rows to their intake table and count them there."""
    connection = hub.connection
    target = f"intake.{table}"
    columns = _columns(spec, keyed=source is not None)
    selected = []
    for name, _ in columns:
        if name == "source":
            selected.append("$source")
        elif name == "record" and table == "patients":
            selected.append(
                "(SELECT count(*) FROM intake.patients) + row_number() OVER (ORDER BY patient_id) - 1"
            )
        else:
            selected.append(f'"{name}"')
    before = connection.execute(f"SELECT count(*) FROM {target}").fetchone()
    connection.execute(
        f"INSERT INTO {target} SELECT {', '.join(selected)} FROM {STAGED} WHERE __reason IS NULL",
        {"source": source} if source is not None else {},
    )
    after = connection.execute(f"SELECT count(*) FROM {target}").fetchone()
    assert before is not None
    assert after is not None
    return int(after[0]) - int(before[0])
