"""Records of a PGEN written and read as plainly as can be: truth for the loops that read them.

A record's truth is two alleles a sample (0 is REF, -1 in both is missing), and dosages where it has them. The
functions follow https://github.com/chrchang/plink-ng/tree/master/pgen_spec line by line, but for one (`id_width`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

MISSING = 3


class Refused(Exception):
    """A record that cannot be."""


# writing


def number(value: int, width: int) -> bytes:
    return int(value).to_bytes(width, "little")


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def pack(values: Sequence[int], bits: int) -> bytes:
    each = np.asarray(values, dtype=np.int64).reshape(-1, 1) >> np.arange(bits) & 1
    return np.packbits(each.astype(np.uint8).reshape(-1), bitorder="little").tobytes()


def id_width(n: int) -> int:
    """Bytes that hold ``n``: at 256, 65,536 and 2^24 samples PLINK 2 takes one more than the specification says."""
    return next(width for width in (1, 2, 3, 4) if n < 1 << (8 * width))


def difflist(samples: Sequence[int], n: int, calls: Sequence[int] | None = None) -> bytes:
    count = len(samples)
    if count == 0:
        return b"\0"
    groups = [list(map(int, samples[first : first + 64])) for first in range(0, count, 64)]
    steps = [b"".join(varint(b - a) for a, b in pairwise(group)) for group in groups]
    parts = [varint(count), *(number(group[0], id_width(n)) for group in groups)]
    parts.append(bytes(len(step) - 63 for step in steps[:-1]))
    if calls is not None:
        parts.append(pack(calls, 2))
    return b"".join([*parts, *steps])


def categories(alleles: np.ndarray) -> np.ndarray:
    copies = (alleles > 0).sum(axis=1)
    return np.where(alleles[:, 0] < 0, MISSING, copies)


def main_track(
    calls: np.ndarray, kind: int, base: np.ndarray | None = None, pair: int | None = None
) -> bytes:
    """Calls (0, 1, 2 or 3) by the low bits of a record type; ``pair`` is the first byte of type 1."""
    n = len(calls)
    if kind == 0:
        return pack(calls, 2)
    if kind == 1:
        if pair is None:
            low, high = sorted(np.argsort(-np.bincount(calls, minlength=4), kind="stable")[:2].tolist())
            pair = low * 4 + high - low
        low, high = pair >> 2, (pair >> 2) + (pair & 3)
        others = np.flatnonzero((calls != low) & (calls != high))
        return bytes([pair]) + pack(calls == high, 1) + difflist(others, n, calls[others])
    if kind in (2, 3):
        assert base is not None
        target = np.array([2, 1, 0, 3])[calls] if kind == 3 else calls
        others = np.flatnonzero(target != base)
        return difflist(others, n, target[others])
    others = np.flatnonzero(calls != (kind & 3))
    return difflist(others, n, calls[others])


def width_of(alts: int, limits: Sequence[tuple[int, int]]) -> int:
    return next(bits for most, bits in limits if alts <= most)


ONE_COPY = ((2, 0), (3, 1), (5, 2), (17, 4), (257, 8), (65537, 16), (1 << 24, 24))
TWO_COPIES = ((4, 2), (16, 4), (256, 8), (65536, 16), (1 << 24, 24))


def allele_track(alleles: np.ndarray, alts: int, forms: tuple[int, int]) -> bytes:
    """What ALTs other than the first the samples have; a form is 0 (bits), 1 (difflist) or 15 (none)."""
    n, calls = len(alleles), categories(alleles)
    high, low = alleles.max(axis=1), alleles.min(axis=1)
    out = [bytes([forms[0] | forms[1] << 4])]
    for category, form, told in ((1, forms[0], high > 1), (2, forms[1], high > 1)):
        patched = np.flatnonzero((calls == category) & told)
        if form == 15:
            assert len(patched) == 0
            continue
        whose = np.flatnonzero(calls == category)
        out.append(difflist(patched, n) if form == 1 else pack(np.isin(whose, patched), 1))
        if category == 1:
            bits = width_of(alts, ONE_COPY)
            out.append(pack(high[patched] - 2, bits) if bits else b"")
        elif alts == 2:
            out.append(pack(low[patched] == 2, 1))
        else:
            pairs = np.stack([low[patched] - 1, high[patched] - 1], axis=1).reshape(-1)
            out.append(pack(pairs, width_of(alts, TWO_COPIES)))
    return b"".join(out)


def phase_track(mixed: int, phased: np.ndarray | None, rng: np.random.Generator) -> bytes:
    """Phases of the samples with two alleles: bool (mixed,) which have one, or None where all do."""
    if phased is None:
        return pack([0, *rng.integers(0, 2, mixed)], 1)
    return pack([1, *phased.astype(int)], 1) + pack(rng.integers(0, 2, int(phased.sum())), 1)


def dosage_tracks(units: np.ndarray, form: int, phased: np.ndarray | None = None) -> bytes:
    """Dosages in 1/16384, -1 where none is stored; form 1 (difflist), 2 (all) or 3 (bits)."""
    n, there = len(units), np.flatnonzero(units >= 0)
    if form == 2:
        out = np.where(units < 0, 65535, units).astype("<u2").tobytes()
        return out if phased is None else out + np.zeros(n, dtype="<i2").tobytes()
    first = difflist(there, n) if form == 1 else pack(units >= 0, 1)
    out = first + units[there].astype("<u2").tobytes()
    if phased is None:
        return out
    return out + pack(phased[there].astype(int), 1) + bytes(2 * int(phased[there].sum()))


def write_pgen(
    path: Path, records: Sequence[tuple[int, bytes]], n: int, alts: Sequence[int] | None = None
) -> Path:
    """A standard PGEN (mode 0x10) of these types and bytes, its .pvar and .psam."""
    m = len(records)
    counts = [1] * m if alts is None else list(alts)
    width = 1 if max(counts) < 255 else 2
    blocks = [range(first, min(first + 65536, m)) for first in range(0, m, 65536)]
    start = 12 + 8 * len(blocks) + m * (5 + width)
    head = bytearray(b"\x6c\x1b\x10" + number(m, 4) + number(n, 4) + bytes([7 | width << 4 | 0x40]))
    ends = start + np.concatenate([[0], np.cumsum([len(data) for _, data in records], dtype=np.int64)])
    for block in blocks:
        head += number(int(ends[block.start]), 8)
    for block in blocks:
        head += bytes(records[k][0] for k in block)
        head += b"".join(number(len(records[k][1]), 4) for k in block)
        head += b"".join(number(counts[k] + 1, width) for k in block)
    assert len(head) == start
    path.write_bytes(bytes(head) + b"".join(data for _, data in records))
    names = [",".join("C" * (k + 1) for k in range(count)) for count in range(max(counts) + 1)]
    lines = [f"1\t{k + 1}\tv{k}\tA\t{names[count]}\n" for k, count in enumerate(counts)]
    path.with_suffix(".pvar").write_text("#CHROM\tPOS\tID\tREF\tALT\n" + "".join(lines))
    path.with_suffix(".psam").write_text("#IID\n" + "".join(f"p{k}\n" for k in range(n)))
    return path


# reading


class Bytes:
    """The bytes of one record, taken from its front."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        if self.at + count > len(self.data):
            raise Refused("short")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, width: int) -> int:
        return int.from_bytes(self.take(width), "little")

    def packed(self, count: int, bits: int) -> list[int]:
        whole = int.from_bytes(self.take((count * bits + 7) // 8), "little")
        if whole >> (count * bits):
            raise Refused("padded")
        return [whole >> (bits * k) & ((1 << bits) - 1) for k in range(count)]

    def varint(self) -> int:
        value = 0
        for shift in range(0, 35, 7):
            byte = self.number(1)
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise Refused("a number without end")

    def difflist(self, n: int, with_calls: bool) -> tuple[list[int], list[int]]:
        count = self.varint()
        if count > n:
            raise Refused("more samples than there are")
        if count == 0:
            return [], []
        groups = (count + 63) // 64
        firsts = [self.number(id_width(n)) for _ in range(groups)]
        sizes = [self.number(1) + 63 for _ in range(groups - 1)]
        calls = self.packed(count, 2) if with_calls else []
        samples: list[int] = []
        for group, first in enumerate(firsts):
            began = self.at
            samples.append(first)
            for _ in range(min(64, count - 64 * group) - 1):
                samples.append(samples[-1] + self.varint())
            if group < groups - 1 and self.at - began != sizes[group]:
                raise Refused("a group of another size")
        if any(a >= b for a, b in pairwise(samples)) or samples[-1] >= n:
            raise Refused("samples that do not increase or do not exist")
        return samples, calls


def read_main(source: Bytes, kind: int, n: int, base: np.ndarray | None) -> np.ndarray:
    if kind == 0:
        return np.array(source.packed(n, 2))
    common: set[int] = set()
    if kind == 1:
        pair = source.number(1)
        low, high = pair >> 2, (pair >> 2) + (pair & 3)
        if low == high or high > 3:
            raise Refused("not two calls")
        common = {high}
        calls = np.where(np.array(source.packed(n, 1), dtype=bool), high, low)
    elif kind in (2, 3):
        assert base is not None
        calls = base.copy()
    elif kind == 5:
        raise Refused("a type that is not known")
    else:
        calls = np.full(n, kind & 3)
    for sample, call in zip(*source.difflist(n, True), strict=True):
        if calls[sample] == call or call in common:
            raise Refused("no difference")
        calls[sample] = call
    return np.array([2, 1, 0, 3])[calls] if kind == 3 else calls


def read_alleles(source: Bytes, calls: np.ndarray, alts: int, kind: int) -> np.ndarray:
    """Two alleles a sample, -1 where missing."""
    alleles = np.array([[0, 0], [0, 1], [1, 1], [-1, -1]])[calls]
    if not kind & 8:
        return alleles
    forms = source.number(1)
    for category, form in ((1, forms & 15), (2, forms >> 4)):
        whose = np.flatnonzero(calls == category).tolist()
        if form == 0:
            told = source.packed(len(whose), 1)
            patched = [sample for sample, bit in zip(whose, told, strict=True) if bit]
        elif form == 1:
            patched, _ = source.difflist(len(calls), False)
            if not set(patched) <= set(whose):
                raise Refused("alleles of samples of another kind")
        elif form == 15:
            continue
        else:
            raise Refused("a form that is not known")
        if category == 1:
            others = source.packed(len(patched), width_of(alts, ONE_COPY)) if alts > 2 else [0] * len(patched)
            pairs = [(0, other + 2) for other in others]
        elif alts == 2:
            pairs = [(1 + bit, 2) for bit in source.packed(len(patched), 1)]
        else:
            flat = source.packed(2 * len(patched), width_of(alts, TWO_COPIES))
            pairs = [(a + 1, b + 1) for a, b in zip(flat[::2], flat[1::2], strict=True)]
        for sample, (low, high) in zip(patched, pairs, strict=True):
            if low > high or high > alts or high == 1:
                raise Refused("alleles that cannot be")
            alleles[sample] = low, high
    return alleles


def read_record(
    data: bytes, kind: int, n: int, alts: int, base: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Alleles int (n, 2) of a record, and its dosages float (n,), NaN where missing, if it holds any."""
    source = Bytes(data)
    alleles = read_alleles(source, read_main(source, kind & 7, n, base), alts, kind)
    if kind & 0x10:
        mixed = int((alleles[:, 0] != alleles[:, 1]).sum())
        size = (mixed + 8) // 8
        bits = source.packed(mixed + 1, 1)
        assert source.at >= size
        if bits[0]:
            source.packed(sum(bits) - 1, 1)
    form = kind >> 5 & 3
    if form == 0:
        if source.at != len(data):
            raise Refused("long")
        return alleles, None
    values = np.where(alleles[:, 0] < 0, np.nan, (alleles > 0).sum(axis=1))
    if form == 1:
        there, _ = source.difflist(n, False)
    elif form == 2:
        there = list(range(n))
    else:
        there = np.flatnonzero(source.packed(n, 1)).tolist()
    for sample in there:
        units = source.number(2)
        if form == 2 and units == 65535:
            if not np.isnan(values[sample]):
                raise Refused("a call without its dosage")
            continue
        if units > 32768:
            raise Refused("more than two copies")
        values[sample] = units / 16384
    if kind & 0x80:
        phased = [1] * n if form == 2 else source.packed(len(there), 1)
        source.take(2 * sum(phased))
    if source.at != len(data):
        raise Refused("long")
    return alleles, values
