"""Files of a provider, read as streams of Arrow batches with every line accounted for.

A reader gives text or typed columns under our names, batch by batch, so that tens of millions of rows
never sit in memory. CSV cells are read as bytes and judged here: a row that is not valid text or that
has the wrong number of fields is counted, not lost, and never stops the file. A file that cannot be
read at all is one :class:`~cohorts.errors.InputError`.

A line break inside a cell of ours is nearly always a broken quote that swallowed the lines after it. The
row is refused and every physical line it swallowed counts as read, so that nothing goes unseen. So is a row
with a NUL or with a text of more than 200 characters, which no column of ours can mean.

A row is known by the number of its file, in the order of names, and its own number in it: from 1, without the
header and empty lines. That is how refused rows are told to a data manager without saying what was in them.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
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
ROW = "__row"
REMARK = "__remark"
FILE = "__file"
RESERVED = (LINES, FAULT, ROW, REMARK, FILE)
BATCH = "__batch"
NOT_TEXT = "not text in the declared encoding"
BROKEN_LINE = "line break inside a field (a quote that is not closed?)"
BINARY = "NUL inside a field (not a text file?)"
TOO_LONG = "a field longer than 200 characters"
RAGGED = "wrong number of fields"
LONGEST_TEXT = 200


@dataclass(frozen=True)
class TableSource:
    """Where one table of one provider lies and how it says things.

    Attributes
    ----------
    path
        A file: ``.csv``, ``.tsv``, ``.txt`` (each also compressed: ``.gz``, ``.bz2``, ``.zst``) or ``.parquet``.
        Also a folder of such files, a pattern (``events_*.csv.gz``), or several of these; then all are one table.
    columns
        Our column name to the file's; columns not named keep our name. None says that the file has no
        such column, and its cells are then blank.
    encoding
        Of a CSV. UTF-8 (with or without byte order mark) unless declared; a UTF-16 mark is understood.
    date_format
        strptime form of text dates, such as ``"%d/%m/%Y"``; None is ISO.
    delimiter
        Of a CSV; None is a comma, and a tab in ``.tsv`` and ``.txt``.
    quoted
        Whether ``"`` encloses cells of a CSV. False in tab-delimited files whose texts hold bare quotes.
    constants
        Our column name to what all rows have in it, such as ``{"system": "read2"}``.
    values
        Our column name to (theirs: ours), such as ``{"system": {"R2": "read2"}}``; other cells stay.

    Examples
    --------
    >>> TableSource("gp_patients.csv", columns={"patient_id": "PatID"}).path
    'gp_patients.csv'
    """

    path: str | Path | Sequence[str | Path]
    columns: Mapping[str, str | None] = field(default_factory=dict)
    encoding: str = "utf-8"
    date_format: str | None = None
    delimiter: str | None = None
    quoted: bool = True
    constants: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass
class Stream:
    """Batches of one file under our column names, and what was seen while they were drawn.

    Attributes
    ----------
    schema
        Arrow types of the batches: columns, then :data:`LINES` (int32, physical lines of the row),
        :data:`FAULT` (str or null) and :data:`ROW` (int64, the row's number in the file).
    batches
        The batches; draw them once.
    read
        Lines seen so far, header and empty lines apart. Complete once ``batches`` is drawn.
    ragged
        Row number and lines of the rows seen so far that had the wrong number of fields.
    origin
        What holds the rows, such as ``condition_occurrence``; never the name of a file, which may name a person.
    file
        Number of the file among those of its origin, from 1.
    filed
        The batches are of several files, `file` is how many, and a column :data:`FILE` numbers them.
    date_format
        strptime form of text dates, or None for ISO.
    view
        SQL of what stands in for the batch :data:`BATCH`: it gives canonical columns, LINES, FAULT and ROW, and
        may give :data:`REMARK` (str or null: what is noted about a row that is kept).
    columns
        Canonical columns that the view gives; None: those of the batches.
    filtered
        The view leaves out rows that are no record of the table; only what it gives counts as read.
    remarked
        The view gives REMARK.
    """

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    read: int = 0
    ragged: array[int] = field(default_factory=lambda: array("q"))
    origin: str = "table"
    file: int = 1
    filed: bool = False
    date_format: str | None = None
    view: str = BATCH
    columns: tuple[str, ...] | None = None
    filtered: bool = False
    remarked: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Canonical columns that reach staging."""
        if self.columns is not None:
            return self.columns
        return tuple(name for name in self.schema.names if name not in RESERVED)

    def is_date(self, name: str) -> bool:
        """Whether a column is stored as dates and not as text."""
        return self.columns is None and pa.types.is_date(self.schema.field(name).type)


def open_streams(source: TableSource, spec: TableSpec, origin: str = "table") -> Iterator[Stream]:
    """Open the files of one table, one after the other.

    Raises
    ------
    InputError
        A file is missing, of a kind we do not read, empty, not what its name says, or lacks a column;
        the message names file, columns found and column expected.
    """
    for number, path in enumerate(found_files(source), 1):
        stream = _open_file(path, source, spec)
        stream.origin, stream.file, stream.date_format = origin, number, source.date_format
        apply_declared(stream, source)
        yield stream


def found_files(source: TableSource) -> list[Path]:
    """The files that a table's path means: itself, those in the folder, or those that fit the pattern.

    Raises
    ------
    InputError
        There is none.
    """
    several = [source.path] if isinstance(source.path, (str, Path)) else source.path
    found: list[Path] = []
    for path in map(Path, several):
        if path.is_file():
            matching = [path]
        elif path.is_dir():
            matching = sorted(p for p in path.rglob("*") if p.is_file() and _suffix(p) in READERS)
        elif any(sign in path.name for sign in "*?["):
            matching = sorted(p for p in path.parent.glob(path.name) if p.is_file())
        else:
            matching = []
        if not matching:
            raise InputError("no such file", where=path, fix="check the path in the study file")
        found += matching
    return list(dict.fromkeys(found))


def _suffix(path: Path) -> str:
    compressed = path.suffix.lower() in COMPRESSIONS
    return (Path(path.stem).suffix if compressed else path.suffix).lower()


def _open_file(path: Path, source: TableSource, spec: TableSpec) -> Stream:
    reader = READERS.get(_suffix(path))
    if reader is None:
        raise InputError(
            "kind of file not known",
            where=path,
            found=_suffix(path) or "no ending",
            expected=", ".join(READERS),
        )
    check_declared(source, spec, path)
    return reader(path, source, spec)


def check_declared(source: TableSource, spec: TableSpec, where: object) -> None:
    """Refuse a declaration about columns that the table does not have, or that says two things of one.

    Raises
    ------
    InputError
        Naming the columns.
    """
    known = {field.name for field in spec.fields}
    unknown = sorted({*source.columns, *source.constants, *source.values} - known)
    if unknown:
        raise InputError(
            "the study maps a column that this table does not have",
            where=where,
            found=", ".join(unknown),
            expected="one of " + ", ".join(field.name for field in spec.fields),
        )
    both = sorted(name for name in source.constants if source.columns.get(name) is not None)
    if both:
        raise InputError(
            "the study gives a column and a constant for the same thing",
            where=where,
            found=", ".join(both),
            expected="one of the two",
        )


def apply_declared(stream: Stream, source: TableSource) -> None:
    """Put constants and the source's own spellings into the stream's view."""
    if not source.constants and not source.values:
        return
    columns = []
    for name in stream.names:
        cell = f'"{name}"'
        if theirs := source.values.get(name):
            choices = " ".join(f"WHEN {quoted(old)} THEN {quoted(new)}" for old, new in theirs.items())
            cell = f"(CASE CAST({cell} AS VARCHAR) {choices} ELSE CAST({cell} AS VARCHAR) END)"
        else:
            cell = f"CAST({cell} AS VARCHAR)" if stream.is_date(name) else cell
        columns.append(f'{cell} AS "{name}"')
    columns += [f'{quoted(value)} AS "{name}"' for name, value in source.constants.items()]
    names = (*stream.names, *source.constants)
    stream.view = f"(SELECT {', '.join(columns)}, {LINES}, {FAULT}, {ROW} FROM {BATCH})"
    stream.columns = names


def quoted(text: str) -> str:
    """A text as SQL."""
    return "'" + text.replace("'", "''") + "'"


def choose_columns(path: object, found: list[str], source: TableSource, spec: TableSpec) -> dict[str, str]:
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
        if theirs is None or column.name in source.constants:
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


def one_line(column: pa.Array) -> pa.Array:
    """Text with a blank for each line break, where a break cannot come from a broken quote."""
    breaks = pa.types.is_string(column.type) and odd_signs(column) & {"\n", "\r"}
    return pc.replace_substring_regex(column, r"[\r\n]+", " ") if breaks else column


def judged(columns: list[pa.Array]) -> tuple[list[pa.Array], pa.Array, pa.Array]:
    """Texts without outer blanks, the lines each row spans, and the fault of rows no table may hold.

    Parameters
    ----------
    columns
        Arrays of one length; those that are not text stay as they are.

    Returns
    -------
    columns, lines, fault
        The columns; int32 lines; text, null where there is no fault.
    """
    rows = len(columns[0]) if columns else 0
    lines = pa.repeat(pa.scalar(1, pa.int32()), rows)
    fault = pa.nulls(rows, pa.string())
    trimmed = []
    for column in columns:
        if pa.types.is_string(column.type):
            column = pc.utf8_trim_whitespace(column)
            signs = odd_signs(column)
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


def odd_signs(column: pa.Array) -> set[str]:
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
    ragged = array("q")

    def refuse(row: Any) -> str:
        # the parser counts the header as row 1
        ragged.extend((row.number - 1, 1 + len(_LINE_BREAK.findall(row.text or ""))))
        return "skip"

    encoding, mark = _encoding(path, source)
    bytewise = encoding == "latin-1"
    parse = _parse_options(path, source, refuse)
    opened = _opened_csv(path, encoding, mark, parse, column_types=None)
    names = opened.schema.names
    opened.close()
    del ragged[:]
    opened = _opened_csv(path, encoding, mark, parse, column_types=dict.fromkeys(names, pa.binary()))
    if bytewise:
        names = [name.encode("latin-1").decode("utf-8", "replace") for name in names]
    names = [name.strip() for name in names]
    chosen = choose_columns(path, names, source, spec)
    position = {ours: names.index(theirs) for ours, theirs in chosen.items()}
    schema = batch_schema(dict.fromkeys(position, pa.string()))

    def batches() -> Iterator[pa.RecordBatch]:
        following = 1
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
            columns, lines, fault = judged(columns)
            if wrong is not None:
                fault = pc.if_else(wrong, NOT_TEXT, fault)
            stream.read += int(pc.sum(lines).as_py() or 0)
            rows, following = _row_numbers(following, raw.num_rows, ragged)
            yield pa.record_batch([*columns, lines, fault, pa.array(rows)], schema=schema)
        stream.read += sum(ragged[1::2])

    stream = Stream(schema, batches(), ragged=ragged)
    return stream


def _row_numbers(following: int, count: int, ragged: array[int]) -> tuple[np.ndarray, int]:
    """Numbers of the next `count` rows of the file, past those that the parser left out, and what follows."""
    left_out = np.sort(np.array(ragged[::2], dtype=np.int64))
    left_out = left_out[np.searchsorted(left_out, following) :]
    end = following + count
    while (needed := following + count + int(np.searchsorted(left_out, end))) != end:
        end = needed
    numbers = np.arange(following, end, dtype=np.int64)
    skipped = left_out[: np.searchsorted(left_out, end)]
    return np.delete(numbers, skipped - following), end


def batch_schema(columns: Mapping[str, pa.DataType]) -> pa.Schema:
    """Schema of the batches of a stream with these columns."""
    return pa.schema([*columns.items(), (LINES, pa.int32()), (FAULT, pa.string()), (ROW, pa.int64())])


def _parse_options(path: Path, source: TableSource, refuse: Callable[[Any], str]) -> Any:
    delimiter = source.delimiter or ("\t" if _suffix(path) in (".tsv", ".txt") else ",")
    return pcsv.ParseOptions(
        delimiter=delimiter,
        quote_char='"' if source.quoted else False,
        newlines_in_values=source.quoted,
        invalid_row_handler=refuse,
    )


def _opened_csv(
    path: Path,
    encoding: str,
    mark: int,
    parse: Any,
    column_types: Mapping[str, pa.DataType] | None,
) -> Any:
    try:
        content = pa.input_stream(str(path), compression="detect")
        content.read(mark)
        return pcsv.open_csv(
            content,
            read_options=pcsv.ReadOptions(block_size=BLOCK_BYTES, encoding=encoding, use_threads=False),
            parse_options=parse,
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


def first_line(path: Path) -> str:
    """The first line of a text file, compressed or not, without the mark of its encoding.

    Raises
    ------
    InputError
        The file cannot be read, or its first line is longer than 64 KB.
    """
    try:
        with pa.input_stream(str(path), compression="detect") as content:
            start = content.read(1 << 16)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from None
    encoding = "utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    lines = start.decode(encoding, "replace").splitlines()
    if not lines:
        raise InputError("the file is empty", where=path, expected="a line of column names")
    if len(lines) == 1 and len(start) == 1 << 16:
        raise InputError("no line of column names", where=path, expected="a text table")
    return str(lines[0])


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
    schema = batch_schema(kinds)

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            for raw in opened.iter_batches(BATCH_ROWS, columns=list(chosen.values())):
                columns = [raw.column(theirs).cast(kinds[ours]) for ours, theirs in chosen.items()]
                columns, _, fault = judged(columns)
                lines = pa.repeat(pa.scalar(1, pa.int32()), raw.num_rows)
                rows = pa.array(np.arange(stream.read + 1, stream.read + raw.num_rows + 1))
                stream.read += raw.num_rows
                yield pa.record_batch([*columns, lines, fault, rows], schema=schema)
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

COMPRESSIONS = (".gz", ".bz2", ".zst")

READERS: Mapping[str, Callable[[Path, TableSource, TableSpec], Stream]] = {
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".txt": _read_csv,
    ".parquet": _read_parquet,
}
