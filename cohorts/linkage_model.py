"""The Splink model of :mod:`cohorts.linkage`: how it is learnt and which pairs are scored.

Part of the linkage room and, like it, in sight of raw identifiers. Splink is imported on first use. What is
compared stands in :mod:`cohorts.comparisons`; where it is computed is a :class:`Backend`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from cohorts.comparisons import (
    BLOCKS,
    COMPARISONS,
    LEARNING,
    NEUTRAL,
    UNEVEN,
    WIDE,
    Rule,
    columns_of,
    levels_of,
    null_condition,
    rule_sql,
    rule_text,
    written,
)
from cohorts.hub import Hub
from cohorts.linkage_records import SCORED

Floats = npt.NDArray[np.float64]

LEARN_FROM = 200
WIDE_PAIRS = 2_000_000
"""Pairs that a wide rule may make before it is left out: poor records are worth the work where they are few."""
CROWDED_PAIRS = 400
"""Pairs a record beyond which even a usual rule is left out, for one value fills half of it."""


class Backend(Protocol):
    """Where Splink computes. It sees the view :data:`SCORED` and gives back numbers alone."""

    dialect: str

    def opened(self, hub: Hub) -> AbstractContextManager[tuple[Any, Any]]:
        """Splink's database and the registered records, until closed."""
        ...

    def frame(self, sql: str) -> pd.DataFrame:
        """Rows of a query over the tables that Splink made."""
        ...

    def clean(self, linker: Any) -> None:
        """Remove the tables that Splink made."""
        ...


class LocalBackend:
    """The hub's own DuckDB."""

    dialect = "duckdb"

    def __init__(self) -> None:
        self._hub: Hub | None = None

    @contextmanager
    def opened(self, hub: Hub) -> Iterator[tuple[Any, Any]]:
        """See :class:`Backend`."""
        from splink import DuckDBAPI

        api = DuckDBAPI(connection=hub.connection)
        self._hub = hub
        yield api, api.register(SCORED)

    def frame(self, sql: str) -> pd.DataFrame:
        """See :class:`Backend`."""
        assert self._hub is not None
        return self._hub.frame(sql)

    def clean(self, linker: Any) -> None:
        """See :class:`Backend`."""
        linker.table_management.delete_tables_created_by_splink_from_db()


@dataclass(frozen=True, eq=False)
class Scored:
    """Candidate pairs with their probabilities, and the model that gave them.

    Attributes
    ----------
    pairs
        ``l``, ``r`` (records, ``l < r``), ``match_probability``; for each comparison used ``level_NAME``
        (int, -1: not compared) and ``weight_NAME`` (log2 of the Bayes factor). No identifier.
    model
        ``comparison``, ``level``, ``m``, ``u``.
    blocking
        ``rule``, ``pairs`` (records agreeing on it, settled ones among them), ``used``.
    labels
        Comparison to level number to label.
    prior
        Chance that two random records match, as settled.
    """

    pairs: pd.DataFrame
    model: pd.DataFrame
    blocking: pd.DataFrame
    labels: Mapping[str, Mapping[int, str]]
    prior: float


def score_pairs(
    hub: Hub, *, seed: int, sample_pairs: float, least: float, backend: Backend | None = None
) -> Scored:
    """Score candidate pairs of different deterministic groups.

    Parameters
    ----------
    hub
        Holds the tables of :mod:`cohorts.linkage_records`, with groups and without the bare.
    seed
        Of the random pairs for u.
    sample_pairs
        How many random pairs.
    least
        Pairs below this probability are not returned.
    backend
        Where to compute; default the hub's own DuckDB.
    """
    held = _held(hub)
    used = [name for name, (columns, _) in COMPARISONS.items() if held.intersection(columns)]
    rules = _rules(hub, held)
    chosen = [rule for rule, _, use in rules if use]
    blocking = pd.DataFrame(
        [(rule_text(rule), pairs, use) for rule, pairs, use in rules], columns=["rule", "pairs", "used"]
    )
    if not chosen or not _candidates(hub):
        empty = pd.DataFrame({"l": [], "r": [], "match_probability": []})
        return Scored(empty, pd.DataFrame(columns=["comparison", "level", "m", "u"]), blocking, {}, np.nan)
    backend = backend or LocalBackend()
    quiet = logging.getLogger("splink")
    before = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        with backend.opened(hub) as (api, records):
            return _scored(
                hub, backend, api, records, used, held, chosen, blocking, seed, sample_pairs, least
            )
    finally:
        quiet.setLevel(before)


def _scored(
    hub: Hub,
    backend: Backend,
    api: Any,
    records: Any,
    used: list[str],
    held: set[str],
    rules: list[Rule],
    blocking: pd.DataFrame,
    seed: int,
    sample_pairs: float,
    least: float,
) -> Scored:
    from splink import Linker, SettingsCreator, block_on
    from splink.blocking_rule_library import CustomRule

    prior = _prior(hub)
    settings = SettingsCreator(
        link_type="dedupe_only",
        unique_id_column_name="record",
        probability_two_random_records_match=prior,
        comparisons=[_comparison(name, held, backend.dialect) for name in used],
        blocking_rules_to_generate_predictions=[CustomRule(rule_sql(rule)) for rule in rules],
        retain_matching_columns=True,  # the only way to be told the levels; dropped with the table
        retain_intermediate_calculation_columns=True,
        max_iterations=20,
        em_convergence=0.001,
    )
    linker = Linker(records, settings, log_level=None)
    try:
        learnable = [
            rule for rule in LEARNING if set(rule) <= held and _pairs_on(hub, _same(rule)) >= LEARN_FROM
        ]
        if any(not set(COMPARISONS[name][0]) & set(rule) for rule in learnable for name in used):
            linker.training.estimate_u_using_random_sampling(max_pairs=sample_pairs, seed=seed)
            for rule in learnable:
                linker.training.estimate_parameters_using_expectation_maximisation(
                    block_on(*rule), estimate_without_term_frequencies=True, max_pairs=2e6
                )
        scored = linker.inference.predict(threshold_match_probability=least / 10, warning_mode="never")
        odds = backend.frame(f"SELECT match_probability AS p FROM {scored.physical_name}")["p"].to_numpy(
            float
        )
        odds = odds / np.maximum(1 - odds, 1e-15)
        known, possible = _settled(hub)
        settled = settle_prior(odds, prior, known, possible)
        factor = settled / (1 - settled) / (prior / (1 - prior))
        floor = least / (1 - least) / factor
        pairs = backend.frame(_details(used, scored.physical_name, floor / (1 + floor)))
        pairs = pairs.sort_values(["l", "r"], ignore_index=True)
        probable = pairs["match_probability"].to_numpy(float)
        odds = probable / np.maximum(1 - probable, 1e-15) * factor
        pairs["match_probability"] = odds / (1 + odds)
        model, labels = _parameters(linker)
        return Scored(pairs, model, blocking, labels, settled)
    finally:
        backend.clean(linker)


def _details(used: list[str], scored: str, least: float) -> str:
    """Query of the pairs kept: who, how probable, and what each comparison said."""
    columns = []
    for name in used:
        adjusted = f" + coalesce(mw_tf_adj_{name}, 0)" if name in UNEVEN else ""
        columns.append(f"CAST(gamma_{name} AS INT) AS level_{name}")
        columns.append(f"CAST(coalesce(mw_{name}, 0){adjusted} AS FLOAT) AS weight_{name}")
    return (
        "SELECT least(record_l, record_r) AS l, greatest(record_l, record_r) AS r, match_probability, "
        f"{', '.join(columns)} FROM {scored} WHERE match_probability >= {least!r}"
    )


def _comparison(name: str, held: set[str], dialect: str) -> Any:
    import splink.comparison_level_library as levels
    from splink.comparison_library import CustomComparison

    made: list[Any] = [
        levels.CustomLevel(null_condition(name, held), label_for_charts="not compared").configure(
            is_null_level=True
        )
    ]
    for label, condition, m, u in levels_of(name, held):
        if condition == "ELSE":
            level: Any = levels.ElseLevel().configure(label_for_charts=label)
        else:
            level = levels.CustomLevel(written(condition, dialect), label_for_charts=label)
        if m == NEUTRAL:
            made.append(level.configure(is_null_level=True))
            continue
        level = level.configure(m_probability=m, u_probability=u)
        if label == "exact" and name in UNEVEN:
            level = level.configure(tf_adjustment_column=name, tf_minimum_u_value=1e-5)
        made.append(level)
    return CustomComparison(made, output_column_name=name)


def _held(hub: Hub) -> set[str]:
    """Columns of the comparisons that hold enough values to be compared."""
    columns = sorted(columns_of(COMPARISONS))
    counts = hub.frame(f"SELECT {', '.join(f'count({name}) AS {name}' for name in columns)} FROM {SCORED}")
    # a date that is known in part is compared with every other
    return {name for name in columns if int(counts[name].iloc[0]) >= (1 if name == "part" else 2)}


def _rules(hub: Hub, held: set[str]) -> list[tuple[Rule, int, bool]]:
    """Blocking rules with the pairs they make and whether these are few enough to look at."""
    found = hub.connection.execute(f"SELECT count(*) FROM {SCORED}").fetchone()
    records = int(found[0]) if found else 0
    looked: list[tuple[Rule, int, bool]] = []
    for rules, most in ((BLOCKS, CROWDED_PAIRS * records), (WIDE, WIDE_PAIRS)):
        for rule in rules:
            pairs = _pairs_on(hub, rule)
            if pairs:
                looked.append((rule, pairs, pairs <= most))
    return looked


def _candidates(hub: Hub) -> bool:
    """Whether there is more than one group to compare."""
    found = hub.connection.execute(f"SELECT count(DISTINCT grp) > 1 FROM {SCORED}").fetchone()
    return bool(found and found[0])


def _same(columns: tuple[str, ...]) -> Rule:
    return tuple((name, name) for name in columns)


def _pairs_on(hub: Hub, rule: Rule) -> int:
    """Pairs that agree on all columns of a rule, counted from group sizes."""
    left, right = ([pair[side] for pair in rule] for side in (0, 1))
    if left == right:
        known = " AND ".join(f"{name} IS NOT NULL" for name in left)
        query = (
            f"SELECT coalesce(sum(n * (n - 1) // 2), 0) FROM (SELECT count(*) AS n FROM {SCORED} "
            f"WHERE {known} GROUP BY {', '.join(left)})"
        )
    else:
        sides = (
            f"(SELECT {', '.join(f'{name} AS k{i}' for i, name in enumerate(names))}, count(*) AS n "
            f"FROM {SCORED} GROUP BY ALL)"
            for names in (left, right)
        )
        on = " AND ".join(f"a.k{i} = b.k{i}" for i in range(len(rule)))
        query = "SELECT coalesce(sum(a.n * b.n), 0) FROM {} a JOIN {} b ON {}".format(*sides, on)
    found = hub.connection.execute(query).fetchone()
    return int(found[0]) if found else 0


def _prior(hub: Hub) -> float:
    """Chance that two random records match: pairs in exact agreement, taken as nine tenths of all matches.

    Agreement is on the ten digits, or on both names and birth date; the two sets are counted by
    inclusion and exclusion.
    """
    found = hub.connection.execute(f"SELECT count(*) FROM {SCORED}").fetchone()
    records = int(found[0]) if found else 0
    by_name = ("given", "family", "birth")
    agreeing = (
        _pairs_on(hub, _same(("digits",)))
        + _pairs_on(hub, _same(by_name))
        - _pairs_on(hub, _same(("digits", *by_name)))
    )
    possible = records * (records - 1) / 2
    return float(np.clip(max(agreeing, 1) / 0.9 / possible, 1e-12, 0.2))


def settle_prior(odds: Floats, prior: float, known: float, possible: float) -> float:
    """Let the scored pairs correct the chance that two random records match.

    The exact-agreement guess is too low where records are poor. Odds scale with the prior's odds, so the
    share of matches that the scored pairs themselves expect has a fixed point, found by the E and M steps
    of the mixing proportion alone (Fellegi-Sunter with m and u held).

    Parameters
    ----------
    odds
        (k,) posterior odds of the scored pairs under ``prior``.
    prior
        Chance that two random records match, as first guessed.
    known
        Pairs already settled as matches, which are not scored.
    possible
        All pairs of records.

    Examples
    --------
    >>> round(settle_prior(np.array([9.0, 9.0]), 0.1, 0.0, 10.0), 3)
    0.19
    """
    factor = odds / (prior / (1 - prior))
    current = prior
    for _ in range(50):
        own = factor * (current / (1 - current))
        settled = float(np.clip((known + float(np.sum(own / (1 + own)))) / possible, 1e-12, 0.2))
        if abs(settled - current) <= 1e-6 * current:
            break
        current = settled
    return current


def _settled(hub: Hub) -> tuple[float, float]:
    """Pairs inside deterministic groups, and all pairs."""
    found = hub.connection.execute(
        f"SELECT coalesce(sum(n * (n - 1) / 2), 0), sum(n) FROM (SELECT count(*) AS n FROM {SCORED} GROUP BY grp)"
    ).fetchone()
    assert found is not None
    records = float(found[1])
    return float(found[0]), records * (records - 1) / 2


def _parameters(linker: Any) -> tuple[pd.DataFrame, dict[str, dict[int, str]]]:
    """Trained parameters, and the label behind each level number."""
    rows = []
    labels: dict[str, dict[int, str]] = {}
    for comparison in linker.misc.save_model_to_json()["comparisons"]:
        name = comparison["output_column_name"]
        spoken = [level for level in comparison["comparison_levels"] if not level.get("is_null_level")]
        labels[name] = {len(spoken) - 1 - i: level["label_for_charts"] for i, level in enumerate(spoken)}
        rows += [
            (name, level["label_for_charts"], level.get("m_probability"), level.get("u_probability"))
            for level in spoken
        ]
    return pd.DataFrame(rows, columns=["comparison", "level", "m", "u"]), labels
