"""Each layout on data as published, against counts made with plain pandas and json code."""

from __future__ import annotations

import csv
import gzip
import json
import zipfile
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from cohorts.hub import Hub, connect
from cohorts.models import CprdAurumSource, FhirSource, OmopSource
from cohorts.models.vocabulary import INGREDIENTS_ADDED
from cohorts.sources import Intake, TableSource, read_sources

VOCABULARY = {"SNOMED": "snomed", "LOINC": "loinc", "RxNorm": "rxnorm", "CVX": "cvx", "ICD10CM": "icd10cm"}


def read(source: object) -> tuple[Hub, Intake]:
    hub = connect()
    intake = read_sources(hub, {"s": source})
    assert (intake.counts["read"] == intake.counts["accepted"] + intake.counts["rejected"]).all()
    return hub, intake


def by_origin(intake: Intake) -> dict[str, tuple[int, int]]:
    rows = intake.origins.groupby("origin")[["read", "accepted"]].sum()
    return {str(origin): (int(row["read"]), int(row["accepted"])) for origin, row in rows.iterrows()}


def counted(hub: Hub, table: str) -> Counter[tuple[str, str, str]]:
    rows = hub.connection.execute(
        f"SELECT patient_id, system, code FROM intake.{table} JOIN intake.patients USING (record)"
    ).fetchall()
    return Counter(rows)


def plain(path: Path) -> pd.DataFrame:
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    return frame.rename(columns=str.lower)


def codes_by_hand(frame: pd.DataFrame, concept: str, concepts: pd.DataFrame) -> Counter[tuple[str, str, str]]:
    """(person, system, code) of the rows whose person is known."""
    known = {
        number: (VOCABULARY[vocabulary], code)
        for number, vocabulary, code in concepts[["concept_id", "vocabulary_id", "concept_code"]].itertuples(
            index=False
        )
        if vocabulary in VOCABULARY
    }
    pairs = zip(frame["person_id"], frame[concept], strict=True)
    return Counter((person, *known.get(number, ("omop", number))) for person, number in pairs)


@pytest.fixture(scope="module")
def synthea27(data_file, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("omop")
    with zipfile.ZipFile(data_file("ehr_synthea27_omop/Synthea27Nj_5.4.zip")) as packed:
        packed.extractall(folder)
    return folder


def test_synthea_omop_agrees_with_pandas(synthea27):
    hub, intake = read(OmopSource(synthea27))
    concepts = plain(synthea27 / "CONCEPT.csv")
    sizes = {name: len(plain(synthea27 / f"{name.upper()}.csv")) for name in by_origin(intake)}
    assert by_origin(intake) == {name: (rows, rows) for name, rows in sizes.items()}
    assert sizes["measurement"] == 10_040
    expected: Counter = Counter()
    for table, concept in (
        ("condition_occurrence", "condition_concept_id"), ("measurement", "measurement_concept_id"),
        ("procedure_occurrence", "procedure_concept_id"), ("observation", "observation_concept_id"),
    ):  # fmt: skip
        expected += codes_by_hand(plain(synthea27 / f"{table.upper()}.csv"), concept, concepts)
    assert counted(hub, "events") == expected
    values = pd.to_numeric(plain(synthea27 / "MEASUREMENT.csv")["value_as_number"])
    held = hub.frame("SELECT count(value) AS n, sum(value) AS total FROM intake.events").iloc[0]
    assert held["n"] == values.notna().sum()
    assert held["total"] == pytest.approx(values.sum())
    born = plain(synthea27 / "PERSON.csv")
    parts = born["year_of_birth"], born["month_of_birth"].str.zfill(2), born["day_of_birth"].str.zfill(2)
    assert sorted("-".join(day) for day in zip(*parts, strict=True)) == sorted(
        hub.frame("SELECT birth_date::VARCHAR AS d FROM intake.patients")["d"]
    )


def test_eunomia_agrees_with_pandas(data_file):
    folder = data_file("ehr_eunomia_gibleed")
    # this dump names some columns by the SQL that made them
    dated = {
        "person": ["birth_datetime"],
        "observation_period": ["observation_period_start_date", "observation_period_end_date"],
        "observation": ["observation_date"],
        "procedure_occurrence": ["procedure_date"],
        "visit_occurrence": ["visit_start_date"],
    }
    columns = {table: {name: f"date({name},'unixepoch')" for name in names} for table, names in dated.items()}
    hub, intake = read(OmopSource(folder, columns=columns))
    people = plain(folder / "person.csv.gz")
    known = set(people["person_id"])
    for origin, (rows, accepted) in by_origin(intake).items():
        frame = plain(folder / f"{origin}.csv.gz")
        assert rows == len(frame), origin
        assert accepted == (frame["person_id"].isin(known)).sum(), origin
    assert by_origin(intake)["condition_occurrence"] == (65_332, 65_332)
    assert intake.rejects[["table", "reason", "rows"]].values.tolist() == [
        ["registrations", "patient_id: not in this source's patients table", 5343 - 2694]
    ]
    concepts = plain(folder / "concept.csv.gz")
    drugs = plain(folder / "drug_exposure.csv.gz")
    contained = plain(folder / "concept_ancestor.csv.gz")
    is_ingredient = concepts["vocabulary_id"].eq("RxNorm") & concepts["concept_class_id"].eq("Ingredient")
    contained = contained[contained["ancestor_concept_id"].isin(concepts.loc[is_ingredient, "concept_id"])]
    contained = contained[contained["ancestor_concept_id"] != contained["descendant_concept_id"]]
    of_products = drugs.merge(contained, left_on="drug_concept_id", right_on="descendant_concept_id")
    expected = codes_by_hand(drugs, "drug_concept_id", concepts)
    expected += codes_by_hand(of_products, "ancestor_concept_id", concepts)
    assert counted(hub, "prescriptions") == expected
    told = dict(zip(intake.notes["note"], intake.notes["rows"], strict=True))
    assert told[INGREDIENTS_ADDED] == len(of_products) > 30_000
    sexes = (
        hub.frame("SELECT sex, count(*) AS n FROM intake.patients GROUP BY 1").set_index("sex")["n"].to_dict()
    )
    assert sexes == people["gender_source_value"].value_counts().to_dict()


def test_fhir_bundles_agree_with_json(data_file):
    folder = data_file("ehr_fhir_synthea")
    hub, intake = read(FhirSource(folder))
    expected: Counter = Counter()
    values: Counter = Counter()
    kinds: Counter = Counter()
    own = {
        "http://loinc.org": "loinc",
        "http://snomed.info/sct": "snomed",
        "http://hl7.org/fhir/sid/cvx": "cvx",
    }
    bundles = sorted(folder.glob("*.json.gz"))
    for path in bundles:
        with gzip.open(path) as content:
            resources = [entry["resource"] for entry in json.load(content)["entry"]]
        who = next(r["id"] for r in resources if r["resourceType"] == "Patient")
        for resource in resources:
            kind = resource["resourceType"]
            kinds[kind] += 1
            if kind in ("Condition", "Procedure", "Immunization"):
                codings = resource.get("code", resource.get("vaccineCode"))["coding"]
                expected[(who, own[codings[0]["system"]], codings[0]["code"])] += 1
            elif kind == "Observation":
                parts = resource.get("component", []) + (
                    [resource] if any(k.startswith("value") for k in resource) else []
                )
                for part in parts or [resource]:
                    expected[(who, "loinc", part["code"]["coding"][0]["code"])] += 1
                    if "valueQuantity" in part:
                        values[part["code"]["coding"][0]["code"]] += 1
                    if part["code"]["coding"][0]["code"] == "72166-2":
                        answer = part["valueCodeableConcept"]["coding"][0]
                        expected[(who, own[answer["system"]], answer["code"])] += 1
    assert counted(hub, "events") == expected
    held = hub.frame("SELECT code, count(value) AS n FROM intake.events WHERE value IS NOT NULL GROUP BY 1")
    assert dict(zip(held["code"], held["n"], strict=True)) == dict(values)
    assert values["8480-6"] == values["8462-4"] > 0
    tables = intake.counts.set_index("table")["read"]
    assert tables["patients"] == len(bundles) == 53
    assert tables["prescriptions"] == kinds["MedicationRequest"]
    assert tables["contacts"] == kinds["Encounter"]
    unread = dict(zip(intake.notes["note"], intake.notes["rows"], strict=True))
    assert unread["Claim: not read"] == kinds["Claim"]
    assert {f"{k}: not read" for k in kinds} >= set(unread)


def test_cprd_aurum_agrees_with_plain_reading(data_file):
    folder = data_file("ehr_cprd_aurum_toy")

    def lines(kind: str) -> list[dict[str, str]]:
        found: list[dict[str, str]] = []
        for path in sorted(folder.glob(f"*_extract_{kind}_*.txt")):
            with open(path, encoding="utf-8", newline="") as content:
                found += csv.DictReader(content, delimiter="\t")
        return found

    hub, intake = read(CprdAurumSource(folder))
    acceptable = {row["patid"] for row in lines("patient") if row["acceptable"] == "1"}
    mine = [row for row in lines("observation") if row["patid"] in acceptable]
    assert counted(hub, "events") == Counter((r["patid"], "cprd_medcode", r["medcodeid"]) for r in mine)
    assert by_origin(intake)["observation"] == (len(lines("observation")), len(mine))
    drugs = [row for row in lines("drugissue") if row["patid"] in acceptable]
    assert counted(hub, "prescriptions") == Counter(
        (r["patid"], "cprd_prodcode", r["prodcodeid"]) for r in drugs
    )
    days = Counter("-".join(reversed(row["obsdate"].split("/"))) for row in mine)
    held = hub.frame("SELECT date::VARCHAR AS d, count(*) AS n FROM intake.events GROUP BY 1")
    assert dict(zip(held["d"], held["n"], strict=True)) == dict(days)
    assert hub.frame("SELECT count(*) AS n FROM intake.deaths")["n"][0] == len(acceptable) == 6


def test_a_foreign_export_is_read_by_declaring_its_columns(data_file):
    folder = data_file("ehr_synthea27_csv")
    nothing = {"nhs_number": None}
    source = {
        "patients": TableSource(
            folder / "patients.csv",
            columns=nothing | {
                "patient_id": "Id", "given_name": "FIRST", "family_name": "LAST", "birth_date": "BIRTHDATE",
                "sex": "GENDER", "postcode": "ZIP",
            },
        ),
        "events": TableSource(
            folder / "observations.csv",
            columns={"patient_id": "PATIENT", "date": "DATE", "code": "CODE", "value": "VALUE", "unit": "UNITS"},
            constants={"system": "LOINC"},
        ),
        "prescriptions": TableSource(
            folder / "medications.csv",
            columns={"patient_id": "PATIENT", "date": "START", "code": "CODE"},
            constants={"system": "RxNorm"},
        ),
        "contacts": TableSource(
            folder / "conditions.csv",
            columns={"patient_id": "PATIENT", "date": "START", "code": "CODE"},
            constants={"system": "SNOMED-CT"},
        ),
    }  # fmt: skip
    _, intake = read(source)
    observed = pd.read_csv(folder / "observations.csv", dtype=str)
    numbers = pd.to_numeric(observed["VALUE"], errors="coerce")
    counts = intake.counts.set_index("table")
    assert counts.loc["events", ["read", "accepted"]].tolist() == [len(observed), int(numbers.notna().sum())]
    assert counts.loc["patients", "accepted"] == len(pd.read_csv(folder / "patients.csv"))
    assert counts.loc["prescriptions", "accepted"] == len(pd.read_csv(folder / "medications.csv"))
    assert counts.loc["contacts", "accepted"] == len(pd.read_csv(folder / "conditions.csv"))
