"""Reading what providers hand over into the identified intake, with every row accounted for.

The intake is a DuckDB database of its own (schema ``intake``): it holds names and NHS numbers, and it is
closed and deleted once the pseudonymous hub has been built from it. For every table
``read = accepted + rejected`` holds and is asserted: *read* is counted while the file is drawn,
*accepted* is counted in the table at the end, *rejected* is the sum over reasons.

Records carry ``record``, the running number of their row in ``intake.patients``. Patients of one source
are numbered in the order of their ``patient_id``, so the order of lines in a file changes nothing.

A ``patient_id`` that occurs twice in one source's patients table: rows that agree on birth date and NHS
number (a blank agrees with anything) are one patient and the fullest is kept; rows that disagree are two
people under one number, so all are refused, and with them the records nobody can attribute.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from cohorts.errors import InputError
from cohorts.hub import Hub
from cohorts.readers import FAULT, LINES, RAGGED, Stream, TableSource, open_stream
from cohorts.tables import LATEST, REGION_TABLES, TABLES, CellSql, Field, TableSpec, cell_sql, column_types

__all__ = ["Intake", "TableSource", "drop_intake", "read_sources"]

UNKNOWN_PATIENT = "patient_id: not in this source's patients table"
REPEATED = "repeated row"
CONTRADICTED = "same key as a row that says otherwise"
SHARED_PATIENT = "patient_id: shared by rows that disagree on birth date or NHS number"


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
    cells = [_cell(field, spec, stream, where, until) for field in spec.fields]
    notes = [note for cell in cells for _, note in cell.notes]
    try:
        _stage(hub, stream, spec, cells, source=None if table == "patients" else source)
        if table == "patients":
            _one_row_a_patient(hub)
        else:
            _one_row_a_key(hub, spec)
        rejects = connection.execute(
            f"SELECT __reason, sum({LINES})::BIGINT FROM __staged WHERE __reason IS NOT NULL "
            "GROUP BY 1 ORDER BY 1"
        ).fetchall()
        counted = connection.execute(
            "SELECT "
            + ", ".join(["count(*)", *(f"count(*) FILTER (__note_{i})" for i in range(len(notes)))])
            + " FROM __staged WHERE __reason IS NULL"
        ).fetchone()
        assert counted is not None
        accepted = _move(hub, source, table, spec)
    finally:
        connection.execute("DROP TABLE IF EXISTS __staged")
    if stream.ragged:
        rejects.append((RAGGED, stream.ragged))
    kept = [(note, rows) for note, rows in zip(notes, counted[1:], strict=True) if rows]
    return _Outcome(stream.read, accepted, rejects, kept)


def _cell(field: Field, spec: TableSpec, stream: Stream, where: TableSource, until: str) -> CellSql:
    if field.name not in stream.schema.names:
        return cell_sql(field, spec, "CAST(NULL AS VARCHAR)", is_date=False, form=None, until=until)
    is_date = str(stream.schema.field(field.name).type).startswith("date")
    return cell_sql(
        field, spec, f'"__raw_{field.name}"', is_date=is_date, form=where.date_format, until=until
    )


def _stage(hub: Hub, stream: Stream, spec: TableSpec, cells: list[CellSql], *, source: str | None) -> None:
    """Draw the stream into ``__staged``: read cells, ``record``, ``__reason``, ``__note_0`` and so on."""
    connection = hub.connection
    raw = [
        f'"{name}" AS "__raw_{name}"'
        if str(stream.schema.field(name).type).startswith("date")
        else f"nullif(trim(\"{name}\", ' \t\u00a0'), '') AS \"__raw_{name}\""
        for name in stream.schema.names
        if name not in (LINES, FAULT)
    ]
    systems = [column for cell in cells for column in cell.columns if column[1] == "system"]
    others = [column for cell in cells for column in cell.columns if column[1] != "system"]
    faults = [fault for cell in cells for fault in cell.faults]
    if spec.span is not None:
        start, end = spec.span
        faults.append((f'"{end}" < "{start}"', f"{end}: before {start}"))
    if source is not None:
        faults.append(("record IS NULL", UNKNOWN_PATIENT))
    reason = " ".join(
        f"WHEN {condition} THEN '{text.replace(chr(39), chr(39) * 2)}'" for condition, text in faults
    )
    notes = [condition for cell in cells for condition, _ in cell.notes]
    columns = ", ".join(f'{sql} AS "{name}"' for sql, name in others)
    flags = "".join(f", coalesce({condition}, false) AS __note_{i}" for i, condition in enumerate(notes))
    with_system = "".join(f', {sql} AS "{name}"' for sql, name in systems)
    joined = (
        ""
        if source is None
        else (
            "LEFT JOIN (SELECT record, patient_id AS known FROM intake.patients WHERE source = $source) "
            'ON known = "__raw_patient_id"'
        )
    )
    select = (
        f"SELECT * EXCLUDE ({FAULT}), "
        f"CASE WHEN {FAULT} IS NOT NULL THEN {FAULT} {reason} END AS __reason FROM ("
        f"SELECT *, {columns}{flags} FROM ("
        f"SELECT *{with_system} FROM ("
        f"SELECT {', '.join(raw)}, {LINES}, {FAULT} FROM __batch)) {joined})"
    )
    kept = ", ".join(
        ['"' + name + '"' for cell in cells for _, name in cell.columns]
        + ([] if source is None else ["record"])
        + [LINES, "__reason"]
        + [f"__note_{i}" for i in range(len(notes))]
    )
    parameters = {} if source is None else {"source": source}
    empty = stream.schema.empty_table()
    connection.register("__batch", empty)
    connection.execute(f"CREATE TEMP TABLE __staged AS SELECT {kept} FROM ({select})", parameters)
    connection.unregister("__batch")
    for batch in stream.batches:
        connection.register("__batch", batch)
        connection.execute(f"INSERT INTO __staged SELECT {kept} FROM ({select})", parameters)
        connection.unregister("__batch")


def _one_row_a_patient(hub: Hub) -> None:
    hub.connection.execute(
        f"""
        UPDATE __staged SET __reason = CASE WHEN t.torn THEN '{SHARED_PATIENT.replace("'", "''")}'
                                            ELSE '{REPEATED}' END
        FROM (
            SELECT rowid AS row, rank, torn FROM (
                SELECT rowid,
                    count(DISTINCT birth_date) OVER p > 1
                      OR count(DISTINCT regexp_replace(nhs_number, '[^0-9]', '', 'g')) OVER p > 1 AS torn,
                    row_number() OVER (PARTITION BY patient_id ORDER BY
                        (birth_date IS NULL)::INT + (nhs_number IS NULL)::INT + (given_name IS NULL)::INT
                        + (family_name IS NULL)::INT + (sex IS NULL)::INT + (postcode IS NULL)::INT,
                        nhs_number, birth_date, family_name, given_name, sex, postcode) AS rank
                FROM __staged WHERE __reason IS NULL
                WINDOW p AS (PARTITION BY patient_id)
            ) WHERE rank > 1 OR torn
        ) t WHERE __staged.rowid = t.row
        """
    )


def _one_row_a_key(hub: Hub, spec: TableSpec) -> None:
    """Of rows that repeat a unique key one is kept if they agree and none if they do not."""
    if not spec.unique:
        return
    names = [name for field in spec.fields for name, _ in column_types(field)]
    keys = ", ".join(f'"{name}"' for name in spec.unique)
    content = ", ".join(f'"{name}"' for name in names)
    hub.connection.execute(
        f"""
        UPDATE __staged SET __reason = CASE WHEN t.torn THEN '{CONTRADICTED}' ELSE '{REPEATED}' END
        FROM (
            SELECT rowid AS row, rank, torn FROM (
                SELECT rowid, count(DISTINCT row({content})) OVER (PARTITION BY {keys}) > 1 AS torn,
                    row_number() OVER (PARTITION BY {keys} ORDER BY {content}) AS rank
                FROM __staged WHERE __reason IS NULL
            ) WHERE rank > 1 OR torn
        ) t WHERE __staged.rowid = t.row
        """
    )


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
        f"INSERT INTO {target} SELECT {', '.join(selected)} FROM __staged WHERE __reason IS NULL",
        {"source": source} if source is not None else {},
    )
    after = connection.execute(f"SELECT count(*) FROM {target}").fetchone()
    assert before is not None
    assert after is not None
    return int(after[0]) - int(before[0])
