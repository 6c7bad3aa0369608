"""How good a linkage is where the truth is known, by counting and not by listing pairs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement

import pandas as pd

from cohorts.errors import InputError


@dataclass(frozen=True)
class PairQuality:
    """Exact pairwise quality.

    Attributes
    ----------
    precision, recall, f1
        Over all pairs of records, within and between sources; NaN where there are no pairs to judge.
    true_pairs, linked_pairs, correct_pairs
        Pairs of records of one person, pairs put together, and pairs in both.
    by_source
        ``source_a``, ``source_b``, ``true_pairs``, ``linked_pairs``, ``correct_pairs``, ``precision``,
        ``recall``, ``f1``; ``source_a = source_b`` are duplicates within a source.
    unlabelled
        Linked records that the truth does not know; they are left out.
    unlinked
        True records that the crosswalk does not hold (refused at intake); each stands alone and so costs
        recall.
    """

    precision: float
    recall: float
    f1: float
    true_pairs: int
    linked_pairs: int
    correct_pairs: int
    by_source: pd.DataFrame
    unlabelled: int
    unlinked: int


def pair_quality(crosswalk: pd.DataFrame, truth: pd.DataFrame, *, person: str = "true_person") -> PairQuality:
    """Compare a crosswalk with the truth.

    Pairs are counted from group sizes (n records of one group make n(n-1)/2 pairs), so cost is linear in
    the number of records.

    Parameters
    ----------
    crosswalk
        ``source``, ``patient_id``, ``entity``.
    truth
        ``source``, ``patient_id`` and the column named by ``person``.
    person
        Name of the truth's column of true identity.

    Raises
    ------
    InputError
        The truth lacks a column or names a record twice.

    Examples
    --------
    >>> rows = pd.DataFrame({"source": ["a", "a", "b"], "patient_id": ["1", "2", "1"]})
    >>> found = pair_quality(rows.assign(entity=[1, 2, 1]), rows.assign(true_person=[7, 7, 7]))
    >>> found.precision, round(found.recall, 3)
    (1.0, 0.333)
    """
    missing = [name for name in ("source", "patient_id", person) if name not in truth.columns]
    if missing:
        raise InputError(
            "column missing",
            where="linkage truth",
            found=", ".join(truth.columns),
            expected=", ".join(missing),
        )
    known = truth[["source", "patient_id", person]].rename(columns={person: "person"})
    known = known.assign(source=known["source"].astype(str), patient_id=known["patient_id"].astype(str))
    if known.duplicated(["source", "patient_id"]).any():
        raise InputError("a record is named twice", where="linkage truth")
    both = known.merge(
        crosswalk[["source", "patient_id", "entity"]], "outer", ["source", "patient_id"], indicator=True
    )
    unlabelled = int((both["_merge"] == "right_only").sum())
    unlinked = int((both["_merge"] == "left_only").sum())
    both = both[both["_merge"] != "right_only"].reset_index(drop=True)
    alone = both["entity"].isna()
    both["entity"] = both["entity"].where(~alone, -1.0 - both.index.to_series())
    sources = sorted(both["source"].unique())
    counts = {
        name: _pairs(both, keys, sources)
        for name, keys in (
            ("true_pairs", ["person"]),
            ("linked_pairs", ["entity"]),
            ("correct_pairs", ["person", "entity"]),
        )
    }
    table = pd.DataFrame(counts).rename_axis(["source_a", "source_b"]).reset_index()
    table["precision"], table["recall"], table["f1"] = _rates(table)
    total = table[list(counts)].sum().to_frame().T
    precision, recall, f1 = (float(rate.iloc[0]) for rate in _rates(total))
    true_pairs, linked_pairs, correct_pairs = (int(total[name].iloc[0]) for name in counts)
    return PairQuality(
        precision, recall, f1, true_pairs, linked_pairs, correct_pairs, table, unlabelled, unlinked
    )


def _pairs(records: pd.DataFrame, keys: list[str], sources: list[str]) -> pd.Series:
    sizes = records.groupby([*keys, "source"]).size().unstack(fill_value=0)
    sizes = sizes.reindex(columns=sources, fill_value=0).astype("int64")
    return pd.Series(
        {
            (a, b): int((sizes[a] * (sizes[a] - 1) // 2).sum() if a == b else (sizes[a] * sizes[b]).sum())
            for a, b in combinations_with_replacement(sources, 2)
        },
        dtype="int64",
    )


def _rates(counts: pd.DataFrame) -> tuple[pd.Series, pd.Series, pd.Series]:
    correct = counts["correct_pairs"].astype(float)
    linked, true = counts["linked_pairs"].astype(float), counts["true_pairs"].astype(float)
    return (
        correct / linked.where(linked > 0),
        correct / true.where(true > 0),
        2 * correct / (linked + true).where(linked + true > 0),
    )
