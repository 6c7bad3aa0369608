"""A binary trait fitted on its covariates, and what tests of variants take from that fit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from gwas.kernels import tilted
from gwas.kernels.logistic import firth_newton, logistic_newton
from gwas.kernels.maximum import StartingPoint
from gwas.kernels.odds import expit
from gwas.models.group import Floats, Group, Ints


@dataclass(frozen=True, eq=False)
class LogisticNull:
    """A binary trait fitted on the covariates.

    Attributes
    ----------
    group
        The people.
    outcome
        float64 (n,): 1 for cases, 0 for controls.
    design
        float64 (k, n): intercept and standardised covariates, as rows.
    offset
        float64 (n,): known part of the log odds; 0 where there is none.
    coefficients
        float64 (k,); 0 where the fit does not converge.
    converged
        Whether it did.
    lower
        float64 (k, k): Cholesky factor of X'WX.
    linear
        float64 (n_columns, 1 + k): null residual y - p, then the basis of the weighted covariates, each at
        its people's place in a packed row.
    weights
        float64 (n_columns, 1): p (1 - p).
    cases
        bool (n_columns,).
    """

    group: Group
    outcome: Floats
    design: Floats
    offset: Floats
    coefficients: Floats
    converged: bool
    lower: Floats
    linear: Floats
    weights: Floats
    cases: npt.NDArray[np.bool_]

    @cached_property
    def place(self) -> Ints:
        """int64 (n_columns,): position among the group's people, -1 for others."""
        place = np.full(len(self.group.columns), -1, dtype=np.int64)
        place[self.group.positions] = np.arange(self.group.n)
        return place

    @cached_property
    def starting_point(self) -> StartingPoint:
        """The fit, for fits of single variants that start from it."""
        return StartingPoint.of(self.design, self.outcome, self.offset, self.coefficients)

    @cached_property
    def by_likelihood(self) -> tilted.TiltedNull:
        """The null model for the saddle-point."""
        return self._tilted(self.coefficients)

    @cached_property
    def by_firth(self) -> tilted.TiltedNull:
        """The null model fitted by Firth, for approximate Firth."""
        coefficients = self.coefficients.copy()
        converged, _, _ = firth_newton(self.design, self.outcome, self.offset, coefficients, self.group.k)
        return self._tilted(coefficients if converged else self.coefficients)

    def _tilted(self, coefficients: Floats) -> tilted.TiltedNull:
        p = expit(self.offset + coefficients @ self.design)
        return tilted.TiltedNull.of(self.design, self.outcome, p)


def fit_logistic_null(group: Group, outcome: Floats, offset: Floats | None = None) -> LogisticNull:
    """Fit the covariates alone by Newton's method.

    Parameters
    ----------
    group
        The people.
    outcome
        float64 (n,): 0 or 1.
    offset
        float64 (n,): log odds known beforehand, such as a polygenic prediction from other chromosomes; they
        are added as they are.

    Returns
    -------
    LogisticNull
        Not converged if the covariates alone separate cases from controls: only Firth can fit then.
    """
    design = np.ascontiguousarray(np.column_stack([np.ones(group.n), group.covariates]).T)
    coefficients = np.zeros(group.k)
    known = np.zeros(group.n) if offset is None else np.ascontiguousarray(offset, dtype=np.float64)
    converged, _ = logistic_newton(design, outcome, known, coefficients)
    if not converged:
        coefficients[:] = 0.0
    p = expit(known + coefficients @ design)
    weights = p * (1.0 - p)
    weighted = design * weights
    lower = np.linalg.cholesky(weighted @ design.T)
    basis = np.linalg.solve(lower, weighted).T
    cases = np.zeros(len(group.columns), dtype=bool)
    cases[group.positions[outcome == 1]] = True
    return LogisticNull(
        group,
        outcome,
        design,
        known,
        coefficients,
        bool(converged),
        lower,
        group.widen(np.column_stack([outcome - p, basis])),
        group.widen(weights[:, None]),
        cases,
    )
