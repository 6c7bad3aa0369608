"""Which records belong to one person: valid NHS number first, then Splink for the rest.

**Deterministic step.** Records with the same valid NHS number are one person where birth dates, or names and sexes,
bear it out (:mod:`cohorts.linkage_number`). Numbers that end up on several entities are counted as conflicts. Pairs
that a clerk has decided stand before all rules (:mod:`cohorts.clerical`).

**Probabilistic step.** A Fellegi-Sunter model in Splink (Linacre et al. 2022, IJPDS 7:23) over all
records, within and between sources: names, birth date, sex, postcode and address, e-mail, telephone, and
the ten typed digits of the NHS number as one comparison among the others. u probabilities come from random
pairs, m probabilities from expectation maximisation, the prior from the exact-agreement pairs and then from
the scored pairs themselves; no labels are used. Where the data hold too few likely matches to learn from
(:data:`LEARN_FROM` pairs) the declared starting values stand. Pairs inside one deterministic group are not
scored.

Birth dates known in part are compared by a comparison of their own, on the year and month that both know. Being
born together and of one sex makes nobody the same person: a link by probability also takes one agreement of
names, postcode or address, e-mail, telephone or typed number where the birth date agrees to the day, and two
where it does not (:data:`cohorts.comparisons.EVIDENCE`). Records that hold less than that, such as those of an
extract with year of birth and sex alone, are never scored; they are linked by number or not at all, and counted.

**Clusters.** Links at or above the threshold are chosen from the most probable down, and refused where
they would put two valid NHS numbers with different birth dates into one cluster, make a giant, or join
twins: records of one birth date and family name with unlike given names, of one source or with two valid
numbers (:mod:`cohorts.clusters`). Filled-in parts of a birth date contradict nothing. What a guard refuses
and what is near the threshold is listed for review.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cohorts.clerical import THIN, Decisions, read_decisions, review_list, review_pairs
from cohorts.clusters import (
    APART,
    CONTRADICTORY,
    TOO_LARGE,
    UNKNOWN,
    Clusters,
    guarded_clusters,
    settled_groups,
)
from cohorts.comparisons import (
    BIRTH_AGREES,
    EVIDENCE,
    LEAST_WITH_BIRTH,
    LEAST_WITHOUT_BIRTH,
)
from cohorts.errors import DesignError
from cohorts.hub import Hub
from cohorts.linkage_model import LEARN_FROM, Backend, Scored, score_pairs
from cohorts.linkage_number import joined_by_number, shared_numbers
from cohorts.linkage_quality import PairQuality, pair_quality, quality_by_group
from cohorts.linkage_records import (
    CROWDED,
    RECORDS,
    add_groups,
    drop_records,
    make_records,
    set_bare_aside,
)
from cohorts.linkage_twins import kept_apart
from cohorts.without_rows import WithoutRows

__all__ = ["LEARN_FROM", "Links", "PairQuality", "link", "pair_quality"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

BANDS = (0.01, 0.1, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0)


@dataclass(frozen=True, repr=False)
class Links(WithoutRows):
    """Who is whom.

    Attributes
    ----------
    crosswalk
        ``source``, ``patient_id``, ``entity`` (int64), ``method`` (``nhs``, ``clerical``, ``splink``,
        ``single``), ``match_probability`` (1 for ``nhs`` and ``clerical``, NaN for ``single``, else the
        weakest link between the record and the largest group of its entity). Local identifiers only; no
        name, date or NHS number.
    summary
        ``source``, ``records``, ``nhs``, ``clerical``, ``splink``, ``single``, ``entities``: one row a
        source and one for all of them.
    borderline
        ``low``, ``high``, ``pairs``: scored pairs by band of match probability, ``[low, high)``.
    conflicts
        ``conflict``, ``count``: what the guards met.
    model
        The trained parameters: ``comparison``, ``level``, ``m``, ``u``; empty where Splink had nothing to
        do.
    threshold
        Least match probability of a link.
    review
        Pairs for clerical review, the most doubtful first (:func:`cohorts.clerical.review_list`). Local
        identifiers: for the custodian alone.
    review_found
        How many pairs there were to review; the list may be cut shorter.
    decisions
        ``decision``, ``pairs``, ``honoured``, ``unknown``: what clerks had decided before.
    quality
        By age, sex, deprivation and ethnicity (:func:`cohorts.linkage_quality.quality_by_group`).
    blocking
        ``rule``, ``pairs``, ``used``: which pairs were looked at.
    """

    crosswalk: pd.DataFrame
    summary: pd.DataFrame
    borderline: pd.DataFrame
    conflicts: pd.DataFrame
    model: pd.DataFrame
    threshold: float
    review: pd.DataFrame
    review_found: int
    decisions: pd.DataFrame
    quality: pd.DataFrame
    blocking: pd.DataFrame


@dataclass(frozen=True)
class _Plan:
    threshold: float
    largest: int
    review: tuple[float, float]
    review_most: int
    on: str | None


def link(
    hub: Hub,
    *,
    threshold: float = 0.9,
    seed: int,
    largest: int = 50,
    sample_pairs: float = 1e6,
    decisions: pd.DataFrame | None = None,
    review: tuple[float, float] = (0.5, 0.99),
    review_most: int = 1000,
    on: str | None = None,
    backend: Backend | None = None,
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
    decisions
        What clerks decided: ``source_a``, ``patient_id_a``, ``source_b``, ``patient_id_b`` and ``decision``
        (``same`` or ``different``).
    review
        Band ``[low, high)`` of match probability whose pairs are listed for review.
    review_most
        Longest list for review.
    on
        ISO date at which ages are told in the quality table; default the latest birth on record.
    backend
        Where pairs are compared; default the hub's DuckDB. :class:`cohorts.linkage_spark.SparkBackend` for
        more records than one machine can hold pairs of.

    Returns
    -------
    Links

    Raises
    ------
    DesignError
        The threshold or the band is out of range.
    InputError
        There are no patients, or the decisions cannot be read.
    """
    if not 0.5 < threshold < 1:
        raise DesignError(
            "threshold out of range",
            where="linkage.threshold",
            found=threshold,
            expected="a number above 0.5 and below 1",
        )
    if not BANDS[0] <= review[0] <= review[1] <= 1:
        raise DesignError(
            "band out of range",
            where="linkage.review_band",
            found=review,
            expected=f"two numbers from {BANDS[0]} to 1, the lower first",
        )
    records, crowded = make_records(hub)
    try:
        decided = read_decisions(hub, decisions)
        rule = joined_by_number(hub)
        group, contradicted = settled_groups(records, rule, same=decided.same, different=decided.different)
        by_number, _ = settled_groups(
            records, rule, same=(rule[0][:0], rule[1][:0]), different=decided.different
        )
        add_groups(hub, group)
        bare = set_bare_aside(hub)
        scored = score_pairs(hub, seed=seed, sample_pairs=sample_pairs, least=BANDS[0], backend=backend)
        plan = _Plan(threshold, largest, review, review_most, on)
        conflicts = {
            f"NHS number on more than {CROWDED} records, not used": crowded,
            "clerks' decisions that contradict one another": contradicted,
            "records that hold too little to be linked by probability": bare,
        }
        return _gather(hub, group, by_number, scored, decided, plan, conflicts)
    finally:
        drop_records(hub)


def _evident(scored: Scored) -> npt.NDArray[np.bool_]:
    """Pairs in which enough agrees besides birth date and sex."""
    points = np.zeros(len(scored.pairs), np.int64)
    for name, worth in EVIDENCE.items():
        for number, label in scored.labels.get(name, {}).items():
            points += worth.get(label, 0) * (scored.pairs[f"level_{name}"].to_numpy() == number)
    born = [number for number, label in scored.labels.get("birth", {}).items() if label in BIRTH_AGREES]
    dated = np.isin(scored.pairs["level_birth"], born) if born else np.zeros(len(points), np.bool_)
    return points >= np.where(dated, LEAST_WITH_BIRTH, LEAST_WITHOUT_BIRTH)


def _gather(
    hub: Hub,
    group: Ints,
    by_number: Ints,
    scored: Scored,
    decided: Decisions,
    plan: _Plan,
    conflicts: dict[str, int],
) -> Links:
    pairs = scored.pairs
    probable = pairs["match_probability"].to_numpy(np.float64) >= plan.threshold
    enough = _evident(scored)
    at, thin = np.flatnonzero(probable & enough), np.flatnonzero(probable & ~enough)
    chosen = pairs.iloc[at]
    clusters = _clusters(hub, group, chosen, decided, plan.largest)
    entity = clusters.entity
    crosswalk = hub.frame("SELECT source, patient_id FROM intake.patients ORDER BY record")
    crosswalk["entity"] = entity
    crosswalk["method"] = _methods(group, by_number, clusters)
    crosswalk["match_probability"] = _probabilities(
        crosswalk["method"].to_numpy(object), clusters.probability, group, chosen
    )
    counts = {
        "NHS number on several people": shared_numbers(hub, entity),
        "link refused: two NHS numbers and two birth dates": clusters.count(CONTRADICTORY),
        f"link refused: more than {plan.largest} records": clusters.count(TOO_LARGE),
        "link refused: possible twins or namesakes": clusters.count(APART),
        "link refused: too little agrees besides birth date and sex": len(thin),
        **conflicts,
    }
    refused = pd.concat(
        [
            pd.Series(clusters.guard, index=at[clusters.refused], dtype=object),
            pd.Series(THIN, index=thin, dtype=object),
        ]
    )
    review = review_pairs(pairs, refused, group, entity, decided, threshold=plan.threshold, band=plan.review)
    shown = review.head(plan.review_most)
    return Links(
        crosswalk=crosswalk,
        summary=_summary(crosswalk),
        borderline=_bands(pairs),
        conflicts=pd.DataFrame(list(counts.items()), columns=["conflict", "count"]),
        model=scored.model,
        threshold=plan.threshold,
        review=review_list(shown, crosswalk, entity, scored.labels, scored.prior),
        review_found=len(review),
        decisions=decided.counts(entity),
        quality=quality_by_group(hub, RECORDS, crosswalk, _missed(pairs, entity, plan.threshold), on=plan.on),
        blocking=scored.blocking,
    )


def _clusters(hub: Hub, group: Ints, chosen: pd.DataFrame, decided: Decisions, largest: int) -> Clusters:
    apart = kept_apart(hub)
    coded = hub.frame(
        f"""
        SELECT coalesce(dense_rank() OVER (ORDER BY nhs), 0) AS number, nhs IS NULL AS unnumbered,
               birth_year * 10000 + coalesce(birth_month[6:]::INT, 0) * 100 + coalesce(birth[9:]::INT, 0) AS birth
        FROM {RECORDS} ORDER BY record
        """
    )
    return guarded_clusters(
        group,
        chosen["l"].to_numpy(np.int64),
        chosen["r"].to_numpy(np.int64),
        chosen["match_probability"].to_numpy(np.float64),
        np.where(coded["unnumbered"], UNKNOWN, coded["number"]).astype(np.int64),
        coded["birth"].fillna(UNKNOWN).to_numpy(np.int64),
        apart=(
            np.concatenate([apart["l"].to_numpy(np.int64), decided.different[0]]),
            np.concatenate([apart["r"].to_numpy(np.int64), decided.different[1]]),
        ),
        largest=largest,
    )


def _methods(group: Ints, by_number: Ints, clusters: Clusters) -> npt.NDArray[np.object_]:
    """How each record came to its entity; a clerk's word counts where the number alone had not joined it."""
    size = np.bincount(group, minlength=len(group))[group]
    numbered = np.bincount(by_number, minlength=len(group))[by_number]
    joined = ~np.isnan(clusters.probability)
    anchored = (clusters.probability == 1.0) | ~joined
    settled = np.where(numbered > 1, "nhs", "clerical")
    return np.where((size > 1) & anchored, settled, np.where(joined, "splink", "single")).astype(object)


def _probabilities(
    method: npt.NDArray[np.object_], weakest: Floats, group: Ints, chosen: pd.DataFrame
) -> Floats:
    """As the crosswalk gives them; a lone record that anchors its entity bears its own best link."""
    best = np.full(len(group), np.nan)
    for side in ("l", "r"):
        np.fmax.at(
            best, group[chosen[side].to_numpy(np.int64)], chosen["match_probability"].to_numpy(np.float64)
        )
    alone = (method == "splink") & (weakest == 1.0)
    settled = np.isin(method, ["nhs", "clerical"])
    return np.where(settled, 1.0, np.where(alone, best[group], weakest))


def _missed(pairs: pd.DataFrame, entity: Ints, threshold: float) -> Floats:
    """Chance that a record belongs with another that it was not linked to: its best pair of that kind."""
    one, two = pairs["l"].to_numpy(np.int64), pairs["r"].to_numpy(np.int64)
    probability = pairs["match_probability"].to_numpy(np.float64)
    apart = (entity[one] != entity[two]) & (probability < threshold)
    best = np.zeros(len(entity))
    for side in (one, two):
        np.maximum.at(best, side[apart], probability[apart])
    return best


def _summary(crosswalk: pd.DataFrame) -> pd.DataFrame:
    rows: list[Mapping[str, Any]] = []
    for source, part in [*crosswalk.groupby("source", sort=False), ("all", crosswalk)]:
        by_method = part["method"].value_counts()
        rows.append(
            {
                "source": source,
                "records": len(part),
                **{name: int(by_method.get(name, 0)) for name in ("nhs", "clerical", "splink", "single")},
                "entities": part["entity"].nunique(),
            }
        )
    return pd.DataFrame(rows)


def _bands(pairs: pd.DataFrame) -> pd.DataFrame:
    edges = np.array([*BANDS[:-1], np.inf])
    counts, _ = np.histogram(pairs["match_probability"], bins=edges)
    return pd.DataFrame({"low": BANDS[:-1], "high": BANDS[1:], "pairs": counts.astype(np.int64)})
