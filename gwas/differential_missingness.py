"""Are calls missing more often in cases than in controls? Where they are, a missing call is not a blank.

Cases and controls that were handled differently lack different calls; what is then left looks like an
association although no allele differs.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from cohorts.errors import DesignError
from gwas.counts import genotype_counts
from gwas.genotypes import Genotypes
from gwas.genotypes.chromosomes import ploidy_class
from gwas.kernels.fisher import fisher_ln_p

Counts = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

LN_10 = float(np.log(10.0))


def compare_missingness(genotypes: Genotypes, cases: npt.ArrayLike, *, midp: bool = False) -> pd.DataFrame:
    """Compare missing calls of cases with those of controls, variant by variant.

    Parameters
    ----------
    genotypes
        All its variants are tested.
    cases
        float (n,): 1 for a case, 0 for a control, anything else for neither.
    midp
        Mid-P instead of P.

    Returns
    -------
    DataFrame
        One row a variant, in order: ``chrom pos id ref alt``, ``missing_cases``, ``cases``,
        ``missing_controls``, ``controls`` (int64: on Y men alone are counted), ``p`` (float64, Fisher's exact
        test, two-sided; 1 where no call is missing) and ``log10_p`` (-log10, never underflows). On X a man's
        heterozygous call, and on Y any, counts as missing, as in PLINK 1.9's ``--test-missing``.

    Raises
    ------
    DesignError
        Without a case or without a control.
    ValueError
        If ``cases`` has another length than there are samples.

    Examples
    --------
    >>> from gwas.kernels.packed import pack
    >>> class Memory:
    ...     n_samples, path = 6, None
    ...     def read(self, variants):
    ...         return pack(np.array([[-9, -9, -9, 0, 1, 2]], dtype=np.int8))[variants]
    >>> people = pd.DataFrame({"sex": ["F"] * 6})
    >>> variants = pd.DataFrame({"chrom": ["1"], "pos": [1], "id": ["a"], "ref": ["G"], "alt": ["A"]})
    >>> found = compare_missingness(Genotypes(Memory(), people, variants), [1, 1, 1, 0, 0, 0])
    >>> float(found["p"].round(6).iloc[0])
    0.1
    """
    status = np.asarray(cases, dtype=np.float64)
    if status.shape != (genotypes.n_samples,):
        raise ValueError(f"case status of {genotypes.n_samples} samples expected, not {status.shape}")
    sick, well = status == 1, status == 0
    if not sick.any() or not well.any():
        raise DesignError(
            "missing calls can only be compared between cases and controls",
            found="no case" if not sick.any() else "no control",
            expected="at least one of each among the samples",
            fix="check the phenotype",
        )
    (missing_sick, all_sick), (missing_well, all_well) = missing_counts(genotypes, sick, well)
    ln_p = fisher_ln_p(
        missing_sick, all_sick - missing_sick, missing_well, all_well - missing_well, midp=midp
    )
    table = genotypes.variants[["chrom", "pos", "id", "ref", "alt"]].copy()
    table["missing_cases"], table["cases"] = missing_sick, all_sick
    table["missing_controls"], table["controls"] = missing_well, all_well
    table["p"], table["log10_p"] = np.exp(ln_p), -ln_p / LN_10 + 0.0
    return table


def missing_counts(genotypes: Genotypes, *masks: Mask) -> list[tuple[Counts, Counts]]:
    """Missing calls by variant, and how many there could be, in each set of samples.

    Parameters
    ----------
    genotypes
        All its variants are counted, in one pass for any number of sets.
    masks
        bool (n,), one for each set.

    Returns
    -------
    list of (int64 (m,), int64 (m,))
        Calls that cannot be (heterozygous men on X, any heterozygote on Y) are missing; on Y men alone count.
    """
    kinds = ploidy_class(genotypes.variants["chrom"])
    sexed = np.flatnonzero((kinds == "x") | (kinds == "y"))
    plain = np.flatnonzero((kinds != "x") & (kinds != "y"))
    male = np.asarray(genotypes.samples["sex"] == "M", dtype=np.bool_)
    found = [(np.empty(len(kinds), np.int64), np.empty(len(kinds), np.int64)) for _ in masks]
    for (missing, possible), counts in zip(
        found, genotype_counts(genotypes.select(variants=plain), *masks), strict=True
    ):
        missing[plain], possible[plain] = counts[:, 3], counts.sum(axis=1)
    if len(sexed):
        on_y = kinds[sexed] == "y"
        both = [mask & part for mask in masks for part in (np.ones_like(male), male)]
        tables = genotype_counts(genotypes.select(variants=sexed), *both)
        for (missing, possible), everybody, men in zip(found, tables[::2], tables[1::2], strict=True):
            missing[sexed] = np.where(on_y, men[:, 3], everybody[:, 3]) + men[:, 1]
            possible[sexed] = np.where(on_y, men.sum(axis=1), everybody.sum(axis=1))
    return found


def fisher_exact(table: npt.ArrayLike, *, midp: bool = False) -> F64:
    """Two-sided P of Fisher's exact test: all tables no likelier than the observed one.

    Parameters
    ----------
    table
        int (m, 2, 2) or (2, 2): counts, not negative.
    midp
        Count the tables exactly as likely as the observed one by half.

    Returns
    -------
    ndarray of float64 (m,) (0-d for one table)

    Raises
    ------
    ValueError
        If a count is negative or the shape is another.

    Examples
    --------
    >>> float(fisher_exact([[3, 1], [1, 3]]).round(6))
    0.485714
    """
    counts = np.asarray(table, dtype=np.int64)
    if counts.shape[-2:] != (2, 2) or counts.ndim > 3 or (counts < 0).any():
        raise ValueError("tables of two by two counts expected, none negative")
    flat = counts.reshape(-1, 2, 2)
    cells = [np.ascontiguousarray(flat[:, i, j]) for i in (0, 1) for j in (0, 1)]
    p: F64 = np.exp(fisher_ln_p(cells[0], cells[1], cells[2], cells[3], midp)).reshape(counts.shape[:-2])
    return p
