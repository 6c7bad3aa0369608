"""Whole-genome regression of dosages: as of calls where they are whole, better where calls are guesses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gwas.design import Design, make_design
from gwas.genotypes import Genotypes
from gwas.genotypes.encode_bgen import bgen_bytes
from gwas.kernels.shrinkage_tiles import NO_DOSAGE, STEPS, tiles_of
from gwas.whole_genome import panel as panels
from gwas.whole_genome import whole_genome_regression
from workflows.genotype_inputs import GenotypeSource
from workflows.wgr import run_wgr

M, N = 120, 601
CHROMOSOMES = ["1"] * 70 + ["2"] * 50


def trait_of(genotypes: Genotypes, values: np.ndarray, rng: np.random.Generator) -> Design:
    score = rng.normal(size=len(values)) @ (values - values.mean(axis=1, keepdims=True))
    ids = list(genotypes.samples["iid"])
    table = pd.DataFrame({"T": score / score.std() + rng.normal(size=len(ids))}, ids)
    table["B"] = (table["T"] > 0.5).astype(float)
    table.iloc[[3, 8]] = np.nan
    return make_design(ids, table)


@pytest.fixture
def study(genotypes_of: Callable[..., Genotypes]) -> tuple[Genotypes, Design]:
    rng = np.random.default_rng(31)
    calls = rng.binomial(2, rng.uniform(0.1, 0.9, M)[:, None], (M, N)).astype(np.int8)
    genotypes = genotypes_of(np.where(rng.random((M, N)) < 0.02, -9, calls), chrom=CHROMOSOMES)
    return genotypes, trait_of(genotypes, calls, rng)


def test_whole_dosages_give_the_predictions_of_calls(study: tuple[Genotypes, Design]) -> None:
    genotypes, design = study
    calls = whole_genome_regression(genotypes, design, folds=5)
    dosages = whole_genome_regression(replace(genotypes, values="dosage"), design, folds=5)
    assert calls.held_out_r2["T"] > 0.1
    np.testing.assert_allclose(dosages.offsets.values, calls.offsets.values, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(dosages.weights, calls.weights, rtol=1e-4, atol=1e-5)
    assert dosages.skipped_variants == calls.skipped_variants


def test_dosages_read_on_every_pass_give_the_bits_of_those_held(
    study: tuple[Genotypes, Design], monkeypatch: pytest.MonkeyPatch
) -> None:
    genotypes, design = replace(study[0], values="dosage"), study[1]
    held = whole_genome_regression(genotypes, design, folds=5)
    monkeypatch.setattr(panels, "HELD_BYTES", 0)
    monkeypatch.setattr(panels, "DOSAGE_BYTES", 4 * N * 13)
    read = whole_genome_regression(genotypes, design, folds=5)
    np.testing.assert_array_equal(read.offsets.values, held.offsets.values)


def test_uncertain_dosages_predict_better_than_their_calls(
    study: tuple[Genotypes, Design], genotypes_of: Callable[..., Genotypes]
) -> None:
    rng = np.random.default_rng(32)
    exact = np.clip(rng.normal(rng.uniform(0.3, 1.7, M)[:, None], 0.35, (M, N)), 0, 2).astype(np.float32)
    plain = genotypes_of(np.rint(exact).astype(np.int8), chrom=CHROMOSOMES)
    imputed = replace(plain, values="dosage", reader=replace(plain.reader, imputed=exact))  # type: ignore[type-var]
    design = trait_of(plain, exact, rng)
    by_calls = whole_genome_regression(plain, design, folds=5)
    by_dosage = whole_genome_regression(imputed, design, folds=5)
    assert by_dosage.held_out_r2["T"] > by_calls.held_out_r2["T"] + 0.02


def test_a_dosages_byte_is_the_nearest_and_its_moments_are_the_dosages(
    study: tuple[Genotypes, Design],
) -> None:
    exact = np.array([[0, 1, 2, np.nan, 0.5, 1.999, 0.004, 0.0039]], dtype=np.float32)
    found = panels._in_steps(exact, 12)[0]
    assert found.tolist() == [0, STEPS, 2 * STEPS, NO_DOSAGE, 64, 254, 1, 0, *[NO_DOSAGE] * 4]
    called, copies, squares = panels._sums(found[None], 8, dosages=True)[0]
    whole = found[found != NO_DOSAGE] / STEPS
    assert (called, copies, squares) == pytest.approx((7, whole.sum(), (whole**2).sum()))
    panel = panels.make_panel(replace(study[0], values="dosage"), mac=5, alpha=-0.25)
    assert tiles_of(panel.width) == 1
    for _, first, last, rows in panel.passes():
        assert rows.shape == (last - first, 4 * panel.width)
        assert (rows[:, N:] == NO_DOSAGE).all()


def written(tmp_path: Path, genotypes: Genotypes, design: Design) -> tuple[dict[str, Path], Path]:
    bgen = tmp_path / "d.bgen"
    with bgen.open("wb") as file:
        for part in bgen_bytes(replace(genotypes, values="dosage")):
            file.write(part)
    ids = list(genotypes.samples["iid"])
    lines = "".join(f"{i} {i} 0 0\n" for i in ids)
    (tmp_path / "d.sample").write_text("ID_1 ID_2 missing sex\n0 0 0 D\n" + lines)
    values = design.traits[0].values
    pheno = tmp_path / "p.txt"
    pheno.write_text("IID T\n" + "".join(f"{i} {v:.6g}\n" for i, v in zip(ids, values, strict=True)))
    return {"path": bgen, "sample_file": tmp_path / "d.sample"}, pheno


@pytest.mark.parametrize(
    ("values", "said"), [(None, "dosages (to 1/127 of a copy)"), ("hard-call", "hard calls")]
)
def test_the_log_says_which_were_used(
    study: tuple[Genotypes, Design], tmp_path: Path, values: Any, said: str
) -> None:
    genotypes, design = study
    given, pheno = written(tmp_path, genotypes, design)
    files = run_wgr(
        source=GenotypeSource(values=values, path=given["path"], sample_file=given["sample_file"]),
        pheno=pheno,
        out=tmp_path / "o",
        folds=5,
        threads=1,
    )
    assert f"whole-genome regression: {said} of autosomes" in files[-1].read_text()
