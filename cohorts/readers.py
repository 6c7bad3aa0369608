"""Files of a provider, read as streams of Arrow batches with every line accounted for.

A reader gives text or typed columns under our names, batch by batch, so that tens of millions of rows
never sit in memory. CSV cells are read as bytes and judged here: a row that is not valid text or that
has the wrong number of fields is counted, not lost, and never stops the file. A file that cannot be
read at all is one :class:`~cohorts.errors.InputError`.

A line break inside a cell of ours is nearly always a broken quote that swallowed the lines after it. The
row is refused and every physical line it swallowed counts as read, so that nothing goes unseen. So is a row
with a NUL or with a text of more than 200 characters, which no column of ours can mean.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from cohorts.errors import InputError
from cohorts.tables import TableSpec

BLOCK_BYTES = 1 << 24
BATCH_ROWS = 1 << 17

LINES = "__lines"
FAULT = "__fault"
NOT_TEXT = "not text in the declared encoding"
BROKEN_LINE = "line break inside a field (a quote that is not closed?)"
BINARY = "NUL inside a field (not a text file?)"
TOO_LONG = "a field longer than 200 characters"
RAGGED = "wrong number of fields"
LONGEST_TEXT = 200


@dataclass(frozen=True)
class TableSource:
    """Where one table of one provider lies.

    Attributes
    ----------
    path
        A ``.csv`` (also ``.csv.gz``) or ``.parquet`` file.
    columns
        Our column name to the file's; columns not named keep our name. None says that the file has no
        such column, and its cells are then blank.
    encoding
        Of a CSV. UTF-8 (with or without byte order mark) unless declared; a UTF-16 mark is understood.
    date_format
        strptime form of text dates, such as ``"%d/%m/%Y"``; None is ISO.

    Examples
    --------
    >>> TableSource("gp_patients.csv", columns={"patient_id": "PatID"}).path
    'gp_patients.csv'
    """

    path: str | Path
    columns: Mapping[str, str | None] = field(default_factory=dict)
    encoding: str = "utf-8"
    date_format: str | None = None


@dataclass
class Stream:
    """Batches of one file under our column names, and what was seen while they were drawn.

    Attributes
    ----------
    schema
        Arrow types of the batches: our columns, then :data:`LINES` (int32, physical lines of the row) and
        :data:`FAULT` (str or null).
    batches
        The batches; draw them once.
    read
        Lines seen so far, header and empty lines apart. Complete once ``batches`` is drawn.
    ragged
        Lines seen so far with the wrong number of fields.
    """

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    read: int = 0
    ragged: int = 0


def open_stream(source: TableSource, spec: TableSpec) -> Stream:
    """Open one file of a provider.

    Raises
    ------
    InputError
        The file is missing, of a kind we do not read, empty, not what its name says, or lacks a column;
        the message names file, columns found and column expected.
    """
    path = Path(source.path)
    if not path.is_file():
        raise InputError("no such file", where=path, fix="check the path in the study file")
    suffix = path.suffix if path.suffix != ".gz" else Path(path.stem).suffix
    reader = READERS.get(suffix.lower())
    if reader is None:
        raise InputError(
            "kind of file not known", where=path, found=suffix or "no ending", expected=", ".join(READERS)
        )
    unknown = sorted(set(source.columns) - {field.name for field in spec.fields})
    if unknown:
        raise InputError(
            "the study maps a column that this table does not have",
            where=path,
            found=", ".join(unknown),
            expected="one of " + ", ".join(field.name for field in spec.fields),
        )
    return reader(path, source, spec)


def choose_columns(path: Path, found: list[str], source: TableSource, spec: TableSpec) -> dict[str, str]:
    """Our column name to the file's, for those the file has.

    Raises
    ------
    InputError
        A column is missing or named twice. If no name is ours the first line may be a patient's row, so
        the message then tells how many columns there are and not what they say.
    """
    chosen: dict[str, str] = {}
    missing = []
    for column in spec.fields:
        theirs = source.columns.get(column.name, column.name)
        if theirs is None:
            continue
        if found.count(theirs) > 1:
            raise InputError(
                "a column is named twice", where=path, found=f"column {theirs!r} {found.count(theirs)} times"
            )
        if theirs in found:
            chosen[column.name] = theirs
        elif not column.may_lack or column.name in source.columns:
            missing.append(theirs)
    if missing:
        if chosen:
            seen = f"columns {', '.join(found)}"
        else:
            seen = f"{len(found)} columns, none of them with an expected name (no header line?)"
        raise InputError(
            f"column {', '.join(repr(name) for name in missing)} is missing",
            where=path,
            found=seen,
            expected=", ".join(source.columns.get(f.name) or f.name for f in spec.fields if not f.may_lack),
            fix="name the file's columns in the study file, or correct the file",
        )
    return chosen


def _judged(columns: list[pa.Array]) -> tuple[list[pa.Array], pa.Array, pa.Array]:
    """Texts without outer blanks, the lines each row spans, and the fault of rows no table may hold."""
    rows = len(columns[0]) if columns else 0
    lines = pa.repeat(pa.scalar(1, pa.int32()), rows)
    fault = pa.nulls(rows, pa.string())
    trimmed = []
    for column in columns:
        if pa.types.is_string(column.type):
            column = pc.utf8_trim_whitespace(column)
            signs = _odd_signs(column)
            if signs & {"\n", "\r"}:
                breaks = pc.fill_null(pc.count_substring_regex(column, r"\r\n|\n|\r"), 0).cast(pa.int32())
                lines = pc.add(lines, breaks)
                fault = pc.if_else(pc.greater(breaks, 0), BROKEN_LINE, fault)
            if "\0" in signs:
                fault = pc.if_else(pc.fill_null(pc.match_substring(column, "\0"), False), BINARY, fault)
            if (pc.max(pc.binary_length(column)).as_py() or 0) > LONGEST_TEXT:
                long = pc.greater(pc.fill_null(pc.utf8_length(column), 0), LONGEST_TEXT)
                fault = pc.if_else(pc.and_(long, pc.is_null(fault)), TOO_LONG, fault)
        trimmed.append(column)
    return trimmed, lines, fault


def _odd_signs(column: pa.Array) -> set[str]:
    """Which of NUL and the line breaks occur anywhere in the column's bytes."""
    content = column.buffers()[2]
    if content is None:
        return set()
    view = memoryview(content).tobytes()
    return {sign for sign in ("\0", "\n", "\r") if sign.encode() in view}


def _as_text(column: pa.Array, *, bytewise: bool) -> tuple[pa.Array, pa.Array | None]:
    """Cells as text; None where they are not UTF-8, and which those are.

    In a ``bytewise`` column each byte of the file stands as one Latin-1 letter, so that the parser sees
    valid text whatever the bytes; here they become bytes again and are read as what they are.
    """
    column = column.cast(pa.string())
    content = column.buffers()[2]
    if not bytewise or content is None or memoryview(content).tobytes().isascii():
        return column, None
    distinct = pc.dictionary_encode(column)
    texts: list[str | None] = []
    for cell in distinct.dictionary.to_pylist():
        try:
            texts.append(cell.encode("latin-1").decode("utf-8"))
        except UnicodeDecodeError:
            texts.append(None)
    known = pa.array(texts, pa.string()).take(distinct.indices)
    return known, pc.is_null(known)


def _read_csv(path: Path, source: TableSource, spec: TableSpec) -> Stream:
    stream: Stream
    ragged_lines: list[int] = []

    def refuse(row: Any) -> str:
        ragged_lines.append(1 + len(_LINE_BREAK.findall(row.text or "")))
        return "skip"

    encoding, mark = _encoding(path, source)
    bytewise = encoding == "latin-1"
    opened = _opened_csv(path, encoding, mark, refuse, column_types=None)
    names = opened.schema.names
    opened.close()
    ragged_lines.clear()
    opened = _opened_csv(path, encoding, mark, refuse, column_types=dict.fromkeys(names, pa.binary()))
    if bytewise:
        names = [name.encode("latin-1").decode("utf-8", "replace") for name in names]
    names = [name.strip() for name in names]
    chosen = choose_columns(path, names, source, spec)
    position = {ours: names.index(theirs) for ours, theirs in chosen.items()}
    schema = pa.schema(
        [*((ours, pa.string()) for ours in position), (LINES, pa.int32()), (FAULT, pa.string())]
    )

    def batches() -> Iterator[pa.RecordBatch]:
        while True:
            try:
                raw = opened.read_next_batch()
            except StopIteration:
                break
            except (pa.ArrowInvalid, UnicodeError, OSError) as error:
                raise _unreadable(path, error) from None
            columns, wrong = [], None
            for index in position.values():
                text, bad = _as_text(raw.column(index), bytewise=bytewise)
                columns.append(text)
                if bad is not None:
                    wrong = bad if wrong is None else pc.or_(wrong, bad)
            columns, lines, fault = _judged(columns)
            if wrong is not None:
                fault = pc.if_else(wrong, NOT_TEXT, fault)
            stream.read += int(pc.sum(lines).as_py() or 0)
            yield pa.record_batch([*columns, lines, fault], schema=schema)
        stream.ragged = sum(ragged_lines)
        stream.read += stream.ragged

    stream = Stream(schema, batches())
    return stream


def _opened_csv(
    path: Path,
    encoding: str,
    mark: int,
    refuse: Callable[[Any], str],
    column_types: Mapping[str, pa.DataType] | None,
) -> Any:
    try:
        content = pa.input_stream(str(path), compression="detect")
        content.read(mark)
        return pcsv.open_csv(
            content,
            read_options=pcsv.ReadOptions(block_size=BLOCK_BYTES, encoding=encoding, use_threads=False),
            parse_options=pcsv.ParseOptions(newlines_in_values=True, invalid_row_handler=refuse),
            convert_options=pcsv.ConvertOptions(
                column_types=column_types, strings_can_be_null=False, check_utf8=False
            ),
        )
    except (pa.ArrowInvalid, UnicodeError, OSError, LookupError) as error:
        raise _unreadable(path, error) from None


def _encoding(path: Path, source: TableSource) -> tuple[str, int]:
    """Codec to open the file with (Latin-1, bytewise, for UTF-8), and bytes of its mark to skip."""
    try:
        with pa.input_stream(str(path), compression="detect") as content:
            start = content.read(3)
    except OSError as error:
        raise _unreadable(path, error) from None
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16", 0
    if source.encoding.lower().replace("_", "-") in ("utf-8", "utf8", "utf-8-sig", "ascii"):
        return "latin-1", 3 if start == b"\xef\xbb\xbf" else 0
    return source.encoding, 0


def _unreadable(path: Path, error: Exception) -> InputError:
    """An error without the library's own message, which may quote the file's content."""
    known = {
        "Empty CSV file": "the file is empty",
        "straddling": f"a line is longer than {BLOCK_BYTES >> 20} MB (a quote that is not closed?)",
        "codec": "the bytes do not fit the declared encoding",
    }
    problem = next((ours for theirs, ours in known.items() if theirs in str(error)), "cannot be read")
    return InputError(
        problem,
        where=path,
        found=type(error).__name__,
        expected="a complete file of its kind",
        fix="ask the provider for the file again",
    )


def _read_parquet(path: Path, source: TableSource, spec: TableSpec) -> Stream:
    stream: Stream
    try:
        opened = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise _unreadable(path, error) from None
    arrow = opened.schema_arrow
    chosen = choose_columns(path, arrow.names, source, spec)
    kinds = {
        ours: _target_type(path, ours, arrow.field(theirs).type, spec) for ours, theirs in chosen.items()
    }
    schema = pa.schema([*kinds.items(), (LINES, pa.int32()), (FAULT, pa.string())])

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            for raw in opened.iter_batches(BATCH_ROWS, columns=list(chosen.values())):
                columns = [raw.column(theirs).cast(kinds[ours]) for ours, theirs in chosen.items()]
                columns, _, fault = _judged(columns)
                lines = pa.repeat(pa.scalar(1, pa.int32()), raw.num_rows)
                stream.read += raw.num_rows
                yield pa.record_batch([*columns, lines, fault], schema=schema)
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(path, error) from None

    stream = Stream(schema, batches())
    return stream


def _target_type(path: Path, name: str, kind: pa.DataType, spec: TableSpec) -> pa.DataType:
    """Dates stay dates and everything else becomes text, which is checked as a CSV's would be."""
    wanted = spec.field(name).kind
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return pa.date32() if wanted in ("date", "flag") else pa.string()
    if pa.types.is_floating(kind) and wanted not in ("number", "year", "decile", "flag"):
        raise InputError(
            f"column {name!r} is stored as floating-point numbers, which lose digits of long codes",
            where=path,
            found=kind,
            expected="text or whole numbers",
            fix="write the column as text",
        )
    return pa.string()


_LINE_BREAK = re.compile(r"\r\n|\n|\r")

READERS: Mapping[str, Callable[[Path, TableSource, TableSpec], Stream]] = {
    ".csv": _read_csv,
    ".parquet": _read_parquet,
}
