"""Thinning of a genome-wide scan: the crowd once per pixel, every strong variant kept.

The crowd is put into cells of 2^k bases by 1/64 of a unit of -log10 P with integer arithmetic, and the first
variant of the file in each cell stands for it at its own place. k grows while the scan is read, so that the
genome never has more than so many columns; cells of 2^k bases are unions of cells of 2^(k-1), so the outcome
does not depend on how the scan was cut into batches.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workflows.figures.batches import CHROMOSOMES, Batch, Results, batches

COLUMNS: Final = 2048
ROWS: Final = 64
"""Columns of the whole genome at most, and cells per unit of -log10 P: finer than pixels at 1,200 px width."""
TAIL: Final = 4.0
"""-log10 P from which every variant is kept."""

Longs = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Thinned:
    """What is drawn of a scan.

    Attributes
    ----------
    chrom
        int8 (k,): place in :data:`workflows.figures.batches.CHROMOSOMES`.
    pos, height
        int64 (k,) base and float64 (k,) -log10 P of the points, crowd and tail.
    tail
        Every variant with -log10 P of at least :data:`TAIL`, in order of the file: ``#CHROM POS ID LOG10_P``.
    spans
        First and last base tested on each chromosome, in order.
    tested
        Number of variants with a result.
    """

    chrom: NDArray[np.int8]
    pos: Longs
    height: Floats
    tail: pd.DataFrame
    spans: Mapping[str, tuple[int, int]]
    tested: int

    @property
    def highest(self) -> float:
        """Largest -log10 P; 0 of an empty scan."""
        return float(self.height.max(initial=0.0))


def thin(
    results: Results | Thinned, *, trait: str | None = None, columns: int = COLUMNS, rows: int = ROWS
) -> Thinned:
    """Thin a scan to what can be told apart.

    Parameters
    ----------
    results
        See :func:`workflows.figures.batches.batches`. What is thinned already comes back as it is.
    trait
        Which trait, where there are several.
    columns, rows
        Columns of the genome at most; rows per unit of -log10 P.

    Returns
    -------
    Thinned

    Examples
    --------
    >>> frame = pd.DataFrame({"CHROM": ["1"] * 4, "POS": [5, 6, 5000, 7], "LOG10_P": [1.0, 1.001, 1.0, 9.0]})
    >>> scan = thin(frame, columns=16)
    >>> scan.pos.tolist(), scan.tested, len(scan.tail)
    ([5, 5000, 7], 4, 1)
    """
    if isinstance(results, Thinned):
        return results
    crowd = _Crowd(columns=columns, rows=rows)
    for batch in batches(results, trait=trait):
        crowd.add(batch)
    return crowd.thinned()


@dataclass(eq=False)
class _Crowd:
    columns: int
    rows: int
    shift: int = 0
    tested: int = 0
    first: dict[int, int] = field(default_factory=dict)
    last: dict[int, int] = field(default_factory=dict)
    pos: dict[int, Longs] = field(default_factory=dict)
    height: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    tails: list[pd.DataFrame] = field(default_factory=list)

    @property
    def deep(self) -> int:
        return int(TAIL * self.rows)

    def add(self, batch: Batch) -> None:
        """Put a batch into its cells."""
        strong = batch.height >= TAIL
        if strong.any():
            self.tails.append(
                pd.DataFrame(
                    {
                        "#CHROM": np.array(CHROMOSOMES)[batch.chrom[strong]],
                        "POS": batch.pos[strong],
                        "ID": batch.names(strong),
                        "LOG10_P": batch.height[strong],
                    }
                )
            )
        present = np.flatnonzero(np.bincount(batch.chrom, minlength=len(CHROMOSOMES))).tolist()
        mine = {code: slice(None) if len(present) == 1 else batch.chrom == code for code in present}
        for code in present:
            pos = batch.pos[mine[code]]
            self.first[code] = min(self.first.get(code, int(pos.min())), int(pos.min()))
            self.last[code] = max(self.last.get(code, 0), int(pos.max()))
        self._coarsen()
        for code in present:
            self._place(code, batch.pos[mine[code]], batch.height[mine[code]])
        self.tested += batch.pos.size

    def _width(self, code: int) -> int:
        return (self.last[code] >> self.shift) + 1

    def _coarsen(self) -> None:
        """Double the columns' width until the genome fits; of two cells the one met first stays."""
        while sum(self._width(code) for code in self.last) > max(self.columns, len(self.last)):
            self.shift += 1
            for code, pos in self.pos.items():
                pairs = pos.reshape(-1, 2, self.deep, 2)
                # The second number of a cell is the variant's rank in the file.
                order = np.where(pairs[..., 0] >= 0, pairs[..., 1], np.iinfo(np.int64).max)
                which = order.argmin(axis=1)[:, None]
                self.pos[code] = np.take_along_axis(pairs, which[..., None], axis=1)[:, 0].copy()
                tall = self.height[code].reshape(-1, 2, self.deep)
                self.height[code] = np.take_along_axis(tall, which, axis=1)[:, 0].copy()
                self._pad(code)

    def _pad(self, code: int) -> None:
        """Keep the number of columns even, for the next doubling."""
        if self.pos[code].shape[0] % 2:
            self.pos[code] = np.concatenate([self.pos[code], np.full((1, self.deep, 2), -1, dtype=np.int64)])
            self.height[code] = np.concatenate([self.height[code], np.zeros((1, self.deep))])

    def _place(self, code: int, pos: Longs, height: Floats) -> None:
        wide = self._width(code) + self._width(code) % 2
        if code not in self.pos:
            self.pos[code] = np.full((wide, self.deep, 2), -1, dtype=np.int64)
            self.height[code] = np.zeros((wide, self.deep))
        elif (more := wide - self.pos[code].shape[0]) > 0:
            self.pos[code] = np.concatenate(
                [self.pos[code], np.full((more, self.deep, 2), -1, dtype=np.int64)]
            )
            self.height[code] = np.concatenate([self.height[code], np.zeros((more, self.deep))])
        crowd = np.flatnonzero(height < TAIL)
        # Backwards, so that of several in a cell the first of the file is written last.
        crowd = crowd[::-1]
        row = np.minimum((np.maximum(height[crowd], 0.0) * self.rows).astype(np.int64), self.deep - 1)
        cell = (pos[crowd] >> self.shift) * self.deep + row
        winner = np.full(self.height[code].size, -1, dtype=np.int64)
        winner[cell] = crowd
        flat, tall = self.pos[code].reshape(-1, 2), self.height[code].reshape(-1)
        filled = np.flatnonzero((winner >= 0) & (flat[:, 0] < 0))
        flat[filled, 0] = pos[winner[filled]]
        flat[filled, 1] = self.tested + winner[filled]
        tall[filled] = height[winner[filled]]

    def thinned(self) -> Thinned:
        codes, places, tall = [], [], []
        for code in sorted(self.pos):
            filled = self.pos[code][..., 0] >= 0
            codes.append(np.full(int(filled.sum()), code, dtype=np.int8))
            places.append(self.pos[code][..., 0][filled])
            tall.append(self.height[code][filled])
        tail = (
            pd.concat(self.tails, ignore_index=True)
            if self.tails
            else pd.DataFrame({"#CHROM": [], "POS": np.empty(0, np.int64), "ID": [], "LOG10_P": np.empty(0)})
        )
        known = {name: code for code, name in enumerate(CHROMOSOMES)}
        codes.append(np.array([known[name] for name in tail["#CHROM"]], dtype=np.int8))
        places.append(tail["POS"].to_numpy(dtype=np.int64))
        tall.append(tail["LOG10_P"].to_numpy(dtype=np.float64))
        return Thinned(
            chrom=np.concatenate(codes),
            pos=np.concatenate(places),
            height=np.concatenate(tall),
            tail=tail,
            spans={CHROMOSOMES[c]: (self.first[c], self.last[c]) for c in sorted(self.last)},
            tested=self.tested,
        )
