"""The variants of a whole-genome regression: which, how standardised, and their genotypes on every pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from cohorts.errors import DesignError
from gwas.genotypes import Genotypes
from gwas.kernels.packed import count_genotypes
from gwas.kernels.shrinkage_tiles import NO_DOSAGE, STEPS
from gwas.standardised import COPIES

Packed = npt.NDArray[np.uint8]
F32 = npt.NDArray[np.float32]

BLOCK: Final = 128
"""Variants updated together."""
READ: Final = 1024
HELD_BYTES: Final = 512 * 2**20
DOSAGE_BYTES: Final = 1 << 26
"""Dosages read at once."""
AUTOSOMES: Final = tuple(str(c) for c in range(1, 23))
_MISSING: Final = 1


@dataclass(frozen=True, eq=False)
class Panel:
    """Variants as the regression sees them.

    Attributes
    ----------
    genotypes
        People and the variants used, ordered by chromosome as in the file.
    rows
        int64 (m,): the variants' rows in the genotypes given.
    frequency
        float64 (m,): of ALT among the people.
    scale
        float64 (m,): what a centred count is divided by.
    values
        float32 (m, 4): standardised value of each code; missing is 0, the mean. Of dosages float32 (m, 2): mean,
        and inverse of the scale.
    chromosomes
        The chromosomes, in the file's order.
    blocks
        Chromosome, first and last row (half-open) of each block; a block never spans two chromosomes.
    skipped
        Reason → number of variants left out.
    """

    genotypes: Genotypes
    rows: npt.NDArray[np.int64]
    frequency: npt.NDArray[np.float64]
    scale: npt.NDArray[np.float64]
    values: F32
    chromosomes: tuple[str, ...]
    blocks: tuple[tuple[str, int, int], ...]
    skipped: Mapping[str, int]
    held: Packed | None

    @property
    def n(self) -> int:
        """People."""
        return self.genotypes.n_samples

    @property
    def m(self) -> int:
        """Variants."""
        return len(self.rows)

    @property
    def width(self) -> int:
        """Bytes of a row of packed calls; dosages take four times as many."""
        return (self.n + 3) // 4

    def passes(self) -> Iterator[tuple[str, int, int, Packed]]:
        """One pass over the blocks, with their calls or dosages (padding is coded missing)."""
        if self.held is not None:
            for chrom, first, last in self.blocks:
                yield chrom, first, last, self.held[first:last]
            return
        at, base = _rows(self.genotypes), 0
        calls = np.empty((0, _width(self.genotypes)), np.uint8)
        for chrom, first, last in self.blocks:
            while base + len(calls) < last:
                more = next(at)
                calls, base = np.concatenate([calls[first - base :], more]), first
            yield chrom, first, last, np.ascontiguousarray(calls[first - base : last - base])


def make_panel(genotypes: Genotypes, *, mac: float, alpha: float) -> Panel:
    """Choose and standardise variants.

    Parameters
    ----------
    genotypes
        People and candidate variants.
    mac
        Least number of minor alleles.
    alpha
        A variant explains variance in proportion to [2 p (1 - p)]^(1 + alpha) before anything is known of it:
        -1 the same for each, -0.25 as found for human traits (Speed et al. 2017, Nat Genet 49:986).

    Raises
    ------
    DesignError
        If no variant is left.
    """
    autosomal = np.asarray(np.isin(genotypes.variants["chrom"].to_numpy(dtype=object), AUTOSOMES))
    skipped: Counter[str] = Counter()
    if (~autosomal).any():
        skipped["not on an autosome"] = int((~autosomal).sum())
    rows = np.flatnonzero(autosomal).astype(np.int64)
    chosen = genotypes.select(variants=rows)
    n, width = genotypes.n_samples, _width(genotypes)
    sums = np.empty((len(rows), 3))
    held = np.empty((len(rows), width), np.uint8) if len(rows) * width <= HELD_BYTES else None
    done = 0
    for packed in _rows(chosen):
        here = slice(done, done + len(packed))
        sums[here] = _sums(packed, n, dosages=genotypes.values == "dosage")
        if held is not None:
            held[here] = packed
        done += len(packed)
    called, copies, squares = sums.T
    rare = np.minimum(copies, 2 * called - copies)
    for why, bad in (("no calls", called == 0), (f"minor allele count below {mac:g}", rare < max(mac, 1))):
        if (found := int((bad & (called > 0)).sum() if why != "no calls" else bad.sum())) > 0:
            skipped[why] = found
    good = (called > 0) & (rare >= max(mac, 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = copies / called
        variance = squares / n - mean**2 * called / n
    flat = good & ~(variance > 1e-6)
    if flat.any():
        skipped["low variance"] = int(flat.sum())
    good &= ~flat
    if not good.any():
        raise DesignError(
            "no variant is left for whole-genome regression",
            found=", ".join(f"{count} {why}" for why, count in skipped.items()) or "no variants",
            expected="autosomal variants that vary",
            fix="check the genotypes and filters",
        )
    # scarcely varying variants lose influence as alpha rises; the mean influence stays 1
    prior = (0.5 * mean[good] * (2.0 - mean[good])) ** (1.0 + alpha)
    scale = np.sqrt(variance[good] / (prior / prior.mean()))
    if genotypes.values == "dosage":
        table = np.column_stack([mean[good], 1.0 / scale])
    else:
        table = (COPIES[None, :] - mean[good, None]) / scale[:, None]
        table[:, _MISSING] = 0.0
    chrom = chosen.variants["chrom"].to_numpy(dtype=object)[good]
    return Panel(
        chosen.select(variants=good),
        rows[good],
        mean[good] / 2.0,
        scale,
        np.ascontiguousarray(table, dtype=np.float32),
        tuple(dict.fromkeys(chrom.tolist())),
        tuple(_blocks(chrom)),
        dict(skipped),
        None if held is None else (held if good.all() else held[good]),
    )


def _blocks(chrom: npt.NDArray[np.object_]) -> Iterator[tuple[str, int, int]]:
    edges = [0, *(np.flatnonzero(chrom[1:] != chrom[:-1]) + 1).tolist(), len(chrom)]
    for first, last in pairwise(edges):
        for start in range(first, last, BLOCK):
            yield str(chrom[start]), start, min(start + BLOCK, last)


def _width(genotypes: Genotypes) -> int:
    """Bytes of a row."""
    return -(-genotypes.n_samples // 4) * (4 if genotypes.values == "dosage" else 1)


def _rows(genotypes: Genotypes) -> Iterator[Packed]:
    """All rows, some at a time."""
    if genotypes.values == "dosage":
        size = min(READ, max(1, DOSAGE_BYTES // (4 * max(genotypes.n_samples, 1))))
        for exact in genotypes.dosage_blocks(size):
            yield _in_steps(exact.dosages, _width(genotypes))
    else:
        for block in genotypes.blocks(READ):
            yield _padded(block.packed_selected(), genotypes.n_samples)


def _in_steps(dosages: F32, width: int) -> Packed:
    """A byte for each dosage, padded as missing; whole numbers are exact."""
    out = np.full((len(dosages), width), NO_DOSAGE, dtype=np.uint8)
    for row, values in zip(out, dosages, strict=True):
        some = ~np.isnan(values)
        row[: len(values)][some] = np.rint(values[some] * np.float32(STEPS)).astype(np.uint8)
    return out


def _sums(packed: Packed, n: int, *, dosages: bool) -> npt.NDArray[np.float64]:
    """People with a genotype, their copies of ALT and the squares of these: float64 (m, 3)."""
    if not dosages:
        counts = count_genotypes(packed, np.ones(n, dtype=bool)).astype(np.float64)
        one, two = counts[:, 1], counts[:, 2]
        return np.column_stack([counts[:, :3].sum(axis=1), one + 2.0 * two, one + 4.0 * two])
    values = np.arange(256) / STEPS
    values[NO_DOSAGE] = 0.0
    weights = np.column_stack([np.arange(256) != NO_DOSAGE, values, values**2])
    return np.stack([np.bincount(row, minlength=256) @ weights for row in packed])


def _padded(packed: Packed, n: int) -> Packed:
    """Give the padding of the last byte the code of a missing call, so that it counts as 0."""
    spare = -n % 4
    if spare:
        packed = packed.copy()
        keep = np.uint8((1 << (2 * (4 - spare))) - 1)
        packed[:, -1] = (packed[:, -1] & keep) | (np.uint8(0b01010101) & ~keep)
    return np.ascontiguousarray(packed)


__all__ = ["BLOCK", "Panel", "make_panel"]
