"""Mendelian errors: exactly those that no transmission explains, on autosomes and X."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from gwas.mendel import find_trios, mendel_errors

SEXES = ("M", "F")


def gametes(copies: int, *, single: bool = False) -> set[int]:
    if single:
        return {copies // 2}
    return {0: {0}, 1: {0, 1}, 2: {1}}[copies]


def fits(father: int, mother: int, child: int, *, on_x: bool, sex: str | None) -> bool:
    """Whether some transmission gives the child; a call that is missing, or cannot be, may be anything."""
    from_mother = {0, 1} if mother < 0 else gametes(mother)
    if on_x and sex == "M":
        return child in {2 * allele for allele in from_mother}
    unknown = father < 0 or (on_x and father == 1)
    from_father = {0, 1} if unknown else gametes(father, single=on_x)
    return child in {a + b for a, b in product(from_father, from_mother)}


def family_of(genotypes_of, calls, *, chrom, child_sex):
    genotypes = genotypes_of(np.asarray(calls), chrom=chrom, sex=["M", "F", child_sex])
    samples = genotypes.samples.assign(fid="f", father=["0", "0", "i0"], mother=["0", "0", "i1"])
    return replace(genotypes, samples=samples)


@pytest.mark.parametrize("child_sex", ["M", "F", None])
@pytest.mark.parametrize("chrom", ["1", "X", "XY", "Y", "MT", "0"])
def test_every_combination_is_judged_as_transmission_says(genotypes_of, chrom, child_sex) -> None:
    calls = list(product((-9, 0, 1, 2), repeat=3))
    genotypes = family_of(genotypes_of, calls, chrom=[chrom] * len(calls), child_sex=child_sex)
    found = mendel_errors(genotypes, listed=True)
    on_x = chrom == "X"
    for (father, mother, child), tested, errors in zip(
        calls, found.variants["tested"], found.variants["errors"], strict=True
    ):
        judged = chrom not in ("Y", "MT") and not (on_x and child_sex is None) and child >= 0
        if on_x and child_sex == "M":
            judged &= mother >= 0 and child != 1
        else:
            judged &= mother >= 0 or (father >= 0 and not (on_x and father == 1))
        assert tested == judged
        wrong = judged and not fits(father, mother, child, on_x=on_x, sex=child_sex)
        assert errors == wrong, (father, mother, child)
    assert len(found.errors) == found.trios["errors"].iloc[0] == found.variants["errors"].sum()
    assert found.trios["child_blamed"].iloc[0] == len(found.errors)


def born(rng, father, mother, *, sex, x):
    """A child's calls by transmission."""
    from_mother = np.where(mother == 1, rng.integers(0, 2, len(mother)), mother // 2)
    from_father = np.where(father == 1, rng.integers(0, 2, len(father)), father // 2)
    return np.where(x & (sex == "M"), 2 * from_mother, from_mother + from_father)


@pytest.fixture
def trios(genotypes_of):
    """Forty trios: nobody errs but variant 5, the child of trio 3 is not theirs, calls are missing."""
    rng = np.random.default_rng(6)
    m, families = 600, 40
    x = np.arange(m) >= 400
    p = rng.uniform(0.2, 0.8, m)
    people, sexes, parents = [], [], []
    for family in range(families):
        father = np.where(x, 2 * rng.binomial(1, p), rng.binomial(2, p))
        mother = rng.binomial(2, p)
        sex = SEXES[family % 2]
        child = born(rng, father, mother, sex=sex, x=x)
        if family == 3:
            child = np.where(x & (sex == "M"), 2 * rng.binomial(1, p), rng.binomial(2, p))
        people += [father, mother, child]
        sexes += ["M", "F", sex]
        parents += [("0", "0"), ("0", "0"), (f"i{3 * family}", f"i{3 * family + 1}")]
    calls = np.array(people).T.astype(np.int8)
    calls[5] = rng.permutation(np.repeat([0, 2], 60))
    calls[rng.random(calls.shape) < 0.03] = -9
    genotypes = genotypes_of(calls, chrom=np.where(x, "X", "1"), sex=sexes)
    fid = np.repeat([f"f{i}" for i in range(families)], 3)
    samples = genotypes.samples.assign(
        fid=fid, father=[f for f, _ in parents], mother=[m for _, m in parents]
    )
    return replace(genotypes, samples=samples)


def test_transmission_makes_no_error_and_planted_faults_stand_out(trios) -> None:
    found = mendel_errors(trios)
    rate = (found.variants["errors"] / found.variants["tested"]).to_numpy()
    assert rate[5] > 0.3
    assert np.delete(rate, 5).max() <= 1 / 30
    trio_rate = (found.trios["errors"] / found.trios["tested"]).to_numpy()
    assert trio_rate[3] > 0.08
    assert np.delete(trio_rate, 3).max() < 0.01


def test_a_selection_of_samples_in_another_order_gives_the_same_answer(trios) -> None:
    order = np.random.default_rng(1).permutation(trios.n_samples)
    whole, turned = mendel_errors(trios), mendel_errors(trios.select(samples=order))
    assert whole.variants.equals(turned.variants)
    a, b = (
        t.trios.set_index("child")[["tested", "errors", "father_blamed"]].sort_index()
        for t in (whole, turned)
    )
    assert a.equals(b)


def test_only_whole_trios_of_one_family_count(trios) -> None:
    without_father = trios.select(samples=np.arange(1, trios.n_samples))
    assert len(find_trios(trios)) == 40
    assert len(find_trios(without_father)) == 39
    samples = trios.samples.copy()
    samples.loc[2, "fid"] = "elsewhere"
    assert len(find_trios(replace(trios, samples=samples))) == 39


def test_without_trios_nothing_is_tested(genotypes_of) -> None:
    found = mendel_errors(genotypes_of(np.ones((4, 5))), listed=True)
    assert len(found.trios) == len(found.errors) == found.variants["tested"].sum() == 0


def test_pseudo_autosomal_variants_called_x_are_judged_as_diploid(genotypes_of) -> None:
    genotypes = family_of(genotypes_of, [[1, 0, 1]], chrom=["X"], child_sex="M")
    genotypes = replace(genotypes, variants=genotypes.variants.assign(pos=100_000))
    assert mendel_errors(genotypes).variants["tested"].tolist() == [0]
    inside = mendel_errors(genotypes, build="GRCh38").variants
    assert inside[["tested", "errors"]].iloc[0].tolist() == [1, 0]
