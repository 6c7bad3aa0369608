"""Records that a valid NHS number joins.

Two records with the same valid NHS number are one person if their birth dates are equal, *or* if their full names are
alike (Jaro-Winkler at least :data:`ALIKE`, also with given and family name exchanged) and their sexes are both known
and equal. The number alone does not link: somebody else's mistyped number must not merge two people. A birth date known
to the month or the year only is not equal to any; but a record without any name, as research extracts have it, is
joined by its number where all records under that number agree on sex, on what they know of the birth date, and on
names where there are any.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from cohorts.hub import Hub
from cohorts.linkage_records import RECORDS

Ints = npt.NDArray[np.int64]

ALIKE = 0.88


def joined_by_number(hub: Hub) -> tuple[Ints, Ints]:
    """Pairs of records that the rule joins."""
    edges = hub.frame(
        f"""
        WITH held AS (
            SELECT nhs, count(*) AS n, count(DISTINCT birth) AS births, count(birth) AS dated,
                   min(record) AS first
            FROM {RECORDS} WHERE nhs IS NOT NULL GROUP BY nhs HAVING count(*) > 1
        ), mixed AS (
            SELECT r.* FROM {RECORDS} r JOIN held h USING (nhs) WHERE NOT (births = 1 AND dated = n)
        ), pairs AS (
            SELECT l.nhs, l.record AS a, r.record AS b,
                coalesce(l.birth = r.birth OR (l.sex = r.sex AND greatest(
                    jaro_winkler_similarity(l.given || ' ' || l.family, r.given || ' ' || r.family),
                    jaro_winkler_similarity(l.given || ' ' || l.family, r.family || ' ' || r.given)) >= {ALIKE}),
                    false) AS joined,
                coalesce(l.sex = r.sex AND l.birth_year = r.birth_year
                    AND coalesce(l.birth_month = r.birth_month, true)
                    AND (l.part IS NOT NULL OR r.part IS NOT NULL)
                    AND (coalesce(l.given, l.family) IS NULL OR coalesce(r.given, r.family) IS NULL), false) AS fits
            FROM mixed l JOIN mixed r ON l.nhs = r.nhs AND l.record < r.record
        ), agreed AS (
            SELECT nhs FROM pairs GROUP BY nhs HAVING bool_and(joined OR fits)
        )
        SELECT h.first AS a, r.record AS b FROM {RECORDS} r JOIN held h USING (nhs)
        WHERE births = 1 AND dated = n AND r.record <> h.first
        UNION ALL
        SELECT a, b FROM pairs WHERE joined OR (fits AND nhs IN (FROM agreed))
        ORDER BY a, b
        """
    )
    return edges["a"].to_numpy(np.int64), edges["b"].to_numpy(np.int64)


def shared_numbers(hub: Hub, entity: Ints) -> int:
    """Valid numbers that stand on records of several entities."""
    hub.connection.register("__entities", pd.DataFrame({"record": np.arange(len(entity)), "entity": entity}))
    try:
        shared = hub.frame(
            f"""
            SELECT count(*) AS n FROM (
                SELECT nhs FROM {RECORDS} JOIN __entities USING (record)
                WHERE nhs IS NOT NULL GROUP BY nhs HAVING count(DISTINCT entity) > 1)
            """
        )
    finally:
        hub.connection.unregister("__entities")
    return int(shared["n"].iloc[0])
