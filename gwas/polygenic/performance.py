"""What a score is worth in people it was not learnt from, and where one person stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cohorts.errors import DesignError
from gwas.discrimination import weighted_auc
from gwas.evaluation import resamples, summarise

Floats = NDArray[np.float64]
Kind = Literal["binary", "quantitative"]
FEWEST = 10


@dataclass(frozen=True)
class Performance:
    """How well a score predicts one outcome.

    Parameters
    ----------
    metrics
        Index metric, columns estimate, low, high (95% bootstrap percentile). Binary: or_per_sd,
        auc (score alone), r2_observed, and r2_liability if the prevalence was given. Quantitative:
        beta_per_sd, r2. R^2 is that of covariates and score minus that of the covariates alone.
    kind
        ``binary`` or ``quantitative``.
    n, cases
        People with everything known, and cases among them (0 if quantitative).
    status, reason
        ``evaluated``, or ``abstained`` with a reason and no metrics.
    """

    metrics: pd.DataFrame
    kind: Kind
    n: int
    cases: int
    status: str
    reason: str


def score_performance(
    score: ArrayLike,
    outcome: ArrayLike,
    *,
    rng: np.random.Generator,
    covariates: ArrayLike | None = None,
    prevalence: float | None = None,
    replicates: int = 200,
) -> Performance:
    """Association of a score with an outcome, adjusted for covariates, with bootstrap intervals.

    Parameters
    ----------
    score
        Score of each person, (n,).
    outcome
        1 and 0 (NaN unknown) for a disease, anything else for a trait, (n,).
    rng
        Source of the resamples.
    covariates
        Covariates, (n, c): age, sex, principal components. No constant.
    prevalence
        Share of the population with the disease, for R^2 on the liability scale.
    replicates
        Resamples of people.

    Returns
    -------
    Performance
        Abstains below 10 cases or 10 controls, or when the score does not vary.

    Raises
    ------
    DesignError
        If lengths differ or the prevalence is not between 0 and 1.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=500)
    >>> found = score_performance(x, 0.5 * x + rng.normal(size=500), rng=rng)
    >>> found.kind, bool(0.1 < found.metrics.loc["r2", "estimate"] < 0.3)
    ('quantitative', True)
    """
    x, y = np.asarray(score, dtype=np.float64), np.asarray(outcome, dtype=np.float64)
    c = np.zeros((x.size, 0)) if covariates is None else np.asarray(covariates, dtype=np.float64)
    if x.shape != y.shape or len(c) != x.size:
        raise DesignError(
            "score, outcome and covariates differ in length", found=f"{x.size}, {y.size}, {len(c)}"
        )
    known = np.isfinite(x) & np.isfinite(y) & np.isfinite(c).all(axis=1)
    x, y, c = x[known], y[known], c[known]
    binary = bool(np.isin(y, (0.0, 1.0)).all()) and y.size > 0
    kind: Kind = "binary" if binary else "quantitative"
    cases = int(y.sum()) if binary else 0
    reason = _why_not(x, y, cases, binary)
    if reason:
        return Performance(
            pd.DataFrame(columns=["estimate", "low", "high"]), kind, x.size, cases, "abstained", reason
        )
    weights = resamples(x.size, replicates, rng)
    base = np.column_stack([np.ones(x.size), _independent(c)])
    full = np.column_stack([base, (x - x.mean()) / x.std(ddof=1)])
    gained = _r2(full, y, weights) - _r2(base, y, weights)
    if binary:
        values = {
            "or_per_sd": np.exp(_logistic(full, y, weights)[:, -1]),
            "auc": weighted_auc(x, weights * y, weights * (1 - y)),
            "r2_observed": gained,
        }
        if prevalence is not None:
            share = weights @ y / weights.sum(axis=1)
            values["r2_liability"] = liability_r2(gained, prevalence=prevalence, share=share)
    else:
        values = {"beta_per_sd": _linear(full, y, weights)[:, -1], "r2": gained}
    return Performance(summarise(values), kind, x.size, cases, "evaluated", "")


def choose_score(
    scores: pd.DataFrame, outcome: ArrayLike, *, covariates: ArrayLike | None = None
) -> tuple[str, pd.DataFrame]:
    """Choose among scores (say, of several P thresholds) by the R^2 they add to the covariates.

    The people must not be those in whom the chosen score is judged afterwards: the best of many looks
    better than it is.

    Parameters
    ----------
    scores
        One column a score, one row a person.
    outcome, covariates
        As in :func:`score_performance`.

    Returns
    -------
    str
        Name of the best score.
    DataFrame
        Index score, column r2, in the order of `scores`.

    Raises
    ------
    DesignError
        If no score can be judged.
    """
    y = np.asarray(outcome, dtype=np.float64)
    c = np.zeros((y.size, 0)) if covariates is None else np.asarray(covariates, dtype=np.float64)
    known = np.isfinite(y) & np.isfinite(c).all(axis=1) & np.isfinite(scores.to_numpy()).all(axis=1)
    ones = np.ones((1, int(known.sum())))
    base = np.column_stack([np.ones(ones.size), _independent(c[known])])
    r2 = pd.Series(np.nan, index=scores.columns, name="r2")
    if known.sum() > base.shape[1] + 2 and np.ptp(y[known]) > 0:
        null = _r2(base, y[known], ones)[0]
        for name in scores.columns:
            x = scores[name].to_numpy(dtype=np.float64)[known]
            if np.ptp(x) > 0:
                r2[name] = _r2(np.column_stack([base, (x - x.mean()) / x.std()]), y[known], ones)[0] - null
    if r2.isna().all():
        raise DesignError("no score can be judged", found=f"{int(known.sum())} people with everything known")
    return str(r2.idxmax()), r2.to_frame()


def liability_r2(r2: ArrayLike, *, prevalence: float, share: ArrayLike) -> Floats:
    """R^2 on the liability scale from R^2 of a linear model of 0 and 1.

    Parameters
    ----------
    r2
        Observed R^2, any shape.
    prevalence
        Share of cases in the population, K.
    share
        Share of cases in the sample, P.

    Notes
    -----
    Lee, Goddard, Wray, Visscher, Genet Epidemiol 2012;36:214, equation 15.

    Examples
    --------
    >>> round(float(liability_r2(0.05, prevalence=0.01, share=0.5)), 6)
    0.028646
    """
    from scipy.special import ndtri

    if not 0 < prevalence < 1:
        raise DesignError("the prevalence is no share", found=f"{prevalence:g}", expected="between 0 and 1")
    p, observed = np.asarray(share, dtype=np.float64), np.asarray(r2, dtype=np.float64)
    limit = -ndtri(prevalence)
    height = np.exp(-0.5 * limit**2) / np.sqrt(2 * np.pi)
    mean = height / prevalence
    excess = (p - prevalence) / (1 - prevalence)
    theta = mean * excess * (mean * excess - limit)
    scale = (prevalence * (1 - prevalence)) ** 2 / (height**2 * p * (1 - p))
    return np.asarray(observed * scale / (1 + observed * theta * scale))


def percentile(
    value: float, reference: ArrayLike, *, se: float = 0.0, level: float = 0.95
) -> tuple[float, float, float]:
    """Where a score stands among those of a reference group, in percent, with an interval.

    Parameters
    ----------
    value
        The person's score.
    reference
        Scores of the reference group, NaN left out.
    se
        Standard error of the person's score (from the weights' errors); 0 if unknown.
    level
        Level of the interval.

    Returns
    -------
    percentile, low, high
        0 to 100. The interval holds the finite size of the group (Wilson's interval at either end) and
        `se`; it is on the safe side, as both are taken at `level`.

    Raises
    ------
    DesignError
        If the group is empty.

    Examples
    --------
    >>> [round(p) for p in percentile(1.0, np.arange(-50, 50) / 25)]
    [76, 66, 83]
    """
    from scipy.special import ndtri

    group = np.sort(np.asarray(reference, dtype=np.float64))
    group = group[np.isfinite(group)]
    if not group.size:
        raise DesignError("the reference group is empty")
    z = float(ndtri(0.5 + level / 2))
    below, low_end, high_end = (_share_below(group, value + move * se) for move in (0.0, -z, z))
    low = _wilson(low_end, group.size, z)[0]
    high = _wilson(high_end, group.size, z)[1]
    return 100 * below, 100 * low, 100 * high


def _share_below(group: Floats, value: float) -> float:
    left = np.searchsorted(group, value, side="left")
    right = np.searchsorted(group, value, side="right")
    return float(left + right) / 2 / group.size


def _wilson(p: float, n: int, z: float) -> tuple[float, float]:
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def _why_not(x: Floats, y: Floats, cases: int, binary: bool) -> str:
    if binary and min(cases, y.size - cases) < FEWEST:
        return f"fewer than the {FEWEST} cases or {FEWEST} controls that are needed"
    if y.size < 2 * FEWEST:
        return f"fewer than the {2 * FEWEST} people that are needed"
    if np.ptp(x) == 0:
        return "the score is the same for everybody"
    return "the trait is the same for everybody" if np.ptp(y) == 0 else ""


def _independent(covariates: Floats) -> Floats:
    """An orthonormal basis of the centred covariates, so that collinear or constant ones do no harm."""
    if not covariates.shape[1]:
        return covariates
    spread = covariates.std(axis=0)
    scaled = (covariates - covariates.mean(axis=0))[:, spread > 0] / spread[spread > 0]
    left, size, _ = np.linalg.svd(scaled, full_matrices=False)
    return np.asarray(left[:, size > 1e-8 * max(size.max(initial=0.0), 1.0)] * np.sqrt(len(covariates)))


def _moments(design: Floats, y: Floats, weights: Floats) -> tuple[Floats, Floats]:
    n, p = design.shape
    products = (design[:, :, None] * design[:, None, :]).reshape(n, p * p)
    ridge = 1e-10 * n * np.eye(p)
    return (weights @ products).reshape(-1, p, p) + ridge, weights @ (design * y[:, None])


def _linear(design: Floats, y: Floats, weights: Floats) -> Floats:
    """Least-squares coefficients of every resample, (B, p)."""
    cross, right = _moments(design, y, weights)
    return np.asarray(np.linalg.solve(cross, right[..., None])[..., 0])


def _r2(design: Floats, y: Floats, weights: Floats) -> Floats:
    """R^2 of a linear model in every resample, (B,)."""
    _, right = _moments(design, y, weights)
    explained = np.einsum("bp,bp->b", _linear(design, y, weights), right)
    n, sy, syy = weights.sum(axis=1), weights @ y, weights @ y**2
    total = syy - sy**2 / n
    return np.asarray(np.divide(explained - sy**2 / n, total, out=np.zeros_like(total), where=total > 0))


def _logistic(design: Floats, y: Floats, weights: Floats, *, steps: int = 30) -> Floats:
    """Logistic coefficients of every resample by Newton's method, (B, p); NaN where it does not settle."""
    n, p = design.shape
    products = (design[:, :, None] * design[:, None, :]).reshape(n, p * p)
    beta, step = np.zeros((len(weights), p)), np.full((len(weights), p), np.inf)
    for _ in range(steps):
        mean = 1 / (1 + np.exp(-np.clip(beta @ design.T, -30, 30)))
        information = ((weights * mean * (1 - mean)) @ products).reshape(-1, p, p) + 1e-9 * np.eye(p)
        step = np.linalg.solve(information, ((weights * (y - mean)) @ design)[..., None])[..., 0]
        beta = beta + np.clip(step, -3, 3)
        if np.abs(step).max() < 1e-9:
            break
    settled = (np.abs(step).max(axis=1) < 1e-5) & (np.abs(beta).max(axis=1) < 15)
    return np.where(settled[:, None], beta, np.nan)
