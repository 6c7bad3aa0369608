"""Columns of text as bytes, and tables of them: what reading and writing large tables needs, without strings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from gwas.kernels.machine_code import MachineCode

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]

_CELLS: Final = ("uint8:1", "int64:1", "int64:1")
_WRITE_INTEGERS: Final = MachineCode("text_loops", "write_integers", "int64:1", "uint8:2", "int64:1")
_WRITE_FLOATS: Final = MachineCode(
    "text_loops", "write_floats", "float64:1", "int64", "uint8:1", "uint8:2", "int64:1"
)
_WRITE_LINES: Final = MachineCode(
    "text_loops",
    "write_lines",
    *_CELLS,
    *("float64:3", "int64:1", "int64:1"),
    *_CELLS,
    *("uint8:2", "int64", "uint8:1", "uint8:2", "int64:1"),
)
_PLACE: Final = MachineCode("text_loops", "place", *_CELLS, "int64:1", "int64", "uint8:1")
_SPLIT: Final = MachineCode("text_loops", "split_lines", "uint8:1", "int64:2", "int64:2", "int64:1")
_RUN_STARTS: Final = MachineCode("text_loops", "run_starts", *_CELLS, "uint8:1")
_READ_FLOATS: Final = MachineCode("text_loops", "read_floats", *_CELLS, "float64:1", "uint8:1")
_READ_INTEGERS: Final = MachineCode("text_loops", "read_integers", *_CELLS, "int64:1", "int64:1")


class TextColumn(NamedTuple):
    """Cells as stretches of UTF-8 bytes: ``text`` uint8, and ``start`` and ``length`` int64 (n,)."""

    text: Bytes
    start: I64
    length: I64

    def take(self, rows: I64) -> TextColumn:
        """The cells of some rows, of the same bytes."""
        return TextColumn(self.text, self.start[rows], self.length[rows])

    def strings(self) -> list[str]:
        """Every cell as a string.

        Examples
        --------
        >>> text_of_strings(["a", "", "é"]).strings()
        ['a', '', 'é']
        """
        held = self.text.tobytes()
        spans = zip(self.start.tolist(), (self.start + self.length).tolist(), strict=True)
        if held.isascii():
            line = held.decode("ascii")
            return [line[first:last] for first, last in spans]
        return [held[first:last].decode() for first, last in spans]

    def same_as(self, other: TextColumn) -> bool:
        """Whether both say the same in every row."""
        return bool(np.array_equal(self.length, other.length)) and joined_lines([self]) == joined_lines(
            [other]
        )

    def equals(self, word: str) -> npt.NDArray[np.bool_]:
        """Which cells are this one ASCII character, bool (n,)."""
        same: npt.NDArray[np.bool_] = self.length == 1
        same[same] = self.text[self.start[same]] == ord(word)
        return same

    def runs(self) -> tuple[list[str], I64]:
        """Stretches of equal cells: what each says, and how long it is, int64."""
        new = np.empty(len(self.start), dtype=np.uint8)
        _RUN_STARTS(*self, new)
        first = np.flatnonzero(new)
        return self.take(first).strings(), np.diff(first, append=len(new))


def text_of_strings(values: Sequence[str]) -> TextColumn:
    """Strings as one run of bytes."""
    joined = "".join(values)
    if joined.isascii():
        length = np.fromiter(map(len, values), dtype=np.int64, count=len(values))
    else:
        length = np.array([len(value.encode()) for value in values], dtype=np.int64)
    text = np.frombuffer(joined.encode(), dtype=np.uint8)
    return TextColumn(text, np.cumsum(length) - length, length)


def text_of_integers(values: I64) -> TextColumn:
    """Whole numbers as decimal digits.

    Examples
    --------
    >>> text_of_integers(np.array([0, -12, 1_000_000])).strings()
    ['0', '-12', '1000000']
    """
    cells = np.empty((len(values), 20), dtype=np.uint8)
    length = np.empty(len(values), dtype=np.int64)
    _WRITE_INTEGERS(np.ascontiguousarray(values), cells, length)
    return _with_exceptions(cells, length, values.tolist, str)


def text_of_floats(values: F64, *, digits: int = 9) -> TextColumn:
    """Numbers with up to nine significant digits as C's ``%.9g`` writes them; ``NA`` for nan.

    Examples
    --------
    >>> text_of_floats(np.array([1 / 3, 2.0, 1e-7, np.nan])).strings()
    ['0.333333333', '2', '1e-07', 'NA']
    """
    cells = np.empty((len(values), 16), dtype=np.uint8)
    length = np.empty(len(values), dtype=np.int64)
    _WRITE_FLOATS(np.ascontiguousarray(values), digits, np.empty(9, dtype=np.uint8), cells, length)
    return _with_exceptions(
        cells, length, values.tolist, lambda value: f"{value:.{digits}g}" if value == value else "NA"
    )


def _with_exceptions(
    cells: Bytes, length: I64, values: Callable[[], list[Any]], say: Callable[[Any], str]
) -> TextColumn:
    """Cells of one width, those of negative length said by Python."""
    rows = np.flatnonzero(length < 0)
    if len(rows):
        every = values()
        said = [say(every[row]).encode() for row in rows.tolist()]
        for row, text in zip(rows.tolist(), said, strict=True):
            cells[row, : len(text)] = np.frombuffer(text, dtype=np.uint8)
            length[row] = len(text)
    start = np.arange(len(length), dtype=np.int64) * cells.shape[1]
    return TextColumn(cells.reshape(-1), start, length)


def text_of_choices(choices: Sequence[str], chosen: npt.NDArray[Any]) -> TextColumn:
    """One of a few strings for each row, by whole numbers from 0; nothing is copied.

    Examples
    --------
    >>> text_of_choices(["no", "yes"], np.array([1, 0, 1])).strings()
    ['yes', 'no', 'yes']
    """
    text, start, length = text_of_strings(choices)
    return TextColumn(text, start[chosen], length[chosen])


def joined_lines(columns: Sequence[TextColumn], *, between: str = "\t") -> bytes:
    """Lines of cells separated by one character, each ended by a newline.

    Examples
    --------
    >>> joined_lines([text_of_strings(["a", "b"]), text_of_integers(np.array([1, 2]))])
    b'a\\t1\\nb\\t2\\n'
    """
    width = sum((column.length for column in columns), np.full(len(columns[0].length), len(columns)))
    at = np.cumsum(width) - width
    out = np.empty(int(width.sum()), dtype=np.uint8)
    for k, column in enumerate(columns):
        after = ord("\n") if k == len(columns) - 1 else ord(between)
        _PLACE(column.text, column.start, column.length, at, after, out)
    return out.tobytes()


def lines_of_numbers(
    start: TextColumn,
    values: npt.NDArray[np.float64],
    numbers: Sequence[tuple[int, int]],
    endings: TextColumn,
    chosen: npt.NDArray[np.uint8],
    *,
    between: str = "\t",
) -> list[bytes | None]:
    """Tables of lines of a cell, numbers and a last cell, each in one go.

    Parameters
    ----------
    start
        First cells (n,) of every table.
    values
        float64 (tables, columns, n).
    numbers
        What is written: a column of `values`, and the significant digits as in :func:`text_of_floats`; negative digits
        say that the column holds -log10 of what is to be written.
    endings, chosen
        A few last cells, and uint8 (tables, n): which of them.

    Returns
    -------
    list of bytes or None
        None for a table where one number needs more care, as some in a million do: then cells are made column by
        column.

    Examples
    --------
    >>> first, last = text_of_strings(["a", "b"]), text_of_strings([".", "?"])
    >>> values, chosen = np.array([[[0.25, np.nan], [2.0, 0.0]]]), np.array([[0, 1]], dtype=np.uint8)
    >>> lines_of_numbers(first, values, [(0, 9), (1, -6)], last, chosen, between=" ")
    [b'a 0.25 0.01 .\\nb NA 1 ?\\n']
    """
    tables, _, n = values.shape
    room = int(start.length.sum()) + n * (int(endings.length.max()) + 2 + 17 * len(numbers)) + 16
    out, end = np.empty((tables, room), dtype=np.uint8), np.empty(tables, dtype=np.int64)
    _WRITE_LINES(
        *start,
        np.ascontiguousarray(values),
        np.array([column for column, _ in numbers], dtype=np.int64),
        np.array([digits for _, digits in numbers], dtype=np.int64),
        *endings,
        np.ascontiguousarray(chosen),
        ord(between),
        np.empty(9, dtype=np.uint8),
        out,
        end,
    )
    return [None if at < 0 else row[:at].tobytes() for row, at in zip(out, end.tolist(), strict=True)]


def split_lines(data: bytes, fields: int) -> list[TextColumn] | None:
    """Split lines into as many columns, at spaces and tabs.

    Returns
    -------
    list of TextColumn, or None
        None where a line has another number of fields or is blank, or where there is a control character.

    Examples
    --------
    >>> [column.strings() for column in split_lines(b"a b\\nc\\td\\n", 2)]
    [['a', 'c'], ['b', 'd']]
    >>> split_lines(b"a b\\nc\\n", 2) is None
    True
    """
    text = np.frombuffer(data, dtype=np.uint8)
    lines = data.count(b"\n") + (not data.endswith(b"\n"))
    start, length = np.empty((2, lines, fields), dtype=np.int64)
    found = np.empty(1, dtype=np.int64)
    _SPLIT(text, start, length, found)
    if found[0] != lines:
        return None
    return [
        TextColumn(text, np.ascontiguousarray(start[:, k]), np.ascontiguousarray(length[:, k]))
        for k in range(fields)
    ]


def integers_of_text(column: TextColumn) -> I64 | None:
    """Read whole numbers, int64 (n,); None where a cell is anything but up to fifteen digits and a sign."""
    out, bad = np.empty(len(column.start), dtype=np.int64), np.empty(1, dtype=np.int64)
    _READ_INTEGERS(*column, out, bad)
    return None if bad[0] else out


def floats_of_text(column: TextColumn) -> tuple[F64, npt.NDArray[np.bool_]]:
    """Read numbers.

    Returns
    -------
    values : ndarray of float64 (n,)
        The nearest to what each cell says.
    unread : ndarray of bool (n,)
        Cells left to the caller: what is no number, and the few of so many digits, or so large or small, that the
        nearest float64 takes more care.

    Examples
    --------
    >>> values, unread = floats_of_text(text_of_strings(["-0.1", "3e8", "NA", "1e300"]))
    >>> values[~unread].tolist(), unread.tolist()
    ([-0.1, 300000000.0], [False, False, True, True])
    """
    out, unread = np.empty(len(column.start)), np.empty(len(column.start), dtype=np.uint8)
    _READ_FLOATS(*column, out, unread)
    return out, unread.astype(bool)
