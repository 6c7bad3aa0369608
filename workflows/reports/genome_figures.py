"""Pictures of a genome-wide scan: Manhattan and quantile-quantile plots."""

from __future__ import annotations

from typing import Final

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from scipy.stats import beta, chi2

from workflows.reports.content import Association, Locus
from workflows.reports.figures import BLUE, GREY, INK, MUTED, ORANGE, TEAL, new_figure, to_svg

GENOME_WIDE: Final = float(-np.log10(5e-8))
ORDER: Final = (*(str(n) for n in range(1, 23)), "X", "XY", "Y", "MT")
LABELS: Final = 10
"""Most lead variants named in a Manhattan plot; the table below it holds them all."""


def manhattan_figure(scan: Association) -> Markup:
    """Manhattan plot of `scan`: every variant that can be told apart on paper, lead variants named.

    Points that would fall on one another are drawn once (a grid of 1,100 by 260 cells), so that the picture
    stays small however many variants were tested.
    """
    figure, ax = new_figure(7.4, 2.35)
    chrom, pos, height = _fitted(scan)
    x, starts, ends = genome_axis(chrom, pos)
    top = max(8.6, float(height.max(initial=0.0)) * 1.18)
    keep = thin(x, height, columns=1100, rows=260, top=top)
    codes = _codes(chrom)[keep]
    hit = height[keep] >= GENOME_WIDE
    for parity, colour in ((0, BLUE), (1, GREY)):
        mine = (codes % 2 == parity) & ~hit
        _dots(ax, x[keep][mine], height[keep][mine], colour=colour, size=2.2)
    _dots(ax, x[keep][hit], height[keep][hit], colour=ORANGE, size=3.4)
    ax.axhline(GENOME_WIDE, color=ORANGE, linewidth=0.8, dashes=(4, 3))
    span = max(ends.values(), default=1.0)
    ax.text(span * 1.01, GENOME_WIDE, "5×10⁻⁸", color=ORANGE, size=7, va="center", ha="left")
    ax.set_xlim(-0.006 * span, span * 1.006)
    ax.set_ylim(0, top)
    _name_chromosomes(ax, starts, ends, span)
    ax.set_ylabel("−log₁₀ P")
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    places = {c: starts[c] for c in starts}
    hits = np.column_stack([x[keep][hit], height[keep][hit]])
    _name_loci(figure, ax, [locus for locus in scan.loci if locus.chrom in places], places, hits)
    return to_svg(
        figure,
        name=f"manhattan-{scan.name}",
        title=f"Manhattan plot of {scan.label}",
        description=(
            f"{len(height):,} variants by position along the genome; height is minus log10 of the P value. "
            f"{int((height >= GENOME_WIDE).sum()):,} lie above the genome-wide line at 5e-8; the highest "
            f"reaches {float(height.max(initial=0.0)):.1f}. The lead variants are listed in the table below."
        ),
    )


def draw_quantiles(ax: Axes, height: NDArray[np.float64]) -> None:
    """Observed against expected -log10 P on `ax`, with the 95% band of nothing to find."""
    observed = np.sort(height)[::-1]
    n = observed.size
    if n:
        ranks = _log_ranks(n)
        expected = -np.log10((ranks - 0.5) / n)
        low = -np.log10(beta.ppf(0.975, ranks, n - ranks + 1))
        high = -np.log10(beta.ppf(0.025, ranks, n - ranks + 1))
        ax.fill_between(expected, low, high, color="#dde4ea", linewidth=0)
        ax.plot([0, expected.max()], [0, expected.max()], color=GREY, linewidth=0.8)
        _dots(ax, expected, observed[ranks - 1], colour=BLUE, size=2.8)
    ax.set_xlabel("Expected −log₁₀ P")
    ax.set_ylabel("Observed −log₁₀ P")
    ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.set_xlim(left=0)
    ax.set_ylim(bottom=0)


def qq_figure(scan: Association) -> Markup:
    """Quantile-quantile plot of `scan` with the 95% band of a scan with nothing to find, and lambda."""
    figure, ax = new_figure(2.45, 2.35)
    _, _, height = _fitted(scan)
    n = height.size
    draw_quantiles(ax, height)
    inflation = scan.lambda_gc if scan.lambda_gc is not None else genomic_inflation(height)
    ax.text(0.05, 0.95, f"λ = {inflation:.3f}", transform=ax.transAxes, va="top", size=9, color=INK)
    return to_svg(
        figure,
        name=f"qq-{scan.name}",
        title=f"Quantile-quantile plot of {scan.label}",
        description=(
            f"Observed against expected minus log10 P of {n:,} variants, with the 95% band expected if no "
            f"variant mattered. Genomic inflation lambda is {inflation:.3f}."
        ),
    )


def genomic_inflation(log10_p: NDArray[np.float64]) -> float:
    """Median chi-square of the P values over its expectation (Devlin and Roeder 1999).

    Examples
    --------
    >>> round(genomic_inflation(-np.log10(np.linspace(0.0005, 0.9995, 1000))), 2)
    1.0
    """
    if log10_p.size == 0:
        return float("nan")
    return float(chi2.isf(10.0 ** -np.median(log10_p), 1) / chi2.median(1))


def genome_axis(
    chrom: NDArray[np.str_], pos: NDArray[np.int64]
) -> tuple[NDArray[np.float64], dict[str, float], dict[str, float]]:
    """Positions laid end to end, chromosome after chromosome, with a small gap.

    Returns
    -------
    x : float64, shape (n,)
    starts, ends : dict of chromosome to where base 0 and its last variant lie
    """
    x = np.zeros(pos.size)
    starts: dict[str, float] = {}
    ends: dict[str, float] = {}
    present = [c for c in ORDER if (chrom == c).any()]
    gap = 0.004 * sum(float(pos[chrom == c].max()) for c in present)
    at = 0.0
    for c in present:
        mine = chrom == c
        starts[c] = at
        x[mine] = at + pos[mine]
        ends[c] = at + float(pos[mine].max())
        at = ends[c] + gap
    return x, starts, ends


def thin(
    x: NDArray[np.float64], y: NDArray[np.float64], *, columns: int, rows: int, top: float
) -> NDArray[np.int64]:
    """Indices of one point for each cell of a grid that has any: what the eye can tell apart.

    Examples
    --------
    >>> thin(np.array([0.0, 0.01, 5.0]), np.array([1.0, 1.0, 2.0]), columns=10, rows=10, top=4)
    array([0, 2])
    """
    if x.size == 0:
        return np.zeros(0, dtype=np.int64)
    column = np.floor(x / (x.max() or 1.0) * columns).astype(np.int64)
    row = np.floor(y / top * rows).astype(np.int64)
    _, first = np.unique(column * (rows + 1) + row, return_index=True)
    return np.sort(first)


def _fitted(scan: Association) -> tuple[NDArray[np.str_], NDArray[np.int64], NDArray[np.float64]]:
    height = np.asarray(scan.log10_p, dtype=float)
    chrom = np.asarray(scan.chrom).astype(str)
    good = np.isfinite(height) & np.isin(chrom, ORDER)
    return chrom[good], np.asarray(scan.pos)[good], height[good]


def _codes(chrom: NDArray[np.str_]) -> NDArray[np.int64]:
    place = {c: at for at, c in enumerate(ORDER)}
    return np.array([place[c] for c in chrom.tolist()], dtype=np.int64)


def _log_ranks(n: int) -> NDArray[np.int64]:
    """Every one of the first 100 ranks, then some 250 spread evenly on the log scale."""
    tail = np.geomspace(100, n, 250).astype(np.int64) if n > 100 else np.zeros(0, dtype=np.int64)
    return np.unique(np.concatenate([np.arange(1, min(n, 100) + 1), tail]))


def _dots(ax: Axes, x: NDArray[np.float64], y: NDArray[np.float64], *, colour: str, size: float) -> None:
    gaps = np.full(x.size, np.nan)
    ax.plot(
        np.column_stack([x, x, gaps]).ravel(),
        np.column_stack([y, y, gaps]).ravel(),
        color=colour,
        linewidth=size,
        solid_capstyle="round",
    )


def _name_chromosomes(ax: Axes, starts: dict[str, float], ends: dict[str, float], span: float) -> None:
    middles = {c: (starts[c] + ends[c]) / 2 for c in starts}
    shown: list[str] = []
    last = -np.inf
    for c, middle in middles.items():
        if middle - last >= 0.026 * span:
            shown.append(c)
            last = middle
    ax.set_xticks([middles[c] for c in shown], shown)
    ax.tick_params(axis="x", length=0)
    ax.set_xlabel("Chromosome")


def _name_loci(
    figure: Figure, ax: Axes, loci: list[Locus], starts: dict[str, float], hits: NDArray[np.float64]
) -> None:
    """Write lead variants beside their points, strongest first, wherever there is room."""
    figure.draw_without_rendering()
    frame = ax.get_window_extent()
    points = 72 / figure.dpi
    half = 2.2 / points
    taken = [(a - half, b - half, a + half, b + half) for a, b in ax.transData.transform(hits)]
    for locus in [locus for locus in loci if locus.log10_p >= GENOME_WIDE][:LABELS]:
        text = locus.nearby or (
            locus.variant if len(locus.variant) < 14 else f"{locus.chrom}:{locus.pos / 1e6:.1f} Mb"
        )
        px, py = ax.transData.transform((starts[locus.chrom] + locus.pos, locus.log10_p))
        wide, tall = len(text) * 4.6 / points, 9.5 / points
        for dx, dy, anchor in ((0, 4, "center"), (5, -2, "left"), (-5, -2, "right"), (0, 13, "center")):
            left = px + dx / points - {"center": wide / 2, "left": 0.0, "right": wide}[anchor]
            box = (left, py + dy / points, left + wide, py + dy / points + tall)
            inside = box[0] >= frame.x0 and box[2] <= frame.x1 + 25 and box[3] <= frame.y1 + 4
            if inside and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                ax.annotate(
                    text,
                    (starts[locus.chrom] + locus.pos, locus.log10_p),
                    xytext=(dx, dy),
                    textcoords="offset points",
                    ha=anchor,
                    size=7.2,
                    color=INK if locus.log10_p >= GENOME_WIDE else MUTED,
                    style="italic" if locus.nearby else "normal",
                )
                break
    if not len(hits):
        ax.text(
            0.5, 0.93, "no variant passes the line", transform=ax.transAxes, ha="center", size=7.5, color=TEAL
        )


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
