"""Quality of imputation from dosages and probabilities: plain twins and what must come out of a simulation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gwas.imputation_quality import imputation_r2, impute_info, mach_r2


def plain_r2(dosages, haploid) -> float:
    known = [(float(d), h) for d, h in zip(dosages, haploid, strict=True) if not np.isnan(d)]
    copies = sum(d / 2 if h else d for d, h in known)
    alleles = sum(1 if h else 2 for _, h in known)
    p = copies / alleles
    spread = sum((d - 2 * p) ** 2 for d, _ in known)
    expected = sum(2 * p * (1 - p) * (2 if h else 1) for _, h in known)
    return spread / expected


def test_r2_equals_its_formula_with_missing_and_haploid_people() -> None:
    rng = np.random.default_rng(1)
    dosages = rng.uniform(0, 2, (40, 55)).astype(np.float32)
    dosages[rng.random(dosages.shape) < 0.1] = np.nan
    haploid = rng.random(55) < 0.4
    wanted = [plain_r2(row, haploid) for row in dosages]
    np.testing.assert_allclose(mach_r2(dosages, haploid=haploid), wanted, rtol=1e-6)
    np.testing.assert_allclose(mach_r2(dosages), [plain_r2(row, np.zeros(55)) for row in dosages], rtol=1e-6)


def test_r2_is_the_squared_correlation_with_the_truth() -> None:
    # Calibrated dosages are the mean of the genotype given what is known: here, one noisy look at each allele.
    rng = np.random.default_rng(2)
    n, p = 40_000, 0.3
    for error in (0.02, 0.2, 0.45):
        alleles = rng.random((2, n)) < p
        seen = alleles ^ (rng.random((2, n)) < error)
        given_yes = p * (1 - error) / (p * (1 - error) + (1 - p) * error)
        given_no = p * error / (p * error + (1 - p) * (1 - error))
        dosage = np.where(seen, given_yes, given_no).sum(axis=0)
        truth = np.corrcoef(dosage, alleles.sum(axis=0))[0, 1] ** 2
        assert mach_r2(dosage[None].astype(np.float32))[0] == pytest.approx(truth, abs=0.02)
        yes = np.where(seen, given_yes, given_no)
        one, two = yes[0] * (1 - yes[1]) + yes[1] * (1 - yes[0]), yes[0] * yes[1]
        assert impute_info(one[None], two[None])[0] == pytest.approx(truth, abs=0.02)


def test_nothing_varies_or_nobody_is_called() -> None:
    dosages = np.array([[0, 0, 0], [2, 2, 2], [np.nan] * 3, [1, np.nan, np.nan]], dtype=np.float32)
    assert np.isnan(mach_r2(dosages)[:3]).all()
    assert mach_r2(dosages)[3] == 0
    info = impute_info(np.zeros((2, 3)), [[0, 0, 0], [np.nan] * 3])
    assert info[0] == 1
    assert np.isnan(info[1])


def test_chromosomes_are_read_by_their_ploidy_and_hard_calls_say_nothing(genotypes_of) -> None:
    rng = np.random.default_rng(3)
    chrom = ["1", "X", "Y", "MT"]
    sex = np.array(["M", "F"] * 30, dtype=object)
    male = sex == "M"
    dosages = rng.uniform(0, 2, (4, 60)).astype(np.float32)
    genotypes = genotypes_of(np.zeros((4, 60)), chrom=chrom, sex=sex)
    hard = imputation_r2(genotypes)
    assert hard[["info", "mach_r2"]].isna().all(axis=None)
    imputed = replace(
        genotypes,
        reader=replace(genotypes.reader, imputed=dosages),
        variants=genotypes.variants.assign(info=[0.9, np.nan, 0.5, 0.1]),
    )
    found = imputation_r2(imputed)
    wanted = [
        plain_r2(dosages[0], np.zeros(60)),
        plain_r2(dosages[1], male),
        plain_r2(dosages[2][male], np.ones(30)),
        plain_r2(dosages[3], np.ones(60)),
    ]
    np.testing.assert_allclose(found["mach_r2"], wanted, rtol=1e-6)
    np.testing.assert_array_equal(found["info"], [0.9, np.nan, 0.5, 0.1])
