"""Placing new people, one at a time, on components that others made.

A plain projection falls short, the more so the fewer people and the more variants: the fitted people's own noise is
part of their scores, and a new person's is not. Here each new person joins the decomposition alone, as if the
components had been found with them, and is then turned back onto the old components.
"""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from gwas.genotypes import Genotypes
from gwas.standardised import StandardisedGenotypes

F64 = npt.NDArray[np.float64]
Projection = Literal["oadp", "plain"]

LEAST_SEEN: Final = 0.1
"""A person of whom less than this share of a component's weights is called is not placed."""
BLOCK: Final = 4096
PEOPLE: Final = 4096


def place(
    genotypes: Genotypes,
    *,
    loadings: F64,
    mean: F64,
    scale: F64,
    singular: F64,
    n_variants: int,
    call_rate: float = 1.0,
    method: Projection = "oadp",
    threads: int = 2,
) -> F64:
    """Place people on components.

    Parameters
    ----------
    genotypes
        New people at ``m`` variants of the components, with the same ALT alleles.
    loadings
        float64 (m, k): those variants' rows of unit-length loadings.
    mean, scale
        float64 (m,): of the fitted people; ``(ALT copies - mean) / scale`` is what the loadings weigh.
    singular
        float64 (k,): singular values of the fitted people's standardised genotypes.
    n_variants
        Variants that the components were fitted on; those not among the ``m`` count as missing.
    call_rate
        Share of calls that the fitted people had; what they lacked was the mean, which draws them a little
        towards the middle, and the new people must fall among them.
    method
        ``oadp`` (no shrinkage) or ``plain`` (the weighted sum alone).
    threads
        Threads.

    Returns
    -------
    ndarray of float64 (n, k)
        Scores on the scale of unit-length eigenvectors; nan for a person of whom too little is called.

    Notes
    -----
    Missing calls are allowed for by least squares: the scores that explain the called genotypes best. Setting
    them to the mean instead would draw a person towards the middle in proportion to what is missing.
    """
    matrix = StandardisedGenotypes(genotypes, mean, scale, threads=threads)
    weighed, squares = matrix.weigh(loadings)
    seen, missing = _seen_products(genotypes, loadings)
    called = genotypes.n_variants - missing
    least = np.linalg.eigvalsh(seen)[:, 0]
    enough = least >= LEAST_SEEN
    placed = np.full(weighed.shape, np.nan)
    solved = np.linalg.solve(seen[enough], weighed[enough][:, :, None])[:, :, 0]
    explained = (solved * call_rate).astype(np.float64)
    energy = (squares[enough] * n_variants * call_rate / called[enough]).astype(np.float64)
    placed[enough] = explained / singular if method == "plain" else augment(explained, energy, singular)
    return placed


def augment(weighed: F64, squares: F64, singular: F64) -> F64:
    """Online augmentation, decomposition and Procrustes, from products with the loadings alone.

    Parameters
    ----------
    weighed
        float64 (n, k): new people's standardised genotypes times the loadings.
    squares
        float64 (n,): sum of their squared standardised genotypes.
    singular
        float64 (k,): singular values of the fitted matrix.

    Returns
    -------
    ndarray of float64 (n, k)
        Scores on the scale of unit-length eigenvectors.

    Notes
    -----
    With a person added, the decomposition has one more direction than components: what the components do not
    explain of that person. Of the k + 1 new components, the one that is the new person's most is left out. For
    most people that is the last; for somebody unlike anyone fitted it is not, and keeping the k largest would
    give up one of the old components for their own.

    References
    ----------
    Zhang, Dey and Lee (2020), Bioinformatics 36:3439.

    Examples
    --------
    Of five new people of unit variance at 100 variants, none moves another.

    >>> weighed, squares = np.arange(10.0).reshape(5, 2), np.full(5, 100.0)
    >>> together = augment(weighed, squares, np.array([30.0, 20.0]))
    >>> alone = augment(weighed[2:3], squares[2:3], np.array([30.0, 20.0]))
    >>> bool(np.allclose(together[2], alone[0]))
    True
    """
    chunks = range(0, len(weighed), PEOPLE)
    parts = [_augment(weighed[a : a + PEOPLE], squares[a : a + PEOPLE], singular) for a in chunks]
    return np.concatenate(parts) if parts else np.empty_like(weighed)


def _augment(weighed: F64, squares: F64, singular: F64) -> F64:
    n, k = weighed.shape
    bordered = np.zeros((n, k + 1, k + 1))
    bordered[:, np.arange(k), np.arange(k)] = singular
    bordered[:, k, :k] = weighed
    bordered[:, k, k] = np.sqrt(np.maximum(squares - (weighed**2).sum(axis=1), 0.0))
    # Rows are people: the first k stand for the fitted ones (in the basis of their scores), the last is new.
    left, values, _ = np.linalg.svd(bordered)
    own = np.argmax(np.abs(left[:, k, :]), axis=1)
    kept = np.arange(k)[None, :] + (np.arange(k)[None, :] >= own[:, None])
    augmented = np.take_along_axis(left * values[:, None, :], kept[:, None, :], axis=2)
    old, new = augmented[:, :k, :], augmented[:, k, :]
    u, s, vt = np.linalg.svd(np.swapaxes(old, 1, 2) * singular)
    turned = np.einsum("ni,nij->nj", new, u @ vt)
    stretch = s.sum(axis=1) / (old**2).sum(axis=(1, 2))
    placed: F64 = turned * stretch[:, None] / singular
    return placed


def _seen_products(genotypes: Genotypes, loadings: F64) -> tuple[F64, npt.NDArray[np.int64]]:
    """Each person's inner products of the loadings over called variants, (n, k, k), and missing calls (n,)."""
    # numba costs a second to load, which `import gwas` should not pay.
    from gwas.kernels.missing_weights import add_missing_products

    n, k = genotypes.n_samples, loadings.shape[1]
    lacking = np.zeros((n, k * (k + 1) // 2))
    missing = np.zeros(n, dtype=np.int64)
    for block in genotypes.blocks(BLOCK):
        rows = np.ascontiguousarray(loadings[block.start : block.stop])
        add_missing_products(block.packed_selected(), n, rows, lacking, missing)
    seen = np.empty((n, k, k))
    seen[:] = loadings.T @ loadings
    i, j = np.tril_indices(k)
    seen[:, i, j] -= lacking
    seen[:, j, i] = seen[:, i, j]
    return seen, missing
