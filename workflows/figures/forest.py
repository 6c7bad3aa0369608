"""Forest plot: effects of one variant with their intervals, over cohorts, strata or traits."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from matplotlib.text import Annotation
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from numpy.typing import NDArray
from scipy.special import ndtri

from cohorts.errors import InputError
from workflows.figures.style import BLUE, GREY, INK, MUTED, ORANGE, plain

Floats = NDArray[np.float64]
Scale = Literal["effect", "odds ratio"]
ROW: Final = 0.225
MARGIN: Final = 0.08
"""Height of a row and width of the margin, in inches."""
GAP: Final = 8.0
"""Between columns, in points."""
NICE: Final = (
    0.01,
    0.02,
    0.05,
    0.1,
    0.2,
    0.25,
    0.5,
    0.7,
    0.8,
    0.9,
    1,
    1.1,
    1.2,
    1.5,
    2,
    3,
    4,
    5,
    10,
    20,
    50,
    100,
)


def forest(
    effects: pd.DataFrame,
    *,
    scale: Scale = "effect",
    level: float = 0.95,
    unit: str = "",
    title: str = "",
    width: float = 6.4,
) -> Figure:
    """Effects with intervals, one a row.

    Parameters
    ----------
    effects
        ``label``, ``BETA`` (trait units, or log odds where `scale` is ``odds ratio``) and ``SE``; where known
        ``N`` (squares grow with it, else with 1 / SE²), ``group`` (a heading above the first of each) and
        ``summary`` (true: a diamond). Rows without an estimate are said to have none.
    scale
        ``odds ratio`` draws exp(BETA) on a logarithmic axis with its line at 1.
    level
        Of the intervals, normal theory.
    unit
        What the effect is per and in, written under the axis.
    title
        Above the plot.
    width
        Inches; the height follows the rows.

    Returns
    -------
    Figure

    Raises
    ------
    InputError
        If a column is absent, or no row has an estimate.
    """
    table = forest_table(effects, level=level)
    if not np.isfinite(table["BETA"]).any():
        raise InputError("no row has an estimate", where="forest", found=f"{len(table)} rows")
    ratio = scale == "odds ratio"
    grouped = "group" in table
    rows = float(table["y"].max() - table["y"].min()) + 2.6 + grouped
    height = ROW * rows + 0.55 + (0.25 if title else 0.0)
    figure = Figure(figsize=(width, height))
    ax = figure.add_axes((0.3, 0.5 / height, 0.4, ROW * rows / height))
    plain(ax)
    ax.spines["left"].set_visible(False)
    ax.set_ylim(float(table["y"].min()) - 0.7, float(table["y"].max()) + 1.9 + grouped)
    ax.set_yticks([])
    _draw_rows(ax, table, ratio)
    _axis(ax, table, ratio)
    ax.set_xlabel((f"Odds ratio {unit}" if ratio else f"Effect {unit}").strip())
    left, right = _words(ax, table, ratio, level)
    ax.set_position((left / width, 0.5 / height, 1 - (left + right) / width, ROW * rows / height))
    if title:
        figure.text(MARGIN / width, 1 - 0.06 / height, title, size=9.5, va="top", color=INK)
    return figure


def forest_table(effects: pd.DataFrame, *, level: float = 0.95) -> pd.DataFrame:
    """Effects with ``low``, ``high`` (limits of the interval) and ``y`` (place, from 0 downwards)."""
    absent = [name for name in ("label", "BETA", "SE") if name not in effects]
    if absent or effects.empty:
        raise InputError(
            "effects lack a column" if absent else "no effect to draw",
            where="forest",
            found=", ".join(map(str, effects.columns)),
            expected="label, BETA, SE",
        )
    reach = float(ndtri(0.5 + level / 2))
    table = effects.reset_index(drop=True)
    table = table.assign(low=table["BETA"] - reach * table["SE"], high=table["BETA"] + reach * table["SE"])
    extra: Floats = np.zeros(len(table))
    if "group" in table:
        new = (table["group"] != table["group"].shift()).to_numpy()
        extra = np.asarray(1.15 * (np.cumsum(new) - 1.0), dtype=np.float64)
    return table.assign(y=-(np.arange(len(table)) + extra))


def _draw_rows(ax: Axes, table: pd.DataFrame, ratio: bool) -> None:
    turn = np.exp if ratio else np.asarray
    weight = table["N"] if "N" in table else table["SE"] ** -2.0
    share = np.sqrt(weight / weight[np.isfinite(weight)].max())
    ax.axvline(1.0 if ratio else 0.0, color=GREY, linewidth=0.8, zorder=1)
    for row, size in zip(table.to_dict("records"), share.tolist(), strict=True):
        if not np.isfinite(row["BETA"]):
            continue
        low, at, high = (float(turn(row[name])) for name in ("low", "BETA", "high"))
        if row.get("summary") is True:
            y = row["y"]
            ax.add_patch(
                Polygon(
                    [(low, y), (at, y + 0.28), (high, y), (at, y - 0.28)], color=ORANGE, linewidth=0, zorder=3
                )
            )
            ax.plot([at, at], [table["y"].min() - 0.6, table["y"].max() + 0.5], color=ORANGE, linewidth=0.7,
                    dashes=(3, 3), zorder=1)  # fmt: skip
            continue
        ax.plot([low, high], [row["y"]] * 2, color=BLUE, linewidth=1.1, solid_capstyle="butt", zorder=2)
        ax.plot(at, row["y"], marker="s", markersize=2.5 + 4.5 * (size if np.isfinite(size) else 0), color=BLUE,
                markeredgewidth=0, zorder=3)  # fmt: skip


def _axis(ax: Axes, table: pd.DataFrame, ratio: bool) -> None:
    """Limits that hold every interval and the line of no effect, but not one that is absurdly wide."""
    fitted = table[np.isfinite(table["BETA"])]
    usual = 6 * float(np.median(fitted["high"] - fitted["low"]))
    centre = float(fitted["BETA"].median())
    low = min(0.0, max(float(fitted["low"].min()), min(centre - usual, float(fitted["BETA"].min()))))
    high = max(0.0, min(float(fitted["high"].max()), max(centre + usual, float(fitted["BETA"].max()))))
    pad = 0.06 * (high - low or 1.0)
    low, high = low - pad, high + pad
    if not ratio:
        ax.set_xlim(low, high)
        ax.xaxis.set_major_locator(MaxNLocator(6))
        return
    ax.set_xscale("log")
    ax.set_xlim(np.exp(low), np.exp(high))
    inside = [t for t in NICE if np.exp(low) <= t <= np.exp(high)]
    space = (high - low) / 9
    ticks: list[float] = [1.0]
    for t in sorted(inside, key=lambda t: abs(np.log(t))):
        if all(abs(np.log(t / other)) > space for other in ticks):
            ticks.append(t)
    ax.xaxis.set_major_locator(FixedLocator(sorted(ticks)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    ax.xaxis.set_minor_locator(NullLocator())


def _words(ax: Axes, table: pd.DataFrame, ratio: bool, level: float) -> tuple[float, float]:
    """Names and numbers beside the plot; inches they take on the left and on the right of it."""
    turn = np.exp if ratio else np.asarray
    digits = 2 if ratio else _digits(table)
    head = float(table["y"].max()) + (2.0 if "group" in table else 1.0)
    indent = 7.0 if "group" in table else 0.0
    people: list[Annotation] = []
    numbers = [_word(ax, GAP, head, f"{'OR' if ratio else 'Effect'} ({level:.0%} CI)", colour=MUTED, size=7)]
    for row in table.to_dict("records"):
        said = "no estimate"
        if np.isfinite(row["BETA"]):
            low, at, high = (float(turn(row[name])) for name in ("low", "BETA", "high"))
            said = f"{at:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})".replace("-", "−")
        colour = INK if np.isfinite(row["BETA"]) else MUTED
        numbers.append(_word(ax, GAP, row["y"], said, colour=colour, bold=row.get("summary") is True))
        if "N" in table and np.isfinite(row["N"]):
            people.append(_word(ax, -GAP, row["y"], f"{row['N']:,.0f}", colour=MUTED, side="right"))
    if people:
        people.append(_word(ax, -GAP, head, "N", colour=MUTED, size=7, side="right"))
    beyond = GAP + (_widest(people) + 2 * GAP if people else 0.0)
    names: list[tuple[Annotation, float]] = []
    previous = None
    for row in table.to_dict("records"):
        if "group" in table and row["group"] != previous:
            previous = row["group"]
            names.append((_word(ax, 0, row["y"] + 1, str(previous), bold=True), 0.0))
        names.append((_word(ax, 0, row["y"], str(row["label"]), bold=row.get("summary") is True), indent))
    widest = max(note.get_window_extent().width / ax.figure.dpi * 72 + by for note, by in names)
    for note, by in names:
        note.set_position((by - beyond - widest, 0))
    return MARGIN + (beyond + widest) / 72, MARGIN + (GAP + _widest(numbers)) / 72


def _word(
    ax: Axes,
    offset: float,
    y: float,
    text: str,
    *,
    colour: str = INK,
    size: float = 7.8,
    bold: bool = False,
    side: Literal["left", "right"] = "left",
) -> Annotation:
    """Text beside the plot, `offset` points right of its right edge, or left of its left edge if negative."""
    return ax.annotate(
        text,
        (1.0 if offset > 0 else 0.0, y),
        xycoords=("axes fraction", "data"),
        xytext=(offset, 0),
        textcoords="offset points",
        ha=side,
        va="center",
        size=size,
        color=colour,
        weight="bold" if bold else "normal",
        annotation_clip=False,
    )


def _widest(notes: list[Annotation]) -> float:
    """Width of the widest text, in points."""
    return max(float(note.get_window_extent().width) / note.figure.dpi * 72 for note in notes if note.figure)


def _digits(table: pd.DataFrame) -> int:
    """Decimals that show two figures of the smallest SE."""
    least = float(table["SE"].min())
    return int(np.clip(1 - np.floor(np.log10(least)), 0, 6)) if least > 0 else 2
