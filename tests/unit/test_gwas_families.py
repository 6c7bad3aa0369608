"""Families and splits that do not cut through them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gwas.pedigree import families, split_families


def test_a_chain_of_relatives_is_one_family() -> None:
    pairs = pd.DataFrame({"iid1": ["a", "c", "x"], "iid2": ["c", "e", "a"], "kinship": [0.25, 0.1, 0.3]})
    assert families(["a", "b", "c", "d", "e"], pairs).tolist() == [0, 1, 0, 2, 0]


def test_pairs_below_the_threshold_do_not_join() -> None:
    pairs = pd.DataFrame({"iid1": ["a"], "iid2": ["b"], "kinship": [0.05]})
    assert families(["a", "b"], pairs).tolist() == [0, 0]
    assert families(["a", "b"], pairs, above=0.0884).tolist() == [0, 1]


def test_repeated_identifiers_are_refused() -> None:
    with pytest.raises(ValueError, match="not unique"):
        families(["a", "a"], pd.DataFrame({"iid1": [], "iid2": [], "kinship": []}))


@settings(max_examples=80, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=60),
    first=st.floats(0.1, 0.8),
    seed=st.integers(0, 2**32 - 1),
)
def test_no_family_is_cut_and_parts_are_as_near_as_families_allow(sizes, first, seed) -> None:
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))
    fractions = {"discovery": first, "target": 0.9 - first, "held out": 0.1}
    parts = split_families(labels, fractions=fractions, rng=np.random.default_rng(seed))
    table = pd.crosstab(labels, parts)
    assert ((table > 0).sum(axis=1) == 1).all()
    for name, share in fractions.items():
        assert abs((parts == name).sum() - share * len(labels)) <= max(sizes) + 1


def test_the_same_seed_gives_the_same_split_and_another_a_different_one() -> None:
    labels = np.arange(200)
    a, b, c = (
        split_families(labels, fractions={"x": 0.5, "y": 0.5}, rng=np.random.default_rng(s))
        for s in (1, 1, 2)
    )
    assert (a == b).all()
    assert (a != c).any()


def test_shares_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(ValueError, match="add up to 1"):
        split_families([0, 1], fractions={"x": 0.5, "y": 0.4}, rng=np.random.default_rng(1))
