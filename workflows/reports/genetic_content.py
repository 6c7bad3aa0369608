"""The genetic part of the cohort report's seam: quality, structure, scans, scores and risk models.

The conventions are those of :mod:`workflows.reports.content`, where all of it is importable from.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from workflows.reports.counts import Count
from workflows.reports.people_content import FlowStep, Histogram, NamedCount


@dataclass(frozen=True, kw_only=True)
class VariantStep:
    """One step of variant QC. Variants are not people: plain integers."""

    label: str
    threshold: str
    removed: int
    remaining: int


@dataclass(frozen=True, kw_only=True)
class DensityCell:
    """A rectangle of a :class:`Density` and how many people or pairs (at least 10) or variants lie in it."""

    left: float
    right: float
    bottom: float
    top: float
    people: Count = 0
    variants: int = 0


@dataclass(frozen=True, kw_only=True)
class Density:
    """A scatter without its points (see ``binning.density`` and ``binning.variant_density``).

    Attributes
    ----------
    name, label, x_label, y_label
        Short name unique among the densities; title; axes.
    of
        ``'people'``, ``'pairs of people'`` or ``'variants'``.
    cells
        Small cells where many are, larger ones where few are; none holds 1 to 9 people or pairs.
    left_out
        People or pairs in no cell.
    x_lines, y_lines
        Thresholds: where, and what to write there.
    band
        Draws y = x and the lines this far from it; None draws none.
    """

    name: str
    label: str
    x_label: str
    y_label: str
    of: str
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    cells: tuple[DensityCell, ...]
    left_out: Count = 0
    x_lines: tuple[tuple[float, str], ...] = ()
    y_lines: tuple[tuple[float, str], ...] = ()
    band: float | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class VariantCount:
    """A labelled number of variants."""

    label: str
    variants: int


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A measure with its 95% interval; ``meaning`` says in plain words how to read it."""

    label: str
    value: float
    low: float | None = None
    high: float | None = None
    meaning: str = ""
    digits: int = 2


@dataclass(frozen=True, kw_only=True, eq=False)
class QcSummary:
    """Genotype quality control.

    Attributes
    ----------
    relatives
        Pairs by relation (e.g. 'Duplicates or twins', 'Parent and child or full siblings').
    densities
        Heterozygosity against missing calls, kinship against IBS0, frequencies against a reference.
    hwe_log10_p, hwe_limit
        -log10 P of the Hardy-Weinberg tests of all variants tested, float64 (m,); the threshold.
    checks
        Of the whole set: transitions over transversions.
    reference
        Variants by what became of them beside the reference.
    """

    people_flow: tuple[FlowStep, ...]
    variant_flow: tuple[VariantStep, ...]
    distributions: tuple[Histogram, ...] = ()
    relatives: tuple[NamedCount, ...] = ()
    densities: tuple[Density, ...] = ()
    hwe_log10_p: NDArray[np.float64] | None = field(default=None, repr=False)
    hwe_limit: float | None = None
    checks: tuple[Metric, ...] = ()
    reference: tuple[VariantCount, ...] = ()
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


@dataclass(frozen=True, kw_only=True)
class Gene:
    """A gene of a region: bases from 1, both included; ``exons`` empty where the file tells none."""

    name: str
    start: int
    end: int
    strand: str
    exons: tuple[tuple[int, int], ...] = ()
    coding: bool = True


@dataclass(frozen=True, kw_only=True, eq=False)
class Region:
    """The surroundings of a lead variant.

    Attributes
    ----------
    lead
        Name of the lead variant.
    chrom, start, stop
        What is shown, bases from 1.
    variant, pos, log10_p, r2
        One entry a variant: str, int64, float64 (-log10 P), float64 (r2 with the lead in the analysed people,
        nan where not known).
    """

    lead: str
    chrom: str
    start: int
    stop: int
    variant: NDArray[np.str_] = field(repr=False)
    pos: NDArray[np.int64] = field(repr=False)
    log10_p: NDArray[np.float64] = field(repr=False)
    r2: NDArray[np.float64] = field(repr=False)
    genes: tuple[Gene, ...] = ()


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
    regions
        Surroundings of the first of `loci`; empty where the study names no file of genes.
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
    regions: tuple[Region, ...] = ()
    lambda_gc: float | None = None
    not_fitted: int = 0
    model: str = ""


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
