"""The phecode matrix of a big hub, by phecode X and phecode 1.2: wall clock, processor, memory.

``python bench_phecodes.py HUB.duckdb MAPS SPILL X|1.2 [MEMORY]``: a hub such as ``workflows.synth.write_hub`` makes,
the folder of the published maps (``phetk_phecodeX_WHO.csv.gz``; ``phecode_map_icd10.csv.gz``, ``pheinfo.csv.gz`` and
``phecode_exclude.csv.gz``), a folder for rows that do not fit in memory, which version, and DuckDB's memory limit
(4GB). A process a version, so that peak memory is its own. ``python bench_phecodes.py make HUB.duckdb MAPS SPILL``
makes a hub of 3,000,000 people with twenty ICD-10 records each, drawn from the codes of the map of phecode X.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from cohorts.hub import connect, create_hub_tables
from phenotypes.phecode_map import PhecodeMap
from phenotypes.phenome import phecodes

PEOPLE, EACH, PARTS = 3_000_000, 20, 6


def make(path: str, maps: str, folder: str) -> None:
    """A hub of random ICD-10 records of one source that codes in the edition of 2016."""
    read = PhecodeMap.read(Path(maps) / "phetk_phecodeX_WHO.csv.gz")
    codes = sorted(set(read.codes["code"]))
    rows = PEOPLE * EACH // PARTS
    with connect(path, memory_limit="2GB", threads=2, spill=folder) as hub:
        create_hub_tables(hub)
        run = hub.connection.execute
        hub.connection.register("codes", pd.DataFrame({"n": range(len(codes)), "code": codes}))
        run("INSERT INTO sources VALUES ('apc', '2016', NULL)")
        run(
            f"INSERT INTO people SELECT range, if(range % 2 = 0, 'M', 'F'), DATE '1950-01-01' FROM range({PEOPLE})"
        )
        run("SELECT setseed(0.5)")
        for part in range(PARTS):
            run(
                f"""
                INSERT INTO events
                SELECT r, r // {EACH}, DATE '2000-01-01' + day, 'apc', 'diagnosis', 'icd10', code, NULL, NULL
                FROM (SELECT range + {part * rows} AS r, floor(random() * 7000)::INTEGER AS day,
                          floor(pow(random(), 3) * {len(codes)})::INTEGER AS n FROM range({rows}))
                JOIN codes USING (n)
                """
            )


@contextmanager
def told(what: str) -> Iterator[None]:
    """Print what a step took."""
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"{what:<32} {wall:7.1f} s wall {cpu:7.1f} s CPU {peak:6.2f} GB peak so far; load {os.getloadavg()[0]:.1f}",
        flush=True,
    )


def main(path: str, maps: str, folder: str, version: str, memory: str = "4GB") -> None:
    """Run the benchmark."""
    home, spill = Path(maps), Path(folder)
    spill.mkdir(parents=True, exist_ok=True)
    with told(f"map of {version}"):
        if version == "X":
            read = PhecodeMap.read(home / "phetk_phecodeX_WHO.csv.gz")
        else:
            read = PhecodeMap.read(
                home / "phecode_map_icd10.csv.gz",
                names=home / "pheinfo.csv.gz",
                exclusions=home / "phecode_exclude.csv.gz",
            )
    print(read)
    with connect(path, memory_limit=memory, threads=2, spill=spill, read_only=True) as hub:
        with told("phecodes"):
            found = phecodes(hub, read)
        used = found.codes
        mapped = used.loc[used["mapped_as"] != "", "records"].sum()
        print(
            f"{len(found.persons):,} people, {mapped:,} of {used['records'].sum():,} records of {read.systems}"
        )
        with told("cases, controls, excluded"):
            counts = found.counts
        with told("sparse matrix"):
            matrix = found.sparse()
        print(f"{matrix.shape} with {matrix.nnz:,} cells; {(counts['case'] > 0).sum()} phecodes have a case")
        some = counts.nlargest(3, "case")["phecode"].tolist()
        with told(f"statuses of {len(some)} phecodes"):
            tally = [np.bincount(found.status(name), minlength=4).tolist() for name in some]
        print(dict(zip(some, tally, strict=True)))


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(*sys.argv[2:])
    else:
        main(*sys.argv[1:])
