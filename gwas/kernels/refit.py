"""Fit a logistic model variant by variant: maximum likelihood, Firth, or an exact score test."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from numba import njit, prange

from gwas.kernels.firth import firth_newton
from gwas.kernels.logistic import (
    cholesky,
    copy_into,
    dot,
    information,
    last_variance,
    linear_predictor,
    logistic_newton,
    probabilities,
)

Floats = npt.NDArray[np.float64]

WALD: Final = 0
FIRTH: Final = 1
SCORE: Final = 2


@njit(cache=True)
def _calls(packed_row: Any, positions: Any, table: Any) -> Any:
    """Copies of the counted allele of the analysed samples, NaN where missing."""
    copies = np.empty(positions.shape[0])
    for j in range(positions.shape[0]):
        sample = positions[j]
        byte, call = packed_row[sample >> 2], sample & 3
        copies[j] = np.nan if ((byte >> (2 * call)) & 3) == 1 else table[byte, call]
    return copies


@njit(cache=True)
def _dosages(dosage_row: Any, positions: Any, flip: bool) -> Any:
    """Copies of the counted allele of the analysed samples, NaN where missing."""
    copies = np.empty(positions.shape[0])
    for j in range(positions.shape[0]):
        value = np.float64(dosage_row[positions[j]])
        copies[j] = 2.0 - value if flip else value
    return copies


@njit(cache=True)
def _fill_predictors(
    copies: Any, mean: Any, covariates: Any, outcome: Any, offset: Any, drop: bool, x: Any, y: Any, known: Any
) -> Any:
    """Put covariates and genotype of the analysed samples into x, y, known; give how many there are."""
    k = covariates.shape[0]
    n = 0
    for j in range(copies.shape[0]):
        absent = np.isnan(copies[j])
        if absent and drop:
            continue
        for a in range(k):
            x[a, n] = covariates[a, j]
        # centring moves only the intercept, and keeps the information well conditioned
        x[k, n] = 0.0 if absent else copies[j] - mean
        y[n] = outcome[j]
        known[n] = offset[j]
        n += 1
    return n


@njit(parallel=True, cache=True)
def _refit(
    packed: Any,
    variants: Any,
    flip: Any,
    means: Any,
    table: Any,
    positions: Any,
    covariates: Any,
    outcome: Any,
    offset: Any,
    start: Any,
    drop: bool,
    method: int,
    out: Any,
) -> None:
    for v in prange(variants.shape[0]):
        row = variants[v]
        copies = _calls(packed[row], positions, table[flip[row]])
        _refit_one(copies, means[row], covariates, outcome, offset, start, drop, method, out[v])


@njit(parallel=True, cache=True)
def _refit_dosages(
    dosages: Any,
    variants: Any,
    flip: Any,
    means: Any,
    positions: Any,
    covariates: Any,
    outcome: Any,
    offset: Any,
    start: Any,
    drop: bool,
    method: int,
    out: Any,
) -> None:
    for v in prange(variants.shape[0]):
        row = variants[v]
        copies = _dosages(dosages[row], positions, flip[row])
        _refit_one(copies, means[row], covariates, outcome, offset, start, drop, method, out[v])


@njit(cache=True)
def _refit_one(
    copies: Any,
    mean: float,
    covariates: Any,
    outcome: Any,
    offset: Any,
    start: Any,
    drop: bool,
    method: int,
    out: Any,
) -> None:
    k, n_all = covariates.shape
    x, y, known = np.empty((k + 1, n_all)), np.empty(n_all), np.empty(n_all)
    n = _fill_predictors(copies, mean, covariates, outcome, offset, drop, x, y, known)
    if n < n_all:
        x, y, known = np.ascontiguousarray(x[:, :n]), y[:n], known[:n]
    beta = np.zeros(k + 1)
    copy_into(start, beta, False)
    value = np.nan
    if method == WALD:
        converged, variance = logistic_newton(x, y, known, beta)
    elif method == FIRTH:
        converged, variance, penalised = firth_newton(x, y, known, beta, k + 1)
        without = np.zeros(k + 1)
        copy_into(start, without, False)
        converged_null, _, penalised_null = firth_newton(x, y, known, without, k)
        if converged_null:
            value = max(2.0 * (penalised - penalised_null), 0.0)
    else:
        converged, variance, value = _score(x, y, known, beta)
    out[0] = 1.0 if converged else 0.0
    out[1] = beta[k]
    out[2] = np.sqrt(variance) if variance > 0 else np.nan
    out[3] = value


@njit(cache=True)
def _score(x: Any, y: Any, offset: Any, beta: Any) -> Any:
    """One step from the null model refitted to these samples: its size, 1 / its information, and U²/V."""
    k = x.shape[0] - 1
    null = beta[:k].copy()
    converged, _ = logistic_newton(x[:k], y, offset, null)
    n = x.shape[1]
    eta, mu, w, wx = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    info, lower = np.zeros((k + 1, k + 1)), np.zeros((k + 1, k + 1))
    linear_predictor(x[:k], null, offset, eta)
    probabilities(eta, mu, w)
    information(x, w, wx, info)
    if not converged or not cholesky(info, lower):
        return False, np.nan, np.nan
    for i in range(n):
        mu[i] = y[i] - mu[i]
    u = dot(x[k], mu)
    variance = last_variance(lower)
    beta[k] = u * variance
    return True, variance, u * u * variance


def refit_variants(
    packed: npt.NDArray[np.uint8],
    variants: npt.NDArray[np.int64],
    *,
    flip: npt.NDArray[np.bool_],
    means: Floats,
    table: Floats,
    positions: npt.NDArray[np.int64],
    covariates: Floats,
    outcome: Floats,
    offset: Floats,
    start: Floats,
    drop_missing: bool,
    method: int,
) -> Floats:
    """Fit a logistic model for each of the chosen variants.

    Parameters
    ----------
    packed
        uint8 (m, bytes).
    variants
        int64 (v,): rows of `packed` to fit.
    flip, means
        bool (m,), float64 (m,): orientation, and the oriented mean that stands for a missing call.
    table
        float64 (2, 256, 4): copies of the counted allele in a byte, see
        :data:`gwas.kernels.products.ORIENTED`.
    positions
        int64 (n,): where the analysed samples stand in a row.
    covariates
        float64 (k, n): intercept first.
    outcome
        float64 (n,): 0 or 1.
    offset
        float64 (n,): known part of the log odds.
    start
        float64 (k,): null model's coefficients.
    drop_missing
        Leave samples with a missing call out (complete case) instead of using the mean.
    method
        ``WALD`` maximum likelihood, ``FIRTH``, or ``SCORE``: score test with the null model refitted to the
        samples used.

    Returns
    -------
    ndarray of float64 (v, 4)
        Converged (1 or 0), coefficient, standard error, and the chi-squared statistic of the penalised
        likelihood ratio (Firth) or score test; NaN for maximum likelihood.
    """
    out = np.full((len(variants), 4), np.nan)
    _refit(
        packed,
        variants,
        flip.astype(np.int64),
        means,
        table,
        positions,
        np.ascontiguousarray(covariates),
        outcome,
        offset,
        start,
        drop_missing,
        method,
        out,
    )
    return out


def refit_dosages(
    dosages: npt.NDArray[np.float32],
    variants: npt.NDArray[np.int64],
    *,
    flip: npt.NDArray[np.bool_],
    means: Floats,
    positions: npt.NDArray[np.int64],
    covariates: Floats,
    outcome: Floats,
    offset: Floats,
    start: Floats,
    drop_missing: bool,
    method: int,
) -> Floats:
    """Fit a logistic model of dosages for each of the chosen variants.

    Parameters
    ----------
    dosages
        float32 (m, n): copies of ALT from 0 to 2, NaN where missing.
    variants, flip, means, positions, covariates, outcome, offset, start, drop_missing, method
        As in :func:`refit_variants`.

    Returns
    -------
    ndarray of float64 (v, 4)
        As there.
    """
    out = np.full((len(variants), 4), np.nan)
    _refit_dosages(
        np.ascontiguousarray(dosages),
        variants,
        flip,
        means,
        positions,
        np.ascontiguousarray(covariates),
        outcome,
        offset,
        start,
        drop_missing,
        method,
        out,
    )
    return out
