"""CALIBER code lists as they are published: one CSV file for each condition and coding system.

Reference: Kuan V. et al., A chronological map of 308 physical and mental health conditions, Lancet Digital
Health 2019. In these files a category, not a file, tells types apart: the diabetes file holds type 1
(category 3) and type 2 (category 4) side by side.
"""

from __future__ import annotations

from pathlib import Path

from phenotypes.codelist import CodeList, merged
from phenotypes.codelist_files import read_rows
from phenotypes.published_lists import read_published


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
        An ICD-10 code and a three-character OPCS-4 code stand for all below them. Read codes lose their synonym
        characters and padding dots.

    Raises
    ------
    InputError
        Where no code column is known, or no line has a wanted category.

    Examples
    --------
    >>> type1 = read_caliber("secondary_care/ICD_diabetes.csv", categories={3})  # doctest: +SKIP
    """
    return read_published(path, form="caliber", categories=categories, name=name)


def read_caliber_phenotypes(folder: str | Path) -> dict[str, CodeList]:
    """Read a whole CALIBER repository: a code list of all its systems for each phenotype.

    Parameters
    ----------
    folder
        With ``dictionary.csv`` (columns phenotype, CPRD, ICD, OPCS) and the folders ``primary_care`` and
        ``secondary_care``.

    Returns
    -------
    dict
        By the name of the phenotype, in the order of the dictionary.

    Raises
    ------
    InputError
        Where a file that the dictionary names is missing or cannot be read.
    """
    folder = Path(folder)
    places = {"cprd": "primary_care", "icd": "secondary_care", "opcs": "secondary_care"}
    phenotypes = {}
    for _, row in read_rows(folder / "dictionary.csv", ("phenotype", *places)):
        files = [folder / place / row[column] for column, place in places.items() if row[column]]
        phenotypes[row["phenotype"]] = merged(row["phenotype"], [read_caliber(file) for file in files])
    return phenotypes
