"""The look of all figures: colours, axes, dots, and the bent scale of very small P values.

Figures are matplotlib's :class:`~matplotlib.figure.Figure`, never pyplot, whose state is global.

Colours were chosen to differ in lightness first, so that they survive greyscale and every common colour
blindness; wherever two series share a plot they also differ in shape, hatching or line style, and are
labelled where they are rather than in a key.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from numpy.typing import NDArray

Floats = NDArray[np.float64]

INK: Final = "#16222e"
MUTED: Final = "#51606e"
RULE: Final = "#d5dce2"
GREY: Final = "#7f8c98"
BLUE: Final = "#0b4f7d"
TEAL: Final = "#1c7f86"
ORANGE: Final = "#c2570c"
PALE: Final = "#e8eef3"
PAPER: Final = "#ffffff"

TEXT_COLOURS: Final = (INK, MUTED, BLUE, TEAL, ORANGE)
"""Colours that carry text on PAPER and on PALE: at least 4.5 to 1 (WCAG AA)."""
MARK_COLOURS: Final = (BLUE, TEAL, ORANGE, GREY)
"""Colours of marks on PAPER: at least 3 to 1."""


VECTOR_POINTS: Final = 5000
"""More dots than this of one colour become a picture inside an SVG or PDF."""


def new_figure(
    width: float, height: float, *, rows: int = 1, columns: int = 1, **grid: Any
) -> tuple[Figure, Any]:
    """A figure of `width` by `height` inches and its axes (one, or an array), in the house style."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02)  # type: ignore[union-attr, call-arg]
    axes = figure.subplots(rows, columns, **grid)
    for ax in [axes] if rows == columns == 1 else axes.flat:
        plain(ax)
    return figure, axes


def plain(ax: Axes) -> None:
    """Leave on `ax` only what the reader needs: thin left and bottom lines, quiet ticks."""
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(GREY)
        ax.spines[side].set_linewidth(0.6)
    ax.tick_params(colors=MUTED, width=0.6, length=3, labelsize=8)
    ax.xaxis.label.set_color(INK)
    ax.yaxis.label.set_color(INK)
    ax.xaxis.label.set_fontsize(8.5)
    ax.yaxis.label.set_fontsize(8.5)


def dots(
    ax: Axes, x: Floats, y: Floats, *, colour: str, size: float, light: bool = False, zorder: float = 2.0
) -> None:
    """Round dots of `size` points, without outline.

    Parameters
    ----------
    light
        Draw them as lines of no length with round ends: an eighth of the size of markers in an SVG. Else they
        are markers, which turn into one picture in SVG and PDF where they are many.
    """
    if light:
        gaps = np.full(x.size, np.nan)
        ax.plot(
            np.column_stack([x, x, gaps]).ravel(),
            np.column_stack([y, y, gaps]).ravel(),
            color=colour,
            linewidth=size,
            solid_capstyle="round",
            zorder=zorder,
        )
        return
    ax.plot(
        x,
        y,
        linestyle="none",
        marker="o",
        markersize=size,
        markeredgewidth=0,
        color=colour,
        rasterized=x.size > VECTOR_POINTS,
        zorder=zorder,
    )


def bend(ax: Axes, *, top: float, cap: float | None) -> None:
    """Let the y axis of -log10 P end at `top`; above `cap` it is logarithmic and takes a quarter of the height.

    A few huge peaks would else press everything into the ground. The place where the axis bends is marked.

    Parameters
    ----------
    top
        End of the axis.
    cap
        Where it bends; None, or at least `top`, leaves it linear.
    """
    if cap is None or cap >= top:
        ax.set_ylim(0, top)
        ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        return
    share = cap / 3.0 / math.log(top / cap)

    def forward(y: Floats) -> Floats:
        return np.where(y <= cap, y, cap + share * np.log(np.maximum(y, cap) / cap))

    def back(v: Floats) -> Floats:
        return np.where(v <= cap, v, cap * np.exp((np.maximum(v, cap) - cap) / share))

    ax.set_yscale("function", functions=(forward, back))
    ax.set_ylim(0, top)
    below = np.asarray(MaxNLocator(5, integer=True).tick_values(0, cap))
    above = [t for k in range(1, 6) for t in (10**k, 2 * 10**k, 5 * 10**k) if 1.25 * cap <= t <= top]
    ax.yaxis.set_major_locator(FixedLocator([*below[below <= cap], *above]))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.axhline(cap, color=RULE, linewidth=0.8, zorder=0.5)
    ax.annotate(
        "log scale",
        (1, cap),
        xycoords=("axes fraction", "data"),
        xytext=(2, 0),
        textcoords="offset points",
        va="center",
        size=6,
        color=MUTED,
        annotation_clip=False,
    )


def bent_at(highest: float) -> float | None:
    """Where an axis up to `highest` bends unless the user says otherwise: at 30 if it is above 60."""
    return 30.0 if highest > 60 else None
