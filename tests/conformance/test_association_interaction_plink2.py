"""Genotype × covariate terms of ``careome gwas`` beside Debian's plink2 ``--glm interaction`` on real genotypes."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gwas.genotypes import open_genotypes
from gwas.kernels.packed import pack
from workflows.association import run_gwas
from workflows.genotype_inputs import GenotypeSource
from workflows.gwas_options import ModelOptions, TraitOptions

DataFile = Callable[[str], Path]
COVARIATES = ["SEX", "AGE"]


@pytest.fixture(scope="module")
def study(data_file: DataFile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A third of chromosomes 21 and 22, some calls planted as missing; an effect that grows with AGE."""
    source = open_genotypes(data_file("geno_1kg_eur_bolt/EUR_subset.bed"), regions=["21", "22"])
    thinned = source.select(variants=np.arange(0, source.n_variants, 3))
    calls = np.concatenate([block.dosages() for block in thinned.blocks()])
    rng = np.random.default_rng(8)
    n = thinned.n_samples
    table = thinned.samples[["fid", "iid"]].rename(columns={"fid": "FID", "iid": "IID"})
    table["SEX"] = rng.integers(1, 3, n)
    table["AGE"] = np.round(rng.normal(10, 8, n), 1)
    table["QT"] = np.round(rng.normal(size=n) + 0.1 * calls[40] * table["AGE"], 3)
    table["CASE"] = rng.binomial(1, 1 / (1 + np.exp(1 - 0.05 * table["AGE"]))) + 1
    table.loc[rng.random(n) < 0.05, ["QT"]] = np.nan
    calls[rng.random(calls.shape) < rng.choice([0.0, 0.005, 0.02], len(calls))[:, None]] = -9
    prefix = tmp_path_factory.mktemp("study") / "study"
    prefix.with_suffix(".bed").write_bytes(b"\x6c\x1b\x01" + pack(calls).tobytes())
    variants = thinned.variants
    lines = zip(*(variants[name] for name in ("chrom", "id", "pos", "alt", "ref")), strict=True)
    prefix.with_suffix(".bim").write_text("".join(f"{c} {i} 0 {p} {a} {r}\n" for c, i, p, a, r in lines))
    people = zip(thinned.samples["fid"], thinned.samples["iid"], strict=True)
    prefix.with_suffix(".fam").write_text("".join(f"{f} {i} 0 0 0 -9\n" for f, i in people))
    table.to_csv(prefix.with_suffix(".txt"), sep=" ", index=False, na_rep="NA")
    return prefix


def both(
    plink2: str, study: Path, out: Path, trait: str, *words: str, **changes: Any
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Ours and theirs, the genotype's terms alone, in one order."""
    table = study.with_suffix(".txt")
    coding = [word for word in words if not word.startswith("--")]
    more = [word for word in words if word.startswith("--")]
    command = [plink2, "--threads", "2", "--out", str(out / "theirs"), "--bfile", str(study), *more]
    command += [
        "--pheno",
        str(table),
        "--pheno-name",
        trait,
        "--covar",
        str(table),
        "--covar-name",
        *COVARIATES,
    ]
    command += ["--glm", "interaction", "omit-ref", *coding, "cols=+a1freq"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    options: dict[str, Any] = {"missing_genotypes": "complete-case", "model": ModelOptions(interactions=())}
    files = run_gwas(
        source=GenotypeSource(path=study),
        pheno=table,
        covar=table,
        pheno_name=[trait],
        covar_name=COVARIATES,
        out=out / "ours",
        **(options | changes),
    )
    a = pd.read_csv(files[0], sep="\t", na_values=["NA"])
    b = pd.read_csv(next(out.glob(f"theirs.{trait}.glm.*")), sep="\t", na_values=["NA"])
    b = b[~b["TEST"].isin(COVARIATES)].reset_index(drop=True)
    for column in ("#CHROM", "POS", "ID", "REF", "ALT", "A1", "TEST", "OBS_CT"):
        assert a[column].tolist() == b[column].tolist(), column
    np.testing.assert_allclose(a["A1_FREQ"], b["A1_FREQ"], atol=1e-6)
    return a, b


def assert_same_estimates(a: pd.DataFrame, b: pd.DataFrame) -> None:
    assert a["ERRCODE"].tolist() == b["ERRCODE"].tolist()
    fine = a["BETA"].notna()
    assert fine.tolist() == b["BETA"].notna().tolist()
    assert fine.sum() > 0.9 * len(a)
    a, b = a[fine], b[fine]
    assert ((a["BETA"] - b["BETA"]).abs() / b["SE"]).max() < 1e-4
    assert (a["SE"] / b["SE"] - 1).abs().max() < 1e-5
    assert (a["T_STAT"] - b["T_STAT"]).abs().max() < 1e-4


def test_interactions_of_quantitative_traits_equal_plink2(plink2: str, study: Path, tmp_path: Path) -> None:
    a, b = both(plink2, study, tmp_path, "QT")
    assert a["TEST"].tolist()[:3] == ["ADD", "ADDxSEX", "ADDxAGE"]
    assert set(a["ERRCODE"]) >= {".", "VIF_TOO_HIGH"}
    assert_same_estimates(a, b)
    assert a["TEST"][a["P"].idxmin()] == "ADDxAGE"


@pytest.mark.parametrize("coding", ["dominant", "hetonly"])
def test_interactions_of_other_codings_equal_plink2(
    plink2: str, study: Path, tmp_path: Path, coding: Any
) -> None:
    model = ModelOptions(coding=coding, interactions=())
    a, b = both(plink2, study, tmp_path, "QT", coding, model=model)
    # a coded genotype that nobody varies in is told so here, and called collinear by plink2
    told = a["ERRCODE"] != "CONST_OMITTED_ALLELE"
    assert b["BETA"][~told].isna().all()
    assert_same_estimates(a[told], b[told])


def test_standardised_covariates_move_the_genotypes_own_term_as_in_plink2(
    plink2: str, study: Path, tmp_path: Path
) -> None:
    a, b = both(
        plink2, study, tmp_path, "QT", "--covar-variance-standardize", traits=TraitOptions(standardise=True)
    )
    assert_same_estimates(a, b)
    plain, _ = both(plink2, study, tmp_path, "QT")
    ok = plain["BETA"].notna() & a["BETA"].notna()
    own, term = ok & (a["TEST"] == "ADD"), ok & (a["TEST"] == "ADDxAGE")
    assert (a["T_STAT"] - plain["T_STAT"])[own].abs().median() > 0.3
    np.testing.assert_allclose(a["T_STAT"][term], plain["T_STAT"][term], atol=1e-6)


def test_interactions_of_binary_traits_equal_plink2_where_it_converges(
    plink2: str, study: Path, tmp_path: Path
) -> None:
    table = pd.read_csv(study.with_suffix(".txt"), sep=" ")
    assert 60 < (table["CASE"] == 2).sum() < 319
    # this plink2's logistic regression is not exact where calls are missing, see test_association_plink2.py
    a, b = both(plink2, study, tmp_path, "CASE")
    whole = a["OBS_CT"] == a["OBS_CT"].max()
    finished = whole & (b["ERRCODE"] == ".")
    assert (a["ERRCODE"][finished] == ".").all()
    assert finished.sum() > 1000
    gap = (np.log(a["OR"]) - np.log(b["OR"])).abs() / b["LOG(OR)_SE"]
    se = (a["LOG(OR)_SE"] / b["LOG(OR)_SE"] - 1).abs()
    by_ml = finished & (a["FIRTH?"] == "N")
    assert (b["FIRTH?"][by_ml] == "N").all()
    # this plink2 computes logistic regression in single precision, of covariates as given
    assert gap[by_ml].max() < 1e-3
    assert gap[by_ml].median() < 1e-5
    assert se[by_ml].max() < 1e-3
    by_firth = finished & (a["FIRTH?"] == "Y") & (b["FIRTH?"] == "Y")
    assert by_firth.sum() > 30
    assert gap[by_firth].max() < 3e-3
    # a fit that plink2 gives up unfinished is Firth's here
    assert (a["FIRTH?"][whole & (b["ERRCODE"] == "UNFINISHED")] == "Y").all()
