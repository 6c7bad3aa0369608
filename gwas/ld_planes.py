"""Whom a correlation of two variants counts, and how much: everybody alike, except on X, Y and MT.

As in PLINK 2, on X women (and people of unknown sex) weigh twice as much as men, who have one copy; and on Y
women are left out. A heterozygous call where there can be but one copy is half a copy in tables and matrices
(``--r2-unphased``) and missing in pruning (``--indep-pairwise``). Weights are whole numbers here, so a woman on X
simply stands twice in the bit-planes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gwas.genotypes import Genotypes
from gwas.genotypes.chromosomes import ploidy_class
from gwas.genotypes.descriptor import Block
from gwas.kernels.planes import Words, plane_words, variant_planes


@dataclass(frozen=True, eq=False)
class LdPeople:
    """Variants of one kind of chromosome with the people that their correlations count.

    Attributes
    ----------
    genotypes
        The people may be repeated or left out.
    single
        uint64 (words,): a one for each of them with a single copy; None where nobody is.
    """

    genotypes: Genotypes
    single: Words | None

    def planes(self, block: Block) -> tuple[Words, Words]:
        """Bit-planes of a block of :attr:`genotypes`."""
        return variant_planes(block.packed, block.n_file, block.sample_index)

    def without_mixed(self, hom: Words, alt: Words) -> Words:
        """``alt`` with the heterozygous calls of people with a single copy set to missing."""
        return alt if self.single is None else alt & (hom | ~self.single)


def ld_people(genotypes: Genotypes) -> LdPeople:
    """Choose whom the correlations of these variants count.

    Parameters
    ----------
    genotypes
        Variants of one chromosome.

    Raises
    ------
    ValueError
        If variants of several kinds of chromosome are mixed.
    """
    kinds = np.unique(ploidy_class(genotypes.variant_text("chrom"))).tolist()
    if len(kinds) > 1:
        raise ValueError("correlations are of variants of one chromosome")
    sex = genotypes.sample_values("sex")
    everyone = np.arange(genotypes.n_samples)
    if kinds == ["x"]:
        order = np.concatenate([everyone, everyone[sex != "M"]])
        single = (sex == "M")[order]
    elif kinds == ["y"]:
        order = everyone[sex != "F"]
        single = np.ones(len(order), dtype=np.bool_)
    elif kinds == ["mt"]:
        order, single = everyone, np.ones(len(everyone), dtype=np.bool_)
    else:
        return LdPeople(genotypes, None)
    return LdPeople(genotypes.select(samples=order), _words(single))


def _words(mask: npt.NDArray[np.bool_]) -> Words:
    padded = np.zeros(64 * plane_words(len(mask)), dtype=np.uint8)
    padded[: len(mask)] = mask
    return np.packbits(padded, bitorder="little").view("<u8").astype(np.uint64)
