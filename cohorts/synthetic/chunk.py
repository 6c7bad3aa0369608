"""Some thousands of people of a region: their lives, and the tables about them.

A chunk holds all that it takes, and draws from streams of its own, so that chunks may be made in any order
and in several processes with the same result.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohorts.synthetic import truth
from cohorts.synthetic.conditions import add_conditions
from cohorts.synthetic.config import RegionConfig
from cohorts.synthetic.disease import Lives, draw_lives
from cohorts.synthetic.extracts import Extracts
from cohorts.synthetic.hub_rows import HubRows
from cohorts.synthetic.people import People
from cohorts.synthetic.places import Places

Tables = Iterator[tuple[str, pd.DataFrame]]


@dataclass(frozen=True)
class Chunk:
    """People `start` and after of a region.

    Attributes
    ----------
    config, places
        Of the region.
    part
        Number of the chunk, which tells its streams from those of others.
    start
        True identity of the first person.
    people
        The people.
    genetic
        (genotyped of the chunk, traits) genetic values, in the order of the people.
    spread
        (ancestries, 2, traits) mean and standard deviation of genetic values of people without DNA.
    samples
        Truth about the samples that bear these people's names.
    """

    config: RegionConfig
    places: Places
    part: int
    start: int
    people: People
    genetic: NDArray[np.float32]
    spread: NDArray[np.float64]
    samples: pd.DataFrame

    def lives(self) -> Lives:
        """What happened to them."""
        rng = self.config.rng("lives", self.part)
        lives = draw_lives(self.people, self._genetic_values(rng), self.places, self.config, rng)
        apart = self.config.rng("conditions", self.part)
        return add_conditions(self.people, lives, self.places, self.config, apart)

    def extracts(self, broken: Counter[tuple[str, str]]) -> Tables:
        """What providers hand over, and the truth; rows broken on purpose are added to `broken`."""
        lives = self.lives()
        rng = self.config.rng("extracts", self.part)
        more = self.config.rng("extracts of conditions", self.part)
        extracts = Extracts(self.start, self.people, lives, self.places, self.config, rng, more)
        yield from extracts.tables(self.samples, broken)
        yield from self._truth(lives)

    def hub(self) -> Tables:
        """Rows of the tables of :data:`cohorts.hub.HUB_TABLES`, and the truth."""
        lives = self.lives()
        rng = self.config.rng("hub", self.part)
        rows = HubRows(self.start, self.people, lives, self.places, self.config, rng)
        yield from rows.tables(self.samples)
        yield from self._truth(lives)

    def _truth(self, lives: Lives) -> Tables:
        yield (
            "truth/people.parquet",
            truth.people_table(self.start, self.people, lives, self.places, self.config),
        )
        yield "truth/outcomes.parquet", truth.outcomes_table(self.start, lives)

    def _genetic_values(self, rng: np.random.Generator) -> NDArray[np.float32]:
        mean, sd = self.spread[self.people.ancestry, 0], self.spread[self.people.ancestry, 1]
        values: NDArray[np.float32] = (mean + sd * rng.normal(size=mean.shape)).astype(np.float32)
        values[self.people.genome >= 0] = self.genetic
        return values
