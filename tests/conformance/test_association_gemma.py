"""1,940 mice of eight founder strains against Debian's gemma: relatedness far beyond any cohort's."""

from __future__ import annotations

import gzip
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from gwas.association import associate
from gwas.design import make_design
from gwas.genotypes import open_genotypes
from gwas.whole_genome import whole_genome_regression

DataFile = Callable[[str], Path]
CHROMOSOMES = ("17", "3")


@pytest.fixture(scope="module")
def mice(data_file: DataFile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prefix of the mice's files; the .fam holds the share of CD8+ cells as its one phenotype."""
    prefix = tmp_path_factory.mktemp("mice") / "mice"
    for ending in ("bed", "bim", "fam"):
        packed = data_file(f"geno_mouse_hs1940/mouse_hs1940.{ending}.gz")
        prefix.with_suffix(f".{ending}").write_bytes(gzip.decompress(packed.read_bytes()))
    people = pd.read_csv(prefix.with_suffix(".fam"), sep="\t", header=None, keep_default_na=False)
    people.iloc[:, :6].to_csv(prefix.with_suffix(".fam"), sep="\t", header=False, index=False)
    return prefix


def mixed_model(gemma: str, mice: Path, chromosome: str) -> pd.Series:
    """Wald chi-square of one chromosome's variants, relatedness being that of the others."""
    variants = pd.read_csv(mice.with_suffix(".bim"), sep="\t", header=None, dtype={0: str})
    others = mice.with_name("others.txt")
    others.write_text("\n".join(variants.loc[variants[0] != chromosome, 1]) + "\n")
    for words in (
        ["-snps", str(others), "-gk", "1", "-o", "kin"],
        ["-k", str(mice.parent / "output" / "kin.cXX.txt"), "-lmm", "1", "-o", "tests"],
    ):
        subprocess.run(
            [gemma, "-bfile", mice, "-outdir", mice.parent / "output", *words],
            check=True,
            capture_output=True,
        )
    found = pd.read_csv(mice.parent / "output" / "tests.assoc.txt", sep="\t", dtype={"chr": str})
    found = found[found["chr"] == chromosome].set_index("rs")
    return pd.Series(stats.chi2.isf(found["p_wald"], 1), found.index)


@pytest.mark.slow
def test_offsets_bring_mice_near_the_mixed_model(gemma: str, mice: Path) -> None:
    genotypes = open_genotypes(mice)
    ids = list(genotypes.samples["iid"])
    people = pd.read_csv(mice.with_suffix(".fam"), sep="\t", header=None)
    design = make_design(ids, people[[5]].set_axis(ids).set_axis(["CD8"], axis=1))
    calibrated = whole_genome_regression(genotypes, design, calibrate=True, threads=2).offsets
    offsets = replace(calibrated, inflation=())
    peers = pd.concat([mixed_model(gemma, mice, chromosome) for chromosome in CHROMOSOMES])
    chi2 = {}
    for name, taken_out in (("plain", None), ("offsets", offsets), ("calibrated", calibrated)):
        found = associate(genotypes, design, offsets=taken_out)["CD8"].set_index("ID")
        chi2[name] = (found["T_STAT"] ** 2).loc[peers.index].to_numpy()
    known = np.isfinite(chi2["plain"])
    assert known.mean() > 0.99
    r = {name: np.corrcoef(values[known], peers[known])[0, 1] for name, values in chi2.items()}
    lam = {name: np.median(values[known]) / 0.4549 for name, values in [*chi2.items(), ("gemma", peers)]}
    assert r["plain"] < 0.8
    assert r["offsets"] > 0.95
    assert lam["plain"] > 5 * lam["gemma"]
    # predictions of unseen mice leave some of what families share in the residual, where the mixed model whitens
    assert 0.9 * lam["gemma"] < lam["offsets"] < 1.6 * lam["gemma"]
    assert 0.75 * lam["gemma"] < lam["calibrated"] < 1.3 * lam["gemma"]
    assert lam["calibrated"] < lam["offsets"]
