"""Correlation of variants, and greedy pruning, on bit-planes (see :mod:`gwas.kernels.bitplanes`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from gwas.kernels.machine_code import MachineCode
from gwas.kernels.planes import LANES, Words, plane_words

Order = Literal["plink2", "plink1"]
Index = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

COUNTS: Final = 7

_FLAT: Final = ("uint64:1", "uint64:1", "uint64:1", "int64")
_MOMENTS: Final = MachineCode("ld_loops", "moments", "uint64:2", "uint64:2", "int64:2")
_SPANS: Final = MachineCode(
    "ld_loops", "r_of_spans", *_FLAT, "int64:2", "int64", *["int64:1"] * 4, "float64:1"
)
_PREPARE: Final = MachineCode(
    "ld_loops", "prepare", *["uint64:2"] * 2, *["int64"] * 2, "uint64:2", "int64:2", "float64:2"
)
_PRUNE_ARGUMENTS: Final = (
    *_FLAT,
    "int64",
    "int64:2",
    "float64:2",
    *["int64"] * 2,
    "int64:2",
    "float64",
    "float64:1",
    "uint8:1",
    *["int64:1"] * 2,
)
_PRUNE: Final = {
    "plink2": MachineCode("ld_loops", "prune_backwards", *_PRUNE_ARGUMENTS),
    "plink1": MachineCode("ld_loops", "prune_forwards", *_PRUNE_ARGUMENTS),
}


def moments(hom: Words, alt: Words) -> Index:
    """Called samples, sum and sum of squares of each variant: int64 (m, 3), from uint64 (m, words) planes.

    A genotype counts as ALT copies less one.
    """
    out = np.empty((len(hom), 3), dtype=np.int64)
    _MOMENTS(hom, alt, out)
    return out


def r_of_spans(hom: Words, alt: Words, stats: Index, n: int, rows: Index, starts: Index, stops: Index) -> F64:
    """Correlate each of some variants with a span of variants.

    Parameters
    ----------
    hom, alt
        uint64 (m, words), C order: planes of variants, ``words`` from
        :func:`gwas.kernels.planes.plane_words`.
    stats
        int64 (m, 3): their :func:`moments`.
    n
        Number of samples.
    rows, starts, stops
        int64 (k,): variants, and the half-open spans of their partners.

    Returns
    -------
    ndarray of float64 (sum of spans,)
        One span after another: correlation of ALT copies over the samples called in both; nan where one does
        not vary among them.
    """
    out = np.empty(int((stops - starts).sum()))
    _SPANS(
        hom.reshape(-1),
        alt.reshape(-1),
        (hom | alt).reshape(-1),
        hom.shape[1],
        stats,
        n,
        rows,
        starts,
        stops,
        np.empty(COUNTS, dtype=np.int64),
        out,
    )
    return out


@dataclass(frozen=True, eq=False)
class Window:
    """Consecutive variants as pruning wants them: planes without gaps, who is called, and sums.

    The arrays are those of :func:`gwas.kernels.ld_loops.prepare`.
    """

    hom: Words
    alt: Words
    calls: Words
    known: Index
    table: F64

    @classmethod
    def of(cls, hom: Words, alt: Words, *, n: int, part: int) -> Window:
        """From planes, uint64 (m, words), which are changed in place; ``part`` from :func:`first_part`."""
        calls = np.empty_like(hom)
        known = np.empty((len(hom), 7), dtype=np.int64)
        table = np.empty((len(hom), 4))
        _PREPARE(hom, alt, n, part, calls, known, table)
        return cls(hom, alt, calls, known, table)

    def followed_by(self, other: Window, *, drop: int) -> Window:
        """These variants without the first ``drop``, and then the others."""
        return Window(
            *(
                np.concatenate([getattr(self, name)[drop:], getattr(other, name)])
                for name in ("hom", "alt", "calls", "known", "table")
            )
        )

    def invariable(self) -> npt.NDArray[np.bool_]:
        """Which do not vary, bool (m,)."""
        called, total, squares = self.known[:, :3].T
        found: npt.NDArray[np.bool_] = squares * called == total * total
        return found


def first_part(n: int, threshold: float) -> int:
    """Words of samples to look at first: about as many as it takes to tell that r2 is no more than chance.

    Examples
    --------
    >>> plane_words(20_000), first_part(20_000, 0.2)
    (320, 200)
    """
    share = 1.0 - threshold**0.5 + 0.04 + 4.0 / max(n, 1) ** 0.5
    words = plane_words(n)
    return min(words, -(-int(share * words) // LANES) * LANES)


def prune(
    window: Window,
    *,
    base: int,
    n: int,
    splits: Index,
    threshold: float,
    part: int,
    major: F64,
    removed: npt.NDArray[np.bool_],
    unchecked: Index,
    order: Order,
) -> None:
    """Prune within consecutive windows of one chromosome.

    Of a linked pair the one with the rarer minor allele goes, the later one on a tie.

    Parameters
    ----------
    window
        Variants ``base`` and following of the chromosome.
    n
        Number of samples.
    splits
        int64 (k, 3): where a window starts, where its new variants start, where it stops (half-open); in
        order, all within the variants at hand.
    threshold
        Largest r2 allowed to stay.
    part
        As the window was made with.
    major
        float64 (variants of the chromosome,): frequency of the commoner allele.
    removed
        bool (variants of the chromosome,), updated in place.
    unchecked
        int64 (variants of the chromosome,), zero at first and updated in place: what ``plink1`` remembers.
    order
        ``plink2``: each variant that is new in a window, the last one first, meets the survivors before it,
        the nearest first, until it goes. One that went before its turn still has its turn. ``plink1``: the
        survivors in order meet the later survivors they have not met, up to the first linked one; rounds
        repeat until one removes nothing.
    """
    _PRUNE[order](
        window.hom.reshape(-1),
        window.alt.reshape(-1),
        window.calls.reshape(-1),
        window.hom.shape[1],
        part,
        window.known,
        window.table,
        base,
        n,
        splits,
        threshold,
        major,
        removed.view(np.uint8),
        unchecked,
        np.empty(COUNTS, dtype=np.int64),
    )
