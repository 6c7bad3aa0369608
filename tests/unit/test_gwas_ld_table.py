"""Tables and matrices of linkage disequilibrium against plain weighted correlations."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from cohorts.errors import DesignError, InputError
from gwas.ld_table import ld_pairs, ld_region


def linked_calls(m: int, n: int, *, seed: int, missing: float = 0.03) -> npt.NDArray[np.int8]:
    rng = np.random.default_rng(seed)
    z = rng.standard_normal(2 * n)
    calls = np.empty((m, n), dtype=np.int8)
    for v in range(m):
        z = 0.9 * z + np.sqrt(1 - 0.81) * rng.standard_normal(2 * n)
        allele = z < rng.uniform(-1.3, 0.8)
        calls[v] = allele[:n].astype(np.int8) + allele[n:]
    calls[rng.random((m, n)) < missing] = -9
    return calls


def plain_r(x, y, weight) -> float:
    both = (x >= 0) & (y >= 0)
    x, y, w = x[both].astype(float), y[both].astype(float), weight[both]
    cov = np.cov(x, y, aweights=w, ddof=0)
    return float(cov[0, 1] / np.sqrt(cov[0, 0] * cov[1, 1]))


@pytest.mark.parametrize("signed", [False, True])
def test_all_pairs_of_the_window_above_the_threshold_are_listed(genotypes_of, signed, monkeypatch) -> None:
    calls = linked_calls(120, 101, seed=1)
    pos = np.sort(np.random.default_rng(3).integers(1, 600_000, 120))
    chrom = ["1"] * 70 + ["2"] * 50
    pos = np.concatenate([np.sort(pos[:70]), np.sort(pos[70:])])
    wanted = {}
    for i in range(120):
        for j in range(i + 1, 120):
            if chrom[i] == chrom[j] and pos[j] - pos[i] <= 50_000:
                r = plain_r(calls[i], calls[j], np.ones(101))
                if r * r >= 0.1:
                    wanted[i, j] = r if signed else r * r
    monkeypatch.setattr("gwas.ld_table.BLOCK", 16)
    monkeypatch.setattr("gwas.ld_table.PAIRS", 50)
    found = ld_pairs(genotypes_of(calls, chrom=chrom, pos=pos), window_kb=50, r2=0.1, signed=signed)
    assert list(zip(found["first"], found["second"], strict=True)) == sorted(wanted)
    np.testing.assert_allclose(found.iloc[:, 2], [wanted[k] for k in sorted(wanted)], rtol=1e-10)
    assert len(wanted) > 100


def test_a_window_in_variants_limits_the_pairs_too(genotypes_of) -> None:
    calls = linked_calls(50, 80, seed=2)
    found = ld_pairs(genotypes_of(calls), window_kb=1e6, window_variants=3, r2=0)
    assert len(found) == 3 * 50 - (1 + 2 + 3)
    assert (found["second"] - found["first"]).max() == 3


def test_on_x_women_weigh_double(genotypes_of) -> None:
    calls = linked_calls(30, 150, seed=4)
    rng = np.random.default_rng(5)
    sex = rng.choice(np.array(["M", "F", None], dtype=object), 150)
    men = sex == "M"
    as_x = calls.copy()
    as_x[:, men] = np.where(
        calls[:, men] == 1, np.where(rng.random((30, men.sum())) < 0.9, 2, 1), calls[:, men]
    )
    found, variants = ld_region(
        genotypes_of(as_x, chrom=["X"] * 30, sex=sex), chrom="X", start=1, stop=10**9, signed=True
    )
    weight = np.where(men, 1.0, 2.0)
    for i in range(30):
        for j in range(i):
            assert found[i, j] == pytest.approx(plain_r(as_x[i], as_x[j], weight), rel=1e-9)
    pairs = ld_pairs(genotypes_of(as_x, chrom=["X"] * 30, sex=sex), r2=0, signed=True)
    np.testing.assert_allclose(pairs["r"], found[pairs["first"], pairs["second"]])
    assert len(variants) == 30


def test_on_y_men_alone_count(genotypes_of) -> None:
    calls = np.where(linked_calls(8, 100, seed=6, missing=0) > 0, 2, 0)
    sex = np.array(["M", "F"] * 50, dtype=object)
    found, _ = ld_region(genotypes_of(calls, chrom=["Y"] * 8, sex=sex), chrom="Y", start=1, stop=10**9)
    np.testing.assert_allclose(found, np.corrcoef(calls[:, ::2]) ** 2, rtol=1e-9)


def test_the_matrix_of_a_region_holds_its_variants_alone(genotypes_of) -> None:
    calls = linked_calls(20, 90, seed=7, missing=0)
    calls[9] = 2
    genotypes = genotypes_of(calls, pos=np.arange(100, 120))
    matrix, variants = ld_region(genotypes, chrom="1", start=105, stop=112)
    assert variants.index.tolist() == list(range(5, 13))
    assert np.isnan(matrix[4]).all()
    assert np.isnan(matrix[:, 4]).all()
    inside = np.delete(np.arange(5, 13), 4)
    rest = np.delete(np.delete(matrix, 4, 0), 4, 1)
    np.testing.assert_allclose(rest, np.corrcoef(calls[inside]) ** 2, rtol=1e-10)


def test_what_cannot_be_done_is_refused(genotypes_of) -> None:
    calls = linked_calls(5, 30, seed=1)
    with pytest.raises(DesignError, match="cannot be made"):
        ld_region(genotypes_of(calls), chrom="1", start=1, stop=2)
    with pytest.raises(DesignError, match="cannot be made"):
        ld_region(genotypes_of(calls), chrom="1", start=1, stop=10**9, most=4)
    with pytest.raises(InputError, match="not in order"):
        ld_pairs(genotypes_of(calls, pos=[1, 2, 9, 4, 5]))
    with pytest.raises(ValueError, match="window"):
        ld_pairs(genotypes_of(calls), r2=1.5)
