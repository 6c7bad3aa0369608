"""Missing calls, heterozygotes and expected heterozygosity of every sample, in one look at each call."""

from __future__ import annotations

from typing import Any

from numba import njit


@njit(cache=True, nogil=True)
def add_sample_sums(
    packed: Any, group: Any, expected_het: Any, missing: Any, het: Any, missing_expected: Any
) -> None:
    """Add a block to the sums of its samples.

    Parameters
    ----------
    packed
        uint8 (m, ceil(n_file / 4)): PLINK 1 two-bit codes.
    group
        int64 (m,): column of the sums that a variant counts towards; negative leaves it out.
    expected_het
        float64 (m,): expected heterozygosity of each variant.
    missing, het
        int64 (4 * bytes, groups): missing calls and heterozygotes, added to.
    missing_expected
        float64 (4 * bytes, groups): sum of ``expected_het`` over a sample's missing calls, added to, so that
        the sum over its called variants is the total less this.
    """
    stripe = 1024
    width = packed.shape[1]
    for first in range(0, width, stripe):
        last = min(first + stripe, width)
        for row in range(packed.shape[0]):
            column = group[row]
            if column < 0:
                continue
            for byte_at in range(first, last):
                byte = packed[row, byte_at]
                low = byte & 0x55
                high = (byte >> 1) & 0x55
                if low == high:
                    continue
                hets = high & ~low
                gaps = low & ~high
                for call in range(4):
                    if (hets >> (2 * call)) & 1:
                        het[4 * byte_at + call, column] += 1
                    if (gaps >> (2 * call)) & 1:
                        missing[4 * byte_at + call, column] += 1
                        missing_expected[4 * byte_at + call, column] += expected_het[row]
