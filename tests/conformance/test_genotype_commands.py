"""Every genotype command's file against Debian's plink2 (plink1.9 for the sex check), row by row.

plink prints six digits and careome nine, so "equal" below means equal to plink's last printed digit.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workflows import genotype_cli
from workflows.application import Application
from workflows.cli import _joined

SETS = {
    "1kg": "geno_1kg_eur_bolt/EUR_subset.bed",
    "hapmap3": "geno_hapmap3/hapmap3.bed",
    "genabel": "geno_genabel_ge03d2/ge03d2.bed",
}
LAST_DIGIT = 6e-6

app = Application()
genotype_cli.register(app)


class Both:
    """Runs the same work in careome and in plink and reads both results."""

    def __init__(self, bed: Path, folder: Path, programs: dict[str, str]) -> None:
        self.bfile, self.folder, self.programs = bed.with_suffix(""), folder, programs

    def ours(self, *words: object) -> Path:
        out = self.folder / "ours"
        given = [*words, "--bfile", self.bfile, "--threads", 2, "--out", out]
        app(_joined([*map(str, given)]), standalone_mode=False)
        assert out.with_suffix(".log").read_text().startswith("careome")
        return out

    def peer(self, *words: object, program: str = "plink2") -> Path:
        out = self.folder / "peer"
        command = [self.programs[program], "--bfile", self.bfile, *words, "--threads", 2, "--out", out]
        done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return out


def read(prefix: Path, suffix: str) -> pd.DataFrame:
    text = dict.fromkeys(("#CHROM", "#FID", "IID", "#FID1", "IID1", "FID2", "IID2"), str)
    return pd.read_csv(f"{prefix}.{suffix}", sep="\t", dtype=text)


def assert_same(ours: pd.DataFrame, peer: pd.DataFrame) -> None:
    peer = peer.drop(columns=[name for name in peer.columns if name.startswith("PHENO")])
    assert list(ours.columns) == list(peer.columns)
    for name in peer.columns:
        if pd.api.types.is_numeric_dtype(peer[name]):
            np.testing.assert_allclose(ours[name], peer[name], rtol=LAST_DIGIT, atol=1e-12, err_msg=name)
        else:
            assert (ours[name] == peer[name]).all(), name


@pytest.fixture
def programs(plink2: str, plink1: str) -> dict[str, str]:
    return {"plink2": plink2, "plink1.9": plink1}


@pytest.fixture
def awkward(tmp_path: Path) -> Path:
    """All that is special at once: chromosomes 0, X, Y, XY and MT, nonfounders, unknown sex, impossible
    heterozygotes, variants without a call or without variation."""
    rng = np.random.default_rng(3)
    chromosomes = ["0", *["1"] * 6, *["2"] * 6, *["23"] * 8, *["24"] * 6, *["25"] * 3, *["26"] * 4]
    n, m = 60, len(chromosomes)
    codes = np.zeros((m, n), dtype=np.int64)
    codes[:] = rng.choice(4, p=[0.4, 0.12, 0.3, 0.18], size=(m, n))
    codes[3], codes[8] = 0, np.where(codes[8] == 1, 1, 3)
    packed = (codes.reshape(m, -1, 4) * [1, 4, 16, 64]).sum(axis=2).astype(np.uint8)
    bed = tmp_path / "awkward.bed"
    bed.write_bytes(b"\x6c\x1b\x01" + packed.tobytes())
    lines = (f"{c} v{i} 0 {5_000_000 + i} A G\n" for i, c in enumerate(chromosomes))
    bed.with_suffix(".bim").write_text("".join(lines))
    sex = rng.choice(3, p=[0.15, 0.4, 0.45], size=n)
    parents = ("i0 i1" if i > 49 else "0 0" for i in range(n))
    fam = (f"f{i} i{i} {both} {sex[i]} -9\n" for i, both in enumerate(parents))
    bed.with_suffix(".fam").write_text("".join(fam))
    return bed


@pytest.fixture(params=[*SETS, "awkward"])
def any_set(request: pytest.FixtureRequest, tmp_path: Path, programs: dict[str, str]) -> Both:
    if request.param == "awkward":
        bed = request.getfixturevalue("awkward")
    else:
        bed = request.getfixturevalue("data_file")(SETS[request.param])
    return Both(bed, tmp_path, programs)


@pytest.fixture
def real_set(request: pytest.FixtureRequest, tmp_path: Path, programs: dict[str, str]) -> Both:
    return Both(request.getfixturevalue("data_file")(SETS[request.param]), tmp_path, programs)


def test_freq_missing_hardy_and_het(any_set: Both) -> None:
    peer = any_set.peer("--freq", "--missing", "--hardy", "--het", "--bad-freqs")
    assert_same(read(any_set.ours("freq"), "afreq"), read(peer, "afreq"))
    ours = any_set.ours("missing")
    assert_same(read(ours, "smiss"), read(peer, "smiss"))
    assert_same(read(ours, "vmiss"), read(peer, "vmiss"))
    assert_same(read(any_set.ours("het"), "het"), read(peer, "het"))
    ours = any_set.ours("hardy")
    autosomal, wanted = read(ours, "hardy"), read(peer, "hardy")
    # Without a single call plink2 says 1, we say that nothing can be said.
    called = wanted[["HOM_A1_CT", "HET_A1_CT", "TWO_AX_CT"]].sum(axis=1) > 0
    assert called.mean() > 0.9
    assert autosomal["P"][~called].isna().all()
    assert_same(autosomal[called], wanted[called])
    assert Path(f"{ours}.hardy.x").exists() == Path(f"{peer}.hardy.x").exists()
    if Path(f"{peer}.hardy.x").exists():
        assert_same(read(ours, "hardy.x"), read(peer, "hardy.x"))


def test_one_pass_writes_what_three_do(any_set: Both) -> None:
    ends = ("afreq", "smiss", "vmiss", "hardy", "hardy.x")
    for command in ("freq", "missing", "hardy"):
        ours = any_set.ours(command)
    apart = {end: Path(f"{ours}.{end}").read_bytes() for end in ends if Path(f"{ours}.{end}").exists()}
    for end in apart:
        Path(f"{ours}.{end}").unlink()
    any_set.ours("freq", "--missing", "--hardy")
    together = {end: Path(f"{ours}.{end}").read_bytes() for end in ends if Path(f"{ours}.{end}").exists()}
    assert len(apart) >= 4
    assert together == apart


def test_options_change_what_they_say(awkward: Path, tmp_path: Path, programs: dict[str, str]) -> None:
    both = Both(awkward, tmp_path, programs)
    peer = both.peer("--hardy", "midp", "--freq", "counts", "--nonfounders", "--bad-freqs")
    assert_same(read(both.ours("freq", "--counts", "--nonfounders"), "acount"), read(peer, "acount"))
    # --nonfounders there also lets them into the Hardy-Weinberg test, so that one is compared by itself.
    peer = both.peer("--hardy", "midp")
    assert_same(read(both.ours("hardy", "--midp"), "hardy.x"), read(peer, "hardy.x"))


@pytest.mark.parametrize("real_set", ["genabel"], indirect=True)
def test_filters_are_those_of_plink(real_set: Both) -> None:
    words = ("--chr", "1", "3", "--maf", "0.05", "--geno", "0.02", "--mind", "0.05")
    peer = real_set.peer("--freq", "--write-snplist", *words[:1], "1,3", *words[3:])
    # plink2 writes frequencies before it filters by them.
    left = Path(f"{peer}.snplist").read_text().split()
    ours, wanted = read(real_set.ours("freq", *words), "afreq"), read(peer, "afreq")
    assert 1000 < len(left) < len(wanted)
    assert_same(ours, wanted[wanted["ID"].isin(left)].reset_index(drop=True))


@pytest.mark.parametrize("real_set", ["genabel"], indirect=True)
def test_sex_check_is_that_of_plink_1(real_set: Both) -> None:
    peer = pd.read_csv(f"{real_set.peer('--check-sex', program='plink1.9')}.sexcheck", sep=r"\s+", dtype=str)
    ours = pd.read_csv(f"{real_set.ours('sex-check')}.sexcheck", sep="\t", dtype=str, keep_default_na=False)
    assert list(ours.columns) == ["#FID", "IID", "PEDSEX", "SNPSEX", "STATUS", "F"]
    assert (ours["SNPSEX"].replace("NA", "0") == peer["SNPSEX"]).all()
    for name in ("IID", "PEDSEX", "STATUS"):
        assert (ours[name] == peer[name]).all()
    assert (ours["STATUS"] == "PROBLEM").sum() == 86
    # plink1.9 prints four digits
    np.testing.assert_allclose(ours["F"].astype(float), peer["F"].astype(float), rtol=5e-4, atol=6e-5)


@pytest.mark.parametrize("real_set", ["1kg", "hapmap3", "genabel"], indirect=True)
def test_king_table_and_unrelated_set(real_set: Both) -> None:
    ours = real_set.ours("king", "--king-table-filter", 0.0442, "--king-cutoff", 0.0884)
    peer = real_set.peer("--make-king-table", "--king-table-filter", 0.0442)
    table, wanted = read(ours, "kin0"), read(peer, "kin0")
    # This plink2 counts some variants that both lack as shared (see test_gwas_structure_plink.py).
    same = (table["NSNP"] == wanted["NSNP"]).to_numpy()
    assert same.mean() > 0.99
    assert_same(table[same], wanted[same])
    np.testing.assert_allclose(table["KINSHIP"], wanted["KINSHIP"], rtol=LAST_DIGIT)
    inside, outside = (read(ours, f"king.cutoff.{side}.id")["IID"] for side in ("in", "out"))
    theirs = read(real_set.peer("--king-cutoff", 0.0884), "king.cutoff.in.id")
    related = wanted[wanted["KINSHIP"] > 0.0884]
    kept = related["IID1"].isin(inside) & related["IID2"].isin(inside)
    assert not kept.any()
    for person in outside:
        mine = related[(related["IID1"] == person) | (related["IID2"] == person)]
        assert (mine["IID1"].isin(inside) | mine["IID2"].isin(inside)).any()
    # Which of two relatives goes differs, but never are fewer kept.
    assert len(inside) >= len(theirs)


@pytest.mark.parametrize("real_set", ["1kg", "genabel"], indirect=True)
@pytest.mark.parametrize("words", [("200", "50", "0.2"), ("250kb", "1", "0.1")])
def test_pruned_lists(real_set: Both, words: tuple[str, ...], pruning_orders: dict[str, list[str]]) -> None:
    for order, chosen in pruning_orders.items():
        peer = real_set.peer("--autosome", "--indep-pairwise", *words, *chosen)
        ours = real_set.ours("prune", "--chr", "1-22", "--indep-pairwise", *words, "--indep-order", order[-1])
        for end in ("prune.in", "prune.out"):
            assert Path(f"{ours}.{end}").read_text() == Path(f"{peer}.{end}").read_text()


@pytest.mark.parametrize("real_set", ["hapmap3"], indirect=True)
def test_components_and_projection(real_set: Both) -> None:
    fam = pd.read_csv(real_set.bfile.with_suffix(".fam"), sep=r"\s+", header=None, dtype=str)
    held_out = real_set.folder / "held_out.txt"
    fam.iloc[9::10, :2].to_csv(held_out, sep="\t", header=False, index=False)
    fit = real_set.folder / "fit"
    made = real_set.ours("pca", "--remove", held_out, "--maf", 0.01, "--pca", 6)
    for end in ("eigenvec", "eigenval", "eigenvec.allele", "acount"):
        Path(f"{made}.{end}").rename(f"{fit}.{end}")
    peer = real_set.peer("--remove", held_out, "--maf", 0.01, "--freq", "counts", "--pca", 6, "allele-wts")
    vectors, wanted = read(fit, "eigenvec"), read(peer, "eigenvec")
    assert list(vectors.columns) == list(wanted.columns)
    assert (vectors["IID"] == wanted["IID"]).all()
    inner = vectors.filter(like="PC").to_numpy().T @ wanted.filter(like="PC").to_numpy()
    assert np.abs(np.diag(inner)).min() > 0.999
    # plink2 divides by the variants two people share, we by all.
    np.testing.assert_allclose(np.loadtxt(f"{fit}.eigenval"), np.loadtxt(f"{peer}.eigenval"), rtol=0.01)
    counts = read(peer, "acount")
    counts = counts[counts["ID"].isin(read(fit, "acount")["ID"])].reset_index(drop=True)
    assert_same(read(fit, "acount"), counts)
    weights, theirs = read(fit, "eigenvec.allele"), read(peer, "eigenvec.allele")
    assert (weights[["ID", "A1"]] == theirs[["ID", "A1"]]).all(axis=None)

    # plink2 can score with our loadings, and gives back the very eigenvectors.
    columns = ["no-mean-imputation", "variance-standardize", "--score-col-nums", "6-11"]
    score = [
        "--read-freq",
        f"{fit}.acount",
        "--score",
        f"{fit}.eigenvec.allele",
        2,
        5,
        "header-read",
        *columns,
    ]
    scale = np.sqrt(np.loadtxt(f"{fit}.eigenval")) / 2
    back = read(real_set.peer("--remove", held_out, *score), "sscore").filter(like="PC") / scale
    np.testing.assert_allclose(back, vectors.filter(like="PC"), atol=2e-3)

    # Placed people lie where plink2's plain projection puts them, further out by what that one shrinks.
    placed = read(real_set.ours("project", "--keep", held_out, "--loadings", fit), "sscore")
    plain = read(real_set.peer("--keep", held_out, *score), "sscore")
    assert (placed["ALLELE_CT"] == plain["ALLELE_CT"]).all()
    a, b = placed.filter(like="PC").to_numpy(), plain.filter(like="PC").to_numpy() / scale
    assert np.diag(np.corrcoef(a.T, b.T)[:6, 6:]).min() > 0.9999
    stretch = (a * b).sum(axis=0) / (b * b).sum(axis=0)
    assert (stretch > 1.02).all()
    assert (np.diff(stretch) > 0).all()

    # And plink2's own components serve as well as ours; it counts before it filters.
    counts.to_csv(f"{peer}.acount", sep="\t", index=False)
    other = read(real_set.ours("project", "--keep", held_out, "--loadings", peer), "sscore")
    both = np.corrcoef(a.T, other.filter(like="PC").to_numpy().T)[:6, 6:]
    assert np.abs(np.diag(both)).min() > 0.9999
