"""Names written beside points so that no two meet and none hides a strong point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Annotation
from numpy.typing import NDArray

from workflows.figures.style import GREY, INK

Floats = NDArray[np.float64]

Side = Literal["left", "center", "right"]
OFFSETS: Final[tuple[tuple[float, float, Side], ...]] = (
    (0, 4, "center"),
    (5, -2.5, "left"),
    (-5, -2.5, "right"),
    *(
        (side * dx, dy, "left" if side * dx > 0 else "right" if side * dx < 0 else "center")
        for dy in (12, 20, 28, 38, 48, 60)
        for dx in (0, 6, 14, 24, 36)
        for side in ((1, -1) if dx else (1,))
    ),
)
"""Where a name may stand, in points right of and above its point, best first."""
LEADER: Final = 9.0
"""A name further off than this, in points, is tied to its point by a line."""


@dataclass(frozen=True)
class Label:
    """A name for the point (x, y) of the data."""

    text: str
    x: float
    y: float
    italic: bool = False


def place_labels(
    ax: Axes,
    labels: Sequence[Label],
    *,
    avoid: Floats | None = None,
    size: float = 7.2,
    down: bool = False,
    radius: float = 2.0,
) -> list[Annotation]:
    """Write names in the order given, each at the first place that is free; one without a place is left out.

    Parameters
    ----------
    ax
        Its limits and scales are final; the layout of its figure is worked out here.
    labels
        The most important first.
    avoid
        float64 (k, 2): points, in data coordinates, that no name may cover.
    size
        Of the letters, in points.
    down
        Names go below their points.
    radius
        Of the points to avoid, in points.

    Returns
    -------
    list of Annotation
        Those written.
    """
    figure = ax.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()
    frame = ax.get_window_extent()
    unit = figure.dpi / 72
    points = np.empty((0, 2)) if avoid is None or not len(avoid) else ax.transData.transform(avoid)
    taken = np.column_stack([points - radius * unit, points + radius * unit])
    written: list[Annotation] = []
    for label in labels:
        px, py = ax.transData.transform((label.x, label.y))
        note = ax.annotate(
            label.text,
            (label.x, label.y),
            xytext=(0, 0),
            textcoords="offset points",
            size=size,
            color=INK,
            style="italic" if label.italic else "normal",
            va="bottom",
            zorder=6,
        )
        extent = note.get_window_extent()
        wide, tall = extent.width + 2 * unit, extent.height
        for dx, dy, side in OFFSETS:
            up = -dy - tall / unit if down else dy
            left = px + dx * unit - {"center": wide / 2, "left": 0.0, "right": wide}[side]
            low = py + up * unit
            box = np.array([[left, low, left + wide, low + tall]])
            line = _leader(px, py, px + dx * unit, low + (tall if down else 0.0), unit, far=dy >= LEADER)
            inside = (
                box[0, 0] >= frame.x0 - 2 * unit
                and box[0, 2] <= frame.x1 + 25 * unit
                and box[0, 3] <= frame.y1 + 6 * unit
                and box[0, 1] >= frame.y0 - 2 * unit
            )
            if inside and not _meets(box, taken) and not _meets(line, taken[len(points) :]):
                taken = np.concatenate([taken, box, line])
                note.set_position((dx, up))
                note.set_horizontalalignment(side)
                if dy >= LEADER:
                    _tie(ax, label, dx, up + (tall / unit if down else 0.0))
                written.append(note)
                break
        else:
            note.remove()
    return written


def _tie(ax: Axes, label: Label, dx: float, dy: float) -> None:
    ax.annotate(
        "",
        (label.x, label.y),
        xytext=(dx, dy),
        textcoords="offset points",
        arrowprops={"arrowstyle": "-", "color": GREY, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 2},
        zorder=1.5,
    )


def _leader(px: float, py: float, x: float, y: float, unit: float, *, far: bool) -> Floats:
    """Small boxes along the line from a point to its name, none if they are close together."""
    if not far:
        return np.empty((0, 4))
    t = np.linspace(0.15, 0.95, 12)[:, None]
    middle = np.array([[px, py]]) * (1 - t) + np.array([[x, y]]) * t
    return np.column_stack([middle - 0.5 * unit, middle + 0.5 * unit])


def _meets(boxes: Floats, others: Floats) -> bool:
    if not len(boxes) or not len(others):
        return False
    a, b = boxes[:, None], others[None]
    apart = (
        (a[..., 2] <= b[..., 0])
        | (b[..., 2] <= a[..., 0])
        | (a[..., 3] <= b[..., 1])
        | (b[..., 3] <= a[..., 1])
    )
    return bool((~apart).any())
