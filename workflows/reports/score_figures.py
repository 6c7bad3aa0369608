"""Pictures of scores and risk models: tenths of a score, calibration, hazard ratios and subgroups."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from workflows.figures.style import BLUE, GREY, INK, MUTED, ORANGE, new_figure
from workflows.reports.content import (
    CalibrationPoint,
    Coefficient,
    RiskModelSummary,
    ScoreGroup,
    ScorePerformance,
)
from workflows.reports.figures import to_svg


def tenths_figure(score: ScorePerformance) -> Markup:
    """What is observed in each tenth of the score, with intervals, against the average of all."""
    figure, ax = new_figure(3.6, 2.3)
    factor = 100.0 if score.as_percent else 1.0
    x = np.arange(1, len(score.groups) + 1)
    value, low, high = (
        factor * np.array([getattr(g, k) for g in score.groups]) for k in ("value", "low", "high")
    )
    _average(ax, float(value.mean()), len(x))
    ax.vlines(x, low, high, color=BLUE, linewidth=1.4)
    ax.plot(x, value, "o", color=BLUE, markersize=4.5)
    ax.set_xticks(x, [g.label for g in score.groups])
    ax.set_xlim(0.5, len(x) + 0.6)
    if score.as_percent:
        ax.set_ylim(bottom=0)
        ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}%"))
    ax.yaxis.set_major_locator(MaxNLocator(5))
    ax.set_xlabel(f"{'Tenth' if len(score.groups) == 10 else 'Group'} of the score, lowest to highest")
    ax.set_ylabel(score.value_label)
    unit = "%" if score.as_percent else ""
    return to_svg(
        figure,
        name=f"tenths-{score.name}",
        title=f"{score.label}: {score.value_label} by tenth of the score",
        description=f"From {value[0]:.2g}{unit} in the lowest tenth to {value[-1]:.2g}{unit} in the highest.",
    )


def _average(ax: Axes, value: float, n: int) -> None:
    ax.axhline(value, color=GREY, linewidth=0.8, dashes=(4, 3))
    ax.text(0.55, value, "average", size=7, color=MUTED, va="bottom", ha="left")


def calibration_figure(model: RiskModelSummary) -> Markup:
    """Observed against predicted risk in groups of predicted risk; on the line they agree."""
    figure, ax = new_figure(3.1, 2.9)
    points = model.calibration
    predicted, observed, low, high = (_percent(points, k) for k in ("predicted", "observed", "low", "high"))
    end = float(max(predicted.max(initial=1.0), high.max(initial=1.0))) * 1.05
    ax.plot([0, end], [0, end], color=GREY, linewidth=0.8)
    ax.text(
        0.03,
        0.98,
        "on the line: predicted = observed",
        transform=ax.transAxes,
        size=7.5,
        color=MUTED,
        va="top",
    )
    ax.vlines(predicted, low, high, color=BLUE, linewidth=1.4)
    ax.plot(predicted, observed, "o", color=BLUE, markersize=4.5)
    ax.set_xlim(0, end)
    ax.set_ylim(0, end)
    ax.set_aspect("equal")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(5))
        axis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}%"))
    ax.set_xlabel(f"Predicted {model.horizon_years}-year risk")
    ax.set_ylabel("Observed")
    return to_svg(
        figure,
        name=f"calibration-{model.name}",
        title=f"Calibration of the risk of {model.label}",
        description="Groups by predicted risk. "
        + "; ".join(
            f"predicted {p:.1f}%, observed {o:.1f}% ({a:.1f} to {b:.1f})"
            for p, o, a, b in zip(predicted, observed, low, high, strict=True)
        )
        + ".",
    )


def _percent(points: Sequence[CalibrationPoint], field: str) -> np.ndarray:
    return 100 * np.array([getattr(point, field) for point in points], dtype=float)


def hazards_figure(model: RiskModelSummary) -> Markup:
    """Hazard ratios on a log axis, each labelled where it lies."""
    rows = model.coefficients
    figure, ax = new_figure(4.4, 0.55 + 0.36 * len(rows))
    for at, row in enumerate(rows):
        _interval(ax, at, row.hazard_ratio, row.low, row.high, above=row.low > 1, below=row.high < 1)
    ax.set_xscale("log")
    low = min((r.low for r in rows), default=0.5)
    high = max((r.high for r in rows), default=2.0)
    ax.set_xlim(min(low * 0.92, 0.88), max(high * 1.1, 1.15))
    ticks = [t for t in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20) if ax.get_xlim()[0] <= t <= ax.get_xlim()[1]]
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    ax.axvline(1, color=GREY, linewidth=0.8)
    # The unit below the name: beside it, long names leave no room for the axis.
    _rows(ax, [row.label for row in rows])
    for at, row in enumerate(rows):
        ax.text(
            -0.02,
            at + 0.36,
            row.unit,
            transform=ax.get_yaxis_transform(),
            ha="right",
            va="center",
            fontsize=6.5,
            color=MUTED,
        )
    ax.set_xlabel("Hazard ratio (log scale)")
    return to_svg(
        figure,
        name=f"hazards-{model.name}",
        title=f"Hazard ratios for {model.label}",
        description="; ".join(
            f"{_factor(r)}: {r.hazard_ratio:.2f} ({r.low:.2f} to {r.high:.2f})" for r in rows
        )
        + ".",
    )


def _factor(row: Coefficient) -> str:
    return f"{row.label}, {row.unit}" if row.unit else row.label


def groups_figure(
    groups: Sequence[ScoreGroup], *, name: str, title: str, label: str, line: float | None
) -> Markup:
    """One value with its interval for each group, one below the other; `line` marks what to compare with."""
    figure, ax = new_figure(3.6, 0.55 + 0.26 * len(groups))
    for at, group in enumerate(groups):
        _interval(ax, at, group.value, group.low, group.high, above=False, below=False)
    if line is not None:
        ax.axvline(line, color=GREY, linewidth=0.8, dashes=(4, 3))
    _rows(ax, [f"{g.label} (n {g.people if isinstance(g.people, str) else f'{g.people:,}'})" for g in groups])
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.set_xlabel(label)
    return to_svg(
        figure,
        name=name,
        title=title,
        description="; ".join(f"{g.label}: {g.value:.2f} ({g.low:.2f} to {g.high:.2f})" for g in groups)
        + ".",
    )


def _interval(ax: Axes, row: int, value: float, low: float, high: float, *, above: bool, below: bool) -> None:
    colour, mark = (BLUE, "o") if above else (ORANGE, "D") if below else (INK, "s")
    ax.hlines(row, low, high, color=colour, linewidth=1.4)
    ax.plot([value], [row], mark, color=colour, markersize=4.5)


def _rows(ax: Axes, labels: list[str]) -> None:
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0, labelcolor=INK)
    ax.spines["left"].set_visible(False)
