"""Chromosomes laid end to end, in order, as the x axis of a genome-wide plot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from workflows.figures.batches import CHROMOSOMES

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class GenomeAxis:
    """Where each chromosome lies.

    Attributes
    ----------
    starts
        Chromosome to the x of its base 0.
    spans
        Chromosome to its first and last base.
    """

    starts: Mapping[str, float]
    spans: Mapping[str, tuple[int, int]]

    def x(self, chrom: NDArray[np.int8], pos: NDArray[np.int64]) -> Floats:
        """x of variants, by place in CHROMOSOMES and base."""
        offset = np.array([self.starts.get(name, np.nan) for name in CHROMOSOMES])
        return np.asarray(offset[chrom] + pos)

    @property
    def ends(self) -> tuple[float, float]:
        """x of the first and the last base of all."""
        if not self.spans:
            return 0.0, 1.0
        names = list(self.spans)
        left, right = self.spans[names[0]][0], self.spans[names[-1]][1]
        return self.starts[names[0]] + left, self.starts[names[-1]] + max(right, left + 1)

    def draw(self, ax: Axes, *, names: bool = True) -> None:
        """Set the limits of `ax` and name the chromosomes, or, if there is one only, its megabases."""
        left, right = self.ends
        span = right - left
        ax.set_xlim(left - 0.008 * span, right + 0.008 * span)
        if len(self.spans) == 1:
            ax.xaxis.set_major_locator(MaxNLocator(8))
            ax.xaxis.set_major_formatter(lambda x, _: f"{x / 1e6:g}" if names else "")
            if names:
                ax.set_xlabel(f"Position on chromosome {next(iter(self.spans))} (Mb)")
            return
        middle = {c: self.starts[c] + (a + b) / 2 for c, (a, b) in self.spans.items()}
        shown: list[str] = []
        for c in middle:
            if not shown or middle[c] - middle[shown[-1]] >= 0.024 * span:
                shown.append(c)
        ax.set_xticks([middle[c] for c in shown], shown if names else [""] * len(shown))
        ax.tick_params(axis="x", length=0)
        if names:
            ax.set_xlabel("Chromosome")


def genome_axis(*spans: Mapping[str, tuple[int, int]]) -> GenomeAxis:
    """Lay out the chromosomes of one or more scans with a small gap between them.

    Examples
    --------
    >>> axis = genome_axis({"2": (10, 400)}, {"1": (1, 600)})
    >>> list(axis.starts), axis.starts["2"] > 600
    (['1', '2'], True)
    """
    wide = {
        c: (min(s[c][0] for s in spans if c in s), max(s[c][1] for s in spans if c in s))
        for c in CHROMOSOMES
        if any(c in s for s in spans)
    }
    gap = 0.004 * sum(last for _, last in wide.values())
    starts: dict[str, float] = {}
    at = 0.0
    for c, (_, last) in wide.items():
        starts[c] = at
        at += last + gap
    return GenomeAxis(starts, wide)
