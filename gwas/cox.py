"""The Cox proportional-hazards model: Efron's ties, left truncation, and what absolute risk needs of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cohorts.errors import DesignError

Floats = NDArray[np.float64]
MOST = 8.0  # a log hazard ratio per SD beyond this is separation, not an effect


@dataclass(frozen=True)
class CoxFit:
    """A fitted Cox model of one cause.

    Parameters
    ----------
    coefficients
        Log hazard ratios, shape (p,).
    covariance
        Inverse observed information, shape (p, p).
    times
        Distinct event times in ascending order, shape (K,), in the unit of the input.
    baseline
        Increments of the cumulative baseline hazard (all factors 0) at `times`, shape (K,).
    means
        Hazard-weighted mean of the factors among those at risk at `times`, shape (K, p): minus it is
        the derivative of log `baseline` with respect to the coefficients.
    events
        Number of events at `times`, shape (K,).
    log_likelihood, null_log_likelihood
        Efron's partial log likelihood at the coefficients and at zero.
    n
        Number of people.
    """

    coefficients: Floats
    covariance: Floats
    times: Floats
    baseline: Floats
    means: Floats
    events: NDArray[np.int64]
    log_likelihood: float
    null_log_likelihood: float
    n: int

    @property
    def n_events(self) -> int:
        """Total number of events."""
        return int(self.events.sum())


@dataclass(frozen=True)
class _RiskSets:
    """Everything about the order of people in time, computed once for all Newton steps."""

    factors: Floats  # (n, p)
    products: Floats  # (n, p * (p + 1) / 2)
    by_exit: NDArray[np.intp]
    by_entry: NDArray[np.intp]
    still_here: NDArray[np.intp]  # (K,) how many of by_exit (latest first) have exit >= t
    not_yet: NDArray[np.intp]  # (K,) how many of by_entry (latest first) have entry >= t
    times: Floats
    counts: NDArray[np.int64]
    event_rows: NDArray[np.intp]  # people with an event, ordered in time
    event_group: NDArray[np.intp]  # (E,) index into times
    tie_fraction: Floats  # (E,) l / d of Efron


def _risk_sets(factors: Floats, entry: Floats, exit_: Floats, event: NDArray[np.bool_]) -> _RiskSets:
    n, p = factors.shape
    upper = np.triu_indices(p)
    products = factors[:, upper[0]] * factors[:, upper[1]]
    by_exit = np.argsort(-exit_, kind="stable")
    by_entry = np.argsort(-entry, kind="stable")
    rows = np.flatnonzero(event)
    rows = rows[np.argsort(exit_[rows], kind="stable")]
    times, group, counts = np.unique(exit_[rows], return_inverse=True, return_counts=True)
    starts = np.cumsum(counts) - counts
    position_in_tie = np.arange(rows.size) - starts[group]
    return _RiskSets(
        factors=factors,
        products=products,
        by_exit=by_exit,
        by_entry=by_entry,
        still_here=n - np.searchsorted(np.sort(exit_), times, side="left"),
        not_yet=n - np.searchsorted(np.sort(entry), times, side="left"),
        times=times,
        counts=counts.astype(np.int64),
        event_rows=rows,
        event_group=group,
        tie_fraction=position_in_tie / counts[group],
    )


def _sums_at_risk(sets: _RiskSets, values: Floats) -> Floats:
    """Sum of `values` (n, m) over the people at risk at each event time, minus Efron's share: (E, m)."""
    zero = np.zeros((1, values.shape[1]))
    leaving = np.vstack([zero, np.cumsum(values[sets.by_exit], axis=0)])
    entering = np.vstack([zero, np.cumsum(values[sets.by_entry], axis=0)])
    at_risk = leaving[sets.still_here] - entering[sets.not_yet]
    tied = np.zeros((sets.times.size, values.shape[1]))
    np.add.at(tied, sets.event_group, values[sets.event_rows])
    return np.asarray(at_risk[sets.event_group] - sets.tie_fraction[:, None] * tied[sets.event_group])


def _evaluate(sets: _RiskSets, beta: Floats) -> tuple[float, Floats, Floats, Floats, Floats]:
    """Log likelihood, gradient, information, and S0 (E,) and S1/S0 (E, p) at `beta`."""
    p = beta.size
    eta = sets.factors @ beta
    shift = float(eta.max())
    hazard = np.exp(eta - shift)[:, None]
    sums = _sums_at_risk(sets, hazard * np.hstack([np.ones_like(hazard), sets.factors, sets.products]))
    s0 = sums[:, 0]
    mean = sums[:, 1 : 1 + p] / s0[:, None]
    second = (sums[:, 1 + p :] / s0[:, None]).sum(axis=0)
    information = np.zeros((p, p))
    upper = np.triu_indices(p)
    information[upper] = second
    information = information + np.triu(information, 1).T - mean.T @ mean
    loglik = float(eta[sets.event_rows].sum() - (np.log(s0) + shift).sum())
    gradient = sets.factors[sets.event_rows].sum(axis=0) - mean.sum(axis=0)
    return loglik, gradient, information, s0 * np.exp(shift), mean


def _newton(sets: _RiskSets, p: int, ridge: float, max_steps: int) -> tuple[Floats, Floats]:
    beta = np.zeros(p)
    penalty = ridge * np.eye(p)
    loglik, gradient, information, _, _ = _evaluate(sets, beta)
    objective = loglik
    for _ in range(max_steps):
        step = np.linalg.solve(information + penalty, gradient - ridge * beta)
        scale = 1.0
        while True:
            trial = beta + scale * step
            loglik, gradient, information, _, _ = _evaluate(sets, trial)
            value = loglik - 0.5 * ridge * float(trial @ trial)
            if np.isfinite(value) and value >= objective - 1e-9 * abs(objective) - 1e-12:
                break
            scale /= 2
            if scale < 1e-6:
                raise DesignError(
                    "the Cox model does not converge", fix="use fewer or less correlated factors"
                )
        gained = abs(value - objective)
        beta, objective = trial, value
        if gained < 1e-10 * (abs(objective) + 1) and np.abs(scale * step).max() < 1e-8:
            break
        if np.abs(beta).max() > MOST:
            break
    else:
        raise DesignError("the Cox model does not converge", found=f"no end after {max_steps} steps")
    if np.abs(beta).max() <= MOST:
        return beta, information + penalty
    raise DesignError(
        "the Cox model does not converge",
        found="a coefficient that grows without limit",
        fix="remove a factor that separates people with the event from those without",
    )


def fit_cox(
    factors: Floats,
    time: Floats,
    event: NDArray[np.bool_],
    *,
    entry: Floats | None = None,
    ridge: float = 0.0,
    shrink: float = 1.0,
    max_steps: int = 50,
) -> CoxFit:
    """Fit a Cox model by Newton's method on Efron's partial likelihood.

    Parameters
    ----------
    factors
        Factors, shape (n, p) float64, no missing values; p may be 0. Their scale does not matter to the
        fit: they are centred and scaled inside.
    time
        Time of event or censoring, shape (n,), any unit.
    event
        True where the event of this cause happened at `time`, shape (n,). A competing event is False.
    entry
        Time at which a person came under observation (left truncation), shape (n,); at risk in
        (entry, time]. None means 0 for everyone and a `time` of 0 is allowed.
    ridge
        Penalty on half the squared coefficients of the standardised factors; 0 is maximum likelihood.
    shrink
        Multiply the fitted coefficients by this and re-estimate the baseline around them; the covariance
        stays that of the unshrunken fit.
    max_steps
        Newton steps allowed.

    Returns
    -------
    CoxFit

    Raises
    ------
    DesignError
        If there is no event, the factors are collinear or constant, an entry is not before its exit, or
        Newton's method does not converge.

    Notes
    -----
    Efron, J Am Stat Assoc 1977;72:557. The baseline increments use Efron's denominators too, so that with
    no factors they are Fleming and Harrington's tie-corrected Nelson-Aalen estimate.

    Examples
    --------
    >>> x = np.array([[0.0], [1.0], [0.0], [1.0], [1.0]])
    >>> fit = fit_cox(x, np.array([4.0, 1.0, 3.0, 2.0, 5.0]), np.array([True, True, True, False, True]))
    >>> fit.n_events
    4
    """
    factors = np.atleast_2d(np.asarray(factors, dtype=np.float64))
    time = np.asarray(time, dtype=np.float64)
    event = np.asarray(event, dtype=bool)
    n, p = factors.shape
    entry = np.full(n, -np.inf) if entry is None else np.asarray(entry, dtype=np.float64)
    if not (np.isfinite(factors).all() and np.isfinite(time).all()):
        raise DesignError("a Cox model needs complete finite factors and times")
    if (entry >= time).any():
        raise DesignError(
            "entry is not before exit", found=f"{int((entry >= time).sum())} people", expected="entry < exit"
        )
    if not event.any():
        raise DesignError("no events", found=f"0 events in {n} people")
    centre: Floats = np.asarray(factors.mean(axis=0)) if p else np.zeros(0)
    spread: Floats = np.asarray(factors.std(axis=0)) if p else np.zeros(0)
    if p and (spread <= 1e-12 * (1 + np.abs(centre))).any():
        raise DesignError("a factor does not vary", found=f"{int((spread < 1e-12).sum())} constant factors")
    scaled = (factors - centre) / spread if p else factors
    if p and np.linalg.matrix_rank(scaled, tol=1e-8 * np.sqrt(n)) < p:
        raise DesignError("the factors are collinear", fix="leave out the one that the others determine")
    sets = _risk_sets(scaled, entry, time, event)
    if p:
        beta, information = _newton(sets, p, ridge, max_steps)
        beta = beta * shrink
        covariance: Floats = np.asarray(np.linalg.inv(information), dtype=np.float64)
    else:
        beta, covariance = np.zeros(0), np.zeros((0, 0))
    loglik, _, _, s0, mean = _evaluate(sets, beta) if p else _without_factors(sets)
    null = _evaluate(sets, np.zeros(p))[0] if p else loglik
    return _on_original_scale(sets, beta, covariance, loglik, null, s0, mean, centre, spread, n)


def _without_factors(sets: _RiskSets) -> tuple[float, Floats, Floats, Floats, Floats]:
    s0 = _sums_at_risk(sets, np.ones((sets.factors.shape[0], 1)))[:, 0]
    empty = np.zeros((s0.size, 0))
    return float(-np.log(s0).sum()), np.zeros(0), np.zeros((0, 0)), s0, empty


def _on_original_scale(
    sets: _RiskSets,
    beta: Floats,
    covariance: Floats,
    loglik: float,
    null: float,
    s0: Floats,
    mean: Floats,
    centre: Floats,
    spread: Floats,
    n: int,
) -> CoxFit:
    coefficients = beta / spread if beta.size else beta
    increments = np.bincount(sets.event_group, weights=1 / s0, minlength=sets.times.size).astype(np.float64)
    weighted = np.zeros((sets.times.size, beta.size))
    np.add.at(weighted, sets.event_group, mean / s0[:, None])
    means = weighted / increments[:, None] * spread + centre if beta.size else weighted
    return CoxFit(
        coefficients=coefficients,
        covariance=covariance / np.outer(spread, spread) if beta.size else covariance,
        times=sets.times,
        baseline=increments * np.exp(-float(coefficients @ centre)) if beta.size else increments,
        means=means,
        events=sets.counts,
        log_likelihood=loglik,
        null_log_likelihood=null,
        n=n,
    )
