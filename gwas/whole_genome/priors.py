"""What effects may look like: none, many small, few large."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LARGEST: Final = 0.8


@dataclass(frozen=True)
class Prior:
    """A mixture of two normal distributions of standardised effects (Loh et al. 2015, Nat Genet 47:284).

    Attributes
    ----------
    large
        Part of the variants whose effect is drawn from the wider distribution; 1 is ridge regression.
    small_share
        Part of the heritability that the narrower one makes.
    scale
        Heritability, as multiple of its moment estimate: effects that do not follow the assumed dependence on
        frequency escape that.
    """

    large: float
    small_share: float
    scale: float = 1.0

    def describe(self) -> str:
        """In words."""
        if self.large == 1.0:
            return f"prior: infinitesimal, {self.scale:g} times the heritability"
        return (
            f"prior: {self.large:.3g} of the variants explain {1 - self.small_share:.3g} of the variance,"
            f" in all {self.scale:g} times the heritability"
        )

    def explains(self, estimate: float) -> float:
        """Variance explained by all variants, from its moment estimate."""
        return min(estimate * self.scale, LARGEST)

    def mixture(self, heritability: float, variants: int) -> tuple[Floats, Floats]:
        """Variances of the two components, given the variance all variants explain, and their weights."""
        if self.large == 1.0:
            return np.full(2, heritability / variants), np.array([0.5, 0.5])
        rest = 1.0 - self.large
        return (
            heritability
            / variants
            * np.array([self.small_share / rest, (1.0 - self.small_share) / self.large]),
            np.array([rest, self.large]),
        )


PRIORS: Final = (
    Prior(1.0, 0.0, 1.5),
    Prior(0.1, 0.3, 2.0),
    Prior(0.02, 0.1, 3.0),
    Prior(0.005, 0.2, 3.0),
    Prior(0.001, 0.3, 3.0),
)
"""The candidates; cross-validation chooses for each trait."""

__all__ = ["PRIORS", "Prior"]
