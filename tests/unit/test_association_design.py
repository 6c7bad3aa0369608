"""Phenotypes and covariates are joined by ID, coded openly, and refused where they cannot answer."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cohorts.errors import DesignError
from gwas.design import covariate_basis, make_design

IDS = [f"s{i}" for i in range(12)]


def table(**columns: object) -> pd.DataFrame:
    return pd.DataFrame(columns, index=IDS)


def ramp() -> np.ndarray:
    return np.arange(12.0)


@pytest.mark.parametrize(
    ("values", "kind", "cases"),
    [
        ([0, 1] * 6, "binary", 6),
        ([1, 2] * 6, "binary", 6),
        ([1, 2, 2] * 4, "binary", 8),
        ([True, False, False] * 4, "binary", 4),
        ([1, 3, 4] * 4, "quantitative", None),
        ([0.5, 1.0] * 6, "quantitative", None),
    ],
)
def test_kind_and_coding_are_inferred_and_echoed(values: list[float], kind: str, cases: int | None) -> None:
    design = make_design(IDS, table(t=values))
    row = design.summary().iloc[0]
    assert row["KIND"] == kind
    assert row["N"] == 12
    if cases is not None:
        assert row["CASES"] == cases
        assert row["CONTROLS"] == 12 - cases
        assert set(np.unique(design.traits[0].values)) == {0.0, 1.0}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0, 1, 2] * 4, "ambiguous case-control coding"),
        ([0, 2] * 6, "ambiguous case-control coding"),
        ([1] * 12, "no cases"),
        ([0] * 12, "no cases"),
        ([2] * 12, "no controls"),
        ([5.5] * 12, "the trait is constant"),
        ([np.nan] * 12, "nobody has both"),
        (["a"] * 12, "not a number"),
        ([np.inf, *range(3, 14)], "infinite"),
        ([3.5, 4.5, *[np.nan] * 10], "too few people"),
    ],
)
def test_trait_that_cannot_be_analysed_is_refused_in_one_line(values: list[object], message: str) -> None:
    with pytest.raises(DesignError, match=message) as caught:
        make_design(IDS, table(t=values))
    assert "\n" not in str(caught.value)


def test_unusable_traits_can_be_skipped_with_their_reason() -> None:
    design = make_design(IDS, table(good=ramp(), flat=4.0, empty=np.nan), unusable="skip")
    assert [trait.name for trait in design.traits] == ["good"]
    assert dict(design.skipped) == {
        "flat": "the trait is constant",
        "empty": "nobody has both the trait and every covariate",
    }
    with pytest.raises(DesignError, match="no trait can be analysed"):
        make_design(IDS, table(flat=4.0), unusable="skip")


def test_declared_kind_wins_over_inference() -> None:
    counts = table(t=[0, 1, 2] * 4)
    assert make_design(IDS, counts, kinds={"t": "quantitative"}).traits[0].kind == "quantitative"
    with pytest.raises(DesignError, match="declared binary"):
        make_design(IDS, table(t=ramp()), kinds={"t": "binary"})


@pytest.mark.parametrize(
    ("covariates", "message"),
    [
        ({"a": [3.0] * 12}, "^a: a covariate has the same value"),
        ({"c": ["x"] * 12}, "^c: a covariate has the same value"),
        ({"a": ramp(), "b": ramp() * 2 + 1}, "^b: covariates are collinear.*combination of a"),
        ({"a": ramp(), "b": ramp() ** 2, "c": ramp() - ramp() ** 2}, "^c: .*combination of a, b"),
        ({"a": [np.inf, *range(11)]}, "infinite"),
    ],
)
def test_constant_and_collinear_covariates_are_named(covariates: dict[str, object], message: str) -> None:
    outcome = np.random.default_rng(0).normal(size=12)
    with pytest.raises(DesignError, match=message):
        make_design(IDS, table(t=outcome), table(**covariates))


@pytest.mark.parametrize("coding", [0, 1])
def test_a_trait_among_its_covariates_is_refused_in_either_coding(coding: int) -> None:
    sick = np.array([0.0, 1.0] * 6)
    given = table(age=ramp(), again=sick + coding)
    with pytest.raises(DesignError, match="^t: a covariate is the trait itself.*covariate again"):
        make_design(IDS, table(t=sick), given)
    skipped = make_design(IDS, table(t=sick, other=ramp() ** 2), given, unusable="skip").skipped
    assert dict(skipped) == {"t": "a covariate is the trait itself"}


def test_covariate_constant_in_one_traits_people_alone_is_dropped_for_it() -> None:
    sex = np.array([0.0, 1.0] * 6)
    outcome = np.random.default_rng(0).normal(size=12)
    design = make_design(IDS, table(both=outcome, men=np.where(sex == 1, outcome, np.nan)), table(sex=sex))
    basis = covariate_basis(design.covariates, design.covariate_names, design.mask(design.traits[1]))
    assert basis.names == ()


def test_text_covariate_becomes_indicators_against_the_most_frequent_level() -> None:
    outcome = np.random.default_rng(0).normal(size=12)
    centre = ["b"] * 6 + ["a"] * 4 + ["c", None]
    design = make_design(IDS, table(t=outcome), table(centre=centre))
    assert design.covariate_names == ("centre=a", "centre=c")
    assert design.covariates[6].tolist() == [1.0, 0.0]
    assert np.isnan(design.covariates[11]).all()
    assert design.mask(design.traits[0]).sum() == 11


def test_repeated_ids_and_empty_overlap_are_refused() -> None:
    with pytest.raises(DesignError, match="occurs twice"):
        make_design(IDS, pd.DataFrame({"t": [1.0, 2.0, 4.0]}, index=["s1", "s1", "s2"]))
    with pytest.raises(DesignError, match="no sample of the genotypes has a phenotype"):
        make_design(IDS, pd.DataFrame({"t": [1.0, 2.0, 4.0]}, index=["x1", "x2", "x3"]))


def test_only_keeps_the_named_people() -> None:
    design = make_design(IDS, table(t=ramp())).only(IDS[:7])
    assert design.mask(design.traits[0]).tolist() == [True] * 7 + [False] * 5
    with pytest.raises(DesignError):
        design.only(["nobody"])


@settings(deadline=None, max_examples=60)
@given(order=st.permutations(range(12)), extra=st.integers(0, 5), absent=st.integers(0, 4))
def test_join_is_by_id_whatever_the_order(order: list[int], extra: int, absent: int) -> None:
    rows = [IDS[i] for i in order if i >= absent] + [f"other{i}" for i in range(extra)]
    values = {name: 10.0 * int(name.lstrip("sother")) + 3 for name in rows}
    design = make_design(IDS, pd.DataFrame({"t": [values[name] for name in rows]}, index=rows))
    expected = [values.get(name, np.nan) for name in IDS]
    np.testing.assert_array_equal(design.traits[0].values, expected)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), k=st.integers(0, 4), n=st.integers(8, 40))
def test_basis_is_orthonormal_and_spans_the_covariates(seed: int, k: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    covariates = rng.normal(size=(n, k)) * 10.0 ** rng.integers(-3, 6, k) + rng.normal(size=k) * 100
    mask = rng.random(n) < 0.8
    mask[: k + 3] = True
    basis = covariate_basis(covariates, [f"c{i}" for i in range(k)], mask)
    np.testing.assert_allclose(basis.q.T @ basis.q, np.eye(k + 1), atol=1e-9)
    whole = np.column_stack([np.ones(mask.sum()), covariates[mask]])
    np.testing.assert_allclose(
        basis.q @ (basis.q.T @ whole), whole, rtol=1e-6, atol=1e-6 * np.abs(whole).max()
    )


def test_two_whole_numbers_that_are_no_known_coding_are_refused_unless_declared():
    table = pd.DataFrame({"t": [1, 3] * 6}, index=[f"s{i}" for i in range(12)])
    with pytest.raises(DesignError, match="ambiguous case-control coding"):
        make_design(list(table.index), table)
    assert make_design(list(table.index), table, kinds={"t": "quantitative"}).traits[0].kind == "quantitative"
