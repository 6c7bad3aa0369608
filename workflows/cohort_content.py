"""From findings to what the cohort report says. Every number of people passes the release rule here."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from gwas.genotypes import Genotypes
from phenotypes.plain_english import explain
from workflows.figures.genes import Genes, read_genes
from workflows.findings import Findings, Receipt
from workflows.frames import cell, each_row, row_of
from workflows.methods import limits, methods
from workflows.prediction import Prediction
from workflows.quality_content import ancestry_maps, quality_summary, sentence
from workflows.region_content import regions
from workflows.release import released_cell, released_loci
from workflows.reports.binning import histogram
from workflows.reports.content import (
    SUPPRESSED,
    AgeSexCell,
    Association,
    CohortContent,
    Count,
    Disclosure,
    Finding,
    FlowStep,
    InputFile,
    IntakeRow,
    Linkage,
    LinkageGroup,
    Locus,
    NamedCount,
    PhenotypeSummary,
    Receipts,
    RejectReason,
    TraitSummary,
)
from workflows.results import loci
from workflows.score_content import risk_summaries, score_summaries

AGE_BANDS = ((18, 39), (40, 49), (50, 59), (60, 69), (70, 79), (80, 120))
SEXES = ((0.0, "Women"), (1.0, "Men"))
LOCI_SHOWN = 12


def cohort_content(findings: Findings, receipt: Receipt) -> CohortContent:
    """All that the cohort report of a run says."""
    about, use = findings.study.study, findings.study.data_use
    rule = Disclosure()
    maps = ancestry_maps(findings, rule)
    genes = None if findings.study.genes is None else read_genes(findings.study.genes)
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
        findings=_key_findings(findings, rule),
        intake=_intake(findings, rule),
        linkage=_linkage(findings, rule),
        objections=tuple(
            NamedCount(label=sentence(row.reason), people=rule.show(int(row.people)))
            for row in each_row(findings.consent.counts)
        )
        + tuple(
            NamedCount(label=sentence(str(note)), people=rule.show(int(count)))
            for note, count in findings.consent.notes[["note", "count"]].to_numpy()
        ),
        attrition=_attrition(findings, rule),
        phenotypes=tuple(_phenotype(findings, name, rule) for name in findings.study.phenotypes),
        traits=tuple(_traits(findings, rule)),
        qc=quality_summary(findings, rule),
        pca=maps[0] if maps else None,
        pca_more=maps[1:],
        associations=tuple(_association(findings, trait, rule, genes) for trait in findings.stats),
        scores=score_summaries(findings, rule),
        risk_models=risk_summaries(findings, rule),
        risk_note=_risk_note(findings),
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


def software() -> dict[str, str]:
    """Versions of the packages that the numbers depend on."""
    from importlib.metadata import version
    from platform import python_version

    names = ("numpy", "scipy", "pandas", "numba", "statsmodels", "duckdb", "ibis-framework", "splink")
    return {"python": python_version(), **{name: version(name) for name in names}}


def _key_findings(findings: Findings, rule: Disclosure) -> tuple[Finding, ...]:
    people = rule.show(len(findings.people.persons))
    kept = rule.show(findings.kept.genotypes.n_samples)
    made = [
        Finding(
            headline=f"{people:,} people were studied, {kept:,} of them with genotypes."
            if isinstance(people, int) and isinstance(kept, int)
            else "The study is too small to give its size.",
            detail=f"{findings.kept.genotypes.n_variants:,} variants passed quality control; "
            f"{len(findings.stats)} diseases and measurements were tested against each.",
        )
    ]
    table = released_loci(loci(findings))
    if len(table):
        counted = table["TRAIT"].value_counts()
        named = ", ".join(f"{findings.study.label_of(str(t))} ({n})" for t, n in counted.items())
        made.append(
            Finding(
                headline=f"{len(table)} loci go with a disease or a measurement at P below 5e-8.",
                detail=f"{named}.",
            )
        )
    else:
        made.append(Finding(headline="No locus goes with a disease or a measurement at P below 5e-8."))
    for prediction in findings.predictions:
        made.append(_risk_finding(prediction))
    return tuple(made)


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
        clear = gain["low"] > 0 or gain["high"] < 0
        detail = (
            f"The polygenic score changed the C-index by {gain['difference']:+.3f} ({gain['low']:+.3f} to "
            f"{gain['high']:+.3f}){'' if clear else ', which may be chance'}."
        )
    if prediction.reason:
        detail += f" No risk with the score is told to anyone. {prediction.reason}."
    return Finding(headline=headline, detail=detail)


def _risk_note(findings: Findings) -> str:
    """Why a declared risk is not in the report."""
    return " ".join(
        f"{prediction.label[:1].upper()}{prediction.label[1:]}: {prediction.clinical_reason}."
        for prediction in findings.predictions
        if prediction.clinical_reason
    )


def _intake(findings: Findings, rule: Disclosure) -> tuple[IntakeRow, ...]:
    rejects = findings.intake.rejects
    rows = []
    for row in each_row(findings.intake.counts):
        mine = rejects[(rejects["source"] == row.source) & (rejects["table"] == row.table)]
        rows.append(
            IntakeRow(
                source=str(row.source),
                table=str(row.table),
                read=rule.show(int(row.read)),
                accepted=rule.show(int(row.accepted)),
                rejected=rule.show(int(row.rejected)),
                reasons=tuple(
                    RejectReason(reason=str(reason), rows=rule.show(int(n)))
                    for reason, n in zip(mine["reason"], mine["rows"], strict=True)
                ),
            )
        )
    return tuple(rows)


def _linkage(findings: Findings, rule: Disclosure) -> Linkage:
    summary = row_of(findings.links.summary.set_index("source"), "all")
    return Linkage(
        records=rule.show(int(summary["records"])),
        people=rule.show(int(summary["entities"])),
        by_method=(
            NamedCount(
                label="Valid NHS number, with agreement, or a clerk's word",
                people=rule.show(int(summary["nhs"] + summary["clerical"])),
            ),
            NamedCount(label="Probable match (Splink)", people=rule.show(int(summary["splink"]))),
            NamedCount(label="Only record of the person", people=rule.show(int(summary["single"]))),
        ),
        note=f"Probable matches were accepted from a match probability of {findings.links.threshold:g}.",
        by_group=tuple(_linkage_groups(findings.links.quality, rule)),
    )


GROUPED_BY = {
    "age": "Age",
    "sex": "Sex",
    "deprivation": "Deprivation decile, 1 most deprived",
    "ethnicity": "Ethnicity",
}
FEWEST_JUDGED = 100


def _linkage_groups(quality: pd.DataFrame, rule: Disclosure) -> Iterable[LinkageGroup]:
    """How each group fared; what is recorded of nobody is left out, and a share of few records is not given."""
    for by, rows in quality.groupby("by", sort=False):
        if len(rows) < 2:
            continue
        shown = {name: _shielded(rows[name], rule) for name in ("records", "linked", "probable")}
        doubtful = (rows["expected_wrong"] + rows["expected_missed"]) / rows["records"]
        for at, group in enumerate(rows["group"]):
            yield LinkageGroup(
                by=GROUPED_BY[str(by)],
                group={"F": "Women", "M": "Men"}.get(group, str(group)),
                records=shown["records"][at],
                linked=shown["linked"][at],
                probable=shown["probable"][at],
                doubtful=round(float(doubtful.iloc[at]), 3)
                if rows["records"].iloc[at] >= FEWEST_JUDGED
                else None,
            )


def _shielded(counts: pd.Series, rule: Disclosure) -> list[Count]:
    """Cells of a column whose total is shown: a single hidden one takes the next smallest with it."""
    cells: list[Count] = [released_cell(int(count), rule) for count in counts]
    if cells.count(SUPPRESSED) == 1:
        order = np.argsort(counts.to_numpy(), kind="stable")
        cells[next(int(k) for k in order if cells[k] != SUPPRESSED)] = SUPPRESSED
    return cells


def _attrition(findings: Findings, rule: Disclosure) -> tuple[FlowStep, ...]:
    table = findings.people.attrition
    steps = [
        FlowStep(
            label="Everyone linked, after objections" if number == 0 else sentence(str(row.step)),
            removed=rule.show(int(row.removed)),
            remaining=rule.show(int(row.remaining)),
        )
        for number, row in enumerate(each_row(table))
    ]
    genotyped = findings.joined.person_id.nunique()
    analysed = findings.kept.person_id.nunique()
    population = len(findings.people.persons)
    steps.append(
        FlowStep(
            label="Genotyped",
            removed=rule.show(population - genotyped),
            remaining=rule.show(genotyped),
            why="no sample in the genotype file",
        )
    )
    steps.append(
        FlowStep(
            label="Passed genotype quality control",
            removed=rule.show(genotyped - analysed),
            remaining=rule.show(analysed),
        )
    )
    return tuple(steps)


def _phenotype(findings: Findings, name: str, rule: Disclosure) -> PhenotypeSummary:
    counts = findings.derived.statuses_of(name)["status"].value_counts()
    values, table = findings.table[name], findings.table
    cells = []
    for youngest, oldest in AGE_BANDS:
        for code, sex in SEXES:
            here = values[table["age"].between(youngest, oldest) & (table["sex"] == code)]
            label = f"{youngest}-{oldest}" if oldest < 120 else f"{youngest}+"
            cells.append(
                AgeSexCell(
                    age_band=label,
                    sex=sex,
                    cases=released_cell(int((here == 1).sum()), rule),
                    people=released_cell(int(here.notna().sum()), rule),
                )
            )
    spec = findings.study.phenotypes[name]
    return PhenotypeSummary(
        name=name,
        label=spec.label,
        definition=explain(spec.build(findings.codelists, name)),
        cells=tuple(cells),
        **{f"{s}s" if s in ("case", "control") else s: rule.show(int(counts.get(s, 0))) for s in
           ("case", "control", "excluded", "unknown")},
    )  # fmt: skip


def _traits(findings: Findings, rule: Disclosure) -> Iterable[TraitSummary]:
    quality = findings.derived.diagnostics.traits.set_index("column")
    for name, spec in findings.study.traits.items():
        if spec.kind != "number":
            continue
        values = findings.table[name].dropna().to_numpy()
        if len(values) < rule.smallest_shown:
            continue
        low, middle, high = (float(q) for q in np.quantile(values, [0.25, 0.5, 0.75]))
        yield TraitSummary(
            name=name,
            label=spec.label,
            unit=spec.unit,
            definition=explain(spec.build(findings.codelists, name)),
            people=rule.show(len(values)),
            mean=float(values.mean()),
            sd=float(values.std(ddof=1)),
            quartiles=(low, middle, high),
            rejected_unit=rule.show(int(cell(quality, name, "unknown_unit"))),
            rejected_implausible=rule.show(int(cell(quality, name, "implausible"))),
            distribution=histogram(values, label=spec.label, unit=spec.unit, disclosure=rule),
        )


def _association(findings: Findings, trait: str, rule: Disclosure, genes: Genes | None) -> Association:
    stats = findings.stats[trait]
    frame = stats.frame
    kept = next(t for t in findings.design.traits if t.name == trait)
    values = kept.values[findings.design.mask(kept)]
    disease = kept.kind == "binary"
    shown = released_loci(loci(findings).query("TRAIT == @trait")).head(LOCI_SHOWN)
    spec = None if disease else findings.study.traits[trait]
    return Association(
        name=trait,
        label=findings.study.label_of(trait),
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
        regions=() if genes is None else regions(frame, shown, _analysed(findings), genes),
        lambda_gc=stats.lambda_gc,
        not_fitted=int((frame["ERRCODE"] != ".").sum()),
        model="(score test, refitted by Firth's method where P is below 0.05)" if disease else "",
    )


def _analysed(findings: Findings) -> Genotypes:
    """Genotypes of the people in whom associations were found."""
    rows = findings.kept.person_id.index.isin(findings.design.samples)
    return findings.kept.genotypes.select(samples=np.flatnonzero(rows))
