"""The methods and limits of a run in words, with the numbers it was run with."""

from __future__ import annotations

from workflows.findings import Findings, GenomeFindings
from workflows.reports.content import Note
from workflows.source_specs import observed_by
from workflows.study import Study

MISSING_GENOTYPES = {
    "mean": "A missing genotype counts as the variant's mean among the people of that trait.",
    "complete-case": "People with a missing genotype were left out of that variant.",
}


def methods(findings: Findings) -> tuple[Note, ...]:
    """How each step was done, in the order it was done."""
    done = _of_records(findings.records.study)
    return done if findings.genome is None else done + _of_genome(findings.genome)


def _of_records(study: Study) -> tuple[Note, ...]:
    exposures = "".join(f" {spec.said(name)}" for name, spec in study.exposures.items())
    notes = [
        Note(
            heading="Records and linkage",
            paragraphs=(
                "Records of one person were brought together by valid NHS number (check digit right) together with "
                "agreement of the birth date, or of name and sex; the rest by a Fellegi-Sunter model (Splink), "
                f"trained without labels, from a match probability of {study.linkage.threshold:g}.",
                "Objections were applied to whole people before anything else was done. Identifiers were then "
                "replaced by keyed pseudonyms (HMAC-SHA-256) and dropped.",
            ),
        ),
        Note(
            heading="Population",
            paragraphs=(
                f"People alive and registered with a practice on {study.study.index_date:%-d %B %Y} and for "
                f"{study.population.registered_days} days before, aged {study.population.age[0]} to "
                f"{study.population.age[1]}.{exposures}",
                *_observed_by_records(study),
            ),
        ),
    ]
    if study.phenotypes:
        notes.append(
            Note(
                heading="How common, how often new",
                paragraphs=(
                    "Prevalence is the share of the study population whose disease is dated by the index date "
                    "(Wilson's interval). New cases are counted per 1,000 person-years from the index date to the end "
                    "of registration, death or the data, among those who did not have it (exact Poisson interval). "
                    "Both are made of the rounded numbers, and not given where fewer than ten people or events stand "
                    "behind one.",
                ),
            )
        )
    return tuple(notes)


def _observed_by_records(study: Study) -> tuple[str, ...]:
    """Sources whose records stand in for registrations, and how."""
    rules = {
        name: rule for name, source in study.sources.items() if (rule := observed_by(source)) is not None
    }
    return tuple(
        f"The source {name} does not say who was registered when: its people count as registered from the day of "
        f"their first to the day of their last record there ({', '.join(rule.tables)})"
        + (f", if that is {rule.least_days} days or more." if rule.least_days > 1 else ".")
        for name, rule in rules.items()
    )


def _of_genome(genome: GenomeFindings) -> tuple[Note, ...]:
    study = genome.study
    tested = ", ".join(study.label_of(name) for name in genome.stats) or "none"
    derived = study.scores.derived
    notes = [
        Note(
            heading="Genotypes",
            paragraphs=(
                "Samples were left out for a low call rate, a sex that differs from the record, too many "
                "heterozygous calls for the person's ancestry, or being a duplicate; variants for a low call rate, "
                "poor imputation, missing calls that differ between cases and controls (Fisher's exact test), rarity, "
                "departure from Hardy-Weinberg proportions (exact test, mid-P), Mendelian errors, or alleles or a "
                "frequency unlike the reference's, each where the data allow it; the flow says what was not done. "
                "Kinship was estimated by "
                "KING-robust; principal components were fitted on unrelated people and the others projected.",
            ),
        ),
        Note(
            heading="Association",
            paragraphs=(
                f"Tested: {tested}. Relatives that kinship shows (about second degree and closer) were dealt together "
                f"to discovery ({study.split.discovery:.0%}), target ({study.split.target:.0%}) or validation "
                f"({study.split.validation:.0%}). Association used unrelated discovery people, with "
                f"{', '.join(study.association.covariates)} and {study.association.components} principal "
                "components as covariates: linear regression for measurements; for diseases a score test, refitted "
                "by Firth's penalised likelihood where P is below 0.05. "
                + MISSING_GENOTYPES[study.association.missing_genotypes],
            ),
        ),
        Note(
            heading="Polygenic scores",
            paragraphs=(
                f"Variants were clumped in the discovery part (r2 below {derived.clump_r2:g} within "
                f"{derived.clump_kb} kb) at several P thresholds; the threshold of each trait was chosen in the "
                "target part and the score judged in the validation part. Scores are in standard deviations among "
                "people of like ancestry: mean and variance were modelled along the components that stand out.",
            ),
        ),
    ]
    if genome.predictions:
        notes.append(
            Note(
                heading="Risk",
                paragraphs=(
                    "Cause-specific Cox models of the disease and of death without it are fitted in the target part "
                    "together with people of the region who have no genotypes (their score counts as the mean, and an "
                    "indicator tells them apart), and joined into the absolute risk; intervals are the delta method's. "
                    "Everything is judged in the validation part, with inverse-probability weights for censoring, "
                    "Aalen-Johansen estimates of what was observed, and bootstrap intervals (200 resamples). Inputs "
                    "not on record take the mean of people of the same sex and age outside the validation part. A "
                    "risk is told only where calibration slope and observed over expected are close to 1 there.",
                ),
            )
        )
    return tuple(notes)


def limits(findings: Findings) -> tuple[str, ...]:
    """What a reader must bear in mind."""
    study, genome = findings.records.study, findings.genome
    said = [
        "Records show what was written down: who did not seek care or moved away may count as healthy.",
        "Linkage errs more for people who move often or whose names are spelt in several ways.",
    ]
    if _observed_by_records(study):
        said.append(
            "Where records stand in for registrations, whoever is in the study lived until a record on the index "
            "date or later (immortal time), and who seldom comes is missing: diseases may look commoner, and survival "
            "better, than they are."
        )
    if study.study.synthetic:
        said.insert(0, "The region is synthetic: nothing here says anything about any real disease.")
    said += [
        f"{study.label_of(name)} is not among the counts of how common and how often new: {why}."
        for name, why in findings.records.frequency.uncounted.items()
    ]
    return tuple(said) if genome is None else (*said, *_limits_of_genome(genome))


def _limits_of_genome(genome: GenomeFindings) -> list[str]:
    said = [
        "Associations are not causes; a lead variant marks a region, not necessarily the variant that acts.",
        "Effects of lead variants are overestimated in the people they were found in (winner's curse).",
    ]
    if genome.quality.sample_table["ancestry_group"].max() > 0:
        said.append("Most people are of one ancestry; scores and risks are less certain for everybody else.")
    return said + [
        f"{genome.study.label_of(name)} was not tested: {why}." for name, why in genome.design.skipped.items()
    ]
