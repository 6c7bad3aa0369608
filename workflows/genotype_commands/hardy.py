"""``careome hardy``: OUT.hardy and, where X is there, OUT.hardy.x with PLINK 2's columns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from gwas.counts import genotype_counts
from gwas.frequencies import founders
from gwas.genotypes import Genotypes
from gwas.genotypes.chromosomes import ploidy_class
from gwas.hwe import hwe_exact, hwe_exact_x
from workflows.genotype_commands.outcome import Outcome, Table, variant_columns

Counts = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]


def tables(genotypes: Genotypes, *, threads: int, midp: bool = False) -> Outcome:
    """Exact tests among founders: of everybody off the sex chromosomes, of women and men on X."""
    kinds = ploidy_class(genotypes.variants["chrom"])
    diploid, on_x = genotypes.select(variants=kinds == "diploid"), genotypes.select(variants=kinds == "x")
    files = [Table("hardy", _diploid(diploid, midp))]
    if on_x.n_variants:
        files.append(Table("hardy.x", _x(on_x, midp)))
    left = genotypes.n_variants - diploid.n_variants - on_x.n_variants
    return Outcome(files, [f"counted: founders; {left} haploid variants skipped"])


def _diploid(genotypes: Genotypes, midp: bool) -> pd.DataFrame:
    ref, het, alt, _ = genotype_counts(genotypes, founders(genotypes))[0].T
    observed, expected, _ = _heterozygosity(ref, het, alt)
    return _alleles(genotypes).assign(
        HOM_A1_CT=ref,
        HET_A1_CT=het,
        TWO_AX_CT=alt,
        **{"O(HET_A1)": observed, "E(HET_A1)": expected},
        **{_p(midp): hwe_exact(het, ref, alt, midp=midp)},
    )


def _x(genotypes: Genotypes, midp: bool) -> pd.DataFrame:
    sex, founder = genotypes.samples["sex"], founders(genotypes)
    women, men = genotype_counts(
        genotypes, np.asarray(sex == "F") & founder, np.asarray(sex == "M") & founder
    )
    ref, het, alt, _ = women.T
    male_ref, male_alt = men[:, 0], men[:, 2]
    observed, expected, female = _heterozygosity(ref, het, alt)
    return _alleles(genotypes).assign(
        FEMALE_HOM_A1_CT=ref,
        FEMALE_HET_A1_CT=het,
        FEMALE_TWO_AX_CT=alt,
        MALE_A1_CT=male_ref,
        MALE_AX_CT=male_alt,
        **{"O(FEMALE_HET_A1)": observed, "E(FEMALE_HET_A1)": expected},
        FEMALE_A1_FREQ=female,
        MALE_A1_FREQ=_share(male_ref, male_ref + male_alt),
        **{_p(midp): hwe_exact_x(het, ref, alt, male_ref, male_alt, midp=midp)},
    )


def _alleles(genotypes: Genotypes) -> pd.DataFrame:
    # PLINK 2 calls REF A1 here, the other way round from its association results
    return variant_columns(genotypes).set_axis(["#CHROM", "ID", "A1", "AX"], axis=1)


def _heterozygosity(ref: Counts, het: Counts, alt: Counts) -> tuple[F64, F64, F64]:
    called = ref + het + alt
    p = _share(2 * ref + het, 2 * called)
    return _share(het, called), 2 * p * (1 - p), p


def _share(part: Counts, whole: Counts) -> F64:
    share: F64 = np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
    return share


def _p(midp: bool) -> str:
    return "MIDP" if midp else "P"
