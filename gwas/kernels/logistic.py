"""Logistic regression by Newton's method, by maximum likelihood or Firth's penalised likelihood.

Firth's penalty is half the log-determinant of the information, which keeps estimates finite under separation; its
score adds h (1/2 - p) to each residual, h the diagonal of the weighted hat matrix. Heinze & Schemper (2002),
Stat Med 21:2409.

Predictors are rows, float64 (p, n): the covariates (intercept first), then the genotype.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from gwas.kernels.machine_code import MachineCode

Floats = npt.NDArray[np.float64]

STRIP: Final = 256
"""People at a time: their predictors stay in the nearest cache."""
_MODEL: Final = ("float64:2", *["float64:1"] * 3)
_NEWTON: Final = MachineCode("logistic_loops", "newton", *_MODEL, *["float64:2"] * 2, "float64:1")
_FIRTH: Final = MachineCode("logistic_loops", "firth", *_MODEL, "int64", *["float64:2"] * 3, "float64:1")


def workspace(p: int, n: int) -> tuple[Floats, Floats, Floats]:
    """Room that the loops need for p predictors of n people."""
    return np.empty((5, n)), np.zeros((3 * p + 9, max(p, 4))), np.empty((p, STRIP))


def logistic_newton(x: Floats, y: Floats, offset: Floats, beta: Floats) -> tuple[bool, float]:
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
    room, small, _ = workspace(*x.shape)
    out = np.empty(2)
    _NEWTON(np.ascontiguousarray(x), y, offset, beta, room, small, out)
    return bool(out[0] == 1.0), float(out[1])


def firth_newton(x: Floats, y: Floats, offset: Floats, beta: Floats, free: int) -> tuple[bool, float, float]:
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
    room, small, strips = workspace(*x.shape)
    out = np.empty(3)
    _FIRTH(np.ascontiguousarray(x), y, offset, beta, free, room, small, strips, out)
    return bool(out[0] == 1.0), float(out[1]), float(out[2])
