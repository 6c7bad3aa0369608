"""The Splink model of :mod:`cohorts.linkage`: what is compared, how it is learnt, which pairs are scored.

Part of the linkage room and, like it, in sight of raw identifiers. Splink is imported on first use.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cohorts.hub import Hub

Floats = npt.NDArray[np.float64]

RECORDS = "__link_records"
LEARN_FROM = 200

# (label, SQL condition over _l and _r, starting m, starting u); m and u are round figures of our own that
# stand where the data are too few to learn from.
_Level = tuple[str, str, float, float]

NEUTRAL = -1.0  # a level that says nothing, because another comparison tells the same fact

_SAME_FORM = "formal_l = formal_r"
_INITIAL = "(length(given_l) = 1 OR length(given_r) = 1) AND given_l[1] = given_r[1]"
# Cheap conditions stand before costly ones: they are necessary (or nearly) and spare most random pairs the
# edit distance. Birth dates and NHS numbers have ten signs each: one keystroke changes two places at most.
_CROSSED = (
    "(given_l[1] = family_r[1] OR family_l[1] = given_r[1]) "
    "AND jaro_winkler_similarity(given_l, family_r) >= 0.85 "
    "AND jaro_winkler_similarity(family_l, given_r) >= 0.85"
)
_BIRTH_SLIP = "hamming(birth_l, birth_r) <= 2 AND damerau_levenshtein(birth_l, birth_r) <= 1"
_DIGIT_SLIP = "hamming(digits_l, digits_r) <= 2 AND damerau_levenshtein(digits_l, digits_r) <= 1"
_POSTCODE_SLIP = (
    "(length(postcode_l) < 5 OR postcode_l[1:3] = postcode_r[1:3] OR postcode_l[-3:] = postcode_r[-3:]) "
    "AND damerau_levenshtein(postcode_l, postcode_r) <= 1"
)
_TWO_PARTS = " + ".join(f"(birth_l[{p}] = birth_r[{p}])::INT" for p in ("1:4", "6:7", "9:10")) + " >= 2"

COMPARISONS: dict[str, tuple[str, tuple[_Level, ...]]] = {
    "given": (
        "given",
        (
            ("exact", "given_l = given_r", 0.86, 0.015),
            ("form of one another", _SAME_FORM, 0.045, 0.002),
            ("initial", _INITIAL, 0.02, 0.001),
            ("alike 0.9", "jaro_winkler_similarity(given_l, given_r) >= 0.9", 0.03, 0.004),
            ("alike 0.8", "jaro_winkler_similarity(given_l, given_r) >= 0.8", 0.01, 0.008),
            ("crossed, told by family", _CROSSED, NEUTRAL, NEUTRAL),
            ("else", "ELSE", 0.03, 0.97),
        ),
    ),
    "family": (
        "family",
        (
            ("exact", "family_l = family_r", 0.88, 0.005),
            ("alike 0.9", "jaro_winkler_similarity(family_l, family_r) >= 0.9", 0.03, 0.003),
            ("alike 0.8", "jaro_winkler_similarity(family_l, family_r) >= 0.8", 0.01, 0.006),
            ("crossed", _CROSSED, 0.005, 0.00001),
            ("else", "ELSE", 0.075, 0.986),
        ),
    ),
    "birth": (
        "birth",
        (
            ("exact", "birth_l = birth_r", 0.96, 0.00004),
            ("day and month swapped", "birth_l = swapped_r", 0.01, 0.00002),
            ("one keystroke", _BIRTH_SLIP, 0.015, 0.0012),
            ("two parts of three", _TWO_PARTS, 0.005, 0.006),
            ("else", "ELSE", 0.01, 0.992),
        ),
    ),
    "sex": ("sex", (("exact", "sex_l = sex_r", 0.99, 0.5), ("else", "ELSE", 0.01, 0.5))),
    "postcode": (
        "postcode",
        (
            ("exact", "postcode_l = postcode_r", 0.7, 0.0003),
            ("one keystroke", _POSTCODE_SLIP, 0.02, 0.001),
            ("same district", "district_l = district_r", 0.06, 0.02),
            ("else", "ELSE", 0.22, 0.978),
        ),
    ),
    "digits": (
        "digits",
        (
            ("exact", "digits_l = digits_r", 0.96, 0.00001),
            ("one keystroke", _DIGIT_SLIP, 0.025, 0.00001),
            ("else", "ELSE", 0.015, 0.99998),
        ),
    ),
}

# Rare values weigh more than common ones where a column's values repeat unevenly.
_UNEVEN = ("given", "family")

# Each pair of records that could match must agree on the columns of one rule.
BLOCKS: tuple[str, ...] = (
    "l.digits = r.digits",
    "l.birth = r.birth AND l.family = r.family",
    "l.birth = r.birth AND l.formal = r.formal",
    "l.birth = r.birth AND l.postcode = r.postcode",
    "l.birth = r.birth AND l.given = r.family",
    "l.birth = r.birth AND l.family = r.given",
    "l.formal = r.formal AND l.family = r.family AND l.birth_year = r.birth_year",
    "l.postcode = r.postcode AND l.swapped = r.birth",
    "l.formal = r.formal AND l.swapped = r.birth",
    "l.family = r.family AND l.swapped = r.birth",
    "l.postcode = r.postcode AND l.formal = r.formal",
    "l.postcode = r.postcode AND l.family = r.family",
    "l.postcode = r.postcode AND l.given = r.family",
    "l.postcode = r.postcode AND l.family = r.given",
)

# Expectation maximisation runs once a rule; between them every comparison is free in at least one.
LEARNING: tuple[tuple[str, ...], ...] = (
    ("digits",),
    ("birth", "family"),
    ("given", "family"),
    ("postcode", "birth"),
)


def score_pairs(
    hub: Hub, *, seed: int, sample_pairs: float, least: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Score candidate pairs of different deterministic groups.

    Parameters
    ----------
    hub
        Holds the table :data:`RECORDS` with ``record``, identifiers in one form and ``grp``.
    seed
        Of the random pairs for u.
    sample_pairs
        How many random pairs.
    least
        Pairs below this probability are not returned.

    Returns
    -------
    pairs
        ``l``, ``r`` (records, ``l < r``), ``match_probability``.
    model
        ``comparison``, ``level``, ``m``, ``u``.
    """
    used = _informative(hub)
    if not used or not _candidates(hub):
        empty = pd.DataFrame({"l": [], "r": [], "match_probability": []})
        return empty, pd.DataFrame(columns=["comparison", "level", "m", "u"])
    from splink import DuckDBAPI, Linker, SettingsCreator, block_on
    from splink.blocking_rule_library import CustomRule

    prior = _prior(hub)
    settings = SettingsCreator(
        link_type="dedupe_only",
        unique_id_column_name="record",
        probability_two_random_records_match=prior,
        comparisons=[_comparison(name) for name in used],
        blocking_rules_to_generate_predictions=[CustomRule(f"{rule} AND l.grp <> r.grp") for rule in BLOCKS],
        retain_matching_columns=False,
        retain_intermediate_calculation_columns=False,
        max_iterations=20,
        em_convergence=0.001,
    )
    quiet = logging.getLogger("splink")
    before = quiet.level
    quiet.setLevel(logging.ERROR)
    api = DuckDBAPI(connection=hub.connection)
    linker = Linker(api.register(RECORDS), settings, log_level=None)
    try:
        learnable = [
            rule for rule in LEARNING if set(rule) <= set(used) and _pairs_on(hub, rule) >= LEARN_FROM
        ]
        learnt = {name for rule in learnable for name in used if name not in rule}
        if learnt:
            linker.training.estimate_u_using_random_sampling(max_pairs=sample_pairs, seed=seed)
            for rule in learnable:
                linker.training.estimate_parameters_using_expectation_maximisation(
                    block_on(*rule), estimate_without_term_frequencies=True, max_pairs=2e6
                )
        scored = linker.inference.predict(threshold_match_probability=least / 10, warning_mode="never")
        pairs = hub.frame(_PAIRS.format(scored=scored.physical_name))
        odds = pairs["match_probability"] / (1 - pairs["match_probability"]).clip(lower=1e-15)
        known, possible = _settled(hub)
        learnt_prior = settle_prior(odds.to_numpy(float), prior, known, possible)
        odds *= learnt_prior / (1 - learnt_prior) / (prior / (1 - prior))
        pairs["match_probability"] = odds / (1 + odds)
        return pairs[pairs["match_probability"] >= least].reset_index(drop=True), _parameters(linker)
    finally:
        quiet.setLevel(before)
        linker.table_management.delete_tables_created_by_splink_from_db()


_PAIRS = """
SELECT least(record_l, record_r) AS l, greatest(record_l, record_r) AS r, match_probability
FROM {scored} ORDER BY l, r
"""

# Twins and namesakes: born on one day under one family name, with given names that are neither alike nor
# forms of one another, and either two patients of one source or holders of two valid numbers.
_APART = """
SELECT a.record AS l, b.record AS r FROM {records} a JOIN {records} b
    ON a.birth = b.birth AND a.family = b.family AND a.record < b.record AND a.grp <> b.grp
WHERE a.formal <> b.formal AND jaro_winkler_similarity(a.given, b.given) < 0.8
    AND NOT ((length(a.given) = 1 OR length(b.given) = 1) AND a.given[1] = b.given[1])
    AND (damerau_levenshtein(a.digits, b.digits) > 1 OR a.digits IS NULL OR b.digits IS NULL)
    AND (a.source = b.source OR (a.nhs IS NOT NULL AND b.nhs IS NOT NULL))
ORDER BY l, r
"""


def kept_apart(hub: Hub) -> pd.DataFrame:
    """Pairs of records (``l``, ``r``) that must not share a person: twins and namesakes born on one day."""
    return hub.frame(_APART.format(records=RECORDS))


def _comparison(name: str) -> Any:
    import splink.comparison_level_library as levels
    from splink.comparison_library import CustomComparison

    column, declared = COMPARISONS[name]
    made: list[Any] = [levels.NullLevel(column)]
    for label, condition, m, u in declared:
        if condition == "ELSE":
            level: Any = levels.ElseLevel()
        else:
            level = levels.CustomLevel(condition, label_for_charts=label)
        if m == NEUTRAL:
            made.append(level.configure(is_null_level=True))
            continue
        level = level.configure(m_probability=m, u_probability=u)
        if label == "exact" and name in _UNEVEN:
            level = level.configure(tf_adjustment_column=column, tf_minimum_u_value=1e-5)
        made.append(level)
    return CustomComparison(made, output_column_name=name)


def _informative(hub: Hub) -> list[str]:
    """Comparisons whose column holds at least two values."""
    columns = {name: column for name, (column, _) in COMPARISONS.items()}
    counts = hub.frame(
        "SELECT "
        + ", ".join(f"count({column}) AS {name}" for name, column in columns.items())
        + f" FROM {RECORDS}"
    )
    return [name for name in columns if int(counts[name].iloc[0]) >= 2]


def _candidates(hub: Hub) -> bool:
    """Whether there is more than one group to compare."""
    found = hub.connection.execute(f"SELECT count(DISTINCT grp) > 1 FROM {RECORDS}").fetchone()
    return bool(found and found[0])


def _pairs_on(hub: Hub, columns: tuple[str, ...]) -> int:
    """Pairs that agree on all of these columns, counted from group sizes."""
    known = " AND ".join(f"{name} IS NOT NULL" for name in columns)
    found = hub.connection.execute(
        f"SELECT coalesce(sum(n * (n - 1) // 2), 0) FROM (SELECT count(*) AS n FROM {RECORDS} WHERE {known} "
        f"GROUP BY {', '.join(columns)})"
    ).fetchone()
    return int(found[0]) if found else 0


def _prior(hub: Hub) -> float:
    """Chance that two random records match: pairs in exact agreement, taken as nine tenths of all matches.

    Agreement is on the ten digits, or on both names and birth date; the two sets are counted by
    inclusion and exclusion.
    """
    found = hub.connection.execute(f"SELECT count(*) FROM {RECORDS}").fetchone()
    records = int(found[0]) if found else 0
    by_name = ("given", "family", "birth")
    agreeing = _pairs_on(hub, ("digits",)) + _pairs_on(hub, by_name) - _pairs_on(hub, ("digits", *by_name))
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
        f"SELECT coalesce(sum(n * (n - 1) / 2), 0), sum(n) FROM (SELECT count(*) AS n FROM {RECORDS} GROUP BY grp)"
    ).fetchone()
    assert found is not None
    records = float(found[1])
    return float(found[0]), records * (records - 1) / 2


def _parameters(linker: Any) -> pd.DataFrame:
    rows = []
    for comparison in linker.misc.save_model_to_json()["comparisons"]:
        for level in comparison["comparison_levels"]:
            if not level.get("is_null_level"):
                rows.append(
                    (
                        comparison["output_column_name"],
                        level["label_for_charts"],
                        level.get("m_probability"),
                        level.get("u_probability"),
                    )
                )
    return pd.DataFrame(rows, columns=["comparison", "level", "m", "u"])
