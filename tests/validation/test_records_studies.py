"""From sources in layouts of their own to a phenotype, with the people it should find."""

from __future__ import annotations

import gzip
import json
import zipfile
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from pydantic import TypeAdapter

from cohorts.consent import apply_consent
from cohorts.eligibility import population
from cohorts.hub import Hub, connect
from cohorts.linkage import link
from cohorts.models import CprdAurumSource, FhirSource, OmopSource
from cohorts.pseudonymise import BuiltHub, build_hub
from cohorts.sources import read_sources
from phenotypes.codelist import CodeList
from phenotypes.derivation import derive
from phenotypes.spec import PhenotypeSpec, TraitSpec

KEY = bytes(range(32))
INDEX, END = date(2016, 1, 1), date(2022, 12, 31)


def built(sources: dict[str, object]) -> BuiltHub:
    intake = connect()
    read_sources(intake, sources, until=END.isoformat())
    links = link(intake, threshold=0.95, seed=1)
    return build_hub(intake, links, apply_consent(intake, links), key=KEY)


def people_of(hub: Hub) -> pd.DataFrame:
    return hub.frame("SELECT person_id, sex, birth_date FROM people ORDER BY person_id")


def phenotype(label: str, **rule: object) -> PhenotypeSpec:
    return PhenotypeSpec.model_validate({"label": label, **rule})


def cases(derived: object, crosswalk: pd.DataFrame, name: str, source: str) -> set[str]:
    long = derived.long
    found = long[(long["phenotype"] == name) & (long["status"] == "case")]["person_id"]
    mine = crosswalk[(crosswalk["source"] == source) & crosswalk["person_id"].isin(found)]
    return set(mine["patient_id"])


def test_a_phenotype_over_omop_finds_those_whom_pandas_finds(data_file, tmp_path):
    with zipfile.ZipFile(data_file("ehr_synthea27_omop/Synthea27Nj_5.4.zip")) as packed:
        packed.extractall(tmp_path)
    made = built({"omop": OmopSource(tmp_path)})
    lists = {
        "hypertension": CodeList.of("hypertension", [("snomed", "59621000")]),
        "bmi": CodeList.of("bmi", [("loinc", "39156-5")]),
    }
    bmi = {
        "label": "BMI",
        "codes": "bmi",
        "unit": "kg/m2",
        "plausible": [10, 90],
        "window_days": [-36500, 3650],
    }
    derived = derive(
        made.hub, people_of(made.hub), index_date=INDEX, data_end=END, codelists=lists,
        phenotypes={"hypertension": phenotype("Hypertension", any=[{"has": "hypertension"}])},
        traits={"bmi": TypeAdapter(TraitSpec).validate_python(bmi)},
    )  # fmt: skip
    concepts = pd.read_csv(tmp_path / "CONCEPT.csv", dtype=str)
    numbers = set(
        concepts[concepts["concept_code"].eq("59621000") & concepts["vocabulary_id"].eq("SNOMED")][
            "concept_id"
        ]
    )
    conditions = pd.read_csv(tmp_path / "CONDITION_OCCURRENCE.csv", dtype=str)
    expected = set(conditions[conditions["condition_concept_id"].isin(numbers)]["person_id"])
    assert expected
    assert cases(derived, made.crosswalk, "hypertension", "omop") == expected
    assert derived.wide["bmi"].notna().sum() > 10


def test_one_study_over_fhir_and_aurum_derives_from_both(tmp_path, records_example):
    """Aurum comes without names and NHS numbers, so its people are others than the hospital's."""
    make = records_example
    folder = make.write_aurum(tmp_path / "aurum")
    medical, products, _ = make.write_dictionaries(tmp_path / "look-up")
    patients = [
        make.patient(who, birthDate=born) for who, born in (("h1", "1951-11-21"), ("h2", "1948-02-03"))
    ]
    conditions = [make.condition("c1", "Patient/h1", "44054006", "2011-02-03T09:00:00Z")]
    make.write_json(tmp_path / "fhir" / "1.json", make.bundle(*patients, *conditions))
    sources = {"gp": CprdAurumSource(folder, medical, products), "hospital": FhirSource(tmp_path / "fhir")}
    made = built(sources)
    lists = {
        "t2d": CodeList.of("t2d", [("snomed", "44054006")]),
        "drugs": CodeList.of("drugs", [("dmd", "325072002")]),
    }
    derived = derive(
        made.hub, people_of(made.hub), index_date=INDEX, data_end=END, codelists=lists,
        phenotypes={
            "t2d": phenotype("Type 2 diabetes", any=[{"has": "t2d"}]),
            "treated": phenotype("Treated", any=[{"prescribed": "drugs"}]),
        },
    )  # fmt: skip
    assert cases(derived, made.crosswalk, "t2d", "gp") == {"123456789012345671"}
    assert cases(derived, made.crosswalk, "t2d", "hospital") == {"h1"}
    assert cases(derived, made.crosswalk, "treated", "gp") == {"123456789012345671"}
    assert len(people_of(made.hub)) == 4
    registered = population(made.hub, on=INDEX, age=(60, 70), registered_days=365).persons
    assert len(registered) == 1


def test_published_bundles_and_aurum_files_make_one_hub(data_file):
    folder = data_file("ehr_fhir_synthea")
    made = built({"hospital": FhirSource(folder), "gp": CprdAurumSource(data_file("ehr_cprd_aurum_toy"))})
    lists = {"anaemia": CodeList.of("anaemia", [("snomed", "271737000")])}
    derived = derive(
        made.hub, people_of(made.hub), index_date=INDEX, data_end=END, codelists=lists,
        phenotypes={"anaemia": phenotype("Anaemia", any=[{"has": "anaemia"}])},
    )  # fmt: skip
    expected = set()
    for path in Path(folder).glob("*.json.gz"):
        with gzip.open(path) as content:
            resources = [entry["resource"] for entry in json.load(content)["entry"]]
        coded = [r for r in resources if r["resourceType"] == "Condition"]
        if any(r["code"]["coding"][0]["code"] == "271737000" for r in coded):
            expected.add(next(r["id"] for r in resources if r["resourceType"] == "Patient"))
    assert expected
    assert cases(derived, made.crosswalk, "anaemia", "hospital") == expected
    assert set(made.hub.frame("SELECT DISTINCT source FROM events")["source"]) == {"gp", "hospital"}
    assert made.hub.frame("SELECT source FROM sources")["source"].tolist() == ["hospital", "gp"]


@pytest.mark.slow
def test_the_hub_from_a_server_is_the_hub_from_files(postgres, tmp_path, records_example):
    folder = records_example.write_omop(tmp_path)
    statements = ["CREATE SCHEMA whole"]
    for path in sorted(folder.glob("*.csv")):
        frame = pd.read_csv(
            path, sep="\t" if path.stem == "CONCEPT" else ",", quoting=3, dtype=str, keep_default_na=False
        )
        relation = f"whole.{path.stem.lower()}"
        statements.append(f"CREATE TABLE {relation} ({', '.join(f'{c} text' for c in frame)})")
        statements += [
            f"INSERT INTO {relation} VALUES ({', '.join(map(repr, row))})"
            for row in frame.itertuples(index=False)
        ]
    postgres.execute(*statements)
    files, server = (
        built({"s": OmopSource(folder)}),
        built({"s": OmopSource(dsn=postgres.uri, schema="whole")}),
    )
    for table in files.hub.tables():
        pd.testing.assert_frame_equal(
            files.hub.frame(f"SELECT * FROM {table} ORDER BY ALL"),
            server.hub.frame(f"SELECT * FROM {table} ORDER BY ALL"),
        )
    pd.testing.assert_frame_equal(files.flow, server.flow)
