"""Genotypes as the bytes of a BGEN 1.2 or 1.3 file (layout 2, https://www.chg.ox.ac.uk/~gav/bgen_format/).

A dosage alone does not tell three probabilities. As in PLINK 2, the two nearest genotypes share them: d from 0
to 1 means P(heterozygous) = d and P(homozygous REF) = 1 - d; d from 1 to 2 means P(homozygous ALT) = d - 1 and
P(heterozygous) = 2 - d. The dosage read back is d, to the rounding of the chosen bits.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from gwas.genotypes.chromosomes import ploidy_class
from gwas.genotypes.descriptor import Genotypes
from gwas.genotypes.encode_text import haploid

Compression = Literal["zlib", "zstd"]

_COMPRESSION: Final = {"zlib": 1, "zstd": 2}
_LAYOUT_2: Final = 2 << 2
_SAMPLE_IDS: Final = 1 << 31
_MISSING: Final = 0x80


def bgen_bytes(
    genotypes: Genotypes, *, bits: Literal[8, 16] = 16, compression: Compression = "zlib"
) -> Iterator[bytes]:
    """Encode dosages, or hard calls as certain probabilities; REF is the first allele.

    Parameters
    ----------
    genotypes
        The selected samples and variants; their ``values`` say what is encoded.
    bits
        Bits of a probability: a dosage is exact to 1 / (2**bits - 1).
    compression
        ``zlib`` (BGEN 1.2) or ``zstd`` (BGEN 1.3).

    Yields
    ------
    bytes
        The file from its first byte on. Men on X, and everybody on Y and MT, are haploid, unless their dosage is
        that of a heterozygous call. Nothing is phased.

    Raises
    ------
    InputError
        If the genotypes cannot be read.
    """
    yield _head(genotypes, compression)
    squeeze = _squeezer(compression)
    kinds = ploidy_class(genotypes.variants["chrom"])
    single = {kind: haploid(kind, genotypes.samples["sex"]) for kind in set(kinds.tolist())}
    columns = ("chrom", "pos", "id", "ref", "alt")
    rows = genotypes.variants[list(columns)].itertuples(index=False)
    for dosages, kind in zip(_dosages(genotypes), kinds, strict=True):
        block = _probabilities(dosages, single[kind], bits)
        packed = squeeze(block)
        sizes = (len(packed) + 4).to_bytes(4, "little") + len(block).to_bytes(4, "little")
        yield _identity(*next(rows)) + sizes + packed


def _dosages(genotypes: Genotypes) -> Iterator[npt.NDArray[np.float32]]:
    if genotypes.values == "dosage":
        for exact in genotypes.dosage_blocks(256):
            yield from exact.dosages
        return
    for block in genotypes.blocks(256):
        calls = block.dosages()
        yield from np.where(calls < 0, np.float32(np.nan), calls.astype(np.float32))


def _head(genotypes: Genotypes, compression: Compression) -> bytes:
    names = [str(iid).encode() for iid in genotypes.samples["iid"]]
    listed = b"".join(len(name).to_bytes(2, "little") + name for name in names)
    listed = (8 + len(listed)).to_bytes(4, "little") + len(names).to_bytes(4, "little") + listed
    flags = _COMPRESSION[compression] | _LAYOUT_2 | _SAMPLE_IDS
    header = [20, genotypes.n_variants, len(names)]
    fields = b"".join(value.to_bytes(4, "little") for value in header)
    fields += b"bgen" + flags.to_bytes(4, "little")
    return (len(fields) + len(listed)).to_bytes(4, "little") + fields + listed


def _identity(chrom: str, pos: int, name: str, ref: str, alt: str) -> bytes:
    def text(value: str, size: int) -> bytes:
        encoded = value.encode()
        return len(encoded).to_bytes(size, "little") + encoded

    alleles = [text("." if allele == "0" else allele, 4) for allele in (ref, alt)]
    two = (2).to_bytes(2, "little")
    return (
        text(name, 2)
        + text(name, 2)
        + text(chrom, 2)
        + int(pos).to_bytes(4, "little")
        + two
        + b"".join(alleles)
    )


def _squeezer(compression: Compression) -> Callable[[bytes], bytes]:
    if compression == "zlib":
        return lambda block: zlib.compress(block, 6)
    import zstandard

    compress: Callable[[bytes], bytes] = zstandard.ZstdCompressor(level=6, write_checksum=True).compress
    return compress


def _probabilities(dosages: npt.NDArray[np.float32], single: npt.NDArray[np.bool_], bits: int) -> bytes:
    """One variant's uncompressed genotype block."""
    n, whole = len(dosages), (1 << bits) - 1
    absent = np.isnan(dosages)
    d = np.nan_to_num(dosages).astype(np.float64)
    # a heterozygous call of somebody with one allele has no place among haploid probabilities
    single = single & (d != 1)
    # what is left after rounding one probability goes to the other, so that the sum is exact
    part = np.rint(np.where(d <= 1, d, d - 1) * whole)
    pair = np.empty((n, 2))
    pair[:, 0] = np.where(single, whole - np.rint(d / 2 * whole), np.where(d <= 1, whole - part, 0))
    pair[:, 1] = np.where(d <= 1, part, whole - part)
    pair[absent] = 0
    stored = np.ones((n, 2), dtype=bool)
    stored[single, 1] = False
    ploidy = np.where(single, 1, 2).astype(np.uint8) | np.where(absent, _MISSING, 0).astype(np.uint8)
    limits = bytes([1 if single.any() else 2, 1 if single.all() else 2])
    numbers = pair[stored].astype("<u1" if bits == 8 else "<u2")
    head = n.to_bytes(4, "little") + (2).to_bytes(2, "little") + limits
    return head + ploidy.tobytes() + bytes([0, bits]) + numbers.tobytes()
