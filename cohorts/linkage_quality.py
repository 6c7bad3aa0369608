"""How good a linkage is: by the truth where it is known, and by its own doubts where it is not.

Linkage error is not random: people who move, change their name or have names that clerks misspell are linked
less often, and a study of those who were linked is then a study of other people (Harron et al. 2017,
J Epidemiol Community Health 71:1082). So both kinds of quality are told by group as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
import numpy.typing as npt
import pandas as pd

from cohorts.errors import InputError
from cohorts.hub import Hub

UNRECORDED = "not recorded"
BY = ("age", "sex", "deprivation", "ethnicity")
AGES = ((0, 17), (18, 39), (40, 59), (60, 79), (80, 130))


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


def pair_quality_by(
    crosswalk: pd.DataFrame, truth: pd.DataFrame, by: str, *, person: str = "true_person"
) -> pd.DataFrame:
    """Quality within each group of people.

    A true pair belongs to the group of its person; a pair put together wrongly counts against the groups
    of both of its people.

    Parameters
    ----------
    crosswalk, truth, person
        As :func:`pair_quality` takes them; ``truth`` also has the column ``by``.

    Returns
    -------
    DataFrame
        ``by``, ``group``, ``true_pairs``, ``linked_pairs``, ``correct_pairs``, ``precision``, ``recall``,
        ``f1``.

    Examples
    --------
    >>> rows = pd.DataFrame({"source": ["a", "a", "b"], "patient_id": ["1", "2", "1"]})
    >>> truth = rows.assign(true_person=[7, 7, 8], sex=["F", "F", "M"])
    >>> found = pair_quality_by(rows.assign(entity=[1, 1, 1]), truth, "sex")
    >>> found[["group", "linked_pairs", "correct_pairs"]].to_numpy().tolist()
    [['F', 3, 1], ['M', 2, 0]]
    """
    both = truth.merge(crosswalk[["source", "patient_id", "entity"]], on=["source", "patient_id"], how="left")
    alone = both["entity"].isna()
    both["entity"] = both["entity"].where(~alone, -1.0 - both.index.to_series())
    rows = []
    inside = both.groupby("entity").size()
    for group, part in both.groupby(both[by].fillna(UNRECORDED).astype(str)):
        others = inside.reindex(part["entity"].unique()) - part.groupby("entity").size()
        own = part.groupby("entity").size()
        mixed = int((own * others.reindex(own.index)).sum())
        rows.append(
            (
                by,
                group,
                _choose_two(part.groupby(person).size()),
                _choose_two(own) + mixed,
                _choose_two(part.groupby([person, "entity"]).size()),
            )
        )
    table = pd.DataFrame(rows, columns=["by", "group", "true_pairs", "linked_pairs", "correct_pairs"])
    table["precision"], table["recall"], table["f1"] = _rates(table)
    return table


def _choose_two(sizes: pd.Series) -> int:
    return int((sizes * (sizes - 1) // 2).sum())


def quality_by_group(
    hub: Hub, records: str, crosswalk: pd.DataFrame, missed: npt.NDArray[np.float64], *, on: str | None
) -> pd.DataFrame:
    """How records of each age, sex, deprivation and ethnicity fared, without a truth to hold them against.

    Parameters
    ----------
    hub
        Identified hub; ``records`` names its table of prepared records.
    crosswalk
        In the order of records, from :func:`cohorts.linkage.link`.
    missed
        (records,) chance that a record belongs with one that it was not linked to.
    on
        ISO date of the ages; None for the latest birth on record.

    Returns
    -------
    DataFrame
        ``by`` (``age``, ``sex``, ``deprivation``, ``ethnicity``), ``group``, ``records``; of these
        ``numbered`` (valid NHS number), ``linked`` (with another record), ``probable`` (by Splink);
        ``expected_wrong`` and ``expected_missed``: how many of them the model itself expects to stand with
        somebody else's records, or to lack another of their own. What one record of a person lacks is
        taken from the others. Deprivation is of the latest address whose area has a decile.
    """
    connection = hub.connection
    doubt = np.where(crosswalk["method"] == "splink", 1 - crosswalk["match_probability"], 0.0)
    connection.register(
        "__linked",
        pd.DataFrame(
            {
                "record": np.arange(len(crosswalk)),
                "entity": crosswalk["entity"],
                "size": crosswalk.groupby("entity")["entity"].transform("size"),
                "probable": crosswalk["method"] == "splink",
                "wrong": doubt,
                "missed": missed,
            }
        ),
    )
    day = "(SELECT max(birth)::DATE FROM facts)" if on is None else f"DATE '{on}'"
    ages = " ".join(
        f"WHEN age BETWEEN {low} AND {high} THEN '{low}-{high}'" if high < 130 else f"ELSE '{low}+'"
        for low, high in AGES
    )
    try:
        return hub.frame(
            f"""
            WITH decile AS (
                SELECT record, arg_max(imd_decile, row("start", imd_decile)) AS decile
                FROM intake.addresses JOIN intake.deprivation USING (area) GROUP BY record
            ), facts AS (
                SELECT l.*, r.nhs IS NOT NULL AS numbered,
                    coalesce(r.birth, min(r.birth) OVER person, min(r.filled_birth) OVER person) AS birth,
                    coalesce(r.sex, min(r.sex) OVER person) AS sex,
                    coalesce(d.decile, min(d.decile) OVER person) AS decile,
                    coalesce(r.ethnicity, min(r.ethnicity) OVER person) AS ethnicity
                FROM __linked l JOIN {records} r USING (record) LEFT JOIN decile d USING (record)
                WINDOW person AS (PARTITION BY l.entity)
            ), aged AS (
                SELECT *, year({day}) - left(birth, 4)::INT
                    - (strftime({day}, '%m-%d') < substr(birth, 6))::INT AS age FROM facts
            ), grouped AS (
                SELECT *, 'age' AS "by", CASE WHEN age IS NULL THEN '{UNRECORDED}' {ages} END AS "group"
                FROM aged
                UNION ALL SELECT *, 'sex', sex FROM aged
                UNION ALL SELECT *, 'deprivation', decile::VARCHAR FROM aged
                UNION ALL SELECT *, 'ethnicity', ethnicity FROM aged
            )
            SELECT "by", coalesce("group", '{UNRECORDED}') AS "group", count(*) AS records,
                count(*) FILTER (numbered) AS numbered, count(*) FILTER (size > 1) AS linked,
                count(*) FILTER (probable) AS probable, sum(wrong) AS expected_wrong,
                sum(missed) AS expected_missed
            FROM grouped GROUP BY 1, 2
            """
        ).sort_values(
            ["by", "group"],
            key=lambda c: c.map({name: i for i, name in enumerate(BY)}) if c.name == "by" else c,
            ignore_index=True,
        )
    finally:
        connection.unregister("__linked")
