"""What missing calls take from the loadings' inner products, person by person."""

from __future__ import annotations

from typing import Any

from numba import njit


@njit(cache=True, nogil=True)
def add_missing_products(packed: Any, n: int, loadings: Any, products: Any, counts: Any) -> None:
    """Add the products of loadings of the variants that each person lacks.

    Parameters
    ----------
    packed
        uint8 (m, ceil(n / 4)): two-bit codes; 01 is missing.
    n
        Number of people.
    loadings
        float64 (m, k).
    products
        float64 (n, k (k + 1) / 2), added to: for each missing call ``loadings[v, i] * loadings[v, j]``, i >= j.
    counts
        int64 (n,), added to: missing calls.
    """
    k = loadings.shape[1]
    for row in range(packed.shape[0]):
        for byte_at in range(packed.shape[1]):
            byte = packed[row, byte_at]
            gaps = byte & ~(byte >> 1) & 0x55
            if gaps:
                for call in range(min(4, n - 4 * byte_at)):
                    if (gaps >> (2 * call)) & 1:
                        person = 4 * byte_at + call
                        counts[person] += 1
                        at = 0
                        for i in range(k):
                            for j in range(i + 1):
                                products[person, at] += loadings[row, i] * loadings[row, j]
                                at += 1
