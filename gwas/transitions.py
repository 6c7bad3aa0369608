"""Transitions over transversions: a ratio that says whether a set of variants looks like nature's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

TRANSITIONS: Final = frozenset({"AG", "GA", "CT", "TC"})
BASES: Final = frozenset("ACGT")

EXPECTED: Final = {"genome": (1.9, 2.3), "exome": (2.6, 3.5)}
"""Usual ranges of whole genomes (about 2.1) and of coding sequence (about 3; CpG sites are richer there). Errors
at random give 0.5, so a ratio that is too low means false variants. Chips have no usual range: their makers
leave out A/T and C/G, which makes it 4 and more."""


@dataclass(frozen=True)
class TiTv:
    """Single-base variants by kind.

    Attributes
    ----------
    transitions, transversions
        A/G and C/T; all other exchanges of one base.
    other
        Variants that are not exchanges of one base (indels, symbolic alleles, no second allele).
    ratio
        Transitions over transversions; nan without a transversion.
    low, high
        95% interval of the ratio (normal on the log scale; Woolf); nan where one count is 0.
    """

    transitions: int
    transversions: int
    other: int
    ratio: float
    low: float
    high: float

    def outside(self, band: tuple[float, float]) -> bool:
        """Whether the whole interval lies outside ``band``, so that chance does not explain it."""
        return bool(self.high < band[0] or self.low > band[1])


def kind_of_exchange(ref: pd.Series, alt: pd.Series) -> npt.NDArray[np.str_]:
    """Say of each pair of alleles: ``transition``, ``transversion`` or ``other``.

    Examples
    --------
    >>> kind_of_exchange(pd.Series(["A", "C", "A"]), pd.Series(["g", "A", "AT"])).tolist()
    ['transition', 'transversion', 'other']
    """
    pair = ref.astype(str).str.upper() + alt.astype(str).str.upper()
    kind = {name: _kind(name) for name in pair.unique()}
    return pair.map(kind).to_numpy(dtype="<U12")


def _kind(pair: str) -> str:
    if len(pair) != 2 or not set(pair) <= BASES or pair[0] == pair[1]:
        return "other"
    return "transition" if pair in TRANSITIONS else "transversion"


def titv(ref: pd.Series, alt: pd.Series) -> TiTv:
    """Count transitions and transversions.

    Parameters
    ----------
    ref, alt
        Alleles, str (m,); a row of each ALT of a multi-allelic record counts by itself.

    Returns
    -------
    TiTv

    Examples
    --------
    >>> titv(pd.Series(list("AACG")), pd.Series(list("GCTA"))).ratio
    3.0
    """
    kind = kind_of_exchange(ref, alt)
    ti, tv = int((kind == "transition").sum()), int((kind == "transversion").sum())
    ratio = ti / tv if tv else float("nan")
    low = high = float("nan")
    if ti and tv:
        reach = float(np.exp(1.959964 * np.sqrt(1 / ti + 1 / tv)))
        low, high = ratio / reach, ratio * reach
    return TiTv(ti, tv, len(kind) - ti - tv, ratio, low, high)
