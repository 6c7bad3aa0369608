"""`careome synth`: write a synthetic region as its providers would hand it over.

The region itself is made by :mod:`cohorts.synthetic`; here it becomes files. Every table streams into a
temporary file and appears under its name when the whole region is written. Chunks of people may be made by
several processes; they are written in their order, so that the files do not depend on how many.
"""

from __future__ import annotations

import json
import multiprocessing
import shutil
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cohorts.hub import Hub, connect, create_hub_tables
from cohorts.synthetic import ExistingGenotypes, Region, RegionConfig, make_region
from cohorts.synthetic.chunk import Chunk
from cohorts.synthetic.identity_faults import STYLES
from gwas.genotypes import Genotypes, open_genotypes
from workflows.outputs import atomic_path

#: Called with a line about what is done, and how much of the whole is done (0 to 1).
Progress = Callable[[str, float], None]

Tables = list[tuple[str, pa.Table]]
_Made = TypeVar("_Made")

_BED_MAGIC = b"\x6c\x1b\x01"
_SEX_CODE = {"M": "1", "F": "2"}


#: Share of the work that is done before the first records.
_BEFORE = 0.4
#: A process takes as long to start as some chunks to make.
_CHUNKS_A_PROCESS = 4


def counting(advance: Callable[[int], None], people: int) -> Progress:
    """A progress that adds up people for a bar which counts them."""
    seen = 0

    def tell(_line: str, share: float) -> None:
        nonlocal seen
        now = round(people * max(share - _BEFORE, 0.0) / (1 - _BEFORE))
        advance(now - seen)
        seen = now

    return tell


@dataclass(frozen=True)
class RegionPaths:
    """Where a region lies.

    Attributes
    ----------
    folder
        The region's folder.
    tables
        File stem (``gp_patients``, ``optouts``, ...) to path, for everything in ``extracts``.
    genotypes
        Prefix of the .bed, .bim and .fam.
    truth
        The folder with the answer key.
    """

    folder: Path
    tables: Mapping[str, Path]
    genotypes: Path
    truth: Path


def write_region(
    config: RegionConfig,
    folder: Path,
    *,
    bfile: Path | None = None,
    parquet: bool = False,
    processes: int = 1,
    progress: Progress | None = None,
) -> RegionPaths:
    """Make a region and write it to `folder`/{extracts,genotypes,truth}.

    Parameters
    ----------
    config
        Size and seed; the same config gives the same bytes.
    folder
        Where to; files of the same names are replaced.
    bfile
        Prefix of a PLINK 1 file set to grow the region around; it is copied byte for byte.
    parquet
        Write all extracts as Parquet, not only the large ones.
    processes
        Processes that make people beside the one that writes; 1 makes them in this one. The bytes are the
        same.
    progress
        Told what is being done.

    Raises
    ------
    InputError
        If `bfile` cannot be read.
    DesignError
        If the region cannot be made as asked.
    OutputError
        If `folder` cannot be written.
    """
    tell = progress or (lambda _line, _share: None)
    tell("drawing people and genomes", 0.0)
    source = None if bfile is None else open_genotypes(bfile)
    region = make_region(config, genotypes=None if source is None else existing_genotypes(source))
    folder = Path(folder)
    prefix = folder / "genotypes" / "region"
    tell("writing genotypes", _BEFORE)
    if source is None:
        _write_genotypes(region, prefix)
    else:
        _copy_genotypes(source.path, prefix)
    tables = _write_tables(region, folder, parquet, processes, tell)
    with atomic_path(folder / "truth" / "hazards.json") as path:
        path.write_text(json.dumps(region.model(), indent=1) + "\n", encoding="utf-8")
    tell("region written", 1.0)
    return RegionPaths(folder, tables, prefix, folder / "truth")


def existing_genotypes(genotypes: Genotypes) -> ExistingGenotypes:
    """An opened genotype file as :func:`cohorts.synthetic.make_region` takes it."""

    def dosages(variants: NDArray[np.int64]) -> NDArray[np.int8]:
        blocks = genotypes.select(variants=variants).blocks()
        return np.concatenate([block.dosages() for block in blocks])

    return ExistingGenotypes(genotypes.samples[["iid", "sex"]], genotypes.variants, dosages)


def _write_genotypes(region: Region, prefix: Path) -> None:
    with atomic_path(prefix.with_suffix(".bed")) as path, path.open("wb") as bed:
        bed.write(_BED_MAGIC)
        for rows in region.rows:
            bed.write(rows.tobytes())
    table = region.variants
    with atomic_path(prefix.with_suffix(".bim")) as path:
        table[["chrom", "id", "cm", "pos", "alt", "ref"]].to_csv(
            path, sep="\t", header=False, index=False, lineterminator="\n"
        )
    sample = region.samples["sample_id"]
    fam = pd.DataFrame({"fid": sample, "iid": sample, "father": "0", "mother": "0"})
    fam["sex"] = region.samples["sex"].map(_SEX_CODE)
    fam["phenotype"] = "-9"
    with atomic_path(prefix.with_suffix(".fam")) as path:
        fam.to_csv(path, sep="\t", header=False, index=False, lineterminator="\n")


def _copy_genotypes(bed: Path, prefix: Path) -> None:
    for suffix in (".bed", ".bim", ".fam"):
        with atomic_path(prefix.with_suffix(suffix)) as path:
            shutil.copyfile(bed.with_suffix(suffix), path)


class _Sink(Protocol):
    def write_table(self, table: pa.Table) -> None: ...

    def close(self) -> None: ...


def _sink(path: Path, suffix: str, schema: pa.Schema) -> _Sink:
    if suffix == ".parquet":
        # without the stored schema every reader sees plain text, not dictionaries
        sink: _Sink = pq.ParquetWriter(path, schema, compression="zstd", store_schema=False)
    else:
        options = pa.csv.WriteOptions(quoting_style="needed")
        sink = pa.csv.CSVWriter(path, schema, write_options=options)
    return sink


def _write_tables(
    region: Region, folder: Path, parquet: bool, processes: int, tell: Progress
) -> dict[str, Path]:
    done = 0
    broken: Counter[tuple[str, str]] = Counter()
    with ExitStack() as stack:
        files = _Files(folder, stack)
        files.write(_as_arrow(region.opening(), parquet))
        make = partial(_extracts, parquet=parquet)
        for tables, faults in _made(make, region.chunks(), _useful(processes, region.config)):
            files.write(tables)
            broken += faults
            done = _count_people(tables, done, len(region.people), tell)
        files.write(_as_arrow(region.closing(broken), parquet))
    return {path.stem: path for path in files.paths if path.parent.name == "extracts"}


class _Files:
    """Tables on their way to files, each opened when its first rows come."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self.stack = folder, stack
        self._sinks: dict[Path, tuple[_Sink, pa.Schema]] = {}

    @property
    def paths(self) -> list[Path]:
        return list(self._sinks)

    def write(self, tables: Tables) -> None:
        for name, table in tables:
            target = self.folder / name
            if target not in self._sinks:
                temporary = self.stack.enter_context(atomic_path(target))
                sink = self.stack.enter_context(closing(_sink(temporary, target.suffix, table.schema)))
                self._sinks[target] = (sink, table.schema)
            sink, schema = self._sinks[target]
            sink.write_table(table.cast(schema))


def _extracts(chunk: Chunk, *, parquet: bool) -> tuple[Tables, Counter[tuple[str, str]]]:
    broken: Counter[tuple[str, str]] = Counter()
    return _as_arrow(chunk.extracts(broken), parquet), broken


def _as_arrow(tables: Iterable[tuple[str, pd.DataFrame]], parquet: bool) -> Tables:
    made = []
    for name, frame in tables:
        path = Path(name).with_suffix(".parquet") if parquet else Path(name)
        made.append((str(path), _arrow(frame, _schema(frame, path.suffix))))
    return made


def _made(make: Callable[[Chunk], _Made], chunks: Iterator[Chunk], processes: int) -> Iterator[_Made]:
    """What `make` gives for each chunk, in order; a few chunks are held at a time."""
    if processes <= 1:
        yield from map(make, chunks)
        return
    # started afresh, not forked: the threads of this process would not live on in a fork
    context = multiprocessing.get_context("spawn")
    waiting: deque[Future[_Made]] = deque()
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        for chunk in chunks:
            waiting.append(pool.submit(make, chunk))
            if len(waiting) > processes + 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _useful(processes: int, config: RegionConfig) -> int:
    return min(processes, config.people // config.chunk // _CHUNKS_A_PROCESS)


def _count_people(tables: Tables, done: int, people: int, tell: Progress) -> int:
    done += sum(len(table) for name, table in tables if name == "truth/people.parquet")
    tell(f"records of {done:,} people", _BEFORE + (1 - _BEFORE) * done / people)
    return done


def write_hub(
    config: RegionConfig,
    folder: Path,
    *,
    processes: int = 1,
    memory_limit: str = "1GB",
    progress: Progress | None = None,
) -> Path:
    """Make a region and write it as a pseudonymous hub, `folder`/hub.duckdb, with `folder`/truth beside it.

    No extracts are written and nothing is linked: every record belongs to its true person, nobody has opted
    out, and no row is broken. ``truth/links.parquet`` says whose ``person_id`` is whose. For measuring what
    reads hubs; a study starts from :func:`write_region`.

    Parameters
    ----------
    config
        Size and seed; the same config gives the same rows in the same order.
    folder
        Where to; files of the same names are replaced.
    processes
        Processes that make people beside the one that writes.
    memory_limit
        Of the database while it is written.
    progress
        Told what is being done.

    Returns
    -------
    Path
        The hub, for :func:`cohorts.hub.connect`.

    Raises
    ------
    DesignError
        If the region cannot be made as asked.
    OutputError
        If `folder` cannot be written.
    """
    tell = progress or (lambda _line, _share: None)
    tell("drawing people and genomes", 0.0)
    region = make_region(config)
    target = Path(folder) / "hub.duckdb"
    done = 0
    with ExitStack() as stack:
        files = _Files(Path(folder), stack)
        temporary = stack.enter_context(atomic_path(target))
        temporary.unlink()
        hub = stack.enter_context(connect(temporary, memory_limit=memory_limit))
        create_hub_tables(hub)
        _insert(hub, [(f"hub/{Path(n).stem}", t) for n, t in _as_arrow(region.opening(), True)], 0)
        hub.connection.executemany("INSERT INTO sources (source) VALUES (?)", [[source] for source in STYLES])
        rows = 0
        for tables in _made(_hub_tables, region.chunks(), _useful(processes, config)):
            rows = _insert(hub, [item for item in tables if item[0].startswith("hub/")], rows)
            files.write([item for item in tables if item[0].startswith("truth/")])
            done = _count_people(tables, done, len(region.people), tell)
        files.write([item for item in _as_arrow(region.closing(Counter()), True) if len(item[1])])
    with atomic_path(Path(folder) / "truth" / "hazards.json") as path:
        path.write_text(json.dumps(region.model(), indent=1) + "\n", encoding="utf-8")
    tell("hub written", 1.0)
    return target


def _hub_tables(chunk: Chunk) -> Tables:
    return [(name, _arrow(frame, _schema(frame, ".parquet"))) for name, frame in chunk.hub()]


def _insert(hub: Hub, tables: Tables, rows: int) -> int:
    """Add rows to the hub's tables; gives the number of events so far, `rows` before."""
    for name, table in tables:
        own = name.removeprefix("hub/")
        if own == "events":
            numbers = pa.array(np.arange(rows, rows + len(table), dtype=np.int64))
            table = table.add_column(0, "row_id", numbers)
            rows += len(table)
        hub.connection.register("__rows", table)
        columns = ", ".join(f'"{column}"' for column in table.column_names)
        hub.connection.execute(f"INSERT INTO {own} ({columns}) SELECT * FROM __rows")
        hub.connection.unregister("__rows")
    return rows


def _schema(frame: pd.DataFrame, suffix: str) -> pa.Schema:
    schema = pa.Schema.from_pandas(frame, preserve_index=False).remove_metadata()
    fields = []
    for field in schema:
        kind = field.type
        if pa.types.is_dictionary(kind):
            kind = pa.string() if suffix == ".csv" else pa.dictionary(pa.int32(), pa.string())
        elif pa.types.is_null(kind) or pa.types.is_large_string(kind):
            kind = pa.string()
        fields.append(pa.field(field.name, kind))
    return pa.schema(fields)


def _arrow(frame: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    return pa.table(
        {field.name: pa.chunked_array([_column(frame[field.name], field.type)]) for field in schema},
        schema=schema,
    )


def _column(values: pd.Series[Any], kind: pa.DataType) -> pa.Array:
    if isinstance(values.dtype, pd.CategoricalDtype):
        found = values.cat.codes.to_numpy()
        codes = pa.array(found, pa.int32(), mask=found < 0)
        texts = pa.array(values.cat.categories.astype(object), pa.string())
        array = pa.DictionaryArray.from_arrays(codes, texts)
        return array if pa.types.is_dictionary(kind) else array.cast(kind)
    return pa.array(values, kind, from_pandas=True)
