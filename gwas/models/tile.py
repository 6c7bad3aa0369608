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

    @cached_property
    def imputed(self) -> Floats:
        """float64 (m,): what stands for a missing genotype, `mean`, and 0 where nobody has one."""
        return np.where(self.called > 0, self.mean, 0.0)

    def of(self, rows: Ints) -> Calls:
        """Some of the variants."""
        return Calls(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


@dataclass(frozen=True, eq=False)
class Basis:
    """Covariates that all traits share, among everyone who has them.

    Attributes
    ----------
    columns
        bool (n,): those people.
    values
        float64 (n, k): an orthonormal basis of their intercept and covariates, 0 elsewhere.
    rounding
        float64 (n, k): what whole numbers for hard calls add to `values`.
    """

    columns: Mask
    values: Floats
    rounding: Floats


@dataclass(frozen=True, eq=False)
class People:
    """Some of the people of a basis, as the fewer of those who are and those who are not among them.

    Attributes
    ----------
    columns
        bool (n,): the people.
    part
        int32: positions of the fewer.
    left_out
        `part` are those who are not among the people.
    rounding
        float64 (k,): sum of the basis's rounding over the people.
    """

    columns: Mask
    part: npt.NDArray[np.int32]
    left_out: bool
    rounding: Floats

    @property
    def everyone(self) -> bool:
        """Whether these are all people of the basis."""
        return self.left_out and not len(self.part)


def people_of(basis: Basis, columns: Mask) -> People:
    """Find which are the fewer; `columns` bool (n,) are some of the basis's people."""
    inside, outside = np.flatnonzero(columns), np.flatnonzero(basis.columns & ~columns)
    left_out = len(outside) <= len(inside)
    part = (outside if left_out else inside).astype(np.int32)
    rounding = basis.rounding[part].sum(axis=0)
    return People(columns, part, left_out, basis.rounding.sum(axis=0) - rounding if left_out else rounding)


@dataclass(frozen=True, eq=False)
class RightSides:
    """What genotypes, and their squares, are multiplied with.

    Attributes
    ----------
    basis
        The first k columns.
    linear, squared
        float64 (n, …), any number of each: the columns after the basis, and those of the squares. Rows of
        samples outside an analysis are 0.
    """

    basis: Basis
    linear: tuple[Floats, ...]
    squared: tuple[Floats, ...]

    @property
    def k(self) -> int:
        """Columns of the basis."""
        return int(self.basis.values.shape[1])

    @cached_property
    def everyone(self) -> Mask:
        """bool (n,), all true."""
        whole = self.basis.columns
        return whole if whole.all() else np.ones(len(whole), dtype=bool)

    @cached_property
    def whole(self) -> tuple[of_calls.FixedPoint, of_calls.FixedPoint]:
        """Both as whole numbers, for hard calls."""
        nothing = np.zeros((len(self.basis.columns), 0))
        return (
            of_calls.FixedPoint.of((self.basis.values, *self.linear), 2, in_any_order=self.k),
            of_calls.FixedPoint.of((nothing, *self.squared), 4),
        )

    @cached_property
    def exact(self) -> tuple[Floats, Floats]:
        """Both side by side in double precision, for dosages."""
        nothing = np.zeros((len(self.basis.columns), 0))
        return np.column_stack([self.basis.values, *self.linear]), np.column_stack([nothing, *self.squared])


@dataclass(frozen=True, eq=False)
class Products:
    """Products of a block's oriented genotypes with the right sides; missing is 0.

    Attributes
    ----------
    on_basis
        float64 (m, k): with the basis, as rounded.
    linear, squared
        float64 (m, k + …) and (m, …).
    """

    on_basis: Floats
    linear: Floats
    squared: Floats


@dataclass(frozen=True, eq=False)
class Among:
    """What a block amounts to among some people of the basis.

    Attributes
    ----------
    calls
        Its genotypes.
    on_basis
        float64 (m, k): products with the shared basis, missing as 0.
    absent_on_basis
        float64 (m, k): sums of the shared basis over those without a genotype; None if not asked for.
    """

    calls: Calls
    on_basis: Floats
    absent_on_basis: Floats | None


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

    def products(self, flip: Mask, right: RightSides) -> Products:
        """Products of oriented genotypes, and of their squares."""
        ...

    def absent_sums(self, right: RightSides, columns: int) -> Floats:
        """Sums of the first columns of the right sides over those without a genotype: (m, columns)."""
        ...

    def among(
        self, people: People, flip: Mask, right: RightSides, products: Products, absent: Floats | None
    ) -> Among:
        """Bring what everyone amounts to, `products` and `absent_sums`, to some people."""
        ...

    def missing_sums(self, variants: Ints, columns: Floats) -> Floats:
        """Sums of columns (n, c) over those without a genotype: (v, c)."""
        ...

    def missing_cross_products(
        self, variants: Ints, basis: Floats, traits: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """Sums of q q', q y and y² over those without a genotype: (v, k, k), (v, k, t), (v, t)."""
        ...


def _calls(counts: Ints, flip: Mask) -> Calls:
    """From counts of 0, 1 and 2 copies of ALT and of missing calls, (m, 4)."""
    one, two = counts[:, 1], np.where(flip, counts[:, 0], counts[:, 2])
    called = counts[:, :3].sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (one + 2 * two) / called
        alt_frequency = (one + 2 * counts[:, 2]) / (2 * called)
    constant = (counts[:, :3] == called[:, None]).any(axis=1)
    squares = (one + 4 * two).astype(np.float64)
    return Calls(flip, called, counts[:, 3], mean, squares, alt_frequency, constant)


@dataclass(frozen=True, eq=False)
class PackedTile:
    """Hard calls: uint8 (m, bytes), PLINK 1 codes."""

    packed: npt.NDArray[np.uint8]
    counted: dict[int, tuple[Mask, Ints]] = field(default_factory=dict, kw_only=True)
    summarised: dict[tuple[int, int], tuple[Mask, Calls]] = field(default_factory=dict, kw_only=True)

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
        # mostly the same people are asked for again, by the same mask
        key = id(columns)
        if key not in self.counted:
            self.counted[key] = columns, count_genotypes(self.packed, columns)
        return self.counted[key][1]

    def _calls(self, columns: Mask, flip: Mask) -> Calls:
        key = id(columns), id(flip)
        if key not in self.summarised:
            self.summarised[key] = columns, _calls(self._counts(columns), flip)
        return self.summarised[key][1]

    def summarise(self, columns: Mask, flip: Mask) -> Calls:
        """See :class:`Tile`."""
        return self._described(self._calls(columns, flip), columns)

    def _described(self, found: Calls, columns: Mask) -> Calls:
        return found

    @cached_property
    def _by_word(self) -> npt.NDArray[np.uint64]:
        return of_calls.by_word(self.packed)

    @cached_property
    def _absent(self) -> of_calls.Absent:
        return of_calls.absent_calls(self._by_word)

    def products(self, flip: Mask, right: RightSides) -> Products:
        """See :class:`Tile`."""
        index = of_calls.combinations(self._by_word, flip)
        calls = self._calls(right.everyone, flip)
        linear, squared = right.whole
        rounded = linear.sums(index) * linear.unit
        return Products(
            rounded[:, : right.k].copy(),
            rounded - calls.imputed[:, None] * linear.drift,
            squared.products(index, calls.squares / np.maximum(calls.called, 1)),
        )

    def _missing(self, right: RightSides) -> bool:
        """Whether anybody lacks a genotype: looking for who does takes longer."""
        return bool(self._counts(right.everyone)[:, 3].any())

    def absent_sums(self, right: RightSides, columns: int) -> Floats:
        """See :class:`Tile`."""
        if not self._missing(right):
            return np.zeros((len(self), columns))
        whole = right.whole[0]
        return whole.absent_sums(self._absent, columns) * whole.unit[:columns]

    def among(
        self, people: People, flip: Mask, right: RightSides, products: Products, absent: Floats | None
    ) -> Among:
        """See :class:`Tile`.

        Whole numbers make the difference of everyone and those left out as exact as the sum of the others.
        """
        k, whole = right.k, right.whole[0]
        unit = whole.unit[:k]
        on_basis, missing = products.on_basis, None if absent is None else absent[:, :k]
        if not people.everyone:
            counts = self._counts(right.basis.columns)
            codes = of_calls.gathered(self._by_word, people.part)
            counts_part = of_calls.count_codes(codes, len(people.part))
            part = whole.sums(of_calls.combinations(codes, flip), k, people.part) * unit
            counts = counts - counts_part if people.left_out else counts_part
            on_basis = on_basis - part if people.left_out else part
            if missing is not None and self._missing(right):
                missing_part = whole.absent_sums(self._absent, k, people.part) * unit
                missing = missing - missing_part if people.left_out else missing_part
            calls = _calls(counts, flip)
        else:
            calls = self._calls(right.basis.columns, flip)
        on_basis = on_basis - calls.imputed[:, None] * people.rounding
        return Among(self._described(calls, people.columns), on_basis, missing)

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

    def products(self, flip: Mask, right: RightSides) -> Products:
        """See :class:`Tile`."""
        from gwas.kernels import dosage_products as of_dosages

        linear, squared = of_dosages.dosage_products(self.dosages, flip, *right.exact)
        return Products(linear[:, : right.k], linear, squared)

    def absent_sums(self, right: RightSides, columns: int) -> Floats:
        """See :class:`Tile`."""
        from gwas.kernels import dosage_products as of_dosages

        return of_dosages.absent_sums(self.dosages, np.arange(len(self)), right.exact[0][:, :columns])

    def among(
        self, people: People, flip: Mask, right: RightSides, products: Products, absent: Floats | None
    ) -> Among:
        """See :class:`Tile`."""
        from gwas.kernels import dosage_products as of_dosages

        on_basis, missing = products.on_basis, None if absent is None else absent[:, : right.k]
        if not people.everyone:
            dosages, basis = self.dosages[:, people.part], right.basis.values[people.part]
            part, _ = of_dosages.dosage_products(dosages, flip, basis, np.zeros((len(basis), 0)))
            on_basis = on_basis - part if people.left_out else part
            if missing is not None:
                missing_part = of_dosages.absent_sums(dosages, np.arange(len(self)), basis)
                missing = missing - missing_part if people.left_out else missing_part
        return Among(self.summarise(people.columns, flip), on_basis, missing)

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
