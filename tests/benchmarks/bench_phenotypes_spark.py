"""The catalogue and ten traits on DuckDB and on Spark (``local[2]``), from one hub: wall clock, and whether they agree.

``python bench_phenotypes_spark.py HUB.duckdb FOLDER [MEMORY]``: a hub such as ``workflows.synth.write_hub`` makes, a
folder for its tables as Parquet and for what does not fit in memory, and the memory of DuckDB and of Java (4g).
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from bench_phenotypes import END, INDEX, told, traits

from cohorts.hub import connect
from cohorts.spark import start_spark
from phenotypes import library
from phenotypes.cache import RECORDS
from phenotypes.derivation import Derived, derive
from phenotypes.spark_session import SparkHub


def agree(one: Derived, other: Derived) -> None:
    """Stop where statuses, dates, counts or values differ."""
    for name, found in one.statuses.items():
        wanted = other.statuses[name]
        for part in ("status", "day", "n_dates"):
            np.testing.assert_array_equal(getattr(found, part), getattr(wanted, part), err_msg=name)
    pd.testing.assert_frame_equal(one.wide, other.wide, rtol=1e-9)


def main(path: str, folder: str, memory: str = "4g") -> None:
    """Run the benchmark."""
    tables, spill = Path(folder) / "tables", Path(folder) / "spill"
    for place in (tables, spill):
        place.mkdir(parents=True, exist_ok=True)
    phenotypes = {name: library.load(name).phenotype for name in library.names()}
    asked = {"index_date": INDEX, "data_end": END, "phenotypes": phenotypes, "traits": traits()}
    with connect(
        path, memory_limit=f"{memory[:-1]}GB", threads=2, spill=spill / "duckdb", read_only=True
    ) as hub:
        persons = hub.frame("SELECT person_id, sex, birth_date FROM people ORDER BY person_id")
        events = int(hub.frame("SELECT count(*) AS n FROM events")["n"][0])
        print(f"{len(persons):,} people, {events:,} events, {len(phenotypes)} phenotypes", flush=True)
        with told("DuckDB"):
            by_duckdb = derive(hub, persons, **asked)
        with told("tables to Parquet"):
            for table in RECORDS:
                hub.connection.execute(f"COPY {table} TO '{tables / table}.parquet' (FORMAT parquet)")
    with (
        start_spark("local[2]", scratch=spill, memory=memory) as spark,
        told("Spark (the processor told is this process's own)"),
    ):
        by_spark = derive(SparkHub.read(spark, tables), persons, **asked)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"Java and its workers, their start among it: {used.ru_utime + used.ru_stime:.1f} s CPU", flush=True
    )
    agree(by_spark, by_duckdb)
    print("the same answers")


if __name__ == "__main__":
    main(*sys.argv[1:])
