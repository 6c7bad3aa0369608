"""Results from a frame or a Parquet file in batches of plain arrays: what thinning reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohorts.errors import InputError
from gwas.genotypes.chromosomes import canonical_chromosome

CHROMOSOMES: Final = (*(str(n) for n in range(1, 23)), "X", "XY", "Y", "MT")
ROWS: Final = 1 << 20
SMALLEST: Final = 5e-324
"""What a P value of 0 counts as: the least that a 64-bit number holds."""

CHROM: Final = ("#CHROM", "CHROM", "chrom")
POS: Final = ("POS", "pos")
P: Final = ("LOG10_P", "log10p", "P", "p")
NAME: Final = ("ID", "id")
TRAIT: Final = ("TRAIT", "trait")
"""Names of columns in results of :func:`gwas.associate`, in PLINK 2's files and in summary statistics."""

Results = pd.DataFrame | Path


class Batch(NamedTuple):
    """Some variants that were tested.

    Attributes
    ----------
    chrom
        int8 (n,): place in :data:`CHROMOSOMES`.
    pos
        int64 (n,): base, from 1.
    height
        float64 (n,): -log10 P, finite.
    row
        int64 (n,): row of `source`.
    source
        Column of names (pandas or pyarrow), or None.
    """

    chrom: NDArray[np.int8]
    pos: NDArray[np.int64]
    height: NDArray[np.float64]
    row: NDArray[np.int64]
    source: Any

    def names(self, chosen: NDArray[np.bool_]) -> list[str]:
        """Names of the chosen variants; empty where the results have none."""
        rows = self.row[chosen]
        if self.source is None:
            return [""] * rows.size
        taken = self.source.take(rows)
        return [str(name) for name in (taken.to_pylist() if hasattr(taken, "to_pylist") else taken)]


def batches(results: Results, *, trait: str | None = None, names: bool = True) -> Iterator[Batch]:
    """The tested variants of one trait, in order of the file.

    Parameters
    ----------
    results
        A frame with ``#CHROM``, POS, ``LOG10_P`` (-log10 P) or P, and ID if there are names, or with the
        columns of :class:`gwas.sumstats.SumStats`; or a Parquet file, or folder of them, with the same
        columns, which is read a batch at a time.
    trait
        Which ``TRAIT``, where there are several.
    names
        False leaves the names of variants unread.

    Raises
    ------
    InputError
        A column is missing, or there are several traits and none was chosen.

    Notes
    -----
    Rows without a finite P and on contigs other than 1-22, X, Y, XY, MT are left out.
    """
    if isinstance(results, pd.DataFrame):
        frame = _of_trait(results, trait)
        chrom, p = _column(frame.columns, *CHROM), _column(frame.columns, *P)
        codes, chromosomes = pd.factorize(frame[chrom])
        place = np.append(_places([str(name) for name in chromosomes]), np.int8(-1))
        yield _batch(
            place[codes],
            frame[_column(frame.columns, *POS)].to_numpy(dtype=np.int64),
            frame[p].to_numpy(dtype=np.float64, na_value=np.nan),
            next((frame[name] for name in NAME if names and name in frame), None),
            is_p=p in P[2:],
        )
        return
    yield from _parquet(results, trait, wanted_names=names)


def heights(results: Results, *, trait: str | None = None) -> NDArray[np.float64]:
    """-log10 P of all tested variants, float64 (n,), in order of the file."""
    parts = [batch.height for batch in batches(results, trait=trait, names=False)]
    return np.concatenate(parts) if parts else np.empty(0)


def _parquet(path: Path, trait: str | None, *, wanted_names: bool) -> Iterator[Batch]:
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    try:
        data = ds.dataset(path, format="parquet", partitioning="hive")
    except (OSError, ValueError) as error:
        raise InputError("not a Parquet file of results", where=path, found=str(error)) from error
    names = data.schema.names
    chrom, pos = _column(names, *CHROM), _column(names, *POS)
    p = _column(names, *P)
    label = next((name for name in NAME if wanted_names and name in names), None)
    chosen = None
    key = next((name for name in TRAIT if name in names), None)
    if key is not None:
        found = {str(t) for b in data.to_batches(columns=[key]) for t in pc.unique(b[key]).to_pylist()}
        _one_trait(found, trait)
        chosen = None if trait is None else pc.field(key).cast("string") == trait
    wanted = [chrom, pos, p] if label is None else [chrom, pos, p, label]
    for part in data.to_batches(columns=wanted, filter=chosen, batch_size=ROWS, batch_readahead=1):
        if part.num_rows == 0:
            continue
        coded = part[chrom]
        if not hasattr(coded, "dictionary"):
            coded = pc.dictionary_encode(coded)
        place = np.append(_places([str(name) for name in coded.dictionary.to_pylist()]), np.int8(-1))
        codes = coded.indices.fill_null(len(place) - 1).to_numpy(zero_copy_only=False)
        yield _batch(
            place[codes],
            part[pos].to_numpy(zero_copy_only=False).astype(np.int64),
            part[p].to_numpy(zero_copy_only=False).astype(np.float64),
            None if label is None else part[label],
            is_p=p in P[2:],
        )


def _batch(
    chrom: NDArray[np.int8], pos: NDArray[np.int64], height: NDArray[np.float64], source: Any, *, is_p: bool
) -> Batch:
    if is_p:
        sound = (height >= 0) & (height <= 1)
        # Adding zero turns the minus zero of P = 1 into a plain one.
        height = -np.log10(np.where(sound, np.maximum(height, SMALLEST), np.nan)) + 0.0
    good = np.isfinite(height) & (chrom >= 0)
    row = np.flatnonzero(good)
    if row.size < height.size:
        chrom, pos, height = chrom[row], pos[row], height[row]
    return Batch(chrom, pos, height, row, source)


def _places(names: list[str]) -> NDArray[np.int8]:
    known = {name: place for place, name in enumerate(CHROMOSOMES)}
    return np.array([known.get(canonical_chromosome(name), -1) for name in names], dtype=np.int8)


def _column(columns: Any, *names: str) -> str:
    for name in names:
        if name in columns:
            return name
    raise InputError(
        "results lack a column",
        where="results",
        found=", ".join(map(str, columns)),
        expected=" or ".join(names),
    )


def _of_trait(frame: pd.DataFrame, trait: str | None) -> pd.DataFrame:
    if "TRAIT" not in frame:
        return frame
    _one_trait({str(name) for name in frame["TRAIT"].unique()}, trait)
    return frame if trait is None else frame[(frame["TRAIT"] == trait).to_numpy()]


def _one_trait(found: set[str], trait: str | None) -> None:
    if len(found) > 1 if trait is None else trait not in found:
        raise InputError(
            "results of several traits" if trait is None else f"no trait named {trait}",
            where="results",
            found=f"{len(found)} traits: {', '.join(sorted(found)[:8])}{', …' if len(found) > 8 else ''}",
            fix="choose one by name, with --trait",
        )
