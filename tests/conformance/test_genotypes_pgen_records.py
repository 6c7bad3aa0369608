"""Every kind of record read as pgenlib, the decoder of PLINK 2's authors, reads it; files of PLINK 2 and of our own."""

from __future__ import annotations

import gzip
import pickle
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pgenlib
import pytest

from cohorts.errors import InputError
from gwas.genotypes import Genotypes, open_genotypes
from gwas.genotypes import pgen as reading
from gwas.kernels.packed import pack

SIZES = [*range(1, 10), 63, 64, 65, 255, 256, 257, 1000]
PLAIN = {0, 1, 2, 3, 4, 6, 7}


def theirs(genotypes: Genotypes, *, dosages: bool = False) -> np.ndarray:
    """Every row of the file by pgenlib: int8 with -9, or float32 with -9, (rows, samples)."""
    reader: Any = genotypes.reader
    counts = np.concatenate([[0], np.cumsum(reader.alts + 1)]).astype(np.uintp)
    peer = pgenlib.PgenReader(
        str(reader.path).encode(),
        raw_sample_ct=reader.n_samples,
        variant_ct=len(reader.alts),
        allele_idx_offsets=counts if (reader.alts > 1).any() else None,
    )
    out = np.empty((genotypes.n_variants, reader.n_samples), dtype=np.float32 if dosages else np.int8)
    read = peer.read_dosages if dosages else peer.read
    for row, (record, allele) in enumerate(zip(reader.records, reader.alleles, strict=True)):
        read(int(record), out[row], allele_idx=int(allele))
    peer.close()
    return out


def ours(genotypes: Genotypes, size: int = 7) -> np.ndarray:
    return np.concatenate([block.dosages() for block in genotypes.blocks(size)])


def our_dosages(genotypes: Genotypes, size: int = 7) -> np.ndarray:
    return np.nan_to_num(np.concatenate([b.dosages for b in genotypes.dosage_blocks(size)]), nan=-9)


def kinds(genotypes: Genotypes) -> set[int]:
    reader: Any = genotypes.reader
    return {int(kind) for kind in np.unique(reader.header.types)}


def some_calls(rng: np.random.Generator, n: int) -> np.ndarray:
    common = rng.permutation(4)
    two = rng.choice(common[:2], n) if rng.random() < 0.5 else np.full(n, common[0])
    return np.where(rng.random(n) < rng.choice([0.0, 0.03, 0.4]), rng.integers(0, 4, n), two)


def near(rng: np.random.Generator, n: int, kind: int, base: np.ndarray) -> np.ndarray:
    """Calls that a kind of record is for."""
    if kind < 2:
        return some_calls(rng, n)
    like = np.array([2, 1, 0, 3])[base] if kind == 3 else base if kind == 2 else np.full(n, kind & 3)
    return np.where(rng.random(n) < 0.05, rng.integers(0, 4, n), like)


def one_of_each(pgen_records: ModuleType, path: Path, n: int, rng: np.random.Generator) -> Path:
    """A file with every kind of calls, alleles, phases and dosages that one writer or another may choose."""
    records: list[tuple[int, bytes]] = []
    alts: list[int] = []
    base = np.zeros(n, dtype=int)
    for tail in (0x00, 0x08, 0x10, 0x18, 0x20, 0x40, 0x60, 0x30, 0x70, 0xB0, 0xC0, 0xE0):
        for kind in (0, 1, 2, 4, 3, 6, 2, 7, 3, 2):
            count = int(rng.choice([2, 3, 4, 6, 20])) if tail & 8 else 1
            alleles = np.where(rng.random((n, 2)) < 0.4, rng.integers(0, count + 1, (n, 2)), 0)
            alleles = np.sort(alleles, axis=1)
            alleles[rng.random(n) < 0.1] = -1
            calls = pgen_records.categories(alleles) if tail & 8 else near(rng, n, kind, base)
            data = pgen_records.main_track(calls, kind, base)
            # pgenlib takes no list of more than an eighth of the samples
            if kind and data[1 + (n + 7) // 8 if kind == 1 else 0] > n // 8:
                kind, data = 0, pgen_records.main_track(calls, 0)
            mixed = int((calls == 1).sum())
            if tail & 8:
                others = [((calls == category) & (alleles.max(axis=1) > 1)).sum() for category in (1, 2)]
                # nor a set of no calls, but as such
                forms = [int(rng.integers(0, 1 + (0 < k <= n // 8))) if k else 15 for k in others]
                if not any(others):
                    continue
                data += pgen_records.allele_track(alleles, count, (forms[0], forms[1]))
                mixed = int((alleles[:, 0] != alleles[:, 1]).sum())
            if tail & 0x10:
                # pgenlib asserts that something is phased
                if mixed == 0:
                    continue
                phased = rng.random(mixed) < 0.5
                phased[0] = True
                data += pgen_records.phase_track(mixed, phased if rng.random() < 0.5 else None, rng)
            if tail & 0x60:
                share = 0.08 if tail & 0x60 == 0x20 else 0.3
                there = (calls != 3) if tail & 0x60 == 0x40 else rng.random(n) < share
                around = np.where(calls == 3, 1, calls) * 16384 + rng.integers(-8000, 8000, n)
                units = np.where(there, np.clip(around, 0, 32768), -1)
                if not (units >= 0).any():
                    continue
                if (units >= 0).sum() > n // 8 and tail & 0x60 == 0x20:
                    continue
                phases = rng.random(n) < 0.5 if tail & 0x80 else None
                data += pgen_records.dosage_tracks(units, tail >> 5 & 3, phases)
            records.append((kind | tail, data))
            alts.append(count)
            if kind not in (2, 3):
                base = calls
    return pgen_records.write_pgen(path, records, n, alts)


@pytest.mark.parametrize("n", SIZES)
def test_all_kinds_of_records_are_read_as_pgenlib_reads_them(
    pgen_records: ModuleType, tmp_path: Path, n: int
) -> None:
    rng = np.random.default_rng(n)
    genotypes = open_genotypes(one_of_each(pgen_records, tmp_path / "a.pgen", n, rng))
    expected = theirs(genotypes)
    assert np.array_equal(ours(genotypes), expected)
    assert np.array_equal(our_dosages(genotypes), theirs(genotypes, dosages=True))
    if n > 60:
        assert {kind & 7 for kind in kinds(genotypes)} == PLAIN
        assert {kind & 0xF8 for kind in kinds(genotypes)} >= {0, 8, 0x10, 0x18, 0x20, 0x40, 0x60, 0x70, 0xC0}


def test_any_rows_people_and_threads_give_the_same(
    pgen_records: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(1)
    genotypes = open_genotypes(one_of_each(pgen_records, tmp_path / "a.pgen", 130, rng))
    whole, exact = theirs(genotypes), theirs(genotypes, dosages=True)
    for most in (1, 50, 1 << 20):
        monkeypatch.setattr(reading, "MOST_BYTES", most)
        for _ in range(10):
            rows = rng.integers(0, len(whole), rng.integers(1, 80))
            rows = np.sort(rows) if rng.random() < 0.5 else rows
            people = rng.permutation(130)[: rng.integers(1, 130)]
            chosen = genotypes.select(variants=rows, samples=people)
            assert np.array_equal(ours(chosen, int(rng.integers(1, 30))), whole[rows][:, people])
            assert np.array_equal(our_dosages(chosen), exact[rows][:, people])
    copy = pickle.loads(pickle.dumps(genotypes))  # noqa: S301
    assert np.array_equal(ours(copy), whole)
    starts = rng.permutation(len(whole))
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(lambda start: genotypes.read_block(int(start), len(whole)).dosages(), starts))
    for start, calls in zip(starts, read, strict=True):
        assert np.array_equal(calls, whole[start:])


def test_one_dosage_for_several_alts_is_refused_and_their_calls_are_read(
    pgen_records: ModuleType, tmp_path: Path
) -> None:
    alleles = np.array([[0, 0], [0, 2], [1, 2], [-1, -1], [0, 1]])
    first = pgen_records.main_track(np.array([0, 1, 2, 3, 0]), 0)
    calls = pgen_records.main_track(pgen_records.categories(alleles), 0)
    calls += pgen_records.allele_track(alleles, 2, (0, 0))
    calls += pgen_records.dosage_tracks(np.array([-1, 16000, -1, -1, 17000]), 3)
    path = pgen_records.write_pgen(tmp_path / "a.pgen", [(0, first), (0x68, calls)], 5, [1, 2])
    genotypes = open_genotypes(path)
    assert genotypes.read_block(0, 3).dosages()[1:].tolist() == [[0, 0, 1, -9, 1], [0, 1, 1, -9, 0]]
    assert genotypes.read_dosage_block(0, 1).n_variants == 1
    with pytest.raises(InputError, match=r"one dosage for several ALT alleles together; found record 2"):
        genotypes.read_dosage_block(0, 2)


def test_blocks_of_65536_records_begin_anew(pgen_records: ModuleType, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    calls = rng.integers(0, 4, (65_600, 3))
    records, base = [], calls[0]
    for row, own in enumerate(calls):
        kind = 0 if row % 65_536 == 0 or row % 500 == 0 else 2
        base = own if kind == 0 else base
        records.append((kind, pgen_records.main_track(own, kind, base)))
    genotypes = open_genotypes(pgen_records.write_pgen(tmp_path / "a.pgen", records, 3))
    expected = np.where(calls == 3, -9, calls)
    assert np.array_equal(ours(genotypes, 999), expected)
    rows = rng.permutation(65_600)[:300]
    assert np.array_equal(ours(genotypes.select(variants=rows)), expected[rows])


def simulated(n: int, m: int, rng: np.random.Generator) -> np.ndarray:
    """Common and rare, all missing and all the same, near copies of the one before and of its inverse: calls 0 to 3."""
    rows = []
    for row in range(m):
        form = row % 9
        calls = rng.binomial(2, rng.choice([0.001, 0.01, 0.3, 0.5, 0.99]), n)
        if form == 7:
            calls = np.full(n, rng.choice([0, 1, 2, 3]))
        elif form in (3, 4, 5) and rows:
            near = np.array([2, 1, 0, 3])[rows[-1]] if form == 5 else rows[-1]
            calls = np.where(rng.random(n) < 0.02, calls, near)
        elif form == 6:
            calls = np.where(rng.random(n) < 0.9, 3, calls)
        rows.append(np.where(rng.random(n) < rng.choice([0, 0.02]), 3, calls))
    return np.array(rows)


@pytest.mark.parametrize(
    "n",
    [
        1,
        3,
        4,
        7,
        64,
        65,
        256,
        257,
        1000,
        *(pytest.param(k, marks=pytest.mark.slow) for k in (65_535, 65_536, 65_537)),
    ],
)
def test_what_plink2_writes_is_read_as_pgenlib_reads_it(plink2: str, tmp_path: Path, n: int) -> None:
    rng = np.random.default_rng(n)
    calls = simulated(n, 200 if n < 2000 else 60, rng)
    (tmp_path / "a.bed").write_bytes(
        b"\x6c\x1b\x01" + pack(np.where(calls == 3, -9, calls).astype(np.int8)).tobytes()
    )
    lines = [f"1\tv{row}\t0\t{row + 1}\tC\tA\n" for row in range(len(calls))]
    (tmp_path / "a.bim").write_text("".join(lines))
    (tmp_path / "a.fam").write_text("".join(f"p{k} p{k} 0 0 0 -9\n" for k in range(n)))
    made = ["--make-pgen", "--out", tmp_path / "a", "--threads", "1", "--memory", "1000"]
    subprocess.run([plink2, "--bfile", tmp_path / "a", *made], capture_output=True, check=True)
    genotypes = open_genotypes(tmp_path / "a.pgen")
    assert np.array_equal(ours(genotypes, 50), np.where(calls == 3, -9, calls))
    assert np.array_equal(theirs(genotypes), np.where(calls == 3, -9, calls))
    if n >= 256:
        assert kinds(genotypes) >= PLAIN


@pytest.mark.parametrize("n", [5, 64, 300])
@pytest.mark.parametrize("dosage", [False, True])
def test_phases_many_alleles_and_dosages_of_plink2(plink2: str, tmp_path: Path, n: int, dosage: bool) -> None:
    rng = np.random.default_rng(n)
    head = '##fileformat=VCFv4.2\n##contig=<ID=1>\n##FORMAT=<ID=GT,Number=1,Type=String,Description="x">\n'
    head += '##FORMAT=<ID=HDS,Number=2,Type=Float,Description="x">\n'
    lines = ["\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT"])]
    lines[0] += "".join(f"\tp{k}" for k in range(n))
    for row in range(60):
        # plink2 imports no dosages of several ALTs
        alts = 1 if row % 3 or dosage else int(rng.integers(2, 6))
        haplotypes = rng.binomial(alts, rng.choice([0.02, 0.3]), (n, 2))
        between = rng.choice(["/", "|"], n, p=[0.2, 0.8])
        cells = [f"{a}{by}{b}" for (a, b), by in zip(haplotypes, between, strict=True)]
        if dosage:
            off = np.abs(haplotypes - rng.choice([0, 0.0, 0.11, 0.3], (n, 2)) * rng.choice([0.0, 1.0, 1.0]))
            cells = [f"{a}|{b}:{x:.3f},{y:.3f}" for (a, b), (x, y) in zip(haplotypes, off, strict=True)]
        for person in np.flatnonzero(rng.random(n) < 0.05):
            cells[person] = "./."
        alt = ",".join("C" * (k + 1) for k in range(alts))
        form = "GT:HDS" if dosage else "GT"
        lines.append(f"1\t{row + 1}\tv{row}\tA\t{alt}\t.\t.\t.\t{form}\t" + "\t".join(cells))
    with gzip.open(tmp_path / "a.vcf.gz", "wt") as handle:
        handle.write(head + "\n".join(lines) + "\n")
    made = ["--make-pgen", "--out", tmp_path / "a", "--threads", "1", "--memory", "1000"]
    words = [plink2, "--vcf", tmp_path / "a.vcf.gz", *["dosage=HDS"] * dosage, *made]
    subprocess.run(words, capture_output=True, check=True)
    genotypes = open_genotypes(tmp_path / "a.pgen")
    assert np.array_equal(ours(genotypes), theirs(genotypes))
    assert np.array_equal(our_dosages(genotypes), theirs(genotypes, dosages=True))
    bits = 0
    for kind in kinds(genotypes):
        bits |= kind
    assert bits & 0xF8 == (0xF0 if dosage else 0x18) or n < 60
