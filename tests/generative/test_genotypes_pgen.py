"""Whatever is written to a PGEN is read back, in any order, block size and selection."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pgenlib
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gwas.genotypes import open_genotypes


def write(path: Path, codes: list[np.ndarray], alts: list[int], n: int) -> None:
    writer = pgenlib.PgenWriter(
        str(path).encode(), n, variant_ct=len(codes), nonref_flags=False, allele_ct_limit=max(alts) + 1
    )
    for record, count in zip(codes, alts, strict=True):
        writer.append_alleles(record.reshape(-1).astype(np.int32), allele_ct=count + 1)
    writer.close()
    lines = [
        f"1\t{i + 1}\tv{i}\tA\t{','.join('C' * (j + 1) for j in range(count))}\n"
        for i, count in enumerate(alts)
    ]
    path.with_suffix(".pvar").write_text("#CHROM\tPOS\tID\tREF\tALT\n" + "".join(lines))
    path.with_suffix(".psam").write_text("#IID\n" + "".join(f"p{i}\n" for i in range(n)))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    n=st.integers(1, 140),
    alts=st.lists(st.integers(1, 6), min_size=1, max_size=30),
    rare=st.floats(0.01, 1),
    size=st.integers(1, 40),
    seed=st.integers(0, 2**32 - 1),
)
def test_calls_of_every_allele_come_back(
    tmp_path: Path, n: int, alts: list[int], rare: float, size: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    codes = []
    for count in alts:
        record = np.where(rng.random((n, 2)) < rare, rng.integers(0, count + 1, (n, 2)), 0)
        record[rng.random(n) < 0.1] = -9
        codes.append(record)
    write(tmp_path / "a.pgen", codes, alts, n)
    expected = np.array(
        [
            np.where(record[:, 0] < 0, -9, (record == allele).sum(axis=1))
            for record, count in zip(codes, alts, strict=True)
            for allele in range(1, count + 1)
        ]
    )
    genotypes = open_genotypes(tmp_path / "a.pgen")
    rows = rng.permutation(len(expected))[: rng.integers(1, len(expected) + 1)]
    people = rng.permutation(n)[: rng.integers(1, n + 1)]
    chosen = genotypes.select(variants=rows, samples=people)
    read = np.concatenate([block.dosages() for block in chosen.blocks(size)])
    assert np.array_equal(read, expected[rows][:, people])
    dosages = np.concatenate([block.dosages for block in chosen.dosage_blocks(size)])
    assert np.array_equal(np.nan_to_num(dosages, nan=-9), expected[rows][:, people])
    with pytest.raises(IndexError):
        genotypes.select(variants=[len(expected)])
