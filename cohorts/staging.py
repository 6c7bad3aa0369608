"""One file's rows on their way in: read, judged, and held until every check has been made.

A row that fails keeps its place in the staged table with a reason, so that refusals are counted where they
lie and not inferred. The first reason met is the one counted.

Keys that occur twice: rows that agree are one, and the fullest is kept; rows that disagree are all refused.
A blank agrees with anything. Two rows of one sample or area agree if all their columns do; two rows of one
``patient_id`` if NHS number and birth date do, the date as far as both know it. Where those differ, two people go
under one number, and the records that nobody can attribute are refused with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa

from cohorts.hub import Hub
from cohorts.streams import BATCH, FAULT, FILE, LINES, REMARK, ROW, Stream, quoted
from cohorts.tables import LATEST, UNREAD, CellSql, Field, TableSpec, cell_sql, column_types

STAGED = "__staged"
STREAM = "__stream"
CHUNK_ROWS = 1 << 21
CHUNK_BYTES = 1 << 27

UNKNOWN_PATIENT = "patient_id: not in this source's patients table"
REPEATED = "repeated row"
CONTRADICTED = "same key as a row that says otherwise"
SHARED_PATIENT = "patient_id: shared by rows that disagree on birth date or NHS number"


def create_staged(hub: Hub, spec: TableSpec, *, linked: bool) -> None:
    """Make the empty staged table of one canonical table.

    It holds the columns of ``spec``, ``record`` (if ``linked``: the patient's row in ``intake.patients``),
    :data:`cohorts.streams.LINES`, :data:`cohorts.streams.ROW`, ``__stream`` (position of the stream), ``__file``,
    ``__reason`` (NULL: accepted so far) and ``__notes`` (what is noted about a row that is kept).
    """
    columns = [f'"{name}" {kind}' for field in spec.fields for name, kind in column_types(field)]
    columns += ["record INTEGER"] if linked else []
    columns += [
        f"{LINES} INTEGER",
        f"{ROW} BIGINT",
        f"{STREAM} INTEGER",
        f"{FILE} INTEGER",
        "__reason VARCHAR",
        "__notes VARCHAR[]",
    ]
    hub.connection.execute(f"CREATE OR REPLACE TEMP TABLE {STAGED} ({', '.join(columns)})")


def stage(
    hub: Hub, stream: Stream, spec: TableSpec, *, number: int, source: str | None, until: str
) -> Iterator[int]:
    """Draw a stream into the staged table, chunk by chunk.

    Parameters
    ----------
    number
        Position of the stream among those of its table.
    source
        Source whose patients the rows must belong to; None for tables that stand alone.
    until
        Last date a record may bear (ISO).

    Yields
    ------
    int
        Lines staged with each chunk; the caller may judge, move and delete them before it asks for more.
    """
    # an end may lie ahead (a planned discharge, a lease); only what has happened must fall in the records
    last = {spec.span[1]: LATEST} if spec.span else {}
    cells = [_cell(field, stream, last.get(field.name, until)) for field in spec.fields]
    select = _select(stream, spec, cells, number, linked=source is not None)
    parameters = {} if source is None else {"source": source}
    connection = hub.connection
    for chunk in _chunks(stream):
        connection.register(BATCH, chunk)
        try:
            counted = connection.execute(
                f"SELECT coalesce(sum({LINES}), 0)::BIGINT FROM {stream.view}"
            ).fetchone()
            connection.execute(f"INSERT INTO {STAGED} {select}", parameters)
        finally:
            connection.unregister(BATCH)
        yield counted[0] if counted else 0


def _chunks(stream: Stream) -> Iterator[pa.Table]:
    """Batches gathered, so that the patients are looked up once for many rows."""
    gathered: list[pa.RecordBatch] = []
    for batch in stream.batches:
        gathered.append(batch)
        rows = sum(b.num_rows for b in gathered)
        if rows >= CHUNK_ROWS or sum(b.nbytes for b in gathered) >= CHUNK_BYTES:
            yield pa.Table.from_batches(gathered, schema=stream.schema)
            gathered = []
    if gathered:
        yield pa.Table.from_batches(gathered, schema=stream.schema)


def staged_counts(hub: Hub) -> dict[int, tuple[int, int]]:
    """Rows accepted and lines refused, by stream, as staged now."""
    rows = hub.connection.execute(
        f"SELECT {STREAM}, count(*) FILTER (__reason IS NULL), "
        f"coalesce(sum({LINES}) FILTER (__reason IS NOT NULL), 0)::BIGINT FROM {STAGED} GROUP BY 1"
    ).fetchall()
    return {stream: (accepted, refused) for stream, accepted, refused in rows}


def staged_notes(hub: Hub) -> Iterable[tuple[str, int]]:
    """What is noted about accepted rows, and how many of them, as staged now."""
    return hub.connection.execute(
        f"SELECT note, count(*) FROM (SELECT unnest(__notes) AS note FROM {STAGED} WHERE __reason IS NULL) "
        "GROUP BY 1 ORDER BY 1"
    ).fetchall()


def staged_cells(hub: Hub, column: str) -> tuple[int, int]:
    """Cells of a column that are filled, and those of them that could not be read, as staged now."""
    told = [quoted(f"{column}: {sentence}") for sentence in UNREAD]
    unread = f"__reason IN ({', '.join(told)}) OR list_has_any(__notes, [{', '.join(told)}])"
    counted = hub.connection.execute(
        f'SELECT count("{column}"), count(*) FILTER ({unread}) FROM {STAGED}'
    ).fetchone()
    readable, bad = counted or (0, 0)
    return readable + bad, bad


def _cell(field: Field, stream: Stream, until: str) -> CellSql:
    if field.name not in stream.names:
        return cell_sql(field, "CAST(NULL AS VARCHAR)", is_date=False, form=None, until=until)
    return cell_sql(
        field,
        f'"__raw_{field.name}"',
        is_date=stream.is_date(field.name),
        form=stream.date_format,
        until=until,
    )


def _select(stream: Stream, spec: TableSpec, cells: list[CellSql], number: int, *, linked: bool) -> str:
    """Raw cells, then the code system, then all else that is read, then the judgement, each over the last."""
    raw = ", ".join(
        (f'"{name}"' if stream.is_date(name) else f"nullif(\"{name}\", '')") + f' AS "__raw_{name}"'
        for name in stream.names
    )
    also = ", ".join(
        [LINES, FAULT, ROW, *([REMARK] if stream.remarked else []), *([FILE] if stream.filed else [])]
    )
    read = [(sql, name) for cell in cells for sql, name in cell.columns]
    system = "".join(f', {sql} AS "{name}"' for sql, name in read if name == "system")
    others = ", ".join(f'{sql} AS "{name}"' for sql, name in read if name != "system")
    patient = (
        "LEFT JOIN (SELECT record, patient_id AS known FROM intake.patients WHERE source = $source) "
        'ON known = "__raw_patient_id"'
        if linked
        else ""
    )
    faults = [fault for cell in cells for fault in cell.faults]
    if spec.span is not None:
        start, end = spec.span
        faults.append((f'"{end}" < "{start}"', f"{end}: before {start}"))
    if linked:
        faults.append(("record IS NULL", UNKNOWN_PATIENT))
    reason = " ".join(f"WHEN {condition} THEN {quoted(sentence)}" for condition, sentence in faults)
    kept = [kept for field, cell in zip(spec.fields, cells, strict=True) for kept in _kept(field, cell)]
    judged = f"CASE WHEN {FAULT} IS NOT NULL THEN {FAULT} {reason} END"
    place = [LINES, ROW, str(number), FILE if stream.filed else str(stream.file)]
    columns = [*kept, *(["record"] if linked else []), *place, judged, _notes(stream, cells)]
    return (
        f"SELECT {', '.join(columns)} FROM ("
        f"SELECT *, {others} FROM (SELECT *{system} FROM (SELECT {raw}, {also} FROM {stream.view})) {patient})"
    )


def _notes(stream: Stream, cells: list[CellSql]) -> str:
    """A list of the sentences that hold of a row; NULL where there is nothing to note."""
    told = [
        f"CASE WHEN {condition} THEN {quoted(sentence)} END"
        for cell in cells
        for condition, sentence in cell.notes
    ]
    told += [REMARK] if stream.remarked else []
    return f"list_filter([{', '.join(told)}], lambda note: note IS NOT NULL)" if told else "NULL"


def _kept(field: Field, cell: CellSql) -> list[str]:
    """Columns as they are kept: a soft date that is noted becomes blank."""
    if field.soft and field.kind == "date":
        noted = " OR ".join(f"coalesce({condition}, false)" for condition, _ in cell.notes)
        return [f'CASE WHEN {noted} THEN NULL ELSE "{name}" END' for _, name in cell.columns]
    return [f'"{name}"' for _, name in cell.columns]


def refuse_repeated_patients(hub: Hub) -> None:
    """Keep one staged row a ``patient_id`` where its rows agree, and none where they do not."""
    number = "regexp_replace(nhs_number, '[^0-9]', '', 'g')"
    precision = "coalesce(birth_precision, 'day')"
    known = [
        "year(birth_date)",
        f"CASE WHEN {precision} <> 'year' THEN strftime(birth_date, '%Y-%m') END",
        f"CASE WHEN {precision} = 'day' THEN birth_date END",
    ]
    columns = ["nhs_number", "birth_date", "family_name", "given_name", "sex", "postcode"]
    # of equally full rows the most precise: day, month, year are also the order of the alphabet
    _refuse_repeated(hub, ["patient_id"], columns, [*known, number], SHARED_PATIENT, first=precision)


def refuse_repeated_keys(hub: Hub, spec: TableSpec) -> None:
    """Keep one staged row a unique key where its rows agree, and none where they do not."""
    if spec.unique:
        columns = [f'"{name}"' for field in spec.fields for name, _ in column_types(field)]
        _refuse_repeated(hub, [f'"{name}"' for name in spec.unique], columns, columns, CONTRADICTED)


def _refuse_repeated(
    hub: Hub, keys: list[str], columns: list[str], agreeing: list[str], torn: str, *, first: str = "1"
) -> None:
    """Refuse all but the fullest row of a key, or all of them if two known values of one column differ."""
    key = ", ".join(keys)
    differ = " OR ".join(f"count(DISTINCT {sql}) OVER (PARTITION BY {key}) > 1" for sql in agreeing)
    blanks = " + ".join(f"({name} IS NULL)::INT" for name in columns)
    hub.connection.execute(
        f"""
        UPDATE {STAGED} SET __reason = CASE WHEN t.torn THEN {quoted(torn)} ELSE '{REPEATED}' END
        FROM (
            SELECT rowid AS row, rank, torn FROM (
                SELECT rowid, {differ} AS torn,
                    row_number() OVER (PARTITION BY {key} ORDER BY {blanks}, {first}, {", ".join(columns)}) AS rank
                FROM {STAGED} WHERE __reason IS NULL
            ) WHERE rank > 1 OR torn
        ) t WHERE {STAGED}.rowid = t.row
        """
    )
