"""Regions whose linkage disequilibrium reaches so far that it makes principal components of its own.

Inversions, the histocompatibility complex, centromeres and sweeps: Price et al. (2008), Am J Hum Genet
83:132, and Weale (2010), Methods Mol Biol 628:341, in GRCh37 and lifted to GRCh38 (University of Michigan's
list).
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

Region = tuple[str, int, int]

LONG_RANGE_LD: Final[dict[str, tuple[Region, ...]]] = {
    "GRCh37": (
        ("1", 48_000_000, 52_000_000),
        ("2", 86_000_000, 101_500_000),
        ("2", 134_500_000, 138_000_000),
        ("2", 183_000_000, 190_500_000),
        ("3", 47_500_000, 50_000_000),
        ("3", 83_400_000, 87_000_000),
        ("3", 89_000_000, 97_500_000),
        ("5", 44_400_000, 51_500_000),
        ("5", 98_000_000, 100_500_000),
        ("5", 128_900_000, 132_000_000),
        ("5", 135_500_000, 138_500_000),
        ("6", 25_000_000, 34_000_000),
        ("6", 56_800_000, 64_000_000),
        ("6", 139_900_000, 142_500_000),
        ("7", 55_000_000, 66_400_000),
        ("8", 7_900_000, 13_500_000),
        ("8", 42_800_000, 50_000_000),
        ("8", 111_900_000, 115_000_000),
        ("10", 36_900_000, 43_700_000),
        ("11", 46_000_000, 57_000_000),
        ("11", 87_500_000, 90_900_000),
        ("12", 33_000_000, 41_800_000),
        ("12", 109_500_000, 112_100_000),
        ("17", 43_500_000, 45_000_000),
        ("20", 32_000_000, 35_100_000),
    ),
    "GRCh38": (
        ("1", 47_700_000, 51_800_000),
        ("2", 85_900_000, 101_000_000),
        ("2", 133_700_000, 137_300_000),
        ("2", 182_400_000, 189_500_000),
        ("3", 47_400_000, 50_000_000),
        ("3", 83_300_000, 86_900_000),
        ("3", 88_900_000, 97_800_000),
        ("5", 44_400_000, 52_200_000),
        ("5", 98_600_000, 101_200_000),
        ("5", 129_600_000, 132_700_000),
        ("5", 136_100_000, 139_200_000),
        ("6", 25_000_000, 33_800_000),
        ("6", 56_900_000, 63_400_000),
        ("6", 139_600_000, 142_200_000),
        ("7", 54_900_000, 66_900_000),
        ("8", 8_000_000, 13_700_000),
        ("8", 42_900_000, 49_100_000),
        ("8", 110_900_000, 114_000_000),
        ("10", 36_600_000, 43_300_000),
        ("11", 45_900_000, 57_300_000),
        ("11", 87_700_000, 91_200_000),
        ("12", 32_800_000, 41_400_000),
        ("12", 109_000_000, 111_700_000),
        ("17", 45_400_000, 46_900_000),
        ("20", 33_900_000, 36_500_000),
    ),
}
"""1-based and inclusive, rounded outwards; the inversion on 17q21 is added to the published lists."""


def in_long_range_ld(chrom: pd.Series, pos: pd.Series, *, build: str | None = None) -> npt.NDArray[np.bool_]:
    """Mark variants in a region of long-range linkage disequilibrium.

    Parameters
    ----------
    chrom, pos
        Canonical chromosome and 1-based position.
    build
        ``GRCh37``, ``GRCh38``, or None where it is not known: the regions of both then, which costs a few
        variants more and misses none by more than the shift between builds.

    Returns
    -------
    ndarray of bool (m,)

    Raises
    ------
    KeyError
        For a build without a table.

    Examples
    --------
    >>> in_long_range_ld(pd.Series(["6", "7"]), pd.Series([30_000_000] * 2), build="GRCh38").tolist()
    [True, False]
    """
    tables = LONG_RANGE_LD.values() if build is None else [LONG_RANGE_LD[build]]
    name = chrom.to_numpy()
    position = pos.to_numpy()
    inside = np.zeros(len(position), dtype=np.bool_)
    for table in tables:
        for region, first, last in table:
            inside |= (name == region) & (position >= first) & (position <= last)
    return inside
