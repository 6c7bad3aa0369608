"""Hardy-Weinberg exact tests against arithmetic with whole numbers."""

from __future__ import annotations

from fractions import Fraction
from math import factorial, log10

import numpy as np
import pytest

from gwas.hwe import hwe_exact, hwe_exact_log10, hwe_exact_x


def _p(probabilities: list[Fraction], observed: Fraction, *, midp: bool) -> Fraction:
    tail = sum((p for p in probabilities if p <= observed), Fraction(0))
    ties = sum((p for p in probabilities if p == observed), Fraction(0))
    return (tail - ties / 2 if midp else tail) / sum(probabilities, Fraction(0))


def exact(het: int, hom1: int, hom2: int, *, midp: bool = False) -> Fraction:
    n, allele = het + hom1 + hom2, 2 * hom1 + het

    def probability(h: int) -> Fraction:
        a = (allele - h) // 2
        return Fraction(2**h, factorial(h) * factorial(a) * factorial(n - h - a))

    tables = range(allele % 2, min(allele, 2 * n - allele) + 1, 2)
    return _p([probability(h) for h in tables], probability(het), midp=midp)


def exact_x(het: int, hom1: int, hom2: int, male1: int, male2: int, *, midp: bool = False) -> Fraction:
    females, males = het + hom1 + hom2, male1 + male2
    allele = 2 * hom1 + het + male1

    def probability(m: int, h: int) -> Fraction | None:
        a, odd = divmod(allele - m - h, 2)
        b = females - h - a
        if odd or a < 0 or b < 0:
            return None
        return Fraction(
            2**h, factorial(h) * factorial(a) * factorial(b) * factorial(m) * factorial(males - m)
        )

    tables = [probability(m, h) for m in range(min(males, allele) + 1) for h in range(females + 1)]
    observed = probability(male1, het)
    assert observed is not None
    return _p([p for p in tables if p is not None], observed, midp=midp)


@pytest.mark.parametrize("midp", [False, True])
def test_autosomal_p_is_the_exact_rational_number(midp: bool) -> None:
    rng = np.random.default_rng(0)
    tables = [rng.integers(0, rng.integers(2, 120), 3) for _ in range(250)]
    tables = [t for t in tables if t.sum()]
    wanted = [float(exact(*t.tolist(), midp=midp)) for t in tables]
    got = hwe_exact(*np.array(tables).T, midp=midp)
    np.testing.assert_allclose(got, wanted, rtol=1e-11)


@pytest.mark.parametrize("midp", [False, True])
def test_x_p_is_the_exact_rational_number(midp: bool) -> None:
    rng = np.random.default_rng(1)
    tables = [rng.integers(0, rng.integers(2, 16), 5) for _ in range(120)]
    tables = [t for t in tables if t.sum()]
    wanted = [float(exact_x(*t.tolist(), midp=midp)) for t in tables]
    np.testing.assert_allclose(hwe_exact_x(*np.array(tables).T, midp=midp), wanted, rtol=1e-9)


def test_x_without_males_is_the_test_of_females() -> None:
    het, hom1, hom2 = np.array([57, 3, 0]), np.array([14, 0, 9]), np.array([50, 80, 0])
    np.testing.assert_allclose(hwe_exact_x(het, hom1, hom2, 0, 0), hwe_exact(het, hom1, hom2), rtol=1e-10)


def test_tables_tied_with_the_observed_one_count_in_full() -> None:
    # P(h + 2) = P(h) exactly where 4 a b = (h + 2) (h + 1): the tie must survive rounding on both sides.
    pairs = [
        ((h, a, b), (h + 2, a - 1, b - 1))
        for h in range(200)
        for a in range(1, 120)
        for b in range(a, 120)
        if 4 * a * b == (h + 2) * (h + 1)
    ]
    assert len(pairs) > 20
    lower, upper = np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])
    np.testing.assert_allclose(hwe_exact(*lower.T), 1.0, rtol=1e-12)
    np.testing.assert_allclose(hwe_exact(*upper.T), 1.0, rtol=1e-12)
    wanted = [float(exact(*t.tolist(), midp=True)) for t in lower]
    np.testing.assert_allclose(hwe_exact(*lower.T, midp=True), wanted, rtol=1e-11)


def test_p_far_below_the_smallest_double_keeps_its_logarithm() -> None:
    het, hom1, hom2 = 0, 700, 900
    assert float(hwe_exact(het, hom1, hom2)) == 0.0
    p = exact(het, hom1, hom2)
    wanted = log10(p.denominator) - log10(p.numerator)
    assert float(hwe_exact_log10(het, hom1, hom2)) == pytest.approx(wanted, rel=1e-12)


def test_a_monomorphic_variant_fits_and_an_empty_one_says_nothing() -> None:
    p = hwe_exact([0, 0], [10, 0], [0, 0])
    assert p[0] == 1.0
    assert np.isnan(p[1])


def test_shapes_follow_the_input() -> None:
    assert hwe_exact(57, 14, 50).shape == ()
    assert hwe_exact(np.ones((2, 3)), 5, 6).shape == (2, 3)


def test_negative_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        hwe_exact([1, -1], [1, 1], [1, 1])
