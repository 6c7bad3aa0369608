"""PGEN files of PLINK 2 read as PLINK 2, the VCF they came from and the BED of the same data say."""

from __future__ import annotations

import gzip
import shutil
import struct
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zstandard

from cohorts.errors import InputError
from gwas.genotypes import Genotypes, open_genotypes

STEP = 1 / 16384
"""Dosages of a PGEN are multiples of this, so one that was rounded is off by half of it at most."""


def run(program: str, *arguments: object) -> None:
    done = subprocess.run(
        [program, *map(str, arguments), "--threads", "2", "--memory", "2000"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def all_calls(genotypes: Genotypes, size: int = 400) -> np.ndarray:
    return np.concatenate([block.dosages() for block in genotypes.blocks(size)])


def all_dosages(genotypes: Genotypes, size: int = 100) -> np.ndarray:
    return np.concatenate([block.dosages for block in genotypes.dosage_blocks(size)])


def counts_of_vcf(path: Path) -> tuple[np.ndarray, list[str], list[tuple[int, str, str]]]:
    """Copies of each ALT in a VCF, one row an ALT, as plainly as can be; -9 is missing. Samples; variants."""
    rows: list[list[int]] = []
    samples: list[str] = []
    keys: list[tuple[int, str, str]] = []
    for line in gzip.decompress(path.read_bytes()).decode().splitlines():
        if line.startswith("#CHROM"):
            samples = line.split()[9:]
        if line.startswith("#"):
            continue
        fields = line.rstrip("\n").split("\t")
        for allele, alt in enumerate(fields[4].split(","), start=1):
            keys.append((int(fields[1]), fields[3], alt))
            rows.append([_copies(call, allele) for call in fields[9:]])
    return np.array(rows, dtype=np.int8), samples, keys


@cache
def _copies(text: str, allele: int) -> int:
    call = text.split(":")[0].replace("|", "/").split("/")
    if "." in call:
        return -9
    copies = sum(int(one) == allele for one in call)
    return copies * 2 if len(call) == 1 else copies


def test_pgen_bed_and_vcf_of_the_same_people_agree(data_file: Callable[[str], Path]) -> None:
    prefix = data_file("geno_cineca_chr22/cineca_synthetic_subset.pgen").with_suffix("")
    pgen = open_genotypes(prefix.with_suffix(".pgen"))
    bed = open_genotypes(prefix.with_suffix(".bed"))
    assert pgen.n_variants == bed.n_variants == 829
    shared = ["chrom", "pos", "id", "ref", "alt"]
    assert pgen.variants[shared].equals(bed.variants[shared])
    assert pgen.samples["iid"].equals(bed.samples["iid"])
    assert np.array_equal(all_calls(pgen), all_calls(bed))
    assert np.array_equal(all_dosages(pgen), all_dosages(bed), equal_nan=True)
    counts, people, _ = counts_of_vcf(prefix.with_suffix(".vcf.gz"))
    assert [f"{iid}_{iid}" for iid in pgen.samples["iid"]] == people
    assert np.array_equal(all_calls(pgen), counts)


def test_a_bed_converted_by_plink2_gives_the_same_packed_calls(
    data_file: Callable[[str], Path], plink2: str, tmp_path: Path
) -> None:
    source = data_file("geno_1kg_eur_bolt/EUR_subset.bed").with_suffix("")
    run(plink2, "--bfile", source, "--make-pgen", "--out", tmp_path / "a")
    run(plink2, "--bfile", source, "--make-bpgen", "format=2", "--out", tmp_path / "b")
    bed = open_genotypes(source.with_suffix(".bed"))
    whole = bed.read_block(0, bed.n_variants).packed
    for name in ("a", "b"):
        pgen = open_genotypes(tmp_path / f"{name}.pgen")
        # PLINK 2 sorts nothing here, and takes the second allele of the .bim as REF
        assert pgen.variants[["pos", "id", "ref", "alt"]].equals(bed.variants[["pos", "id", "ref", "alt"]])
        assert np.array_equal(pgen.read_block(0, pgen.n_variants).packed, whole)
    order = np.random.default_rng(5).permutation(bed.n_variants)[:500]
    chosen = open_genotypes(tmp_path / "a.pgen").select(variants=order)
    assert np.array_equal(chosen.read_block(0, 500).packed, whole[order])


def test_a_bed_renamed_to_pgen_is_read_as_plink2_reads_it(
    data_file: Callable[[str], Path], tmp_path: Path
) -> None:
    source = data_file("geno_tooltests/bigsnpr/example-missing.bed")
    shutil.copy(source, tmp_path / "a.pgen")
    for end in (".bim", ".fam"):
        shutil.copy(source.with_suffix(end), tmp_path / f"a{end}")
    bed, pgen = open_genotypes(source), open_genotypes(tmp_path / "a.pgen")
    assert np.array_equal(bed.read_block(0, bed.n_variants).packed, pgen.read_block(0, bed.n_variants).packed)


def test_real_data_with_several_alts_agree_with_the_vcf_and_its_allele_counts(
    data_file: Callable[[str], Path],
) -> None:
    pgen = open_genotypes(data_file("geno_tooltests/plink2/chr21_phase3_start.pgen"))
    counts, people, keys = counts_of_vcf(data_file("geno_tooltests/plink2/1kg_phase3_chr21_start.vcf.gz"))
    assert pgen.samples["iid"].tolist() == people
    assert (pgen.variants.groupby(["pos", "id"]).size() > 1).sum() > 0
    row = {key: number for number, key in enumerate(keys)}
    ours = list(pgen.variants[["pos", "ref", "alt"]].itertuples(index=False, name=None))
    calls = all_calls(pgen, 50)
    both = [number for number, key in enumerate(ours) if key in row]
    assert len(both) > 0.98 * len(ours)
    assert np.array_equal(calls[both], counts[[row[ours[number]] for number in both]])
    # the VCF leaves records of several ALTs out; the .pvar tells how often each ALT was seen
    told = zstandard.ZstdDecompressor().stream_reader(pgen.path.with_suffix(".pvar.zst").read_bytes()).read()
    lines = [line.split("\t") for line in told.decode().splitlines() if not line.startswith("#")]
    seen = [int(n) for line in lines for n in line[7].partition("AC=")[2].partition(";")[0].split(",")]
    assert calls.sum(axis=1, dtype=np.int64).tolist() == seen
    assert np.array_equal(pgen.samples["sex"].isin(["M", "F"]), np.ones(2504, dtype=bool))


HEADER = """##fileformat=VCFv4.2
##contig=<ID=1>
##contig=<ID=X>
##INFO=<ID=DR2,Number=A,Type=Float,Description="quality">
##FORMAT=<ID=GT,Number=1,Type=String,Description="call">
##FORMAT=<ID=DS,Number=A,Type=Float,Description="dosage">
"""


def write_vcf(path: Path, lines: list[str], n: int) -> Path:
    names = "\t".join(f"p{i}" for i in range(n))
    columns = f"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t{names}\n"
    with gzip.open(path, "wt") as handle:
        handle.write(HEADER + columns + "\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(("n", "most"), [(7, 3), (131, 2), (300, 9), (65, 40)])
def test_records_of_many_alts_keep_every_allele(plink2: str, tmp_path: Path, n: int, most: int) -> None:
    rng = np.random.default_rng(n)
    lines = []
    for record in range(40):
        alts = int(rng.integers(1, most + 1))
        weights = np.r_[3.0, np.ones(alts)] if record % 2 else np.r_[60.0, np.ones(alts)]
        calls = rng.choice(alts + 1, size=(n, 2), p=weights / weights.sum())
        text = [f"{a}{'/|'[record % 3 == 0]}{b}" for a, b in calls]
        for person in rng.choice(n, n // 10):
            text[person] = "./."
        alt = ",".join("ACGT"[i % 4] * (i // 4 + 2) for i in range(alts))
        info = "DR2=" + ",".join(f"{0.01 * (i + 1):.2f}" for i in range(alts))
        lines.append(f"1\t{record + 1}\tv{record}\tA\t{alt}\t.\t.\t{info}\tGT\t" + "\t".join(text))
    vcf = write_vcf(tmp_path / "a.vcf.gz", lines, n)
    run(plink2, "--vcf", vcf, "--make-pgen", "vzs", "--out", tmp_path / "a")
    pgen = open_genotypes(tmp_path / "a.pgen")
    counts, _, _ = counts_of_vcf(vcf)
    assert np.array_equal(all_calls(pgen, 13), counts)
    dosages = all_dosages(pgen, 13)
    assert np.array_equal(np.isnan(dosages), counts == -9)
    assert np.array_equal(dosages[counts >= 0], counts[counts >= 0])
    expected = [0.01 * (i + 1) for line in lines for i in range(line.split("\t")[4].count(",") + 1)]
    assert np.allclose(pgen.variants["info"], expected)


@pytest.mark.parametrize(("n", "share"), [(41, 1.0), (200, 0.5), (200, 0.03), (600, 0.9)])
def test_dosages_are_those_of_the_vcf_and_of_plink2(
    plink2: str, tmp_path: Path, n: int, share: float
) -> None:
    rng = np.random.default_rng(n)
    lines, truth = [], []
    for record in range(30):
        whole = rng.binomial(2, 0.3, n).astype(float)
        noisy = np.round(np.clip(whole + rng.normal(0, 0.2, n), 0, 2), 4)
        dosage = np.where(rng.random(n) < share, noisy, whole)
        dosage[rng.random(n) < 0.05] = np.nan
        truth.append(dosage)
        text = ["./.:." if np.isnan(d) else f"{['0/0', '0/1', '1/1'][round(d)]}:{d:.4f}" for d in dosage]
        lines.append(f"1\t{record + 1}\tv{record}\tA\tC\t.\t.\t.\tGT:DS\t" + "\t".join(text))
    vcf = write_vcf(tmp_path / "a.vcf.gz", lines, n)
    out = tmp_path / "a"
    run(plink2, "--vcf", vcf, "dosage=DS", "--make-pgen", "--out", out)
    run(plink2, "--pfile", out, "--export", "A", "--export-allele", _alts(tmp_path, 30), "--out", out)
    run(plink2, "--pfile", out, "--make-bed", "--out", out)
    pgen = open_genotypes(out.with_suffix(".pgen"))
    assert pgen.values == "dosage"
    dosages = all_dosages(pgen)
    assert np.array_equal(np.isnan(dosages), np.isnan(truth))
    assert np.nanmax(np.abs(dosages - np.array(truth))) <= STEP / 2 + 1e-6
    exported = pd.read_csv(out.with_suffix(".raw"), sep="\t").iloc[:, 6:].to_numpy(dtype=float).T
    assert np.array_equal(np.isnan(dosages), np.isnan(exported))
    # PLINK 2 prints as few digits as tell two dosages apart
    assert np.nanmax(np.abs(dosages - exported)) < 2 * STEP
    assert np.array_equal(all_calls(pgen), all_calls(open_genotypes(out.with_suffix(".bed"))))
    hard = open_genotypes(out.with_suffix(".pgen"), values="hard-call")
    assert np.array_equal(all_calls(hard), all_calls(pgen))


def _alts(folder: Path, records: int) -> Path:
    path = folder / "alts.txt"
    path.write_text("".join(f"v{i}\tC\n" for i in range(records)))
    return path


def test_haploid_males_are_on_the_scale_of_two(plink2: str, tmp_path: Path) -> None:
    lines = [
        "X\t5000000\tx1\tA\tC\t.\t.\t.\tGT\t0\t1\t0/1\t1/1\t.\t./.",
        "X\t5000001\tx2\tG\tT\t.\t.\t.\tGT\t1\t0\t0|1\t0|0\t1\t1|1",
    ]
    vcf = write_vcf(tmp_path / "a.vcf.gz", lines, 6)
    sex = tmp_path / "sex.txt"
    sex.write_text("#IID SEX\n" + "".join(f"p{i} {s}\n" for i, s in enumerate("MMFFMF")))
    run(plink2, "--vcf", vcf, "--update-sex", sex, "--make-pgen", "--out", tmp_path / "a")
    pgen = open_genotypes(tmp_path / "a.pgen")
    assert pgen.samples["sex"].tolist() == list("MMFFMF")
    assert pgen.variants["chrom"].tolist() == ["X", "X"]
    assert all_calls(pgen).tolist() == [[0, 2, 1, 2, -9, -9], [2, 0, 1, 0, 2, 2]]


# one file in every storage mode, made from a standard one


def standard(plink2: str, folder: Path, *, dosage: bool) -> tuple[Path, np.ndarray]:
    """A standard PGEN (mode 0x10) of 50 people, and its dosages."""
    rng = np.random.default_rng(11)
    truth = rng.integers(0, 2 * 16384 + 1, (20, 50)) / 16384 if dosage else rng.integers(0, 3, (20, 50)) / 1.0
    lines = [
        f"1\t{i + 1}\tv{i}\tA\tC\t.\t.\t.\tGT:DS\t" + "\t".join(f"0/0:{d:.7f}" for d in row)
        for i, row in enumerate(truth)
    ]
    vcf = write_vcf(folder / "s.vcf.gz", lines, 50)
    run(
        plink2,
        "--vcf",
        vcf,
        "dosage=DS",
        "--hard-call-threshold",
        0.4999,
        "--make-pgen",
        "--out",
        folder / "s",
    )
    return folder / "s.pgen", truth


def beside(pgen: Path, name: str, data: bytes) -> Path:
    """A copy of the fileset with other bytes for its .pgen."""
    made = pgen.with_name(name)
    made.write_bytes(data)
    for end in (".pvar", ".psam"):
        shutil.copy(pgen.with_suffix(end), made.with_suffix(end))
    return made


def first_record(data: bytes) -> int:
    return int(struct.unpack("<Q", data[12:20])[0])


def test_an_external_index_is_used_and_checked(plink2: str, tmp_path: Path) -> None:
    pgen, truth = standard(plink2, tmp_path, dosage=True)
    data = pgen.read_bytes()
    start = first_record(data)
    made = beside(pgen, "ext.pgen", b"\x6c\x1b\x20" + data[start:])
    with pytest.raises(InputError, match="index is missing"):
        open_genotypes(made)
    index = b"\x6c\x1b\x30" + data[3:12] + struct.pack("<Q", 3) + data[20:start]
    made.with_name("ext.pgen.pgi").write_bytes(index)
    assert np.abs(all_dosages(open_genotypes(made)) - truth).max() <= STEP / 2 + 1e-6
    for wrong in (index[:-1], index + b"\0", b"\x6c\x1b\x31" + index[3:], index[:12] + b"\4" + index[13:]):
        made.with_name("ext.pgen.pgi").write_bytes(wrong)
        with pytest.raises(InputError, match=r"ext\.pgen"):
            open_genotypes(made)


@pytest.mark.parametrize("footer", [b"", b"\x03end"])
def test_ignorable_extensions_are_stepped_over(plink2: str, tmp_path: Path, footer: bytes) -> None:
    pgen, truth = standard(plink2, tmp_path, dosage=False)
    data = pgen.read_bytes()
    start = first_record(data)
    flags = b"\x02" + (b"\x01" if footer else b"\x00")
    name = b"\x06writer"
    moved = start + len(flags) + len(name) + (8 if footer else 0)
    end = moved + len(data) - start
    extension = flags + (struct.pack("<Q", end) if footer else b"") + name
    whole = (
        b"\x6c\x1b\x11" + data[3:12] + struct.pack("<Q", moved) + data[20:start] + extension + data[start:]
    )
    made = beside(pgen, "more.pgen", whole + footer)
    assert np.array_equal(all_dosages(open_genotypes(made)), truth)
    if not footer:
        with pytest.raises(InputError, match="too long"):
            open_genotypes(beside(pgen, "long.pgen", whole + b"\0"))


@pytest.mark.parametrize("mode", [0x03, 0x04])
def test_fixed_width_dosages_are_read(plink2: str, tmp_path: Path, mode: int) -> None:
    pgen, truth = standard(plink2, tmp_path, dosage=True)
    counts = np.round(truth).astype(np.uint8)
    head = bytes([0x6C, 0x1B, mode]) + struct.pack("<IIB", *truth.shape, 0x40)
    records = []
    for call, dosage in zip(counts, truth, strict=True):
        codes = np.zeros(52, dtype=np.uint8)
        codes[:50] = call
        main = codes.reshape(-1, 4) @ np.array([1, 4, 16, 64], dtype=np.uint8)
        records.append(main.astype(np.uint8).tobytes() + (dosage * 16384).astype("<u2").tobytes())
        if mode == 0x04:
            records[-1] += np.zeros(50, dtype="<i2").tobytes()
    made = beside(pgen, "fixed.pgen", head + b"".join(records))
    genotypes = open_genotypes(made)
    assert genotypes.values == "dosage"
    assert np.array_equal(all_dosages(genotypes), truth)
    assert np.array_equal(all_calls(genotypes), counts)
    with pytest.raises(InputError, match="truncated"):
        open_genotypes(beside(pgen, "short.pgen", (head + b"".join(records))[:-1]))
