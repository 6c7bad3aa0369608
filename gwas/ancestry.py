"""Who is alike in ancestry: groups for fair quality control, and how far apart they are.

The groups are a tool, not a label: they let a person's heterozygosity and a variant's Hardy-Weinberg
proportions be judged among people of similar descent, so that minorities do not look like errors.
"""

from __future__ import annotations

from itertools import combinations
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from gwas.counts import genotype_counts
from gwas.genotypes import Genotypes

F64 = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

MOST_COMPONENTS: Final = 6
STANDS_OUT: Final = 1.5
"""An eigenvalue this many times the last computed one shows structure (the last of ten or more does not)."""


def structured_components(eigenvalues: F64) -> int:
    """How many leading components stand out from the scree: 0 in a homogeneous set.

    Examples
    --------
    >>> structured_components(np.array([26.0, 23.0, 1.4, 1.3, 1.3])), structured_components(np.ones(5))
    (2, 0)
    """
    return min(int((eigenvalues > STANDS_OUT * eigenvalues[-1]).sum()), MOST_COMPONENTS)


def ancestry_groups(scores: F64, eigenvalues: F64, *, rng: np.random.Generator) -> Index:
    """Group people of similar ancestry by k-means on the components that show structure.

    Parameters
    ----------
    scores
        float64 (n, components).
    eigenvalues
        float64 (components,).
    rng
        Starting centres.

    Returns
    -------
    ndarray of int64 (n,)
        Group, 0 the largest. Components that stand out plus one groups at most; one group where none does.
    """
    from scipy.cluster.vq import kmeans2

    k = structured_components(eigenvalues)
    if k == 0 or len(scores) < 10 * (k + 1):
        return np.zeros(len(scores), dtype=np.int64)
    points = scores[:, :k] * np.sqrt(eigenvalues[:k])
    best, least = np.zeros(len(points), dtype=np.int64), np.inf
    for _ in range(10):
        centres, label = kmeans2(points, k + 1, minit="++", rng=rng, missing="warn")
        spread = float(((points - centres[label]) ** 2).sum())
        if spread < least:
            best, least = label, spread
    values, counts = np.unique(best, return_counts=True)
    rank = np.empty(int(values.max()) + 1, dtype=np.int64)
    rank[values[np.argsort(-counts, kind="stable")]] = np.arange(len(values))
    return rank[best]


def residual_on_ancestry(values: F64, scores: F64, eigenvalues: F64) -> F64:
    """What is left of a person's heterozygosity (or any value) once ancestry is accounted for.

    The expected heterozygosity of a mixture of ancestries is a quadratic function of the shares, and the
    shares are linear in the components; so the fit is quadratic, and exact for admixture in any proportion.
    Fitted by least squares, then again without those more than five robust deviations off.

    Parameters
    ----------
    values
        float64 (n,): finite.
    scores, eigenvalues
        Components, of which those that stand out are used (fewer in small sets).

    Returns
    -------
    ndarray of float64 (n,)
        Residuals, with median 0.
    """
    k = structured_components(eigenvalues)
    while k and (k + 1) * (k + 2) // 2 > len(values) / 10:
        k -= 1
    linear = scores[:, :k] / np.maximum(scores[:, :k].std(axis=0), 1e-12)
    products = [linear[:, i] * linear[:, j] for i in range(k) for j in range(i, k)]
    design = np.column_stack([np.ones(len(values)), linear, *products])
    inside = np.ones(len(values), dtype=np.bool_)
    residual = values
    for _ in range(3):
        beta, *_ = np.linalg.lstsq(design[inside], values[inside], rcond=None)
        residual = values - design @ beta
        inside = np.abs(robust_z(residual)) < 5
    return residual - np.median(residual)


def isolation(scores: F64, eigenvalues: F64, *, neighbours: int = 20) -> F64:
    """How much further than others each person is from the nearest people on the components.

    Distance to neighbours, not to a centre, so that a small group of like ancestry is not far from itself, nor
    people of mixed ancestry from those who are mixed alike.

    Parameters
    ----------
    scores, eigenvalues
        Components, of which those that stand out are used, and at least two.
    neighbours
        Nearest people whose mean distance counts; at most a tenth of all.

    Returns
    -------
    ndarray of float64 (n,)
        Log of the mean distance, in robust standard deviations from its median.

    Examples
    --------
    >>> points = np.random.default_rng(1).normal(size=(200, 2))
    >>> points[0] = 40.0
    >>> found = isolation(points, np.ones(2))
    >>> int(found.argmax()), bool(found[0] > 6), bool(found[1:].max() < 6)
    (0, True, True)
    """
    from scipy.spatial import cKDTree

    k = min(max(structured_components(eigenvalues), 2), scores.shape[1])
    points = scores[:, :k] * np.sqrt(eigenvalues[:k])
    count = max(1, min(neighbours, len(points) // 10))
    distance, _ = cKDTree(points).query(points, k=count + 1)
    mean = distance[:, 1:].mean(axis=1)
    return robust_z(np.log(np.maximum(mean, 1e-12)))


def robust_z(values: F64) -> F64:
    """Distance from the median in robust standard deviations (1.4826 times the median absolute deviation).

    Examples
    --------
    >>> robust_z(np.array([1.0, 2.0, 3.0])).round(3).tolist()
    [-0.674, 0.0, 0.674]
    """
    centred = values - np.median(values)
    spread = 1.4826 * float(np.median(np.abs(centred)))
    return centred / spread if spread > 0 else np.zeros_like(centred)


def fst_between(genotypes: Genotypes, groups: npt.ArrayLike, *, at_least: int = 20) -> pd.DataFrame:
    """Hudson's Fst of each pair of groups, by scikit-allel.

    Parameters
    ----------
    genotypes
        Autosomal variants, nearly independent ones for choice; all its samples.
    groups
        int (n,): group of each sample; negative is none.
    at_least
        Smallest group to compare.

    Returns
    -------
    DataFrame
        ``group1``, ``group2``, ``n1``, ``n2``, ``fst`` (ratio of averages; Bhatia et al.
        2013, Genome Res 23:1514).
    """
    import allel

    label = np.asarray(groups)
    sizes = {int(g): int((label == g).sum()) for g in np.unique(label[label >= 0])}
    named = [g for g, size in sizes.items() if size >= at_least]
    counts = dict(zip(named, genotype_counts(genotypes, *[label == g for g in named]), strict=True))
    alleles = {
        g: np.column_stack([2 * c[:, 0] + c[:, 1], 2 * c[:, 2] + c[:, 1]]).astype(np.int32)
        for g, c in counts.items()
    }
    rows = []
    for a, b in combinations(named, 2):
        between, total = allel.hudson_fst(alleles[a], alleles[b])
        fst = float(np.nansum(between) / np.nansum(total))
        rows.append((a, b, sizes[a], sizes[b], fst))
    return pd.DataFrame(rows, columns=["group1", "group2", "n1", "n2", "fst"])
