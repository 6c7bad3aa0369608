"""Genotype files as lazy descriptors.

Why a descriptor: a biobank's genotypes do not fit in memory, and an engine must be free to read any range of
them anywhere. So opening a file reads only who and which variants are in it; calls arrive in blocks. A new
format is one module with an opener and one line in :data:`FORMATS`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from cohorts.errors import InputError
from gwas.genotypes.bed import open_bed
from gwas.genotypes.descriptor import Block, Genotypes, Reader

__all__ = ["FORMATS", "Block", "Genotypes", "Reader", "open_genotypes"]

FORMATS: Final[dict[str, Callable[[Path], Genotypes]]] = {
    ".bed": open_bed,
}


def open_genotypes(path: str | Path) -> Genotypes:
    """Open a genotype file, or the prefix of a PLINK fileset.

    Parameters
    ----------
    path
        A file whose suffix is in :data:`FORMATS`, or the common prefix of .bed, .bim and .fam.

    Returns
    -------
    Genotypes
        A lazy descriptor; dosage counts ALT.

    Raises
    ------
    InputError
        If the file is absent, damaged or of an unknown format.

    Examples
    --------
    >>> open_genotypes("nowhere/study.bed")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    cohorts.errors.InputError: nowhere/study.bed: file not found; expected a PLINK 1 fileset...
    """
    path = Path(path)
    for suffix, opener in FORMATS.items():
        if path.suffix == suffix or path.with_name(path.name + suffix).exists():
            return opener(path)
    raise InputError(
        "no genotype file of a known format",
        where=path,
        expected=f"a file or prefix with one of the suffixes {', '.join(FORMATS)}",
        fix="check the path",
    )
