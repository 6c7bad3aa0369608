"""Tiles in another coding than copies of ALT; their allele frequencies stay those of the alleles."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gwas.kernels.recode import Coding, recode_calls, recode_dosages
from gwas.models.tile import Calls, DosageTile, Floats, Mask, PackedTile, Tile

TEST_NAMES = {"additive": "ADD", "dominant": "DOM", "recessive": "REC", "hetonly": "HET"}
"""What PLINK 2's TEST column says of each coding."""


def code_tile(tile: Tile, coding: Coding) -> Tile:
    """A tile of coded genotypes.

    Parameters
    ----------
    tile
        Genotypes as copies of ALT, 0 to 2.
    coding
        See :func:`gwas.kernels.recode.recode_calls`.
    """
    if coding == "additive":
        return tile
    if isinstance(tile, PackedTile):
        return CodedCalls(recode_calls(tile.packed, coding), tile.packed)
    assert isinstance(tile, DosageTile)
    return CodedDosages(recode_dosages(tile.dosages, coding), tile.dosages)


def halve_tile(tile: Tile, haploid: Mask) -> Tile:
    """A tile in which who has one copy is counted 0 to 1 (males on X in PLINK 2's ``--xchr-model 1``).

    Parameters
    ----------
    tile
        Genotypes as copies of ALT, 0 to 2. Of calls dosages are made: a heterozygous male counts one half, for which
        packed calls have no code.
    haploid
        bool (n,): who has one copy.
    """
    if isinstance(tile, PackedTile):
        from gwas.kernels.dosages import from_packed

        dosages = from_packed(tile.packed, len(haploid))
    else:
        assert isinstance(tile, DosageTile)
        dosages = tile.dosages
    return HalvedDosages(np.where(haploid, dosages / 2, dosages).astype(np.float32), haploid)


@dataclass(frozen=True, eq=False)
class CodedCalls(PackedTile):
    """Coded calls, beside the copies they stand for."""

    copies: npt.NDArray[np.uint8]

    def _described(self, found: Calls, columns: Mask) -> Calls:
        return _with_frequency(found, *PackedTile(self.copies).alleles(columns))


@dataclass(frozen=True, eq=False)
class CodedDosages(DosageTile):
    """Coded dosages, beside the copies they stand for."""

    copies: npt.NDArray[np.float32]

    def summarise(self, columns: Mask, flip: Mask) -> Calls:
        """See :class:`gwas.models.tile.Tile`."""
        return _with_frequency(super().summarise(columns, flip), *DosageTile(self.copies).alleles(columns))


@dataclass(frozen=True, eq=False)
class HalvedDosages(DosageTile):
    """Dosages of which some people's are of one copy."""

    haploid: Mask

    def summarise(self, columns: Mask, flip: Mask) -> Calls:
        """See :class:`gwas.models.tile.Tile`."""
        alt, called = self.alleles(columns)
        return _with_frequency(
            super().summarise(columns, flip), alt, called - self.alleles(columns & self.haploid)[1] / 2
        )


def _with_frequency(found: Calls, alt: Floats, people: npt.NDArray[Any]) -> Calls:
    """Copies of ALT by two a person, half a person for each that has one."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return replace(found, alt_frequency=alt / (2 * people))
