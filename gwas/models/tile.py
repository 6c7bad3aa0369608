"""The genotypes of some variants as the models see them, whether packed calls or dosages.

The models need sums, products and refits, never a genotype itself, so that calls can stay packed and both kinds
have one statistics.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from gwas.kernels import products as of_calls
from gwas.kernels.packed import count_genotypes

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Calls:
    """What a block's genotypes amount to among some people.

    Attributes
    ----------
    flip
        bool (m,): the variant is counted by its REF allele.
    called, missing
        int64 (m,): people with and without a genotype.
    mean
        float64 (m,): mean copies of the counted allele among the called; NaN where nobody is.
    squares
        float64 (m,): sum of squared copies of the counted allele among the called.
    alt_frequency
        float64 (m,): frequency of ALT among the called.
    constant
        bool (m,): all called have the same genotype.
    """

    flip: Mask
    called: Ints
    missing: Ints
    mean: Floats
    squares: Floats
    alt_frequency: Floats
    constant: Mask

    def of(self, rows: Ints) -> Calls:
        """Some of the variants."""
        return Calls(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


@dataclass(frozen=True, eq=False)
class RightSides:
    """What genotypes, and their squares, are multiplied with.

    Attributes
    ----------
    linear, squared
        float64 (n, c) and (n, d), C order. Rows of samples outside an analysis are 0; d may be 0.
    """

    linear: Floats
    squared: Floats

    @cached_property
    def everyone(self) -> Mask:
        """bool (n,), all true."""
        return np.ones(len(self.linear), dtype=bool)

    @cached_property
    def whole(self) -> tuple[of_calls.FixedPoint, of_calls.FixedPoint]:
        """Both as whole numbers, for hard calls."""
        return of_calls.FixedPoint.of(self.linear, 2), of_calls.FixedPoint.of(self.squared, 4)


class Tile(Protocol):
    """Genotypes of m variants in n samples, in the order of a phenome's columns."""

    def __len__(self) -> int:
        """Number of variants."""
        ...

    @property
    def genotypes(self) -> npt.NDArray[Any]:
        """Packed calls, uint8 (m, bytes), or dosages, float32 (m, n)."""
        ...

    def alleles(self, columns: Mask) -> tuple[Floats, Ints]:
        """Copies of ALT among some samples, and how many of them have a genotype: (m,) each."""
        ...

    def summarise(self, columns: Mask, flip: Mask) -> Calls:
        """What the genotypes of some samples amount to."""
        ...

    def products(self, flip: Mask, right: RightSides) -> tuple[Floats, Floats]:
        """Products of oriented genotypes, and of their squares, (m, c) and (m, d); missing is 0."""
        ...

    def missing_sums(self, variants: Ints, columns: Floats) -> Floats:
        """Sums of columns (n, c) over those without a genotype: (v, c)."""
        ...

    def missing_cross_products(
        self, variants: Ints, basis: Floats, traits: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """Sums of q q', q y and y² over those without a genotype: (v, k, k), (v, k, t), (v, t)."""
        ...


@dataclass(frozen=True, eq=False)
class PackedTile:
    """Hard calls: uint8 (m, bytes), PLINK 1 codes."""

    packed: npt.NDArray[np.uint8]
    counted: dict[bytes, Ints] = field(default_factory=dict, kw_only=True)

    def __len__(self) -> int:
        """Number of variants."""
        return len(self.packed)

    @property
    def genotypes(self) -> npt.NDArray[np.uint8]:
        """See :class:`Tile`."""
        return self.packed

    def alleles(self, columns: Mask) -> tuple[Floats, Ints]:
        """See :class:`Tile`."""
        counts = self._counts(columns)
        return (counts[:, 1] + 2 * counts[:, 2]).astype(np.float64), counts[:, :3].sum(axis=1)

    def _counts(self, columns: Mask) -> Ints:
        # mostly the same people are asked for again
        key = columns.tobytes()
        if key not in self.counted:
            self.counted[key] = count_genotypes(self.packed, columns)
        return self.counted[key]

    def summarise(self, columns: Mask, flip: Mask) -> Calls:
        """See :class:`Tile`."""
        counts = self._counts(columns)
        one, two = counts[:, 1], np.where(flip, counts[:, 0], counts[:, 2])
        called = counts[:, :3].sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = (one + 2 * two) / called
            alt_frequency = (one + 2 * counts[:, 2]) / (2 * called)
        constant = (counts[:, :3] == called[:, None]).any(axis=1)
        squares = (one + 4 * two).astype(np.float64)
        return Calls(flip, called, counts[:, 3], mean, squares, alt_frequency, constant)

    def products(self, flip: Mask, right: RightSides) -> tuple[Floats, Floats]:
        """See :class:`Tile`."""
        index = of_calls.combinations(self.packed, flip)
        calls = self.summarise(right.everyone, flip)
        called = np.maximum(calls.called, 1)
        linear, squared = right.whole
        return linear.products(index, np.nan_to_num(calls.mean)), squared.products(
            index, calls.squares / called
        )

    def missing_sums(self, variants: Ints, columns: Floats) -> Floats:
        """See :class:`Tile`."""
        return of_calls.missing_sums(self.packed, variants, columns)

    def missing_cross_products(
        self, variants: Ints, basis: Floats, traits: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """See :class:`Tile`."""
        return of_calls.missing_cross_products(self.packed, variants, basis, traits)


@dataclass(frozen=True, eq=False)
class DosageTile:
    """Dosages: float32 (m, n), copies of ALT from 0 to 2, NaN where missing."""

    dosages: npt.NDArray[np.float32]

    def __len__(self) -> int:
        """Number of variants."""
        return len(self.dosages)

    @property
    def genotypes(self) -> npt.NDArray[np.float32]:
        """See :class:`Tile`."""
        return self.dosages

    def alleles(self, columns: Mask) -> tuple[Floats, Ints]:
        """See :class:`Tile`."""
        from gwas.kernels import dosage_products as of_dosages

        found = of_dosages.summarise_dosages(self.dosages, columns)
        return found[:, 1], found[:, 0].astype(np.int64)

    def summarise(self, columns: Mask, flip: Mask) -> Calls:
        """See :class:`Tile`."""
        from gwas.kernels import dosage_products as of_dosages

        n, total, squares, least, largest = of_dosages.summarise_dosages(self.dosages, columns).T
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(flip, 2 - total / n, total / n)
            alt_frequency = total / (2 * n)
        # sum of (2 - d)² where REF is counted
        squares = np.where(flip, 4 * n - 4 * total + squares, squares)
        called = n.astype(np.int64)
        missing = int(columns.sum()) - called
        return Calls(flip, called, missing, mean, squares, alt_frequency, least == largest)

    def products(self, flip: Mask, right: RightSides) -> tuple[Floats, Floats]:
        """See :class:`Tile`."""
        from gwas.kernels import dosage_products as of_dosages

        return of_dosages.dosage_products(self.dosages, flip, right.linear, right.squared)

    def missing_sums(self, variants: Ints, columns: Floats) -> Floats:
        """See :class:`Tile`."""
        from gwas.kernels import dosage_products as of_dosages

        return of_dosages.absent_sums(self.dosages, variants, columns)

    def missing_cross_products(
        self, variants: Ints, basis: Floats, traits: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """See :class:`Tile`."""
        from gwas.kernels import dosage_products as of_dosages

        return of_dosages.absent_cross_products(self.dosages, variants, basis, traits)
