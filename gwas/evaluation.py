"""Evaluate risk in people that nothing was learnt from: ranking, calibration, what a score adds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cohorts.errors import DesignError
from gwas.calibration import (
    brier,
    brier_of_nobody,
    expected_risk,
    logistic_calibration,
    observed_risk,
    risk_groups,
)
from gwas.discrimination import FollowUp, auc_at_horizon, concordance, follow_up
from gwas.risk import RiskModel, check_splits

Floats = NDArray[np.float64]
FEWEST_EVENTS = 10
EVENTS_PER_GROUP = 5


@dataclass(frozen=True)
class Evaluation:
    """How predictions fared.

    Parameters
    ----------
    metrics
        Index metric (c_index, auc, observed, expected, observed_expected, calibration_in_the_large,
        calibration_slope, brier, ipa); columns estimate, low, high (95% bootstrap percentile).
    deciles
        Columns group, predicted, observed, low, high, n, events; ten groups, or fewer when events are few.
    n, events, competing
        People, events and competing deaths by the horizon.
    horizon
        Years.
    replicates
        Bootstrap resamples.
    status, reason
        ``evaluated``, or ``abstained`` with a reason: then the tables are empty.
    """

    metrics: pd.DataFrame
    deciles: pd.DataFrame
    n: int
    events: int
    competing: int
    horizon: float
    replicates: int
    status: str
    reason: str

    def interval(self, metric: str) -> tuple[float, float, float]:
        """Estimate, low and high of one metric."""
        estimate, low, high = self.metrics.loc[[metric], ["estimate", "low", "high"]].to_numpy()[0]
        return float(estimate), float(low), float(high)


def _ratio(predicted: Floats, seen: FollowUp) -> Floats:
    return observed_risk(seen) / expected_risk(predicted, seen)


def _ipa(predicted: Floats, seen: FollowUp) -> Floats:
    null = brier_of_nobody(seen)
    return 1 - np.divide(brier(predicted, seen), null, out=np.full_like(null, np.nan), where=null > 0)


METRICS: dict[str, Callable[[Floats, FollowUp], Floats]] = {
    "c_index": concordance,
    "auc": auc_at_horizon,
    "observed": lambda predicted, seen: observed_risk(seen),
    "expected": expected_risk,
    "observed_expected": _ratio,
    "calibration_in_the_large": lambda predicted, seen: logistic_calibration(predicted, seen)[0],
    "calibration_slope": lambda predicted, seen: logistic_calibration(predicted, seen)[1],
    "brier": brier,
    "ipa": _ipa,
}
COMPARED = ("c_index", "auc", "brier", "ipa")


def evaluate_risk(
    predicted: ArrayLike,
    time: ArrayLike,
    state: ArrayLike,
    *,
    horizon: float,
    rng: np.random.Generator,
    replicates: int = 200,
    groups: int = 10,
) -> Evaluation:
    """Discrimination and calibration of predicted risks at a horizon, with bootstrap intervals.

    Parameters
    ----------
    predicted
        Predicted risk by the horizon, (n,), in [0, 1]; people without one (NaN) are left out.
    time, state
        Years of follow-up and 0 censored, 1 event, 2 competing death, (n,).
    horizon
        Years.
    rng
        Source of the resamples; people are drawn with replacement, and the weights for censoring are
        estimated anew in each.
    replicates, groups
        Resamples, and groups of the calibration table.

    Returns
    -------
    Evaluation
        Abstains below 10 events.

    Raises
    ------
    DesignError
        If lengths differ or a risk is outside [0, 1].

    Examples
    --------
    >>> rng = np.random.default_rng(3)
    >>> risk = rng.uniform(0.05, 0.6, 500)
    >>> t = rng.exponential(-10 / np.log1p(-risk))
    >>> result = evaluate_risk(risk, np.minimum(t, 10), (t < 10).astype(int), horizon=10, rng=rng)
    >>> low, high = result.interval("calibration_slope")[1:]
    >>> low < 1 < high
    True
    """
    risk, times, states = _aligned(predicted, time, state)
    events, competing, status, reason = _enough(times, states, horizon)
    if status == "abstained":
        return Evaluation(
            pd.DataFrame(columns=["estimate", "low", "high"]),
            pd.DataFrame(columns=["group", "predicted", "observed", "low", "high", "n", "events"]),
            risk.size, events, competing, float(horizon), 0, status, reason,
        )  # fmt: skip
    seen = follow_up(times, states, resamples(risk.size, replicates, rng), horizon=horizon)
    values = {name: metric(risk, seen) for name, metric in METRICS.items()}
    many = int(np.clip(events // EVENTS_PER_GROUP, 2, groups))
    return Evaluation(
        metrics=summarise(values),
        deciles=risk_groups(risk, seen.time, states, horizon=horizon, groups=many),
        n=risk.size,
        events=events,
        competing=competing,
        horizon=float(horizon),
        replicates=replicates,
        status=status,
        reason=reason,
    )


def compare_risk(
    predicted: Mapping[str, ArrayLike],
    time: ArrayLike,
    state: ArrayLike,
    *,
    horizon: float,
    rng: np.random.Generator,
    replicates: int = 200,
) -> pd.DataFrame:
    """Compare two sets of predictions for the same people, in the same resamples.

    Parameters
    ----------
    predicted
        Two names and their predictions (n,), such as ``{"clinical": ..., "clinical + score": ...}``;
        differences are the second minus the first. People who lack either are left out.
    time, state, horizon, rng, replicates
        As in :func:`evaluate_risk`.

    Returns
    -------
    DataFrame
        Index c_index, auc, brier, ipa; columns: the two names, difference, low, high. Empty below 10
        events.
    """
    if len(predicted) != 2:
        raise DesignError("a comparison takes two sets of predictions", found=len(predicted))
    first, second = predicted
    pair = [np.asarray(values, dtype=np.float64) for values in predicted.values()]
    known = np.isfinite(pair[0]) & np.isfinite(pair[1])
    a, times, states = _aligned(np.where(known, pair[0], np.nan), time, state)
    b = pair[1][known & _followed(time, state)]
    columns = [first, second, "difference", "low", "high"]
    if _enough(times, states, horizon)[2] == "abstained":
        return pd.DataFrame(columns=columns)
    seen = follow_up(times, states, resamples(a.size, replicates, rng), horizon=horizon)
    rows = {}
    for name in COMPARED:
        one, two = METRICS[name](a, seen), METRICS[name](b, seen)
        low, high = np.nanpercentile((two - one)[1:], [2.5, 97.5])
        rows[name] = (one[0], two[0], two[0] - one[0], low, high)
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def validate(
    model: RiskModel,
    frame: pd.DataFrame,
    *,
    rng: np.random.Generator,
    time: str = "years",
    state: str = "state",
    horizon: float | None = None,
    replicates: int = 200,
) -> tuple[Evaluation, pd.DataFrame]:
    """Evaluate a model in people that neither it nor its scores have seen; anything else is refused.

    Returns
    -------
    Evaluation
        Abstains if the model did.
    DataFrame
        The predictions (as :meth:`RiskModel.predict`), indexed by person.

    Raises
    ------
    DesignError
        If a person of `frame` was in the discovery or in the target set.
    """
    table = frame.set_index(model.person) if model.person in frame.columns else frame
    check_splits(discovery=model.discovery, target=model.people.index, validation=table.index)
    horizon = model.horizon if horizon is None else horizon
    predictions = model.predict(table, horizon)
    result = evaluate_risk(
        predictions["risk"], table[time], table[state], horizon=horizon, rng=rng, replicates=replicates
    )
    return result, predictions


def resamples(n: int, replicates: int, rng: np.random.Generator) -> Floats:
    """Case weights of bootstrap resamples, (replicates + 1, n); the first row is the data as they are."""
    drawn = rng.multinomial(n, np.full(n, 1 / n), size=replicates)
    return np.vstack([np.ones((1, n)), drawn]).astype(np.float64)


def summarise(values: Mapping[str, Floats]) -> pd.DataFrame:
    """Estimate (first element) and 95% percentile interval (the rest) of each metric's resamples."""
    rows = {}
    for name, all_values in values.items():
        rest = all_values[1:][np.isfinite(all_values[1:])]
        enough = rest.size >= 0.9 * (all_values.size - 1) > 0
        low, high = np.percentile(rest, [2.5, 97.5]) if enough else (np.nan, np.nan)
        rows[name] = (all_values[0], low, high)
    return pd.DataFrame.from_dict(rows, orient="index", columns=["estimate", "low", "high"])


def _followed(time: ArrayLike, state: ArrayLike) -> NDArray[np.bool_]:
    return pd.notna(np.asarray(time, dtype=object)) & pd.notna(np.asarray(state, dtype=object))


def _aligned(
    predicted: ArrayLike, time: ArrayLike, state: ArrayLike
) -> tuple[Floats, Floats, NDArray[np.int64]]:
    risk = np.asarray(predicted, dtype=np.float64)
    known = np.isfinite(risk)
    if not risk.shape == np.shape(time) == np.shape(state):
        raise DesignError("predictions and follow-up differ in length", found=f"{risk.size}, {np.size(time)}")
    if known.any() and (risk[known].min() < 0 or risk[known].max() > 1):
        raise DesignError("a predicted risk is no probability", expected="between 0 and 1")
    known &= _followed(time, state)
    times, states = np.asarray(time)[known].astype(np.float64), np.asarray(state)[known].astype(np.int64)
    return risk[known], times, states


def _enough(time: Floats, state: NDArray[np.int64], horizon: float) -> tuple[int, int, str, str]:
    events = int(((state == 1) & (time <= horizon)).sum())
    competing = int(((state == 2) & (time <= horizon)).sum())
    if events < FEWEST_EVENTS:
        reason = f"fewer than the {FEWEST_EVENTS} events that are needed"
        return events, competing, "abstained", reason
    if time.max() < horizon * (1 - 1e-3):
        reason = f"nobody was followed for {horizon:g} years"
        return events, competing, "abstained", reason
    return events, competing, "evaluated", ""
