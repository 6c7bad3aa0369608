"""A small BGEN writer and a decoder in plain Python, written from the specification alone."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import combinations_with_replacement

import numpy as np
import zstandard

COMPRESSIONS = {"none": 0, "zlib": 1, "zstd": 2}


@dataclass
class Variant:
    """Per sample: ploidy, whether missing, and one whole-number distribution (phased: one a haplotype)."""

    alleles: Sequence[str]
    ploidies: Sequence[int]
    missing: Sequence[bool]
    distributions: Sequence[Sequence[Sequence[int]]]
    bits: int = 8
    phased: bool = False
    varid: str = "v1"
    rsid: str = "rs1"
    chrom: str = "1"
    pos: int = 100


@dataclass
class File:
    variants: Sequence[Variant]
    samples: Sequence[str] | None = None
    compression: str = "zlib"
    layout: int = 2
    gap: bytes = b""
    starts: list[int] = field(default_factory=list)

    @property
    def n(self) -> int:
        return len(self.variants[0].ploidies)

    def write(self) -> bytes:
        flags = COMPRESSIONS[self.compression] | self.layout << 2
        block = b""
        if self.samples is not None:
            flags |= 1 << 31
            ids = b"".join(struct.pack("<H", len(s.encode())) + s.encode() for s in self.samples)
            block = struct.pack("<II", 8 + len(ids), len(self.samples)) + ids
        head = struct.pack("<III", 20, len(self.variants), self.n) + b"bgen" + struct.pack("<I", flags)
        body = head + block + self.gap
        whole = struct.pack("<I", len(body)) + body
        self.starts = []
        for variant in self.variants:
            self.starts.append(len(whole))
            whole += self._variant(variant)
        return whole

    def _variant(self, variant: Variant) -> bytes:
        out = struct.pack("<I", self.n) if self.layout == 1 else b""
        for text in (variant.varid, variant.rsid, variant.chrom):
            out += struct.pack("<H", len(text.encode())) + text.encode()
        out += struct.pack("<I", variant.pos)
        if self.layout == 2:
            out += struct.pack("<H", len(variant.alleles))
        for allele in variant.alleles:
            out += struct.pack("<I", len(allele.encode())) + allele.encode()
        data = layout1(variant) if self.layout == 1 else layout2(variant)
        if self.compression == "none":
            return out + (data if self.layout == 1 else struct.pack("<I", len(data)) + data)
        packed = zlib.compress(data) if self.compression == "zlib" else zstandard.compress(data)
        if self.layout == 1:
            return out + struct.pack("<I", len(packed)) + packed
        return out + struct.pack("<II", len(packed) + 4, len(data)) + packed


def layout1(variant: Variant) -> bytes:
    rows = [
        [0, 0, 0] if gone else row[0]
        for row, gone in zip(variant.distributions, variant.missing, strict=True)
    ]
    return np.array(rows, dtype="<u2").tobytes()


def layout2(variant: Variant) -> bytes:
    number, at = 0, 0
    for row, gone in zip(variant.distributions, variant.missing, strict=True):
        for distribution in row:
            for part in distribution[:-1]:
                number |= (0 if gone else part) << at
                at += variant.bits
    states = bytes(p | 0x80 * gone for p, gone in zip(variant.ploidies, variant.missing, strict=True))
    head = struct.pack("<IH", len(states), len(variant.alleles))
    head += bytes([min(variant.ploidies), max(variant.ploidies)])
    return head + states + bytes([variant.phased, variant.bits]) + number.to_bytes((at + 7) // 8, "little")


def genotypes(n_alleles: int, ploidy: int) -> list[tuple[int, ...]]:
    """In colexicographic order."""
    return sorted(combinations_with_replacement(range(n_alleles), ploidy), key=lambda g: g[::-1])


def dosage(variant: Variant, sample: int, allele: int) -> float:
    """Copies of an allele on the scale of 0 to 2, from what the writer was given."""
    if variant.missing[sample]:
        return float("nan")
    top = 2**variant.bits - 1
    ploidy = variant.ploidies[sample]
    kinds = genotypes(len(variant.alleles), 1 if variant.phased else ploidy)
    total = sum(
        part * kind.count(allele)
        for distribution in variant.distributions[sample]
        for kind, part in zip(kinds, distribution, strict=True)
    )
    return float(np.float32(float(Fraction(total * 2, top * ploidy))))


def decode(data: bytes, n_samples: int, n_alleles: int, allele: int) -> list[float] | None:
    """Slow twin of the kernel; None where the block is not as the specification wants it."""
    if len(data) < 10 + n_samples or struct.unpack_from("<IH", data) != (n_samples, n_alleles):
        return None
    low, high = data[6], data[7]
    states, phased, bits = data[8 : 8 + n_samples], data[8 + n_samples], data[9 + n_samples]
    ploidies = [state & 63 for state in states]
    good = all(low <= p <= high and p in (1, 2) for p in ploidies)
    if not good or phased > 1 or not 1 <= bits <= 32:
        return None
    sizes = [
        [len(genotypes(n_alleles, 1))] * p if phased else [len(genotypes(n_alleles, p))] for p in ploidies
    ]
    needed = sum(bits * (size - 1) for row in sizes for size in row)
    if len(data) != 10 + n_samples + (needed + 7) // 8:
        return None
    stream = int.from_bytes(data[10 + n_samples :], "little")
    top = 2**bits - 1
    out = []
    for state, ploidy, row in zip(states, ploidies, sizes, strict=True):
        total = 0
        for size in row:
            parts = []
            for _ in range(size - 1):
                parts.append(stream & top)
                stream >>= bits
            parts.append(top - sum(parts))
            if parts[-1] < 0 and not state & 0x80:
                return None
            kinds = genotypes(n_alleles, 1 if phased else ploidy)
            total += sum(part * kind.count(allele) for kind, part in zip(kinds, parts, strict=True))
        share = np.float32(float(Fraction(total * 2, top * ploidy)))
        out.append(float("nan") if state & 0x80 else float(share))
    return out


def random_variant(
    rng: np.random.Generator,
    n: int,
    *,
    n_alleles: int = 2,
    bits: int = 8,
    phased: bool = False,
    haploid: float = 0.0,
    missing: float = 0.1,
    name: str = "1",
) -> Variant:
    top = 2**bits - 1
    ploidies = [1 if rng.random() < haploid else 2 for _ in range(n)]
    rows = []
    for ploidy in ploidies:
        shapes = [n_alleles] * ploidy if phased else [len(genotypes(n_alleles, ploidy))]
        row = []
        for size in shapes:
            cuts = sorted(int(rng.integers(0, top, endpoint=True)) for _ in range(size - 1))
            if rng.random() < 0.5:
                cuts = sorted(int(rng.choice([0, top])) for _ in range(size - 1))
            row.append([b - a for a, b in zip([0, *cuts], [*cuts, top], strict=True)])
        rows.append(row)
    return Variant(
        alleles=["A", "C", "GT", "T", "CAA", "N"][:n_alleles],
        ploidies=ploidies,
        missing=[bool(rng.random() < missing) for _ in range(n)],
        distributions=rows,
        bits=bits,
        phased=phased,
        varid=f"v{name}",
        rsid=f"rs{name}",
        pos=100 + len(name),
    )
