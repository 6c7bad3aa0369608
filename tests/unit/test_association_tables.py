"""Results as text and as Parquet: the same as by frames and Python's formatting, whatever the values."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from gwas.association import block_frame
from gwas.engines.protocol import BlockTests
from gwas.genotypes import Genotypes, open_genotypes
from gwas.kernels.packed import pack
from gwas.models.result import VariantTests
from gwas.models.status import ERRCODES
from gwas.sumstats import to_plink, to_regenie
from workflows.association_tables import VariantCells, header, lines, parquet_parts, passing, text_rows

M = 400


@pytest.fixture(scope="module")
def genotypes(tmp_path_factory: pytest.TempPathFactory) -> Genotypes:
    prefix = tmp_path_factory.mktemp("tables") / "study"
    prefix.with_suffix(".bed").write_bytes(b"\x6c\x1b\x01" + pack(np.zeros((M, 3), np.int8)).tobytes())
    prefix.with_suffix(".fam").write_text("".join(f"f s{i} 0 0 1 -9\n" for i in range(3)))
    chroms = ["1"] * 200 + ["X"] * 150 + ["MT"] * 50
    text = "".join(f"{c} v{j} 0 {7 * j + 1} {'ACGT'[j % 4]} GT\n" for j, c in enumerate(chroms))
    prefix.with_suffix(".bim").write_text(text)
    return open_genotypes(prefix)


def some_tests(m: int, *, seed: int = 1) -> VariantTests:
    rng = np.random.default_rng(seed)
    status = np.where(rng.random(m) < 0.2, rng.integers(1, len(ERRCODES), m), 0).astype(np.int8)

    def number(values: np.ndarray) -> np.ndarray:
        return np.where(status > 0, np.nan, values)

    log10p = 10 ** rng.uniform(-6, 4, m)
    log10p[:3] = 0.0, 299.9999, 9_999.5
    return VariantTests(
        n=rng.integers(0, 10**6, m),
        alt_frequency=np.where(rng.random(m) < 0.05, np.nan, rng.integers(0, 1001, m) / 1000),
        beta=number(rng.normal(size=m) * 10 ** rng.uniform(-12, 2, m)),
        se=number(10 ** rng.uniform(-12, 6, m)),
        statistic=number(rng.normal(size=m) * 30),
        log10p=number(log10p),
        status=status,
        firth=rng.random(m) < 0.5,
    )


def by_python(frame: pd.DataFrame, between: str) -> str:
    def say(value: object) -> str:
        if isinstance(value, float):
            return "NA" if value != value else f"{value:.9g}"
        return str(value)

    rows = zip(*(frame[name].tolist() for name in frame.columns), strict=True)
    return "".join(between.join(map(say, row)) + "\n" for row in rows)


@pytest.mark.parametrize("kind", ["quantitative", "binary"])
@pytest.mark.parametrize("layout", ["plink2", "regenie"])
def test_lines_are_those_of_the_frames(genotypes: Genotypes, kind: str, layout: str) -> None:
    tests = some_tests(150)
    frame = block_frame(genotypes.variants, BlockTests(0, 120, 270, {"y": tests}))
    table = to_plink(frame, kind=kind) if layout == "plink2" else to_regenie(frame)
    between = {"plink2": "\t", "regenie": " "}[layout]
    assert header(kind, layout).decode() == between.join(table.columns) + "\n"
    found = lines(VariantCells.of(genotypes), 120, tests, kind=kind, layout=layout)
    assert found.decode() == by_python(table, between)


def test_traits_of_the_same_and_of_other_people_get_their_own_lines(genotypes: Genotypes) -> None:
    cells, one, other = VariantCells.of(genotypes), some_tests(90, seed=8), some_tests(90, seed=9)
    sharing = replace(other, n=one.n, alt_frequency=one.alt_frequency)
    tests = {"a": one, "b": sharing, "c": other, "d": one}
    kinds = {"a": "quantitative", "b": "quantitative", "c": "quantitative", "d": "binary"}
    rows = text_rows(cells, BlockTests(0, 10, 100, tests), kinds=kinds, header_first=True)
    for name, data in rows.items():
        alone = lines(cells, 10, tests[name], kind=kinds[name])
        assert data == header(kinds[name]) + alone


def test_a_threshold_keeps_whole_rows_and_drops_those_without_a_result(genotypes: Genotypes) -> None:
    cells, tests = VariantCells.of(genotypes), some_tests(M, seed=2)
    tests.log10p[5] = 2.0
    tests.status[5] = 0
    only = passing(tests, 2.0)
    assert only is not None
    assert only[5]
    assert not only[tests.status > 0].any()
    every = lines(cells, 0, tests, kind="quantitative").splitlines()
    kept = lines(cells, 0, tests, kind="quantitative", only=only).splitlines()
    assert kept == [line for line, wanted in zip(every, only, strict=True) if wanted]
    assert passing(tests, None) is None
    assert lines(cells, 0, tests, kind="binary", only=np.zeros(M, dtype=bool)) == b""


def test_an_interval_goes_after_the_standard_error(genotypes: Genotypes) -> None:
    cells, tests = VariantCells.of(genotypes), some_tests(M, seed=5)
    text = header("binary", confidence=0.9) + lines(cells, 0, tests, kind="binary", confidence=0.9)
    table = pd.read_csv(io.BytesIO(text), sep="\t")
    assert table.columns.tolist()[11:14] == ["LOG(OR)_SE", "L90", "U90"]
    fine = table["LOG(OR)_SE"] < 10
    for side, z in (("L90", -1.6448536269514722), ("U90", 1.6448536269514722)):
        np.testing.assert_allclose(
            np.log(table[side])[fine],
            (np.log(table["OR"]) + z * table["LOG(OR)_SE"])[fine],
            atol=1e-7,
            rtol=1e-7,
        )


def test_parquet_holds_the_frames(genotypes: Genotypes) -> None:
    cells = VariantCells.of(genotypes)
    blocks = [
        BlockTests(1, 40, 140, {"y": some_tests(100, seed=3), "z": some_tests(100, seed=6)}),
        BlockTests(2, 140, 200, {"y": some_tests(60, seed=4), "z": some_tests(60, seed=7)}),
    ]
    parts = dict(parquet_parts(cells, blocks))
    assert parts == dict(parquet_parts(cells, blocks))
    frames = pd.concat([block_frame(genotypes.variants, block) for block in blocks])
    few = dict(parquet_parts(cells, blocks, least_log10p=3.0))
    for name, data in parts.items():
        expected = frames[frames["TRAIT"] == name].drop(columns="TRAIT").reset_index(drop=True)
        table = pq.read_table(io.BytesIO(data)).to_pandas()
        pd.testing.assert_frame_equal(table, expected, check_exact=True)
        chosen = pq.read_table(io.BytesIO(few[name])).to_pandas()
        pd.testing.assert_frame_equal(chosen, expected[expected["LOG10_P"] >= 3.0].reset_index(drop=True))
