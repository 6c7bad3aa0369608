"""Packed calls to standardised genotypes, tile by tile."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

F32 = npt.NDArray[np.float32]


def standardising_table(mean: npt.NDArray[np.float64], scale: npt.NDArray[np.float64]) -> F32:
    """What each two-bit code stands for after centring and scaling.

    Parameters
    ----------
    mean, scale
        float64 (m,): subtracted from and divided into the ALT copies of each variant.

    Returns
    -------
    ndarray of float32 (m, 4)
        By code 00 (two copies), 01 (missing: 0, the mean), 10 (one), 11 (none).
    """
    copies = np.array([2.0, 0.0, 1.0, 0.0])
    table = (copies[None, :] - mean[:, None]) / scale[:, None]
    table[:, 1] = 0.0
    return table.astype(np.float32)


@njit(cache=True, nogil=True)
def standardise(packed: Any, table: Any, out: Any) -> None:
    """Decode packed calls through a table of their own for each variant.

    Parameters
    ----------
    packed
        uint8 (m, ceil(n / 4)): PLINK 1 two-bit codes of exactly the wanted samples.
    table
        float32 (m, 4): value of each code.
    out
        float32 (m, n), written.
    """
    n = out.shape[1]
    whole = n // 4
    for row in range(packed.shape[0]):
        v0, v1, v2, v3 = table[row, 0], table[row, 1], table[row, 2], table[row, 3]
        for column in range(whole):
            byte = packed[row, column]
            for call in range(4):
                code = (byte >> (2 * call)) & 3
                upper = v3 if code & 1 else v2
                lower = v1 if code & 1 else v0
                out[row, 4 * column + call] = upper if code & 2 else lower
        for sample in range(4 * whole, n):
            out[row, sample] = table[row, (packed[row, sample >> 2] >> (2 * (sample & 3))) & 3]
