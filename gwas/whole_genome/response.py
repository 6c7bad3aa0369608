"""What a trait asks of the regression: a residual and a weight for each person at the present prediction.

That is all the regression knows of a trait, so that another kind needs one more class here: for survival,
martingale residuals and their information.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from cohorts.errors import DesignError
from gwas.design import Design, Kind, Trait, covariate_basis
from gwas.kernels.logistic import logistic_newton

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
LARGEST_LOGIT: Final = 12.0


class Response(Protocol):
    """A trait of some people."""

    @property
    def name(self) -> str:
        """The trait's name."""
        ...

    @property
    def people(self) -> npt.NDArray[np.int64]:
        """int64 (n,): rows of the samples with the trait and every covariate."""
        ...

    @property
    def covariates(self) -> Floats:
        """float64 (n, k): covariates to be fitted beside the genotypes, intercept first; 0 columns if out."""
        ...

    @property
    def start(self) -> Floats:
        """float64 (n,): prediction by the covariates alone."""
        ...

    @property
    def unit(self) -> float:
        """Trait units of one unit of prediction."""
        ...

    @property
    def linear(self) -> bool:
        """Whether weights do not depend on the prediction."""
        ...

    def work(self, prediction: Floats, rows: npt.NDArray[np.int64] | slice) -> tuple[Floats, Floats]:
        """Weighted residual and weight of some of the people at a prediction."""
        ...

    def calibrate(self, prediction: Floats, rows: Mask) -> float:
        """Factor by which predictions of some of the people fit their outcome best, 0 at least."""
        ...

    def explained(self, prediction: Floats, rows: Mask) -> float:
        """Part of the variation (R², or McFadden's) that a calibrated prediction explains; < 0 if reversed."""
        ...


@dataclass(frozen=True, eq=False)
class Quantitative:
    """A quantitative trait, as standardised residual of the covariates."""

    name: str
    people: npt.NDArray[np.int64]
    covariates: Floats
    start: Floats
    unit: float
    outcome: Floats
    linear: bool = True

    def work(self, prediction: Floats, rows: npt.NDArray[np.int64] | slice) -> tuple[Floats, Floats]:
        """See :class:`Response`."""
        left = self.outcome[rows] - prediction
        return left, np.ones(len(left))

    def calibrate(self, prediction: Floats, rows: Mask) -> float:
        """See :class:`Response`."""
        p, y = self._centred(prediction, rows)
        return max(float(p @ y) / spread, 0.0) if (spread := float(p @ p)) > 0 else 0.0

    def explained(self, prediction: Floats, rows: Mask) -> float:
        """See :class:`Response`."""
        p, y = self._centred(prediction, rows)
        total = float(p @ p) * float(y @ y)
        return float(np.sign(p @ y) * (p @ y) ** 2 / total) if total > 0 else 0.0

    def _centred(self, prediction: Floats, rows: Mask) -> tuple[Floats, Floats]:
        # what the covariates predict of the prediction is theirs
        p = prediction[rows] - prediction[rows].mean()
        q = np.linalg.qr(self.covariates[rows])[0]
        return p - q @ (q.T @ p), self.outcome[rows] - self.outcome[rows].mean()


@dataclass(frozen=True, eq=False)
class Binary:
    """A case-control trait; predictions are log odds."""

    name: str
    people: npt.NDArray[np.int64]
    covariates: Floats
    start: Floats
    unit: float
    outcome: Floats
    linear: bool = False

    def work(self, prediction: Floats, rows: npt.NDArray[np.int64] | slice) -> tuple[Floats, Floats]:
        """See :class:`Response`."""
        p = 1.0 / (1.0 + np.exp(-np.clip(prediction, -LARGEST_LOGIT, LARGEST_LOGIT)))
        return self.outcome[rows] - p, p * (1.0 - p)

    def calibrate(self, prediction: Floats, rows: Mask) -> float:
        """See :class:`Response`."""
        return max(self._slope(prediction, rows)[0], 0.0)

    def explained(self, prediction: Floats, rows: Mask) -> float:
        """See :class:`Response`."""
        slope, gain = self._slope(prediction, rows)
        return float(np.sign(slope) * gain)

    def _slope(self, prediction: Floats, rows: Mask) -> tuple[float, float]:
        """Coefficient beside what the covariates predict, and the part of the deviance that it takes away."""
        y, base, x = self.outcome[rows], self.start[rows], prediction[rows]
        spread = float(x.std())
        if not spread > 0 or y.min() == y.max():
            return 0.0, 0.0
        x = (x - x.mean()) / spread
        columns = np.column_stack([np.ones(len(x)), x])
        fit = np.zeros(2)
        for _ in range(25):
            p = 1.0 / (1.0 + np.exp(-np.clip(base + columns @ fit, -LARGEST_LOGIT, LARGEST_LOGIT)))
            w = p * (1.0 - p)
            step = np.linalg.solve((columns * w[:, None]).T @ columns + 1e-8 * np.eye(2), columns.T @ (y - p))
            fit += np.clip(step, -2.0, 2.0)
            if np.abs(step).max() < 1e-8:
                break
        before, after = _deviance(y, base), _deviance(y, base + columns @ fit)
        return float(fit[1] / spread), 1.0 - after / before if before > 0 else 0.0


def _deviance(y: Floats, logit: Floats) -> float:
    return float(np.logaddexp(0.0, np.where(y == 1, -logit, logit)).sum())


def make_response(design: Design, trait: Trait) -> Response:
    """Fit a trait's covariates.

    Parameters
    ----------
    design, trait
        A design and one of its traits.

    Raises
    ------
    DesignError
        If the trait cannot be analysed: too few people, constant, or covariates that separate the cases.
    """
    mask = design.mask(trait)
    values = trait.values[mask]
    basis = covariate_basis(design.covariates, design.covariate_names, mask, where=trait.name)
    if len(values) <= basis.q.shape[1] + 1 or values.min() == values.max():
        raise DesignError(
            "cannot be regressed",
            where=trait.name,
            found=f"{len(values)} people" if len(values) <= basis.q.shape[1] + 1 else "one value in everyone",
            fix="leave it out",
        )
    return RESPONSES[trait.kind](trait.name, np.flatnonzero(mask).astype(np.int64), basis.q, values)


def _quantitative(name: str, people: npt.NDArray[np.int64], q: Floats, values: Floats) -> Response:
    left = values - values.mean()
    for _ in range(2):
        left = left - q @ (q.T @ left)
    unit = float(np.sqrt((left**2).sum() / (len(left) - q.shape[1])))
    if not unit > 1e-7 * float(np.abs(values).max()):
        raise DesignError("the covariates leave nothing of the trait", where=name, fix="leave it out")
    return Quantitative(name, people, q, np.zeros(len(left)), unit, left / unit)


def _binary(name: str, people: npt.NDArray[np.int64], q: Floats, values: Floats) -> Response:
    design = np.ascontiguousarray(q.T * np.sqrt(len(values)))
    coefficients = np.zeros(q.shape[1])
    converged, _ = logistic_newton(design, values, np.zeros(len(values)), coefficients)
    if not converged:
        raise DesignError(
            "the covariates alone separate cases from controls", where=name, fix="use fewer covariates"
        )
    return Binary(name, people, q, coefficients @ design, 1.0, values)


RESPONSES: Final[Mapping[Kind, Callable[[str, npt.NDArray[np.int64], Floats, Floats], Response]]] = {
    "quantitative": _quantitative,
    "binary": _binary,
}
