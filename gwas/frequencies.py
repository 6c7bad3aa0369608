"""How frequent is each ALT allele? Counted among founders, with one X or Y in a man and one MT in anybody.

Where the genotypes' values are dosages these are summed, as PLINK 2 does; else hard calls are counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gwas.counts import GenotypeTally, in_one_pass
from gwas.genotypes import Block, Genotypes
from gwas.genotypes.chromosomes import ploidy_class

if TYPE_CHECKING:
    import pandas as pd

F64 = npt.NDArray[np.float64]
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
        ``allele_count`` (float64: alleles of people with a call, or a dosage; on X, Y and MT a heterozygote that
        cannot be counts half an ALT allele, as in PLINK 2) and ``alt_freq`` (nan without a call). On X a man has
        one allele and everybody else two; on Y only men have any; on MT everybody has one.

    Raises
    ------
    InputError
        If the genotype file shrank or vanished.

    Examples
    --------
    >>> import pandas as pd
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
    found = alleles(genotypes, nonfounders=nonfounders)
    table = genotypes.variants[["chrom", "pos", "id", "ref", "alt"]].copy()
    table["alt_count"] = found.alt
    table["allele_count"] = found.total
    table["alt_freq"] = found.frequency
    return table


@dataclass(frozen=True, eq=False)
class Alleles:
    """Copies of ALT and all called alleles of variants, float64 (m,)."""

    alt: F64
    total: F64

    @property
    def frequency(self) -> F64:
        """Share of ALT, float64 (m,); nan without a call."""
        nothing = np.full(len(self.alt), np.nan)
        share: F64 = np.divide(self.alt, self.total, out=nothing, where=self.total > 0)
        return share


def alleles(genotypes: Genotypes, *, nonfounders: bool = False) -> Alleles:
    """Copies of ALT and called alleles of every variant: what :func:`freq` tells, without the table."""
    if genotypes.values == "dosage":
        return _of_dosages(genotypes, nonfounders)
    tally = AlleleTally(genotypes, nonfounders=nonfounders)
    in_one_pass(genotypes, tally)
    return tally.alleles()


def _of_dosages(genotypes: Genotypes, nonfounders: bool) -> Alleles:
    counted = np.ones(genotypes.n_samples, dtype=np.bool_) if nonfounders else founders(genotypes)
    male = np.asarray(genotypes.sample_values("sex") == "M", dtype=np.bool_)
    kinds = ploidy_class(genotypes.variant_text("chrom"))
    # copies of a chromosome that everybody counts, as shares of two
    share = {
        "diploid": counted.astype(np.float64),
        "x": np.where(male, 0.5, 1.0) * counted,
        "y": np.where(male, 0.5, 0.0) * counted,
        "mt": 0.5 * counted,
    }
    alt, total = np.zeros(genotypes.n_variants), np.zeros(genotypes.n_variants)
    for block in genotypes.dosage_blocks():
        known = ~np.isnan(block.dosages)
        copies = np.where(known, block.dosages, np.float32(0)).astype(np.float64)
        rows = slice(block.start, block.stop)
        for kind, weight in share.items():
            of_kind = kinds[rows] == kind
            if of_kind.any():
                alt[rows][of_kind] = copies[of_kind] @ weight
                total[rows][of_kind] = 2.0 * (known[of_kind] @ weight)
    return Alleles(alt, total)


class AlleleTally:
    """Alleles counted block by block, as :func:`freq` defines them."""

    def __init__(self, genotypes: Genotypes, *, nonfounders: bool = False) -> None:
        counted = np.ones(genotypes.n_samples, dtype=np.bool_) if nonfounders else founders(genotypes)
        male = np.asarray(genotypes.sample_values("sex") == "M", dtype=np.bool_)
        self._kinds = ploidy_class(genotypes.variant_text("chrom"))
        self._sexed = (self._kinds == "x") | (self._kinds == "y")
        self._everybody = GenotypeTally(genotypes, counted)
        self._men = GenotypeTally(genotypes, counted & male, self._sexed)

    def add(self, block: Block) -> None:
        """Count a block."""
        self._everybody.add(block)
        self._men.add(block)

    def alleles(self) -> Alleles:
        """What was found."""
        counts, men = self._everybody.counts, self._men.counts
        alt = counts[:, 1] + 2.0 * counts[:, 2]
        total = 2.0 * counts[:, :3].sum(axis=1)
        men_alt, men_total = men[:, 1] / 2.0 + men[:, 2], men[:, :3].sum(axis=1).astype(np.float64)
        on_x = self._kinds[self._sexed] == "x"
        alt[self._sexed] = np.where(on_x, alt[self._sexed] - men_alt, men_alt)
        total[self._sexed] = np.where(on_x, total[self._sexed] - men_total, men_total)
        single = self._kinds == "mt"
        alt[single] /= 2.0
        total[single] /= 2.0
        return Alleles(alt, total)


def founders(genotypes: Genotypes) -> Mask:
    """Samples neither of whose parents is named, bool (n,)."""
    return genotypes.sample_text("father").equals("0") & genotypes.sample_text("mother").equals("0")
