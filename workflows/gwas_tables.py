"""Read phenotype, covariate and ID files as PLINK 2 and REGENIE write them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cohorts.errors import InputError, unreadable
from gwas.genotypes import Genotypes
from gwas.kernels.text import TextColumn, floats_of_text, split_lines, text_of_strings
from gwas.person_table import PersonTable

MISSING_TOKENS: Final = frozenset({"na", "nan", "-nan", "none", ".", "n/a", "-9"})
"""What stands for a missing value, in any case; -9 too, as PLINK 2 reads it in phenotypes and covariates."""

_ID_NAMES: Final = frozenset({"#FID", "FID", "#IID", "IID"})


def read_person_table(path: Path, genotypes: Genotypes, *, columns: Sequence[str] | None) -> PersonTable:
    """Read a phenotype or covariate file and match it to the genotypes' samples.

    Parameters
    ----------
    path
        Whitespace-separated text with a header ``FID IID …``, ``#FID IID …``, ``#IID …`` or ``IID …``; a file
        without header (``FID IID value …``) has columns PHENO1, PHENO2, …
    genotypes
        Whose samples are wanted.
    columns
        Names and ranges to take (``QT1-QT10``, ``PC{1:10}``); None for all.

    Returns
    -------
    PersonTable
        Rows whose IID is a sample's (and whose FID is, where the file has it): numbers, or text where no value
        is a number.

    Raises
    ------
    InputError
        With file and line: unreadable, ragged, repeated IDs, unknown column, a column that mixes numbers and
        text, or IDs of which none match.
    """
    header, numbers, cells = _read_cells(path)
    ids = _id_columns(header)
    names = header[ids:]
    if not names:
        raise InputError("has no columns beside the IDs", where=path, expected="at least one more column")
    chosen = names if columns is None else expand_names(columns, names, where=path)
    iids, fids = cells(ids - 1), cells(0) if ids == 2 else None
    known, families = genotypes.sample_text("iid"), genotypes.sample_text("fid")
    if iids.same_as(known) and (fids is None or fids.same_as(families)):
        rows = None
    else:
        people = iids.strings()
        _refuse_repeats(people, numbers, path)
        match = _matches(people, None if fids is None else fids.strings(), genotypes, path)
        rows = np.flatnonzero(match)
        iids, numbers = iids.take(rows), numbers[rows]
    found = {}
    for name in chosen:
        column = cells(header.index(name))
        found[name] = _column(name, column if rows is None else column.take(rows), numbers, path)
    return PersonTable(iids.strings(), found)


def expand_names(wanted: Sequence[str], available: Sequence[str], *, where: object) -> list[str]:
    """Resolve names, ranges by position in the file (``QT1-QT10``) and REGENIE's ``PC{1:10}``.

    Examples
    --------
    >>> expand_names(["B-D", "A"], ["A", "B", "C", "D"], where="x")
    ['B', 'C', 'D', 'A']
    >>> expand_names(["PC{1:2}"], ["PC1", "PC2"], where="x")
    ['PC1', 'PC2']
    """
    out: list[str] = []
    for item in wanted:
        braces = re.fullmatch(r"(.*)\{(\d+):(\d+)\}(.*)", item)
        if item in available:
            found = [item]
        elif braces:
            head, first, last, tail = braces.groups()
            found = [f"{head}{i}{tail}" for i in range(int(first), int(last) + 1)]
        else:
            found = _range(item, available) or [item]
        unknown = [name for name in found if name not in available]
        if unknown or not found:
            shown = ", ".join(available[:12]) + (", …" if len(available) > 12 else "")
            raise InputError(
                f"no column named {', '.join(unknown[:3]) or item}",
                where=where,
                found=f"columns {shown}",
                fix="check the name",
            )
        out += [name for name in found if name not in out]
    return out


def _range(item: str, available: Sequence[str]) -> list[str]:
    for dash in re.finditer("-", item):
        first, last = item[: dash.start()], item[dash.end() :]
        if first in available and last in available:
            start, stop = available.index(first), available.index(last)
            if start <= stop:
                return list(available[start : stop + 1])
    return []


def read_sample_list(path: Path, genotypes: Genotypes) -> tuple[np.ndarray, list[int]]:
    """Read a list of samples (``FID IID`` or ``IID`` a line, with or without header).

    Returns
    -------
    (bool mask over the samples, line numbers of entries that match no sample)
    """
    fids, iids = genotypes.sample_text("fid").strings(), genotypes.sample_text("iid").strings()
    pairs = {pair: i for i, pair in enumerate(zip(fids, iids, strict=True))}
    by_iid = {iid: i for i, iid in enumerate(iids)}
    mask, unknown, iid_first = np.zeros(len(iids), dtype=bool), [], False
    for number, fields in _lines(path):
        if number == 1 and fields[0].upper() in {"#FID", "FID", "#IID", "IID"}:
            iid_first = fields[0].upper().endswith("IID")
            continue
        if iid_first or len(fields) == 1:
            at = by_iid.get(fields[0])
        else:
            at = pairs.get((fields[0], fields[1]))
        if at is None:
            unknown.append(number)
        else:
            mask[at] = True
    return mask, unknown


def read_variant_list(path: Path) -> dict[str, int]:
    """Read variant IDs separated by white space: each with the line that it is first in."""
    found: dict[str, int] = {}
    for number, fields in _lines(path):
        for name in fields:
            found.setdefault(name, number)
    return found


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error


def read_places(path: Path, *, first: int) -> list[tuple[str, int, int]]:
    """Read stretches of chromosomes, ``CHROM START END`` a line: first and last position, from 1.

    ``first`` is what the file calls the first base: 1, or 0 where, as in a UCSC BED, END is not of the stretch.

    Raises
    ------
    InputError
        Unreadable, or a line is none of it.
    """
    from gwas.genotypes.chromosomes import canonical_chromosome

    found = []
    for number, fields in _lines(path):
        if fields[0].startswith("#"):
            continue
        numbers = [int(text) if text.isdigit() else -1 for text in fields[1:3]]
        if len(numbers) < 2 or min(numbers) < first or numbers[0] + (1 - first) > numbers[1]:
            raise InputError(
                "a line is not a stretch of a chromosome",
                where=f"{path}:{number}",
                expected=f"chromosome, first and last position from {first}",
                fix="correct the line",
            )
        found.append((canonical_chromosome(fields[0]), numbers[0] + 1 - first, numbers[1]))
    return found


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    try:
        text = _bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            "is not text in UTF-8", where=path, fix="check that this is the right file"
        ) from error
    found = [(i, line.split()) for i, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if not found:
        raise InputError("is empty", where=path, fix="check that this is the right file")
    return found


Cells = Callable[[int], TextColumn]


def _read_cells(path: Path) -> tuple[list[str], npt.NDArray[np.int64], Cells]:
    """Header, the line number of each row, and the cells of a column by its place."""
    return _read_regular(path) or _read_any(path)


def _read_regular(path: Path) -> tuple[list[str], npt.NDArray[np.int64], Cells] | None:
    """As :func:`_read_cells`, for a file with header in which every line has as many fields; None for others."""
    first, _, body = _bytes(path).partition(b"\n")
    header = first.decode("ascii", errors="replace").split()
    known = bool(header) and header[0].upper() in _ID_NAMES and "\ufffd" not in "".join(header)
    if not known or len(set(header)) < len(header) or not body:
        return None
    columns = split_lines(body, len(header))
    if columns is None:
        return None
    try:
        body.decode()
    except UnicodeDecodeError:
        return None
    return header, np.arange(2, 2 + len(columns[0].start)), lambda k: columns[k]


def _read_any(path: Path) -> tuple[list[str], npt.NDArray[np.int64], Cells]:
    lines = _lines(path)
    first = lines[0][1]
    if first[0].upper() in _ID_NAMES:
        header, lines = first, lines[1:]
    elif len(first) >= 3 and all(_is_value(token) for token in first[2:]):
        header = ["FID", "IID", *(f"PHENO{i}" for i in range(1, len(first) - 1))]
    else:
        raise InputError(
            "has no header that can be understood",
            where=f"{path}:1",
            found="fields between commas" if "," in first[0] else f"{len(first)} fields",
            expected="FID IID … or #IID …, between tabs or blanks",
            fix="put tabs for the commas" if "," in first[0] else "add a header line",
        )
    repeated = {name for name in header if header.count(name) > 1}
    if repeated:
        raise InputError(f"column {sorted(repeated)[0]} occurs twice", where=f"{path}:1", fix="rename one")
    for number, fields in lines:
        if len(fields) != len(header):
            raise InputError(
                "a line has the wrong number of fields",
                where=f"{path}:{number}",
                found=f"{len(fields)}",
                expected=f"{len(header)} as in the header",
                fix="correct the line; write missing values as NA",
            )
    numbers = np.array([number for number, _ in lines], dtype=np.int64)
    return header, numbers, lambda k: text_of_strings([fields[k] for _, fields in lines])


def _is_value(token: str) -> bool:
    return token.lower() in MISSING_TOKENS or _number(token) is not None


def _number(token: str) -> float | None:
    # Python reads 1_000 as a number; nobody else does
    if "_" in token:
        return None
    try:
        return float(token)
    except ValueError:
        return None


def _id_columns(header: list[str]) -> int:
    """How many leading columns are IDs; the last of them is the IID."""
    if header[0].upper().lstrip("#") == "IID":
        return 1
    return 2 if len(header) > 1 and header[1].upper() == "IID" else 1


def _refuse_repeats(iids: list[str], numbers: npt.NDArray[np.int64], path: Path) -> None:
    if len(set(iids)) == len(iids):
        return
    first_of: dict[str, int] = {}
    first = next(row for row, iid in enumerate(iids) if first_of.setdefault(iid, row) != row)
    raise InputError(
        "a sample ID occurs twice",
        where=f"{path}:{numbers[first]}",
        found=f"{len(iids) - len(set(iids))} repeated",
        expected="each IID once",
        fix="remove the duplicates",
    )


def _matches(
    iids: list[str], fids: list[str] | None, genotypes: Genotypes, path: Path
) -> npt.NDArray[np.bool_]:
    known, families = genotypes.sample_text("iid").strings(), genotypes.sample_text("fid").strings()
    wanted = set(known)
    same_iid = np.array([iid in wanted for iid in iids], dtype=bool)
    match = same_iid
    if fids is not None:
        fid_of = dict(zip(known, families, strict=True))
        match = np.array([fid_of.get(iid) == fid for iid, fid in zip(iids, fids, strict=True)], dtype=bool)
    if not match.any():
        why = "the IIDs match but the FIDs do not" if same_iid.any() else "no ID in both"
        raise InputError(
            f"no sample of the genotypes is in it: {why}",
            where=path,
            found=f"{len(iids)} rows, {len(known)} genotyped samples",
            expected=f"the {'FID and IID' if fids is not None else 'IIDs'} of the genotypes",
            fix="check the ID columns; where the genotypes are BGEN, give the .sample file too",
        )
    return match


def _column(name: str, cells: TextColumn, lines: npt.NDArray[np.int64], path: Path) -> npt.NDArray[Any]:
    """Numbers, NaN where missing; or text, None where missing, where no cell is a number."""
    values, unread = floats_of_text(cells)
    text: list[int] = []
    missing: list[int] = []
    rows = np.flatnonzero(unread)
    for row, word in zip(rows.tolist(), cells.take(rows).strings(), strict=True):
        number = None if word.lower() in MISSING_TOKENS else _number(word)
        values[row] = np.nan if number is None else number
        if number is None:
            (missing if word.lower() in MISSING_TOKENS else text).append(row)
    if not text:
        values[values == -9] = np.nan
        return values
    missing += np.flatnonzero(values == -9).tolist()
    if len(text) + len(missing) == len(values):
        words = np.array(cells.strings(), dtype=object)
        words[missing] = None
        return words
    raise InputError(
        f"column {name} mixes numbers and text",
        where=f"{path}:{lines[text[0]]}",
        found=f"{len(text)} values that are not numbers",
        expected="numbers, or text in every row (categories), NA where missing",
        fix="correct the column",
    )
