"""Whole-genome regression: against closed forms, and what its offsets do to tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gwas.association import associate
from gwas.design import Design, make_design
from gwas.genotypes import Genotypes, open_genotypes
from gwas.kernels.packed import pack
from gwas.offsets import read_offsets
from gwas.whole_genome import WholeGenomeFit, whole_genome_regression
from gwas.whole_genome.columns import Column, Columns
from gwas.whole_genome.moments import PROBES, first_pass
from gwas.whole_genome.panel import make_panel
from gwas.whole_genome.priors import Prior
from gwas.whole_genome.response import make_response
from workflows.genotype_inputs import GenotypeSource
from workflows.wgr import run_wgr

RIDGE = Prior(1.0, 0.0)


def _write(folder: Path, calls: np.ndarray, chromosomes: int = 5) -> Genotypes:
    m, n = calls.shape
    (folder / "g.bed").write_bytes(b"\x6c\x1b\x01" + pack(calls.astype(np.int8)).tobytes())
    (folder / "g.fam").write_text("".join(f"f{i} i{i} 0 0 1 -9\n" for i in range(n)))
    chrom = np.arange(m) * chromosomes // m + 1
    (folder / "g.bim").write_text("".join(f"{chrom[j]} v{j} 0 {j + 1} A C\n" for j in range(m)))
    return open_genotypes(folder / "g.bed")


def _calls(rng: np.random.Generator, m: int, n: int, missing: float = 0.0) -> np.ndarray:
    calls = rng.binomial(2, rng.uniform(0.05, 0.5, m)[:, None], (m, n))
    return np.where(rng.random((m, n)) < missing, -9, calls)


def _design(genotypes: Genotypes, traits: dict[str, np.ndarray], covariates: np.ndarray) -> Design:
    people = list(genotypes.samples["iid"])
    names = [f"C{i}" for i in range(covariates.shape[1])]
    return make_design(
        people, pd.DataFrame(traits, index=people), pd.DataFrame(covariates, people, columns=names)
    )


def _standardised(calls: np.ndarray) -> np.ndarray:
    known = np.ma.masked_less(calls.astype(float), 0)
    centred = (known - known.mean(axis=1, keepdims=True)).filled(0.0)
    scale = np.sqrt((centred**2).mean(axis=1))
    frequency = np.asarray(known.mean(axis=1)) / 2
    prior = (2 * frequency * (1 - frequency)) ** 0.75
    return centred / scale[:, None] * np.sqrt(prior / prior.mean())[:, None]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Genotypes, np.ndarray, Design]:
    rng = np.random.default_rng(11)
    calls = _calls(rng, 300, 402, missing=0.02)
    z = _standardised(calls)
    covariates = rng.normal(size=(402, 2))
    signal = z.T @ rng.normal(size=300)
    signal /= signal.std()
    traits = {
        "Q": signal + rng.normal(size=402) + covariates[:, 0],
        "P": np.where(rng.random(402) < 0.2, np.nan, 0.3 * signal + rng.normal(size=402)),
        "B": (signal + rng.logistic(size=402) > 0.5).astype(float),
    }
    genotypes = _write(tmp_path_factory.mktemp("small"), calls)
    return genotypes, calls, _design(genotypes, traits, covariates)


def _fit(small: tuple[Genotypes, np.ndarray, Design], trait: str, h2: float) -> tuple[np.ndarray, np.ndarray]:
    """Effects of a converged ridge column, fitted without every third person, and who was fitted."""
    genotypes, _, design = small
    panel = make_panel(genotypes, mac=5, alpha=-0.25)
    response = make_response(design, next(t for t in design.traits if t.name == trait))
    train = np.arange(len(response.people)) % 3 > 0
    grams, _ = first_pass(panel, [response], np.ones((panel.n, PROBES), np.int8))
    columns = Columns(panel, [Column(response, train, RIDGE, h2)], grams)
    columns.fit(tolerance=1e-6, most=300)
    return columns.effects[0].astype(float), response.people[train]


def test_ridge_is_the_closed_form(small: tuple[Genotypes, np.ndarray, Design]) -> None:
    _, calls, design = small
    effects, people = _fit(small, "P", 0.4)
    z = _standardised(calls)[:, people]
    q = np.linalg.qr(np.column_stack([np.ones(len(people)), design.covariates[people]]))[0]
    trait = next(t for t in design.traits if t.name == "P")
    mask = design.mask(trait)
    all_q = np.linalg.qr(np.column_stack([np.ones(mask.sum()), design.covariates[mask]]))[0]
    y = trait.values[mask]
    y = y - all_q @ (all_q.T @ y)
    full = np.full(len(mask), np.nan)
    full[mask] = y / np.sqrt((y**2).sum() / (mask.sum() - 3))
    left = z - (z @ q) @ q.T
    expected = np.linalg.solve(left @ left.T + 0.6 / 0.4 * 300 * np.eye(300), left @ full[people])
    assert np.abs(effects - expected).max() < 1e-4 * np.abs(expected).max()


def test_logistic_ridge_is_the_penalised_maximum(small: tuple[Genotypes, np.ndarray, Design]) -> None:
    _, calls, design = small
    effects, people = _fit(small, "B", 0.3)
    y = next(t for t in design.traits if t.name == "B").values
    x = np.column_stack([np.ones(402), design.covariates])
    null = np.zeros(3)
    for _ in range(30):
        p = 1 / (1 + np.exp(-x @ null))
        null += np.linalg.solve((x.T * (p * (1 - p))) @ x, x.T @ (y - p))
    p = 1 / (1 + np.exp(-x @ null))
    penalty = 300 * (p * (1 - p))[people].mean() * 0.7 / 0.3
    both = np.column_stack([x[people], _standardised(calls)[:, people].T])
    ridge = np.concatenate([np.zeros(3), np.full(300, penalty)])
    fit = np.zeros(303)
    for _ in range(50):
        p = 1 / (1 + np.exp(-both @ fit))
        fit += np.linalg.solve(
            (both.T * (p * (1 - p))) @ both + np.diag(ridge), both.T @ (y[people] - p) - ridge * fit
        )
    assert np.abs(effects - fit[3:]).max() < 2e-3 * np.abs(fit[3:]).max()


def _same(a: WholeGenomeFit, b: WholeGenomeFit, trait: str, order: np.ndarray | None = None) -> None:
    first = a.offsets.values[a.offsets.traits.index(trait)]
    second = b.offsets.values[b.offsets.traits.index(trait)]
    if order is not None:
        first = first[:, order]
    assert np.abs(first - second).max() < 1e-4 * first.std()


def test_neither_threads_nor_other_traits_nor_sample_order_matter(
    small: tuple[Genotypes, np.ndarray, Design],
) -> None:
    genotypes, _, design = small
    whole = whole_genome_regression(genotypes, design, folds=5, threads=2)
    again = whole_genome_regression(genotypes, design, folds=5, threads=1)
    assert np.array_equal(whole.offsets.values, again.offsets.values)
    order = np.random.default_rng(3).permutation(genotypes.n_samples)
    table = pd.DataFrame({t.name: t.values for t in design.traits}, index=list(design.samples))
    covariates = pd.DataFrame(design.covariates, index=list(design.samples), columns=["C0", "C1"])
    for trait in ("Q", "P", "B"):
        alone = make_design(list(design.samples), table[[trait]], covariates)
        _same(whole, whole_genome_regression(genotypes, alone, folds=5), trait)
    shuffled = genotypes.select(samples=order)
    mixed = make_design(list(shuffled.samples["iid"]), table, covariates)
    other = whole_genome_regression(shuffled, mixed, folds=5)
    for trait in ("Q", "P", "B"):
        _same(whole, other, trait, order)


def test_a_person_never_predicts_himself(small: tuple[Genotypes, np.ndarray, Design]) -> None:
    """Changing one outcome by 1,000 standard deviations would show anywhere it was used."""
    genotypes, _, design = small
    table = pd.DataFrame({"P": design.traits[1].values}, index=list(design.samples))
    person = int(np.flatnonzero(~np.isnan(table["P"]))[7])
    before = whole_genome_regression(
        genotypes, make_design(list(design.samples), table), folds=5, priors=[RIDGE]
    )
    table.iloc[person] *= -1
    after = whole_genome_regression(
        genotypes, make_design(list(design.samples), table), folds=5, priors=[RIDGE]
    )
    change = np.abs(after.offsets.values - before.offsets.values).max(axis=(0, 1))
    assert change[person] < 0.2 * np.median(change[change > 0])


def test_bad_variants_and_traits_are_skipped_and_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    calls = _calls(rng, 60, 200)
    calls[0], calls[1], calls[2] = 0, -9, 0
    calls[2, :3] = 1
    genotypes = _write(tmp_path, calls)
    people = list(genotypes.samples["iid"])
    table = pd.DataFrame({"fine": rng.normal(size=200), "flat": np.ones(200) * 3.5}, index=people)
    design = make_design(people, table, unusable="skip")
    fit = whole_genome_regression(genotypes, design, folds=5)
    assert fit.offsets.traits == ("fine",)
    assert "constant" in fit.skipped["flat"]
    assert fit.skipped_variants == {"no calls": 1, "minor allele count below 5": 2}
    assert np.isfinite(fit.offsets.values).all()


def test_files_of_the_command_are_read_back_by_associations(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    calls = _calls(rng, 220, 300)
    genotypes = _write(tmp_path, calls)
    z = _standardised(calls)
    y = z.T @ rng.normal(size=220) / 15 + rng.normal(size=300)
    case = (y > 1.0).astype(int)
    rows = "".join(f"f{i} i{i} {y[i]:.6f} {case[i]}\n" for i in range(300))
    (tmp_path / "p.txt").write_text("FID IID Q B\n" + rows)
    source = GenotypeSource(path=tmp_path / "g.bed")
    run_wgr(source=source, pheno=tmp_path / "p.txt", out=tmp_path / "s", folds=5)
    people = list(zip(genotypes.samples["fid"], genotypes.samples["iid"], strict=True))
    offsets = read_offsets(tmp_path / "s_pred.list", people)
    table = pd.DataFrame({"Q": np.round(y, 6), "B": case}, index=list(genotypes.samples["iid"]))
    design = make_design(list(genotypes.samples["iid"]), table)
    fit = whole_genome_regression(genotypes, design, folds=5)
    assert np.allclose(offsets.values, fit.offsets.values, rtol=1e-5, atol=1e-6)
    found = associate(genotypes, design, offsets=offsets, logistic="score")
    # chromosome 2 of variants 44 to 88, against the plain formula
    centred = (table["Q"] - table["Q"].mean()).to_numpy()
    unit = np.sqrt((centred**2).sum() / 299)
    left = centred - unit * offsets.of("Q", "2", design.samples)
    left -= left.mean()
    g = calls[50] - calls[50].mean()
    beta = g @ left / (g @ g)
    se = np.sqrt(((left - beta * g) ** 2).sum() / 298 / (g @ g))
    assert found["Q"]["T_STAT"].iloc[50] == pytest.approx(beta / se, rel=1e-6)
    fixed = offsets.of("B", "2", design.samples)
    base = 0.0
    for _ in range(50):
        p = 1 / (1 + np.exp(-(base + fixed)))
        base += (case - p).sum() / (p * (1 - p)).sum()
    w = p * (1 - p)
    variance = (w * calls[50] ** 2).sum() - (w * calls[50]).sum() ** 2 / w.sum()
    assert found["B"]["T_STAT"].iloc[50] == pytest.approx(
        calls[50] @ (case - p) / np.sqrt(variance), rel=1e-5
    )


def test_null_variants_of_unrelated_people_keep_their_distribution_beside_offsets(tmp_path: Path) -> None:
    """Half of the genome makes a trait; the other half is tested: QT, and BT of 1:1 and 1:20."""
    rng = np.random.default_rng(17)
    n, m, each = 2000, 3000, 4
    calls = _calls(rng, m, n)
    genotypes = _write(tmp_path, calls, chromosomes=22)
    liability = rng.normal(size=(3 * each, m // 2)) @ _standardised(calls)[: m // 2]
    liability /= liability.std(axis=1, keepdims=True)
    liability = np.sqrt(0.6) * liability + np.sqrt(0.4) * rng.normal(size=liability.shape)
    parts = {"QT": None, "BT1:1": 0.5, "BT1:20": 1 - 1 / 21}
    traits = {}
    for i, (kind, cut) in enumerate(parts.items()):
        for t in range(each):
            row = liability[i * each + t]
            traits[f"{kind} {t}"] = row if cut is None else (row > np.quantile(row, cut)).astype(float)
    design = _design(genotypes, traits, rng.normal(size=(n, 2)))
    fit = whole_genome_regression(genotypes, design)
    assert all(fit.held_out_r2[f"QT {t}"] > 0.05 for t in range(each))
    # chromosome 11 straddles the halves
    null = genotypes.select(variants=np.flatnonzero(genotypes.variant_values("chrom").astype(int) > 11))
    found = associate(null, design, offsets=fit.offsets, logistic="score")
    for kind in parts:
        chi2 = np.concatenate([found[f"{kind} {t}"]["T_STAT"].to_numpy() ** 2 for t in range(each)])
        assert chi2.mean() == pytest.approx(1.0, abs=5 * np.sqrt(2 / len(chi2)))
        assert np.median(chi2) / 0.4549 == pytest.approx(1.0, abs=0.12)
        assert 0.005 < (chi2 > 6.635).mean() < 0.015


@pytest.mark.slow
def test_relatives_inflate_tests_without_offsets_and_not_with_them(tmp_path: Path) -> None:
    """900 sibling pairs among 3,900 people; the tested half of the genome does nothing."""
    rng = np.random.default_rng(2)
    n, m, pairs = 3900, 4400, 900
    frequency = rng.uniform(0.05, 0.5, m)[:, None]

    def haplotypes(k: int) -> np.ndarray:
        return (rng.random((m, k)) < frequency).astype(np.int8)

    parents = [haplotypes(pairs) for _ in range(4)]
    calls = np.empty((m, n), np.int8)
    for sibling in range(2):
        first, second = (np.repeat(rng.random((m // 50, pairs)) < 0.5, 50, axis=0) for _ in range(2))
        calls[:, sibling : 2 * pairs : 2] = np.where(first, *parents[:2]) + np.where(second, *parents[2:])
    calls[:, 2 * pairs :] = haplotypes(n - 2 * pairs) + haplotypes(n - 2 * pairs)
    genotypes = _write(tmp_path, calls, chromosomes=22)
    z = _standardised(calls)[: m // 2]
    signal = rng.normal(size=(16, m // 2)) @ z
    signal /= signal.std(axis=1, keepdims=True)
    traits = np.sqrt(0.8) * signal + np.sqrt(0.2) * rng.normal(size=signal.shape)
    people = list(genotypes.samples["iid"])
    design = make_design(people, pd.DataFrame(traits.T, people, columns=[f"Q{t}" for t in range(16)]))
    fit = whole_genome_regression(genotypes, design)
    null = genotypes.select(variants=np.arange(m // 2, m))
    without = pd.concat(associate(null, design).values())["T_STAT"] ** 2
    with_offsets = pd.concat(associate(null, design, offsets=fit.offsets).values())["T_STAT"] ** 2
    assert without.mean() > 1.05
    assert 0.93 < with_offsets.mean() <= 1.03
