"""What quality control asks of variants: measures first, then steps that each name their threshold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from gwas.counts import X, Y, alt_frequency, genotype_counts
from gwas.differential_missingness import LN_10, missing_counts
from gwas.genotypes import Genotypes
from gwas.hwe import hwe_exact, hwe_exact_log10
from gwas.imputation_quality import imputation_r2
from gwas.kernels.fisher import fisher_ln_p
from gwas.mendel import MendelErrors, find_trios, mendel_errors
from gwas.quality_account import QcPlan
from gwas.reference_comparison import class_counts, compare_reference

Index = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
F64 = npt.NDArray[np.float64]

Step = tuple[str, Mask | None, str]
"""Name, variants to remove (None: not done), and the threshold (or why it was not done)."""

FEWEST_ERRORS = 2
"""Mendelian errors below this are chance even where few trios make them a large share."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Groups:
    """Who is who among the samples; every mask is bool (n,).

    Attributes
    ----------
    kept
        Samples that passed.
    male, female
        By the sex on record.
    alike
        Kept, unrelated people of the largest ancestry group.
    controls
        People without a disease.
    cases
        DataFrame (n rows), one column a disease: 1 case, 0 control, else neither; None where not known.
    """

    kept: Mask
    male: Mask
    female: Mask
    alike: Mask
    controls: Mask
    cases: pd.DataFrame | None


class VariantMeasures:
    """Everything the steps judge variants by, each measure in as few passes of the file as can be.

    Attributes
    ----------
    table
        DataFrame, one row a variant: the columns of ``QcResult.variant_table`` without ``status``.
    trios
        Trios with their Mendelian errors.
    reference
        Classes of the comparison with a reference, or None.
    """

    def __init__(
        self,
        genotypes: Genotypes,
        *,
        plan: QcPlan,
        group: Index,
        groups: Groups,
        reference: pd.DataFrame | None,
        use: Mask,
    ) -> None:
        self.plan, self.group, self.groups, self.use = plan, group, groups, use
        self.table = genotypes.variants[["chrom", "pos", "id", "ref", "alt"]].copy()
        kept, tested = groups.kept, groups.alike & groups.controls
        counts, self._male, inside, women, alike, alike_men = genotype_counts(
            genotypes,
            kept,
            kept & groups.male,
            tested,
            tested & groups.female,
            groups.alike,
            groups.alike & groups.male,
        )
        self._call(counts)
        self._hardy_weinberg(inside, women)
        self._imputation(genotypes)
        self._missing_by_status(genotypes)
        self.trios = self._mendel(genotypes)
        self.reference: pd.DataFrame | None = None
        if reference is not None:
            self._compare(reference, alike, alike_men)

    def _call(self, counts: Index) -> None:
        self.table["call_rate"] = variant_call_rate(counts, self._male, self.groups.kept, self.group)
        self.table["alt_freq"], alleles = group_frequency(counts, self._male, self.group)
        self.table[["n_ref", "n_het", "n_alt"]] = counts[:, :3]
        p = self.table["alt_freq"].to_numpy()
        self.minor = np.nan_to_num(np.minimum(p, 1.0 - p))
        self.minor_count = self.minor * alleles

    def _hardy_weinberg(self, inside: Index, women: Index) -> None:
        chosen = np.where((self.group == X)[:, None], women, inside)
        r, h, a = chosen[:, 0], chosen[:, 1], chosen[:, 2]
        untested = (self.group == Y) | (self.table["chrom"] == "MT").to_numpy()
        midp = self.plan.hwe_midp
        self.table["hwe_p"] = np.where(untested, np.nan, hwe_exact(h, r, a, midp=midp))
        self.table["hwe_log10_p"] = np.where(untested, np.nan, hwe_exact_log10(h, r, a, midp=midp))
        self.table["hwe_n"] = np.where(untested, 0, r + h + a)

    def _imputation(self, genotypes: Genotypes) -> None:
        """The file's own measure where it has one; else that of the dosages of the samples kept."""
        own = "info" in genotypes.variants
        self.imputed = ""
        self.table["info"] = np.nan
        if self.plan.info is None or not (own or genotypes.reader.has_dosages):
            return
        if own:
            self.imputed = "as the file has it"
            self.table["info"] = genotypes.variants["info"].to_numpy(dtype=np.float64)
        if genotypes.reader.has_dosages and self.table["info"].isna().any():
            rows = np.flatnonzero(self.table["info"].isna().to_numpy() & self.use)
            chosen = genotypes.select(samples=np.flatnonzero(self.groups.kept), variants=rows)
            self.table.loc[rows, "info"] = imputation_r2(chosen)["mach_r2"].to_numpy()
            self.imputed += " or " * own + "MaCH r2 of the dosages"

    def _missing_by_status(self, genotypes: Genotypes) -> None:
        """Of several diseases the smallest P, times how many there are (Bonferroni)."""
        self.diseases: list[str] = []
        self.table["missing_log10_p"], self.table["missing_trait"] = np.nan, None
        cases = self.groups.cases
        if cases is None or self.plan.differential_missing_p is None:
            return
        masks: list[Mask] = []
        for name in cases.columns:
            status = cases[name].to_numpy(dtype=np.float64)
            both = [(status == value) & self.groups.kept for value in (1, 0)]
            if both[0].any() and both[1].any():
                self.diseases.append(str(name))
                masks += both
        if not self.diseases:
            return
        found = missing_counts(genotypes, *masks)
        log10_p = np.empty((len(self.diseases), len(self.table)))
        for row, ((sick, all_sick), (well, all_well)) in enumerate(zip(found[::2], found[1::2], strict=True)):
            log10_p[row] = -fisher_ln_p(sick, all_sick - sick, well, all_well - well, False) / LN_10
        worst = log10_p.argmax(axis=0)
        self.table["missing_log10_p"] = np.maximum(log10_p.max(axis=0) - np.log10(len(log10_p)), 0.0)
        self.table["missing_trait"] = np.array(self.diseases, dtype=object)[worst]

    def _mendel(self, genotypes: Genotypes) -> pd.DataFrame:
        plan = self.plan
        trios: pd.DataFrame = find_trios(genotypes)
        rows = trios[["father_row", "mother_row", "child_row"]].to_numpy(dtype=np.int64).reshape(-1, 3)
        trios = trios.loc[self.groups.kept[rows].all(axis=1)].reset_index(drop=True)
        self.table["mendel_tested"], self.table["mendel_errors"] = 0, 0
        if plan.mendel_rate is None or trios.empty:
            return trios.assign(tested=0, errors=0, believed=True)
        good = np.flatnonzero(self.use)
        chosen = genotypes.select(variants=good)
        first = mendel_errors(chosen, trios=trios, build=plan.build)
        believed = (first.trios["errors"] <= plan.mendel_trio_rate * first.trios["tested"]).to_numpy()
        final: MendelErrors = first
        if not believed.all():
            final = mendel_errors(chosen, trios=trios[believed], build=plan.build)
        self.table.loc[good, "mendel_tested"] = final.variants["tested"].to_numpy()
        self.table.loc[good, "mendel_errors"] = final.variants["errors"].to_numpy()
        return first.trios.assign(believed=believed)

    def _compare(self, reference: pd.DataFrame, alike: Index, alike_men: Index) -> None:
        frequencies = self.table[["chrom", "pos", "id", "ref", "alt"]].copy()
        frequencies["alt_freq"], frequencies["allele_count"] = group_frequency(alike, alike_men, self.group)
        found = compare_reference(
            frequencies, reference, max_difference=self.plan.reference_difference or 1.0
        )
        self.reference = class_counts(found[self.use])
        self.table["reference_class"] = found["class"].to_numpy()
        self.table["reference_freq"] = found["reference_freq"].to_numpy()
        self.table["compared_freq"] = frequencies["alt_freq"].to_numpy()
        self.outlier = found["outlier"].to_numpy(dtype=np.bool_)

    def steps(self) -> Iterator[Step]:
        """The steps in order."""
        plan, table = self.plan, self.table
        yield self._info_step()
        yield _threshold(
            "low call rate", plan.variant_call_rate, table["call_rate"].to_numpy(), "call rate >= {:g}"
        )
        yield self._missing_step()
        yield _threshold("rare", plan.maf, self.minor, "minor allele frequency >= {:g}")
        yield _threshold("few copies", plan.mac, self.minor_count, "minor allele count >= {:g}")
        yield self._hwe_step()
        yield self._male_x_step()
        yield self._mendel_step()
        yield from self._reference_steps()

    def _info_step(self) -> Step:
        step, least = "badly imputed", self.plan.info
        if least is None:
            return step, None, "switched off"
        if not self.imputed:
            return step, None, "hard calls without a quality of imputation"
        return step, self.table["info"].to_numpy() < least, f"INFO >= {least:g} ({self.imputed})"

    def _missing_step(self) -> Step:
        step, least = "missing calls differ between cases and controls", self.plan.differential_missing_p
        if least is None:
            return step, None, "switched off"
        if not self.diseases:
            return step, None, "no case-control status"
        several = f", the smallest of {len(self.diseases)} diseases" if len(self.diseases) > 1 else ""
        bad = np.nan_to_num(self.table["missing_log10_p"].to_numpy()) > _minus_log10(least)
        return step, bad, f"Fisher's exact P >= {least:g}{several}"

    def _hwe_step(self) -> Step:
        step, plan = "not in Hardy-Weinberg proportions", self.plan
        if plan.hwe_p is None:
            return step, None, "switched off"
        among = "people" if self.groups.controls.all() else "controls"
        return (
            step,
            np.nan_to_num(self.table["hwe_log10_p"].to_numpy()) > _minus_log10(plan.hwe_p),
            f"exact {'mid-' if plan.hwe_midp else ''}P >= {plan.hwe_p:g} among unrelated {among} of the largest "
            "ancestry group (females on X)",
        )

    def _male_x_step(self) -> Step:
        step, most = "heterozygous males on X", self.plan.male_x_het
        if not (self.group == X).any():
            return step, None, "no X variants"
        if most is None:
            return step, None, "switched off"
        share = self._male[:, 1] / np.maximum(self._male[:, :3].sum(axis=1), 1)
        return step, (self.group == X) & (share > most), f"at most {most:g} of males"

    def _mendel_step(self) -> Step:
        step, plan = "Mendelian errors", self.plan
        if plan.mendel_rate is None:
            return step, None, "switched off"
        if self.trios.empty:
            return step, None, "no child with both parents"
        if not self.trios["believed"].any():
            return step, None, f"every trio is wrong at more than {plan.mendel_trio_rate:g} of variants"
        wrong, tested = (self.table[c].to_numpy() for c in ("mendel_errors", "mendel_tested"))
        return (
            step,
            (wrong >= FEWEST_ERRORS) & (wrong > plan.mendel_rate * tested),
            f"errors in at most {plan.mendel_rate:g} of trios, or in one; trios wrong at more than "
            f"{plan.mendel_trio_rate:g} of variants are not believed",
        )

    def _reference_steps(self) -> Iterator[Step]:
        steps = "other alleles than the reference", "frequency far from the reference's"
        limit = self.plan.reference_difference
        if self.reference is None:
            for step in steps:
                yield step, None, "no reference given"
            return
        yield (
            steps[0],
            (self.table["reference_class"] == "other alleles").to_numpy(),
            "same alleles, either strand",
        )
        if limit is None:
            yield steps[1], None, "switched off"
            return
        yield steps[1], self.outlier, f"difference at most {limit:g}, or within chance (P >= 1e-6)"


def _threshold(step: str, least: float | None, values: F64, wording: str) -> Step:
    return (step, None, "switched off") if least is None else (step, values < least, wording.format(least))


def _minus_log10(p: float) -> float:
    return float(-np.log10(p)) if p > 0 else float("inf")


def variant_call_rate(counts: Index, male: Index, among: Mask, group: Index) -> F64:
    """Share of samples called; on Y of males, and where no male is known of those called most."""
    rate: F64 = 1.0 - counts[:, 3] / max(int(among.sum()), 1)
    on_y = group == Y
    n_male = male.sum(axis=1)
    rate[on_y] = np.where(n_male > 0, 1.0 - male[:, 3] / np.maximum(n_male, 1), 1.0)[on_y]
    return rate


def group_frequency(counts: Index, male: Index, group: Index) -> tuple[F64, F64]:
    """Frequency of ALT and number of called alleles, with one X or Y in a man: float64 (m,) each."""
    haploid = np.where(np.isin(group, (X, Y))[:, None], male, 0)
    diploid = counts - haploid
    diploid[group == Y] = 0
    alleles = 2.0 * diploid[:, :3].sum(axis=1) + haploid[:, :3].sum(axis=1)
    return alt_frequency(diploid, haploid), alleles
