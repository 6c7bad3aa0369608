"""Results of an association as text in PLINK 2's or REGENIE's columns, or as Parquet: a block's arrays in, bytes out.

Nothing here opens a file. Cells go from arrays to bytes without passing through strings or frames, because a
phenome has more results than genotypes.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from gwas.design import Kind
from gwas.engines.protocol import BlockTests
from gwas.genotypes import Genotypes
from gwas.kernels.text import (
    TextColumn,
    joined_lines,
    lines_of_numbers,
    text_of_choices,
    text_of_floats,
    text_of_integers,
    text_of_strings,
)
from gwas.models.result import VariantTests
from gwas.models.status import ERRCODES
from gwas.tails import p_text

Layout = Literal["plink2", "regenie"]
Mask = npt.NDArray[np.bool_]

AT_ONCE: Final = 16
"""Traits whose lines are written together."""
_FAR: Final = 300.0
_BETWEEN: Final[Mapping[Layout, str]] = {"plink2": "\t", "regenie": " "}
_REGENIE_NAMES: Final = (
    *("CHROM", "GENPOS", "ID", "ALLELE0", "ALLELE1", "A1FREQ", "INFO"),
    *("N", "TEST", "BETA", "SE", "CHISQ", "LOG10P", "EXTRA"),
)
_REGENIE_CHROMOSOMES: Final = {"X": "23", "Y": "24", "XY": "25", "MT": "26"}


@dataclass(frozen=True, eq=False)
class VariantCells:
    """What a row says of its variant, as text for every row of a run; positions also int64 (m,)."""

    positions: npt.NDArray[np.int64]
    chrom: TextColumn
    pos: TextColumn
    id: TextColumn
    ref: TextColumn
    alt: TextColumn

    @classmethod
    def of(cls, genotypes: Genotypes, *, rows: int = 1) -> VariantCells:
        """From the variants of a file, each with so many rows; no frame is made."""
        positions = np.asarray(genotypes.variant_values("pos"), dtype=np.int64)
        once = cls(
            positions,
            genotypes.variant_text("chrom"),
            text_of_integers(positions),
            genotypes.variant_text("id"),
            genotypes.variant_text("ref"),
            genotypes.variant_text("alt"),
        )
        return once if rows == 1 else once.take(np.repeat(np.arange(len(positions)), rows))

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


def header(kind: Kind, layout: Layout = "plink2", *, confidence: float | None = None) -> bytes:
    """The first line of a trait's file."""
    names = _plink_names(kind, confidence) if layout == "plink2" else _REGENIE_NAMES
    return (_BETWEEN[layout].join(names) + "\n").encode()


def lines(
    cells: VariantCells,
    start: int,
    tests: VariantTests,
    *,
    kind: Kind,
    terms: Sequence[str] = ("ADD",),
    layout: Layout = "plink2",
    only: Mask | None = None,
    confidence: float | None = None,
) -> bytes:
    """The rows of one trait and block.

    Parameters
    ----------
    cells
        The rows of the whole run.
    start
        First row of the block.
    tests
        The block's results for the trait.
    kind
        The trait's kind.
    terms
        What TEST says, of one row after another in turn: each variant has a row for each.
    layout
        ``plink2``: tab-separated, ``#CHROM POS ID REF ALT A1 A1_FREQ TEST OBS_CT BETA SE T_STAT P LOG10_P ERRCODE``
        for a quantitative trait, ``FIRTH?`` after A1_FREQ and ``OR LOG(OR)_SE Z_STAT`` for a binary one;
        ``regenie``: separated by spaces, ALLELE1 is ALT, EXTRA the code where there is no result.
    only
        bool (m,): rows to write; None for all.
    confidence
        Size of an interval to put after SE (PLINK 2's ``--ci``), by the normal distribution; ``plink2`` only.

    Returns
    -------
    bytes
        Lines, numbers with nine significant digits (P with six), ``NA`` where there is none.
    """
    chosen = np.arange(len(tests.n)) if only is None else np.flatnonzero(only)
    if not len(chosen):
        return b""
    here, test = cells.take(start + chosen), _terms(start + chosen, terms)
    found = tests if only is None else tests.of(chosen)
    if layout == "plink2":
        return _plink_lines(_start_of_line(here, found, kind, test), [found], kind, confidence)[0]
    return joined_lines(_regenie_cells(here, found, test), between=_BETWEEN[layout])


def _terms(rows: npt.NDArray[np.int64], terms: Sequence[str]) -> TextColumn:
    return text_of_choices(terms, rows % len(terms))


def _plink_names(kind: Kind, confidence: float | None) -> list[str]:
    interval = [] if confidence is None else [f"{side}{100 * confidence:g}" for side in "LU"]
    start = ["#CHROM", "POS", "ID", "REF", "ALT", "A1", "A1_FREQ"]
    if kind == "quantitative":
        effect = ["TEST", "OBS_CT", "BETA", "SE", *interval, "T_STAT"]
    else:
        effect = ["FIRTH?", "TEST", "OBS_CT", "OR", "LOG(OR)_SE", *interval, "Z_STAT"]
    return [*start, *effect, "P", "LOG10_P", "ERRCODE"]


def _start_of_line(cells: VariantCells, tests: VariantTests, kind: Kind, test: TextColumn) -> TextColumn:
    """Up to the number of people: the same for all traits of the same people."""
    firth = [text_of_choices(["N", "Y"], tests.firth.astype(np.int64))] if kind == "binary" else []
    columns = [
        *(cells.chrom, cells.pos, cells.id, cells.ref, cells.alt, cells.alt),
        text_of_floats(tests.alt_frequency),
        *firth,
        test,
        text_of_integers(tests.n),
    ]
    length = sum((column.length for column in columns), np.full(len(tests.n), len(columns) - 1))
    text = np.frombuffer(joined_lines(columns), dtype=np.uint8)
    return TextColumn(text, np.cumsum(length + 1) - length - 1, length)


def _plink_lines(
    start: TextColumn, tests: Sequence[VariantTests], kind: Kind, confidence: float | None
) -> list[bytes]:
    """The lines of traits that share their first cells."""
    values = np.array([_numbers(each, kind, confidence) for each in tests])
    height = values.shape[1] - 1
    numbers = [*((column, 9) for column in range(height)), (height, -6), (height, 9)]
    chosen = np.array([each.status for each in tests]).astype(np.uint8)
    found = lines_of_numbers(start, values, numbers, _codes(), chosen)
    return [
        _line_by_cell(start, *rows) if lines is None else lines
        for lines, *rows in zip(found, values, chosen, strict=True)
    ]


def _numbers(tests: VariantTests, kind: Kind, confidence: float | None) -> list[npt.NDArray[np.float64]]:
    """Effect, SE, interval, statistic and -log10 P."""
    away = (
        [] if confidence is None else [sign * NormalDist().inv_cdf((1 + confidence) / 2) for sign in (-1, 1)]
    )
    effects = [tests.beta, *(tests.beta + z * tests.se for z in away)]
    with np.errstate(over="ignore"):
        effect, *interval = (np.exp(value) if kind == "binary" else value for value in effects)
    return [effect, tests.se, *interval, tests.statistic, tests.log10p]


def _line_by_cell(start: TextColumn, values: npt.NDArray[np.float64], chosen: npt.NDArray[np.uint8]) -> bytes:
    *before, log10p = values
    cells = [*map(text_of_floats, before), _p_cells(log10p), text_of_floats(log10p)]
    return joined_lines([start, *cells, _codes().take(chosen.astype(np.int64))])


@cache
def _codes() -> TextColumn:
    return text_of_strings(ERRCODES)


def _p_cells(log10p: npt.NDArray[np.float64]) -> TextColumn:
    if (log10p >= _FAR).any():
        return text_of_strings(p_text(log10p))
    return text_of_floats(np.power(10.0, -log10p), digits=6)


def _regenie_cells(cells: VariantCells, tests: VariantTests, test: TextColumn) -> list[TextColumn]:
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
        test,
        text_of_floats(tests.beta),
        text_of_floats(tests.se),
        text_of_floats(tests.statistic**2),
        text_of_floats(tests.log10p),
        text_of_choices(["NA", *ERRCODES[1:]], tests.status),
    ]


def text_rows(
    cells: VariantCells,
    block: BlockTests,
    *,
    kinds: Mapping[str, Kind],
    header_first: bool,
    least_log10p: float | None = None,
    terms: Sequence[str] = ("ADD",),
    layout: Layout = "plink2",
    confidence: float | None = None,
) -> dict[str, bytes]:
    """A block's rows of every trait's text file, by trait; see :func:`lines`, and :func:`passing`."""
    found: dict[str, bytes] = {}
    for names, start in _together(cells, block, kinds, least_log10p, terms, layout):
        if start is None:
            (name,) = names
            tests, kind = block.tests[name], kinds[name]
            found[name] = lines(
                cells,
                block.start,
                tests,
                kind=kind,
                terms=terms,
                layout=layout,
                only=passing(tests, least_log10p),
                confidence=confidence,
            )
        else:
            made = _plink_lines(start, [block.tests[name] for name in names], kinds[names[0]], confidence)
            found.update(zip(names, made, strict=True))
    if header_first:
        return {
            name: header(kinds[name], layout, confidence=confidence) + found[name] for name in block.tests
        }
    return found


def _together(
    cells: VariantCells,
    block: BlockTests,
    kinds: Mapping[str, Kind],
    least_log10p: float | None,
    terms: Sequence[str],
    layout: Layout,
) -> Iterator[tuple[list[str], TextColumn | None]]:
    """Traits whose lines start alike, a few at a time, and those starts; None for what has its own."""
    shared: dict[tuple[int, int], list[str]] = {}
    for name, tests in block.tests.items():
        if layout == "plink2" and kinds[name] == "quantitative" and least_log10p is None:
            shared.setdefault((id(tests.n), id(tests.alt_frequency)), []).append(name)
        else:
            yield [name], None
    rows = np.arange(block.start, block.stop)
    for names in shared.values():
        start = _start_of_line(cells.take(rows), block.tests[names[0]], "quantitative", _terms(rows, terms))
        for first in range(0, len(names), AT_ONCE):
            yield names[first : first + AT_ONCE], start


def parquet_parts(
    cells: VariantCells,
    blocks: Sequence[BlockTests],
    *,
    least_log10p: float | None = None,
    terms: Sequence[str] = ("ADD",),
) -> Iterator[tuple[str, bytes]]:
    """Results in consecutive blocks as one Parquet file (zstd) a trait.

    Parameters
    ----------
    cells
        The rows of the whole run.
    blocks
        At least one, without a gap.
    least_log10p
        See :func:`passing`.
    terms
        What TEST says, as in :func:`lines`.

    Yields
    ------
    (str, bytes)
        Trait, and a file with the columns of :data:`gwas.association.COLUMNS` but TRAIT. Put as
        ``trait=NAME/part.parquet`` they are one data set to Arrow, DuckDB and Spark. The same results give
        the same bytes.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = np.arange(blocks[0].start, blocks[-1].stop)
    here = cells.take(rows)
    alt = pa.array(here.alt.strings(), type=pa.string())
    variants = pa.table(
        {
            "#CHROM": pa.array(here.chrom.strings(), type=pa.string()),
            "POS": here.positions,
            "ID": pa.array(here.id.strings(), type=pa.string()),
            "REF": pa.array(here.ref.strings(), type=pa.string()),
            "ALT": alt,
            "A1": alt,
        }
    )
    for name in blocks[0].tests:
        tests = VariantTests.joined([block.tests[name] for block in blocks])
        table = variants
        for column, values in {
            "A1_FREQ": tests.alt_frequency,
            "FIRTH?": np.where(tests.firth, "Y", "N"),
            "TEST": np.array(terms)[rows % len(terms)],
            "OBS_CT": tests.n,
            "BETA": tests.beta,
            "SE": tests.se,
            "T_STAT": tests.statistic,
            "P": np.power(10.0, -tests.log10p),
            "LOG10_P": tests.log10p,
            "ERRCODE": pa.DictionaryArray.from_arrays(tests.status, ERRCODES).cast(pa.string()),
        }.items():
            table = table.append_column(column, pa.array(values))
        only = passing(tests, least_log10p)
        out = io.BytesIO()
        pq.write_table(table if only is None else table.filter(pa.array(only)), out, compression="zstd")
        yield name, out.getvalue()
