"""Least squares on a few predictors, anew for every variant, as people with a missing call leave."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from gwas.kernels.machine_code import MachineCode

Floats = npt.NDArray[np.float64]

_WHITEN: Final = MachineCode(
    "downdate_loops", "whiten", "float64:3", "float64:3", "float64", "float64:2", "float64:2", "uint8:1"
)


def whitened_products(
    matrices: Floats, columns: Floats, *, least: float
) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
    """Products of columns in the metric of the inverse of a matrix, for many matrices.

    Parameters
    ----------
    matrices
        float64 (v, k, k): symmetric; the lower triangle is used and overwritten.
    columns
        float64 (v, k, c): overwritten.
    least
        A matrix with a pivot of its Cholesky factor's square not above this counts as singular.

    Returns
    -------
    dots, squares : ndarray of float64 (v, c)
        c₀' A⁻¹ cⱼ and cⱼ' A⁻¹ cⱼ; not set where A is singular.
    fine : ndarray of bool (v,)
        Whether A was found positive definite.

    Examples
    --------
    >>> dots, squares, fine = whitened_products(np.array([[[4.0]]]), np.array([[[2.0, 6.0]]]), least=1e-9)
    >>> dots.tolist(), squares.tolist(), fine.tolist()
    ([[1.0, 3.0]], [[1.0, 9.0]], [True])
    """
    v, _, c = columns.shape
    dots, squares = np.empty((v, c)), np.empty((v, c))
    fine = np.empty(v, dtype=np.uint8)
    _WHITEN(matrices, columns, least, dots, squares, fine)
    return dots, squares, fine.astype(bool)
