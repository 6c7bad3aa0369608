"""Tables of text as bytes against Python's own reading and writing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gwas.genotypes.chromosomes import canonical_text
from gwas.kernels.text import (
    integers_of_text,
    joined_lines,
    lines_of_numbers,
    split_lines,
    text_of_floats,
    text_of_integers,
    text_of_strings,
)


def python_says(value: float, digits: int = 9) -> str:
    return "NA" if math.isnan(value) else f"{value:.{digits}g}"


@settings(deadline=None, max_examples=300)
@given(st.lists(st.floats(), max_size=30), st.sampled_from([9, 6, 1]))
def test_floats_are_written_as_c_writes_them(values: list[float], digits: int) -> None:
    found = text_of_floats(np.array(values, dtype=float), digits=digits)
    assert found.strings() == [python_says(value, digits) for value in values]


@pytest.mark.parametrize("kind", ["shares", "wide", "decimal", "halves"])
def test_many_floats_are_written_as_c_writes_them(kind: str) -> None:
    rng = np.random.default_rng(5)
    whole = rng.integers(1, 10**11, 40_000)
    values = {
        "shares": rng.integers(0, 20_001, 40_000) / 20_001,
        "wide": 10 ** rng.uniform(-310, 300, 40_000) * rng.choice([-1, 1], 40_000),
        "decimal": whole / 10.0 ** rng.integers(0, 16, 40_000),
        # the tenth digit is a five: the ties that rounding depends on
        "halves": (10 * (whole % 10**9) + 5) / 10.0 ** rng.integers(0, 20, 40_000),
    }[kind]
    assert text_of_floats(values).strings() == [*map(python_says, values.tolist())]


def test_lines_in_one_go_are_those_made_column_by_column() -> None:
    rng = np.random.default_rng(7)
    in_one_go = 0
    for _ in range(60):
        wide = rng.normal(size=400) * 10 ** rng.uniform(-12, 12, 400)
        height = np.where(rng.random(400) < 0.05, np.nan, rng.exponential(2, 400))
        first = text_of_strings([f"snp{i}\t" + "x" * (i % 7) for i in range(400)])
        last, chosen = text_of_strings([".", "CONST_OMITTED_ALLELE"]), rng.integers(0, 2, (2, 400))
        tables = np.array([[wide, height], [-wide, height[::-1]]])
        numbers = [(0, 9), (1, -6), (1, 9)]
        made = lines_of_numbers(first, tables, numbers, last, chosen.astype(np.uint8), between=" ")
        for found, (x, y), codes in zip(made, tables, chosen, strict=True):
            cells = [text_of_floats(x), text_of_floats(10.0**-y, digits=6), text_of_floats(y)]
            if found is not None:
                in_one_go += 1
                assert found == joined_lines([first, *cells, last.take(codes)], between=" ")
    assert in_one_go > 80


@pytest.mark.parametrize("value", [math.inf, -0.0, 1e-300])
def test_lines_with_a_number_that_needs_care_are_left_to_others(value: float) -> None:
    cell, chosen = text_of_strings(["a"]), np.zeros((2, 1), dtype=np.uint8)
    numbers = np.array([[[value]], [[2.0]]])
    assert lines_of_numbers(cell, numbers, [(0, 9)], cell, chosen) == [None, b"a\t2\ta\n"]
    numbers = np.array([[[301.0]], [[2.0]]])
    assert lines_of_numbers(cell, numbers, [(0, -6)], cell, chosen) == [None, b"a\t0.01\ta\n"]


@settings(deadline=None)
@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=30))
def test_integers_are_written_in_full(values: list[int]) -> None:
    assert text_of_integers(np.array(values, dtype=np.int64)).strings() == [*map(str, values)]


words = st.text(st.characters(min_codepoint=33, max_codepoint=500, exclude_characters="\x7f"), min_size=1)


@settings(deadline=None)
@given(
    st.lists(st.tuples(words, words, words), min_size=1, max_size=20), st.sampled_from(["\t", " ", "  \t"])
)
def test_lines_come_back_as_they_were_written(rows: list[tuple[str, str, str]], gap: str) -> None:
    data = "".join(gap.join(row) + "\n" for row in rows).encode()
    for text in (data, data[:-1], data.replace(b"\n", b"\r\n")):
        columns = split_lines(text, 3)
        assert columns is not None
        assert [*zip(*(column.strings() for column in columns), strict=True)] == rows
        assert joined_lines(columns).decode() == "".join("\t".join(row) + "\n" for row in rows)


@pytest.mark.parametrize(
    "data",
    [b"a b\n\n", b"a\n", b"a b c\n", b"a b\nc", b"a\x00 b\n", b"a\rb c\n", b"\n", b" \n", b"a b\n \nc d\n"],
)
def test_lines_of_another_shape_are_not_guessed_at(data: bytes) -> None:
    assert split_lines(data, 2) is None


@pytest.mark.parametrize(
    ("cells", "numbers"),
    [
        (["0", "-7", "123456789012345"], [0, -7, 123456789012345]),
        (["1", "2.0"], None),
        (["", "2"], None),
        (["-"], None),
        (["1234567890123456"], None),
        (["1e5"], None),
    ],
)
def test_whole_numbers_are_read_or_left_to_others(cells: list[str], numbers: list[int] | None) -> None:
    read = integers_of_text(text_of_strings(cells))
    assert (None if read is None else read.tolist()) == numbers


@settings(deadline=None)
@given(st.lists(st.sampled_from(["1", "01", "chr1", "23", "X", "chrX", "25", "contig_é", "M"]), max_size=30))
def test_chromosomes_get_one_spelling_in_any_order(names: list[str]) -> None:
    one = {"01": "1", "chr1": "1", "23": "X", "chrX": "X", "25": "XY", "M": "MT"}
    assert canonical_text(text_of_strings(names)).strings() == [one.get(name, name) for name in names]
