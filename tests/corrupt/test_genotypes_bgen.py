"""Thousands of damaged BGENs: each is refused in one line or read, never a crash, a hang or a huge allocation."""

from __future__ import annotations

import importlib.util
import struct
import sys
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cohorts.errors import InputError
from gwas.genotypes import open_genotypes
from gwas.genotypes.bgen_index import read_identity

_SPEC = importlib.util.spec_from_file_location("bgen_files", Path(__file__).parents[1] / "bgen_files.py")
assert _SPEC is not None
assert _SPEC.loader is not None
bgen_files = importlib.util.module_from_spec(_SPEC)
sys.modules["bgen_files"] = bgen_files
_SPEC.loader.exec_module(bgen_files)

KINDS = [("none", 2), ("zlib", 2), ("zstd", 2), ("none", 1), ("zlib", 1)]
N = 11


def make(compression: str, layout: int) -> tuple[bytes, np.ndarray]:
    """A file, and of each byte the part it belongs to: header, names, identity, lengths or data."""
    rng = np.random.default_rng(11)
    if layout == 1:
        variants = [
            bgen_files.Variant(
                ["A", "C"], [2] * N, [False] * N,
                np.rint(rng.dirichlet([0.4] * 3, N) * 32768).astype(int)[:, None].tolist(), rsid=f"rs{j}",
            )
            for j in range(4)
        ]  # fmt: skip
    else:
        variants = [
            bgen_files.random_variant(
                rng, N, name=str(j), bits=bits, n_alleles=k, phased=phased, haploid=haploid
            )
            for j, (bits, k, phased, haploid) in enumerate(
                [(8, 2, False, 0), (16, 2, True, 0), (8, 3, False, 0.3), (11, 2, True, 0.5)]
            )
        ]
    file = bgen_files.File(variants, [f"p{i}" for i in range(N)], compression, layout)
    whole = file.write()
    part = np.full(len(whole), "data", dtype="<U8")
    part[: file.starts[0]] = "names"
    part[:24] = "header"
    part[24 : 24 + 8] = "header"
    for start in file.starts:
        identity = read_identity(whole, start, layout)
        assert identity is not None
        part[start : identity.end] = "identity"
        lengths = (
            0 if (layout, compression) == (1, "none") else 4 if layout == 1 or compression == "none" else 8
        )
        part[identity.end : identity.end + lengths] = "lengths"
    return whole, part


@pytest.fixture(scope="module", autouse=True)
def compiled(tmp_path_factory) -> None:
    """Kernels are compiled before anything is timed."""
    for compression, layout in KINDS:
        path = tmp_path_factory.mktemp("warm") / "s.bgen"
        path.write_bytes(make(compression, layout)[0])
        genotypes = open_genotypes(path)
        genotypes.read_dosage_block(0, genotypes.n_variants)
        genotypes.read_block(0, genotypes.n_variants)


def outcome(path: Path, content: bytes) -> tuple[str, bytes, bytes]:
    """``refused``, or ``read`` with the names and tables and the dosages and calls."""
    path.write_bytes(content)
    began = time.process_time()
    try:
        genotypes = open_genotypes(path)
        m = genotypes.n_variants
        values = (
            genotypes.read_dosage_block(0, m).dosages.tobytes() + genotypes.read_block(0, m).packed.tobytes()
        )
        words = genotypes.samples.to_csv() + genotypes.variants.to_csv()
    except InputError as error:
        message = str(error)
        return ("refused" if str(path) in message and "\n" not in message else "badly refused"), b"", b""
    finally:
        assert time.process_time() - began < 2, "works too long"
    return "read", words.encode(), values


def mutants(whole: bytes, rng: np.random.Generator) -> Iterator[tuple[int, int, bytes]]:
    """First and last byte that may differ, and the damaged file."""
    for _ in range(350):
        at, bit = int(rng.integers(len(whole))), int(rng.integers(8))
        changed = bytearray(whole)
        changed[at] ^= 1 << bit
        yield at, at, bytes(changed)
    for _ in range(100):
        at, length = int(rng.integers(len(whole))), int(rng.integers(1, 40))
        yield at, at + length - 1, whole[:at] + bytes(len(whole[at : at + length])) + whole[at + length :]
    for _ in range(50):
        at = int(rng.integers(len(whole) - 4))
        noise = rng.integers(0, 256, 4, dtype=np.uint8).tobytes()
        yield at, at + 3, whole[:at] + noise + whole[at + 4 :]


@pytest.mark.parametrize(("compression", "layout"), KINDS)
def test_damage_is_refused_or_confined_to_what_no_checksum_covers(compression, layout, tmp_path):
    whole, part = make(compression, layout)
    clean = outcome(tmp_path / "s.bgen", whole)
    assert clean[0] == "read"
    counts = {"refused": 0, "unchanged": 0, "words": 0, "values": 0}
    for first, last, content in mutants(whole, np.random.default_rng(layout)):
        got = outcome(tmp_path / "s.bgen", content)
        parts = set(part[first : last + 1])
        assert got[0] != "badly refused"
        if got[0] == "refused":
            counts["refused"] += 1
        elif got[2] != clean[2]:
            counts["values"] += 1
            # zlib has a checksum; the other data have none
            assert compression != "zlib"
            assert "data" in parts
        elif got[1] != clean[1]:
            counts["words"] += 1
            assert parts & {"identity", "names"}
        else:
            counts["unchanged"] += 1
    assert sum(counts.values()) == 500
    assert counts["refused"] >= 100
    assert counts["words"] > 0


@pytest.mark.parametrize(("compression", "layout"), KINDS)
def test_every_shortened_or_lengthened_file_is_refused_when_it_is_opened(compression, layout, tmp_path):
    whole, _ = make(compression, layout)
    path = tmp_path / "s.bgen"
    tails = [whole + bytes(length) for length in (1, 2, 7, 500)] + [whole + b"\n", whole + whole[-50:]]
    for content in [whole[:length] for length in range(len(whole))] + tails:
        path.write_bytes(content)
        with pytest.raises(InputError):
            open_genotypes(path)


@pytest.mark.parametrize("compression", ["zlib", "zstd"])
def test_no_length_in_a_file_makes_it_allocate_more_than_the_file_can_fill(compression, tmp_path):
    whole, part = make(compression, 2)
    outcome(tmp_path / "s.bgen", whole)
    places = np.flatnonzero(np.isin(part, ["header", "identity", "lengths"]))

    def allocated(content):
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        outcome(tmp_path / "s.bgen", content)
        return tracemalloc.get_traced_memory()[1] - before

    tracemalloc.start()
    try:
        for at in places.tolist():
            for value in (0xFFFFFFFF, 0x10000000):
                content = (whole[:at] + struct.pack("<I", value) + whole[at + 4 :])[: len(whole)]
                # the first to come where nobody has been may import or compile something: it is asked again
                assert allocated(content) < 4 << 20 or allocated(content) < 4 << 20
    finally:
        tracemalloc.stop()


def test_a_bomb_is_not_inflated(tmp_path):
    import zlib

    whole, _ = make("zlib", 2)
    start = struct.unpack_from("<I", whole)[0] + 4
    identity = read_identity(whole, start, 2)
    assert identity is not None
    bomb = zlib.compress(bytes(200 << 20), 9)
    for declared in (10 + N + 2 * N, 200 << 20):
        content = whole[: identity.end] + struct.pack("<II", len(bomb) + 4, declared) + bomb
        content = content[:8] + struct.pack("<I", 1) + content[12:]
        tracemalloc.start()
        assert outcome(tmp_path / "s.bgen", content)[0] == "refused"
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("at", "value", "expected"),
    [
        (4, 19, "its header does not fit"),
        (4, 4000, "its header does not fit"),
        (0, 10, "its header does not fit"),
        (8, 5, "is truncated"),
        (8, 3, "is too long"),
        (8, 0, "is empty"),
        (12, 0, "is empty"),
        (12, 10, "its sample block contradicts its header"),
        (16, 0x6E656762, "is not a BGEN file"),
        (20, 1 << 31 | 3 | 2 << 2, "version that is not known"),
        (20, 1 << 31 | 1 | 3 << 2, "version that is not known"),
        (20, 1 << 31 | 2 | 1 << 2, "version that is not known"),
        (20, 1 << 31 | 1 << 9 | 1 | 2 << 2, "version that is not known"),
        (20, 1 | 2 << 2, "holds no sample identifiers"),
        (24, 7, "its sample block contradicts its header"),
        (28, 10, "its sample block contradicts its header"),
    ],
)
def test_each_field_of_the_header_is_checked(tmp_path, at, value, expected):
    whole, _ = make("zlib", 2)
    changed = bytearray(whole)
    changed[at : at + 4] = struct.pack("<I", value)
    if at == 16:
        changed[16:20] = changed[16:20][::-1]
    (tmp_path / "s.bgen").write_bytes(changed)
    with pytest.raises(InputError, match=expected):
        open_genotypes(tmp_path / "s.bgen")
