"""Reading a code list's file: CSV, or tab-separated as CPRD's code browsers write it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path

from cohorts.errors import InputError

#: Column that says for which edition of ICD-10 a list was written; any of its lines may say it for all.
EDITION = "icd10_edition"


def said_edition(
    lines: Iterable[tuple[int, Mapping[str, str]]], *, where: object, given: str | None = None
) -> str | None:
    """Edition of ICD-10 that the lines of a file say in the column :data:`EDITION`.

    Parameters
    ----------
    lines
        Number of each line, and its cells by column.
    given
        What a caller says; it stands where no line says anything.

    Raises
    ------
    InputError
        Where two lines, or a line and the caller, name different ones.

    Examples
    --------
    >>> said_edition([(2, {"code": "B59", "icd10_edition": "2016"}), (3, {"code": "A00"})], where="x.csv")
    '2016'
    """
    said = given
    for number, row in lines:
        cell = row.get(EDITION, "")
        if cell and said is not None and cell != said:
            raise InputError(
                "a code list is of one edition of ICD-10",
                where=f"{where}:{number}, {EDITION}",
                found=repr(cell),
                expected=repr(said),
                fix="make a list for each edition, or leave the column out: moved codes are then found as written",
            )
        said = cell or said
    return said


def read_header(path: Path) -> list[str]:
    """Names of the columns of a CSV (or tab-separated) file, in lower case."""
    text = _text(path)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text))
    return [column.strip().lower() for column in next(reader, [])]


def _delimiter(text: str) -> str:
    """Tab where the first line has one and no comma, as CPRD's code browsers write."""
    first = text.partition("\n")[0]
    return "\t" if "\t" in first and "," not in first else ","


def _text(path: Path) -> str:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(
            "code list cannot be read", where=path, found=error.strerror, fix="check the path"
        ) from None
    except UnicodeDecodeError as error:
        raise InputError(
            "code list is not UTF-8 text",
            where=path,
            found=f"byte {error.start}",
            fix="save it as CSV in UTF-8",
        ) from None
    if "\x00" in text:
        raise InputError(
            "code list is not text", where=path, found="a NUL byte", fix="save it as CSV in UTF-8"
        )
    return text


def read_rows(path: Path, required: tuple[str, ...]) -> Iterable[tuple[int, dict[str, str]]]:
    """Yield (line number, row) of a CSV file whose header holds the required columns (any case).

    Raises
    ------
    InputError
        Where the file is missing or not UTF-8, a column is absent, or a line has too few fields.
    """
    text = _text(path)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text))
    header = [column.strip().lower() for column in next(reader, [])]
    missing = [column for column in required if column not in header]
    if missing:
        raise InputError(
            "code list lacks a column",
            where=f"{path}:1",
            found=", ".join(header) or "an empty file",
            expected=", ".join(required),
            fix="give the first line the names of the columns",
        )
    for row in reader:
        if not any(cell.strip() for cell in row):
            continue
        if len(row) < len(header) and any(header.index(c) >= len(row) for c in required):
            raise InputError(
                "line is too short",
                where=f"{path}:{reader.line_num}",
                found=f"{len(row)} fields",
                expected=len(header),
            )
        yield reader.line_num, {name: cell.strip() for name, cell in zip(header, row, strict=False)}
