"""Damaged VCF and BCF files: no crash, no hang, every cut refused, what passes is whole.

BGZF and gzip have checksums, so that no change of their bytes passes. A plain text has none: a changed digit is
another call, and what must hold is that nothing but values differ.
"""

from __future__ import annotations

import gzip
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from cohorts.errors import InputError
from gwas.genotypes import open_genotypes

N, M = 23, 30
Mutant = tuple[str, bytes]


@pytest.fixture
def whole(tmp_path: Path, vcf_files: ModuleType) -> dict[str, bytes]:
    lines = vcf_files.random_lines(np.random.default_rng(11), n_records=M, n_samples=N)
    path = tmp_path / "whole.vcf"
    path.write_text(vcf_files.text_of(lines, [f"s{i}" for i in range(N)]))
    binary = gzip.decompress(vcf_files.bcf_of(path).read_bytes())
    text = path.read_bytes()
    return {
        ".vcf": text,
        ".vcf.gz": vcf_files.bgzip(text, 2000),
        "-plain.vcf.gz": gzip.compress(text),
        ".bcf": vcf_files.bgzip(binary, 2000),
        "-raw.bcf": binary,
    }


def mutants(rng: np.random.Generator, data: bytes, count: int) -> Iterator[Mutant]:
    for _ in range(count):
        kind = ["flip", "byte", "zeros", "insert", "cut out", "append"][int(rng.integers(6))]
        at, size = int(rng.integers(len(data))), int(rng.integers(1, 40))
        broken = bytearray(data)
        if kind == "flip":
            broken[at] ^= 1 << int(rng.integers(8))
        elif kind == "byte":
            broken[at] = int(rng.integers(256))
        elif kind == "zeros":
            broken[at : at + size] = bytes(len(broken[at : at + size]))
        elif kind == "insert":
            broken[at:at] = rng.bytes(size)
        elif kind == "cut out":
            del broken[at : at + size]
        else:
            broken += rng.bytes(size)
        yield kind, bytes(broken)


def outcome(path: Path, data: bytes) -> str:
    """What comes of a file: refused in one line, or read whole."""
    path.write_bytes(data)
    told = None
    try:
        genotypes = open_genotypes(path)
        rows = np.arange(genotypes.n_variants)
        packed, dosages = genotypes.reader.read(rows), genotypes.reader.read_dosages(rows)
    except InputError as error:
        told = str(error)
    if told is not None:
        assert "\n" not in told
        assert path.name in told
        return "refused"
    assert packed.shape[0] == len(dosages) == genotypes.n_variants
    known = dosages[~np.isnan(dosages)]
    assert ((known >= 0) & (known <= 2)).all()
    return "read"


def run(folder: Path, whole: dict[str, bytes], rng: np.random.Generator, count: int) -> Counter:
    outcomes: Counter = Counter()
    for end, data in whole.items():
        assert outcome(folder / f"m{end}", data) == "read"
        for kind, broken in mutants(rng, data, count):
            began = time.perf_counter()
            outcomes[end, kind, outcome(folder / f"m{end}", broken) if broken != data else "same"] += 1
            assert time.perf_counter() - began < 5
    return outcomes


def check(outcomes: Counter) -> None:
    read = Counter({key[:2]: n for key, n in outcomes.items() if key[2] == "read"})
    # bytes of a gzip head that mean nothing (time, system) are outside of every checksum
    for end in (".vcf.gz", ".bcf"):
        assert sum(n for (e, _), n in read.items() if e == end) <= 0.02 * sum(
            n for (e, *_), n in outcomes.items() if e == end
        )
    for end in (".vcf", ".vcf.gz", "-plain.vcf.gz", ".bcf", "-raw.bcf"):
        assert read[end, "append"] == 0


def test_mutants_never_crash_hang_or_shorten(tmp_path: Path, whole: dict[str, bytes]) -> None:
    check(run(tmp_path, whole, np.random.default_rng(1), 300))


@pytest.mark.slow
def test_many_more_mutants(tmp_path: Path, whole: dict[str, bytes]) -> None:
    check(run(tmp_path, whole, np.random.default_rng(2), 4000))


def test_every_cut_is_refused(tmp_path: Path, whole: dict[str, bytes]) -> None:
    rng = np.random.default_rng(4)
    for end, data in whole.items():
        cuts = {*range(60), *range(len(data) - 60, len(data)), *rng.integers(0, len(data), 250).tolist()}
        for cut in sorted(cuts):
            # what ends behind a line, or behind a record without compression, is a whole file to anybody
            if end == ".vcf" and data[:cut].endswith(b"\n"):
                continue
            if end == "-raw.bcf" and cut in record_ends(data):
                continue
            assert outcome(tmp_path / f"c{end}", data[:cut]) == "refused", (end, cut)


def record_ends(bcf: bytes) -> set[int]:
    at = 9 + int.from_bytes(bcf[5:9], "little")
    ends = set()
    while at < len(bcf):
        at += 8 + sum(int.from_bytes(bcf[at + i : at + i + 4], "little") for i in (0, 4))
        ends.add(at)
    return ends


def test_blocks_lost_or_doubled_are_refused_or_whole_lines(
    tmp_path: Path, vcf_files: ModuleType, whole: dict[str, bytes]
) -> None:
    text = whole[".vcf"]
    blocks = [vcf_files.bgzip(text[i : i + 2000])[:-28] for i in range(0, len(text), 2000)]
    for lost in range(len(blocks)):
        data = b"".join(blocks[:lost] + blocks[lost + 1 :]) + vcf_files.END
        assert outcome(tmp_path / "l.vcf.gz", data) == "refused"


@pytest.mark.parametrize(
    "bomb", [b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\0"], ids=["all ones", "largest", "zero"]
)
def test_lengths_in_a_bcf_are_not_believed(
    tmp_path: Path, whole: dict[str, bytes], vcf_files: ModuleType, bomb: bytes
) -> None:
    data = whole["-raw.bcf"]
    begin = 9 + int.from_bytes(data[5:9], "little")
    for at in [5, *range(begin, begin + 60)]:
        broken = data[:at] + bomb + data[at + 4 :]
        if broken != data:
            outcome(tmp_path / "b.bcf", vcf_files.bgzip(broken))


@pytest.mark.parametrize("count", [1, 3])
def test_mutated_indexes_lose_nothing(
    tmp_path: Path, vcf_files: ModuleType, whole: dict[str, bytes], count: int
) -> None:
    path = tmp_path / "i.vcf.gz"
    path.write_bytes(whole[".vcf.gz"])
    expected = open_genotypes(path, regions=["22:200-300"]).variants
    index = vcf_files.index_of(path)
    data, rng = index.read_bytes(), np.random.default_rng(count)
    refused = 0
    for _ in range(100):
        broken = bytearray(data)
        for _ in range(count):
            broken[int(rng.integers(len(broken)))] ^= 1 << int(rng.integers(8))
        index.write_bytes(bytes(broken))
        try:
            assert open_genotypes(path, regions=["22:200-300"]).variants.equals(expected)
        except InputError:
            refused += 1
    assert refused > 80


def test_call_in_a_refusal_is_not_told(tmp_path: Path, whole: dict[str, bytes]) -> None:
    text = whole[".vcf"].replace(b"0/1", b"0/7", 1).replace(b"0|1", b"0|7", 1)
    path = tmp_path / "p.vcf"
    path.write_bytes(text)
    genotypes = open_genotypes(path)
    with pytest.raises(InputError) as caught:
        genotypes.reader.read(np.arange(genotypes.n_variants))
    assert "0/7" not in str(caught.value)
    assert "0|7" not in str(caught.value)
