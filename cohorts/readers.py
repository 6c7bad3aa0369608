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
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from cohorts.errors import InputError
from cohorts.streams import (
    NOT_TEXT,
    Stream,
    batch_schema,
    judged,
)
from cohorts.table_source import (
    TableSource,
    apply_declared,
    check_declared,
    choose_columns,
    found_files,
    suffix_of,
)
from cohorts.tables import TableSpec

BLOCK_BYTES = 1 << 24
BATCH_ROWS = 1 << 17


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


def _open_file(path: Path, source: TableSource, spec: TableSpec) -> Stream:
    reader = READERS.get(suffix_of(path))
    if reader is None:
        raise InputError(
            "kind of file not known",
            where=path,
            found=suffix_of(path) or "no ending",
            expected=", ".join(READERS),
        )
    check_declared(source, spec, path)
    return reader(path, source, spec)


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


def _parse_options(path: Path, source: TableSource, refuse: Callable[[Any], str]) -> Any:
    delimiter = source.delimiter or ("\t" if suffix_of(path) in (".tsv", ".txt") else ",")
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

READERS: Mapping[str, Callable[[Path, TableSource, TableSpec], Stream]] = {
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".txt": _read_csv,
    ".parquet": _read_parquet,
}
