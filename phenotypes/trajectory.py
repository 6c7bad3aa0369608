"""How a measurement changes over the years, and how much it varies.

Sums are taken of whole numbers: they do not depend on the order in which an engine's threads add, as sums
of doubles do, so that two runs and two engines agree.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from phenotypes.definitions import NumericTrait

DAYS_IN_YEAR = 365.25
#: A sum of ten thousand days' terms, each up to this, fits in 64 bits.
_WHOLE = 4e14


def spreads(daily: Any, trait: NumericTrait) -> Any:
    """Sums of squares and products about each person's means.

    Parameters
    ----------
    daily
        Ibis table (who, day, value): one value a day.
    trait
        Says how many days, and over what span, are needed.

    Returns
    -------
    Table
        Ibis: who, n, span (days), xx (squared days), xy (value times share of the span) and yy (squared values),
        the last two in whole multiples of :func:`steps`.
    """
    size, (step_xy, step_yy) = largest(trait), steps(trait)
    some = daily.group_by("who").agg(
        n=daily.count(),
        days=daily.day.cast("int64").sum(),
        squares=(daily.day.cast("int64") * daily.day.cast("int64")).sum(),
        total=(daily.value / size * 1e12).round().cast("int64").sum(),
        span=daily.day.max() - daily.day.min(),
    )
    some = some.filter(some.n >= trait.fewest_days, some.span >= trait.span_days)
    some = some.mutate(
        mean=some.total.cast("float64") / some.n * (size / 1e12), middle=some.days.cast("float64") / some.n
    )
    both = daily.join(some, "who")
    x, y = (both.day - both.middle) / both.span, both.value - both.mean
    return both.group_by("who").agg(
        n=both.n.max(),
        span=both.span.max(),
        xx=(both.n * both.squares - both.days * both.days).cast("float64").max() / both.n.max(),
        xy=(x * y / step_xy).round().cast("int64").sum(),
        yy=(y * y / step_yy).round().cast("int64").sum(),
    )


def trajectories(found: pd.DataFrame, trait: NumericTrait) -> np.ndarray:
    """Value of each row of :func:`spreads`: the slope a year, or the standard deviation.

    Returns
    -------
    ndarray
        float64.
    """
    step_xy, step_yy = steps(trait)
    n, xx = found["n"].to_numpy(np.float64), found["xx"].to_numpy(np.float64)
    xy = found["xy"].to_numpy(np.float64) * step_xy * found["span"].to_numpy(np.float64)
    yy = found["yy"].to_numpy(np.float64) * step_yy
    if trait.pick == "sd":
        return np.asarray(np.sqrt(yy / (n - 1)))
    slope = xy / xx
    if trait.shrink and len(slope):
        slope = shrunken(slope, xx, np.maximum(yy - xy * slope, 0.0), n)
    return np.asarray(slope * DAYS_IN_YEAR)


def shrunken(slope: np.ndarray, xx: np.ndarray, residual: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Slopes drawn to their mean by empirical Bayes.

    The two-stage form of a model with random slopes (Laird and Ware, Biometrics 1982;38:963): the errors of
    measurement have one variance, pooled over people; the variance of true slopes is that of DerSimonian
    and Laird (Controlled Clinical Trials 1986;7:177); a slope is drawn to their mean by the share of its
    variance that is error.

    Parameters
    ----------
    slope
        float64 (people,): least squares slopes.
    xx
        Sums of squared distances of the days from their mean.
    residual
        Sums of squared residuals.
    n
        Days of each person, three or more.

    Returns
    -------
    ndarray
        float64 (people,); `slope` itself where one person or no error is all there is.

    Examples
    --------
    >>> shrunken(np.array([1.0, 3.0]), np.array([2.0, 2.0]), np.array([2.0, 2.0]), np.array([3, 3])).tolist()
    [1.5, 2.5]
    """
    noise = residual.sum() / (n - 2).sum()
    if len(slope) < 2 or noise == 0:
        return slope
    own = noise / xx
    weight = 1 / own
    mean = (weight * slope).sum() / weight.sum()
    excess = (weight * (slope - mean) ** 2).sum() - (len(slope) - 1)
    between = max(excess / (weight.sum() - (weight**2).sum() / weight.sum()), 0.0)
    weight = 1 / (own + between)
    mean = (weight * slope).sum() / weight.sum()
    return np.asarray(mean + between / (between + own) * (slope - mean))


def steps(trait: NumericTrait) -> tuple[float, float]:
    """Steps in which shares of the span times values, and squares of values, are counted."""
    size = largest(trait)
    return size / _WHOLE, size * size / _WHOLE


def largest(trait: NumericTrait) -> float:
    """No two values of a trait are further apart than this."""
    ends = set(trait.plausible)
    for adjustment in trait.adjust:
        ends |= {(value + adjustment.add) * adjustment.multiply for value in ends}
    return 2 * max(abs(value) for value in ends) + 1e-9
