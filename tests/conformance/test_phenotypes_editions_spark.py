"""Editions of ICD-10 mean on Spark what they mean on DuckDB: in derivations, phecodes and comorbidity."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

pytest.importorskip("pyspark")

from cohorts.hub import connect, create_hub_tables
from phenotypes import CodeList, Phenotype, comorbidity, derive, has
from phenotypes.comorbidities import read_index
from phenotypes.phecode_map import PhecodeMap
from phenotypes.phenome import phecodes
from phenotypes.session import HubLike
from workflows.deriving import engine_hub

CODES = ["B59", "B485", "B48", "U073", "U08", "U089"]


@pytest.mark.slow
def test_moved_codes_are_found_on_spark_as_on_duckdb(tmp_path: Path) -> None:
    (tmp_path / "map.csv").write_text(
        "vocabulary_id,code,phecode\nICD10,B48.5,076\nICD10,B48,117\nICD10,U08,500\n"
    )
    (tmp_path / "index.csv").write_text("condition,system,code\nlungs,icd10,B48.5\nold,icd10,U07.3\n")
    maps, index = PhecodeMap.read(tmp_path / "map.csv"), read_index(tmp_path / "index.csv")
    sources = {"plain": None, "nhs": "2016", "who": "2019"}
    with connect() as hub:
        create_hub_tables(hub)
        rows = [(source, code) for source in sources for code in CODES]
        for i, (source, code) in enumerate(rows):
            hub.connection.execute("INSERT INTO people VALUES (?, 'F', DATE '1950-01-01')", [i])
            hub.connection.execute(
                "INSERT INTO events VALUES (?, ?, DATE '2010-01-01', ?, 'diagnosis', 'icd10', ?, NULL, NULL)",
                [i, i, source, code],
            )
        for source, edition in sources.items():
            hub.connection.execute("INSERT INTO sources VALUES (?, ?, NULL)", [source, edition])
        persons = hub.frame("SELECT person_id, sex, birth_date FROM people ORDER BY person_id")
        lists = {"exact": ["B48.5", "U08*"], "wide": ["B48*"]}
        asked = {
            name: Phenotype(name, has(CodeList.of(name, [("icd10", c) for c in codes], edition="2019")))
            for name, codes in lists.items()
        }
        study = SimpleNamespace(records=SimpleNamespace(engine="spark", spark_master="local[2]"))

        def answers(on: HubLike) -> tuple[pd.DataFrame, ...]:
            days = {"index_date": date(2012, 1, 1), "data_end": date(2020, 1, 1)}
            return (
                derive(on, persons, phenotypes=asked, **days).wide,
                phecodes(on, maps, persons, min_dates=1).long,
                comorbidity(on, persons, on=date(2012, 1, 1), index=index),
            )

        found = [answers(hub)]
        with engine_hub(study, hub, tmp_path) as on_spark:  # type: ignore[arg-type]
            found.append(answers(on_spark))
    for here, there in zip(*found, strict=True):
        assert here.astype(str).equals(there.astype(str))
    wide, long, conditions = found[0]
    assert wide["exact"].sum() == 11
    assert wide["wide"].sum() == 7
    nhs = rows.index(("nhs", "B59"))
    assert "076" in set(long.loc[long["person_id"] == nhs, "phecode"])
    assert conditions["lungs"].sum() == 4
