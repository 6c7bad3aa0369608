"""Tiles in another coding than copies of ALT; their allele frequencies stay those of the alleles."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from gwas.kernels.recode import Coding, halve_calls, recode_calls, recode_dosages
from gwas.models.tile import Calls, DosageTile, Mask, PackedTile, Tile

TEST_NAMES = {"additive": "ADD", "dominant": "DOM", "recessive": "REC", "hetonly": "HET"}
"""What PLINK 2's TEST column says of each coding."""


def code_tile(tile: Tile, coding: Coding, haploid: Mask | None = None) -> Tile:
    """A tile of coded genotypes.

    Parameters
    ----------
    tile
        Genotypes as copies of ALT, 0 to 2.
    coding
        See :func:`gwas.kernels.recode.recode_calls`.
    haploid
        bool (n,): who has one copy, to be counted 0 or 1 (males on X in PLINK 2's ``--xchr-model 1``).
    """
    if coding == "additive" and haploid is None:
        return tile
    if isinstance(tile, PackedTile):
        calls = tile.packed if haploid is None else halve_calls(tile.packed, haploid)
        return CodedCalls(recode_calls(calls, coding), calls, haploid)
    assert isinstance(tile, DosageTile)
    dosages = tile.dosages
    if haploid is not None:
        dosages = np.where(haploid, dosages / 2, dosages).astype(np.float32)
    return CodedDosages(recode_dosages(dosages, coding), dosages, haploid)


@dataclass(frozen=True, eq=False)
class CodedCalls(PackedTile):
    """Coded calls, beside the copies they stand for and who has but one."""

    copies: npt.NDArray[np.uint8]
    haploid: Mask | None

    def _described(self, found: Calls, columns: Mask) -> Calls:
        return _with_frequency(found, PackedTile(self.copies), columns, self.haploid)


@dataclass(frozen=True, eq=False)
class CodedDosages(DosageTile):
    """Coded dosages, beside the copies they stand for and who has but one."""

    copies: npt.NDArray[np.float32]
    haploid: Mask | None

    def summarise(self, columns: Mask, flip: Mask) -> Calls:
        """See :class:`gwas.models.tile.Tile`."""
        found = super().summarise(columns, flip)
        return _with_frequency(found, DosageTile(self.copies), columns, self.haploid)


def _with_frequency(found: Calls, copies: Tile, columns: Mask, haploid: Mask | None) -> Calls:
    alt, called = copies.alleles(columns)
    alleles = 2 * called
    if haploid is not None:
        alleles = alleles - copies.alleles(columns & haploid)[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        return replace(found, alt_frequency=alt / alleles)
