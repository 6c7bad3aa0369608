"""What a genotype command hands back, and how it is written: PLINK 2's tables as tab-separated text."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from gwas.genotypes import Genotypes
from workflows.outputs import atomic_gzip_text, atomic_text


@dataclass(frozen=True, eq=False)
class Table:
    """One file: what follows ``OUT.`` in its name (gzipped where that ends in ``.gz``), its rows, and whether it
    has a header line.
    """

    suffix: str
    frame: pd.DataFrame
    header: bool = True


@dataclass(frozen=True, eq=False)
class Outcome:
    """The files of one command, and lines for its log."""

    tables: Sequence[Table]
    notes: Sequence[str] = field(default_factory=tuple)


def write_tables(out: Path, tables: Sequence[Table]) -> list[Path]:
    """Write all tables of a command; none takes its name before the last is whole."""
    paths = [out.with_name(f"{out.name}.{table.suffix}") for table in tables]
    with ExitStack() as stack:
        handles = [
            stack.enter_context(atomic_gzip_text(path) if path.suffix == ".gz" else atomic_text(path))
            for path in paths
        ]
        for handle, table in zip(handles, tables, strict=True):
            if table.header:
                handle.write("\t".join(table.frame.columns) + "\n")
            handle.write(_text(table.frame))
    return paths


def _text(frame: pd.DataFrame) -> str:
    """Lines of text, nine significant digits, ``NA`` for nan; several times faster than pandas."""
    columns = [_cells(frame[name]) for name in frame.columns]
    return "".join(line + "\n" for line in map("\t".join, zip(*columns, strict=True)))


def _cells(column: pd.Series) -> list[str]:
    values = column.tolist()
    if not pd.api.types.is_float_dtype(column.dtype):
        return [str(value) for value in values]
    return [f"{value:.9g}" if value == value else "NA" for value in values]


def variant_columns(genotypes: Genotypes) -> pd.DataFrame:
    """``#CHROM ID REF ALT`` of every variant; an allele never seen is ``.``, as PLINK 2 writes it."""
    columns = genotypes.variants[["chrom", "id", "ref", "alt"]].set_axis(
        ["#CHROM", "ID", "REF", "ALT"], axis=1
    )
    alleles = columns[["REF", "ALT"]]
    columns[["REF", "ALT"]] = alleles.mask(alleles == "0", ".")
    return columns


def sample_columns(genotypes: Genotypes) -> pd.DataFrame:
    """``#FID IID`` of every sample."""
    return genotypes.samples[["fid", "iid"]].set_axis(["#FID", "IID"], axis=1)
