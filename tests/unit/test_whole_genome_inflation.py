"""Tests beside predictions compared with a mixed model's: against dense algebra, and through to the results."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cohorts.errors import InputError
from gwas.association import associate
from gwas.design import Design, make_design
from gwas.genotypes import Genotypes, open_genotypes
from gwas.kernels.packed import pack
from gwas.offsets import read_offsets
from gwas.whole_genome import inflation as subject
from gwas.whole_genome import whole_genome_regression
from gwas.whole_genome.panel import make_panel
from gwas.whole_genome.response import make_response

N, M = 240, 400


@pytest.fixture(scope="module")
def families(tmp_path_factory: pytest.TempPathFactory) -> tuple[Genotypes, Design, np.ndarray]:
    """Twelve families of twenty who share most of their alleles; a trait of all variants, missing in some."""
    rng = np.random.default_rng(8)
    frequency = rng.uniform(0.2, 0.5, (M, 1))
    shared = rng.binomial(2, np.clip(rng.normal(frequency, 0.15, (M, 12)), 0.02, 0.98)).astype(np.int8)
    own = rng.binomial(2, frequency, (M, N)).astype(np.int8)
    calls = np.where(rng.random((M, N)) < 0.6, np.repeat(shared, N // 12, axis=1), own).astype(np.int8)
    prefix = tmp_path_factory.mktemp("families") / "f"
    prefix.with_suffix(".bed").write_bytes(b"\x6c\x1b\x01" + pack(calls).tobytes())
    prefix.with_suffix(".fam").write_text("".join(f"p{i} p{i} 0 0 1 -9\n" for i in range(N)))
    prefix.with_suffix(".bim").write_text("".join(f"{1 + j // 100} v{j} 0 {j + 1} A G\n" for j in range(M)))
    genotypes = open_genotypes(prefix)
    ids = list(genotypes.samples["iid"])
    value = rng.normal(size=M) @ (calls - calls.mean(axis=1, keepdims=True))
    table = pd.DataFrame({"T": value / value.std() + rng.normal(size=N)}, ids)
    table.iloc[[4, 9]] = np.nan
    covariate = pd.DataFrame({"c": rng.normal(size=N)}, ids)
    return genotypes, make_design(ids, table, covariate), calls


def test_factor_is_that_of_dense_algebra(
    families: tuple[Genotypes, Design, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "TOLERANCE", 1e-6)
    genotypes, design, calls = families
    panel = make_panel(genotypes, mac=5, alpha=-0.25)
    response = make_response(design, design.traits[0])
    rng = np.random.default_rng(1)
    predictions = (0.3 * rng.normal(size=(4, N))).astype(np.float32)
    h2 = 0.4
    found = subject.offset_inflation(panel, response, predictions, h2, np.random.default_rng(2))

    here = response.people
    kept = panel.rows
    z = (calls[kept] - 2 * panel.frequency[:, None]) / panel.scale[:, None]
    q = response.covariates
    beside = np.eye(len(here)) - q @ q.T
    x = z[:, here] @ beside
    y = beside @ response.work(response.start, slice(None))[0]
    drawn = np.sort(np.random.default_rng(2).choice(panel.m, size=subject.RANDOM, replace=False))
    of = kept // 100
    mixed, plain, gamma = np.empty(panel.m), np.empty(panel.m), []
    for c in range(4):
        others, own = x[of != c], of == c
        inverse = np.linalg.inv(h2 * others.T @ others / panel.m + (1 - h2) * np.eye(len(here)))
        white, left = inverse @ y, y - beside @ predictions[c, here]
        squares = (z[own] ** 2).sum(axis=1)
        mixed[own] = (x[own] @ white) ** 2 / (y @ white)
        plain[own] = (x[own] @ left) ** 2 / (left @ left)
        assert len(squares) == own.sum()
        gamma += [x[j] @ inverse @ x[j] / (x[j] @ x[j]) for j in drawn if of[j] == c]
    spread = 2 * panel.frequency * (1 - panel.frequency) / panel.scale**2
    expected = np.median(plain / spread) / np.median(mixed / spread) * np.mean(gamma)
    assert found.factor == pytest.approx(expected, rel=1e-4)
    assert 0 < found.error < 1


def test_chi_squares_are_divided_by_the_factor(
    families: tuple[Genotypes, Design, np.ndarray], tmp_path: Path
) -> None:
    genotypes, design, _ = families
    fit = whole_genome_regression(genotypes, design, folds=4, calibrate=True, threads=2)
    known = fit.traits[0].inflation
    assert known is not None
    assert fit.offsets.inflation == (known.factor,)
    plain = whole_genome_regression(genotypes, design, folds=4, threads=2)
    assert plain.traits[0].inflation is None
    np.testing.assert_array_equal(plain.offsets.values, fit.offsets.values)
    before, after = (associate(genotypes, design, offsets=f.offsets)["T"] for f in (plain, fit))
    np.testing.assert_allclose(before["T_STAT"] ** 2 / after["T_STAT"] ** 2, known.factor, rtol=1e-9)
    np.testing.assert_allclose(after["BETA"] / after["SE"], after["T_STAT"], rtol=1e-12)
    np.testing.assert_array_equal(before["BETA"], after["BETA"])
    assert ((after["P"] > before["P"]) == (known.factor > 1)).all()


@pytest.mark.parametrize("text", ["U 1.2\n", "T x\n", "T -1\n", "T\n", "T nan\n"])
def test_a_file_without_the_traits_factor_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "t_1.loco").write_text("FID_IID a_a\n1 0.5\n")
    (tmp_path / "t_pred.list").write_text("T t_1.loco\n")
    (tmp_path / "t_pred.inflation").write_text("T 1.5\n")
    given = {"samples": [("a", "a")], "chromosomes": ["1"]}
    found = read_offsets(tmp_path / "t_pred.list", inflation=tmp_path / "t_pred.inflation", **given)
    assert found.inflation_of("T") == 1.5
    (tmp_path / "t_pred.inflation").write_text(text)
    with pytest.raises(InputError, match="factor"):
        read_offsets(tmp_path / "t_pred.list", inflation=tmp_path / "t_pred.inflation", **given)
