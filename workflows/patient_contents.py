"""From findings to what the risk report of one person says, or why it says nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import numpy as np
import pandas as pd

from gwas.polygenic.performance import percentile
from gwas.risk_model import RiskModel
from workflows.findings import Findings, Receipt
from workflows.frames import cell, each_row, row_of
from workflows.prediction import SCORE, Prediction, ancestry_distance, chosen_people
from workflows.reports.content import (
    Abstention,
    AverageRisk,
    Contribution,
    Disclosure,
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
from workflows.score_content import label_of

COVERAGE_FLOOR = 0.75
ANCESTRY_SHARE = 0.98
VALID_YEARS = 1
MOST_GROUPS = 7


def patient_contents(findings: Findings, receipt: Receipt) -> Iterator[PatientContent]:
    """The content of each risk report of a run."""
    chosen: dict[int, list[Prediction]] = {}
    for prediction in findings.predictions:
        for person in chosen_people(findings.study, prediction):
            chosen.setdefault(int(person), []).append(prediction)
    limits = {
        prediction.spec.outcome: _distances(findings, prediction) for prediction in findings.predictions
    }
    persons = findings.people.persons.set_index("person_id")
    about = findings.study.study
    for person, predictions in chosen.items():
        yield PatientContent(
            pseudonym=f"{person:016x}",
            sex=str(cell(persons, person, "sex")),
            age=int(cell(persons, person, "age")),
            created=receipt.finished[:10],
            expires=_later(receipt.finished[:10], VALID_YEARS),
            index_date=about.index_date.isoformat(),
            data_from=_first_day(cell(persons, person, "registered_since")),
            data_to=(about.index_date - timedelta(days=1)).isoformat(),
            sample_date="",
            population="people registered with the practices of this study",
            outcomes=tuple(
                _outcome(findings, prediction, person, limits[prediction.spec.outcome])
                for prediction in predictions
            ),
            version=receipt.version,
            model=f"{about.name}, {', '.join(p.spec.outcome for p in predictions)}",
            seed=about.seed,
            run_id=receipt.run_id,
            study_title=about.title,
            synthetic=about.synthetic,
        )


def _outcome(
    findings: Findings, prediction: Prediction, person: int, distances: tuple[pd.Series, float]
) -> PatientOutcome:
    trust = _trust(findings, prediction, person, distances)
    reasons = _reasons(prediction, person, trust)
    return PatientOutcome(
        name=prediction.label,
        plain_name=prediction.label,
        horizon_years=round(prediction.horizon),
        result=Abstention(reasons=tuple(reasons)) if reasons else _result(findings, prediction, person),
        trust=trust,
        inputs=tuple(_inputs(findings, prediction, person)),
    )


def _distances(findings: Findings, prediction: Prediction) -> tuple[pd.Series, float]:
    """Everybody's distance in ancestry from the reference of the score, and the largest that is answered.

    The limit is the distance within which nearly all of the largest ancestry group of the target people lie:
    beyond it too few people were there to show that the score works.
    """
    score = findings.scores.traits[prediction.spec.score_for]
    components = findings.components.scores
    person = findings.kept.person_id.to_numpy()
    distance = pd.Series(ancestry_distance(score, components.to_numpy()), index=person)
    group = findings.quality.sample_table.loc[components.index, "ancestry_group"].to_numpy()
    largest = distance[(group == 0) & (findings.part == "target")]
    return distance, float(largest.quantile(ANCESTRY_SHARE)) if len(largest) else float("nan")


def _trust(
    findings: Findings, prediction: Prediction, person: int, distances: tuple[pd.Series, float]
) -> Trust:
    score = findings.scores.traits[prediction.spec.score_for]
    distance, limit = float(distances[0].get(person, np.nan)), distances[1]
    filled = row_of(prediction.filled, person)
    known = np.isfinite(distance) and np.isfinite(limit)
    return Trust(
        coverage=score.coverage if np.isfinite(score.coverage) else None,
        coverage_floor=COVERAGE_FLOOR,
        ancestry_distance=distance if known else None,
        ancestry_limit=limit if known else None,
        ancestry_text=_ancestry_text(distance, limit) if known else "",
        validation=_validation_group(prediction, person),
        missing_inputs=tuple(label_of(findings, prediction, f) for f in prediction.factors if filled[f]),
    )


def _ancestry_text(distance: float, limit: float) -> str:
    if distance <= limit:
        return "Genetic ancestry is like that of most people the score was made and checked in."
    return "Genetic ancestry differs from that of most people the score was made and checked in."


def _validation_group(prediction: Prediction, person: int) -> ValidationGroup | None:
    evaluation, risks = prediction.evaluation, prediction.risks
    if evaluation is None or risks is None or not len(evaluation.deciles):
        return None
    risk = float(cell(risks, person, "risk"))
    if not np.isfinite(risk):
        return None
    groups = evaluation.deciles.reset_index(drop=True)
    nearest = row_of(groups, (groups["predicted"] - risk).abs().idxmin())
    rule = Disclosure()
    return ValidationGroup(
        label="people of similar predicted risk whom the model had not seen",
        people=rule.show(int(nearest["n"])),
        events=rule.show(int(nearest["events"])),
        predicted=float(nearest["predicted"]),
        observed=float(nearest["observed"]),
        low=float(nearest["low"]),
        high=float(nearest["high"]),
    )


def _reasons(prediction: Prediction, person: int, trust: Trust) -> list[Reason]:
    reasons = []
    if prediction.reason:
        reasons.append(
            Reason(
                what=prediction.reason,
                meaning="Nobody can be told a risk from this model.",
                remedy="A larger study, or a model made elsewhere and checked here.",
            )
        )
    elif prediction.risks is None or not np.isfinite(cell(prediction.risks, person, "risk")):
        reasons.append(
            Reason(what="The model gives no risk for this person.", meaning="An input is not usable.")
        )
    if trust.coverage is not None and trust.coverage < COVERAGE_FLOOR:
        reasons.append(
            Reason(
                what="Too little of the polygenic score could be read.",
                meaning="What is missing could move the score either way.",
                remedy="A sample genotyped more densely.",
            )
        )
    if (
        trust.ancestry_distance is not None
        and trust.ancestry_limit is not None
        and trust.ancestry_distance > trust.ancestry_limit
    ):
        reasons.append(
            Reason(
                what="This person's genetic ancestry was too rare among the people the score was made in.",
                meaning="The score may rank people of this ancestry wrongly, so that no number is given.",
                remedy="A study with more people of this ancestry.",
            )
        )
    return reasons


def _result(findings: Findings, prediction: Prediction, person: int) -> RiskResult:
    assert prediction.risks is not None
    assert prediction.integrated is not None
    row = row_of(prediction.people, person)
    model = prediction.integrated
    average = model.average(float(row["age"]), float(row["sex"]))
    parts = _contributions(findings, prediction, model, row)
    mine, clinical = row_of(prediction.risks, person), row_of(prediction.clinical_risks, person)
    return RiskResult(
        integrated=_risk(mine),
        average=AverageRisk(risk=average.risk),
        clinical_only=_risk(clinical) if np.isfinite(clinical["risk"]) else None,
        contributions=tuple(parts),
        genetic=_genetic(findings, prediction, person),
    )


def _risk(row: pd.Series) -> Risk:
    return Risk(risk=float(row["risk"]), low=float(row["low"]), high=float(row["high"]))


def _contributions(
    findings: Findings, prediction: Prediction, model: RiskModel, row: pd.Series
) -> list[Contribution]:
    groups = _groups(findings, prediction)
    parts = model.contributions(row, groups=groups).parts
    filled = row_of(prediction.filled, row.name)
    made = []
    for part in each_row(parts):
        members = groups.get(str(part.group), [str(part.group)])
        genetic = members == [SCORE]
        if genetic:
            value = f"{row[SCORE]:+.1f} SD".replace("-", "−")
        elif len(members) > 1:
            value = _level(findings, members, row, filled)
        else:
            value = (
                "not recorded" if filled[members[0]] else _shown(findings, members[0], float(row[members[0]]))
            )
        label = str(part.group) if len(members) > 1 else label_of(findings, prediction, members[0])
        made.append(
            Contribution(
                label=label, value=value, points=float(part.points), kind="genetic" if genetic else "clinical"
            )
        )
    return made


def _level(findings: Findings, members: list[str], row: pd.Series, filled: pd.Series) -> str:
    """The level of a category a person is at; other factors that stand together have no one value."""
    for name, spec in findings.study.traits.items():
        if spec.kind == "category" and all(member.startswith(f"{name}_") for member in members):
            if filled[members].any():
                return "not recorded"
            levels = [member.removeprefix(f"{name}_") for member in members if row[member] == 1]
            return levels[0] if levels else list(spec.levels)[-1]
    return "see the records"


def _groups(findings: Findings, prediction: Prediction) -> dict[str, list[str]]:
    """Levels of one category together; where there are still too many factors, the last ones together."""
    groups: dict[str, list[str]] = {}
    for name, spec in findings.study.traits.items():
        if spec.kind == "category":
            members = [f for f in prediction.factors if f.startswith(f"{name}_")]
            if len(members) > 1:
                groups[spec.label] = members
    grouped = {member for members in groups.values() for member in members}
    alone = [f for f in prediction.factors if f not in grouped and f not in ("age", "sex")]
    room = MOST_GROUPS - len(groups)
    if len(alone) > room:
        groups["Other factors"] = alone[room - 1 :]
    return groups


def _genetic(findings: Findings, prediction: Prediction, person: int) -> GeneticResult | None:
    score = findings.scores.traits[prediction.spec.score_for]
    if score.standardised is None or score.se is None:
        return None
    iid = cell(prediction.people, person, "iid")
    part = pd.Series(findings.part, index=findings.kept.person_id.index)
    reference = score.standardised[part.reindex(score.standardised.index) == "target"]
    se = float(score.se[iid])
    middle, low, high = percentile(
        float(score.standardised[iid]), reference.to_numpy(), se=se if np.isfinite(se) else 0.0
    )
    return GeneticResult(
        score_name=label_of(findings, prediction, SCORE),
        percentile=middle,
        low=low,
        high=high,
        compared_with="people of similar genetic ancestry in this study",
    )


def _inputs(findings: Findings, prediction: Prediction, person: int) -> Iterator[InputValue]:
    row, filled = row_of(prediction.people, person), prediction.filled.loc[person]
    for factor in prediction.factors:
        yield InputValue(
            label=label_of(findings, prediction, factor),
            value="not recorded" if filled[factor] else _shown(findings, factor, float(row[factor])),
        )


def _shown(findings: Findings, factor: str, value: float) -> str:
    study = findings.study
    if factor == "sex":
        return "male" if value else "female"
    if factor == "age":
        return f"{value:.0f} years"
    if factor in study.phenotypes or (factor in study.trait_columns() and factor not in study.traits):
        return "yes" if value else "no"
    unit = "µg/m³" if factor in study.exposures else str(getattr(study.traits.get(factor), "unit", ""))
    return f"{value:.{0 if abs(value) >= 50 else 1}f} {unit}".strip()


def _later(day: str, years: int) -> str:
    start = date.fromisoformat(day)
    try:
        return start.replace(year=start.year + years).isoformat()
    except ValueError:
        return start.replace(year=start.year + years, day=28).isoformat()


def _first_day(value: object) -> str:
    return "" if pd.isna(value) else str(pd.Timestamp(str(value)).date())  # type: ignore[call-overload]
