"""From findings to what the cohort report says. Every number of people passes the release rule on the way."""

from __future__ import annotations

from dataclasses import replace

from workflows.figures.genes import read_genes
from workflows.findings import Findings, GenomeFindings, Receipt, RecordsFindings
from workflows.frames import each_row
from workflows.genome_content import association, genome_findings, genotyped_steps, risk_note
from workflows.methods import limits, methods
from workflows.quality_content import ancestry_maps, quality_summary
from workflows.records_content import (
    attrition,
    exposure_summaries,
    intake_rows,
    linkage_summary,
    number,
    objections,
    outcome_summaries,
    phenotype_summary,
    trait_summaries,
)
from workflows.reports.content import CohortContent, Disclosure, Finding, InputFile, Receipts
from workflows.score_content import risk_summaries, score_summaries

MOST_NAMED = 3


def cohort_content(findings: Findings, receipt: Receipt) -> CohortContent:
    """All that the cohort report of a run says."""
    rule = Disclosure()
    content = _of_records(findings, receipt, rule)
    return content if findings.genome is None else _with_genome(content, findings.genome, rule)


def _of_records(findings: Findings, receipt: Receipt, rule: Disclosure) -> CohortContent:
    records = findings.records
    about, use, linked = records.study.study, records.study.data_use, records.linked
    return CohortContent(
        title=about.title,
        created=receipt.finished[:10],
        index_date=about.index_date.isoformat(),
        synthetic=about.synthetic,
        lay_summary=tuple(part.strip() for part in about.summary.split("\n\n") if part.strip()),
        data_use=(
            f"Purpose: {use.purpose}",
            f"Public benefit: {use.public_benefit}",
            f"Legal basis: {use.legal_basis}",
            f"Controller: {use.controller}. Contact: {use.contact}.",
            f"Objections: {use.opt_out}",
        ),
        disclosure=rule,
        findings=_records_findings(records, rule),
        intake=intake_rows(linked.intake, rule),
        linkage=linkage_summary(linked.links, rule),
        objections=objections(linked.consent, rule),
        attrition=attrition(records, rule),
        phenotypes=tuple(phenotype_summary(records, name, rule) for name in records.study.phenotypes),
        traits=tuple(trait_summaries(records, rule)),
        exposures=tuple(exposure_summaries(records, rule)),
        outcomes=tuple(outcome_summaries(records)),
        methods=methods(findings),
        limits=limits(findings),
        receipts=Receipts(
            run_id=receipt.run_id,
            version=receipt.version,
            seed=about.seed,
            study_sha256=receipt.study_sha256,
            inputs=tuple(InputFile(name=name, sha256=digest) for name, (_, digest) in receipt.inputs.items()),
            software=software(),
        ),
    )


def _with_genome(content: CohortContent, genome: GenomeFindings, rule: Disclosure) -> CohortContent:
    maps = ancestry_maps(genome, rule)
    genes = None if genome.study.genes is None else read_genes(genome.study.genes)
    return replace(
        content,
        findings=genome_findings(genome, rule),
        attrition=content.attrition + genotyped_steps(genome, rule),
        qc=quality_summary(genome, rule),
        pca=maps[0] if maps else None,
        pca_more=maps[1:],
        associations=tuple(association(genome, trait, rule, genes) for trait in genome.stats),
        scores=score_summaries(genome, rule),
        risk_models=risk_summaries(genome, rule),
        risk_note=risk_note(genome),
    )


def software() -> dict[str, str]:
    """Versions of the packages that the numbers depend on."""
    from importlib.metadata import version
    from platform import python_version

    names = ("numpy", "scipy", "pandas", "numba", "statsmodels", "duckdb", "ibis-framework", "splink")
    return {"python": python_version(), **{name: version(name) for name in names}}


def _records_findings(records: RecordsFindings, rule: Disclosure) -> tuple[Finding, ...]:
    """The sentences to remember of a study of records alone."""
    people = rule.show(len(records.people.persons))
    made = [
        Finding(
            headline=f"{people:,} people were studied."
            if isinstance(people, int)
            else "The study is too small to give its size."
        )
    ]
    shares = [
        (share, records.study.label_of(str(row.phenotype)))
        for row in each_row(records.frequency.overall)
        if (share := number(row.prevalence)) is not None
    ]
    if shares:
        share, label = max(shares)
        others = sorted(shares, reverse=True)[1:MOST_NAMED]
        made.append(
            Finding(
                headline=f"{label} was the most common of {len(shares)} diseases: {share:.1%} had it on the index date."
                if others
                else f"{share:.1%} had {label} on the index date.",
                detail=", ".join(f"{other} {part:.1%}" for part, other in others) + "." if others else "",
            )
        )
    return tuple(made)
