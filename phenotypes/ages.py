"""Ages in full years and the bands they are counted in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from itertools import pairwise

import numpy as np
import pandas as pd

#: Youngest age of each age band.
AGE_EDGES: tuple[int, ...] = tuple(range(0, 100, 10))


def band_labels(edges: Sequence[int]) -> list[str]:
    """Names of age bands.

    Examples
    --------
    >>> band_labels((0, 18, 65))
    ['0-17', '18-64', '65+']
    """
    inner = [f"{a}-{b - 1}" for a, b in pairwise(edges)]
    return [*inner, f"{edges[-1]}+"]


def band_of(ages: np.ndarray, edges: Sequence[int]) -> np.ndarray:
    """Position of each age's band; of a missing age, the number of bands."""
    band = np.clip(np.searchsorted(np.asarray(edges), ages, side="right") - 1, 0, None)
    return np.where(np.isnan(ages), len(edges), band)


def ages_on(births: pd.Series, on: date) -> np.ndarray:
    """Full years by year, month and day; float64, NaN where the birth date is unknown."""
    born = pd.to_datetime(births)
    turned = (born.dt.month * 100 + born.dt.day) <= on.month * 100 + on.day
    return (on.year - born.dt.year - (~turned).astype(int)).to_numpy(np.float64)
