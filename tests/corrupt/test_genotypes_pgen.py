"""Damaged PGEN filesets: never a crash or hang here, every truncation refused, what passes is counted.

A PGEN has no checksum over its calls. A changed byte within a record that still decodes gives other calls and
nothing can tell: of the faults planted below about half. So the tests bound it, and a manifest with SHA-256 is
what tells.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pgenlib
import pytest
import zstandard

from cohorts.errors import InputError
from gwas.genotypes import open_genotypes

N = 67
RECORDS = 40


@pytest.fixture(scope="module", params=["calls", "dosages", "many alleles"])
def fileset(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small standard PGEN with records of all kinds."""
    rng = np.random.default_rng(3)
    path = tmp_path_factory.mktemp("pgen") / "whole.pgen"
    kind = request.param
    alts = rng.integers(1, 5, RECORDS) if kind == "many alleles" else np.ones(RECORDS, dtype=int)
    writer = pgenlib.PgenWriter(
        str(path).encode(),
        N,
        variant_ct=RECORDS,
        nonref_flags=False,
        allele_ct_limit=int(alts.max()) + 1,
        dosage_present=kind == "dosages",
        hardcall_phase_present=kind == "many alleles",
    )
    base = rng.choice(3, N, p=[0.3, 0.4, 0.3])
    for record in range(RECORDS):
        calls = base if record % 4 else rng.binomial(2, rng.uniform(0, 1), N)
        calls = np.where(rng.random(N) < 0.08, rng.choice([0, 1, 2, -9], N), calls)
        if kind == "calls":
            writer.append_biallelic(calls.astype(np.int8))
        elif kind == "dosages":
            noisy = np.clip(calls + rng.normal(0, 0.1, N), 0, 2)
            share = rng.choice([0.05, 0.5, 1.0])
            given = np.where((rng.random(N) < share) & (calls >= 0), noisy, calls)
            writer.append_dosages(given.astype(np.float32))
        else:
            codes = rng.choice(
                alts[record] + 1, 2 * N, p=np.r_[2.0, np.ones(alts[record])] / (alts[record] + 2)
            )
            codes = np.sort(codes.reshape(N, 2), axis=1)
            codes[rng.random(N) < 0.05] = -9
            writer.append_partially_phased(
                codes.reshape(-1).astype(np.int32),
                rng.random(N) < 0.5,
                allele_ct=int(alts[record]) + 1,
            )
    writer.close()
    names = ["C", "C,G", "C,G,T", "C,G,T,AA"]
    lines = [f"1\t{i + 1}\tv{i}\tA\t{names[alts[i] - 1]}\n" for i in range(RECORDS)]
    path.with_suffix(".pvar").write_text("#CHROM\tPOS\tID\tREF\tALT\n" + "".join(lines))
    path.with_suffix(".psam").write_text("#IID\tSEX\n" + "".join(f"p{i}\tNA\n" for i in range(N)))
    return path


@pytest.fixture
def read(fileset: Path, tmp_path: Path) -> Callable[[bytes], Any]:
    """Calls and dosages of a fileset with these bytes for its .pgen, as careome reads them."""
    mutant = tmp_path / "mutant.pgen"
    for end in (".pvar", ".psam"):
        shutil.copy(fileset.with_suffix(end), mutant.with_suffix(end))

    def whole(data: bytes) -> Any:
        mutant.write_bytes(data)
        genotypes = open_genotypes(mutant)
        reader, rows = genotypes.reader, np.arange(genotypes.n_variants)
        calls = reader.read(rows)
        return calls, reader.read_dosages(rows) if reader.has_dosages else None

    return whole


def outcome(read: Callable[[bytes], Any], data: bytes, truth: Any) -> str:
    """What became of a mutant; anything but an InputError of one line fails the test."""
    began = time.monotonic()
    try:
        calls, dosages = read(data)
    except InputError as error:
        message = str(error)
        assert "mutant.pgen" in message or "mutant.p" in message
        assert "\n" not in message
        assert time.monotonic() - began < 10
        assert "cannot be decoded" not in message or "found record " in message
        return "refused"
    same = np.array_equal(calls, truth[0])
    if truth[1] is not None:
        same &= dosages is not None and np.array_equal(dosages, truth[1], equal_nan=True)
    assert calls.shape == truth[0].shape
    return "same" if same else "other calls"


def test_every_truncation_and_every_appended_byte_is_refused(fileset: Path, read: Callable) -> None:
    data = fileset.read_bytes()
    read(data)
    rng = np.random.default_rng(1)
    lengths = {*range(150), *rng.integers(0, len(data), 150).tolist(), len(data) - 1}
    for length in sorted(lengths):
        with pytest.raises(InputError, match="truncated|not a PGEN"):
            read(data[:length])
    for extra in (b"\0", b"\n", data[:5], bytes(1000)):
        with pytest.raises(InputError, match="too long"):
            read(data + extra)


def test_a_file_that_shrinks_after_it_was_opened_is_refused(fileset: Path, tmp_path: Path) -> None:
    for end in (".pgen", ".pvar", ".psam"):
        shutil.copy(fileset.with_suffix(end), tmp_path / f"mutant{end}")
    genotypes = open_genotypes(tmp_path / "mutant.pgen")
    (tmp_path / "mutant.pgen").write_bytes(fileset.read_bytes()[:-1])
    assert genotypes.read_block(0, 3).n_variants == 3
    for read in (genotypes.read_block, genotypes.read_dosage_block):
        with pytest.raises(InputError, match=r"mutant\.pgen: ended early"):
            read(0, genotypes.n_variants)
    (tmp_path / "mutant.pgen").unlink()
    with pytest.raises(InputError, match=r"mutant\.pgen: cannot be read"):
        genotypes.read_block(0, 3)


@pytest.mark.parametrize("seed", [1, *(pytest.param(s, marks=pytest.mark.slow) for s in range(2, 12))])
def test_flipped_bits_and_zeroed_runs_never_reach_the_caller_as_a_crash(
    fileset: Path, read: Callable, seed: int
) -> None:
    data = fileset.read_bytes()
    truth = read(data)
    rng = np.random.default_rng(seed)
    found: Counter[str] = Counter()
    for number in range(210):
        mutant = bytearray(data)
        # half of the faults in the header, which is small beside the records
        limit = 130 if number % 2 else len(data)
        at = int(rng.integers(0, limit))
        if number % 3 == 0:
            run = int(rng.integers(1, 60))
            mutant[at : at + run] = bytes(len(mutant[at : at + run]))
        elif number % 3 == 1:
            mutant[at] ^= 1 << int(rng.integers(0, 8))
        else:
            mutant[at : at + 4] = rng.bytes(len(mutant[at : at + 4]))
        found[outcome(read, bytes(mutant), truth)] += 1
    assert found["refused"] > 40
    # nearly all damage to the header is found; damage to records that still decode is not
    assert found["other calls"] < 150


@pytest.mark.parametrize("end", [".pvar", ".psam", ".pvar.zst"])
@pytest.mark.parametrize("fileset", ["many alleles"], indirect=True)
def test_damaged_text_beside_the_calls_is_refused_or_read_as_it_stands(
    fileset: Path, tmp_path: Path, end: str
) -> None:
    text = fileset.with_suffix(".psam" if end == ".psam" else ".pvar").read_bytes()
    whole = zstandard.ZstdCompressor(write_checksum=True).compress(text) if end.endswith("zst") else text
    shutil.copy(fileset, tmp_path / "mutant.pgen")
    for other in {".pvar", ".psam"} - {end.removesuffix(".zst")}:
        shutil.copy(fileset.with_suffix(other), tmp_path / f"mutant{other}")
    file = tmp_path / f"mutant{end}"
    file.write_bytes(whole)
    truth = open_genotypes(tmp_path / "mutant.pgen")
    rng = np.random.default_rng(8)
    for length in {*rng.integers(0, len(whole), 100).tolist(), len(whole) - 1}:
        file.write_bytes(whole[:length])
        with pytest.raises(InputError, match="mutant"):
            open_genotypes(tmp_path / "mutant.pgen")
    for _ in range(100):
        mutant = bytearray(whole)
        at = int(rng.integers(0, len(whole)))
        mutant[at : at + 3] = rng.bytes(len(mutant[at : at + 3]))
        file.write_bytes(bytes(mutant))
        with suppress(InputError):
            read = open_genotypes(tmp_path / "mutant.pgen")
            assert (read.n_variants, read.n_samples) == (truth.n_variants, truth.n_samples) or end == ".pvar"
            # the checksum of a compressed file leaves nothing to chance
            assert end != ".pvar.zst" or read.variants.equals(truth.variants)
