"""Counts of genotypes by variant and by sample: the raw material of quality control."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from gwas.genotypes import Block, Genotypes
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

CACHE_BYTES: Final = 1 << 20


def variant_group(genotypes: Genotypes, *, build: str | None = None) -> Counts:
    """Where each variant lies, int64 (m,): AUTOSOME, X (outside PAR), Y, or ELSEWHERE (XY, PAR, MT, contigs).

    The pseudo-autosomal part of X is known by its name ``XY`` or, where ``build`` says so, by position.
    """
    names, lengths = genotypes.variant_text("chrom").runs()
    group = np.repeat(np.array([_group_of(name) for name in names], dtype=np.int64), lengths)
    if build is not None:
        variants = genotypes.variants
        group[is_pseudo_autosomal(variants["chrom"], variants["pos"], build=build)] = ELSEWHERE
    return group


def _group_of(name: str) -> int:
    if name.isdigit() and 1 <= int(name) <= 22:
        return AUTOSOME
    return {"X": X, "Y": Y}.get(name, ELSEWHERE)


class Tally(Protocol):
    """Something that is counted block by block."""

    def add(self, block: Block) -> None:
        """Count a block; each comes once, in order."""
        ...


def in_one_pass(genotypes: Genotypes, *tallies: Tally) -> None:
    """Read the file once for all tallies.

    Raises
    ------
    InputError
        If the genotype file shrank or vanished.
    """
    for block in genotypes.blocks(block_rows(genotypes.reader.n_samples)):
        for tally in tallies:
            tally.add(block)


def block_rows(n_file: int) -> int:
    """Variants in a block that stays in a processor's cache while several tallies look at it."""
    return max(15, min(4080, CACHE_BYTES * 4 // max(n_file, 1)))


class GenotypeTally:
    """Counts of genotypes by variant, among some samples.

    Parameters
    ----------
    genotypes
        What will be read.
    samples
        bool (n,): who is counted.
    variants
        bool (m,): where; default everywhere.

    Attributes
    ----------
    counts
        int64 (chosen variants, 4): samples with 0, 1 and 2 copies of ALT, and with a missing call.
    """

    def __init__(self, genotypes: Genotypes, samples: Mask, variants: Mask | None = None) -> None:
        rows = genotypes.sample_index
        self._in_file = np.zeros(genotypes.reader.n_samples, dtype=np.bool_)
        self._in_file[np.flatnonzero(samples) if rows is None else rows[samples]] = True
        self._where = np.ones(genotypes.n_variants, dtype=np.bool_) if variants is None else variants
        self._done = 0
        self.counts = np.empty((int(self._where.sum()), 4), dtype=np.int64)

    def add(self, block: Block) -> None:
        """Count a block."""
        where = self._where[block.start : block.stop]
        if where.any():
            packed = block.packed if where.all() else block.packed[where]
            self.counts[self._done : self._done + len(packed)] = count_genotypes(packed, self._in_file)
            self._done += len(packed)


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
    tallies = [GenotypeTally(genotypes, mask) for mask in masks]
    in_one_pass(genotypes, *tallies)
    return [tally.counts for tally in tallies]


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


class SampleTally:
    """Sums over variants of what each sample has.

    Parameters
    ----------
    genotypes
        What will be read.
    """

    def __init__(self, genotypes: Genotypes) -> None:
        n_file = genotypes.reader.n_samples
        places = 32 * -(-n_file // 32)
        self._index = np.arange(n_file) if genotypes.sample_index is None else genotypes.sample_index
        self._het = np.zeros((3, places), dtype=np.int64)
        self._missing = np.zeros((3, places), dtype=np.int64)
        self._gaps = np.zeros((3, places), dtype=np.float64)
        self._variants = np.zeros(3, dtype=np.int64)
        self._expected: list[list[F64]] = [[], [], []]

    def add(self, block: Block, *, group: Counts, frequency: F64) -> None:
        """Count a block, given the group (see :func:`variant_group`) and the ALT frequency of its variants."""
        p = np.nan_to_num(frequency)
        expected = 2.0 * p * (1.0 - p)
        for column in (AUTOSOME, X, Y):
            rows = np.flatnonzero(group == column)
            if len(rows):
                sums = self._het[column], self._missing[column], self._gaps[column]
                add_sample_sums(block.packed, rows, expected, *sums)
                self._variants[column] += len(rows)
                self._expected[column].append(expected[rows])

    def sums(self) -> SampleSums:
        """What was found up to now."""
        total = np.array([np.concatenate(part).sum() if part else 0.0 for part in self._expected])
        return SampleSums(
            variants=self._variants,
            missing=self._missing.T[self._index],
            het=self._het.T[self._index],
            expected_het=total - self._gaps.T[self._index],
        )


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
    tally = SampleTally(genotypes)
    for block in genotypes.blocks(block_rows(genotypes.reader.n_samples)):
        within = slice(block.start, block.stop)
        tally.add(block, group=group[within], frequency=frequency[within])
    return tally.sums()
