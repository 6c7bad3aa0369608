"""Multiply packed genotypes with everything at once.

The right-hand sides (the covariates' basis, the residuals of every trait, the weights of every null model) are
brought to whole numbers, and the sums over 1,024 samples at a time fit 32 bits: adding whole numbers is exact in
any order, so that an answer depends neither on threads nor on blocks nor on the columns beside it. What the
rounding costs is below 1e-5 of a standard error (see :class:`FixedPoint`).

Each variant is oriented to its rarer allele before the product, so that sums are small numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from gwas.kernels.machine_code import MachineCode
from gwas.kernels.packed import DECODE, as_words

Floats = npt.NDArray[np.float64]

COLUMNS: Final = 16
"""Columns that are multiplied side by side, int32 in one register."""
ENTRIES: Final = 81
"""Combinations of four genotypes."""
CHUNK_WORDS: Final = 32
"""Words of 32 samples whose products are summed in 32 bits."""

_ALT = np.where(DECODE < 0, 0, DECODE)
_REF = np.where(DECODE < 0, 0, 2 - DECODE)
ORIENTED: Final = np.stack([_ALT, _REF]).astype(np.float64)
"""float64 (2, 256, 4): copies of ALT, or of REF (for flipped variants), of a byte's calls; missing is 0."""

_MULTIPLY: Final = MachineCode(
    "products_loops", "multiply", "uint64:2", "int32:1", "int64", "int32:1", "int32:1", "int64:1"
)
_GATHER: Final = MachineCode("products_loops", "gather", "uint64:2", "int32:1", "uint64:2")
_COMBINE: Final = MachineCode("products_loops", "combine", "uint64:2", "uint8:1", "uint64:2")
_COUNT_CODES: Final = MachineCode("products_loops", "count_codes", "uint64:2", "int64", "int64:2")
_COUNT_ABSENT: Final = MachineCode("products_loops", "count_absent", "uint64:2", "int64:1")
_LIST_ABSENT: Final = MachineCode(
    "products_loops", "list_absent", "uint64:2", "int32:1", "int64:1", "int32:1"
)
_ADD_ABSENT: Final = MachineCode(
    "products_loops", "add_absent", "int64:1", "int32:1", "int32:1", "int32:1", "int64", "int64", "int64:1"
)
_SUM_MISSING: Final = MachineCode(
    "products_loops", "sum_missing", "uint64:2", "int64:1", "float64:2", "float64:2"
)
_CROSS_MISSING: Final = MachineCode(
    "products_loops",
    "cross_missing",
    "uint64:2",
    "int64:1",
    "float64:2",
    "float64:2",
    "float64:3",
    "float64:3",
    "float64:2",
)


@dataclass(frozen=True, eq=False)
class FixedPoint:
    """Right-hand sides of genotypes as whole numbers.

    Attributes
    ----------
    whole
        int32 flat (groups of 16 columns, samples padded to a multiple of 32, 16).
    unit
        float64 (c,): what a 1 stands for, a power of two.
    drift
        float64 (c,): by how much rounding moved the sum of each column.
    highest
        Largest value of a genotype, 2, or 4 for squares.

    Notes
    -----
    A column is scaled so that no sum over 1,024 samples can leave 32 bits. For a column of length 1 over n
    samples that rounds each number by at most 4e-7 / sqrt(n) where its parts are of one size, and never by more
    than 3e-8. As the drift is taken out at the genotypes' mean, only their spread meets these errors: a sum is off
    by some 1e-6 of its standard error, also where everyone but a few is heterozygous.
    """

    whole: npt.NDArray[np.int32]
    unit: Floats
    drift: Floats
    highest: int

    @classmethod
    def of(cls, columns: Floats | Sequence[Floats], highest: int, *, in_any_order: int = 0) -> FixedPoint:
        """Bring columns to whole numbers.

        Parameters
        ----------
        columns
            float64 (n, c), or several such side by side.
        highest
            Largest value of a genotype, 2 or 4.
        in_any_order
            In so many of the first columns no 1,024 samples at all may leave 32 bits, not only none that stand
            together: those of which :meth:`sums` of some samples are right.
        """
        parts = [columns] if isinstance(columns, np.ndarray) else list(columns)
        n, c = len(parts[0]), sum(part.shape[1] for part in parts)
        words, groups = -(-n // 32), -(-c // COLUMNS)
        chunk = 32 * CHUNK_WORDS
        edges = np.arange(0, max(n, 1), chunk)
        room = 2.0**31 / highest - chunk
        whole = _aligned(groups * 32 * words * COLUMNS)
        layout = whole.reshape(groups, 32 * words, COLUMNS)
        unit, drift = np.empty(c), np.empty(c)
        for group, (part, used) in enumerate(_side_by_side(parts)):
            size = np.abs(part)
            most = np.add.reduceat(size, edges, axis=0).max(axis=0) if n else np.zeros(COLUMNS)
            free = min(max(in_any_order - group * COLUMNS, 0), COLUMNS)
            if n and free:
                most[:free] = np.partition(size[:, :free], max(n - chunk, 0), axis=0)[-chunk:].sum(axis=0)
            with np.errstate(divide="ignore"):
                power = np.floor(np.log2(np.where(most > 0, room / most, 1.0)))
            scaled = part * 2.0**power
            rounded = np.rint(scaled)
            layout[group, :n], layout[group, n:] = rounded, 0
            at = slice(group * COLUMNS, group * COLUMNS + used)
            unit[at] = 2.0 ** -power[:used]
            drift[at] = ((rounded - scaled).sum(axis=0) * 2.0**-power)[:used]
        return cls(whole, unit, drift, highest)

    @property
    def _layout(self) -> npt.NDArray[np.int32]:
        return self.whole.reshape(-(-len(self.unit) // COLUMNS), -1, COLUMNS)

    def of_samples(self, samples: npt.NDArray[np.int32], columns: int) -> npt.NDArray[np.int32]:
        """The whole numbers of some samples in the first columns, in that order, laid out as `whole`."""
        layout = self._layout[: -(-columns // COLUMNS)]
        rows = 32 * -(-len(samples) // 32)
        found = _aligned(len(layout) * rows * COLUMNS)
        target = found.reshape(len(layout), rows, COLUMNS)
        for group in range(len(layout)):
            np.take(layout[group], samples, axis=0, out=target[group, : len(samples)], mode="clip")
        target[:, len(samples) :] = 0
        return found

    def values(self) -> Floats:
        """What the whole numbers stand for: float64 (samples, with padding; c)."""
        rows = self._layout.transpose(1, 0, 2).reshape(self._layout.shape[1], -1)
        return rows[:, : len(self.unit)] * self.unit

    def sums(
        self,
        index: npt.NDArray[np.uint64],
        columns: int | None = None,
        samples: npt.NDArray[np.int32] | None = None,
    ) -> npt.NDArray[np.int64]:
        """Products in whole numbers.

        Parameters
        ----------
        index
            uint64 (words, m) from :func:`combinations`.
        columns
            How many of the first columns are wanted; None for all.
        samples
            int32 (s,): whose calls `index` is of, from :func:`gathered`; None for all.

        Returns
        -------
        ndarray of int64 (m, columns)
            In :attr:`unit`; a missing call counts 0.
        """
        m = index.shape[1]
        columns = len(self.unit) if columns is None else columns
        groups = -(-columns // COLUMNS)
        out = np.zeros(groups * m * COLUMNS, dtype=np.int64)
        if out.size:
            table = _aligned(8 * ENTRIES * COLUMNS)
            right = self.whole if samples is None else self.of_samples(samples, columns)
            _MULTIPLY(index, right, int(self.highest == 4), table, _aligned(m * COLUMNS), out)
        return self._by_variant(out, m)[:, :columns]

    @staticmethod
    def _by_variant(out: npt.NDArray[np.int64], m: int) -> npt.NDArray[np.int64]:
        groups = len(out) // (m * COLUMNS) if m else 0
        return out.reshape(groups, m, COLUMNS).transpose(1, 0, 2).reshape(m, groups * COLUMNS)

    def products(self, index: npt.NDArray[np.uint64], mean: Floats) -> Floats:
        """Products of genotypes with the columns.

        Parameters
        ----------
        index
            uint64 (words, m) from :func:`combinations`.
        mean
            float64 (m,): about what the genotypes, or their squares, are on average.

        Returns
        -------
        ndarray of float64 (m, c)
            Sums over samples; a missing call counts 0.
        """
        return self.sums(index) * self.unit - mean[:, None] * self.drift

    def absent_sums(
        self, absent: Absent, columns: int, samples: npt.NDArray[np.int32] | None = None
    ) -> npt.NDArray[np.int64]:
        """Sum the first columns over samples whose call is missing.

        Parameters
        ----------
        absent
            Who has no call, from :func:`absent_calls`.
        columns
            How many columns are wanted.
        samples
            Samples that count; None for all.

        Returns
        -------
        ndarray of int64 (m, columns)
            In :attr:`unit`.
        """
        groups = -(-columns // COLUMNS)
        out = np.zeros(groups * absent.variants * COLUMNS, dtype=np.int64)
        if out.size and len(absent.rows):
            if samples is None:
                samples = np.arange(len(absent.first) - 1, dtype=np.int32)
            stride = self._layout.shape[1] * COLUMNS
            _ADD_ABSENT(absent.first, absent.rows, samples, self.whole, stride, absent.variants, out)
        return self._by_variant(out, absent.variants)[:, :columns]


def _side_by_side(parts: Sequence[Floats]) -> Iterator[tuple[Floats, int]]:
    """Sixteen columns at a time, zeros where there are no more, and how many there are.

    There may be thousands; and as it is always as many, sums have one order.
    """
    room, used = np.zeros((len(parts[0]), COLUMNS)), 0
    for part in parts:
        at = 0
        while at < part.shape[1]:
            step = min(COLUMNS - used, part.shape[1] - at)
            room[:, used : used + step] = part[:, at : at + step]
            at, used = at + step, used + step
            if used == COLUMNS:
                yield room, used
                used = 0
    if used:
        room[:, used:] = 0.0
        yield room, used


@dataclass(frozen=True, eq=False)
class Absent:
    """Variants without a call, sample by sample.

    Attributes
    ----------
    first
        int64 (n + 1,): where each sample's variants start in `rows`.
    rows
        int32: variants.
    variants
        How many variants there are.
    """

    first: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int32]
    variants: int


def absent_calls(codes: npt.NDArray[np.uint64]) -> Absent:
    """List missing calls by sample; `codes` uint64 (words, m) from :func:`by_word`."""
    words, m = codes.shape
    total = np.empty(1, dtype=np.int64)
    _COUNT_ABSENT(codes, total)
    first, rows = np.zeros(32 * words + 1, dtype=np.int64), np.empty(int(total[0]), dtype=np.int32)
    _LIST_ABSENT(codes, np.empty(32 * m, dtype=np.int32), first, rows)
    return Absent(first, rows, m)


def by_word(packed: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """Packed calls, uint8 (m, bytes), as words of 32 samples: uint64 (words, m)."""
    return np.ascontiguousarray(as_words(packed).T)


def gathered(codes: npt.NDArray[np.uint64], samples: npt.NDArray[np.int32]) -> npt.NDArray[np.uint64]:
    """The calls of some samples, in that order.

    Parameters
    ----------
    codes
        uint64 (words, m) from :func:`by_word`.
    samples
        int32 (s,).

    Returns
    -------
    ndarray of uint64 (ceil(s / 32), m)
        What is left of the last word is the code of no copies.
    """
    words, spare = -(-len(samples) // 32), -len(samples) % 32
    out = np.zeros((words, codes.shape[1]), dtype=np.uint64)
    if spare:
        out[-1] = np.uint64(2**64 - 2 ** (64 - 2 * spare))
    _GATHER(codes, samples, out)
    return out


def count_codes(codes: npt.NDArray[np.uint64], samples: int) -> npt.NDArray[np.int64]:
    """Count gathered calls: int64 (m, 4), samples with 0, 1 and 2 copies of ALT, and with a missing call."""
    out = np.zeros((4, codes.shape[1]), dtype=np.int64)
    _COUNT_CODES(codes, samples, out)
    return out.T


def combinations(codes: npt.NDArray[np.uint64], flip: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint64]:
    """Number the combinations of copies in every four calls: uint64 (words, m), a byte each.

    Parameters
    ----------
    codes
        uint64 (words, m) from :func:`by_word` or :func:`gathered`.
    flip
        bool (m,): REF is counted.
    """
    index = np.empty_like(codes)
    _COMBINE(codes, flip.astype(np.uint8), index)
    return index


def _aligned(size: int) -> npt.NDArray[np.int32]:
    """Room for int32 that starts where a cache line does: entries must not straddle two."""
    room = np.empty(size + COLUMNS, dtype=np.int32)
    first = (-room.ctypes.data // 4) % COLUMNS
    return room[first : first + size]


def missing_sums(packed: npt.NDArray[np.uint8], variants: npt.NDArray[np.int64], columns: Floats) -> Floats:
    """Sum the columns over the samples whose call is missing.

    Parameters
    ----------
    packed
        uint8 (m, ceil(n / 4)).
    variants
        int64 (v,): rows of `packed` to look at (those with missing calls).
    columns
        float64 (n, c).

    Returns
    -------
    ndarray of float64 (v, c)
    """
    out = np.zeros((len(variants), columns.shape[1]))
    _SUM_MISSING(as_words(packed), variants, np.ascontiguousarray(columns), out)
    return out


def missing_cross_products(
    packed: npt.NDArray[np.uint8], variants: npt.NDArray[np.int64], basis: Floats, traits: Floats
) -> tuple[Floats, Floats, Floats]:
    """Cross products over the samples whose call is missing: what complete-case analysis takes away.

    Parameters
    ----------
    packed
        uint8 (m, ceil(n / 4)).
    variants
        int64 (v,): rows of `packed` to look at.
    basis
        float64 (n, k): covariates' basis, 0 outside the analysed samples.
    traits
        float64 (n, t): residuals, 0 outside.

    Returns
    -------
    float64 (v, k, k), (v, k, t), (v, t)
        Sums of q q', q y and y² over the missing samples of each variant.
    """
    v, k, t = len(variants), basis.shape[1], traits.shape[1]
    qq, qy, yy = np.zeros((v, k, k)), np.zeros((v, k, t)), np.zeros((v, t))
    given = np.ascontiguousarray(basis), np.ascontiguousarray(traits)
    _CROSS_MISSING(as_words(packed), variants, *given, qq, qy, yy)
    return qq, qy, yy
