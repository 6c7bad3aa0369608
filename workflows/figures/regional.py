"""Regional plot: one locus at full resolution, coloured by linkage disequilibrium with its lead, above genes."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from cohorts.errors import InputError
from gwas.genotypes import Genotypes
from gwas.ld import ld_r2
from gwas.tails import GENOME_WIDE
from workflows.figures.batches import CHROMOSOMES, Results, batches
from workflows.figures.genes import Genes, draw_genes, gene_rows
from workflows.figures.labels import Label, place_labels
from workflows.figures.manhattan import axis_top
from workflows.figures.style import INK, MUTED, ORANGE, bend, bent_at, plain

Floats = NDArray[np.float64]

STEPS: Final = (0.2, 0.4, 0.6, 0.8)
COLOURS: Final = ("#b3c1cd", "#74aed4", "#1f6fa8", "#f0a13a", "#b3400a")
"""From below 0.2 to above 0.8: blue to orange is told apart in every common colour blindness."""
LEAD: Final = "#5b2a86"
UNKNOWN: Final = "#e3e8ec"
LETTER: Final = 0.052
"""Width of a letter of a gene's name, in inches."""
MOST_ROWS: Final = 10


def regional(
    results: Results,
    *,
    trait: str | None = None,
    lead: str | None = None,
    flank: int = 400_000,
    genotypes: Genotypes | None = None,
    genes: Genes | None = None,
    title: str = "",
    width: float = 6.4,
    height: float = 3.2,
) -> Figure:
    """Association around one lead variant, coloured by r2 with it, above the genes of the region.

    Parameters
    ----------
    results
        See :func:`workflows.figures.batches.batches`.
    trait
        Which trait, where there are several.
    lead
        Name of the variant, or ``chromosome:base``; None for the best of the scan.
    flank
        Bases shown on either side.
    genotypes
        In which r2 is measured: the study's own people, or a reference of the same ancestry. Variants are
        found by name, else by place.
    genes
        Of the same build as the results.
    title
        Above the plot.
    width, height
        Inches; of the upper part, to which the genes add theirs.

    Returns
    -------
    Figure

    Raises
    ------
    InputError
        If the lead is not among the results.
    """
    region = region_of(results, trait=trait, lead=lead, flank=flank)
    chrom, pos = str(region["#CHROM"].iloc[0]), int(region.loc[region["LEAD"], "POS"].iloc[0])
    if genotypes is not None:
        region = with_linkage(region, genotypes)
    figure = draw_regional(
        region,
        genes=None if genes is None else genes.within(chrom, pos - flank, pos + flank),
        start=pos - flank,
        stop=pos + flank,
        width=width,
        height=height,
    )
    if title:
        figure.axes[0].set_title(title, size=9.5, loc="left")
    return figure


def region_of(results: Results, *, trait: str | None, lead: str | None, flank: int) -> pd.DataFrame:
    """Variants around a lead: ``#CHROM POS ID LOG10_P LEAD``, by position; LEAD is true of one row."""
    chrom, pos, name = _find_lead(results, trait, lead)
    parts = []
    for batch in batches(results, trait=trait):
        near = (batch.chrom == CHROMOSOMES.index(chrom)) & (np.abs(batch.pos - pos) <= flank)
        if near.any():
            parts.append(
                pd.DataFrame(
                    {
                        "#CHROM": chrom,
                        "POS": batch.pos[near],
                        "ID": batch.names(near),
                        "LOG10_P": batch.height[near],
                    }
                )
            )
    region = pd.concat(parts).sort_values("POS", kind="stable", ignore_index=True)
    at = (region["POS"] == pos) & ((region["ID"] == name) if name else True)
    region["LEAD"] = np.arange(len(region)) == region["LOG10_P"].where(at).idxmax()
    return region


def _find_lead(results: Results, trait: str | None, lead: str | None) -> tuple[str, int, str]:
    best: tuple[float, str, int, str] | None = None
    for batch in batches(results, trait=trait):
        fits = np.ones(batch.pos.size, dtype=bool)
        if lead is not None:
            chrom, _, base = lead.removeprefix("chr").partition(":")
            if base.isdigit() and chrom in CHROMOSOMES:
                fits = (batch.chrom == CHROMOSOMES.index(chrom)) & (batch.pos == int(base))
            else:
                fits = np.array(batch.names(fits), dtype=object) == lead
        if fits.any():
            k = int(np.where(fits, batch.height, -1.0).argmax())
            if best is None or batch.height[k] > best[0]:
                one = np.arange(batch.pos.size) == k
                best = (
                    float(batch.height[k]),
                    CHROMOSOMES[batch.chrom[k]],
                    int(batch.pos[k]),
                    batch.names(one)[0],
                )
    if best is None:
        raise InputError(
            "no such variant among the results" if lead else "no variant with a result",
            where="results",
            found=lead,
            expected="the name of a variant, or chromosome:base",
        )
    return best[1:]


def with_linkage(region: pd.DataFrame, genotypes: Genotypes) -> pd.DataFrame:
    """The region with ``R2`` to its lead, NaN for a variant that the genotypes lack.

    Where they lack the lead, r2 is to the best variant of the region that they have; ``REFERENCE`` is true of
    the variant it is to.
    """
    variants = genotypes.variants
    here = np.flatnonzero(
        (
            (variants["chrom"] == region["#CHROM"].iloc[0])
            & variants["pos"].between(region["POS"].min(), region["POS"].max())
        ).to_numpy()
    )
    place = variants.iloc[here]
    by_name = pd.Series(here, index=place["id"].to_numpy())
    by_pos = pd.Series(here, index=place["pos"].to_numpy())
    # Of two variants of one name or place neither can be told to be meant: the first is taken.
    found = region["ID"].map(by_name[~by_name.index.duplicated()])
    found = found.fillna(region["POS"].map(by_pos[~by_pos.index.duplicated()]))
    known = found.notna().to_numpy()
    r2 = np.full(len(region), np.nan)
    reference = np.zeros(len(region), dtype=bool)
    if known.any():
        strength = region["LOG10_P"].to_numpy() + np.where(region["LEAD"], 1e9, 0.0)
        k = int(np.where(known, strength, -1.0).argmax())
        reference[k] = True
        r2[known] = ld_r2(genotypes, int(found.iloc[k]), found[known].to_numpy(dtype=np.int64))
        r2[k] = 1.0
    return region.assign(R2=r2, REFERENCE=reference)


def draw_regional(
    region: pd.DataFrame,
    *,
    genes: pd.DataFrame | None,
    start: int,
    stop: int,
    width: float = 6.4,
    height: float = 3.2,
) -> Figure:
    """Draw a region of :func:`region_of`, with R2 if it has any, and genes of :meth:`Genes.within`."""
    base_width = (stop - start) / ((width - 0.65) / LETTER)
    hidden = 0
    if genes is not None:
        rows, _ = gene_rows(genes, start, stop, base_width=base_width)
        if int(rows.max(initial=0)) >= MOST_ROWS and genes["coding"].any():
            hidden = int((~genes["coding"]).sum())
            genes = genes[genes["coding"]].reset_index(drop=True)
            rows, _ = gene_rows(genes, start, stop, base_width=base_width)
        track = 0.2 * max(int(rows.max(initial=0)) + 1, 2)
        figure = Figure(figsize=(width, height + track), layout="constrained")
        ax, below = figure.subplots(2, 1, sharex=True, height_ratios=[height - 0.5, track])
        plain(below)
        draw_genes(below, genes, start, stop, base_width=base_width)
        ax.tick_params(labelbottom=False)
        if genes.empty:
            below.text(0.5, 0.5, "no gene", transform=below.transAxes, ha="center", size=7, color=MUTED)
        if hidden:
            below.text(
                1, 0, f"{hidden} RNA genes not shown", transform=below.transAxes, ha="right", size=6, color=MUTED
            )  # fmt: skip
    else:
        figure = Figure(figsize=(width, height), layout="constrained")
        ax = below = figure.subplots()
    plain(ax)
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, hspace=0.0)  # type: ignore[union-attr, call-arg]
    below.set_xlim(start, stop)
    below.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]))
    below.xaxis.set_major_formatter(lambda x, _: f"{x / 1e6:.2f}".rstrip("0").rstrip("."))
    below.set_xlabel(f"Position on chromosome {region['#CHROM'].iloc[0]} (Mb)")
    _draw_points(ax, region)
    return figure


def _draw_points(ax: Axes, region: pd.DataFrame) -> None:
    height = region["LOG10_P"].to_numpy(dtype=np.float64)
    pos = region["POS"].to_numpy(dtype=np.float64)
    top = max(axis_top(float(height.max())), 4.0)
    top = top if height.max() > 5 else max(1.3 * float(height.max()), 4.0)
    bend(ax, top=top, cap=bent_at(float(height.max())))
    ax.set_ylabel("−log₁₀ P")
    if top > GENOME_WIDE:
        ax.axhline(GENOME_WIDE, color=ORANGE, linewidth=0.8, dashes=(4, 3), zorder=1)
    r2 = region["R2"].to_numpy(dtype=np.float64) if "R2" in region else np.full(height.size, np.nan)
    coloured = bool(np.isfinite(r2).any())
    reference = region["REFERENCE"].to_numpy() if coloured else region["LEAD"].to_numpy()
    name = str(region["ID"][reference].iloc[0] or f"{region['POS'][reference].iloc[0]:,}")
    lead = int(np.flatnonzero(reference)[0])
    place_labels(
        ax,
        [Label(name, pos[lead], height[lead])],
        avoid=np.column_stack([pos, height])[height > 0.5 * height.max()],
        size=7.8,
        radius=3,
    )
    step = np.digitize(np.nan_to_num(r2, nan=-1.0), (0.0, *STEPS)) - 1
    for level in range(-1, len(COLOURS)):
        mine = (step == level) & ~reference
        colour = (COLOURS[0] if not coloured else UNKNOWN) if level < 0 else COLOURS[level]
        ax.scatter(
            pos[mine], height[mine], s=15, color=colour, edgecolors=INK if coloured else "#51606e",
            linewidths=0.3, zorder=3 + 0.1 * level, rasterized=bool(mine.sum() > 5000), clip_on=False,
        )  # fmt: skip
    ax.scatter(
        pos[lead], height[lead], s=46, marker="D", color=LEAD, edgecolors=INK, linewidths=0.5, zorder=5
    )
    if coloured:
        _key(ax, pos, height, r2, name)


def _key(ax: Axes, pos: Floats, height: Floats, r2: Floats, name: str) -> None:
    """Colours of r2 in words, in the upper corner with fewer points."""
    words = ["≥ 0.8", "0.6–0.8", "0.4–0.6", "0.2–0.4", "< 0.2"]
    shown = list(zip(reversed(COLOURS), words, strict=True))
    if np.isnan(r2).any():
        shown.append((UNKNOWN, "not known"))
    look: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 4.2, "markeredgewidth": 0.3}
    marks = [Line2D([], [], color=c, markeredgecolor=INK, label=word, **look) for c, word in shown]
    low, high = ax.get_xlim()
    edge = 0.22 * (high - low)
    tall = height > 0.45 * height.max()
    left, right = (tall & (pos < low + edge)).sum(), (tall & (pos > high - edge)).sum()
    ax.legend(
        handles=marks,
        title=f"r² with {name if len(name) < 16 else 'lead'}",
        loc="upper left" if left <= right else "upper right",
        fontsize=6.5,
        title_fontsize=6.8,
        frameon=True,
        framealpha=0.9,
        edgecolor="none",
        facecolor="white",
        labelspacing=0.25,
        handletextpad=0.2,
        borderaxespad=0.2,
    )
