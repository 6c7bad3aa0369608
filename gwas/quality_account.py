"""What is asked of quality control, and the account it gives."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from gwas.components import Pca
from gwas.relatedness import DEGREES

Index = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class QcPlan:
    """Thresholds of quality control; None leaves a step out (the flow then says so).

    Attributes
    ----------
    gross_variant_call_rate
        Variants called in fewer samples are set aside before anybody's call rate is judged.
    sample_call_rate
        Smallest share of autosomal variants called in a sample.
    sex
        Remove samples whose X and Y disagree with the sex on record.
    female_below, male_above
        F on X (given the autosomes) that speaks for a woman and for a man.
    duplicates, duplicate_kinship
        Of samples with the same genotypes, whose kinship is above this, keep the one with the highest call rate.
    related_kinship
        Kinship above which two people are related: of them only one is marked ``unrelated``.
    het_sd
        Largest excess of heterozygosity given ancestry, in robust standard deviations.
    remove_related_above
        Remove people until nobody left is kin above this; None keeps relatives and only marks them.
    variant_call_rate
        Smallest share of samples (males on Y) in which a variant is called.
    maf
        Smallest minor allele frequency.
    hwe_p, hwe_midp
        Smallest exact Hardy-Weinberg P, and whether it is a mid-P.
    mac
        Smallest minor allele count.
    duplicate_variants
        Of variants with the same place and alleles keep the one with the highest call rate.
    info
        Smallest quality of imputation: as the file has it, or MaCH r2 where it holds dosages.
    differential_missing_p
        Smallest P of Fisher's exact test of missing calls in cases and in controls.
    mendel_rate, mendel_trio_rate
        Largest share of trios that show a Mendelian error at a variant (one error is always forgiven), and of
        variants at which a trio may be wrong before its pedigree is not believed.
    reference_difference
        Largest difference of frequency from the reference that is not removed.
    titv
        Range in which transitions over transversions should lie (:data:`gwas.transitions.EXPECTED`); it judges
        the set and removes nothing.
    ancestry_sd, remove_ancestry_outliers
        How much further from their neighbours in the components than others people may be
        (:func:`gwas.ancestry.isolation`), and whether those beyond are removed.
    male_y_call_rate
        Y call rate from which on it speaks for a man.
    male_x_het
        Largest share of heterozygous calls among males on X, which cannot be.
    build
        Genome build (``GRCh37``, ``GRCh38``), for PAR and long-range LD; None if not known.
    structure_components
        Principal components computed to describe ancestry.
    threads
        Threads.
    """

    gross_variant_call_rate: float | None = 0.80
    sample_call_rate: float | None = 0.97
    sex: bool = True
    female_below: float = 0.4
    male_above: float = 0.8
    duplicates: bool = True
    duplicate_kinship: float = DEGREES["duplicate"]
    related_kinship: float = DEGREES["second"]
    het_sd: float | None = 5.0
    remove_related_above: float | None = None
    variant_call_rate: float | None = 0.98
    maf: float | None = 0.01
    hwe_p: float | None = 1e-6
    hwe_midp: bool = True
    male_x_het: float | None = 0.05
    male_y_call_rate: float = 0.5
    ancestry_sd: float | None = 6.0
    remove_ancestry_outliers: bool = False
    mac: float | None = None
    duplicate_variants: bool = True
    info: float | None = 0.3
    differential_missing_p: float | None = 1e-5
    mendel_rate: float | None = 0.1
    mendel_trio_rate: float = 0.05
    reference_difference: float | None = 0.2
    titv: tuple[float, float] | None = None
    build: str | None = None
    structure_components: int = 10
    threads: int = 2


@dataclass(frozen=True, eq=False)
class QcResult:
    """What quality control kept, what it removed and why.

    Attributes
    ----------
    samples, variants
        int64: rows of ``genotypes.samples`` and ``.variants`` kept, ascending.
    sample_flow, variant_flow
        DataFrame ``step, removed, remaining, threshold``; the first row is what came in.
    sample_table
        DataFrame, index iid, one row a sample that came in: ``call_rate``, ``f_het`` (as PLINK's --het),
        ``f_residual`` (given ancestry), ``het_z`` (excess, in robust SD), the columns of
        :func:`gwas.sex.sex_check`, ``ancestry_group`` (0 the largest; -1 removed before it was known),
        ``isolation`` (distance from neighbours in ancestry, in robust SD), ``unrelated``, ``status`` (``kept``
        or the step).
    variant_table
        DataFrame, one row a variant that came in: ``chrom pos id ref alt``, ``call_rate``, ``alt_freq``,
        ``n_ref``, ``n_het``, ``n_alt`` (of the samples kept), ``hwe_p``, ``hwe_log10_p``, ``hwe_n``,
        ``info`` (nan where not known), ``missing_log10_p`` and ``missing_trait`` (cases against controls; of
        several diseases the worst, corrected for their number), ``mendel_tested`` and ``mendel_errors``
        (trios), with a reference ``reference_class``, ``reference_freq`` (of ALT) and ``compared_freq`` (of ALT
        among unrelated people of the largest ancestry group), ``status``.
    kinship
        DataFrame of pairs of third degree and closer (:func:`gwas.relatedness.kinship`), of those that chance
        does not explain: kinship must exceed what the luckiest pair of strangers shows, given the noise.
    kinship_noise
        Robust SD of the kinship of strangers.
    unrelated
        int64: rows of a maximal set of kept samples no two of whom are kin above ``related_kinship``.
    structure_variants
        int64: the pruned variants that describe ancestry and kinship.
    pca
        Components of the samples that passed the call rate and sex checks, or None in too small a set.
    fst
        DataFrame: Hudson's Fst between ancestry groups.
    trios
        DataFrame of :attr:`gwas.mendel.MendelErrors.trios` with ``believed``; no rows where there are none.
    reference
        DataFrame ``class, variants, meaning`` of the comparison with a reference; None without one.
    checks
        DataFrame ``check, value, low, high, verdict`` of what judges the whole set and removes nothing.
    """

    samples: Index
    variants: Index
    sample_flow: pd.DataFrame
    variant_flow: pd.DataFrame
    sample_table: pd.DataFrame
    variant_table: pd.DataFrame
    kinship: pd.DataFrame
    kinship_noise: float
    unrelated: Index
    structure_variants: Index
    pca: Pca | None
    fst: pd.DataFrame
    trios: pd.DataFrame
    reference: pd.DataFrame | None
    checks: pd.DataFrame


@dataclass
class Flow:
    """Who is left, and the account of who went why: the sum always comes out."""

    status: npt.NDArray[np.object_]
    rows: list[tuple[str, int, int, str]] = field(default_factory=list)

    @classmethod
    def of(cls, n: int) -> Flow:
        flow = cls(np.full(n, "kept", dtype=object))
        flow.rows.append(("read", 0, n, ""))
        return flow

    @property
    def kept(self) -> Mask:
        return np.asarray(self.status == "kept")

    def remove(self, step: str, bad: Mask, threshold: str) -> None:
        going = self.kept & bad
        self.status[going] = step
        self.rows.append((step, int(going.sum()), int(self.kept.sum()), threshold))

    def skip(self, step: str, why: str) -> None:
        self.rows.append((step, 0, int(self.kept.sum()), f"not done: {why}"))

    def table(self) -> pd.DataFrame:
        table = pd.DataFrame(self.rows, columns=["step", "removed", "remaining", "threshold"])
        if len(self.status) != int(self.kept.sum()) + int(table["removed"].sum()):
            raise AssertionError("quality control lost count: in is not kept plus removed")
        return table
