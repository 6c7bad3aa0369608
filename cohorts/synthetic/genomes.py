"""Genotypes: founder haplotypes with linkage disequilibrium, mosaics of them, and inheritance.

Variants come in blocks of a dozen within some 100 kb. Inside a block the founder haplotypes of one
ancestry follow a thresholded first-order autoregression of normals whose correlation decays with
distance, so that r² decays too; thresholds differ between ancestries (Balding and Nichols, 1995).
Recombination falls between the blocks, as it does in hotspots: a person of the first generation copies
founders and switches between them (Li and Stephens, 2003), a child copies parents.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from cohorts.synthetic.config import RegionConfig
from cohorts.synthetic.families import Pedigree
from cohorts.synthetic.people import ANCESTRY_SHARE

#: Chromosome lengths of GRCh38 in base pairs.
LENGTHS: dict[str, int] = {
    "1": 248_956_422,
    "2": 242_193_529,
    "3": 198_295_559,
    "4": 190_214_555,
    "5": 181_538_259,
    "6": 170_805_979,
    "7": 159_345_973,
    "8": 145_138_636,
    "9": 138_394_717,
    "10": 133_797_422,
    "11": 135_086_622,
    "12": 133_275_309,
    "13": 114_364_328,
    "14": 107_043_718,
    "15": 101_991_189,
    "16": 90_338_345,
    "17": 83_257_441,
    "18": 80_373_285,
    "19": 58_617_616,
    "20": 64_444_167,
    "21": 46_709_983,
    "22": 50_818_468,
    "X": 156_040_895,
    "Y": 57_227_415,
}
#: Part of each chromosome with variants: X and Y without the pseudo-autosomal regions.
_LIMITS = {"X": (3_000_000, 155_000_000), "Y": (3_000_000, 26_000_000)}
#: Founder haplotypes and drift (FST from the common ancestor) of the source populations.
FOUNDERS: dict[str, int] = {"eur": 1200, "sas": 500, "afr": 600, "eas": 400}
DRIFT: dict[str, float] = {"eur": 0.04, "sas": 0.04, "afr": 0.08, "eas": 0.07}
_BLOCK = 12
_STEP = 8_000
_LD_LENGTH = 150_000
_SEGMENT = 3_000_000
_CROSSOVER = 1e-8
MISSING = -9


@dataclass(frozen=True)
class GenomeMap:
    """Variants of the array, in file order.

    Attributes
    ----------
    variants
        Columns chrom, pos, id, ref, alt, cm, fault ('' | low_call | hwe | monomorphic).
    frequency
        (variants, source populations) ALT frequencies, in the order of `FOUNDERS`.
    block
        (variants,) label of the linkage block, rising.
    """

    variants: pd.DataFrame
    frequency: NDArray[np.float64]
    block: NDArray[np.int64]

    def by_ancestry(self) -> NDArray[np.float64]:
        """(variants, ancestries) ALT frequencies; the mixed are half European, half African."""
        at = {name: k for k, name in enumerate(FOUNDERS)}
        columns = [self.frequency[:, at[name]] for name in ("eur", "sas", "afr", "eas")]
        mixed = 0.5 * (columns[0] + columns[2])
        average = sum(share * col for share, col in zip(ANCESTRY_SHARE, [*columns, mixed], strict=False))
        return np.stack([*columns, mixed, np.asarray(average)], axis=1)

    def overall(self) -> NDArray[np.float64]:
        """(variants,) ALT frequency in the region as a whole."""
        return self.by_ancestry()[:, -1]


def make_map(config: RegionConfig) -> GenomeMap:
    """Place the variants and draw their frequencies."""
    rng = config.rng("map")
    counts = _counts(config.variants)
    parts: list[pd.DataFrame] = []
    blocks: list[NDArray[np.int64]] = []
    for chrom, count in counts.items():
        pos, block = _positions(chrom, count, rng)
        blocks.append(block + (blocks[-1][-1] + 1 if blocks else 0))
        parts.append(pd.DataFrame({"chrom": chrom, "pos": pos, "cm": np.round(pos * 1e-6, 5)}))
    variants = pd.concat(parts, ignore_index=True)
    n = len(variants)
    pairs = np.array(["AG", "GA", "CT", "TC", "AC", "CA", "GT", "TG", "AT", "CG"])
    drawn = rng.choice(pairs, n, p=[0.17, 0.17, 0.17, 0.17, 0.06, 0.06, 0.06, 0.06, 0.04, 0.04])
    variants["ref"] = [pair[0] for pair in drawn]
    variants["alt"] = [pair[1] for pair in drawn]
    variants["id"] = [
        f"{chrom}:{pos}:{ref}:{alt}"
        for chrom, pos, ref, alt in zip(
            *(variants[key] for key in ("chrom", "pos", "ref", "alt")), strict=True
        )
    ]
    kind = rng.random(n)
    minor = np.where(kind < 0.10, rng.uniform(0.006, 0.02, n), rng.uniform(0.1, 0.5, n))
    minor = np.where((kind >= 0.10) & (kind < 0.35), np.exp(rng.uniform(np.log(0.02), np.log(0.1), n)), minor)
    ancestral = np.where(rng.random(n) < 0.25, 1 - minor, minor)[:, None]
    spread = (1 - np.array(list(DRIFT.values()))) / np.array(list(DRIFT.values()))
    frequency = rng.beta(ancestral * spread, (1 - ancestral) * spread)
    fault = np.full(n, "", object)
    bad = rng.permutation(n)[: max(3, n // 100)]
    fault[bad] = rng.choice(np.array(["low_call", "hwe", "monomorphic"], object), len(bad), p=[0.5, 0.3, 0.2])
    variants["fault"] = fault
    return GenomeMap(
        variants[["chrom", "pos", "id", "ref", "alt", "cm", "fault"]],
        np.clip(frequency, 0.0005, 0.9995),
        np.concatenate(blocks),
    )


def _counts(total: int) -> dict[str, int]:
    """Variants on each chromosome: 2.5% on X, 0.1% on Y, autosomes by length."""
    counts = {"X": max(8, round(0.025 * total)), "Y": max(4, round(0.001 * total))}
    autosomes = [chrom for chrom in LENGTHS if chrom not in counts]
    edges = np.cumsum([0, *(LENGTHS[chrom] for chrom in autosomes)], dtype=float)
    steps = np.round(edges / edges[-1] * (total - sum(counts.values()))).astype(int)
    return {chrom: int(c) for chrom, c in zip(autosomes, np.diff(steps), strict=True) if c > 0} | counts


def _positions(
    chrom: str, count: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Distinct rising positions and their block labels."""
    low, high = _LIMITS.get(chrom, (1_000_000, LENGTHS[chrom] - 1_000_000))
    blocks = max(1, round(count / _BLOCK))
    block = np.sort(np.concatenate([np.arange(blocks), rng.integers(0, blocks, count - blocks)]))
    room = (high - low) / blocks
    start = low + room * np.arange(blocks)
    step = min(_STEP, room / (3 * _BLOCK))
    walk = np.cumsum(1 + rng.exponential(step, count))
    first = np.searchsorted(block, np.arange(blocks))
    within = walk - walk[first][block]
    # a long block is squeezed into its room, a short one is put somewhere within it
    length = np.maximum.reduceat(within, first)
    squeeze = np.minimum(1.0, 0.9 * room / np.maximum(length, 1))
    shift = rng.random(blocks) * (room * 0.95 - length * squeeze)
    pos = np.floor(start[block] + shift[block] + within * squeeze[block]).astype(np.int64)
    for k in range(1, count):
        if pos[k] <= pos[k - 1]:
            pos[k] = pos[k - 1] + 1
    return pos, block


def _founder_ranges() -> dict[str, tuple[int, int]]:
    edges = np.cumsum([0, *FOUNDERS.values()])
    return {name: (int(edges[k]), int(edges[k + 1])) for k, name in enumerate(FOUNDERS)}


class _Copying:
    """Which founder haplotype every gamete copies, walking from block to block along a chromosome."""

    def __init__(self, pedigree: Pedigree, chrom: str, rng: np.random.Generator) -> None:
        self.pedigree, self.chrom, self.rng = pedigree, chrom, rng
        self.founders = np.flatnonzero(pedigree.level == 0)
        self.levels = [
            np.flatnonzero(pedigree.level == k) for k in range(1, int(pedigree.level.max(initial=0)) + 1)
        ]
        ranges = _founder_ranges()
        eur, afr = ranges["eur"], ranges["afr"]
        pools = [(ranges[name], ranges[name]) for name in ("eur", "sas", "afr", "eas")] + [
            (eur, afr),
            (eur, eur),
        ]
        # two pools a person: the mixed copy either, by segment
        self.low = np.array([[a[0], b[0]] for a, b in pools])[pedigree.ancestry]
        self.size = np.array([[a[1] - a[0], b[1] - b[0]] for a, b in pools])[pedigree.ancestry]
        self.copied = np.zeros((len(pedigree), 2), np.int32)
        self.phase = rng.random((len(pedigree), 2)) < 0.5
        self._settle(np.ones((len(self.founders), 2), bool))

    def advance(self, gap: float) -> None:
        """Move on over `gap` base pairs."""
        switch = 1 - np.exp(-gap / _SEGMENT)
        crossed = 0.5 * (1 - np.exp(-2 * gap * _CROSSOVER))
        new = self.rng.random((len(self.founders), 2)) < switch
        if self.levels:
            self.phase ^= self.rng.random(self.phase.shape) < crossed
        self._settle(new)

    def _settle(self, new: NDArray[np.bool_]) -> None:
        rows, side = np.nonzero(new)
        who = self.founders[rows]
        pool = (self.rng.random(len(who)) < 0.5).astype(np.int64)
        pick = (self.rng.random(len(who)) * self.size[who, pool]).astype(np.int64)
        self.copied[who, side] = self.low[who, pool] + pick
        if self.chrom == "X":
            self._one_x(self.founders)
        for who in self.levels:
            mother, father = self.pedigree.mother[who], self.pedigree.father[who]
            self.copied[who, 0] = self.copied[mother, self.phase[who, 0].astype(np.int64)]
            paternal = (
                np.ones(len(who), np.int64) if self.chrom == "Y" else self.phase[who, 1].astype(np.int64)
            )
            self.copied[who, 1] = self.copied[father, paternal]
            if self.chrom == "X":
                self._one_x(who)

    def _one_x(self, who: NDArray[np.int64]) -> None:
        # a man's one X counts twice: the PLINK coding, and he can only pass that one on
        men = who[self.pedigree.male[who]]
        self.copied[men, 1] = self.copied[men, 0]


def genome_blocks(
    genome_map: GenomeMap, pedigree: Pedigree, config: RegionConfig
) -> Iterator[tuple[int, NDArray[np.int8]]]:
    """Error-free genotypes of all genomes, block by block in file order.

    Yields
    ------
    start : int
        Position of the block's first variant.
    dosages : int8, (variants of the block, genomes)
        ALT copies; on X men have 0 or 2; on Y men have 0 or 2 and women are missing (-9).
    """
    chroms = genome_map.variants["chrom"].to_numpy()
    first_of_chrom = np.flatnonzero(np.r_[True, chroms[1:] != chroms[:-1]])
    thresholds = ndtri(genome_map.frequency).astype(np.float32)
    pos = genome_map.variants["pos"].to_numpy()
    sizes = np.array(list(FOUNDERS.values()))
    for part, begin in enumerate(first_of_chrom):
        chrom = str(chroms[begin])
        end = int(first_of_chrom[part + 1]) if part + 1 < len(first_of_chrom) else len(chroms)
        rng = config.rng("chromosome", int(list(LENGTHS).index(chrom)))
        copying = _Copying(pedigree, chrom, rng)
        edges = np.flatnonzero(np.diff(genome_map.block[begin:end])) + 1 + begin
        latent = rng.standard_normal(int(sizes.sum()), dtype=np.float32)
        for start, stop in zip([begin, *edges], [*edges, end], strict=True):
            if start > begin and chrom != "Y":
                copying.advance(float(pos[start] - pos[start - 1]))
            alleles, latent = _founder_block(pos, start, stop, latent, thresholds, sizes, rng)
            if chrom == "Y":
                dosages = 2 * alleles[copying.copied[:, 1]].T
                dosages[:, ~pedigree.male] = MISSING
            else:
                dosages = (alleles[copying.copied[:, 0]] + alleles[copying.copied[:, 1]]).T
            yield int(start), np.ascontiguousarray(dosages)


def _founder_block(
    pos: NDArray[np.int64],
    start: int,
    stop: int,
    latent: NDArray[np.float32],
    thresholds: NDArray[np.float32],
    sizes: NDArray[np.int64],
    rng: np.random.Generator,
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """ALT alleles (founders, variants) of one block, and the latent normals at its end."""
    noise = rng.standard_normal((stop - start, len(latent)), dtype=np.float32)
    sign = rng.choice(np.array([-1, 1], np.float32), stop - start)
    alleles = np.empty((stop - start, len(latent)), np.int8)
    for k in range(stop - start):
        before = pos[start + k - 1] if start + k > 0 else 0
        gap = abs(int(pos[start + k]) - int(before))
        keep = np.float32(np.exp(-gap / _LD_LENGTH))
        latent = keep * latent + np.sqrt(1 - keep * keep) * noise[k]
        alleles[k] = sign[k] * latent < np.repeat(thresholds[start + k], sizes)
    return np.ascontiguousarray(alleles.T), latent
