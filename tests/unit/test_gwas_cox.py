"""The Cox model against statsmodels and lifelines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from lifelines import CoxPHFitter

from cohorts.errors import DesignError
from gwas.cox import fit_cox


@pytest.fixture(scope="module")
def lung(data_file: Callable[[str], Path]) -> pd.DataFrame:
    table = pd.read_csv(data_file("clin_survival/surv_lung.csv"))
    return table[["time", "status", "age", "sex", "ph.ecog"]].dropna().astype(float)


@pytest.mark.parametrize("truncated", [False, True])
def test_ties_and_left_truncation_agree_with_statsmodels(lung: pd.DataFrame, truncated: bool) -> None:
    x = lung[["age", "sex", "ph.ecog"]].to_numpy()
    time, event = lung["time"].to_numpy(), lung["status"].to_numpy() == 2
    entry = np.random.default_rng(1).uniform(0, 0.9, time.size) * time if truncated else None
    mine = fit_cox(x, time, event, entry=entry)
    other = sm.PHReg(time, x, status=event.astype(int), entry=entry, ties="efron").fit()
    np.testing.assert_allclose(mine.coefficients, other.params, rtol=1e-8)
    np.testing.assert_allclose(np.sqrt(np.diag(mine.covariance)), other.bse, rtol=1e-7)
    assert mine.log_likelihood == pytest.approx(other.llf, rel=1e-10)


def test_heavy_ties_agree_with_statsmodels() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(300, 2))
    time = np.ceil(rng.exponential(3 * np.exp(-0.5 * x[:, 0])))
    event = rng.random(300) < 0.7
    mine = fit_cox(x, time, event)
    other = sm.PHReg(time, x, status=event.astype(int), ties="efron").fit()
    np.testing.assert_allclose(mine.coefficients, other.params, rtol=1e-8)
    assert mine.times.size < 40


def test_baseline_hazard_agrees_with_lifelines_where_times_are_distinct() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(200, 2))
    time = rng.exponential(np.exp(-0.4 * x[:, 1]))
    event = rng.random(200) < 0.8
    mine = fit_cox(x, time, event)
    frame = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "t": time, "e": event.astype(int)})
    other = CoxPHFitter().fit(frame, "t", "e", fit_options={"precision": 1e-12})
    theirs = other.predict_cumulative_hazard(pd.DataFrame({"a": [0.0], "b": [0.0]})).iloc[:, 0]
    np.testing.assert_allclose(np.cumsum(mine.baseline), theirs.reindex(mine.times).to_numpy(), rtol=1e-6)


def test_baseline_derivative_is_minus_the_mean_at_risk() -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(80, 2)) + 3
    time, event = rng.exponential(size=80).round(1) + 0.1, rng.random(80) < 0.7
    whole = fit_cox(x, time, event)
    half = fit_cox(x, time, event, shrink=1 - 1e-6)
    moved = (np.log(half.baseline) - np.log(whole.baseline)) / -1e-6
    np.testing.assert_allclose(moved, -whole.means @ whole.coefficients, rtol=1e-4)


def test_scale_of_factors_does_not_matter() -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(150, 1))
    time, event = rng.exponential(np.exp(-x[:, 0])), np.ones(150, dtype=bool)
    small, large = fit_cox(x, time, event), fit_cox(1e6 * x + 1e8, time, event)
    assert large.coefficients[0] * 1e6 == pytest.approx(small.coefficients[0], rel=1e-6)


@pytest.mark.parametrize(
    ("x", "event", "words"),
    [
        (np.ones((40, 1)), None, "does not vary"),
        (np.column_stack([np.arange(40.0), 2 * np.arange(40.0)]), None, "collinear"),
        (np.arange(40.0)[:, None], np.zeros(40, dtype=bool), "no events"),
        (np.where(np.arange(40) < 20, 1.0, 0.0)[:, None], np.arange(40) < 20, "does not converge"),
    ],
)
def test_data_that_cannot_be_fitted_are_refused_with_the_reason(
    x: np.ndarray, event: np.ndarray | None, words: str
) -> None:
    happened = np.ones(40, dtype=bool) if event is None else event
    with pytest.raises(DesignError, match=words):
        fit_cox(x, np.arange(1.0, 41.0), happened)


def test_entry_after_exit_is_refused() -> None:
    with pytest.raises(DesignError, match="entry is not before exit"):
        fit_cox(np.arange(5.0)[:, None], np.arange(5.0), np.ones(5, dtype=bool), entry=np.full(5, 2.0))
