"""What was made before somebody withdrew: which past outputs hold them.

The next run leaves them out by itself. What lies in finished run folders is under pseudonyms, and only the
custodian can say whose: the extracts tell who objected, the sealed crosswalks and the project key tell their
pseudonyms, and every table of a run is searched for those.

Files that ``careome gwas``, ``careome score`` and the like made beside a run know samples by the identifiers of the
genotype file. A run writes none of these down, so nothing leads from its pseudonyms to them; but the extracts'
``samples`` tables name the samples of the objectors, and files named beside the runs are searched for those. They
are told where a column IID stands: ``.sscore`` files, lists for ``--keep``, sample files. Summary statistics hold
nobody; whether a person went into them is told by the list that they were made with. Hubs that ``careome records
build`` kept, and Parquet files that somebody made of one, are searched for pseudonyms.

What it cannot tell, and says: who is in the answers kept in ``privacy.cache`` (the next run of the study removes them
all, since the records have changed), whom a killed run left in its ``.scratch``, and who objected and has been taken
out of the extracts by the provider since, so that nothing says so any more; people of past crosswalks who are in no
extract are counted, and traced with `gone`. What a model has learnt from a person it forgets when it is made again,
not before: weights and the risks told with them are listed, not changed. The custodian's own crosswalks and review
lists stay as they are: without them nobody could be traced.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cohorts.errors import InputError
from cohorts.hub import connect
from cohorts.identity import objectors
from cohorts.sources import read_sources
from workflows.custodian import audit, crosswalk_folder, open_crosswalks, refuse_output, write_private
from workflows.custodian_review import only, region_only
from workflows.hub_plan import HubPlan
from workflows.keys import read_project_key

COLUMNS = ("person", "reason", "run", "file", "what")
GWAS_PEOPLE = "results/gwas_people.parquet"
LISTED = (".sscore", ".id", ".keep", ".psam", ".fam")
PSEUDONYMOUS = (".parquet", ".duckdb")
GONE = "no longer in the extracts"


@dataclass(frozen=True)
class Traced:
    """How many people objected, how many of them are in past outputs, and in how many files and runs.

    `gone` are people of past crosswalks who are in no extract any more; `unsearched` are places to look after by hand.
    """

    objected: int
    found: int
    files: int
    runs: int
    gone: int = 0
    unsearched: tuple[str, ...] = ()


def trace_withdrawals(
    study: HubPlan,
    runs: Iterable[Path],
    *,
    key: Path,
    out: Path,
    also: Iterable[Path] = (),
    gone: bool = False,
) -> Traced:
    """List the outputs of past runs that hold people who have objected since.

    Parameters
    ----------
    study
        With its present extracts, which name who objected.
    runs
        Run folders.
    key
        The custodian's private key.
    also
        Text files of other commands with samples in them, hubs and Parquet files with pseudonyms, or folders of such.
    gone
        Also trace people of past crosswalks who are in no extract any more: a provider may have taken out who withdrew.
    out
        A new file, made with mode 0600: ``person`` (pseudonym), ``reason``, ``run``, ``file``, ``what``. No
        other identifier, and nothing is written anywhere else but a line in the custodian's audit trail.

    Raises
    ------
    CareomeError
        A key, a folder or a file cannot be used.
    """
    folder = crosswalk_folder(study)
    refuse_output(out)
    runs = list(runs)
    for run in runs:
        if not (run / "results").is_dir():
            raise InputError(
                "not a run folder", where=run, found="no folder 'results'", expected="a run folder"
            )
    crosswalk, also = open_crosswalks(folder, key), list(also)
    people, samples, left = _objectors(study, crosswalk)
    objected = len(people)
    if gone:
        people = {**dict.fromkeys(left, GONE), **people}
    audit(folder, "withdrawals traced", objected=objected, gone=gone, runs=[_run_id(run) for run in runs])
    members = {run: set(mine.astype(int)) for run, mine in crosswalk.groupby("run")["person_id"]}
    rows = [(f"{person:016x}", people[person], run.name, file, what) for run in runs
            for person, file, what in contained(run, people, members.get(_run_id(run), set()))]  # fmt: skip
    beside = [*sampled(also, samples), *pseudonymous(also, people)]
    rows += [(f"{person:016x}", people[person], "", file, what) for person, file, what in beside]
    table = pd.DataFrame(rows, columns=list(COLUMNS)).sort_values(list(COLUMNS), ignore_index=True)
    write_private(out, table)
    return Traced(
        objected,
        table["person"].nunique(),
        len(table[["run", "file"]].drop_duplicates()),
        table.loc[table["run"] != "", "run"].nunique(),
        len(left),
        tuple(_unsearched(study, runs)),
    )


def _unsearched(study: HubPlan, runs: Iterable[Path]) -> Iterator[str]:
    """Places that may hold people and cannot be searched."""
    cache = study.privacy.cache
    if cache is not None and cache.is_dir() and any(cache.rglob("*.parquet")):
        yield f"{cache}: answers kept about the people of the last run; the next run removes them, or you"
    for run in runs:
        if (run / ".scratch").is_dir():
            yield f"{run / '.scratch'}: left by a killed run, with records; give its command again, or remove it"


def _objectors(study: HubPlan, crosswalk: pd.DataFrame) -> tuple[dict[int, str], dict[str, int], set[int]]:
    """Pseudonyms of everybody who objects, with the reason; whose their samples are; and who is in no extract any more.

    A withdrawal goes before an opt-out.
    """
    with tempfile.TemporaryDirectory(prefix="careome-", ignore_cleanup_errors=True) as scratch:
        hub = connect(Path(scratch) / "identified.duckdb", spill=Path(scratch) / "spill")
        try:
            read_sources(
                hub, only(study, ("patients", "consents", "samples")), region_only(study, ("optouts",))
            )
            records, numbered = objectors(hub, key=read_project_key(study.privacy.key))
            present = hub.frame("SELECT source, patient_id FROM intake.patients")
            held = hub.frame(
                "SELECT p.source, p.patient_id, sample_id FROM intake.samples JOIN intake.patients p USING (record)"
            )
        finally:
            hub.close()
    known = records.merge(crosswalk, on=["source", "patient_id"])[["person_id", "reason"]]
    both = pd.concat([known, numbered], ignore_index=True).sort_values("reason", ascending=False)
    unique = both.drop_duplicates("person_id")
    people = {int(p): str(r) for p, r in zip(unique["person_id"], unique["reason"], strict=True)}
    mine = held.merge(crosswalk, on=["source", "patient_id"])
    mine = mine[mine["person_id"].isin(people)]
    samples = {str(s): int(p) for s, p in zip(mine["sample_id"], mine["person_id"], strict=True)}
    here = crosswalk.merge(present, on=["source", "patient_id"])["person_id"]
    return people, samples, {int(p) for p in set(crosswalk["person_id"]) - set(here)} - set(people)


def sampled(places: Iterable[Path], samples: Mapping[str, int]) -> Iterator[tuple[int, str, str]]:
    """Where samples are in text files: person, file and how many rows.

    Parameters
    ----------
    places
        Files, or folders whose ``.sscore``, ``.id``, ``.keep``, ``.psam`` and ``.fam`` files are meant; hubs and
        Parquet files are left to :func:`pseudonymous`. The first
        line may name the columns; else the samples are in the second (FID IID) or the only one.
    samples
        Identifier of a sample to its person.

    Raises
    ------
    InputError
        A file cannot be read as text.
    """
    for place in places:
        for path, name in _files(place, LISTED):
            if path.suffix in PSEUDONYMOUS:
                continue
            for person, rows in sorted(_samples_in(path, samples).items()):
                yield person, name, f"{rows} row{'s' if rows != 1 else ''} under the sample's identifier"


def pseudonymous(places: Iterable[Path], people: Mapping[int, str]) -> Iterator[tuple[int, str, str]]:
    """Where people are in kept hubs (``.duckdb``) and in Parquet files: person, file and how many rows.

    Raises
    ------
    InputError
        A file is damaged, or another program has the hub open.
    """
    wanted = np.array(sorted(people), np.int64)
    for place in places:
        for path, name in _files(place, PSEUDONYMOUS):
            if path.suffix in PSEUDONYMOUS:
                found = _rows_of(path, wanted) if path.suffix == ".parquet" else _in_hub(path, wanted)
                for person, rows in sorted(found.items()):
                    yield person, name, f"{rows} row{'s' if rows != 1 else ''} under the pseudonym"


def _files(place: Path, suffixes: tuple[str, ...]) -> Iterator[tuple[Path, str]]:
    """A file, or those of a folder that end so, and their names."""
    if not place.is_dir():
        yield place, place.name
        return
    for path in sorted(p for p in place.rglob("*") if p.suffix in suffixes):
        yield path, path.relative_to(place).as_posix()


def _in_hub(path: Path, wanted: npt.NDArray[np.int64]) -> dict[int, int]:
    """Rows of a hub's tables that hold each person."""
    if not path.is_file():
        raise InputError("file not found", where=path, fix="check the path")
    found: Counter[int] = Counter()
    with connect(path, read_only=True) as hub:
        hub.connection.register("__wanted", pd.DataFrame({"person_id": wanted}))
        for table in hub.tables():
            quoted = ".".join(f'"{part}"' for part in table.split("."))
            if "person_id" in hub.frame(f"SELECT * FROM {quoted} LIMIT 0").columns:
                rows = hub.frame(
                    f"SELECT person_id, count(*) AS n FROM {quoted} JOIN __wanted USING (person_id) GROUP BY 1"
                )
                found.update({int(p): int(n) for p, n in zip(rows["person_id"], rows["n"], strict=True)})
    return dict(found)


def _samples_in(path: Path, samples: Mapping[str, int]) -> Counter[int]:
    found: Counter[int] = Counter()
    try:
        with open(path, encoding="utf-8") as lines:
            first = next(lines, "").split()
            names = [name.lstrip("#").upper() for name in first]
            at = names.index("IID") if "IID" in names else min(1, len(first) - 1)
            for cells in ([] if "IID" in names else [first], (line.split() for line in lines)):
                found.update(samples[c[at]] for c in cells if len(c) > at >= 0 and c[at] in samples)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("cannot be read as text", where=path, found=type(error).__name__) from None
    return found


def contained(
    run: Path, people: Mapping[int, str], members: Collection[int] = ()
) -> Iterator[tuple[int, str, str]]:
    """Where people are in one run folder: person, file and what of them it holds.

    `members` are those of whom the run had records, by its crosswalk: its report counts them, even who is in no table.

    Every whole-number column of every table is searched, whatever its name, and floating-point ones that
    hold pseudonyms rounded (a missing parent makes a column of them). Aggregates that a person went into
    are named after the tables that say so.
    """
    wanted = np.array(sorted(people), np.int64)
    everybody: set[int] = set()
    for path in sorted((run / "results").rglob("*.parquet")):
        file = path.relative_to(run).as_posix()
        if file == GWAS_PEOPLE:
            yield from _analysed(path, wanted)
        for person, rows in _rows_of(path, wanted).items():
            everybody.add(person)
            yield person, file, f"{rows} row{'s' if rows != 1 else ''} under the pseudonym"
    for path in sorted((run / "reports" / "patients").glob("*.html")):
        try:
            person = int(path.stem, 16)
        except ValueError:
            continue
        if person in people:
            yield person, path.relative_to(run).as_posix(), "the person's own risk report"
    if (run / "reports" / "cohort.html").is_file():
        for person in sorted(everybody | set(people).intersection(members)):
            yield person, "reports/cohort.html", "counted in the cohort report"


def _rows_of(path: Path, wanted: npt.NDArray[np.int64]) -> dict[int, int]:
    """Rows of a table that hold each person, in any column."""
    table = pq.ParquetFile(path)
    names = [
        field.name
        for field in table.schema_arrow
        if pa.types.is_int64(field.type) or pa.types.is_uint64(field.type) or pa.types.is_float64(field.type)
    ]
    found: dict[int, int] = {}
    if not names:
        return found
    rounded = wanted.astype(np.float64)
    for batch in table.iter_batches(1 << 18, columns=names):
        rows: list[npt.NDArray[np.int64]] = []
        for column in batch.columns:
            known = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
            values = column.drop_null().to_numpy(zero_copy_only=False)
            whole = np.issubdtype(values.dtype, np.integer)
            keys = wanted if whole else rounded
            at = np.searchsorted(keys, values)
            at[at == len(keys)] = 0
            hit = (keys[at] == values) if len(keys) else np.zeros(len(values), bool)
            rows.append(np.stack([known[hit], at[hit]], axis=1))
        for _, who in np.unique(np.concatenate(rows), axis=0).tolist():
            found[int(wanted[who])] = found.get(int(wanted[who]), 0) + 1
    return found


def _analysed(path: Path, wanted: npt.NDArray[np.int64]) -> Iterator[tuple[int, str, str]]:
    """Traits in whose association results people are, from the table that says who was analysed."""
    table = pd.read_parquet(path)
    mine = table[table["person_id"].isin(wanted)]
    for trait in table.columns.drop("person_id"):
        for person in mine.loc[mine[trait].astype(bool), "person_id"]:
            yield int(person), "results/association", f"a sample in the GWAS of {trait}"
            if (path.parent / "weights" / f"{trait}.parquet").is_file():
                yield int(person), f"results/weights/{trait}.parquet", "weights learnt from that GWAS"


def _run_id(run: Path) -> str:
    """A run's number, by which its crosswalk is named."""
    manifest = run / "manifest.json"
    if manifest.is_file():
        return str(json.loads(manifest.read_text(encoding="utf-8")).get("fingerprint", ""))[:12]
    state = run / "state.json"
    if state.is_file():
        return str(json.loads(state.read_text(encoding="utf-8")).get("fingerprint", ""))[:12]
    return "unknown"
