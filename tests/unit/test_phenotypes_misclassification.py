"""Attenuation by misclassified cases, and its correction: algebra, planted effects, coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from cohorts.errors import DesignError
from phenotypes.misclassification import Accuracy, attenuation, corrected_association, true_prevalence

BETA = np.array([0.5, -0.3])


def _world(rng, n, se, sp, intercept=-2.0):
    """Allele copies and a covariate, who is ill, and who is found."""
    x = np.column_stack([rng.binomial(2, 0.3, n), rng.normal(size=n)]).astype(float)
    ill = rng.random(n) < 1 / (1 + np.exp(-(intercept + x @ BETA)))
    return x, ill, np.where(ill, rng.random(n) < se, rng.random(n) >= sp)


def test_a_perfect_definition_gives_logistic_regression():
    import statsmodels.api as sm

    x, ill, _ = _world(np.random.default_rng(3), 3000, 1, 1)
    theirs = sm.Logit(ill.astype(float), sm.add_constant(x)).fit(disp=0)
    made = corrected_association(ill, x, Accuracy(1.0, 1.0))
    for kind in (made.naive, made.corrected):
        assert [e.value for e in kind] == pytest.approx(theirs.params[1:], rel=1e-6)
        assert [e.se for e in kind] == pytest.approx(theirs.bse[1:], rel=1e-5)


def test_the_maximum_is_that_of_a_general_optimiser():
    x, _, seen = _world(np.random.default_rng(4), 5000, 0.7, 0.95)
    design = np.column_stack([np.ones(len(x)), x])

    def minus_log_likelihood(b):
        p = 1 / (1 + np.exp(-(design @ b)))
        q = 0.7 * p + 0.05 * (1 - p)
        return -float(np.log(np.where(seen, q, 1 - q)).sum())

    theirs = minimize(minus_log_likelihood, np.array([-2.0, 0, 0]), method="BFGS").x
    made = corrected_association(seen, x, Accuracy(0.7, 0.95))
    assert [e.value for e in made.corrected] == pytest.approx(theirs[1:], abs=1e-3)


@pytest.mark.parametrize("validated", [None, 400])
def test_corrected_intervals_cover_where_naive_ones_do_not(validated):
    """300 planted regions: the corrected interval holds the truth at its level, the naive one seldom does."""
    rng = np.random.default_rng(11)
    held = np.zeros((2, 2))
    for _ in range(300):
        x, ill, seen = _world(rng, 4000, 0.75, 0.95)
        accuracy = Accuracy(0.75, 0.95)
        if validated is not None:
            cases, others = (
                rng.choice(np.flatnonzero(ill), validated),
                rng.choice(np.flatnonzero(~ill), validated),
            )
            accuracy = Accuracy.of_validation(
                true_cases=(int(seen[cases].sum()), validated),
                true_others=(int((~seen[others]).sum()), validated),
            )
        made = corrected_association(seen, x, accuracy)
        for k, kind in enumerate((made.naive, made.corrected)):
            held[k] += [e.low < b < e.high for e, b in zip(kind, BETA, strict=True)]
    naive, corrected = held / 300
    # three standard errors of 300 draws about 0.95
    assert (np.abs(corrected - 0.95) < 3 * np.sqrt(0.95 * 0.05 / 300)).all()
    assert (naive < 0.6).all()


def test_uncertain_validation_widens_the_interval():
    x, _, seen = _world(np.random.default_rng(5), 20_000, 0.75, 0.95)
    known = corrected_association(seen, x, Accuracy(0.75, 0.95)).corrected[0]
    small = Accuracy.of_validation(true_cases=(30, 40), true_others=(95, 100))
    assert corrected_association(seen, x, small).corrected[0].se > 1.2 * known.se


def test_attenuation_is_what_is_found_in_a_large_region():
    rng = np.random.default_rng(6)
    n, accuracy = 2_000_000, Accuracy(0.8, 0.98)
    exposed = rng.random(n) < 0.5
    base, log_or = 0.05, 0.7
    odds = base / (1 - base) * np.exp(log_or * exposed)
    ill = rng.random(n) < odds / (1 + odds)
    seen = np.where(ill, rng.random(n) < 0.8, rng.random(n) >= 0.98)
    one, other = seen[exposed].mean(), seen[~exposed].mean()
    found = np.log(one / (1 - one)) - np.log(other / (1 - other))
    assert attenuation(log_or, base, accuracy) == pytest.approx(found / log_or, abs=0.02)


def test_small_effects_shrink_by_ppv_plus_npv_less_one():
    accuracy, p = Accuracy(0.7, 0.97), 0.08
    seen = 0.7 * p + 0.03 * (1 - p)
    ppv, npv = 0.7 * p / seen, 0.97 * (1 - p) / (1 - seen)
    assert attenuation(0.0, p, accuracy) == pytest.approx(ppv + npv - 1)
    assert attenuation(1e-6, p, accuracy) == pytest.approx(ppv + npv - 1, abs=1e-5)


def test_review_of_found_cases_gives_sensitivity_and_specificity_with_their_spread():
    rng = np.random.default_rng(7)
    p, se, sp = 0.1, 0.8, 0.97
    q = se * p + (1 - sp) * (1 - p)
    ppv, npv = se * p / q, sp * (1 - p) / (1 - q)
    exact = Accuracy.of_review(
        cases=(round(ppv * 10**7), 10**7), others=(round(npv * 10**7), 10**7), share_of_cases=q
    )
    assert (exact.sensitivity, exact.specificity) == pytest.approx((se, sp), abs=1e-5)
    drawn = []
    for _ in range(4000):
        a, b = rng.binomial(300, ppv) / 300, rng.binomial(2000, npv) / 2000
        ill = a * q + (1 - b) * (1 - q)
        drawn.append((a * q / ill, b * (1 - q) / (1 - ill)))
    made = Accuracy.of_review(
        cases=(round(300 * ppv), 300), others=(round(2000 * npv), 2000), share_of_cases=q
    )
    np.testing.assert_allclose(np.sqrt(np.diag(made.covariance)), np.std(drawn, axis=0), rtol=0.12)


def test_case_control_sampling_by_what_was_found_is_carried():
    rng = np.random.default_rng(8)
    x, _, seen = _world(rng, 400_000, 0.8, 0.97, intercept=-3.5)
    kept = seen | (rng.random(len(seen)) < 0.1)
    right = corrected_association(seen[kept], x[kept], Accuracy(0.8, 0.97).sampled(cases=1, others=0.1))
    for e, b in zip(right.corrected, BETA, strict=True):
        assert abs(e.value - b) < 4 * e.se
        assert e.se < 0.05


def test_prevalence_behind_a_found_share_is_held_within_bounds():
    made = true_prevalence(107, 1000, Accuracy(0.8, 0.97))
    assert made.value == pytest.approx(0.1)
    assert made.low < 0.1 < made.high
    nothing = true_prevalence(5, 1000, Accuracy(0.8, 0.97))
    assert (nothing.value, nothing.low) == (0.0, 0.0)


def test_what_cannot_be_corrected_is_refused():
    with pytest.raises(DesignError, match="no better than chance"):
        Accuracy(0.5, 0.5)
    with pytest.raises(DesignError, match="larger than its whole"):
        Accuracy.of_validation(true_cases=(5, 4), true_others=(1, 2))
    x, _, seen = _world(np.random.default_rng(9), 2000, 1.0, 0.99, intercept=-6)
    with pytest.raises(DesignError, match="would not find this share"):
        corrected_association(seen, x, Accuracy(0.9, 0.8))
    with pytest.raises(DesignError, match="do not fit together"):
        corrected_association(seen[:-1], x, Accuracy(0.9, 0.99))
