"""Missing calls of every variant and every sample, 32 calls at a time."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from gwas.kernels.machine_code import MachineCode
from gwas.kernels.packed import as_words

_COUNT_MISSING: Final = MachineCode(
    "counting_loops", "count_missing", "uint64:2", "uint64:1", "int64:1", "int64:1", "uint64:2", "uint64:2"
)


def count_missing(
    packed: npt.NDArray[np.uint8], keep: npt.NDArray[np.uint8], by_sample: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Count the missing calls of a block both ways.

    Parameters
    ----------
    packed
        uint8 (m, ceil(n_file / 4)): PLINK 1 two-bit codes.
    keep
        uint8 (ceil(n_file / 4),): the low bit of a pair is set for samples that count towards their variant.
    by_sample
        int64 (at least 4 * ceil(n_file / 4),): missing calls of every sample of the file, added to.

    Returns
    -------
    ndarray of int64 (m,)
        Missing calls of each variant among the samples kept.
    """
    m, width = packed.shape
    # padding reads as two copies of ALT, which is not missing
    codes = as_words(packed)
    words = codes.shape[1]
    by_variant = np.empty(m, dtype=np.int64)
    sums = np.zeros(32 * words, dtype=np.int64)
    nibbles, lanes = np.zeros((2, words), dtype=np.uint64), np.zeros((4, words), dtype=np.uint64)
    _COUNT_MISSING(codes, as_words(keep[None])[0], by_variant, sums, nibbles, lanes)
    by_sample[: 4 * width] += sums[: 4 * width]
    return by_variant
