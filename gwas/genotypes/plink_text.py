"""Text files beside a PGEN: header lines that start with ``#``, then a table; plain or compressed with Zstandard.

Nothing is shortened in silence: a stream that ends early, a line without its end and a row without all fields are
refused, with the line's number.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from cohorts.errors import InputError
from gwas.kernels.text import TextColumn, split_lines, text_of_strings

_CHUNK: Final = 1 << 20
_LONGEST_HEADER: Final = 1 << 26
_WHOLE: Final = 1 << 28
"""Bytes of a table that are split at once; a longer one, or one that needs more care, goes through pandas."""


class _ZstdStream(io.RawIOBase):
    """Decompressed bytes of a Zstandard file; one that is damaged or cut short is refused, not shortened."""

    def __init__(self, path: Path) -> None:
        import zstandard

        self._path = path
        self._handle = open(path, "rb")  # noqa: SIM115
        self._fault: type[Exception] = zstandard.ZstdError
        self._new = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj
        self._frame = self._new()
        self._begun = False
        self._left = b""
        self.problem: InputError | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            raw = self._handle.read(_CHUNK // 16)
            if not raw:
                if self._begun:
                    raise self._refuse("is truncated", "its compressed text ends in the middle")
                return 0
            self._left = self._decompress(raw)
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    def _decompress(self, raw: bytes) -> bytes:
        parts = []
        try:
            while raw:
                self._begun = True
                parts.append(self._frame.decompress(raw))
                raw = b""
                if self._frame.eof:
                    raw = self._frame.unused_data
                    self._frame, self._begun = self._new(), False
        except (self._fault, MemoryError) as error:
            raise self._refuse("cannot be decompressed", "damaged Zstandard data") from error
        return b"".join(parts)

    def _refuse(self, problem: str, found: str) -> InputError:
        self.problem = InputError(problem, where=self._path, found=found, fix="copy the file again")
        return self.problem

    def close(self) -> None:
        self._handle.close()
        super().close()


def open_text(path: Path) -> IO[bytes]:
    """Open a file, decompressing one that ends in ``.zst``."""
    if path.name.endswith(".zst"):
        return io.BufferedReader(_ZstdStream(path), _CHUNK)
    return open(path, "rb")


@dataclass(frozen=True)
class Head:
    """Header lines of a text file."""

    lines: list[str]
    body: bytes
    """First line after the header."""


def read_head(path: Path, handle: IO[bytes]) -> Head:
    """Read the lines that start with ``#``."""
    lines: list[str] = []
    taken = 0
    while True:
        line = handle.readline(_LONGEST_HEADER)
        taken += len(line)
        if not line.startswith(b"#"):
            return Head(lines, line)
        if taken >= _LONGEST_HEADER:
            raise InputError("has a header without end", where=path, fix="check that this is the right file")
        try:
            lines.append(line.decode("utf-8").rstrip("\r\n"))
        except UnicodeDecodeError as error:
            raise InputError(
                "is not text in UTF-8",
                where=f"{path}:{len(lines) + 1}",
                fix="check that this is the right file",
            ) from error


class _Rest(io.RawIOBase):
    """A stream whose first line has been read already; remembers how it ended."""

    def __init__(self, first: bytes, handle: IO[bytes]) -> None:
        self._first, self._handle = memoryview(first), handle
        self.last = b""
        self.binary = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        raw, self._first = bytes(self._first[: len(buffer)]), self._first[len(buffer) :]
        raw = raw or self._handle.read(len(buffer))
        buffer[: len(raw)] = raw
        self.last = raw[-1:] or self.last
        self.binary |= b"\0" in raw
        return len(raw)

    @property
    def problem(self) -> InputError | None:
        """What a compressed stream found wrong, where pandas says something else of it."""
        return getattr(getattr(self._handle, "raw", None), "problem", None)


def read_columns(
    path: Path, handle: IO[bytes], head: Head, columns: Sequence[str], wanted: Sequence[str]
) -> dict[str, TextColumn]:
    """Read the wanted columns as text; the row number is the line number less the header's lines."""
    if not head.body:
        raise InputError(
            "has no lines after its header",
            where=path,
            expected="a table",
            fix="check that the file is complete",
        )
    data = head.body + handle.read(_WHOLE)
    found = _split(data, columns) if len(data) < _WHOLE else None
    if found is None:
        return _read_slowly(path, _Rest(data, handle), head, columns, wanted)
    return {name: found[columns.index(name)] for name in wanted}


def _split(data: bytes, columns: Sequence[str]) -> list[TextColumn] | None:
    """Columns of a table without anything odd: every line of as many fields, parted by tabs or by spaces."""
    first = data[: data.index(b"\n")] if data.endswith(b"\n") else b""
    if len(first.split()) < len(columns) or (b"\t" in first and b" " in data):
        return None
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return split_lines(data, len(first.split()))


def _read_slowly(
    path: Path, rest: _Rest, head: Head, columns: Sequence[str], wanted: Sequence[str]
) -> dict[str, TextColumn]:
    """Read a table that is large or odd, and say what is wrong with it."""
    import pandas as pd

    tabbed = b"\t" in head.body
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table = pd.read_csv(
                io.BufferedReader(rest, _CHUNK),
                sep="\t" if tabbed else r"\s+",
                header=None,
                names=list(columns),
                usecols=list(wanted),
                index_col=False,
                dtype=str,
                na_filter=False,
                quoting=3,
                skip_blank_lines=False,
                encoding="utf-8",
            )
    except (pd.errors.ParserError, pd.errors.ParserWarning, pd.errors.EmptyDataError, ValueError) as error:
        if rest.problem is not None:
            raise rest.problem from error
        raise InputError(
            "cannot be read as a table of text",
            where=path,
            expected=f"columns {' '.join(columns)}",
            fix="check that the file is complete and of this format",
        ) from error
    if rest.binary:
        raise InputError("holds bytes that are not text", where=path, fix="copy the file again")
    if rest.last != b"\n":
        raise InputError(
            "ends in the middle of a line",
            where=path,
            expected="a newline at the end of its last line",
            fix="copy the file again, or end its last line if it is whole",
        )
    empty = np.zeros(len(table), dtype=bool)
    for name in wanted:
        empty |= (table[name].isna() | (table[name] == "")).to_numpy()
    if empty.any():
        row = int(np.flatnonzero(empty)[0])
        raise InputError(
            "a line has too few fields",
            where=f"{path}:{len(head.lines) + row + 1}",
            expected=f"{len(columns)} fields ({' '.join(columns)})",
            fix="correct the line",
        )
    return {name: text_of_strings(table[name].tolist()) for name in wanted}


def column_names(path: Path, line: str, first: Sequence[str]) -> list[str]:
    """Names in the header's last line, of which one of `first` must be the first."""
    names = line.removeprefix("#").split()
    if not names or names[0] not in first:
        raise InputError(
            "the line before the table does not name its columns",
            where=path,
            expected=" or ".join(f"#{name} ..." for name in first),
            fix="check that this is the right file",
        )
    if len(set(names)) != len(names):
        raise InputError("names a column twice", where=path, fix="correct the line that names the columns")
    return names


def need_columns(path: Path, columns: Sequence[str], needed: Sequence[str]) -> None:
    """Refuse a table that lacks a column."""
    missing = [name for name in needed if name not in columns]
    if missing:
        raise InputError(
            "lacks a column", where=path, found="no " + ", ".join(missing), expected=", ".join(needed)
        )


def unreadable(path: Path, error: OSError) -> InputError:
    """What to say of a file that the system does not give."""
    return InputError("cannot be read", where=path, found=error.strerror, fix="check its permissions")
