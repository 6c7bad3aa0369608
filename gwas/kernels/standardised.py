"""Products with the standardised genotype matrix, straight from packed calls."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from gwas.kernels.machine_code import MachineCode

COLUMNS: Final = 16
"""Columns of every matrix that is multiplied with: their sums fill the registers."""

WORD: Final = 4
"""Bytes of calls decoded at once: rows of packed calls are whole words."""

TILE: Final = 32
BAND: Final = 32

F32 = npt.NDArray[np.float32]
Packed = npt.NDArray[np.uint8]

_TIMES: Final = MachineCode(
    "standardised_loops", "times", "uint8:2", "float32:2", "float32:3", "float32:1", "float32:2"
)
_WEIGH: Final = MachineCode(
    "standardised_loops", "weigh", "uint8:2", *["float32:2"] * 2, "int64", "int64", "float32:3"
)


def whole_words(packed: Packed) -> Packed:
    """Packed calls, uint8 (m, bytes), with rows of whole words, C order; what is added is code 00."""
    m, width = packed.shape
    if width % WORD == 0:
        return np.ascontiguousarray(packed)
    whole = np.zeros((m, -(-width // WORD) * WORD), dtype=np.uint8)
    whole[:, :width] = packed
    return whole


def by_word(matrix: npt.NDArray[np.floating], words: int) -> F32:
    """Rows of at most COLUMNS columns, those that share a word side by side: float32 (words, COLUMNS, 16).

    Examples
    --------
    >>> by_word(np.arange(20.0)[:, None], 2)[1, 0, :5].tolist()
    [16.0, 17.0, 18.0, 19.0, 0.0]
    """
    n, k = matrix.shape
    padded = np.zeros((16 * words, COLUMNS), dtype=np.float32)
    padded[:n, :k] = matrix
    out = no_words(words)
    out[:] = padded.reshape(words, 16, COLUMNS).transpose(0, 2, 1)
    return out


def no_words(words: int) -> F32:
    """Zeros that :func:`weigh` can add to. Their registers do not straddle cache lines."""
    raw = np.zeros(4 * words * COLUMNS * 16 + 64, dtype=np.uint8)
    start = -raw.ctypes.data % 64
    whole = raw[start : start + 4 * words * COLUMNS * 16]
    return whole.view(np.float32).reshape(words, COLUMNS, 16)


def from_words(blocks: F32, n: int) -> F32:
    """The first ``n`` rows that :func:`by_word` would turn into ``blocks``."""
    return blocks.transpose(0, 2, 1).reshape(-1, COLUMNS)[:n]


def times(packed: Packed, values: F32, right: F32, out: F32) -> None:
    """Write ``Z right`` to ``out``, where Z is variants by samples.

    Parameters
    ----------
    packed
        uint8 (m, bytes), from :func:`whole_words`: PLINK 1 two-bit codes, four samples a byte.
    values
        float32 (m, 4), C order: what the codes 00, 01, 10 and 11 of each variant stand for.
    right
        float32 (bytes / WORD, COLUMNS, 16), C order, from :func:`by_word`.
    out
        float32 (m, COLUMNS), C order.
    """
    _TIMES(packed, values, right, np.empty(BAND * COLUMNS * 16, dtype=np.float32), out)


def weigh(packed: Packed, values: F32, weights: F32, first: int, last: int, out: F32) -> None:
    """Add ``Z' weights`` of some samples to ``out``.

    Parameters
    ----------
    packed, values
        As in :func:`times`.
    weights
        float32 (m, COLUMNS), C order.
    first, last
        Words of ``packed`` (16 samples each) to do. Threads share the work by them.
    out
        float32 (bytes / WORD, COLUMNS, 16), C order, added to; what belongs to nobody is nonsense.
    """
    _WEIGH(packed, values, weights, first, last, out)
