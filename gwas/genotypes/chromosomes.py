"""One spelling for every chromosome, and what each means for the coding of a genotype.

Providers write the X chromosome as ``23``, ``X`` or ``chrX``; its pseudo-autosomal part as ``25``, ``XY``,
``PAR1`` or ``PAR2``. Everything past this module says ``1`` … ``22``, ``X``, ``Y``, ``XY`` and ``MT``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import numpy.typing as npt

from gwas.kernels.text import TextColumn, text_of_strings

if TYPE_CHECKING:
    import pandas as pd

Ploidy = Literal["diploid", "x", "y", "mt"]

_SPELLINGS: Final = {
    "23": "X",
    "24": "Y",
    "25": "XY",
    "26": "MT",
    "M": "MT",
    "PAR1": "XY",
    "PAR2": "XY",
    "PAR": "XY",
    "X": "X",
    "Y": "Y",
    "XY": "XY",
    "MT": "MT",
}

PSEUDO_AUTOSOMAL: Final = {
    "GRCh37": ((60001, 2699520), (154931044, 155260560)),
    "GRCh38": ((10001, 2781479), (155701383, 156030895)),
}
"""Pseudo-autosomal regions of X, 1-based and inclusive, by genome build (Genome Reference Consortium)."""


def canonical_chromosome(name: str) -> str:
    """Give a chromosome its one spelling.

    Parameters
    ----------
    name
        As a provider wrote it: ``7``, ``chr7``, ``07``, ``23``, ``chrX``, ``PAR1`` …

    Returns
    -------
    str
        ``1`` … ``22``, ``X``, ``Y``, ``XY`` (pseudo-autosomal), ``MT``; ``0`` (unplaced) and names of
        other contigs come back as they are.

    Examples
    --------
    >>> [canonical_chromosome(name) for name in ("chr7", "07", "23", "chrX", "PAR1", "25", "chrM")]
    ['7', '7', 'X', 'X', 'XY', 'XY', 'MT']
    """
    bare = name[3:] if name[:3].lower() == "chr" and len(name) > 3 else name
    upper = bare.upper()
    if upper in _SPELLINGS:
        return _SPELLINGS[upper]
    if bare.isascii() and bare.isdigit():
        number = str(int(bare))
        return _SPELLINGS.get(number, number)
    return bare


def canonical_chromosomes(names: pd.Series) -> pd.Series:
    """Apply :func:`canonical_chromosome` to a column, once per distinct name."""
    return names.map({name: canonical_chromosome(name) for name in names.unique()}).astype(object)


def canonical_text(names: TextColumn) -> TextColumn:
    """Apply :func:`canonical_chromosome` to a column of bytes, once per stretch of equal names."""
    found, lengths = names.runs()
    distinct = {name: k for k, name in enumerate(dict.fromkeys(map(canonical_chromosome, found)))}
    code = np.repeat([distinct[canonical_chromosome(name)] for name in found], lengths)
    return text_of_strings(list(distinct)).take(code.astype(np.int64))


def ploidy_class(chrom: pd.Series | TextColumn) -> npt.NDArray[np.str_]:
    """Say, for each variant, how its genotypes are to be read.

    Parameters
    ----------
    chrom
        Canonical chromosome names.

    Returns
    -------
    ndarray of str
        ``diploid`` (autosomes, ``XY`` and unknown contigs), ``x`` (males hemizygous, coded 0/2),
        ``y`` (males alone) or ``mt``.

    Examples
    --------
    >>> import pandas as pd
    >>> ploidy_class(pd.Series(["1", "X", "XY", "Y", "MT"])).tolist()
    ['diploid', 'x', 'diploid', 'y', 'mt']
    """
    special = {"X": "x", "Y": "y", "MT": "mt"}
    if isinstance(chrom, TextColumn):
        found, lengths = chrom.runs()
        return np.repeat(np.array([special.get(name, "diploid") for name in found], dtype="<U7"), lengths)
    return np.array([special.get(name, "diploid") for name in chrom], dtype="<U7")


def is_pseudo_autosomal(chrom: pd.Series, pos: pd.Series, *, build: str) -> npt.NDArray[np.bool_]:
    """Mark variants called on X that lie in a pseudo-autosomal region.

    Parameters
    ----------
    chrom, pos
        Canonical chromosome and 1-based position of each variant.
    build
        ``GRCh37`` or ``GRCh38``.

    Examples
    --------
    >>> import pandas as pd
    >>> is_pseudo_autosomal(pd.Series(["X", "X"]), pd.Series([100000, 5000000]), build="GRCh38").tolist()
    [True, False]
    """
    position = pos.to_numpy()
    inside = np.zeros(len(position), dtype=np.bool_)
    for first, last in PSEUDO_AUTOSOMAL[build]:
        inside |= (position >= first) & (position <= last)
    inside &= np.asarray(chrom == "X")
    return inside
