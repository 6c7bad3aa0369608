"""Damaged sources: one line that says where, or a counted refusal; never a crash and never a patient's value."""

from __future__ import annotations

import gzip
import json
import random

import pytest

from cohorts.errors import InputError
from cohorts.hub import Hub, connect
from cohorts.models import CprdAurumSource, FhirSource, OmopSource
from cohorts.sources import Intake, read_sources

SECRET = "Featherstonehaugh"


def read(source: object) -> tuple[Hub, Intake]:
    hub = connect()
    intake = read_sources(hub, {"s": source})
    assert (intake.counts["read"] == intake.counts["accepted"] + intake.counts["rejected"]).all()
    return hub, intake


def refused(source: object) -> str:
    with pytest.raises(InputError) as caught:
        read(source)
    message = str(caught.value)
    assert SECRET not in message
    assert "\n" not in message
    return message


def why(intake: Intake) -> dict[str, int]:
    return intake.rejects.groupby("reason")["rows"].sum().to_dict()


class TestFhir:
    @pytest.mark.parametrize("share", [0.0, 0.2, 0.9, 0.999])
    def test_a_truncated_bundle_stops_nothing_and_is_counted_as_a_loss(
        self, tmp_path, records_example, share
    ):
        make = records_example
        make.write_json(tmp_path / "a.json", make.bundle(make.patient("a")))
        text = json.dumps(make.bundle(make.patient("b", name=[{"family": SECRET}])))
        (tmp_path / f"{SECRET}.json").write_text(text[: int(len(text) * share)])
        hub, intake = read(FhirSource(tmp_path))
        assert why(intake) == {"file: not a complete FHIR bundle or resource, all that it holds is lost": 1}
        assert intake.counts.set_index("table").loc["patients"].tolist() == ["s", 2, 1, 1]
        assert intake.lost.to_numpy().tolist() == [["s", 2, 1]]
        loss = intake.notes.set_index("table").loc["patients"]
        assert "ALL PATIENTS AND RECORDS IN THEM ARE LOST" in loss["note"]
        assert loss["rows"] == 1
        found = hub.connection.execute('SELECT origin, file, "row" FROM intake.rejects').fetchall()
        assert found == [("damaged files", 1, 1)]

    def test_where_every_file_is_damaged_there_is_nothing_to_read(self, tmp_path):
        for name in "ab":
            (tmp_path / f"{name}.json").write_text(f'{{"{SECRET}')
        assert "none of the files can be read" in refused(FhirSource(tmp_path))

    def test_a_bulk_file_that_breaks_off_keeps_what_came_before(self, tmp_path, records_example):
        make = records_example
        (tmp_path / "Patient.ndjson").write_text(json.dumps(make.patient("a")))
        rng = random.Random(1)
        many = [
            make.condition(str(i), "Patient/a", str(44054006 + i), "2010-01-01", note=str(rng.random()))
            for i in range(2000)
        ]
        packed = gzip.compress("\n".join(map(json.dumps, many)).encode())
        (tmp_path / "Condition.ndjson.gz").write_bytes(packed[: len(packed) // 2])
        _, intake = read(FhirSource(tmp_path))
        assert why(intake) == {"file: breaks off, all that follows in it is lost": 1}
        assert 100 < intake.counts.set_index("table").loc["events", "accepted"] < 2000

    def test_a_truncated_gzip_is_refused(self, tmp_path, records_example):
        make = records_example
        many = [make.condition(str(i), "Patient/a", str(44054006 + i), "2010-01-01") for i in range(500)]
        packed = gzip.compress(json.dumps(make.bundle(make.patient("a"), *many)).encode())
        (tmp_path / f"{SECRET}.json.gz").write_bytes(packed[: len(packed) // 2])
        refused(FhirSource(tmp_path))

    @pytest.mark.parametrize(
        "content", ["[1, 2]", "3", '"x"', "{}", '{"resourceType": []}', "null", "[" * 100_000]
    )
    def test_json_that_is_no_resource_is_refused(self, tmp_path, content):
        (tmp_path / "1.json").write_text(content)
        assert "not a FHIR bundle or resource" in refused(FhirSource(tmp_path))

    def test_an_empty_folder_is_refused(self, tmp_path):
        assert "no FHIR files" in refused(FhirSource(tmp_path))
        assert "no such folder" in refused(FhirSource(tmp_path / "none"))

    def test_broken_lines_of_a_bulk_file_are_counted_where_they_lie(self, tmp_path, records_example):
        make = records_example
        good = json.dumps(make.patient("a", name=[{"family": SECRET}]))
        lines = [good, '{"resourceType": "Patient", "id"', "", "[]", "{}", "\xff\xfe", good[:-5]]
        (tmp_path / "Patient.ndjson").write_bytes("\n".join(lines).encode("latin-1"))
        hub, intake = read(FhirSource(tmp_path))
        assert why(intake) == {"resource: not valid JSON": 4, "resource: no type given": 1}
        places = hub.connection.execute('SELECT "row" FROM intake.rejects ORDER BY 1').fetchall()
        assert places == [(2,), (4,), (5,), (6,), (7,)]

    def test_wrong_shapes_inside_resources_are_refused_rows(self, tmp_path, records_example):
        make = records_example
        good = make.condition("c", "Patient/a", "44054006", "2010-01-01")
        odd = [
            {**good, "code": 5}, {**good, "code": {"coding": "x"}}, {**good, "code": {"coding": [7, None]}},
            {**good, "subject": []}, {**good, "subject": {"reference": 9}}, {**good, "onsetDateTime": {}},
            {**good, "onsetDateTime": "2010-02-30"}, {**good, "resourceType": [1]}, {**good, "resourceType": ""},
        ]  # fmt: skip
        bundle = make.bundle(make.patient("a", name="x", identifier=3, address={}, telecom=[1]), good, *odd)
        bundle["entry"] += [None, 5, {"resource": "x"}, {"fullUrl": 7}]
        make.write_json(tmp_path / "1.json", bundle)
        _, intake = read(FhirSource(tmp_path))
        counts = intake.counts.set_index("table")
        assert counts.loc["patients"].tolist()[1:] == [1, 1, 0]
        assert counts.loc["events"].tolist()[1:] == [14, 1, 13]

    def test_huge_numbers_halves_of_letters_and_nulls_are_refused_rows(self, tmp_path, records_example):
        make = records_example

        def observed(value: str) -> str:
            return (
                '{"resourceType": "Observation", "subject": {"reference": "Patient/a"}, "effectiveDateTime": '
                '"2010-01-01", "code": {"coding": [{"system": "http://loinc.org", "code": "4548-4"}]}, '
                f'"valueQuantity": {value}}}'
            )

        values = [
            '{"value": 1e999}', '{"value": NaN}', f'{{"value": {"9" * 5000}}}', '{"value": 7, "unit": "\\ud800"}',
            '{"value": 7, "unit": "a\\u0000b"}', '{"value": 7}', '{"value": 12345678901234567890}',
        ]  # fmt: skip
        lines = [json.dumps(make.patient("a")), *map(observed, values)]
        (tmp_path / "all.ndjson").write_text("\n".join(lines))
        hub, intake = read(FhirSource(tmp_path))
        assert why(intake) == {
            "NUL inside a field (not a text file?)": 1,
            "a field longer than 200 characters": 1,
            "not text in the declared encoding": 1,
            "value: not a number": 2,
        }
        held = hub.connection.execute("SELECT value FROM intake.events ORDER BY 1").fetchall()
        assert held == [(7.0,), (12345678901234567890.0,)]


class TestOmop:
    def test_a_lacking_column_is_named(self, tmp_path, records_example):
        folder = records_example.write_omop(tmp_path)
        path = folder / "condition_occurrence.csv"
        path.write_text(path.read_text().replace("condition_concept_id", "concept"))
        assert "column 'condition_concept_id' is missing" in refused(OmopSource(folder))

    def test_a_table_that_is_no_table_is_refused(self, tmp_path, records_example):
        folder = records_example.write_omop(tmp_path)
        (folder / "measurement.csv").write_bytes(b"")
        assert "the file is empty" in refused(OmopSource(folder))
        (folder / "measurement.csv").unlink()
        (folder / "measurement.parquet").write_bytes(b"PAR1" + SECRET.encode())
        refused(OmopSource(folder))

    def test_a_column_map_of_an_unknown_table_is_refused(self, tmp_path, records_example):
        folder = records_example.write_omop(tmp_path)
        assert "no such table of OMOP" in refused(OmopSource(folder, columns={"conditions": {}}))

    def test_a_column_that_omop_or_the_file_does_not_have_is_refused(self, tmp_path, records_example):
        folder = records_example.write_omop(tmp_path)
        said = refused(OmopSource(folder, columns={"person": {"birth_datetim": "born"}}))
        assert "no such column of OMOP's person is read; found birth_datetim, expected person_id, " in said
        said = refused(OmopSource(folder, columns={"person": {"birth_datetime": "born"}}))
        assert "column 'born' is missing" in said
        assert "person.csv" in said

    def test_numbers_that_are_none_are_counted(self, tmp_path, records_example):
        folder = records_example.write_omop(tmp_path)
        with open(folder / "person.csv", "a") as file:
            file.write("4,8532,99999999999999999999,1,1,,F\n5,8532,1950,13,40,,F\n6,x,y,z,,,\n7,8532\n")
        with open(folder / "condition_occurrence.csv", "ab") as file:
            file.write(b"7,1,99999999999999999999999,2010-01-01,x,0\n8,1,201826,2010-01-01,\xff\xfe,0\n")
        hub, intake = read(OmopSource(folder))
        assert intake.counts.set_index("table").loc["patients"].tolist()[1:] == [7, 6, 1]
        assert hub.frame("SELECT count(birth_date) AS n FROM intake.patients")["n"][0] == 3

    def test_a_concept_given_twice_does_not_double_its_rows(self, tmp_path, records_example):
        folder = records_example.write_omop(tmp_path)
        with open(folder / "CONCEPT.csv", "a") as file:
            file.write("201826\tother\tICD10\tE11\n")
        _, intake = read(OmopSource(folder))
        assert intake.counts.set_index("table").loc["events", "read"] == 9


class TestAurum:
    def test_a_folder_of_something_else_is_refused(self, tmp_path):
        (tmp_path / "patients.csv").write_text("a\n1\n")
        assert "not a delivery of CPRD Aurum" in refused(CprdAurumSource(tmp_path))
        assert "no such folder" in refused(CprdAurumSource(tmp_path / "none"))

    def test_wrong_columns_are_named(self, tmp_path, records_example):
        folder = records_example.write_aurum(tmp_path)
        path = folder / "toy_Extract_Observation_002.txt"
        path.write_text(path.read_text().replace("medcodeid", "medcode"))
        assert "column 'medcodeid' is missing" in refused(CprdAurumSource(folder))

    def test_a_dictionary_without_its_columns_is_refused(self, tmp_path, records_example):
        folder = records_example.write_aurum(tmp_path / "data")
        (tmp_path / "d.txt").write_text("MedCodeId\tTerm\n1\tx\n")
        assert "'SnomedCTConceptId' is missing" in refused(CprdAurumSource(folder, tmp_path / "d.txt"))

    def test_quotes_and_bad_bytes_spoil_only_their_own_row(self, tmp_path, records_example):
        folder = records_example.write_aurum(tmp_path)
        with open(folder / "toy_Extract_Observation_001.txt", "ab") as file:
            row = b"123456789012345671\t\t10\t5\t01/05/2011\t\t1\t\t%s\t\t\t1\t\t\t\n"
            file.write(row % b'"7375' + row % b"\xff\xfe" + row % b"7375491000006119" + b"too\tfew\n")
        hub, intake = read(CprdAurumSource(folder))
        assert intake.counts.set_index("table").loc["events"].tolist()[1:] == [8, 3, 5]
        kept = hub.connection.execute("SELECT code FROM intake.events WHERE date = '2011-05-01'").fetchall()
        assert kept == [("7375491000006119",)]

    def test_a_practice_given_twice_does_not_double_its_patients(self, tmp_path, records_example):
        folder = records_example.write_aurum(tmp_path)
        (folder / "toy_Extract_Practice_002.txt").write_text(
            "pracid\tlcd\tuts\tregion\n10\t01/01/2021\t\t1\n"
        )
        _, intake = read(CprdAurumSource(folder))
        assert intake.counts.set_index("table").loc["registrations", "read"] == 3
