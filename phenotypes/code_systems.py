"""Code systems: how each spells a code, what a code can look like, and how its hierarchy works.

One literal dict, :data:`CODE_SYSTEMS`, says it all. Codes are known without their terms: the terms of SNOMED CT
and ICD-10 need a licence and come from the user's own terminology file (:mod:`phenotypes.terminology`).

What the systems do, where it surprises:

- ICD-10 in English hospitals has a fifth character for site, ``X`` as the filler of three-character categories
  (``I10X``) and ``A``/``D`` or ``*``/``†`` for asterisk and dagger; the fillers and markers go, the fifth
  character stays.
- Read codes tell upper from lower case. A seven-character Read v2 code is the five-character code and two
  characters that name a synonym; trailing dots pad. CTV3 codes look alike but have no hierarchy by prefix.
- SNOMED CT and dm+d identifiers carry a Verhoeff check digit, and two digits before it that tell a concept from a
  description; LOINC codes carry a modulus 10 digit.
- BNF codes are fifteen characters whose first two, four, six and seven are chapter, section, paragraph and
  subparagraph; the printed form of those, ``6.1.2.2``, is read too.

Source of the check digits: SNOMED International, SNOMED CT Release File Specifications, appendix on check-digit
computation; Verhoeff J., Error Detecting Decimal Codes, 1969; LOINC Users' Guide, appendix on mod 10.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

Hierarchy = Literal["prefix", "file", "none"]


def _plain(code: str) -> str:
    return code.strip()


def _icd10(code: str) -> str:
    clean = re.sub(r"[.\s†*+]", "", code.upper()).rstrip("-")
    # A fifth character of ICD-10 is a digit, so a letter A or D at the end can only be the asterisk or dagger mark.
    clean = re.sub(r"^([A-Z][0-9]{2}[0-9X][0-9X]?)[AD]$", r"\1", clean)
    return clean[:3] if len(clean) == 4 and clean.endswith("X") else clean


def _without_dots(code: str) -> str:
    return re.sub(r"[.\s]", "", code.upper()).rstrip("-")


def _read2(code: str) -> str:
    return code.strip()[:5].rstrip(".")


def _bnf(code: str) -> str:
    parts = code.strip().split(".")
    if 2 <= len(parts) <= 4 and all(re.fullmatch(r"[0-9]{1,2}", part) for part in parts):
        return "".join(part.zfill(2) for part in parts[:3]) + "".join(str(int(part)) for part in parts[3:])
    return _without_dots(code)


@dataclass(frozen=True)
class CodeSystem:
    """One code system.

    Attributes
    ----------
    normalise
        Gives the one spelling of a recorded code.
    shape
        What a normalised code, or the beginning of one, looks like.
    expected
        The shape in words, for messages.
    hierarchy
        'prefix': what begins with a code is below it; 'file': only a terminology file knows; 'none': codes have
        no order.
    full
        What a whole code looks like, where a list may hold the beginnings of codes too.
    """

    normalise: Callable[[str], str]
    shape: re.Pattern[str]
    expected: str
    hierarchy: Hierarchy = "prefix"
    full: re.Pattern[str] | None = None


_SCTID = re.compile(r"[1-9][0-9]{5,17}")

CODE_SYSTEMS: dict[str, CodeSystem] = {
    "snomed": CodeSystem(_plain, _SCTID, "6 to 18 digits", "file"),
    "icd10": CodeSystem(
        _icd10,
        re.compile(r"[A-Z][0-9][0-9A-Z]{0,4}"),
        "a letter and two digits, then up to four more characters",
        full=re.compile(r"[A-Z][0-9]{2}[0-9X]?[0-9]?"),
    ),
    "opcs4": CodeSystem(
        _without_dots,
        re.compile(r"[A-Z][0-9]{0,4}"),
        "a letter and up to four digits",
        full=re.compile(r"[A-Z][0-9]{2,3}"),
    ),
    "bnf": CodeSystem(
        _bnf,
        re.compile(r"[0-9]{2}[0-9A-Z]{0,13}"),
        "2 to 15 digits or letters, beginning with two digits",
        full=re.compile(r"[0-9]{2}(?:[0-9]{2}){0,2}(?:[0-9](?:[0-9A-Z]{2}){0,4})?"),
    ),
    "dmd": CodeSystem(_plain, _SCTID, "6 to 18 digits", "file"),
    "read2": CodeSystem(_read2, re.compile(r"[0-9A-Za-z][0-9A-Za-z.]{0,4}"), "up to five letters or digits"),
    "ctv3": CodeSystem(
        _read2, re.compile(r"[0-9A-Za-z.]{1,5}"), "up to five letters, digits or dots", "file"
    ),
    "loinc": CodeSystem(
        _plain, re.compile(r"[0-9]{1,7}-[0-9]"), "digits, a hyphen and a check digit", "none"
    ),
    "rxnorm": CodeSystem(_plain, re.compile(r"[1-9][0-9]{0,7}"), "up to 8 digits", "file"),
    "icd10cm": CodeSystem(
        _without_dots, re.compile(r"[A-Z][0-9][0-9A-Z]{0,5}"), "a letter, a digit, then up to five characters"
    ),
    "icd9cm": CodeSystem(
        _without_dots, re.compile(r"[0-9VE][0-9]{1,4}"), "three to five digits, the first also V or E"
    ),
    "cvx": CodeSystem(_plain, re.compile(r"[0-9]{1,3}"), "up to 3 digits", "none"),
    "atc": CodeSystem(
        _without_dots,
        re.compile(r"[A-Z](?:[0-9]{2}(?:[A-Z](?:[A-Z](?:[0-9]{2})?)?)?)?"),
        "a letter, two digits, two letters, two digits, or the beginning of that",
    ),
    "omop": CodeSystem(_plain, re.compile(r"[1-9][0-9]{0,9}"), "the number of an OMOP concept", "none"),
    "cprd_medcode": CodeSystem(_plain, re.compile(r"[0-9]{1,19}"), "up to 19 digits", "none"),
    "cprd_prodcode": CodeSystem(_plain, re.compile(r"[0-9]{1,19}"), "up to 19 digits", "none"),
}


def normalised(system: str, code: str) -> str:
    """A recorded code in the one spelling that code lists use.

    Examples
    --------
    >>> normalised("icd10", "e11.9"), normalised("icd10", "I10X"), normalised("icd10", "H36.0*")
    ('E119', 'I10', 'H360')
    >>> normalised("read2", "C10F.00"), normalised("bnf", "6.1.2.2")
    ('C10F', '0601022')
    """
    return CODE_SYSTEMS[system].normalise(code) if system in CODE_SYSTEMS else code


def by_spelling(system: str, codes: Iterable[str]) -> dict[str, list[str]]:
    """Codes as recorded, by their one spelling.

    Examples
    --------
    >>> by_spelling("icd10", ["I10X", "E11.9", "I10"])
    {'E119': ['E11.9'], 'I10': ['I10', 'I10X']}
    """
    written: dict[str, list[str]] = {}
    for code in sorted(codes):
        written.setdefault(normalised(system, code), []).append(code)
    return written


# The dihedral group of order ten and the permutation that Verhoeff's method steps through.
_TIMES = (
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
)  # fmt: skip
_PERMUTED = (
    "0123456789", "1576283094", "5803796142", "8916043527",
    "9453126870", "4286573901", "2793806415", "7046913258",
)  # fmt: skip


def verhoeff_is_valid(digits: str) -> bool:
    """Whether the last digit of an identifier is the Verhoeff check digit of the others.

    Examples
    --------
    >>> verhoeff_is_valid("44054006"), verhoeff_is_valid("44054007")
    (True, False)
    """
    check = 0
    for place, digit in enumerate(reversed(digits)):
        check = int(_TIMES[check][int(_PERMUTED[place % 8][int(digit)])])
    return check == 0


def verhoeff_digit(digits: str) -> str:
    """The check digit to put behind some digits.

    Examples
    --------
    >>> verhoeff_digit("4405400")
    '6'
    """
    return next(digit for digit in "0123456789" if verhoeff_is_valid(digits + digit))


def _mod10_is_valid(code: str) -> bool:
    body, _, check = code.partition("-")
    total = 0
    for place, digit in enumerate(reversed(body)):
        doubled = int(digit) * (2 if place % 2 == 0 else 1)
        total += doubled // 10 + doubled % 10
    return (10 - total % 10) % 10 == int(check)


def identifier_fault(system: str, code: str) -> str | None:
    """What is wrong with the check digit or the kind of a normalised identifier; None where nothing is.

    Examples
    --------
    >>> identifier_fault("snomed", "44054007")
    'the check digit is wrong'
    >>> identifier_fault("snomed", "44054006") is None, identifier_fault("loinc", "4548-4") is None
    (True, True)
    """
    if system in ("snomed", "dmd"):
        if not verhoeff_is_valid(code):
            return "the check digit is wrong"
        kind = {"1": "a description", "2": "a relationship"}.get(code[-2])
        return None if kind is None else f"this names {kind}, not a concept"
    if system == "loinc" and not _mod10_is_valid(code):
        return "the check digit is wrong"
    return None


@dataclass(frozen=True)
class EditionChange:
    """One meaning that two editions of ICD-10 code differently; `nhs` is 2016, `who` 2019; codes are beginnings."""

    nhs: str
    who: str


# English hospital records (HES, SUS) use the NHS fifth edition, which is WHO's 2016 edition with modifications;
# death records of the Office for National Statistics use WHO's 2019 edition. The pairs are those of
# OpenCodelists, pull request 3158.
EDITION_CHANGES: tuple[EditionChange, ...] = (
    EditionChange("B59", "B485"),
    EditionChange("U073", "U08"),
    EditionChange("U074", "U09"),
    EditionChange("U075", "U10"),
    EditionChange("U076", "U11"),
    EditionChange("U077", "U12"),
)

EDITIONS: tuple[str, str] = ("2016", "2019")


def in_other_edition(code: str, edition: str) -> str | None:
    """The beginning that a normalised ICD-10 code of the other edition has in this one; None where it is the same.

    Examples
    --------
    >>> in_other_edition("B59", "2019"), in_other_edition("B485", "2016"), in_other_edition("B59", "2016")
    ('B485', 'B59', None)
    """
    for change in EDITION_CHANGES:
        theirs, ours = (change.nhs, change.who) if edition == "2019" else (change.who, change.nhs)
        if code.startswith(theirs):
            return ours
    return None


_ASTERISK = (
    "D63 D77 E35 E90 F00 F02 G01 G02 G05 G07 G13 G22 G26 G32 G46 G53 G55 G59 G63 G73 G94 G99 H03 H06 H13 "
    "H19 H22 H28 H32 H36 H42 H45 H48 H58 H62 H67 H75 H82 H94 I32 I39 I41 I43 I52 I68 I79 I98 J17 J91 J99 "
    "K23 K67 K77 K87 K93 L14 L45 L54 L62 L86 L99 M01 M03 M07 M09 M14 M36 M49 M63 M68 M73 M82 M90 N08 N16 "
    "N22 N29 N33 N37 N51 N74 N77 P75"
)
# Categories of ICD-10 whose codes say how a disease shows itself and may not stand as the main diagnosis.
ASTERISK_CATEGORIES: frozenset[str] = frozenset(_ASTERISK.split())
