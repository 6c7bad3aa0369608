"""Relatives share genes and traits: predictions of the other chromosomes take out what that inflates."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gwas.association import associate_tests
from gwas.design import Design, make_design
from gwas.genotypes import Genotypes, open_genotypes
from gwas.kernels.packed import pack
from gwas.models.phenome import AssociationOptions
from gwas.sumstats import lambda_gc
from gwas.whole_genome import whole_genome_regression

N, PAIRS = 3000, 450
CAUSAL, NULL = 4000, 8000
QUANTITATIVE, BINARY = 8, 4


def _people(rng: np.random.Generator, variants: int) -> np.ndarray:
    """int8 (variants, N): 30 % of people have a sibling here; unlinked variants."""
    parents = 2 * PAIRS
    founders = N - 2 * PAIRS
    calls = np.empty((variants, N), dtype=np.int8)
    for first in range(0, variants, 1000):
        rows = slice(first, min(first + 1000, variants))
        m = rows.stop - rows.start
        frequency = rng.uniform(0.05, 0.5, m)[:, None]
        couple = rng.random((2, m, parents)) < frequency
        for child in range(2):
            given = np.where(rng.random((m, parents)) < 0.5, couple[0], couple[1])
            calls[rows, child * PAIRS : (child + 1) * PAIRS] = given[:, :PAIRS] + given[:, PAIRS:].astype(
                np.int8
            )
        calls[rows, 2 * PAIRS :] = rng.binomial(2, frequency, (m, founders))
    return calls


@pytest.fixture(scope="module")
def siblings(tmp_path_factory: pytest.TempPathFactory) -> tuple[Genotypes, Genotypes, Design]:
    """Variants that make the traits (heritability 0.8), variants that do nothing, traits."""
    rng = np.random.default_rng(71)
    calls = _people(rng, CAUSAL + NULL)
    prefix = tmp_path_factory.mktemp("siblings") / "study"
    prefix.with_suffix(".bed").write_bytes(b"\x6c\x1b\x01" + pack(calls).tobytes())
    prefix.with_suffix(".fam").write_text("".join(f"f{i} i{i} 0 0 1 -9\n" for i in range(N)))
    place = np.concatenate([np.arange(CAUSAL) * 22 // CAUSAL, np.arange(NULL) * 22 // NULL]) + 1
    prefix.with_suffix(".bim").write_text(
        "".join(f"{c} v{j} 0 {j + 1} A C\n" for j, c in enumerate(place.tolist()))
    )
    scaled = calls[:CAUSAL].astype(np.float32)
    scaled = (scaled - scaled.mean(axis=1, keepdims=True)) / scaled.std(axis=1, keepdims=True)
    value = scaled.T @ rng.normal(size=(CAUSAL, QUANTITATIVE + BINARY)).astype(np.float32)
    value = np.sqrt(0.8) * value / value.std(axis=0) + rng.normal(scale=np.sqrt(0.2), size=value.shape)
    genotypes = open_genotypes(prefix)
    ids = list(genotypes.samples["iid"])
    table = pd.DataFrame(value[:, :QUANTITATIVE], ids, [f"Q{i}" for i in range(QUANTITATIVE)])
    for i in range(BINARY):
        column = value[:, QUANTITATIVE + i]
        table[f"B{i}"] = (column > np.quantile(column, 0.6)).astype(float)
    causal = genotypes.select(variants=np.arange(CAUSAL))
    return causal, genotypes.select(variants=np.arange(CAUSAL, CAUSAL + NULL)), make_design(ids, table)


def _log10_p(genotypes: Genotypes, design: Design) -> dict[str, np.ndarray]:
    options = AssociationOptions(logistic="score")
    blocks = list(associate_tests(genotypes, design, options, threads=2))
    return {t.name: np.concatenate([b.tests[t.name].log10p for b in blocks]) for t in design.traits}


@pytest.mark.slow
def test_siblings_inflate_lambda_without_offsets_and_not_with_them(
    siblings: tuple[Genotypes, Genotypes, Design],
) -> None:
    causal, null, design = siblings
    fit = whole_genome_regression(causal, design, threads=2)
    plain, corrected = _log10_p(null, design), _log10_p(null, design.with_offsets(fit.offsets))
    for kind in "QB":
        names = [name for name in plain if name.startswith(kind)]
        before, after = (lambda_gc(np.concatenate([p[n] for n in names])) for p in (plain, corrected))
        assert before > 1.03
        # residuals of predictions by the sibling are a little anticorrelated, which errs on the safe side
        assert 0.94 < after <= 1.03
