"""Observation by records on published FHIR bundles, and by observation periods on published OMOP data."""

from __future__ import annotations

import gzip
import json
import zipfile
from datetime import date, timedelta

import pandas as pd
import pytest

from cohorts.consent import apply_consent
from cohorts.eligibility import population
from cohorts.errors import InputError
from cohorts.hub import Hub, connect
from cohorts.linkage import link
from cohorts.models import FhirSource, OmopSource
from cohorts.observed import ObservedByRecords
from cohorts.pseudonymise import build_hub
from cohorts.sources import read_sources

RULE = ObservedByRecords()
ON = date(2015, 1, 1)


def hub_of(source: object, *, observed: bool) -> tuple[Hub, Hub]:
    """Identified and pseudonymous."""
    intake = connect()
    read_sources(intake, {"s": source}, observed={"s": RULE} if observed else {})
    links = link(intake, threshold=0.95, seed=1)
    return intake, build_hub(intake, links, apply_consent(intake, links), key=bytes(range(32))).hub


def days_by_hand(resource: dict) -> list[str]:
    """The days on which a resource is a record, of the types and columns that Synthea writes."""
    period = resource.get("period", {})
    inpatient = resource.get("class", {}).get("code") in ("IMP", "ACUTE", "NONAC", "EMER")
    return {
        "Condition": [resource.get("onsetDateTime")],
        "Observation": [resource.get("effectiveDateTime")],
        "Procedure": [resource.get("performedPeriod", {}).get("start")],
        "Immunization": [resource.get("occurrenceDateTime")],
        "MedicationRequest": [resource.get("authoredOn")],
        "Encounter": [period.get("start"), *([period.get("end")] if inpatient else [])],
    }.get(resource["resourceType"], [])


def test_people_of_fhir_bundles_are_observed_from_their_first_to_their_last_record(data_file):
    folder = data_file("ehr_fhir_synthea")
    expected = {}
    for path in folder.glob("*.json.gz"):
        with gzip.open(path) as content:
            resources = [entry["resource"] for entry in json.load(content)["entry"]]
        who = next(r["id"] for r in resources if r["resourceType"] == "Patient")
        days = [date.fromisoformat(day[:10]) for r in resources for day in days_by_hand(r) if day]
        expected[who] = (min(days), max(days) + timedelta(days=1))
    intake, hub = hub_of(FhirSource(folder), observed=True)
    found = intake.connection.execute(
        'SELECT patient_id, start, "end" FROM intake.registrations JOIN intake.patients USING (record)'
    ).fetchall()
    assert {who: (start, end) for who, start, end in found} == expected
    here = sum(start <= ON < end for start, end in expected.values())
    people = population(hub, on=ON, age=(0, 120), registered_days=0)
    gone = people.attrition.set_index("step")["removed"]
    assert here - len(people.persons) <= gone["alive on the index date"] + gone["born by the index date"]
    assert len(people.persons) > 20


def test_omop_has_observation_periods_and_records_do_not_stand_in_for_them(data_file, tmp_path):
    with zipfile.ZipFile(data_file("ehr_synthea27_omop/Synthea27Nj_5.4.zip")) as packed:
        packed.extractall(tmp_path)
    with pytest.raises(InputError, match="the source itself says"):
        hub_of(OmopSource(tmp_path), observed=True)
    intake, _ = hub_of(OmopSource(tmp_path), observed=False)
    file = next(p for p in tmp_path.rglob("*.csv") if p.stem.lower() == "observation_period")
    periods = pd.read_csv(file).rename(columns=str.lower)
    found = intake.frame(
        'SELECT min(start) AS first, max("end") AS last, count(*) AS n FROM intake.registrations'
    )
    starts, ends = (pd.to_datetime(periods[f"observation_period_{end}_date"]) for end in ("start", "end"))
    assert found["n"][0] == len(periods)
    assert found["first"][0] == starts.min()
    assert found["last"][0] == ends.max() + pd.Timedelta(days=1)
