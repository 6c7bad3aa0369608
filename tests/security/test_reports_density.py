"""A density of people shows no cell of fewer than ten, whatever the people are like."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflows.reports.binning import density, variant_density
from workflows.reports.content import SUPPRESSED, Disclosure
from workflows.reports.counts import require_shown
from workflows.reports.quality_figures import density_figure, hardy_weinberg_figure

SAID = {"name": "d", "label": "Density", "x_label": "x", "y_label": "y", "of": "people"}
UNIT = {"x_range": (0.0, 1.0), "y_range": (0.0, 1.0)}
NEAREST = Disclosure(rounded_to=1)


def members(d, x, y) -> list[int]:
    """People each drawn cell stands for: those in it and in no smaller cell within it."""
    free = np.ones(len(x), dtype=bool)
    counts = []
    for cell in d.cells:
        inside = (x >= cell.left) & (x < cell.right) & (y >= cell.bottom) & (y < cell.top) & free
        counts.append(int(inside.sum()))
        free &= ~inside
    return counts


@given(st.integers(0, 2**32 - 1), st.integers(0, 400), st.floats(0.005, 0.4))
@settings(max_examples=60, deadline=None)
def test_every_cell_holds_ten_people_and_nobody_is_counted_twice(seed: int, n: int, spread: float) -> None:
    rng = np.random.default_rng(seed)
    x, y = np.clip(rng.normal(0.5, spread, (2, n)), 0, 0.999)
    d = density(x, y, **UNIT, disclosure=NEAREST, **SAID)
    counts = members(d, x, y)
    assert counts == [cell.people for cell in d.cells]
    assert all(count >= 10 for count in counts)
    left = n - sum(counts)
    assert d.left_out == (SUPPRESSED if 0 < left < 10 else left)
    require_shown(density(x, y, **UNIT, **SAID), disclosure=Disclosure())


def test_a_single_person_far_away_is_neither_drawn_nor_at_the_end_of_an_axis() -> None:
    rng = np.random.default_rng(1)
    x, y = np.append(rng.normal(0.3, 0.02, 500), 7.123), np.append(rng.normal(0.3, 0.02, 500), 0.9)
    d = density(x, y, **UNIT, **SAID)
    assert max(cell.right for cell in d.cells) <= 0.5
    assert d.left_out == SUPPRESSED
    assert "7.12" not in density_figure(d)


def test_people_without_a_value_are_left_out_and_variants_are_all_shown() -> None:
    assert density([np.nan] * 50, [0.5] * 50, **UNIT, **SAID).cells == ()
    said = {key: value for key, value in SAID.items() if key != "of"}
    d = variant_density([0.1, 0.9, np.nan], [0.1, 0.2, 0.3], **UNIT, **said)
    assert [cell.variants for cell in d.cells] == [1, 1]


@pytest.mark.parametrize("n", [0, 15, 3000])
def test_figures_are_one_labelled_picture_each(n: int) -> None:
    rng = np.random.default_rng(2)
    lines = {"x_lines": ((0.5, ""),), "y_lines": ((0.6, "first degree"),), "band": 0.2}
    svg = density_figure(density(*rng.uniform(0, 1, (2, n)), **UNIT, **SAID, **lines))
    hwe = hardy_weinberg_figure(np.append(rng.exponential(0.43, n), [250.0, np.nan]), limit=6.0)
    for picture in (svg, hwe):
        assert picture.count("<svg") == 1
        assert re.search(r"<title[^>]*>[^<]+</title><desc[^>]*>[^<]+</desc>", picture)
    assert "first degree" in svg
    assert "1 variants beyond 20" in hwe
