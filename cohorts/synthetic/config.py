"""What a synthetic region is asked to be, and where its randomness comes from."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from datetime import date

import numpy as np

from cohorts.errors import DesignError


@dataclass(frozen=True, kw_only=True)
class FaultRates:
    """Shares of identity records that carry each fault (fractions of one, per source row).

    The rates are the order of magnitude that linkage studies report for English administrative data;
    they are round numbers of our own, not estimates from any data set.
    """

    nhs_missing: float = 0.05
    nhs_mistyped: float = 0.01
    day_month_swapped: float = 0.008
    birth_digit: float = 0.005
    birth_missing: float = 0.002
    nickname: float = 0.05
    typo: float = 0.02
    initial_only: float = 0.008
    names_swapped: float = 0.003
    former_surname: float = 0.25
    former_address: float = 0.25
    sex_missing: float = 0.004
    sex_wrong: float = 0.002
    duplicate: float = 0.015
    malformed: float = 0.003


@dataclass(frozen=True, kw_only=True)
class RegionConfig:
    """Size, seed and calendar of a synthetic region.

    Parameters
    ----------
    people
        People who ever live in the region between `start_date` and `end_date`.
    genotyped
        How many of them gave a DNA sample (ignored when an existing genotype file is given).
    variants
        Variants on the made array, chromosomes 1 to 22, X and Y (likewise ignored).
    seed
        The one seed of everything.
    index_date
        The genotyped are alive and registered on this day.
    start_date, end_date
        First and last day on which anything is recorded.
    chunk
        People simulated at once; it sets memory, and is part of what the seed means.
    activity
        How often people are seen by their practice, as a multiple of usual, at which there are some 75
        coded events of general practice a person. Diagnoses and hospital stays do not follow it.
    withdrawn, opted_out
        Shares of participants who withdrew consent and of people with a national opt-out.
    faults
        Rates of identity and file faults.

    Raises
    ------
    DesignError
        If the numbers cannot be met together.

    Examples
    --------
    >>> RegionConfig(people=2000, genotyped=300, variants=1000).seed
    1
    """

    people: int = 20_000
    genotyped: int = 6_000
    variants: int = 20_000
    seed: int = 1
    index_date: date = date(2012, 1, 1)
    start_date: date = date(2000, 1, 1)
    end_date: date = date(2022, 12, 31)
    chunk: int = 10_000
    activity: float = 1.0
    withdrawn: float = 0.01
    opted_out: float = 0.05
    faults: FaultRates = field(default_factory=FaultRates)

    def __post_init__(self) -> None:
        for name, least in (
            ("people", 100),
            ("genotyped", 0),
            ("variants", 100),
            ("seed", 0),
            ("chunk", 100),
        ):
            value = getattr(self, name)
            if value < least:
                raise DesignError(
                    "the region cannot be made", where=name, found=value, expected=f"{least} or more"
                )
        if not 0 < self.activity <= 10:
            raise DesignError(
                "the region cannot be made",
                where="activity",
                found=self.activity,
                expected="above 0, at most 10",
            )
        if not self.start_date < self.index_date < self.end_date:
            raise DesignError(
                "the calendar is out of order",
                where="index_date",
                found=f"{self.start_date}, {self.index_date}, {self.end_date}",
                expected="start_date < index_date < end_date",
            )

    def rng(self, room: str, part: int = 0) -> np.random.Generator:
        """Independent generator for one named part of the work.

        Each part has its own stream, so that a change in one (more variants, say) leaves the draws of
        the others alone.
        """
        return np.random.Generator(np.random.PCG64([self.seed, zlib.crc32(room.encode()), part]))
