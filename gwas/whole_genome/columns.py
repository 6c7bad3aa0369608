"""Regressions side by side: each column is one trait, in some of its people, under one prior."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import numpy as np
import numpy.typing as npt

from gwas.kernels import shrinkage_tiles as kernel
from gwas.whole_genome.panel import Panel
from gwas.whole_genome.priors import Prior
from gwas.whole_genome.response import Response

Floats = npt.NDArray[np.float64]
F32 = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

ROUNDS: Final = 2
"""Times to go through a block while its calls are decoded."""
BLOCKS_PER_REFIT: Final = 48
"""Blocks between refits of the covariates."""


@dataclass(frozen=True, eq=False)
class Column:
    """One regression.

    Attributes
    ----------
    response
        The trait.
    train
        bool (people of the trait,): who is fitted.
    prior, heritability
        Shape of the effects, and the variance they explain on the scale where the residual and they sum to 1.
    """

    response: Response
    train: Mask
    prior: Prior
    heritability: float


class Columns:
    """State of regressions that are fitted together; no column knows of another.

    Parameters
    ----------
    panel
        The variants.
    columns
        The regressions, those of a trait side by side.
    grams
        Mean products of the variants of each block, from :func:`gwas.whole_genome.moments.first_pass`.
    """

    def __init__(self, panel: Panel, columns: Sequence[Column], grams: Sequence[F32]) -> None:
        self.panel, self.columns, self._grams = panel, tuple(columns), grams
        rows, c = 4 * panel.width, len(self.columns)
        self._weights, self._residuals = np.zeros((rows, c), np.float32), np.zeros((rows, c), np.float32)
        self.effects: F32 = np.zeros((c, panel.m), np.float32)
        self.active: Mask = np.ones(c, dtype=bool)
        self.sweeps = np.zeros(c, dtype=np.int64)
        self._information, self._noise, self._moved = np.empty(c), np.ones(c), np.empty(c)
        self._variances, self._log_weights = np.empty((c, 2)), np.empty((c, 2))
        self._prediction: dict[int, Floats] = {}
        self._scored: dict[int, F32] = {}
        self._inverse: dict[int, Floats] = {}
        for i, column in enumerate(self.columns):
            self._set(i, column.response.start[column.train])
            self._shape(i, column)
        self._by_response: list[tuple[Response, F32, slice]] = []
        for response, group in groupby(range(c), key=lambda i: self.columns[i].response):
            places = list(group)
            basis = response.covariates.astype(np.float32)
            self._by_response.append((response, basis, slice(places[0], places[-1] + 1)))

    def _shape(self, i: int, column: Column) -> None:
        h2 = column.prior.explains(column.heritability)
        linear = column.response.linear
        # a linear trait's variance is 1 in all; elsewhere that of the working residual is 1 / weight
        explained = h2 if linear else h2 / (1.0 - h2) * column.train.sum() / self._information[i]
        self._noise[i] = 1.0 - h2 if linear else 1.0
        self._variances[i], weights = column.prior.mixture(explained, self.panel.m)
        self._log_weights[i] = np.log(weights)

    def sweep(self) -> None:
        """Update every effect of the active columns once, and what depends on them."""
        before = (self.effects.astype(np.float64) ** 2).sum(axis=1)
        moved = np.zeros(len(self.columns))
        tiles, c = kernel.tiles_of(self.panel.width), len(self.columns)
        for number, (_, first, last, packed) in enumerate(self.panel.passes()):
            values = self.panel.values[first:last]
            parts = np.empty((tiles, last - first, c), np.float32)
            kernel.scores(packed, values, self._residuals, parts)
            score = np.ascontiguousarray(parts.sum(axis=0).T)
            effects = np.ascontiguousarray(self.effects[:, first:last])
            steps = np.zeros_like(effects)
            kernel.shrink(
                score,
                self._grams[number],
                effects,
                steps,
                self._information,
                self._noise,
                self._variances,
                self._log_weights,
                self.active,
                ROUNDS,
            )
            self.effects[:, first:last] = effects
            moved += (steps.astype(np.float64) ** 2).sum(axis=1)
            kernel.take_away(packed, values, np.ascontiguousarray(steps.T), self._weights, self._residuals)
            if number % BLOCKS_PER_REFIT == BLOCKS_PER_REFIT - 1:
                self._refit_covariates()
        self._refit_covariates()
        self._relinearise()
        self.sweeps += self.active
        self._moved = np.sqrt(moved / np.maximum(np.maximum(before, moved), 1e-300))

    def fit(self, *, tolerance: float, most: int) -> None:
        """Sweep until each column's effects move by less than `tolerance` of their size, or `most` times."""
        for _ in range(most):
            self.sweep()
            self.active &= self._moved >= tolerance
            if not self.active.any():
                return

    def _refit_covariates(self) -> None:
        """Take what the covariates explain out of the residuals, all columns of a trait at once."""
        for response, basis, columns in self._by_response:
            whole = len(response.people) == self.panel.n
            rows = slice(0, self.panel.n) if whole else response.people
            residual = self._residuals[rows, columns]
            cross = (basis.T @ residual).astype(np.float64)
            places = range(columns.start, columns.stop)
            fit = np.column_stack([self._inverse[i] @ cross[:, j] for j, i in enumerate(places)])
            change = basis @ fit.astype(np.float32)
            change *= self._weights[rows, columns]
            self._residuals[rows, columns] = residual - change

    def _relinearise(self) -> None:
        """Renew residuals and weights of traits whose weights depend on the prediction."""
        for i, column in enumerate(self.columns):
            if column.response.linear or not self.active[i]:
                continue
            rows = np.flatnonzero(column.train)
            at = column.response.people[rows]
            # the residual tells the prediction: it is the weight times (working outcome - prediction)
            change = (self._scored[i] - self._residuals[at, i]) / self._weights[at, i]
            self._set(i, self._prediction[i] + change)

    def _set(self, i: int, prediction: Floats) -> None:
        """Linearise a column's trait at a prediction."""
        column = self.columns[i]
        rows = np.flatnonzero(column.train)
        at = column.response.people[rows]
        residual, weight = column.response.work(prediction, rows)
        self._residuals[at, i], self._weights[at, i] = residual, weight
        self._information[i] = weight.sum()
        q = column.response.covariates[rows]
        # a covariate may be constant among those fitted
        cross = (q * weight[:, None]).T @ q
        self._inverse[i] = np.asarray(np.linalg.pinv(cross, rcond=1e-10, hermitian=True), dtype=np.float64)
        if not column.response.linear:
            self._prediction[i], self._scored[i] = prediction, self._residuals[at, i]
