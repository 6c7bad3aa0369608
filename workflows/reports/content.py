"""The seam of the reports: all that a cohort report says, as plain frozen values.

The run fills these; the builders only lay them out. Nothing is computed from people here, so whatever
stands in a field has already been decided, rounded and released. Conventions:

* a field typed :data:`~workflows.reports.counts.Count` counts people or their records and is 0, ``'<10'``
  or at least 10 and rounded (use ``Disclosure.show``); counts of *variants* are plain integers;
* risks, frequencies and fractions are 0 to 1; dates are ISO strings; texts are plain words, never HTML;
* intervals are 95% unless a field says otherwise; ``None`` means "not available" and is said so in words;
* where there is nothing to say the report has no section, nor a line of its contents.

The patient's side of the seam is in :mod:`workflows.reports.patient_content` and importable from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from workflows.reports.counts import SUPPRESSED, Count, Disclosure
from workflows.reports.genetic_content import (
    Association,
    CalibrationPoint,
    Coefficient,
    Density,
    DensityCell,
    Gene,
    Locus,
    Metric,
    PcaGroup,
    PcaMap,
    QcSummary,
    Region,
    RiskModelSummary,
    ScoreGroup,
    ScorePerformance,
    VariantCount,
    VariantStep,
)
from workflows.reports.patient_content import (
    Abstention,
    AverageRisk,
    Contribution,
    GeneticResult,
    InputValue,
    PatientContent,
    PatientOutcome,
    Reason,
    Risk,
    RiskResult,
    Trust,
    ValidationGroup,
)
from workflows.reports.people_content import (
    AgeSexCell,
    FlowStep,
    Histogram,
    IncidenceYear,
    IntakeRow,
    Linkage,
    LinkageGroup,
    NamedCount,
    OutcomeSummary,
    PhenotypeSummary,
    PrevalenceCell,
    RejectReason,
    TraitSummary,
)

__all__ = [
    "SUPPRESSED",
    "Abstention",
    "AgeSexCell",
    "Association",
    "AverageRisk",
    "CalibrationPoint",
    "Coefficient",
    "CohortContent",
    "Contribution",
    "Count",
    "Density",
    "DensityCell",
    "Disclosure",
    "Finding",
    "FlowStep",
    "Gene",
    "GeneticResult",
    "Histogram",
    "IncidenceYear",
    "InputFile",
    "InputValue",
    "IntakeRow",
    "Linkage",
    "LinkageGroup",
    "Locus",
    "Metric",
    "NamedCount",
    "Note",
    "OutcomeSummary",
    "PatientContent",
    "PatientOutcome",
    "PcaGroup",
    "PcaMap",
    "PhenotypeSummary",
    "PrevalenceCell",
    "QcSummary",
    "Reason",
    "Receipts",
    "Region",
    "RejectReason",
    "Risk",
    "RiskModelSummary",
    "RiskResult",
    "ScoreGroup",
    "ScorePerformance",
    "TraitSummary",
    "Trust",
    "ValidationGroup",
    "VariantCount",
    "VariantStep",
]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One key finding: the sentence a reader should remember, and what it rests on."""

    headline: str
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Note:
    """A heading with paragraphs: a method, a limit, a definition."""

    heading: str
    paragraphs: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class InputFile:
    """A file the run read, by name within the study (never a path of the machine)."""

    name: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Receipts:
    """What is needed to make the same numbers again."""

    run_id: str
    version: str
    seed: int
    study_sha256: str
    inputs: tuple[InputFile, ...] = ()
    software: Mapping[str, str] = field(default_factory=dict)
    manifest_sha256: str = ""


@dataclass(frozen=True, kw_only=True)
class CohortContent:
    """All that a cohort report says, in reading order.

    Attributes
    ----------
    title, created, index_date
        Title of the study, ISO dates of the run and of the index date.
    lay_summary
        Two to four short paragraphs a member of the public can read.
    data_use
        On what terms the data were used, who may see this page, what was never used.
    findings
        Three to six key findings, most important first.
    synthetic
        True where no person is real; the report says so at the top.
    objections
        People taken out before anything else, by reason (opt-outs, withdrawals).
    attrition
        From everyone linked to the study population, then to those genotyped.
    pca, pca_more
        The first two principal components, and further pairs.
    risk_note
        Why a risk that the study declares is not among `risk_models`.
    truth
        Metrics against the planted truth; synthetic regions only.
    """

    title: str
    created: str
    index_date: str
    lay_summary: tuple[str, ...]
    data_use: tuple[str, ...]
    findings: tuple[Finding, ...]
    receipts: Receipts
    disclosure: Disclosure = field(default_factory=Disclosure)
    synthetic: bool = False
    intake: tuple[IntakeRow, ...] = ()
    linkage: Linkage | None = None
    objections: tuple[NamedCount, ...] = ()
    attrition: tuple[FlowStep, ...] = ()
    phenotypes: tuple[PhenotypeSummary, ...] = ()
    traits: tuple[TraitSummary, ...] = ()
    exposures: tuple[TraitSummary, ...] = ()
    outcomes: tuple[OutcomeSummary, ...] = ()
    qc: QcSummary | None = None
    pca: PcaMap | None = None
    pca_more: tuple[PcaMap, ...] = ()
    associations: tuple[Association, ...] = ()
    scores: tuple[ScorePerformance, ...] = ()
    risk_models: tuple[RiskModelSummary, ...] = ()
    risk_note: str = ""
    truth: tuple[Metric, ...] = ()
    methods: tuple[Note, ...] = ()
    limits: tuple[str, ...] = ()
