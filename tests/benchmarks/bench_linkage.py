"""Linkage at the size of a region: `python -m tests.benchmarks.bench_linkage make|run FOLDER [options]`.

`make` writes the patients of four sources (Parquet) and the truth about them, with the names, homes, moves, marriages
and clerical faults of :mod:`cohorts.synthetic`. `run` reads and links them in a process of its own limits and prints
wall time, peak memory, and precision and recall against the truth.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path

import numpy as np
import pandas as pd

from cohorts.synthetic.config import RegionConfig
from cohorts.synthetic.identity_faults import STYLES, identity_rows
from cohorts.synthetic.people import draw_births, settle
from cohorts.synthetic.places import make_places
from cohorts.synthetic.tables import day

# Share of the people whom each source knows; some are entered twice.
SOURCES = {"gp": 0.98, "hospital": 0.75, "community": 0.5, "social_care": 0.3}


def make(folder: Path, people: int, seed: int) -> None:
    """Patients of four sources, and which records are whose."""
    config = RegionConfig(people=people, seed=seed)
    births = draw_births(config)
    nobody = np.full(people, -1, np.int32)
    everybody = settle(births, nobody, nobody, make_places(config), config)
    folder.mkdir(parents=True, exist_ok=True)
    rng = config.rng("linkage benchmark")
    first, last = day(config.start_date), day(config.end_date)
    truth = []
    for source, share in SOURCES.items():
        who = np.flatnonzero(rng.random(people) < share)
        twice = who[rng.random(len(who)) < config.faults.duplicate]
        who = rng.permutation(np.concatenate([who, twice]))
        seen = rng.integers(first, last, len(who)).astype(np.int32)
        rows = identity_rows(everybody, who, seen, STYLES[source], config.faults, rng)
        rows.insert(0, "patient_id", [f"{STYLES[source].prefix}{k:08d}" for k in rng.permutation(len(who))])
        rows.to_parquet(folder / f"{source}.parquet", index=False)
        truth.append(pd.DataFrame({"source": source, "patient_id": rows["patient_id"], "true_person": who}))
        print(f"{source}: {len(who):,} records", flush=True)
    pd.concat(truth).to_parquet(folder / "truth.parquet", index=False)


def run(folder: Path, memory: str, threads: int, profile: bool) -> None:
    """Read and link what `make` wrote."""
    from cohorts.hub import connect
    from cohorts.linkage import link, pair_quality
    from cohorts.sources import TableSource, read_sources

    begun = time.monotonic()
    file = folder / "identified.duckdb"
    file.unlink(missing_ok=True)
    hub = connect(file, memory_limit=memory, threads=threads, spill=folder / "spill")
    read_sources(hub, {name: {"patients": TableSource(folder / f"{name}.parquet")} for name in SOURCES})
    read = time.monotonic()
    if profile:
        import cProfile
        import pstats

        watch = cProfile.Profile()
        links = watch.runcall(link, hub, threshold=0.95, seed=1)
        pstats.Stats(watch).sort_stats("cumulative").print_stats(45)
    else:
        links = link(hub, threshold=0.95, seed=1)
    done = time.monotonic()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    hub.close()
    file.unlink()
    found = pair_quality(links.crosswalk, pd.read_parquet(folder / "truth.parquet"))
    print(links.summary.to_string(index=False))
    print(links.borderline.to_string(index=False))
    print(links.conflicts.to_string(index=False))
    print(
        json.dumps(
            {
                "read_s": round(read - begun, 1),
                "link_s": round(done - read, 1),
                "peak_mb": round(peak),
                "precision": round(found.precision, 5),
                "recall": round(found.recall, 5),
                "f1": round(found.f1, 5),
                "true_pairs": found.true_pairs,
            }
        ),
        flush=True,
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=("make", "run"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--people", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--memory", default="6GB")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    if given.step == "make":
        make(given.folder, given.people, given.seed)
    else:
        run(given.folder, given.memory, given.threads, given.profile)


if __name__ == "__main__":
    main()
