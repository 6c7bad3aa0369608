"""KING-robust kinship of all pairs, from bit-planes of samples (see :mod:`gwas.kernels.bitplanes`)."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from gwas.kernels.machine_code import MachineCode
from gwas.kernels.planes import Words

TILE: Final = 16
PARTNERS: Final = 4
"""Samples that one is compared with at once: so many empty rows must follow the last."""

Index = npt.NDArray[np.int64]

_KING: Final = MachineCode(
    "king_loops",
    "king_rows",
    *["uint64:1"] * 2,
    "int64",
    "int64:1",
    *["int64"] * 3,
    "float64",
    *["int64:1"] * 2,
    *["int64:2"] * 2,
    "float64:1",
    "int64:1",
)


def king_rows(
    hom: Words,
    alt: Words,
    hets: Index,
    first: int,
    last: int,
    *,
    other: int = 0,
    at_least: float,
    capacity: int,
) -> tuple[Index, Index, npt.NDArray[np.float64], int]:
    """Pairs (i, j), ``first <= i < last``, ``j > i`` and ``j >= other``, whose kinship is at least ``at_least``.

    Parameters
    ----------
    hom, alt
        uint64 (rows, words), C order: bit-planes of samples over variants, ``words`` from
        :func:`gwas.kernels.planes.plane_words`, and PARTNERS empty rows past the n samples.
    hets
        int64 (n,): heterozygous calls of each sample.
    first, last
        Rows to do; ``first`` a multiple of TILE. Threads share the work by rows.
    other
        First partner.
    at_least
        Smallest kinship to keep; use -inf for all pairs.
    capacity
        Most pairs to give back.

    Returns
    -------
    index, found, kinship, size
        int64 (k, 2), int64 (k, 3) and float64 (k,), in no particular order: the two rows; the variants called
        in both, of opposite homozygotes (IBS0), and heterozygous in both; the kinship, nan where no shared
        variant is heterozygous (kept only with -inf). And how many pairs there are: where they exceed the
        capacity, the rest is missing.
    """
    index = np.empty((capacity, 2), dtype=np.int64)
    found = np.empty((capacity, 3), dtype=np.int64)
    kinship = np.empty(capacity, dtype=np.float64)
    size = np.zeros(1, dtype=np.int64)
    distances = np.empty(TILE * TILE, dtype=np.int64)
    counts = np.empty(TILE * TILE * 5, dtype=np.int64)
    _KING(
        hom.reshape(-1),
        alt.reshape(-1),
        hom.shape[1],
        hets,
        first,
        last,
        other,
        at_least,
        distances,
        counts,
        index,
        found,
        kinship,
        size,
    )
    k = min(int(size[0]), capacity)
    return index[:k], found[:k], kinship[:k], int(size[0])
