"""The people's part of the cohort report's seam: records, linkage, flows, diseases and measurements.

The conventions are those of :mod:`workflows.reports.content`, where all of it is importable from.
"""

from __future__ import annotations

from dataclasses import dataclass

from workflows.reports.counts import Count


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
class LinkageGroup:
    """How the records of one group fared: linked with another record, by probability, and what is doubtful.

    ``doubtful`` is the share of its records that the model expects to be wrongly linked or wrongly left alone.
    """

    by: str
    group: str
    records: Count
    linked: Count
    probable: Count
    doubtful: float | None = None


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
    by_group: tuple[LinkageGroup, ...] = ()


@dataclass(frozen=True, kw_only=True)
class AgeSexCell:
    """Cases among people of one age band ('40-49') and one sex ('Women' or 'Men')."""

    age_band: str
    sex: str
    cases: Count
    people: Count


@dataclass(frozen=True, kw_only=True)
class PrevalenceCell:
    """Share of the people of one age band and one sex who have a disease on the index date, with its interval.

    It is made of the counts as shown, and None where one of them is hidden.
    """

    age_band: str
    sex: str
    cases: Count
    people: Count
    share: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class IncidenceYear:
    """New cases of a disease per 1,000 person-years in one calendar year, made of the counts as shown."""

    year: int
    events: Count
    person_years: Count
    rate: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class PhenotypeSummary:
    """One disease: its definition in plain English and its counts at the index date or the data's end.

    ``overall`` is the share of everybody who has it on the index date.
    """

    name: str
    label: str
    definition: str
    cases: Count
    controls: Count
    excluded: Count
    unknown: Count
    cells: tuple[AgeSexCell, ...] = ()
    overall: float | None = None
    prevalence: tuple[PrevalenceCell, ...] = ()
    incidence: tuple[IncidenceYear, ...] = ()


@dataclass(frozen=True, kw_only=True)
class OutcomeSummary:
    """Follow-up of an outcome: who was at risk for how long, and events per 1,000 person-years as shown."""

    name: str
    label: str
    definition: str
    people: Count
    person_years: Count
    events: Count
    competing: Count
    rate: float | None
    low: float | None
    high: float | None


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
    beyond
        People (or variants) whose values lie outside the edges.
    """

    label: str
    edges: tuple[float, ...]
    counts: tuple[Count, ...] = ()
    variant_counts: tuple[int, ...] = ()
    of: str = "people"
    unit: str = ""
    threshold: float | tuple[float, float] | None = None
    keep: str = "above"
    beyond: Count = 0
    variants_beyond: int = 0


@dataclass(frozen=True, kw_only=True)
class TraitSummary:
    """One measured trait, or exposure, among the study's people."""

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
