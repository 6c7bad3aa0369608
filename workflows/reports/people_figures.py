"""Pictures of groups of people: distributions, counts by age and sex, principal components.

Every mark stands for at least ten people; what is hidden is drawn as hidden, not as nothing.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.patches import Ellipse, Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator

from workflows.figures.style import BLUE, GREY, INK, MUTED, ORANGE, TEAL, new_figure
from workflows.reports.content import SUPPRESSED, AgeSexCell, Histogram, PcaGroup, PcaMap, PhenotypeSummary
from workflows.reports.figures import to_svg

GROUP_LOOKS: Final = ((BLUE, "-"), (ORANGE, "--"), (TEAL, "-."), (GREY, ":"))
"""Colour and line of the ellipses of a PCA map, in turn; the label beside each does the telling."""


REACH: Final = 4.605**0.5
"""Half axis of a 90% ellipse in standard deviations: 4.605 is that point of chi-square on two degrees."""

Box: TypeAlias = tuple[float, float, float, float]


def histogram_figure(histogram: Histogram, *, name: str, width: float = 2.9, height: float = 1.75) -> Markup:
    """Bars of a binned distribution; bins under ten people are marked by a short tick on the axis."""
    figure, ax = new_figure(width, height)
    counts = histogram.counts or histogram.variant_counts
    edges = np.array(histogram.edges)
    drawn = np.array([0 if n == SUPPRESSED else n for n in counts], dtype=float)
    hidden = np.array([n == SUPPRESSED for n in counts], dtype=bool)
    middles, widths = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    kept = [_kept(histogram, float(m)) for m in middles]
    ax.bar(middles, drawn, width=widths * 0.92, color=[BLUE if k else ORANGE for k in kept], linewidth=0)
    top = drawn.max(initial=1.0)
    ax.plot(middles[hidden], np.zeros(hidden.sum()), "|", color=GREY, markersize=5, clip_on=False, zorder=5)
    cuts = histogram.threshold if isinstance(histogram.threshold, tuple) else (histogram.threshold,)
    for cut in cuts:
        if cut is not None and edges[0] <= cut <= edges[-1]:
            ax.axvline(cut, color=ORANGE, linewidth=1.1, dashes=(4, 2))
    ax.set_ylim(0, top * 1.08)
    ax.set_xlabel(f"{histogram.label} ({histogram.unit})" if histogram.unit else histogram.label)
    ax.set_ylabel(histogram.of.capitalize())
    _thousands(ax)
    ax.xaxis.set_major_locator(MaxNLocator(5))
    outside = (
        "under 10" if histogram.beyond == SUPPRESSED else f"{histogram.beyond or histogram.variants_beyond:,}"
    )
    if outside != "0":
        ax.text(
            1, 1.0, f"{outside} beyond the axis", transform=ax.transAxes, size=6.8, color=MUTED, ha="right"
        )
    peak = middles[int(np.argmax(drawn))] if drawn.size else 0.0
    note = "" if outside == "0" else f" {outside} lie beyond the axis."
    note += f" {int(hidden.sum())} bins with fewer than 10 people are not drawn." if hidden.any() else ""
    return to_svg(
        figure,
        name=name,
        title=f"Distribution of {histogram.label}",
        description=(
            f"Histogram from {edges[0]:g} to {edges[-1]:g} {histogram.unit}; "
            f"most common about {peak:g}.{note}"
        ),
    )


def _kept(histogram: Histogram, middle: float) -> bool:
    if histogram.threshold is None:
        return True
    if isinstance(histogram.threshold, tuple):
        return histogram.threshold[0] <= middle <= histogram.threshold[1]
    return middle >= histogram.threshold if histogram.keep == "above" else middle <= histogram.threshold


def _thousands(ax: Axes) -> None:
    ax.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.0f}"))


def pyramid_figure(phenotype: PhenotypeSummary, *, largest: int) -> Markup:
    """Cases by age, women to the left and men to the right; `largest` is the common end of the axis."""
    figure, ax = new_figure(2.9, 2.15)
    bands = list(dict.fromkeys(cell.age_band for cell in phenotype.cells))
    sexes = sorted({cell.sex for cell in phenotype.cells}, key=lambda s: s != "Women")[:2]
    for sex, sign, look in zip(
        sexes, (-1, 1), ({"color": ORANGE, "hatch": "////"}, {"color": BLUE}), strict=False
    ):
        for row, band in enumerate(bands):
            _bar(ax, row, sign, _cell(phenotype.cells, band, sex), look, largest)
        ax.text(
            sign * largest * 0.98,
            len(bands) - 0.35,
            sex,
            size=8,
            color=ORANGE if sign < 0 else BLUE,
            ha="left" if sign < 0 else "right",
            va="bottom",
            weight="bold",
        )
    ax.axvline(0, color=INK, linewidth=0.7)
    ax.set_yticks(range(len(bands)), bands)
    ax.set_xlim(-largest, largest)
    ax.set_ylim(-0.6, len(bands) + 0.35)
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{abs(v):,.0f}"))
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.set_xlabel("People with it")
    return to_svg(
        figure,
        name=f"ages-{phenotype.name}",
        title=f"{phenotype.label} by age and sex",
        description="Back-to-back bars of cases by age band, women left and men right. "
        "The table under the figure holds the same numbers.",
    )


def _cell(cells: tuple[AgeSexCell, ...], band: str, sex: str) -> AgeSexCell | None:
    return next((cell for cell in cells if cell.age_band == band and cell.sex == sex), None)


def _bar(ax: Axes, row: int, sign: int, cell: AgeSexCell | None, look: dict[str, str], largest: int) -> None:
    if cell is None or cell.cases == 0:
        return
    if cell.cases == SUPPRESSED:
        ax.text(
            sign * largest * 0.025,
            row,
            SUPPRESSED,
            size=6.6,
            color=MUTED,
            va="center",
            ha="left" if sign > 0 else "right",
        )
        return
    ax.barh(
        row,
        sign * int(cell.cases),
        height=0.78,
        facecolor=look["color"] if "hatch" not in look else "#fbe6d3",
        edgecolor=look["color"],
        hatch=look.get("hatch"),
        linewidth=0.8,
    )


def pca_figure(grid: PcaMap, *, name: str = "pca", width: float = 7.4, height: float = 4.3) -> Markup:
    """Density of each group on two components, with its 90% ellipse and its name at its centre."""
    figure, ax = new_figure(width, height)
    x_edges, y_edges = np.array(grid.x_edges), np.array(grid.y_edges)
    most = max((int(n) for g in grid.groups for _, _, n in g.cells if n != SUPPRESSED), default=1)
    for at, group in enumerate(grid.groups):
        colour, _ = GROUP_LOOKS[at % len(GROUP_LOOKS)]
        boxes = [
            Rectangle((x_edges[c], y_edges[r]), x_edges[c + 1] - x_edges[c], y_edges[r + 1] - y_edges[r])
            for c, r, _ in group.cells
        ]
        shades = [0.12 + 0.45 * (int(n) / most) ** 0.5 for _, _, n in group.cells if n != SUPPRESSED]
        if boxes:
            ax.add_collection(PatchCollection(boxes, facecolor=colour, alpha=shades, linewidth=0))
    outlines = np.array([g.ellipse[:4] for g in grid.groups if g.ellipse is not None]).reshape(-1, 4)
    wide, tall = REACH * outlines[:, 2], REACH * outlines[:, 3]
    left, right = [*(outlines[:, 0] - wide), x_edges[0]], [*(outlines[:, 0] + wide), x_edges[-1]]
    bottom, top = [*(outlines[:, 1] - tall), y_edges[0]], [*(outlines[:, 1] + tall), y_edges[-1]]
    room = 0.08 * (max(top) - min(bottom))
    ax.set_xlim(min(left), max(right))
    ax.set_ylim(min(bottom) - room, max(top) + room)
    figure.draw_without_rendering()
    _ellipses(ax, grid.groups)
    shares = [f" ({share:.1%} of variance)" for share in grid.explained[:2]] + ["", ""]
    ax.set_xlabel(grid.x_label + shares[0])
    ax.set_ylabel(grid.y_label + shares[1])
    ax.xaxis.set_major_locator(MaxNLocator(6))
    ax.yaxis.set_major_locator(MaxNLocator(6))
    names = ", ".join(g.label for g in grid.groups)
    return to_svg(
        figure,
        name=name,
        title=f"{grid.x_label} and {grid.y_label} of the genotypes",
        description=f"Density of people on {grid.x_label} and {grid.y_label} by group ({names}), with 90% "
        "ellipses. Cells with fewer than 10 people are not drawn.",
    )


def _ellipses(ax: Axes, groups: tuple[PcaGroup, ...]) -> None:
    """Draw each group's 90% ellipse and write its name beside it, clear of the other names."""
    drawn = [(at, g, g.ellipse) for at, g in enumerate(groups) if g.ellipse is not None]
    boxes = []
    for at, _, (x, y, sx, sy, r) in drawn:
        colour, line = GROUP_LOOKS[at % len(GROUP_LOOKS)]
        values, vectors = np.linalg.eigh(np.array([[sx**2, r * sx * sy], [r * sx * sy, sy**2]]))
        long_axes = 2 * REACH * np.sqrt(np.clip(values, 0, None))
        turn = float(np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1])))
        ax.add_patch(
            Ellipse(
                (x, y),
                long_axes[1],
                long_axes[0],
                angle=turn,
                fill=False,
                edgecolor=colour,
                linestyle=line,
                linewidth=1.1,
            )
        )
        corners = ax.transData.transform([(x - REACH * sx, y - REACH * sy), (x + REACH * sx, y + REACH * sy)])
        boxes.append((corners[0, 0], corners[0, 1], corners[1, 0], corners[1, 1]))
    taken: list[Box] = []
    for place, (at, group, _) in enumerate(drawn):
        others = boxes[:place] + boxes[place + 1 :]
        _label(ax, group.label, boxes[place], GROUP_LOOKS[at % len(GROUP_LOOKS)][0], taken, others)


def _label(ax: Axes, text: str, own: Box, colour: str, taken: list[Box], others: list[Box]) -> None:
    """Write `text` next to the box `own`: where no name stands and least of the other groups is covered."""
    scale = ax.figure.dpi / 72
    wide, tall, gap = len(text) * 5.4 * scale, 10 * scale, 3 * scale
    frame = ax.get_window_extent()
    middle, centre = (own[0] + own[2]) / 2, (own[1] + own[3]) / 2
    places = [(middle, own[3] + gap + tall * (k + 0.5)) for k in range(5)] + [
        (middle, own[1] - gap - tall * (k + 0.5)) for k in range(5)
    ]
    places[1:1] = [(own[2] + gap + wide / 2, centre), (own[0] - gap - wide / 2, centre)]
    best, least = places[0], np.inf
    for px, py in places:
        box = (px - wide / 2, py - tall / 2, px + wide / 2, py + tall / 2)
        outside = box[0] < frame.x0 or box[2] > frame.x1 or box[1] < frame.y0 or box[3] > frame.y1
        cost = 1e9 * (outside or any(_shared(box, other) for other in taken))
        cost += sum(_shared(box, other) for other in others) + 0.5 * abs(py - centre) + 0.1 * abs(px - middle)
        if cost < least:
            best, least = (px, py), cost
    px, py = best
    taken.append((px - wide / 2, py - tall / 2, px + wide / 2, py + tall / 2))
    far = py > own[3] + gap + tall or py < own[1] - gap - tall
    edge = (middle, own[3] if py > centre else own[1])
    ax.annotate(
        text,
        tuple(ax.transData.inverted().transform(edge)),
        xytext=((px - edge[0]) / scale, (py - edge[1]) / scale),
        textcoords="offset points",
        ha="center",
        va="center",
        size=8,
        weight="bold",
        color=INK,
        zorder=6,
        bbox={"boxstyle": "square,pad=0.1", "facecolor": "white", "alpha": 0.75, "linewidth": 0},
        arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.6} if far else None,
    )


def _shared(a: Box, b: Box) -> float:
    """Area that two boxes have in common."""
    return float(max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1])))
