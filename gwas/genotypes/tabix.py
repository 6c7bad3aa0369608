"""Where an index (.tbi or .csi) says that the records of a region lie in a BGZF file.

SAM specification, section 5, and the tabix and CSI format descriptions: bins of a tree over positions, each with
stretches of the file. Only whole stretches come back; what lies in them is judged by reading it.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cohorts.errors import InputError
from gwas.genotypes.byte_streams import open_stream
from gwas.genotypes.chromosomes import canonical_chromosome
from gwas.genotypes.options import Region

Stretch = tuple[int, int]
"""First virtual offset, and the one behind the last."""
_TBI: Final = b"TBI\1"
_CSI: Final = b"CSI\1"


@dataclass(frozen=True)
class TabixIndex:
    """An index that was read whole.

    Attributes
    ----------
    names
        Contigs as the file spells them; None where the index leaves them to the file (a BCF).
    bins
        For each contig, stretches by bin.
    shift, depth
        Bits of the smallest bin, and levels below the root.
    """

    names: tuple[str, ...] | None
    bins: tuple[dict[int, tuple[Stretch, ...]], ...]
    shift: int
    depth: int

    def first(self) -> int | None:
        """The virtual offset of the first record, or None if there is none."""
        starts = [
            stretch[0]
            for bins in self.bins
            for number, stretches in bins.items()
            for stretch in stretches
            if not self._is_count(number)
        ]
        return min(starts, default=None)

    def stretches(self, regions: Sequence[Region], names: Sequence[str]) -> list[Stretch]:
        """Stretches that hold every record in the regions, in file order, without overlap.

        Parameters
        ----------
        regions
            Canonical names of chromosomes.
        names
            Contigs in the index's order, as the file spells them.
        """
        found: set[Stretch] = set()
        for name, bins in zip(names, self.bins, strict=False):
            for region in regions:
                if region.chrom == canonical_chromosome(name):
                    wanted = self._bins(region)
                    found |= {
                        stretch
                        for number, stretches in bins.items()
                        for stretch in stretches
                        if not self._is_count(number) and any(number in level for level in wanted)
                    }
        merged: list[Stretch] = []
        for start, stop in sorted(found):
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(merged[-1][1], stop))
            else:
                merged.append((start, stop))
        return merged

    def _is_count(self, number: int) -> bool:
        """Whether a bin is the one that holds counts, not records."""
        return number > self._first_of_level(self.depth + 1)

    @staticmethod
    def _first_of_level(level: int) -> int:
        return ((1 << 3 * level) - 1) // 7

    def _bins(self, region: Region) -> list[range]:
        """Bins of every level that a region meets."""
        top = 1 << (self.shift + 3 * self.depth)
        start = min(region.start - 1, top - 1)
        stop = min(top if region.stop is None else region.stop, top)
        levels = []
        for level in range(self.depth + 1):
            bits = self.shift + 3 * (self.depth - level)
            base = self._first_of_level(level)
            levels.append(range(base + (start >> bits), base + ((max(stop, 1) - 1) >> bits) + 1))
        return levels


def blocks_of(stretches: Sequence[Stretch]) -> list[tuple[int, int]]:
    """File offsets of the blocks that hold stretches: of the first block, and one behind the last's."""
    parts: list[tuple[int, int]] = []
    for start, stop in stretches:
        first, end = start >> 16, (stop >> 16) + 1
        if parts and first < parts[-1][1]:
            parts[-1] = (parts[-1][0], max(end, parts[-1][1]))
        else:
            parts.append((first, end))
    return parts


def index_beside(path: Path) -> Path | None:
    """The index of a file: beside it and not older; an older one may be of another file and is left."""
    for end in (".tbi", ".csi"):
        index = path.with_name(path.name + end)
        if index.is_file() and index.stat().st_mtime_ns >= path.stat().st_mtime_ns:
            return index
    return None


def read_index(path: Path) -> TabixIndex:
    """Read a .tbi or .csi.

    Raises
    ------
    InputError
        If it cannot be read, is neither, or is damaged.
    """
    stream = open_stream(path)
    data = b"".join(piece for _, piece in stream.chunks(0))
    try:
        return _parse(data)
    except (struct.error, ValueError, UnicodeDecodeError, zlib.error) as error:
        raise InputError(
            "is not an index, or is damaged",
            where=path,
            expected="an index made by tabix or bcftools",
            fix="make the index again, or remove it",
        ) from error


def _parse(data: bytes) -> TabixIndex:
    names: tuple[str, ...] | None = None
    if data[:4] == _TBI:
        n_contigs, _, _, _, _, _, _, length = struct.unpack_from("<8i", data, 4)
        names, at, shift, depth = _names(data[36 : 36 + length]), 36 + length, 14, 5
    elif data[:4] == _CSI:
        shift, depth, length = struct.unpack_from("<3i", data, 4)
        if not (0 < shift < 32 and 0 <= depth < 16 and length >= 0):
            raise ValueError("bounds")
        if length >= 28:
            names = _names(data[16 + 28 : 16 + length])
        (n_contigs,) = struct.unpack_from("<i", data, 16 + length)
        at = 20 + length
    else:
        raise ValueError("magic")
    contigs = []
    for _ in range(n_contigs):
        bins, at = _contig(data, at, csi=data[:4] == _CSI)
        contigs.append(bins)
    if names is not None and len(names) != n_contigs:
        raise ValueError("names")
    return TabixIndex(names, tuple(contigs), shift, depth)


def _names(raw: bytes) -> tuple[str, ...]:
    return tuple(name.decode("utf-8") for name in raw.rstrip(b"\0").split(b"\0")) if raw else ()


def _contig(data: bytes, at: int, *, csi: bool) -> tuple[dict[int, tuple[Stretch, ...]], int]:
    (n_bins,) = struct.unpack_from("<i", data, at)
    at += 4
    bins: dict[int, tuple[Stretch, ...]] = {}
    head = struct.Struct("<IQi" if csi else "<Ii")
    for _ in range(n_bins):
        number, *_, n_stretches = head.unpack_from(data, at)
        at += head.size
        if n_stretches < 0 or at + 16 * n_stretches > len(data):
            raise ValueError("stretches")
        flat = struct.unpack_from(f"<{2 * n_stretches}Q", data, at)
        bins[number] = tuple(zip(flat[::2], flat[1::2], strict=True))
        at += 16 * n_stretches
    if not csi:
        (n_windows,) = struct.unpack_from("<i", data, at)
        if n_windows < 0:
            raise ValueError("windows")
        at += 4 + 8 * n_windows
        if at > len(data):
            raise ValueError("windows")
    return bins, at
