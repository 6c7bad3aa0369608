"""Read phenotype, covariate and ID files as PLINK 2 and REGENIE write them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from cohorts.errors import InputError

MISSING_TOKENS: Final = frozenset({"na", "nan", "-nan", "none", ".", "n/a", "-9"})
"""What stands for a missing value, in any case; -9 too, as PLINK 2 reads it in phenotypes and covariates."""


def read_person_table(path: Path, samples: pd.DataFrame, *, columns: Sequence[str] | None) -> pd.DataFrame:
    """Read a phenotype or covariate file and match it to samples.

    Parameters
    ----------
    path
        Whitespace-separated text with a header ``FID IID …``, ``#FID IID …``, ``#IID …`` or ``IID …``; a file
        without header (``FID IID value …``) has columns PHENO1, PHENO2, …
    samples
        ``fid`` and ``iid`` of the genotypes.
    columns
        Names and ranges to take (``QT1-QT10``, ``PC{1:10}``); None for all.

    Returns
    -------
    DataFrame
        Index: IID of the rows that are in `samples` (by FID too, where the file has it); numeric columns, or
        text where no value is a number.

    Raises
    ------
    InputError
        With file and line: unreadable, ragged, repeated IDs, unknown column, a column that mixes numbers and
        text, or IDs of which none match.
    """
    header, rows = _read_lines(path)
    ids = _id_columns(header)
    names = header[ids:]
    if not names:
        raise InputError("has no columns beside the IDs", where=path, expected="at least one more column")
    chosen = names if columns is None else expand_names(columns, names, where=path)
    table = pd.DataFrame(rows, columns=["_line", *header], dtype=object)
    table = table.set_index(header[ids - 1], drop=False)
    _refuse_repeats(table, header[ids - 1], path)
    table = table[_matches(table, header, ids, samples, path)]
    return pd.DataFrame(
        {name: _column(table[name], table["_line"], path) for name in chosen}, index=table.index
    )


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


def read_sample_list(path: Path, samples: pd.DataFrame) -> tuple[np.ndarray, list[int]]:
    """Read a list of samples (``FID IID`` or ``IID`` a line, with or without header).

    Returns
    -------
    (bool mask over `samples`, line numbers of entries that match no sample)
    """
    pairs = {(fid, iid): i for i, (fid, iid) in enumerate(zip(samples["fid"], samples["iid"], strict=True))}
    by_iid = {iid: i for i, iid in enumerate(samples["iid"])}
    mask, unknown, iid_first = np.zeros(len(samples), dtype=bool), [], False
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


def read_variant_list(path: Path) -> set[str]:
    """Read variant IDs separated by white space."""
    return {name for _, fields in _lines(path) for name in fields}


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            "is not text in UTF-8", where=path, fix="check that this is the right file"
        ) from error
    except OSError as error:
        raise InputError("cannot be read", where=path, found=error.strerror, fix="check the path") from error
    found = [(i, line.split()) for i, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if not found:
        raise InputError("is empty", where=path, fix="check that this is the right file")
    return found


def _read_lines(path: Path) -> tuple[list[str], list[list[object]]]:
    lines = _lines(path)
    first = lines[0][1]
    if first[0].upper() in {"#FID", "FID", "#IID", "IID"}:
        header, lines = first, lines[1:]
    elif len(first) >= 3 and all(_is_value(token) for token in first[2:]):
        header = ["FID", "IID", *(f"PHENO{i}" for i in range(1, len(first) - 1))]
    else:
        raise InputError(
            "has no header that can be understood",
            where=f"{path}:1",
            found=f"{len(first)} fields",
            expected="FID IID … or #IID …",
            fix="add a header line",
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
    return header, [[number, *fields] for number, fields in lines]


def _is_value(token: str) -> bool:
    return token.lower() in MISSING_TOKENS or _number(token) is not None


def _number(token: str) -> float | None:
    try:
        return float(token)
    except ValueError:
        return None


def _id_columns(header: list[str]) -> int:
    """How many leading columns are IDs; the last of them is the IID."""
    if header[0].upper().lstrip("#") == "IID":
        return 1
    return 2 if len(header) > 1 and header[1].upper() == "IID" else 1


def _refuse_repeats(table: pd.DataFrame, iid: str, path: Path) -> None:
    repeated = table[iid].duplicated(keep="first").to_numpy()
    if repeated.any():
        raise InputError(
            "a sample ID occurs twice",
            where=f"{path}:{table['_line'].to_numpy()[repeated][0]}",
            found=f"{int(repeated.sum())} repeated",
            expected="each IID once",
            fix="remove the duplicates",
        )


def _matches(
    table: pd.DataFrame, header: list[str], ids: int, samples: pd.DataFrame, path: Path
) -> np.ndarray:
    same_iid = table.index.isin(samples["iid"])
    match = same_iid
    if ids == 2:
        fid_of = dict(zip(samples["iid"], samples["fid"], strict=True))
        same_fid = np.array(
            [fid_of.get(iid) == fid for iid, fid in zip(table.index, table[header[0]], strict=True)]
        )
        match = same_iid & same_fid
    if not match.any():
        why = "the IIDs match but the FIDs do not" if same_iid.any() else "no ID in both"
        raise InputError(
            f"no sample of the genotypes is in it: {why}",
            where=path,
            found=f"{len(table)} rows, {len(samples)} genotyped samples",
            expected="the FID and IID of the .fam file" if ids == 2 else "the IIDs of the .fam file",
            fix="check the ID columns",
        )
    return match


def _column(values: pd.Series, lines: pd.Series, path: Path) -> pd.Series:
    missing = values.str.lower().isin(MISSING_TOKENS)
    numbers = pd.to_numeric(values.where(~missing), errors="coerce")
    text = numbers.isna() & ~missing
    if not text.any():
        return numbers.astype(np.float64).where(numbers != -9)
    if (text | missing).all():
        return values.where(~missing)
    raise InputError(
        f"column {values.name} mixes numbers and text",
        where=f"{path}:{lines.to_numpy()[text.to_numpy()][0]}",
        found=f"{int(text.sum())} values that are not numbers",
        expected="numbers, or text in every row (categories), NA where missing",
        fix="correct the column",
    )
