"""Multiply packed genotypes with everything at once.

The right-hand sides (the covariates' basis, the residuals of every trait, the weights of every null model) are
brought to whole numbers, and the sums over 1,024 samples at a time fit 32 bits: adding whole numbers is exact in
any order, so that an answer depends neither on threads nor on blocks nor on the columns beside it. What the
rounding costs is below 1e-5 of a standard error (see :class:`FixedPoint`).

Each variant is oriented to its rarer allele before the product, so that sums are small numbers.
"""

from __future__ import annotations

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

_COMBINATIONS: Final = MachineCode("products_loops", "combinations", "uint64:2", "uint8:1", "uint64:2")
_MULTIPLY: Final = MachineCode(
    "products_loops", "multiply", "uint64:2", "int32:1", "int64", "int32:1", "int32:1", "int64:1"
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
    def of(cls, columns: Floats, highest: int) -> FixedPoint:
        """Bring float64 (n, c) to whole numbers for genotypes up to `highest` (2 or 4)."""
        n, c = columns.shape
        words, groups = -(-n // 32), -(-c // COLUMNS)
        chunk = 32 * CHUNK_WORDS
        edges = np.arange(0, max(n, 1), chunk)
        room = 2.0**31 / highest - chunk
        whole = _aligned(groups * 32 * words * COLUMNS)
        layout = whole.reshape(groups, 32 * words, COLUMNS)
        unit, drift = np.empty(c), np.empty(c)
        # a few columns at a time, as there may be thousands; always as many, so that sums have one order
        part = np.zeros((n, COLUMNS))
        for group in range(groups):
            here = columns[:, group * COLUMNS : (group + 1) * COLUMNS]
            used = here.shape[1]
            part[:, :used], part[:, used:] = here, 0.0
            most = np.add.reduceat(np.abs(part), edges, axis=0).max(axis=0) if n else np.zeros(COLUMNS)
            with np.errstate(divide="ignore"):
                power = np.floor(np.log2(np.where(most > 0, room / most, 1.0)))
            scaled = part * 2.0**power
            rounded = np.rint(scaled)
            layout[group, :n], layout[group, n:] = rounded, 0
            at = slice(group * COLUMNS, group * COLUMNS + used)
            unit[at] = 2.0 ** -power[:used]
            drift[at] = ((rounded - scaled).sum(axis=0) * 2.0**-power)[:used]
        return cls(whole, unit, drift, highest)

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
        m, c = index.shape[1], len(self.unit)
        groups = -(-c // COLUMNS)
        out = np.zeros(groups * m * COLUMNS, dtype=np.int64)
        if out.size:
            table = _aligned(8 * ENTRIES * COLUMNS)
            _MULTIPLY(index, self.whole, int(self.highest == 4), table, _aligned(m * COLUMNS), out)
        sums = out.reshape(groups, m, COLUMNS).transpose(1, 0, 2).reshape(m, groups * COLUMNS)[:, :c]
        return sums * self.unit - mean[:, None] * self.drift


def combinations(packed: npt.NDArray[np.uint8], flip: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint64]:
    """Number the combinations of copies in every four calls: uint64 (words, m), a byte each."""
    codes = as_words(packed)
    index = np.empty((codes.shape[1], codes.shape[0]), dtype=np.uint64)
    _COMBINATIONS(codes, flip.astype(np.uint8), index)
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
