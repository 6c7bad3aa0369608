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
from gwas.ancestry import ancestry_groups, fst_between, residual_on_ancestry, robust_z
from gwas.components import Pca, pca, structure_variants
from gwas.counts import AUTOSOME, SampleSums, X, Y, alt_frequency, genotype_counts, sample_sums, variant_group
from gwas.genotypes import Genotypes
from gwas.hwe import hwe_exact, hwe_exact_log10
from gwas.quality_account import Flow, QcPlan, QcResult
from gwas.relatedness import DEGREES, duplicates_to_drop, kinship, kinship_noise, unrelated
from gwas.sex import sex_check

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
    rng
        For the start of the components and groups; default: a fixed seed.

    Returns
    -------
    QcResult

    Raises
    ------
    DesignError
        If a step leaves nobody or nothing.
    """
    plan = QcPlan() if plan is None else plan
    rng = np.random.default_rng(1) if rng is None else rng
    sex = genotypes.samples["sex"] if expected_sex is None else genotypes.samples["iid"].map(expected_sex)
    run = _Run(genotypes, plan, sex.to_numpy(dtype=object), controls, rng)
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
        controls: npt.ArrayLike | None,
        rng: np.random.Generator,
    ) -> None:
        self.genotypes = genotypes
        self.plan = plan
        self.sex = sex
        self.rng = rng
        self.controls = np.ones(genotypes.n_samples, bool) if controls is None else np.asarray(controls, bool)
        self.people = Flow.of(genotypes.n_samples)
        self.variants = Flow.of(genotypes.n_variants)
        self.group = variant_group(genotypes, build=plan.build)
        self.male = np.asarray(sex == "M")
        self.residual = np.full(genotypes.n_samples, np.nan)
        self.het_z = np.full(genotypes.n_samples, np.nan)
        self.ancestry = np.full(genotypes.n_samples, -1, dtype=np.int64)
        self.pca: Pca | None = None
        self.structure = np.empty(0, dtype=np.int64)

    def first_look(self) -> None:
        """Variants no sample should be judged by: repeated ones and those that hardly worked at all."""
        everyone = np.ones(self.genotypes.n_samples, bool)
        all_counts, self.first_male = genotype_counts(self.genotypes, everyone, self.male)
        rate = self._variant_call_rate(all_counts, self.first_male, everyone)
        frame = self.genotypes.variants
        low = np.minimum(frame["ref"].astype(str), frame["alt"].astype(str))
        high = np.maximum(frame["ref"].astype(str), frame["alt"].astype(str))
        key = frame["chrom"] + ":" + frame["pos"].astype(str) + ":" + low + ":" + high
        order = np.argsort(-rate, kind="stable")
        repeated = np.empty(len(frame), dtype=np.bool_)
        repeated[order] = key.iloc[order].duplicated(keep="first").to_numpy()
        self.variants.remove("same position and alleles as another", repeated, "highest call rate kept")
        self._step(
            self.variants,
            "hardly called",
            self.plan.gross_variant_call_rate,
            lambda t: rate < t,
            "call rate >= {:g}",
        )
        self.frequency = self._frequency(all_counts, self.first_male)
        self.sums: SampleSums = sample_sums(
            self.genotypes, group=self.group, frequency=self.frequency, use=self.variants.kept
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
        kept = np.flatnonzero(self.people.kept)
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
        self._judge_kinship()
        self._somebody()

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
        """Call rate, frequency and Hardy-Weinberg, among the samples that are left."""
        kept, plan = self.people.kept, self.plan
        reference = kept & self.unrelated & self.controls & (self.ancestry == 0)
        female = np.asarray(self.sex == "F")
        self.counts, male, inside, women = genotype_counts(
            self.genotypes, kept, kept & self.male, reference, reference & female
        )
        self.rate = self._variant_call_rate(self.counts, male, kept)
        self.frequency = self._frequency(self.counts, male)
        minor = np.nan_to_num(np.minimum(self.frequency, 1.0 - self.frequency))
        self.hwe_counts = np.where((self.group == X)[:, None], women, inside)
        r, h, a = self.hwe_counts[:, 0], self.hwe_counts[:, 1], self.hwe_counts[:, 2]
        self.hwe_p = hwe_exact(h, r, a, midp=plan.hwe_midp)
        self.hwe_log10 = hwe_exact_log10(h, r, a, midp=plan.hwe_midp)
        untested = (self.group == Y) | (self.genotypes.variants["chrom"] == "MT").to_numpy()
        self.hwe_p[untested] = self.hwe_log10[untested] = np.nan
        self.hwe_n = np.where(untested, 0, r + h + a)

        self._step(
            self.variants,
            "low call rate",
            plan.variant_call_rate,
            lambda t: self.rate < t,
            "call rate >= {:g}",
        )
        self._step(self.variants, "rare", plan.maf, lambda t: minor < t, "minor allele frequency >= {:g}")
        among = (
            "controls of the largest ancestry group"
            if not self.controls.all()
            else "people of the largest ancestry group"
        )
        limit = 0.0 if plan.hwe_p is None or plan.hwe_p <= 0 else -np.log10(plan.hwe_p)
        self._step(
            self.variants,
            "not in Hardy-Weinberg proportions",
            plan.hwe_p,
            lambda t: np.nan_to_num(self.hwe_log10) > limit,
            f"exact {'mid-' if plan.hwe_midp else ''}P >= {{:g}} among unrelated {among} (females on X)",
        )
        step = "heterozygous males on X"
        if not (self.group == X).any():
            self.variants.skip(step, "no X variants")
        else:
            share = male[:, 1] / np.maximum(male[:, :3].sum(axis=1), 1)
            self._step(
                self.variants,
                step,
                plan.male_x_het,
                lambda t: (self.group == X) & (share > t),
                "at most {:g} of males",
            )
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
        table["unrelated"] = self.unrelated
        table["status"] = self.people.status
        variants = self.genotypes.variants[["chrom", "pos", "id", "ref", "alt"]].copy()
        variants["call_rate"] = self.rate
        variants["alt_freq"] = self.frequency
        variants[["n_ref", "n_het", "n_alt"]] = self.counts[:, :3]
        variants["hwe_p"], variants["hwe_log10_p"], variants["hwe_n"] = self.hwe_p, self.hwe_log10, self.hwe_n
        variants["status"] = self.variants.status
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
        )

    def _step(self, flow: Flow, step: str, limit: float | None, bad: object, wording: str) -> None:
        if limit is None:
            flow.skip(step, "switched off")
        else:
            flow.remove(step, bad(limit), wording.format(limit))  # type: ignore[operator]

    def _variant_call_rate(self, counts: Index, male: Index, among: Mask) -> F64:
        """Share of samples called; on Y of males, and where no male is known of those called most."""
        rate: F64 = 1.0 - counts[:, 3] / max(int(among.sum()), 1)
        on_y = self.group == Y
        n_male = male.sum(axis=1)
        rate[on_y] = np.where(n_male > 0, 1.0 - male[:, 3] / np.maximum(n_male, 1), 1.0)[on_y]
        return rate

    def _frequency(self, counts: Index, male: Index) -> F64:
        haploid = np.where(np.isin(self.group, (X, Y))[:, None], male, 0)
        diploid = counts - haploid
        diploid[self.group == Y] = 0
        return alt_frequency(diploid, haploid)

    def _somebody(self) -> None:
        if not self.people.kept.any():
            raise DesignError(
                "quality control left no sample",
                where=self.genotypes.path,
                found="; ".join(f"{r[0]}: {r[1]}" for r in self.people.rows[1:]),
                fix="relax the thresholds or check the file",
            )
