"""The table of records that linkage compares: identifiers in one form, one row a record.

It lives in the identified hub while people are linked, and is dropped with the last of it. A number, e-mail or
telephone on more than :data:`CROWDED` records is a dummy or an institution's and counts as blank.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from cohorts.comparisons import comparable_sql
from cohorts.errors import InputError
from cohorts.hub import Hub
from cohorts.identifiers import (
    address_sql,
    email_sql,
    ethnicity_sql,
    name_sql,
    nhs_digits_sql,
    nhs_number_sql,
    phone_sql,
    postcode_sql,
)
from cohorts.nicknames import NICKNAMES

RECORDS = "__link_records"
SCORED = "__link_scored"
"""View of the records that hold enough to be compared."""
CROWDED = 50


def make_records(hub: Hub) -> tuple[int, int]:
    """One row a record with identifiers in one form; the row number is the record.

    Returns how many records there are, and how many valid numbers were too crowded to use.
    """
    connection = hub.connection
    counted = connection.execute("SELECT count(*) FROM intake.patients").fetchone()
    if not counted or not counted[0]:
        raise InputError(
            "no patients to link", where="patients", found="0 accepted rows", expected="at least one"
        )
    nicknames = pd.DataFrame(list(NICKNAMES.items()), columns=["short", "long"])
    connection.register("__nicknames", nicknames)
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE __plain AS
        SELECT record, source, {name_sql("given_name")} AS given, {name_sql("family_name")} AS family,
            birth_date, coalesce(birth_precision, 'day') AS precision, sex,
            {postcode_sql("postcode")} AS postcode, {nhs_digits_sql("nhs_number")} AS digits,
            {email_sql("email")} AS email, {phone_sql("phone")} AS phone, {address_sql("address")} AS address,
            {ethnicity_sql("ethnicity")} AS ethnicity
        FROM intake.patients
        """
    )
    shared = {
        column: f"(SELECT {column} FROM __plain WHERE {column} IS NOT NULL "
        f"GROUP BY {column} HAVING count(*) > {CROWDED})"
        for column in ("digits", "email", "phone")
    }
    crowded = connection.execute(
        f"SELECT count({nhs_number_sql('digits')}) FROM {shared['digits']}"
    ).fetchone()
    own = {column: f"CASE WHEN {column} NOT IN {shared[column]} THEN {column} END" for column in shared}
    connection.execute(
        f"""
        CREATE OR REPLACE TABLE {RECORDS} AS
        SELECT n.record, n.source, n.given, coalesce(k.long, n.given) AS formal, n.family, n.sex, n.postcode,
            CASE WHEN regexp_full_match(n.postcode, '[A-Z]{{1,2}}[0-9][A-Z0-9]?[0-9][A-Z]{{2}}')
                 THEN n.postcode[:-4] END AS district,
            CASE WHEN n.precision = 'day' THEN strftime(n.birth_date, '%Y-%m-%d') END AS birth,
            CASE WHEN n.precision <> 'day' THEN NULL
                 WHEN day(n.birth_date) <= 12 THEN strftime(n.birth_date, '%Y-%d-%m')
                 ELSE strftime(n.birth_date, '%Y-%m-%d') END AS swapped,
            year(n.birth_date) AS birth_year,
            CASE WHEN n.precision <> 'year' THEN strftime(n.birth_date, '%Y-%m') END AS birth_month,
            CASE WHEN n.precision <> 'day' AND n.birth_date IS NOT NULL THEN n.precision END AS part,
            strftime(n.birth_date, '%Y-%m-%d') AS filled_birth, n.address, n.ethnicity, n.email, n.phone,
            nullif(regexp_extract(n.email, '^[^@]+'), '') AS mailbox,
            n.digits, {nhs_number_sql("n.digits")} AS nhs
        FROM (SELECT * REPLACE ({", ".join(f"{sql} AS {name}" for name, sql in own.items())}) FROM __plain) n
        LEFT JOIN __nicknames k ON k.short = n.given
        ORDER BY n.record
        """
    )
    connection.execute("DROP TABLE __plain")
    connection.unregister("__nicknames")
    return int(counted[0]), int(crowded[0]) if crowded else 0


def add_groups(hub: Hub, group: npt.NDArray[np.int64]) -> None:
    """Give the records the column ``grp``."""
    connection = hub.connection
    connection.register("__groups", pd.DataFrame({"record": np.arange(len(group)), "grp": group}))
    connection.execute(
        f"CREATE OR REPLACE TABLE {RECORDS}_grouped AS "
        f"SELECT r.*, g.grp::INTEGER AS grp FROM {RECORDS} r JOIN __groups g USING (record) ORDER BY record"
    )
    connection.unregister("__groups")
    connection.execute(f"DROP TABLE {RECORDS}")
    connection.execute(f"ALTER TABLE {RECORDS}_grouped RENAME TO {RECORDS}")


def set_bare_aside(hub: Hub) -> int:
    """Make the view of the records that are scored; how many hold too little to be."""
    connection = hub.connection
    connection.execute(f"CREATE OR REPLACE VIEW {SCORED} AS SELECT * FROM {RECORDS} WHERE {comparable_sql()}")
    counted = connection.execute(
        f"SELECT (SELECT count(*) FROM {RECORDS}) - (SELECT count(*) FROM {SCORED})"
    ).fetchone()
    return int(counted[0]) if counted else 0


def drop_records(hub: Hub) -> None:
    """Remove the table and its view, however far linkage came."""
    hub.connection.execute(f"DROP VIEW IF EXISTS {SCORED}")
    hub.connection.execute(f"DROP TABLE IF EXISTS {RECORDS}")
