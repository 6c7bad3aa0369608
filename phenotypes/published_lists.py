"""Code lists in the forms in which others publish them.

===================  ==================================================================================
``careome``          columns ``system`` and ``code``
``caliber``          the CALIBER repository: one file for each condition and coding system
``opencodelists``    downloads of opencodelists.org: ``code`` and ``term``, or ``id`` and ``name``, or
                     ``CTV3ID`` ..., with columns of categories; the system is told by the address of the
                     list and not by the file, so that it must be given unless the header names it
``cprd``             lists for CPRD Aurum, as its code browser saves them: ``medcodeid`` or ``prodcodeid``
``phenotype-library``  exports of the HDR UK Phenotype Library: ``code``, ``coding_system`` ...
===================  ==================================================================================

The header tells which form a file has. Reading keeps every line as it was written, so that
:func:`phenotypes.codelist_lint.lint` can speak of lines.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from cohorts.errors import InputError
from phenotypes.code_systems import CODE_SYSTEMS, identifier_fault
from phenotypes.codelist import CodeList, build_list
from phenotypes.codelist_files import read_header, read_rows, said_edition


@dataclass(frozen=True)
class Line:
    """One line of a published list, as it was written.

    Attributes
    ----------
    number
        Line of the file, the header being 1.
    system
        Code system in our spelling, or what the file said where we do not know it.
    code, term, category
        '' where the file has none.
    meant
        The code as our own lists would write it.
    row
        Every cell by its lower-case column.
    """

    number: int
    system: str
    code: str
    term: str
    category: str
    meant: str
    row: Mapping[str, str]


@dataclass(frozen=True)
class PublishedList:
    """A code list as its file has it.

    Attributes
    ----------
    name
        The file's stem.
    source
        Where it came from, for messages.
    form
        One of :data:`FORMS`.
    lines
        Every line with content.
    """

    name: str
    source: str
    form: str
    lines: tuple[Line, ...]


_CALIBER = {"icd10code": "icd10", "icd_code": "icd10", "opcs4code": "opcs4", "readcode": "read2"}

# Columns of OpenCodelists that hold codes, and the system where the name tells it.
_OPENCODELISTS: dict[str, str | None] = {
    "code": None,
    "id": None,
    "ctv3id": "ctv3",
    "ctv3code": "ctv3",
    "ctv3_code": "ctv3",
    "snomedcode": "snomed",
    "snomed_id": "snomed",
    "snomed_code": "snomed",
    "snomedct_code": "snomed",
    "icd": "icd10",
    "icd10": "icd10",
    "icd10_code": "icd10",
    "opcs4_code": "opcs4",
    "dmd_id": "dmd",
    "dmd_code": "dmd",
    "bnf_code": "bnf",
    "read_code": None,
}

_LIBRARY_SYSTEMS: tuple[tuple[str, str], ...] = (
    (r"snomed", "snomed"),
    (r"icd-?10", "icd10"),
    (r"opcs", "opcs4"),
    (r"read.*(v3|ctv3|3)", "ctv3"),
    (r"read", "read2"),
    (r"bnf", "bnf"),
    (r"dm\+?d", "dmd"),
    (r"med ?codes?", "cprd_medcode"),
    (r"prod(uct)? ?codes?", "cprd_prodcode"),
    (r"icd-?9", "icd9cm"),
)


def library_system(said: str) -> str:
    """Code system that the Phenotype Library names in words; what it said where it is none of ours.

    Examples
    --------
    >>> library_system("Read codes v2"), library_system("SNOMED  CT codes"), library_system("OXMIS codes")
    ('read2', 'snomed', 'OXMIS codes')
    """
    plain = said.lower()
    return next((system for shape, system in _LIBRARY_SYSTEMS if re.search(shape, plain)), said)


def _careome(header: list[str], system: str | None) -> Callable[[Mapping[str, str]], tuple[str, str]] | None:
    if not {"system", "code"} <= set(header):
        return None
    yes = ("yes", "true", "1", "y", "x")
    return lambda row: (
        row["system"].strip().lower(),
        ("!" if row.get("exclude", "").lower() in yes else "") + row["code"],
    )


def _library(header: list[str], system: str | None) -> Callable[[Mapping[str, str]], tuple[str, str]] | None:
    if not {"coding_system", "code"} <= set(header):
        return None
    return lambda row: (library_system(row["coding_system"]), row["code"])


def _caliber(header: list[str], system: str | None) -> Callable[[Mapping[str, str]], tuple[str, str]] | None:
    column = next((c for c in header if c in _CALIBER), None)
    if column is None or "category" not in header:
        return None
    return lambda row: (_CALIBER[column], row[column])


def _whole(system: str, code: str) -> str:
    """A code of CALIBER stands for all below it: hospitals record a fourth and a fifth character."""
    bare = code.replace(".", "").strip()
    takes_in = (system == "icd10" and len(bare) >= 3) or (system == "opcs4" and len(bare) == 3)
    return f"{bare}*" if takes_in and bare.isalnum() else code


def _opencodelists(
    header: list[str], system: str | None
) -> Callable[[Mapping[str, str]], tuple[str, str]] | None:
    column = next((c for c in header if c in _OPENCODELISTS), None)
    if column is None:
        return None
    told = system or _OPENCODELISTS[column] or ""
    return lambda row: (told, row[column])


_CPRD = {"medcodeid": "cprd_medcode", "prodcodeid": "cprd_prodcode"}


def _cprd(header: list[str], system: str | None) -> Callable[[Mapping[str, str]], tuple[str, str]] | None:
    column = next((c for c in header if c in _CPRD), None)
    if column is None:
        return None
    return lambda row: (_CPRD[column], row[column])


FORMS: dict[str, Callable[[list[str], str | None], Callable[[Mapping[str, str]], tuple[str, str]] | None]] = {
    "careome": _careome,
    "phenotype-library": _library,
    "caliber": _caliber,
    "cprd": _cprd,
    "opencodelists": _opencodelists,
}

_TITLES = {
    "careome": "careome",
    "phenotype-library": "Phenotype Library",
    "caliber": "CALIBER",
    "cprd": "CPRD",
    "opencodelists": "OpenCodelists",
}

_TERMS = (
    "term", "name", "description", "label", "nm", "icd10codedescr", "icd_term", "opcs4codedescr", "readcodedescr",
    "readterm", "ctv3preferredtermdesc", "ctv3description", "ctv3_description",
)  # fmt: skip


def read_lines(path: str | Path, *, form: str | None = None, system: str | None = None) -> PublishedList:
    """Read the lines of a code list in any of the published forms.

    Parameters
    ----------
    path
        CSV file.
    form
        One of :data:`FORMS`; told by the header where None.
    system
        Code system, for the forms whose files do not say it.

    Raises
    ------
    InputError
        Where the file cannot be read, its header fits no form, or nothing tells the system.
    """
    path = Path(path)
    if system is not None and system not in CODE_SYSTEMS:
        raise InputError("unknown code system", found=repr(system), expected=", ".join(CODE_SYSTEMS))
    if form is not None and form not in FORMS:
        raise InputError("unknown form of code lists", found=repr(form), expected=", ".join(FORMS))
    header = read_header(path)
    for known in FORMS if form is None else (form,):
        if (take := FORMS[known](header, system)) is not None:
            break
    else:
        raise InputError(
            f"not a {'' if form is None else f'{_TITLES[form]} '}code list",
            where=f"{path}:1",
            found=", ".join(header) or "an empty file",
            expected="columns system and code, or those of CALIBER, CPRD, OpenCodelists or the Phenotype Library",
        )
    term = next((c for c in _TERMS if c in header), None)
    category = next((c for c in header if c == "category" or "category" in c), None)
    lines = []
    for number, row in read_rows(path, ()):
        told, code = take({column: row.get(column, "") for column in header})
        lines.append(
            Line(
                number,
                told,
                code,
                row.get(term, "") if term else "",
                row.get(category, "") if category else "",
                _whole(told, code) if known == "caliber" else code,
                row,
            )
        )
    if any(line.system == "" for line in lines):
        guess = _guessed(line.code for line in lines)
        if guess is None:
            raise InputError(
                "the file does not say of which system its codes are",
                where=path,
                fix="name it with system=, or --system on the command line; the address of the list tells it",
            )
        lines = [replace(x, system=guess) for x in lines]
    return PublishedList(path.stem, str(path), known, tuple(lines))


def _guessed(codes: Iterable[str]) -> str | None:
    """SNOMED CT where every code has a right check digit; other systems look too much alike to be guessed."""
    given = [code for code in codes if code]
    valid = CODE_SYSTEMS["snomed"].shape
    if given and all(valid.fullmatch(c) is not None and identifier_fault("snomed", c) is None for c in given):
        return "snomed"
    return None


def read_published(
    path: str | Path,
    *,
    form: str | None = None,
    system: str | None = None,
    categories: Iterable[str | int] | None = None,
    name: str | None = None,
    edition: str | None = None,
) -> CodeList:
    """Read a code list in any of the published forms.

    Parameters
    ----------
    path
        CSV file.
    form
        One of :data:`FORMS`; told by the header where None.
    system
        Code system, for OpenCodelists files whose header does not name it.
    categories
        Keep the lines whose category is one of these: the text, or the number that CALIBER puts behind it in
        brackets. All where None.
    name
        Name of the list; the file's stem where left out.
    edition
        Edition of ICD-10 that it was written for, where no column ``icd10_edition`` says it.

    Raises
    ------
    InputError
        Where the file cannot be read as such, a code is impossible, two editions are named, or no line has a wanted
        category. Lines without a code, and of systems that are not ours, are passed over with a remark.

    Examples
    --------
    >>> asthma = read_published("opensafely-asthma.csv", system="snomed")  # doctest: +SKIP
    """
    found = read_lines(path, form=form, system=system)
    wanted = None if categories is None else {str(c).strip().lower() for c in categories}
    lines = [x for x in found.lines if wanted is None or _categories(x.category) & wanted]
    if not lines:
        raise InputError(
            "no line has a wanted category", where=path, expected=f"one of {', '.join(sorted(wanted or ()))}"
        )
    ours = [x for x in lines if x.system in CODE_SYSTEMS and x.code]
    codes = build_list(
        found.name if name is None else name,
        [(f"line {x.number}", x.system, x.meant) for x in ours],
        where=path,
        edition=said_edition(((x.number, x.row) for x in lines), where=path, given=edition),
    )
    foreign = sorted({x.system for x in lines if x.code and x.system not in CODE_SYSTEMS})
    return codes.remarked(
        [
            *(f"lines of {said or 'no system'} are left out" for said in foreign),
            *(f"line {x.number} has no code" for x in lines if not x.code),
        ]
    )


def _categories(written: str) -> set[str]:
    number = re.search(r"\((\d+)\)\s*$", written)
    return {written.strip().lower(), *([number[1]] if number else [])}
