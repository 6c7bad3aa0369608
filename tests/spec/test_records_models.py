"""What each layout of a source becomes: on small invented sources, cell by cell."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pandas as pd
import pytest

from cohorts.errors import InputError
from cohorts.hub import Hub, connect
from cohorts.models import CprdAurumSource, FhirSource, OmopSource
from cohorts.models.vocabulary import INGREDIENTS_ADDED, VOCABULARIES
from cohorts.sources import Intake, TableSource, read_sources
from cohorts.tables import SYSTEMS


def read(source, **options) -> tuple[Hub, Intake]:
    hub = connect()
    intake = read_sources(hub, {"s": source}, **options)
    assert (intake.counts["read"] == intake.counts["accepted"] + intake.counts["rejected"]).all()
    kept = hub.frame("SELECT coalesce(sum(lines), 0)::BIGINT AS n FROM intake.rejects")["n"][0]
    assert kept == intake.counts["rejected"].sum()
    assert not [name for name in hub.tables() if "__" in name]
    return hub, intake


def reasons(intake: Intake, table: str) -> dict[str, int]:
    mine = intake.rejects[intake.rejects["table"] == table]
    return dict(zip(mine["reason"], mine["rows"], strict=True))


def notes(intake: Intake, table: str) -> dict[str, int]:
    mine = intake.notes[intake.notes["table"] == table]
    return dict(zip(mine["note"], mine["rows"], strict=True))


def medicines(folder: Path) -> Path:
    """An OMOP database of one person, prescribed a product of two, an ingredient, one of no code, and another."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "person.csv").write_text("person_id,gender_concept_id,year_of_birth\n1,8532,1950\n")
    (folder / "drug_exposure.csv").write_text(
        "person_id,drug_concept_id,drug_exposure_start_date,drug_source_concept_id\n"
        "1,1594973,2010-06-01,0\n1,1503297,2010-06-02,0\n1,36000001,2010-06-03,0\n1,19018935,2010-06-04,0\n"
    )
    return folder


def vocabulary(folder: Path, into: Path) -> None:
    """Concepts of the medicines, and what contains what: metformin and repaglinide."""
    folder.mkdir(parents=True, exist_ok=True)
    (into / "concept.csv").write_text(
        "concept_id,vocabulary_id,concept_code,concept_class_id\n"
        "1503297,RxNorm,6809,Ingredient\n1516766,RxNorm,73044,Ingredient\n"
        "1594973,RxNorm,861820,Clinical Drug\n36000001,RxNorm Extension,OMOP1,Clinical Drug\n"
        "19018935,RxNorm,197604,Clinical Drug\n21600001,ATC,A10,ATC 2nd\n"
    )
    (into / "concept_ancestor.csv").write_text(
        "ancestor_concept_id,descendant_concept_id\n"
        "1503297,1503297\n1503297,1594973\n1516766,1594973\n1503297,36000001\n21600001,1594973\n"
    )


def drugs(hub: Hub) -> list[tuple]:
    return rows(
        hub,
        "SELECT patient_id, date::VARCHAR, p.system, code FROM intake.prescriptions p "
        "JOIN intake.patients USING (record) ORDER BY ALL",
    )


def rows(hub: Hub, sql: str) -> list[tuple]:
    return hub.connection.execute(sql).fetchall()


class TestOmop:
    def test_codes_come_through_the_concept_table_and_source_concepts_stand_in(
        self, tmp_path, records_example
    ):
        hub, intake = read(OmopSource(records_example.write_omop(tmp_path)))
        assert rows(hub, "SELECT system, code, value, unit FROM intake.events ORDER BY date") == [
            ("snomed", "44054006", None, None),
            ("loinc", "4548-4", 48.5, "mmol/mol"),
            ("loinc", "4548-4", 7.1, "%"),
            ("icd10", "E119", None, None),
            ("omop", "999", None, None),
        ]
        assert reasons(intake, "events") == {
            "code: no concept, and the source code has no declared system": 1,
            "date: not an ISO date (YYYY-MM-DD)": 1,
            "patient_id: not in this source's patients table": 1,
            "value: not a number": 1,
        }
        assert notes(intake, "events") == {"code: no code known for the concept, kept as OMOP concept": 1}

    def test_the_source_concept_counts_first_where_the_study_says_so(self, tmp_path, records_example):
        folder = records_example.write_omop(tmp_path)
        hub, _ = read(OmopSource(folder, codes="source"))
        assert ("icd10", "E119") in rows(
            hub, "SELECT system, code FROM intake.events WHERE date = '2010-05-01'"
        )

    def test_a_declared_system_saves_rows_without_any_concept(self, tmp_path, records_example):
        folder = records_example.write_omop(tmp_path)
        hub, intake = read(OmopSource(folder, source_systems={"condition_occurrence": "icd10"}))
        assert ("icd10", "E109") in rows(hub, "SELECT system, code FROM intake.events")
        assert "code: no concept, and the source code has no declared system" not in reasons(intake, "events")

    def test_without_a_concept_table_concepts_keep_their_numbers(self, tmp_path, records_example):
        (records_example.write_omop(tmp_path) / "CONCEPT.csv").unlink()
        hub, intake = read(OmopSource(tmp_path))
        assert rows(hub, "SELECT DISTINCT system FROM intake.events") == [("omop",)]
        assert notes(intake, "prescriptions") == {
            "code: no code known for the concept, kept as OMOP concept": 1
        }

    def test_partial_birth_dates_are_put_in_the_middle_and_noted(self, tmp_path, records_example):
        hub, intake = read(OmopSource(records_example.write_omop(tmp_path)))
        people = rows(hub, "SELECT patient_id, birth_date::VARCHAR, sex FROM intake.patients ORDER BY 1")
        assert people == [("1", "1950-06-01", "F"), ("2", "1960-02-15", "M"), ("3", "1970-07-01", "F")]
        assert sum(notes(intake, "patients").values()) == 2
        known = rows(hub, "SELECT birth_precision FROM intake.patients ORDER BY patient_id")
        assert known == [("day",), ("month",), ("year",)]

    def test_a_birth_datetime_beside_a_blank_month_was_filled_in_and_alone_it_is_exact(self, tmp_path):
        columns = "person_id,gender_concept_id,year_of_birth"
        (tmp_path / "a").mkdir()
        (tmp_path / "b").mkdir()
        (tmp_path / "a" / "person.csv").write_text(
            f"{columns},month_of_birth,day_of_birth,birth_datetime\n1,8532,1970,,,1970-06-15 00:00:00\n"
        )
        (tmp_path / "b" / "person.csv").write_text(f"{columns},birth_datetime\n1,8532,1970,1970-06-14\n")
        query = "SELECT birth_date::VARCHAR, birth_precision FROM intake.patients"
        assert rows(read(OmopSource(tmp_path / "a"))[0], query) == [("1970-06-15", "year")]
        assert rows(read(OmopSource(tmp_path / "b"))[0], query) == [("1970-06-14", "day")]

    def test_the_last_day_of_observation_is_within_it(self, tmp_path, records_example):
        hub, intake = read(OmopSource(records_example.write_omop(tmp_path)))
        assert rows(hub, 'SELECT start::VARCHAR, "end"::VARCHAR FROM intake.registrations') == [
            ("2000-01-01", "2020-01-01")
        ]
        assert reasons(intake, "registrations") == {"end: before start": 1}

    def test_a_cause_of_death_keeps_its_code_system(self, tmp_path, records_example):
        folder = records_example.write_omop(tmp_path)
        hub, _ = read(OmopSource(folder))
        assert rows(hub, "SELECT system, underlying FROM intake.deaths") == [("snomed", "44054006")]
        hub, _ = read(OmopSource(folder, codes="source"))
        assert rows(hub, "SELECT system, underlying FROM intake.deaths") == [("icd10", "E119")]

    def test_what_belongs_to_a_stay_in_hospital_is_a_diagnosis_or_procedure_of_it(self, tmp_path):
        medicines(tmp_path)
        (tmp_path / "visit_occurrence.csv").write_text(
            "visit_occurrence_id,person_id,visit_concept_id,visit_start_date\n"
            "1,1,9201,2010-01-01\n2,1,9202,2010-01-02\n3,1,262,2010-01-03\n"
        )
        (tmp_path / "condition_occurrence.csv").write_text(
            "person_id,condition_concept_id,condition_start_date,visit_occurrence_id\n"
            "1,317009,2010-01-01,1\n1,317009,2010-01-02,2\n1,317009,2010-01-03,3\n1,317009,2010-01-04,\n"
        )
        (tmp_path / "procedure_occurrence.csv").write_text(
            "person_id,procedure_concept_id,procedure_date,visit_occurrence_id\n1,4336464,2010-01-05,1\n"
        )
        hub, _ = read(OmopSource(tmp_path))
        assert rows(hub, "SELECT right(date::VARCHAR, 2), kind FROM intake.events ORDER BY date") == [
            ("01", "diagnosis"), ("02", None), ("03", "diagnosis"), ("04", None), ("05", "procedure"),
        ]  # fmt: skip

    def test_a_prescription_of_a_product_is_also_one_of_each_ingredient(self, tmp_path):
        vocabulary(medicines(tmp_path), tmp_path)
        hub, intake = read(OmopSource(tmp_path))
        assert drugs(hub) == [
            ("1", "2010-06-01", "rxnorm", "6809"),
            ("1", "2010-06-01", "rxnorm", "73044"),
            ("1", "2010-06-01", "rxnorm", "861820"),
            ("1", "2010-06-02", "rxnorm", "6809"),
            ("1", "2010-06-03", "omop", "36000001"),
            ("1", "2010-06-03", "rxnorm", "6809"),
            ("1", "2010-06-04", "rxnorm", "197604"),
        ]
        assert intake.counts.set_index("table").loc["prescriptions", "read"] == 4
        assert notes(intake, "prescriptions")[INGREDIENTS_ADDED] == 3

    def test_drug_strength_tells_ingredients_where_ancestors_do_not(self, tmp_path):
        vocabulary(medicines(tmp_path), tmp_path)
        (tmp_path / "concept_ancestor.csv").write_text("ancestor_concept_id,descendant_concept_id\n")
        hub, _ = read(OmopSource(tmp_path))
        assert ("1", "2010-06-01", "rxnorm", "73044") not in drugs(hub)
        (tmp_path / "drug_strength.csv").write_text(
            "drug_concept_id,ingredient_concept_id,amount_value\n1594973,1503297,500\n1594973,1516766,1\n"
        )
        hub, _ = read(OmopSource(tmp_path))
        assert [code for _, day, _, code in drugs(hub) if day == "2010-06-01"] == ["6809", "73044", "861820"]

    def test_a_vocabulary_may_lie_apart_and_is_of_its_source_alone(self, tmp_path):
        told, bare = medicines(tmp_path / "told"), medicines(tmp_path / "bare")
        vocabulary(tmp_path / "v", bare)
        vocabulary(tmp_path / "v", told)
        (told / "concept_ancestor.csv").rename(tmp_path / "v" / "concept_ancestor.csv")
        (bare / "concept_ancestor.csv").unlink()
        (told / "concept.csv").rename(tmp_path / "v" / "concept.csv")
        hub = connect()
        read_sources(hub, {"a": OmopSource(told, vocabulary=tmp_path / "v"), "b": OmopSource(bare)})
        counted = "SELECT source, count(*) FROM intake.prescriptions GROUP BY 1 ORDER BY 1"
        assert rows(hub, counted) == [("a", 7), ("b", 4)]
        with pytest.raises(InputError, match="not a vocabulary of OMOP.*no file of concept"):
            read(OmopSource(told, vocabulary=tmp_path / "told"))

    def test_every_vocabulary_is_a_system_of_ours(self):
        assert set(VOCABULARIES.values()) - {"ucum"} <= set(SYSTEMS.values())

    def test_parts_of_a_table_and_capitals_are_read_as_one(self, tmp_path, records_example):
        folder = records_example.write_omop(tmp_path)
        (folder / "DEATH_002.csv").write_text("PERSON_ID,DEATH_DATE\n2,2018-01-01\n")
        _, intake = read(OmopSource(folder))
        deaths = intake.origins[intake.origins["table"] == "deaths"]
        assert deaths[["files", "read", "accepted"]].values.tolist() == [[2, 2, 2]]

    def test_parquet_reads_as_csv_does(self, tmp_path, records_example):
        plain = records_example.write_omop(tmp_path / "a")
        (tmp_path / "b").mkdir()
        for path in plain.glob("*.csv"):
            delimiter = "\t" if path.stem == "CONCEPT" else ","
            frame = pd.read_csv(
                path, sep=delimiter, quoting=3, dtype=str if path.stem == "measurement" else None
            )
            frame.convert_dtypes().to_parquet(tmp_path / "b" / f"{path.stem}.parquet")
        (first, one), (second, two) = read(OmopSource(plain)), read(OmopSource(tmp_path / "b"))
        sql = "SELECT * FROM intake.events ORDER BY ALL"
        pd.testing.assert_frame_equal(first.frame(sql), second.frame(sql))
        pd.testing.assert_frame_equal(one.counts, two.counts)

    def test_a_folder_without_persons_is_no_omop(self, tmp_path):
        with pytest.raises(InputError, match="not an OMOP database"):
            read(OmopSource(tmp_path))


class TestAurum:
    def test_identifiers_of_eighteen_digits_stay_apart(self, tmp_path, records_example):
        hub, _ = read(CprdAurumSource(records_example.write_aurum(tmp_path)))
        assert rows(hub, "SELECT patient_id FROM intake.patients ORDER BY 1") == [
            ("123456789012345671",),
            ("123456789012345672",),
        ]
        assert rows(hub, "SELECT system, code FROM intake.events ORDER BY code") == [
            ("cprd_medcode", "7375491000006115"),
            ("cprd_medcode", "7375491000006116"),
        ]

    def test_dictionaries_give_codes_that_others_know(self, tmp_path, records_example):
        medical, products, units = records_example.write_dictionaries(tmp_path / "look-up")
        folder = records_example.write_aurum(tmp_path / "data")
        hub, intake = read(CprdAurumSource(folder, medical, products, units))
        assert rows(hub, "SELECT system, code, value, unit FROM intake.events ORDER BY date") == [
            ("snomed", "44054006", 48.0, "mmol/mol"),
            ("cprd_medcode", "7375491000006116", None, None),
        ]
        assert rows(hub, "SELECT system, code FROM intake.prescriptions") == [("dmd", "325072002")]
        assert notes(intake, "events")["code: not in the dictionary, kept as CPRD's own"] == 1
        hub, _ = read(CprdAurumSource(folder, medical, codes="read2"))
        assert ("read2", "C10F.00") in rows(hub, "SELECT system, code FROM intake.events")

    def test_patients_that_cprd_does_not_accept_are_refused_with_their_records(
        self, tmp_path, records_example
    ):
        folder = records_example.write_aurum(tmp_path)
        _, intake = read(CprdAurumSource(folder))
        assert reasons(intake, "patients") == {
            "acceptable: CPRD finds the patient not acceptable for research": 1
        }
        assert reasons(intake, "events") == {
            "date: not a date of the declared form": 1,
            "patient_id: not in this source's patients table": 1,
        }
        hub, _ = read(CprdAurumSource(folder, acceptable_only=False))
        assert rows(hub, "SELECT count(*) FROM intake.patients") == [(3,)]

    def test_follow_up_ends_where_the_practice_was_last_collected(self, tmp_path, records_example):
        hub, _ = read(CprdAurumSource(records_example.write_aurum(tmp_path)))
        spans = rows(hub, 'SELECT start::VARCHAR, "end"::VARCHAR FROM intake.registrations ORDER BY 1')
        assert spans == [("2000-01-01", "2020-01-01"), ("2015-04-01", "2016-05-01")]

    def test_only_patients_with_a_date_of_death_are_read_as_deaths(self, tmp_path, records_example):
        hub, intake = read(CprdAurumSource(records_example.write_aurum(tmp_path)))
        assert rows(hub, "SELECT date::VARCHAR FROM intake.deaths") == [("2019-12-31",)]
        assert intake.counts.set_index("table").loc["deaths", "read"] == 1

    def test_what_is_not_read_is_noted(self, tmp_path, records_example):
        _, intake = read(CprdAurumSource(records_example.write_aurum(tmp_path)))
        assert notes(intake, "events")["Problem: not read, it describes observations that are"] == 1

    def test_a_refused_row_is_found_again_by_file_and_row(self, tmp_path, records_example):
        hub, _ = read(CprdAurumSource(records_example.write_aurum(tmp_path)))
        found = rows(hub, "SELECT origin, file, \"row\" FROM intake.rejects WHERE reason LIKE 'date:%'")
        assert found == [("observation", 2, 1)]


class TestFhir:
    def test_references_of_every_kind_find_their_patient(self, tmp_path, records_example):
        make = records_example
        who = ["urn:uuid:a", "Patient/a", "http://server/r4/Patient/a", "Patient/a/_history/3"]
        conditions = [make.condition(f"c{i}", w, "44054006", f"201{i}-01-01") for i, w in enumerate(who)]
        make.write_json(tmp_path / "1.json", make.bundle(make.patient("a"), *conditions))
        _, intake = read(FhirSource(tmp_path))
        assert intake.counts.set_index("table").loc["events"].tolist() == ["s", 4, 4, 0]

    def test_an_address_in_the_bundle_may_differ_from_the_identifier(self, tmp_path, records_example):
        make = records_example
        bundle = make.bundle(
            make.patient("real"), make.condition("c", "urn:uuid:temporary", "44054006", "2010-01-01")
        )
        bundle["entry"][0]["fullUrl"] = "urn:uuid:temporary"
        make.write_json(tmp_path / "1.json", bundle)
        hub, _ = read(FhirSource(tmp_path))
        assert rows(hub, "SELECT count(*) FROM intake.events JOIN intake.patients USING (record)") == [(1,)]

    def test_each_component_of_a_blood_pressure_is_an_event(self, tmp_path, records_example):
        make = records_example
        parts = [
            {
                "code": make.concept(make.LOINC, code),
                "valueQuantity": {"value": value, "unit": "mm", "code": "mm[Hg]"},
            }
            for code, value in (("8480-6", 120.0), ("8462-4", 80))
        ]
        pressure = {
            "resourceType": "Observation", "id": "o", "status": "final", "subject": {"reference": "Patient/a"},
            "code": make.concept(make.LOINC, "85354-9"), "effectiveDateTime": "2010-01-02T23:30:00-05:00",
            "component": parts,
        }  # fmt: skip
        make.write_json(tmp_path / "1.json", make.bundle(make.patient("a"), pressure))
        hub, _ = read(FhirSource(tmp_path))
        assert rows(hub, "SELECT code, value, unit, date::VARCHAR FROM intake.events ORDER BY code") == [
            ("8462-4", 80.0, "mm[Hg]", "2010-01-02"),
            ("8480-6", 120.0, "mm[Hg]", "2010-01-02"),
        ]

    def test_the_answer_about_smoking_is_an_event_and_other_answers_are_not(self, tmp_path, records_example):
        make = records_example

        def asked(identity: str, question: str, answer: str) -> dict:
            return {
                "resourceType": "Observation", "id": identity, "subject": {"reference": "Patient/a"},
                "code": make.concept(make.LOINC, question), "effectiveDateTime": "2010-01-02",
                "valueCodeableConcept": make.concept(make.SNOMED, answer),
            }  # fmt: skip

        smoking, family = asked("1", "72166-2", "266919005"), asked("2", "54114-4", "44054006")
        make.write_json(tmp_path / "1.json", make.bundle(make.patient("a"), smoking, family))
        hub, _ = read(FhirSource(tmp_path))
        codes = {code for (code,) in rows(hub, "SELECT code FROM intake.events")}
        assert codes == {"72166-2", "54114-4", "266919005"}

    def test_errors_and_refuted_conditions_are_refused_with_the_reason(self, tmp_path, records_example):
        make = records_example
        status = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
        wrong = [
            make.condition(
                v, "Patient/a", "44054006", "2010-01-01", verificationStatus=make.concept(status, v)
            )
            for v in ("entered-in-error", "refuted", "confirmed")
        ]
        nowhere = make.condition("n", "Patient?identifier=x", "44054006", "2010-01-01")
        unknown = {**nowhere, "subject": {"reference": "Patient/a"}, "code": make.concept("urn:own", "1")}
        partial = make.condition("p", "Patient/a", "44054006", "2010-01")
        recorded = make.condition("r", "Patient/a", "44054006", "2010", recordedDate="2012-03-04T00:00:00Z")
        make.write_json(
            tmp_path / "1.json", make.bundle(make.patient("a"), *wrong, nowhere, unknown, partial, recorded)
        )
        hub, intake = read(FhirSource(tmp_path))
        assert reasons(intake, "events") == {
            "date: not an ISO date (YYYY-MM-DD)": 1,
            "patient_id: refers to no patient by address": 1,
            "resource: entered in error": 1,
            "resource: refuted": 1,
            "system: none of its codes is of a system we know": 1,
        }
        assert rows(hub, "SELECT date::VARCHAR FROM intake.events ORDER BY 1") == [
            ("2010-01-01",),
            ("2012-03-04",),
        ]

    def test_a_condition_of_an_admission_is_a_diagnosis_of_a_stay(self, tmp_path, records_example):
        make = records_example

        def encounter(identity: str, of: str, **more) -> dict:
            return {
                "resourceType": "Encounter", "id": identity, "class": {"code": of}, "status": "finished",
                "subject": {"reference": "Patient/a"}, "period": {"start": "2010-01-01", "end": "2010-01-09"}, **more,
            }  # fmt: skip

        def seen(identity: str, when: str, **more) -> dict:
            return make.condition(identity, "Patient/a", "195967001", when, **more)

        problem = [
            make.concept("http://terminology.hl7.org/CodeSystem/condition-category", "problem-list-item")
        ]
        named = {"condition": {"reference": "Condition/c4"}}
        make.write_json(
            tmp_path / "1.json",
            make.bundle(
                make.patient("a"), encounter("in", "IMP", diagnosis=[named]), encounter("out", "AMB"),
                seen("c1", "2010-01-01", encounter={"reference": "Encounter/in"}),
                seen("c2", "2010-01-02", encounter={"reference": "Encounter/out"}),
                seen("c3", "2010-01-03", encounter={"reference": "Encounter/in"}, category=problem),
                seen("c4", "2010-01-04"),
                {
                    "resourceType": "Procedure", "id": "p", "subject": {"reference": "Patient/a"},
                    "code": make.concept(make.SNOMED, "232717009"), "performedDateTime": "2010-01-05",
                    "encounter": {"reference": "Encounter/in"},
                },
            ),
        )  # fmt: skip
        hub, _ = read(FhirSource(tmp_path))
        assert rows(hub, "SELECT right(date::VARCHAR, 2), kind FROM intake.events ORDER BY date") == [
            ("01", "diagnosis"), ("02", None), ("03", None), ("04", "diagnosis"), ("05", "procedure"),
        ]  # fmt: skip

    def test_ingredients_come_from_a_vocabulary_of_omop_where_one_is_named(self, tmp_path, records_example):
        make = records_example
        request = {
            "resourceType": "MedicationRequest", "id": "r", "subject": {"reference": "Patient/a"},
            "authoredOn": "2010-01-01",
            "medicationCodeableConcept": make.concept("http://www.nlm.nih.gov/research/umls/rxnorm", "861820"),
        }  # fmt: skip
        make.write_json(tmp_path / "export" / "1.json", make.bundle(make.patient("a"), request))
        hub, _ = read(FhirSource(tmp_path / "export"))
        assert drugs(hub) == [("a", "2010-01-01", "rxnorm", "861820")]
        vocabulary(tmp_path / "v", tmp_path / "v")
        hub, intake = read(FhirSource(tmp_path / "export", tmp_path / "v"))
        assert [code for *_, code in drugs(hub)] == ["6809", "73044", "861820"]
        assert notes(intake, "prescriptions") == {INGREDIENTS_ADDED: 2}

    def test_a_medicine_may_be_a_resource_of_its_own(self, tmp_path, records_example):
        make = records_example
        drug = make.concept("http://www.nlm.nih.gov/research/umls/rxnorm", "6809")

        def request(identity: str, reference: str, **more) -> dict:
            return {
                "resourceType": "MedicationRequest", "id": identity, "subject": {"reference": "Patient/a"},
                "authoredOn": "2010-01-01", "medicationReference": {"reference": reference}, **more,
            }  # fmt: skip

        contained = request("1", "#m", contained=[{"resourceType": "Medication", "id": "m", "code": drug}])
        make.write_json(
            tmp_path / "1.json",
            make.bundle(
                make.patient("a"), contained, request("2", "urn:uuid:m2"),
                {"resourceType": "Medication", "id": "m2", "code": drug},
            ),
        )  # fmt: skip
        (tmp_path / "Medication.ndjson").write_text(
            json.dumps({"resourceType": "Medication", "id": "m3", "code": drug}) + "\n"
        )
        (tmp_path / "MedicationRequest.ndjson").write_text(json.dumps(request("3", "Medication/m3")) + "\n")
        hub, _ = read(FhirSource(tmp_path))
        assert rows(hub, "SELECT system, code, count(*) FROM intake.prescriptions GROUP BY ALL") == [
            ("rxnorm", "6809", 3)
        ]

    def test_partial_birth_dates_are_put_in_the_middle_with_their_precision(self, tmp_path, records_example):
        make = records_example
        people = [make.patient(d, birthDate=d) for d in ("1970", "1970-05", "1970-05-06")]
        make.write_json(tmp_path / "1.json", make.bundle(*people))
        hub, intake = read(FhirSource(tmp_path))
        assert rows(hub, "SELECT birth_date::VARCHAR, birth_precision FROM intake.patients ORDER BY 1") == [
            ("1970-05-06", "day"), ("1970-05-15", "month"), ("1970-07-01", "year"),
        ]  # fmt: skip
        assert sum(notes(intake, "patients").values()) == 2

    @pytest.mark.parametrize("kind", ["IMP", "ACUTE", "EMER", "AMB"])
    @pytest.mark.parametrize("bulk", [False, True])
    def test_inpatient_encounters_become_admissions_with_their_diagnoses(
        self, tmp_path, records_example, kind, bulk
    ):
        make = records_example
        icd10, opcs4 = "http://hl7.org/fhir/sid/icd-10", "https://fhir.hl7.org.uk/CodeSystem/opcs-4"

        def diagnosis(name: str, code: str, **more) -> dict:
            return make.condition(name, "Patient/a", "44054006", "2010-01-01", **more) | {
                "code": {
                    "coding": [{"system": icd10, "code": code}, {"system": make.SNOMED, "code": "44054006"}]
                }
            }

        stay = {
            "resourceType": "Encounter", "id": "e", "status": "finished", "class": {"code": kind},
            "subject": {"reference": "Patient/a"}, "period": {"start": "2011-02-03T10:00:00Z", "end": "2011-02-05"},
            "diagnosis": [
                {"condition": {"reference": "Condition/second"}, "rank": 2},
                {"condition": {"reference": "Condition/first"}, "rank": 1},
            ],
        }  # fmt: skip
        here = {"encounter": {"reference": "Encounter/e"}}
        listed = {"category": [{"coding": [{"code": "problem-list-item"}]}]}
        resources = [
            diagnosis("named", "I10", **here), diagnosis("second", "E11.9"), diagnosis("first", "I21.4", **here),
            diagnosis("elsewhere", "J45", encounter={"reference": "Encounter/other"}),
            diagnosis("problem", "M10", **here, **listed),
            diagnosis("refuted", "A01", **here, verificationStatus=make.concept("x", "refuted")),
            {
                "resourceType": "Procedure", "id": "p", "status": "completed", "performedDateTime": "2011-02-04",
                "subject": {"reference": "Patient/a"}, "code": make.concept(opcs4, "K40.1"), **here,
            },
            stay, make.patient("a"),
        ]  # fmt: skip
        if bulk:
            for resource in resources:
                with open(tmp_path / f"{resource['resourceType']}.ndjson", "a") as file:
                    file.write(json.dumps(resource) + "\n")
        else:
            make.write_json(tmp_path / "1.json", make.bundle(*resources))
        hub, intake = read(FhirSource(tmp_path))
        held = rows(
            hub,
            "SELECT admission_date::VARCHAR, discharge_date::VARCHAR, diag_1, diag_2, diag_3, diag_4, opcs_1, opcs_2 "
            "FROM intake.admissions",
        )
        assert held == (
            [] if kind == "AMB" else [("2011-02-03", "2011-02-05", "I214", "E119", "I10", None, "K401", None)]
        )
        counts = intake.counts.set_index("table")["read"]
        assert counts.get("contacts", 0) == (kind == "AMB")
        assert rows(hub, "SELECT count(*) FROM intake.events WHERE system = 'icd10'") == [(5,)]

    def test_an_encounter_that_never_was_is_no_admission(self, tmp_path, records_example):
        make = records_example
        stays = [
            {
                "resourceType": "Encounter", "id": status, "status": status, "class": {"code": "IMP"},
                "subject": {"reference": "Patient/a"}, "period": period,
            }
            for status, period in (
                ("planned", {"start": "2011-01-01"}), ("cancelled", {"start": "2011-01-01"}),
                ("entered-in-error", {"start": "2011-01-01"}), ("finished", {}),
                ("finished", {"start": "2011-01-02", "end": "2011-01-01"}), ("in-progress", {"start": "2011-01-01"}),
            )
        ]  # fmt: skip
        make.write_json(tmp_path / "1.json", make.bundle(make.patient("a"), *stays))
        _, intake = read(FhirSource(tmp_path))
        assert reasons(intake, "admissions") == {
            "admission_date: blank": 1,
            "discharge_date: before admission_date": 1,
            "resource: entered in error": 1,
            "resource: not done": 2,
        }
        assert intake.counts.set_index("table").loc["admissions", "accepted"] == 1

    def test_a_bulk_export_gives_what_bundles_give(self, tmp_path, records_example):
        make = records_example
        resources = [
            make.patient("a", deceasedDateTime="2015-05-05T10:00:00Z"),
            make.patient("b", birthDate="1960"),
            *[
                make.condition(f"c{i}", f"Patient/{'ab'[i % 2]}", "44054006", f"201{i}-01-01")
                for i in range(6)
            ],
        ]
        make.write_json(tmp_path / "bundles" / "1.json", make.bundle(*resources))
        bulk = tmp_path / "bulk"
        bulk.mkdir()
        # records before the patients they belong to
        for name, kind in (("1_Condition.ndjson.gz", "Condition"), ("2_Patient.ndjson.gz", "Patient")):
            lines = [json.dumps(r) for r in resources if r["resourceType"] == kind]
            (bulk / name).write_bytes(gzip.compress("\n".join(lines).encode()))
        (one, first), (two, second) = read(FhirSource(tmp_path / "bundles")), read(FhirSource(bulk))
        pd.testing.assert_frame_equal(first.counts, second.counts)
        for table in ("patients", "events", "deaths"):
            sql = f"SELECT * FROM intake.{table} ORDER BY ALL"
            pd.testing.assert_frame_equal(one.frame(sql), two.frame(sql))

    def test_numbers_keep_their_digits_and_names_their_line_breaks_no_harm(self, tmp_path, records_example):
        make = records_example
        text = json.dumps(
            make.bundle(
                make.patient("9007199254740993", name=[{"family": "Two\nLines"}]),
                {
                    "resourceType": "Observation", "subject": {"reference": "Patient/9007199254740993"},
                    "code": make.concept(make.LOINC, "4548-4"), "effectiveDateTime": "2010-01-01",
                    "valueQuantity": {"value": "VALUE", "code": "%"},
                },
            )
        )  # fmt: skip
        (tmp_path / "1.json").write_text(text.replace('"VALUE"', "6.10"))
        hub, _ = read(FhirSource(tmp_path))
        assert rows(hub, "SELECT value FROM intake.events") == [(6.1,)]
        assert rows(hub, "SELECT patient_id, family_name FROM intake.patients") == [
            ("9007199254740993", "Two Lines")
        ]


class TestDeclared:
    def test_constants_values_delimiter_and_form_of_dates(self, tmp_path):
        (tmp_path / "p.txt").write_text("PatID|Born|Sex\n1|01/02/1950|man\n")
        (tmp_path / "e1.tsv").write_text(
            "PatID\tOn\tSort\tRead\n1\t02.03.2010\tR2\tC10..\n1\t02.03.2010\tXX\tE11\n"
        )
        (tmp_path / "e2.tsv.gz").write_bytes(
            gzip.compress(b"PatID\tOn\tSort\tRead\n1\t05.03.2010\tI\tE11.9\n")
        )
        tables = {
            "patients": TableSource(
                tmp_path / "p.txt",
                columns={
                    "patient_id": "PatID", "birth_date": "Born", "sex": "Sex", "nhs_number": None,
                    "given_name": None, "family_name": None, "postcode": None,
                },
                delimiter="|",
                date_format="%d/%m/%Y",
                values={"sex": {"man": "M"}},
            ),
            "events": TableSource(
                tmp_path / "e*.tsv*",
                columns={"patient_id": "PatID", "date": "On", "system": "Sort", "code": "Read", "value": None},
                constants={"unit": "kg"},
                values={"system": {"R2": "read2", "I": "ICD-10"}},
                date_format="%d.%m.%Y",
            ),
        }  # fmt: skip
        hub, intake = read(tables)
        assert rows(hub, "SELECT sex, birth_date::VARCHAR FROM intake.patients") == [("M", "1950-02-01")]
        assert rows(hub, "SELECT system, code, unit, date::VARCHAR FROM intake.events ORDER BY date") == [
            ("read2", "C10..", "kg", "2010-03-02"),
            ("icd10", "E119", "kg", "2010-03-05"),
        ]
        assert reasons(intake, "events") == {"system: not a known code system": 1}
        assert intake.origins.set_index("table").loc["events", "files"] == 2
        assert rows(hub, 'SELECT file, "row" FROM intake.rejects') == [(1, 2)]

    def test_a_column_and_a_constant_for_the_same_thing_are_refused(self, tmp_path):
        (tmp_path / "p.csv").write_text("patient_id\n1\n")
        source = TableSource(tmp_path / "p.csv", columns={"sex": "x"}, constants={"sex": "F"})
        with pytest.raises(InputError, match="a column and a constant"):
            read({"patients": source})

    def test_the_edition_of_icd10_of_each_source_reaches_the_intake(self, tmp_path, records_example):
        hub, _ = read(OmopSource(records_example.write_omop(tmp_path)), editions={"s": "2016"})
        assert rows(hub, "SELECT source, icd10_edition FROM intake.sources") == [("s", "2016")]

    @pytest.mark.parametrize(
        ("written", "kept"),
        [
            ("I10X", "I10"),
            ("i25.1", "I251"),
            ("M45.X6", "M45X6"),
            ("G63.0D", "G630"),
            ("E11.9†", "E119"),
            ("I10XD", "I10"),
        ],
    )
    def test_icd10_of_hospitals_loses_fillers_and_marks_only(self, tmp_path, written, kept):
        (tmp_path / "p.csv").write_text("patient_id\n1\n")
        (tmp_path / "e.csv").write_text(f"patient_id,date,code\n1,2010-01-01,{written}\n")
        nothing = dict.fromkeys(["nhs_number", "given_name", "family_name", "birth_date", "sex", "postcode"])
        tables = {
            "patients": TableSource(tmp_path / "p.csv", columns=nothing),
            "events": TableSource(
                tmp_path / "e.csv", columns={"value": None, "unit": None}, constants={"system": "icd10"}
            ),
        }
        hub, _ = read(tables)
        assert rows(hub, "SELECT code FROM intake.events") == [(kept,)]
