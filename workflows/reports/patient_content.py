"""The seam of the risk report: all that the report of one person says.

The conventions are those of :mod:`workflows.reports.content`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from workflows.reports.counts import Count, Disclosure


@dataclass(frozen=True, kw_only=True)
class Risk:
    """An absolute risk, 0 to 1, with its 95% range."""

    risk: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.risk <= self.high <= 1:
            raise ValueError("a risk must lie within its range, and the range within 0 to 1")


@dataclass(frozen=True, kw_only=True)
class AverageRisk:
    """Average risk of people of the same age and sex in the study, over the same years."""

    risk: float
    described_as: str = "average for age and sex"


@dataclass(frozen=True, kw_only=True)
class Contribution:
    """What one factor adds to (or takes from) the risk, from the average of age and sex.

    Attributes
    ----------
    label, value
        'Systolic blood pressure', '148 mmHg'. The value is the person's own; say 'not recorded' where it
        was filled in.
    points
        Percentage points of absolute risk (Shapley-averaged over the order of factors). Average risk
        (in percent) plus all points equals the integrated risk.
    kind
        ``'clinical'`` or ``'genetic'``.
    """

    label: str
    value: str
    points: float
    kind: str = "clinical"


@dataclass(frozen=True, kw_only=True)
class GeneticResult:
    """Where the person's polygenic score lies: percentiles 0-100 with a 95% interval.

    ``compared_with`` names the comparison group ('people of similar genetic ancestry in this study').
    """

    score_name: str
    percentile: float
    low: float
    high: float
    compared_with: str

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.percentile <= self.high <= 100:
            raise ValueError("a percentile must lie within its interval, and the interval within 0 to 100")


@dataclass(frozen=True, kw_only=True)
class RiskResult:
    """The answer: integrated risk beside the average and beside the clinical factors alone.

    ``other_death`` is the chance of dying of something else within the horizon without the disease.
    """

    integrated: Risk
    average: AverageRisk
    clinical_only: Risk | None
    contributions: tuple[Contribution, ...]
    genetic: GeneticResult | None
    other_death: float | None = None


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why no risk is given: what is wrong, what it means, and what would let us answer (never treatment)."""

    what: str
    meaning: str = ""
    remedy: str = ""


@dataclass(frozen=True, kw_only=True)
class Abstention:
    """No answer, with reasons. It cannot hold a risk."""

    reasons: tuple[Reason, ...]

    def __post_init__(self) -> None:
        if not self.reasons:
            raise ValueError("an abstention needs at least one reason")


@dataclass(frozen=True, kw_only=True)
class ValidationGroup:
    """How the model did in the group of untouched people nearest to this person."""

    label: str
    people: Count
    events: Count
    predicted: float
    observed: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Trust:
    """What bears on how far to believe the result.

    Attributes
    ----------
    coverage
        Part of the score's weight (variance-weighted) that could be read in this sample, 0 to 1.
    coverage_floor
        The least the study accepts.
    ancestry_distance, ancestry_limit
        Distance of the person from the centre of the people the score was made in, in standard deviations
        over the principal components used, and the distance at which the study withholds the score.
    ancestry_text
        The same in words.
    validation
        Nearest validation group.
    missing_inputs
        Inputs not on record and therefore filled in (labels).
    notes
        Anything else, one sentence each.
    """

    coverage: float | None = None
    coverage_floor: float | None = None
    ancestry_distance: float | None = None
    ancestry_limit: float | None = None
    ancestry_text: str = ""
    validation: ValidationGroup | None = None
    missing_inputs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class InputValue:
    """A recorded value the risk was worked out from, with the date it was taken.

    `value` is 'not recorded' where it is missing; `date` is '' there and where it has no meaning (age, sex).
    """

    label: str
    value: str
    date: str = ""


@dataclass(frozen=True, kw_only=True)
class PatientOutcome:
    """One disease over one horizon.

    Attributes
    ----------
    name
        Noun phrase that fits "would develop ...": 'coronary heart disease'.
    plain_name
        The same in everyday words: 'heart disease caused by narrowed arteries'.
    """

    name: str
    plain_name: str
    horizon_years: int
    result: RiskResult | Abstention
    trust: Trust = field(default_factory=Trust)
    inputs: tuple[InputValue, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PatientContent:
    """All that the risk report of one person says.

    Attributes
    ----------
    pseudonym
        Study pseudonym, as printed and used in file names. Never an NHS number, name or sample name.
    sex, age
        ``'F'`` or ``'M'``; whole years at the index date.
    created, expires, index_date, data_from, data_to, sample_date
        ISO dates. The risk counts from `index_date`, and so does the time to `expires`, after which it is not to be
        used; `data_to` is the last day of records used; `sample_date` '' where unknown.
    population
        Whose risks these are ('people registered with GP practices of the synthetic region').
    """

    pseudonym: str
    sex: str
    age: int
    created: str
    expires: str
    index_date: str
    data_from: str
    data_to: str
    sample_date: str
    population: str
    outcomes: tuple[PatientOutcome, ...]
    version: str
    model: str
    seed: int
    run_id: str
    study_title: str = ""
    synthetic: bool = False
    disclosure: Disclosure = field(default_factory=Disclosure)

    def __post_init__(self) -> None:
        if self.sex not in ("F", "M"):
            raise ValueError("sex must be 'F' or 'M'")
        if not self.outcomes:
            raise ValueError("a risk report needs at least one outcome")

    @property
    def past(self) -> bool:
        """Whether the risk was out of date when the report was made: it speaks as of the index date alone."""
        return self.expires <= self.created
