"""The inner loop of :mod:`gwas.kernels.downdate`: arrays in and out, nothing allocated, nothing raised.

It runs as :class:`gwas.kernels.machine_code.MachineCode`; this module is imported only to compile it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


@njit
def _factorise(matrix: Any, least: float) -> bool:
    """Cholesky factor in the lower triangle; False where a pivot is not above ``least``."""
    k = matrix.shape[0]
    for a in range(k):
        for b in range(a + 1):
            left = matrix[a, b]
            for i in range(b):
                left -= matrix[a, i] * matrix[b, i]
            if b < a:
                matrix[a, b] = left / matrix[b, b]
            elif left > least:
                matrix[a, a] = np.sqrt(left)
            else:
                return False
    return True


@njit
def whiten(matrices: Any, columns: Any, least: float, dots: Any, squares: Any, fine: Any) -> None:
    """Solve L x = c for all columns, L the Cholesky factor of each matrix.

    ``matrices`` float64 (v, k, k) and ``columns`` float64 (v, k, c) are overwritten; ``dots`` and ``squares``
    float64 (v, c) are products of each solution with the first one and with itself; ``fine`` uint8 (v,).
    """
    for v in range(matrices.shape[0]):
        factor = matrices[v]
        fine[v] = 1 if _factorise(factor, least) else 0
        if fine[v] == 0:
            continue
        right = columns[v]
        for j in range(right.shape[1]):
            dots[v, j] = 0.0
            squares[v, j] = 0.0
        for a in range(right.shape[0]):
            for i in range(a):
                for j in range(right.shape[1]):
                    right[a, j] -= factor[a, i] * right[i, j]
            for j in range(right.shape[1]):
                right[a, j] /= factor[a, a]
            for j in range(right.shape[1]):
                dots[v, j] += right[a, 0] * right[a, j]
                squares[v, j] += right[a, j] * right[a, j]
