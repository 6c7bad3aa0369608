"""Other codings of a genotype than copies of ALT, on packed calls and on dosages.

A coding of hard calls maps each of the four two-bit codes to another, so that a byte of four people is looked
up in a table of 256 and whatever works on packed calls works on coded ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

Packed = npt.NDArray[np.uint8]
Dosages = npt.NDArray[np.float32]
Coding = Literal["additive", "dominant", "recessive", "hetonly"]

# PLINK 1 codes: 0 = two ALT, 1 = missing, 2 = one ALT, 3 = none
_CODES: Final[Mapping[Coding, tuple[int, int, int, int]]] = {
    "additive": (0, 1, 2, 3),
    "dominant": (2, 1, 2, 3),
    "recessive": (2, 1, 3, 3),
    "hetonly": (3, 1, 2, 3),
}


def recode_calls(packed: Packed, coding: Coding) -> Packed:
    """Count carriers instead of copies.

    Parameters
    ----------
    packed
        uint8 (m, bytes), PLINK 1 two-bit codes.
    coding
        ``additive`` 0, 1, 2 copies as they are; ``dominant`` 0, 1, 1; ``recessive`` 0, 0, 1; ``hetonly`` 0, 1, 0.

    Returns
    -------
    uint8 (m, bytes)
        Codes of the coded value; missing stays missing.

    Examples
    --------
    >>> from gwas.kernels.packed import decode, pack
    >>> calls = pack(np.array([[0, 1, 2, -9]], dtype=np.int8))
    >>> [decode(recode_calls(calls, c), 4)[0].tolist() for c in ("dominant", "recessive", "hetonly")]
    [[0, 1, 1, -9], [0, 0, 1, -9], [0, 1, 0, -9]]
    """
    return packed if coding == "additive" else _table(_CODES[coding])[packed]


def recode_dosages(dosages: Dosages, coding: Coding) -> Dosages:
    """The same codings of dosages d, as PLINK 2 has them: min(d, 1), max(d - 1, 0) and 1 - |d - 1|.

    Parameters
    ----------
    dosages
        float32 (m, n), 0 to 2, NaN where missing.
    coding
        As in :func:`recode_calls`.

    Examples
    --------
    >>> d = np.array([[0.5, 1.5, np.nan]], dtype=np.float32)
    >>> [recode_dosages(d, c)[0].tolist() for c in ("dominant", "recessive", "hetonly")]
    [[0.5, 1.0, nan], [0.0, 0.5, nan], [0.5, 0.5, nan]]
    """
    one = np.float32(1)
    if coding == "dominant":
        return np.asarray(np.minimum(dosages, one), dtype=np.float32)
    if coding == "recessive":
        return np.asarray(np.maximum(dosages - one, np.float32(0)), dtype=np.float32)
    if coding == "hetonly":
        return np.asarray(one - np.abs(dosages - one), dtype=np.float32)
    return dosages


def _table(codes: tuple[int, int, int, int]) -> Packed:
    byte, code = np.arange(256), np.array(codes)
    coded = np.zeros(256, dtype=np.int64)
    for shift in (0, 2, 4, 6):
        coded |= code[(byte >> shift) & 3] << shift
    return coded.astype(np.uint8)
