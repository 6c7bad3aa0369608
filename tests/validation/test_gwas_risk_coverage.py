"""Are the intervals right? Simulated regions with known risks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from gwas.evaluation import evaluate_risk
from gwas.polygenic.performance import score_performance
from gwas.risk import fit_risk

FACTORS = ["age", "sex", "score"]
EVENT, DEATH = 0.015, 0.012


def simulate(n: int, rng: np.random.Generator) -> tuple[pd.DataFrame, np.ndarray]:
    """People and their true ten-year risks under constant proportional hazards with competing death."""
    age, sex, score = rng.uniform(40, 74, n), rng.integers(0, 2, n).astype(float), rng.normal(size=n)
    first = EVENT * np.exp(0.05 * (age - 57) + 0.4 * sex + 0.5 * score)
    second = DEATH * np.exp(0.09 * (age - 57) + 0.3 * sex)
    truth = first / (first + second) * -np.expm1(-10 * (first + second))
    t1, t2, c = rng.exponential(1 / first), rng.exponential(1 / second), rng.uniform(4, 18, n)
    time = np.minimum(np.minimum(np.minimum(t1, t2), c), 11)
    state = np.select([time == t1, time == t2], [1, 2], 0)
    frame = pd.DataFrame({"age": age, "sex": sex, "score": score, "years": time, "state": state})
    return frame, truth


@pytest.mark.slow
def test_a_persons_interval_holds_the_true_risk_in_about_95_of_100_studies() -> None:
    rng = np.random.default_rng(1)
    people = pd.DataFrame(
        {"age": [45.0, 57.0, 72.0, 60.0], "sex": [0.0, 1.0, 1.0, 0.0], "score": [0.0, 1.0, -1.0, 2.5]}
    )
    first = EVENT * np.exp(0.05 * (people["age"] - 57) + 0.4 * people["sex"] + 0.5 * people["score"])
    second = DEATH * np.exp(0.09 * (people["age"] - 57) + 0.3 * people["sex"])
    truth = (first / (first + second) * -np.expm1(-10 * (first + second))).to_numpy()
    studies, inside = 400, np.zeros(4)
    for _ in range(studies):
        frame, _ = simulate(1200, rng)
        told = fit_risk(frame, factors=FACTORS).predict(people)
        inside += (told["low"].to_numpy() <= truth) & (truth <= told["high"].to_numpy())
    low, high = binom.ppf([0.0005, 0.9995], studies, 0.95) / studies
    assert ((low <= inside / studies) & (inside / studies <= high)).all(), inside / studies


@pytest.mark.slow
def test_evaluation_intervals_hold_the_large_sample_values() -> None:
    rng = np.random.default_rng(2)
    frame, truth = simulate(60_000, rng)
    large = evaluate_risk(truth, frame["years"], frame["state"], horizon=10, rng=rng, replicates=2).metrics
    studies, names = 120, ["c_index", "auc", "calibration_slope", "calibration_in_the_large", "brier", "ipa"]
    inside = pd.Series(0, index=names)
    for _ in range(studies):
        frame, truth = simulate(1500, rng)
        metrics = evaluate_risk(
            truth, frame["years"], frame["state"], horizon=10, rng=rng, replicates=200
        ).metrics
        inside += (metrics["low"] <= large["estimate"])[names] & (large["estimate"] <= metrics["high"])[names]
    assert (inside / studies).between(0.87, 0.995).all(), inside / studies


def test_a_well_specified_model_is_calibrated_in_new_people() -> None:
    rng = np.random.default_rng(3)
    slopes, ratios, covered, hits = [], [], [], []
    for _ in range(10):
        train, _ = simulate(1500, rng)
        fresh, truth = simulate(1500, rng)
        told = fit_risk(train, factors=FACTORS).predict(fresh)
        result = evaluate_risk(
            told["risk"], fresh["years"], fresh["state"], horizon=10, rng=rng, replicates=2
        )
        slopes.append(result.interval("calibration_slope")[0])
        ratios.append(result.interval("observed_expected")[0])
        covered.append(((told["low"] <= truth) & (truth <= told["high"])).mean())
        groups = result.deciles
        hits.append(((groups["low"] <= groups["predicted"]) & (groups["predicted"] <= groups["high"])).mean())
    assert np.mean(slopes) == pytest.approx(1, abs=0.16)
    assert np.mean(ratios) == pytest.approx(1, abs=0.09)
    assert np.mean(covered) > 0.85
    assert np.mean(hits) > 0.8


def test_ignoring_death_would_overstate_the_risk() -> None:
    rng = np.random.default_rng(4)
    train, truth = simulate(6000, rng)
    honest = fit_risk(train, factors=FACTORS).predict(train)["risk"]
    naive = fit_risk(train.assign(state=train["state"] % 2), factors=FACTORS).predict(train)["risk"]
    assert abs(honest.mean() / truth.mean() - 1) < 0.06
    assert naive.mean() / truth.mean() > 1.05


@pytest.mark.slow
def test_score_performance_intervals_hold_the_true_r2() -> None:
    rng = np.random.default_rng(5)
    inside, studies = 0, 200
    for _ in range(studies):
        x = rng.normal(size=800)
        y = np.sqrt(0.1) * x + np.sqrt(0.9) * rng.normal(size=800)
        found = score_performance(x, y, rng=rng, replicates=200)
        inside += found.metrics.loc["r2", "low"] <= 0.1 <= found.metrics.loc["r2", "high"]
    assert 0.89 <= inside / studies <= 0.99
