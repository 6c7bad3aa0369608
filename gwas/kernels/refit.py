"""Fit a logistic model variant by variant: maximum likelihood, Firth, or an exact score test."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gwas.kernels.logistic import workspace
from gwas.kernels.machine_code import MachineCode

Floats = npt.NDArray[np.float64]

WALD: Final = 0
FIRTH: Final = 1
SCORE: Final = 2
FIRTH_ESTIMATE: Final = 3

_REST: Final = (
    *["int64:1", "uint8:1", "float64:1", "int64:1"],
    "float64:2",
    *["float64:1"] * 3,
    *["int64"] * 2,
    *["float64:2"] * 5,
)
_CALLS: Final = MachineCode("refit_loops", "refit_calls", "uint8:2", *_REST)
_DOSAGES: Final = MachineCode("refit_loops", "refit_dosages", "float32:2", *_REST)


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
        ``WALD`` maximum likelihood, ``FIRTH``, ``FIRTH_ESTIMATE``: without its likelihood ratio, which takes a
        second and slower fit, or ``SCORE``: score test with the null model refitted to the samples used.

    Returns
    -------
    ndarray of float64 (v, 4)
        Converged (1 or 0), coefficient, standard error, and the chi-squared statistic of the penalised
        likelihood ratio (Firth) or score test; else NaN.
    """
    out = np.full((len(variants), 4), np.nan)
    if not len(variants):
        # not even to be compiled
        return out
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
