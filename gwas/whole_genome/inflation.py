"""How much statistics beside out-of-sample predictions exceed those of a mixed model.

Predictions of unseen people leave in the residual some of what a person shares with his close family. Among
people who are all related (animals, isolates) that inflates the tests beside them, ours and REGENIE's alike, while
a mixed model whitens it. Here both statistics are computed of every variant, and their medians compared, which
is BOLT-LMM's calibration (Loh et al. 2015, Nat Genet 47:284) in the other direction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from gwas.kernels import shrinkage_tiles as kernel
from gwas.whole_genome.panel import Panel
from gwas.whole_genome.response import Response

F32 = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

RANDOM: Final = 30
"""Variants whose variance under the mixed model is computed; of all others it is their share of the genotype's."""
TOLERANCE: Final = 2e-3
MOST_PASSES: Final = 100


@dataclass(frozen=True)
class Inflation:
    """Ratio of median chi-squares, beside predictions to mixed model, and its error by leaving chromosomes out."""

    factor: float
    error: float


@dataclass(frozen=True, eq=False)
class _Model:
    """V = h² K + (1 - h²) of a trait's people beside its covariates, K without a column's own chromosome."""

    panel: Panel
    people: Ints
    covariates: Floats
    heritability: float
    chromosome: Ints

    def beside(self, columns: Floats) -> Floats:
        """What the covariates leave of columns (n, c) of the trait's people."""
        return columns - self.covariates @ (self.covariates.T @ columns)

    def widened(self, columns: Floats) -> F32:
        """Columns of the trait's people at their places in a row of packed calls."""
        wide = np.zeros((4 * self.panel.width, columns.shape[1]), np.float32)
        wide[self.people] = columns
        return wide

    def times(self, columns: Floats) -> Floats:
        """V times columns (n, c)."""
        panel, wide = self.panel, self.widened(columns)
        total, ones = np.zeros_like(wide), np.ones_like(wide)
        share = np.float32(-self.heritability / panel.m)
        for chrom, first, last, packed in panel.passes():
            values = panel.values[first:last]
            parts = np.empty((kernel.tiles_of(panel.width), last - first, wide.shape[1]), np.float32)
            kernel.scores(packed, values, wide, parts)
            steps = share * parts.sum(axis=0)
            steps[:, self.chromosome == panel.chromosomes.index(chrom)] = 0.0
            kernel.take_away(packed, values, steps, ones, total)
        related = self.beside(total[self.people].astype(np.float64))
        return related + (1.0 - self.heritability) * columns

    def solve(self, right: Floats) -> Floats:
        """V⁻¹ times columns, by conjugate gradients side by side."""
        solution, left = np.zeros_like(right), right.copy()
        direction, square = left.copy(), (left**2).sum(axis=0)
        enough = TOLERANCE**2 * square
        for _ in range(MOST_PASSES):
            if (square <= enough).all():
                break
            image = self.times(direction)
            # a column that is done stays as it is
            step = np.where(square > enough, square / (direction * image).sum(axis=0), 0.0)
            solution += step * direction
            left -= step * image
            renewed = (left**2).sum(axis=0)
            direction = left + renewed / square * direction
            square = renewed
        return solution


def offset_inflation(
    panel: Panel, response: Response, predictions: F32, heritability: float, rng: np.random.Generator
) -> Inflation:
    """Compare a quantitative trait's statistics beside predictions with a mixed model's.

    Parameters
    ----------
    panel
        The variants.
    response
        The trait.
    predictions
        float32 (chromosomes of the panel, people of the panel): without each chromosome.
    heritability
        Variance that all variants explain.
    rng
        Draws the variants whose variance is computed.

    Notes
    -----
    With V of all other chromosomes, the mixed model's statistic is (x'V⁻¹y)² / (x'V⁻¹x σ²), σ² = y'V⁻¹y / n.
    x'V⁻¹x is taken as γ x'x, γ its mean ratio over the drawn variants (GRAMMAR-Gamma: Svishcheva et al. 2012,
    Nat Genet 44:1166).
    """
    count = len(panel.chromosomes)
    drawn = np.sort(rng.choice(panel.m, size=min(RANDOM, panel.m), replace=False)).astype(np.int64)
    of = np.array([panel.chromosomes.index(c) for c, first, last in panel.blocks for _ in range(first, last)])
    model = _Model(
        panel,
        response.people,
        response.covariates,
        heritability,
        np.concatenate([np.arange(count), of[drawn]]).astype(np.int64),
    )
    outcome, _ = response.work(response.start, slice(None))
    y = model.beside(np.repeat(outcome[:, None], count, axis=1))
    left = model.beside(outcome[:, None] - predictions[:, response.people].T.astype(np.float64))
    x = model.beside(_genotypes(panel, drawn)[response.people].astype(np.float64))
    solved = model.solve(np.column_stack([y, x]))
    white, gamma = solved[:, :count], float(((x * solved[:, count:]).sum(0) / (x**2).sum(0)).mean())
    chi2 = _squares(model, of, [left, white])
    with np.errstate(divide="ignore", invalid="ignore"):
        beside = chi2[0] / (left**2).mean(axis=0)[of]
        mixed = chi2[1] / (gamma * (y * white).mean(axis=0)[of])
    if count < 2:
        return Inflation(_ratio(beside, mixed), float("nan"))
    ratios = np.array([_ratio(beside[of != c], mixed[of != c]) for c in range(count)])
    error = np.sqrt((count - 1) / count * ((ratios - ratios.mean()) ** 2).sum())
    return Inflation(_ratio(beside, mixed), float(error))


def _ratio(one: Floats, other: Floats) -> float:
    return float(np.median(one) / np.median(other))


def _genotypes(panel: Panel, rows: Ints) -> F32:
    """Standardised genotypes of some variants: (samples of a packed row, rows)."""
    out = np.zeros((4 * panel.width, len(rows)), np.float32)
    ones = np.ones_like(out)
    for _, first, last, packed in panel.passes():
        here = np.flatnonzero((rows >= first) & (rows < last))
        if len(here):
            chosen = np.zeros((last - first, len(rows)), np.float32)
            chosen[rows[here] - first, here] = -1.0
            kernel.take_away(packed, panel.values[first:last], chosen, ones, out)
    return out


def _squares(model: _Model, of: Ints, sets: list[Floats]) -> Floats:
    """(x'c)² / x'x of every variant with its chromosome's column of each set: (sets, variants).

    x'x is that of Hardy-Weinberg proportions: it is the same in both sets, whose ratio alone is used.
    """
    panel, tiles = model.panel, kernel.tiles_of(model.panel.width)
    wide = [model.widened(columns) for columns in sets]
    out = np.empty((len(sets), panel.m))
    for _, first, last, packed in panel.passes():
        columns = np.ascontiguousarray(np.column_stack([columns[:, of[first]] for columns in wide]))
        parts = np.empty((tiles, last - first, len(sets)), np.float32)
        kernel.scores(packed, panel.values[first:last], columns, parts)
        out[:, first:last] = parts.sum(axis=0, dtype=np.float64).T ** 2
    spread = 2.0 * panel.frequency * (1.0 - panel.frequency) / panel.scale**2
    return np.asarray(out / (len(model.people) * spread), dtype=np.float64)
