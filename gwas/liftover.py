"""Positions of one genome build on another, by a UCSC chain file.

A chain is a list of gapless blocks that two genomes share
(https://genome.ucsc.edu/goldenPath/help/chain.html). A position inside a block moves with it; where the other
genome is read on the reverse strand, its alleles are complemented.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from cohorts.errors import InputError
from gwas.genotypes.chromosomes import canonical_chromosome
from gwas.polygenic.matching import complement
from gwas.sumstats import UNKNOWN_POSITION, SumStats

I64 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

LIFT_REASONS: Final = {
    "no_position": "no position is known",
    "unmapped": "in no block of the chains",
    "multiple": "in blocks of several chains",
    "other_chromosome": "on another chromosome or contig there",
    "spans_a_gap": "its alleles reach over the end of a block",
    "indel_on_other_strand": "an insertion or deletion where the other genome is read backwards",
}
"""Why a row cannot be lifted over."""


@dataclass(frozen=True, eq=False)
class _Blocks:
    """Blocks of one chromosome by start; 0-based, half open, int64 except `reverse`."""

    start: I64
    end: I64
    offset: I64
    """0-based target = offset + source, or offset - source where reverse."""
    reverse: Bools
    chrom: npt.NDArray[np.object_]
    reach: I64
    """Furthest end of any block before this one."""


@dataclass(frozen=True, eq=False)
class Lifted:
    """Where positions came out.

    Attributes
    ----------
    chrom
        Canonical chromosome or contig, '' where unmapped.
    pos
        int64, 1-based, -1 where unmapped.
    reverse
        bool: the other genome's strand is the reverse.
    multiple
        bool: in several blocks.
    block_end
        int64, 1-based last source position of the block.
    """

    chrom: npt.NDArray[np.object_]
    pos: I64
    reverse: Bools
    multiple: Bools
    block_end: I64


@dataclass(frozen=True, eq=False)
class Chain:
    """Chains from one genome to another, by canonical chromosome of the first."""

    path: str
    blocks: Mapping[str, _Blocks]

    def lift(self, chrom: npt.NDArray[np.object_], pos: I64) -> Lifted:
        """Find where positions lie in the other genome.

        Parameters
        ----------
        chrom, pos
            Canonical chromosomes and 1-based positions, shape (n,).
        """
        n = len(pos)
        out = Lifted(
            np.full(n, "", dtype=object),
            np.full(n, UNKNOWN_POSITION, dtype=np.int64),
            np.zeros(n, dtype=np.bool_),
            np.zeros(n, dtype=np.bool_),
            np.zeros(n, dtype=np.int64),
        )
        for name in pd.unique(chrom):
            # The pseudo-autosomal part is a part of X.
            blocks = self.blocks.get("X" if name == "XY" else str(name))
            if blocks is None:
                continue
            rows = np.flatnonzero(chrom == name)
            zero = pos[rows] - 1
            at = np.searchsorted(blocks.start, zero, side="right") - 1
            inside = (at >= 0) & (zero < blocks.end[at])
            earlier = (at >= 0) & (zero < blocks.reach[at])
            out.multiple[rows] = inside & earlier
            for k in np.flatnonzero(earlier & ~inside):
                holding = np.flatnonzero((blocks.start <= zero[k]) & (zero[k] < blocks.end))
                out.multiple[rows[k]] = len(holding) > 1
                at[k], inside[k] = holding[-1], True
            rows, zero, at = rows[inside], zero[inside], at[inside]
            back = blocks.reverse[at]
            out.pos[rows] = np.where(back, blocks.offset[at] - zero, blocks.offset[at] + zero) + 1
            out.chrom[rows], out.reverse[rows] = blocks.chrom[at], back
            out.block_end[rows] = blocks.end[at]
        return out


def read_chain(path: str | Path) -> Chain:
    """Read a chain file, such as UCSC's ``hg19ToHg38.over.chain.gz``.

    Parameters
    ----------
    path
        Plain or gzipped text.

    Raises
    ------
    InputError
        Unreadable, cut short or not a chain file; with the line.
    """
    path = Path(path)
    opener = gzip.open if path.name.endswith((".gz", ".bgz")) else open
    found: dict[str, list[tuple[int, int, int, bool, str]]] = {}
    number = 0
    header: list[str] = []
    try:
        with opener(path, "rt", encoding="ascii") as handle:
            for number, line in enumerate(handle, 1):  # noqa: B007 (told in the error)
                words = line.split()
                if not words or words[0].startswith("#"):
                    continue
                if words[0] == "chain":
                    if header:
                        raise ValueError
                    header = words
                    name = canonical_chromosome(words[2])
                    there = canonical_chromosome(words[7])
                    source, target = int(words[5]), int(words[10])
                    size, reverse = int(words[8]), words[9] == "-"
                    if words[4] != "+" or words[9] not in "+-":
                        raise ValueError
                    continue
                length = int(words[0])
                if not header or length < 1:
                    raise ValueError
                offset = size - 1 - target + source if reverse else target - source
                found.setdefault(name, []).append((source, source + length, offset, reverse, there))
                if len(words) == 1:
                    if source + length != int(header[6]) or target + length != int(header[11]):
                        raise ValueError
                    header = []
                else:
                    source, target = source + length + int(words[1]), target + length + int(words[2])
        if header or not found:
            raise ValueError
    except (OSError, EOFError, zlib.error, ValueError, IndexError, UnicodeDecodeError) as error:
        raise InputError(
            "is not a whole chain file",
            where=f"{path}:{number}" if number else path,
            expected="'chain' lines, each followed by its blocks",
            fix="copy it again",
        ) from error
    return Chain(str(path), {name: _sorted_blocks(rows) for name, rows in found.items()})


def _sorted_blocks(rows: list[tuple[int, int, int, bool, str]]) -> _Blocks:
    rows = sorted(rows)
    start, end, offset = (np.array([row[k] for row in rows], dtype=np.int64) for k in range(3))
    reach = np.r_[0, np.maximum.accumulate(end)[:-1]]
    names = np.array([row[4] for row in rows], dtype=object)
    return _Blocks(start, end, offset, np.array([row[3] for row in rows]), names, reach)


@dataclass(frozen=True)
class LiftCounts:
    """What became of the rows: `rows` before, `kept` after, `reverse` of them with alleles complemented."""

    rows: int
    kept: int
    reverse: int
    reasons: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert self.rows == self.kept + sum(self.reasons.values()), "a row is not accounted for"

    def __add__(self, other: LiftCounts) -> LiftCounts:
        reasons = {
            key: self.reasons.get(key, 0) + other.reasons.get(key, 0)
            for key in LIFT_REASONS
            if key in self.reasons or key in other.reasons
        }
        return LiftCounts(
            self.rows + other.rows, self.kept + other.kept, self.reverse + other.reverse, reasons
        )

    def sentence(self) -> str:
        """All counts in one line."""
        out = "".join(f", {count} {reason}" for reason, count in self.reasons.items())
        return f"{self.rows} rows, {self.kept} lifted over ({self.reverse} on the other strand){out}"


def lift_over(sumstats: SumStats, chain: Chain, *, to_build: str) -> tuple[SumStats, LiftCounts]:
    """Move summary statistics to another genome build.

    Parameters
    ----------
    sumstats
        Rows without a position cannot be moved.
    chain
        From its build to the other.
    to_build
        Name of the other.

    Returns
    -------
    SumStats
        Rows that could be moved, in their order.
    LiftCounts
        The others by reason, see :data:`LIFT_REASONS`.

    Notes
    -----
    The mitochondrion stays as it is: GRCh37 and GRCh38 have the same (rCRS), while chrM of UCSC's hg19 is
    another sequence. A name is not looked at.

    Examples
    --------
    >>> import tempfile
    >>> from gwas.sumstats import FIELDS
    >>> file = Path(tempfile.mkdtemp()) / "a.chain"
    >>> _ = file.write_text("chain 1 chr1 100 + 0 50 chr1 200 - 10 60 1\\n50\\n\\n")
    >>> row = ("1", 5, "a", "A", "C", 0.1, 0.1, 0.5, 0.3, 90.0, 1.0)
    >>> stats, _ = lift_over(SumStats("t", pd.DataFrame([row], columns=FIELDS)), read_chain(file), to_build="new")
    >>> stats.frame[["pos", "effect_allele", "other_allele"]].values.tolist()
    [[186, 'T', 'G']]
    """
    frame = sumstats.frame
    chrom, pos = frame["chrom"].to_numpy(dtype=object), frame["pos"].to_numpy(dtype=np.int64)
    lifted = chain.lift(chrom, pos)
    longest = np.maximum(
        frame["effect_allele"].str.len().to_numpy(), frame["other_allele"].str.len().to_numpy()
    )
    same = (lifted.chrom == chrom) | ((chrom == "XY") & (lifted.chrom == "X"))
    stays = (chrom == "MT") & (pos > 0)
    faults = {
        "no_position": pos < 1,
        "unmapped": lifted.pos < 1,
        "multiple": lifted.multiple,
        "other_chromosome": ~same,
        "spans_a_gap": pos + longest - 1 > lifted.block_end,
        "indel_on_other_strand": lifted.reverse & (longest > 1),
    }
    kept = np.ones(len(frame), dtype=np.bool_)
    reasons: dict[str, int] = {}
    for reason, rows in faults.items():
        now = kept & rows & ~stays
        if now.any():
            reasons[reason] = int(now.sum())
        kept &= ~now
    turned = lifted.reverse & ~stays
    moved = frame.assign(pos=np.where(stays, pos, lifted.pos))
    for allele in ("effect_allele", "other_allele"):
        moved[allele] = moved[allele].where(~turned, complement(moved[allele]))
    result = replace(sumstats, frame=moved[kept].reset_index(drop=True), build=to_build)
    return result, LiftCounts(len(frame), int(kept.sum()), int((turned & kept).sum()), reasons)
