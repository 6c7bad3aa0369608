"""Observed risk when death competes: the Aalen-Johansen estimate, and the censoring distribution."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cohorts.errors import DesignError

Floats = NDArray[np.float64]
Z95 = 1.959963984540054


@dataclass(frozen=True)
class Incidence:
    """Cumulative incidence of one event in the presence of another.

    Parameters
    ----------
    times
        Distinct times at which either event happened, ascending, shape (K,).
    risk
        Cumulative incidence of the event of interest just after each time, shape (K,).
    competing
        Cumulative incidence of the competing event, shape (K,).
    variance
        Variance of `risk` (Aalen's estimator through the delta method), shape (K,).
    """

    times: Floats
    risk: Floats
    competing: Floats
    variance: Floats

    def at(self, horizon: float) -> tuple[float, float, float]:
        """Risk at `horizon` with its 95% interval on the complementary log-log scale.

        Before the first event the risk is 0 and the interval (0, 0) says only that nothing was seen.
        """
        k = int(np.searchsorted(self.times, horizon, side="right")) - 1
        if k < 0:
            return 0.0, 0.0, 0.0
        low, high = cloglog_interval(self.risk[k], np.sqrt(self.variance[k]))
        return float(self.risk[k]), float(low), float(high)


def cloglog_interval(risk: ArrayLike, se: ArrayLike, *, z: float = Z95) -> tuple[Floats, Floats]:
    """Interval of a probability, symmetric on the scale log(-log(1 - risk)), so always inside (0, 1).

    Parameters
    ----------
    risk, se
        Probabilities and their standard errors, any shape.
    z
        Normal quantile of the interval.

    Returns
    -------
    low, high
        Same shape; both equal `risk` where it is 0 or 1.

    Examples
    --------
    >>> low, high = cloglog_interval(0.1, 0.02)
    >>> round(float(low), 3), round(float(high), 3)
    (0.067, 0.147)
    """
    p = np.asarray(risk, dtype=np.float64)
    inside = (p > 0) & (p < 1)
    safe = np.where(inside, p, 0.5)
    survival = -np.log1p(-safe)
    spread = z * np.asarray(se, dtype=np.float64) / ((1 - safe) * survival)
    low = np.where(inside, -np.expm1(-survival * np.exp(-spread)), p)
    high = np.where(inside, -np.expm1(-survival * np.exp(spread)), p)
    return low, high


def aalen_johansen(
    time: ArrayLike, state: ArrayLike, *, entry: ArrayLike | None = None, weights: ArrayLike | None = None
) -> Incidence:
    """Cumulative incidence of state 1 with state 2 competing.

    Parameters
    ----------
    time
        Time of the event or of censoring, shape (n,).
    state
        0 censored, 1 event of interest, 2 competing event, shape (n,).
    entry
        Times of coming under observation; at risk in (entry, time]. None: from the start.
    weights
        Case weights, shape (n,); None is 1 each.

    Returns
    -------
    Incidence

    Raises
    ------
    DesignError
        If lengths differ or a state is not 0, 1 or 2.

    Notes
    -----
    Aalen and Johansen, Scand J Stat 1978;5:141. Variance: equation 4 of Gooley's form, as given by
    Marubini and Valsecchi (1995), the one of R `cmprsk` and of lifelines.

    Examples
    --------
    >>> curve = aalen_johansen([1, 2, 3, 4], [1, 2, 1, 0])
    >>> [round(float(r), 2) for r in curve.risk]
    [0.25, 0.25, 0.5]
    """
    time, state = np.asarray(time, dtype=np.float64), np.asarray(state)
    if time.shape != state.shape or time.ndim != 1:
        raise DesignError("times and states differ in length", found=f"{time.size} and {state.size}")
    if not np.isin(state, (0, 1, 2)).all():
        raise DesignError("a state is not known", expected="0 censored, 1 event, 2 competing event")
    w = np.ones(time.size) if weights is None else np.asarray(weights, dtype=np.float64)
    times = np.unique(time[state > 0])
    order = np.sort(time), np.argsort(time, kind="stable")
    leaving = np.concatenate([np.cumsum(w[order[1]][::-1])[::-1], [0.0]])
    at_risk = leaving[np.searchsorted(order[0], times, side="left")]
    if entry is not None:
        start = np.asarray(entry, dtype=np.float64)
        by_start = np.argsort(start, kind="stable")
        entering = np.concatenate([np.cumsum(w[by_start][::-1])[::-1], [0.0]])
        at_risk = at_risk - entering[np.searchsorted(start[by_start], times, side="left")]
    slot = np.searchsorted(times, time)
    d1, d2 = (
        np.bincount(slot[state == s], weights=w[state == s], minlength=times.size).astype(np.float64)
        for s in (1, 2)
    )
    after = np.cumprod(1 - (d1 + d2) / at_risk)
    before = np.concatenate([[1.0], after[:-1]])
    risk = np.cumsum(before * d1 / at_risk)
    return Incidence(
        times=times,
        risk=risk,
        competing=np.cumsum(before * d2 / at_risk),
        variance=_variance(risk, before, d1, d1 + d2, at_risk),
    )


def _variance(risk: Floats, before: Floats, d1: Floats, d: Floats, at_risk: Floats) -> Floats:
    """Marubini-Valsecchi variance, with the double sum written as running sums over event times."""
    left = at_risk - d
    hazard = np.where(left > 0, d / (at_risk * np.where(left > 0, left, 1.0)), 0.0)
    own = before**2 * d1 * (at_risk - d1) / at_risk**3
    cross = before * d1 / at_risk**2
    first = risk**2 * np.cumsum(hazard) - 2 * risk * np.cumsum(risk * hazard) + np.cumsum(risk**2 * hazard)
    third = -2 * (risk * np.cumsum(cross) - np.cumsum(risk * cross))
    variance: Floats = np.maximum(first + np.cumsum(own) + third, 0.0)
    return variance


def censoring_survival(
    time: Floats, state: NDArray[np.integer], weights: Floats, *, horizon: float
) -> tuple[Floats, Floats, Floats]:
    """Probability of still being uncensored: the Kaplan-Meier estimate of censoring, for many resamples.

    Parameters
    ----------
    time, state
        Shape (n,); state 0 is censoring, and an event at the same time comes first.
    weights
        Case weights of every resample, shape (B, n).
    horizon
        Time at which the estimate is also wanted.

    Returns
    -------
    before
        G(T-) of each person, shape (B, n).
    after
        G(T) of each person, shape (B, n).
    at_horizon
        G(horizon), shape (B,).

    Examples
    --------
    >>> t, s = np.array([1.0, 2.0, 3.0]), np.array([1, 0, 1])
    >>> before, after, end = censoring_survival(t, s, np.ones((1, 3)), horizon=2.5)
    >>> before[0].tolist(), float(end[0])
    ([1.0, 1.0, 0.5], 0.5)
    """
    times, slot = np.unique(time, return_inverse=True)
    k = times.size
    order = np.argsort(slot, kind="stable")
    starts = np.searchsorted(slot[order], np.arange(k))
    leaving = np.add.reduceat(weights[:, order], starts, axis=1)
    censored = np.add.reduceat(np.where(state == 0, weights, 0.0)[:, order], starts, axis=1)
    at_risk = np.cumsum(leaving[:, ::-1], axis=1)[:, ::-1] - (leaving - censored)
    ratio = np.divide(censored, at_risk, out=np.zeros_like(censored), where=at_risk > 0)
    curve = np.concatenate([np.ones((weights.shape[0], 1)), np.cumprod(1 - ratio, axis=1)], axis=1)
    end = int(np.searchsorted(times, horizon, side="right"))
    return curve[:, slot], curve[:, slot + 1], curve[:, end]
