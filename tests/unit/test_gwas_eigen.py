"""Leading eigenpairs by block Lanczos against dense decompositions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from gwas.eigen import leading_eigenpairs

Matrix = npt.NDArray[np.float64]


def operator(values: npt.ArrayLike, *, seed: int) -> Matrix:
    """A symmetric matrix with the given spectrum."""
    spectrum = np.asarray(values, dtype=float)
    turn = np.linalg.qr(np.random.default_rng(seed).standard_normal((len(spectrum), len(spectrum))))[0]
    return (turn * spectrum) @ turn.T


def noise(n: int, *, seed: int) -> Matrix:
    """A covariance of pure noise: its largest eigenvalues are hard to tell apart."""
    z = np.random.default_rng(seed).standard_normal((2 * n, n))
    return z.T @ z / len(z)


@pytest.mark.parametrize("basis_bytes", [0, 2**30])
@pytest.mark.parametrize("matrix", [noise(400, seed=1), operator(0.97 ** np.arange(500), seed=2)])
def test_pairs_are_those_of_the_dense_decomposition_whether_or_not_the_basis_starts_anew(
    matrix: Matrix, basis_bytes: int
) -> None:
    shapes = []

    def apply(block: Matrix) -> Matrix:
        shapes.append(block.shape)
        return matrix @ block

    found = leading_eigenpairs(
        apply,
        len(matrix),
        6,
        rng=np.random.default_rng(3),
        tolerance=1e-5,
        max_passes=300,
        basis_bytes=basis_bytes,
    )
    values, vectors = np.linalg.eigh(matrix)
    assert found.residual <= 1e-5
    assert found.passes == len(shapes)
    np.testing.assert_allclose(found.values, values[:-7:-1], rtol=1e-8)
    assert np.abs((found.vectors * vectors[:, :-7:-1]).sum(axis=0)).min() > 1 - 1e-6
    gap = matrix @ found.vectors - found.vectors * found.values
    np.testing.assert_allclose(np.linalg.norm(gap, axis=0).max() / found.values.min(), found.residual, rtol=1)


def test_an_operator_of_low_rank_is_exhausted_without_harm() -> None:
    matrix = operator([*range(30, 0, -1), *[0.0] * 270], seed=4)
    found = leading_eigenpairs(
        lambda v: matrix @ v, 300, 10, rng=np.random.default_rng(1), tolerance=1e-10, max_passes=20
    )
    np.testing.assert_allclose(found.values, np.arange(30, 20, -1), rtol=1e-9)
    np.testing.assert_allclose(found.vectors.T @ found.vectors, np.eye(10), atol=1e-9)


@pytest.mark.parametrize("n", [12, 90, 256, 257])
def test_small_operators_are_exact(n: int) -> None:
    matrix = operator(np.arange(1.0, n + 1), seed=n)
    found = leading_eigenpairs(
        lambda v: matrix @ v, n, 10, rng=np.random.default_rng(1), tolerance=1e-9, max_passes=50
    )
    np.testing.assert_allclose(found.values, np.arange(n, n - 10, -1), rtol=1e-9)


def test_threads_change_nothing_at_all() -> None:
    matrix = noise(300, seed=5)
    one, two = (
        leading_eigenpairs(
            lambda v: matrix @ v,
            300,
            4,
            rng=np.random.default_rng(1),
            tolerance=1e-6,
            max_passes=50,
            threads=threads,
        )
        for threads in (1, 2)
    )
    assert np.array_equal(one.vectors, two.vectors)


def test_too_few_passes_are_told_by_the_residual() -> None:
    matrix = noise(400, seed=6)
    found = leading_eigenpairs(
        lambda v: matrix @ v, 400, 10, rng=np.random.default_rng(1), tolerance=1e-8, max_passes=3
    )
    assert found.passes == 3
    assert found.residual > 1e-4
