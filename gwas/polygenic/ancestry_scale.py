"""A score on a scale on which people of different genetic ancestry can be compared.

Allele frequencies differ between ancestries, so the mean and the spread of a score drift along the
principal components without any difference in risk. Both are modelled on a reference set and taken out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cohorts.errors import DesignError

Array = npt.NDArray[np.float64]

SMALLEST_VARIANCE = 1e-3
"""A fitted variance this much smaller than the overall one belongs to a score that some people do not vary in."""


@dataclass(frozen=True, eq=False)
class AncestryScale:
    """Mean and variance of a score along principal components, as seen in a reference set.

    Attributes
    ----------
    centre, spread
        Mean and SD of each component in the reference, float64 (k,).
    mean
        Coefficients of the score's mean on (1, standardised components), float64 (k + 1,).
    log_variance
        Coefficients of the log variance on the same, float64 (k + 1,).
    """

    centre: Array
    spread: Array
    mean: Array
    log_variance: Array

    def standardise(self, scores: Array, components: Array) -> Array:
        """Scores in reference standard deviations given ancestry: float64 (n,).

        Parameters
        ----------
        scores
            float64 (n,).
        components
            float64 (n, k), from the same PCA as the reference.
        """
        return np.asarray((scores - self._design(components) @ self.mean) / self.spread_at(components))

    def spread_at(self, components: Array) -> Array:
        """Standard deviation of the score among people of this ancestry, float64 (n,)."""
        return np.asarray(np.exp(self._design(components) @ self.log_variance / 2))

    def _design(self, components: Array) -> Array:
        z = (np.atleast_2d(components) - self.centre) / self.spread
        return np.column_stack([np.ones(len(z)), z])


def fit_ancestry_scale(
    scores: Array, components: Array, *, variance: bool = True, tolerance: float = 1e-10
) -> AncestryScale:
    """Model a score's mean (and log variance) along ancestry in a reference set.

    Normal likelihood with mean and log variance linear in the components, maximised by turns: weighted
    least squares for the mean, a gamma regression with log link of the squared residuals for the
    variance; for this likelihood the two sets of coefficients are orthogonal, so the turns converge to
    the joint maximum.

    Parameters
    ----------
    scores
        float64 (n,), no missing values.
    components
        float64 (n, k) principal components of the same people.
    variance
        False keeps the variance constant (Z_norm1 of pgsc_calc; True is its Z_norm2).
    tolerance
        Largest relative change of the coefficients at convergence.

    Returns
    -------
    AncestryScale

    Raises
    ------
    DesignError
        When there are too few people for the components, or the score does not vary.

    Notes
    -----
    Method: Khera et al., Circulation 2019 (mean); Ge et al., Genome Medicine 2022 and Khan et al., Nature
    Medicine 2022 (variance).

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> pcs = rng.normal(size=(500, 2))
    >>> raw = 3 + 2 * pcs[:, 0] + rng.normal(size=500)
    >>> z = fit_ancestry_scale(raw, pcs).standardise(raw, pcs)
    >>> bool(abs(z.mean()) < 0.01 and abs(z.std() - 1) < 0.01)
    True
    """
    n, k = components.shape
    if n < 10 * (k + 1):
        raise DesignError(
            "too few people to place a score on an ancestry-adjusted scale",
            found=f"{n} people for {k} components",
            expected=f"at least {10 * (k + 1)}",
            fix="use fewer components or a larger reference",
        )
    centre, spread = components.mean(axis=0), components.std(axis=0)
    if not (spread > 0).all() or np.ptp(scores) == 0:
        raise DesignError("the score or a component does not vary in the reference", fix="leave it out")
    x = np.column_stack([np.ones(n), (components - centre) / spread])
    mean = np.linalg.lstsq(x, scores, rcond=None)[0]
    theta = np.zeros(k + 1)
    theta[0] = np.log(np.mean((scores - x @ mean) ** 2))
    if variance:
        mean, theta = _joint_maximum(x, scores, mean, theta, tolerance)
    return AncestryScale(centre, spread, mean, theta)


def _joint_maximum(
    x: Array, scores: Array, mean: Array, theta: Array, tolerance: float, rounds: int = 200
) -> tuple[Array, Array]:
    floor = np.log(SMALLEST_VARIANCE) + theta[0]
    for _ in range(rounds):
        squares = (scores - x @ mean) ** 2
        step = _variance_step(x, squares, theta)
        theta = np.asarray(theta + step, dtype=np.float64)
        if not (x @ theta > floor).all():
            break
        weighted = x * np.exp(-x @ theta)[:, None]
        previous = mean
        mean = np.asarray(np.linalg.solve(x.T @ weighted, weighted.T @ scores), dtype=np.float64)
        change = max(np.max(np.abs(step)), np.max(np.abs(mean - previous)) / np.max(np.abs(mean)))
        if change < tolerance:
            return mean, theta
    raise DesignError(
        "the variance of the score along ancestry could not be modelled",
        found="no finite maximum of the likelihood",
        expected="a score that varies in every ancestry",
        fix="use fewer components or variance=False",
    )


def _variance_step(x: Array, squares: Array, theta: Array) -> Array:
    """A Newton step of the gamma regression with log link, halved until it does not lose likelihood."""
    ratio = squares * np.exp(-x @ theta)
    information = (x * ratio[:, None]).T @ x
    step = np.linalg.lstsq(information, x.T @ (ratio - 1), rcond=None)[0]
    before = float(np.sum(x @ theta + ratio))
    for _ in range(40):
        ahead = x @ (theta + step)
        if float(np.sum(ahead + squares * np.exp(-ahead))) <= before + 1e-12 * abs(before):
            break
        step = step / 2
    return np.asarray(step, dtype=np.float64)
