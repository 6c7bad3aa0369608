"""Pairs for people to look at, and what they decided.

A borderline pair is put to a clerk with the local numbers of both records, by which the clerk finds them in
the providers' own systems, and with what each comparison said and how much that weighed: no name, date or
NHS number. Weights are log2 of odds: they start at the odds that two random records match and add up to
the pair's (the waterfall). The clerk's answer comes back as ``same`` or ``different`` and is final.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from cohorts.clusters import APART, CONTRADICTORY, TOO_LARGE
from cohorts.comparisons import NAMES, plainly
from cohorts.errors import InputError
from cohorts.hub import Hub
from cohorts.without_rows import WithoutRows

Ints = npt.NDArray[np.int64]

SAME, DIFFERENT = "same", "different"
PAIR = ("source_a", "patient_id_a", "source_b", "patient_id_b")
NEAR = "near the threshold"
THIN = "too little agrees"
WHY = {
    CONTRADICTORY: "not linked: two NHS numbers and two birth dates",
    TOO_LARGE: "not linked: too many records",
    APART: "not linked: possible twins or namesakes",
    THIN: "not linked: too little agrees besides birth date and sex",
}


@dataclass(frozen=True, eq=False, repr=False)
class Decisions(WithoutRows):
    """What clerks have decided, as records of the intake.

    Attributes
    ----------
    same, different
        Two (k,) int64 arrays each.
    read, unknown
        Decisions given, and those that name a record which is not in the extracts.
    """

    same: tuple[Ints, Ints]
    different: tuple[Ints, Ints]
    read: dict[str, int]
    unknown: dict[str, int]

    def counts(self, entity: Ints) -> pd.DataFrame:
        """``decision``, ``pairs``, ``honoured``, ``unknown``: given, carried out, naming an unknown record."""
        together = [int((entity[a] == entity[b]).sum()) for a, b in (self.same, self.different)]
        done = {SAME: together[0], DIFFERENT: len(self.different[0]) - together[1]}
        return pd.DataFrame(
            [(what, self.read[what], done[what], self.unknown[what]) for what in (SAME, DIFFERENT)],
            columns=["decision", "pairs", "honoured", "unknown"],
        )


def read_decisions(hub: Hub, decisions: pd.DataFrame | None) -> Decisions:
    """Clerks' decisions as pairs of records.

    Parameters
    ----------
    hub
        Identified hub with ``intake.patients``.
    decisions
        Columns of :data:`PAIR` and ``decision``; rows with a blank decision are undecided. None for none.

    Raises
    ------
    InputError
        A column is missing, a decision is neither ``same`` nor ``different``, a record is paired with
        itself, or one pair is decided both ways.
    """
    if decisions is None:
        decisions = pd.DataFrame(columns=[*PAIR, "decision"])
    missing = [name for name in (*PAIR, "decision") if name not in decisions]
    if missing:
        raise InputError(
            "column missing",
            where="clerical decisions",
            found=", ".join(map(str, decisions.columns)),
            expected=", ".join(missing),
        )
    given = decisions[[*PAIR, "decision"]].fillna("").astype(str).apply(lambda column: column.str.strip())
    given["decision"] = given["decision"].str.lower()
    given = given[given["decision"] != ""].reset_index(drop=True)
    wrong = given.index[~given["decision"].isin([SAME, DIFFERENT])]
    if len(wrong):
        raise InputError(
            "a decision that cannot be read",
            where=f"clerical decisions, decided row {wrong[0] + 1}",
            expected=f"{SAME}, {DIFFERENT} or nothing",
        )
    records = _numbered(hub, given)
    a, b = records.min(axis=1), records.max(axis=1)
    known = a >= 0
    if (known & (a == b)).any():
        raise InputError("a record is paired with itself", where="clerical decisions")
    pairs = pd.DataFrame({"a": a, "b": b, "decision": given["decision"]})[known].drop_duplicates()
    if pairs.duplicated(["a", "b"]).any():
        raise InputError(
            "one pair is decided both ways",
            where="clerical decisions",
            found=f"{int(pairs.duplicated(['a', 'b']).sum())} such pairs",
            fix="keep one decision of each",
        )
    sides = {
        what: tuple(pairs.loc[pairs["decision"] == what, side].to_numpy(np.int64) for side in ("a", "b"))
        for what in (SAME, DIFFERENT)
    }
    counts = {
        name: {what: int((mask & (given["decision"] == what)).sum()) for what in (SAME, DIFFERENT)}
        for name, mask in (("read", np.ones(len(given), bool)), ("unknown", ~known))
    }
    return Decisions(
        (sides[SAME][0], sides[SAME][1]),
        (sides[DIFFERENT][0], sides[DIFFERENT][1]),
        counts["read"],
        counts["unknown"],
    )


def _numbered(hub: Hub, given: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Records of both sides of each decision, -1 where there is no such record."""
    if given.empty:
        return np.empty((0, 2), np.int64)
    hub.connection.register("__decided", given.reset_index())
    try:
        found = hub.frame(
            """
            SELECT coalesce(l.record, -1) AS a, coalesce(r.record, -1) AS b FROM __decided d
            LEFT JOIN intake.patients l ON l.source = d.source_a AND l.patient_id = d.patient_id_a
            LEFT JOIN intake.patients r ON r.source = d.source_b AND r.patient_id = d.patient_id_b
            ORDER BY d.index
            """
        )
    finally:
        hub.connection.unregister("__decided")
    return found.to_numpy(np.int64)


def review_pairs(
    pairs: pd.DataFrame,
    refused: pd.Series,
    group: Ints,
    entity: Ints,
    decided: Decisions,
    *,
    threshold: float,
    band: tuple[float, float],
) -> pd.DataFrame:
    """Which scored pairs a clerk should see, the most doubtful first.

    Those within the band of probability, and those that were probable enough and that a guard refused. Of
    two groups of records settled as one person each, only the most probable pair; none that is decided;
    none that another, surer link has joined.

    Parameters
    ----------
    pairs
        ``l``, ``r``, ``match_probability`` and what else goes with a pair.
    refused
        Guard that refused a pair, by its index in ``pairs``.

    Returns
    -------
    DataFrame
        Rows of ``pairs`` with ``why``.
    """
    found = pairs.assign(why=refused.map(WHY).reindex(pairs.index))
    low, high = band
    near = found["match_probability"].between(low, high, inclusive="left")
    found = found[near | found["why"].notna()].fillna({"why": NEAR})
    one, two = found["l"].to_numpy(np.int64), found["r"].to_numpy(np.int64)
    settled = (entity[one] == entity[two]) & (found["match_probability"] < threshold).to_numpy()
    found = found.assign(first=np.minimum(group[one], group[two]), second=np.maximum(group[one], group[two]))[
        ~settled
    ]
    apart = {tuple(sorted((int(group[a]), int(group[b])))) for a, b in zip(*decided.different, strict=True)}
    keys = pd.MultiIndex.from_frame(found[["first", "second"]])
    found = found[~keys.isin(list(apart))] if apart else found
    found = found.sort_values(["match_probability", "l", "r"], ascending=[False, True, True])
    found = found.drop_duplicates(["first", "second"])
    odds = np.log(found["match_probability"] / (1 - found["match_probability"]).clip(lower=1e-15))
    doubt = (odds - np.log(threshold / (1 - threshold))).abs()
    order = np.lexsort((found["r"], found["l"], doubt))
    chosen: pd.DataFrame = found.iloc[order].drop(columns=["first", "second"])
    return chosen.reset_index(drop=True)


def review_list(
    chosen: pd.DataFrame,
    local: pd.DataFrame,
    entity: Ints,
    labels: Mapping[str, Mapping[int, str]],
    prior: float,
) -> pd.DataFrame:
    """Pairs as a clerk reads them.

    Parameters
    ----------
    chosen
        From :func:`review_pairs`, with ``level_NAME`` and ``weight_NAME`` of each comparison.
    local
        ``source``, ``patient_id`` in the order of records.
    entity
        Of each record.
    labels
        Comparison to level number to label.
    prior
        Chance that two random records match.

    Returns
    -------
    DataFrame
        :data:`PAIR`, ``match_probability``, ``linked``, ``why``, ``start weight``; of each comparison what
        it said and its weight; ``total weight``; and ``decision``, left for the clerk.
    """
    one, two = chosen["l"].to_numpy(np.int64), chosen["r"].to_numpy(np.int64)
    made: dict[str, object] = {}
    for side, records in (("a", one), ("b", two)):
        made[f"source_{side}"] = local["source"].to_numpy(object)[records]
        made[f"patient_id_{side}"] = local["patient_id"].to_numpy(object)[records]
    made["match_probability"] = chosen["match_probability"].round(4).to_numpy()
    made["linked"] = np.where(entity[one] == entity[two], "yes", "no")
    made["why"] = chosen["why"].to_numpy(object)
    start = float(np.log2(prior / (1 - prior))) if len(chosen) else 0.0
    made["start weight"] = round(start, 2)
    total = np.full(len(chosen), start)
    for name, levels in labels.items():
        weight = chosen[f"weight_{name}"].to_numpy(float)
        said = {number: plainly(label) for number, label in levels.items()} | {-1: "not compared"}
        made[NAMES[name]] = chosen[f"level_{name}"].map(said).to_numpy(object)
        made[f"{NAMES[name]} weight"] = weight.round(2)
        total = total + weight
    made["total weight"] = total.round(2)
    made["decision"] = ""
    return pd.DataFrame(made, index=range(len(chosen)))
