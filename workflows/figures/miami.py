"""Miami plot: two scans mirrored on one genome."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from workflows.figures.batches import Results
from workflows.figures.genes import Genes
from workflows.figures.genome_axis import genome_axis
from workflows.figures.manhattan import axis_top, draw_manhattan, named_loci
from workflows.figures.style import INK, bent_at, new_figure
from workflows.figures.thinning import Thinned, thin


def miami(
    upper: Results | Thinned,
    lower: Results | Thinned,
    *,
    names: tuple[str, str] = ("", ""),
    traits: tuple[str | None, str | None] = (None, None),
    genes: Genes | None = None,
    loci: tuple[pd.DataFrame | None, pd.DataFrame | None] = (None, None),
    labels: int = 10,
    cap: float | None = None,
    same_scale: bool = False,
    title: str = "",
    width: float = 8.0,
    height: float = 4.8,
) -> Figure:
    """Two scans, one upwards and one downwards, on the chromosomes that either has.

    Parameters
    ----------
    upper, lower
        See :func:`workflows.figures.batches.batches`.
    names
        Written above and below.
    traits
        Which trait of each, where there are several.
    genes, loci, labels, cap, title
        As in :func:`workflows.figures.manhattan.manhattan`, for each half.
    same_scale
        Both y axes end at the same -log10 P.
    width, height
        Inches.

    Returns
    -------
    Figure
    """
    scans = [thin(results, trait=t) for results, t in zip((upper, lower), traits, strict=True)]
    axis = genome_axis(*(scan.spans for scan in scans))
    figure, axes = new_figure(width, height, rows=2, columns=1)
    figure.get_layout_engine().set(hspace=0.0)  # type: ignore[union-attr, call-arg]
    highest = [max(s.highest for s in scans) if same_scale else scan.highest for scan in scans]
    for half, (ax, scan, high) in enumerate(zip(axes, scans, highest, strict=True)):
        if half:
            ax.spines["bottom"].set_visible(False)
            ax.spines["top"].set_visible(True)
            ax.spines["top"].set(color=ax.spines["left"].get_edgecolor(), linewidth=0.6)
        draw_manhattan(
            ax,
            scan,
            axis,
            loci=named_loci(scan, loci[half], genes)[:labels],
            top=axis_top(high, cap),
            cap=cap or bent_at(high),
            down=bool(half),
            chromosomes=not half,
        )
        ax.tick_params(bottom=not half)
    axes[0].set_xlabel(axes[0].get_xlabel() if len(axis.spans) == 1 else "")
    axes[0].set_title(names[0], size=9, weight="bold", loc="left", color=INK)
    axes[1].set_xlabel(names[1], size=9, weight="bold", loc="left", color=INK)
    if title:
        figure.suptitle(title, size=9.5, x=0.01, ha="left")
    return figure
