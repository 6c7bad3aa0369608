"""Loops that fit one logistic model; see :mod:`gwas.kernels.logistic`.

Predictors are rows, float64 (p, n): the covariates (intercept first), then the genotype. That way every sum
runs along contiguous memory. Somebody left out of a variant has a column of zeros, which adds nothing to any sum
(and the same constant to every likelihood).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

from gwas.kernels.elementary import fast_exp, fast_log

MAX_ITERATIONS: Final = 25
TOLERANCE: Final = 1e-12
"""Newton stops after a step whose squared length, in standard errors, is below this."""
CAREFUL: Final = 1.0
"""Steps of a squared length above this must not lower the likelihood."""
STRIP: Final = 512
MAX_ETA: Final = 20.0
"""A linear predictor beyond this means a fitted probability of 0 or 1: the data are separated."""

MAX_FIRTH_ITERATIONS: Final = 200
FIRTH_TOLERANCE: Final = 1e-14
MAX_STEP: Final = 5.0
"""Largest change of a coefficient in one step, as in Heinze & Schemper's program."""

_SUM = {"reassoc", "contract", "arcp", "nsz"}


@njit(cache=True, error_model="numpy", fastmath=_SUM)
def dot(a: Any, b: Any) -> Any:
    total = 0.0
    for i in range(a.shape[0]):
        total += a[i] * b[i]
    return total


@njit(cache=True, error_model="numpy")
def largest(values: Any) -> Any:
    """Largest absolute value."""
    found = 0.0
    for i in range(values.shape[0]):
        found = max(found, abs(values[i]))
    return found


@njit(cache=True, error_model="numpy")
def copy_into(values: Any, target: Any, add: bool) -> None:
    """Overwrite the target, or add to it."""
    for i in range(values.shape[0]):
        target[i] = target[i] + values[i] if add else values[i]


@njit(cache=True, error_model="numpy")
def linear_predictor(x: Any, beta: Any, offset: Any, eta: Any) -> None:
    for i in range(eta.shape[0]):
        eta[i] = offset[i]
    for a in range(x.shape[0]):
        if beta[a] != 0.0:
            for i in range(eta.shape[0]):
                eta[i] += beta[a] * x[a, i]


@njit(cache=True, error_model="numpy", fastmath=_SUM)
def log_likelihood(eta: Any, y: Any) -> Any:
    """Bernoulli log-likelihood of linear predictors, without overflow on either side."""
    total = 0.0
    for i in range(eta.shape[0]):
        signed = (2.0 * y[i] - 1.0) * eta[i]
        total -= fast_log(1.0 + fast_exp(-min(abs(signed), 700.0))) + max(-signed, 0.0)
    return total


@njit(cache=True, error_model="numpy")
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


@njit(cache=True, error_model="numpy")
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


@njit(cache=True, error_model="numpy")
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


@njit(cache=True, error_model="numpy")
def last_variance(lower: Any) -> Any:
    """Last diagonal entry of the inverse: the genotype is the last predictor."""
    last = lower[lower.shape[0] - 1, lower.shape[0] - 1]
    return 1.0 / (last * last)


@njit(cache=True, error_model="numpy", fastmath=_SUM)
def probabilities(eta: Any, mu: Any, w: Any) -> None:
    for i in range(eta.shape[0]):
        bounded = min(max(eta[i], -700.0), 700.0)
        mu[i] = 1.0 / (1.0 + fast_exp(-bounded))
        w[i] = mu[i] * (1.0 - mu[i])


@njit(cache=True, error_model="numpy", fastmath=_SUM)
def residuals(y: Any, mu: Any, out: Any) -> None:
    for i in range(y.shape[0]):
        out[i] = y[i] - mu[i]


@njit(cache=True, error_model="numpy")
def newton(x: Any, y: Any, offset: Any, beta: Any, room: Any, small: Any, out: Any) -> None:
    """Maximum likelihood; out: converged, variance of the last coefficient."""
    p = x.shape[0]
    eta, mu, w, wx = room[0], room[1], room[2], room[3]
    info, lower = small[:p, :p], small[p : 2 * p, :p]
    gradient, step, trial = small[3 * p, :p], small[3 * p + 1, :p], small[3 * p + 2, :p]
    out[0], out[1] = 0.0, np.nan
    linear_predictor(x, beta, offset, eta)
    for _ in range(MAX_ITERATIONS):
        probabilities(eta, mu, w)
        residuals(y, mu, mu)
        for a in range(p):
            gradient[a] = dot(x[a], mu)
        information(x, w, wx, info)
        if not cholesky(info, lower):
            return
        solve(lower, gradient, step)
        decrement = dot(gradient, step)
        if decrement < TOLERANCE:
            copy_into(step, beta, True)
            out[0], out[1] = 1.0 if largest(eta) < MAX_ETA else 0.0, last_variance(lower)
            return
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


@njit(cache=True, error_model="numpy")
def _hat(x: Any, w: Any, lower: Any, z: Any, h: Any) -> None:
    """Diagonal of the weighted hat matrix: w |L^-1 x|², by forward substitution on strips of samples."""
    p, n = x.shape
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


@njit(cache=True, error_model="numpy")
def _half_log_determinant(lower: Any) -> Any:
    total = 0.0
    for a in range(lower.shape[0]):
        total += np.log(lower[a, a])
    return total


@njit(cache=True, error_model="numpy", fastmath=_SUM)
def _penalised_residuals(y: Any, mu: Any, h: Any, out: Any) -> None:
    for i in range(y.shape[0]):
        out[i] = y[i] - mu[i] + h[i] * (0.5 - mu[i])


@njit(cache=True, error_model="numpy")
def firth(
    x: Any, y: Any, offset: Any, beta: Any, free: int, room: Any, small: Any, strips: Any, out: Any
) -> None:
    """Penalised likelihood over the first `free` coefficients; out: converged, variance of the last, its value."""
    p = x.shape[0]
    eta, mu, w, wx, h = room[0], room[1], room[2], room[3], room[4]
    info, lower, lower_free = small[:p, :p], small[p : 2 * p, :p], small[2 * p : 2 * p + free, :free]
    gradient, step, trial = small[3 * p, :free], small[3 * p + 1, :free], small[3 * p + 2, :p]
    out[0], out[1], out[2] = 0.0, np.nan, np.nan
    step[:] = 0.0
    copy_into(beta, trial, False)
    linear_predictor(x, beta, offset, eta)
    probabilities(eta, mu, w)
    information(x, w, wx, info)
    if not cholesky(info, lower):
        return
    damping = 1.0
    for _ in range(MAX_FIRTH_ITERATIONS):
        _hat(x, w, lower, strips, h)
        _penalised_residuals(y, mu, h, wx)
        for a in range(free):
            gradient[a] = dot(x[a], wx)
        if not cholesky(info[:free, :free], lower_free):
            return
        # the information is not the whole curvature: where it is too small, full steps would cycle for ever
        if dot(gradient, step) < 0.0:
            damping = max(0.5 * damping, 1.0 / 16.0)
        solve(lower_free, gradient, step)
        decrement = dot(gradient, step)
        if decrement < FIRTH_TOLERANCE:
            out[0], out[1] = 1.0, last_variance(lower)
            out[2] = log_likelihood(eta, y) + _half_log_determinant(lower)
            return
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
            return
        copy_into(trial, beta, False)
