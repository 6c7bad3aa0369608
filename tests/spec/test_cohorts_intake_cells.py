"""What the intake makes of each kind of cell: kept, blanked and noted, or refused with a reason."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from cohorts.hub import Hub, connect
from cohorts.sources import Intake, TableSource, read_sources

PATIENTS = "patient_id,nhs_number,given_name,family_name,birth_date,sex,postcode\n"
EVENTS = "patient_id,date,system,code,value,unit\n"


def read(
    tmp_path: Path, patients: str, region: dict[str, str] | None = None, **tables: str
) -> tuple[Hub, Intake]:
    files = {"patients": PATIENTS + patients, **tables}
    for name, text in {**files, **(region or {})}.items():
        (tmp_path / f"{name}.csv").write_text(text, encoding="utf-8")
    hub = connect()
    sources = {"gp": {name: TableSource(tmp_path / f"{name}.csv") for name in files}}
    intake = read_sources(
        hub, sources, {name: TableSource(tmp_path / f"{name}.csv") for name in region or {}}
    )
    assert (intake.counts["read"] == intake.counts["accepted"] + intake.counts["rejected"]).all()
    return hub, intake


def one_event(tmp_path: Path, row: str) -> tuple[pd.DataFrame, list[str]]:
    hub, intake = read(tmp_path, "p,,,,,,\n", events=EVENTS + row + "\n")
    return hub.frame(
        "SELECT date::DATE::VARCHAR AS date, system, code, value, unit FROM intake.events"
    ), intake.rejects["reason"].tolist()


def test_a_record_may_say_what_it_is_and_is_an_entry_otherwise(tmp_path: Path) -> None:
    hub, intake = read(
        tmp_path,
        "p,,,,,,\n",
        events="patient_id,date,system,code,value,unit,kind\n"
        "p,2010-03-04,icd10,J45,,,Diagnosis\np,2010-03-05,icd10,J45,,,\np,2010-03-06,icd10,J45,,,ward round\n",
    )
    assert hub.frame("SELECT kind FROM intake.events ORDER BY date")["kind"].tolist() == ["diagnosis", None]
    assert intake.rejects["reason"].tolist() == ["kind: not one of event, contact, diagnosis, procedure"]


@pytest.mark.parametrize(
    ("row", "kept"),
    [
        (
            "p,2010-03-04,snomed,44054006,48.5,mmol/mol",
            ("2010-03-04", "snomed", "44054006", 48.5, "mmol/mol"),
        ),
        (" p ,2010-03-04T09:30:00Z,SNOMED CT, 44054006 ,,", ("2010-03-04", "snomed", "44054006", None, None)),
        ("p,2010-03-04,ICD-10,e11.9,,", ("2010-03-04", "icd10", "E119", None, None)),
        ("p,2010-03-04,icd10,I10X,,", ("2010-03-04", "icd10", "I10", None, None)),
        ("p,2010-03-04,opcs4,K40.1,,", ("2010-03-04", "opcs4", "K401", None, None)),
        ("p,2010-03-04,read2,C10e.,,", ("2010-03-04", "read2", "C10e.", None, None)),
        ("p,2010-03-04,bnf,0601022b0aa,-1e2,", ("2010-03-04", "bnf", "0601022B0AA", -100.0, None)),
    ],
)
def test_good_cells_are_put_into_one_form(tmp_path: Path, row: str, kept: tuple) -> None:
    frame, reasons = one_event(tmp_path, row)
    assert reasons == []
    got = tuple(None if pd.isna(cell) else cell for cell in frame.iloc[0])
    assert got == kept


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (",2010-03-04,snomed,1,,", "patient_id: blank"),
        ("q,2010-03-04,snomed,1,,", "patient_id: not in this source's patients table"),
        ("p,,snomed,1,,", "date: blank"),
        ("p,04/03/2010,snomed,1,,", "date: not an ISO date (YYYY-MM-DD)"),
        ("p,2010-02-30,snomed,1,,", "date: not an ISO date (YYYY-MM-DD)"),
        ("p,2010-3-4,snomed,1,,", "date: not an ISO date (YYYY-MM-DD)"),
        ("p,0201-03-04,snomed,1,,", "date: before 1880"),
        ("p,2201-03-04,snomed,1,,", "date: after the end of the records"),
        ("p,infinity,snomed,1,,", "date: after the end of the records"),
        ("p,2010-03-04,,1,,", "system: blank"),
        ("p,2010-03-04,icd9,1,,", "system: not a known code system"),
        ("p,2010-03-04,snomed,,,", "code: blank"),
        ("p,2010-03-04,icd10,..,,", "code: signs that no code has"),
        ("p,2010-03-04,snomed,drop table,,", "code: signs that no code has"),
        ("p,2010-03-04,snomed,1,see letter,", "value: not a number"),
        ("p,2010-03-04,snomed,1,NaN,", "value: not a number"),
        ("p,2010-03-04,snomed,1,inf,", "value: not a number"),
        ("p,2010-03-04,snomed,1,2", "wrong number of fields"),
        ("p,2010-03-04,snomed,1,2,u,x", "wrong number of fields"),
        (f"p,2010-03-04,snomed,1,2,{'u' * 201}", "a field longer than 200 characters"),
        ('p,2010-03-04,snomed,1,2,"a\nb"', "line break inside a field (a quote that is not closed?)"),
    ],
)
def test_bad_cells_refuse_the_row_with_a_reason(tmp_path: Path, row: str, reason: str) -> None:
    frame, reasons = one_event(tmp_path, row)
    assert frame.empty
    assert reasons == [reason]


def test_a_date_form_may_be_declared_and_then_iso_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(PATIENTS + "1,,,,04/03/1970,,\n2,,,,1970-03-04,,\n")
    hub = connect()
    intake = read_sources(hub, {"gp": {"patients": TableSource(tmp_path / "p.csv", date_format="%d/%m/%Y")}})
    births = hub.frame("SELECT birth_date FROM intake.patients ORDER BY patient_id")["birth_date"]
    assert births[0].date() == date(1970, 3, 4)
    assert births.isna().tolist() == [False, True]
    assert intake.notes["note"].tolist() == ["birth_date: not a date of the declared form"]


def test_patients_keep_their_row_where_birth_date_sex_or_number_is_bad(tmp_path: Path) -> None:
    hub, intake = read(tmp_path, "1,123,Ann,Lee,1970-13-01,Z,\n2,9434765919,Bob,Lee,1970-01-01,2,\n")
    assert intake.counts["accepted"].tolist() == [2]
    assert sorted(intake.notes["note"]) == [
        "birth_date: not an ISO date (YYYY-MM-DD)",
        "nhs_number: fails its check, not used to link directly",
        "sex: code not recognised, kept as unknown",
    ]
    frame = hub.frame("SELECT sex, birth_date FROM intake.patients ORDER BY patient_id")
    assert frame["sex"].tolist() == [None, "F"]
    assert pd.isna(frame["birth_date"][0])


def test_rows_of_one_patient_id_that_agree_are_one_and_the_fullest_is_kept(tmp_path: Path) -> None:
    hub, intake = read(tmp_path, "1,,Ann,Lee,1970-01-01,F,\n1,9434765919,Ann,Lee,1970-01-01,F,AB1 2CD\n")
    assert intake.rejects[["reason", "rows"]].to_numpy().tolist() == [["repeated row", 1]]
    assert hub.frame("SELECT nhs_number FROM intake.patients")["nhs_number"].tolist() == ["9434765919"]


def test_a_patient_id_shared_by_two_people_is_refused_with_its_records(tmp_path: Path) -> None:
    rows = "1,,Ann,Lee,1970-01-01,F,\n1,,Bob,Ray,1981-02-02,M,\n"
    _, intake = read(tmp_path, rows, events=EVENTS + "1,2010-01-01,snomed,1,,\n")
    assert intake.counts["accepted"].tolist() == [0, 0]
    assert intake.rejects["reason"].tolist() == [
        "patient_id: shared by rows that disagree on birth date or NHS number",
        "patient_id: not in this source's patients table",
    ]


def test_spans_that_end_before_they_start_are_refused_and_open_ends_are_kept(tmp_path: Path) -> None:
    rows = (
        "p,A,2010-01-01,2009-01-01\np,B,2010-01-01,\np,C,2010-01-01,9999-12-31\np,D,2010-01-01,2010-01-01\n"
    )
    hub, intake = read(tmp_path, "p,,,,,,\n", registrations="patient_id,practice,start,end\n" + rows)
    assert intake.rejects["reason"].tolist() == ["end: before start"]
    assert hub.frame("SELECT practice FROM intake.registrations ORDER BY 1")["practice"].tolist() == [
        "B",
        "C",
        "D",
    ]


def test_a_sample_of_two_patients_belongs_to_neither(tmp_path: Path) -> None:
    rows = (
        "patient_id,sample_id,collected\n1,S1,2009-01-01\n2,S1,2009-01-01\n1,S2,2009-13-01\n1,S2,2009-02-01\n"
    )
    hub, intake = read(tmp_path, "1,,,,,,\n2,,,,,,\n", samples=rows)
    assert hub.frame("SELECT sample_id FROM intake.samples")["sample_id"].tolist() == ["S2"]
    assert dict(zip(intake.rejects["reason"], intake.rejects["rows"], strict=True)) == {
        "same key as a row that says otherwise": 2,
        "repeated row": 1,
    }


def test_consents_may_be_yes_no_or_the_day_of_saying_yes(tmp_path: Path) -> None:
    rows = "patient_id,consented,withdrawn\n1,2009-01-01,\n2,yes,2010-01-01\n3,0,\n4,,\n5,perhaps,\n"
    hub, intake = read(tmp_path, "".join(f"{i},,,,,,\n" for i in range(1, 6)), consents=rows)
    kept = hub.frame(
        "SELECT consented, consented_on IS NOT NULL AS dated FROM intake.consents ORDER BY record"
    )
    # An unreadable consent is no consent, but its row stays: it may carry a withdrawal.
    assert kept["consented"].fillna(False).tolist() == [True, True, False, False, False]
    assert kept["dated"].tolist() == [True, False, False, False, False]
    assert intake.rejects.empty
    assert intake.notes["note"].tolist() == ["consented: neither yes, no nor a date"]


def test_a_withdrawal_counts_whatever_its_date_says(tmp_path: Path) -> None:
    cells = ["", "no", "2011-01-01", "2031-01-01", "yes", "31/01/2011"]
    rows = "".join(f"{i},2009-01-01,{cell}\n" for i, cell in enumerate(cells, 1))
    patients = "".join(f"{i},,,,,,\n" for i in range(1, 7))
    hub, intake = read(
        tmp_path, patients, consents="patient_id,consented,withdrawn\n" + rows + "1,2010-01-01,2012-01-01\n"
    )
    kept = hub.frame("SELECT record, withdrawn IS NOT NULL AS out FROM intake.consents ORDER BY record, out")
    assert kept["out"].tolist() == [False, True, False, True, True, True, True]
    assert intake.counts["rejected"].sum() == 0
    assert intake.notes[["note", "rows"]].to_numpy().tolist() == [
        ["withdrawn: not dated, taken as withdrawn", 2]
    ]


def test_spans_may_end_after_the_records_do_but_not_begin(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(PATIENTS + "1,,,,1970-01-01,,\n")
    (tmp_path / "r.csv").write_text(
        "patient_id,practice,start,end\n1,A,2020-01-01,2030-01-01\n1,B,2023-01-01,\n"
    )
    hub = connect()
    sources = {
        "gp": {"patients": TableSource(tmp_path / "p.csv"), "registrations": TableSource(tmp_path / "r.csv")}
    }
    intake = read_sources(hub, sources, until="2022-12-31")
    assert hub.frame("SELECT practice FROM intake.registrations")["practice"].tolist() == ["A"]
    assert intake.rejects["reason"].tolist() == ["start: after the end of the records"]


def test_region_tables_check_years_deciles_and_contradictions(tmp_path: Path) -> None:
    region = {
        "pollution": "area,year,pm25,no2\nA,2010,9.5,20\nA,2010.5,9,9\nB,2010,9,9\nB,2010,8,9\nA,2011,,\n",
        "deprivation": "area,imd_decile\nA,1\nB,11\nC,0\n",
    }
    hub, intake = read(tmp_path, "1,,,,,,\n", region=region)
    assert hub.frame("SELECT area, year FROM intake.pollution ORDER BY year").to_numpy().tolist() == [
        ["A", 2010],
        ["A", 2011],
    ]
    assert intake.rejects.set_index("reason")["rows"].to_dict() == {
        "same key as a row that says otherwise": 2,
        "year: not a whole number from 1880 to 2100": 1,
        "imd_decile: not a whole number from 1 to 10": 2,
    }


def test_records_after_the_end_of_the_data_are_refused(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(PATIENTS + "1,,,,1970-01-01,,\n")
    (tmp_path / "d.csv").write_text(
        "patient_id,date,underlying,contributory_1\n1,2023-01-01,I219,\n1,2022-12-31,I219,\n"
    )
    intake = read_sources(
        connect(),
        {"gp": {"patients": TableSource(tmp_path / "p.csv"), "deaths": TableSource(tmp_path / "d.csv")}},
        until="2022-12-31",
    )
    assert intake.rejects["reason"].tolist() == ["date: after the end of the records"]


def test_other_column_names_are_mapped_and_absent_columns_declared(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("PatID,dob,extra\n7,1970-01-01,x\n")
    lacking = dict.fromkeys(("nhs_number", "given_name", "family_name", "sex", "postcode"))
    hub = connect()
    source = TableSource(tmp_path / "p.csv", columns={"patient_id": "PatID", "birth_date": "dob", **lacking})
    read_sources(hub, {"gp": {"patients": source}})
    assert hub.frame("SELECT patient_id, postcode FROM intake.patients").to_numpy().tolist() == [["7", None]]


def test_the_order_of_lines_changes_nothing(tmp_path: Path) -> None:
    rows = [f"{i},,N{i},F,19{50 + i}-01-01,M,\n" for i in range(20)]
    forward, _ = read(tmp_path, "".join(rows))
    backward, _ = read(tmp_path, "".join(reversed(rows)))
    query = "SELECT record, patient_id, given_name FROM intake.patients ORDER BY record"
    pd.testing.assert_frame_equal(forward.frame(query), backward.frame(query))
