"""How frequent is each ALT allele? Counted among founders, with one X or Y in a man and one MT in anybody."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from gwas.counts import genotype_counts
from gwas.genotypes import Genotypes
from gwas.genotypes.chromosomes import ploidy_class

Mask = npt.NDArray[np.bool_]


def freq(genotypes: Genotypes, *, nonfounders: bool = False) -> pd.DataFrame:
    """Count the ALT alleles of every variant.

    Parameters
    ----------
    genotypes
        All its variants are counted.
    nonfounders
        Count everybody, not founders alone.

    Returns
    -------
    DataFrame
        One row a variant, in order: ``chrom``, ``pos``, ``id``, ``ref``, ``alt``, ``alt_count`` and
        ``allele_count`` (float64: called alleles; on X, Y and MT a heterozygote that cannot be counts half an
        ALT allele, as in PLINK 2) and ``alt_freq`` (nan without a call). On X a man has one allele and
        everybody else two; on Y only men have any; on MT everybody has one.

    Raises
    ------
    InputError
        If the genotype file shrank or vanished.

    Examples
    --------
    >>> from gwas.kernels.packed import pack
    >>> class Memory:
    ...     n_samples, path = 3, None
    ...     def read(self, variants):
    ...         return pack(np.array([[0, 1, 2]], dtype=np.int8))[variants]
    >>> people = pd.DataFrame({"sex": ["F", "F", "M"], "father": "0", "mother": "0"})
    >>> variants = pd.DataFrame({"chrom": ["X"], "pos": [1], "id": ["a"], "ref": ["G"], "alt": ["A"]})
    >>> freq(Genotypes(Memory(), people, variants))[["alt_count", "allele_count"]].to_numpy().tolist()
    [[2.0, 5.0]]
    """
    counted = np.ones(genotypes.n_samples, dtype=np.bool_) if nonfounders else founders(genotypes)
    male = np.asarray(genotypes.samples["sex"] == "M", dtype=np.bool_)
    kinds = ploidy_class(genotypes.variants["chrom"])
    counts = genotype_counts(genotypes, counted)[0]
    alt = counts[:, 1] + 2.0 * counts[:, 2]
    alleles = 2.0 * counts[:, :3].sum(axis=1)
    sexed = np.flatnonzero((kinds == "x") | (kinds == "y"))
    men = genotype_counts(genotypes.select(variants=sexed), counted & male)[0]
    men_alt, men_alleles = men[:, 1] / 2.0 + men[:, 2], men[:, :3].sum(axis=1).astype(np.float64)
    on_x = kinds[sexed] == "x"
    alt[sexed] = np.where(on_x, alt[sexed] - men_alt, men_alt)
    alleles[sexed] = np.where(on_x, alleles[sexed] - men_alleles, men_alleles)
    single = kinds == "mt"
    alt[single] /= 2.0
    alleles[single] /= 2.0
    table = genotypes.variants[["chrom", "pos", "id", "ref", "alt"]].copy()
    table["alt_count"] = alt
    table["allele_count"] = alleles
    table["alt_freq"] = np.divide(alt, alleles, out=np.full(len(alt), np.nan), where=alleles > 0)
    return table


def founders(genotypes: Genotypes) -> Mask:
    """Samples neither of whose parents is named, bool (n,)."""
    samples = genotypes.samples
    return np.asarray((samples["father"] == "0") & (samples["mother"] == "0"), dtype=np.bool_)
