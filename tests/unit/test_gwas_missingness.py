"""Missing calls counted 32 at a time against plain sums."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from gwas.genotypes import Genotypes
from gwas.kernels.missing_calls import count_missing
from gwas.kernels.packed import keep_bits, pack
from gwas.missingness import missing_calls


@pytest.mark.parametrize(("m", "n"), [(1, 1), (2, 5), (3, 32), (14, 31), (256, 33), (511, 64), (800, 131)])
@pytest.mark.parametrize("rate", [0.2, 1.0])
def test_both_counts_equal_plain_sums(m: int, n: int, rate: float) -> None:
    rng = np.random.default_rng(m * n)
    calls = rng.choice([0, 1, 2], size=(m, n)).astype(np.int8)
    calls[rng.random((m, n)) < rate] = -9
    kept = rng.random(n) < 0.7
    by_sample = np.full(4 * ((n + 3) // 4), 7, dtype=np.int64)
    by_variant = count_missing(pack(calls), keep_bits(kept), by_sample)
    assert (by_variant == (calls[:, kept] < 0).sum(axis=1)).all()
    assert (by_sample[:n] == 7 + (calls < 0).sum(axis=0)).all()
    assert (by_sample[n:] == 7).all()


def test_only_men_miss_y(genotypes_of: Callable[..., Genotypes]) -> None:
    calls = [[0, -9, 1, -9], [-9, -9, -9, 0], [-9, -9, 2, 2]]
    everybody = genotypes_of(calls, chrom=["1", "Y", "Y"], sex=["M", "F", "M", None])
    found = missing_calls(everybody)
    assert found.by_variant.tolist() == [2, 2, 1]
    assert found.of_variant.tolist() == [4, 2, 2]
    assert found.by_sample.tolist() == [2, 1, 1, 1]
    assert found.of_sample.tolist() == [3, 1, 3, 1]
    some = missing_calls(everybody.select(samples=[3, 2], variants=[2, 0]))
    assert some.by_variant.tolist() == [0, 1]
    assert some.by_sample.tolist() == [1, 0]
    assert some.of_sample.tolist() == [1, 2]
