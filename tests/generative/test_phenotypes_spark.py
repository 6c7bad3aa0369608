"""Generated hubs and definitions: Spark gives what DuckDB and the plain reference give.

A Spark job costs a fraction of a second however little it does, so that each example holds many: some hundred
people made as for the other engines, and several definitions of each kind, derived at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cohorts.errors import InputError
from phenotypes import reference
from phenotypes.definitions import Entry, NumericTrait, Outcome, Phenotype
from phenotypes.derivation import Derived, derive
from phenotypes.evidence import trace
from phenotypes.rules import any_of, has, prescribed
from phenotypes.worked import hub_of

# How hubs and definitions are made is said beside this file; tests are no package.
_BESIDE = spec_from_file_location("engines", Path(__file__).with_name("test_phenotypes_engines.py"))
assert _BESIDE is not None
assert _BESIDE.loader is not None
engines = module_from_spec(_BESIDE)
_BESIDE.loader.exec_module(engines)
INDEX, DATA_END, END_DAY = engines.INDEX, engines.DATA_END, engines.END_DAY

# Small data: what takes the time is starting tasks and compiling queries.
SMALL = {
    "spark.sql.shuffle.partitions": "1",
    "spark.default.parallelism": "1",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}


#: What depends on repeated measurements, and on a day of entry of each person's own; chance may miss them.
REPEATED = [
    NumericTrait("t", tuple(engines.LISTS[:3]), "mmol/mol", (1.0, 200.0), pick=pick, analyte="hba1c", **more)
    for pick, more in (
        ("slope", {"blank_unit": "assume"}),
        ("slope", {"blank_unit": "assume", "at_least": 3, "shrink": True}),
        ("sd", {"span_days": 2}),
        ("count", {}),
    )
]
#: An age on the day and a kind of record, of which chance may draw neither.
AGED = Phenotype(
    "p",
    any_of(
        has(engines.LISTS[0], kinds=["event", "diagnosis"]).aged(52),
        has(engines.LISTS[2], kinds=["contact"]).aged(None, 52),
    ),
)
DELAYED = Outcome(
    "o",
    has(engines.LISTS[0]),
    washout_days=5,
    entry=Entry(registered_days=3, age=52),
    landmark_days=1,
    until_age=53,
    competing_events=(("other", has(engines.LISTS[2])), ("drug", prescribed(engines.LISTS[3]))),
)


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    pytest.importorskip("pyspark")
    from cohorts.spark import start_spark

    with start_spark(
        "local[2]", scratch=tmp_path_factory.mktemp("spark"), memory="1g", settings=SMALL
    ) as started:
        yield started


def _on_spark(spark: Any, hub: Any, folder: Path) -> Any:
    from phenotypes.spark_session import SparkHub

    folder.mkdir()
    for name in ("events", "registrations", "deaths", "people"):
        pq.write_table(
            hub.connection.execute(f"SELECT * FROM {name}").to_arrow_table(), folder / f"{name}.parquet"
        )
    return SparkHub.read(spark, folder)


def _assert_same(one: Derived, other: Derived) -> None:
    pd.testing.assert_frame_equal(one.long, other.long)
    pd.testing.assert_frame_equal(one.wide, other.wide, rtol=1e-12)
    keys = ["outcome", "person_id"]
    pd.testing.assert_frame_equal(one.survival.sort_values(keys), other.survival.sort_values(keys))
    for table in ("statuses", "codes", "traits", "outcomes", "notes"):
        found, wanted = getattr(one.diagnostics, table), getattr(other.diagnostics, table)
        pd.testing.assert_frame_equal(found, wanted, check_dtype=False)


def _named(definitions: list[Any], letter: str) -> dict[str, Any]:
    return {f"{letter}{i}": definition for i, definition in enumerate(definitions)}


@pytest.mark.slow
def test_spark_equals_duckdb_and_the_reference(spark: Any, tmp_path: Path) -> None:
    numbers = iter(range(100))

    @settings(engines.FEW, max_examples=2)
    @given(
        st.lists(engines.populations, min_size=3, max_size=3),
        st.lists(engines.phenotypes, min_size=7, max_size=7),
        st.lists(engines.numeric_traits, min_size=2, max_size=2),
        st.lists(engines.outcomes, min_size=2, max_size=2),
    )
    def check(populations: list[Any], phenotypes: list[Any], traits: list[Any], outcomes: list[Any]) -> None:
        people = [person for population in populations for person in population]
        hub, persons = hub_of(people)
        asked = {
            "index_date": INDEX,
            "data_end": DATA_END,
            "phenotypes": _named([*phenotypes, AGED], "p"),
            "traits": _named([*traits, *REPEATED], "t"),
            "outcomes": _named([*outcomes, DELAYED], "o"),
        }
        with hub:
            by_duckdb = derive(hub, persons, **asked)
            by_spark = derive(_on_spark(spark, hub, tmp_path / str(next(numbers))), persons, **asked)
        _assert_same(by_spark, by_duckdb)
        for name, phenotype in asked["phenotypes"].items():
            rows = by_spark.statuses_of(name)
            for person, row in zip(people, rows.itertuples(), strict=True):
                day = None if pd.isna(row.first_date) else (row.first_date.date() - INDEX).days
                plain = reference.status(phenotype, person, INDEX, END_DAY)
                assert (row.status, day, row.n_dates) == plain
        for name, trait in asked["traits"].items():
            if trait.shrink:
                assert by_spark.wide[name].notna().sum() > 3
                continue
            plain = [reference.trait_value(trait, person, INDEX, END_DAY) for person in people]
            expected = np.array([np.nan if value is None else value for value in plain])
            np.testing.assert_allclose(by_spark.wide[name].to_numpy(), expected, rtol=1e-9, atol=1e-6)
        for name, outcome in asked["outcomes"].items():
            rows = by_spark.survival[by_spark.survival["outcome"] == name].set_index("person_id")
            for who, person in enumerate(people):
                plain = reference.survival(outcome, person, INDEX, END_DAY)
                assert isinstance(plain, str) == (who not in rows.index)
                if not isinstance(plain, str):
                    row = rows.loc[who]
                    begin, end = ((row[when].date() - INDEX).days for when in ("entry", "exit"))
                    assert reference.Followed(begin, end, row["state"], row["cause"]) == plain

    check()


@pytest.mark.slow
def test_a_spark_hub_is_traced_cached_and_left_as_it_was(spark: Any, tmp_path: Path) -> None:
    hub, persons = hub_of(engines._population(7))
    gout = {"p": Phenotype("p", has(engines.LISTS[0]))}
    store: dict[str, Any] = {}
    with hub:
        on_spark = _on_spark(spark, hub, tmp_path / "hub")
        first = derive(on_spark, persons, index_date=INDEX, phenotypes=gout, cache=store)
        assert first.reused == ()
        _assert_same(first, derive(hub, persons, index_date=INDEX, phenotypes=gout))
        assert derive(on_spark, persons, index_date=INDEX, phenotypes=gout, cache=store).reused
        case = int(first.long.loc[first.long["status"] == "case", "person_id"].iloc[0])
        there, here = (trace(gout["p"], h, case, index_date=INDEX, persons=persons) for h in (on_spark, hub))
    assert (there.status, there.day, there.roles) == (here.status, here.day, here.roles)
    assert spark.catalog.listTables() == []


@pytest.mark.slow
def test_a_folder_without_the_tables_is_refused(spark: Any, tmp_path: Path) -> None:
    from phenotypes.spark_session import SparkHub

    with pytest.raises(InputError, match="no events and no registrations and no deaths"):
        SparkHub.read(spark, tmp_path)


def test_nothing_of_spark_is_loaded_without_spark() -> None:
    import subprocess
    import sys

    script = (
        "import sys; import phenotypes.derivation, phenotypes.evidence, phenotypes.spark_session, cohorts.spark;"
        "print([m for m in sys.modules if m.split('.')[0] in ('pyspark', 'py4j')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
