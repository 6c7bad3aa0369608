"""BGEN files of every shape the specification allows give the dosages that were written."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cohorts.errors import InputError
from gwas.genotypes import open_genotypes
from gwas.kernels import bgen_probabilities as kernels
from gwas.kernels.dosages import to_packed

_SPEC = importlib.util.spec_from_file_location("bgen_files", Path(__file__).parents[1] / "bgen_files.py")
assert _SPEC is not None
assert _SPEC.loader is not None
bgen_files = importlib.util.module_from_spec(_SPEC)
sys.modules["bgen_files"] = bgen_files
_SPEC.loader.exec_module(bgen_files)

SHAPES = st.fixed_dictionaries(
    {
        "n_alleles": st.integers(1, 5),
        "bits": st.integers(1, 32),
        "phased": st.booleans(),
        "haploid": st.sampled_from([0.0, 0.0, 0.4, 1.0]),
        "missing": st.sampled_from([0.0, 0.2, 1.0]),
    }
)
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


def truth(variants, *, ref_last: bool = False) -> np.ndarray:
    return np.array(
        [
            [bgen_files.dosage(v, sample, alt) for sample in range(len(v.ploidies))]
            for v in variants
            for alt in (
                range(len(v.alleles) - 1)
                if ref_last and len(v.alleles) > 1
                else range(1, max(len(v.alleles), 2))
            )
        ],
        dtype=np.float32,
    )


@QUICK
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 9),
    shapes=st.lists(SHAPES, min_size=1, max_size=5),
    compression=st.sampled_from(["none", "zlib", "zstd"]),
    gap=st.binary(max_size=5),
)
def test_what_is_written_is_read(tmp_path_factory, seed, n, shapes, compression, gap):
    rng = np.random.default_rng(seed)
    variants = [bgen_files.random_variant(rng, n, name=str(j), **shape) for j, shape in enumerate(shapes)]
    path = tmp_path_factory.mktemp("bgen") / "study.bgen"
    names = [f"person {i}" for i in range(n)]
    path.write_bytes(bgen_files.File(variants, names, compression, gap=gap).write())
    opened = open_genotypes(path, hard_call_threshold=0.2)
    expected = truth(variants)
    assert opened.samples["iid"].tolist() == names
    assert opened.variants["alt"].tolist() == [alt for v in variants for alt in (v.alleles[1:] or ["."])]
    assert opened.n_variants == len(expected)
    got = opened.read_dosage_block(0, len(expected)).dosages
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(opened.read_block(0, len(expected)).packed, to_packed(expected, 0.2))
    order = rng.permutation(len(expected))
    np.testing.assert_array_equal(
        opened.select(variants=order).read_dosage_block(0, len(order)).dosages, expected[order]
    )
    turned = open_genotypes(path, bgen_ref="last")
    assert turned.variants["alt"].tolist() == [alt for v in variants for alt in (v.alleles[:-1] or ["."])]
    assert turned.variants["ref"].tolist() == [v.alleles[-1] for v in variants for _ in v.alleles[1:] or [0]]
    np.testing.assert_array_equal(
        turned.read_dosage_block(0, len(expected)).dosages, truth(variants, ref_last=True)
    )


@QUICK
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 6),
    shape=SHAPES,
    place=st.floats(0, 1, exclude_max=True),
    bit=st.integers(0, 7),
    cut=st.sampled_from([None, -1, 1]),
)
def test_kernel_takes_and_refuses_the_blocks_its_slow_twin_does(seed, n, shape, place, bit, cut):
    variant = bgen_files.random_variant(np.random.default_rng(seed), n, **shape)
    block = bytearray(bgen_files.layout2(variant))
    block[int(place * len(block))] ^= 1 << bit
    data = bytes(block) if cut is None else bytes(block[:-1]) if cut == -1 else bytes(block) + b"\0"
    k = len(variant.alleles)
    out = np.empty((1, n), dtype=np.float32)
    status = kernels.decode(np.frombuffer(data, dtype=np.uint8), np.array([1]), out, k)
    expected = bgen_files.decode(data, n, k, 1)
    assert (status == 0) == (expected is not None)
    if expected is not None:
        np.testing.assert_array_equal(out[0], np.array(expected, dtype=np.float32))
    else:
        assert kernels.FAULTS[status]


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("phased", [False, True])
def test_fast_decoders_give_what_the_general_one_gives(bits, phased):
    rng = np.random.default_rng(bits + phased)
    pair = bgen_files.random_variant(rng, 999, bits=bits, phased=phased)
    block = np.frombuffer(bgen_files.layout2(pair), dtype=np.uint8)
    fast, twice = np.empty((1, 999), dtype=np.float32), np.empty((2, 999), dtype=np.float32)
    assert kernels.decode(block, np.array([1]), fast, 2) == 0
    # two rows of one allele do not go the fast way
    assert kernels.decode(block, np.array([1, 0]), twice, 2) == 0
    np.testing.assert_array_equal(fast[0], twice[0])
    called = ~np.isnan(fast[0])
    np.testing.assert_allclose((twice[0] + twice[1])[called], 2, atol=1e-6)
    assert 0 < called.sum() < 999


@QUICK
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 9), compression=st.sampled_from(["none", "zlib"]))
def test_layout_1_is_read(tmp_path_factory, seed, n, compression):
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet([0.3] * 3, size=(3, n))
    wanted = np.rint(probabilities * 32768).astype(int)
    gone = rng.random((3, n)) < 0.2
    variants = [
        bgen_files.Variant(["A", "C"], [2] * n, gone[j], wanted[j][:, None].tolist(), rsid=f"rs{j}")
        for j in range(3)
    ]
    path = tmp_path_factory.mktemp("bgen") / "study.bgen"
    path.write_bytes(bgen_files.File(variants, [str(i) for i in range(n)], compression, layout=1).write())
    expected = (wanted[:, :, 1] + 2 * wanted[:, :, 2]) / wanted.sum(2)
    expected[gone] = np.nan
    got = open_genotypes(path).read_dosage_block(0, 3).dosages
    np.testing.assert_array_equal(got, expected.astype(np.float32))


def test_results_do_not_depend_on_the_number_of_threads(tmp_path, monkeypatch):
    rng = np.random.default_rng(8)
    variants = [
        bgen_files.random_variant(rng, 50, name=str(j), bits=8 + j % 3, n_alleles=2 + j % 2)
        for j in range(40)
    ]
    path = tmp_path / "study.bgen"
    path.write_bytes(bgen_files.File(variants, [str(i) for i in range(50)]).write())
    results = []
    for threads in (1, 2, 7):
        monkeypatch.setattr("numba.get_num_threads", lambda threads=threads: threads)
        results.append([block.dosages.tobytes() for block in open_genotypes(path).dosage_blocks(9)])
    assert results[0] == results[1] == results[2]
    np.testing.assert_array_equal(
        np.frombuffer(b"".join(results[0]), dtype=np.float32).reshape(-1, 50), truth(variants)
    )


@pytest.mark.parametrize("ploidy", [0, 3])
def test_ploidies_that_cannot_be_used_are_refused_by_name(tmp_path, ploidy):
    size = len(bgen_files.genotypes(2, ploidy))
    odd = bgen_files.Variant(
        ["A", "C"], [2, ploidy], [False] * 2, [[[255, 0, 0]], [[255] + [0] * (size - 1)]]
    )
    path = tmp_path / "study.bgen"
    path.write_bytes(bgen_files.File([odd], ["a", "b"]).write())
    with pytest.raises(InputError, match=r"rs1.*ploidy is not 1 or 2"):
        open_genotypes(path).read_dosage_block(0, 1)
