"""Exposures in a study file: what they may say, and the columns they become."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import workflows
from cohorts.errors import StudyError
from cohorts.residence import deprivation, exposure
from cohorts.synthetic import RegionConfig
from phenotypes.codelist import CodeList
from phenotypes.definitions import Entry, Outcome
from phenotypes.derivation import derive
from phenotypes.rules import has
from workflows.exposures import ExposureSpec, exposure_column
from workflows.study_file import read_study
from workflows.synth import write_hub

DEMO = Path(workflows.__file__).parent / "demo" / "study.yaml"
ON = date(2012, 1, 1)


@pytest.fixture(scope="module")
def region(tmp_path_factory):
    from cohorts.hub import connect

    folder = tmp_path_factory.mktemp("region")
    write_hub(RegionConfig(people=600, genotyped=50, variants=1000), folder)
    with connect(next(folder.rglob("*.duckdb")), read_only=True) as hub:
        yield hub, hub.frame("SELECT person_id, sex, birth_date FROM people ORDER BY person_id")


def declared(tmp_path: Path, lines: str) -> Path:
    text = DEMO.read_text().replace("    pollutant: pm25\n    window_years: 5\n", lines)
    assert text != DEMO.read_text()
    path = tmp_path / "study.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_study_may_declare_surfaces_deprivation_and_the_day_of_entry(tmp_path):
    lines = (
        "    surface: air/soot.parquet\n    pollutant: soot\n    lag_years: 1\n    min_coverage: 0.5\n"
        "    fill_years: 2\n    at: chd_10y\n    unit: ng/m³\n"
        "  imd:\n    kind: deprivation\n"
    )
    text = declared(tmp_path, lines).read_text().replace("t2d_before, pm25]", "t2d_before]")
    (tmp_path / "study.yaml").write_text(text, encoding="utf-8")
    study = read_study(tmp_path / "study.yaml")
    assert study.input_files()["exposures.pm25"] == tmp_path / "air/soot.parquet"
    assert (study.unit_of("pm25"), study.unit_of("imd"), study.unit_of("ldl")) == ("ng/m³", "", "mmol/L")
    said = study.exposures["pm25"].said("pm25")
    assert "mean of soot over 5 years" in said
    assert "1 years before the day of entry for chd_10y" in said
    assert "less than 50% of the days" in said
    assert "decile of deprivation" in study.exposures["imd"].said("imd")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("    pollutant: ozone\n", "name a surface for others"),
        ("    window_years: 5\n", "name the pollutant"),
        ("    pollutant: pm25\n    at: nowhere\n", "is not an outcome"),
        ("    pollutant: pm25\n    at: chd_10y\n", "after the index date"),
        ("    kind: deprivation\n    window_years: 3\n", "home on the day"),
        ("    pollutant: pm25\n    min_coverage: 2\n", "less than or equal to 1"),
        ("    pollutant: pm25\n  bmi:\n    pollutant: no2\n", "has this name already"),
    ],
)
def test_what_an_exposure_cannot_be_is_refused(tmp_path, lines, message):
    with pytest.raises(StudyError, match=message):
        read_study(declared(tmp_path, lines))


def test_columns_follow_the_people_and_the_day_of_entry(region):
    hub, persons = region
    outcome = Outcome("o", has(CodeList.of("any", [("icd10", "I10")])), years=8, entry=Entry(365, 40))
    survival = derive(hub, persons, index_date=ON, outcomes={"o": outcome}).survival
    assert survival["entry"].nunique() > 5
    plain = {"kind": "pollution", "pollutant": "pm25", "window_years": 2.0}
    at_index = exposure_column(ExposureSpec(**plain), hub, persons, survival, index_date=ON)
    at_entry = exposure_column(ExposureSpec(**plain, at="o"), hub, persons, survival, index_date=ON)
    assert at_index.index.tolist() == at_entry.index.tolist() == persons["person_id"].tolist()
    direct = exposure(hub, survival, on=survival["entry"], pollutant="pm25", window_years=2)
    np.testing.assert_array_equal(at_entry[survival["person_id"]], direct["value"])
    assert at_entry.drop(survival["person_id"]).isna().all()
    same = survival.loc[survival["entry"] == pd.Timestamp(ON), "person_id"]
    np.testing.assert_array_equal(at_entry[same], at_index[same])
    deciles = exposure_column(ExposureSpec(kind="deprivation"), hub, persons, survival, index_date=ON)
    expected = deprivation(hub, persons, on=ON)["imd_decile"].to_numpy("float64", na_value=np.nan)
    np.testing.assert_array_equal(deciles, expected)
    assert deciles.dropna().between(1, 10).all()


def test_exposure_of_the_region_equals_a_walk_through_the_days(region):
    hub, persons = region
    some = persons.head(60)
    found = exposure(hub, some, on=ON, pollutant="no2", window_years=3, lag_years=1).set_index("person_id")
    rows = hub.connection.execute('SELECT person_id, area, start, "end" FROM addresses').fetchall()
    addresses: dict[int, list] = {}
    for person, *home in rows:
        addresses.setdefault(person, []).append(home)
    window = [date(2008, 1, 1) + timedelta(i) for i in range(1096)]
    levels = hub.frame("SELECT area, year, no2 FROM pollution").set_index(["area", "year"])["no2"].to_dict()
    moved = 0
    for person in some["person_id"]:
        homes = addresses.get(person, [])
        values = []
        for day in window:
            here = [(start, area) for area, start, end in homes if start <= day < end]
            values += [levels[max(here)[1], day.year]] if here else []
        moved += len(set(values)) > 3
        expected = np.mean(values) if values else np.nan
        np.testing.assert_allclose(found.loc[person], [expected, len(values) / 1096], rtol=1e-9)
    assert moved > 3
