"""The default engine: one machine, all cores."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from threading import Lock

import numpy as np
import numpy.typing as npt

from gwas.design import Design
from gwas.engines.blas_threads import one_blas_thread
from gwas.engines.protocol import BlockTests
from gwas.engines.threads import checked_threads
from gwas.genotypes.chromosomes import Ploidy, ploidy_class
from gwas.genotypes.descriptor import Block, Dosages, Genotypes, Index, Packed
from gwas.models.coding import code_tile, halve_tile
from gwas.models.phenome import AssociationOptions, Phenome, prepare_phenome
from gwas.models.result import VariantTests
from gwas.models.tile import DosageTile, PackedTile, Tile

DOSAGE_BYTES = 1 << 26
"""Dosages held at once; the next as many are read meanwhile."""

KEPT = 4
"""Chromosomes whose null models are held where offsets make them differ."""

REPACK_BELOW = 0.5
"""Repack a block to the selected samples where they are less than this part of the file."""


@dataclass(frozen=True)
class LocalEngine:
    """Runs on this machine.

    Attributes
    ----------
    threads
        Threads of the kernels; None takes every processor.
    """

    threads: int | None = None
    name: str = "local"

    def __post_init__(self) -> None:
        if self.threads is not None:
            checked_threads(self.threads)

    def associate(
        self, genotypes: Genotypes, design: Design, options: AssociationOptions, *, start_block: int = 0
    ) -> Iterator[BlockTests]:
        """See :class:`gwas.engines.protocol.Engine`.

        While a block is tested the next is read and the one before is the caller's. Blocks of hard calls
        are tested side by side, one in a thread; what needs numba takes all threads for one
        block.
        """
        layout = _Layout.of(genotypes)
        size = options.block_size
        threads = self.threads or len(os.sched_getaffinity(0))
        numba = genotypes.values == "dosage"
        test = _Tester(genotypes, design, options, layout, threads, numba=numba).test
        parts: list[dict[str, VariantTests]] = []
        # dosages are multiplied by the BLAS that numba finds; calls need none, and to load it takes a while
        by_numba = numba or options.male_copies == 1
        with one_blas_thread() if by_numba else nullcontext(), one_blas_thread("numpy"):
            for stop, found in _in_order(
                test, _tiles(genotypes, layout, size, start_block), workers=1 if numba else threads
            ):
                parts += found
                if stop % size and stop < genotypes.n_variants:
                    continue
                tests = {name: VariantTests.joined([part[name] for part in parts]) for name in parts[0]}
                number = (stop - 1) // size
                yield BlockTests(number, number * size, stop, tests)
                parts = []


Stretch = tuple[int, int, Callable[[int, int], Tile]]


def _in_order(
    test: Callable[[Stretch], list[dict[str, VariantTests]]], stretches: Iterator[Stretch], *, workers: int
) -> Iterator[tuple[int, list[dict[str, VariantTests]]]]:
    """Test stretches in threads, and give where each ends and its results, in order; few are held at once."""
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="association") as pool:
        waiting: deque[tuple[int, Future[list[dict[str, VariantTests]]]]] = deque()
        try:
            for stretch in stretches:
                waiting.append((stretch[1], pool.submit(test, stretch)))
                if len(waiting) > workers:
                    stop, found = waiting.popleft()
                    yield stop, found.result()
            while waiting:
                stop, found = waiting.popleft()
                yield stop, found.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class _Tester:
    """Tests stretches of variants; null models are fitted when a chromosome first asks for them."""

    def __init__(
        self,
        genotypes: Genotypes,
        design: Design,
        options: AssociationOptions,
        layout: _Layout,
        threads: int,
        *,
        numba: bool,
    ) -> None:
        self.design, self.options, self.layout = design, options, layout
        self.threads, self.numba = threads, numba
        self.kinds = ploidy_class(genotypes.variant_text("chrom"))
        self.sex = genotypes.sample_values("sex")
        self.male = np.asarray(self.sex == "M")
        chrom = genotypes.variant_values("chrom") if design.offsets is not None else None
        self.chromosomes = chrom
        self.phenomes: dict[tuple[Ploidy, str | None], Phenome] = {}
        self.fitting = Lock()
        self.halving = Lock()

    def test(self, stretch: Stretch) -> list[dict[str, VariantTests]]:
        """Test a stretch, each run of one kind of chromosome by itself."""
        start, stop, cut = stretch
        parts = []
        with _numba_threads(self.threads if self.numba else None):
            for first, last in self._runs(start, stop):
                kind = self.kinds[start + first]
                chrom = None if self.chromosomes is None else str(self.chromosomes[start + first])
                phenome = self._phenome(kind, chrom)
                if kind == "x" and self.options.male_copies == 1:
                    parts += self._test_halved(phenome, cut, first, last)
                else:
                    parts.append(phenome.test(code_tile(cut(first, last), self.options.coding)))
        return parts

    def _test_halved(
        self, phenome: Phenome, cut: Callable[[int, int], Tile], first: int, last: int
    ) -> list[dict[str, VariantTests]]:
        """Test variants of X whose calls become dosages, few enough at once, and one thread after another."""
        haploid = self.layout.of_file(self.male)
        step = _at_once(len(haploid))
        with self.halving, _numba_threads(self.threads):
            return [
                phenome.test(halve_tile(cut(at, min(at + step, last)), haploid))
                for at in range(first, last, step)
            ]

    def _runs(self, start: int, stop: int) -> list[tuple[int, int]]:
        """Stretches tested with the same null models: of a kind of chromosome, or with offsets of a chromosome."""
        of = self.kinds if self.chromosomes is None else self.chromosomes
        edges = [
            0,
            *(np.flatnonzero(of[start + 1 : stop] != of[start : stop - 1]) + 1).tolist(),
            stop - start,
        ]
        return list(pairwise(edges))

    def _phenome(self, kind: Ploidy, chrom: str | None) -> Phenome:
        key = (kind, chrom)
        with self.fitting:
            if key not in self.phenomes:
                if chrom is not None and len(self.phenomes) >= KEPT:
                    self.phenomes.pop(next(iter(self.phenomes)))
                self.phenomes[key] = prepare_phenome(
                    self.design,
                    ploidy=kind,
                    sex=self.sex,
                    rows=self.layout.rows,
                    n_columns=self.layout.n_columns,
                    options=self.options,
                    chrom=chrom,
                )
            return self.phenomes[key]


@dataclass(frozen=True, eq=False)
class _Layout:
    """How selected samples stand in a row: where the file has them, or side by side (dosages always)."""

    rows: Index
    n_columns: int
    repack: bool

    @classmethod
    def of(cls, genotypes: Genotypes) -> _Layout:
        n_file, chosen = genotypes.reader.n_samples, genotypes.sample_index
        if genotypes.values == "dosage":
            return cls(np.arange(genotypes.n_samples, dtype=np.int64), genotypes.n_samples, True)
        if chosen is None:
            return cls(np.arange(n_file, dtype=np.int64), n_file, False)
        if len(chosen) < REPACK_BELOW * n_file or len(np.unique(chosen)) < len(chosen):
            return cls(np.arange(len(chosen), dtype=np.int64), len(chosen), True)
        return cls(chosen, n_file, False)

    def of_file(self, chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Where selected samples that are `chosen` stand in a row."""
        columns = np.zeros(self.n_columns, dtype=bool)
        columns[self.rows] = chosen
        return columns

    def packed(self, block: Block) -> Packed:
        return block.packed_selected() if self.repack else block.packed


def _tiles(genotypes: Genotypes, layout: _Layout, size: int, start_block: int) -> Iterator[Stretch]:
    """Stretches of variants within a block of `size`, and how to cut tiles from each.

    A dosage takes sixteen times the room of a call, so that a block comes in several stretches.
    """
    if genotypes.values == "dosage":
        most = _at_once(genotypes.n_samples)
        step = next(number for number in range(min(size, most), 0, -1) if size % number == 0)
        for exact in genotypes.dosage_blocks(step, start_block=start_block * size // step):
            yield exact.start, exact.stop, partial(_dosage_tile, exact.dosages)
    else:
        for block in genotypes.blocks(size, start_block=start_block):
            yield block.start, block.stop, partial(_packed_tile, layout.packed(block))


def _at_once(n_samples: int) -> int:
    """Variants whose dosages are held at once."""
    return max(1, DOSAGE_BYTES // (4 * max(n_samples, 1)))


def _dosage_tile(dosages: Dosages, first: int, last: int) -> Tile:
    return DosageTile(dosages[first:last])


def _packed_tile(packed: Packed, first: int, last: int) -> Tile:
    return PackedTile(packed[first:last])


@contextmanager
def _numba_threads(threads: int | None) -> Iterator[None]:
    """Run this thread's numba kernels on so many threads; without a number, numba is not even imported."""
    if threads is None:
        yield
        return
    import numba

    before = numba.get_num_threads()
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    try:
        yield
    finally:
        numba.set_num_threads(before)
