"""Manhattan plot: every variant of a scan by its place on the genome and its -log10 P."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gwas.sumstats import top_loci
from gwas.tails import GENOME_WIDE
from workflows.figures.batches import CHROMOSOMES, Results
from workflows.figures.genes import Genes
from workflows.figures.genome_axis import GenomeAxis, genome_axis
from workflows.figures.labels import Label, place_labels
from workflows.figures.style import BLUE, GREY, MUTED, ORANGE, bend, bent_at, dots, new_figure
from workflows.figures.thinning import Thinned, thin

SUGGESTIVE: Final = 5.0
LOWEST_TOP: Final = 8.6


@dataclass(frozen=True)
class Lead:
    """A variant to name: by its nearest gene (`gene`), or by itself."""

    chrom: str
    pos: int
    height: float
    name: str
    gene: bool = False


def manhattan(
    results: Results | Thinned,
    *,
    trait: str | None = None,
    genes: Genes | None = None,
    loci: pd.DataFrame | None = None,
    labels: int = 12,
    cap: float | None = None,
    title: str = "",
    width: float = 8.0,
    height: float = 3.0,
) -> Figure:
    """Manhattan plot of a scan.

    Parameters
    ----------
    results
        See :func:`workflows.figures.batches.batches`.
    trait
        Which trait, where there are several.
    genes
        Names the loci by their nearest gene; without it by variant.
    loci
        Lead variants to name, ``#CHROM POS LOG10_P`` with ID or LABEL; None for the best variant of each
        million bases with P <= 5e-8.
    labels
        How many loci are named at most, strongest first.
    cap
        -log10 P above which the axis is logarithmic; None for 30 where the highest is above 60.
    title
        Above the plot.
    width, height
        Inches.

    Returns
    -------
    Figure
    """
    scan = thin(results, trait=trait)
    figure, ax = new_figure(width, height)
    axis = genome_axis(scan.spans)
    top = axis_top(scan.highest, cap)
    draw_manhattan(
        ax, scan, axis, loci=named_loci(scan, loci, genes)[:labels], top=top, cap=cap or bent_at(scan.highest)
    )
    if title:
        ax.set_title(title, size=9.5, loc="left")
    return figure


def draw_manhattan(
    ax: Axes,
    scan: Thinned,
    axis: GenomeAxis,
    *,
    loci: Sequence[Lead],
    top: float,
    cap: float | None = None,
    light: bool = False,
    down: bool = False,
    chromosomes: bool = True,
    size: float = 2.2,
) -> None:
    """Draw a scan on `ax`, whose x axis is `axis`.

    Parameters
    ----------
    loci
        Whom to name, see :func:`named_loci`.
    top, cap
        End of the y axis, and where it becomes logarithmic.
    light
        Small SVG, see :func:`workflows.figures.style.dots`.
    down
        The y axis grows downwards, as in the lower half of a Miami plot.
    chromosomes
        Name the chromosomes below the x axis.
    size
        Of the dots, in points.
    """
    x = axis.x(scan.chrom, scan.pos)
    hit = scan.height >= GENOME_WIDE
    bend(ax, top=top, cap=cap)
    if down:
        ax.set_ylim(top, 0)
    axis.draw(ax, names=chromosomes)
    ax.set_ylabel("−log₁₀ P")
    ax.axhline(SUGGESTIVE, color=GREY, linewidth=0.6, dashes=(2, 3), zorder=1)
    ax.axhline(GENOME_WIDE, color=ORANGE, linewidth=0.8, dashes=(4, 3), zorder=1)
    for height, colour, text in ((GENOME_WIDE, ORANGE, "5×10⁻⁸"), (SUGGESTIVE, MUTED, "10⁻⁵")):
        ax.annotate(
            text,
            (1, height),
            xycoords=("axes fraction", "data"),
            xytext=(2, 0),
            textcoords="offset points",
            color=colour,
            size=6.5,
            va="center",
            annotation_clip=False,
        )
    names = [Label(lead.name, axis.starts[lead.chrom] + lead.pos, lead.height, lead.gene) for lead in loci]
    place_labels(ax, names, avoid=np.column_stack([x[hit], scan.height[hit]]), down=down)
    order = np.zeros(len(CHROMOSOMES), dtype=np.int64)
    order[[CHROMOSOMES.index(name) for name in axis.spans]] = np.arange(len(axis.spans))
    for parity, colour in ((0, BLUE), (1, GREY)):
        mine = (order[scan.chrom] % 2 == parity) & ~hit
        dots(ax, x[mine], scan.height[mine], colour=colour, size=size, light=light)
    dots(ax, x[hit], scan.height[hit], colour=ORANGE, size=1.5 * size, light=light, zorder=3)


def named_loci(
    scan: Thinned, loci: pd.DataFrame | None = None, genes: Genes | None = None
) -> tuple[Lead, ...]:
    """Lead variants with their names, strongest first."""
    if loci is None:
        loci = top_loci(scan.tail.assign(ERRCODE="."))
    if loci.empty:
        return ()
    made: list[Lead] = []
    ordered = loci.sort_values("LOG10_P", ascending=False, kind="stable")
    for row in ordered.to_dict("records"):
        chrom, pos = str(row["#CHROM"]), int(row["POS"])
        if chrom not in scan.spans:
            continue
        gene = str(row.get("LABEL") or "") or (genes.nearest(chrom, pos) if genes is not None else "")
        name = str(row.get("ID") or "")
        plain = name if 1 < len(name) < 14 else f"{chrom}:{pos / 1e6:.1f} Mb"
        made.append(Lead(chrom, pos, float(row["LOG10_P"]), gene or plain, bool(gene)))
    return tuple(made)


def axis_top(highest: float, cap: float | None = None) -> float:
    """End of a -log10 P axis that leaves room for names above the highest point."""
    bent = cap or bent_at(highest)
    if bent is not None and highest > bent:
        return float(highest * (highest / bent) ** 0.6)
    return max(LOWEST_TOP, 1.2 * highest)
