"""Traits and exposures of data as published, against plain pandas."""

from __future__ import annotations

import zipfile
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import TypeAdapter

from cohorts.hub import connect, create_hub_tables
from cohorts.models import OmopSource
from cohorts.residence import deprivation, exposure
from cohorts.sources import read_sources
from phenotypes.codelist import CodeList
from phenotypes.derivation import derive
from phenotypes.spec import TraitSpec

TRAITS: TypeAdapter[Any] = TypeAdapter(TraitSpec)
#: Name, LOINC code, unit asked for, and how many of it one of the file's is.
ASKED = [
    ("weight", "29463-7", "lb", 1 / 0.45359237),
    ("height", "8302-2", "in", 1 / 2.54),
    ("cholesterol", "2093-3", "mmol/L", 1 / 38.67),
    ("triglycerides", "2571-8", "mmol/L", 1 / 88.57),
    ("hba1c", "4548-4", "%", 1.0),
    ("haemoglobin", "718-7", "g/L", 10.0),
    ("bmi", "39156-5", "kg/m2", 1.0),
    ("sbp", "8480-6", "mmHg", 1.0),
    ("calcium", "49765-1", "mmol/L", 0.2495),
    ("urea_nitrogen", "6299-2", "mmol/L", 1 / 2.801),
]


@pytest.fixture(scope="module")
def synthea(data_file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("omop")
    with zipfile.ZipFile(data_file("ehr_synthea27_omop/Synthea27Nj_5.4.zip")) as packed:
        packed.extractall(folder)
    intake = connect()
    read_sources(intake, {"s": OmopSource(folder)})
    hub = connect()
    create_hub_tables(hub)
    people = intake.frame("SELECT record, patient_id, sex, birth_date FROM intake.patients ORDER BY record")
    events = intake.frame("SELECT * FROM intake.events")
    hub.connection.register("given", events)
    hub.connection.execute(
        "INSERT INTO events SELECT row_number() OVER (), record, date, 's', 'event', system, code, value, unit "
        "FROM given"
    )
    measured = pd.read_csv(folder / "MEASUREMENT.csv", dtype=str).rename(columns=str.lower)
    concepts = pd.read_csv(folder / "CONCEPT.csv", dtype=str, sep=None, engine="python").rename(
        columns=str.lower
    )
    codes = concepts.drop_duplicates("concept_id").set_index("concept_id")["concept_code"]
    measured["code"] = measured["measurement_concept_id"].map(codes)
    return hub, people.rename(columns={"record": "person_id"}), measured


def test_traits_of_synthea_agree_with_pandas(synthea):
    hub, persons, measured = synthea
    lists = {name: CodeList.of(name, [("loinc", code)]) for name, code, *_ in ASKED}
    traits = {
        f"{name}_{pick}": TRAITS.validate_python(
            {"label": name, "codes": name, "unit": unit, "pick": pick, "plausible": [-1e6, 1e6]}
        )
        for name, _, unit, *_ in ASKED
        for pick in ("median", "slope", "last", "count")
    }
    derived = derive(
        hub, persons, index_date=date(2010, 1, 1), data_end=date(2100, 1, 1), traits=traits, codelists=lists
    )
    wide = derived.wide.set_index("person_id")
    patient = persons.set_index("patient_id")["person_id"]
    tally = derived.diagnostics.traits.set_index("trait")
    compared = 0
    for name, code, _, times in ASKED:
        rows = measured[(measured["code"] == code) & measured["value_as_number"].notna()].copy()
        rows["value"] = rows["value_as_number"].astype(float) * times
        rows["day"] = pd.to_datetime(rows["measurement_date"])
        rows["who"] = rows["person_id"].map(patient)
        assert tally.loc[f"{name}_median", "read"] == (measured["code"] == code).sum() > 0, name
        assert tally.loc[f"{name}_median", ["unknown_unit", "implausible"]].sum() == 0, name
        if times != 1.0:
            assert tally.loc[f"{name}_median", "converted"] == tally.loc[f"{name}_median", "used"]
        different = rows.drop_duplicates(["who", "day", "value_as_number"])
        days = different.groupby(["who", "day"])["value"].median().reset_index()
        for who, one in days.groupby("who"):
            found = {pick: wide.loc[who, f"{name}_{pick}"] for pick in ("median", "last", "slope", "count")}
            x = (one["day"] - one["day"].min()).dt.days.to_numpy()
            slope = np.polyfit(x, one["value"], 1)[0] * 365.25 if len(one) > 1 else np.nan
            expected = [one["value"].median(), one["value"].iloc[-1], slope, len(one)]
            np.testing.assert_allclose(list(found.values()), expected, rtol=1e-6, atol=1e-7)
            compared += 1
    assert compared > 100


def test_deprivation_and_a_surface_of_england_join_by_area(data_file):
    table = pd.read_csv(
        data_file("env_imd/imd2019_england_lsoa11.csv.gz"), usecols=["lsoa11_code", "IMD_decile"]
    )
    air = pd.read_csv(
        data_file("env_imd/imd2019_england_lsoa11_indicators.csv.gz"),
        usecols=["lsoa11_code", "nitrogen_dioxide_component_of_air_quality_indicator"],
    ).set_axis(["area", "no2_index"], axis=1)
    assert len(table) == 32_844
    hub = connect()
    create_hub_tables(hub)
    hub.connection.register("given", table)
    hub.connection.execute("INSERT INTO deprivation SELECT lsoa11_code, IMD_decile::INTEGER FROM given")
    rng = np.random.default_rng(1)
    homes = rng.choice(table["lsoa11_code"], (500, 2))
    moved = date(2015, 7, 2)
    rows = [
        row
        for who, (one, other) in enumerate(homes)
        for row in ((who, one, date(2000, 1, 1), moved), (who, other, moved, date(9999, 12, 31)))
    ]
    hub.connection.executemany("INSERT INTO addresses VALUES (?, ?, ?, ?)", rows)
    persons = pd.DataFrame({"person_id": range(500)})
    deciles = table.set_index("lsoa11_code")["IMD_decile"]
    for on, column in ((date(2015, 7, 1), 0), (moved, 1)):
        found = deprivation(hub, persons, on=on)["imd_decile"]
        assert found.astype(float).tolist() == deciles[homes[:, column]].tolist()
    surface = air.assign(year=2015)
    found = exposure(
        hub, persons, on=date(2016, 1, 1), pollutant="no2_index", window_years=1, surface=surface
    )
    level = air.set_index("area")["no2_index"]
    expected = (182 * level[homes[:, 0]].to_numpy() + 183 * level[homes[:, 1]].to_numpy()) / 365
    np.testing.assert_allclose(found["value"], expected, rtol=1e-9)
