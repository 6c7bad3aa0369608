"""How well predicted risks rank people, with censoring and competing death, for many resamples at once.

Every function takes case weights of shape (B, n), one row a resample (a row of ones is the data as they
are), and gives one number a resample: a bootstrap is one call.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gwas.incidence import censoring_survival

Floats = NDArray[np.float64]
CASES_AT_ONCE = 512


@dataclass(frozen=True)
class FollowUp:
    """Follow-up to a horizon with the chance of having been observed, per resample.

    Parameters
    ----------
    time, state, horizon
        Times (n,), states 0 censored, 1 event, 2 competing event (n,), and the horizon.
    weights
        Case weights (B, n).
    before
        Probability of being uncensored just before one's own time, G(T-), (B, n).
    at_horizon
        G(horizon-), (B,): the probability that somebody free of events is seen to be so.
    """

    time: Floats
    state: NDArray[np.integer]
    horizon: float
    weights: Floats
    before: Floats
    at_horizon: Floats

    @property
    def case(self) -> NDArray[np.bool_]:
        """Event of interest by the horizon, (n,)."""
        return np.asarray((self.state == 1) & (self.time <= self.horizon))

    @property
    def free(self) -> NDArray[np.bool_]:
        """Seen to be free of any event at the horizon, (n,)."""
        return np.asarray((self.time > self.horizon) | ((self.state == 0) & (self.time >= self.horizon)))

    @property
    def inverse(self) -> Floats:
        """Case weight over the chance that the outcome at the horizon is known, (B, n); 0 if unknown."""
        ended = (self.state > 0) & (self.time <= self.horizon)
        chance = np.where(self.free, self.at_horizon[:, None], self.before)
        known = (self.free | ended) & (chance > 0)
        return np.divide(self.weights, chance, out=np.zeros_like(self.weights), where=known)


def follow_up(time: Floats, state: NDArray[np.integer], weights: Floats, *, horizon: float) -> FollowUp:
    """Prepare inverse-probability-of-censoring weights (Kaplan-Meier, re-estimated in every resample).

    Censoring within a thousandth of the horizon counts as having reached it: ten years end after 3652 or
    3653 days.
    """
    time = np.where((state == 0) & (time >= horizon * (1 - 1e-3)), np.maximum(time, horizon), time)
    before, _, _ = censoring_survival(time, state, weights, horizon=horizon)
    _, _, just_before = censoring_survival(time, state, weights, horizon=np.nextafter(horizon, 0))
    return FollowUp(time, state, horizon, weights, before, just_before)


def concordance(predicted: Floats, seen: FollowUp) -> Floats:
    """Probability that of two people the one with the event first (by the horizon) had the higher risk.

    A person who died of something else counts as event-free for ever. Ties in risk count half.

    Parameters
    ----------
    predicted
        Predicted risks, (n,).
    seen
        Follow-up of the same people.

    Returns
    -------
    ndarray
        (B,); NaN where a resample holds no comparable pair.

    Notes
    -----
    Wolbers, Blanche, Koller, Witteman, Gerds, Biostatistics 2014;15:526; without competing events it is
    Uno's C truncated at the horizon.

    Examples
    --------
    >>> t, s = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1, 2, 1, 0])
    >>> seen = follow_up(t, s, np.ones((1, 4)), horizon=5.0)
    >>> float(concordance(np.array([0.9, 0.1, 0.5, 0.2]), seen)[0])
    1.0
    """
    cases = np.flatnonzero(seen.case)
    dead = (seen.state == 2) & (seen.time <= seen.horizon)
    inverse = np.divide(1.0, seen.before, out=np.zeros_like(seen.before), where=seen.before > 0)
    pairs, agree = np.zeros(len(seen.weights)), np.zeros(len(seen.weights))
    for start in range(0, cases.size, CASES_AT_ONCE):
        rows = cases[start : start + CASES_AT_ONCE]
        later = seen.time > seen.time[rows, None]
        later |= (seen.time == seen.time[rows, None]) & (seen.state == 0)
        gone = dead & (seen.time <= seen.time[rows, None])
        better = predicted[rows, None] > predicted
        better = better + 0.5 * (predicted[rows, None] == predicted)
        own = seen.weights[:, rows] * inverse[:, rows]
        for other, factor, against in (
            (later, own * inverse[:, rows], seen.weights),
            (gone, own, seen.weights * inverse),
        ):
            if not other.any():
                continue
            pairs += np.einsum("bn,bn->b", factor @ other.astype(np.float64), against)
            agree += np.einsum("bn,bn->b", factor @ (better * other), against)
    return np.divide(agree, pairs, out=np.full_like(agree, np.nan), where=pairs > 0)


def auc_at_horizon(predicted: Floats, seen: FollowUp) -> Floats:
    """Probability that somebody with the event by the horizon had a higher risk than somebody without.

    Those who died of something else by then are among those without.

    Returns
    -------
    ndarray
        (B,); NaN where a resample lacks one of the two sides.

    Notes
    -----
    Blanche, Dartigues, Jacqmin-Gadda, Stat Med 2013;32:5381, their second definition of controls.
    """
    weight = seen.inverse
    return weighted_auc(predicted, weight * seen.case, weight * ~seen.case)


def weighted_auc(predicted: Floats, case: Floats, control: Floats) -> Floats:
    """Area under the curve with weights for cases and controls, each (B, n); ties count half."""
    _, rank = np.unique(predicted, return_inverse=True)
    order = np.argsort(rank, kind="stable")
    starts = np.searchsorted(rank[order], np.arange(rank.max() + 1))
    cases = np.add.reduceat(case[:, order], starts, axis=1)
    controls = np.add.reduceat(control[:, order], starts, axis=1)
    below = np.cumsum(controls, axis=1) - 0.5 * controls
    total = cases.sum(axis=1) * controls.sum(axis=1)
    area = np.einsum("bk,bk->b", cases, below)
    return np.asarray(np.divide(area, total, out=np.full_like(area, np.nan), where=total > 0))
