"""Linkage disequilibrium against PLINK 1.9, PLINK 2, ldsc and published LD scores."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gwas.genotypes import open_genotypes
from gwas.kernels.packed import pack
from gwas.ld import ld_prune
from gwas.ld_score_sums import ld_scores
from workflows import genotype_cli
from workflows.application import Application

EUR = "geno_1kg_eur_bolt/EUR_subset.bed"
CHR22 = "geno_1kg_eur_chr22/1000G_eur_chr22.bed"

app = Application()
genotype_cli.register(app)


def careome_command(*words: object) -> None:
    app([*map(str, words)], standalone_mode=False)


def run(*command: object) -> None:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


@pytest.mark.parametrize("signed", [False, True])
def test_pairs_are_those_of_plink1(data_file, plink1: str, tmp_path: Path, signed: bool) -> None:
    prefix = data_file(EUR).with_suffix("")
    options = ["--ld-window-kb", "300", "--ld-window-r2", "0.1"]
    careome_command(
        "ld", "--bfile", prefix, "--chr", "17,22", *options, *(["--r-unphased"] if signed else []),
        "--out", tmp_path / "ours",
    )  # fmt: skip
    # PLINK 1.9 lists every r, whatever the window's r2.
    kind = ["--r", *options[:2]] if signed else ["--r2", *options]
    run(plink1, "--bfile", prefix, "--chr", "17,22", "--keep-allele-order", *kind, "--ld-window", "99999",
        "--out", tmp_path / "peer")  # fmt: skip
    ours = pd.read_csv(tmp_path / "ours.vcor", sep="\t")
    peer = pd.read_csv(tmp_path / "peer.ld", sep=r"\s+")
    wanted = ["#CHROM_A", "POS_A", "ID_A", "REF_A", "CHROM_B", "POS_B", "ID_B", "REF_B", "UNPHASED_R"]
    if not signed:
        wanted = [name.replace("_R", "_R2") if "UN" in name else name for name in wanted if "REF" not in name]
    assert ours.columns.tolist() == wanted
    if signed:
        peer = peer[peer["R"] ** 2 >= 0.1]
    both = ours.merge(peer, left_on=["ID_A", "ID_B"], right_on=["SNP_A", "SNP_B"], how="outer")
    edge = both["R" if signed else "R2"].abs().fillna(0.1 ** (0.5 if signed else 1))
    inside = (edge - 0.1 ** (0.5 if signed else 1)).abs() > 2e-6
    assert both[inside].notna().all(axis=None)
    assert inside.sum() > 10_000
    difference = both["UNPHASED_R" if signed else "UNPHASED_R2"] - both["R" if signed else "R2"]
    assert difference.abs().max() < 2e-6


def test_the_matrix_of_a_region_is_that_of_plink1(data_file, plink1: str, tmp_path: Path) -> None:
    prefix = data_file(EUR).with_suffix("")
    region = ["--bfile", prefix, "--chr", 22, "--from-bp", 20_000_000, "--to-bp", 20_500_000]
    careome_command("ld", *region, "--square", "--out", tmp_path / "ours")
    run(plink1, *region, "--r2", "square", "--out", tmp_path / "peer")
    ours = pd.read_csv(tmp_path / "ours.unphased.vcor2", sep="\t", header=None)
    np.testing.assert_allclose(ours, pd.read_csv(tmp_path / "peer.ld", sep="\t", header=None), atol=2e-6)
    assert len((tmp_path / "ours.unphased.vcor2.vars").read_text().split()) == len(ours) > 50


def write_x_and_mt(prefix: Path) -> None:
    """Linked haplotypes of men, women and people of unknown sex, with calls that men cannot have."""
    rng = np.random.default_rng(1)
    m, n = 1500, 401
    sex = rng.choice([0, 1, 2], n, p=[0.05, 0.5, 0.45])
    z = rng.standard_normal((2, n))
    calls = np.empty((m, n), dtype=np.int8)
    for v in range(m):
        rho = 0.0 if v % 60 == 0 else 0.93
        z = rho * z + np.sqrt(1 - rho**2) * rng.standard_normal((2, n))
        allele = z < rng.uniform(-1.5, 1.0)
        calls[v] = np.where((sex == 1) | (v >= 1000), 2 * allele[0], allele.sum(axis=0))
    calls[rng.random((m, n)) < 0.02] = -9
    calls[(rng.random((m, n)) < 0.003) & (sex == 1)] = 1
    prefix.with_suffix(".bed").write_bytes(b"\x6c\x1b\x01" + pack(calls).tobytes())
    chrom = ["X"] * 1000 + ["MT"] * 500
    prefix.with_suffix(".bim").write_text(
        "".join(f"{c} v{v} 0 {1000 + 1000 * v} A G\n" for v, c in enumerate(chrom))
    )
    prefix.with_suffix(".fam").write_text("".join(f"f{i} i{i} 0 0 {s} -9\n" for i, s in enumerate(sex)))


def test_pruning_of_x_and_mt_is_that_of_plink2(
    plink2: str, pruning_orders: dict[str, list[str]], tmp_path: Path
) -> None:
    # Only where r2 and frequency weigh men half, and heterozygous men are missing in the one but not the other.
    prefix = tmp_path / "x"
    write_x_and_mt(prefix)
    genotypes = open_genotypes(prefix.with_suffix(".bed"))
    cases = product((["50", "5", "0.2"], ["100", "20", "0.4"]), pruning_orders.items())
    for options, (order, words) in cases:
        run(plink2, "--bfile", prefix, "--indep-pairwise", *options, *words, "--out", tmp_path / "peer")
        window, step, r2 = int(options[0]), int(options[1]), float(options[2])
        kept = ld_prune(genotypes, window=window, step=step, r2=r2, order=order)
        wanted = (tmp_path / "peer.prune.in").read_text().split()
        assert genotypes.variants["id"].iloc[kept].tolist() == wanted


@pytest.fixture
def ldsc() -> str:
    """Path of the ldsc program, from PATH."""
    program = shutil.which("ldsc.py") or shutil.which("ldsc")
    if program is None:
        pytest.skip("peer program 'ldsc' is not installed")
    return program


@pytest.mark.parametrize("options", [["--ld-wind-kb", "500"], ["--ld-wind-cm", "0.5"]])
def test_scores_are_those_of_ldsc(data_file, ldsc: str, tmp_path: Path, options: list[str]) -> None:
    prefix = data_file(CHR22).with_suffix("")
    command = [ldsc, "--l2", "--bfile", prefix, "--chunk-size", "1", *options, "--out", tmp_path / "peer"]
    # ldsc 2.0.1 writes the scores and then stops on its file of M.
    subprocess.run([*map(str, command)], capture_output=True, check=False)
    careome_command("ld-score", "--bfile", prefix, *options, "--out", tmp_path / "ours")
    ours, peer = (pd.read_csv(tmp_path / f"{who}.l2.ldscore.gz", sep="\t") for who in ("ours", "peer"))
    pd.testing.assert_frame_equal(ours[["CHR", "SNP", "BP"]], peer[["CHR", "SNP", "BP"]])
    # ldsc prints three decimals.
    assert (ours["L2"] - peer["L2"]).abs().max() < 6e-4


def test_scores_agree_with_those_published_for_europeans(data_file) -> None:
    genotypes = open_genotypes(data_file(CHR22))
    ours = ld_scores(genotypes, window_cm=1.0).set_index("SNP")
    published = pd.read_csv(data_file("ref_ldscore_eur/22.l2.ldscore.gz"), sep="\t").set_index("SNP")
    both = ours.join(published, how="inner", rsuffix="_published")
    both = both[both["MAF"] > 0.05]
    assert len(both) > 14_000
    # Measured: 0.997. Theirs count the neighbours that are not in HapMap 3 too, hence are somewhat larger.
    assert np.corrcoef(both["L2"], both["L2_published"])[0, 1] > 0.99
    assert 0.8 < both["L2"].mean() / both["L2_published"].mean() < 1.1


def test_the_files_are_what_ld_score_regression_reads(data_file, tmp_path: Path) -> None:
    prefix = data_file(CHR22).with_suffix("")
    for out in ("one", "two"):
        careome_command("ld-score", "--bfile", prefix, "--ld-wind-snps", "50", "--out", tmp_path / out)
    with gzip.open(tmp_path / "one.l2.ldscore.gz", "rt") as handle:
        assert handle.readline() == "CHR\tSNP\tBP\tL2\n"
    assert (tmp_path / "one.l2.ldscore.gz").read_bytes() == (tmp_path / "two.l2.ldscore.gz").read_bytes()
    m, common = (int((tmp_path / f"one.l2.{name}").read_text()) for name in ("M", "M_5_50"))
    assert m == 15_938
    assert 0.85 * m < common < m
