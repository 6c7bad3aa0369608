"""Missing calls of cases against controls: exact, on the right people, and silent where nothing differs."""

from __future__ import annotations

from fractions import Fraction
from math import comb, log10

import numpy as np
import pytest

from cohorts.errors import DesignError
from gwas.differential_missingness import compare_missingness, fisher_exact
from gwas.kernels.fisher import fisher_ln_p


def plain_fisher(table, *, midp=False) -> Fraction:
    (a, b), (c, d) = table
    row, column, n = a + b, a + c, a + b + c + d
    weights = {
        k: comb(row, k) * comb(n - row, column - k)
        for k in range(max(0, row + column - n), min(row, column) + 1)
    }
    own = weights[a]
    tail = Fraction(sum(w for w in weights.values() if w <= own))
    ties = sum(w for w in weights.values() if w == own)
    return (tail - (Fraction(ties, 2) if midp else 0)) / sum(weights.values())


@pytest.mark.parametrize("midp", [False, True])
def test_exact_p_equals_whole_number_arithmetic(midp: bool) -> None:
    rng = np.random.default_rng(4)
    tables = np.concatenate(
        [
            rng.integers(0, 4, (600, 2, 2)),
            rng.integers(0, 40, (600, 2, 2)),
            rng.integers(0, 9, (200, 2, 2)) * 60,
        ]
    )
    wanted = [float(plain_fisher(t.tolist(), midp=midp)) for t in tables]
    np.testing.assert_allclose(fisher_exact(tables, midp=midp), wanted, rtol=1e-10)


def test_far_tails_do_not_underflow() -> None:
    table = [[1500, 500], [20, 1980]]
    exact = plain_fisher(table)
    log10_p = log10(exact.numerator) - log10(exact.denominator)
    cells = [np.array([n]) for n in (1500, 500, 20, 1980)]
    assert log10_p < -500
    assert fisher_ln_p(*cells, False)[0] / np.log(10) == pytest.approx(log10_p, rel=1e-10)


def test_odd_tables_are_refused() -> None:
    for table in ([[1, -1], [0, 0]], [1, 2, 3, 4]):
        with pytest.raises(ValueError, match="two by two"):
            fisher_exact(table)


def plain_counts(calls, chrom, sex, chosen):
    missing = possible = 0
    for call, person_sex, use in zip(calls, sex, chosen, strict=True):
        if not use or (chrom == "Y" and person_sex != "M"):
            continue
        possible += 1
        missing += call < 0 or (call == 1 and chrom in ("X", "Y") and person_sex == "M")
    return missing, possible


def test_impossible_calls_of_men_are_missing_and_women_have_no_y(genotypes_of) -> None:
    rng = np.random.default_rng(2)
    chrom = [name for name in ("1", "X", "Y", "XY", "MT") for _ in range(8)]
    n = 70
    calls = rng.choice([-9, 0, 1, 2], p=[0.2, 0.3, 0.2, 0.3], size=(len(chrom), n))
    sex = rng.choice(np.array(["M", "F", None], dtype=object), size=n)
    status = rng.choice([1.0, 0.0, np.nan], size=n)
    rows = rng.permutation(n)[:61]
    genotypes = genotypes_of(calls, chrom=chrom, sex=sex).select(samples=rows)
    table = compare_missingness(genotypes, status[rows])
    for v, name in enumerate(chrom):
        sick = plain_counts(calls[v, rows], name, sex[rows], status[rows] == 1)
        well = plain_counts(calls[v, rows], name, sex[rows], status[rows] == 0)
        found = table.iloc[v][["missing_cases", "cases", "missing_controls", "controls"]]
        assert tuple(found) == (*sick, *well)
        p = plain_fisher([[sick[0], sick[1] - sick[0]], [well[0], well[1] - well[0]]])
        assert table["p"].iloc[v] == pytest.approx(float(p), rel=1e-10)


def test_a_planted_difference_is_found_and_equal_missingness_is_not(genotypes_of) -> None:
    rng = np.random.default_rng(8)
    m, n = 1500, 600
    calls = rng.choice([0, 1, 2], size=(m, n))
    calls[rng.random((m, n)) < 0.05] = -9
    cases = np.arange(n) < 300
    calls[7, cases & (rng.random(n) < 0.15)] = -9
    p = compare_missingness(genotypes_of(calls), cases.astype(float))["p"].to_numpy()
    assert p[7] < 1e-5
    others = np.delete(p, 7)
    assert others.min() > 1e-5
    assert 0.02 < (others < 0.05).mean() < 0.06


def test_without_both_cases_and_controls_nothing_can_be_compared(genotypes_of) -> None:
    genotypes = genotypes_of(np.zeros((2, 4)))
    for status, message in (([1, 1, 1, 1], "no control"), ([0, 0, np.nan, 2], "no case")):
        with pytest.raises(DesignError, match=message):
            compare_missingness(genotypes, status)
    with pytest.raises(ValueError, match="4 samples"):
        compare_missingness(genotypes, [1, 0])
