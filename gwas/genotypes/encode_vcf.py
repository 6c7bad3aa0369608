"""Genotypes as the text of a VCF, and text as BGZF blocks.

Men on X, and everybody on Y and MT, have one allele; their DS runs from 0 to 1. A heterozygous call of somebody
who has one allele is written as it is, ``0/1``, with a DS from 0 to 2 (as PLINK 2 does). Phase is not known and
not written.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from gwas.genotypes.chromosomes import ploidy_class
from gwas.genotypes.descriptor import Genotypes
from gwas.genotypes.encode_text import haploid

_DIPLOID: Final = np.array([list(b"\t" + gt) for gt in (b"0/0", b"0/1", b"1/1", b"./.")], dtype=np.uint8)
_DIPLOID_TEXT: Final = np.array(["0/0", "0/1", "1/1", "./."], dtype=object)
_HAPLOID_TEXT: Final = np.array(["0", "0/1", "1", "."], dtype=object)

_GT: Final = '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">'
_DS: Final = '##FORMAT=<ID=DS,Number=A,Type=Float,Description="Dosage of the ALT allele">'

_BGZF_BLOCK: Final = 65280
BGZF_END: Final = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
"""The empty block that ends a BGZF file."""


def vcf_bytes(genotypes: Genotypes) -> Iterator[bytes]:
    """Encode hard calls (GT), and dosages (DS) where the genotypes' values are dosages.

    Parameters
    ----------
    genotypes
        The selected samples and variants.

    Yields
    ------
    bytes
        The text from its first line on, in VCF 4.3.

    Raises
    ------
    InputError
        If the genotypes cannot be read.
    """
    with_dosages = genotypes.values == "dosage"
    yield _head(genotypes, with_dosages).encode()
    kinds = ploidy_class(genotypes.variants["chrom"])
    single = {kind: haploid(kind, genotypes.samples["sex"]) for kind in set(kinds.tolist())}
    columns = ["chrom", "pos", "id", "ref", "alt"]
    shown = genotypes.variants[columns].replace({"ref": {"0": "N"}, "alt": {"0": "."}})
    rows = shown.itertuples(index=False, name=None)
    form = "GT:DS" if with_dosages else "GT"
    dosages = genotypes.dosage_blocks(256) if with_dosages else None
    for block in genotypes.blocks(256):
        calls = block.dosages()
        codes = np.where(calls < 0, 3, calls).astype(np.intp)
        exact = None if dosages is None else next(dosages).dosages
        lines: list[bytes] = []
        for row in range(block.n_variants):
            fixed = "\t".join(map(str, next(rows)))
            alone = single[kinds[block.start + row]]
            lines.append(f"{fixed}\t.\t.\t.\t{form}".encode())
            if exact is not None:
                lines.append(_calls_and_dosages(codes[row], exact[row], alone))
            elif alone.any():
                text = np.where(alone, _HAPLOID_TEXT[codes[row]], _DIPLOID_TEXT[codes[row]])
                lines.append(("\t" + "\t".join(text)).encode())
            else:
                lines.append(_DIPLOID[codes[row]].tobytes())
            lines.append(b"\n")
        yield b"".join(lines)


def _head(genotypes: Genotypes, with_dosages: bool) -> str:
    lines = ["##fileformat=VCFv4.3", "##source=careome"]
    lines += [f"##contig=<ID={name}>" for name in genotypes.variants["chrom"].unique()]
    lines += [_GT, _DS] if with_dosages else [_GT]
    fixed = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT"]
    return "\n".join([*lines, "\t".join([*fixed, *genotypes.samples["iid"]])]) + "\n"


def _calls_and_dosages(
    codes: npt.NDArray[np.intp], dosages: npt.NDArray[np.float32], alone: npt.NDArray[np.bool_]
) -> bytes:
    half = alone & (codes != 1)
    calls = np.where(half, _HAPLOID_TEXT[codes], _DIPLOID_TEXT[codes]).tolist()
    values = np.where(half, dosages / 2, dosages).tolist()
    cells = (
        f"\t{call}:{value:.7g}" if value == value else f"\t{call}:."
        for call, value in zip(calls, values, strict=True)
    )
    return "".join(cells).encode()


def bgzf(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Compress bytes as BGZF, which tabix and bcftools index: gzip members of at most 64 KiB.

    Parameters
    ----------
    chunks
        The bytes, cut anywhere.

    Yields
    ------
    bytes
        Blocks, then the end marker. The same bytes, however cut, give the same blocks.

    Examples
    --------
    >>> import gzip
    >>> gzip.decompress(b"".join(bgzf([b"#CHROM", b"\\tPOS"])))
    b'#CHROM\\tPOS'
    """
    waiting = bytearray()
    for chunk in chunks:
        waiting += chunk
        while len(waiting) >= _BGZF_BLOCK:
            yield _bgzf_block(bytes(waiting[:_BGZF_BLOCK]))
            del waiting[:_BGZF_BLOCK]
    if waiting:
        yield _bgzf_block(bytes(waiting))
    yield BGZF_END


def _bgzf_block(data: bytes) -> bytes:
    squeeze = zlib.compressobj(6, zlib.DEFLATED, -15)
    body = squeeze.compress(data) + squeeze.flush()
    head = struct.pack("<4BI2BH2BHH", 31, 139, 8, 4, 0, 0, 255, 6, 66, 67, 2, len(body) + 25)
    return head + body + struct.pack("<II", zlib.crc32(data), len(data))
