"""Which records belong to one person: valid NHS number first, then Splink for the rest.

**Deterministic step.** Two records with the same valid NHS number are one person if their birth dates
are equal, *or* if their full names are alike (Jaro-Winkler at least :data:`ALIKE`, also with given and
family name exchanged) and their sexes are both known and equal. The number alone does not link: somebody
else's mistyped number must not merge two people. A number on more than :data:`CROWDED` records is a
dummy and links nothing. Numbers that end up on several entities are counted as conflicts.

**Probabilistic step.** A Fellegi-Sunter model in Splink (Linacre et al. 2022, IJPDS 7:23) over all
records, within and between sources: names, birth date, sex, postcode, and the ten typed digits of the
NHS number as one comparison among the others. u probabilities come from random pairs, m probabilities
from expectation maximisation, the prior from the exact-agreement pairs and then from the scored pairs
themselves; no labels are used. Where the
data hold too few likely matches to learn from (:data:`LEARN_FROM` pairs) the declared starting values
stand. Pairs inside one deterministic group are not scored.

**Clusters.** Links at or above the threshold are chosen from the most probable down, and refused where
they would put two valid NHS numbers with different birth dates into one cluster, or make a giant
(:mod:`cohorts.clusters`). Twins: records that share birth date, family name and postcode but bear"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cohorts.clusters import UNKNOWN, guarded_clusters
from cohorts.errors import DesignError, InputError
from cohorts.hub import Hub
from cohorts.identity import name_sql, nhs_digits_sql, nhs_number_sql, postcode_sql
from cohorts.linkage_model import LEARN_FROM, RECORDS, kept_apart, score_pairs
from cohorts.linkage_quality import PairQuality, pair_quality
from cohorts.nicknames import NICKNAMES

__all__ = ["LEARN_FROM", "Links", "PairQuality", "link", "pair_quality"]

ALIKE = 0.88
CROWDED = 50
BANDS = (0.01, 0.1, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0)


@dataclass(frozen=True)
class Links:
    """Who is whom.

    Attributes
    ----------
    crosswalk
        ``source``, ``patient_id``, ``entity`` (int64), ``method`` (``nhs``, ``splink``, ``single``),
        ``match_probability`` (1 for ``nhs``, NaN for ``single``, else the weakest link between the record
        and the largest group of its entity). Local identifiers only; no name, date or NHS number.
    summary
        ``source``, ``records``, ``nhs``, ``splink``, ``single``, ``entities``: one row a source and one
        for all of them.
    borderline
        ``low``, ``high``, ``pairs``: scored pairs by band of match probability, ``[low, high)``.
    conflicts
        ``conflict``, ``count``: what the guards met.
    model
        The trained parameters: ``comparison``, ``level``, ``m``, ``u``; empty where Splink had nothing to
        do.
    threshold
        Least match probability of a link.
    """

    crosswalk: pd.DataFrame
    summary: pd.DataFrame
    borderline: pd.DataFrame
    conflicts: pd.DataFrame
    model: pd.DataFrame
    threshold: float


def link(
    hub: Hub, *, threshold: float = 0.9, seed: int, largest: int = 50, sample_pairs: float = 1e6
) -> Links:
    """Link the patients of all sources, within and between them.

    Parameters
    ----------
    hub
        Identified hub filled by :func:`cohorts.sources.read_sources`.
    threshold
        Least match probability at which Splink's pairs are linked; strictly between 0.5 and 1.
    seed
        Of the random pairs that u probabilities are estimated from.
    largest
        Most records one person may have through probable links.
    sample_pairs
        Random pairs to draw for u.

    Returns
    -------
    Links

    Raises
    ------
    DesignError
        The threshold is out of range.
    InputError
        There are no patients.
    """
    if not 0.5 < threshold < 1:
        raise DesignError(
            "threshold out of range",
            where="linkage.threshold",
            found=threshold,
            expected="a number above 0.5 and below 1",
        )
    records = _prepare(hub)
    try:
        group, crowded = _deterministic(hub, records)
        hub.connection.execute(f"ALTER TABLE {RECORDS} ADD COLUMN grp INTEGER")
        hub.connection.register("__groups", pd.DataFrame({"record": np.arange(records), "grp": group}))
        hub.connection.execute(
            f"UPDATE {RECORDS} SET grp = g.grp FROM __groups g WHERE {RECORDS}.record = g.record"
        )
        hub.connection.unregister("__groups")
        pairs, model = score_pairs(hub, seed=seed, sample_pairs=sample_pairs, least=BANDS[0])
        return _gather(hub, group, pairs, model, threshold=threshold, largest=largest, crowded=crowded)
    finally:
        hub.connection.execute(f"DROP TABLE IF EXISTS {RECORDS}")


def _prepare(hub: Hub) -> int:
    """One row a record with identifiers in one form; the row number is the record."""
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
        CREATE OR REPLACE TABLE {RECORDS} AS
        SELECT n.record, n.source, n.given, coalesce(k.long, n.given) AS formal, n.family, n.sex, n.postcode,
            CASE WHEN regexp_full_match(n.postcode, '[A-Z]{{1,2}}[0-9][A-Z0-9]?[0-9][A-Z]{{2}}')
                 THEN n.postcode[:-4] END AS district,
            strftime(n.birth_date, '%Y-%m-%d') AS birth,
            CASE WHEN day(n.birth_date) <= 12 THEN strftime(n.birth_date, '%Y-%d-%m')
                 ELSE strftime(n.birth_date, '%Y-%m-%d') END AS swapped,
            year(n.birth_date) AS birth_year,
            n.digits, {nhs_number_sql("n.digits")} AS nhs
        FROM (SELECT record, source, {name_sql("given_name")} AS given, {name_sql("family_name")} AS family,
                     birth_date, sex, {postcode_sql("postcode")} AS postcode,
                     {nhs_digits_sql("nhs_number")} AS digits
              FROM intake.patients) n
        LEFT JOIN __nicknames k ON k.short = n.given
        ORDER BY n.record
        """
    )
    connection.unregister("__nicknames")
    return int(counted[0])


def _deterministic(hub: Hub, records: int) -> tuple[np.ndarray[Any, np.dtype[np.int64]], int]:
    """Lowest record of each record's group, and how many numbers were too crowded to use."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = hub.frame(
        f"""
        WITH held AS (
            SELECT nhs, count(*) AS n, count(DISTINCT birth) AS births, count(birth) AS dated,
                   min(record) AS first
            FROM {RECORDS} WHERE nhs IS NOT NULL GROUP BY nhs HAVING count(*) BETWEEN 2 AND {CROWDED}
        ), mixed AS (
            SELECT r.* FROM {RECORDS} r JOIN held h USING (nhs) WHERE NOT (births = 1 AND dated = n)
        )
        SELECT h.first AS a, r.record AS b FROM {RECORDS} r JOIN held h USING (nhs)
        WHERE births = 1 AND dated = n AND r.record <> h.first
        UNION ALL
        SELECT l.record, r.record FROM mixed l JOIN mixed r ON l.nhs = r.nhs AND l.record < r.record
        WHERE l.birth = r.birth OR (l.sex = r.sex AND greatest(
            jaro_winkler_similarity(l.given || ' ' || l.family, r.given || ' ' || r.family),
            jaro_winkler_similarity(l.given || ' ' || l.family, r.family || ' ' || r.given)) >= {ALIKE})
        """
    )
    crowded = hub.frame(
        f"SELECT count(*) AS n FROM (SELECT nhs FROM {RECORDS} WHERE nhs IS NOT NULL "
        f"GROUP BY nhs HAVING count(*) > {CROWDED})"
    )
    a, b = edges["a"].to_numpy(np.int64), edges["b"].to_numpy(np.int64)
    graph = coo_array((np.ones(len(a), np.int8), (a, b)), shape=(records, records))
    _, label = connected_components(graph, directed=False)
    lowest = np.full(label.max() + 1, records, np.int64)
    np.minimum.at(lowest, label, np.arange(records))
    return lowest[label], int(crowded["n"].iloc[0])


def _gather(
    hub: Hub,
    group: np.ndarray[Any, np.dtype[np.int64]],
    pairs: pd.DataFrame,
    model: pd.DataFrame,
    *,
    threshold: float,
    largest: int,
    crowded: int,
) -> Links:
    chosen = pairs[pairs["match_probability"] >= threshold]
    apart = kept_apart(hub)
    coded = hub.frame(
        f"""
        SELECT coalesce(dense_rank() OVER (ORDER BY nhs), 0) AS number, nhs IS NULL AS unnumbered,
               dense_rank() OVER (ORDER BY birth) AS birth, birth IS NULL AS undated
        FROM {RECORDS} ORDER BY record
        """
    )
    clusters = guarded_clusters(
        group,
        chosen["l"].to_numpy(np.int64),
        chosen["r"].to_numpy(np.int64),
        chosen["match_probability"].to_numpy(np.float64),
        np.where(coded["unnumbered"], UNKNOWN, coded["number"]).astype(np.int64),
        np.where(coded["undated"], UNKNOWN, coded["birth"]).astype(np.int64),
        apart=(apart["l"].to_numpy(np.int64), apart["r"].to_numpy(np.int64)),
        largest=largest,
    )
    crosswalk = hub.frame("SELECT source, patient_id FROM intake.patients ORDER BY record")
    size = np.bincount(group, minlength=len(group))[group]
    joined = ~np.isnan(clusters.probability)
    anchored = (clusters.probability == 1.0) | ~joined
    method = np.where((size > 1) & anchored, "nhs", np.where(joined, "splink", "single"))
    crosswalk["entity"] = clusters.entity
    crosswalk["method"] = method
    crosswalk["match_probability"] = _probabilities(method, clusters.probability, group, chosen)
    shared = hub.frame(
        f"""
        SELECT count(*) AS n FROM (
            SELECT nhs FROM {RECORDS} JOIN (SELECT * FROM crosswalk_entities) USING (record)
            WHERE nhs IS NOT NULL GROUP BY nhs HAVING count(DISTINCT entity) > 1)
        """.replace("crosswalk_entities", _registered(hub, clusters.entity))
    )
    hub.connection.unregister("__entities")
    conflicts = pd.DataFrame(
        {
            "conflict": [
                "NHS number on several people",
                f"NHS number on more than {CROWDED} records, not used",
                "link refused: two NHS numbers and two birth dates",
                f"link refused: more than {largest} records",
                "link refused: possible twins or namesakes",
            ],
            "count": [
                int(shared["n"].iloc[0]),
                crowded,
                clusters.contradictory,
                clusters.too_large,
                clusters.kept_apart,
            ],
        }
    )
    return Links(crosswalk, _summary(crosswalk), _bands(pairs), conflicts, model, threshold)


def _registered(hub: Hub, entity: np.ndarray[Any, np.dtype[np.int64]]) -> str:
    hub.connection.register("__entities", pd.DataFrame({"record": np.arange(len(entity)), "entity": entity}))
    return "__entities"


def _probabilities(
    method: np.ndarray[Any, Any],
    weakest: np.ndarray[Any, np.dtype[np.float64]],
    group: np.ndarray[Any, np.dtype[np.int64]],
    chosen: pd.DataFrame,
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """As the crosswalk gives them; a lone record that anchors its entity bears its own best link."""
    best = np.full(len(group), np.nan)
    for side in ("l", "r"):
        np.fmax.at(
            best, group[chosen[side].to_numpy(np.int64)], chosen["match_probability"].to_numpy(np.float64)
        )
    alone = (method == "splink") & (weakest == 1.0)
    return np.where(method == "nhs", 1.0, np.where(alone, best[group], weakest))


def _summary(crosswalk: pd.DataFrame) -> pd.DataFrame:
    rows: list[Mapping[str, Any]] = []
    for source, part in [*crosswalk.groupby("source", sort=False), ("all", crosswalk)]:
        by_method = part["method"].value_counts()
        rows.append(
            {
                "source": source,
                "records": len(part),
                **{name: int(by_method.get(name, 0)) for name in ("nhs", "splink", "single")},
                "entities": part["entity"].nunique(),
            }
        )
    return pd.DataFrame(rows)


def _bands(pairs: pd.DataFrame) -> pd.DataFrame:
    edges = np.array([*BANDS[:-1], np.inf])
    counts, _ = np.histogram(pairs["match_probability"], bins=edges)
    return pd.DataFrame({"low": BANDS[:-1], "high": BANDS[1:], "pairs": counts.astype(np.int64)})
