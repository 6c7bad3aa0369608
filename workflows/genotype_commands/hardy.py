"""``careome hardy``: OUT.hardy and, where X is there, OUT.hardy.x with PLINK 2's columns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gwas.counts import GenotypeTally, in_one_pass
from gwas.frequencies import founders
from gwas.genotypes import Block, Genotypes
from gwas.genotypes.chromosomes import ploidy_class
from gwas.hwe import hwe_exact, hwe_exact_x
from workflows.genotype_commands.outcome import Cells, Outcome, Table, variant_cells

Counts = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def tables(genotypes: Genotypes, *, threads: int, midp: bool = False) -> Outcome:
    """Exact tests among founders: of everybody off the sex chromosomes, of women and men on X."""
    tally = HardyTally(genotypes)
    in_one_pass(genotypes, tally)
    return tests_of(genotypes, tally, midp=midp)


class HardyTally:
    """Genotypes of everybody off the sex chromosomes, and of women and of men on X, counted block by block."""

    def __init__(self, genotypes: Genotypes, *, nonfounders: bool = False) -> None:
        kinds = ploidy_class(genotypes.variant_text("chrom"))
        self.on_diploid, self.on_x = kinds == "diploid", kinds == "x"
        sex = genotypes.sample_values("sex")
        counted = np.ones(genotypes.n_samples, dtype=np.bool_) if nonfounders else founders(genotypes)
        self.nonfounders = nonfounders
        self.diploid = GenotypeTally(genotypes, counted, self.on_diploid)
        self.women = GenotypeTally(genotypes, counted & (sex == "F"), self.on_x)
        self.men = GenotypeTally(genotypes, counted & (sex == "M"), self.on_x)

    def add(self, block: Block) -> None:
        """Count a block."""
        for tally in (self.diploid, self.women, self.men):
            tally.add(block)


def tests_of(genotypes: Genotypes, tally: HardyTally, *, midp: bool) -> Outcome:
    """The tables of tests."""
    files = [Table("hardy", _diploid(_alleles(genotypes, tally.on_diploid), tally.diploid.counts, midp))]
    if tally.on_x.any():
        names = _alleles(genotypes, tally.on_x)
        files.append(Table("hardy.x", _x(names, tally.women.counts, tally.men.counts, midp)))
    left = int((~tally.on_diploid & ~tally.on_x).sum())
    who = "everybody" if tally.nonfounders else "founders"
    return Outcome(files, [f"Hardy-Weinberg tests: {who}; {left} haploid variants skipped"])


def _diploid(names: Cells, counts: Counts, midp: bool) -> Cells:
    ref, het, alt, _ = counts.T
    observed, expected, _ = _heterozygosity(ref, het, alt)
    return {
        **names,
        "HOM_A1_CT": ref,
        "HET_A1_CT": het,
        "TWO_AX_CT": alt,
        "O(HET_A1)": observed,
        "E(HET_A1)": expected,
        _p(midp): hwe_exact(het, ref, alt, midp=midp),
    }


def _x(names: Cells, women: Counts, men: Counts, midp: bool) -> Cells:
    ref, het, alt, _ = women.T
    male_ref, male_alt = men[:, 0], men[:, 2]
    observed, expected, female = _heterozygosity(ref, het, alt)
    return {
        **names,
        "FEMALE_HOM_A1_CT": ref,
        "FEMALE_HET_A1_CT": het,
        "FEMALE_TWO_AX_CT": alt,
        "MALE_A1_CT": male_ref,
        "MALE_AX_CT": male_alt,
        "O(FEMALE_HET_A1)": observed,
        "E(FEMALE_HET_A1)": expected,
        "FEMALE_A1_FREQ": female,
        "MALE_A1_FREQ": _share(male_ref, male_ref + male_alt),
        _p(midp): hwe_exact_x(het, ref, alt, male_ref, male_alt, midp=midp),
    }


def _alleles(genotypes: Genotypes, where: Mask) -> Cells:
    # PLINK 2 calls REF A1 here, the other way round from its association results
    rows = np.flatnonzero(where)
    columns = zip(("#CHROM", "ID", "A1", "AX"), variant_cells(genotypes).values(), strict=True)
    return {name: column.take(rows) for name, column in columns}


def _heterozygosity(ref: Counts, het: Counts, alt: Counts) -> tuple[F64, F64, F64]:
    called = ref + het + alt
    p = _share(2 * ref + het, 2 * called)
    return _share(het, called), 2 * p * (1 - p), p


def _share(part: Counts, whole: Counts) -> F64:
    share: F64 = np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
    return share


def _p(midp: bool) -> str:
    return "MIDP" if midp else "P"
