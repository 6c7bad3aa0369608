"""One file's rows on their way in: read, judged, and held until every check has been made.

A row that fails keeps its place in the staged table with a reason, so that refusals are counted where they
lie and not inferred. The first reason met is the one counted.

Keys that occur twice: rows that agree are one, and the fullest is kept; rows that disagree are all refused.
A blank agrees with anything. Two rows of one sample or area agree if all their columns do; two rows
of one ``patient_id`` if birth date and NHS number do. Where those differ, two people go under one number, and
the records that nobody can attribute are refused with them.
"""

from __future__ import annotations

from cohorts.hub import Hub
from cohorts.readers import FAULT, LINES, Stream
from cohorts.tables import LATEST, CellSql, Field, TableSpec, cell_sql, column_types

STAGED = "__staged"

UNKNOWN_PATIENT = "patient_id: not in this source's patients table"
REPEATED = "repeated row"
CONTRADICTED = "same key as a row that says otherwise"
SHARED_PATIENT = "patient_id: shared by rows that disagree on birth date or NHS number"


def stage(
    hub: Hub, stream: Stream, spec: TableSpec, *, source: str | None, form: str | None, until: str
) -> list[str]:
    """Draw a stream into the staged table.

    The table holds the columns of ``spec``, ``record`` (if ``source`` is given: the patient's row in
    ``intake.patients``), :data:`cohorts.readers.LINES`, ``__reason`` (NULL: accepted so far) and
    ``__note_0``, ``__note_1`` and so on.

    Parameters
    ----------
    source
        Source whose patients the rows must belong to; None for tables that stand alone.
    form
        Declared strptime form of text dates, or None for ISO.
    until
        Last date a record may bear (ISO).

    Returns
    -------
    list of str
        What each note column notes.
    """
    # an end may lie ahead (a planned discharge, a lease); only what has happened must fall in the records
    last = {spec.span[1]: LATEST} if spec.span else {}
    cells = [_cell(field, stream, form, last.get(field.name, until)) for field in spec.fields]
    notes = [note for cell in cells for note in cell.notes]
    select = _select(stream, spec, cells, notes, linked=source is not None)
    parameters = {} if source is None else {"source": source}
    connection = hub.connection
    connection.register("__batch", stream.schema.empty_table())
    connection.execute(f"CREATE TEMP TABLE {STAGED} AS {select}", parameters)
    connection.unregister("__batch")
    for batch in stream.batches:
        connection.register("__batch", batch)
        connection.execute(f"INSERT INTO {STAGED} {select}", parameters)
        connection.unregister("__batch")
    return [sentence for _, sentence in notes]


def _cell(field: Field, stream: Stream, form: str | None, until: str) -> CellSql:
    if field.name not in stream.schema.names:
        return cell_sql(field, "CAST(NULL AS VARCHAR)", is_date=False, form=None, until=until)
    return cell_sql(
        field, f'"__raw_{field.name}"', is_date=_is_date(stream, field.name), form=form, until=until
    )


def _is_date(stream: Stream, name: str) -> bool:
    return str(stream.schema.field(name).type).startswith("date")


def _select(
    stream: Stream, spec: TableSpec, cells: list[CellSql], notes: list[tuple[str, str]], *, linked: bool
) -> str:
    """Raw cells, then the code system, then all else that is read, then the judgement, each over the last."""
    raw = ", ".join(
        (f'"{name}"' if _is_date(stream, name) else f"nullif(\"{name}\", '')") + f' AS "__raw_{name}"'
        for name in stream.schema.names
        if name not in (LINES, FAULT)
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
    reason = " ".join(f"WHEN {condition} THEN {_quoted(sentence)}" for condition, sentence in faults)
    kept = [kept for field, cell in zip(spec.fields, cells, strict=True) for kept in _kept(field, cell)]
    flags = [f"coalesce({condition}, false) AS __note_{i}" for i, (condition, _) in enumerate(notes)]
    judged = f"CASE WHEN {FAULT} IS NOT NULL THEN {FAULT} {reason} END AS __reason"
    return (
        f"SELECT {', '.join([*kept, *(['record'] if linked else []), LINES, judged, *flags])} FROM ("
        f"SELECT *, {others} FROM (SELECT *{system} FROM (SELECT {raw}, {LINES}, {FAULT} FROM __batch)) "
        f"{patient})"
    )


def _kept(field: Field, cell: CellSql) -> list[str]:
    """Columns as they are kept: a soft date that is noted becomes blank."""
    if field.soft and field.kind == "date":
        noted = " OR ".join(f"coalesce({condition}, false)" for condition, _ in cell.notes)
        return [f'CASE WHEN {noted} THEN NULL ELSE "{name}" END AS "{name}"' for _, name in cell.columns]
    return [f'"{name}"' for _, name in cell.columns]


def _quoted(sentence: str) -> str:
    return "'" + sentence.replace("'", "''") + "'"


def refuse_repeated_patients(hub: Hub) -> None:
    """Keep one staged row a ``patient_id`` where its rows agree, and none where they do not."""
    number = "regexp_replace(nhs_number, '[^0-9]', '', 'g')"
    columns = ["nhs_number", "birth_date", "family_name", "given_name", "sex", "postcode"]
    _refuse_repeated(hub, ["patient_id"], columns, ["birth_date", number], SHARED_PATIENT)


def refuse_repeated_keys(hub: Hub, spec: TableSpec) -> None:
    """Keep one staged row a unique key where its rows agree, and none where they do not."""
    if spec.unique:
        columns = [f'"{name}"' for field in spec.fields for name, _ in column_types(field)]
        _refuse_repeated(hub, [f'"{name}"' for name in spec.unique], columns, columns, CONTRADICTED)


def _refuse_repeated(hub: Hub, keys: list[str], columns: list[str], agreeing: list[str], torn: str) -> None:
    """Refuse all but the fullest row of a key, or all of them if two known values of one column differ."""
    key = ", ".join(keys)
    differ = " OR ".join(f"count(DISTINCT {sql}) OVER (PARTITION BY {key}) > 1" for sql in agreeing)
    blanks = " + ".join(f"({name} IS NULL)::INT" for name in columns)
    hub.connection.execute(
        f"""
        UPDATE {STAGED} SET __reason = CASE WHEN t.torn THEN {_quoted(torn)} ELSE '{REPEATED}' END
        FROM (
            SELECT rowid AS row, rank, torn FROM (
                SELECT rowid, {differ} AS torn,
                    row_number() OVER (PARTITION BY {key} ORDER BY {blanks}, {", ".join(columns)}) AS rank
                FROM {STAGED} WHERE __reason IS NULL
            ) WHERE rank > 1 OR torn
        ) t WHERE {STAGED}.rowid = t.row
        """
    )
