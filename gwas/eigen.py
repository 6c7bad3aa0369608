"""Leading eigenpairs of a large symmetric operator that can only be multiplied with."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from gwas.engines.threads import checked_threads
from gwas.kernels.standardised import COLUMNS

F64 = npt.NDArray[np.float64]

BASIS_BYTES: Final = 256 * 2**20
FEWEST_BLOCKS: Final = 6
DENSE_BLOCKS: Final = 16
MOST_UNSEEN: Final = 4
EXHAUSTED: Final = 1e-9
ROWS: Final = 4096


@dataclass(frozen=True, eq=False)
class Eigenpairs:
    """Leading eigenpairs.

    Attributes
    ----------
    values
        float64 (k,), descending.
    vectors
        float64 (n, k), of unit length.
    residual
        Largest ``|A u - lambda u| / lambda``.
    passes
        How often the operator was applied.
    """

    values: F64
    vectors: F64
    residual: float
    passes: int


def leading_eigenpairs(
    apply: Callable[[F64], F64],
    n: int,
    k: int,
    *,
    rng: np.random.Generator,
    tolerance: float,
    max_passes: int,
    basis_bytes: int = BASIS_BYTES,
    threads: int = 1,
) -> Eigenpairs:
    """Find the ``k`` largest eigenvalues of a positive semidefinite operator on R^n.

    Parameters
    ----------
    apply
        Gives ``A v``, float64 (n, b), of float64 (n, b).
    n, k
        Size of the operator, and pairs wanted.
    rng
        Starting block.
    tolerance
        Stop when ``|A u - lambda u| <= tolerance * lambda`` for all pairs.
    max_passes
        Most applications.
    basis_bytes
        Memory for the basis. When it is full the best half of its Ritz vectors start it anew, which costs
        applications; at least six blocks are kept whatever it says.
    threads
        Threads for the products with the basis, whose parts are the same whatever their number.

    Returns
    -------
    Eigenpairs

    Notes
    -----
    Block Lanczos from random vectors, with full orthogonalisation, thick restart and Rayleigh-Ritz
    extraction (Golub and Underwood 1977, in Mathematical Software III; Wu and Simon 2000, SIAM J Matrix Anal
    Appl 22:602; as a randomised method Musco and Musco 2015, NIPS). The error of a vector is of higher order
    than its residual over the distance to the rest of the spectrum, because the residual of a Krylov method
    lies where the spectrum has not been resolved yet.

    Examples
    --------
    >>> found = leading_eigenpairs(lambda v: np.arange(1.0, 101)[:, None] * v, 100, 2,
    ...     rng=np.random.default_rng(1), tolerance=1e-9, max_passes=50)
    >>> found.values.round(6).tolist()
    [100.0, 99.0]
    """
    # Whole vector registers: the genotype products do sixteen columns for the price of one.
    width = -(-(k + 2) // COLUMNS) * COLUMNS
    if n <= DENSE_BLOCKS * width:
        return _dense(apply, n, k)
    # A block more than the basis must find room in the space, or nothing orthogonal would be left.
    room = min(max(basis_bytes // (8 * n), FEWEST_BLOCKS * width), n - width)
    basis = np.empty((n, room), order="F")
    projected = np.zeros((room, room))
    block, _ = _orthonormal(rng.standard_normal((n, width)))
    size, since, look, last = 0, 0, 1, (0, np.inf)
    with ThreadPoolExecutor(max_workers=checked_threads(threads)) as pool:
        for passes in range(1, max_passes + 1):
            if size + width > room:
                size = since = _restart(basis, projected, size, room // 2)
            old, size = size, size + width
            basis[:, old:size] = block
            new = apply(block)
            # But for rounding, A v lies in the latest two blocks and the next, or in all just after a restart.
            near = 0 if old == since else max(old - width, 0)
            edge = np.zeros((size, width))
            edge[near:] = _take_out(new, basis[:, near:size], pool)
            edge += _take_out(new, basis[:, :size], pool)
            projected[:size, old:size] = edge
            projected[old:size, :size] = edge.T
            block, triangle = _orthonormal(new)
            if passes in (look, max_passes):
                values, turn = _top(projected[:size, :size], k)
                residual = float((np.linalg.norm(triangle @ turn[old:], axis=0) / values).max())
                if residual <= tolerance:
                    break
                look, last = _next_look(passes, residual, last, tolerance), (passes, residual)
            steps = np.abs(np.diagonal(triangle))
            if steps.min() <= EXHAUSTED * steps.max():
                _take_out(block, basis[:, :size], pool)
                block, _ = _orthonormal(block)
    return Eigenpairs(values, basis[:, :size] @ turn, residual, passes)


def _dense(apply: Callable[[F64], F64], n: int, k: int) -> Eigenpairs:
    whole = apply(np.eye(n))
    values, vectors = _top((whole + whole.T) / 2, k)
    residual = np.linalg.norm(whole @ vectors - vectors * values, axis=0) / values
    return Eigenpairs(values, vectors, float(residual.max()), 1)


def _top(matrix: F64, k: int) -> tuple[F64, F64]:
    values, vectors = np.linalg.eigh(matrix)
    return values[: -k - 1 : -1].copy(), vectors[:, : -k - 1 : -1].copy()


def _next_look(passes: int, residual: float, last: tuple[int, float], tolerance: float) -> int:
    """When to ask again whether it is enough: Rayleigh-Ritz costs the cube of the basis."""
    fall = np.log(last[1] / residual) / (passes - last[0]) if np.isfinite(last[1]) else 0.0
    left = np.log(residual / tolerance) / fall if fall > 0.0 else 1.0
    return passes + int(min(max(1.0, np.ceil(left / 2)), MOST_UNSEEN))


def _orthonormal(block: F64) -> tuple[F64, F64]:
    """QR by two rounds of Cholesky, far quicker for a tall block than reflections, which stand in for it."""
    whole = np.eye(block.shape[1])
    for _ in range(2):
        try:
            triangle = np.linalg.cholesky(block.T @ block).T
        except np.linalg.LinAlgError:
            orthonormal, triangle = np.linalg.qr(block)
            return orthonormal, triangle @ whole
        block, whole = block @ np.linalg.inv(triangle), triangle @ whole
    return block, whole


def _take_out(block: F64, basis: F64, pool: ThreadPoolExecutor) -> F64:
    """Take ``basis`` out of ``block``, in place; returns what was taken."""
    parts = [slice(first, first + ROWS) for first in range(0, len(block), ROWS)]
    taken: F64 = np.zeros((basis.shape[1], block.shape[1]))
    for part in pool.map(lambda rows: basis[rows].T @ block[rows], parts):
        taken += part

    def take(rows: slice) -> None:
        block[rows] -= basis[rows] @ taken

    list(pool.map(take, parts))
    return taken


def _restart(basis: F64, projected: F64, size: int, keep: int) -> int:
    """Keep the best Ritz vectors, in place; returns how many."""
    values, turn = _top(projected[:size, :size], keep)
    for first in range(0, len(basis), ROWS):
        rows = slice(first, first + ROWS)
        basis[rows, :keep] = basis[rows, :size] @ turn
    projected[:] = 0.0
    projected[np.arange(keep), np.arange(keep)] = values
    return keep
