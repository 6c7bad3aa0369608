"""Incidence, discrimination and calibration against lifelines, statsmodels and plain loops."""

from __future__ import annotations

import time as clock
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from lifelines import AalenJohansenFitter
from lifelines.utils import concordance_index

from cohorts.errors import DesignError
from gwas.calibration import brier, logistic_calibration, observed_risk, risk_groups
from gwas.discrimination import auc_at_horizon, concordance, follow_up, weighted_auc
from gwas.evaluation import compare_risk, evaluate_risk, resamples, validate
from gwas.incidence import aalen_johansen
from gwas.risk import fit_risk


def cohort(n: int = 60, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    risk = rng.uniform(0.05, 0.9, n).round(2)
    first, second, censored = (rng.exponential(s, n) for s in (8.0, 15.0, 20.0))
    first = first / (0.3 + risk)
    time = np.minimum(np.minimum(first, second), censored).round(1) + 0.1
    state = np.select([first <= np.minimum(second, censored), second <= censored], [1, 2], 0)
    return risk, time, state


def test_incidence_and_its_variance_agree_with_lifelines(data_file: Callable[[str], Path]) -> None:
    table = pd.read_csv(data_file("clin_survival/surv_mgus2.csv"))
    state = np.where(table["pstat"] == 1, 1, np.where(table["death"] == 1, 2, 0))
    time = np.where(table["pstat"] == 1, table["ptime"], table["futime"]).astype(float)
    time += np.random.default_rng(0).uniform(0, 1e-4, time.size)
    mine = aalen_johansen(time, state)
    other = AalenJohansenFitter(calculate_variance=True).fit(time, state, 1)
    theirs = other.cumulative_density_.reindex(mine.times).to_numpy()[:, 0]
    np.testing.assert_allclose(mine.risk, theirs, atol=1e-12)
    spread = np.asarray(other.variance_.reindex(mine.times)).ravel()
    known = np.isfinite(spread)
    assert known.mean() > 0.99
    np.testing.assert_allclose(mine.variance[known], spread[known], rtol=1e-6, atol=1e-12)


def test_incidence_with_late_entry_equals_a_plain_loop() -> None:
    _, time, state = cohort(40, 2)
    entry = time * np.random.default_rng(3).uniform(0, 0.8, 40)
    alive, risk = 1.0, 0.0
    for t in np.unique(time[state > 0]):
        n = ((time >= t) & (entry < t)).sum()
        risk += alive * ((time == t) & (state == 1)).sum() / n
        alive *= 1 - ((time == t) & (state > 0)).sum() / n
    assert aalen_johansen(time, state, entry=entry).risk[-1] == pytest.approx(risk, rel=1e-12)


def censoring(time: np.ndarray, state: np.ndarray, t: float, *, before: bool) -> float:
    """Kaplan-Meier of censoring just before or at t, by a loop; events come first at equal times."""
    g = 1.0
    for u in np.unique(time[state == 0]):
        if u < t or (u == t and not before):
            n = ((time > u) | ((time == u) & (state == 0))).sum()
            g *= 1 - ((time == u) & (state == 0)).sum() / n
    return g


def test_concordance_equals_a_plain_double_loop() -> None:
    risk, time, state = cohort()
    agree = pairs = 0.0
    for i in np.flatnonzero((state == 1) & (time <= 7)):
        g = censoring(time, state, time[i], before=True)
        for j in range(time.size):
            later = time[j] > time[i] or (time[j] == time[i] and state[j] == 0)
            if later:
                w = 1 / g**2
            elif state[j] == 2 and time[j] <= time[i]:
                w = 1 / (g * censoring(time, state, time[j], before=True))
            else:
                continue
            pairs += w
            agree += w * (1.0 if risk[i] > risk[j] else 0.5 if risk[i] == risk[j] else 0.0)
    seen = follow_up(time, state, np.ones((1, time.size)), horizon=7.0)
    assert concordance(risk, seen)[0] == pytest.approx(agree / pairs, rel=1e-12)


def test_concordance_without_censoring_or_competition_is_harrells() -> None:
    risk, time, _ = cohort(200, 4)
    time = time + np.random.default_rng(0).uniform(0, 0.01, 200)
    seen = follow_up(time, np.ones(200, dtype=int), np.ones((1, 200)), horizon=1e9)
    assert concordance(risk, seen)[0] == pytest.approx(concordance_index(time, -risk), rel=1e-12)


def test_auc_and_brier_equal_plain_loops_with_competing_deaths_as_controls() -> None:
    risk, time, state = cohort(80, 5)
    weight = np.zeros(80)
    for i in range(80):
        if state[i] > 0 and time[i] <= 6:
            weight[i] = 1 / censoring(time, state, time[i], before=True)
        elif time[i] > 6:
            weight[i] = 1 / censoring(time, state, 6, before=True)
    case = (state == 1) & (time <= 6)
    area = total = 0.0
    for i in np.flatnonzero(case):
        for j in np.flatnonzero(~case):
            total += weight[i] * weight[j]
            area += weight[i] * weight[j] * ((risk[i] > risk[j]) + 0.5 * (risk[i] == risk[j]))
    seen = follow_up(time, state, np.ones((1, 80)), horizon=6.0)
    assert auc_at_horizon(risk, seen)[0] == pytest.approx(area / total, rel=1e-12)
    assert brier(risk, seen)[0] == pytest.approx((weight * (case - risk) ** 2).sum() / 80, rel=1e-12)


def test_weighted_observed_risk_is_aalen_johansens() -> None:
    _, time, state = cohort(300, 6)
    weights = resamples(300, 5, np.random.default_rng(1))
    seen = follow_up(time, state, weights, horizon=6.0)
    for row, value in zip(weights, observed_risk(seen), strict=True):
        keep = row > 0
        curve = aalen_johansen(time[keep], state[keep], weights=row[keep])
        assert value == pytest.approx(curve.risk[np.searchsorted(curve.times, 6, "right") - 1], rel=1e-10)


def test_calibration_agrees_with_weighted_logistic_regression_of_statsmodels() -> None:
    risk, time, state = cohort(400, 7)
    seen = follow_up(time, state, np.ones((1, 400)), horizon=6.0)
    intercept, slope = logistic_calibration(risk, seen)
    logit, y, w = np.log(risk / (1 - risk)), seen.case.astype(float), seen.inverse[0]
    keep = w > 0
    family = sm.families.Binomial()
    full = sm.GLM(y[keep], sm.add_constant(logit[keep]), family=family, freq_weights=w[keep]).fit(tol=1e-12)
    ones = np.ones((keep.sum(), 1))
    large = sm.GLM(y[keep], ones, family=family, freq_weights=w[keep], offset=logit[keep]).fit(tol=1e-12)
    assert slope[0] == pytest.approx(full.params[1], rel=1e-7)
    assert intercept[0] == pytest.approx(large.params[0], rel=1e-7)


def test_weighted_area_is_the_mann_whitney_statistic() -> None:
    from scipy.stats import mannwhitneyu

    rng = np.random.default_rng(8)
    x, y = rng.integers(0, 20, 100).astype(float), rng.random(100) < 0.4
    u = mannwhitneyu(x[y], x[~y]).statistic / (y.sum() * (~y).sum())
    assert weighted_auc(x, y[None].astype(float), (~y)[None].astype(float))[0] == pytest.approx(u)


def test_people_censored_at_the_horizon_count_as_free_of_the_event() -> None:
    rng = np.random.default_rng(9)
    risk = rng.uniform(0.05, 0.6, 3000)
    first = rng.exponential(-10 / np.log1p(-risk))
    for end in (10.0, 9.9986, 10.0014):
        time, state = np.minimum(first, end), (first < end).astype(int)
        result = evaluate_risk(risk, time, state, horizon=10, rng=rng, replicates=20)
        assert result.interval("observed")[0] == pytest.approx((first <= end).mean(), abs=1e-9)


def test_groups_cover_everybody_and_never_tear_equal_predictions_apart() -> None:
    risk, time, state = cohort(203, 10)
    table = risk_groups(risk, time, state, horizon=6.0, groups=10)
    assert table["n"].sum() == 203
    assert len(table) == 10
    assert ((table["low"] <= table["observed"]) & (table["observed"] <= table["high"])).all()
    few = risk_groups(np.repeat([0.1, 0.2, 0.3], 20), time[:60], state[:60], horizon=6.0, groups=10)
    assert few["predicted"].tolist() == pytest.approx([0.1, 0.2, 0.3])


def test_evaluation_is_quick_and_repeats_exactly() -> None:
    risk, time, state = cohort(1500, 11)
    start = clock.perf_counter()
    first = evaluate_risk(risk, time, state, horizon=6, rng=np.random.default_rng(1), replicates=200)
    assert clock.perf_counter() - start < 5
    again = evaluate_risk(risk, time, state, horizon=6, rng=np.random.default_rng(1), replicates=200)
    pd.testing.assert_frame_equal(first.metrics, again.metrics)
    assert ((first.metrics["low"] <= first.metrics["estimate"])
            & (first.metrics["estimate"] <= first.metrics["high"])).all()  # fmt: skip


def test_the_same_predictions_do_not_differ_and_noise_is_worse() -> None:
    risk, time, state = cohort(500, 12)
    rng = np.random.default_rng(2)
    same = compare_risk({"a": risk, "b": risk}, time, state, horizon=6, rng=rng)
    assert (same[["difference", "low", "high"]].to_numpy() == 0).all()
    worse = compare_risk({"a": risk, "b": rng.permutation(risk)}, time, state, horizon=6, rng=rng)
    assert worse.loc["c_index", "high"] < 0


def test_too_few_events_are_a_reason_to_abstain() -> None:
    risk, time, state = cohort(100, 13)
    state = np.where(np.cumsum(state == 1) > 9, 0, state)
    rng = np.random.default_rng(3)
    result = evaluate_risk(risk, time, state, horizon=100, rng=rng)
    assert (result.status, result.reason) == ("abstained", "fewer than the 10 events that are needed")
    assert result.metrics.empty
    assert compare_risk({"a": risk, "b": risk}, time, state, horizon=100, rng=rng).empty


def test_validation_refuses_anybody_seen_before() -> None:
    risk, time, state = cohort(600, 14)
    frame = pd.DataFrame({"person_id": np.arange(600), "age": 100 * risk, "sex": "F"})
    frame["years"], frame["state"] = time, state
    model = fit_risk(frame.iloc[:300], factors=["age"], horizon=6, discovery=[900])
    rng = np.random.default_rng(4)
    result, told = validate(model, frame.iloc[300:], rng=rng, replicates=20)
    assert result.status == "evaluated"
    assert told.index.tolist() == list(range(300, 600))
    with pytest.raises(DesignError, match="target and validation share people; found 10 in both"):
        validate(model, frame.iloc[290:], rng=rng)
    with pytest.raises(DesignError, match="discovery and validation share people"):
        validate(model, frame.iloc[300:].assign(person_id=np.arange(900, 1200)), rng=rng)


def test_risks_that_are_no_probabilities_are_refused() -> None:
    with pytest.raises(DesignError, match="no probability"):
        evaluate_risk([0.5, 1.2], [1, 2], [1, 0], horizon=1, rng=np.random.default_rng(0))
