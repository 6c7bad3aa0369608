"""Pictures of genotype quality: densities with thresholds, and the Hardy-Weinberg tests."""

from __future__ import annotations

from typing import Final

import numpy as np
from markupsafe import Markup
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from workflows.figures.qq import draw_quantiles
from workflows.figures.style import BLUE, GREY, MUTED, ORANGE, new_figure
from workflows.reports.content import SUPPRESSED, Density
from workflows.reports.figures import to_svg

SHADES: Final = 7

HIGHEST: Final = 20.0
"""Where the axis of -log10 P ends: beyond it a variant is as wrong as can be."""


def density_figure(density: Density) -> Markup:
    """Cells shaded by how many lie on an equal area, thresholds as dashed lines."""
    figure, ax = new_figure(3.6, 2.9)
    for path, shade in _shaded(density):
        ax.add_patch(PathPatch(path, facecolor=BLUE, alpha=shade, linewidth=0))
    ax.set_xlim(*density.x_range)
    ax.set_ylim(*density.y_range)
    for at, text in density.x_lines:
        ax.axvline(at, color=ORANGE, linewidth=1.0, dashes=(4, 2))
        if text:
            ax.text(
                at,
                1.0,
                text,
                transform=ax.get_xaxis_transform(),
                size=6.8,
                color=MUTED,
                ha="center",
                va="bottom",
            )
    for at, text in density.y_lines:
        ax.axhline(at, color=ORANGE, linewidth=1.0, dashes=(4, 2))
        if text:
            ax.text(
                0.99,
                at,
                text,
                transform=ax.get_yaxis_transform(),
                size=6.8,
                color=MUTED,
                ha="right",
                va="bottom",
            )
    if density.band is not None:
        ends = np.array(density.x_range)
        ax.plot(ends, ends, color=GREY, linewidth=0.8)
        for shift in (-density.band, density.band):
            ax.plot(ends, ends + shift, color=ORANGE, linewidth=1.0, dashes=(4, 2))
    ax.set_xlabel(density.x_label)
    ax.set_ylabel(density.y_label)
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.yaxis.set_major_locator(MaxNLocator(5))
    hidden = ""
    if density.left_out != 0:
        many = "under 10" if density.left_out == SUPPRESSED else f"{density.left_out:,}"
        hidden = f"{many} {density.of} not drawn"
        ax.set_title(hidden, size=6.8, color=MUTED, loc="right", pad=10 if density.x_lines else 3)
    lines = "; ".join(f"line at {at:g} {text}".strip() for at, text in (*density.x_lines, *density.y_lines))
    return to_svg(
        figure,
        name=f"density-{density.name}",
        title=density.label,
        description=f"Density of {density.of}: {density.x_label} against {density.y_label}. {lines}. {hidden}".strip(),
    )


def _shaded(density: Density) -> list[tuple[Path, float]]:
    """The cells of each of a few shades as one path, which keeps the page small."""
    boxes = np.array([(c.left, c.right, c.bottom, c.top) for c in density.cells]).reshape(-1, 4)
    counts = np.array([_count(c.people) or c.variants for c in density.cells], dtype=float)
    if not counts.size:
        return []
    thick = np.log(counts / ((boxes[:, 1] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 2])))
    span = max(float(np.ptp(thick)), 1e-9)
    level = np.minimum(((thick - thick.min()) / span * SHADES).astype(np.int64), SHADES - 1)
    corners = np.stack(
        [boxes[:, [0, 2]], boxes[:, [1, 2]], boxes[:, [1, 3]], boxes[:, [0, 3]], boxes[:, [0, 2]]], 1
    )
    codes = np.array(
        [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY], dtype=Path.code_type
    )
    return [
        (
            Path(corners[level == k].reshape(-1, 2), np.tile(codes, int((level == k).sum()))),
            0.2 + 0.7 * k / SHADES,
        )
        for k in np.unique(level)
    ]


def _count(people: int | str) -> int:
    return people if isinstance(people, int) else 0


def hardy_weinberg_figure(log10_p: NDArray[np.float64], *, limit: float | None) -> Markup:
    """Observed against expected -log10 P of the Hardy-Weinberg tests, and the threshold."""
    figure, ax = new_figure(3.6, 2.9)
    height = np.asarray(log10_p, dtype=float)
    height = height[np.isfinite(height)]
    beyond = int((height > HIGHEST).sum())
    draw_quantiles(ax, np.minimum(height, HIGHEST), light=True, most=100)
    if limit is not None:
        ax.axhline(limit, color=ORANGE, linewidth=1.0, dashes=(4, 2))
    if beyond:
        ax.set_title(
            f"{beyond:,} variants beyond {HIGHEST:g} drawn there", size=6.8, color=MUTED, loc="right"
        )
    return to_svg(
        figure,
        name="hardy-weinberg",
        title="Quantile-quantile plot of the Hardy-Weinberg tests",
        description=f"Observed against expected minus log10 P of {height.size:,} variants; "
        f"{beyond:,} beyond {HIGHEST:g}.",
    )
