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
from gwas.kernels.logistic import STRIP

MAX_ITERATIONS: Final = 25
TOLERANCE: Final = 1e-12
"""Newton stops after a step whose squared length, in standard errors, is below this."""
CAREFUL: Final = 1.0
"""Steps of a squared length above this must not lower the likelihood."""
MAX_ETA: Final = 20.0
"""A linear predictor beyond this means a fitted probability of 0 or 1: the data are separated."""

MAX_FIRTH_ITERATIONS: Final = 200
FIRTH_TOLERANCE: Final = 1e-12
"""As :data:`TOLERANCE`; convergence is linear, a step being some tenth of the one before."""
MOST_FOLLOWED: Final = 10.0
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


@njit(cache=True, error_model="numpy", fastmath=_SUM)
def _add_products(x: Any, first: int, last: int, values: Any, rows: int, out: Any) -> None:
    """Add the products of the first rows of x, from one person to another, with one row; four at a time."""
    whole = rows - rows % 4
    for b in range(0, whole, 4):
        x0, x1, x2, x3 = x[b, first:last], x[b + 1, first:last], x[b + 2, first:last], x[b + 3, first:last]
        s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
        for i in range(last - first):
            s0 += x0[i] * values[i]
            s1 += x1[i] * values[i]
            s2 += x2[i] * values[i]
            s3 += x3[i] * values[i]
        out[b] += s0
        out[b + 1] += s1
        out[b + 2] += s2
        out[b + 3] += s3
    for b in range(whole, rows):
        out[b] += dot(x[b, first:last], values)


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
            _add_products(x, first, last, weighted, a + 1, info[a])
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


@njit(cache=True, error_model="numpy", fastmath=_SUM)
def _take_rows(lower: Any, z: Any, a: int, width: int) -> None:
    """Take what the rows before it explain from row a, four of them at a time."""
    row = z[a]
    whole = a - a % 4
    for c in range(0, whole, 4):
        z0, z1, z2, z3 = z[c], z[c + 1], z[c + 2], z[c + 3]
        f0, f1, f2, f3 = lower[a, c], lower[a, c + 1], lower[a, c + 2], lower[a, c + 3]
        for i in range(width):
            row[i] -= (f0 * z0[i] + f1 * z1[i]) + (f2 * z2[i] + f3 * z3[i])
    for c in range(whole, a):
        zc, factor = z[c], lower[a, c]
        for i in range(width):
            row[i] -= factor * zc[i]


@njit(cache=True, error_model="numpy")
def _hat(x: Any, w: Any, lower: Any, z: Any, h: Any) -> None:
    """Diagonal of the weighted hat matrix: w |L^-1 x|², by forward substitution on strips of samples."""
    p, n = x.shape
    for first in range(0, n, STRIP):
        width = min(STRIP, n - first)
        here = h[first : first + width]
        for i in range(width):
            here[i] = 0.0
        for a in range(p):
            row = z[a]
            for i in range(width):
                row[i] = x[a, first + i]
            _take_rows(lower, z, a, width)
            factor = 1.0 / lower[a, a]
            for i in range(width):
                row[i] *= factor
                here[i] += row[i] * row[i]
        for i in range(width):
            here[i] *= w[first + i]


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
def _secant(gradient: Any, step: Any, before: Any, info: Any) -> Any:
    """Which part of the last move, and of what it changed in the steps, a step should take back.

    Steps by the information alone come nearer by a constant factor, which two of them show (Anderson 1965, J ACM
    12:547, of depth one); 0 where they do not.
    """
    free = step.shape[0]
    below = 0.0
    for a in range(free):
        for b in range(free):
            below += (step[a] - before[a]) * info[a, b] * (step[b] - before[b])
    above = dot(gradient, step) - dot(gradient, before)
    return above / below if abs(above) < MOST_FOLLOWED * below else 0.0


@njit(cache=True, error_model="numpy")
def firth(
    x: Any, y: Any, offset: Any, beta: Any, free: int, room: Any, small: Any, strips: Any, out: Any
) -> None:
    """Penalised likelihood over the first `free` coefficients; out: converged, variance of the last, its value."""
    p = x.shape[0]
    eta, mu, w, wx, h = room[0], room[1], room[2], room[3], room[4]
    info, lower, lower_free = small[:p, :p], small[p : 2 * p, :p], small[2 * p : 2 * p + free, :free]
    gradient, step, trial = small[3 * p, :free], small[3 * p + 1, :free], small[3 * p + 2, :p]
    old, before_step = small[3 * p + 7, :free], small[3 * p + 8, :free]
    out[0], out[1], out[2] = 0.0, np.nan, np.nan
    step[:] = 0.0
    copy_into(beta, trial, False)
    linear_predictor(x, beta, offset, eta)
    probabilities(eta, mu, w)
    information(x, w, wx, info)
    if not cholesky(info, lower):
        return
    damping, last, follow = 1.0, np.inf, 0
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
        copy_into(step, before_step, False)
        solve(lower_free, gradient, step)
        decrement = dot(gradient, step)
        if decrement < FIRTH_TOLERANCE:
            copy_into(step, beta[:free], True)
            out[0], out[1] = 1.0, last_variance(lower)
            out[2] = log_likelihood(eta, y) + _half_log_determinant(lower)
            return
        scale = min(damping, MAX_STEP / largest(step))
        before = log_likelihood(eta, y) + _half_log_determinant(lower) if decrement > CAREFUL else 0.0
        if follow > 0 and not decrement < last:
            follow = -1
        part = _secant(gradient, step, before_step, info) if follow > 0 and decrement <= CAREFUL else 0.0
        moved = False
        for _ in range(25):
            for a in range(free):
                trial[a] = beta[a] + scale * step[a]
                if part != 0.0:
                    trial[a] = beta[a] + step[a] - part * (beta[a] - old[a] + step[a] - before_step[a])
            linear_predictor(x, trial, offset, eta)
            probabilities(eta, mu, w)
            information(x, w, wx, info)
            if cholesky(info, lower) and (
                decrement <= CAREFUL or log_likelihood(eta, y) + _half_log_determinant(lower) >= before
            ):
                moved = True
                break
            scale, part = 0.5 * scale, 0.0
        if not moved:
            return
        copy_into(beta[:free], old, False)
        copy_into(trial, beta, False)
        last, follow = decrement, 1 if follow >= 0 else -1
