"""Scores and clumps of real data against PLINK."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gwas.genotypes import open_genotypes
from gwas.polygenic.catalog import read_pgs_catalog, read_scores
from gwas.polygenic.clumping import clump
from gwas.polygenic.linkage import genotype_pairs, haplotype_r2, squared_correlation
from gwas.polygenic.scoring import score
from workflows.genotype_inputs import GenotypeSource
from workflows.scoring import run_score, sscore


def six_digits_agree(mine: np.ndarray, printed: np.ndarray) -> None:
    """PLINK prints six significant digits: ours must round to them."""
    unit = 10.0 ** (np.floor(np.log10(np.maximum(np.abs(printed), 1e-12))) - 5)
    assert (np.abs(mine - printed) <= 0.5001 * unit + 1e-12).all()


def plink2_score(plink2: str, bed: Path, weights: pd.DataFrame, out: Path, *options: str) -> pd.DataFrame:
    table = out.with_suffix(".txt")
    weights[["id", "effect_allele", "weight"]].to_csv(table, sep="\t", index=False, header=False)
    command = [plink2, "--bfile", str(bed.with_suffix("")), "--score", str(table), "1", "2", "3", *options,
               "cols=+scoresums", "--out", str(out), "--threads", "1"]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    return pd.read_csv(out.with_suffix(".sscore"), sep="\t")


@pytest.mark.parametrize(("missing", "options"), [("mean", ()), ("zero", ("no-mean-imputation",))])
def test_cineca_scores_agree_with_plink2_in_every_printed_digit(
    data_file: Callable[[str], Path], plink2: str, tmp_path: Path, missing: str, options: tuple[str, ...]
) -> None:
    bed = data_file("geno_cineca_chr22/cineca_synthetic_subset.bed")
    weights = read_pgs_catalog(data_file("geno_cineca_chr22/PGS001229_22.txt"))
    theirs = plink2_score(plink2, bed, weights.frame, tmp_path / "p", *options)
    mine = score(open_genotypes(bed), weights, missing=missing, palindromic="keep")
    assert mine.summary.loc["PGS001229", "used"] == 829
    six_digits_agree(mine.scores["PGS001229"].to_numpy(), theirs["SCORE1_SUM"].to_numpy())
    assert (mine.allele_count["PGS001229"].to_numpy() == theirs["ALLELE_CT"]).all()
    assert (mine.named_alleles["PGS001229"].to_numpy() == theirs["NAMED_ALLELE_DOSAGE_SUM"]).all()


@pytest.mark.parametrize(("missing", "options"), [("mean", ()), ("zero", ("no-mean-imputation",))])
def test_scores_with_missing_calls_agree_with_plink2(
    data_file: Callable[[str], Path], plink2: str, tmp_path: Path, missing: str, options: tuple[str, ...]
) -> None:
    bed = data_file("geno_tooltests/bigsnpr/example-missing.bed")
    genotypes = open_genotypes(bed)
    rng = np.random.default_rng(1)
    v = genotypes.variants
    turned = rng.random(len(v)) < 0.5
    frame = v.assign(effect_allele=v["ref"].where(turned, v["alt"]), weight=rng.normal(size=len(v)))
    (tmp_path / "w.txt").write_text(
        frame[["id", "effect_allele", "weight"]].to_csv(sep="\t", index=False, header=["ID", "A1", "W"])
    )
    weights = read_scores(tmp_path / "w.txt")[0]
    theirs = plink2_score(plink2, bed, weights.frame, tmp_path / "p", *options)
    mine = score(genotypes, weights, missing=missing, palindromic="keep")
    assert mine.summary.loc["W", "missing_calls"] > 0.001
    six_digits_agree(mine.scores["W"].to_numpy(), theirs["SCORE1_SUM"].to_numpy())
    table = sscore(mine, genotypes.samples, missing=missing)
    six_digits_agree(table["W_AVG"].to_numpy(), theirs["SCORE1_AVG"].to_numpy())
    assert (mine.allele_count["W"].to_numpy() == theirs["ALLELE_CT"]).all()


def test_the_three_published_forms_of_one_score_give_the_same_sums(data_file: Callable[[str], Path]) -> None:
    genotypes = open_genotypes(data_file("geno_cineca_chr22/cineca_synthetic_subset.bed"))
    files = ("PGS001229_22.txt", "scorefile.txt", "multiscore.txt", "test.scorefile")
    sums = [
        score(genotypes, read_scores(data_file(f"pgs_catalog/pgsc_calc_{name}"))[0]).scores.iloc[:, 0]
        for name in files
    ]
    for other in sums[1:]:
        np.testing.assert_allclose(other, sums[0], atol=1e-12)


def test_the_command_writes_scores_log_and_summary_in_full_precision(
    data_file: Callable[[str], Path], tmp_path: Path
) -> None:
    bed = data_file("geno_cineca_chr22/cineca_synthetic_subset.bed")
    file = data_file("geno_cineca_chr22/PGS001229_22.txt")
    afreq = tmp_path / "f.afreq"
    genotypes = open_genotypes(bed)
    v = genotypes.variants
    afreq.write_text(
        pd.DataFrame({"#CHROM": v["chrom"], "ID": v["id"], "REF": v["alt"], "ALT": v["ref"],
                      "ALT_FREQS": 0.25, "OBS_CT": 100}).to_csv(sep="\t", index=False)
    )  # fmt: skip
    paths = run_score(source=GenotypeSource(path=bed), score=[file], out=tmp_path / "o", freq=afreq)
    assert [p.name for p in paths] == ["o.sscore", "o.score.match.tsv", "o.score.summary.tsv"]
    table = pd.read_csv(paths[0], sep="\t", float_precision="round_trip")
    mine = score(genotypes, read_scores(file), frequencies=np.full(len(v), 0.75))
    assert (table["PGS001229_SUM"].to_numpy() == mine.scores["PGS001229"].to_numpy()).all()
    assert len(pd.read_csv(paths[1], sep="\t")) == 835
    line = pd.read_csv(paths[2], sep="\t").iloc[0]
    assert line["used"] + line["not_found"] + line["palindromic"] == 835 == line["weights"]


@pytest.mark.parametrize(
    ("p", "p2", "r2", "kb"),
    [(1e-4, 1e-2, 0.5, 250), (5e-8, 1.0, 0.1, 250), (1e-3, 1e-3, 0.2, 500), (1, 1, 0.1, 250)],
)
def test_clumps_of_real_height_statistics_are_those_of_plink(
    data_file: Callable[[str], Path], plink1: str, tmp_path: Path, p: float, p2: float, r2: float, kb: int
) -> None:
    bed = data_file("geno_1kg_eur_chr22/1000G_eur_chr22.bed")
    stats = pd.read_csv(data_file("geno_1kg_eur_chr22/ukb_height_chr22.fastGWA.gz"), sep="\t")
    stats.to_csv(tmp_path / "s.txt", sep="\t", index=False)
    command = [plink1, "--bfile", str(bed.with_suffix("")), "--clump", str(tmp_path / "s.txt"),
               "--clump-p1", str(p), "--clump-p2", str(p2), "--clump-r2", str(r2), "--clump-kb", str(kb),
               "--out", str(tmp_path / "c")]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    theirs = pd.read_csv(tmp_path / "c.clumped", sep=r"\s+")
    mine = clump(stats, open_genotypes(bed), p=p, p2=p2, r2=r2, kb=kb)
    assert set(mine.leads["id"]) == set(theirs["SNP"])
    assert mine.leads["log10_p"].is_monotonic_decreasing
    name = stats["SNP"]
    members = mine.members.groupby("lead")["row"].agg(lambda rows: set(name[rows]))
    listed = {
        row.SNP: set() if row.SP2 == "NONE" else {x.removesuffix("(1)") for x in row.SP2.split(",")}
        for row in theirs.itertuples()
    }
    assert {name[lead]: rows for lead, rows in members.items()} == {k: v for k, v in listed.items() if v}


def test_haplotype_r2_equals_expectation_maximisation() -> None:
    rng = np.random.default_rng(2)
    haplotypes = rng.choice(4, size=(200, 2), p=[0.45, 0.1, 0.15, 0.3])
    first, second = (
        (haplotypes // 2).sum(axis=1).astype(np.int8),
        (haplotypes % 2).sum(axis=1).astype(np.int8),
    )
    second[:9] = -9
    table = genotype_pairs(first, second[None])[0]
    share = 0.5
    for _ in range(5000):
        d = table[1, 1]
        both = 2 * table[2, 2] + table[2, 1] + table[1, 2] + share * d
        neither = 2 * table[0, 0] + table[1, 0] + table[0, 1] + share * d
        one = 2 * table[2, 0] + table[2, 1] + table[1, 0] + (1 - share) * d
        two = 2 * table[0, 2] + table[1, 2] + table[0, 1] + (1 - share) * d
        share = both * neither / (both * neither + one * two)
    n = both + neither + one + two
    p, q = (both + one) / n, (both + two) / n
    expected = (both / n - p * q) ** 2 / (p * (1 - p) * q * (1 - q))
    assert haplotype_r2(first, second[None])[0] == pytest.approx(expected, rel=1e-9)
    known = second >= 0
    plain = np.corrcoef(first[known], second[known])[0, 1] ** 2
    assert squared_correlation(first, second[None])[0] == pytest.approx(plain, rel=1e-12)
