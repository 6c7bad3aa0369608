"""Identifiers: checked, and put into one form.

Only this module, :mod:`cohorts.identity` and the linkage room look inside a name, a postcode, an NHS number or
another identifier. The rules are DuckDB expressions, for millions of rows; the tests hold each equal to the same rule
in plain Python. That of NHS numbers is here in Python too, for one number at a time.
"""

from __future__ import annotations

import re

# Placeholders that clerks type when no name is known; two of them agreeing says nothing.
NAME_PLACEHOLDERS = (
    "UNKNOWN",
    "NOTKNOWN",
    "NOTGIVEN",
    "BABY",
    "TWIN",
    "INFANT",
    "MALE",
    "FEMALE",
    "TEST",
    "NULL",
)

ETHNICITIES = ("white", "mixed", "asian", "black", "other")
# NHS data dictionary, ETHNIC CATEGORY CODE 2001; Z is "not stated".
_ETHNIC_CODES = {
    letter: group
    for group, letters in zip(ETHNICITIES, ("ABC", "DEFG", "HJKL", "MNP", "RS"), strict=True)
    for letter in letters
}
_ETHNIC_WORDS = (
    ("WHITE", "white"),
    ("MIXED", "mixed"),
    ("ASIAN", "asian"),
    ("CHINESE", "other"),
    ("BLACK", "black"),
    ("OTHER", "other"),
)

_EMAIL = r"[^@]+@[^@.]+(\.[^@.]+)+"
_SPACES_AND_DASHES = re.compile(r"[\s\-‐‑‒–—]")
_TEN_DIGITS = re.compile(r"[0-9]{10}")
_SEXES = {"M": "M", "MALE": "M", "1": "M", "F": "F", "FEMALE": "F", "2": "F"}
# 0 is not among these: it may as well be the one sex of a file that writes 0 and 1
_NO_SEX = (
    "9",
    "I",
    "INDETERMINATE",
    "NOT KNOWN",
    "NOT SPECIFIED",
    "OTHER",
    "U",
    "UNKNOWN",
    "UNSPECIFIED",
    "X",
)


def nhs_digits(text: str | None) -> str | None:
    """Ten digits of an NHS number as typed, right or wrong; None if it cannot be one.

    Spaces and dashes are dropped; a number of one repeated digit is a placeholder and gives None.

    Examples
    --------
    >>> nhs_digits("943 476-5919")
    '9434765919'
    >>> nhs_digits("0000000000") is None
    True
    """
    digits = _SPACES_AND_DASHES.sub("", text or "")
    if not _TEN_DIGITS.fullmatch(digits) or digits == digits[0] * 10:
        return None
    return digits


def normalise_nhs_number(text: str | None) -> str | None:
    """Ten digits of a valid NHS number, or None.

    Valid means: ten digits, not all the same, and the tenth is the modulus-11 check of the first nine
    (weights 10 to 2; a check of 11 is written 0 and a check of 10 does not occur). Source: NHS Data
    Dictionary, NHS NUMBER.

    Examples
    --------
    >>> normalise_nhs_number("987 654 3210")
    '9876543210'
    >>> normalise_nhs_number("4857773456") is None
    True
    """
    digits = nhs_digits(text)
    if digits is None:
        return None
    total = sum(int(digit) * weight for digit, weight in zip(digits, range(10, 1, -1), strict=False))
    check = (11 - total % 11) % 11
    return digits if check == int(digits[9]) else None


def nhs_number_is_valid(text: str | None) -> bool:
    """Whether ``text`` is a valid NHS number (see :func:`normalise_nhs_number`).

    Examples
    --------
    >>> [nhs_number_is_valid(number) for number in ("9434765919", "1234567890", "9999999999", "")]
    [True, False, False, False]
    """
    return normalise_nhs_number(text) is not None


def nhs_digits_sql(column: str) -> str:
    """DuckDB expression equal to :func:`nhs_digits`.

    >>> nhs_digits_sql("n").startswith("(CASE")
    True
    """
    digits = f"regexp_replace({column}, '[\\s\\-‐‑‒–—]', '', 'g')"
    return (
        f"(CASE WHEN regexp_full_match({digits}, '[0-9]{{10}}') "
        f"AND {digits} <> repeat(substr({digits}, 1, 1), 10) THEN {digits} END)"
    )


def nhs_number_sql(digits: str) -> str:
    """DuckDB expression equal to :func:`normalise_nhs_number`, over a column already in digits.

    >>> "% 11" in nhs_number_sql("d")
    True
    """
    total = " + ".join(f"(ascii(substr({digits}, {i + 1}, 1)) - 48) * {10 - i}" for i in range(9))
    return f"(CASE WHEN (11 - ({total}) % 11) % 11 = ascii(substr({digits}, 10, 1)) - 48 THEN {digits} END)"


def name_sql(column: str) -> str:
    """DuckDB expression of a name in capitals without accents, spaces or signs; NULL if blank or a placeholder.

    >>> "strip_accents" in name_sql("n")
    True
    """
    plain = f"upper(regexp_replace(strip_accents(replace({column}, 'ß', 'ss')), '[^\\p{{L}}]', '', 'g'))"
    placeholders = ", ".join(f"'{name}'" for name in ("", *NAME_PLACEHOLDERS))
    return f"(CASE WHEN {plain} NOT IN ({placeholders}) THEN {plain} END)"


def postcode_sql(column: str) -> str:
    """DuckDB expression of a postcode in capitals without spaces; NULL if blank or ``ZZ99`` (no fixed abode, abroad).

    >>> "ZZ99" in postcode_sql("p")
    True
    """
    plain = f"upper(regexp_replace({column}, '[^A-Za-z0-9]', '', 'g'))"
    return f"(CASE WHEN {plain} <> '' AND NOT starts_with({plain}, 'ZZ99') THEN {plain} END)"


def sex_sql(column: str) -> str:
    """DuckDB expression: ``'M'``, ``'F'`` or NULL; the NHS codes 1 and 2 are understood, all else is unknown.

    >>> sex_sql("s").count("IN")
    2
    """
    lists = {
        sex: ", ".join(f"'{code}'" for code, meaning in _SEXES.items() if meaning == sex)
        for sex in ("M", "F")
    }
    plain = f"upper(trim({column}))"
    return f"(CASE WHEN {plain} IN ({lists['M']}) THEN 'M' WHEN {plain} IN ({lists['F']}) THEN 'F' END)"


def no_sex_sql(column: str) -> str:
    """DuckDB condition: whether a cell says in so many words that the sex is not known or neither.

    >>> "'UNKNOWN'" in no_sex_sql("s")
    True
    """
    words = ", ".join(f"'{word}'" for word in _NO_SEX)
    return f"(upper(trim({column})) IN ({words}))"


def email_sql(column: str) -> str:
    """DuckDB expression of an e-mail address in small letters; NULL if it cannot be one.

    >>> "@" in email_sql("e")
    True
    """
    plain = f"lower(regexp_replace({column}, '\\s', '', 'g'))"
    return f"(CASE WHEN regexp_full_match({plain}, '{_EMAIL}') THEN {plain} END)"


def phone_sql(column: str) -> str:
    """DuckDB expression of a telephone number's ten to fifteen digits, the United Kingdom's code written 0; else NULL.

    >>> "BETWEEN 10 AND 15" in phone_sql("p")
    True
    """
    digits = f"regexp_replace({column}, '[^0-9]', '', 'g')"
    digits = f"regexp_replace({digits}, '^(0044|44)0?', '0')"
    return (
        f"(CASE WHEN length({digits}) BETWEEN 10 AND 15 "
        f"AND {digits} <> repeat(substr({digits}, 1, 1), length({digits})::INT) THEN {digits} END)"
    )


def address_sql(column: str) -> str:
    """DuckDB expression of an address: capitals and digits alone, one space between words; NULL if blank.

    >>> "nullif" in address_sql("a")
    True
    """
    return f"nullif(upper(trim(regexp_replace({column}, '[^A-Za-z0-9]+', ' ', 'g'))), '')"


def ethnicity_sql(column: str) -> str:
    """DuckDB expression: one of :data:`ETHNICITIES` from a code of the NHS data dictionary (2001) or a plain group.

    NULL if not stated, or not understood, so that no free text goes on.


    >>> ethnicity_sql("e").count("starts_with") > 5
    True
    """
    plain = f"upper(trim({column}))"
    codes = " ".join(f"WHEN {plain} = '{code}' THEN '{group}'" for code, group in _ETHNIC_CODES.items())
    words = " ".join(f"WHEN starts_with({plain}, '{word}') THEN '{group}'" for word, group in _ETHNIC_WORDS)
    return f"(CASE {codes} {words} END)"
