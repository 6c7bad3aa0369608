"""Quality control of samples and variants: declared thresholds, every removal counted with its reason.

Two decisions are about fairness. Heterozygosity is judged after taking ancestry out, and only an excess
(which is what contamination makes) removes a person, because a deficit is what related parents make.
Hardy-Weinberg is tested among unrelated people of the largest ancestry group (controls alone, where they are
known), because a mixture of ancestries has too few heterozygotes everywhere.
"""

from __future__ import annotations

from dataclasses import replace
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import pandas as pd

from cohorts.errors import DesignError
from gwas.ancestry import ancestry_groups, fst_between, isolation, residual_on_ancestry, robust_z
from gwas.components import Pca, pca, structure_variants
from gwas.counts import AUTOSOME, SampleSums, X, Y, genotype_counts, sample_sums, variant_group
from gwas.duplicates import duplicate_variants
from gwas.genotypes import Genotypes
from gwas.quality_account import Flow, QcPlan, QcResult
from gwas.quality_variants import Groups, VariantMeasures, group_frequency, variant_call_rate
from gwas.relatedness import DEGREES, duplicates_to_drop, kinship, kinship_noise, unrelated
from gwas.sex import sex_check
from gwas.transitions import titv

__all__ = ["QcPlan", "QcResult", "qc"]

Index = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
F64 = npt.NDArray[np.float64]


def qc(
    genotypes: Genotypes,
    *,
    plan: QcPlan | None = None,
    expected_sex: pd.Series | None = None,
    controls: npt.ArrayLike | None = None,
    cases: pd.DataFrame | None = None,
    reference: pd.DataFrame | None = None,
    rng: np.random.Generator | None = None,
) -> QcResult:
    """Run quality control.

    Parameters
    ----------
    genotypes
        What to judge.
    plan
        Thresholds.
    expected_sex
        Series, index iid, of ``M`` or ``F`` from the records; default: the genotype file's own.
    controls
        bool (n,): people without the disease, among whom Hardy-Weinberg is tested; default: everybody.
    cases
        DataFrame, a row a sample in order, a column a disease (1 case, 0 control, else neither), between
        whom missing calls are compared; default: they are not.
    reference
        Frequencies to compare with, from :func:`gwas.reference_comparison.read_reference`.
    rng
        For the start of the components and groups; default: a fixed seed.

    Returns
    -------
    QcResult

    Raises
    ------
    DesignError
        If a step leaves nobody or nothing.
    ValueError
        If ``cases`` or ``controls`` have another number of rows than there are samples.
    """
    plan = QcPlan() if plan is None else plan
    rng = np.random.default_rng(1) if rng is None else rng
    for name, given in (("controls", controls), ("cases", cases)):
        if given is not None and len(np.asarray(given)) != genotypes.n_samples:
            raise ValueError(
                f"{name} of {genotypes.n_samples} samples expected, not {len(np.asarray(given))}"
            )
    sex = genotypes.samples["sex"] if expected_sex is None else genotypes.samples["iid"].map(expected_sex)
    run = _Run(
        genotypes, plan, sex.to_numpy(dtype=object), rng, controls=controls, cases=cases, reference=reference
    )
    run.first_look()
    run.judge_samples()
    run.judge_structure()
    run.judge_variants()
    return run.result()


class _Run:
    """The steps of :func:`qc` in order; each reads what those before it found."""

    def __init__(
        self,
        genotypes: Genotypes,
        plan: QcPlan,
        sex: npt.NDArray[np.object_],
        rng: np.random.Generator,
        *,
        controls: npt.ArrayLike | None,
        cases: pd.DataFrame | None,
        reference: pd.DataFrame | None,
    ) -> None:
        self.genotypes = replace(genotypes, samples=genotypes.samples.assign(sex=sex))
        self.plan = plan
        self.sex = sex
        self.rng = rng
        self.cases = cases
        self.reference = reference
        self.controls = np.ones(genotypes.n_samples, bool) if controls is None else np.asarray(controls, bool)
        self.people = Flow.of(genotypes.n_samples)
        self.variants = Flow.of(genotypes.n_variants)
        self.group = variant_group(genotypes, build=plan.build)
        self.male = np.asarray(sex == "M")
        self.residual = np.full(genotypes.n_samples, np.nan)
        self.het_z = np.full(genotypes.n_samples, np.nan)
        self.isolation = np.full(genotypes.n_samples, np.nan)
        self.ancestry = np.full(genotypes.n_samples, -1, dtype=np.int64)
        self.pca: Pca | None = None
        self.structure = np.empty(0, dtype=np.int64)

    def first_look(self) -> None:
        """Variants no sample should be judged by: repeated ones and those that hardly worked at all."""
        everyone = np.ones(self.genotypes.n_samples, bool)
        all_counts, male = genotype_counts(self.genotypes, everyone, self.male)
        rate = variant_call_rate(all_counts, male, everyone, self.group)
        step = "same position and alleles as another"
        if self.plan.duplicate_variants:
            repeated = duplicate_variants(self.genotypes.variants, call_rate=rate)
            self.variants.remove(step, repeated, "highest call rate kept")
        else:
            self.variants.skip(step, "switched off")
        self._step(
            self.variants,
            "hardly called",
            self.plan.gross_variant_call_rate,
            lambda t: rate < t,
            "call rate >= {:g}",
        )
        frequency, _ = group_frequency(all_counts, male, self.group)
        self.sums: SampleSums = sample_sums(
            self.genotypes, group=self.group, frequency=frequency, use=self.variants.kept
        )

    def judge_samples(self) -> None:
        """Call rate, then sex."""
        if self.sums.variants[AUTOSOME] == 0:
            raise DesignError(
                "quality control needs autosomal variants",
                where=self.genotypes.path,
                found="none",
                fix="give a genotype file with chromosomes 1 to 22",
            )
        self.call_rate = self.sums.call_rate()
        self._step(
            self.people,
            "low call rate",
            self.plan.sample_call_rate,
            lambda t: self.call_rate < t,
            "call rate >= {:g}",
        )
        n_x, n_y = int(self.sums.variants[X]), int(self.sums.variants[Y])
        self.sex_table = sex_check(
            x_f=self.sums.f(X),
            autosomal_f=self.sums.f(),
            y_call_rate=self.sums.call_rate(Y),
            n_x=n_x,
            n_y=n_y,
            expected=self.sex,
            female_below=self.plan.female_below,
            male_above=self.plan.male_above,
            male_y_call_rate=self.plan.male_y_call_rate,
        )
        step = "sex differs from the record"
        if not self.plan.sex:
            self.people.skip(step, "switched off")
        elif n_x == 0 and n_y == 0:
            self.people.skip(step, "no X variants")
        elif self.sex_table["inferred"].isna().all():
            self.people.skip(step, f"too few variants on X ({n_x}) and Y ({n_y})")
        elif self.sex_table["expected"].isna().all():
            self.people.skip(step, "no sex on record")
        else:
            wrong = (self.sex_table["status"] == "disagrees").to_numpy()
            limits = f"F on X: women < {self.plan.female_below:g}, men > {self.plan.male_above:g}; calls on Y"
            self.people.remove(step, wrong, limits)
        self._somebody()

    def judge_structure(self) -> None:
        """Ancestry, heterozygosity given ancestry, duplicates and relatives."""
        kept = self.placed = np.flatnonzero(self.people.kept)
        good = np.flatnonzero(self.variants.kept & (self.group == AUTOSOME))
        chosen = self.genotypes.select(samples=kept, variants=good)
        plan = self.plan
        self.structure = good[structure_variants(chosen, build=plan.build, threads=plan.threads)]
        within = self.genotypes.select(samples=kept, variants=self.structure)
        everything = np.arange(len(self.structure))
        enough = min(len(kept) - 1, len(self.structure)) > 2 * plan.structure_components
        if enough:
            self.pca = pca(
                within,
                components=plan.structure_components,
                variants=everything,
                rng=self.rng,
                tolerance=1e-2,
                threads=plan.threads,
            )
            self.pca = replace(self.pca, variants=self.structure[self.pca.variants])
        scores = self.pca.scores.to_numpy() if self.pca is not None else np.zeros((len(kept), 1))
        values = self.pca.eigenvalues if self.pca is not None else np.ones(1)
        self.residual[kept] = residual_on_ancestry(self.sums.f()[kept], scores, values)
        self.het_z[kept] = -robust_z(self.residual[kept])
        self.ancestry[kept] = ancestry_groups(scores, values, rng=self.rng)
        self._step(
            self.people,
            "too many heterozygotes for the ancestry",
            plan.het_sd,
            lambda t: np.nan_to_num(self.het_z) > t,
            "at most {:g} robust SD above people of like ancestry",
        )
        self._judge_ancestry(scores, values, known=enough)
        self._judge_kinship()
        self._somebody()

    def _judge_ancestry(self, scores: F64, eigenvalues: F64, *, known: bool) -> None:
        """Who is far from everybody; marked always, removed only where the plan asks for it."""
        step, limit = "unlike anybody else in ancestry", self.plan.ancestry_sd
        kept = self.placed
        if not known or limit is None:
            self.people.skip(step, "switched off" if limit is None else "too few people or variants")
            return
        self.isolation[kept] = isolation(scores, eigenvalues)
        if not self.plan.remove_ancestry_outliers:
            self.people.skip(step, f"people more than {limit:g} robust SD off are kept and marked")
            return
        self.people.remove(
            step,
            np.nan_to_num(self.isolation) > limit,
            f"at most {limit:g} robust SD further from neighbours",
        )

    def _judge_kinship(self) -> None:
        plan = self.plan
        kept = np.flatnonzero(self.people.kept)
        within = self.genotypes.select(samples=kept, variants=self.structure)
        n = len(kept)
        alike = within.select(samples=np.flatnonzero(self.ancestry[kept] == 0))
        self.noise = kinship_noise(alike, rng=self.rng)
        # One pair of strangers in all would reach this by chance.
        chance = float(NormalDist().inv_cdf(1.0 - 1.0 / max(n * (n - 1) / 2, 2.0))) * self.noise
        self.pairs = kinship(within, at_least=max(DEGREES["third"], chance), threads=plan.threads)
        step = "duplicate of another sample"
        if plan.duplicates:
            twice = np.zeros(self.genotypes.n_samples, bool)
            twice[kept] = duplicates_to_drop(
                n, self.pairs, call_rate=self.call_rate[kept], above=plan.duplicate_kinship
            )
            self.people.remove(
                step, twice, f"kinship <= {plan.duplicate_kinship:.3f}; highest call rate kept"
            )
        else:
            self.people.skip(step, "switched off")
        here = self.people.kept[kept]
        alive = self.pairs[here[self.pairs["row1"]] & here[self.pairs["row2"]]]
        self.unrelated = np.zeros(self.genotypes.n_samples, bool)
        self.unrelated[kept] = (
            unrelated(n, alive, above=plan.related_kinship, prefer=self.call_rate[kept]) & here
        )
        if plan.remove_related_above is None:
            self.people.skip("related to another", "relatives are kept and marked")
        else:
            alone = np.zeros(self.genotypes.n_samples, bool)
            alone[kept] = unrelated(n, alive, above=plan.remove_related_above, prefer=self.call_rate[kept])
            self.people.remove("related to another", ~alone, f"kinship <= {plan.remove_related_above:g}")
            self.unrelated &= self.people.kept

    def judge_variants(self) -> None:
        """Everything about variants, among the samples that are left."""
        kept = self.people.kept
        self.measures = VariantMeasures(
            self.genotypes,
            plan=self.plan,
            group=self.group,
            groups=Groups(
                kept=kept,
                male=self.male,
                female=np.asarray(self.sex == "F"),
                alike=kept & self.unrelated & (self.ancestry == 0),
                controls=self.controls,
                cases=self.cases,
            ),
            reference=self.reference,
            use=self.variants.kept,
        )
        for step, bad, threshold in self.measures.steps():
            if bad is None:
                self.variants.skip(step, threshold)
            else:
                self.variants.remove(step, bad, threshold)
        if not self.variants.kept.any():
            raise DesignError(
                "quality control left no variant",
                where=self.genotypes.path,
                found="; ".join(f"{r[0]}: {r[1]}" for r in self.variants.rows[1:]),
                fix="relax the thresholds or check the file",
            )

    def result(self) -> QcResult:
        """Tables, once all is judged."""
        samples = self.genotypes.samples
        table = self.sex_table.rename(columns={c: f"sex_{c}" for c in ("expected", "inferred", "status")})
        table.index = pd.Index(samples["iid"], name="iid")
        table.insert(0, "call_rate", self.call_rate)
        table.insert(1, "f_het", self.sums.f())
        table.insert(2, "f_residual", self.residual)
        table.insert(3, "het_z", self.het_z)
        table["ancestry_group"] = self.ancestry
        table["isolation"] = self.isolation
        table["unrelated"] = self.unrelated
        table["status"] = self.people.status
        variants = self.measures.table.assign(status=self.variants.status)
        of_pruned = self.genotypes.select(variants=self.structure)
        return QcResult(
            samples=np.flatnonzero(self.people.kept),
            variants=np.flatnonzero(self.variants.kept),
            sample_flow=self.people.table(),
            variant_flow=self.variants.table(),
            sample_table=table,
            variant_table=variants,
            kinship=self.pairs.drop(columns=["row1", "row2"]),
            kinship_noise=self.noise,
            unrelated=np.flatnonzero(self.unrelated),
            structure_variants=self.structure,
            pca=self.pca,
            fst=fst_between(of_pruned, np.where(self.unrelated, self.ancestry, -1)),
            trios=self.measures.trios.drop(columns=["father_row", "mother_row", "child_row"]),
            reference=self.measures.reference,
            checks=self._checks(),
        )

    def _checks(self) -> pd.DataFrame:
        """What is asked of the whole set and removes nothing: transitions over transversions."""
        autosomal = self.group == AUTOSOME
        band = self.plan.titv
        rows = []
        for name, among in (("before", autosomal), ("after", autosomal & self.variants.kept)):
            table = self.genotypes.variants[among]
            found = titv(table["ref"], table["alt"])
            verdict = "no range given"
            if band is not None:
                verdict = "outside" if found.outside(band) else "inside"
            rows.append((f"Ti/Tv {name} quality control", found.ratio, found.low, found.high, verdict))
        return pd.DataFrame(rows, columns=["check", "value", "low", "high", "verdict"])

    def _step(self, flow: Flow, step: str, limit: float | None, bad: object, wording: str) -> None:
        if limit is None:
            flow.skip(step, "switched off")
        else:
            flow.remove(step, bad(limit), wording.format(limit))  # type: ignore[operator]

    def _somebody(self) -> None:
        if not self.people.kept.any():
            raise DesignError(
                "quality control left no sample",
                where=self.genotypes.path,
                found="; ".join(f"{r[0]}: {r[1]}" for r in self.people.rows[1:]),
                fix="relax the thresholds or check the file",
            )
