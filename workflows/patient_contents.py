"""From findings to what the risk report of one person says, or why it says nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pandas as pd

from gwas.contributions import MOST_GROUPS
from gwas.polygenic.performance import percentile
from gwas.risk_model import RiskModel
from workflows.findings import GenomeFindings, Receipt
from workflows.frames import cell, each_row, row_of
from workflows.polygenic_scores import TraitScore
from workflows.prediction import GENOTYPED, SCORE, Prediction, chosen_people, may_be_chance
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
ANCESTRY_SHARE = 0.995
FEWEST_ALIKE = 30
VALID_YEARS = 1
ALIKE = "age and sex"


def patient_contents(genome: GenomeFindings, receipt: Receipt) -> Iterator[PatientContent]:
    """The content of each risk report of a run."""
    chosen: dict[int, list[Prediction]] = {}
    for prediction in genome.predictions:
        for person in chosen_people(genome.study, prediction):
            chosen.setdefault(int(person), []).append(prediction)
    limits = {prediction.spec.outcome: _distances(genome, prediction) for prediction in genome.predictions}
    persons = genome.records.people.persons.set_index("person_id")
    about = genome.study.study
    for person, predictions in chosen.items():
        yield PatientContent(
            pseudonym=f"{person:016x}",
            sex=str(cell(persons, person, "sex")),
            age=int(cell(persons, person, "age")),
            created=receipt.finished[:10],
            expires=_later(about.index_date, VALID_YEARS),
            index_date=about.index_date.isoformat(),
            data_from=_first_day(cell(persons, person, "registered_since")),
            data_to=(about.index_date - timedelta(days=1)).isoformat(),
            sample_date="",
            population="people registered with the practices of this study",
            outcomes=tuple(
                _outcome(genome, prediction, person, limits[prediction.spec.outcome])
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
    genome: GenomeFindings, prediction: Prediction, person: int, distances: tuple[pd.Series, float]
) -> PatientOutcome:
    """An answer; one from the records alone where only the score is in doubt; or none, with reasons."""
    trust = _trust(genome, prediction, person, distances)
    doubts = _doubts_about_score(trust)
    reasons = _reasons(prediction, person, with_score=not doubts)
    if doubts and not reasons:
        trust = replace(
            trust,
            notes=tuple(f"The genetic score was left out. {doubt.what} {doubt.meaning}" for doubt in doubts),
        )
    return PatientOutcome(
        name=prediction.label,
        plain_name=prediction.label,
        horizon_years=round(prediction.horizon),
        result=Abstention(reasons=(*reasons, *doubts))
        if reasons
        else _result(genome, prediction, person, with_score=not doubts),
        trust=trust,
        inputs=tuple(_inputs(genome, prediction, person)),
    )


def _distances(genome: GenomeFindings, prediction: Prediction) -> tuple[pd.Series, float]:
    """Everybody's distance in ancestry from the largest group the score was made in, and how far is answered.

    Distance is the root mean square, over the components that show ancestry, in standard deviations of the
    largest ancestry group of the target people; nearly all of that group lie within the limit. Beyond it too
    few people were there to show that the score works.
    """
    person = genome.kept.person_id.to_numpy()
    score = genome.scores.traits[prediction.spec.score_for]
    if score.scale is None:
        return pd.Series(np.nan, index=person), float("nan")
    components = genome.components.scores
    points = components.to_numpy()[:, : len(score.scale.centre)]
    group = genome.quality.sample_table.loc[components.index, "ancestry_group"].to_numpy()
    largest = points[(group == 0) & (genome.part == "target")]
    if len(largest) < FEWEST_ALIKE:
        return pd.Series(np.nan, index=person), float("nan")
    z = (points - largest.mean(axis=0)) / largest.std(axis=0)
    distance = pd.Series(np.sqrt((z**2).mean(axis=1)), index=person)
    limit = distance[(group == 0) & (genome.part == "target")].quantile(ANCESTRY_SHARE)
    return distance, float(limit)


def _trust(
    genome: GenomeFindings, prediction: Prediction, person: int, distances: tuple[pd.Series, float]
) -> Trust:
    score = genome.scores.traits[prediction.spec.score_for]
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
        notes=_about_score(score, prediction.compared),
        missing_inputs=tuple(label_of(genome, prediction, f) for f in prediction.factors if filled[f]),
    )


def _about_score(score: TraitScore, compared: pd.DataFrame) -> tuple[str, ...]:
    if score.weights is None:
        return ()
    variants = f"The genetic score adds up {len(score.weights)} variants."
    if may_be_chance(compared):
        return (
            f"{variants} What it adds to the prediction is not certain: in people the model had not seen, the gain may "
            "be chance. Read the risk from the records alone beside it.",
        )
    return (variants,)


def _ancestry_text(distance: float, limit: float) -> str:
    if distance <= limit:
        return "Genetic ancestry is like that of most people the score was made and checked in."
    return "Genetic ancestry differs from that of most people the score was made and checked in."


def _validation_group(prediction: Prediction, person: int) -> ValidationGroup | None:
    risks = prediction.clinical_risks if prediction.risks is None else prediction.risks
    risk = float(cell(risks, person, "risk"))
    if not np.isfinite(risk) or prediction.calibration.empty:
        return None
    groups = prediction.calibration.reset_index(drop=True)
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


def _reasons(prediction: Prediction, person: int, *, with_score: bool) -> list[Reason]:
    """Why no risk can be given at all."""
    why = prediction.reason if with_score else prediction.clinical_reason
    risks = prediction.risks if with_score else prediction.clinical_risks
    if why:
        return [
            Reason(
                what=why,
                meaning="Nobody can be told a risk from this model.",
                remedy="A larger study, or a model made elsewhere and checked here.",
            )
        ]
    if risks is None or not np.isfinite(cell(risks, person, "risk")):
        return [Reason(what="The model gives no risk for this person.", meaning="An input is not usable.")]
    return []


def _doubts_about_score(trust: Trust) -> list[Reason]:
    """Why the genetic score of this person says nothing."""
    doubts = []
    if trust.coverage is not None and trust.coverage < COVERAGE_FLOOR:
        doubts.append(
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
        doubts.append(
            Reason(
                what="This person's genetic ancestry was too rare among the people the score was made in.",
                meaning="The score may rank people of this ancestry wrongly.",
                remedy="A study with more people of this ancestry.",
            )
        )
    return doubts


def _result(genome: GenomeFindings, prediction: Prediction, person: int, *, with_score: bool) -> RiskResult:
    model = prediction.integrated if with_score else prediction.clinical
    risks = prediction.risks if with_score else prediction.clinical_risks
    assert model is not None
    assert risks is not None
    row = row_of(prediction.people, person)
    average, parts = _contributions(genome, prediction, model, row)
    clinical = row_of(prediction.clinical_risks, person)
    return RiskResult(
        integrated=_risk(row_of(risks, person)),
        average=AverageRisk(risk=average),
        clinical_only=_risk(clinical) if with_score and np.isfinite(clinical["risk"]) else None,
        contributions=tuple(parts),
        genetic=_genetic(genome, prediction, person) if with_score else None,
    )


def _risk(row: pd.Series) -> Risk:
    return Risk(risk=float(row["risk"]), low=float(row["low"]), high=float(row["high"]))


def _contributions(
    genome: GenomeFindings, prediction: Prediction, model: RiskModel, row: pd.Series
) -> tuple[float, list[Contribution]]:
    """Average risk of people of the same age and sex, and what moves this person away from it."""
    same = [name for name in ("age", "sex", GENOTYPED) if name in model.factors]
    groups = {ALIKE: same} if same else {}
    groups |= _groups(genome, prediction, room=MOST_GROUPS - len(groups))
    reference = model.alike(float(row["age"]), float(row["sex"]))[0].assign(**{GENOTYPED: 1.0})
    answer = model.contributions(row, reference, groups=groups)
    filled = row_of(prediction.filled, row.name)
    made = []
    for part in each_row(answer.parts):
        members = groups.get(str(part.group), [str(part.group)])
        if part.group == ALIKE:
            continue
        genetic = members == [SCORE]
        if genetic:
            value = f"{row[SCORE]:+.1f} SD".replace("-", "−")
        elif len(members) > 1:
            value = _level(genome, members, row, filled)
        else:
            value = (
                "not recorded" if filled[members[0]] else _shown(genome, members[0], float(row[members[0]]))
            )
        label = str(part.group) if len(members) > 1 else label_of(genome, prediction, members[0])
        made.append(
            Contribution(
                label=label, value=value, points=float(part.points), kind="genetic" if genetic else "clinical"
            )
        )
    return answer.reference, made


def _level(genome: GenomeFindings, members: list[str], row: pd.Series, filled: pd.Series) -> str:
    """The level of a category a person is at; other factors that stand together have no one value."""
    for name, spec in genome.study.traits.items():
        if spec.kind == "category" and all(member.startswith(f"{name}_") for member in members):
            if filled[members].any():
                return "not recorded"
            levels = [member.removeprefix(f"{name}_") for member in members if row[member] == 1]
            return levels[0] if levels else list(spec.levels)[-1]
    return "see the records"


def _groups(genome: GenomeFindings, prediction: Prediction, *, room: int) -> dict[str, list[str]]:
    """Levels of one category together; where there are still too many factors, the last ones together."""
    groups: dict[str, list[str]] = {}
    for name, spec in genome.study.traits.items():
        if spec.kind == "category":
            members = [f for f in prediction.factors if f.startswith(f"{name}_")]
            if len(members) > 1:
                groups[spec.label] = members
    grouped = {member for members in groups.values() for member in members}
    alone = [f for f in prediction.factors if f not in grouped and f not in ("age", "sex")]
    room -= len(groups) + 1  # one for the score
    if len(alone) > room:
        groups["Other factors"] = alone[room - 1 :]
    return groups


def _genetic(genome: GenomeFindings, prediction: Prediction, person: int) -> GeneticResult | None:
    score = genome.scores.traits[prediction.spec.score_for]
    if score.standardised is None or score.se is None:
        return None
    iid = cell(prediction.people, person, "iid")
    part = pd.Series(genome.part, index=genome.kept.person_id.index)
    reference = score.standardised[part.reindex(score.standardised.index) == "target"]
    se = float(score.se[iid])
    middle, low, high = percentile(
        float(score.standardised[iid]), reference.to_numpy(), se=se if np.isfinite(se) else 0.0
    )
    return GeneticResult(
        score_name=label_of(genome, prediction, SCORE),
        percentile=middle,
        low=low,
        high=high,
        compared_with="people of similar genetic ancestry in this study",
    )


def _inputs(genome: GenomeFindings, prediction: Prediction, person: int) -> Iterator[InputValue]:
    row, filled = row_of(prediction.people, person), prediction.filled.loc[person]
    for factor in prediction.factors:
        yield InputValue(
            label=label_of(genome, prediction, factor),
            value="not recorded" if filled[factor] else _shown(genome, factor, float(row[factor])),
        )


def _shown(genome: GenomeFindings, factor: str, value: float) -> str:
    study = genome.study
    if factor == "sex":
        return "male" if value else "female"
    if factor == "age":
        return f"{value:.0f} years"
    if factor in study.phenotypes or (factor in study.trait_columns() and factor not in study.traits):
        return "yes" if value else "no"
    return f"{value:.{0 if abs(value) >= 50 else 1}f} {study.unit_of(factor)}".strip()


def _later(start: date, years: int) -> str:
    try:
        return start.replace(year=start.year + years).isoformat()
    except ValueError:
        return start.replace(year=start.year + years, day=28).isoformat()


def _first_day(value: object) -> str:
    return "" if pd.isna(value) else str(pd.Timestamp(str(value)).date())  # type: ignore[call-overload]
