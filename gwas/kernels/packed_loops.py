"""Loops over packed two-bit calls on all cores; see :mod:`gwas.kernels.packed`, which imports them late."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange

from gwas.kernels.packed import DECODE


@njit(parallel=True, cache=True)
def decode_chosen(packed: Any, sample_index: Any, out: Any) -> None:
    """Write the ALT copies of the chosen samples into int8 (m, n)."""
    for row in prange(packed.shape[0]):
        for column in range(sample_index.shape[0]):
            sample = sample_index[column]
            out[row, column] = DECODE[packed[row, sample >> 2], sample & 3]


@njit(parallel=True, cache=True)
def repack(packed: Any, sample_index: Any, out: Any) -> None:
    """Write the two-bit codes of the chosen samples into uint8 (m, ceil(n / 4)) of zeros."""
    for row in prange(packed.shape[0]):
        for column in range(sample_index.shape[0]):
            sample = sample_index[column]
            code = (packed[row, sample >> 2] >> (2 * (sample & 3))) & 3
            out[row, column >> 2] |= np.uint8(code << (2 * (column & 3)))
