"""Scores against a plain loop over people and weights, on a small file with every complication."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cohorts.errors import DesignError, InputError
from gwas.genotypes import Genotypes, open_genotypes
from gwas.polygenic.clumping import clump, threshold
from gwas.polygenic.scoring import score
from gwas.polygenic.weights import Weights, make_weights

N, M = 37, 60


def write_bed(folder: Path, calls: np.ndarray) -> Path:
    """Write copies of ALT (m, n), missing -9, as a PLINK 1 fileset; alleles cycle through pairs."""
    m, n = calls.shape
    code = {2: 0, -9: 1, 1: 2, 0: 3}
    packed = np.zeros((m, -(-n // 4)), dtype=np.uint8)
    for v in range(m):
        for i in range(n):
            packed[v, i // 4] |= code[int(calls[v, i])] << (2 * (i % 4))
    prefix = folder / "small"
    prefix.with_suffix(".bed").write_bytes(b"\x6c\x1b\x01" + packed.tobytes())
    pairs = [("G", "A"), ("C", "A"), ("T", "A"), ("AT", "A")]
    rows = [f"1\trs{v}\t0\t{1000 * (v + 1)}\t{pairs[v % 4][0]}\t{pairs[v % 4][1]}\n" for v in range(m)]
    prefix.with_suffix(".bim").write_text("".join(rows))
    prefix.with_suffix(".fam").write_text("".join(f"f{i} i{i} 0 0 {1 + i % 2} -9\n" for i in range(n)))
    return prefix


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Genotypes, np.ndarray]:
    rng = np.random.default_rng(1)
    calls = rng.binomial(2, rng.uniform(0.1, 0.9, M)[:, None], (M, N))
    calls[rng.random((M, N)) < 0.05] = -9
    calls[7] = -9
    return open_genotypes(write_bed(tmp_path_factory.mktemp("bed"), calls)), calls


def some_weights(name: str, seed: int, variants: pd.DataFrame) -> Weights:
    rng = np.random.default_rng(seed)
    frame = variants.iloc[rng.choice(M, 50, replace=False)].reset_index(drop=True)
    turned = rng.random(50) < 0.5
    frame["effect_allele"] = frame["ref"].where(turned, frame["alt"])
    frame["other_allele"] = frame["alt"].where(turned, frame["ref"])
    frame["weight"] = rng.normal(size=50)
    frame["se"] = rng.uniform(0.01, 0.1, 50)
    frame["effect_type"] = rng.choice(["additive", "additive", "dominant", "recessive"], 50)
    return make_weights(name, frame)


def loop(weights: Weights, genotypes: Genotypes, calls: np.ndarray, missing: str, known: np.ndarray | None):
    """The meaning of a score: person by person, weight by weight."""
    sums = np.zeros(calls.shape[1])
    for row in weights.frame.itertuples():
        v = int(np.flatnonzero(genotypes.variants["id"] == row.id)[0])
        ref, alt = genotypes.variants.loc[v, ["ref", "alt"]]
        if {ref, alt} == {"A", "T"}:
            continue

        def value(copies: float, kind: str = row.effect_type) -> float:
            return {"additive": copies, "dominant": copies >= 1, "recessive": copies >= 2}[kind]

        copies = [c if row.effect_allele == alt else 2 - c for c in calls[v]]
        seen = [value(c) for c, call in zip(copies, calls[v], strict=True) if call >= 0]
        if known is not None:
            p = known[v] if row.effect_allele == alt else 1 - known[v]
            fill = {"additive": 2 * p, "dominant": 1 - (1 - p) ** 2, "recessive": p * p}[row.effect_type]
        else:
            fill = np.mean(seen) if seen else 0.0
        for i, call in enumerate(calls[v]):
            if call >= 0:
                sums[i] += row.weight * value(copies[i])
            elif missing == "mean":
                sums[i] += row.weight * fill
    return sums


@pytest.mark.parametrize("missing", ["mean", "zero"])
@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize("block_size", [7, 1024])
def test_many_scores_in_one_pass_equal_the_plain_loop(small, missing, reference, block_size) -> None:
    genotypes, calls = small
    known = np.random.default_rng(5).uniform(0.05, 0.95, M) if reference else None
    scores = [some_weights(f"s{k}", k, genotypes.variants) for k in range(3)]
    result = score(genotypes, scores, missing=missing, frequencies=known, block_size=block_size)
    for weights in scores:
        plain = loop(weights, genotypes, calls, missing, known)
        np.testing.assert_allclose(result.scores[weights.name], plain, rtol=1e-12, atol=1e-12)


def test_every_weight_is_accounted_for_and_coverage_is_by_variance(small) -> None:
    genotypes, calls = small
    weights = some_weights("s", 9, genotypes.variants)
    extra = pd.DataFrame({"chrom": ["9"], "pos": [5], "id": ["rsX"], "effect_allele": ["A"],
                          "other_allele": ["G"], "weight": [2.0], "effect_frequency": [0.5]})  # fmt: skip
    weights = make_weights("s", pd.concat([weights.frame, extra]))
    result = score(genotypes, weights)
    line = result.summary.loc["s"]
    assert line["weights"] == 51 == len(result.match)
    assert (line["not_found"], line["no_calls"]) == (1, int((weights.frame["id"] == "rs7").sum()))
    f = np.array([c[c >= 0].mean() / 2 if (c >= 0).any() else np.nan for c in calls])
    p = np.array([f[int(i[2:])] if i != "rsX" else 0.5 for i in weights.frame["id"]])
    heterozygous = 2 * p * (1 - p)
    spread = np.where(np.isnan(p), np.nanmean(heterozygous), heterozygous) * weights.frame["weight"] ** 2
    used = (result.match["status"] == "used").to_numpy()
    assert line["variance_coverage"] == pytest.approx(spread[used].sum() / spread.sum(), rel=1e-12)


def test_standard_error_is_that_of_independent_weights(small) -> None:
    genotypes, calls = small
    frame = some_weights("s", 4, genotypes.variants).frame.assign(effect_type="additive")
    result = score(genotypes, make_weights("s", frame))
    variance = np.zeros(N)
    for row in result.match[result.match["status"] == "used"].itertuples():
        copies = calls[row.variant].astype(float)
        copies[copies < 0] = copies[copies >= 0].mean()
        variance += (copies - copies.mean()) ** 2 * frame.set_index("id").loc[row.id, "se"] ** 2
    np.testing.assert_allclose(result.se["s"] ** 2, variance, rtol=1e-10)


def test_a_reference_makes_a_persons_score_independent_of_the_others(small) -> None:
    genotypes, _ = small
    weights, known = some_weights("s", 2, genotypes.variants), np.full(M, 0.3)
    everybody = score(genotypes, weights, frequencies=known).scores["s"]
    alone = score(genotypes.select(samples=[4]), weights, frequencies=known).scores["s"]
    assert alone.iloc[0] == pytest.approx(everybody.iloc[4], rel=1e-14)


def test_equal_names_are_refused(small) -> None:
    genotypes, _ = small
    weights = some_weights("s", 2, genotypes.variants)
    with pytest.raises(DesignError, match="different names"):
        score(genotypes, [weights, weights])


def test_thresholds_nest_and_palindromic_leads_of_the_same_file_are_used(small) -> None:
    genotypes, _ = small
    rng = np.random.default_rng(3)
    v = genotypes.variants
    stats = pd.DataFrame({"#CHROM": v["chrom"], "POS": v["pos"], "ID": v["id"], "REF": v["ref"],
                          "ALT": v["alt"], "A1": v["alt"], "BETA": rng.normal(size=M), "SE": 0.1,
                          "LOG10_P": rng.exponential(2, M)})  # fmt: skip
    stats.loc[0, "LOG10_P"] = 400.0
    clumps = clump(stats, genotypes, r2=0.5, kb=2, linkage="correlation")
    assert clumps.leads.loc[0, "id"] == "rs0"
    kept = set(clumps.leads["row"]) | set(clumps.members["row"])
    assert kept == set(range(M))
    made = threshold(clumps, thresholds=[1e-300, 0.01, 0.5, 1.0])
    assert made[0].name == "sumstats_p1e-300"
    assert len(made[0]) == 1
    assert all(set(a.frame["id"]) <= set(b.frame["id"]) for a, b in pairwise(made))
    assert len(made) > 2
    summary = score(genotypes, made).summary
    assert (summary["palindromic"] == 0).all()
    with pytest.raises(DesignError, match="p2 is below p"):
        clump(stats, genotypes, p=0.1, p2=0.01)
    with pytest.raises(DesignError, match="no lead variant passes"):
        threshold(clump(stats.iloc[1:], genotypes), thresholds=[1e-300])


def test_a_score_without_a_usable_weight_is_withheld_and_the_others_go_on(small) -> None:
    genotypes, _ = small
    lost = make_weights("lost", pd.DataFrame({"id": ["nobody"], "effect_allele": ["A"], "weight": [1.0]}))
    result = score(genotypes, [lost, some_weights("s", 2, genotypes.variants)])
    assert result.scores["lost"].isna().all()
    assert result.scores["s"].notna().all()
    assert result.summary.loc["lost", ["used", "not_found"]].tolist() == [0, 1]
    with pytest.raises(InputError, match="lost: none of its variants is in the genotypes; found not_found 1"):
        score(genotypes, lost)
