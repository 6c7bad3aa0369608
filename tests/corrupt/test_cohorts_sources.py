"""Files that cannot be read are one-line errors that name the file and show no patient's value."""

from __future__ import annotations

import gzip
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cohorts.errors import InputError
from cohorts.hub import connect
from cohorts.sources import Intake, TableSource, read_sources

HEADER = "patient_id,nhs_number,given_name,family_name,birth_date,sex,postcode\n"
ROW = "P1,9434765919,Ottoline,Featherstonehaugh,1970-01-01,F,AB1 2CD\n"


def read(path: Path, **options: object) -> Intake:
    return read_sources(connect(), {"gp": {"patients": TableSource(path, **options)}})


def refused(path: Path, **options: object) -> str:
    with pytest.raises(InputError) as caught:
        read(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    for value in ("P1", "9434765919", "Ottoline", "Featherstonehaugh", "AB1"):
        assert value not in message
    return message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "absent.csv")


def test_a_kind_of_file_we_do_not_read_is_named_with_those_we_do(tmp_path: Path) -> None:
    (tmp_path / "p.xlsx").write_bytes(b"PK")
    message = refused(tmp_path / "p.xlsx")
    assert ".xlsx" in message
    assert ".csv" in message


def test_a_missing_column_is_named_with_those_found_and_those_expected(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(HEADER.replace("birth_date", "dob") + ROW)
    message = refused(tmp_path / "p.csv")
    assert "column 'birth_date' is missing" in message
    assert "dob" in message
    assert "postcode" in message


def test_a_file_without_a_header_line_shows_none_of_its_first_row(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(ROW * 3)
    assert "7 columns, none of them with an expected name" in refused(tmp_path / "p.csv")


def test_a_column_named_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(HEADER.replace("postcode", "sex") + ROW)
    assert "named twice" in refused(tmp_path / "p.csv")


def test_a_mapping_of_a_column_the_table_does_not_have_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(HEADER + ROW)
    assert "surname" in refused(tmp_path / "p.csv", columns={"surname": "family_name"})


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p.csv").write_bytes(content)
    assert "empty" in refused(tmp_path / "p.csv")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_parquet_file_is_refused(tmp_path: Path, share: float) -> None:
    pq.write_table(
        pa.table({name: ["P1"] * 500 for name in HEADER.strip().split(",")}), tmp_path / "p.parquet"
    )
    content = (tmp_path / "p.parquet").read_bytes()
    (tmp_path / "p.parquet").write_bytes(content[: int(len(content) * share)])
    refused(tmp_path / "p.parquet")


def test_parquet_whose_pages_are_damaged_is_refused(tmp_path: Path) -> None:
    columns = {name: [f"{name}{i}" for i in range(5000)] for name in HEADER.strip().split(",")}
    pq.write_table(pa.table(columns), tmp_path / "p.parquet", compression="zstd", use_dictionary=False)
    content = bytearray((tmp_path / "p.parquet").read_bytes())
    content[40:400] = b"\xff" * 360
    (tmp_path / "p.parquet").write_bytes(content)
    refused(tmp_path / "p.parquet")


def test_a_truncated_gzip_file_is_refused(tmp_path: Path) -> None:
    packed = gzip.compress((HEADER + ROW * 20_000).encode(), compresslevel=1)
    (tmp_path / "p.csv.gz").write_bytes(packed[: len(packed) // 2])
    refused(tmp_path / "p.csv.gz")


def test_a_gzip_file_reads_as_its_content(tmp_path: Path) -> None:
    (tmp_path / "p.csv.gz").write_bytes(gzip.compress((HEADER + ROW).encode()))
    assert read(tmp_path / "p.csv.gz").counts["accepted"].tolist() == [1]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_accents_survive_every_encoding_we_know(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "p.csv").write_bytes((HEADER + ROW.replace("Ottoline", "Zoë Łucja")).encode(encoding))
    hub = connect()
    options = {"encoding": encoding} if encoding == "utf-16-le" else {}
    read_sources(hub, {"gp": {"patients": TableSource(tmp_path / "p.csv", **options)}})
    assert hub.frame("SELECT given_name FROM intake.patients")["given_name"].tolist() == ["Zoë Łucja"]


def test_a_declared_encoding_reads_what_utf8_would_refuse(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_bytes(
        (HEADER + ROW + ROW.replace("Ottoline", "Zoë").replace("P1", "P2")).encode("cp1252")
    )
    assert read(tmp_path / "p.csv").rejects["reason"].tolist() == ["not text in the declared encoding"]
    assert read(tmp_path / "p.csv", encoding="cp1252").rejects.empty


def test_an_encoding_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(HEADER + ROW)
    refused(tmp_path / "p.csv", encoding="utf-99")


def test_nul_bytes_refuse_their_row_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_bytes(
        (HEADER + ROW + ROW.replace("P1", "P\0002") + ROW.replace("P1", "P3")).encode()
    )
    intake = read(tmp_path / "p.csv")
    assert intake.counts["accepted"].tolist() == [2]
    assert intake.rejects["reason"].tolist() == ["NUL inside a field (not a text file?)"]


def test_a_megabyte_cell_refuses_its_row_and_no_other(tmp_path: Path) -> None:
    big = ROW.replace("P1", "P2").replace("Ottoline", "x" * 1_000_000)
    (tmp_path / "p.csv").write_text(HEADER + ROW + big + ROW.replace("P1", "P3"))
    intake = read(tmp_path / "p.csv")
    assert intake.counts[["read", "accepted"]].to_numpy().tolist() == [[3, 2]]
    assert intake.rejects["reason"].tolist() == ["a field longer than 200 characters"]


def test_lines_swallowed_by_an_open_quote_are_all_counted(tmp_path: Path) -> None:
    lines = [ROW.replace("P1", f"P{i}") for i in range(10)]
    lines[4] = lines[4].replace("Ottoline", '"Ottoline')
    (tmp_path / "p.csv").write_text(HEADER + "".join(lines))
    intake = read(tmp_path / "p.csv")
    assert intake.counts[["read", "accepted", "rejected"]].to_numpy().tolist() == [[10, 4, 6]]


def test_every_line_after_a_quote_that_never_closes_is_counted_as_refused(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(HEADER + ROW.replace("Ottoline", '"Ottoline') + ROW * 20_000)
    intake = read(tmp_path / "p.csv")
    assert intake.counts[["read", "accepted", "rejected"]].to_numpy().tolist() == [[20_001, 0, 20_001]]


def test_a_quote_that_swallows_more_than_a_block_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cohorts.readers.BLOCK_BYTES", 1 << 20)
    (tmp_path / "p.csv").write_text(HEADER + ROW * 2 + ROW.replace("Ottoline", '"Ottoline') + ROW * 60_000)
    assert "quote that is not closed" in refused(tmp_path / "p.csv")


def test_codes_stored_as_floating_point_are_refused(tmp_path: Path) -> None:
    frame = pd.DataFrame({name: ["1"] for name in HEADER.strip().split(",")}).assign(patient_id=[1.0])
    frame.to_parquet(tmp_path / "p.parquet")
    assert "floating-point" in refused(tmp_path / "p.parquet")


def test_whole_numbers_dates_and_categories_of_parquet_are_read(tmp_path: Path) -> None:
    frame = pd.DataFrame({name: ["x"] for name in HEADER.strip().split(",")})
    frame = frame.assign(
        patient_id=[10**17], birth_date=pd.to_datetime(["1970-01-02"]), sex=pd.Categorical(["F"])
    )
    frame.to_parquet(tmp_path / "p.parquet")
    hub = connect()
    read_sources(hub, {"gp": {"patients": TableSource(tmp_path / "p.parquet")}})
    kept = hub.frame("SELECT patient_id, birth_date::VARCHAR AS b, sex FROM intake.patients")
    assert kept.to_numpy().tolist() == [["100000000000000000", "1970-01-02", "F"]]


def test_unknown_tables_and_sources_without_patients_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown table"):
        read_sources(connect(), {"gp": {"diary": TableSource(tmp_path / "p.csv")}})
    with pytest.raises(InputError, match="no patients table"):
        read_sources(connect(), {"gp": {"events": TableSource(tmp_path / "p.csv")}})
    with pytest.raises(InputError, match="unknown table"):
        read_sources(connect(), {}, {"weather": TableSource(tmp_path / "p.csv")})


def test_a_file_that_is_no_database_is_refused_as_a_hub(tmp_path: Path) -> None:
    (tmp_path / "hub.duckdb").write_text("not a database" * 1000)
    with pytest.raises(InputError, match="cannot be opened as a DuckDB database"):
        connect(tmp_path / "hub.duckdb")
