"""Twins and namesakes: records that agree on much and yet must not share a person.

They were born on one day, or within what is known of it, under one family name, with given names that are neither alike
nor forms of one another, and are either two patients of one source or holders of two valid numbers.
"""

from __future__ import annotations

import pandas as pd

from cohorts.hub import Hub
from cohorts.linkage_records import RECORDS

_APART = """
SELECT a.record AS l, b.record AS r FROM {records} a JOIN {records} b
    ON {born} AND a.family = b.family AND a.record < b.record AND a.grp <> b.grp
WHERE a.formal <> b.formal AND jaro_winkler_similarity(a.given, b.given) < 0.8
    AND NOT ((length(a.given) = 1 OR length(b.given) = 1) AND a.given[1] = b.given[1])
    AND (damerau_levenshtein(a.digits, b.digits) > 1 OR a.digits IS NULL OR b.digits IS NULL)
    AND (a.source = b.source OR (a.nhs IS NOT NULL AND b.nhs IS NOT NULL))
"""
_BORN_ALIKE = (
    "a.birth = b.birth",
    "(a.part IS NOT NULL OR b.part IS NOT NULL) AND a.birth_year = b.birth_year "
    "AND coalesce(a.birth_month = b.birth_month, true)",
)


def kept_apart(hub: Hub) -> pd.DataFrame:
    """Pairs of records (``l``, ``r``) that must not share a person: twins and namesakes born on one day."""
    return hub.frame(
        f"{' UNION ALL '.join(_APART.format(records=RECORDS, born=born) for born in _BORN_ALIKE)} ORDER BY l, r"
    )
