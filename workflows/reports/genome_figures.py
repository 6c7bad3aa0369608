"""Pictures of a genome-wide scan in the cohort report."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Final

import numpy as np
import pandas as pd
from markupsafe import Markup

from gwas.sumstats import lambda_gc
from gwas.tails import GENOME_WIDE
from workflows.figures.genome_axis import genome_axis
from workflows.figures.manhattan import axis_top, draw_manhattan, named_loci
from workflows.figures.qq import draw_quantiles
from workflows.figures.regional import draw_regional
from workflows.figures.style import INK, TEAL, bent_at, new_figure
from workflows.figures.thinning import Thinned, thin
from workflows.reports.content import Association, Gene, Region
from workflows.reports.figures import to_svg

LABELS: Final = 10
"""Most lead variants named in a Manhattan plot; the table below it holds them all."""
COLUMNS: Final = 1024
ROWS: Final = 260
"""Cells of the thinned crowd across and up the picture: every point is text in the page."""


def manhattan_figure(scan: Association) -> Markup:
    """Manhattan plot of `scan`: every variant that can be told apart on paper, lead variants named."""
    figure, ax = new_figure(7.4, 2.35)
    thinned = _thinned(scan)
    axis = genome_axis(thinned.spans)
    draw_manhattan(
        ax,
        thinned,
        axis,
        loci=named_loci(thinned, _leads(scan))[:LABELS],
        top=axis_top(thinned.highest),
        cap=bent_at(thinned.highest),
        light=True,
    )
    above = int((thinned.height >= GENOME_WIDE).sum())
    if not above:
        ax.text(
            0.5, 0.93, "no variant passes the line", transform=ax.transAxes, ha="center", size=7.5, color=TEAL
        )
    return to_svg(
        figure,
        name=f"manhattan-{scan.name}",
        title=f"Manhattan plot of {scan.label}",
        description=(
            f"{thinned.tested:,} variants by position along the genome; height is minus log10 of the P value. "
            f"{above:,} lie above the genome-wide line at 5e-8; the highest "
            f"reaches {thinned.highest:.1f}. The lead variants are listed in the table below."
        ),
    )


def qq_figure(scan: Association) -> Markup:
    """Quantile-quantile plot of `scan` with the 95% band of a scan with nothing to find, and lambda."""
    figure, ax = new_figure(2.45, 2.35)
    height = np.asarray(scan.log10_p, dtype=float)
    height = height[np.isfinite(height)]
    draw_quantiles(ax, height, light=True, most=100)
    inflation = scan.lambda_gc if scan.lambda_gc is not None else lambda_gc(height)
    ax.text(0.05, 0.95, f"λ = {inflation:.3f}", transform=ax.transAxes, va="top", size=9, color=INK)
    return to_svg(
        figure,
        name=f"qq-{scan.name}",
        title=f"Quantile-quantile plot of {scan.label}",
        description=(
            f"Observed against expected minus log10 P of {height.size:,} variants, with the 95% band expected "
            f"if no variant mattered. Genomic inflation lambda is {inflation:.3f}."
        ),
    )


def regional_figure(region: Region, *, name: str) -> Markup:
    """Variants around a lead, coloured by r2 with it, above the genes of the region."""
    frame = pd.DataFrame(
        {
            "#CHROM": region.chrom,
            "POS": region.pos,
            "ID": region.variant,
            "LOG10_P": region.log10_p,
            "R2": region.r2,
            "LEAD": region.variant == region.lead,
            "REFERENCE": region.variant == region.lead,
        }
    )
    figure = draw_regional(
        frame,
        genes=pd.DataFrame([asdict(gene) for gene in region.genes], columns=[f.name for f in fields(Gene)]),
        start=region.start,
        stop=region.stop,
        width=3.9,
        height=2.2,
    )
    strong = int(np.nansum(region.r2 >= 0.8))
    return to_svg(
        figure,
        name=name,
        title=f"Region of {region.lead} on chromosome {region.chrom}",
        description=(
            f"{region.pos.size:,} variants from {region.start / 1e6:.2f} to {region.stop / 1e6:.2f} megabases; "
            f"height is minus log10 of the P value, colour the squared correlation with {region.lead}, which is "
            f"at least 0.8 for {strong:,} of them. Genes below: "
            f"{', '.join(gene.name for gene in region.genes) or 'none'}."
        ),
    )


def _thinned(scan: Association) -> Thinned:
    frame = pd.DataFrame({"#CHROM": scan.chrom, "POS": scan.pos, "LOG10_P": scan.log10_p})
    highest = float(np.nanmax(scan.log10_p, initial=0.0))
    return thin(frame, columns=COLUMNS, rows=max(4, round(ROWS / (bent_at(highest) or axis_top(highest)))))


def _leads(scan: Association) -> pd.DataFrame:
    rows = [
        (locus.chrom, locus.pos, locus.log10_p, locus.variant, locus.nearby)
        for locus in scan.loci
        if locus.log10_p >= GENOME_WIDE
    ]
    return pd.DataFrame(rows, columns=["#CHROM", "POS", "LOG10_P", "ID", "LABEL"])
