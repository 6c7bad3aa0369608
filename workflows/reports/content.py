"""The seam of the reports: all that a cohort report says, as plain frozen values.

The run fills these; the builders only lay them out. Nothing is computed from people here, so whatever
stands in a field has already been decided, rounded and released. Conventions:

* a field typed :data:`~workflows.reports.counts.Count` counts people or their records and is 0, ``'<10'``
  or at least 10 and rounded (use ``Disclosure.show``); counts of *variants* are plain integers;
* risks, frequencies and fractions are 0 to 1; dates are ISO strings; texts are plain words, never HTML;
* intervals are 95% unless a field says otherwise; ``None`` means "not available" and is said so in words;
* an empty tuple leaves its section out, and the report says that the study did not ask for it.

The patient's side of the seam is in :mod:`workflows.reports.patient_content` and importable from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from workflows.reports.counts import SUPPRESSED, Count, Disclosure
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
    "Disclosure",
    "Finding",
    "FlowStep",
    "GeneticResult",
    "Histogram",
    "InputFile",
    "InputValue",
    "IntakeRow",
    "Linkage",
    "Locus",
    "Metric",
    "NamedCount",
    "Note",
    "PatientContent",
    "PatientOutcome",
    "PcaGroup",
    "PcaMap",
    "PhenotypeSummary",
    "QcSummary",
    "Reason",
    "Receipts",
    "RejectReason",
    "Risk",
    "RiskModelSummary",
    "RiskResult",
    "ScoreGroup",
    "ScorePerformance",
    "TraitSummary",
    "Trust",
    "ValidationGroup",
    "VariantStep",
]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One key finding: the sentence a reader should remember, and what it rests on."""

    headline: str
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class NamedCount:
    """A labelled number of people or records, for example ``('National data opt-out', 1240)``."""

    label: str
    people: Count


@dataclass(frozen=True, kw_only=True)
class FlowStep:
    """One step of a flow of people. The first step of a flow has ``removed`` 0.

    ``remaining`` may be None where showing it would give ``removed`` away by subtraction.
    """

    label: str
    removed: Count
    remaining: Count | None
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class VariantStep:
    """One step of variant QC. Variants are not people: plain integers."""

    label: str
    threshold: str
    removed: int
    remaining: int


@dataclass(frozen=True, kw_only=True)
class RejectReason:
    """Why rows of a table were not accepted, and how many."""

    reason: str
    rows: Count


@dataclass(frozen=True, kw_only=True)
class IntakeRow:
    """One table of one source as it arrived."""

    source: str
    table: str
    read: Count
    accepted: Count
    rejected: Count
    reasons: tuple[RejectReason, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Linkage:
    """How the sources' records were brought together.

    ``by_method`` counts records (e.g. 'Valid NHS number', 'Probabilistic match', 'Single record').
    ``precision`` and ``recall`` are against a known truth, so only in synthetic regions.
    """

    records: Count
    people: Count
    by_method: tuple[NamedCount, ...] = ()
    precision: float | None = None
    recall: float | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class AgeSexCell:
    """Cases among people of one age band ('40-49') and one sex ('Women' or 'Men')."""

    age_band: str
    sex: str
    cases: Count
    people: Count


@dataclass(frozen=True, kw_only=True)
class PhenotypeSummary:
    """One disease: its definition in plain English and its counts at the index date or the data's end."""

    name: str
    label: str
    definition: str
    cases: Count
    controls: Count
    excluded: Count
    unknown: Count
    cells: tuple[AgeSexCell, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """A distribution already binned (see ``binning.histogram``): bins under 10 people are ``'<10'``.

    Attributes
    ----------
    label, unit
        What is measured ('Call rate of people', 'mmol/L').
    edges
        n + 1 bin edges.
    counts
        n counts.
    of
        ``'people'``, or ``'variants'``, whose counts need no hiding (then pass them as `variant_counts`).
    threshold, keep
        Where the QC threshold lies, and the side that is kept: ``'above'``, ``'below'`` or ``'between'``
        (then `threshold` is a pair).
    """

    label: str
    edges: tuple[float, ...]
    counts: tuple[Count, ...] = ()
    variant_counts: tuple[int, ...] = ()
    of: str = "people"
    unit: str = ""
    threshold: float | tuple[float, float] | None = None
    keep: str = "above"


@dataclass(frozen=True, kw_only=True)
class TraitSummary:
    """One measured trait among the study's people."""

    name: str
    label: str
    unit: str
    definition: str
    people: Count
    mean: float
    sd: float
    quartiles: tuple[float, float, float]
    rejected_unit: Count = 0
    rejected_implausible: Count = 0
    distribution: Histogram | None = None


@dataclass(frozen=True, kw_only=True)
class QcSummary:
    """Genotype quality control.

    ``relatives`` counts pairs by relation (e.g. 'Duplicates or twins', 'Parent and child or full siblings').
    """

    people_flow: tuple[FlowStep, ...]
    variant_flow: tuple[VariantStep, ...]
    distributions: tuple[Histogram, ...] = ()
    relatives: tuple[NamedCount, ...] = ()
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class PcaGroup:
    """People of one group on the PCA grid.

    ``cells`` are (column, row, people), none under 10 people. ``ellipse`` is (mean x, mean y, sd x, sd y,
    correlation) of a group of at least 10 people, None for a smaller one.
    """

    label: str
    people: Count
    cells: tuple[tuple[int, int, Count], ...]
    ellipse: tuple[float, float, float, float, float] | None = None


@dataclass(frozen=True, kw_only=True)
class PcaMap:
    """A grid over two principal components (see ``binning.pca_map``), with explained variance fractions."""

    x_label: str
    y_label: str
    x_edges: tuple[float, ...]
    y_edges: tuple[float, ...]
    groups: tuple[PcaGroup, ...]
    explained: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Locus:
    """A lead variant. ``effect`` is per copy of ``effect_allele``: trait units, or log odds for a disease."""

    variant: str
    chrom: str
    pos: int
    effect_allele: str
    other_allele: str
    frequency: float
    effect: float
    se: float
    log10_p: float
    nearby: str = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Association:
    """A genome-wide scan of one trait or disease.

    Attributes
    ----------
    kind
        ``'linear'`` (trait) or ``'logistic'`` (disease).
    chrom, pos, log10_p
        One entry a variant tested, in genomic order: str, int64, float64 (-log10 P; nan where not fitted).
    loci
        Lead variants, strongest first, one a locus.
    lambda_gc
        Genomic inflation; None lets the figure compute it from `log10_p`.
    not_fitted
        Variants with a status instead of an answer.
    """

    name: str
    label: str
    kind: str
    unit: str
    people: Count
    cases: Count | None
    controls: Count | None
    chrom: NDArray[np.str_] = field(repr=False)
    pos: NDArray[np.int64] = field(repr=False)
    log10_p: NDArray[np.float64] = field(repr=False)
    loci: tuple[Locus, ...] = ()
    lambda_gc: float | None = None
    not_fitted: int = 0
    model: str = ""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A measure with its 95% interval; ``meaning`` says in plain words how to read it."""

    label: str
    value: float
    low: float | None = None
    high: float | None = None
    meaning: str = ""
    digits: int = 2


@dataclass(frozen=True, kw_only=True)
class ScoreGroup:
    """People in one tenth of the score: disease frequency (0-1) or mean trait, with its interval."""

    label: str
    people: Count
    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class ScorePerformance:
    """A polygenic score, measured in people who had no part in making it.

    ``value_label`` names what `groups` show ('Frequency of type 2 diabetes', 'Mean LDL (mmol/L)'); fractions
    of people are drawn as percentages where ``as_percent`` is set. ``by_group`` holds the first metric again
    in ancestry, sex or deprivation groups (label, people, value, low, high).
    """

    name: str
    label: str
    trait: str
    variants_listed: int
    variants_used: int
    weight_used: float | None
    evaluated_in: str
    people: Count
    events: Count | None
    metrics: tuple[Metric, ...]
    value_label: str = ""
    as_percent: bool = False
    groups: tuple[ScoreGroup, ...] = ()
    by_group: tuple[ScoreGroup, ...] = ()
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Coefficient:
    """A factor of the risk model: hazard ratio per ``unit`` ('per 10 years', 'women against men')."""

    label: str
    unit: str
    hazard_ratio: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class CalibrationPoint:
    """A group of predicted risk: mean predicted and observed risk (0-1; Aalen-Johansen) with interval."""

    predicted: float
    observed: float
    low: float
    high: float
    people: Count


@dataclass(frozen=True, kw_only=True)
class RiskModelSummary:
    """An absolute-risk model with competing mortality, evaluated in untouched people.

    ``metrics`` are of the integrated model, ``clinical_metrics`` the same ones without the genetic score,
    in the same order, so that they stand side by side. ``groups`` is calibration in subgroups (observed over
    expected), as (label, people, value, low, high).
    """

    name: str
    label: str
    horizon_years: int
    fitted_in: Count
    fitted_events: Count
    evaluated_in: Count
    evaluated_events: Count
    competing_deaths: Count
    coefficients: tuple[Coefficient, ...]
    metrics: tuple[Metric, ...]
    clinical_metrics: tuple[Metric, ...] = ()
    calibration: tuple[CalibrationPoint, ...] = ()
    groups: tuple[ScoreGroup, ...] = ()
    note: str = ""


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
    bytes: int


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
    qc: QcSummary | None = None
    pca: PcaMap | None = None
    associations: tuple[Association, ...] = ()
    scores: tuple[ScorePerformance, ...] = ()
    risk_models: tuple[RiskModelSummary, ...] = ()
    truth: tuple[Metric, ...] = ()
    methods: tuple[Note, ...] = ()
    limits: tuple[str, ...] = ()
