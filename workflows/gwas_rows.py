"""Rows of association results as bytes: PLINK 2's text, or Parquet."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import pandas as pd

from gwas.association import block_frame
from gwas.design import Kind
from gwas.engines.protocol import BlockTests
from gwas.kernels.recode import Coding
from gwas.models.result import VariantTests
from gwas.sumstats import to_plink


def text_rows(
    variants: pd.DataFrame,
    block: BlockTests,
    *,
    kinds: Mapping[str, Kind],
    coding: Coding,
    header: bool,
    log10p_from: float | None = None,
    confidence: float | None = None,
) -> dict[str, bytes]:
    """A block's rows of every trait's text file.

    Parameters
    ----------
    variants
        All variants of the run.
    block
        Tests of some of them.
    kinds
        Of each trait, which decides its columns.
    coding
        What TEST says.
    header
        Whether the column names come first.
    log10p_from
        Least -log10 P of a row that is written; None writes all, also those without a result.
    confidence
        Size of an interval to add after SE (PLINK 2's ``--ci``), by the normal distribution.
    """
    found = {}
    for name, tests in block.tests.items():
        rows, part = _chosen(variants, block, name, tests, log10p_from)
        frame = to_plink(block_frame(rows, part, coding=coding), kind=kinds[name])
        if confidence is not None:
            frame = _with_interval(frame, kinds[name], confidence)
        found[name] = _text(frame, header=header).encode()
    return found


def parquet_part(
    variants: pd.DataFrame,
    blocks: Sequence[BlockTests],
    trait: str,
    *,
    coding: Coding,
    log10p_from: float | None = None,
) -> bytes:
    """Rows of one trait in some blocks as a Parquet file, columns as of ``careome gwas``'s frames without TRAIT."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    frames = []
    for block in blocks:
        rows, part = _chosen(variants, block, trait, block.tests[trait], log10p_from)
        frames.append(block_frame(rows, part, coding=coding).drop(columns="TRAIT"))
    whole = pd.concat(frames, ignore_index=True)
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(whole, preserve_index=False), sink, compression="zstd")
    return sink.getvalue()


def _chosen(
    variants: pd.DataFrame, block: BlockTests, name: str, tests: VariantTests, log10p_from: float | None
) -> tuple[pd.DataFrame, BlockTests]:
    """Rows of the variants of one trait's tests that are to be written, and these tests as a block of them."""
    rows = variants.iloc[block.start : block.stop]
    if log10p_from is not None:
        kept = np.flatnonzero(tests.log10p >= log10p_from)
        rows = rows.iloc[kept]
        tests = replace(tests, **{field.name: getattr(tests, field.name)[kept] for field in fields(tests)})
    return rows, BlockTests(block.block, 0, len(rows), {name: tests})


def _with_interval(frame: pd.DataFrame, kind: Kind, confidence: float) -> pd.DataFrame:
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    effect, se = ("BETA", "SE") if kind == "quantitative" else ("OR", "LOG(OR)_SE")
    middle = frame[effect].to_numpy() if kind == "quantitative" else np.log(frame[effect].to_numpy())
    ends: list[npt.NDArray[np.float64]] = [
        middle - z * frame[se].to_numpy(),
        middle + z * frame[se].to_numpy(),
    ]
    if kind == "binary":
        ends = [np.exp(end) for end in ends]
    place = frame.columns.get_loc(se) + 1
    for side, values in zip("UL", reversed(ends), strict=True):
        frame.insert(place, f"{side}{100 * confidence:g}", values)
    return frame


def _text(table: pd.DataFrame, *, header: bool) -> str:
    """Rows as tab-separated text, ``NA`` for NaN; several times faster than pandas does."""
    numeric = [pd.api.types.is_float_dtype(dtype) for dtype in table.dtypes]
    template = "\t".join("%.9g" if is_float else "%s" for is_float in numeric) + "\n"
    whole = table.loc[:, numeric].notna().all(axis=1).tolist()
    rows = zip(*(table[name].tolist() for name in table.columns), strict=True)
    lines = [
        template % row if complete else _line_with_gaps(row)
        for row, complete in zip(rows, whole, strict=True)
    ]
    return ("\t".join(table.columns) + "\n" if header else "") + "".join(lines)


def _line_with_gaps(row: tuple[object, ...]) -> str:
    cells = (
        value if not isinstance(value, float) else "NA" if value != value else f"{value:.9g}" for value in row
    )
    return "\t".join(map(str, cells)) + "\n"
