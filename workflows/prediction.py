"""Absolute risk: fitted in the target people, judged in the validation people, told to some of them."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from gwas.evaluation import Evaluation, compare_risk, validate
from gwas.risk import fit_risk
from gwas.risk_model import RiskModel
from workflows.frames import cell
from workflows.polygenic_scores import TraitScore
from workflows.study import RiskSpec, Study

SCORE = "score"
IMPUTE_BAND = 10
# Below some fifty events a factor, coefficients are too large for new people by a noticeable margin.
SHRINK_BELOW = 50.0


@dataclass(frozen=True, eq=False)
class Prediction:
    """One outcome's models, their evaluation and everybody's risk.

    Attributes
    ----------
    spec, label, horizon
        The question.
    factors
        Columns of the clinical model.
    people
        DataFrame, index person_id: part, years, state, every factor (filled in where it was not on
        record), ``score``, and ``iid``; those at risk and of the right age in target and validation.
    filled
        DataFrame of bool, same index, one column a factor: not on record.
    integrated, clinical
        Models with and without the score; None where there is no score.
    evaluation, clinical_evaluation
        In the validation people.
    compared
        What the score adds (:func:`gwas.evaluation.compare_risk`).
    risks, clinical_risks
        Index person_id of the validation people: risk, low, high, status.
    reason
        Why no risk is given at all, where none is.
    """

    spec: RiskSpec
    label: str
    horizon: float
    factors: tuple[str, ...]
    people: pd.DataFrame
    filled: pd.DataFrame
    clinical: RiskModel
    integrated: RiskModel | None
    clinical_evaluation: Evaluation
    evaluation: Evaluation | None
    compared: pd.DataFrame
    clinical_risks: pd.DataFrame
    risks: pd.DataFrame | None
    reason: str


def predict_outcome(
    study: Study,
    spec: RiskSpec,
    *,
    survival: pd.DataFrame,
    table: pd.DataFrame,
    score: TraitScore,
    discovery: frozenset[Hashable],
    rng: np.random.Generator,
) -> Prediction:
    """Fit, judge and apply the risk model of one outcome.

    Parameters
    ----------
    study, spec
        The study and what is asked.
    survival
        ``person_id, outcome, years, state`` of people at risk at the index date.
    table
        Index person_id; ``part`` (target or validation), ``iid``, ``age``, ``sex`` (1 male, 0 female) and
        every factor, NaN where not on record.
    score
        The polygenic score of ``spec.score_for``.
    discovery
        People the score came from; none of them may be in `table`.
    rng
        For the bootstrap.

    Notes
    -----
    A factor that is not on record takes the mean of target people of the same sex and ten-year age band
    (of the same sex where the band has none); a condition that is not on record counts as absent.
    """
    outcome = study.outcomes[spec.outcome]
    horizon = float(outcome.years)
    follow_up = survival[survival["outcome"] == spec.outcome].set_index("person_id")[["years", "state"]]
    people = table.join(follow_up, how="inner")
    people = people[people["age"].between(spec.youngest, spec.oldest)]
    factors = list(spec.factors)
    filled = people[factors].isna()
    people = _fill(people, factors, conditions=set(study.phenotypes))
    if score.standardised is not None:
        people[SCORE] = people["iid"].map(score.standardised)
    target, rest = (people[people["part"] == part] for part in ("target", "validation"))

    def fitted(columns: list[str]) -> RiskModel:
        return fit_risk(
            target, factors=columns, horizon=horizon, discovery=discovery, shrink_below=SHRINK_BELOW
        )

    clinical = fitted(factors)
    clinical_evaluation, clinical_risks = validate(clinical, rest, rng=rng)
    integrated = evaluation = risks = None
    compared = pd.DataFrame()
    if SCORE in people:
        integrated = fitted([*factors, SCORE])
        evaluation, risks = validate(integrated, rest, rng=rng)
        if not clinical_risks["risk"].isna().all() and not risks["risk"].isna().all():
            compared = compare_risk(
                {"clinical": clinical_risks["risk"], "integrated": risks["risk"]},
                rest["years"],
                rest["state"],
                horizon=horizon,
                rng=rng,
            )
    return Prediction(
        spec=spec,
        label=outcome.label,
        horizon=horizon,
        factors=tuple(factors),
        people=people,
        filled=filled,
        clinical=clinical,
        integrated=integrated,
        clinical_evaluation=clinical_evaluation,
        evaluation=evaluation,
        compared=compared,
        clinical_risks=clinical_risks,
        risks=risks,
        reason=_why_not(score, integrated, evaluation),
    )


def chosen_people(study: Study, prediction: Prediction) -> list[int]:
    """For whom a risk report is made: those the study names, and some spread evenly over the risk.

    People not in the validation part are never chosen: the model has seen them.
    """
    rest = prediction.people.index[prediction.people["part"] == "validation"]
    risks = prediction.clinical_risks if prediction.risks is None else prediction.risks
    ranked = risks.sort_values("risk", kind="stable", na_position="last").index
    count = min(study.reports.spread, len(ranked))
    spread = [ranked[int((k + 0.5) * len(ranked) / count)] for k in range(count)]
    named = [person for person in study.reports.person_ids if person in set(rest)]
    return list(dict.fromkeys([*named, *spread]))


def _fill(people: pd.DataFrame, factors: list[str], *, conditions: set[str]) -> pd.DataFrame:
    """Fill what is not on record from the target part alone, so that nothing leaks from the validation."""
    filled = people.copy()
    band = filled["age"] // IMPUTE_BAND
    target = filled["part"] == "target"
    for name in factors:
        if name in conditions:
            filled[name] = filled[name].fillna(0.0)
            continue
        seen = filled[target & filled[name].notna()]
        by_band = seen.groupby([seen["sex"], band[seen.index]])[name].mean()
        by_sex = seen.groupby("sex")[name].mean()
        missing = filled.index[filled[name].isna()]
        values = [
            by_band.get((cell(filled, p, "sex"), band[p]), by_sex.get(cell(filled, p, "sex"), np.nan))
            for p in missing
        ]
        filled.loc[missing, name] = np.asarray(values, dtype=float)
    return filled


def _why_not(score: TraitScore, model: RiskModel | None, evaluation: Evaluation | None) -> str:
    if model is None or evaluation is None:
        return f"There is no polygenic score: {score.reason}"
    if model.status == "abstained":
        return f"The model could not be fitted: {model.reason}"
    if evaluation.status == "abstained":
        return f"The model could not be checked in people it had not seen: {evaluation.reason}"
    _, low, high = evaluation.interval("calibration_slope")
    if not low <= 1 <= high:
        return (
            "The model was not calibrated in people it had not seen: "
            f"calibration slope between {low:.2f} and {high:.2f}, which leaves out 1"
        )
    return ""


def ancestry_distance(score: TraitScore, components: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Distance of people from the centre of the reference, in its standard deviations (n,)."""
    if score.scale is None:
        return np.full(len(components), np.nan)
    return score.scale.distance(components[:, : len(score.scale.centre)])
