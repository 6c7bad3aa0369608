"""Whatever the bytes: every line is read, and read = accepted + rejected."""

from __future__ import annotations

import csv
import io
import re
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cohorts.errors import InputError
from cohorts.hub import Hub, connect
from cohorts.sources import TableSource, read_sources

HEADER = ["patient_id", "nhs_number", "given_name", "family_name", "birth_date", "sex", "postcode"]
FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

cell = st.one_of(
    st.sampled_from(
        [
            "",
            "1",
            "2",
            "M",
            "1970-01-01",
            "1970-02-30",
            "9434765919",
            " ",
            "NA",
            "Zoë",
            "0",
            "\ufeff",
            "x" * 300,
        ]
    ),
    st.text(max_size=12),
    st.dates().map(str),
)
row = st.lists(cell, min_size=len(HEADER), max_size=len(HEADER))


def intake_counts(hub: Hub, path: Path) -> tuple[int, int, int]:
    intake = read_sources(hub, {"s": {"patients": TableSource(path)}})
    read, accepted, rejected = intake.counts[["read", "accepted", "rejected"]].iloc[0]
    assert read == accepted + rejected
    assert rejected == intake.rejects["rows"].sum()
    assert hub.frame("SELECT count(*) AS n FROM intake.patients")["n"][0] == accepted
    return int(read), int(accepted), int(rejected)


@FEW
@given(st.lists(row, min_size=0, max_size=25), st.sampled_from(["\n", "\r\n"]))
def test_each_row_of_a_well_formed_csv_is_read_once(rows: list[list[str]], ending: str) -> None:
    rows = [[c.replace("\n", " ").replace("\r", " ") for c in r] for r in rows]
    text = io.StringIO()
    csv.writer(text, lineterminator=ending, quoting=csv.QUOTE_ALL).writerows([HEADER, *rows])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "p.csv"
        path.write_bytes(text.getvalue().encode("utf-8"))
        read, _, _ = intake_counts(connect(), path)
    assert read == len(rows)


@FEW
@given(st.lists(st.lists(st.text("ab1,- ", max_size=6), min_size=1, max_size=9), min_size=1, max_size=20))
def test_ragged_lines_are_read_and_refused(rows: list[list[str]]) -> None:
    rows = [[c.replace(",", "") for c in r] for r in rows]
    lines = [",".join(r) for r in rows]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "p.csv"
        path.write_text("\n".join([",".join(HEADER), *lines]) + "\n")
        read, accepted, _ = intake_counts(connect(), path)
    assert read == sum(line != "" for line in lines)
    assert accepted <= sum(len(r) == len(HEADER) for r in rows)


@FEW
@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_counted_or_refused_as_a_file_and_never_crash(noise: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "p.csv"
        path.write_bytes(",".join(HEADER).encode() + b"\n" + noise)
        try:
            read, _, _ = intake_counts(connect(), path)
        except InputError:
            return
    if b'"' not in noise:
        assert read == sum(line != b"" for line in re.split(rb"\r\n|\n|\r", noise))


@FEW
@given(st.binary(max_size=200))
def test_arbitrary_bytes_without_a_header_are_an_input_error_that_shows_none_of_them(noise: bytes) -> None:
    marked = b"SECRETNAME," + noise
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "p.csv"
        path.write_bytes(marked)
        with pytest.raises(InputError) as caught:
            intake_counts(connect(), path)
    assert "SECRETNAME" not in str(caught.value)


@FEW
@given(st.lists(st.tuples(*[st.one_of(st.none(), cell)] * len(HEADER)), max_size=25))
def test_each_row_of_a_parquet_file_is_read_once(rows: list[tuple[str | None, ...]]) -> None:
    table = pa.table({name: pa.array([r[i] for r in rows], pa.string()) for i, name in enumerate(HEADER)})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "p.parquet"
        pq.write_table(table, path)
        read, _, _ = intake_counts(connect(), path)
    assert read == len(rows)
