"""BED files written bit by bit, by a slow encoder that shares no code with the reader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gwas.genotypes import Genotypes, open_genotypes
from gwas.kernels.packed import count_genotypes, pack, repack

CODE = {2: 0b00, None: 0b01, 1: 0b10, 0: 0b11}
Calls = list[list[int | None]]


def write_slowly(prefix: Path, calls: Calls) -> None:
    n = len(calls[0])
    payload = bytearray(b"\x6c\x1b\x01")
    for row in calls:
        for first in range(0, n, 4):
            byte = 0
            for place, call in enumerate(row[first : first + 4]):
                byte |= CODE[call] << (2 * place)
            payload.append(byte)
    prefix.with_suffix(".bed").write_bytes(bytes(payload))
    prefix.with_suffix(".fam").write_text("".join(f"f{i} s{i} 0 0 {i % 3} -9\n" for i in range(n)))
    prefix.with_suffix(".bim").write_text("".join(f"1 v{j} 0 {j + 1} A G\n" for j in range(len(calls))))


@st.composite
def tables(draw: st.DrawFn) -> Calls:
    n = draw(st.integers(1, 19))
    call = st.sampled_from([0, 1, 2, None])
    return draw(st.lists(st.lists(call, min_size=n, max_size=n), min_size=1, max_size=12))


def dosages(genotypes: Genotypes, size: int) -> list[list[int | None]]:
    rows = np.concatenate([block.dosages() for block in genotypes.blocks(size)])
    return [[None if call == -9 else int(call) for call in row] for row in rows]


@settings(deadline=None, max_examples=60)
@given(calls=tables(), size=st.integers(1, 5), seed=st.integers(0, 2**32 - 1))
def test_what_was_written_is_read_whatever_the_block_and_selection(
    tmp_path_factory: pytest.TempPathFactory, calls: Calls, size: int, seed: int
) -> None:
    prefix = tmp_path_factory.mktemp("bed") / "study"
    write_slowly(prefix, calls)
    genotypes = open_genotypes(prefix)
    assert dosages(genotypes, size) == calls

    rng = np.random.default_rng(seed)
    samples = rng.permutation(len(calls[0]))[: rng.integers(1, len(calls[0]) + 1)]
    variants = rng.permutation(len(calls))[: rng.integers(1, len(calls) + 1)]
    chosen = genotypes.select(samples=samples).select(variants=variants)
    assert dosages(chosen, size) == [[calls[v][s] for s in samples] for v in variants]
    assert list(chosen.samples["iid"]) == [f"s{s}" for s in samples]
    assert list(chosen.variants["id"]) == [f"v{v}" for v in variants]


@settings(deadline=None, max_examples=60)
@given(calls=tables(), seed=st.integers(0, 2**32 - 1))
def test_counts_on_packed_bytes_equal_counting_one_by_one(calls: Calls, seed: int) -> None:
    table = np.array([[-9 if call is None else call for call in row] for row in calls], dtype=np.int8)
    packed = pack(table)
    mask = np.random.default_rng(seed).random(table.shape[1]) < 0.6
    levels = (0, 1, 2, -9)
    expected = [
        [sum(int(row[i] == level) for i in np.flatnonzero(mask)) for level in levels] for row in table
    ]
    assert count_genotypes(packed, mask).tolist() == expected
    index = np.flatnonzero(mask).astype(np.int64)
    assert np.array_equal(repack(packed, index), pack(table[:, mask]))


def test_blocks_can_start_where_an_interrupted_pass_stopped(tmp_path: Path) -> None:
    write_slowly(tmp_path / "study", [[j % 3, None, 1] for j in range(10)])
    genotypes = open_genotypes(tmp_path / "study.bed")
    whole = [(b.start, b.stop, b.packed.tobytes()) for b in genotypes.blocks(3)]
    assert [(b.start, b.stop, b.packed.tobytes()) for b in genotypes.blocks(3, start_block=2)] == whole[2:]
    assert list(genotypes.blocks(3, start_block=4)) == []
