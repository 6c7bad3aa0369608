"""Pictures of how common a disease is by age and sex, and how often it is new by year."""

from __future__ import annotations

from typing import Final

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from workflows.figures.style import BLUE, GREY, INK, ORANGE, new_figure
from workflows.reports.content import PhenotypeSummary
from workflows.reports.figures import to_svg

LOOKS: Final = {"Women": (ORANGE, "D", -0.1), "Men": (BLUE, "o", 0.1)}
"""Colour, mark and shift along the axis of each sex."""


def prevalence_figure(phenotype: PhenotypeSummary) -> Markup:
    """Share of women and of men with it by age band, with intervals; what is hidden is a grey tick."""
    figure, ax = new_figure(2.9, 1.85)
    bands = list(dict.fromkeys(cell.age_band for cell in phenotype.prevalence))
    for at, (sex, (colour, mark, shift)) in enumerate(LOOKS.items()):
        mine = {cell.age_band: cell for cell in phenotype.prevalence if cell.sex == sex}
        shown = [(x + shift, mine[band]) for x, band in enumerate(bands) if band in mine]
        _points(ax, [(x, cell.share, cell.low, cell.high) for x, cell in shown], colour, mark)
        if shown:
            ax.text(
                0.26 * at,
                1.02,
                sex,
                transform=ax.transAxes,
                size=8,
                color=colour,
                weight="bold",
                va="bottom",
            )
    ax.set_xticks(range(len(bands)), bands)
    ax.set_xlim(-0.5, len(bands) - 0.5)
    ax.set_ylim(0, None)
    ax.yaxis.set_major_locator(MaxNLocator(4))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{100 * v:.3g}%"))
    ax.set_xlabel("Age")
    ax.set_ylabel("Have it")
    return to_svg(
        figure,
        name=f"prevalence-{phenotype.name}",
        title=f"How common {phenotype.label} is on the index date",
        description="Share of women and of men with it by age band, with 95% intervals. "
        "The table under the figures holds the same numbers.",
    )


def incidence_figure(phenotype: PhenotypeSummary) -> Markup:
    """New cases per 1,000 person-years by calendar year, with intervals; what is hidden is a grey tick."""
    figure, ax = new_figure(2.9, 1.6)
    years = phenotype.incidence
    _points(ax, [(year.year, year.rate, year.low, year.high) for year in years], INK, "s")
    ax.set_xlim(years[0].year - 0.5, years[-1].year + 0.5)
    ax.set_ylim(0, None)
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:.0f}"))
    ax.yaxis.set_major_locator(MaxNLocator(4))
    ax.set_xlabel("Year")
    ax.set_ylabel("New per 1,000")
    return to_svg(
        figure,
        name=f"incidence-{phenotype.name}",
        title=f"How often {phenotype.label} is new",
        description="New cases per 1,000 person-years by calendar year, with 95% intervals. "
        "The table under the figures holds the same numbers.",
    )


def _points(
    ax: Axes,
    points: list[tuple[float, float | None, float | None, float | None]],
    colour: str,
    mark: str,
) -> None:
    """Points with their intervals, joined where neighbours are shown."""
    x = np.array([p[0] for p in points], dtype=float)
    y, low, high = (np.array([p[k] for p in points], dtype=float) for k in (1, 2, 3))
    hidden = np.isnan(y)
    ax.plot(x, y, color=colour, linewidth=1.0, marker=mark, markersize=3.4, markeredgewidth=0)
    ax.vlines(x[~hidden], low[~hidden], high[~hidden], color=colour, linewidth=0.9)
    ax.plot(x[hidden], np.zeros(hidden.sum()), "|", color=GREY, markersize=5, clip_on=False, zorder=5)
