"""Reading records at the size of a region: `python -m tests.benchmarks.bench_records make|run FOLDER [options]`.

`make` writes invented patients and events as Parquet. `run` reads them into an identified database of 1 GB memory, in
a process of its own, and prints rows a second, processor time, peak memory and the size of the database.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cohorts.hub import connect
from cohorts.sources import read_sources
from cohorts.table_source import TableSource

PART = 2_000_000


def make(folder: Path, people: int, events: int) -> None:
    """Patients without names, and events spread over them; one in eight lies after the end of the records."""
    rng = np.random.default_rng(1)
    folder.mkdir(parents=True, exist_ok=True)
    who = pa.array([f"P{i:07d}" for i in range(people)])
    born = pa.array(rng.integers(-20_000, 10_000, people).astype(np.int32)).cast(pa.date32())
    sex = pa.array(["F", "M"]).take(pa.array(rng.integers(0, 2, people)))
    patients = {"patient_id": who, "birth_date": born, "sex": sex}
    pq.write_table(pa.table(patients), folder / "patients.parquet")
    codes = pa.array([str(10_000_000 + 7 * i) for i in range(5000)])
    writer = None
    for start in range(0, events, PART):
        rows = min(PART, events - start)
        table = pa.table(
            {
                "patient_id": who.take(pa.array(rng.integers(0, people, rows))),
                "date": pa.array(rng.integers(8000, 18_000, rows).astype(np.int32)).cast(pa.date32()),
                "code": codes.take(pa.array(rng.integers(0, len(codes), rows))),
                "value": pa.array(np.round(rng.random(rows) * 100, 1), mask=rng.random(rows) < 0.6),
                "unit": pa.array(["mmol/L"]).take(pa.array(np.zeros(rows, np.int64))),
            }
        )
        writer = writer or pq.ParquetWriter(folder / "events.parquet", table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def run(folder: Path) -> None:
    """Read the files and print what it took."""
    nothing = dict.fromkeys(["nhs_number", "given_name", "family_name", "postcode"])
    tables = {
        "patients": TableSource(folder / "patients.parquet", columns=nothing),
        "events": TableSource(folder / "events.parquet", constants={"system": "snomed"}),
    }
    scratch = folder / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    begun, busy = time.perf_counter(), time.process_time()
    hub = connect(scratch / "identified.duckdb", memory_limit="1GB", threads=2, spill=scratch / "spill")
    intake = read_sources(hub, {"gp": tables}, until="2015-12-31")
    seconds, busy = time.perf_counter() - begun, time.process_time() - busy
    hub.close()
    rows = int(intake.counts["read"].sum())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    size = (scratch / "identified.duckdb").stat().st_size / 1e6
    print(intake.counts.to_string(index=False))
    print(
        f"{rows:,} rows in {seconds:.0f} s ({rows / seconds:,.0f} a second), {busy:.0f} s of processor, "
        f"peak {peak:,.0f} MB, database {size:,.0f} MB"
    )
    shutil.rmtree(scratch)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["make", "run"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--people", type=int, default=3_000_000)
    parser.add_argument("--events", type=int, default=60_000_000)
    given = parser.parse_args()
    if given.what == "make":
        make(given.folder, given.people, given.events)
    else:
        run(given.folder)
