"""CALIBER code lists as they are published: one CSV file for each condition and coding system.

Reference: Kuan V. et al., A chronological map of 308 physical and mental health conditions, Lancet Digital
Health 2019. In these files a category, not a file, tells types apart: the diabetes file holds type 1
(category 3) and type 2 (category 4) side by side.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

from cohorts.errors import InputError
from phenotypes.codelist import CodeList, read_rows

CODE_COLUMNS: dict[str, str] = {
    "icd10code": "icd10",
    "icd_code": "icd10",
    "opcs4code": "opcs4",
    "readcode": "read2",
}


def read_caliber(
    path: str | Path, *, categories: set[int] | None = None, name: str | None = None
) -> CodeList:
    """Read one CALIBER file.

    Parameters
    ----------
    path
        File with one of the columns ICD10code, icd_code, OPCS4code or Readcode.
    categories
        Keep just the lines whose category ends in one of these numbers in brackets; all where None.
    name
        Name of the list; the file's stem where left out.

    Returns
    -------
    CodeList
        A three-character ICD-10 or OPCS-4 code stands for all below it, as in the publication. Read
        codes lose their synonym characters and padding dots.

    Raises
    ------
    InputError
        Where no code column is known, or no line has a wanted category.

    Examples
    --------
    >>> type1 = read_caliber("secondary_care/ICD_diabetes.csv", categories={3})  # doctest: +SKIP
    """
    path = Path(path)
    column = _code_column(path)
    system = CODE_COLUMNS[column]
    codes: list[tuple[str, str]] = []
    for _, row in read_rows(path, (column, "category")):
        number = re.search(r"\((\d+)\)\s*$", row["category"])
        if categories is None or (number is not None and int(number[1]) in categories):
            codes.append((system, _whole(system, row[column])))
    if not codes:
        raise InputError(
            "no line has a wanted category", where=path, expected=f"one of {sorted(categories or ())}"
        )
    return CodeList.of(path.stem if name is None else name, codes)


def _code_column(path: Path) -> str:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = [column.strip().lower() for column in next(csv.reader(file), [])]
    except OSError as error:
        raise InputError(
            "code list cannot be read", where=path, found=error.strerror, fix="check the path"
        ) from None
    for column in header:
        if column in CODE_COLUMNS:
            return column
    raise InputError(
        "not a CALIBER code list",
        where=f"{path}:1",
        found=", ".join(header),
        expected=", ".join(CODE_COLUMNS),
    )


def _whole(system: str, code: str) -> str:
    bare = code.replace(".", "")
    return f"{bare}*" if system in ("icd10", "opcs4") and len(bare) == 3 else code
