"""Principal components of ancestry, from packed blocks, without ever holding the genotype matrix."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from cohorts.errors import DesignError
from gwas.counts import AUTOSOME, alt_frequency, genotype_counts, variant_group
from gwas.eigen import leading_eigenpairs
from gwas.engines.blas_threads import one_blas_thread
from gwas.genotypes import Genotypes
from gwas.ld import ld_prune
from gwas.long_range_ld import in_long_range_ld
from gwas.online_projection import Projection, place
from gwas.standardised import StandardisedGenotypes

Index = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Pca:
    """Principal components of a set of people.

    Attributes
    ----------
    scores
        DataFrame (n, components), index ``iid`` in the order of the genotypes' samples, columns ``PC1`` …:
        eigenvectors of unit length over the people fitted on, as in PLINK's .eigenvec; for the others their
        projection, on the same scale.
    eigenvalues
        float64 (components,): of the variance-standardised relationship matrix, descending.
    loadings
        float64 (m, components): unit-length weights of the standardised variants.
    variants
        int64 (m,): rows of ``genotypes.variants`` used.
    called
        int64 (m,): of the people fitted on, how many are called.
    mean, scale
        float64 (m,): of each variant among the people fitted on; ``(ALT copies - mean) / scale`` is what
        the loadings weigh. Missing calls weigh nothing.
    fitted
        bool (n,): the people the components were fitted on.
    residual
        Largest ``|A u - lambda u| / lambda`` over the components.
    total_variance
        Sum of all eigenvalues (the trace), against which one is a share.
    """

    scores: pd.DataFrame = field(repr=False)
    eigenvalues: F64
    loadings: F64 = field(repr=False)
    variants: Index = field(repr=False)
    called: Index = field(repr=False)
    mean: F64 = field(repr=False)
    scale: F64 = field(repr=False)
    fitted: npt.NDArray[np.bool_] = field(repr=False)
    residual: float
    total_variance: float
    frame: pd.DataFrame = field(repr=False)
    """The variants used: ``chrom pos id ref alt``, so that others can be projected later."""


def pca(
    genotypes: Genotypes,
    *,
    components: int = 10,
    fit_on: npt.ArrayLike | None = None,
    variants: npt.ArrayLike | None = None,
    build: str | None = None,
    rng: np.random.Generator | None = None,
    tolerance: float = 5e-4,
    max_passes: int = 60,
    threads: int = 2,
) -> Pca:
    """Find the leading principal components.

    Parameters
    ----------
    genotypes
        Samples to place.
    components
        Number of components.
    fit_on
        Rows of ``genotypes.samples`` (or a mask) to fit on: people not related to each other, say. The others
        are placed by :func:`project`. Default: all.
    variants
        Rows of ``genotypes.variants`` to use as they are. Default: :func:`structure_variants`.
    build
        Genome build, for the regions of long-range LD; None leaves out those of any build.
    rng
        Starting vectors. The result does not depend on them beyond ``tolerance``. Default:
        ``numpy.random.default_rng(1)``, so that the same genotypes give the same numbers.
    tolerance
        Stop when ``|A u - lambda u| <= tolerance * lambda`` for all components.
    max_passes
        Most passes over the genotypes.
    threads
        Threads that decode.

    Returns
    -------
    Pca

    Raises
    ------
    DesignError
        If there are fewer people or polymorphic variants than components.

    Notes
    -----
    A variant is centred by its mean and divided by ``sqrt(2 p (1 - p))`` (Patterson et al. 2006, PLoS Genet
    2:e190); missing calls get the mean. The eigenvectors come from a randomised block Krylov method (Halko et
    al. 2011, SIAM Rev 53:217; Musco and Musco 2015, NIPS) with Rayleigh-Ritz extraction, run until the
    residuals are small rather than for a fixed number of rounds. The sign makes the sum of cubed scores
    positive.
    """
    n = genotypes.n_samples
    fitted = np.zeros(n, dtype=np.bool_)
    fitted[slice(None) if fit_on is None else np.asarray(fit_on)] = True
    rows = (
        structure_variants(genotypes.select(samples=fitted), build=build, threads=threads)
        if variants is None
        else np.asarray(variants, dtype=np.int64)
    )
    chosen = genotypes.select(variants=rows)
    counts = genotype_counts(chosen, fitted)[0]
    mean = 2.0 * np.nan_to_num(alt_frequency(counts))
    scale = np.sqrt(mean * (1.0 - mean / 2.0))
    varies = scale > 0
    rows, chosen, counts = rows[varies], chosen.select(variants=varies), counts[varies]
    mean, scale = mean[varies], scale[varies]
    m, n_fit = len(rows), int(fitted.sum())
    if min(m, n_fit - 1) < components:
        raise DesignError(
            "too little to find principal components in",
            found=f"{n_fit} people and {m} variants that vary",
            expected=f"more than {components} of each",
            fix="ask for fewer components or relax the filters",
        )
    those = chosen if fitted.all() else chosen.select(samples=fitted)
    matrix = StandardisedGenotypes(those, mean, scale, threads=threads)
    # The dense work is small, and BLAS threads that wait for each other burn more than they save.
    with one_blas_thread("numpy"):
        found = leading_eigenpairs(
            lambda v: matrix.gram(v) / m,
            n_fit,
            components,
            rng=np.random.default_rng(1) if rng is None else rng,
            tolerance=tolerance,
            max_passes=max_passes,
            threads=threads,
        )
    values, vectors = found.values, found.vectors
    vectors *= np.where((vectors**3).sum(axis=0) < 0, -1.0, 1.0)
    singular = np.sqrt(values * m)
    loadings = matrix.times(vectors) / singular
    scores = np.empty((n, components))
    scores[fitted] = vectors
    if n_fit < n:
        scores[~fitted] = place(
            chosen.select(samples=~fitted),
            loadings=loadings,
            mean=mean,
            scale=scale,
            singular=singular,
            n_variants=m,
            call_rate=float(counts[:, :3].sum() / counts.sum()),
            threads=threads,
        )
    spread = ((np.arange(3)[None, :] - mean[:, None]) / scale[:, None]) ** 2
    names = [f"PC{k + 1}" for k in range(components)]
    return Pca(
        scores=pd.DataFrame(scores, index=pd.Index(genotypes.samples["iid"], name="iid"), columns=names),
        eigenvalues=values,
        loadings=loadings,
        variants=rows,
        called=counts[:, :3].sum(axis=1),
        mean=mean,
        scale=scale,
        fitted=fitted,
        residual=found.residual,
        total_variance=float((counts[:, :3] * spread).sum() / m),
        frame=chosen.variants[["chrom", "pos", "id", "ref", "alt"]],
    )


def structure_variants(
    genotypes: Genotypes,
    *,
    build: str | None = None,
    maf: float = 0.01,
    call_rate: float = 0.95,
    window: int = 200,
    step: int = 50,
    r2: float = 0.2,
    threads: int = 2,
) -> Index:
    """Choose variants that show ancestry and kinship: rows of ``genotypes.variants``.

    Autosomal, common, well called, outside long-range LD, and pruned.
    """
    everyone = np.ones(genotypes.n_samples, dtype=np.bool_)
    counts = genotype_counts(genotypes, everyone)[0]
    called = counts[:, :3].sum(axis=1)
    alt = np.nan_to_num(alt_frequency(counts))
    chrom = genotypes.variants["chrom"]
    good = (
        (variant_group(genotypes) == AUTOSOME)
        & (np.minimum(alt, 1 - alt) >= maf)
        & (called >= call_rate * genotypes.n_samples)
        & ~in_long_range_ld(chrom, genotypes.variants["pos"], build=build)
    )
    rows = np.flatnonzero(good).astype(np.int64)
    kept = ld_prune(genotypes.select(variants=rows), window=window, step=step, r2=r2, threads=threads)
    return rows[kept]


def project(
    model: Pca, genotypes: Genotypes, *, method: Projection = "oadp", threads: int = 2
) -> pd.DataFrame:
    """Place new samples, each on its own, among those a model was fitted on.

    Parameters
    ----------
    model
        From :func:`pca`.
    genotypes
        Has exactly the variants of ``model.frame``, in that order and with the same ALT alleles. (Where these
        are fewer than ``model.variants``, the others count as missing.)
    method
        ``oadp``: without shrinkage (:mod:`gwas.online_projection`). ``plain``: the weighted sum of genotypes,
        which falls short of where a person belongs.
    threads
        Threads that decode.

    Returns
    -------
    DataFrame
        Index ``iid``, columns ``PC1`` …, on the scale of ``model.scores``; nan for a sample with too few calls.

    Raises
    ------
    DesignError
        If the variants are not those of the model.
    """
    same = genotypes.n_variants == len(model.frame) and all(
        (genotypes.variants[c].to_numpy() == model.frame[c].to_numpy()).all() for c in ("id", "ref", "alt")
    )
    if not same:
        raise DesignError(
            "the samples to project do not have the model's variants",
            expected=f"its {len(model.frame)} variants, in order, with the same alleles",
            fix="select and align them first",
        )
    m = len(model.variants)
    placed = place(
        genotypes,
        loadings=model.loadings,
        mean=model.mean,
        scale=model.scale,
        singular=np.sqrt(model.eigenvalues * m),
        n_variants=m,
        call_rate=float(model.called.mean() / model.called.max()),
        method=method,
        threads=threads,
    )
    return pd.DataFrame(
        placed, index=pd.Index(genotypes.samples["iid"], name="iid"), columns=model.scores.columns
    )
