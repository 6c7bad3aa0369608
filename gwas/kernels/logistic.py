"""Logistic regression by Newton's method, and the small dense algebra it needs.

Predictors are rows, float64 (p, n): the covariates (intercept first), then the genotype. That way every sum
runs along contiguous memory.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

MAX_ITERATIONS: Final = 25
TOLERANCE: Final = 1e-12
"""Newton stops after a step whose squared length, in standard errors, is below this."""
CAREFUL: Final = 1.0
"""Steps of a squared length above this must not lower the likelihood."""
STRIP: Final = 512
MAX_ETA: Final = 20.0
"""A linear predictor beyond this means a fitted probability of 0 or 1: the data are separated."""


@njit(cache=True, fastmath={"reassoc", "contract", "arcp", "nsz"})
def dot(a: Any, b: Any) -> Any:
    total = 0.0
    for i in range(a.shape[0]):
        total += a[i] * b[i]
    return total


@njit(cache=True)
def largest(values: Any) -> Any:
    """Largest absolute value."""
    found = 0.0
    for i in range(values.shape[0]):
        found = max(found, abs(values[i]))
    return found


@njit(cache=True)
def copy_into(values: Any, target: Any, add: bool) -> None:
    """Overwrite the target, or add to it."""
    for i in range(values.shape[0]):
        target[i] = target[i] + values[i] if add else values[i]


@njit(cache=True)
def linear_predictor(x: Any, beta: Any, offset: Any, eta: Any) -> None:
    for i in range(eta.shape[0]):
        eta[i] = offset[i]
    for a in range(x.shape[0]):
        if beta[a] != 0.0:
            for i in range(eta.shape[0]):
                eta[i] += beta[a] * x[a, i]


@njit(cache=True)
def log_likelihood(eta: Any, y: Any) -> Any:
    """Bernoulli log-likelihood of linear predictors, without overflow on either side."""
    total = 0.0
    for i in range(eta.shape[0]):
        signed = eta[i] if y[i] > 0.5 else -eta[i]
        total -= np.log1p(np.exp(-abs(signed))) + max(-signed, 0.0)
    return total


@njit(cache=True)
def information(x: Any, w: Any, wx: Any, info: Any) -> None:
    """X W X', a strip of samples at a time so that it stays in the cache."""
    p, n = x.shape
    for a in range(p):
        for b in range(p):
            info[a, b] = 0.0
    for first in range(0, n, STRIP):
        last = min(first + STRIP, n)
        weighted = wx[: last - first]
        for a in range(p):
            for i in range(first, last):
                weighted[i - first] = w[i] * x[a, i]
            for b in range(a + 1):
                info[a, b] += dot(weighted, x[b, first:last])
    for a in range(p):
        for b in range(a):
            info[b, a] = info[a, b]


@njit(cache=True)
def cholesky(matrix: Any, lower: Any) -> Any:
    """Lower triangle in place; False where the matrix is not safely positive definite."""
    p = matrix.shape[0]
    for a in range(p):
        for b in range(a + 1):
            value = matrix[a, b]
            for c in range(b):
                value -= lower[a, c] * lower[b, c]
            if a == b:
                if not value > 1e-11 * matrix[a, a] or not matrix[a, a] > 0.0:
                    return False
                lower[a, a] = np.sqrt(value)
            else:
                lower[a, b] = value / lower[b, b]
    return True


@njit(cache=True)
def solve(lower: Any, rhs: Any, out: Any) -> None:
    p = rhs.shape[0]
    for a in range(p):
        value = rhs[a]
        for c in range(a):
            value -= lower[a, c] * out[c]
        out[a] = value / lower[a, a]
    for a in range(p - 1, -1, -1):
        value = out[a]
        for c in range(a + 1, p):
            value -= lower[c, a] * out[c]
        out[a] = value / lower[a, a]


@njit(cache=True)
def last_variance(lower: Any) -> Any:
    """Last diagonal entry of the inverse: the genotype is the last predictor."""
    last = lower[lower.shape[0] - 1, lower.shape[0] - 1]
    return 1.0 / (last * last)


@njit(cache=True)
def probabilities(eta: Any, mu: Any, w: Any) -> None:
    for i in range(eta.shape[0]):
        bounded = min(max(eta[i], -700.0), 700.0)
        mu[i] = 1.0 / (1.0 + np.exp(-bounded))
        w[i] = mu[i] * (1.0 - mu[i])


@njit(cache=True)
def logistic_newton(x: Any, y: Any, offset: Any, beta: Any) -> Any:
    """Maximum likelihood by Newton's method, with step halving while far from the maximum.

    Parameters
    ----------
    x
        float64 (p, n).
    y
        float64 (n,): 0 or 1.
    offset
        float64 (n,): known part of the log odds.
    beta
        float64 (p,): start; overwritten with the estimate.

    Returns
    -------
    (converged, variance of the last coefficient)
        `converged` is False if the information becomes singular, fitted probabilities reach 0 or 1, or the
        iterations run out.
    """
    p, n = x.shape
    eta, mu, w, wx = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    info, lower = np.zeros((p, p)), np.zeros((p, p))
    gradient, step, trial = np.empty(p), np.empty(p), np.empty(p)
    linear_predictor(x, beta, offset, eta)
    for _ in range(MAX_ITERATIONS):
        probabilities(eta, mu, w)
        for i in range(n):
            mu[i] = y[i] - mu[i]
        for a in range(p):
            gradient[a] = dot(x[a], mu)
        information(x, w, wx, info)
        if not cholesky(info, lower):
            return False, np.nan
        solve(lower, gradient, step)
        decrement = dot(gradient, step)
        if decrement < TOLERANCE:
            copy_into(step, beta, True)
            return largest(eta) < MAX_ETA, last_variance(lower)
        scale = 1.0
        before = log_likelihood(eta, y) if decrement > CAREFUL else 0.0
        for _ in range(12):
            for a in range(p):
                trial[a] = beta[a] + scale * step[a]
            linear_predictor(x, trial, offset, eta)
            if decrement <= CAREFUL or log_likelihood(eta, y) >= before:
                break
            scale *= 0.5
        copy_into(trial, beta, False)
    return False, np.nan
