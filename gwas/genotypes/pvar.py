"""PLINK 2's variants: PVAR, plain or compressed with Zstandard, or a .bim, which is read as a PVAR without header.

Described in the PGEN specification of the PLINK 2 authors
(https://github.com/chrchang/plink-ng/tree/master/pgen_spec).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from cohorts.errors import InputError
from gwas.genotypes.chromosomes import canonical_chromosomes
from gwas.genotypes.plink_text import column_names, need_columns, open_text, read_body, read_head, unreadable

QUALITY_KEYS: Final = ("R2", "DR2", "AR2", "INFO", "IMPINFO", "MACH_R2")
"""INFO keys in which imputation programs give the quality of a variant, the first present counts."""


@dataclass(frozen=True, eq=False)
class PvarTable:
    """Variants of a PVAR.

    Attributes
    ----------
    variants
        DataFrame, one row an ALT allele: ``chrom pos id ref alt cm``, and ``info`` where there is one.
    records
        int64 (rows,): record of the file that the row is of.
    alleles
        int64 (rows,): the allele it counts, 1 for the first ALT.
    counts
        int64 (records,): alleles of each record, with REF; at least 2.
    """

    variants: pd.DataFrame
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
            table = read_body(path, handle, head, columns, wanted)
    except OSError as error:
        raise unreadable(path, error) from error
    return _rows(path, table, len(head.lines))


def _rows(path: Path, table: pd.DataFrame, before: int) -> PvarTable:
    """One row for each ALT."""
    pos = _whole(path, table["POS"], before)
    cm = pd.to_numeric(table.get("CM", pd.Series("0", index=table.index)), errors="coerce").fillna(0.0)
    alt = table["ALT"]
    commas = np.array([text.count(",") for text in alt], dtype=np.int64)
    records = np.repeat(np.arange(len(table), dtype=np.int64), commas + 1)
    first = np.cumsum(commas + 1) - (commas + 1)
    alleles = np.arange(len(records), dtype=np.int64) - np.repeat(first, commas + 1) + 1
    split = alt if not commas.any() else alt.str.split(",").explode()
    if (split == "").any():
        row = int(np.flatnonzero((split == "").to_numpy())[0])
        raise InputError(
            "an ALT allele is empty", where=f"{path}:{before + int(records[row]) + 1}", fix="correct the line"
        )
    variants = pd.DataFrame(
        {
            "chrom": canonical_chromosomes(table["CHROM"]).to_numpy()[records],
            "pos": pos[records],
            "id": table["ID"].to_numpy()[records],
            "ref": table["REF"].to_numpy()[records],
            "alt": split.to_numpy(),
            "cm": cm.to_numpy(dtype=np.float64)[records],
        }
    )
    info = imputation_quality(table["INFO"], records, alleles) if "INFO" in table else None
    if info is not None:
        variants["info"] = info
    return PvarTable(variants, records, alleles, commas + 2)


def _whole(path: Path, text: pd.Series, before: int) -> npt.NDArray[np.int64]:
    numbers = pd.to_numeric(text, errors="coerce")
    bad = (numbers.isna() | (numbers % 1 != 0) | (numbers < 0) | (numbers >= 2**31)).to_numpy()
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InputError(
            "position is not a whole number",
            where=f"{path}:{before + row + 1}",
            found=repr(text.iloc[row][:20]),
            expected="a number from 0 to 2^31 - 1",
            fix="correct the line",
        )
    return numbers.to_numpy(dtype=np.int64)


def imputation_quality(
    info: pd.Series, records: npt.NDArray[np.int64], alleles: npt.NDArray[np.int64]
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
    >>> info = pd.Series(["AF=0.1;R2=0.97", "DR2=0.1"])
    >>> imputation_quality(info, np.array([0, 1]), np.array([1, 1])).tolist()
    [0.97, nan]
    """
    sample = ";" + ";".join(info.iloc[:: max(1, len(info) // 1000)])
    for key in QUALITY_KEYS:
        if f";{key}=" not in sample:
            continue
        values = info.str.extract(rf"(?:^|;){re.escape(key)}=([^;]*)", expand=False).to_numpy(dtype=object)
        found = [text.split(",") if isinstance(text, str) else [] for text in values]
        picked = [
            found[record][allele - 1 if len(found[record]) > 1 else 0]
            if len(found[record]) >= (allele if len(found[record]) > 1 else 1)
            else None
            for record, allele in zip(records.tolist(), alleles.tolist(), strict=True)
        ]
        return pd.to_numeric(pd.Series(picked, dtype=object), errors="coerce").to_numpy(dtype=np.float64)
    return None
