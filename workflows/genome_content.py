"""What the cohort report says of samples, associations and risk, beside quality and scores."""

from __future__ import annotations

import numpy as np

from gwas.genotypes import Genotypes
from workflows.figures.genes import Genes
from workflows.findings import GenomeFindings
from workflows.frames import row_of
from workflows.prediction import Prediction, may_be_chance
from workflows.region_content import regions
from workflows.release import released_loci
from workflows.reports.content import Association, Disclosure, Finding, FlowStep, Locus
from workflows.results import loci

LOCI_SHOWN = 12


def genome_findings(genome: GenomeFindings, rule: Disclosure) -> tuple[Finding, ...]:
    """The sentences to remember: people and variants, loci, risks."""
    people = rule.show(len(genome.records.people.persons))
    kept = rule.show(genome.kept.genotypes.n_samples)
    made = [
        Finding(
            headline=f"{people:,} people were studied, {kept:,} of them with genotypes."
            if isinstance(people, int) and isinstance(kept, int)
            else "The study is too small to give its size.",
            detail=f"{genome.kept.genotypes.n_variants:,} variants passed quality control; "
            f"{len(genome.stats)} diseases and measurements were tested against each.",
        )
    ]
    table = released_loci(loci(genome))
    if len(table):
        counted = table["TRAIT"].value_counts()
        named = ", ".join(f"{genome.study.label_of(str(t))} ({n})" for t, n in counted.items())
        made.append(
            Finding(
                headline=f"{len(table)} loci go with a disease or a measurement at P below 5e-8.",
                detail=f"{named}.",
            )
        )
    else:
        made.append(Finding(headline="No locus goes with a disease or a measurement at P below 5e-8."))
    return (*made, *(_risk_finding(prediction) for prediction in genome.predictions))


def _risk_finding(prediction: Prediction) -> Finding:
    evaluation = prediction.evaluation
    if evaluation is None or evaluation.status != "evaluated":
        return Finding(headline=f"No risk of {prediction.label} is given.", detail=prediction.reason)
    c, low, high = evaluation.interval("c_index")
    slope, least, most = evaluation.interval("calibration_slope")
    headline = (
        f"Risk of {prediction.label} over {prediction.horizon:g} years: C-index {c:.2f} ({low:.2f} to {high:.2f}), "
        f"calibration slope {slope:.2f} ({least:.2f} to {most:.2f}) in people the model had not seen."
    )
    detail = ""
    if len(prediction.compared):
        gain = row_of(prediction.compared, "c_index")
        detail = (
            f"The polygenic score changed the C-index by {gain['difference']:+.3f} ({gain['low']:+.3f} to "
            f"{gain['high']:+.3f}){', which may be chance' if may_be_chance(prediction.compared) else ''}."
        )
    if prediction.reason:
        detail += f" No risk with the score is told to anyone. {prediction.reason}."
    return Finding(headline=headline, detail=detail)


def risk_note(genome: GenomeFindings) -> str:
    """Why a declared risk is not in the report."""
    return " ".join(
        f"{prediction.label[:1].upper()}{prediction.label[1:]}: {prediction.clinical_reason}."
        for prediction in genome.predictions
        if prediction.clinical_reason
    )


def genotyped_steps(genome: GenomeFindings, rule: Disclosure) -> tuple[FlowStep, ...]:
    """From the study population to those whose genotypes were analysed."""
    population = len(genome.records.people.persons)
    genotyped = genome.joined.person_id.nunique()
    analysed = genome.kept.person_id.nunique()
    return (
        FlowStep(
            label="Genotyped",
            removed=rule.show(population - genotyped),
            remaining=rule.show(genotyped),
            why="no sample in the genotype file",
        ),
        FlowStep(
            label="Passed genotype quality control",
            removed=rule.show(genotyped - analysed),
            remaining=rule.show(analysed),
        ),
    )


def association(genome: GenomeFindings, trait: str, rule: Disclosure, genes: Genes | None) -> Association:
    """One trait against every variant."""
    stats = genome.stats[trait]
    frame = stats.frame
    kept = next(t for t in genome.design.traits if t.name == trait)
    values = kept.values[genome.design.mask(kept)]
    disease = kept.kind == "binary"
    shown = released_loci(loci(genome).query("TRAIT == @trait")).head(LOCI_SHOWN)
    spec = None if disease else genome.study.traits[trait]
    return Association(
        name=trait,
        label=genome.study.label_of(trait),
        kind="logistic" if disease else "linear",
        unit="log odds" if disease else getattr(spec, "unit", ""),
        people=rule.show(len(values)),
        cases=rule.show(int(values.sum())) if disease else None,
        controls=rule.show(int((values == 0).sum())) if disease else None,
        chrom=frame["#CHROM"].to_numpy(dtype=str),
        pos=frame["POS"].to_numpy(dtype=np.int64),
        log10_p=frame["LOG10_P"].to_numpy(dtype=float),
        loci=tuple(
            Locus(
                variant=str(row["ID"]),
                chrom=str(row["#CHROM"]),
                pos=int(row["POS"]),
                effect_allele=str(row["A1"]),
                other_allele=str(row["REF"]),
                frequency=round(float(row["A1_FREQ"]), 3),
                effect=float(row["BETA"]),
                se=float(row["SE"]),
                log10_p=float(row["LOG10_P"]),
                nearby="" if genes is None else genes.nearest(str(row["#CHROM"]), int(row["POS"])),
            )
            for _, row in shown.iterrows()
        ),
        regions=() if genes is None else regions(frame, shown, _analysed(genome), genes),
        lambda_gc=stats.lambda_gc,
        not_fitted=int((frame["ERRCODE"] != ".").sum()),
        model="(score test, refitted by Firth's method where P is below 0.05)" if disease else "",
    )


def _analysed(genome: GenomeFindings) -> Genotypes:
    """Genotypes of the people in whom associations were found."""
    rows = genome.kept.person_id.index.isin(genome.design.samples)
    return genome.kept.genotypes.select(samples=np.flatnonzero(rows))
