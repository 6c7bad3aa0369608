"""Every phenotype of the catalogue, ten traits and one exposure, from a big hub: wall clock, processor, memory.

``python bench_phenotypes.py HUB.duckdb SPILL [MEMORY]``: a hub such as ``workflows.synth.write_hub`` makes, a
folder for rows that do not fit in memory, and DuckDB's memory limit (4GB). Answers are kept in SPILL, and a
second derivation with one changed code list shows what the cache saves.
"""

from __future__ import annotations

import resource
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from cohorts.hub import connect
from cohorts.residence import exposure
from phenotypes import library
from phenotypes.codelist import CodeList
from phenotypes.definitions import Adjustment, CategoryTrait, NumericTrait, Phenotype, Trait
from phenotypes.derivation import derive
from phenotypes.rules import has
from workflows.answers import AnswerFolder

INDEX, END = date(2015, 1, 1), date(2022, 12, 31)
CODES = Path(__file__).resolve().parents[2] / "workflows" / "demo" / "codes"
BEFORE = (-3650, 0)


def traits() -> dict[str, Trait]:
    """Ten traits of the demonstration's code lists."""
    lists = {path.stem: CodeList.read(path) for path in sorted(CODES.glob("*.csv"))}

    def number(
        name: str, codes: list[str], unit: str, low: float, high: float, **more: object
    ) -> NumericTrait:
        return NumericTrait(
            name, tuple(lists[c] for c in codes), unit, (low, high), **{"window_days": BEFORE, **more}
        )  # type: ignore[arg-type]

    statins = Adjustment(lists["statins"], multiply=1 / 0.7)
    tablets = Adjustment(lists["antihypertensives"], add=15)
    sugar = ["hba1c", "hba1c_dcct"]
    every: list[Trait] = [
        number("ldl", ["ldl"], "mmol/L", 0.3, 15, analyte="cholesterol", adjust=(statins,)),
        number("ldl_last", ["ldl"], "mmol/L", 0.3, 15, analyte="cholesterol", pick="last"),
        number("hdl", ["hdl"], "mmol/L", 0.1, 6, analyte="cholesterol"),
        number("cholesterol", ["total_cholesterol"], "mmol/L", 1, 20, analyte="cholesterol", pick="mean"),
        number("bmi", ["bmi"], "kg/m2", 12, 80),
        number("sbp", ["sbp"], "mmHg", 60, 260, adjust=(tablets,)),
        number("hba1c", sugar, "mmol/mol", 15, 200, analyte="hba1c", pick="nearest"),
        number(
            "hba1c_max", sugar, "mmol/mol", 15, 200, analyte="hba1c", pick="max", window_days=(None, None)
        ),
        number("egfr", ["creatinine"], "mL/min/1.73m2", 2, 200, analyte="creatinine", formula="ckd_epi_2021"),
        CategoryTrait("smoking", tuple((k, lists[f"smoking_{k}"]) for k in ("current", "ex", "never"))),
    ]
    return {trait.name: trait for trait in every}


@contextmanager
def told(what: str) -> Iterator[None]:
    """Print what a step took."""
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{what:<44} {wall:7.1f} s wall {cpu:7.1f} s CPU {peak:6.2f} GB peak so far", flush=True)


def main(path: str, folder: str, memory: str = "4GB") -> None:
    """Run the benchmark."""
    spill, kept = Path(folder) / "spill", Path(folder) / "answers"
    shutil.rmtree(kept, ignore_errors=True)
    for place in (spill, kept):
        place.mkdir(parents=True, exist_ok=True)
    phenotypes = {name: library.load(name).phenotype for name in library.names()}
    with connect(path, memory_limit=memory, threads=2, spill=spill, read_only=True) as hub:
        events = int(hub.frame("SELECT count(*) AS n FROM events")["n"][0])
        persons = hub.frame("SELECT person_id, sex, birth_date FROM people ORDER BY person_id")
        print(
            f"{len(persons):,} people, {events:,} events, {len(phenotypes)} phenotypes, {len(traits())} traits"
        )
        asked = {"index_date": INDEX, "data_end": END}
        with told("phenotypes and traits"):
            derived = derive(hub, persons, phenotypes=phenotypes, traits=traits(), **asked)
        with told("PM2.5 of five years"):
            exposed = exposure(hub, persons, on=INDEX, pollutant="pm25", window_years=5)
        with told("wide frame"):
            print(f"{derived.wide.shape[1]} columns, {exposed['value'].notna().sum():,} people exposed")
        with told("long frame"):
            print(f"{len(derived.long):,} rows")
        counts = derived.diagnostics.statuses.groupby("status")["n"].sum()
        print(counts.to_dict())
        del derived, exposed
        store = AnswerFolder(kept)
        with told("again, answers kept"):
            derive(hub, persons, phenotypes=phenotypes, traits=traits(), cache=store, **asked)
        changed = {**phenotypes, "gout": Phenotype("gout", has(CodeList.of("gout", [("icd10", "M10*")])))}
        with told("again, one definition new"):
            again = derive(hub, persons, phenotypes=changed, traits=traits(), cache=store, **asked)
        print(f"{len(again.reused)} definitions reused")
    shutil.rmtree(kept)


if __name__ == "__main__":
    main(*sys.argv[1:])
