"""What came of each trait, summed block by block: tests, reasons without a result, inflation, hits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from gwas.models.result import VariantTests
from gwas.models.status import ERRCODES
from gwas.tails import GENOME_WIDE

if TYPE_CHECKING:
    from gwas.design import Design

BINS: Final = 4096
_MEDIAN_CHI2: Final = 0.45493642311957283


class Summary:
    """Running sums of every trait.

    Parameters
    ----------
    names
        The traits, in order.
    sums
        What :meth:`state` gave of an earlier run; nothing at first.
    """

    def __init__(self, names: Sequence[str], sums: Mapping[str, npt.NDArray[np.int64]] | None = None) -> None:
        self.names = list(names)
        sums = sums or {}
        t = len(self.names)
        self.codes = sums.get("codes", np.zeros((t, len(ERRCODES)), dtype=np.int64))
        self.hits = sums.get("hits", np.zeros(t, dtype=np.int64))
        self.withheld = sums.get("withheld", np.zeros(t, dtype=np.int64))
        self.bins = sums.get("bins", np.zeros((t, BINS), dtype=np.int64))

    def state(self) -> dict[str, npt.NDArray[np.int64]]:
        """Everything, as arrays to be kept."""
        return {"codes": self.codes, "hits": self.hits, "withheld": self.withheld, "bins": self.bins}

    def add(self, trait: int, tests: VariantTests, *, withheld: int = 0) -> None:
        """Count a block's tests of one trait; `withheld` rows of them were not written."""
        self.codes[trait] += np.bincount(tests.status, minlength=len(ERRCODES))
        log10p = tests.log10p[~np.isnan(tests.log10p)]
        self.hits[trait] += int((log10p >= GENOME_WIDE).sum())
        at = np.minimum((10.0**-log10p * BINS).astype(np.int64), BINS - 1)
        self.bins[trait] += np.bincount(at, minlength=BINS)
        self.withheld[trait] += withheld

    def inflation(self, trait: int) -> float:
        """λ: the median χ² by that of the null; P values are interpolated within 1/4096."""
        counts = self.bins[trait]
        half = counts.sum() / 2
        if not half:
            return float("nan")
        below = np.cumsum(counts)
        at = int(np.searchsorted(below, half))
        median = (at + 1 - (below[at] - half) / counts[at]) / BINS
        return NormalDist().inv_cdf(median / 2) ** 2 / _MEDIAN_CHI2

    def lines(self) -> list[str]:
        """One line a trait, for the log."""
        return [f"{name}: {self._line(i)}" for i, name in enumerate(self.names)]

    def _line(self, trait: int) -> str:
        without = "".join(f", {count} {code}" for code, count in self.reasons(trait))
        withheld = f"; {self.withheld[trait]} rows not written" if self.withheld[trait] else ""
        return (
            f"{self.codes[trait, 0]} variants tested{without}; lambda {self.inflation(trait):.3f};"
            f" {self.hits[trait]} with P <= 5e-8{withheld}"
        )

    def reasons(self, trait: int) -> list[tuple[str, int]]:
        """Codes of variants without a result, and how many have each."""
        return sorted(
            (code, int(count))
            for code, count in zip(ERRCODES[1:], self.codes[trait, 1:], strict=True)
            if count
        )


HEADINGS: Final = (
    "trait",
    "people",
    "cases",
    "controls",
    "tested",
    "lambda",
    "P <= 5e-8",
    "without a result",
)


def summary_table(design: Design, summary: Summary, *, most: int = 30) -> list[str]:
    """Lines for the terminal: of each trait people, cases, variants, λ, hits and reasons.

    Parameters
    ----------
    design
        Who was analysed.
    summary
        What came of it.
    most
        Traits to show; those with most hits come first where there are more.
    """
    people = design.people()
    order = range(len(summary.names))
    if len(summary.names) > most:
        order = sorted(order, key=lambda i: (-int(summary.hits[i]), i))[:most]  # type: ignore[assignment]
    rows: list[Sequence[str]] = [HEADINGS]
    for i in order:
        rows.append(
            (
                summary.names[i],
                *("" if count is None else f"{count:,}" for count in people[i]),
                f"{summary.codes[i, 0]:,}",
                f"{summary.inflation(i):.3f}",
                f"{summary.hits[i]:,}",
                ", ".join(f"{count:,} {code}" for code, count in summary.reasons(i)),
            )
        )
    for name, reason in list(design.skipped.items())[:most]:
        rows.append((name, *[""] * 6, f"skipped: {reason}"))
    if len(summary.names) > most:
        rows.append(("…", *[""] * 6, f"{len(summary.names) - most:,} more traits in the log"))
    return _aligned(rows)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Numbers to the right, the first and last columns to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(row[1:-1], widths[1:-1], strict=True)),
                row[-1],
            ]
        ).rstrip()
        for row in rows
    ]
