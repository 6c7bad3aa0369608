"""Signed correlations of many pairs of variants on bit-planes (see :mod:`gwas.kernels.bitplanes`)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from gwas.kernels.ld import _cov_and_variances


@njit(cache=True, nogil=True)
def r_to_the_right(hom: Any, alt: Any, stats: Any, n: int, first: int, stops: Any, out: Any) -> None:
    """Correlate consecutive variants each with those that follow it.

    Parameters
    ----------
    hom, alt
        uint64 (rows, words).
    stats
        int64 (rows, 3): their :func:`gwas.kernels.ld.moments`.
    n
        Number of people in the planes.
    first, stops
        Row of the first variant; int64 (k,): rows where the partners of variants ``first + i`` end.
    out
        float64 (sum of partners,), written row after row: correlation of ALT copies over the people called in
        both; nan where one does not vary among them.
    """
    at = 0
    for k in range(stops.shape[0]):
        i = first + k
        for j in range(i + 1, stops[k]):
            cov, var1, var2 = _cov_and_variances(hom[i], alt[i], stats[i], hom[j], alt[j], stats[j], n)
            out[at] = cov / np.sqrt(var1 * var2) if var1 > 0.0 and var2 > 0.0 else np.nan
            at += 1
