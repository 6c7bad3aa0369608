"""How fast the synthetic region is written, and how much memory that takes.

    python tests/benchmarks/bench_region.py FOLDER [PEOPLE [ACTIVITY [PROCESSES]]]

Writes a hub and then all-Parquet extracts into FOLDER, one after the other, each in a program of its own, and
says what came out. Three million people take some 1 GB (hub) and 4 GB (extracts) of disk; both are removed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import duckdb

_WRITE = """
import json, resource, sys, time
from pathlib import Path
from cohorts.synthetic import RegionConfig
from workflows.synth import write_hub, write_region

if __name__ == "__main__":
    what, folder, people, activity, processes = sys.argv[1:]
    config = RegionConfig(people=int(people), genotyped=2000, variants=1000, activity=float(activity))
    if what == "hub":
        write_hub(config, Path(folder), processes=int(processes))
    else:
        write_region(config, Path(folder), parquet=True, processes=int(processes))
    own, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    seconds = sum(usage.ru_utime + usage.ru_stime for usage in (own, others))
    print(json.dumps({"cpu": seconds, "own": own.ru_maxrss / 1024, "child": others.ru_maxrss / 1024}))
"""


def _measure(what: str, folder: Path, people: int, activity: float, processes: int) -> None:
    script = folder / "write.py"
    script.write_text(_WRITE)
    target = folder / what
    root = Path(__file__).resolve().parents[2]
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, str(script), what, str(target), str(people), str(activity), str(processes)],
        cwd=root,
        env={"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )
    wall = time.monotonic() - begun
    told = json.loads(done.stdout)
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file()) / 1e9
    print(
        f"{what}: {people:,} people, {_rows(target):,} events, {wall:.0f} s of wall clock, "
        f"{told['cpu']:.0f} s of processors, {told['own']:.0f} MB and at most {told['child']:.0f} MB "
        f"in each of {processes} processes beside, {size:.1f} GB of files",
        flush=True,
    )
    shutil.rmtree(target)


def _rows(target: Path) -> int:
    """Events in a hub, or rows of the tables that become events."""
    connection = duckdb.connect()
    if (target / "hub.duckdb").exists():
        connection.execute(f"ATTACH '{target / 'hub.duckdb'}' AS hub (READ_ONLY)")
        return int(connection.execute("SELECT count(*) FROM hub.events").fetchone()[0])
    names = ("gp_events", "gp_prescriptions", "hospital_admissions", "community_contacts", "deaths_deaths")
    files = [str(target / "extracts" / f"{name}.parquet") for name in names]
    return sum(
        int(connection.execute(f"SELECT count(*) FROM read_parquet('{name}')").fetchone()[0])
        for name in files
    )


if __name__ == "__main__":
    where = Path(sys.argv[1])
    where.mkdir(parents=True, exist_ok=True)
    size = int(sys.argv[2]) if len(sys.argv) > 2 else 3_000_000
    often = float(sys.argv[3]) if len(sys.argv) > 3 else 0.06
    beside = int(sys.argv[4]) if len(sys.argv) > 4 else 2
    for kind in ("hub", "extracts"):
        _measure(kind, where, size, often, beside)
