"""From the identified intake to the pseudonymous hub: the door that no identifier passes.

The hub is another database on another connection. Rows cross as Arrow batches that hold the columns of
:data:`cohorts.hub.HUB_TABLES` and nothing else; the two databases are never attached to one another.
People excluded by consent do not cross at all.

Where records of one person disagree, the birth date and the sex that most records state are kept, of birth
dates the most precisely known before all others; among equals the source listed first decides, then the lower
value. Of several deaths the earliest date is kept.
Of several consents the narrowest: consented only if all say so, withdrawn if any says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cohorts.consent import ConsentResult
from cohorts.hub import HUB_TABLES, OPEN_END, Hub, connect, create_hub_tables
from cohorts.identity import person_ids
from cohorts.linkage import Links
from cohorts.tables import DIAGNOSES, PROCEDURES
from cohorts.without_rows import WithoutRows

BATCH_ROWS = 1 << 17
SLICE_ROWS = 500_000


@dataclass(frozen=True, repr=False)
class BuiltHub(WithoutRows):
    """The pseudonymous hub and what the custodian keeps apart from it.

    Attributes
    ----------
    hub
        Tables of :data:`cohorts.hub.HUB_TABLES`.
    crosswalk
        ``source``, ``patient_id``, ``person_id`` of everybody in the hub. For the custodian alone.
    flow
        ``table``, ``read``, ``excluded``, ``merged``, ``kept``: intake rows, rows of people excluded by
        consent, rows folded into another of the same person, rows in the hub;
        ``read = excluded + merged + kept``.
    births
        Precision (``day``, ``month``, ``year``) to people in the hub whose birth date is known no better.
    """

    hub: Hub
    crosswalk: pd.DataFrame
    flow: pd.DataFrame
    births: Mapping[str, int]


# day, month, year: the alphabet has them in the order of their worth
PRECISION = "coalesce(i.birth_precision, 'day')"

_SPAN_END = f"coalesce({{end}}, DATE '{OPEN_END}')"

# Hub table: rows of the intake (joined to __people p on record), in the order of the hub's columns.
_QUERIES: Mapping[str, str] = {
    "people": f"""
        SELECT person_id,
            arg_min(sex, row(-sexes, position, sex)) FILTER (sex IS NOT NULL) AS sex,
            arg_min(born, row(precision, -births, position, born)) FILTER (born IS NOT NULL) AS birth_date
        FROM (SELECT p.person_id, i.sex, i.birth_date AS born, s.position,
                {PRECISION} AS precision,
                count(*) OVER (PARTITION BY p.person_id, i.sex) AS sexes,
                count(*) OVER (PARTITION BY p.person_id, i.birth_date, {PRECISION}) AS births
              FROM intake.patients i JOIN __people p USING (record) JOIN intake.sources s USING (source))
        GROUP BY person_id ORDER BY person_id
    """,
    "registrations": f"""
        SELECT p.person_id, practice, start, {_SPAN_END.format(end='"end"')} AS "end"
        FROM intake.registrations JOIN __people p USING (record) ORDER BY ALL
    """,
    "addresses": f"""
        SELECT p.person_id, area, start, {_SPAN_END.format(end='"end"')} AS "end"
        FROM intake.addresses JOIN __people p USING (record) ORDER BY ALL
    """,
    "events": """
        SELECT p.person_id, date, source, kind, system, code, value, unit FROM (
            SELECT record, date, source, coalesce(kind, 'event') AS kind, system, code, value, unit FROM intake.events
            UNION ALL
            SELECT record, date, source, 'prescription', system, code, NULL, NULL FROM intake.prescriptions
            UNION ALL
            SELECT record, date, source, 'contact', system, code, NULL, NULL FROM intake.contacts
            UNION ALL
            SELECT record, admission_date, source, 'diagnosis', 'icd10', code, NULL, NULL
            FROM (UNPIVOT intake.admissions ON COLUMNS('^diag_[0-9]+$') INTO NAME n VALUE code)
            UNION ALL
            SELECT record, admission_date, source, 'procedure', 'opcs4', code, NULL, NULL
            FROM (UNPIVOT intake.admissions ON COLUMNS('^opcs_[0-9]+$') INTO NAME n VALUE code)
            UNION ALL
            SELECT record, date, source, 'death', system, code, NULL, NULL
            FROM (UNPIVOT intake.deaths
                  ON underlying, contributory_1, contributory_2, contributory_3 INTO NAME n VALUE code)
        ) JOIN __people p USING (record)
        ORDER BY p.person_id, date, source, kind, system, code, value, unit
    """,
    "deaths": """
        SELECT p.person_id, min(date) AS date,
            arg_min(underlying, row(date, underlying)) FILTER (system = 'icd10') AS underlying
        FROM intake.deaths JOIN __people p USING (record) GROUP BY 1 ORDER BY 1
    """,
    "care": f"""
        SELECT p.person_id, start, {_SPAN_END.format(end='"end"')} AS "end", care_type
        FROM intake.care JOIN __people p USING (record) ORDER BY ALL
    """,
    "samples": """
        SELECT sample_id, p.person_id, collected
        FROM intake.samples JOIN __people p USING (record) ORDER BY ALL
    """,
    "consents": """
        SELECT p.person_id, bool_and(consented) AS consented, max(consented_on) AS consented_on,
               min(withdrawn) AS withdrawn
        FROM intake.consents JOIN __people p USING (record) GROUP BY 1 ORDER BY 1
    """,
    "pollution": "SELECT area, year, pm25, no2 FROM intake.pollution ORDER BY area, year",
    "deprivation": "SELECT area, imd_decile FROM intake.deprivation ORDER BY area",
    "sources": "SELECT source, icd10_edition, observed FROM intake.sources ORDER BY position",
}

# Intake tables whose rows become rows of each hub table one for one, or are folded by person.
_ORIGINS: Mapping[str, str] = {
    "people": "patients",
    "registrations": "registrations",
    "addresses": "addresses",
    "deaths": "deaths",
    "care": "care",
    "samples": "samples",
    "consents": "consents",
}


def build_hub(
    intake: Hub,
    links: Links,
    consent: ConsentResult,
    *,
    key: bytes,
    target: str | Path = ":memory:",
    memory_limit: str = "1GB",
    threads: int = 2,
) -> BuiltHub:
    """Build the pseudonymous hub.

    Parameters
    ----------
    intake
        Identified hub filled by :func:`cohorts.sources.read_sources`.
    links, consent
        From :func:`cohorts.linkage.link` and :func:`cohorts.consent.apply_consent`.
    key
        Project key, at least 32 bytes.
    target
        Where the hub goes: ``":memory:"`` or a path that does not exist yet.
    memory_limit, threads
        Of the new hub.

    Returns
    -------
    BuiltHub

    Raises
    ------
    PrivacyError
        The key is weak or two people received one pseudonym.
    """
    people = person_ids(intake, links.crosswalk, key=key)
    included = people[~people["entity"].isin(consent.excluded["entity"])]
    crosswalk = links.crosswalk.merge(included, on="entity")[["source", "patient_id", "person_id"]]
    hub = connect(target, memory_limit=memory_limit, threads=threads)
    create_hub_tables(hub)
    intake.connection.register("__crosswalk", crosswalk)
    intake.connection.execute(
        "CREATE OR REPLACE TEMP TABLE __people AS SELECT i.record, c.person_id "
        "FROM intake.patients i JOIN __crosswalk c USING (source, patient_id)"
    )
    intake.connection.unregister("__crosswalk")
    try:
        for table in HUB_TABLES:
            _carry(intake, hub, table)
        flow = _flow(intake, hub)
        births = _births(intake)
    finally:
        intake.connection.execute("DROP TABLE __people")
    return BuiltHub(hub, crosswalk.sort_values(["source", "patient_id"], ignore_index=True), flow, births)


def _carry(intake: Hub, hub: Hub, table: str) -> None:
    if table == "events":
        _carry_events(intake, hub)
    else:
        _move(intake, hub, _QUERIES[table], f"INSERT INTO {table} SELECT * FROM __rows")


def _carry_events(intake: Hub, hub: Hub) -> None:
    """In slices of people, whose pseudonyms are spread evenly, so that a sort holds one slice only."""
    counted = intake.connection.execute(
        "SELECT (SELECT count(*) FROM intake.events) + (SELECT count(*) FROM intake.prescriptions) "
        "+ (SELECT count(*) FROM intake.admissions) + (SELECT count(*) FROM intake.contacts)"
    ).fetchone()
    slices = 1 + (counted[0] if counted else 0) // SLICE_ROWS
    for i in range(slices):
        low, high = (i << 63) // slices, ((i + 1) << 63) // slices - 1
        intake.connection.execute(
            "CREATE OR REPLACE TEMP TABLE __slice AS "
            f"SELECT * FROM __people WHERE person_id BETWEEN {low} AND {high}"
        )
        done = hub.connection.execute("SELECT count(*) FROM events").fetchone()
        first = done[0] if done else 0
        insert = f"INSERT INTO events SELECT {first} + row_number() OVER () - 1, * FROM __rows"
        _move(intake, hub, _QUERIES["events"].replace("__people", "__slice"), insert)
    intake.connection.execute("DROP TABLE __slice")


def _move(intake: Hub, hub: Hub, query: str, insert: str) -> None:
    hub.connection.register("__rows", intake.connection.execute(query).to_arrow_reader(BATCH_ROWS))
    hub.connection.execute(insert)
    hub.connection.unregister("__rows")


def _births(intake: Hub) -> dict[str, int]:
    """People by the precision of the birth date that the hub has of them."""
    rows = intake.connection.execute(
        f"SELECT precision, count(*) FROM (SELECT min({PRECISION}) AS precision FROM intake.patients i "
        "JOIN __people p USING (record) WHERE i.birth_date IS NOT NULL GROUP BY p.person_id) GROUP BY 1 ORDER BY 1"
    ).fetchall()
    return {str(precision): int(people) for precision, people in rows}


def _flow(intake: Hub, hub: Hub) -> pd.DataFrame:
    rows = []
    for table, origin in _ORIGINS.items():
        counts = intake.frame(
            f"SELECT count(*) AS read, count(p.record) AS included FROM intake.{origin} i "
            "LEFT JOIN __people p USING (record)"
        ).iloc[0]
        kept = int(hub.frame(f"SELECT count(*) AS n FROM {table}")["n"].iloc[0])
        read, included = int(counts["read"]), int(counts["included"])
        rows.append((table, read, read - included, included - kept, kept))
    rows.insert(3, _event_flow(intake, hub))
    return pd.DataFrame(rows, columns=["table", "read", "excluded", "merged", "kept"])


def _event_flow(intake: Hub, hub: Hub) -> tuple[str, int, int, int, int]:
    """Events come from five tables, some with several codes a row, so codes are counted on both sides."""
    codes = " UNION ALL ".join(
        f"SELECT record, {count} AS n FROM intake.{table}"
        for table, count in (
            ("events", "1"),
            ("prescriptions", "1"),
            ("contacts", "1"),
            (
                "admissions",
                "+".join(
                    f"({c} IS NOT NULL)::INT"
                    for c in (*_numbered("diag", DIAGNOSES), *_numbered("opcs", PROCEDURES))
                ),
            ),
            (
                "deaths",
                "+".join(f"({c} IS NOT NULL)::INT" for c in ("underlying", *_numbered("contributory", 3))),
            ),
        )
    )
    counts = intake.frame(
        "SELECT coalesce(sum(n), 0)::BIGINT AS read, "
        "coalesce(sum(n) FILTER (p.record IS NULL), 0)::BIGINT AS out "
        f"FROM ({codes}) LEFT JOIN __people p USING (record)"
    ).iloc[0]
    kept = int(hub.frame("SELECT count(*) AS n FROM events")["n"].iloc[0])
    read, out = int(counts["read"]), int(counts["out"])
    if read - out != kept:
        raise AssertionError(f"events: {read} codes read, {out} excluded, {kept} in the hub")
    return ("events", read, out, 0, kept)


def _numbered(stem: str, count: int) -> list[str]:
    return [f"{stem}_{i}" for i in range(1, count + 1)]
