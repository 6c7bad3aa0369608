"""The texts beside a PGEN, in every form PLINK 2 takes."""

from __future__ import annotations

import io
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import zstandard

from cohorts.errors import InputError
from gwas.genotypes.psam import read_psam
from gwas.genotypes.pvar import read_pvar


def file(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / name
    path.write_text(text, newline="")
    return path


PVAR = """##fileformat=VCFv4.2
##INFO=<ID=R2,Number=A,Type=Float,Description="x">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tCM
chr1\t10\trs1\tA\tC\t.\tPASS\tAF=0.1;R2=0.9\t0.5
chr1\t20\trs2\tG\tT,GA,.\t.\tPASS\tR2=0.1,0.2,0.3\t0.6
X\t30\t.\tG\t.\t.\t.\tPR\t1
"""


def test_each_alt_is_a_row_with_its_own_quality(tmp_path: Path) -> None:
    table = read_pvar(file(tmp_path, "a.pvar", PVAR))
    variants = table.variants.frame()
    assert variants["chrom"].tolist() == ["1", "1", "1", "1", "X"]
    assert variants["pos"].tolist() == [10, 20, 20, 20, 30]
    assert variants["id"].tolist() == ["rs1", "rs2", "rs2", "rs2", "."]
    assert variants["alt"].tolist() == ["C", "T", "GA", ".", "."]
    assert variants["cm"].tolist() == [0.5, 0.6, 0.6, 0.6, 1.0]
    assert np.array_equal(variants["info"], [0.9, 0.1, 0.2, 0.3, np.nan], equal_nan=True)
    assert table.records.tolist() == [0, 1, 1, 1, 2]
    assert table.alleles.tolist() == [1, 1, 2, 3, 1]
    assert table.counts.tolist() == [2, 4, 2]


def test_one_quality_for_the_record_serves_all_its_alleles(tmp_path: Path) -> None:
    text = "#CHROM POS ID REF ALT INFO\n1 5 a A C,G,T DR2=0.4\n1 6 b A C AF=1\n"
    info = read_pvar(file(tmp_path, "a.pvar", text)).variants.frame()["info"].to_numpy()
    assert np.array_equal(info, [0.4, 0.4, 0.4, np.nan], equal_nan=True)


@pytest.mark.parametrize("frames", [1, 3])
def test_zstandard_of_one_or_several_frames_is_read_whole(tmp_path: Path, frames: int) -> None:
    plain = read_pvar(file(tmp_path, "a.pvar", PVAR)).variants.frame()
    raw = PVAR.encode()
    cuts = np.linspace(0, len(raw), frames + 1).astype(int)
    parts = [zstandard.compress(raw[a:b]) for a, b in pairwise(cuts)]
    (tmp_path / "a.pvar.zst").write_bytes(b"".join(parts))
    assert read_pvar(tmp_path / "a.pvar.zst").variants.frame().equals(plain)


def test_a_large_zstandard_file_is_streamed_and_a_cut_one_refused(tmp_path: Path) -> None:
    lines = "".join(f"1\t{i}\trs{i}\tA\tC\n" for i in range(1, 200_001))
    text = "#CHROM\tPOS\tID\tREF\tALT\n" + lines
    whole = io.BytesIO()
    with zstandard.ZstdCompressor().stream_writer(whole, closefd=False) as writer:
        writer.write(text.encode())
    path = tmp_path / "a.pvar.zst"
    path.write_bytes(whole.getvalue())
    assert read_pvar(path).variants.frame()["pos"].iloc[-1] == 200_000
    path.write_bytes(whole.getvalue()[:-100])
    with pytest.raises(InputError, match="truncated"):
        read_pvar(path)


@pytest.mark.parametrize(
    ("text", "ref", "alt"),
    [("1 rs1 10 C A\n", "A", "C"), ("1\trs1\t0.3\t10\tC\tA\n", "A", "C")],
)
def test_without_a_header_it_is_a_bim(tmp_path: Path, text: str, ref: str, alt: str) -> None:
    row = read_pvar(file(tmp_path, "a.pvar", text)).variants.frame().iloc[0]
    assert (row["pos"], row["ref"], row["alt"], row["id"]) == (10, ref, alt, "rs1")


def test_a_vcf_of_sites_with_samples_is_a_pvar(tmp_path: Path) -> None:
    text = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tp1\n1\t5\ta\tA\tC\t.\t.\t.\tGT\t0/1\n"
    assert len(read_pvar(file(tmp_path, "a.pvar", text)).variants) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no lines"),
        ("#CHROM\tPOS\tID\tREF\tALT\n", "no lines"),
        ("#CHROM\tPOS\tID\tREF\n1\t2\ta\tA\n", "lacks a column.*ALT"),
        ("#POS\tCHROM\n1\t2\n", "name its columns"),
        ("#CHROM\tPOS\tPOS\tID\tREF\tALT\n1\t2\t2\ta\tA\tC\n", "twice"),
        ("#CHROM\tPOS\tID\tREF\tALT\n1\tten\ta\tA\tC\n", "pvar:2.*whole"),
        ("#CHROM\tPOS\tID\tREF\tALT\n1\t10\ta\tA\tC\n1\t11\ta\n", "pvar:3.*few"),
        ("#CHROM\tPOS\tID\tREF\tALT\n1\t10\ta\tA\tC", "middle of a line"),
        ("#CHROM\tPOS\tID\tREF\tALT\n1\t10\ta\tA\tC,,G\n", "pvar:2.*empty"),
        ("#CHROM\tPOS\tID\tREF\tALT\n1\t99999999999\ta\tA\tC\n", "whole number"),
    ],
)
def test_a_pvar_that_cannot_be_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_pvar(file(tmp_path, "a.pvar", text))


@pytest.mark.parametrize(
    ("text", "fid", "sex", "father"),
    [
        ("#FID IID PAT MAT SEX PHENO1\nf a d m 1 2\nf b 0 0 2 1\n", "f", ["M", "F"], "d"),
        ("#IID\tSEX\na\tM\nb\tNA\n", "0", ["M", None], "0"),
        ("#IID\tSID\tSEX\na\ts\tf\nb\ts\t0\n", "0", ["F", None], "0"),
        ("## made by hand\n#IID\na\nb\n", "0", [None, None], "0"),
        ("f a d m 1 2\nf b 0 0 2 1\n", "f", ["M", "F"], "d"),
        ("#FID\tIID\tSEX\r\nf\ta\t1\r\nf\tb\t2\r\n", "f", ["M", "F"], "0"),
    ],
)
def test_psam_in_its_forms(tmp_path: Path, text: str, fid: str, sex: list[str | None], father: str) -> None:
    samples = read_psam(file(tmp_path, "a.psam", text)).frame()
    assert samples["iid"].tolist() == ["a", "b"]
    assert samples["fid"].iloc[0] == fid
    assert samples["sex"].tolist() == sex
    assert samples["father"].iloc[0] == father


def test_a_sample_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"psam:4.*twice"):
        read_psam(file(tmp_path, "a.psam", "#IID SEX\na 1\nb 1\na 1\n"))
