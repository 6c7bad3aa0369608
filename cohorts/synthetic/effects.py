"""Which variants do what: a few larger loci and a polygenic background for each trait."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohorts.errors import DesignError


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Genetic architecture of one trait.

    Attributes
    ----------
    scale
        Unit of the effects: ``trait`` (units of the trait an allele) or ``log_hazard``.
    sd
        Standard deviation of the trait among adults of one age and sex; 1 for diseases.
    genetic_variance
        Variance of the genetic value: a share of ``sd**2`` for traits, of the log hazard for diseases.
    loci
        The larger loci: the share of trait variance of each, or its log hazard ratio an allele.
    background
        Number of small polygenic effects, which share the remaining genetic variance.
    """

    scale: str
    sd: float
    genetic_variance: float
    loci: tuple[float, ...]
    background: int


ARCHITECTURES: Mapping[str, Architecture] = {
    "ldl": Architecture(
        scale="trait", sd=0.9, genetic_variance=0.32, loci=(0.03, 0.025, 0.02, 0.015, 0.012), background=300
    ),
    "bmi": Architecture(
        scale="trait", sd=4.7, genetic_variance=0.30, loci=(0.018, 0.014, 0.01), background=400
    ),
    "sbp": Architecture(scale="trait", sd=14.0, genetic_variance=0.26, loci=(0.015, 0.012), background=300),
    "hba1c": Architecture(scale="trait", sd=2.3, genetic_variance=0.25, loci=(0.015, 0.012), background=200),
    "egfr": Architecture(scale="trait", sd=11.0, genetic_variance=0.30, loci=(0.02, 0.015), background=250),
    "t2d": Architecture(
        scale="log_hazard", sd=1.0, genetic_variance=0.75, loci=(0.45, 0.42, 0.38, 0.32, 0.28), background=300
    ),
    "chd": Architecture(
        scale="log_hazard", sd=1.0, genetic_variance=0.70, loci=(0.45, 0.42, 0.38, 0.32, 0.28), background=300
    ),
    "asthma": Architecture(
        scale="log_hazard", sd=1.0, genetic_variance=0.5, loci=(0.35, 0.3), background=200
    ),
    "lung_cancer": Architecture(
        scale="log_hazard", sd=1.0, genetic_variance=0.3, loci=(0.3,), background=200
    ),
}
TRAITS: tuple[str, ...] = tuple(ARCHITECTURES)


@dataclass(frozen=True)
class Effects:
    """Planted effects, one row a causal variant and trait.

    Attributes
    ----------
    table
        Columns variant (position in the file), trait, effect (an ALT allele, on the trait's scale), and
        ``large`` (whether it is one of the larger loci).
    """

    table: pd.DataFrame

    def matrix(self, start: int, stop: int) -> NDArray[np.float32]:
        """(traits, stop - start) effects of the variants `start` to `stop`."""
        out = np.zeros((len(TRAITS), stop - start), np.float32)
        at = self.table["variant"].to_numpy()
        low, high = np.searchsorted(at, [start, stop])
        rows = self.table.iloc[low:high]
        np.add.at(
            out,
            (rows["trait_code"].to_numpy(), rows["variant"].to_numpy() - start),
            rows["effect"].to_numpy(),
        )
        return out


def plant_effects(
    variants: NDArray[np.int64],
    frequency: NDArray[np.float64],
    locus: NDArray[np.int64],
    rng: np.random.Generator,
) -> Effects:
    """Draw causal variants and effects.

    Small effects follow ``N(0, (2pq)**-0.5)`` (rarer alleles do more, as under weak stabilising
    selection; Speed et al. 2012 use the same family), scaled so that the expected genetic variance
    under linkage equilibrium is the stated one.

    Parameters
    ----------
    variants
        (m,) candidate positions in the genotype file, rising.
    frequency
        (m,) ALT frequency.
    locus
        (m,) label of the linkage block; the larger loci of all traits take different ones.
    rng
        Source of randomness.

    Raises
    ------
    DesignError
        If there are too few usable variants.
    """
    spread = 2 * frequency * (1 - frequency)
    minor = np.minimum(frequency, 1 - frequency)
    common = np.flatnonzero((minor > 0.2) & (minor < 0.45))
    usable = np.flatnonzero(minor > 0.015)
    needed = sum(len(item.loci) for item in ARCHITECTURES.values())
    chosen = common[np.sort(np.unique(locus[common], return_index=True)[1])]
    if len(chosen) < needed:
        raise DesignError(
            "too few common variants to plant effects in",
            where="variants",
            found=f"{len(chosen)} separate loci with minor allele frequency 0.20 to 0.45",
            expected=f"{needed} or more",
        )
    large = iter(rng.permutation(chosen)[:needed])
    rows: list[pd.DataFrame] = []
    for code, (trait, item) in enumerate(ARCHITECTURES.items()):
        at = np.array([next(large) for _ in item.loci])
        size = np.array(item.loci)
        if item.scale == "trait":
            size = item.sd * np.sqrt(size / spread[at])
        big = size * rng.choice([-1.0, 1.0], len(at))
        rest = item.genetic_variance * item.sd**2 - float(np.sum(big**2 * spread[at]))
        free = np.setdiff1d(usable, at)
        small_at = np.sort(rng.permutation(free)[: min(item.background, len(free) // 2)])
        small = rng.normal(size=len(small_at)) * spread[small_at] ** -0.25
        small *= np.sqrt(max(rest, 0.0) / np.sum(small**2 * spread[small_at]))
        rows.append(
            pd.DataFrame(
                {
                    "variant": variants[np.concatenate([at, small_at])],
                    "trait": trait,
                    "trait_code": code,
                    "effect": np.concatenate([big, small]),
                    "large": np.arange(len(at) + len(small_at)) < len(at),
                }
            )
        )
    table = pd.concat(rows).sort_values(["variant", "trait_code"], kind="stable", ignore_index=True)
    return Effects(table)
