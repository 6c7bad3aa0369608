"""Logistic regression of binary traits: score test for all variants, or a full fit of each.

The null model (covariates alone) is fitted once a trait. Its score test needs, of every variant, only
products with the null residuals and with weighted covariates, so that it rides in the same pass as the linear
traits:
U = g'(y - p), V = g'Wg - |V'g|² with V an orthonormal basis of the weighted covariates.

Two ways of reporting:

``wald``
    What PLINK 2's ``--glm`` reports: maximum likelihood for every variant, Firth's penalised likelihood where
    an allele does not occur in both cases and controls or the iteration fails; Wald z.
``score-firth``
    For the phenome: the score test for every variant, refitted by Firth where its P is below a threshold,
    with the penalised likelihood ratio's P (as REGENIE). Cheap where nothing happens, and sound
    in the tail where cases are rare.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from gwas.kernels import refit
from gwas.kernels.logistic import logistic_newton
from gwas.models import status
from gwas.models.group import Floats, Group, Ints
from gwas.models.linear import Missing, Moments
from gwas.models.result import VariantTests
from gwas.models.tile import Calls, Tile
from gwas.tails import log10p_normal

LogisticMode = Literal["wald", "score-firth"]


@dataclass(frozen=True, eq=False)
class LogisticNull:
    """A binary trait fitted on the covariates.

    Attributes
    ----------
    group
        The people.
    outcome
        float64 (n,): 1 for cases, 0 for controls.
    design
        float64 (k, n): intercept and standardised covariates, as rows.
    offset
        float64 (n,): known part of the log odds; 0 where there is none.
    coefficients
        float64 (k,); 0 where the fit does not converge.
    converged
        Whether it did.
    linear
        float64 (n_columns, 1 + k): null residual y - p, then the basis of the weighted covariates, each at
        its people's place in a packed row.
    weights
        float64 (n_columns, 1): p (1 - p).
    cases
        bool (n_columns,).
    """

    group: Group
    outcome: Floats
    design: Floats
    offset: Floats
    coefficients: Floats
    converged: bool
    linear: Floats
    weights: Floats
    cases: npt.NDArray[np.bool_]


def fit_logistic_null(group: Group, outcome: Floats, offset: Floats | None = None) -> LogisticNull:
    """Fit the covariates alone by Newton's method.

    Parameters
    ----------
    group
        The people.
    outcome
        float64 (n,): 0 or 1.
    offset
        float64 (n,): log odds known beforehand, such as a polygenic prediction from other chromosomes; they
        are added as they are.

    Returns
    -------
    LogisticNull
        Not converged if the covariates alone separate cases from controls: only Firth can fit then.
    """
    design = np.ascontiguousarray(np.column_stack([np.ones(group.n), group.basis.centred]).T)
    coefficients = np.zeros(group.k)
    known = np.zeros(group.n) if offset is None else np.ascontiguousarray(offset, dtype=np.float64)
    converged, _ = logistic_newton(design, outcome, known, coefficients)
    if not converged:
        coefficients[:] = 0.0
    p = 1.0 / (1.0 + np.exp(-(known + coefficients @ design)))
    weights = p * (1.0 - p)
    weighted = design * weights
    lower = np.linalg.cholesky(weighted @ design.T)
    basis = np.linalg.solve(lower, weighted).T
    cases = np.zeros(len(group.columns), dtype=bool)
    cases[group.positions[outcome == 1]] = True
    return LogisticNull(
        group,
        outcome,
        design,
        known,
        coefficients,
        bool(converged),
        group.widen(np.column_stack([outcome - p, basis])),
        group.widen(weights[:, None]),
        cases,
    )


def wald_tests(
    null: LogisticNull,
    calls: Calls,
    tile: Tile,
    screened: Moments,
    *,
    missing: Missing,
    firth: bool,
) -> VariantTests:
    """Full fit of every variant, as PLINK 2's logistic-Firth hybrid.

    Parameters
    ----------
    null, calls, tile, missing
        As in :func:`gwas.models.linear.moments`.
    screened
        Which variants can be tested.
    firth
        Refit by Firth where an allele separates or maximum likelihood fails; otherwise these get a code.

    Returns
    -------
    VariantTests
        Wald z statistics.
    """
    verdict = screened.status.copy()
    result = np.full((len(verdict), 4), np.nan)
    separated = _allele_separates(null, tile)
    by_ml = np.flatnonzero((verdict == status.OK) & ~separated).astype(np.int64)
    result[by_ml] = _refit(null, calls, tile, by_ml, missing=missing, method=refit.WALD)
    failed = (verdict == status.OK) & ~(result[:, 0] == 1)
    used_firth = np.zeros(len(verdict), dtype=bool)
    if firth:
        again = np.flatnonzero(failed).astype(np.int64)
        result[again] = _refit(null, calls, tile, again, missing=missing, method=refit.FIRTH)
        used_firth[again] = True
        verdict[again[result[again, 0] != 1]] = status.FIRTH_CONVERGE_FAIL
    else:
        verdict[failed] = np.where(separated[failed], status.SEPARATION, status.LOGISTIC_CONVERGE_FAIL)
    beta, se = _clean(result, verdict, calls)
    with np.errstate(invalid="ignore", divide="ignore"):
        z = beta / se
    return VariantTests(screened.n, calls.alt_frequency, beta, se, z, log10p_normal(z), verdict, used_firth)


def score_tests(
    null: LogisticNull,
    calls: Calls,
    tile: Tile,
    screened: Moments,
    on_linear: Floats,
    on_weights: Floats,
    *,
    missing: Missing,
    tail_below: float,
) -> VariantTests:
    """Score test of every variant, refitted by Firth in the tail.

    Parameters
    ----------
    null, calls, tile, screened, missing
        As in :func:`wald_tests`.
    on_linear, on_weights
        float64 (m, 1 + k) and (m, 1): products of the oriented genotypes with `null.linear`, and of their
        squares with `null.weights`; missing as 0.
    tail_below
        Refit where the score test's P is below this.

    Returns
    -------
    VariantTests
        Before the tail: z = U/√V, beta = U/V (one Newton step), SE = 1/√V. In the tail: Firth's estimate and
        SE, z the signed root of the penalised likelihood ratio.
    """
    verdict = screened.status.copy()
    u, v = _score_moments(null, calls, tile, on_linear, on_weights)
    result = np.full((len(verdict), 4), np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        result[:, 1], result[:, 2], result[:, 3] = u / v, 1.0 / np.sqrt(v), u * u / v
    result[:, 0] = v > 0
    if missing == "complete-case":
        fewer = np.flatnonzero((verdict == status.OK) & (calls.missing > 0)).astype(np.int64)
        result[fewer] = _refit(null, calls, tile, fewer, missing=missing, method=refit.SCORE)
    verdict[(verdict == status.OK) & (result[:, 0] != 1)] = status.LOGISTIC_CONVERGE_FAIL
    with np.errstate(invalid="ignore"):
        z = np.sign(result[:, 1]) * np.sqrt(result[:, 3])
    beyond = (np.power(10.0, -log10p_normal(z)) < tail_below) | (not null.converged)
    tail = np.flatnonzero((verdict == status.OK) & beyond).astype(np.int64)
    result[tail] = _refit(null, calls, tile, tail, missing=missing, method=refit.FIRTH)
    unfit = tail[(result[tail, 0] != 1) | np.isnan(result[tail, 3])]
    verdict[unfit] = status.FIRTH_CONVERGE_FAIL
    used_firth = np.zeros(len(verdict), dtype=bool)
    used_firth[tail] = True
    beta, se = _clean(result, verdict, calls)
    z = np.sign(beta) * np.sqrt(np.where(np.isnan(beta), np.nan, result[:, 3]))
    return VariantTests(screened.n, calls.alt_frequency, beta, se, z, log10p_normal(z), verdict, used_firth)


def _score_moments(
    null: LogisticNull, calls: Calls, tile: Tile, on_linear: Floats, on_weights: Floats
) -> tuple[Floats, Floats]:
    """U and V with the mean in place of missing calls."""
    some = np.flatnonzero((calls.missing > 0) & (calls.called > 0)).astype(np.int64)
    on_linear, on_weights = on_linear.copy(), on_weights[:, 0].copy()
    if len(some):
        sums = tile.missing_sums(some, np.column_stack([null.linear, null.weights]))
        mean = calls.mean[some]
        on_linear[some] += sums[:, :-1] * mean[:, None]
        on_weights[some] += sums[:, -1] * mean**2
    return on_linear[:, 0], on_weights - (on_linear[:, 1:] ** 2).sum(axis=1)


def _allele_separates(null: LogisticNull, tile: Tile) -> npt.NDArray[np.bool_]:
    """Whether one allele is absent from the called cases or the called controls."""
    separated = np.zeros(len(tile), dtype=bool)
    for people in (null.cases, null.group.columns & ~null.cases):
        alt, called = tile.alleles(people)
        separated |= (alt == 0) | (alt == 2 * called)
    return separated


def _refit(
    null: LogisticNull,
    calls: Calls,
    tile: Tile,
    variants: Ints,
    *,
    missing: Missing,
    method: int,
) -> Floats:
    return tile.refit(
        variants,
        flip=calls.flip,
        means=calls.mean,
        positions=null.group.positions,
        covariates=null.design,
        outcome=null.outcome,
        offset=null.offset,
        start=null.coefficients,
        drop_missing=missing == "complete-case",
        method=method,
    )


def _clean(result: Floats, verdict: npt.NDArray[np.int8], calls: Calls) -> tuple[Floats, Floats]:
    """Estimates per copy of ALT; NaN, and a code, where there is none."""
    beta, se = result[:, 1], result[:, 2]
    verdict[(verdict == status.OK) & ~(np.isfinite(beta) & np.isfinite(se))] = status.INVALID_RESULT
    fine = verdict == status.OK
    return np.where(fine, np.where(calls.flip, -beta, beta), np.nan), np.where(fine, se, np.nan)
