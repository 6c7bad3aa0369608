"""Frequencies, filters, scores and association of dosages against plink2 on the same dosages."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gwas.association import associate
from gwas.design import make_design
from gwas.genotypes import Reader, open_genotypes
from gwas.kernels.dosages import from_packed
from gwas.models.linear import Missing
from workflows.association import run_gwas
from workflows.genotype_commands.runner import run_command
from workflows.genotype_inputs import Filters, GenotypeSource
from workflows.scoring import run_score

N = 240
CHROMOSOMES = ["1"] * 60 + ["2"] * 40 + ["X"] * 25 + ["MT"] * 5
LAST_DIGIT = 6e-6


def imputed(rng: np.random.Generator, chrom: str, sex: np.ndarray) -> np.ndarray:
    """Dosages of a variant that is imputed with some uncertainty; men on X and all on MT from 0 to 1."""
    p, doubt = rng.uniform(0.02, 0.6), rng.uniform(0.05, 2.0)
    copies = rng.binomial(2, p, len(sex)) / 2
    alone = (sex == 1) & (chrom == "X") | (chrom == "MT")
    copies[alone] = np.round(copies[alone])
    spread = rng.beta((copies * 4 + 0.2) / doubt, ((1 - copies) * 4 + 0.2) / doubt)
    out = np.round(np.where(rng.random(len(sex)) < 0.5, copies, spread), 3)
    out[rng.random(len(sex)) < 0.03] = np.nan
    return np.where(alone, out, 2 * out)


def cell(dosage: float, alone: bool) -> str:
    if np.isnan(dosage):
        return "." if alone else "./."
    whole = int(dosage + 0.5)
    return f"{whole if alone else ('0/0', '0/1', '1/1')[whole]}:{dosage:.3f}"


@pytest.fixture(scope="module")
def pfile(plink2: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PGEN of dosages with X, MT, nonfounders and missing values, made by plink2."""
    folder = tmp_path_factory.mktemp("dosages")
    rng = np.random.default_rng(11)
    sex = rng.choice([1, 2], size=N)
    columns = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT"]
    lines = ["##fileformat=VCFv4.2"]
    lines += [f"##contig=<ID={name}>" for name in dict.fromkeys(CHROMOSOMES)]
    lines += ['##FORMAT=<ID=GT,Number=1,Type=String,Description="g">']
    lines += ['##FORMAT=<ID=DS,Number=A,Type=Float,Description="d">']
    lines.append("\t".join([*columns, *(f"s{i}" for i in range(N))]))
    for row, chrom in enumerate(CHROMOSOMES):
        alone = (sex == 1) & (chrom == "X") | (chrom == "MT")
        cells = [cell(d, a) for d, a in zip(imputed(rng, chrom, sex), alone, strict=True)]
        lines.append(
            "\t".join([chrom, str(5_000_000 + row), f"v{row}", "A", "C", ".", ".", ".", "GT:DS", *cells])
        )
    (folder / "d.vcf").write_text("\n".join(lines) + "\n")
    who = (f"s{i}\t{'s0' if i > 230 else 0}\t{'s1' if i > 230 else 0}\t{s}\n" for i, s in enumerate(sex))
    (folder / "d.psam").write_text("#IID\tPAT\tMAT\tSEX\n" + "".join(who))
    traits = pd.DataFrame({"IID": [f"s{i}" for i in range(N)], "QT": rng.normal(size=N)})
    traits["CASE"] = 1 + (rng.random(N) < 0.4)
    traits["AGE"] = rng.normal(50, 10, N).round(1)
    traits.loc[3:5, "QT"] = np.nan
    traits.rename(columns={"IID": "#IID"}).to_csv(folder / "p.txt", sep="\t", index=False, na_rep="NA")
    plink(
        plink2,
        "--vcf",
        folder / "d.vcf",
        "dosage=DS",
        "--psam",
        folder / "d.psam",
        "--make-pgen",
        "--out",
        folder / "d",
    )
    return folder / "d"


def plink(program: str, *words: object) -> None:
    done = subprocess.run([program, *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def source(pfile: Path) -> GenotypeSource:
    return GenotypeSource(path=pfile.with_suffix(".pgen"))


def table(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", dtype={"#CHROM": str, "#FID": str, "IID": str, "#IID": str})


def freq(pfile: Path, out: Path, filters: Filters | None = None) -> pd.DataFrame:
    chosen = filters or Filters()
    run_command("freq", source=source(pfile), out=out, filters=chosen, threads=2, options={})
    return table(Path(f"{out}.afreq"))


def test_frequencies_are_those_of_dosages(plink2: str, pfile: Path, tmp_path: Path) -> None:
    plink(plink2, "--pfile", pfile, "--freq", "--out", tmp_path / "peer")
    ours, peer = freq(pfile, tmp_path / "ours"), table(tmp_path / "peer.afreq")
    assert (ours["ID"] == peer["ID"]).all()
    assert (ours["OBS_CT"] == peer["OBS_CT"]).all()
    np.testing.assert_allclose(ours["ALT_FREQS"], peer["ALT_FREQS"], rtol=LAST_DIGIT)
    calls = GenotypeSource(path=pfile.with_suffix(".pgen"), values="hard-call")
    run_command("freq", source=calls, out=tmp_path / "calls", filters=Filters(), threads=2, options={})
    assert not np.allclose(table(tmp_path / "calls.afreq")["ALT_FREQS"], ours["ALT_FREQS"], rtol=1e-3)
    assert "; hard calls;" in (tmp_path / "calls.log").read_text()
    assert "; dosages;" in (tmp_path / "ours.log").read_text()


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        (Filters(maf=0.1), ["--maf", 0.1]),
        (Filters(mac=40), ["--mac", 40]),
        (Filters(geno=0.2), ["--geno", 0.2]),
        (Filters(hwe=1e-3), ["--hwe", 1e-3]),
        (Filters(mach_r2=(0.9, 2.0)), ["--mach-r2-filter", 0.9, 2]),
        (
            Filters(maf=0.05, geno=0.3, mach_r2=(0.8, 1.2)),
            ["--maf", 0.05, "--geno", 0.3, "--mach-r2-filter", 0.8, 1.2],
        ),
    ],
)
def test_filters_use_dosages_where_plink2_does(
    plink2: str, pfile: Path, tmp_path: Path, filters: Filters, words: list[object]
) -> None:
    plink(plink2, "--pfile", pfile, *words, "--write-snplist", "--out", tmp_path / "peer")
    left = (tmp_path / "peer.snplist").read_text().split()
    assert 5 < len(left) < len(CHROMOSOMES)
    assert freq(pfile, tmp_path / "ours", filters)["ID"].tolist() == left


@pytest.mark.parametrize("missing", ["mean", "zero"])
def test_scores_are_sums_of_dosages(plink2: str, pfile: Path, tmp_path: Path, missing: str) -> None:
    rng = np.random.default_rng(2)
    ids = [f"v{i}" for i, chrom in enumerate(CHROMOSOMES) if chrom in ("1", "2") and i % 3]
    alleles = rng.choice(["A", "C"], size=len(ids))
    weights = pd.DataFrame({"ID": ids, "A1": alleles, "BETA": rng.normal(size=len(ids)).round(4)})
    weights.to_csv(tmp_path / "w.txt", sep="\t", index=False)
    more = [] if missing == "mean" else ["no-mean-imputation"]
    plink(
        plink2, "--pfile", pfile, "--nonfounders", "--score", tmp_path / "w.txt", 1, 2, 3, "header", *more,
        "cols=nallele,dosagesum,scoreavgs,scoresums", "--out", tmp_path / "peer",
    )  # fmt: skip
    run_score(source=source(pfile), score=[tmp_path / "w.txt"], out=tmp_path / "ours", missing=missing)
    ours, peer = table(tmp_path / "ours.sscore"), table(tmp_path / "peer.sscore")
    np.testing.assert_array_equal(ours["ALLELE_CT"], peer["ALLELE_CT"])
    np.testing.assert_allclose(ours.filter(like="_SUM").iloc[:, -1], peer["SCORE1_SUM"], rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(ours.filter(like="_AVG").iloc[:, 0], peer["SCORE1_AVG"], rtol=2e-5, atol=1e-8)
    np.testing.assert_allclose(ours["NAMED_ALLELE_DOSAGE_SUM"], peer["NAMED_ALLELE_DOSAGE_SUM"], rtol=1e-4)


@pytest.mark.parametrize(("trait", "end"), [("QT", "glm.linear"), ("CASE", "glm.logistic.hybrid")])
def test_association_of_dosages(plink2: str, pfile: Path, tmp_path: Path, trait: str, end: str) -> None:
    traits = pfile.parent / "p.txt"
    words = ["--pheno", traits, "--pheno-name", trait, "--covar", traits, "--covar-name", "AGE"]
    words += ["--covar-variance-standardize", "--glm", "hide-covar", "omit-ref", "cols=+a1freq"]
    plink(plink2, "--pfile", pfile, *words, "--out", tmp_path / "peer")
    run_gwas(
        source=source(pfile),
        pheno=traits,
        covar=traits,
        pheno_name=[trait],
        covar_name=["AGE"],
        missing_genotypes="complete-case",
        logistic="wald",
        out=tmp_path / "ours",
        threads=2,
    )
    ours, peer = table(tmp_path / f"ours.{trait}.{end}"), table(tmp_path / f"peer.{trait}.{end}")
    for column in ("ID", "A1", "OBS_CT", "ERRCODE"):
        assert ours[column].tolist() == peer[column].tolist(), column
    autosomal = ours["#CHROM"].isin(["1", "2"])
    np.testing.assert_allclose(ours["A1_FREQ"][autosomal], peer["A1_FREQ"][autosomal], rtol=LAST_DIGIT)
    fine = (peer["ERRCODE"] == ".").to_numpy()
    assert fine.mean() > 0.9
    if trait == "QT":
        effect, spread, se = ours["BETA"] - peer["BETA"], peer["SE"], ours["SE"] / peer["SE"]
    else:
        assert (ours["FIRTH?"] == peer["FIRTH?"]).all()
        spread = peer["LOG(OR)_SE"]
        effect, se = np.log(ours["OR"]) - np.log(peer["OR"]), ours["LOG(OR)_SE"] / spread
    assert (effect / spread)[fine].abs().max() < 1e-4
    assert (se - 1)[fine].abs().max() < 1e-4
    log10p = -np.log10(peer["P"])
    assert ((ours["LOG10_P"] - log10p).abs() / np.maximum(1, log10p))[fine].max() < 1e-3


@pytest.mark.parametrize("missing", ["mean", "complete-case"])
def test_dosages_that_are_calls_give_what_calls_give(pfile: Path, missing: Missing) -> None:
    exact = open_genotypes(pfile.with_suffix(".pgen"), values="hard-call", hard_call_threshold=0.1)
    rng = np.random.default_rng(4)
    ids = list(exact.samples["iid"])
    traits = pd.DataFrame({"q": rng.normal(size=N), "b": (rng.random(N) < 0.3).astype(float)}, index=ids)
    traits.iloc[:7, 0] = np.nan
    design = make_design(ids, traits, pd.DataFrame({"age": rng.normal(size=N)}, index=ids))
    as_dosages = replace(exact, reader=CallsAsDosages(exact.reader), values="dosage")
    for logistic in ("wald", "score-firth"):
        options = {"missing": missing, "logistic": logistic, "tail_below": 0.5}
        calls, dosages = (associate(g, design, **options) for g in (exact, as_dosages))
        small = associate(as_dosages, design, **options, block_size=7)
        for name in calls:
            # calls meet traits rounded to whole numbers of 20 and more bits, dosages in double precision
            pd.testing.assert_frame_equal(calls[name], dosages[name], rtol=1e-5, atol=2e-6)
            pd.testing.assert_frame_equal(small[name], dosages[name], rtol=1e-9)


@dataclass(frozen=True)
class CallsAsDosages:
    """Hands out hard calls where dosages are asked."""

    reader: Reader
    has_dosages: bool = True

    @property
    def path(self) -> Path:
        return self.reader.path

    @property
    def n_samples(self) -> int:
        return self.reader.n_samples

    @property
    def coding(self) -> str:
        return self.reader.coding

    def read(self, variants: np.ndarray) -> np.ndarray:
        return self.reader.read(variants)

    def read_dosages(self, variants: np.ndarray) -> np.ndarray:
        return from_packed(self.reader.read(variants), self.n_samples)
