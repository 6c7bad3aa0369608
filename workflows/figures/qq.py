"""Quantile-quantile plot of P values with the band of a scan in which nothing is to be found."""

from __future__ import annotations

from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from scipy.stats import beta

from cohorts.errors import InputError
from gwas.sumstats import lambda_gc
from workflows.figures.batches import Results, heights
from workflows.figures.style import BLUE, GREY, INK, MUTED, bend, bent_at, dots, new_figure

Floats = NDArray[np.float64]
Longs = NDArray[np.int64]
BAND: Final = "#dde4ea"
ENOUGH: Final = 20
"""Variants of which one has P above a half, unless rows were left out by P."""


def qq(
    results: Results | Floats,
    *,
    trait: str | None = None,
    cap: float | None = None,
    title: str = "",
    width: float = 3.4,
    height: float = 3.4,
) -> Figure:
    """Observed against expected -log10 P, with genomic inflation and the 95% band of the null.

    Parameters
    ----------
    results
        See :func:`workflows.figures.batches.batches`; or -log10 P, float64 (n,), NaN left out.
    trait
        Which trait, where there are several.
    cap
        -log10 P above which the axis is logarithmic; None for 30 where the highest is above 60.
    title
        Above the plot.
    width, height
        Inches.

    Returns
    -------
    Figure

    Raises
    ------
    InputError
        Rows were left out by P: what is expected of the others, and λ, cannot be told.

    Notes
    -----
    The band is pointwise: the k-th smallest of n uniform P values is Beta(k, n - k + 1). It takes the variants
    as independent; linkage disequilibrium widens what is seen.
    """
    values = results if isinstance(results, np.ndarray) else heights(results, trait=trait)
    values = values[np.isfinite(values)]
    if values.size >= ENOUGH and values.min() > -np.log10(0.5):
        raise InputError(
            "a quantile-quantile plot needs every variant tested",
            where="results",
            found=f"{values.size} variants, the largest P {10 ** -values.min():.2g}",
            expected="P up to 1",
            fix="take results written without a P filter",
        )
    figure, ax = new_figure(width, height)
    draw_quantiles(ax, values, cap=cap)
    ax.text(0.05, 0.96, f"λ = {lambda_gc(values):.3f}", transform=ax.transAxes, va="top", size=9, color=INK)
    ax.text(0.05, 0.88, f"{values.size:,} variants", transform=ax.transAxes, va="top", size=7, color=MUTED)
    if title:
        ax.set_title(title, size=9.5, loc="left")
    return figure


def draw_quantiles(
    ax: Axes, height: Floats, *, cap: float | None = None, light: bool = False, most: int = 1000
) -> None:
    """Observed against expected -log10 P on `ax`, with the 95% band of nothing to find.

    Every one of the `most` smallest P values is drawn, of the others a few hundred; ``light``: see
    :func:`workflows.figures.style.dots`.
    """
    observed = np.sort(height)[::-1]
    n = observed.size
    highest = float(observed[0]) if n else 1.0
    if n:
        ranks = log_ranks(n, first=most)
        expected, low, high = quantile_band(n, ranks)
        ax.fill_between(expected, low, high, color=BAND, linewidth=0)
        ax.plot([0, expected.max()], [0, expected.max()], color=GREY, linewidth=0.8)
        dots(ax, expected, observed[ranks - 1], colour=BLUE, size=2.8, light=light)
        highest = max(highest, float(high.max()))
    ax.set_xlabel("Expected −log₁₀ P")
    ax.set_ylabel("Observed −log₁₀ P")
    ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    ax.set_xlim(left=0)
    bend(ax, top=1.06 * highest, cap=cap or bent_at(highest))


def quantile_band(n: int, ranks: Longs, *, level: float = 0.95) -> tuple[Floats, Floats, Floats]:
    """Expected -log10 P of order statistics of n uniform P values, and the interval that holds `level`.

    Parameters
    ----------
    n
        Number of P values.
    ranks
        int64 (k,), from 1, the smallest P.

    Returns
    -------
    expected, low, high : float64 (k,)
        At (rank - 0.5) / n, and the quantiles of Beta(rank, n - rank + 1).

    Examples
    --------
    >>> expected, low, high = quantile_band(1000, np.array([1, 10]))
    >>> bool((low < expected).all() and (expected < high).all())
    True
    """
    outside = (1 - level) / 2
    return (
        -np.log10((ranks - 0.5) / n),
        -np.log10(beta.ppf(1 - outside, ranks, n - ranks + 1)),
        -np.log10(beta.ppf(outside, ranks, n - ranks + 1)),
    )


def log_ranks(n: int, *, first: int = 1000, rest: int = 400) -> Longs:
    """Every one of the first ranks, then `rest` more spread evenly on the log scale.

    Examples
    --------
    >>> log_ranks(10).tolist() == list(range(1, 11)), len(log_ranks(10**7)) <= 1400
    (True, True)
    """
    tail = np.geomspace(first, n, rest).astype(np.int64) if n > first else np.zeros(0, dtype=np.int64)
    return np.unique(np.concatenate([np.arange(1, min(n, first) + 1), tail]))
