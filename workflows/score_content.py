"""What the cohort report says of scores and risk."""

from __future__ import annotations

import numpy as np
import pandas as pd

from gwas.risk_model import RiskModel
from workflows.findings import GenomeFindings
from workflows.frames import cell, each_row, row_of
from workflows.polygenic_scores import TraitScore
from workflows.prediction import GENOTYPED, SCORE, Prediction
from workflows.reports.content import (
    CalibrationPoint,
    Coefficient,
    Disclosure,
    Metric,
    RiskModelSummary,
    ScoreGroup,
    ScorePerformance,
)

SCORE_METRICS = {
    "or_per_sd": ("Odds ratio per standard deviation", "1 means that the score says nothing", 2),
    "auc": (
        "AUC of the score alone",
        "chance that somebody with the disease has the higher score; 0.5 is a coin toss",
        3,
    ),
    "r2_observed": ("R2 added to age, sex and ancestry", "share of what differs between people", 3),
    "r2_liability": ("R2 on the liability scale", "the same, had everybody a hidden liability", 3),
    "beta_per_sd": ("Difference per standard deviation", "in units of the measurement", 3),
    "r2": ("R2 added to age, sex and ancestry", "share of what differs between people", 3),
}
RISK_METRICS = {
    "c_index": ("C-index", "chance that who falls ill first had the higher risk; 0.5 is a coin toss", 3),
    "auc": ("AUC at the horizon", "the same at the end of the years, for falling ill or not", 3),
    "observed_expected": ("Observed over expected", "1 is ideal; above 1, risk was underestimated", 2),
    "calibration_slope": ("Calibration slope", "1 is ideal; below 1, predictions are too extreme", 2),
    "calibration_in_the_large": ("Calibration in the large", "0 is ideal (log odds)", 2),
    "brier": ("Brier score", "mean squared error; lower is better", 4),
    "ipa": ("Index of prediction accuracy", "share by which it beats telling everybody the average", 3),
}


def score_summaries(genome: GenomeFindings, rule: Disclosure) -> tuple[ScorePerformance, ...]:
    """The chosen score of each trait in the validation people, and the published scores."""
    found = [
        _trait_score(genome, score, rule)
        for score in genome.scores.traits.values()
        if score.performance is not None and score.weights is not None
    ]
    return (*found, *_published(genome, rule))


def _trait_score(genome: GenomeFindings, score: TraitScore, rule: Disclosure) -> ScorePerformance:
    assert score.performance is not None
    assert score.weights is not None
    assert score.standardised is not None
    kept, performance = genome.kept, score.performance
    part = pd.Series(genome.part, index=kept.person_id.index)
    standing = score.standardised[part.reindex(score.standardised.index) == "validation"]
    person = kept.person_id.reindex(standing.index)
    outcome = pd.Series(genome.records.table.loc[person, score.trait].to_numpy(), index=standing.index)
    disease = performance.kind == "binary"
    label = genome.study.label_of(score.trait)
    spec = genome.study.traits.get(score.trait)
    unit = getattr(spec, "unit", "")
    summary = row_of(genome.scores.scored.summary, score.name) if genome.scores.scored is not None else {}
    threshold = score.name.rpartition("_p")[2]
    return ScorePerformance(
        name=score.trait,
        label=f"{label}: score made in this study",
        trait=label,
        variants_listed=int(summary["weights"]),
        variants_used=int(summary["used"]),
        weight_used=score.coverage,
        evaluated_in="the validation part, who had no part in making or choosing it",
        people=rule.show(performance.n),
        events=rule.show(performance.cases) if disease else None,
        metrics=tuple(_metrics(performance.metrics, SCORE_METRICS)),
        value_label=f"Frequency of {label.lower()}" if disease else f"Mean {label} ({unit})",
        as_percent=disease,
        groups=_fifths(standing, outcome, rule, disease=disease),
        note=f"Variants independent of each other with P up to {threshold} in the discovery part; "
        "the threshold was chosen in the target part."
        + (f" Not judged: {performance.reason}." if performance.status != "evaluated" else ""),
    )


def _fifths(
    score: pd.Series, outcome: pd.Series, rule: Disclosure, *, disease: bool
) -> tuple[ScoreGroup, ...]:
    """Mean outcome by group of the score; fewer groups where ten would show small numbers."""
    known = outcome.notna()
    values, ranks = outcome[known].to_numpy(dtype=float), score[known].rank(method="first").to_numpy()
    n = len(values)
    least = min(values.sum(), n - values.sum()) / 2 if disease else n
    many = int(min(10, n // 50, least // rule.smallest_shown))
    if many < 3:
        return ()
    group = np.minimum((ranks - 1) * many // n, many - 1).astype(int)
    made = []
    for number in range(many):
        mine = values[group == number]
        low, high = _wilson(mine) if disease else _t_interval(mine)
        if disease and min(mine.sum(), len(mine) - mine.sum()) < rule.smallest_shown:
            return ()
        made.append(
            ScoreGroup(
                label=str(number + 1),
                people=rule.show(len(mine)),
                value=float(mine.mean()),
                low=low,
                high=high,
            )
        )
    return tuple(made)


def _wilson(values: np.ndarray) -> tuple[float, float]:
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(int(values.sum()), len(values), method="wilson")
    return float(low), float(high)


def _t_interval(values: np.ndarray) -> tuple[float, float]:
    from scipy import stats

    half = float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return float(values.mean()) - half, float(values.mean()) + half


def _published(genome: GenomeFindings, rule: Disclosure) -> tuple[ScorePerformance, ...]:
    scored = genome.scores.scored
    if scored is None:
        return ()
    return tuple(
        ScorePerformance(
            name=name,
            label=f"{name}: published score",
            trait="",
            variants_listed=int(cell(scored.summary, name, "weights")),
            variants_used=int(cell(scored.summary, name, "used")),
            weight_used=float(cell(scored.summary, name, "variance_coverage")),
            evaluated_in="not judged: the study names no trait for it",
            people=rule.show(len(scored.scores)),
            events=None,
            metrics=(),
        )
        for name in genome.scores.published
    )


def risk_summaries(genome: GenomeFindings, rule: Disclosure) -> tuple[RiskModelSummary, ...]:
    """Each risk model that could be fitted and judged."""
    return tuple(
        _risk_summary(genome, prediction, rule)
        for prediction in genome.predictions
        if prediction.clinical.status != "abstained" and prediction.clinical_evaluation.status == "evaluated"
    )


def _risk_summary(genome: GenomeFindings, prediction: Prediction, rule: Disclosure) -> RiskModelSummary:
    integrated = prediction.evaluation is not None and prediction.evaluation.status == "evaluated"
    model = prediction.integrated if integrated and prediction.integrated is not None else prediction.clinical
    evaluation = (
        prediction.evaluation
        if integrated and prediction.evaluation is not None
        else prediction.clinical_evaluation
    )
    last = model.flow.iloc[-1]
    return RiskModelSummary(
        name=prediction.spec.outcome,
        label=prediction.label,
        horizon_years=round(prediction.horizon),
        fitted_in=rule.show(int(last["people"])),
        fitted_events=rule.show(int(last["events"])),
        evaluated_in=rule.show(evaluation.n),
        evaluated_events=rule.show(evaluation.events),
        competing_deaths=rule.show(evaluation.competing),
        coefficients=tuple(_coefficients(genome, prediction, model.coefficients)),
        metrics=tuple(_metrics(evaluation.metrics, RISK_METRICS)),
        clinical_metrics=tuple(_metrics(prediction.clinical_evaluation.metrics, RISK_METRICS))
        if integrated
        else (),
        calibration=tuple(_calibration(prediction.calibration, rule)),
        note=_risk_note(prediction, model),
    )


def _risk_note(prediction: Prediction, model: RiskModel) -> str:
    notes = []
    if model.status == "shrunk":
        notes.append(
            f"Coefficients were multiplied by {model.shrinkage:.2f} so that predictions are not too extreme."
        )
    if len(prediction.compared):
        gain = row_of(prediction.compared, "c_index")
        notes.append(
            f"Adding the polygenic score changed the C-index by {gain['difference']:+.3f} "
            f"({gain['low']:+.3f} to {gain['high']:+.3f})."
        )
    if prediction.reason:
        notes.append(f"{prediction.reason}. No person was told a risk.")
    return " ".join(notes)


def _calibration(groups: pd.DataFrame, rule: Disclosure) -> list[CalibrationPoint]:
    return [
        CalibrationPoint(
            predicted=float(row.predicted),
            observed=float(row.observed),
            low=float(row.low),
            high=float(row.high),
            people=rule.show(int(row.n)),
        )
        for row in each_row(groups)
        if np.isfinite([row.predicted, row.observed, row.low, row.high]).all()
    ]


def _coefficients(genome: GenomeFindings, prediction: Prediction, table: pd.DataFrame) -> list[Coefficient]:
    target = prediction.people[prediction.people["part"] != "validation"]
    filled = prediction.filled.loc[target.index]
    rows = []
    for row in each_row(table[table["cause"] == "event"]):
        unit, step = _step(genome, str(row.factor), target, filled)
        rows.append(
            Coefficient(
                label=label_of(genome, prediction, str(row.factor)),
                unit=unit,
                hazard_ratio=float(row.hr**step),
                low=float(row.low**step),
                high=float(row.high**step),
            )
        )
    return rows


def label_of(genome: GenomeFindings, prediction: Prediction, factor: str) -> str:
    """What a factor of a risk model is called in front of people."""
    if factor == GENOTYPED:
        return "Gave a DNA sample"
    if factor == SCORE:
        return f"Polygenic score of {genome.study.label_of(prediction.spec.score_for).lower()}"
    return genome.study.label_of(factor)


def _step(
    genome: GenomeFindings, factor: str, target: pd.DataFrame, filled: pd.DataFrame
) -> tuple[str, float]:
    if factor == "age":
        return "per 10 years", 10.0
    if factor == "sex":
        return "men against women", 1.0
    if factor == GENOTYPED:
        return "yes against no", 1.0
    if factor == SCORE:
        return "per standard deviation", 1.0
    if set(target.loc[~filled[factor], factor].unique()) <= {0.0, 1.0}:
        return "yes against no", 1.0
    spread = float(target[factor].std())
    return f"per standard deviation ({spread:.3g} {genome.study.unit_of(factor)})".replace(" )", ")"), spread


def _metrics(table: pd.DataFrame, wording: dict[str, tuple[str, str, int]]) -> list[Metric]:
    return [
        Metric(
            label=label,
            value=float(cell(table, name, "estimate")),
            low=_known(cell(table, name, "low")),
            high=_known(cell(table, name, "high")),
            meaning=meaning,
            digits=digits,
        )
        for name, (label, meaning, digits) in wording.items()
        if name in table.index and np.isfinite(table.loc[name].to_numpy(dtype=float)).all()
    ]


def _known(value: object) -> float | None:
    number = float(str(value))
    return number if np.isfinite(number) else None
