"""Products with the standardised genotype matrix, straight from packed calls."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from gwas.kernels.machine_code import MachineCode

COLUMNS: Final = 16
"""Columns of every matrix that is multiplied with: a register of single-precision numbers."""

GROUP: Final = 8
TILE: Final = 256
BAND: Final = 128

F32 = npt.NDArray[np.float32]
Packed = npt.NDArray[np.uint8]

_MATRIX: Final = ("uint8:2", "float32:2", "float32:2")
_SCRATCH: Final = ("float32:1", "float32:2", "float32:2")
_TIMES: Final = MachineCode("standardised_loops", "times", *_MATRIX, *_SCRATCH)
_WEIGH: Final = MachineCode("standardised_loops", "weigh", *_MATRIX, "int64", "int64", *_SCRATCH)


def times(packed: Packed, values: F32, right: F32, out: F32) -> None:
    """Write ``Z right`` to ``out``, where Z is variants by samples.

    Parameters
    ----------
    packed
        uint8 (m, bytes), C order: PLINK 1 two-bit codes, four samples a byte.
    values
        float32 (m, 4), C order: what the codes 00, 01, 10 and 11 of each variant stand for.
    right
        float32 (4 * bytes, COLUMNS), C order; zero for the padding of the last byte.
    out
        float32 (m, COLUMNS), C order.
    """
    _TIMES(packed, values, right, *_scratch(), out)


def weigh(packed: Packed, values: F32, weights: F32, byte_from: int, byte_to: int, out: F32) -> None:
    """Add ``Z' weights`` to the rows ``4 * byte_from`` to ``4 * byte_to`` of ``out``.

    Parameters
    ----------
    packed, values
        As in :func:`times`.
    weights
        float32 (m, COLUMNS), C order.
    byte_from, byte_to
        Samples to do, as bytes of ``packed``. Threads share the work by samples.
    out
        float32 (4 * bytes, COLUMNS), C order, added to. Rows of padding get what code 00 stands for.
    """
    _WEIGH(packed, values, weights, byte_from, byte_to, *_scratch(), out)


def _scratch() -> tuple[F32, F32]:
    return np.zeros(GROUP * TILE, dtype=np.float32), np.zeros((BAND, COLUMNS), dtype=np.float32)
