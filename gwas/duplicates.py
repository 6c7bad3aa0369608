"""Variants that are in a file more than once: same place, same alleles."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

Mask = npt.NDArray[np.bool_]
Index = npt.NDArray[np.int64]


def variant_sets(variants: pd.DataFrame) -> Index:
    """Number each variant by place and pair of alleles, in whichever order: int64 (m,), from 0.

    Rows with one number are the same variant. The rows of a multi-allelic record have one place and REF but
    different ALTs, so they are different variants; variants whose place is not known (chromosome 0, position
    0) are equal to none.

    Parameters
    ----------
    variants
        ``chrom``, ``pos``, ``ref``, ``alt``.

    Examples
    --------
    >>> table = pd.DataFrame({"chrom": "1", "pos": [5, 5, 5, 0, 0], "ref": list("AGACC"), "alt": list("GATTT")})
    >>> variant_sets(table).tolist()
    [0, 0, 1, 2, 3]
    """
    ref, alt = variants["ref"].astype(str).str.upper(), variants["alt"].astype(str).str.upper()
    turned = (ref > alt).to_numpy()
    frame = pd.DataFrame(
        {
            "chrom": variants["chrom"].astype(str).to_numpy(),
            "pos": variants["pos"].to_numpy(),
            "low": np.where(turned, alt, ref),
            "high": np.where(turned, ref, alt),
        }
    )
    unknown = (frame["chrom"] == "0") | (frame["pos"] <= 0)
    frame["place"] = np.where(unknown, np.arange(len(frame)), -1)
    return np.asarray(frame.groupby(list(frame.columns), sort=False).ngroup(), dtype=np.int64)


def duplicate_variants(variants: pd.DataFrame, *, call_rate: npt.ArrayLike) -> Mask:
    """Mark all but the best called of variants with the same place and alleles (A/G is G/A).

    Parameters
    ----------
    variants
        ``chrom``, ``pos``, ``ref``, ``alt``; m rows.
    call_rate
        float (m,): of each; of equals the first in the file is kept.

    Returns
    -------
    ndarray of bool (m,)
        True for those to be removed.

    Raises
    ------
    ValueError
        If ``call_rate`` has another length.

    Examples
    --------
    >>> table = pd.DataFrame({"chrom": "1", "pos": [5, 5, 5], "ref": list("AGA"), "alt": list("GAT")})
    >>> duplicate_variants(table, call_rate=[0.9, 0.99, 0.5]).tolist()
    [True, False, False]
    """
    rate = np.asarray(call_rate, dtype=np.float64)
    if rate.shape != (len(variants),):
        raise ValueError(f"call rates of {len(variants)} variants expected, not {rate.shape}")
    order = np.argsort(-np.nan_to_num(rate), kind="stable")
    repeated = np.empty(len(variants), dtype=np.bool_)
    repeated[order] = pd.Series(variant_sets(variants)[order]).duplicated(keep="first").to_numpy()
    return repeated
