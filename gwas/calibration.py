"""Whether predicted risks come true: in the large, by slope, by groups, and the Brier score.

As in :mod:`gwas.discrimination`, one row of case weights is one resample.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gwas.discrimination import FollowUp
from gwas.incidence import aalen_johansen

Floats = NDArray[np.float64]
EDGE = 1e-6


def observed_risk(seen: FollowUp) -> Floats:
    """Aalen-Johansen risk at the horizon, (B,), in its inverse-weighted form.

    Examples
    --------
    >>> from gwas.discrimination import follow_up
    >>> t, s = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1, 2, 1, 0])
    >>> float(observed_risk(follow_up(t, s, np.ones((1, 4)), horizon=3.5))[0])
    0.5
    """
    return np.asarray((seen.inverse * seen.case).sum(axis=1) / seen.weights.sum(axis=1))


def expected_risk(predicted: Floats, seen: FollowUp) -> Floats:
    """Mean predicted risk, (B,)."""
    return np.asarray(seen.weights @ predicted / seen.weights.sum(axis=1))


def brier(predicted: Floats, seen: FollowUp) -> Floats:
    """Mean squared difference between outcome at the horizon and predicted risk, (B,).

    Notes
    -----
    Inverse-weighted for censoring: Graf et al., Stat Med 1999;18:2529; a competing death is an outcome 0.
    """
    error = (seen.case - predicted) ** 2
    return np.asarray(seen.inverse @ error / seen.weights.sum(axis=1))


def brier_of_nobody(seen: FollowUp) -> Floats:
    """Brier score of giving everybody the observed risk, (B,): what IPA = 1 - Brier / this is against."""
    risk, n = observed_risk(seen), seen.weights.sum(axis=1)
    weight = seen.inverse
    cases, others = (weight * seen.case).sum(axis=1), (weight * ~seen.case).sum(axis=1)
    return np.asarray((cases * (1 - risk) ** 2 + others * risk**2) / n)


def logistic_calibration(predicted: Floats, seen: FollowUp, *, steps: int = 25) -> tuple[Floats, Floats]:
    """Calibration in the large and calibration slope, each (B,).

    In the large: the intercept that, added to logit(predicted), makes predicted and observed agree (0 is
    perfect, above 0 means risks were too low). Slope: the coefficient of logit(predicted) (1 is perfect,
    below 1 means that risks are too extreme). Logistic regression of the outcome at the horizon, weighted
    for censoring, by Newton's method on all resamples at once; NaN where it does not converge.
    """
    safe = np.clip(predicted, EDGE, 1 - EDGE)
    x = np.log(safe / (1 - safe))
    y, weight = seen.case.astype(np.float64), seen.inverse
    return _intercept(x, y, weight, steps), _slope(x, y, weight, steps)


def _intercept(x: Floats, y: Floats, weight: Floats, steps: int) -> Floats:
    a = np.zeros(len(weight))
    step = np.full(len(weight), np.inf)
    for _ in range(steps):
        p = 1 / (1 + np.exp(-(x + a[:, None])))
        slope = (weight * p * (1 - p)).sum(axis=1)
        step = np.divide((weight * (y - p)).sum(axis=1), slope, out=np.zeros_like(a), where=slope > 0)
        a += np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-10:
            break
    return np.where((np.abs(step) < 1e-6) & (weight @ y > 0), a, np.nan)


def _slope(x: Floats, y: Floats, weight: Floats, steps: int) -> Floats:
    centre = x.mean()
    z = x - centre
    a, b = np.zeros(len(weight)), np.ones(len(weight))
    a += centre
    last = np.full(len(weight), np.inf)
    if z.std() < 1e-9:
        return np.full(len(weight), np.nan)
    for _ in range(steps):
        p = 1 / (1 + np.exp(-(a[:, None] + b[:, None] * z)))
        v, residual = weight * p * (1 - p), weight * (y - p)
        h00, h01, h11 = v.sum(axis=1), v @ z, v @ (z * z)
        g0, g1 = residual.sum(axis=1), residual @ z
        determinant = h00 * h11 - h01**2
        fine = determinant > 1e-12
        safe = np.where(fine, determinant, 1.0)
        da = np.where(fine, (h11 * g0 - h01 * g1) / safe, 0.0)
        db = np.where(fine, (h00 * g1 - h01 * g0) / safe, 0.0)
        a, b = a + np.clip(da, -2, 2), b + np.clip(db, -2, 2)
        last = np.where(fine, np.maximum(np.abs(da), np.abs(db)), np.inf)
        if (last[np.isfinite(last)] < 1e-10).all():
            break
    return np.where(last < 1e-6, b, np.nan)


def risk_groups(
    predicted: Floats, time: Floats, state: NDArray[np.integer], *, horizon: float, groups: int
) -> pd.DataFrame:
    """Predicted against observed risk in groups of equal size, from low to high.

    Parameters
    ----------
    predicted, time, state
        Shape (n,).
    horizon
        Years.
    groups
        Number of groups wished for; equal predictions are never torn apart, so there may be fewer.

    Returns
    -------
    DataFrame
        Columns group, predicted (mean), observed (Aalen-Johansen), low, high (95%), n, events.
    """
    order = np.argsort(np.argsort(predicted, kind="stable"), kind="stable")
    _, first = np.unique(predicted, return_index=False, return_inverse=True)
    cut = np.minimum(order * groups // predicted.size, groups - 1)
    whole = pd.Series(cut).groupby(first).transform("min").to_numpy()
    rows = []
    for number, group in enumerate(np.unique(whole), start=1):
        inside = whole == group
        observed, low, high = aalen_johansen(time[inside], state[inside]).at(horizon)
        events = int(((state == 1) & (time <= horizon) & inside).sum())
        if not events:
            high = 1 - 0.025 ** (1 / int(inside.sum()))
        rows.append((number, float(predicted[inside].mean()), observed, low, high, int(inside.sum()), events))
    return pd.DataFrame(rows, columns=["group", "predicted", "observed", "low", "high", "n", "events"])
