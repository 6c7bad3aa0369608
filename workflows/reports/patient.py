"""The risk report of one person: the answer in words first, then why, then how far to trust it.

Two A4 pages an outcome when printed (one where the study abstains). Form follows what trials of risk
communication found readers to understand: absolute frequencies with one denominator, both framings, icon
arrays, the average beside the person's own (see Brockman 2021 and Hanley 2025); relative risks are not
shown. The report never advises.
"""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from cohorts.errors import DesignError
from workflows.reports.content import Abstention, PatientContent, PatientOutcome, Risk, RiskResult
from workflows.reports.counts import require_shown
from workflows.reports.identifiers import require_no_identifier
from workflows.reports.leaf import abstention_leaf, risk_leaf
from workflows.reports.page import count, decimals, fingerprint, percent, render
from workflows.reports.waterfall import Waterfall, waterfall

PEOPLE = 100


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of the table that says the same as the icon arrays."""

    label: str
    would: str
    range: str
    would_not: str
    exact: str


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A row of 'how far to trust this'."""

    label: str
    found: str
    meaning: str


@dataclass(frozen=True, kw_only=True)
class Array:
    """An icon array: its 100 states, and the same in words."""

    words: str
    icons: tuple[str, ...]
    described: str


@dataclass(frozen=True, kw_only=True)
class View:
    """One outcome as the template needs it."""

    key: str
    outcome: PatientOutcome
    first_page: int
    abstains: bool
    leaf: tuple[str, ...]
    who: str = ""
    answer: str = ""
    against: str = ""
    this: Array | None = None
    average: Array | None = None
    legend: tuple[tuple[str, str], ...] = ()
    table: tuple[Row, ...] = ()
    other_death: str = ""
    waterfall: Waterfall | None = None
    genetic_words: str = ""
    trust: tuple[Checked, ...] = ()


def build_patient_report(content: PatientContent) -> str:
    """The risk report of one person as one HTML page that needs nothing else.

    Parameters
    ----------
    content
        What the report says, already released.

    Returns
    -------
    str
        HTML. Printed on A4 it fills two pages for each outcome with a risk and one for each without.

    Raises
    ------
    PrivacyError
        A validation count under ten, an NHS number or a postcode stands in the content.
    DesignError
        The contributions do not add up to the risk.

    Examples
    --------
    >>> from workflows.reports.content import Abstention, PatientContent, PatientOutcome, Reason
    >>> page = build_patient_report(PatientContent(
    ...     pseudonym="P-7F3A", sex="F", age=52, created="2024-03-01", expires="2025-03-01",
    ...     index_date="2012-01-01", data_from="2000-01-01", data_to="2022-12-31", sample_date="",
    ...     population="one region", version="0.1.0", model="cox", seed=1, run_id="r1",
    ...     outcomes=(PatientOutcome(name="asthma", plain_name="asthma", horizon_years=10,
    ...               result=Abstention(reasons=(Reason(what="No genotypes"),))),)))
    >>> "No genotypes" in page, "Research use only" in page
    (True, True)
    """
    require_shown(content, disclosure=content.disclosure)
    require_no_identifier(content)
    views = []
    page = 1
    for at, outcome in enumerate(content.outcomes):
        view = _view(content, outcome, key=f"o{at}", first_page=page)
        views.append(view)
        page += 1 if view.abstains else 2
    return render(
        "patient.html.j2",
        sheets=("style.css", "patient.css"),
        person=content,
        views=views,
        pages=page - 1,
        fingerprint=fingerprint(content),
    )


def out_of_hundred(risk: float) -> int:
    """`risk` as a whole number of 100 people, halves rounded up.

    Examples
    --------
    >>> out_of_hundred(0.0834), out_of_hundred(0.085), out_of_hundred(0.004)
    (8, 9, 0)
    """
    return int(PEOPLE * risk + 0.5 + 1e-9)


def in_words(n: int) -> str:
    """A number of 100 people in words that stay true at both ends.

    Examples
    --------
    >>> in_words(0), in_words(8), in_words(100)
    ('fewer than 1', '8', 'more than 99')
    """
    return "fewer than 1" if n <= 0 else "more than 99" if n >= PEOPLE else str(n)


def answer_in_words(content: PatientContent, outcome: PatientOutcome) -> Markup:
    """The first sentence of the report; the numbers are emphasised."""
    result = outcome.result
    assert isinstance(result, RiskResult), "only outcomes with a risk have an answer"
    n = out_of_hundred(result.integrated.risk)
    about = "" if n in (0, PEOPLE) else "about "
    return Markup(
        "Out of 100 {who} aged {age} like this patient, {about}<strong>{would}</strong> "
        "(plausible range {range}) would develop {name} in {years} years; "
        "<strong>{would_not}</strong> would not. {average_of}: <strong>{average}</strong>."
    ).format(
        who=_who(content),
        age=content.age,
        about=about,
        would=in_words(n),
        range=_range(result.integrated),
        name=outcome.name,
        years=outcome.horizon_years,
        would_not=in_words(PEOPLE - n),
        average_of=_begin(result.average.described_as),
        average=in_words(out_of_hundred(result.average.risk)),
    )


def _view(content: PatientContent, outcome: PatientOutcome, *, key: str, first_page: int) -> View:
    result = outcome.result
    if isinstance(result, Abstention):
        return View(
            key=key, outcome=outcome, first_page=first_page, abstains=True, leaf=abstention_leaf(outcome)
        )
    risk, average = result.integrated, result.average.risk
    return View(
        key=key,
        outcome=outcome,
        first_page=first_page,
        abstains=False,
        leaf=risk_leaf(
            outcome,
            who=_who(content),
            n=out_of_hundred(risk.risk),
            range_words=_range(risk),
            past_day=content.index_date if content.past else "",
        ),
        who=_who(content),
        answer=answer_in_words(content, outcome),
        against=_against(risk, average),
        this=_array(risk),
        average=_array(Risk(risk=average, low=average, high=average)),
        legend=_legend(risk),
        table=_table(result),
        other_death=_other_death(result, outcome),
        waterfall=_waterfall(result),
        genetic_words=_genetic_words(result),
        trust=_trust(content, outcome),
    )


def _who(content: PatientContent) -> str:
    return "women" if content.sex == "F" else "men"


def _begin(text: str) -> str:
    """`text` with a capital, as the beginning of a line."""
    return text[:1].upper() + text[1:]


def _range(risk: Risk) -> str:
    low, high = out_of_hundred(risk.low), out_of_hundred(risk.high)
    return in_words(low) if low == high else f"{in_words(low)} to {in_words(high)}"


def _against(risk: Risk, average: float) -> str:
    own, mean = out_of_hundred(risk.risk), out_of_hundred(average)
    more = own - mean
    gap = (
        "the same as average"
        if more == 0
        else f"{abs(more)} {'more' if more > 0 else 'fewer'} in 100 than average"
    )
    if more == 0:
        return f"That is {gap}."
    if out_of_hundred(risk.low) <= mean <= out_of_hundred(risk.high):
        return f"That is {gap}, but the range includes the average."
    return f"That is {gap}, and the range does not reach the average."


def _array(risk: Risk) -> Array:
    low, n, high = (out_of_hundred(r) for r in (risk.low, risk.risk, risk.high))
    icons = ("would",) * low + ("fewer",) * (n - low) + ("more",) * (high - n) + ("not",) * (PEOPLE - high)
    words = f"{in_words(n)} of 100 people would develop it and {in_words(PEOPLE - n)} would not"
    return Array(
        words=in_words(n),
        icons=icons,
        described=f"{words}; plausible range {_range(risk)}." if low < high else f"{words}.",
    )


def _legend(risk: Risk) -> tuple[tuple[str, str], ...]:
    low, n, high = (out_of_hundred(r) for r in (risk.low, risk.risk, risk.high))
    lines = [("would", "would develop it")]
    if low < n:
        lines.append(("fewer", f"counted in the {n}, but it could be as few as {in_words(low)}"))
    if n < high:
        lines.append(("more", f"not counted, but it could be as many as {in_words(high)}"))
    return (*lines, ("not", "would not develop it"))


def _table(result: RiskResult) -> tuple[Row, ...]:
    told = "This patient, with genetic score" if result.genetic is not None else "This patient, records alone"
    rows = [(told, result.integrated)]
    if result.clinical_only is not None:
        rows.append(("This patient, records alone", result.clinical_only))
    table = [
        Row(
            label=label,
            would=in_words(out_of_hundred(risk.risk)),
            range=_range(risk),
            would_not=in_words(PEOPLE - out_of_hundred(risk.risk)),
            exact=f"{percent(risk.risk)} ({decimals(100 * risk.low, 1)} to {decimals(100 * risk.high, 1)})",
        )
        for label, risk in rows
    ]
    mean = result.average.risk
    last = Row(
        label=_begin(result.average.described_as),
        would=in_words(out_of_hundred(mean)),
        range="",
        would_not=in_words(PEOPLE - out_of_hundred(mean)),
        exact=percent(mean),
    )
    return (*table, last)


def _other_death(result: RiskResult, outcome: PatientOutcome) -> str:
    if result.other_death is None:
        return ""
    n = out_of_hundred(result.other_death)
    return (
        f"Of those who would not, {'' if n == 0 else 'about '}{in_words(n)} would die of another cause "
        f"within the {outcome.horizon_years} years. The range is a 95% interval of the estimate."
    )


def _waterfall(result: RiskResult) -> Waterfall | None:
    if not result.contributions:
        return None
    total = 100 * result.average.risk + sum(c.points for c in result.contributions)
    if abs(total - 100 * result.integrated.risk) > 0.15:
        raise DesignError(
            "the contributions do not add up to the risk",
            where="RiskResult.contributions",
            found=f"a difference of {total - 100 * result.integrated.risk:.2f} percentage points",
            expected="average risk plus all contributions equal to the integrated risk, within 0.15",
            fix="take the contributions from the same model and the same reference as the risk",
        )
    return waterfall(result)


def _genetic_words(result: RiskResult) -> str:
    genetic = result.genetic
    if genetic is None:
        return ""
    middle, low, high = (round(v) for v in (genetic.percentile, genetic.low, genetic.high))
    return (
        f"Higher than about {middle} of 100 {genetic.compared_with}; "
        f"given the uncertainty, {low} to {high} of 100."
    )


def _trust(content: PatientContent, outcome: PatientOutcome) -> tuple[Checked, ...]:
    trust = outcome.trust
    rows = []
    if trust.coverage is not None:
        floor = f"; at least {percent(trust.coverage_floor, 0)} is required" if trust.coverage_floor else ""
        rows.append(
            Checked(
                label="Genetic score read",
                found=f"{percent(trust.coverage, 0)} of its weight",
                meaning=(
                    f"The rest could not be read in this sample{floor}."
                    if trust.coverage < 0.995
                    else "All of it could be read in this sample."
                ),
            )
        )
    if trust.ancestry_text or trust.ancestry_distance is not None:
        limit = f" of at most {decimals(trust.ancestry_limit, 1)}" if trust.ancestry_limit is not None else ""
        found = decimals(trust.ancestry_distance, 1) + limit if trust.ancestry_distance is not None else ""
        rows.append(
            Checked(
                label="Genetic distance",
                found=found or "see right",
                meaning=trust.ancestry_text
                or "Distance from the people the score was made in; the further, the less accurate.",
            )
        )
    group = trust.validation
    if group is not None:
        rows.append(
            Checked(
                label="In unseen people",
                found=f"predicted {percent(group.predicted)}, observed {percent(group.observed)} "
                f"({decimals(100 * group.low, 1)} to {decimals(100 * group.high, 1)})",
                meaning=f"{_begin(group.label)}: {count(group.people)} people, {count(group.events)} of whom "
                "developed it; nearest group to this patient.",
            )
        )
    missing = ", ".join(trust.missing_inputs)
    rows.append(
        Checked(
            label="Not on record",
            found=_begin(missing) or "Nothing missing",
            meaning="Filled in with what is usual for age and sex."
            if missing
            else "All inputs were recorded.",
        )
    )
    rows.append(
        Checked(
            label="Population",
            found=_begin(content.population),
            meaning=f"Records {content.data_from} to {content.data_to}. May not hold elsewhere or later.",
        )
    )
    return tuple(rows)
