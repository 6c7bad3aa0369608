"""Each rule for identifiers in SQL says what the same rule says in plain Python."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cohorts.hub import connect
from cohorts.identifiers import (
    NAME_PLACEHOLDERS,
    address_sql,
    email_sql,
    ethnicity_sql,
    name_sql,
    nhs_digits,
    nhs_digits_sql,
    nhs_number_sql,
    normalise_nhs_number,
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


def plain_name(text: str | None) -> str | None:
    letters = (c for c in unicodedata.normalize("NFD", text or "") if unicodedata.category(c)[0] == "L")
    plain = "".join(letters).upper()
    return None if plain in NAME_PLACEHOLDERS else plain or None


def plain_postcode(text: str | None) -> str | None:
    plain = re.sub(r"[^A-Za-z0-9]", "", text or "").upper()
    return None if plain.startswith("ZZ99") else plain or None


def plain_sex(text: str | None) -> str | None:
    sexes = {"M": "M", "MALE": "M", "1": "M", "F": "F", "FEMALE": "F", "2": "F"}
    return sexes.get((text or "").strip().upper())


def plain_email(text: str | None) -> str | None:
    plain = re.sub(r"\s", "", text or "").lower()
    return plain if re.fullmatch(r"[^@]+@[^@.]+(\.[^@.]+)+", plain) else None


def plain_phone(text: str | None) -> str | None:
    digits = re.sub(r"^(0044|44)0?", "0", re.sub(r"[^0-9]", "", text or ""))
    return digits if 10 <= len(digits) <= 15 and digits != digits[0] * len(digits) else None


def plain_address(text: str | None) -> str | None:
    return re.sub(r"[^A-Za-z0-9]+", " ", text or "").strip().upper() or None


def plain_ethnicity(text: str | None) -> str | None:
    plain = (text or "").strip().upper()
    for group, codes in {
        "white": "ABC",
        "mixed": "DEFG",
        "asian": "HJKL",
        "black": "MNP",
        "other": "RS",
    }.items():
        if len(plain) == 1 and plain in codes:
            return group
    words = {"WHITE": "white", "MIXED": "mixed", "ASIAN": "asian", "CHINESE": "other", "BLACK": "black"}
    words["OTHER"] = "other"
    return next((group for word, group in words.items() if plain.startswith(word)), None)


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
        (plain_name, name_sql("x"), names),
        (plain_postcode, postcode_sql("x"), postcodes),
        (plain_sex, sex_sql("x"), sexes),
        (plain_email, email_sql("x"), emails),
        (plain_phone, phone_sql("x"), phones),
        (plain_address, address_sql("x"), addresses),
        (plain_ethnicity, ethnicity_sql("x"), groups),
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


@pytest.mark.parametrize(
    ("sql", "texts", "wanted"),
    [
        (name_sql, [" O'Néill-Smith ", "unknown", "Straße"], ["ONEILLSMITH", None, "STRASSE"]),
        (postcode_sql, ["sw1a 1aa", "ZZ99 3WZ"], ["SW1A1AA", None]),
        (sex_sql, ["male", "F", "2", "9", ""], ["M", "F", "F", None, None]),
        (email_sql, [" Ann.Lee@Example.org ", "none"], ["ann.lee@example.org", None]),
        (phone_sql, ["+44 (0)1632 960 001", "0000000000"], ["01632960001", None]),
        (address_sql, ["Flat 2,  14 St. John's Rd", " - "], ["FLAT 2 14 ST JOHN S RD", None]),
        (ethnicity_sql, ["A", "Black or Black British - African", "Z"], ["white", "black", None]),
    ],
)
def test_identifiers_are_put_into_one_form(
    sql: Callable[[str], str], texts: list[str], wanted: list[str | None]
) -> None:
    assert in_sql(sql("x"), texts) == wanted
