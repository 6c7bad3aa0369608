"""Cumulative incidence from two cause-specific hazards, with its derivative: arrays in, arrays out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gwas.cox import CoxFit

Floats = NDArray[np.float64]
CELLS = 2_000_000  # people x times worked on at once


@dataclass(frozen=True)
class _Cause:
    """One cause on the joint grid of K times; `events` is 0 where only the other cause happened."""

    coefficients: Floats  # (p,)
    covariance: Floats  # (p, p)
    increments: Floats  # (K,)
    means: Floats  # (K, p)
    events: Floats  # (K,)


@dataclass(frozen=True)
class Hazards:
    """Hazards of the event and of competing death up to a horizon, on one grid of times."""

    times: Floats
    event: _Cause
    competing: _Cause

    def risk(self, eta_event: Floats, eta_competing: Floats) -> Floats:
        """Cumulative incidence at the horizon for log relative hazards of shape (n,).

        Between neighbouring times both hazards are taken as constant, so that event, death and survival
        always sum to one, however large the relative hazard.
        """
        out = np.empty(eta_event.size)
        for rows in self._chunks(eta_event.size):
            out[rows] = self._curve(eta_event[rows], eta_competing[rows])[0][:, -1]
        return out

    def risk_and_variance(self, x_event: Floats, x_competing: Floats) -> tuple[Floats, Floats]:
        """Risk and its delta-method variance for factors of shape (n, p) and (n, q).

        The variance holds the coefficients' covariance, the baselines' own noise (d events at a time give
        the log increment variance 1/d) and, through the derivative of the baseline with respect to the
        coefficients, their dependence.
        """
        risk, variance = np.empty(len(x_event)), np.empty(len(x_event))
        for rows in self._chunks(len(x_event)):
            risk[rows], gradients = self._gradients(x_event[rows], x_competing[rows])
            variance[rows] = sum(
                (part**2 @ _inverse(cause.events)) + np.einsum("ij,jk,ik->i", slope, cause.covariance, slope)
                for cause, part, slope in gradients
            )
        return risk, variance

    def mean_and_variance(self, x_event: Floats, x_competing: Floats) -> tuple[float, float]:
        """Mean risk of a group of people and the variance of that mean (the people taken as given)."""
        n = len(x_event)
        total, sums = (
            0.0,
            [
                (np.zeros(self.times.size), np.zeros(cause.coefficients.size))
                for cause in (self.event, self.competing)
            ],
        )
        for rows in self._chunks(n):
            risk, gradients = self._gradients(x_event[rows], x_competing[rows])
            total += float(risk.sum())
            for (part_sum, slope_sum), (_, part, slope) in zip(sums, gradients, strict=True):
                part_sum += part.sum(axis=0)
                slope_sum += slope.sum(axis=0)
        variance = sum(
            float((part / n) ** 2 @ _inverse(cause.events) + (slope / n) @ cause.covariance @ (slope / n))
            for cause, (part, slope) in zip((self.event, self.competing), sums, strict=True)
        )
        return total / n, variance

    def _chunks(self, n: int) -> list[slice]:
        size = max(1, CELLS // max(1, self.times.size))
        return [slice(start, min(start + size, n)) for start in range(0, n, size)]

    def _curve(self, eta_event: Floats, eta_competing: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Cumulative incidence and survival after each time, and both causes' increments, all (n, K)."""
        mine = np.exp(eta_event)[:, None] * self.event.increments
        theirs = np.exp(eta_competing)[:, None] * self.competing.increments
        both = mine + theirs
        gone = np.cumsum(both, axis=1)
        before = np.exp(-(gone - both))
        share = np.divide(mine, both, out=np.zeros_like(mine), where=both > 0)
        risk = np.cumsum(before * -np.expm1(-both) * share, axis=1)
        return risk, np.exp(-gone), mine, theirs

    def _gradients(
        self, x_event: Floats, x_competing: Floats
    ) -> tuple[Floats, list[tuple[_Cause, Floats, Floats]]]:
        """Risk, and by cause its derivatives by the log increments (n, K) and the coefficients (n, p)."""
        risk, survival, mine, theirs = self._curve(
            x_event @ self.event.coefficients, x_competing @ self.competing.coefficients
        )
        to_come = risk[:, -1:] - risk
        parts = (mine * (survival - to_come), -theirs * to_come)
        gradients = [
            (cause, part, part.sum(axis=1)[:, None] * x - part @ cause.means)
            for cause, part, x in zip(
                (self.event, self.competing), parts, (x_event, x_competing), strict=True
            )
        ]
        return risk[:, -1], gradients


def hazards_until(event: CoxFit, competing: CoxFit | None, horizon: float) -> Hazards:
    """Put two Cox fits on one grid of times up to `horizon`; no `competing` means that nobody dies."""
    first = event.times[event.times <= horizon]
    second = competing.times[competing.times <= horizon] if competing is not None else np.zeros(0)
    times = np.union1d(first, second)
    if not times.size:
        times = np.array([horizon])
    return Hazards(times, _on_grid(event, times, first), _on_grid(competing, times, second))


def _on_grid(fit: CoxFit | None, times: Floats, own: Floats) -> _Cause:
    p = 0 if fit is None else fit.coefficients.size
    increments, means, events = np.zeros(times.size), np.zeros((times.size, p)), np.zeros(times.size)
    if fit is None:
        return _Cause(np.zeros(0), np.zeros((0, 0)), increments, means, events)
    slots, k = np.searchsorted(times, own), own.size
    increments[slots], means[slots], events[slots] = fit.baseline[:k], fit.means[:k], fit.events[:k]
    return _Cause(fit.coefficients, fit.covariance, increments, means, events)


def _inverse(events: Floats) -> Floats:
    return np.divide(1.0, events, out=np.zeros_like(events), where=events > 0)
