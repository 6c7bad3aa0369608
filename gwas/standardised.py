"""The standardised genotype matrix as an operator: multiplied from packed bytes, never held."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from gwas.genotypes import Genotypes
from gwas.kernels import byte_tables as kernel
from gwas.kernels.packed import repack

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Packed = npt.NDArray[np.uint8]

ROWS: Final = 4096
HELD_BYTES: Final = 256 * 2**20
COPIES: Final = np.array([2.0, 0.0, 1.0, 0.0], dtype=np.float32)
"""ALT copies of the codes 00, 01 (missing), 10 and 11."""


@dataclass(frozen=True, eq=False)
class _Chunk:
    """Some variants, packed both ways, with the calls that are missing."""

    rows: slice
    by_variant: Packed
    by_sample: Packed
    missing: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]


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
    Packed calls stay in memory up to 256 MiB, else every pass reads the file again.
    """

    def __init__(self, genotypes: Genotypes, mean: F64, scale: F64, *, threads: int) -> None:
        self._genotypes = genotypes
        self._mean, self._scale = mean, scale
        self._threads = max(1, threads)
        self.n, self.m = genotypes.n_samples, genotypes.n_variants
        table = (COPIES[None, :] - mean[:, None]) / scale[:, None]
        table[:, 1] = 0.0
        self._values = table.astype(np.float32)
        self._held: list[_Chunk] | None = None
        if self.m * self.n // 2 <= HELD_BYTES:
            with ThreadPoolExecutor(max_workers=self._threads) as pool:
                self._held = list(self._read(pool))

    def gram(self, vectors: F64) -> F64:
        """``Z' Z v`` for float64 (n, k); the columns of ``v`` are centred first where Z was centred on them.

        Only for the people by whom ``mean`` was taken: then ``Z 1 = 0`` and centring changes nothing.
        """
        total = np.zeros((self.n, vectors.shape[1]))
        right = _columns(vectors - vectors.mean(axis=0), 4 * ((self.n + 3) // 4))
        with ThreadPoolExecutor(max_workers=self._threads) as pool:
            for chunk in self._chunks(pool):
                weights = [self._times(pool, chunk, part) for part in right]
                for k, part in enumerate(weights):
                    columns = slice(kernel.COLUMNS * k, min(kernel.COLUMNS * (k + 1), vectors.shape[1]))
                    product = self._weigh(pool, chunk, self._values[chunk.rows], part)
                    total[:, columns] += product[:, : columns.stop - columns.start]
        return total

    def times(self, vectors: F64) -> F64:
        """``Z v``: float64 (m, k), for the people by whom ``mean`` was taken (see :meth:`gram`)."""
        out = np.empty((self.m, vectors.shape[1]))
        right = _columns(vectors - vectors.mean(axis=0), 4 * ((self.n + 3) // 4))
        with ThreadPoolExecutor(max_workers=self._threads) as pool:
            for chunk in self._chunks(pool):
                parts = [self._times(pool, chunk, part) for part in right]
                out[chunk.rows] = np.concatenate(parts, axis=1)[:, : vectors.shape[1]]
        return out

    def weigh(self, loadings: F64) -> tuple[F64, F64]:
        """``Z' w`` (n, k) and each person's sum of squares (n,), for anybody."""
        total = np.zeros((self.n, loadings.shape[1]))
        squares = np.zeros(self.n)
        with ThreadPoolExecutor(max_workers=self._threads) as pool:
            for chunk in self._chunks(pool):
                values = self._values[chunk.rows]
                parts = [
                    self._weigh(pool, chunk, values, p) for p in _columns(loadings[chunk.rows], len(values))
                ]
                total += np.concatenate(parts, axis=1)[:, : loadings.shape[1]]
                ones = np.ones((len(values), kernel.COLUMNS), dtype=np.float32)
                squares += self._weigh(pool, chunk, values**2, ones)[:, 0]
        return total, squares

    def _times(self, pool: ThreadPoolExecutor, chunk: _Chunk, right: F32) -> F32:
        values = np.broadcast_to(COPIES, (len(right), 4))
        out = np.zeros((len(chunk.by_variant), kernel.COLUMNS), dtype=np.float32)
        mean, scale = self._mean[chunk.rows], self._scale[chunk.rows]

        def job(a: int, b: int) -> None:
            kernel.add_product(chunk.by_variant[a:b], values, right, out[a:b])
            kernel.standardise_product(
                out[a:b], chunk.missing, chunk.starts[a : b + 1], right, mean[a:b], scale[a:b]
            )

        self._share(pool, len(out), job)
        return out

    def _weigh(self, pool: ThreadPoolExecutor, chunk: _Chunk, values: F32, weights: F32) -> F32:
        positions = 4 * chunk.by_sample.shape[1]
        padded = np.zeros((positions, 4), dtype=np.float32)
        padded[: len(values)] = values
        right = np.zeros((positions, kernel.COLUMNS), dtype=np.float32)
        right[: len(weights)] = weights
        out = np.zeros((self.n, kernel.COLUMNS), dtype=np.float32)
        self._share(
            pool, self.n, lambda a, b: kernel.add_product(chunk.by_sample[a:b], padded, right, out[a:b])
        )
        return out

    def _share(self, pool: ThreadPoolExecutor, rows: int, job: Callable[[int, int], None]) -> None:
        cuts = np.linspace(0, rows, self._threads + 1).astype(int).tolist()
        for done in [pool.submit(job, a, b) for a, b in pairwise(cuts) if b > a]:
            done.result()

    def _chunks(self, pool: ThreadPoolExecutor) -> Iterator[_Chunk]:
        return iter(self._held) if self._held is not None else self._read(pool)

    def _read(self, pool: ThreadPoolExecutor) -> Iterator[_Chunk]:
        for block in self._genotypes.blocks(ROWS):
            packed = block.packed if block.sample_index is None else repack(block.packed, block.sample_index)
            size = len(packed)
            by_sample = np.zeros((self.n, (size + 3) // 4), dtype=np.uint8)
            counts = np.empty(size, dtype=np.int64)

            def job(a: int, b: int, packed: Packed = packed, counts: npt.NDArray[np.int64] = counts) -> None:
                kernel.count_missing(packed[a:b], self.n, counts[a:b])

            self._share(pool, size, job)
            kernel.transpose_packed(packed, self.n, by_sample)
            starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
            missing = np.empty(int(starts[-1]), dtype=np.int32)
            kernel.list_missing(packed, starts, missing)
            yield _Chunk(slice(block.start, block.stop), packed, by_sample, missing, starts)


def _columns(matrix: F64, rows: int) -> list[F32]:
    """Groups of COLUMNS columns as float32, padded with zeros to whole groups and to ``rows`` rows."""
    groups = -(-matrix.shape[1] // kernel.COLUMNS)
    padded = np.zeros((rows, groups * kernel.COLUMNS), dtype=np.float32)
    padded[: len(matrix), : matrix.shape[1]] = matrix
    return [
        np.ascontiguousarray(padded[:, kernel.COLUMNS * g : kernel.COLUMNS * (g + 1)]) for g in range(groups)
    ]
