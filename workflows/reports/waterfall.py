"""The geometry of the bars that lead from the average risk to the person's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from workflows.reports.content import Contribution, RiskResult
from workflows.reports.page import percent, signed

LETTER = 6.6
"""Width of a letter of the labels, which share LEFT with the values at its right end."""

LEFT, RIGHT, STEP = 335.0, 655.0, 20
MOST = 8


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One row, in the units of the drawing."""

    label: str
    value: str
    points: str
    y: float
    x: float
    width: float
    text_x: float
    anchor: str
    next_x: float | None
    up: bool = True
    genetic: bool = False
    total: bool = False


@dataclass(frozen=True, kw_only=True)
class Waterfall:
    """All rows, the height of the drawing and its text alternative."""

    rows: tuple[Bar, ...]
    height: float
    described: str


def waterfall(result: RiskResult) -> Waterfall:
    """Bars from the average for age and sex through each contribution to the integrated risk.

    Clinical factors come first by size, genetic ones last; beyond the eight largest, the rest are one row.
    """
    steps = _ordered(result.contributions)
    average, own = 100 * result.average.risk, 100 * result.integrated.risk
    marks = [average]
    for step in steps:
        marks.append(marks[-1] + step.points)
    end = max(*marks, own, 1e-9)
    scale = (RIGHT - LEFT) / end

    def at(points: float) -> float:
        return round(LEFT + max(points, 0.0) * scale, 1)

    rows = [_total("Average for age and sex", percent(average / 100), average, at, y=0, next_x=at(average))]
    for place, (step, before, after) in enumerate(zip(steps, marks, marks[1:], strict=False), start=1):
        left, right = sorted((at(before), at(after)))
        rows.append(
            Bar(
                label=_shortened(step.label, beside=step.value),
                value=step.value,
                points=signed(step.points),
                y=place * STEP,
                x=left,
                width=round(max(right - left, 1.0), 1),
                text_x=right + 6,
                anchor="start",
                next_x=at(after),
                up=step.points >= 0,
                genetic=step.kind == "genetic",
            )
        )
    last = len(rows) * STEP
    rows.append(_total("This patient", percent(own / 100), own, at, y=last, next_x=None))
    parts = "; ".join(f"{s.label} {signed(s.points)}" for s in steps)
    return Waterfall(
        rows=tuple(rows),
        height=last + STEP,
        described=f"From {percent(average / 100)} on average to {percent(own / 100)}, "
        f"in percentage points: {parts}.",
    )


def _shortened(label: str, *, beside: str) -> str:
    """`label` cut at a word so that it ends before the value; the table of records holds it in full."""
    room = int((LEFT - 30) / LETTER) - len(beside)
    if len(label) <= room:
        return label
    return label[: room - 1].rsplit(" ", 1)[0].rstrip(",;(") + "…"


def _ordered(contributions: tuple[Contribution, ...]) -> list[Contribution]:
    genetic = [c for c in contributions if c.kind == "genetic"]
    clinical = sorted((c for c in contributions if c.kind != "genetic"), key=lambda c: -abs(c.points))
    room = MOST - len(genetic)
    rest = clinical[room:]
    if len(rest) > 1:
        together = Contribution(
            label=f"{len(rest)} other factors", value="", points=sum(c.points for c in rest)
        )
        clinical = [*clinical[:room], together]
    return [*clinical, *genetic]


def _total(
    label: str, text: str, points: float, at: Callable[[float], float], *, y: float, next_x: float | None
) -> Bar:
    end = at(points)
    return Bar(
        label=label,
        value="",
        points=text,
        y=y,
        x=LEFT,
        width=round(end - LEFT, 1),
        text_x=end + 6,
        anchor="start",
        next_x=next_x,
        total=True,
    )
