"""VCF-Zarr stores read as the VCF they came from; what is missing is refused."""

from __future__ import annotations

import pickle
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from cohorts.errors import InputError
from gwas.genotypes import Genotypes, open_genotypes

zarr = pytest.importorskip("zarr")
N, M = 30, 57
END = np.array([0x7F800002], dtype=np.uint32).view(np.float32)[0]


def store_of(vcf: Genotypes, path: Path, *, zarr_format: int, **changes: Any) -> Path:
    """A store in the layout of bio2zarr, from the text of a VCF."""
    records = [line.split("\t") for line in vcf.path.read_text().splitlines() if not line.startswith("#")]
    alts = [record[4].split(",") for record in records]
    calls = np.full((len(records), N, 2), -2, np.int8)
    ds = np.full((len(records), N, 3), END, np.float32)
    gp = np.full((len(records), N, 10), END, np.float32)
    for i, record in enumerate(records):
        for j, text in enumerate(record[9:]):
            for key, value in zip(record[8].split(":"), text.split(":"), strict=True):
                numbers = [
                    np.nan if x == "." else float(x)
                    for x in value.replace("|", "/").replace("/", ",").split(",")
                ]
                if key == "GT":
                    calls[i, j, : len(numbers)] = [-1 if np.isnan(x) else x for x in numbers]
                elif key in ("DS", "GP"):
                    (ds if key == "DS" else gp)[i, j, : len(numbers)] = numbers
        if "GT" not in record[8].split(":"):
            calls[i] = -1
        if "DS" not in record[8].split(":"):
            ds[i] = np.nan
        if "GP" not in record[8].split(":"):
            gp[i] = np.nan
    arrays: dict[str, Any] = {
        "sample_id": np.array(vcf.samples["iid"], dtype="U8"),
        "contig_id": np.array(["chr22"], dtype="U8"),
        "variant_contig": np.zeros(len(records), np.int8),
        "variant_position": np.array([record[1] for record in records], np.int32),
        "variant_allele": np.array(
            [[r[3], *a, *[""] * (3 - len(a))] for r, a in zip(records, alts, strict=True)]
        ),
        "variant_id": np.array([record[2] for record in records], dtype="U8"),
        "variant_R2": np.array([float(record[7][3:]) for record in records], np.float32),
        "call_genotype": calls,
        "call_DS": ds,
        "call_GP": gp,
    }
    arrays |= changes
    group = zarr.open_group(str(path), mode="w", zarr_format=zarr_format)
    for name, values in arrays.items():
        if values is not None:
            chunks = (10, 7, 2)[: values.ndim] if name.startswith("call_") else values.shape
            array = group.create_array(
                name,
                shape=values.shape,
                dtype=values.dtype,
                chunks=chunks,
                config={"write_empty_chunks": True},
            )
            array[...] = values
    return path


@pytest.fixture
def vcf(tmp_path: Path, vcf_files: ModuleType) -> Genotypes:
    lines = vcf_files.random_lines(np.random.default_rng(21), n_records=M, n_samples=N)
    path = tmp_path / "a.vcf"
    path.write_text(vcf_files.text_of(lines, [f"s{i}" for i in range(N)]))
    return open_genotypes(path)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_store_reads_as_its_vcf_in_any_order(vcf: Genotypes, tmp_path: Path, zarr_format: int) -> None:
    store = open_genotypes(store_of(vcf, tmp_path / "a.vcz", zarr_format=zarr_format))
    assert store.samples.equals(vcf.samples)
    assert store.variants.drop(columns="info").equals(vcf.variants.drop(columns="info"))
    np.testing.assert_allclose(store.variants["info"], vcf.variants["info"], rtol=1e-6)
    assert store.values == "dosage"
    rows = np.random.default_rng(2).permutation(vcf.n_variants)
    reader = pickle.loads(pickle.dumps(store.reader))  # noqa: S301
    for chosen in (rows, rows[:3], np.sort(rows), rows[:0]):
        np.testing.assert_allclose(
            store.reader.read_dosages(chosen), vcf.reader.read_dosages(chosen), atol=2e-7, rtol=1e-6
        )
    called = vcf.reader.records.layouts[vcf.reader.records.layout[vcf.reader.records.record[rows]], 0] == 0
    np.testing.assert_array_equal(reader.read(rows[called]), vcf.reader.read(rows[called]))


def test_store_of_calls_alone_has_no_dosages(vcf: Genotypes, tmp_path: Path) -> None:
    path = store_of(vcf, tmp_path / "a.vcf.zarr", zarr_format=3, call_DS=None, call_GP=None, variant_R2=None)
    store = open_genotypes(path)
    assert store.values == "hard-call"
    assert "info" not in store.variants
    assert "hard calls from GT" in store.describe()


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("array", ["call_genotype", "call_DS", "variant_position", "sample_id"])
def test_missing_chunk_is_refused_not_filled(
    vcf: Genotypes, tmp_path: Path, array: str, zarr_format: int
) -> None:
    path = store_of(vcf, tmp_path / "a.zarr", zarr_format=zarr_format)
    chunks = [file for file in (path / array).rglob("*") if file.is_file() and file.name[-1].isdigit()]
    chunks[len(chunks) // 2].unlink()
    with pytest.raises(InputError, match="a chunk is missing"):
        list(open_genotypes(path).dosage_blocks(16))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"variant_position": None}, "is not a VCF-Zarr store"),
        ({"call_genotype": None, "call_DS": None, "call_GP": None}, "is not a VCF-Zarr store"),
        ({"variant_contig": np.full(M, 3, np.int8)}, "does not fit"),
        ({"variant_position": np.arange(M - 1, dtype=np.int32)}, "does not fit"),
        ({"call_genotype": np.zeros((M, N - 1, 2), np.int8)}, "does not fit"),
        ({"sample_id": np.array(["s"] * N)}, "must be there and differ"),
        ({"call_genotype": np.full((M, N, 2), 9, np.int8)}, "an allele that the record does not have"),
        ({"call_genotype": np.zeros((M, N, 3), np.int8)}, "more than two alleles"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    vcf: Genotypes, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    path = store_of(vcf, tmp_path / "a.vcz", zarr_format=3, **changes)
    with pytest.raises(InputError, match=said):
        list(open_genotypes(path).blocks())


def test_folder_that_is_no_store_and_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="folder not found"):
        open_genotypes(tmp_path / "none.vcz")
    (tmp_path / "empty.vcz").mkdir()
    with pytest.raises(InputError):
        open_genotypes(tmp_path / "empty.vcz")


@pytest.mark.parametrize("count", [12, pytest.param(300, marks=pytest.mark.slow)])
def test_mutated_stores_never_crash(vcf: Genotypes, tmp_path: Path, count: int) -> None:
    path = store_of(vcf, tmp_path / "m.vcz", zarr_format=2)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    rng, refused = np.random.default_rng(8), 0
    for _ in range(count):
        file = files[int(rng.integers(len(files)))]
        data = file.read_bytes()
        broken = bytearray(data)
        if rng.random() < 0.5:
            del broken[int(rng.integers(len(broken))) :]
        else:
            broken[int(rng.integers(len(broken)))] ^= 1 << int(rng.integers(8))
        file.write_bytes(bytes(broken))
        try:
            store = open_genotypes(path)
            assert sum(len(block.dosages) for block in store.dosage_blocks(64)) == store.n_variants
        except InputError:
            refused += 1
        file.write_bytes(data)
    assert refused > count // 4
