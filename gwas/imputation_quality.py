"""How well is each variant imputed? As the file says, and as the spread of its dosages tells.

A dosage is an expectation. Where nothing is known of a genotype it is the mean of everybody, so the dosages of a
badly imputed variant spread less than genotypes of that frequency would: that share is the measure.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from gwas.genotypes import Genotypes
from gwas.genotypes.chromosomes import ploidy_class

F64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def imputation_r2(genotypes: Genotypes) -> pd.DataFrame:
    """Quality of imputation of every variant.

    Parameters
    ----------
    genotypes
        All its samples count (on Y men alone).

    Returns
    -------
    DataFrame
        One row a variant, in order: ``chrom pos id ref alt``, ``info`` (as the file has it; nan where it has
        none), ``mach_r2`` (:func:`mach_r2` of the dosages; nan throughout where the file holds hard calls
        alone, whose spread says nothing about imputation).

    Raises
    ------
    InputError
        If the genotype file shrank, vanished or cannot be decoded.
    """
    table = genotypes.variants[["chrom", "pos", "id", "ref", "alt"]].copy()
    own = genotypes.variants.get("info")
    table["info"] = np.nan if own is None else own.to_numpy(dtype=np.float64)
    table["mach_r2"] = np.nan
    if not genotypes.reader.has_dosages:
        return table
    kinds = ploidy_class(table["chrom"])
    male = np.asarray(genotypes.samples["sex"] == "M", dtype=np.bool_)
    r2 = np.empty(len(table), dtype=np.float64)
    for block in genotypes.dosage_blocks(256):
        kind = kinds[block.start : block.stop]
        found = r2[block.start : block.stop]
        for name, single in (
            ("diploid", np.zeros_like(male)),
            ("x", male),
            ("y", male),
            ("mt", np.ones_like(male)),
        ):
            rows = kind == name
            if rows.any():
                dosages = block.dosages[rows]
                on_y = name == "y"
                found[rows] = (
                    mach_r2(dosages[:, male], haploid=male[male])
                    if on_y
                    else mach_r2(dosages, haploid=single)
                )
    table["mach_r2"] = r2
    return table


def mach_r2(dosages: npt.NDArray[np.float32], *, haploid: Mask | None = None) -> F64:
    """Variance of the dosages over that of genotypes in Hardy-Weinberg proportions (MaCH's r2-hat).

    With dosages d of n people, frequency ``p = mean(d) / 2`` and people of one allele counted on the same scale
    from 0 to 2: ``sum((d - 2 p)^2) / (2 p (1 - p) (n_diploid + 2 n_haploid))``.

    Parameters
    ----------
    dosages
        float (m, n): copies of ALT from 0 to 2; nan is missing.
    haploid
        bool (n,): people with one allele (men on X); default nobody. They count half towards p.

    Returns
    -------
    ndarray of float64 (m,)
        About 1 where imputation is certain, 0 where it knows nothing; may exceed 1. nan for a variant that
        does not vary.

    References
    ----------
    Li et al. (2010), Genet Epidemiol 34:816; PLINK 2 calls it MACH_R2.

    Examples
    --------
    >>> mach_r2(np.array([[0, 1, 1, 2], [0.5, 1, 1, 1.5]], dtype=np.float32)).tolist()
    [1.0, 0.25]
    """
    known = ~np.isnan(dosages)
    d = np.where(known, dosages, 0.0).astype(np.float64)
    weight = np.ones(d.shape[1]) if haploid is None else np.where(haploid, 0.5, 1.0)
    copies = d @ weight
    alleles = 2.0 * (known @ weight)
    p = np.divide(copies, alleles, out=np.full(len(d), np.nan), where=alleles > 0)
    squares = np.einsum("ij,ij->i", d, d) - 4 * p * d.sum(axis=1) + 4 * p * p * known.sum(axis=1)
    expected = 2 * p * (1 - p) * (known @ (1.0 / weight))
    varies = np.nan_to_num(expected) > 0
    r2: F64 = np.divide(squares, expected, out=np.full(len(d), np.nan), where=varies)
    return r2


def impute_info(one_copy: npt.ArrayLike, two_copies: npt.ArrayLike) -> F64:
    """IMPUTE's INFO of diploid genotype probabilities: the share of what genotypes would tell of p.

    With ``e = p1 + 2 p2`` and ``f = p1 + 4 p2`` of each of n people and ``t = sum(e) / (2 n)``:
    ``1 - sum(f - e^2) / (2 n t (1 - t))``.

    Parameters
    ----------
    one_copy, two_copies
        float (m, n): probabilities of one and of two copies of ALT; nan is missing in both.

    Returns
    -------
    ndarray of float64 (m,)
        1 where every call is certain, and for a variant that does not vary; nan without a call.

    References
    ----------
    Marchini and Howie (2010), Nat Rev Genet 11:499, supplement S3.

    Examples
    --------
    >>> impute_info([[0.0, 1.0, 0.0], [0.5, 0.5, 0.5]], [[0.0, 0.0, 1.0], [0.25, 0.25, 0.25]]).tolist()
    [1.0, 0.0]
    """
    p1, p2 = np.asarray(one_copy, dtype=np.float64), np.asarray(two_copies, dtype=np.float64)
    known = ~(np.isnan(p1) | np.isnan(p2))
    p1, p2 = np.where(known, p1, 0.0), np.where(known, p2, 0.0)
    n = known.sum(axis=1)
    e = p1 + 2 * p2
    uncertain = (p1 + 4 * p2 - e * e).sum(axis=1)
    t = np.divide(e.sum(axis=1), 2 * n, out=np.full(len(p1), np.nan), where=n > 0)
    total = 2 * n * t * (1 - t)
    share = np.divide(uncertain, total, out=np.zeros(len(p1)), where=np.nan_to_num(total) > 0)
    out: F64 = np.where(n > 0, 1.0 - share, np.nan)
    return out
