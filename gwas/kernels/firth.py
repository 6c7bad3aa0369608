"""Firth's penalised likelihood for logistic regression, which is finite under separation.

The penalty is half the log-determinant of the information; its score adds h (1/2 - p) to each residual, h
the diagonal of the weighted hat matrix. Heinze & Schemper (2002), Stat Med 21:2409.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

from gwas.kernels.logistic import (
    CAREFUL,
    STRIP,
    cholesky,
    copy_into,
    dot,
    information,
    largest,
    last_variance,
    linear_predictor,
    log_likelihood,
    probabilities,
    solve,
)

MAX_FIRTH_ITERATIONS: Final = 200
TOLERANCE: Final = 1e-14
MAX_STEP: Final = 5.0
"""Largest change of a coefficient in one step, as in Heinze & Schemper's program."""


@njit(cache=True)
def _hat(x: Any, w: Any, lower: Any, h: Any) -> None:
    """Diagonal of the weighted hat matrix: w |L^-1 x|², by forward substitution on strips of samples."""
    p, n = x.shape
    z = np.empty((p, STRIP))
    for first in range(0, n, STRIP):
        width = min(STRIP, n - first)
        for i in range(width):
            h[first + i] = 0.0
        for a in range(p):
            for i in range(width):
                z[a, i] = x[a, first + i]
            for c in range(a):
                factor = lower[a, c]
                for i in range(width):
                    z[a, i] -= factor * z[c, i]
            factor = 1.0 / lower[a, a]
            for i in range(width):
                z[a, i] *= factor
                h[first + i] += z[a, i] * z[a, i]
        for i in range(first, first + width):
            h[i] *= w[i]


@njit(cache=True)
def _half_log_determinant(lower: Any) -> Any:
    total = 0.0
    for a in range(lower.shape[0]):
        total += np.log(lower[a, a])
    return total


@njit(cache=True)
def firth_newton(x: Any, y: Any, offset: Any, beta: Any, free: int) -> Any:
    """Firth's penalised maximum likelihood over the first `free` coefficients.

    The penalty always uses the information of all predictors, so that twice the difference between
    ``free = p`` and ``free = p - 1`` (from the same data) is the penalised likelihood ratio.

    Parameters
    ----------
    x, y, offset, beta
        As in :func:`logistic_newton`.
    free
        How many leading coefficients may move.

    Returns
    -------
    (converged, variance of the last coefficient, penalised log-likelihood)
    """
    p, n = x.shape
    eta, mu, w, wx, h = np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    info, lower, lower_free = np.zeros((p, p)), np.zeros((p, p)), np.zeros((free, free))
    gradient, step, trial = np.empty(free), np.zeros(free), beta.copy()
    linear_predictor(x, beta, offset, eta)
    probabilities(eta, mu, w)
    information(x, w, wx, info)
    if not cholesky(info, lower):
        return False, np.nan, np.nan
    damping = 1.0
    for _ in range(MAX_FIRTH_ITERATIONS):
        _hat(x, w, lower, h)
        for i in range(n):
            wx[i] = y[i] - mu[i] + h[i] * (0.5 - mu[i])
        for a in range(free):
            gradient[a] = dot(x[a], wx)
        if not cholesky(info[:free, :free], lower_free):
            return False, np.nan, np.nan
        # the information is not the whole curvature: where it is too small, full steps would cycle for ever
        if dot(gradient, step) < 0.0:
            damping = max(0.5 * damping, 1.0 / 16.0)
        solve(lower_free, gradient, step)
        decrement = dot(gradient, step)
        if decrement < TOLERANCE:
            return True, last_variance(lower), log_likelihood(eta, y) + _half_log_determinant(lower)
        scale = min(damping, MAX_STEP / largest(step))
        before = log_likelihood(eta, y) + _half_log_determinant(lower) if decrement > CAREFUL else 0.0
        moved = False
        for _ in range(25):
            for a in range(free):
                trial[a] = beta[a] + scale * step[a]
            linear_predictor(x, trial, offset, eta)
            probabilities(eta, mu, w)
            information(x, w, wx, info)
            if cholesky(info, lower) and (
                decrement <= CAREFUL or log_likelihood(eta, y) + _half_log_determinant(lower) >= before
            ):
                moved = True
                break
            scale *= 0.5
        if not moved:
            return False, np.nan, np.nan
        copy_into(trial, beta, False)
    return False, np.nan, np.nan
