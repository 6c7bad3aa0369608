"""Each rule for identifiers says the same in Python and in SQL."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cohorts.hub import connect
from cohorts.identifiers import (
    address_sql,
    email_sql,
    ethnicity_sql,
    name_sql,
    nhs_digits,
    nhs_digits_sql,
    nhs_number_sql,
    normalise_address,
    normalise_email,
    normalise_ethnicity,
    normalise_name,
    normalise_nhs_number,
    normalise_phone,
    normalise_postcode,
    normalise_sex,
    phone_sql,
    postcode_sql,
    sex_sql,
)

HUB = connect()
numbers = st.one_of(
    st.text("0123456789 -–x", max_size=14),
    st.integers(0, 10**10 - 1).map("{:010d}".format),
    st.sampled_from(["9434765919", "943 476 5919", "0000000000", "9999999999", "4857773456"]),
)
names = st.one_of(
    st.text("abzÉéñßØłü'- .1", max_size=12), st.sampled_from(["unknown", "Baby", "O'Néill", "Siân", ""])
)
postcodes = st.one_of(st.text("abZ019 .-", max_size=9), st.sampled_from(["zz99 3wz", "SW1A 1AA", ""]))
sexes = st.one_of(st.text("mfMF129 ", max_size=3), st.sampled_from(["male", "Female", " m", "U", ""]))
emails = st.one_of(
    st.text("aB1@. -", max_size=12), st.sampled_from(["A.b@c.org", " x@y.z", "a@b", "@", "a@@b.c"])
)
phones = st.one_of(
    st.text("0123456789+() -", max_size=18),
    st.sampled_from(["+44 (0)1632 960001", "00441632960001", "01632 960 001", "0000000000"]),
)
addresses = st.one_of(st.text("aB1,.'/- ", max_size=14), st.sampled_from(["Flat 2, 14 St. John's Rd", ""]))
groups = st.one_of(
    st.text("ABCDZabz ", max_size=3),
    st.sampled_from(["White - British", "black or black British", "Z", "Asian", "Chinese", "unknown"]),
)


def in_sql(expression: str, texts: list[str | None]) -> list[str | None]:
    HUB.connection.register(
        "texts", pd.DataFrame({"i": range(len(texts)), "x": pd.array(texts, dtype="string")})
    )
    return (
        HUB.frame(f"SELECT {expression} AS y FROM texts ORDER BY i")["y"]
        .where(lambda y: y.notna(), None)
        .tolist()
    )


@pytest.mark.parametrize(
    ("python", "sql", "texts"),
    [
        (nhs_digits, nhs_digits_sql("x"), numbers),
        (normalise_nhs_number, nhs_number_sql(nhs_digits_sql("x")), numbers),
        (normalise_name, name_sql("x"), names),
        (normalise_postcode, postcode_sql("x"), postcodes),
        (normalise_sex, sex_sql("x"), sexes),
        (normalise_email, email_sql("x"), emails),
        (normalise_phone, phone_sql("x"), phones),
        (normalise_address, address_sql("x"), addresses),
        (normalise_ethnicity, ethnicity_sql("x"), groups),
    ],
)
def test_python_and_sql_agree(python: Callable, sql: str, texts: st.SearchStrategy[str]) -> None:
    @settings(max_examples=30, deadline=None)
    @given(st.lists(st.one_of(st.none(), texts), min_size=1, max_size=40))
    def compare(sample: list[str | None]) -> None:
        assert in_sql(sql, sample) == [python(text) for text in sample]

    compare()


def test_sql_accepts_exactly_the_valid_tenth_of_numbers() -> None:
    texts = [f"{943476590 + i:09d}{check}" for i in range(200) for check in range(10)]
    valid = in_sql(nhs_number_sql(nhs_digits_sql("x")), texts)
    assert valid == [normalise_nhs_number(text) for text in texts]
    per_stem = pd.Series([text is not None for text in valid]).groupby([i // 10 for i in range(2000)]).sum()
    assert set(per_stem) <= {0, 1}
    assert per_stem.sum() > 150
