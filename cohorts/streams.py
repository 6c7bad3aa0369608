"""Rows of a provider on their way in: streams of Arrow batches, and what no cell of any table may hold."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

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


def batch_schema(columns: Mapping[str, pa.DataType]) -> pa.Schema:
    """Schema of the batches of a stream with these columns."""
    return pa.schema([*columns.items(), (LINES, pa.int32()), (FAULT, pa.string()), (ROW, pa.int64())])


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


def quoted(text: str) -> str:
    """A text as SQL."""
    return "'" + text.replace("'", "''") + "'"
