"""Loops that fit a logistic model variant by variant; see :mod:`gwas.kernels.refit`.

Somebody left out of a variant has a column of zeros, which adds nothing to any sum (and the same constant to every
likelihood).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from gwas.kernels.logistic_loops import (
    cholesky,
    copy_into,
    dot,
    firth,
    information,
    last_variance,
    linear_predictor,
    newton,
    probabilities,
    residuals,
)
from gwas.kernels.refit import FIRTH, FIRTH_ESTIMATE, WALD


@njit(cache=True, error_model="numpy")
def _score(x: Any, y: Any, offset: Any, beta: Any, room: Any, small: Any, out: Any) -> None:
    """One step from the null model refitted to these people; out: converged, 1 / its information, U²/V."""
    p = x.shape[0]
    k = p - 1
    newton(x[:k], y, offset, beta[:k], room, small, out)
    eta, mu, w, wx = room[0], room[1], room[2], room[3]
    linear_predictor(x[:k], beta[:k], offset, eta)
    probabilities(eta, mu, w)
    info, lower = small[:p, :p], small[p : 2 * p, :p]
    information(x, w, wx, info)
    if out[0] != 1.0 or not cholesky(info, lower):
        out[0] = 0.0
        return
    residuals(y, mu, mu)
    u = dot(x[k], mu)
    out[1] = last_variance(lower)
    out[2] = u * u * out[1]
    beta[k] = u * out[1]


@njit(cache=True, error_model="numpy")
def fill_calls(packed_row: Any, positions: Any, flip: Any, out: Any) -> None:
    """Copies of the counted allele of the analysed samples, NaN where missing."""
    two, zero = (0.0, 2.0) if flip else (2.0, 0.0)
    for j in range(positions.shape[0]):
        sample = positions[j]
        code = (packed_row[sample >> 2] >> (2 * (sample & 3))) & 3
        out[j] = two if code == 0 else (np.nan if code == 1 else (1.0 if code == 2 else zero))


@njit(cache=True, error_model="numpy")
def fill_dosages(dosage_row: Any, positions: Any, flip: Any, out: Any) -> None:
    """As :func:`fill_calls`, of dosages."""
    for j in range(positions.shape[0]):
        value = dosage_row[positions[j]]
        out[j] = 2.0 - value if flip else value


@njit(cache=True, error_model="numpy")
def _refit(
    mean: Any,
    covariates: Any,
    y: Any,
    offset: Any,
    start: Any,
    drop: Any,
    method: int,
    x: Any,
    room: Any,
    small: Any,
    strips: Any,
    out: Any,
) -> None:
    """Fit the variant whose copies stand in the last row of x; the rows before may lack people of the one before."""
    k, n = covariates.shape
    for i in range(n):
        if x[0, i] == 0.0:
            for a in range(k):
                x[a, i] = covariates[a, i]
        absent = np.isnan(x[k, i])
        if absent and drop:
            for a in range(k):
                x[a, i] = 0.0
        # centring moves only the intercept, and keeps the information well conditioned
        x[k, i] = 0.0 if absent else x[k, i] - mean
    p = k + 1
    beta, found = small[3 * p + 3, :p], small[3 * p + 4, :4]
    copy_into(start, beta[:k], False)
    beta[k] = 0.0
    value = np.nan
    if method == WALD:
        newton(x, y, offset, beta, room, small, found)
    elif method == FIRTH_ESTIMATE:
        firth(x, y, offset, beta, p, room, small, strips, found)
    elif method == FIRTH:
        without, null = small[3 * p + 5, :p], small[3 * p + 6, :4]
        copy_into(start, without[:k], False)
        without[k] = 0.0
        firth(x, y, offset, without, k, room, small, strips, null)
        firth(x, y, offset, beta, p, room, small, strips, found)
        if null[0] == 1.0:
            value = max(2.0 * (found[2] - null[2]), 0.0)
    else:
        _score(x, y, offset, beta, room, small, found)
        value = found[2]
    out[0], out[1] = found[0], beta[k]
    out[2] = np.sqrt(found[1]) if found[1] > 0 else np.nan
    out[3] = value


@njit(cache=True, error_model="numpy")
def refit_calls(
    packed: Any,
    rows: Any,
    flip: Any,
    means: Any,
    positions: Any,
    covariates: Any,
    y: Any,
    offset: Any,
    start: Any,
    drop: int,
    method: int,
    x: Any,
    room: Any,
    small: Any,
    strips: Any,
    out: Any,
) -> None:
    k = covariates.shape[0]
    for v in range(rows.shape[0]):
        j = rows[v]
        fill_calls(packed[j], positions, flip[j] != 0, x[k])
        _refit(means[j], covariates, y, offset, start, drop != 0, method, x, room, small, strips, out[v])


@njit(cache=True, error_model="numpy")
def refit_dosages(
    dosages: Any,
    rows: Any,
    flip: Any,
    means: Any,
    positions: Any,
    covariates: Any,
    y: Any,
    offset: Any,
    start: Any,
    drop: int,
    method: int,
    x: Any,
    room: Any,
    small: Any,
    strips: Any,
    out: Any,
) -> None:
    k = covariates.shape[0]
    for v in range(rows.shape[0]):
        j = rows[v]
        fill_dosages(dosages[j], positions, flip[j] != 0, x[k])
        _refit(means[j], covariates, y, offset, start, drop != 0, method, x, room, small, strips, out[v])
