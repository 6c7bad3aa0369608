"""Results of an association as text in PLINK 2's or REGENIE's columns, or as Parquet: a block's arrays in, bytes out.

Nothing here opens a file. Cells go from arrays to bytes without passing through strings or frames, because a
phenome has more results than genotypes.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from gwas.design import Kind
from gwas.genotypes import Genotypes
from gwas.kernels.recode import Coding
from gwas.kernels.text import (
    TextColumn,
    joined_lines,
    text_of_choices,
    text_of_floats,
    text_of_integers,
    text_of_strings,
)
from gwas.models.coding import TEST_NAMES
from gwas.models.result import VariantTests
from gwas.models.status import ERRCODES
from gwas.tails import p_text

Layout = Literal["plink2", "regenie"]
Mask = npt.NDArray[np.bool_]

_FAR: Final = 300.0
_REGENIE_CHROMOSOMES: Final = {"X": "23", "Y": "24", "XY": "25", "MT": "26"}


@dataclass(frozen=True, eq=False)
class VariantCells:
    """What a row says of its variant, as text for every variant of a run; positions also int64 (m,)."""

    positions: npt.NDArray[np.int64]
    chrom: TextColumn
    pos: TextColumn
    id: TextColumn
    ref: TextColumn
    alt: TextColumn

    @classmethod
    def of(cls, genotypes: Genotypes) -> VariantCells:
        """From the variants of a file; no frame is made."""
        positions = np.asarray(genotypes.variant_values("pos"), dtype=np.int64)
        return cls(
            positions,
            genotypes.variant_text("chrom"),
            text_of_integers(positions),
            genotypes.variant_text("id"),
            genotypes.variant_text("ref"),
            genotypes.variant_text("alt"),
        )

    def take(self, rows: npt.NDArray[np.int64]) -> VariantCells:
        """Some of them."""
        columns = (self.chrom, self.pos, self.id, self.ref, self.alt)
        return VariantCells(self.positions[rows], *(column.take(rows) for column in columns))


def passing(tests: VariantTests, least_log10p: float | None) -> Mask | None:
    """Rows to write where only P up to 10^-`least_log10p` is wanted; None for all.

    A row without a result is left out with the rest, as by PLINK 2's ``--pfilter``.
    """
    if least_log10p is None:
        return None
    # the threshold is given as P: what equals it but for the last bit passes
    return np.asarray(tests.log10p >= least_log10p * (1 - 1e-14))


def header(kind: Kind, layout: Layout = "plink2") -> bytes:
    """The first line of a trait's file."""
    names, between = _LAYOUTS[layout]
    return (between.join(names(kind)) + "\n").encode()


def lines(
    cells: VariantCells,
    start: int,
    tests: VariantTests,
    *,
    kind: Kind,
    coding: Coding = "additive",
    layout: Layout = "plink2",
    only: Mask | None = None,
) -> bytes:
    """The rows of one trait and block.

    Parameters
    ----------
    cells
        The variants of the whole run.
    start
        First variant of the block.
    tests
        The block's results for the trait.
    kind, coding
        The trait's kind, and how genotypes were counted.
    layout
        ``plink2``: tab-separated, ``#CHROM POS ID REF ALT A1 A1_FREQ TEST OBS_CT BETA SE T_STAT P LOG10_P ERRCODE``
        for a quantitative trait, ``FIRTH?`` after A1_FREQ and ``OR LOG(OR)_SE Z_STAT`` for a binary one;
        ``regenie``: separated by spaces, ALLELE1 is ALT, EXTRA the code where there is no result.
    only
        bool (m,): rows to write; None for all.

    Returns
    -------
    bytes
        Lines, numbers with nine significant digits (P with six), ``NA`` where there is none.
    """
    chosen = np.arange(len(tests.n)) if only is None else np.flatnonzero(only)
    if not len(chosen):
        return b""
    here = cells.take(start + chosen)
    found = tests if only is None else tests.of(chosen)
    columns = _plink_cells if layout == "plink2" else _regenie_cells
    return joined_lines(columns(here, found, kind, TEST_NAMES[coding]), between=_LAYOUTS[layout][1])


def _plink_names(kind: Kind) -> list[str]:
    start = ["#CHROM", "POS", "ID", "REF", "ALT", "A1", "A1_FREQ"]
    effect = (
        ["TEST", "OBS_CT", "BETA", "SE", "T_STAT"]
        if kind == "quantitative"
        else ["FIRTH?", "TEST", "OBS_CT", "OR", "LOG(OR)_SE", "Z_STAT"]
    )
    return [*start, *effect, "P", "LOG10_P", "ERRCODE"]


def _plink_cells(cells: VariantCells, tests: VariantTests, kind: Kind, test: str) -> list[TextColumn]:
    constant = np.zeros(len(tests.n), dtype=np.int64)
    variant = [cells.chrom, cells.pos, cells.id, cells.ref, cells.alt, cells.alt]
    with np.errstate(over="ignore"):
        effect = tests.beta if kind == "quantitative" else np.exp(tests.beta)
    firth = [] if kind == "quantitative" else [text_of_choices(["N", "Y"], tests.firth.astype(np.int64))]
    return [
        *variant,
        text_of_floats(tests.alt_frequency),
        *firth,
        text_of_choices([test], constant),
        text_of_integers(tests.n),
        text_of_floats(effect),
        text_of_floats(tests.se),
        text_of_floats(tests.statistic),
        _p_cells(tests.log10p),
        text_of_floats(tests.log10p),
        text_of_choices(ERRCODES, tests.status),
    ]


def _p_cells(log10p: npt.NDArray[np.float64]) -> TextColumn:
    if (log10p >= _FAR).any():
        return text_of_strings(p_text(log10p))
    return text_of_floats(np.power(10.0, -log10p), digits=6)


def _regenie_names(kind: Kind) -> list[str]:
    return [
        "CHROM",
        "GENPOS",
        "ID",
        "ALLELE0",
        "ALLELE1",
        "A1FREQ",
        "INFO",
        "N",
        "TEST",
        "BETA",
        "SE",
        "CHISQ",
        "LOG10P",
        "EXTRA",
    ]


def _regenie_cells(cells: VariantCells, tests: VariantTests, kind: Kind, test: str) -> list[TextColumn]:
    constant = np.zeros(len(tests.n), dtype=np.int64)
    names, lengths = cells.chrom.runs()
    chromosomes = [_REGENIE_CHROMOSOMES.get(name, name) for name in names]
    return [
        text_of_choices(chromosomes, np.repeat(np.arange(len(names)), lengths)),
        cells.pos,
        cells.id,
        cells.ref,
        cells.alt,
        text_of_floats(tests.alt_frequency),
        text_of_choices(["1"], constant),
        text_of_integers(tests.n),
        text_of_choices([test], constant),
        text_of_floats(tests.beta),
        text_of_floats(tests.se),
        text_of_floats(tests.statistic**2),
        text_of_floats(tests.log10p),
        text_of_choices(["NA", *ERRCODES[1:]], tests.status),
    ]


_LAYOUTS: Final[Mapping[Layout, tuple[Callable[[Kind], list[str]], str]]] = {
    "plink2": (_plink_names, "\t"),
    "regenie": (_regenie_names, " "),
}


def parquet_part(
    cells: VariantCells,
    start: int,
    blocks: Sequence[VariantTests],
    *,
    only: Sequence[Mask | None] | None = None,
) -> bytes:
    """Some blocks' results of one trait as a Parquet file.

    Parameters
    ----------
    cells
        The variants of the whole run.
    start
        First variant of the first block; the others follow without a gap.
    blocks
        Results of the blocks.
    only
        Rows to write of each block; None for all.

    Returns
    -------
    bytes
        A file (zstd) with columns chrom, pos, id, ref, alt, alt_frequency, n, beta, se, statistic, log10p, firth and
        errcode; chrom, ref, alt and errcode as dictionaries, alt_frequency and se float32, the others as they
        are. The same results give the same bytes. Parts of a trait lie in ``trait=NAME/``, so that a folder of them
        is one data set to Arrow, DuckDB and Spark.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    whole = VariantTests.joined(blocks)
    wanted = np.ones(len(whole.n), dtype=bool)
    if only is not None:
        wanted = np.concatenate(
            [
                np.ones(len(b.n), dtype=bool) if mask is None else mask
                for b, mask in zip(blocks, only, strict=True)
            ]
        )
    chosen = np.flatnonzero(wanted)
    here, tests = cells.take(start + chosen), whole.of(chosen)

    def words(column: TextColumn) -> pa.Array:
        return pa.array(column.strings(), type=pa.string())

    table = pa.table(
        {
            "chrom": words(here.chrom).dictionary_encode(),
            "pos": here.positions,
            "id": words(here.id),
            "ref": words(here.ref).dictionary_encode(),
            "alt": words(here.alt).dictionary_encode(),
            "alt_frequency": tests.alt_frequency.astype(np.float32),
            "n": tests.n.astype(np.int32),
            "beta": tests.beta,
            "se": tests.se.astype(np.float32),
            "statistic": tests.statistic,
            "log10p": tests.log10p,
            "firth": tests.firth,
            "errcode": pa.DictionaryArray.from_arrays(tests.status, pa.array(ERRCODES)),
        }
    )
    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd")
    return out.getvalue()
