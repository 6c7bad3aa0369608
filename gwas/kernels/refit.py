"""Fit a logistic model variant by variant: maximum likelihood, Firth, or an exact score test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy import special

from gwas.kernels.logistic import STRIP, workspace
from gwas.kernels.machine_code import MachineCode

Floats = npt.NDArray[np.float64]

WALD: Final = 0
FIRTH: Final = 1
SCORE: Final = 2

_REST: Final = (
    *["int64:1", "uint8:1", "float64:1", "int64:1"],
    "float64:2",
    *["float64:1"] * 3,
    *["int64"] * 2,
    *["float64:2"] * 5,
)
_CALLS: Final = MachineCode("logistic_loops", "refit_calls", "uint8:2", *_REST)
_DOSAGES: Final = MachineCode("logistic_loops", "refit_dosages", "float32:2", *_REST)
_MAXIMUM: Final = (
    *["int64:1", "uint8:1", "float64:1", "int64:1"],
    "float64:2",
    *["float64:1"] * 4,
    *["float64:2", "int64"],
    *["float32:2", "float64:1"],
    *["float64:2"] * 5,
)
_MAXIMUM_OF_CALLS: Final = MachineCode("logistic_loops", "maximise_calls", "uint8:2", *_MAXIMUM)
_MAXIMUM_OF_DOSAGES: Final = MachineCode("logistic_loops", "maximise_dosages", "float32:2", *_MAXIMUM)
_BATCH: Final = 8


def refit_variants(
    genotypes: npt.NDArray[np.uint8] | npt.NDArray[np.float32],
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
    """Fit a logistic model for each of the chosen variants.

    Parameters
    ----------
    genotypes
        Packed calls, uint8 (m, bytes), or dosages of ALT, float32 (m, n_columns), NaN where missing.
    variants
        int64 (v,): rows to fit.
    flip, means
        bool (m,), float64 (m,): orientation, and the oriented mean that stands for a missing call.
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
    kernel: Any = _CALLS if genotypes.dtype == np.uint8 else _DOSAGES
    k, n = covariates.shape
    x = np.empty((k + 1, n))
    x[:k] = covariates
    kernel(
        np.ascontiguousarray(genotypes),
        variants,
        flip.astype(np.uint8),
        means,
        positions,
        np.ascontiguousarray(covariates),
        outcome,
        offset,
        start,
        int(drop_missing),
        method,
        x,
        *workspace(k + 1, n),
        out,
    )
    return out


@dataclass(frozen=True, eq=False)
class StartingPoint:
    """A null model's fit, from which the fits of many variants start.

    It is made once a null model: made anew for every block, its sums could round otherwise, and a variant's answer
    would depend on the block that it stands in.

    Attributes
    ----------
    eta, residual, weights
        float64 (n,): log odds, outcome - p, p (1 - p).
    lower
        float64 (k, k): Cholesky factor of the covariates' information.
    """

    eta: Floats
    residual: Floats
    weights: Floats
    lower: Floats

    @classmethod
    def of(cls, covariates: Floats, outcome: Floats, offset: Floats, coefficients: Floats) -> StartingPoint:
        """Evaluate covariates (k, n) at `coefficients` (k,) on top of a known `offset` (n,)."""
        eta = offset + coefficients @ covariates
        p = special.expit(eta)
        weights = p * (1.0 - p)
        return cls(eta, outcome - p, weights, np.linalg.cholesky((covariates * weights) @ covariates.T))


def maximise_variants(
    genotypes: npt.NDArray[np.uint8] | npt.NDArray[np.float32],
    variants: npt.NDArray[np.int64],
    *,
    flip: npt.NDArray[np.bool_],
    means: Floats,
    positions: npt.NDArray[np.int64],
    covariates: Floats,
    outcome: Floats,
    start: StartingPoint,
    drop_missing: bool,
) -> Floats:
    """Maximum likelihood of many variants at once, where the null model's fit is a good start.

    Parameters
    ----------
    genotypes, variants, flip, means, positions, covariates, outcome, drop_missing
        As in :func:`refit_variants`.
    start
        The null model's fit.

    Returns
    -------
    ndarray of float64 (v, 3)
        Found (1 or 0), coefficient, standard error. What is not found within a few steps is for
        :func:`refit_variants`.

    Notes
    -----
    Newton's method with the covariates' own information as it is in the null model: each step then takes one
    pass of the covariates for eight variants, and no information of all predictors is ever formed. What the
    information misses slows the last digits down and changes no answer: steps go on until one is below
    1e-4 standard errors, and what is left is a small part of that.
    """
    out = np.zeros((len(variants), 3))
    kernel: Any = _MAXIMUM_OF_CALLS if genotypes.dtype == np.uint8 else _MAXIMUM_OF_DOSAGES
    k, n = covariates.shape
    kernel(
        np.ascontiguousarray(genotypes),
        variants,
        flip.astype(np.uint8),
        means,
        positions,
        np.ascontiguousarray(covariates),
        outcome,
        start.eta,
        start.residual,
        start.weights,
        start.lower,
        int(drop_missing),
        np.empty((_BATCH, n), dtype=np.float32),
        np.empty(_BATCH),
        np.empty((4, STRIP)),
        np.empty((_BATCH, 2 * k + 3)),
        np.empty((_BATCH, 2 * k + 3)),
        np.empty((4, max(k, _BATCH))),
        out,
    )
    return out
