"""Missing calls, heterozygotes and expected heterozygosity of every sample, 32 calls at a time."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from gwas.kernels.machine_code import MachineCode
from gwas.kernels.packed import as_words

Counts = npt.NDArray[np.int64]

_ADD: Final = MachineCode(
    "counting_loops",
    "add_sample_sums",
    "uint64:2",
    "int64:1",
    "float64:1",
    "int64:1",
    "int64:1",
    "float64:1",
    "uint64:2",
    "uint64:2",
)


def add_sample_sums(
    packed: npt.NDArray[np.uint8],
    rows: Counts,
    expected_het: npt.NDArray[np.float64],
    het: Counts,
    missing: Counts,
    missing_expected: npt.NDArray[np.float64],
) -> None:
    """Add some variants of a block to the sums of its samples.

    Parameters
    ----------
    packed
        uint8 (m, ceil(n_file / 4)): PLINK 1 two-bit codes.
    rows
        int64 (k,): the variants of the block that count.
    expected_het
        float64 (m,): expected heterozygosity of each variant.
    het, missing
        int64 (32 * words,): heterozygotes and missing calls, added to; a word holds eight bytes of a variant.
    missing_expected
        float64 (32 * words,): sum of ``expected_het`` over a sample's missing calls, added to, so that the sum
        over its called variants is the total less this.
    """
    codes = as_words(packed)
    words = codes.shape[1]
    nibbles, lanes = np.zeros((4, words), dtype=np.uint64), np.zeros((8, words), dtype=np.uint64)
    _ADD(codes, rows, expected_het, het, missing, missing_expected, nibbles, lanes)
