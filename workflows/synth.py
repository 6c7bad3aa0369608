"""`careome synth`: write a synthetic region as its providers would hand it over.

The region itself is made by :mod:`cohorts.synthetic`; here it becomes files. Every table streams into a
temporary file and appears under its name when the whole region is written.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cohorts.synthetic import ExistingGenotypes, Region, RegionConfig, make_region
from gwas.genotypes import Genotypes, open_genotypes
from workflows.outputs import atomic_path

#: Called with a line about what is done, and how much of the whole is done (0 to 1).
Progress = Callable[[str, float], None]

_BED_MAGIC = b"\x6c\x1b\x01"
_SEX_CODE = {"M": "1", "F": "2"}


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
    tell("writing genotypes", 0.4)
    if source is None:
        _write_genotypes(region, prefix)
    else:
        _copy_genotypes(source.path, prefix)
    tables = _write_tables(region, folder, tell)
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


def _write_tables(region: Region, folder: Path, tell: Progress) -> dict[str, Path]:
    sinks: dict[str, tuple[_Sink, pa.Schema]] = {}
    tables: dict[str, Path] = {}
    done = 0
    with ExitStack() as files:
        for name, frame in region.tables():
            target = folder / name
            if name not in sinks:
                temporary = files.enter_context(atomic_path(target))
                schema = _schema(frame, target.suffix)
                sinks[name] = (files.enter_context(closing(_sink(temporary, target.suffix, schema))), schema)
                if name.startswith("extracts/"):
                    tables[target.stem] = target
            sink, schema = sinks[name]
            sink.write_table(_arrow(frame, schema))
            if name == "truth/people.parquet":
                done += len(frame)
                tell(f"records of {done:,} people", 0.4 + 0.6 * done / len(region.people))
    return tables


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
        codes = pa.array(values.cat.codes.to_numpy(), pa.int32())
        texts = pa.array(values.cat.categories.astype(object), pa.string())
        array = pa.DictionaryArray.from_arrays(codes, texts)
        return array if pa.types.is_dictionary(kind) else array.cast(kind)
    return pa.array(values, kind, from_pandas=True)
