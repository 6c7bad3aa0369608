"""Genotype × covariate terms against statsmodels, variant by variant, and what they refuse."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from cohorts.errors import DesignError
from gwas.design import Design, make_design
from gwas.genotypes import Genotypes, open_genotypes
from gwas.interaction import associate_interactions, interaction_blocks
from gwas.kernels.packed import pack
from gwas.sumstats_reader import read_sumstats
from workflows.association import run_gwas
from workflows.genotype_inputs import GenotypeSource
from workflows.gwas_options import ModelOptions, OutputOptions

N, M = 180, 24
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Calls, a constant variant among them and one without calls; the last two stand on X."""
    rng = np.random.default_rng(11)
    calls = rng.binomial(2, rng.uniform(0.2, 0.8, M)[:, None], (M, N))
    calls = np.where(rng.random((M, N)) < 0.04, -9, calls)
    calls[3], calls[4] = 2, -9
    calls[5] = rng.permutation(np.arange(N) < 3)
    prefix = tmp_path_factory.mktemp("interaction") / "study"
    prefix.with_suffix(".bed").write_bytes(b"\x6c\x1b\x01" + pack(calls.astype(np.int8)).tobytes())
    chroms = ["1"] * (M - 2) + ["X"] * 2
    prefix.with_suffix(".bim").write_text("".join(f"{c} v{j} 0 {j + 1} A G\n" for j, c in enumerate(chroms)))
    prefix.with_suffix(".fam").write_text("".join(f"f s{i} 0 0 {i % 2 + 1} -9\n" for i in range(N)))
    age, arm = rng.normal(55, 9, N), rng.choice(["a", "b", "c"], N)
    q = rng.normal(size=N) + 0.08 * np.where(calls[0] < 0, 0, calls[0]) * (age - 55)
    table = pd.DataFrame({"FID": "f", "IID": [f"s{i}" for i in range(N)], "age": age.round(2), "arm": arm})
    table["q"], table["case"] = q.round(4), rng.binomial(1, 0.4, N) + 1
    table.loc[rng.random(N) < 0.1, "q"] = np.nan
    table.loc[7, "age"] = np.nan
    table.to_csv(prefix.with_suffix(".txt"), sep="\t", index=False, na_rep="NA")
    return prefix


@pytest.fixture(scope="module")
def genotypes(study: Path) -> Genotypes:
    return open_genotypes(study).select(variants=np.arange(M - 2))


@pytest.fixture(scope="module")
def design(study: Path, genotypes: Genotypes) -> Design:
    table = pd.read_csv(study.with_suffix(".txt"), sep="\t").set_index("IID")
    return make_design(list(genotypes.samples["iid"]), table[["q", "case"]], table[["age", "arm"]])


@pytest.mark.parametrize("missing", ["mean", "complete-case"])
@pytest.mark.parametrize("values", ["hard-call", "dosage"])
def test_terms_are_those_of_statsmodels(
    genotypes: Genotypes, design: Design, missing: Any, values: Any
) -> None:
    chosen = ["age", design.covariate_names[-1]]
    found = associate_interactions(
        replace(genotypes, values=values), design, chosen, missing=missing, max_vif=1e9, max_corr=1.0
    )
    at = [design.covariate_names.index(name) for name in chosen]
    calls = np.concatenate([block.dosages() for block in genotypes.blocks()]).astype(float)
    for trait in design.traits:
        used, rows = design.mask(trait), found[trait.name]
        for j in (0, 1, 2, 6, 13, 21):
            g = np.where(calls[j] < 0, np.nan, calls[j])
            known = used & ~np.isnan(g)
            g = np.where(np.isnan(g), g[known].mean(), g)
            people = known if missing == "complete-case" else used
            x = np.column_stack(
                [g, *(g * design.covariates[:, i] for i in at), design.covariates, np.ones(N)]
            )
            y = trait.values[people]
            if trait.kind == "quantitative":
                fit = sm.OLS(y, x[people]).fit()
            else:
                fit = sm.Logit(y, x[people]).fit(disp=0, tol=1e-12, maxiter=200)
            mine = rows.iloc[3 * j : 3 * j + 3]
            assert mine["TEST"].tolist() == ["ADD", *(f"ADDx{name}" for name in chosen)]
            assert (mine["ID"] == f"v{j}").all()
            assert (mine["OBS_CT"] == people.sum()).all()
            np.testing.assert_allclose(mine["BETA"], fit.params[:3], rtol=1e-6, atol=1e-9)
            np.testing.assert_allclose(mine["SE"], fit.bse[:3], rtol=1e-6)
            np.testing.assert_allclose(mine["LOG10_P"], -np.log10(fit.pvalues[:3]), rtol=1e-5, atol=1e-8)


def test_what_cannot_be_tested_has_a_code_and_moves_nobody_else(genotypes: Genotypes, design: Design) -> None:
    found = associate_interactions(genotypes, design, ["age"])["q"]
    codes = found.groupby("ID", sort=False)["ERRCODE"].first()
    assert codes["v3"] == "CONST_OMITTED_ALLELE"
    assert codes["v4"] == "NO_CALLS"
    assert (found["BETA"].isna() == (found["ERRCODE"] != ".")).all()
    # far from 0, age makes the genotype and its product nearly one
    assert (codes == "VIF_TOO_HIGH").sum() > 0
    near = replace(design, covariates=design.covariates - np.array([55.0, 0.0, 0.0]))
    again = associate_interactions(genotypes, near, ["age"])["q"]
    assert set(again["ERRCODE"]) == {".", "CONST_OMITTED_ALLELE", "NO_CALLS"}
    ok = found["ERRCODE"] == "."
    term = ok & (found["TEST"] == "ADDxage")
    np.testing.assert_allclose(found["T_STAT"][term], again["T_STAT"][term], rtol=1e-8)
    rest = again[again["TEST"] == "ADDxage"]
    assert rest.loc[rest["P"].idxmin(), "ID"] == "v0"


def test_separation_is_firths_or_a_code(genotypes: Genotypes, design: Design) -> None:
    rare = genotypes.select(variants=[5])
    centred = replace(design, covariates=design.covariates - np.array([55.0, 0.0, 0.0]))
    for firth in (True, False):
        rows = associate_interactions(rare, centred, ["age"], firth=firth)["case"]
        if firth:
            assert rows["FIRTH?"].tolist() == ["Y", "Y"]
            assert rows["BETA"].notna().all()
            assert (rows["SE"] < 10).all()
        else:
            assert set(rows["ERRCODE"]) <= {"SEPARATION", "LOGISTIC_CONVERGE_FAIL"}


def test_blocks_where_they_begin_and_threads_change_nothing(genotypes: Genotypes, design: Design) -> None:
    whole = list(interaction_blocks(genotypes, design, ["age"], block_size=8))
    assert [(block.start, block.stop) for block in whole] == [(0, 16), (16, 32), (32, 44)]
    for threads in (1, 2):
        again = interaction_blocks(genotypes, design, ["age"], block_size=8, start_block=1, threads=threads)
        for a, b in zip(whole[1:], again, strict=True):
            for trait in ("q", "case"):
                np.testing.assert_array_equal(a.tests[trait].beta, b.tests[trait].beta)


def test_what_has_no_interaction_is_refused(study: Path, genotypes: Genotypes, design: Design) -> None:
    with pytest.raises(DesignError, match="no such covariate"):
        associate_interactions(genotypes, design, ["smoking"])
    with pytest.raises(DesignError, match="one copy"):
        associate_interactions(open_genotypes(study), design, ["age"])
    one = make_design(design.samples, pd.DataFrame({"y": np.arange(N) * 1.0}, index=list(design.samples)))
    with pytest.raises(DesignError, match="no such covariate"):
        associate_interactions(genotypes, one, ["age"])


def test_command_writes_the_rows_of_each_variant_and_counts_the_interactions(
    study: Path, tmp_path: Path, genotypes: Genotypes, design: Design
) -> None:
    options: dict[str, Any] = {
        "source": GenotypeSource(path=study),
        "pheno": study.with_suffix(".txt"),
        "covar": study.with_suffix(".txt"),
        "pheno_name": ["q", "case"],
        "covar_name": ["age", "arm"],
        "vif": 1e9,
    }
    model = ModelOptions(interactions=("arm",))
    files = run_gwas(out=tmp_path / "o", model=model, **options)
    rows = pd.read_csv(files[0], sep="\t", na_values=["NA"])
    terms = ["ADD", *(f"ADDx{name}" for name in design.covariate_names[1:])]
    assert rows["TEST"].tolist() == terms * (M - 2)
    frame = associate_interactions(genotypes, design, design.covariate_names[1:], max_vif=1e9)["q"]
    np.testing.assert_allclose(rows["BETA"], frame["BETA"], rtol=1e-8)
    log = (tmp_path / "o.log").read_text()
    assert "interactions of the genotype with arm=" in log
    assert "X, Y and MT have no interactions: 2 variants removed" in log
    tested_own = rows["ERRCODE"] == "."
    tested = tested_own & (rows["TEST"] != "ADD")
    assert f"q: {tested.sum()} variants tested" in log
    assert "maximum likelihood" in log
    few = run_gwas(out=tmp_path / "p", model=model, output=OutputOptions(p_below=0.05), **options)[0]
    kept = pd.read_csv(few, sep="\t")
    assert kept["TEST"].tolist() == rows["TEST"][rows["P"] <= 0.05].tolist()
    assert (
        read_sumstats(files[0]).frame["id"].tolist()
        == rows["ID"][(rows["TEST"] == "ADD") & tested_own].tolist()
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--interaction", "smoking"], "no such covariate"),
        (["--glm", "interaction", "--spa"], "by maximum likelihood"),
        (["--interaction", "age", "--out-columns", "regenie"], "PLINK 2's text"),
        (["--interaction", "age", "--out-format", "parquet"], "PLINK 2's text"),
    ],
)
def test_command_says_what_goes_with_interactions(
    careome: Run, study: Path, tmp_path: Path, words: list[str], told: str
) -> None:
    table = study.with_suffix(".txt")
    given = ["--bfile", study, "--pheno", table, "--pheno-name", "q", "--covar", table, "--covar-name", "age"]
    done = careome("gwas", *given, "--out", tmp_path / "o", *words)
    assert done.returncode != 0
    assert told in done.stderr
    assert "Traceback" not in done.stderr
