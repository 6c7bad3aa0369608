"""Identifiers: checked, put into one form, and turned into a keyed pseudonym.

Only this module and :mod:`cohorts.linkage` look inside a name, a postcode, an NHS number or another
identifier. Each rule exists twice, as a Python function for one value and as a DuckDB expression for
millions of rows; the tests hold the two equal.

The pseudonym is HMAC-SHA-256 under the project's key (RFC 2104), cut to 63 bits so that it fits a
signed 64-bit column. An unkeyed hash would not do: there are only 10^9 NHS numbers and all of them can
be hashed in minutes.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import unicodedata

import pandas as pd

from cohorts.errors import PrivacyError
from cohorts.hub import Hub

KEY_BYTES = 32

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

_EMAIL = re.compile(r"[^@]+@[^@.]+(\.[^@.]+)+")
_SPACES_AND_DASHES = re.compile(r"[\s\-‐‑‒–—]")
_TEN_DIGITS = re.compile(r"[0-9]{10}")
_SEXES = {"M": "M", "MALE": "M", "1": "M", "F": "F", "FEMALE": "F", "2": "F"}


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


def normalise_name(text: str | None) -> str | None:
    """A name in capitals without accents, spaces or signs; None if blank or a placeholder.

    Examples
    --------
    >>> normalise_name(" O'Néill-Smith ")
    'ONEILLSMITH'
    >>> normalise_name("unknown") is None
    True
    """
    plain = "".join(
        letter
        for letter in unicodedata.normalize("NFD", text or "")
        if unicodedata.category(letter)[0] == "L"
    ).upper()
    return None if plain in NAME_PLACEHOLDERS else plain or None


def normalise_postcode(text: str | None) -> str | None:
    """A postcode in capitals without spaces; None if blank or a ``ZZ99`` (no fixed abode, abroad) code.

    Examples
    --------
    >>> normalise_postcode("sw1a 1aa")
    'SW1A1AA'
    >>> normalise_postcode("ZZ99 3WZ") is None
    True
    """
    plain = re.sub(r"[^A-Za-z0-9]", "", text or "").upper()
    return None if plain.startswith("ZZ99") else plain or None


def normalise_email(text: str | None) -> str | None:
    """An e-mail address in small letters; None if it cannot be one.

    Examples
    --------
    >>> normalise_email(" Ann.Lee@Example.org ")
    'ann.lee@example.org'
    >>> normalise_email("none") is None
    True
    """
    plain = re.sub(r"\s", "", text or "").lower()
    return plain if _EMAIL.fullmatch(plain) else None


def normalise_phone(text: str | None) -> str | None:
    """Ten to fifteen digits of a telephone number, the United Kingdom's code written 0; else None.

    Examples
    --------
    >>> normalise_phone("+44 (0)1632 960 001")
    '01632960001'
    >>> normalise_phone("0000000000") is None
    True
    """
    digits = re.sub(r"[^0-9]", "", text or "")
    digits = re.sub(r"^(0044|44)0?", "0", digits)
    if not 10 <= len(digits) <= 15 or digits == digits[0] * len(digits):
        return None
    return digits


def normalise_address(text: str | None) -> str | None:
    """Lines of an address in capitals, letters and digits alone, one space between words; None if blank.

    Examples
    --------
    >>> normalise_address("Flat 2,  14 St. John's Rd")
    'FLAT 2 14 ST JOHN S RD'
    """
    plain = re.sub(r"[^A-Za-z0-9]+", " ", text or "").strip().upper()
    return plain or None


def normalise_ethnicity(text: str | None) -> str | None:
    """One of :data:`ETHNICITIES` from an NHS data dictionary code (2001) or a plain group; None if not stated.

    Whatever cannot be understood is None as well, so that no free text goes on.

    Examples
    --------
    >>> [normalise_ethnicity(text) for text in ("A", "Black or Black British - African", "Z")]
    ['white', 'black', None]
    """
    plain = (text or "").strip().upper()
    if plain in _ETHNIC_CODES:
        return _ETHNIC_CODES[plain]
    return next((group for word, group in _ETHNIC_WORDS if plain.startswith(word)), None)


def normalise_sex(text: str | None) -> str | None:
    """``'M'``, ``'F'`` or None; the NHS codes 1 and 2 are understood, all else is unknown.

    Examples
    --------
    >>> [normalise_sex(code) for code in ("male", "F", "2", "9", "")]
    ['M', 'F', 'F', None, None]
    """
    return _SEXES.get((text or "").strip().upper())


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
    """DuckDB expression equal to :func:`normalise_name`.

    >>> "strip_accents" in name_sql("n")
    True
    """
    plain = f"upper(regexp_replace(strip_accents(replace({column}, 'ß', 'ss')), '[^\\p{{L}}]', '', 'g'))"
    placeholders = ", ".join(f"'{name}'" for name in ("", *NAME_PLACEHOLDERS))
    return f"(CASE WHEN {plain} NOT IN ({placeholders}) THEN {plain} END)"


def postcode_sql(column: str) -> str:
    """DuckDB expression equal to :func:`normalise_postcode`.

    >>> "ZZ99" in postcode_sql("p")
    True
    """
    plain = f"upper(regexp_replace({column}, '[^A-Za-z0-9]', '', 'g'))"
    return f"(CASE WHEN {plain} <> '' AND NOT starts_with({plain}, 'ZZ99') THEN {plain} END)"


def sex_sql(column: str) -> str:
    """DuckDB expression equal to :func:`normalise_sex`.

    >>> sex_sql("s").count("IN")
    2
    """
    lists = {
        sex: ", ".join(f"'{code}'" for code, meaning in _SEXES.items() if meaning == sex)
        for sex in ("M", "F")
    }
    plain = f"upper(trim({column}))"
    return f"(CASE WHEN {plain} IN ({lists['M']}) THEN 'M' WHEN {plain} IN ({lists['F']}) THEN 'F' END)"


def email_sql(column: str) -> str:
    """DuckDB expression equal to :func:`normalise_email`.

    >>> "@" in email_sql("e")
    True
    """
    plain = f"lower(regexp_replace({column}, '\\s', '', 'g'))"
    return f"(CASE WHEN regexp_full_match({plain}, '{_EMAIL.pattern}') THEN {plain} END)"


def phone_sql(column: str) -> str:
    """DuckDB expression equal to :func:`normalise_phone`.

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
    """DuckDB expression equal to :func:`normalise_address`.

    >>> "nullif" in address_sql("a")
    True
    """
    return f"nullif(upper(trim(regexp_replace({column}, '[^A-Za-z0-9]+', ' ', 'g'))), '')"


def ethnicity_sql(column: str) -> str:
    """DuckDB expression equal to :func:`normalise_ethnicity`.

    >>> ethnicity_sql("e").count("starts_with") > 5
    True
    """
    plain = f"upper(trim({column}))"
    codes = " ".join(f"WHEN {plain} = '{code}' THEN '{group}'" for code, group in _ETHNIC_CODES.items())
    words = " ".join(f"WHEN starts_with({plain}, '{word}') THEN '{group}'" for word, group in _ETHNIC_WORDS)
    return f"(CASE {codes} {words} END)"


def check_key(key: bytes) -> bytes:
    """Return the project key if it is long enough to protect anyone.

    Raises
    ------
    PrivacyError
        Not bytes, shorter than 32 bytes, or one byte repeated. The key itself is never in the message.

    Examples
    --------
    >>> check_key(bytes(range(32))) == bytes(range(32))
    True
    """
    if not isinstance(key, bytes) or len(key) < KEY_BYTES or len(set(key)) == 1:
        found = f"{len(key)} bytes" if isinstance(key, bytes) else type(key).__name__
        raise PrivacyError(
            "the project key cannot protect pseudonyms",
            where="project key",
            found=found,
            expected=f"at least {KEY_BYTES} random bytes",
            fix="make a new key file",
        )
    return key


def pseudonym(key: bytes, text: str) -> int:
    """Keyed pseudonym of one canonical identity.

    Parameters
    ----------
    key
        At least 32 secret bytes, one key a project.
    text
        Canonical identity, ``nhs:<ten digits>`` or ``local:<source>:<patient_id>``.

    Returns
    -------
    int
        The first 63 bits (big-endian) of HMAC-SHA-256(key, UTF-8 of text); 0 to 2^63 - 1.

    Examples
    --------
    >>> pseudonym(bytes(range(32)), "nhs:9434765919") == pseudonym(bytes(range(32)), "nhs:9434765919")
    True
    """
    digest = hmac.new(check_key(key), text.encode("utf-8"), hashlib.sha256).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def canonical_identities(intake: Hub, crosswalk: pd.DataFrame) -> pd.DataFrame:
    """One identity text for each entity, the same from run to run.

    The lowest valid NHS number that belongs to the entity, else its lowest ``source:patient_id``. A
    number that several entities carry (one of them mistyped) belongs to the entity with most records
    under it, and among equals to the one with the lowest ``source:patient_id``.

    Parameters
    ----------
    intake
        Identified hub filled by :func:`cohorts.sources.read_sources`.
    crosswalk
        ``source``, ``patient_id``, ``entity`` as :func:`cohorts.linkage.link` gives it.

    Returns
    -------
    DataFrame
        ``entity`` (int64), ``identity`` (str). Identified: it must not leave this package's callers.
    """
    connection = intake.connection
    connection.register("crosswalk_in", crosswalk[["source", "patient_id", "entity"]])
    try:
        return connection.execute(
            f"""
            WITH records AS (
                SELECT c.entity, p.source || ':' || p.patient_id AS local,
                       {nhs_number_sql("d")} AS nhs
                FROM (SELECT *, {nhs_digits_sql("nhs_number")} AS d FROM intake.patients) p
                JOIN crosswalk_in c USING (source, patient_id)
            ), claims AS (
                SELECT nhs, entity, count(*) AS n, min(local) AS first FROM records
                WHERE nhs IS NOT NULL GROUP BY nhs, entity
            ), owned AS (
                SELECT nhs, entity FROM claims
                QUALIFY row_number() OVER (PARTITION BY nhs ORDER BY n DESC, first) = 1
            )
            SELECT r.entity::BIGINT AS entity,
                   coalesce('nhs:' || min(o.nhs), 'local:' || min(r.local)) AS identity
            FROM records r LEFT JOIN owned o ON o.entity = r.entity AND o.nhs = r.nhs
            GROUP BY r.entity ORDER BY r.entity
            """
        ).df()
    finally:
        connection.unregister("crosswalk_in")


def person_ids(intake: Hub, crosswalk: pd.DataFrame, *, key: bytes) -> pd.DataFrame:
    """Pseudonym of every entity, with collisions checked.

    Returns
    -------
    DataFrame
        ``entity`` (int64), ``person_id`` (int64), in entity order.

    Raises
    ------
    PrivacyError
        The key is weak, or two entities received one pseudonym.
    """
    check_key(key)
    identities = canonical_identities(intake, crosswalk)
    numbers = pd.Series([pseudonym(key, text) for text in identities["identity"]], dtype="int64")
    if numbers.nunique() != len(numbers):
        raise PrivacyError(
            "two people received one pseudonym",
            where="project key",
            found=f"{len(numbers) - numbers.nunique()} collisions among {len(numbers)} people",
            expected="none",
            fix="make a new project key and run again",
        )
    return pd.DataFrame({"entity": identities["entity"].astype("int64"), "person_id": numbers})


def entities_with_numbers(intake: Hub, crosswalk: pd.DataFrame, numbers_table: str) -> pd.DataFrame:
    """Entities any of whose records carries a number of ``numbers_table.nhs_number``.

    Numbers match on their ten digits whether or not the check digit holds: for an opt-out it is safer
    to honour a mistyped number that both sides mistyped than to ignore it.

    Returns
    -------
    DataFrame
        ``number`` (running integer of the row in the table, never the number), ``usable`` (bool: it has
        ten digits), ``entity`` (nullable Int64: None where nobody carries it); one row a match.
    """
    connection = intake.connection
    connection.register("crosswalk_in", crosswalk[["source", "patient_id", "entity"]])
    try:
        found = connection.execute(
            f"""
            WITH wanted AS (
                SELECT row_number() OVER () AS number, {nhs_digits_sql("nhs_number")} AS digits
                FROM {numbers_table}
            ), held AS (
                SELECT DISTINCT c.entity, {nhs_digits_sql("p.nhs_number")} AS digits
                FROM intake.patients p JOIN crosswalk_in c USING (source, patient_id)
            )
            SELECT w.number, w.digits IS NOT NULL AS usable, h.entity
            FROM wanted w LEFT JOIN held h USING (digits) ORDER BY ALL
            """
        ).df()
    finally:
        connection.unregister("crosswalk_in")
    return found.astype({"entity": "Int64"})


def objectors(intake: Hub, *, key: bytes) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Records and pseudonyms of the people who opted out or withdrew, without linking anything.

    For tracing them in what was made before. A number that somebody else bears by mistake brings that
    person's records in: it is for tracing, where too many is the safer mistake.

    Parameters
    ----------
    intake
        Hub with ``intake.patients``, ``intake.consents`` and ``intake.optouts``.
    key
        Project key.

    Returns
    -------
    records
        ``source``, ``patient_id``, ``reason`` (``opt-out`` or ``withdrawal``).
    pseudonyms
        ``person_id``, ``reason``: what the numbers themselves give, whether or not a record bears them.
    """
    check_key(key)
    digits = nhs_digits_sql("p.nhs_number")
    records = intake.frame(
        f"""
        WITH numbers AS (SELECT DISTINCT {nhs_digits_sql("nhs_number")} AS digits FROM intake.optouts)
        SELECT DISTINCT p.source, p.patient_id, 'opt-out' AS reason
        FROM intake.patients p JOIN numbers n ON {digits} = n.digits
        UNION
        SELECT p.source, p.patient_id, 'withdrawal' FROM intake.consents c
        JOIN intake.patients p USING (record) WHERE c.withdrawn IS NOT NULL
        ORDER BY ALL
        """
    )
    numbers = intake.frame(
        f"""
        SELECT DISTINCT {nhs_number_sql("d")} AS nhs, reason FROM (
            SELECT {nhs_digits_sql("nhs_number")} AS d, 'opt-out' AS reason FROM intake.optouts
            UNION ALL
            SELECT {digits}, 'withdrawal' FROM intake.consents c
            JOIN intake.patients p USING (record) WHERE c.withdrawn IS NOT NULL)
        WHERE nhs IS NOT NULL ORDER BY ALL
        """
    )
    made = pd.Series([pseudonym(key, f"nhs:{number}") for number in numbers["nhs"]], dtype="int64")
    return records, pd.DataFrame({"person_id": made, "reason": numbers["reason"].astype(object)})
