"""The structure room against Debian's plink2 on real genotypes.

plink2 prints six digits, so tolerances below 1e-5 relative say "equal to the last printed digit"; the exact
values behind them are tested against rational arithmetic in tests/unit.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gwas.ancestry import fst_between
from gwas.components import pca
from gwas.counts import AUTOSOME, X, alt_frequency, genotype_counts, sample_sums, variant_group
from gwas.genotypes import Genotypes, open_genotypes
from gwas.hwe import hwe_exact, hwe_exact_x
from gwas.ld import ld_prune
from gwas.relatedness import kinship

SETS = {
    "1kg": "geno_1kg_eur_bolt/EUR_subset.bed",
    "hapmap3": "geno_hapmap3/hapmap3.bed",
    "genabel": "geno_genabel_ge03d2/ge03d2.bed",
}

Plink = Callable[..., Path]


@pytest.fixture(params=list(SETS))
def bed(request: pytest.FixtureRequest, data_file: Callable[[str], Path]) -> Path:
    return data_file(SETS[request.param])


@pytest.fixture
def run_plink(plink2: str, tmp_path: Path) -> Plink:
    def run(bed: Path, *options: str) -> Path:
        out = tmp_path / "peer"
        command = [plink2, "--bfile", str(bed.with_suffix("")), "--threads", "2", *options, "--out", str(out)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return out

    return run


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t")


def everyone(genotypes: Genotypes) -> np.ndarray:
    return np.ones(genotypes.n_samples, dtype=bool)


def test_frequency_and_missingness(bed: Path, run_plink: Plink) -> None:
    out = run_plink(bed, "--freq", "counts", "--missing")
    genotypes = open_genotypes(bed)
    male = (genotypes.samples["sex"] == "M").to_numpy()
    counts, men = genotype_counts(genotypes, everyone(genotypes), male)
    on_x = (variant_group(genotypes) == X)[:, None]
    haploid = np.where(on_x, men, 0)
    peer = read(out.with_suffix(".acount"))
    # plink2 sets heterozygous men on X to missing; where there are none the counts must be the same.
    clean = haploid[:, 1] == 0
    wanted = (peer["ALT_CTS"] / peer["OBS_CT"]).to_numpy()
    got = alt_frequency(counts - haploid, haploid)
    np.testing.assert_allclose(got[clean], wanted[clean], rtol=1e-12)
    assert clean.mean() > 0.9
    assert (counts[:, 3] == read(out.with_suffix(".vmiss"))["MISSING_CT"]).all()
    group = np.zeros(genotypes.n_variants, dtype=np.int64)
    sums = sample_sums(genotypes, group=group, frequency=np.full(genotypes.n_variants, 0.5))
    assert (sums.missing[:, 0] == read(out.with_suffix(".smiss"))["MISSING_CT"]).all()


def test_hardy_weinberg_of_autosomes(bed: Path, run_plink: Plink) -> None:
    genotypes = open_genotypes(bed)
    autosomal = genotypes.select(variants=variant_group(genotypes) == AUTOSOME)
    counts = genotype_counts(autosomal, everyone(autosomal))[0]
    for midp, option in ((False, []), (True, ["midp"])):
        out = run_plink(bed, "--hardy", *option)
        peer = read(out.with_suffix(".hardy"))
        assert (np.sort(counts[:, [0, 2]]) == np.sort(peer[["HOM_A1_CT", "TWO_AX_CT"]])).all()
        p = hwe_exact(counts[:, 1], counts[:, 0], counts[:, 2], midp=midp)
        # Without a single call plink2 says 1, we say that nothing can be said.
        called = counts[:, :3].sum(axis=1) > 0
        assert np.isnan(p[~called]).all()
        wanted = peer.filter(regex="^(MID)?P$").iloc[:, 0].to_numpy()
        np.testing.assert_allclose(p[called], wanted[called], rtol=6e-6)


def test_hardy_weinberg_of_x(data_file: Callable[[str], Path], run_plink: Plink) -> None:
    bed = data_file(SETS["genabel"])
    genotypes = open_genotypes(bed)
    on_x = genotypes.select(variants=variant_group(genotypes) == X)
    female = (on_x.samples["sex"] == "F").to_numpy()
    women, men = genotype_counts(on_x, female, ~female)
    out = run_plink(bed, "--hardy")
    peer = pd.read_csv(str(out) + ".hardy.x", sep="\t")
    got = hwe_exact_x(women[:, 1], women[:, 0], women[:, 2], men[:, 0], men[:, 2])
    np.testing.assert_allclose(got, peer["P"], rtol=6e-6)


def test_heterozygosity(bed: Path, run_plink: Plink) -> None:
    genotypes = open_genotypes(bed)
    counts = genotype_counts(genotypes, everyone(genotypes))[0]
    sums = sample_sums(genotypes, group=variant_group(genotypes), frequency=alt_frequency(counts))
    peer = read(run_plink(bed, "--het").with_suffix(".het"))
    np.testing.assert_allclose(sums.f(), peer["F"], atol=1e-6)
    observed = peer["OBS_CT"] - peer["O(HOM)"]
    assert (sums.het[:, AUTOSOME] == observed).all()


def test_king_of_all_pairs(bed: Path, run_plink: Plink) -> None:
    out = run_plink(bed, "--make-king-table", "--king-table-filter", "-1")
    ours = kinship(open_genotypes(bed), at_least=-np.inf)
    peer = read(out.with_suffix(".kin0"))
    # plink2 names the later sample of the file first.
    both = ours.merge(peer, left_on=["iid2", "iid1"], right_on=["IID1", "IID2"])
    assert len(both) == len(peer)
    np.testing.assert_allclose(both["kinship"], both["KINSHIP"], atol=2e-6)
    # This plink2 counts a few variants that both lack as shared by pairs with much missing; decoding
    # such a pair gives our number (tests/unit compares it for every pair).
    same = (both["nsnp"] == both["NSNP"]).to_numpy()
    assert same.mean() > 0.998
    np.testing.assert_allclose(both["ibs0"][same], both["IBS0"][same], atol=2e-6)


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ({"window": 50, "step": 5, "r2": 0.2}, ["50", "5", "0.2"]),
        ({"window": 200, "step": 50, "r2": 0.2}, ["200", "50", "0.2"]),
        ({"window": 100, "step": 100, "r2": 0.5}, ["100", "100", "0.5"]),
        ({"kb": 250, "r2": 0.1}, ["250kb", "1", "0.1"]),
    ],
)
def test_pruned_set_is_the_same(
    bed: Path, run_plink: Plink, pruning_orders: dict[str, list[str]], options: dict, arguments: list[str]
) -> None:
    genotypes = open_genotypes(bed)
    autosomal = genotypes.select(variants=variant_group(genotypes) == AUTOSOME)
    for order, words in pruning_orders.items():
        peer = run_plink(bed, "--autosome", "--indep-pairwise", *arguments, *words).with_suffix(".prune.in")
        kept = autosomal.variants["id"].to_numpy()[ld_prune(autosomal, **options, order=order)]
        assert kept.tolist() == peer.read_text().split()


@pytest.mark.parametrize("name", ["1kg", "hapmap3"])
def test_principal_components_span_the_same_space(
    name: str, data_file: Callable[[str], Path], run_plink: Plink
) -> None:
    bed = data_file(SETS[name])
    genotypes = open_genotypes(bed)
    out = run_plink(bed, "--maf", "0.01", "--pca", "10")
    alt = alt_frequency(genotype_counts(genotypes, everyone(genotypes))[0])
    rows = np.flatnonzero(np.minimum(alt, 1 - alt) >= 0.01)
    ours = pca(genotypes, components=10, variants=rows, rng=np.random.default_rng(1))
    peer = read(out.with_suffix(".eigenvec")).filter(like="PC").to_numpy()
    cosines = np.linalg.svd(np.linalg.qr(peer)[0].T @ ours.scores.to_numpy())[1]
    assert cosines.min() > 0.999
    assert np.abs((peer * ours.scores.to_numpy()).sum(axis=0)).min() > 0.999
    # plink2 divides by the variants both people have, we by all: with few missing calls that is within 1 %.
    np.testing.assert_allclose(ours.eigenvalues, np.loadtxt(out.with_suffix(".eigenval")), rtol=0.01)


def test_hudson_fst_of_populations(
    data_file: Callable[[str], Path], run_plink: Plink, tmp_path: Path
) -> None:
    bed = data_file(SETS["hapmap3"])
    labels = pd.read_csv(data_file("geno_hapmap3/relationships_w_pops_121708.txt"), sep="\t")
    genotypes = open_genotypes(bed)
    population = genotypes.samples["iid"].map(labels.set_index("IID")["population"])
    groups = pd.Categorical(population)
    file = tmp_path / "populations.tsv"
    pd.DataFrame(
        {"#FID": genotypes.samples["fid"], "IID": genotypes.samples["iid"], "POP": population}
    ).to_csv(file, sep="\t", index=False)
    out = run_plink(bed, "--pheno", str(file), "--fst", "POP", "method=hudson")
    peer = pd.read_csv(str(out) + ".fst.summary", sep="\t").set_index(["#POP1", "POP2"])["HUDSON_FST"]
    ours = fst_between(genotypes, groups.codes)
    assert len(ours) == len(peer) == 55
    for row in ours.itertuples():
        pair = groups.categories[row.group1], groups.categories[row.group2]
        assert row.fst == pytest.approx(peer[pair], abs=2e-6)
