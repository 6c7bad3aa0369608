"""Counts of genotypes by variant and by sample: the raw material of quality control."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from gwas.genotypes import Genotypes
from gwas.genotypes.chromosomes import is_pseudo_autosomal
from gwas.kernels.packed import count_genotypes
from gwas.kernels.sample_sums import add_sample_sums

F64 = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

AUTOSOME: Final = 0
X: Final = 1
Y: Final = 2
ELSEWHERE: Final = -1


def variant_group(genotypes: Genotypes, *, build: str | None = None) -> Counts:
    """Where each variant lies, int64 (m,): AUTOSOME, X (outside PAR), Y, or ELSEWHERE (XY, PAR, MT, contigs).

    The pseudo-autosomal part of X is known by its name ``XY`` or, where ``build`` says so, by position.
    """
    chrom = genotypes.variants["chrom"]
    of_name = {name: _group_of(name) for name in chrom.unique()}
    group = chrom.map(of_name).to_numpy(dtype=np.int64)
    if build is not None:
        group[is_pseudo_autosomal(chrom, genotypes.variants["pos"], build=build)] = ELSEWHERE
    return group


def _group_of(name: str) -> int:
    if name.isdigit() and 1 <= int(name) <= 22:
        return AUTOSOME
    return {"X": X, "Y": Y}.get(name, ELSEWHERE)


def genotype_counts(genotypes: Genotypes, *masks: Mask) -> list[Counts]:
    """Count genotypes by variant, in one pass for any number of sets of samples.

    Parameters
    ----------
    genotypes
        All its variants are counted.
    masks
        bool (n,), one for each set of samples.

    Returns
    -------
    list of ndarray of int64 (m, 4)
        Samples with 0, 1 and 2 copies of ALT, and with a missing call.
    """
    out = [np.empty((genotypes.n_variants, 4), dtype=np.int64) for _ in masks]
    rows = genotypes.sample_index
    for block in genotypes.blocks(1024):
        for counts, mask in zip(out, masks, strict=True):
            in_file = np.zeros(block.n_file, dtype=np.bool_)
            in_file[np.flatnonzero(mask) if rows is None else rows[mask]] = True
            counts[block.start : block.stop] = count_genotypes(block.packed, in_file)
    return out


def alt_frequency(diploid: Counts, haploid: Counts | None = None) -> F64:
    """Frequency of ALT, float64 (m,); nan without a call.

    Parameters
    ----------
    diploid
        int64 (m, 4): counts of samples with two alleles.
    haploid
        int64 (m, 4): counts of samples with one (males on X and Y), coded 0 and 2; their heterozygotes, which
        cannot be, count as half.

    Examples
    --------
    >>> alt_frequency(np.array([[1, 2, 1, 0]])).tolist()
    [0.5]
    """
    alt = diploid[:, 1] + 2.0 * diploid[:, 2]
    alleles = 2.0 * diploid[:, :3].sum(axis=1)
    if haploid is not None:
        alt = alt + haploid[:, 2] + haploid[:, 1] / 2
        alleles = alleles + haploid[:, :3].sum(axis=1)
    out: F64 = np.divide(alt, alleles, out=np.full(len(alt), np.nan), where=alleles > 0)
    return out


@dataclass(frozen=True, eq=False)
class SampleSums:
    """What each sample has on the autosomes, X and Y (columns AUTOSOME, X, Y of every array).

    Attributes
    ----------
    variants
        int64 (3,): variants looked at.
    missing, het
        int64 (n, 3): missing and heterozygous calls.
    expected_het
        float64 (n, 3): sum of the expected heterozygosity 2 p (1 - p) over the called variants.
    """

    variants: Counts
    missing: Counts
    het: Counts
    expected_het: F64

    def call_rate(self, group: int = AUTOSOME) -> F64:
        """Share of called variants, float64 (n,); nan where there is no variant."""
        total = self.variants[group]
        return (1.0 - self.missing[:, group] / total) if total else np.full(len(self.missing), np.nan)

    def f(self, group: int = AUTOSOME) -> F64:
        """Inbreeding coefficient by the method of moments, ``1 - observed / expected`` heterozygotes.

        The same as PLINK's ``(O(HOM) - E(HOM)) / (OBS_CT - E(HOM))``; nan where nothing is expected.
        """
        expected = self.expected_het[:, group]
        ratio = np.divide(
            self.het[:, group], expected, out=np.full(len(expected), np.nan), where=expected > 0
        )
        out: F64 = 1.0 - ratio
        return out


def sample_sums(
    genotypes: Genotypes, *, group: Counts, frequency: F64, use: Mask | None = None
) -> SampleSums:
    """Sum over variants what each sample has.

    Parameters
    ----------
    genotypes
        Samples and variants to look at.
    group
        int64 (m,): from :func:`variant_group`.
    frequency
        float64 (m,): of ALT, for the expected heterozygosity (nan counts as none).
    use
        bool (m,): variants that take part; default all.

    Returns
    -------
    SampleSums
    """
    group = np.where(True if use is None else use, group, ELSEWHERE).astype(np.int64)
    p = np.nan_to_num(frequency)
    expected = 2.0 * p * (1.0 - p)
    n_file = genotypes.reader.n_samples
    width = 4 * ((n_file + 3) // 4)
    missing = np.zeros((width, 3), dtype=np.int64)
    het = np.zeros((width, 3), dtype=np.int64)
    gaps = np.zeros((width, 3), dtype=np.float64)
    for block in genotypes.blocks(1024):
        rows = slice(block.start, block.stop)
        add_sample_sums(block.packed, group[rows], expected[rows], missing, het, gaps)
    index = np.arange(n_file) if genotypes.sample_index is None else genotypes.sample_index
    total = np.array([expected[group == column].sum() for column in (AUTOSOME, X, Y)])
    return SampleSums(
        variants=np.array([(group == column).sum() for column in (AUTOSOME, X, Y)], dtype=np.int64),
        missing=missing[index],
        het=het[index],
        expected_het=total - gaps[index],
    )
