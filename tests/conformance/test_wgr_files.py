"""``careome wgr``, then ``careome gwas --pred`` and ``careome score`` with its files, as a user runs them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pandas as pd
import pytest

from gwas.association import associate
from gwas.design import Design, make_design
from gwas.genotypes import Genotypes, open_genotypes
from gwas.kernels.packed import pack
from gwas.offsets import LocoOffsets, read_offsets

Careome = Callable[..., CompletedProcess[str]]
N, M, CHROMOSOMES = 400, 240, 4


@pytest.fixture(scope="module")
def step1(tmp_path_factory: pytest.TempPathFactory, careome: Careome) -> Path:
    """Folder with genotypes g, traits Q (a tenth missing) and B, a covariate, and step 1's files s."""
    folder = tmp_path_factory.mktemp("wgr")
    rng = np.random.default_rng(4)
    calls = rng.binomial(2, rng.uniform(0.1, 0.5, M)[:, None], (M, N))
    signal = rng.normal(size=M) @ (calls - calls.mean(axis=1, keepdims=True))
    signal /= signal.std()
    calls = np.where(rng.random(calls.shape) < 0.01, -9, calls)
    (folder / "g.bed").write_bytes(b"\x6c\x1b\x01" + pack(calls.astype(np.int8)).tobytes())
    (folder / "g.fam").write_text("".join(f"f{i} i{i} 0 0 1 -9\n" for i in range(N)))
    chrom = np.arange(M) * CHROMOSOMES // M + 1
    (folder / "g.bim").write_text("".join(f"{chrom[j]} v{j} 0 {j + 1} A {'CT'[j % 2]}\n" for j in range(M)))
    age = rng.normal(size=N)
    q = 40 + 5 * (signal + 0.5 * age + 0.7 * rng.normal(size=N))
    b = (1.5 * signal + rng.logistic(size=N) > 0.5).astype(int)
    absent = rng.random(N) < 0.1
    lines = (f"f{i} i{i} {'NA' if absent[i] else f'{q[i]:.4f}'} {b[i]}\n" for i in range(N))
    (folder / "p.txt").write_text("FID IID Q B\n" + "".join(lines))
    (folder / "c.txt").write_text("FID IID AGE\n" + "".join(f"f{i} i{i} {age[i]:.4f}\n" for i in range(N)))
    extra = ["--bsize", 100, "--loocv", "--minMAC", 6, "--cv", 5]
    done = careome("wgr", *_inputs(folder), "--threads", 2, *extra, "--out", folder / "s")
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    return folder


def _inputs(folder: Path) -> list[object]:
    return ["--bfile", folder / "g", "--pheno", folder / "p.txt", "--covar", folder / "c.txt"]


def _design(folder: Path, genotypes: Genotypes) -> Design:
    people = list(genotypes.samples["iid"])
    traits = pd.read_csv(folder / "p.txt", sep=" ", index_col="IID")[["Q", "B"]]
    covariates = pd.read_csv(folder / "c.txt", sep=" ", index_col="IID")[["AGE"]]
    return make_design(people, traits, covariates)


def _offsets(folder: Path, genotypes: Genotypes) -> LocoOffsets:
    people = list(zip(genotypes.samples["fid"], genotypes.samples["iid"], strict=True))
    return read_offsets(folder / "s_pred.list", people)


def _results(folder: Path, name: str) -> dict[str, pd.DataFrame]:
    files = {"Q": f"{name}.Q.glm.linear", "B": f"{name}.B.glm.logistic.hybrid"}
    return {trait: pd.read_csv(folder / file, sep="\t") for trait, file in files.items()}


def _compare(found: pd.DataFrame, expected: pd.DataFrame, effect: str) -> None:
    assert len(found) == len(expected) == M
    told = np.log(found["OR"]) if effect == "OR" else found[effect]
    error = found["LOG(OR)_SE" if effect == "OR" else "SE"]
    z = expected["T_STAT"].to_numpy()
    assert np.allclose(told / error, z, rtol=1e-4, atol=2e-4)


def _edited(step1: Path, folder: Path, edit: Callable[[list[str]], list[str]]) -> Path:
    """Step 1's files with the lines of both .loco files changed."""
    for i in (1, 2):
        lines = (step1 / f"s_{i}.loco").read_text().splitlines()
        (folder / f"e_{i}.loco").write_text("\n".join(edit(lines)) + "\n")
    (folder / "e_pred.list").write_text("Q e_1.loco\nB e_2.loco\n")
    return folder / "e_pred.list"


def test_results_of_the_command_are_those_of_associate(step1: Path, careome: Careome) -> None:
    done = careome("gwas", *_inputs(step1), "--pred", step1 / "s_pred.list", "--out", step1 / "o")
    assert done.returncode == 0, done.stderr
    log = (step1 / "o.log").read_text()
    assert f"whole-genome predictions taken out: {step1 / 's_pred.list'}" in log
    assert "without prediction" not in log
    genotypes = open_genotypes(step1 / "g.bed")
    design, found = _design(step1, genotypes), _results(step1, "o")
    expected = associate(genotypes, design, offsets=_offsets(step1, genotypes))
    _compare(found["Q"], expected["Q"], "BETA")
    _compare(found["B"], expected["B"], "OR")
    assert (found["Q"]["OBS_CT"] < N).all()
    plain = associate(genotypes, design)
    for trait in ("Q", "B"):
        assert not np.allclose(plain[trait]["T_STAT"], expected[trait]["T_STAT"], rtol=0.01)


def test_options_that_change_nothing_are_told(step1: Path) -> None:
    log = (step1 / "s.log").read_text()
    for option in ("--bsize", "--loocv"):
        assert f"{option}: accepted for REGENIE's sake, changes nothing here" in log
    assert "--lowmem" not in log
    assert "--mac 6: 0 variants removed" in log


def test_a_trait_without_predictions_is_refused(step1: Path, careome: Careome, tmp_path: Path) -> None:
    only = tmp_path / "only_pred.list"
    only.write_text(f"Q {step1 / 's_1.loco'}\nother {tmp_path / 'absent.loco'}\n")
    done = careome("gwas", *_inputs(step1), "--pred", only, "--out", tmp_path / "o")
    assert done.returncode != 0
    assert "B: no whole-genome predictions of a trait; found predictions of Q, other" in done.stderr
    fine = careome("gwas", *_inputs(step1), "--pheno-name", "Q", "--pred", only, "--out", tmp_path / "o")
    assert fine.returncode == 0, fine.stderr


def test_a_chromosome_that_is_not_in_the_files_is_refused_where_tested(
    step1: Path, careome: Careome, tmp_path: Path
) -> None:
    cut = _edited(step1, tmp_path, lambda lines: [line for line in lines if not line.startswith("2 ")])
    done = careome("gwas", *_inputs(step1), "--pred", cut, "--out", tmp_path / "o")
    assert done.returncode != 0
    assert "no predictions for a chromosome to be tested; found no line of chromosome 2" in done.stderr
    other = careome("gwas", *_inputs(step1), "--chr", "1,3-4", "--pred", cut, "--out", tmp_path / "o")
    assert other.returncode == 0, other.stderr


def test_people_with_na_or_without_a_column_are_left_out_and_counted(
    step1: Path, careome: Careome, tmp_path: Path
) -> None:
    def edit(lines: list[str]) -> list[str]:
        cells = [line.split() for line in lines]
        for row in cells[1:]:
            row[3] = "NA"
        return [" ".join(row[:-2]) for row in cells]

    some = _edited(step1, tmp_path, edit)
    done = careome("gwas", *_inputs(step1), "--pred", some, "--out", tmp_path / "o")
    assert done.returncode == 0, done.stderr
    assert "B: 3 people without prediction left out" in (tmp_path / "o.log").read_text()
    genotypes = open_genotypes(step1 / "g.bed")
    offsets = _offsets(step1, genotypes)
    offsets.values[:, :, [2, N - 2, N - 1]] = np.nan
    expected = associate(genotypes, _design(step1, genotypes), offsets=offsets)
    found = _results(tmp_path, "o")
    _compare(found["Q"], expected["Q"], "BETA")
    _compare(found["B"], expected["B"], "OR")
    assert (found["B"]["OBS_CT"] == N - 3).all()


@pytest.mark.parametrize("cell", ["inf", "0.1x"])
def test_what_is_no_number_is_refused_with_its_line(
    step1: Path, careome: Careome, tmp_path: Path, cell: str
) -> None:
    def edit(lines: list[str]) -> list[str]:
        return [lines[0], " ".join([*lines[1].split()[:-1], cell]), *lines[2:]]

    bad = _edited(step1, tmp_path, edit)
    done = careome("gwas", *_inputs(step1), "--pred", bad, "--out", tmp_path / "o")
    assert done.returncode != 0
    assert "e_1.loco:2: is not" in done.stderr
    assert cell not in done.stderr


def test_the_weights_are_a_score_of_the_whole_prediction(step1: Path, careome: Careome) -> None:
    """Each fold's prediction differs from everyone's; that of all people is the sum of the weights."""
    from gwas.whole_genome import whole_genome_regression

    genotypes = open_genotypes(step1 / "g.bed")
    fit = whole_genome_regression(genotypes, _design(step1, genotypes), folds=5, mac=6)
    (block,) = genotypes.dosage_blocks(M)
    dosages = np.asarray(block.dosages, dtype=float)
    means = np.nanmean(dosages, axis=1, keepdims=True)
    full = np.where(np.isnan(dosages), 0.0, dosages - means).T @ fit.weights.astype(float)
    for t, trait in enumerate(("Q", "B")):
        out = step1 / f"score{trait}"
        weights = step1 / f"s.{trait}.weights"
        done = careome(
            "score", "--bfile", step1 / "g", "--score", weights, "--palindromic", "keep", "--out", out
        )
        assert done.returncode == 0, done.stderr
        (file,) = step1.glob(f"score{trait}*.sscore")
        table = pd.read_csv(file, sep="\t")
        (column,) = [name for name in table.columns if name.endswith("_SUM") and "DOSAGE" not in name]
        score = table[column].to_numpy(dtype=float)
        assert np.corrcoef(score, full[:, t])[0, 1] > 0.9999
        assert np.polyfit(full[:, t], score, 1)[0] == pytest.approx(1, rel=1e-3)
        loco = fit.offsets.of(trait, "X", genotypes.samples["iid"])
        assert np.corrcoef(score, loco)[0, 1] > 0.5


def test_calibrated_predictions_divide_the_chi_squares_of_quantitative_traits(
    step1: Path, careome: Careome, tmp_path: Path
) -> None:
    done = careome("wgr", *_inputs(step1), "--cv", 5, "--minMAC", 6, "--calibrate", "--out", tmp_path / "k")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "k_1.loco").read_bytes() == (step1 / "s_1.loco").read_bytes()
    factors = dict(line.split() for line in (tmp_path / "k_pred.inflation").read_text().splitlines())
    assert float(factors["B"]) == 1.0
    assert float(factors["Q"]) != 1.0
    words = ["--pred", tmp_path / "k_pred.list", "--out", tmp_path / "o"]
    done = careome("gwas", *_inputs(step1), *words, "--pred-inflation", tmp_path / "k_pred.inflation")
    assert done.returncode == 0, done.stderr
    assert f"Q: chi-squares divided by {float(factors['Q']):.4f}" in (tmp_path / "o.log").read_text()
    divided = {
        trait: table["T_STAT" if trait == "Q" else "Z_STAT"]
        for trait, table in _results(tmp_path, "o").items()
    }
    done = careome("gwas", *_inputs(step1), *words)
    assert done.returncode == 0, done.stderr
    plain = {
        trait: table["T_STAT" if trait == "Q" else "Z_STAT"]
        for trait, table in _results(tmp_path, "o").items()
    }
    np.testing.assert_allclose(divided["Q"] * np.sqrt(float(factors["Q"])), plain["Q"], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(divided["B"], plain["B"])
    refused = careome("gwas", *_inputs(step1), "--pred-inflation", "x", "--out", tmp_path / "o")
    assert "--pred-inflation goes with --pred" in refused.stderr
