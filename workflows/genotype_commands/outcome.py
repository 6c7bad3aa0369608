"""What a genotype command hands back, and how it is written: PLINK 2's tables as tab-separated text."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from gwas.genotypes import Genotypes
from gwas.kernels.text import TextColumn, joined_lines, text_of_floats, text_of_integers, text_of_strings
from workflows.outputs import atomic_gzip_text, atomic_text

if TYPE_CHECKING:
    import pandas as pd

Cells = Mapping[str, Any]
"""Columns by name: arrays, or text as bytes."""

ROWS_AT_ONCE: Final = 1 << 16


@dataclass(frozen=True, eq=False)
class Table:
    """One file: what follows ``OUT.`` in its name (gzipped where that ends in ``.gz``), its rows, and whether it
    has a header line.
    """

    suffix: str
    frame: pd.DataFrame | Cells
    header: bool = True

    def __len__(self) -> int:
        first = next(iter(self.frame.values())) if isinstance(self.frame, Mapping) else self.frame
        return len(first.start if isinstance(first, TextColumn) else first)


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
                handle.write("\t".join(map(str, table.frame)) + "\n")
            for text in _texts(table.frame):
                handle.write(text)
    return paths


def _texts(frame: pd.DataFrame | Cells) -> Iterator[str]:
    """Lines of text, nine significant digits, ``NA`` for nan; much faster than pandas."""
    columns = [_values(frame[name]) for name in frame]  # type: ignore[index]
    n = len(columns[0].start if isinstance(columns[0], TextColumn) else columns[0])

    def lines(first: int) -> str:
        rows = slice(first, first + ROWS_AT_ONCE)
        return joined_lines([_cells(column, rows) for column in columns]).decode()

    threads = max(1, int(os.environ.get("OMP_NUM_THREADS") or 1))
    starts = iter(range(0, n, ROWS_AT_ONCE))
    with ThreadPoolExecutor(max_workers=threads) as pool:
        # only so much text at a time is in memory
        while batch := list(islice(starts, 2 * threads)):
            yield from pool.map(lines, batch)


def _values(column: Any) -> TextColumn | npt.NDArray[Any]:
    return column if isinstance(column, TextColumn) else np.asarray(column)


def _cells(column: TextColumn | npt.NDArray[Any], rows: slice) -> TextColumn:
    if isinstance(column, TextColumn):
        return TextColumn(column.text, column.start[rows], column.length[rows])
    values = column[rows]
    if values.dtype.kind == "f":
        return text_of_floats(values.astype(np.float64))
    if values.dtype.kind == "i":
        return text_of_integers(values.astype(np.int64))
    return text_of_strings([str(value) for value in values.tolist()])


def variant_columns(genotypes: Genotypes) -> pd.DataFrame:
    """``#CHROM ID REF ALT`` of every variant; an allele never seen is ``.``, as PLINK 2 writes it."""
    columns = genotypes.variants[["chrom", "id", "ref", "alt"]].set_axis(
        ["#CHROM", "ID", "REF", "ALT"], axis=1
    )
    alleles = columns[["REF", "ALT"]]
    columns[["REF", "ALT"]] = alleles.mask(alleles == "0", ".")
    return columns


def sample_columns(genotypes: Genotypes) -> pd.DataFrame:
    """``#FID IID`` of every sample, ``#IID`` alone where there are no families."""
    if not has_families(genotypes):
        return genotypes.samples[["iid"]].set_axis(["#IID"], axis=1)
    return genotypes.samples[["fid", "iid"]].set_axis(["#FID", "IID"], axis=1)


def has_families(genotypes: Genotypes) -> bool:
    """Whether the samples have a FID, as PLINK 2 judges: always in a .fam, elsewhere if one is not 0."""
    return genotypes.path.suffix == ".bed" or not bool(genotypes.sample_text("fid").equals("0").all())


def variant_cells(genotypes: Genotypes) -> dict[str, TextColumn]:
    """:func:`variant_columns` as bytes, without a frame."""
    return {
        "#CHROM": genotypes.variant_text("chrom"),
        "ID": genotypes.variant_text("id"),
        "REF": _point_for_zero(genotypes.variant_text("ref")),
        "ALT": _point_for_zero(genotypes.variant_text("alt")),
    }


def sample_cells(genotypes: Genotypes) -> dict[str, TextColumn]:
    """:func:`sample_columns` as bytes, without a frame."""
    if not has_families(genotypes):
        return {"#IID": genotypes.sample_text("iid")}
    return {"#FID": genotypes.sample_text("fid"), "IID": genotypes.sample_text("iid")}


def _point_for_zero(alleles: TextColumn) -> TextColumn:
    zero = alleles.equals("0")
    if not zero.any():
        return alleles
    text = np.append(alleles.text, np.uint8(ord(".")))
    return TextColumn(text, np.where(zero, len(alleles.text), alleles.start), alleles.length)
