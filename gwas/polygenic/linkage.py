"""Linkage disequilibrium between one variant and others, as allele-count correlation or by haplotypes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
MISSING_CALL = -9


def squared_correlation(lead: NDArray[np.int8], others: NDArray[np.int8]) -> Floats:
    """Squared correlation of allele counts between one variant and others, over people with both calls.

    Parameters
    ----------
    lead
        Copies 0, 1, 2, missing -9, shape (n,).
    others
        Shape (m, n).

    Returns
    -------
    ndarray
        (m,); 0 where either does not vary.

    Examples
    --------
    >>> one = np.array([0, 1, 2, -9], dtype=np.int8)
    >>> squared_correlation(one, np.array([[2, 1, 0, 2], [1, 1, 1, 1]], dtype=np.int8)).tolist()
    [1.0, 0.0]
    """
    table = genotype_pairs(lead, others)
    copies = np.arange(3.0)
    n = table.sum(axis=(1, 2))
    x, y = table.sum(axis=2), table.sum(axis=1)
    sx, sxx, sy, syy = x @ copies, x @ copies**2, y @ copies, y @ copies**2
    sxy = np.einsum("mab,a,b->m", table, copies, copies)
    spread = (n * sxx - sx**2) * (n * syy - sy**2)
    return np.asarray(
        np.divide((n * sxy - sx * sy) ** 2, spread, out=np.zeros_like(spread), where=spread > 0)
    )


def haplotype_r2(lead: NDArray[np.int8], others: NDArray[np.int8]) -> Floats:
    """r^2 from maximum-likelihood haplotype frequencies of unphased calls, over people with both calls.

    Parameters
    ----------
    lead, others
        As in :func:`squared_correlation`.

    Returns
    -------
    ndarray
        (m,); 0 where either does not vary.

    Notes
    -----
    People heterozygous at both variants are the only ones whose phase is unknown. How many of them carry
    the two counted alleles together is a root of a cubic (Hill, Heredity 1974;33:229); of several roots
    the most likely is taken. This is the r^2 of PLINK 1.9's --clump.

    Examples
    --------
    >>> one = np.array([0, 1, 2, 1], dtype=np.int8)
    >>> haplotype_r2(one, one[None]).round(6).tolist()
    [1.0]
    """
    t = genotype_pairs(lead, others)
    d = t[:, 1, 1]
    both = 2 * t[:, 2, 2] + t[:, 2, 1] + t[:, 1, 2]
    neither = 2 * t[:, 0, 0] + t[:, 1, 0] + t[:, 0, 1]
    first = 2 * t[:, 2, 0] + t[:, 2, 1] + t[:, 1, 0]
    second = 2 * t[:, 0, 2] + t[:, 1, 2] + t[:, 0, 1]
    together = _coupled(both, neither, first, second, d)
    total = both + neither + first + second + 2 * d
    total = np.where(total > 0, total, 1.0)
    p = (both + first + d) / total
    q = (both + second + d) / total
    spread = p * (1 - p) * q * (1 - q)
    gap = (both + together) / total - p * q
    return np.asarray(np.divide(gap**2, spread, out=np.zeros_like(spread), where=spread > 1e-14))


def genotype_pairs(lead: NDArray[np.int8], others: NDArray[np.int8]) -> Floats:
    """Counts of people by copies of the lead and of each other variant, (m, 3, 3); missing left out."""
    n = lead.size
    by_copies = np.stack([lead == 0, lead == 1, lead == 2]).astype(np.float32)
    table = np.empty((len(others), 3, 3))
    ones, twos = (others == 1).astype(np.float32), (others == 2).astype(np.float32)
    table[:, :, 1], table[:, :, 2] = ones @ by_copies.T, twos @ by_copies.T
    if (others == MISSING_CALL).any():
        table[:, :, 0] = (others == 0).astype(np.float32) @ by_copies.T
    else:
        table[:, :, 0] = by_copies.sum(axis=1) - table[:, :, 1] - table[:, :, 2]
    assert n < 2**24, "float32 counts are exact up to 16 million people"
    return table


def _coupled(both: Floats, neither: Floats, first: Floats, second: Floats, d: Floats) -> Floats:
    """Expected number of double heterozygotes in coupling, (m,), in [0, d].

    A root u of 2u^3 + (a + b - d - c - e) u^2 + (ce + ab - (a + b) d) u - abd, with a, b the haplotypes
    counted with both or neither allele, and c, e those with one, each plus d.
    """
    a, b, c, e = both, neither, first + d, second + d
    b2 = (a + b - d - c - e) / 2
    b1 = (c * e + a * b - (a + b) * d) / 2
    b0 = -a * b * d / 2
    shift = b2 / 3
    p = b1 - b2 * shift
    q = 2 * shift**3 - shift * b1 + b0
    inside = (q / 2) ** 2 + (p / 3) ** 3
    root = np.sqrt(np.maximum(inside, 0.0))
    single = np.cbrt(-q / 2 + root) + np.cbrt(-q / 2 - root)
    radius = np.sqrt(np.maximum(-p / 3, 0.0))
    cosine = np.divide(-q / 2, radius**3, out=np.ones_like(q), where=radius > 0)
    angle = np.arccos(np.clip(cosine, -1, 1)) / 3
    triple = 2 * radius * np.cos(angle - 2 * np.pi * np.arange(3)[:, None] / 3)
    roots = np.where(inside > 0, single, triple) - shift
    candidates = np.clip(np.concatenate([roots, np.zeros((1, d.size)), d[None]]), 0.0, d)
    fits = np.stack([_log_likelihood(u, both, neither, first, second, d) for u in candidates])
    best = np.argmax(fits + 1e-9 * np.arange(len(fits), 0, -1)[:, None], axis=0)
    return np.asarray(candidates[best, np.arange(d.size)])


def _log_likelihood(
    u: Floats, both: Floats, neither: Floats, first: Floats, second: Floats, d: Floats
) -> Floats:
    parts = (both + u, neither + u, first + d - u, second + d - u)
    known = sum(_times_log(n, x) for n, x in zip((both, neither, first, second), parts, strict=True))
    return np.asarray(known + _times_log(d, parts[0] * parts[1] + parts[2] * parts[3]))


def _times_log(n: Floats, x: Floats) -> Floats:
    return np.where(n > 0, n * np.log(np.where(n > 0, np.maximum(x, 1e-300), 1.0)), 0.0)
