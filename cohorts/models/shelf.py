"""Where a model finds its tables: files of a folder, or relations of a PostgreSQL server."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from cohorts.errors import InputError
from cohorts.readers import first_line, open_streams
from cohorts.streams import Stream
from cohorts.table_source import COMPRESSIONS, SUFFIXES, TableSource
from cohorts.tables import TableSpec

DELIMITERS = ("\t", ",", ";", "|")


class Shelf(Protocol):
    """A place with named tables."""

    def has(self, table: str) -> bool:
        """Whether there is such a table."""
        ...

    def streams(self, table: str, spec: TableSpec) -> Iterator[Stream]:
        """Streams of the columns of `spec`, under the names of `spec`."""
        ...


@dataclass(frozen=True)
class FolderShelf:
    """Files of a folder, each named after its table: ``person.csv.gz``, ``Person_001.parquet``, ``person/*.csv``.

    Capitals in names of files and columns make no difference. The delimiter is the sign of
    :data:`DELIMITERS` that occurs most in the first line; files delimited by tabs are read without quotes, as
    they are published.

    Attributes
    ----------
    folder
        Where the files are; folders in it are looked into.
    columns
        Table to our column to the file's column, where it is not the same.
    pattern
        Regular expression of a file's name without its endings, whose group ``table`` is the table.
    """

    folder: Path
    columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    pattern: str = r"(?P<table>[a-z_]+?)(_?\d+)?"

    def has(self, table: str) -> bool:
        """Whether the folder has a file of the table."""
        return bool(self._files(table))

    def require(self, tables: Iterable[str], what: str) -> None:
        """Refuse a folder that lacks a table without which nothing can be read.

        Raises
        ------
        InputError
            Naming the folder and the tables.
        """
        if not self.folder.is_dir():
            raise InputError("no such folder", where=self.folder, fix="check the path in the study file")
        lacking = [table for table in tables if not self.has(table)]
        if lacking:
            raise InputError(
                f"this folder is not {what}",
                where=self.folder,
                found=f"no file of {', '.join(lacking)}",
                expected=f"files of {', '.join(tables)}, among others",
            )

    def streams(self, table: str, spec: TableSpec) -> Iterator[Stream]:
        """Streams of the files of a table, in the order of their names."""
        for number, path in enumerate(self._files(table), 1):
            source = file_source(path, spec, self.columns.get(table, {}))
            for stream in open_streams(source, spec, table):
                stream.file = number
                yield stream

    def _files(self, table: str) -> list[Path]:
        if not self.folder.is_dir():
            return []
        found = []
        for path in sorted(self.folder.rglob("*")):
            stem, suffix = _split(path.name)
            match = re.fullmatch(self.pattern, stem, re.IGNORECASE)
            mine = match is not None and match["table"].lower() == table
            inside = path.parent != self.folder and path.parent.name.lower() == table
            if suffix in SUFFIXES and path.is_file() and (mine or inside) and not path.name.startswith("."):
                found.append(path)
        return found


def file_source(path: Path, spec: TableSpec, columns: Mapping[str, str]) -> TableSource:
    """How to read one file whose columns are named as `spec` names them, in whatever capitals.

    Parameters
    ----------
    columns
        Our column to the file's, where it is not the same.
    """
    delimiter, names = _header(path)
    found = {name.lower(): name for name in names}
    wanted = {f.name: columns.get(f.name) or f.name for f in spec.fields}
    chosen = {ours: found.get(theirs.lower(), theirs) for ours, theirs in wanted.items()}
    kept = {n: c for n, c in chosen.items() if c in names or n in columns or not spec.field(n).may_lack}
    return TableSource(path, columns=kept, delimiter=delimiter, quoted=delimiter != "\t")


def _split(name: str) -> tuple[str, str]:
    for ending in COMPRESSIONS:
        name = name[: -len(ending)] if name.lower().endswith(ending) else name
    stem, dot, suffix = name.rpartition(".")
    return (stem, f".{suffix.lower()}") if dot else (name, "")


def _header(path: Path) -> tuple[str | None, list[str]]:
    """Delimiter (None where there is none) and the names of the columns as the file writes them."""
    if _split(path.name)[1] == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            return None, list(pq.read_schema(path).names)
        except (pa.ArrowException, OSError):
            return None, []
    line = first_line(path)
    delimiter = max(DELIMITERS, key=line.count)
    if delimiter == "\t":
        return delimiter, [name.strip() for name in line.split(delimiter)]
    import csv

    return delimiter, [name.strip() for name in next(csv.reader([line], delimiter=delimiter), [])]
