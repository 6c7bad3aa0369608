"""Absolute risk: fitted in the target people, judged in the validation people, told to some of them."""

from __future__ import annotations

import logging
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from gwas.calibration import risk_groups
from gwas.evaluation import Evaluation, compare_risk, validate
from gwas.risk import fit_risk
from gwas.risk_model import RiskModel
from workflows.frames import cell, row_of
from workflows.genome_study import GenomeStudy, RiskSpec
from workflows.genotyped import Genotyped
from workflows.polygenic_scores import TraitScore

LOG = logging.getLogger("careome")
SCORE = "score"
GENOTYPED = "genotyped"
REGION = "region"
MOST_GROUPS = 10
# A risk is told only where these, in people the model had not seen, lie within the limits and do not
# certainly differ from 1 by more than that.
CALIBRATED = (
    ("calibration_slope", "calibration slope", (0.7, 1.4)),
    ("observed_expected", "observed over expected", (0.8, 1.25)),
)
FEWEST_EVENTS = 10
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
        record), ``score``, ``genotyped`` and ``iid``; those at risk and of the right age in target,
        validation and region.
    filled
        DataFrame of bool, same index, one column a factor: not on record.
    integrated, clinical
        Models with and without the score; None where there is no score.
    evaluation, clinical_evaluation
        In the validation people.
    compared
        What the score adds (:func:`gwas.evaluation.compare_risk`).
    calibration
        Groups of predicted risk in the validation people, as many as have ten events each.
    risks, clinical_risks
        Index person_id of the validation people: risk, low, high, status.
    reason, clinical_reason
        Why no risk is given with the score, or from the records alone, where none is.
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
    calibration: pd.DataFrame
    clinical_risks: pd.DataFrame
    risks: pd.DataFrame | None
    reason: str
    clinical_reason: str


def people_at_risk(
    table: pd.DataFrame,
    joined: Genotyped,
    others: Genotyped,
    part: npt.NDArray[np.object_],
    *,
    sampled_later: pd.Series,
) -> pd.DataFrame:
    """Who may teach or test a risk model: target and validation people, and those without any sample.

    Parameters
    ----------
    table
        Everybody of the population, index person_id.
    joined
        All samples of people in the study: who has one that was not kept is left out.
    others
        Target and validation people.
    part
        Their parts.
    sampled_later
        People whose sample was taken after the index date. They had to live until then, so that they say
        nothing about the risk from the index date, and are left out.
    """
    region = table.loc[table.index.difference(pd.Index(joined.person_id))].assign(part=REGION, iid=None)
    genotyped = table.loc[others.person_id].assign(part=part, iid=others.person_id.index.to_numpy())
    return pd.concat([genotyped[~others.person_id.isin(sampled_later).to_numpy()], region])


def predict_outcome(
    study: GenomeStudy,
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
        Index person_id; ``part`` (target, validation, or region for people without genotypes), ``iid``,
        ``age``, ``sex`` (1 male, 0 female) and every factor, NaN where not on record.
    score
        The polygenic score of ``spec.score_for``.
    discovery
        People the score came from; none of them may be in `table`.
    rng
        For the bootstrap.

    Notes
    -----
    The models are fitted in the target part together with the people of the region who have no genotypes:
    there are many more of them, and clinical factors need many. Their score counts as the mean, 0, and an
    indicator lets people with genotypes differ from them (the score's own effect comes from the target part).

    A factor that is not on record takes the mean of these people of the same sex and ten-year age band (of
    the same sex where the band has none); a condition that is not on record counts as absent.
    """
    outcome = study.outcomes[spec.outcome]
    horizon = float(outcome.years)
    follow_up = survival[survival["outcome"] == spec.outcome].set_index("person_id")[["years", "state"]]
    people = table.join(follow_up, how="inner")
    people = people[people["age"].between(spec.youngest, spec.oldest)]
    factors = list(spec.factors)
    filled = people[factors].isna()
    people = _fill(people, factors, conditions=set(study.phenotypes))
    in_region = people["part"] == REGION
    people[GENOTYPED] = (~in_region).astype(float)
    if score.standardised is not None:
        people[SCORE] = people["iid"].map(score.standardised).where(~in_region, 0.0)
    rest = people[people["part"] == "validation"]
    learnt_from = people[people["part"] != "validation"]
    told_apart = [GENOTYPED] if 0 < learnt_from[GENOTYPED].mean() < 1 else []

    def fitted(columns: list[str]) -> RiskModel:
        return fit_risk(
            learnt_from,
            factors=[*columns, *told_apart],
            horizon=horizon,
            discovery=discovery,
            shrink_below=SHRINK_BELOW,
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
        calibration=_calibration(rest, clinical_risks if risks is None else risks, horizon),
        clinical_risks=clinical_risks,
        risks=risks,
        reason=_why_not(integrated, evaluation)
        or (f"There is no polygenic score: {score.reason}" if SCORE not in people else ""),
        clinical_reason=_why_not(clinical, clinical_evaluation),
    )


def may_be_chance(compared: pd.DataFrame) -> bool:
    """Whether the interval of what the score adds to the C-index holds 0, or there is none.

    Examples
    --------
    >>> gains = pd.DataFrame({"difference": [0.02], "low": [-0.01], "high": [0.05]}, index=["c_index"])
    >>> may_be_chance(gains), may_be_chance(gains.assign(low=0.004))
    (True, False)
    """
    if not len(compared):
        return True
    gain = row_of(compared, "c_index")
    return not (gain["low"] > 0 or gain["high"] < 0)


def chosen_people(study: GenomeStudy, prediction: Prediction) -> list[int]:
    """For whom a risk report is made: those the study names, and some spread evenly over the risk.

    People not in the validation part are never chosen: the model has seen them.
    """
    rest = prediction.people.index[prediction.people["part"] == "validation"]
    risks = prediction.clinical_risks if prediction.risks is None else prediction.risks
    ranked = risks.sort_values("risk", kind="stable", na_position="last").index
    count = min(study.reports.spread, len(ranked))
    spread = [ranked[int((k + 0.5) * len(ranked) / count)] for k in range(count)]
    named = [int(text, 16) for text in study.reports.person_ids]
    missing = [person for person in named if person not in set(rest)]
    if missing:
        LOG.warning(
            "%d of the people named in reports.person_ids get no report on %s: they are not at risk in the "
            "validation part",
            len(missing),
            prediction.label,
        )
    named = [person for person in named if person in set(rest)]
    return list(dict.fromkeys([*named, *spread]))


def _fill(people: pd.DataFrame, factors: list[str], *, conditions: set[str]) -> pd.DataFrame:
    """Fill what is not on record from people outside the validation part, so that nothing leaks from it."""
    filled = people.copy()
    band = filled["age"] // IMPUTE_BAND
    learnt_from = filled["part"] != "validation"
    for name in factors:
        if name in conditions:
            filled[name] = filled[name].fillna(0.0)
            continue
        seen = filled[learnt_from & filled[name].notna()]
        by_band = seen.groupby([seen["sex"], band[seen.index]])[name].mean()
        by_sex = seen.groupby("sex")[name].mean()
        missing = filled.index[filled[name].isna()]
        values = [
            by_band.get((cell(filled, p, "sex"), band[p]), by_sex.get(cell(filled, p, "sex"), np.nan))
            for p in missing
        ]
        filled.loc[missing, name] = np.asarray(values, dtype=float)
    return filled


def _calibration(rest: pd.DataFrame, risks: pd.DataFrame, horizon: float) -> pd.DataFrame:
    """Groups of predicted risk, the most (up to ten) that leave ten events in each.

    A rate beside a number of people gives the number of events back, so smaller groups may not be shown.
    """
    known = risks["risk"].notna().to_numpy()
    predicted = risks["risk"].to_numpy()[known]
    time, state = (rest[name].to_numpy()[known] for name in ("years", "state"))
    for groups in range(MOST_GROUPS, 0, -1):
        if len(predicted) < groups:
            continue
        table = risk_groups(predicted, time, state.astype(np.int64), horizon=horizon, groups=groups)
        if table["events"].min() >= FEWEST_EVENTS and (table["n"] - table["events"]).min() >= FEWEST_EVENTS:
            return table
    return pd.DataFrame(columns=["group", "predicted", "observed", "low", "high", "n", "events"])


def _why_not(model: RiskModel | None, evaluation: Evaluation | None) -> str:
    if model is None or evaluation is None:
        return ""
    if model.status == "abstained":
        return f"The model could not be fitted: {model.reason}"
    if evaluation.status == "abstained":
        return f"The model could not be checked in people it had not seen: {evaluation.reason}"
    for metric, name, (least, most) in CALIBRATED:
        value, low, high = evaluation.interval(metric)
        proven_off = high < 1 or low > 1
        if not least <= value <= most or (proven_off and not least <= low <= high <= most):
            return (
                f"The model was not well calibrated in people it had not seen: {name} {value:.2f} "
                f"({low:.2f} to {high:.2f}), where 1 is ideal"
            )
    return ""
