"""The catalogue on records in American codes: invented people of Synthea, in the layouts of OMOP and FHIR.

What Synthea's modules made somebody ill with is known by the one SNOMED code that each writes. Counts are of invented
people, so that small ones may stand here. The table is in tests/validation/README.md.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from cohorts.hub import connect, create_hub_tables
from cohorts.models import FhirSource, OmopSource
from cohorts.sources import read_sources
from phenotypes import derive, library
from phenotypes.codelist import CodeList

INDEX, DATA_END = date(2019, 1, 1), date(2023, 12, 31)
#: Columns that this dump of Eunomia names by the SQL that made them.
EUNOMIA = {
    table: {name: f"date({name},'unixepoch')" for name in names}
    for table, names in {
        "person": ["birth_datetime"],
        "observation_period": ["observation_period_start_date", "observation_period_end_date"],
        "observation": ["observation_date"],
        "procedure_occurrence": ["procedure_date"],
        "visit_occurrence": ["visit_start_date"],
    }.items()
}
#: Cases by entry; of the entries that are not named nobody is one.
FOUND: dict[str, dict[str, int]] = {
    "synthea27": {
        "chronic_kidney_disease": 4, "coronary_disease": 2, "dementia": 1, "diabetes_cardiovascular_disease": 1,
        "diabetic_nephropathy": 1, "diabetic_retinopathy": 1, "heart_failure": 1, "hypertension": 5, "stroke": 1,
        "type_2_diabetes": 1,
    },
    "eunomia": {
        "asthma": 4, "atrial_fibrillation": 137, "copd": 78, "coronary_disease": 192, "dementia": 136, "stroke": 224,
    },
    "fhir": {"colorectal_cancer": 1, "coronary_disease": 3, "hypertension": 10},
}  # fmt: skip
#: Codes by which Synthea says who is ill.
MADE_ILL: dict[str, set[str]] = {
    "type_2_diabetes": {"44054006"},
    "hypertension": {"59621000", "38341003"},
    "coronary_disease": {"53741008", "22298006"},
    "heart_failure": {"88805009"},
    "stroke": {"230690007"},
    "atrial_fibrillation": {"49436004"},
    "dementia": {"26929004", "230265002"},
    "diabetic_retinopathy": {"422034002"},
    "diabetic_nephropathy": {"127013003"},
    "colorectal_cancer": {"93761005", "109838007", "363406005"},
}


@pytest.fixture(scope="module")
def records(data_file: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """One hub of the three, each a source whose name no rule knows; the catalogue derived once for all."""
    folder = tmp_path_factory.mktemp("omop")
    with zipfile.ZipFile(data_file("ehr_synthea27_omop/Synthea27Nj_5.4.zip")) as packed:
        packed.extractall(folder)
    eunomia = data_file("ehr_eunomia_gibleed")
    intake, hub = connect(), connect()
    read_sources(
        intake,
        {
            "synthea27": OmopSource(folder),
            "eunomia": OmopSource(eunomia, columns=EUNOMIA),
            "fhir": FhirSource(data_file("ehr_fhir_synthea"), eunomia),
        },
    )
    create_hub_tables(hub)
    rows = intake.frame(
        "SELECT record, date, source, coalesce(kind, 'event'), system, code, value, unit FROM intake.events UNION ALL "
        "SELECT record, date, source, 'prescription', system, code, NULL, NULL FROM intake.prescriptions"
    )
    hub.connection.register("given", rows)
    hub.connection.execute("INSERT INTO events SELECT row_number() OVER (), * FROM given")
    people = intake.frame(
        "SELECT record AS person_id, source, patient_id, sex, birth_date FROM intake.patients ORDER BY record"
    )
    definitions = {entry: library.load(entry).phenotype for entry in library.names()}
    derived = derive(hub, people, index_date=INDEX, data_end=DATA_END, phenotypes=definitions)
    cases = derived.long[derived.long["status"] == "case"].merge(people, on="person_id")
    coded = hub.frame("SELECT DISTINCT person_id, source, kind, system, code FROM events")
    return SimpleNamespace(people=people.set_index("person_id"), cases=cases, coded=coded)


@pytest.mark.parametrize("name", sorted(FOUND))
def test_the_catalogue_finds_whom_synthea_made_ill(name: str, records: SimpleNamespace) -> None:
    cases = records.cases[records.cases["source"] == name]
    assert cases["phenotype"].value_counts().loc[lambda n: n > 0].to_dict() == FOUND[name]
    coded = records.coded[(records.coded["source"] == name) & (records.coded["system"] == "snomed")]
    for entry, codes in MADE_ILL.items():
        ill = set(coded.loc[coded["code"].isin(codes), "person_id"])
        assert ill <= set(cases.loc[cases["phenotype"] == entry, "person_id"]), entry


def test_an_ingredient_of_the_catalogue_means_the_products_that_are_named_after_it(
    records: SimpleNamespace, data_file: Callable[[str], Path]
) -> None:
    folder = data_file("ehr_eunomia_gibleed")
    concepts, drugs = (
        pd.read_csv(folder / f"{table}.csv.gz", dtype=str).rename(columns=str.lower)
        for table in ("concept", "drug_exposure")
    )
    drugs = drugs.merge(concepts, left_on="drug_concept_id", right_on="concept_id")
    events = prescribed(records, "eunomia")
    compared = 0
    for path in sorted(library.CATALOGUE.glob("*/codes/*.csv")):
        codes = {e.code for e in CodeList.read(path).entries if e.system == "rxnorm"}
        named = concepts[concepts["vocabulary_id"].eq("RxNorm") & concepts["concept_code"].isin(codes)]
        named = named.loc[named["concept_class_id"].eq("Ingredient"), "concept_name"]
        if named.empty:
            continue
        words = "|".join(map(re.escape, named))
        by_name = drugs.loc[drugs["concept_name"].str.contains(words, case=False), "person_id"]
        found = events.loc[events["code"].isin(codes), "person_id"].unique()
        assert set(records.people.loc[found, "patient_id"]) == set(by_name), path.stem
        compared += len(found)
    assert compared > 600


def test_fhir_medicines_have_ingredients_by_a_vocabulary_beside_them(records: SimpleNamespace) -> None:
    drugs = prescribed(records, "fhir")
    sprayed = set(drugs.loc[drugs["code"] == "705129", "person_id"])
    nitrates = CodeList.read(library.CATALOGUE / "coronary_disease" / "codes" / "nitrates.csv")
    assert set(drugs.loc[drugs["code"].map(lambda c: nitrates.matches("rxnorm", c)), "person_id"]) == sprayed
    assert len(sprayed) == 3


def prescribed(records: SimpleNamespace, source: str) -> pd.DataFrame:
    coded = records.coded
    return coded[
        (coded["source"] == source) & (coded["kind"] == "prescription") & (coded["system"] == "rxnorm")
    ]
