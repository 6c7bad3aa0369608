"""Small areas of the region: postcodes, practices, deprivation and the air."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohorts.synthetic.config import RegionConfig

#: Postcode areas that Royal Mail has not given out; the rest of the postcode is well formed.
_LETTERS = ("BW", "GX", "NX", "TC", "YT", "EB", "WX", "LT", "RB", "SX")
_INWARD = "ABDEFGHJLNPQRSTUWXYZ"
_PER_DISTRICT = 8
POSTCODES_PER_AREA = 60
#: First year with measured air; earlier years read as this one.
FIRST_AIR_YEAR = 1990


@dataclass(frozen=True)
class Places:
    """The map of the region.

    Attributes
    ----------
    area_codes, practice_codes
        Texts.
    practice_of
        (areas, 2) practices serving an area, the usual one first.
    imd
        (areas,) deprivation decile, 1 is most deprived.
    pm25, no2
        (areas, years from `FIRST_AIR_YEAR`) annual means in µg/m³.
    mgdl_practice
        (practices,) whose laboratory reports lipids in mg/dL.
    late_ifcc_practice
        (practices,) which went on recording HbA1c in % after 2011.
    """

    area_codes: tuple[str, ...]
    practice_codes: tuple[str, ...]
    practice_of: NDArray[np.int16]
    imd: NDArray[np.int8]
    pm25: NDArray[np.float32]
    no2: NDArray[np.float32]
    mgdl_practice: NDArray[np.bool_]
    late_ifcc_practice: NDArray[np.bool_]

    def air(self, year: int) -> int:
        """Column of `pm25` and `no2` that holds `year`."""
        return int(np.clip(year - FIRST_AIR_YEAR, 0, self.pm25.shape[1] - 1))


def make_places(config: RegionConfig) -> Places:
    """Draw the map; some 300 people live in an area and 700 are with a practice."""
    rng = config.rng("places")
    areas = int(np.clip(config.people // 300, 12, 6000))
    practices = max(4, areas // 2)
    usual = np.minimum(np.arange(areas) // 2, practices - 1)
    other = (usual + rng.choice([-1, 1], areas)) % practices
    # neighbouring areas resemble each other, and poorer areas breathe worse air
    town = np.repeat(rng.normal(size=areas // _PER_DISTRICT + 1), _PER_DISTRICT)[:areas]
    need = 0.7 * town + 0.7 * rng.normal(size=areas)
    imd = 10 - (np.argsort(np.argsort(need)) * 10 // areas)
    level = 12.0 + 2.0 * (0.6 * need / need.std() + 0.8 * rng.normal(size=areas))
    years = np.arange(FIRST_AIR_YEAR, config.end_date.year + 1)
    trend = np.exp(-0.018 * (years - 2000))
    weather = np.exp(rng.normal(0, 0.03, len(years)))
    pm25 = (
        np.clip(level, 6, 22)[:, None] * trend * weather * np.exp(rng.normal(0, 0.015, (areas, len(years))))
    )
    no2 = np.clip(2.4 * level + rng.normal(0, 3, areas), 8, 70)[:, None] * trend * weather
    mgdl = rng.random(practices) < 0.08
    mgdl[rng.integers(practices)] = True
    numbers = rng.choice(99_999, size=practices + areas, replace=False)
    return Places(
        area_codes=tuple(f"E01{number:06d}" for number in 900_000 + numbers[practices:]),
        practice_codes=tuple(f"Y{number:05d}" for number in numbers[:practices]),
        practice_of=np.stack([usual, other], axis=1).astype(np.int16),
        imd=imd.astype(np.int8),
        pm25=np.round(pm25, 2).astype(np.float32),
        no2=np.round(no2, 2).astype(np.float32),
        mgdl_practice=mgdl,
        late_ifcc_practice=rng.random(practices) < 0.2,
    )


def postcode(key: int, *, spaced: bool = True) -> str:
    """Postcode of an address key (area times `POSTCODES_PER_AREA` plus a number).

    Examples
    --------
    >>> postcode(0), postcode(481, spaced=False)
    ('BW1 0AA', 'BW21AA')
    """
    area, unit = divmod(key, POSTCODES_PER_AREA)
    district, within = divmod(area, _PER_DISTRICT)
    letters, number = divmod(district, 90)
    pair, digit = divmod(within * POSTCODES_PER_AREA + unit, 10)
    first, second = divmod(pair, len(_INWARD))
    gap = " " if spaced else ""
    return f"{_LETTERS[letters]}{number + 1}{gap}{digit}{_INWARD[first]}{_INWARD[second]}"


def pollution_table(places: Places) -> pd.DataFrame:
    """Columns area, year, pm25, no2."""
    areas, years = places.pm25.shape
    return pd.DataFrame(
        {
            "area": np.repeat(np.array(places.area_codes, object), years),
            "year": np.tile(np.arange(FIRST_AIR_YEAR, FIRST_AIR_YEAR + years), areas),
            "pm25": [f"{value:.2f}" for value in places.pm25.ravel()],
            "no2": [f"{value:.2f}" for value in places.no2.ravel()],
        }
    )


def deprivation_table(places: Places) -> pd.DataFrame:
    """Columns area, imd_decile."""
    return pd.DataFrame({"area": list(places.area_codes), "imd_decile": places.imd.astype(int)})
