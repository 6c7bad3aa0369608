"""Everybody's statuses as Parquet: what is read is what was derived, in groups of rows that fit in memory."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from phenotypes.codelist import CodeList
from phenotypes.definitions import Phenotype
from phenotypes.derivation import Derived, derive
from phenotypes.rules import has
from phenotypes.worked import hub_of, patients
from workflows import results

PEOPLE = patients(
    """
    who | date       | code
    amy | 2010-05-01 | icd10 M100
    amy | 2011-05-01 | icd10 M100
    ben | 2013-05-01 | icd10 I10
    cat |            |
    """
)


@pytest.fixture
def derived() -> Derived:
    hub, persons = hub_of(PEOPLE.values())
    rules = {
        name: Phenotype(name, has(CodeList.of(name, [("icd10", code)])))
        for name, code in (("gout", "M10*"), ("pressure", "I10"), ("nobody", "Z99"))
    }
    with hub:
        return derive(hub, persons, index_date=date(2012, 1, 1), phenotypes=rules)


def test_what_is_read_is_what_was_derived(derived: Derived, tmp_path: Path) -> None:
    results.write_statuses(tmp_path / "phenotypes.parquet", derived)
    read = pd.read_parquet(tmp_path / "phenotypes.parquet")
    pd.testing.assert_frame_equal(
        read.astype({"phenotype": str, "status": str, "first_date": "datetime64[ns]"}),
        derived.long.astype({"phenotype": str, "status": str, "first_date": "datetime64[ns]"}),
    )
    assert read["status"].value_counts()["case"] == 2
    assert (tmp_path / "phenotypes.parquet").stat().st_mode & 0o777 == 0o600


def test_texts_are_dictionaries_and_each_phenotype_has_its_groups_of_rows(
    derived: Derived, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "ROWS", 2)
    results.write_statuses(tmp_path / "phenotypes.parquet", derived)
    file = pq.ParquetFile(tmp_path / "phenotypes.parquet")
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [2, 1] * 3
    assert pa.types.is_dictionary(file.schema_arrow.field("phenotype").type)
    assert pa.types.is_dictionary(file.schema_arrow.field("status").type)
    only = pq.read_table(tmp_path / "phenotypes.parquet", filters=[("phenotype", "=", "gout")])
    assert only.num_rows == 3


def test_no_phenotypes_leave_a_table_with_its_columns(tmp_path: Path) -> None:
    hub, persons = hub_of(PEOPLE.values())
    with hub:
        nothing = derive(hub, persons, index_date=date(2012, 1, 1), phenotypes={})
    results.write_statuses(tmp_path / "phenotypes.parquet", nothing)
    read = pd.read_parquet(tmp_path / "phenotypes.parquet")
    assert read.empty
    assert list(read) == ["person_id", "phenotype", "status", "first_date", "n_dates"]
