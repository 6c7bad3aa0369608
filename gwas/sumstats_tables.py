"""Rows of a summary-statistics file as text columns, in blocks: delimited text (plain, gzip, Zstandard), Parquet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as parquet

from cohorts.errors import InputError, unreadable

_MAGIC: Final = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_LONGEST_HEAD: Final = 1 << 22


@dataclass(frozen=True)
class TextTable:
    """A table to be read.

    Attributes
    ----------
    path
        The file.
    header
        Names of its columns, in order.
    delimiter
        Between fields; '' for runs of blanks, None for Parquet.
    skip
        Lines up to and with the header.
    """

    path: Path
    header: tuple[str, ...]
    delimiter: str | None
    skip: int

    def blocks(self, columns: Sequence[str], *, block_bytes: int = 1 << 24) -> Iterator[dict[str, pa.Array]]:
        """Columns as strings, block by block; null where a Parquet file has null.

        Raises
        ------
        InputError
            Damaged, cut short, or with a row that has not as many fields as the header.
        """
        try:
            for batch in self._batches(list(dict.fromkeys(columns)), block_bytes):
                if len(batch):
                    yield {name: batch.column(name) for name in batch.schema.names}
        except (pa.ArrowException, OSError, EOFError, UnicodeDecodeError) as error:
            raise _unreadable(self.path, error) from error

    def _batches(self, columns: list[str], block_bytes: int) -> Iterator[pa.RecordBatch]:
        if self.delimiter is None:
            for part in _parts(self.path):
                for batch in parquet.ParquetFile(part).iter_batches(1 << 18, columns=columns):
                    arrays = [_as_text(batch.column(name)) for name in columns]
                    yield pa.RecordBatch.from_arrays(arrays, columns)
            return
        if self.delimiter == "":
            yield from self._blank_separated(columns)
            return
        options = arrow_csv.ConvertOptions(
            column_types={name: pa.string() for name in self.header},
            include_columns=columns,
            strings_can_be_null=False,
        )
        with (
            _open(self.path) as stream,
            arrow_csv.open_csv(
                stream,
                read_options=arrow_csv.ReadOptions(
                    column_names=list(self.header), skip_rows=self.skip, block_size=block_bytes
                ),
                parse_options=arrow_csv.ParseOptions(
                    delimiter=self.delimiter, quote_char='"' if self.delimiter == "," else False
                ),
                convert_options=options,
            ) as reader,
        ):
            yield from reader

    def _blank_separated(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        import pandas as pd

        try:
            with _open(self.path) as stream:
                for chunk in pd.read_csv(
                    stream,
                    sep=r"\s+",
                    names=list(self.header),
                    skiprows=self.skip,
                    dtype=str,
                    keep_default_na=False,
                    chunksize=100_000,
                    quoting=3,
                ):
                    yield pa.RecordBatch.from_pandas(chunk[columns], preserve_index=False)
        except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
            raise _unreadable(self.path, error) from error


def open_table(path: str | Path) -> TextTable:
    """Look at the first lines of a file.

    Parameters
    ----------
    path
        Text with a header line, after any lines that start with ``##``; fields between tabs, commas or blanks.
        Compression is told by content. Or Parquet, a file or a folder of parts.

    Raises
    ------
    InputError
        Not there, not such a file, or without a header of distinct names.
    """
    path = Path(path)
    try:
        if path.is_dir():
            return TextTable(path, tuple(parquet.read_schema(_parts(path)[0]).names), None, 0)
        with open(path, "rb") as handle:
            magic = handle.read(4)
        if magic == b"PAR1":
            return TextTable(path, tuple(parquet.read_schema(path).names), None, 0)
        with _open(path) as stream:
            lines, skip = _first_lines(stream)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error
    if not lines:
        raise InputError("is empty", where=path, expected="a header line and a row for each variant")
    delimiter = _delimiter(lines)
    header = tuple(
        name.strip().strip('"') for name in (lines[0].split(delimiter) if delimiter else lines[0].split())
    )
    if len(set(header)) < len(header) or len(header) < 3:
        raise InputError(
            "has no header of distinct names",
            where=path,
            found=f"{len(header)} columns, {len(set(header))} names",
            fix="check that this is a table of summary statistics",
        )
    return TextTable(path, header, delimiter, skip + 1)


def trait_folders(path: Path) -> dict[str, Path]:
    """Trait to its folder, of results in Parquet with a folder ``trait=NAME`` each; empty for anything else."""
    return {part.name.partition("=")[2]: part for part in sorted(path.glob("trait=*")) if part.is_dir()}


def _parts(path: Path) -> list[Path]:
    """The Parquet files of a table: itself, or those in the folder."""
    parts = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not parts:
        raise InputError("holds no Parquet file", where=path, expected="a file or folder of results")
    return parts


def _open(path: Path) -> Any:
    raw = pa.OSFile(str(path))
    magic = raw.read(4)
    raw.seek(0)
    for start, codec in _MAGIC.items():
        if magic.startswith(start):
            return pa.CompressedInputStream(raw, codec)
    return raw


def _first_lines(stream: Any) -> tuple[list[str], int]:
    """The header and up to 20 lines after it, and how many lines come before."""
    text = b""
    while len(text) < _LONGEST_HEAD:
        piece = stream.read(1 << 16)
        text += piece
        rows = [line for line in text.split(b"\n") if not line.startswith(b"##")]
        if not piece or len(rows) > 22:
            break
    lines = text.split(b"\n")
    skip = next((k for k, line in enumerate(lines) if not line.startswith(b"##")), len(lines))
    kept = [line.decode("utf-8").rstrip("\r") for line in lines[skip : skip + 21]]
    return [line for line in kept if line.strip()], skip


def _delimiter(lines: list[str]) -> str:
    """Tab, else comma, else one blank where every line splits alike, else runs of blanks ('')."""
    for sign in ("\t", ","):
        if sign in lines[0]:
            return sign
    return " " if len({line.count(" ") for line in lines[:20]}) == 1 and "  " not in lines[0] else ""


def _as_text(array: pa.Array) -> pa.Array:
    """A Parquet column as text that reads back as the same number."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    return array.cast(pa.string())


def _unreadable(path: Path, error: Exception) -> InputError:
    if isinstance(error, FileNotFoundError | PermissionError):
        return unreadable(path, error)
    said = str(error).splitlines()[0] if str(error) else type(error).__name__
    # Arrow quotes the row at fault; its values do not belong in a message.
    return InputError(
        "cannot be read as a table",
        where=path,
        found=said.split(": ")[0]
        if "Expected" not in said
        else said.split(":")[-2 if " got " in said else 0],
        expected="a header line and as many fields in every row",
        fix="check that the file is complete",
    )
