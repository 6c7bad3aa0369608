"""PLINK 2's variants: PVAR, plain or compressed with Zstandard, or a .bim, which is read as a PVAR without header.

Described in the PGEN specification of the PLINK 2 authors
(https://github.com/chrchang/plink-ng/tree/master/pgen_spec).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from cohorts.errors import InputError
from gwas.genotypes.chromosomes import canonical_text
from gwas.genotypes.columns import Columns
from gwas.genotypes.plink_text import (
    column_names,
    need_columns,
    open_text,
    read_columns,
    read_head,
    unreadable,
)
from gwas.kernels.text import TextColumn, integers_of_text

QUALITY_KEYS: Final = ("R2", "DR2", "AR2", "INFO", "IMPINFO", "MACH_R2")
"""INFO keys in which imputation programs give the quality of a variant, the first present counts."""


@dataclass(frozen=True, eq=False)
class PvarTable:
    """Variants of a PVAR.

    Attributes
    ----------
    variants
        One row an ALT allele: ``chrom pos id ref alt cm``, and ``info`` where there is one.
    records
        int64 (rows,): record of the file that the row is of.
    alleles
        int64 (rows,): the allele it counts, 1 for the first ALT.
    counts
        int64 (records,): alleles of each record, with REF; at least 2.
    """

    variants: Columns
    records: npt.NDArray[np.int64]
    alleles: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]


def read_pvar(path: Path) -> PvarTable:
    """Read a .pvar or .pvar.zst.

    Parameters
    ----------
    path
        With a header line ``#CHROM POS ID REF ALT ...`` after any ``##`` lines, or like a .bim without one.
        The sites of a VCF are a .pvar too.

    Returns
    -------
    PvarTable
        One row for each ALT allele, file order. ``info`` is the first of :data:`QUALITY_KEYS` that the INFO
        column has, float64, NaN where a record lacks it.

    Raises
    ------
    InputError
        Unreadable, cut short, damaged, without a needed column, or with a position that is not a whole
        number.
    """
    try:
        with open_text(path) as handle:
            head = read_head(path, handle)
            if head.lines:
                columns = column_names(path, head.lines[-1].partition("\tFORMAT")[0], ("CHROM",))
            elif len(head.body.split()) == 5:
                columns = ["CHROM", "ID", "POS", "ALT", "REF"]
            else:
                columns = ["CHROM", "ID", "CM", "POS", "ALT", "REF"]
            need_columns(path, columns, ["CHROM", "POS", "ID", "REF", "ALT"])
            wanted = [name for name in ("CHROM", "POS", "ID", "REF", "ALT", "CM", "INFO") if name in columns]
            table = read_columns(path, handle, head, columns, wanted)
    except OSError as error:
        raise unreadable(path, error) from error
    return _rows(path, table, len(head.lines))


def _rows(path: Path, table: dict[str, TextColumn], before: int) -> PvarTable:
    """One row for each ALT."""
    pos = _whole(path, table["POS"], before)
    alt, records = _alts(table["ALT"])
    if (alt.length == 0).any():
        row = int(records[(alt.length == 0).argmax()])
        raise InputError("an ALT allele is empty", where=f"{path}:{before + row + 1}", fix="correct the line")
    counts = np.bincount(records, minlength=len(pos))
    alleles = np.arange(len(records), dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts) + 1
    variants: dict[str, TextColumn | npt.NDArray[np.int64] | npt.NDArray[np.float64]] = {
        "chrom": canonical_text(table["CHROM"]).take(records),
        "pos": pos[records],
        "id": table["ID"].take(records),
        "ref": table["REF"].take(records),
        "alt": alt,
        "cm": _centimorgans(table["CM"])[records] if "CM" in table else np.zeros(len(records)),
    }
    info = imputation_quality(table["INFO"].strings(), records, alleles) if "INFO" in table else None
    if info is not None:
        variants["info"] = info
    return PvarTable(Columns(variants), records, alleles, counts + 1)


def _alts(cells: TextColumn) -> tuple[TextColumn, npt.NDArray[np.int64]]:
    """The alleles between the commas of each cell, and the row each is of."""
    comma = np.flatnonzero(cells.text == ord(","))
    row = np.searchsorted(cells.start, comma, "right") - 1
    inside = (row >= 0) & (comma < (cells.start + cells.length)[row])
    comma, row = comma[inside], row[inside]
    start = np.sort(np.concatenate([cells.start, comma + 1]))
    end = np.sort(np.concatenate([cells.start + cells.length, comma]))
    rows = np.sort(np.concatenate([np.arange(len(cells.start), dtype=np.int64), row]))
    return TextColumn(cells.text, start, end - start), rows


def _whole(path: Path, column: TextColumn, before: int) -> npt.NDArray[np.int64]:
    whole = integers_of_text(column)
    numbers = _numbers(column) if whole is None else whole
    bad = ~((numbers % 1 == 0) & (numbers >= 0) & (numbers < 2**31))
    if bad.any():
        row = int(bad.argmax())
        raise InputError(
            "position is not a whole number",
            where=f"{path}:{before + row + 1}",
            found=repr(column.take(np.array([row])).strings()[0][:20]),
            expected="a number from 0 to 2^31 - 1",
            fix="correct the line",
        )
    return numbers.astype(np.int64)


def _centimorgans(column: TextColumn) -> npt.NDArray[np.float64]:
    """Positions on the genetic map; 0 where there is none."""
    whole = integers_of_text(column)
    return np.nan_to_num(_numbers(column)) if whole is None else whole.astype(np.float64)


def _numbers(column: TextColumn) -> npt.NDArray[np.float64]:
    return np.array([_number(word) for word in column.strings()], dtype=np.float64)


def _number(word: str) -> float:
    """A finite number, else NaN."""
    try:
        value = float("nan" if "_" in word else word)
    except ValueError:
        return float("nan")
    return value if abs(value) < float("inf") else float("nan")


def imputation_quality(
    info: Sequence[str], records: npt.NDArray[np.int64], alleles: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64] | None:
    """Take the quality of imputation out of INFO fields.

    Parameters
    ----------
    info
        INFO text of each record: ``AF=0.1;R2=0.97``.
    records, alleles
        Record of each row, and its allele (1 for the first ALT): where the field has a value for each ALT,
        the row gets its own.

    Returns
    -------
    ndarray of float64 (rows,) or None
        None where no record has any of :data:`QUALITY_KEYS`; NaN where one lacks it.

    Examples
    --------
    >>> imputation_quality(["AF=0.1;R2=0.97", "DR2=0.1"], np.array([0, 1]), np.array([1, 1])).tolist()
    [0.97, nan]
    """
    sample = ";" + ";".join(info[:: max(1, len(info) // 1000)])
    for key in QUALITY_KEYS:
        if f";{key}=" not in sample:
            continue
        pattern = re.compile(rf"(?:^|;){re.escape(key)}=([^;]*)")
        found = [match[1].split(",") if (match := pattern.search(text)) else [] for text in info]
        picked = [
            found[record][allele - 1 if len(found[record]) > 1 else 0]
            if len(found[record]) >= (allele if len(found[record]) > 1 else 1)
            else ""
            for record, allele in zip(records.tolist(), alleles.tolist(), strict=True)
        ]
        return np.array([_number(word) for word in picked], dtype=np.float64)
    return None
