"""KING-robust kinship, relations, duplicates and unrelated sets."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from gwas.kernels.packed import pack
from gwas.kernels.planes import variant_planes
from gwas.relatedness import DEGREES, duplicates_to_drop, kinship, kinship_noise, unrelated


def plain_king(x: npt.NDArray[np.int8], y: npt.NDArray[np.int8]) -> tuple[int, float, float, float]:
    """Manichaikul et al. (2010), equation 11, with a loop's plainness."""
    both = (x >= 0) & (y >= 0)
    x, y = x[both], y[both]
    hethet = int(((x == 1) & (y == 1)).sum())
    ibs0 = int((np.abs(x - y) == 2).sum())
    het_x, het_y = int((x == 1).sum()), int((y == 1).sum())
    fewer = min(het_x, het_y)
    phi = (hethet - 2 * ibs0) / (2 * fewer) + 0.5 - 0.25 * (het_x + het_y) / fewer
    return len(x), hethet / len(x), ibs0 / len(x), phi


def family(m: int, *, seed: int) -> npt.NDArray[np.int8]:
    """Father, mother, two children, a grandchild with a stranger, that stranger, and the father again."""
    rng = np.random.default_rng(seed)
    frequency = rng.uniform(0.1, 0.9, m)

    def founder() -> npt.NDArray[np.int8]:
        return (rng.random((2, m)) < frequency).astype(np.int8)

    def child(a: npt.NDArray[np.int8], b: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
        pick = rng.integers(0, 2, (2, m))
        return np.stack([np.where(pick[0], a[1], a[0]), np.where(pick[1], b[1], b[0])])

    father, mother, stranger = founder(), founder(), founder()
    one, two = child(father, mother), child(father, mother)
    grandchild = child(one, stranger)
    return np.stack([h.sum(axis=0) for h in (father, mother, one, two, grandchild, stranger, father)], 1)


@pytest.mark.parametrize("m", [64, 500, 1025])
def test_every_pair_equals_the_plain_formula(genotypes_of, m) -> None:
    rng = np.random.default_rng(m)
    calls = rng.binomial(2, rng.uniform(0.1, 0.6, m)[:, None], (m, 70)).astype(np.int8)
    calls[rng.random(calls.shape) < 0.03] = -9
    rows = rng.permutation(70)[:61]
    table = kinship(genotypes_of(calls).select(samples=rows), at_least=-np.inf)
    assert len(table) == 61 * 60 // 2
    for row in table.itertuples():
        n, hethet, ibs0, phi = plain_king(calls[:, rows[row.row1]], calls[:, rows[row.row2]])
        assert row.nsnp == n
        np.testing.assert_allclose([row.hethet, row.ibs0, row.kinship], [hethet, ibs0, phi], atol=1e-12)
    close = table[table["kinship"] >= 0.02]
    again = kinship(genotypes_of(calls).select(samples=rows), at_least=0.02, threads=1)
    assert again[["iid1", "iid2"]].to_numpy().tolist() == close[["iid1", "iid2"]].to_numpy().tolist()


@pytest.mark.parametrize("at_least", [-np.inf, 0.01])
def test_planes_of_some_samples_at_a_time_give_the_same(genotypes_of, monkeypatch, at_least: float) -> None:
    rng = np.random.default_rng(9)
    calls = rng.binomial(2, rng.uniform(0.1, 0.6, 700)[:, None], (700, 131)).astype(np.int8)
    calls[rng.random(calls.shape) < 0.02] = -9
    whole = kinship(genotypes_of(calls), at_least=at_least)
    monkeypatch.setattr("gwas.relatedness.PLANES_BYTES", 16 * 16 * 90)
    pd.testing.assert_frame_equal(
        kinship(genotypes_of(calls), at_least=at_least).drop(columns="relation"),
        whole.drop(columns="relation"),
    )


def test_sex_chromosomes_do_not_count(genotypes_of) -> None:
    calls = family(600, seed=1)
    chrom = ["1"] * 400 + ["X"] * 200
    with_x = kinship(genotypes_of(calls, chrom=chrom), at_least=-np.inf)
    without = kinship(genotypes_of(calls[:400]), at_least=-np.inf)
    assert with_x["kinship"].tolist() == without["kinship"].tolist()


def test_a_family_is_recognised(genotypes_of) -> None:
    crowd = np.random.default_rng(3)
    m = 6000
    calls = np.concatenate(
        [family(m, seed=2), crowd.binomial(2, crowd.uniform(0.1, 0.9, m)[:, None], (m, 20))], axis=1
    )
    table = kinship(genotypes_of(calls)).set_index(["row1", "row2"])["relation"]
    assert table[0, 6] == "duplicate"
    assert table[0, 2] == table[1, 3] == table[2, 4] == "parent-child"
    assert table[2, 3] == "full siblings"
    assert table[0, 4] == table[3, 4] == "second"
    assert (0, 1) not in table.index


def test_the_better_called_of_duplicates_stays() -> None:
    pairs = pd.DataFrame({"row1": [0, 0, 2], "row2": [2, 5, 5], "relation": "duplicate", "kinship": 0.5})
    dropped = duplicates_to_drop(7, pairs, call_rate=[0.97, 1, 0.99, 1, 1, 0.99, 1])
    assert np.flatnonzero(dropped).tolist() == [0, 5]


def test_unrelated_set_has_no_relatives_and_nobody_could_be_added() -> None:
    rng = np.random.default_rng(4)
    for _ in range(50):
        n = int(rng.integers(5, 40))
        edges = {
            tuple(sorted(rng.choice(n, 2, replace=False).tolist())) for _ in range(int(rng.integers(1, 60)))
        }
        pairs = pd.DataFrame(sorted(edges), columns=["row1", "row2"]).assign(kinship=0.25)
        kept = unrelated(n, pairs, prefer=rng.random(n))
        touched = [False] * n
        for a, b in edges:
            assert not (kept[a] and kept[b])
            touched[a] |= bool(kept[b])
            touched[b] |= bool(kept[a])
        assert all(kept[k] or touched[k] for k in range(n))


def test_unrelated_keeps_the_many_rather_than_the_hub() -> None:
    star = pd.DataFrame({"row1": [0] * 5, "row2": [1, 2, 3, 4, 5], "kinship": 0.25})
    assert np.flatnonzero(unrelated(6, star)).tolist() == [1, 2, 3, 4, 5]
    far = star.assign(kinship=DEGREES["second"] - 0.001)
    assert unrelated(6, far).all()


def test_noise_of_strangers_shrinks_with_more_variants(genotypes_of) -> None:
    rng = np.random.default_rng(5)
    calls = rng.binomial(2, 0.4, (8000, 120)).astype(np.int8)
    few = kinship_noise(genotypes_of(calls[:500]), rng=np.random.default_rng(1))
    many = kinship_noise(genotypes_of(calls), rng=np.random.default_rng(1))
    assert few / many == pytest.approx(4.0, rel=0.25)


def test_bits_past_the_last_sample_are_empty_although_the_file_pads_with_calls() -> None:
    calls = np.full((3, 5), -9, dtype=np.int8)
    hom, alt = variant_planes(pack(calls), 5)
    assert not hom.any()
    assert not alt.any()
