"""What X and Y say about sex."""

from __future__ import annotations

import numpy as np

from gwas.sex import sex_check


def check(x_f, y=None, expected=None, autosomal_f=None, n_x=500):
    n = len(x_f)
    return sex_check(
        x_f=np.array(x_f, dtype=float),
        autosomal_f=np.zeros(n) if autosomal_f is None else np.array(autosomal_f),
        y_call_rate=np.full(n, np.nan) if y is None else np.array(y, dtype=float),
        n_x=n_x,
        n_y=0 if y is None else 100,
        expected=["F"] * n if expected is None else expected,
    )


def test_men_have_no_heterozygotes_on_x() -> None:
    table = check([0.99, 0.02, 0.99, 0.02], expected=["M", "F", "F", "M"])
    assert table["inferred"].tolist() == ["M", "F", "M", "F"]
    assert table["status"].tolist() == ["agrees", "agrees", "disagrees", "disagrees"]


def test_a_woman_of_a_minority_ancestry_is_not_half_a_man() -> None:
    table = check([0.45], autosomal_f=[0.40])
    assert table["inferred"].tolist() == ["F"]
    assert check([0.45])["inferred"].tolist() == ["ambiguous"]


def test_x_and_y_at_odds_are_ambiguous() -> None:
    table = check([0.01, 0.98, 0.5], y=[0.97, 0.02, 0.99])
    assert table["status"].tolist() == ["ambiguous"] * 3


def test_y_alone_speaks_where_there_is_no_x() -> None:
    table = check([np.nan, np.nan], y=[0.98, 0.01], expected=["M", "M"], n_x=0)
    assert table["inferred"].tolist() == ["M", "F"]
    assert table["status"].tolist() == ["agrees", "disagrees"]


def test_without_x_or_record_nothing_is_claimed() -> None:
    assert check([0.99], n_x=3)["status"].tolist() == ["not known"]
    assert check([0.99], expected=[None])["status"].tolist() == ["not known"]
