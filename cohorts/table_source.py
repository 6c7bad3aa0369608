"""What a study says about the files of one table: where they lie and how they name and write things."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cohorts.errors import InputError
from cohorts.streams import BATCH, FAULT, LINES, ROW, Stream, quoted
from cohorts.tables import TableSpec

COMPRESSIONS = (".gz", ".bz2", ".zst")
TEXTS = (".csv", ".tsv", ".txt")
SUFFIXES = (*TEXTS, ".parquet")


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
    key
        Of a server's table: columns that no two rows share, by which rows are put in order, so that the number
        of a refused row is the same whenever it is read. Without it the order is the server's.
    watermark
        Of a server's table: a column that grows with every change, such as the time of loading. The state of the
        table is then told by its greatest value and the count of rows, and not by hashing every row.

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
    key: tuple[str, ...] = ()
    watermark: str | None = None


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
            matching = sorted(p for p in path.rglob("*") if p.is_file() and suffix_of(p) in SUFFIXES)
        elif any(sign in path.name for sign in "*?["):
            matching = sorted(p for p in path.parent.glob(path.name) if p.is_file())
        else:
            matching = []
        if not matching:
            raise InputError("no such file", where=path, fix="check the path in the study file")
        found += matching
    return list(dict.fromkeys(found))


def suffix_of(path: Path) -> str:
    """What kind of file a name says it is, compressed or not."""
    compressed = path.suffix.lower() in COMPRESSIONS
    return (Path(path.stem).suffix if compressed else path.suffix).lower()


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
