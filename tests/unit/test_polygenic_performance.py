"""What a score is worth: against statsmodels, scipy and published conversions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.stats import mannwhitneyu

from cohorts.errors import DesignError
from gwas.polygenic.performance import choose_score, liability_r2, percentile, score_performance


def people(n: int = 400, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    covariates = np.column_stack([rng.uniform(40, 70, n), rng.integers(0, 2, n)])
    x = rng.normal(3, 2, n)
    return x, covariates, 0.3 * x + 0.05 * covariates[:, 0] + rng.normal(size=n)


def test_quantitative_metrics_are_those_of_statsmodels() -> None:
    x, c, y = people()
    found = score_performance(x, y, covariates=c, rng=np.random.default_rng(1)).metrics["estimate"]
    z = (x - x.mean()) / x.std(ddof=1)
    null, full = (sm.OLS(y, sm.add_constant(d)).fit() for d in (c, np.column_stack([c, z])))
    assert found["r2"] == pytest.approx(full.rsquared - null.rsquared, rel=1e-7)
    assert found["beta_per_sd"] == pytest.approx(full.params[-1], rel=1e-7)


def test_binary_metrics_are_those_of_statsmodels_and_scipy() -> None:
    x, c, y = people(seed=2)
    y = (y > np.quantile(y, 0.7)).astype(float)
    found = score_performance(x, y, covariates=c, rng=np.random.default_rng(1), prevalence=0.1)
    z = (x - x.mean()) / x.std(ddof=1)
    logit = sm.Logit(y, sm.add_constant(np.column_stack([c, z]))).fit(disp=0, tol=1e-12)
    values = found.metrics["estimate"]
    assert values["or_per_sd"] == pytest.approx(np.exp(logit.params[-1]), rel=1e-6)
    u = mannwhitneyu(x[y == 1], x[y == 0]).statistic / (y.sum() * (1 - y).sum())
    assert values["auc"] == pytest.approx(u, rel=1e-12)
    expected = liability_r2(values["r2_observed"], prevalence=0.1, share=y.mean())
    assert values["r2_liability"] == pytest.approx(float(expected), rel=1e-9)
    assert found.cases == 120
    assert ((found.metrics["low"] < values) & (values < found.metrics["high"])).all()


@pytest.mark.parametrize(
    ("r2", "prevalence", "share", "liability"),
    [(0.05, 0.01, 0.5, 0.028646), (0.10, 0.15, 0.5, 0.123356), (0.05, 0.05, 0.05, 0.223278),
     (0.02, 0.07, 0.3, 0.022629)],
)  # fmt: skip
def test_liability_r2_takes_the_published_values(r2, prevalence, share, liability) -> None:
    assert float(liability_r2(r2, prevalence=prevalence, share=share)) == pytest.approx(liability, abs=5e-7)


def test_collinear_and_constant_covariates_do_no_harm() -> None:
    x, c, y = people(seed=3)
    plain = score_performance(x, y, covariates=c, rng=np.random.default_rng(1)).metrics["estimate"]
    more = np.column_stack([c, c[:, 0] * 2, np.ones(len(c))])
    again = score_performance(x, y, covariates=more, rng=np.random.default_rng(1)).metrics["estimate"]
    pd.testing.assert_series_equal(plain, again, rtol=1e-6)


def test_too_few_cases_are_a_reason_to_abstain() -> None:
    x = np.arange(100.0)
    found = score_performance(x, (x > 94).astype(float), rng=np.random.default_rng(1))
    assert found.status == "abstained"
    assert found.reason == "fewer than the 10 cases or 10 controls that are needed"


def test_the_best_of_several_scores_is_chosen_and_hopeless_data_refused() -> None:
    x, c, y = people(seed=4)
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"noise": rng.normal(size=x.size), "good": x, "flat": 1.0})
    y[:5] = np.nan
    best, table = choose_score(frame, y, covariates=c)
    assert best == "good"
    assert np.isnan(table.loc["flat", "r2"])
    with pytest.raises(DesignError, match="no score can be judged"):
        choose_score(frame[["flat"]], y)


def test_percentile_interval_widens_with_a_small_group_and_an_uncertain_score() -> None:
    rng = np.random.default_rng(5)
    large, small = rng.normal(size=20_000), rng.normal(size=100)
    middle, low, high = percentile(1.0, large)
    assert middle == pytest.approx(84.1, abs=1)
    assert high - low < 1.5
    assert percentile(1.0, small)[2] - percentile(1.0, small)[1] > 5
    _, wide_low, wide_high = percentile(1.0, large, se=0.5)
    assert (wide_low, wide_high) == (pytest.approx(50.8, abs=2), pytest.approx(97.6, abs=1))
    with pytest.raises(DesignError, match="empty"):
        percentile(1.0, [np.nan])
