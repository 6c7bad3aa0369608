"""The standardised genotype matrix as an operator: multiplied from packed bytes, never held decoded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from gwas.engines.threads import checked_threads
from gwas.genotypes import Genotypes
from gwas.kernels import standardised as kernel

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Packed = npt.NDArray[np.uint8]

ROWS: Final = 4096
HELD_BYTES: Final = 384 * 2**20
COPIES: Final = np.array([2.0, 0.0, 1.0, 0.0], dtype=np.float64)
"""ALT copies of the codes 00, 01 (missing), 10 and 11."""


class StandardisedGenotypes:
    """``Z``: variants by people, ``(ALT copies - mean) / scale``, missing calls 0.

    Parameters
    ----------
    genotypes
        People and variants.
    mean, scale
        float64 (m,).
    threads
        Threads. Each has rows of its own, so the results do not depend on their number.

    Notes
    -----
    Packed calls stay in memory up to 384 MiB, else every pass reads the file again.
    """

    def __init__(self, genotypes: Genotypes, mean: F64, scale: F64, *, threads: int) -> None:
        self._genotypes = genotypes
        self._threads = checked_threads(threads)
        self.n, self.m = genotypes.n_samples, genotypes.n_variants
        table = (COPIES[None, :] - mean[:, None]) / scale[:, None]
        table[:, 1] = 0.0
        self._values: F32 = table.astype(np.float32)
        self._words = (self.n + 15) // 16
        self._held: list[tuple[slice, Packed]] | None = None
        if self.m * self._words * kernel.WORD <= HELD_BYTES:
            self._held = list(self._read())

    def gram(self, vectors: F64) -> F64:
        """``Z' Z v``: float64 (n, k) of float64 (n, k), in one pass over the genotypes."""
        total = np.zeros((self.n, vectors.shape[1]))
        right = self._by_word(vectors)
        with ThreadPoolExecutor(max_workers=self._threads) as pool:
            for rows, packed in self._chunks():
                values = self._values[rows]
                weights = [self._times(pool, packed, values, part) for part in right]
                total += self._weigh(pool, packed, values, weights)[:, : vectors.shape[1]]
        return total

    def times(self, vectors: F64) -> F64:
        """``Z v``: float64 (m, k) of float64 (n, k)."""
        out = np.empty((self.m, vectors.shape[1]))
        right = self._by_word(vectors)
        with ThreadPoolExecutor(max_workers=self._threads) as pool:
            for rows, packed in self._chunks():
                parts = [self._times(pool, packed, self._values[rows], part) for part in right]
                out[rows] = np.concatenate(parts, axis=1)[:, : vectors.shape[1]]
        return out

    def weigh(self, loadings: F64) -> tuple[F64, F64]:
        """``Z' w``, float64 (n, k) of float64 (m, k), and each person's sum of squares, float64 (n,)."""
        total = np.zeros((self.n, loadings.shape[1]))
        squares = np.zeros(self.n)
        with ThreadPoolExecutor(max_workers=self._threads) as pool:
            for rows, packed in self._chunks():
                values = self._values[rows]
                weights = _by_variant(loadings[rows])
                total += self._weigh(pool, packed, values, weights)[:, : loadings.shape[1]]
                ones = np.ones((len(values), kernel.COLUMNS), dtype=np.float32)
                squares += self._weigh(pool, packed, values**2, [ones])[:, 0]
        return total, squares

    def _by_word(self, matrix: F64) -> list[F32]:
        groups = range(0, matrix.shape[1], kernel.COLUMNS)
        return [kernel.by_word(matrix[:, g : g + kernel.COLUMNS], self._words) for g in groups]

    def _times(self, pool: ThreadPoolExecutor, packed: Packed, values: F32, right: F32) -> F32:
        out = np.empty((len(packed), kernel.COLUMNS), dtype=np.float32)
        self._share(pool, len(packed), lambda a, b: kernel.times(packed[a:b], values[a:b], right, out[a:b]))
        return out

    def _weigh(self, pool: ThreadPoolExecutor, packed: Packed, values: F32, weights: list[F32]) -> F32:
        parts = []
        for part in weights:
            out = kernel.no_words(self._words)

            def job(a: int, b: int, part: F32 = part, out: F32 = out) -> None:
                kernel.weigh(packed, values, part, a, b, out)

            self._share(pool, self._words, job)
            parts.append(kernel.from_words(out, self.n))
        return np.concatenate(parts, axis=1)

    def _share(self, pool: ThreadPoolExecutor, size: int, job: Callable[[int, int], None]) -> None:
        cuts = np.linspace(0, size, self._threads + 1).astype(int).tolist()
        for done in [pool.submit(job, a, b) for a, b in pairwise(cuts) if b > a]:
            done.result()

    def _chunks(self) -> Iterator[tuple[slice, Packed]]:
        return iter(self._held) if self._held is not None else self._read()

    def _read(self) -> Iterator[tuple[slice, Packed]]:
        for block in self._genotypes.blocks(ROWS):
            yield slice(block.start, block.stop), kernel.whole_words(block.packed_selected())


def _by_variant(matrix: F64) -> list[F32]:
    """Groups of COLUMNS columns as float32, padded with zeros to whole groups."""
    groups = -(-matrix.shape[1] // kernel.COLUMNS)
    padded = np.zeros((groups, len(matrix), kernel.COLUMNS), dtype=np.float32)
    for g in range(groups):
        part = matrix[:, kernel.COLUMNS * g : kernel.COLUMNS * (g + 1)]
        padded[g, :, : part.shape[1]] = part
    return list(padded)
