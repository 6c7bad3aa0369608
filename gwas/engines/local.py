"""The default engine: one machine, all cores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numba
import numpy as np
import numpy.typing as npt

from gwas.design import Design
from gwas.engines.blas_threads import one_blas_thread
from gwas.engines.protocol import BlockTests
from gwas.genotypes.chromosomes import Ploidy, ploidy_class
from gwas.genotypes.descriptor import Block, Dosages, Genotypes, Index, Packed
from gwas.models.coding import code_tile
from gwas.models.phenome import AssociationOptions, Phenome, prepare_phenome
from gwas.models.result import VariantTests
from gwas.models.tile import DosageTile, PackedTile, Tile

DOSAGE_BYTES = 1 << 26
"""Dosages held at once; the next as many are read meanwhile."""

REPACK_BELOW = 0.5
"""Repack a block to the selected samples where they are less than this part of the file."""


@dataclass(frozen=True)
class LocalEngine:
    """Runs on this machine.

    Attributes
    ----------
    threads
        Threads of the kernels; None leaves the process's setting.
    """

    threads: int | None = None
    name: str = "local"

    def associate(
        self, genotypes: Genotypes, design: Design, options: AssociationOptions, *, start_block: int = 0
    ) -> Iterator[BlockTests]:
        """See :class:`gwas.engines.protocol.Engine`."""
        layout = _Layout.of(genotypes)
        size = options.block_size
        kinds = ploidy_class(genotypes.variants["chrom"])
        sex = genotypes.samples["sex"].to_numpy(dtype=object)
        male = np.asarray(sex == "M")
        phenomes: dict[str, Phenome] = {}
        parts: list[dict[str, VariantTests]] = []
        for start, stop, cut in _tiles(genotypes, layout, size, start_block):
            with _kernel_threads(self.threads), one_blas_thread():
                for first, last, kind in _runs(kinds[start:stop]):
                    if kind not in phenomes:
                        phenomes[kind] = prepare_phenome(
                            design,
                            ploidy=kind,
                            sex=sex,
                            rows=layout.rows,
                            n_columns=layout.n_columns,
                            options=options,
                        )
                    haploid = layout.of_file(male) if kind == "x" and options.male_copies == 1 else None
                    parts.append(phenomes[kind].test(code_tile(cut(first, last), options.coding, haploid)))
            if stop % size and stop < genotypes.n_variants:
                continue
            tests = {name: _joined([part[name] for part in parts]) for name in parts[0]}
            number = (stop - 1) // size
            yield BlockTests(number, number * size, stop, tests)
            parts = []


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


def _tiles(
    genotypes: Genotypes, layout: _Layout, size: int, start_block: int
) -> Iterator[tuple[int, int, Callable[[int, int], Tile]]]:
    """Stretches of variants within a block of `size`, and how to cut tiles from each.

    A dosage takes sixteen times the room of a call, so that a block comes in several stretches.
    """
    if genotypes.values == "dosage":
        most = max(1, DOSAGE_BYTES // (4 * max(genotypes.n_samples, 1)))
        step = next(number for number in range(min(size, most), 0, -1) if size % number == 0)
        for exact in genotypes.dosage_blocks(step, start_block=start_block * size // step):
            yield exact.start, exact.stop, partial(_dosage_tile, exact.dosages)
    else:
        for block in genotypes.blocks(size, start_block=start_block):
            yield block.start, block.stop, partial(_packed_tile, layout.packed(block))


def _dosage_tile(dosages: Dosages, first: int, last: int) -> Tile:
    return DosageTile(dosages[first:last])


def _packed_tile(packed: Packed, first: int, last: int) -> Tile:
    return PackedTile(packed[first:last])


def _runs(kinds: np.ndarray) -> list[tuple[int, int, Ploidy]]:
    """Stretches of one kind of chromosome within a block."""
    edges = [0, *(np.flatnonzero(kinds[1:] != kinds[:-1]) + 1).tolist(), len(kinds)]
    return [(first, last, kinds[first]) for first, last in pairwise(edges)]


def _joined(parts: list[VariantTests]) -> VariantTests:
    if len(parts) == 1:
        return parts[0]
    fields = VariantTests.__dataclass_fields__
    return VariantTests(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in fields})


@contextmanager
def _kernel_threads(threads: int | None) -> Iterator[None]:
    before = numba.get_num_threads()
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS) if threads else before)
    try:
        yield
    finally:
        numba.set_num_threads(before)
