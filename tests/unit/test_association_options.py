"""Options of ``careome gwas``: both programs' names, codings, conditions, many traits, what is echoed and refused."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cohorts.errors import DesignError, InputError
from gwas.association import associate, associate_tests
from gwas.conditioning import condition_on
from gwas.design import make_design
from gwas.genotypes import open_genotypes
from gwas.kernels.packed import decode, pack
from gwas.kernels.recode import recode_calls, recode_dosages
from gwas.models.phenome import AssociationOptions
from gwas.rank_normal import rank_normal, rank_normal_design
from workflows.association import run_gwas
from workflows.cli import _joined
from workflows.genotype_inputs import GenotypeSource
from workflows.gwas_options import ModelOptions, OutputOptions, TraitOptions

N, M = 90, 40
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Forty variants, the last ten on X (two heterozygous men); traits, covariates and a category by numbers."""
    rng = np.random.default_rng(4)
    calls = rng.binomial(2, 0.4, (M, N)).astype(np.int8)
    men = np.arange(N) % 2 == 0
    calls[30:, men] = np.where(calls[30:, men] == 1, 2, calls[30:, men])
    calls[rng.random(calls.shape) < 0.03] = -9
    calls[[31, 36], [4, 10]] = 1
    prefix = tmp_path / "study"
    prefix.with_suffix(".bed").write_bytes(b"\x6c\x1b\x01" + pack(calls).tobytes())
    prefix.with_suffix(".fam").write_text("".join(f"f{i} s{i} 0 0 {i % 2 + 1} -9\n" for i in range(N)))
    prefix.with_suffix(".bim").write_text(
        "".join(f"{1 + j // 15 if j < 30 else 23} v{j} 0 {50_000 * (j + 1)} A G\n" for j in range(M))
    )
    table = pd.DataFrame({"FID": [f"f{i}" for i in range(N)], "IID": [f"s{i}" for i in range(N)]})
    for name in ("Q1", "Q2", "PC1", "PC2", "PC3"):
        table[name] = rng.normal(size=N).round(3)
    table["CASE"], table["SITE"] = rng.binomial(1, 0.4, N), rng.integers(1, 4, N)
    table.loc[[3, 8], "Q2"] = np.nan
    table.to_csv(prefix.with_suffix(".txt"), sep=" ", index=False, na_rep="NA")
    return prefix


def go(study: Path, out: Path, **changes: Any) -> list[Path]:
    table = study.with_suffix(".txt")
    options: dict[str, Any] = {"pheno_name": ["Q1", "Q2"], "covar": table, "covar_name": ["PC1"]}
    options["source"] = GenotypeSource(path=study)
    return run_gwas(pheno=table, out=out, **(options | changes))


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep=r"\s+", dtype={"#CHROM": str, "CHROM": str})


def test_both_programs_command_lines_give_the_same_bytes(study: Path, tmp_path: Path, careome: Run) -> None:
    table = study.with_suffix(".txt")
    regenie = ["--step", 2, "--bed", study, "--phenoFile", table, "--phenoCol", "Q1", "--phenoCol", "Q2"]
    regenie += ["--covarFile", table, "--covarColList", "PC{1:3},SITE", "--catCovarList", "SITE"]
    regenie += ["--bsize", 7, "--qt", "--minMAC", 3, "--test", "dominant", "--threads", 1]
    plink = ["--bfile", study, "--pheno", table, "--pheno-name", "Q1", "Q2", "--covar", table, "--mac", 3]
    plink += ["--covar-name", "PC1-PC3", "SITE", "--catCovarList", "SITE", "--glm", "dominant", "hide-covar"]
    for name, words in (("a", regenie), ("b", plink)):
        done = careome("gwas", *words, "--out", tmp_path / name)
        assert done.returncode == 0, done.stderr
        assert "coding: dominant" in done.stdout
        assert "covariates: PC1, PC2, PC3, SITE=" in done.stdout
        assert "lambda" in done.stdout
        assert "variants, " in done.stderr
    for trait in ("Q1", "Q2"):
        first, second = (tmp_path / f"{name}.{trait}.glm.linear" for name in "ab")
        assert first.read_bytes() == second.read_bytes()
        assert set(read(first)["TEST"]) == {"DOM"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--glm", "genotypic"], "--glm genotypic is not supported"),
        (["--glm", "dominant", "--test", "recessive"], "one coding at a time"),
        (["--qt", "--bt"], "exclude each other"),
        (["--firth", "--spa"], "one of --firth, --spa"),
        (["--approx"], "--approx goes with --firth"),
        (["--firth-se", "--spa"], "--firth-se goes with --firth"),
        (["--pred", "x_pred.list", "--ignore-pred"], "--pred and --ignore-pred exclude each other"),
        (["--apply-rint", "--pheno-quantile-normalize"], "two formulas"),
        (["--build", "b36"], "expected b37 or b38"),
        (["--step", "1"], "--step"),
        (["--ci", "0.95", "--out-format", "parquet"], "--ci goes with"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    study: Path, tmp_path: Path, words: list[str], message: str
) -> None:
    from typer.testing import CliRunner

    from workflows.cli import application

    given = ["gwas", "--bfile", str(study), "--pheno", str(study.with_suffix(".txt")), *words]
    done = CliRunner().invoke(application(), _joined([*given, "--out", str(tmp_path / "x")]))
    assert done.exit_code == 2
    assert message in " ".join(done.output.replace("│", " ").split())


@pytest.mark.parametrize(
    ("words", "logistic", "firth_se"),
    [
        ([], "score-spa-firth", False),
        (["--bt", "--pThresh", "0.01"], "score-spa-firth", False),
        (["--glm"], "wald", False),
        (["--glm", "firth-fallback", "hide-covar"], "wald", False),
        (["--glm", "firth"], "score-firth", False),
        (["--firth"], "score-firth", False),
        (["--firth", "--approx", "--firth-se"], "score-firth-approx", True),
        (["--spa"], "score-spa", False),
        (["--spa", "--glm", "dominant"], "score-spa", False),
    ],
)
def test_words_choose_the_test_of_binary_traits(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: list[str], logistic: str, firth_se: bool
) -> None:
    from typer.testing import CliRunner

    from workflows import association
    from workflows.cli import application

    asked: dict[str, Any] = {}

    def run(**given: Any) -> list[Path]:
        asked.update(given)
        raise DesignError("that is all")

    monkeypatch.setattr(association, "run_gwas", run)
    given = ["gwas", "--bfile", "none", "--pheno", "none.txt", *words, "--out", str(tmp_path / "x")]
    CliRunner().invoke(application(), _joined(given))
    assert asked["logistic"] == logistic
    assert asked["model"].firth_se is firth_se


@pytest.mark.parametrize("cases", [1, 40])
def test_a_test_that_rejects_too_often_where_cases_are_few_is_warned_of(
    study: Path, tmp_path: Path, cases: int
) -> None:
    table = read(study.with_suffix(".txt"))
    table["CASE"] = (np.arange(N) < cases).astype(int)
    table.to_csv(study.with_suffix(".txt"), sep=" ", index=False, na_rep="NA")
    for logistic in ("wald", "score-firth-approx", "score-spa", "score-spa-firth"):
        log = go(study, tmp_path / logistic, pheno_name=["CASE", "Q1"], logistic=logistic)[-1].read_text()
        warned = f"warning: CASE: one in {N / cases:.0f}; at fewer than 100 minor alleles" in log
        assert warned == (cases == 1 and "spa" not in logistic)
        assert log.count("warning") == warned


@pytest.mark.parametrize(
    ("logistic", "told"),
    [
        ("wald", "binary traits: maximum likelihood, Firth where it fails"),
        ("score-firth", "binary traits: score, Firth where P < 0.2"),
        ("score-firth-approx", "binary traits: score, approximate Firth where P < 0.2"),
        ("score-spa", "binary traits: score, saddle-point where P < 0.2"),
        (
            "score-spa-firth",
            "binary traits: score, saddle-point with approximate Firth's effects where P < 0.2",
        ),
    ],
)
def test_binary_traits_by_each_method_which_the_log_tells(
    study: Path, tmp_path: Path, logistic: Any, told: str
) -> None:
    model = ModelOptions(tail_below=0.2)
    files = go(study, tmp_path / "run", pheno_name=["CASE"], logistic=logistic, model=model)
    log = files[-1].read_text()
    assert told in log
    assert "0 = control, 1 = case" in log
    found = read(files[0])
    assert (found["ERRCODE"] == ".").all()
    reference = read(go(study, tmp_path / "wald", pheno_name=["CASE"], logistic="wald")[0])
    assert np.corrcoef(found["LOG10_P"], reference["LOG10_P"])[0, 1] > 0.99


def test_words_after_an_option_are_joined_and_glm_may_stand_alone() -> None:
    assert _joined(["gwas", "--glm", "--out", "x"]) == ["gwas", "--glm", "", "--out", "x"]
    assert _joined(["--glm", "firth", "hide-covar"]) == ["--glm", "firth,hide-covar"]
    assert _joined(["--pheno-name", "A", "B-C", "--1"]) == ["--pheno-name", "A,B-C", "--1"]


def test_coded_calls_equal_a_plain_recoding() -> None:
    calls = np.random.default_rng(1).choice([-9, 0, 1, 2], (9, 37)).astype(np.int8)
    plain = {"additive": {}, "dominant": {2: 1}, "recessive": {1: 0, 2: 1}, "hetonly": {2: 0}}
    for coding, change in plain.items():
        expected = np.vectorize(lambda call, change=change: change.get(int(call), call))(calls)
        np.testing.assert_array_equal(decode(recode_calls(pack(calls), coding), 37), expected)  # type: ignore[arg-type]
        known = np.where(calls < 0, np.nan, calls).astype(np.float32)
        wanted = np.where(calls < 0, np.nan, expected)
        np.testing.assert_array_equal(recode_dosages(known, coding), wanted)  # type: ignore[arg-type]


def test_dosages_of_whole_numbers_are_coded_as_the_calls_are(study: Path) -> None:
    genotypes = open_genotypes(study)
    autosomes = genotypes.select(variants=np.arange(30))
    table = pd.read_csv(study.with_suffix(".txt"), sep=" ", index_col="IID")
    design = make_design(list(genotypes.samples["iid"]), table[["Q1", "CASE"]], table[["PC1"]])
    # the packed calls, read by the path that dosages take
    exact = replace(autosomes, values="dosage")
    for coding in ("dominant", "recessive", "hetonly"):
        a, b = (
            associate(chosen, design, coding=coding, logistic="wald")  # type: ignore[arg-type]
            for chosen in (autosomes, exact)
        )
        for trait in ("Q1", "CASE"):
            for column in ("A1_FREQ", "BETA", "SE", "LOG10_P"):
                np.testing.assert_allclose(a[trait][column], b[trait][column], rtol=1e-6, atol=1e-7)


def test_frequency_and_effect_of_men_with_one_copy(study: Path) -> None:
    genotypes = open_genotypes(study)
    table = pd.read_csv(study.with_suffix(".txt"), sep=" ", index_col="IID")
    design = make_design(list(genotypes.samples["iid"]), table[["Q1"]])
    found = associate(genotypes, design, male_copies=1, missing="complete-case")["Q1"]
    calls = np.concatenate([block.dosages() for block in genotypes.blocks()])
    men = (genotypes.samples["sex"] == "M").to_numpy()
    # a heterozygous call of a man is half a copy
    assert (calls[30:, men] == 1).sum() == 2
    for row in range(30, M):
        g = np.where(men, calls[row] / 2, calls[row])
        known = calls[row] >= 0
        copies = 2 * known.sum() - (known & men).sum()
        assert found["A1_FREQ"][row] == pytest.approx(g[known].sum() / copies)
        x = np.column_stack([np.ones(N), men, g])[known]
        beta = np.linalg.lstsq(x, design.traits[0].values[known], rcond=None)[0][2]
        assert found["BETA"][row] == pytest.approx(beta, abs=1e-7)
        assert found["OBS_CT"][row] == known.sum()
    for threads, block_size in ((1, 1024), (2, 3)):
        again = associate(
            genotypes, design, male_copies=1, missing="complete-case", threads=threads, block_size=block_size
        )["Q1"]
        np.testing.assert_allclose(again["T_STAT"], found["T_STAT"], rtol=1e-12)


def test_other_codings_of_x_are_refused_by_the_function_and_left_out_by_the_command(
    study: Path, tmp_path: Path
) -> None:
    genotypes = open_genotypes(study)
    table = pd.read_csv(study.with_suffix(".txt"), sep=" ", index_col="IID")
    design = make_design(list(genotypes.samples["iid"]), table[["Q1"]])
    with pytest.raises(DesignError, match="neither dominant nor recessive"):
        associate_tests(genotypes, design, AssociationOptions(coding="recessive"))
    files = go(study, tmp_path / "run", model=ModelOptions(coding="recessive"))
    assert len(read(files[0])) == 30
    assert "X, Y and MT have no recessive coding: 10 variants removed" in files[-1].read_text()


def test_condition_is_a_covariate_and_its_missing_genotypes_are_as_asked(study: Path) -> None:
    genotypes = open_genotypes(study)
    calls = np.concatenate([block.dosages() for block in genotypes.blocks()]).astype(float)
    calls[calls < 0] = np.nan
    found = condition_on(genotypes, ["v3", "v20"])
    np.testing.assert_array_equal(found.to_numpy().T, calls[[3, 20]])
    imputed = condition_on(genotypes, ["v20"], missing="mean")["v20"].to_numpy()
    np.testing.assert_allclose(imputed, np.where(np.isnan(calls[20]), np.nanmean(calls[20]), calls[20]))
    with pytest.raises(InputError, match="v99: a variant to condition on is not in the genotypes"):
        condition_on(genotypes, ["v3", "v99"])


def test_conditioned_variant_may_lie_outside_the_tested_region(study: Path, tmp_path: Path) -> None:
    source = GenotypeSource(path=study, regions=("2",))
    model = ModelOptions(conditions=("v3",), condition_missing="complete-case")
    files = go(study, tmp_path / "run", source=source, model=model)
    assert len(read(files[0])) == 15
    log = files[-1].read_text()
    assert "conditioned on 1 variants: v3 (missing: complete-case)" in log
    assert "covariates: PC1, v3" in log


def test_normal_scores_are_scipys_and_stay_within_each_traits_people(study: Path) -> None:
    values = np.array([2.0, np.nan, 5.0, 2.0, 1.0, 9.0])
    known = ~np.isnan(values)
    ranks = stats.rankdata(values[known])
    expected = stats.norm.ppf((ranks - 0.375) / (5 + 0.25))
    np.testing.assert_allclose(rank_normal(values)[known], expected)
    assert np.isnan(rank_normal(values)[1])
    np.testing.assert_allclose(rank_normal(values, offset=0.5)[known], stats.norm.ppf((ranks - 0.5) / 5))
    people = list("abcdef")
    table = pd.DataFrame({"y": [1.0, 2.5, 3.5, 4.5, 5.5, 6.5]}, index=people)
    covariates = pd.DataFrame({"c": [np.nan, 1.0, 2.0, 4.0, 3.0, 0.0]}, index=people)
    design = make_design(people, table, covariates)
    blom, plink = (rank_normal_design(design, method).traits[0].values for method in ("blom", "plink"))  # type: ignore[arg-type]
    np.testing.assert_allclose(blom[1:], rank_normal(np.arange(5.0)))
    assert np.isnan(blom[0])
    np.testing.assert_allclose(plink, rank_normal(np.arange(6.0), offset=0.5))


def test_zero_one_strict_and_declared_kinds(study: Path, tmp_path: Path) -> None:
    files = go(study, tmp_path / "a", traits=TraitOptions(complete=True))
    assert read(files[0])["OBS_CT"].max() == read(files[1])["OBS_CT"].max() == N - 2
    log = go(study, tmp_path / "b", pheno_name=["CASE"], traits=TraitOptions(zero_one=True))[-1].read_text()
    assert "(0 = control, 1 = case)" in log
    with pytest.raises(DesignError, match="CASE: declared to be coded 0 and 1"):
        table = pd.read_csv(study.with_suffix(".txt"), sep=" ")
        table["CASE"] += 1
        table.to_csv(study.with_suffix(".txt"), sep=" ", index=False, na_rep="NA")
        go(study, tmp_path / "c", pheno_name=["CASE"], traits=TraitOptions(zero_one=True))
    with pytest.raises(DesignError, match="declared binary but has other values"):
        go(study, tmp_path / "d", pheno_name=["Q1"], traits=TraitOptions(kind="binary"))
    files = go(study, tmp_path / "e", pheno_name=["CASE"], traits=TraitOptions(kind="quantitative"))
    assert files[0].name == "e.CASE.glm.linear"


def test_regenies_columns(study: Path, tmp_path: Path) -> None:
    plink = read(go(study, tmp_path / "a")[0])
    files = go(study, tmp_path / "b", output=OutputOptions(layout="regenie"))
    assert [file.name for file in files] == ["b_Q1.regenie", "b_Q2.regenie", "b.log"]
    table = read(files[0])
    assert list(table.columns)[:6] == ["CHROM", "GENPOS", "ID", "ALLELE0", "ALLELE1", "A1FREQ"]
    np.testing.assert_allclose(table["BETA"], plink["BETA"], rtol=1e-8)
    np.testing.assert_allclose(table["LOG10P"], plink["LOG10_P"], rtol=1e-7)


def test_threshold_of_p_leaves_the_rest_counted(study: Path, tmp_path: Path) -> None:
    everything = read(go(study, tmp_path / "a")[0])
    files = go(study, tmp_path / "b", output=OutputOptions(p_below=0.2))
    few = everything[everything["P"] <= 0.2].reset_index(drop=True)
    pd.testing.assert_frame_equal(read(files[0]), few)
    log = files[-1].read_text()
    assert "written: rows with P <= 0.2" in log
    assert f"{M - len(few)} rows not written" in log
    nothing = go(study, tmp_path / "c", output=OutputOptions(p_below=1e-200))
    assert len(nothing[0].read_text().splitlines()) == 1


def test_thousand_traits_as_parquet_hold_few_files_open_and_equal_the_text(
    study: Path, tmp_path: Path
) -> None:
    import resource

    rng = np.random.default_rng(5)
    names = [f"T{i}" for i in range(1000)]
    table = pd.read_csv(study.with_suffix(".txt"), sep=" ")[["FID", "IID", "PC1"]]
    many = pd.DataFrame(rng.normal(size=(N, 1000)), columns=names)
    pd.concat([table, many], axis=1).to_csv(study.with_suffix(".txt"), sep=" ", index=False)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, before[1]))
    try:
        common = {"pheno_name": names, "block_size": 16}
        files = go(study, tmp_path / "p", output=OutputOptions(format="parquet"), **common)
        texts = go(study, tmp_path / "t", output=OutputOptions(p_below=0.01), **common)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert [file.name for file in files] == ["p.parquet", "p.log"]
    assert sorted(path.name for path in files[0].iterdir()) == sorted(f"trait={name}" for name in names)
    one = pd.read_parquet(files[0] / "trait=T77")
    assert len(one) == M
    text = read(texts[77])
    kept = one[one["P"] <= 0.01].reset_index(drop=True)
    assert text["ID"].tolist() == kept["ID"].tolist()
    np.testing.assert_allclose(text["BETA"], kept["BETA"], rtol=1e-8)
    assert len(texts) == 1001


def test_folder_with_other_files_is_not_replaced(study: Path, tmp_path: Path) -> None:
    (tmp_path / "p.parquet").mkdir()
    (tmp_path / "p.parquet" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="holds other files"):
        go(study, tmp_path / "p", output=OutputOptions(format="parquet"))
    assert (tmp_path / "p.parquet" / "thesis.txt").read_text() == "mine"
