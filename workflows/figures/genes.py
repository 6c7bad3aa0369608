"""Genes from a file of the user's: reading, the gene nearest to a variant, packing into rows, drawing."""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from cohorts.errors import InputError
from gwas.genotypes.chromosomes import canonical_chromosome
from workflows.figures.style import BLUE, INK, MUTED

Longs = NDArray[np.int64]
Exons = tuple[tuple[int, int], ...]

OTHER_RNA: Final = re.compile(r"^(LOC\d+|LINC\d+|MIR\d|SNOR[AD]|RNU?\d|RNY|.*-(AS|IT|DT|OT)\d*$)")
"""Symbols that HGNC and NCBI give to RNA genes and to uncharacterised loci."""


@dataclass(frozen=True, eq=False)
class Genes:
    """Genes of one build.

    Attributes
    ----------
    frame
        One row a gene of a chromosome: name, chrom (canonical), start, end (1-based, both included), strand
        ('+', '-', or '.' if not known), exons (tuple of (start, end), empty if not known), coding (makes a
        protein, as far as the file tells). Sorted by chromosome and start.
    """

    frame: pd.DataFrame

    def within(self, chrom: str, start: int, stop: int) -> pd.DataFrame:
        """Genes that touch a region, by start."""
        f = self.frame
        rows = (f["chrom"] == chrom) & (f["end"] >= start) & (f["start"] <= stop)
        return f[rows].reset_index(drop=True)

    def nearest(self, chrom: str, pos: int, *, within: int = 500_000) -> str:
        """Name of the gene that holds a base, or else of the nearest; '' if none is `within` bases.

        Genes that make a protein come first; of several that hold the base, the shortest.
        """
        near = self.within(chrom, pos - within, pos + within)
        near = near[near["coding"]] if near["coding"].any() else near
        if near.empty:
            return ""
        start, end = near["start"].to_numpy(), near["end"].to_numpy()
        away = np.maximum(np.maximum(start - pos, pos - end), 0)
        return str(near["name"].iloc[np.lexsort((near["name"], end - start, away))[0]])


def read_genes(path: Path) -> Genes:
    """Read genes from UCSC's refGene or genePred table, or from a plain list.

    Parameters
    ----------
    path
        Text, may be gzipped, of one of: UCSC's ``refGene.txt`` (``bin name chrom strand txStart txEnd cdsStart
        cdsEnd exonCount exonStarts exonEnds score name2 …``), the same without ``bin`` (genePred), or a list
        ``name chromosome start end [strand]``. Starts are counted from 0 in all three, as UCSC does.

    Returns
    -------
    Genes
        Transcripts of one name that overlap on a chromosome become one gene, with the exons of all of them.

    Raises
    ------
    InputError
        If the file is in none of these layouts.
    """
    try:
        packed = path.read_bytes()
        text = (gzip.decompress(packed) if path.suffix == ".gz" else packed).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("cannot read genes", where=path, found=str(error)) from error
    rows = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    parsed = [_row(row, number, path) for number, row in enumerate(rows, 1)]
    if not parsed:
        raise InputError("no gene in the file", where=path)
    frame = pd.DataFrame(parsed, columns=["name", "chrom", "start", "end", "strand", "exons", "coding"])
    spelling = {name: canonical_chromosome(name) for name in frame["chrom"].unique()}
    frame["chrom"] = frame["chrom"].map(spelling)
    return Genes(_merged(frame))


def _row(row: list[str], number: int, path: Path) -> tuple[str, str, int, int, str, Exons, bool]:
    try:
        if len(row) >= 10 and row[3] in "+-" and row[2] not in "+-":
            row = row[1:]
        if len(row) >= 10 and row[2] in "+-":
            exons = tuple(
                (int(a) + 1, int(b))
                for a, b in zip(row[8].strip(",").split(","), row[9].strip(",").split(","), strict=True)
            )
            name = row[11] if len(row) > 11 else row[0]
            return name, row[1], int(row[3]) + 1, int(row[4]), row[2], exons, int(row[5]) < int(row[6])
        name, chrom, start, end = row[:4]
        strand = row[4] if len(row) > 4 and row[4] in "+-" else "."
        return name, chrom, int(start) + 1, int(end), strand, (), OTHER_RNA.match(name) is None
    except ValueError as error:
        raise InputError(
            "not a file of genes",
            where=f"{path}, line {number}",
            found=f"{len(row)} columns",
            expected="UCSC's refGene or genePred table, or: name chromosome start end strand",
        ) from error


def _merged(frame: pd.DataFrame) -> pd.DataFrame:
    """One row for transcripts of one name that overlap."""
    frame = frame.sort_values(["chrom", "name", "start"], kind="stable", ignore_index=True)
    one = (frame["chrom"] + "\t" + frame["name"]).to_numpy()
    reach = frame.groupby(one, sort=False)["end"].cummax().to_numpy()
    new = np.ones(len(frame), dtype=bool)
    new[1:] = (one[1:] != one[:-1]) | (frame["start"].to_numpy()[1:] > reach[:-1])
    gene = np.cumsum(new)
    merged = frame.groupby(gene, sort=False).agg(
        name=("name", "first"),
        chrom=("chrom", "first"),
        start=("start", "min"),
        end=("end", "max"),
        strand=("strand", "first"),
        exons=("exons", _union),
        coding=("coding", "any"),
    )
    return merged.sort_values(["chrom", "start", "name"], kind="stable", ignore_index=True)


def _union(several: pd.Series) -> Exons:
    """Exons of all transcripts, those that overlap as one."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted({exon for exons in several for exon in exons}):
        if joined and start <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return tuple(joined)


def pack_rows(start: NDArray[np.float64], end: NDArray[np.float64], *, gap: float = 0.0) -> Longs:
    """Row of each interval, so that no two of a row come closer than `gap`: the first row that is free.

    Parameters
    ----------
    start, end
        float64 (n,), in the order in which they are to be placed (by start for the fewest rows).

    Returns
    -------
    int64 (n,)

    Examples
    --------
    >>> pack_rows(np.array([0.0, 5, 11]), np.array([10.0, 8, 20])).tolist()
    [0, 1, 0]
    """
    free: list[float] = []
    rows = np.zeros(start.size, dtype=np.int64)
    for k, (a, b) in enumerate(zip(start.tolist(), end.tolist(), strict=True)):
        row = next((r for r, until in enumerate(free) if a >= until + gap), len(free))
        if row == len(free):
            free.append(b)
        free[row] = b
        rows[k] = row
    return rows


def gene_rows(
    genes: pd.DataFrame, start: int, stop: int, *, base_width: float
) -> tuple[Longs, NDArray[np.float64]]:
    """Row of each gene and the middle of its name, so that neither genes nor names meet.

    Parameters
    ----------
    genes
        As :meth:`Genes.within` gives them.
    start, stop
        The region shown; a gene is drawn within it only.
    base_width
        Bases that one letter takes up.

    Returns
    -------
    rows, middles : int64 (n,), float64 (n,)
    """
    left = np.maximum(genes["start"].to_numpy(dtype=np.float64), start)
    right = np.minimum(genes["end"].to_numpy(dtype=np.float64), stop)
    half = genes["name"].str.len().to_numpy(dtype=np.float64) * base_width / 2 + base_width
    middle = np.clip((left + right) / 2, start + half, np.maximum(stop - half, start + half))
    return pack_rows(
        np.minimum(left, middle - half), np.maximum(right, middle + half), gap=base_width
    ), middle


def draw_genes(ax: Axes, genes: pd.DataFrame, start: int, stop: int, *, base_width: float) -> int:
    """Draw a track of genes: a line from start to end, exons as boxes, arrows along the strand, the name above.

    Returns
    -------
    int
        Number of rows.
    """
    rows, middle = gene_rows(genes, start, stop, base_width=base_width)
    count = int(rows.max(initial=-1)) + 1
    bodies, boxes = [], []
    for gene, row, at in zip(genes.to_dict("records"), rows.tolist(), middle.tolist(), strict=True):
        left, right = max(gene["start"], start), min(gene["end"], stop)
        y = -float(row)
        bodies.append([(left, y), (right, y)])
        exons = gene["exons"] or ((gene["start"], gene["end"]),)
        tall = 0.30 if gene["exons"] else 0.07
        for a, b in exons:
            if b >= start and a <= stop:
                a, b = max(a, start), min(b, stop)
                boxes.append(Rectangle((a, y - tall / 2), max(b - a, base_width / 12), tall))
        if gene["strand"] in "+-":
            _arrows(ax, left, right, y, 1 if gene["strand"] == "+" else -1, base_width)
        ax.text(
            at, y + 0.24, gene["name"], ha="center", va="bottom", size=6.2, style="italic",
            color=INK if gene["coding"] else MUTED, clip_on=True,
        )  # fmt: skip
    ax.add_collection(LineCollection(bodies, colors=BLUE, linewidths=0.8, zorder=2))
    ax.add_collection(PatchCollection(boxes, facecolor=BLUE, edgecolor=BLUE, linewidth=0.3, zorder=3))
    ax.set_ylim(-max(count, 1) + 0.55, 0.85)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    return count


def _arrows(ax: Axes, left: float, right: float, y: float, way: int, base_width: float) -> None:
    """Arrow heads along the body, at least one, beyond its end where the gene is short."""
    step = 7 * base_width
    if right - left < 3 * base_width:
        x = np.array([(right if way > 0 else left) + way * 0.5 * base_width])
    else:
        count = max(1, int((right - left) / step))
        x = left + (np.arange(count) + 0.5) / count * (right - left)
    ax.plot(
        x, np.full(x.size, y), linestyle="none", marker=">" if way > 0 else "<", markersize=3.4,
        color=BLUE, markeredgewidth=0, zorder=4, clip_on=True,
    )  # fmt: skip
