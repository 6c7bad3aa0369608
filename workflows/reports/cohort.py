"""The cohort report: what the study found, on whom, by which methods and with what receipts.

One HTML page for researchers, open to the public. Aggregate only: every count of people is checked again
here before a line is written.
"""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from gwas.sumstats import lambda_gc
from workflows.reports.content import SUPPRESSED, CohortContent, FlowStep, PhenotypeSummary, VariantStep
from workflows.reports.counts import require_shown
from workflows.reports.frequency_figures import incidence_figure, prevalence_figure
from workflows.reports.genome_figures import manhattan_figure, qq_figure, regional_figure
from workflows.reports.identifiers import require_no_identifier
from workflows.reports.margins import require_no_subtraction
from workflows.reports.page import fingerprint, render
from workflows.reports.people_figures import histogram_figure, pca_figure, pyramid_figure
from workflows.reports.quality_figures import density_figure, hardy_weinberg_figure
from workflows.reports.score_figures import calibration_figure, groups_figure, hazards_figure, tenths_figure

SECTIONS = (
    ("findings", "Key findings"),
    ("people", "Who is in the study"),
    ("phenotypes", "Diseases and measurements"),
    ("genotypes", "Genotypes and their quality"),
    ("associations", "What goes with what"),
    ("scores", "Polygenic scores"),
    ("risk", "Absolute risk"),
    ("methods", "Methods in words"),
    ("limits", "Limits"),
    ("receipts", "Receipts"),
)


def build_cohort_report(content: CohortContent) -> str:
    """The cohort report as one HTML page that needs nothing else.

    Parameters
    ----------
    content
        What the report says, already released.

    Returns
    -------
    str
        HTML with inline SVG and style; no scripts, no links outside itself. The same content gives the same
        bytes.

    Raises
    ------
    PrivacyError
        A count of people between 1 and 9, or an unrounded one, or one that follows by subtraction, or an
        NHS number or postcode stands in the content.

    Examples
    --------
    >>> from workflows.reports.content import Receipts
    >>> page = build_cohort_report(CohortContent(
    ...     title="A study", created="2024-03-01", index_date="2012-01-01", lay_summary=("Short.",),
    ...     data_use=("Synthetic.",), findings=(), receipts=Receipts(
    ...         run_id="r1", version="0.1.0", seed=1, study_sha256="00")))
    >>> page.startswith("<!DOCTYPE html>"), "<script" in page
    (True, False)
    """
    require_shown(content, disclosure=content.disclosure)
    require_no_subtraction(content)
    require_no_identifier(content)
    figures = _figures(content)
    return render(
        "cohort.html.j2",
        sheets=("style.css", "cohort.css"),
        study=content,
        sections=tuple((key, label) for key, label in SECTIONS if _says(content, key)),
        figures=figures,
        frequent=[
            phenotype
            for phenotype in content.phenotypes
            if {f"prevalence-{phenotype.name}", f"incidence-{phenotype.name}"} & set(figures)
        ],
        inflation={
            scan.name: scan.lambda_gc if scan.lambda_gc is not None else lambda_gc(scan.log10_p)
            for scan in content.associations
        },
        shares=_shares,
        variant_shares=_variant_shares,
        bands=_bands,
        cell=_cells,
        fingerprint=fingerprint(content),
    )


def _says(content: CohortContent, section: str) -> bool:
    """Whether the study has something to say in a section."""
    needs: Mapping[str, tuple[object, ...]] = {
        "findings": (content.findings, content.truth),
        "people": (content.intake, content.linkage, content.attrition),
        "phenotypes": (content.phenotypes, content.traits, content.exposures, content.outcomes),
        "genotypes": (content.qc, content.pca),
        "associations": (content.associations,),
        "scores": (content.scores,),
        "risk": (content.risk_models, content.risk_note),
    }
    return any(needs.get(section, (True,)))


def _figures(content: CohortContent) -> Mapping[str, Markup]:
    """Every picture by name; what the study lacks has none."""
    figures: dict[str, Markup] = {}
    largest = round(1.06 * max((_most(phenotype) for phenotype in content.phenotypes), default=10))
    for phenotype in content.phenotypes:
        if phenotype.cells:
            figures[f"ages-{phenotype.name}"] = pyramid_figure(phenotype, largest=largest)
        if any(cell.share is not None for cell in phenotype.prevalence):
            figures[f"prevalence-{phenotype.name}"] = prevalence_figure(phenotype)
        if any(year.rate is not None for year in phenotype.incidence):
            figures[f"incidence-{phenotype.name}"] = incidence_figure(phenotype)
    for trait in (*content.traits, *content.exposures):
        if trait.distribution is not None:
            name = f"trait-{trait.name}"
            figures[name] = histogram_figure(trait.distribution, name=name)
    if content.qc is not None:
        for at, distribution in enumerate(content.qc.distributions):
            figures[f"qc-{at}"] = histogram_figure(distribution, name=f"qc-{at}")
        for density in content.qc.densities:
            figures[f"density-{density.name}"] = density_figure(density)
        if content.qc.hwe_log10_p is not None:
            figures["hardy-weinberg"] = hardy_weinberg_figure(
                content.qc.hwe_log10_p, limit=content.qc.hwe_limit
            )
    if content.pca is not None:
        figures["pca"] = pca_figure(content.pca)
    for at, pair in enumerate(content.pca_more):
        figures[f"pca-{at}"] = pca_figure(pair, name=f"pca-{at}", width=3.6, height=2.9)
    for scan in content.associations:
        figures[f"manhattan-{scan.name}"] = manhattan_figure(scan)
        figures[f"qq-{scan.name}"] = qq_figure(scan)
        for at, region in enumerate(scan.regions):
            figures[f"region-{scan.name}-{at}"] = regional_figure(region, name=f"region-{scan.name}-{at}")
    for score in content.scores:
        if score.groups:
            figures[f"tenths-{score.name}"] = tenths_figure(score)
        if score.by_group:
            figures[f"groups-{score.name}"] = groups_figure(
                score.by_group,
                name=f"groups-{score.name}",
                title=f"{score.label} by group of people",
                label=score.metrics[0].label if score.metrics else "",
                line=score.metrics[0].value if score.metrics else None,
            )
    for model in content.risk_models:
        figures[f"hazards-{model.name}"] = hazards_figure(model)
        if model.calibration:
            figures[f"calibration-{model.name}"] = calibration_figure(model)
        if model.groups:
            figures[f"risk-groups-{model.name}"] = groups_figure(
                model.groups,
                name=f"risk-groups-{model.name}",
                title=f"Observed over expected risk of {model.label} by group of people",
                label="Observed over expected (1 is ideal)",
                line=1.0,
            )
    return figures


def _most(phenotype: PhenotypeSummary) -> int:
    return max((cell.cases for cell in phenotype.cells if isinstance(cell.cases, int)), default=10)


def _shares(steps: tuple[FlowStep, ...]) -> list[float]:
    """Part of the first step still there at each, in percent; 0 where it is not shown."""
    first = steps[0].remaining if steps else None
    whole = first if isinstance(first, int) and first > 0 else 1
    return [100 * s.remaining / whole if isinstance(s.remaining, int) else 0.0 for s in steps]


def _variant_shares(steps: tuple[VariantStep, ...]) -> list[float]:
    whole = max(steps[0].remaining, 1) if steps else 1
    return [100 * step.remaining / whole for step in steps]


def _bands(phenotype: PhenotypeSummary) -> list[str]:
    return list(dict.fromkeys(cell.age_band for cell in phenotype.cells))


def _cells(phenotype: PhenotypeSummary, band: str, sex: str) -> str:
    """'12 of 340' for the table under a figure; an empty cell where the study has no such people."""
    for cell in phenotype.cells:
        if cell.age_band == band and cell.sex == sex:
            shown = ["under 10" if n == SUPPRESSED else f"{n:,}" for n in (cell.cases, cell.people)]
            return " of ".join(shown)
    return ""
