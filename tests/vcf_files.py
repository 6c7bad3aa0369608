"""Small VCF, BCF and index files for tests."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import cyvcf2
import numpy as np

END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
HEADER = """##fileformat=VCFv4.3
##contig=<ID=chr22>
##contig=<ID=X>
##contig=<ID=7>
##INFO=<ID=R2,Number=1,Type=Float,Description="Quality, of imputation">
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
##FORMAT=<ID=DS,Number=A,Type=Float,Description="Dosage">
##FORMAT=<ID=GP,Number=G,Type=Float,Description="Probabilities">
##FORMAT=<ID=GQ,Number=1,Type=Integer,Description="Quality">
"""


def text_of(lines: Sequence[str], samples: Sequence[str], header: str = HEADER) -> str:
    """A VCF of lines whose columns are separated by blanks."""
    names = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *samples]
    return header + "".join("\t".join(line) + "\n" for line in [names, *(line.split() for line in lines)])


def bgzip(data: bytes, size: int = 0xFF00) -> bytes:
    """Compress as BGZF, ``size`` bytes a block."""
    blocks = []
    for start in range(0, len(data), size):
        piece = data[start : start + size]
        deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
        body = deflate.compress(piece) + deflate.flush()
        head = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0" + struct.pack("<H", len(body) + 25)
        blocks.append(head + body + struct.pack("<II", zlib.crc32(piece), len(piece)))
    return b"".join(blocks) + END


def bcf_of(vcf: Path) -> Path:
    """Write the BCF of a VCF with htslib."""
    path = vcf.with_suffix(".bcf")
    source = cyvcf2.VCF(str(vcf))
    target = cyvcf2.Writer(str(path), source, mode="wb")
    for record in source:
        target.write_record(record)
    target.close()
    source.close()
    return path


def random_lines(rng: np.random.Generator, *, n_records: int, n_samples: int) -> list[str]:
    """Records with GT, DS and GP of every kind: several alleles, haploid, half and missing calls."""
    lines = []
    for number in range(n_records):
        n_alt = int(rng.integers(1, 4))
        keys = [["GT"], ["GT", "DS"], ["GT", "GQ", "GP"], ["DS"], ["GT", "DS", "GP"]][int(rng.integers(5))]
        fields = []
        for _ in range(n_samples):
            ploidy = 1 if rng.random() < 0.1 and "DS" not in keys else 2
            alleles = rng.integers(0, n_alt + 1, ploidy)
            text = [str(a) if rng.random() > 0.05 else "." for a in alleles]
            n_gp = n_alt + 1 if ploidy == 1 else (n_alt + 1) * (n_alt + 2) // 2
            gp = rng.dirichlet(np.full(n_gp, 0.2)).round(3)
            values = {
                "GT": ("|" if rng.random() < 0.5 else "/").join(text),
                "DS": ",".join(f"{x:g}" for x in rng.uniform(0, 2, n_alt).round(3)),
                "GP": ",".join(f"{x:g}" for x in gp),
                "GQ": str(rng.integers(99)),
            }
            if rng.random() < 0.1:
                values["DS"] = values["GP"] = "."
            fields.append(":".join(values[key] for key in keys))
        alts = ",".join(("C", "G", "<DEL>")[:n_alt])
        place = f"chr22 {100 + 10 * number} rs{number} A {alts} . PASS R2=0.{number % 10}"
        lines.append(f"{place} {':'.join(keys)} {' '.join(fields)}")
    return lines


def index_of(vcf_gz: Path, suffix: str = ".tbi") -> Path:
    """Write a .tbi or a .csi of a small BGZF VCF whose chromosomes come one after another."""
    data, starts, at = b"", [], 0
    whole = vcf_gz.read_bytes()
    while at < len(whole):
        size = struct.unpack_from("<H", whole, at + 16)[0] + 1
        starts.append((len(data), at))
        data += zlib.decompress(whole[at + 18 : at + size - 8], -15)
        at += size

    def virtual(offset: int) -> int:
        begin, block = max(start for start in starts if start[0] <= offset)
        return block << 16 | (offset - begin)

    bins: dict[str, dict[int, list[tuple[int, int]]]] = {}
    offset = 0
    for line in data.splitlines(keepends=True):
        if not line.startswith(b"#"):
            chrom, pos, _, ref = line.split(b"\t", 4)[:4]
            begin, end = int(pos) - 1, int(pos) - 1 + len(ref)
            number = next(
                (
                    base + (begin >> bits)
                    for base, bits in ((4681, 14), (585, 17), (73, 20), (9, 23), (1, 26))
                    if begin >> bits == (end - 1) >> bits
                ),
                0,
            )
            stretch = (virtual(offset), virtual(offset + len(line)))
            bins.setdefault(chrom.decode(), {}).setdefault(number, []).append(stretch)
        offset += len(line)
    names = b"".join(name.encode() + b"\0" for name in bins)
    about = struct.pack("<7i", 2, 1, 2, 0, ord("#"), 0, len(names)) + names
    if suffix == ".tbi":
        out = b"TBI\1" + struct.pack("<i", len(bins)) + about
    else:
        out = b"CSI\1" + struct.pack("<3i", 14, 5, len(about)) + about + struct.pack("<i", len(bins))
    for contig in bins.values():
        out += struct.pack("<i", len(contig))
        for number, stretches in contig.items():
            first = [min(stretches)[0]] if suffix == ".csi" else []
            out += struct.pack("<IQi" if first else "<Ii", number, *first, len(stretches))
            out += b"".join(struct.pack("<QQ", *stretch) for stretch in stretches)
        out += b"" if suffix == ".csi" else struct.pack("<i", 0)
    path = vcf_gz.with_name(vcf_gz.name + suffix)
    path.write_bytes(bgzip(out))
    return path
