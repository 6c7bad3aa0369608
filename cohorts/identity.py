"""Who an entity is to the rest of the house: a keyed pseudonym, and which entities objected.

The pseudonym is HMAC-SHA-256 under the project's key (RFC 2104), cut to 63 bits so that it fits a
signed 64-bit column. An unkeyed hash would not do: there are only 10^9 NHS numbers and all of them can
be hashed in minutes.
"""

from __future__ import annotations

import hashlib
import hmac

import pandas as pd

from cohorts.errors import PrivacyError
from cohorts.hub import Hub
from cohorts.identifiers import nhs_digits_sql, nhs_number_sql

KEY_BYTES = 32


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
