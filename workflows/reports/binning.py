"""From one value a person to bins that may be shown.

The only place where the reports touch person-level arrays: what comes out holds no bin under ten people
and no single extreme value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workflows.reports.content import Count, Density, DensityCell, Disclosure, Histogram, PcaGroup, PcaMap

TAIL = 0.001
"""Part of the values beyond either end of a default axis, so that no axis ends at somebody's own value."""

FINEST, COARSEST = 64, 4
"""Cells along a side of a density of people: the smallest cells, and the largest that few people are put into."""

SIDES = (60, 48, 40, 32, 25, 20, 15, 10)
"""Grids tried for a map of principal components, cells along a side."""


def histogram(
    values: ArrayLike,
    *,
    label: str,
    unit: str = "",
    of: str = "people",
    bins: int = 30,
    edges: ArrayLike | None = None,
    threshold: float | tuple[float, float] | None = None,
    keep: str = "above",
    disclosure: Disclosure | None = None,
) -> Histogram:
    """Bin values of people (or of variants) for :func:`~workflows.reports.people_figures.histogram_figure`.

    Parameters
    ----------
    values
        float, shape (n,), in `unit`; NaN is missing and left out.
    label, unit, of, threshold, keep
        As in :class:`~workflows.reports.content.Histogram`.
    bins, edges
        About how many bins of a round width over the bulk of the values and the threshold; or the edges
        themselves.
    disclosure
        Rule for counts of people; the default rule if None. Not used for variants.

    Returns
    -------
    Histogram

    Examples
    --------
    >>> h = histogram([1.2] * 12 + [2.5] * 3, label="x", edges=[1, 2, 3])
    >>> h.counts
    (10, '<10')
    """
    rule = disclosure or Disclosure()
    data = np.asarray(values, dtype=float)
    data = data[np.isfinite(data)]
    marks = [cut for cut in (threshold if isinstance(threshold, tuple) else (threshold,)) if cut is not None]
    cuts = np.asarray(edges, dtype=float) if edges is not None else round_edges(data, bins=bins, show=marks)
    counts, _ = np.histogram(data, bins=cuts)
    people = of == "people"
    beyond = int(data.size - counts.sum())
    return Histogram(
        label=label,
        unit=unit,
        of=of,
        edges=tuple(float(cut) for cut in cuts),
        counts=tuple(rule.show(int(n)) for n in counts) if people else (),
        variant_counts=() if people else tuple(int(n) for n in counts),
        threshold=threshold,
        keep=keep,
        beyond=rule.show(beyond) if people else 0,
        variants_beyond=0 if people else beyond,
    )


def round_edges(values: NDArray[np.float64], *, bins: int, show: Sequence[float] = ()) -> NDArray[np.float64]:
    """Edges a round step (1, 2 or 5 times a power of ten) apart over the bulk of `values` and all of `show`.

    The bulk is the middle 99.8%, but no further than five interquartile ranges from the quartiles, so that a
    few far values do not squeeze all others into one bar.

    Examples
    --------
    >>> round_edges(np.linspace(0, 10, 1001), bins=10)
    array([ 0.,  1.,  2.,  3.,  4.,  5.,  6.,  7.,  8.,  9., 10.])
    """
    if values.size == 0:
        return np.array([0.0, 1.0])
    low, lower, upper, high = np.quantile(values, [TAIL, 0.25, 0.75, 1 - TAIL])
    if upper > lower:
        low, high = max(low, lower - 5 * (upper - lower)), min(high, upper + 5 * (upper - lower))
    low, high = min([low, *show]), max([high, *show])
    if high <= low:
        spread = abs(low) * 0.05 or 0.5
        low, high = low - spread, high + spread
    raw = (high - low) / bins
    power = 10.0 ** np.floor(np.log10(raw))
    step = power * next(m for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
    first, last = np.floor(low / step + 1e-9), np.ceil(high / step - 1e-9)
    return np.asarray(np.round(np.arange(first, last + 1) * step, 12), dtype=float)


def pca_map(
    x: ArrayLike,
    y: ArrayLike,
    groups: ArrayLike,
    *,
    x_label: str = "PC1",
    y_label: str = "PC2",
    explained: tuple[float, ...] = (),
    bins: int | None = None,
    disclosure: Disclosure | None = None,
) -> PcaMap:
    """Principal components as group densities on a common grid, without any single person.

    Parameters
    ----------
    x, y
        float, shape (n,): two components.
    groups
        str, shape (n,): group of each person (for example genetic ancestry or population).
    bins
        Cells along each side; by default the finest of a few grids on which at least six tenths of the people
        are in cells that may be shown.

    Returns
    -------
    PcaMap
        Groups by falling size. Cells under the smallest number shown are left out; groups under it have no
        ellipse.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> m = pca_map(rng.normal(size=200), rng.normal(size=200), ["a"] * 195 + ["b"] * 5)
    >>> [(g.label, g.people, len(g.cells), g.ellipse is None) for g in m.groups][1]
    ('b', '<10', 0, True)
    """
    rule = disclosure or Disclosure()
    px, py = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    names = np.asarray(groups).astype(str)
    sides = bins or _finest(px, py, names, rule)
    x_edges, y_edges = _grid(px, sides), _grid(py, sides)
    labels, sizes = np.unique(names, return_counts=True)
    drawn = []
    for label in labels[np.lexsort((labels, -sizes))]:
        mine = names == label
        table, _, _ = np.histogram2d(px[mine], py[mine], bins=(x_edges, y_edges))
        columns, rows = np.nonzero(table >= rule.smallest_shown)
        drawn.append(
            PcaGroup(
                label=str(label),
                people=rule.show(int(mine.sum())),
                cells=tuple(
                    (int(c), int(r), rule.show(int(table[c, r]))) for c, r in zip(columns, rows, strict=True)
                ),
                ellipse=_ellipse(px[mine], py[mine]) if mine.sum() >= rule.smallest_shown else None,
            )
        )
    return PcaMap(
        x_label=x_label,
        y_label=y_label,
        x_edges=tuple(map(float, x_edges)),
        y_edges=tuple(map(float, y_edges)),
        groups=tuple(drawn),
        explained=explained,
    )


def density(
    x: ArrayLike,
    y: ArrayLike,
    *,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    disclosure: Disclosure | None = None,
    **said: Any,
) -> Density:
    """Two values a person (or a pair of people) as cells that may be shown.

    People in cells of a fine grid with fewer than ten are put together with their like in cells twice as
    wide, and so on; who is alone even then is counted, not drawn.

    Parameters
    ----------
    x, y
        float, shape (n,); pairs with a NaN are left out.
    x_range, y_range
        Ends of the axes, not taken from single values; who lies beyond is put at the end.
    said
        Labels and lines, as in :class:`~workflows.reports.content.Density`.

    Examples
    --------
    >>> d = density([0.1] * 12 + [0.9] * 3, [0.1] * 15, x_range=(0, 1), y_range=(0, 1), name="d", label="d",
    ...             x_label="x", y_label="y", of="people")
    >>> [(round(cell.left, 2), cell.people) for cell in d.cells], d.left_out
    ([(0.09, 10)], '<10')
    """
    rule = disclosure or Disclosure()
    px, py = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    there = np.isfinite(px) & np.isfinite(py)
    table = _cells_of(px[there], py[there], x_range, y_range, FINEST)
    cells: list[DensityCell] = []
    sides = FINEST
    while True:
        shown = table >= rule.smallest_shown
        cells += [
            _cell(c, r, sides, x_range, y_range, people=rule.show(int(table[c, r])))
            for c, r in zip(*np.nonzero(shown), strict=True)
        ]
        table = np.where(shown, 0, table)
        if sides == COARSEST:
            break
        sides //= 2
        table = table.reshape(sides, 2, sides, 2).sum(axis=(1, 3))
    return Density(
        cells=tuple(cells), left_out=rule.show(int(table.sum())), x_range=x_range, y_range=y_range, **said
    )


def variant_density(
    x: ArrayLike, y: ArrayLike, *, x_range: tuple[float, float], y_range: tuple[float, float], **said: Any
) -> Density:
    """Two values a variant as cells of a fine grid; variants are not people, so every cell is shown."""
    px, py = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    there = np.isfinite(px) & np.isfinite(py)
    sides = FINEST
    table = _cells_of(px[there], py[there], x_range, y_range, sides)
    cells = tuple(
        _cell(c, r, sides, x_range, y_range, variants=int(table[c, r]))
        for c, r in zip(*np.nonzero(table), strict=True)
    )
    return Density(cells=cells, x_range=x_range, y_range=y_range, of="variants", **said)


def _cells_of(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    sides: int,
) -> NDArray[np.int64]:
    places = [
        np.clip(((v - low) / (high - low) * sides).astype(np.int64), 0, sides - 1)
        for v, (low, high) in ((x, x_range), (y, y_range))
    ]
    table = np.zeros((sides, sides), dtype=np.int64)
    np.add.at(table, (places[0], places[1]), 1)
    return table


def _cell(
    column: int,
    row: int,
    sides: int,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    *,
    people: Count = 0,
    variants: int = 0,
) -> DensityCell:
    wide, tall = (x_range[1] - x_range[0]) / sides, (y_range[1] - y_range[0]) / sides
    left, bottom = x_range[0] + column * wide, y_range[0] + row * tall
    return DensityCell(
        left=float(left),
        right=float(left + wide),
        bottom=float(bottom),
        top=float(bottom + tall),
        people=people,
        variants=variants,
    )


def _finest(x: NDArray[np.float64], y: NDArray[np.float64], names: NDArray[np.str_], rule: Disclosure) -> int:
    for sides in SIDES[:-1]:
        cells = (_grid(x, sides), _grid(y, sides))
        tables = [np.histogram2d(x[names == g], y[names == g], bins=cells)[0] for g in np.unique(names)]
        shown = sum(float(table[table >= rule.smallest_shown].sum()) for table in tables)
        if shown >= 0.6 * x.size:
            return sides
    return SIDES[-1]


def _grid(values: NDArray[np.float64], sides: int) -> NDArray[np.float64]:
    low, high = np.quantile(values, [TAIL, 1 - TAIL])
    room = (high - low or 1.0) * 0.04
    return np.asarray(np.linspace(low - room, high + room, sides + 1), dtype=float)


def _ellipse(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float, float, float, float]:
    sx, sy = float(x.std()), float(y.std())
    correlation = float(np.corrcoef(x, y)[0, 1]) if sx > 0 and sy > 0 else 0.0
    return float(x.mean()), float(y.mean()), sx, sy, correlation
