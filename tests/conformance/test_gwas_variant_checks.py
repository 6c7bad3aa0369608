"""Mendelian errors, missing calls by status, MaCH r2 and strands against Debian's plink1.9 and plink2."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gwas.imputation_quality import mach_r2
from gwas.kernels.packed import pack
from workflows import genotype_cli
from workflows.application import Application
from workflows.cli import _joined

app = Application()
genotype_cli.register(app)


def ours(*words: object) -> None:
    app(_joined([*map(str, words)]), standalone_mode=False)


def peer(*words: object) -> None:
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout


@pytest.fixture
def families(tmp_path: Path) -> Path:
    """Three generations with calls at random on every kind of chromosome; cases, controls and neither."""
    rng = np.random.default_rng(3)
    chrom = ["0"] * 5 + ["1"] * 60 + ["23"] * 60 + ["24"] * 40 + ["25"] * 20 + ["26"] * 40
    people = []
    for f in range(6):
        people += [
            (f"d{f}", "0", "0", 1), (f"m{f}", "0", "0", 2), (f"s{f}", f"d{f}", f"m{f}", 1),
            (f"g{f}", f"d{f}", f"m{f}", 2), (f"gs{f}", f"s{f}", f"z{f}", 1), (f"z{f}", "0", "0", 2),
            (f"h{f}", f"d{f}", "0", 2),
        ]  # fmt: skip
    calls = rng.choice([2, -9, 1, 0], p=[0.35, 0.1, 0.3, 0.25], size=(len(chrom), len(people)))
    bed = tmp_path / "families.bed"
    bed.write_bytes(b"\x6c\x1b\x01" + pack(calls.astype(np.int8)).tobytes())
    bed.with_suffix(".bim").write_text(
        "".join(f"{c} v{i} 0 {5_000_000 + i} A G\n" for i, c in enumerate(chrom))
    )
    status = rng.choice([1, 2, -9], p=[0.4, 0.4, 0.2], size=len(people))
    bed.with_suffix(".fam").write_text(
        "".join(
            f"f{who[0][-1]} {' '.join(map(str, who))} {s}\n" for who, s in zip(people, status, strict=True)
        )
    )
    return bed.with_suffix("")


def test_every_mendelian_error_is_plinks_by_variant_family_and_person(families: Path, plink1: str) -> None:
    ours("mendel", "--bfile", families, "--out", families.parent / "o")
    peer(plink1, "--bfile", families, "--mendel", "--keep-allele-order", "--out", families.parent / "p")
    names = {"1": "1", "0": "0", "23": "X", "25": "XY"}
    lines = [line.split() for line in (families.parent / "p.mendel").read_text().splitlines()[1:]]
    wanted = {(f, kid, names[c], v, code, " ".join(said)) for f, kid, c, v, code, *said in lines}
    found = pd.read_csv(families.parent / "o.mendel", sep="\t", dtype=str)
    assert set(found.itertuples(index=False, name=None)) == wanted
    assert len(found) == len(wanted) > 700
    for suffix, keys in (("lmendel", ["SNP"]), ("fmendel", ["FID", "PAT", "MAT", "CHLD"]), ("imendel", [])):
        a = pd.read_csv(families.parent / f"o.{suffix}", sep="\t")
        b = pd.read_csv(families.parent / f"p.{suffix}", sep=r"\s+")
        assert list(a.columns) == list(b.columns)
        assert a["N"].tolist() == b["N"].tolist()
        assert a[keys].equals(b[keys])


@pytest.mark.parametrize("words", [(), ("midp",)])
def test_missing_calls_by_status_are_plinks(families: Path, plink1: str, words: tuple[str, ...]) -> None:
    assert_same_missing(families, plink1, words, families.parent)


def assert_same_missing(bfile: Path, plink1: str, words: tuple[str, ...], folder: Path) -> None:
    ours("test-missing", "--bfile", bfile, *[f"--{w}" for w in words], "--out", folder / "o")
    peer(plink1, "--bfile", bfile, "--test-missing", *words, "--allow-no-sex", "--out", folder / "p")
    found = pd.read_csv(folder / "o.missing", sep="\t", dtype={"CHR": str})
    wanted = pd.read_csv(folder / "p.missing", sep=r"\s+", dtype={"CHR": str})
    assert list(found.columns) == list(wanted.columns)
    assert found["SNP"].tolist() == wanted["SNP"].tolist()
    for name in ("F_MISS_A", "F_MISS_U", "P"):
        np.testing.assert_allclose(found[name], wanted[name], rtol=6e-4, err_msg=name)


def test_missing_calls_of_genabels_cases_are_plinks(
    data_file: Callable[[str], Path], plink1: str, tmp_path: Path
) -> None:
    bed = data_file("geno_genabel_ge03d2/ge03d2.bed")
    prefix = tmp_path / "x"
    status = np.random.default_rng(1).integers(1, 3, 950)
    for suffix in (".bed", ".bim"):
        prefix.with_suffix(suffix).symlink_to(bed.with_suffix(suffix))
    lines = bed.with_suffix(".fam").read_text().splitlines()
    prefix.with_suffix(".fam").write_text(
        "".join(f"{' '.join(line.split()[:5])} {s}\n" for line, s in zip(lines, status, strict=True))
    )
    assert_same_missing(prefix, plink1, (), tmp_path)
    pheno = tmp_path / "pheno.txt"
    people = [line.split()[:2] for line in lines]
    pheno.write_text(
        "FID IID age sick\n"
        + "".join(f"{f} {i} 50 {s - 1}\n" for (f, i), s in zip(people, status, strict=True))
    )
    ours(
        "test-missing",
        "--bfile",
        bed.with_suffix(""),
        "--pheno",
        pheno,
        "--pheno-name",
        "sick",
        "--1",
        "--out",
        tmp_path / "q",
    )
    assert (tmp_path / "q.missing").read_text() == (tmp_path / "o.missing").read_text()


def test_mach_r2_is_plink2s(plink2: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    m, n = 60, 80
    dosage = np.round(rng.beta(0.7, 0.9, (m, n)) * 2, 3)
    missing = rng.random((m, n)) < 0.05
    header = "##fileformat=VCFv4.2\n##contig=<ID=1>\n##FORMAT=<ID=DS,Number=1,Type=Float,Description=d>\n"
    header += (
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t"
        + "\t".join(f"s{i}" for i in range(n))
        + "\n"
    )
    rows = (
        f"1\t{v + 1}\tv{v}\tA\tG\t.\t.\t.\tDS\t"
        + "\t".join("." if x else f"{d}" for d, x in zip(row, gone, strict=True))
        for v, (row, gone) in enumerate(zip(dosage, missing, strict=True))
    )
    (tmp_path / "x.vcf").write_text(header + "\n".join(rows) + "\n")
    peer(plink2, "--vcf", tmp_path / "x.vcf", "dosage=DS", "--freq", "cols=+machr2", "--out", tmp_path / "p")
    wanted = pd.read_csv(tmp_path / "p.afreq", sep="\t")["MACH_R2"]
    found = mach_r2(np.where(missing, np.nan, dosage).astype(np.float32))
    # plink2 keeps dosages as multiples of 1/16384
    np.testing.assert_allclose(found, wanted, rtol=2e-4)


@pytest.fixture
def flipped(data_file: Callable[[str], Path], plink1: str, tmp_path: Path) -> tuple[Path, pd.DataFrame]:
    """HapMap 3 with a quarter of its variants on the other strand and half of them swapped."""
    bfile = data_file("geno_hapmap3/hapmap3.bed").with_suffix("")
    bim = pd.read_csv(f"{bfile}.bim", sep=r"\s+", header=None, dtype=str)
    rng = np.random.default_rng(2)
    flip, swap = rng.random(len(bim)) < 0.25, rng.random(len(bim)) < 0.5
    bim[1][flip].to_csv(tmp_path / "flip.txt", index=False, header=False)
    bim.assign(to=np.where(swap, bim[5], bim[4]))[[1, "to"]].to_csv(
        tmp_path / "a1.txt", sep="\t", index=False, header=False
    )
    peer(
        plink1,
        "--bfile",
        bfile,
        "--a1-allele",
        tmp_path / "a1.txt",
        "2",
        "1",
        "--make-bed",
        "--out",
        tmp_path / "s",
    )
    peer(plink1, "--bfile", tmp_path / "s", "--flip", tmp_path / "flip.txt", "--keep-allele-order", "--make-bed",
         "--out", tmp_path / "x")  # fmt: skip
    return bfile, pd.DataFrame({"flip": flip, "swap": swap})


def test_strands_and_alleles_that_plink_turned_are_named(
    flipped: tuple[Path, pd.DataFrame], plink2: str, tmp_path: Path
) -> None:
    bfile, change = flipped
    peer(plink2, "--bfile", bfile, "--freq", "--out", tmp_path / "ref")
    ours(
        "compare-reference",
        "--bfile",
        tmp_path / "x",
        "--reference",
        tmp_path / "ref.afreq",
        "--out",
        tmp_path / "o",
    )
    table = pd.read_csv(tmp_path / "o.refcmp", sep="\t", dtype={"#CHROM": str})
    plain = ~table["CLASS"].str.startswith("palindromic")
    wanted = np.select(
        [change["flip"] & change["swap"], change["flip"], change["swap"]],
        ["flipped_and_swapped", "flipped", "swapped"],
        "same",
    )
    assert (table["CLASS"][plain] == wanted[plain]).all()
    assert len(plain) == len(change) > 10_000
    told = table["CLASS"] != "palindromic-ambiguous"
    np.testing.assert_allclose(table.loc[told, "DIFF"], 0, atol=1e-5)
    resolved = table["CLASS"] == "palindromic"
    assert (table["FLIPPED"][resolved] == change["flip"][resolved]).all()
    assert (table["SWAPPED"][resolved] == change["swap"][resolved]).all()
    summary = pd.read_csv(tmp_path / "o.refcmp.summary", sep="\t")
    assert summary["VARIANTS"].sum() == len(table)
