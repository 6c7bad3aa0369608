"""The default engine: one machine, all cores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import numba
import numpy as np

from gwas.design import Design
from gwas.engines.blas_threads import one_blas_thread
from gwas.engines.protocol import BlockTests
from gwas.genotypes.chromosomes import Ploidy, ploidy_class
from gwas.genotypes.descriptor import Block, Genotypes, Index, Packed
from gwas.models.phenome import AssociationOptions, Phenome, prepare_phenome
from gwas.models.result import VariantTests

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
        kinds = ploidy_class(genotypes.variants["chrom"])
        sex = genotypes.samples["sex"].to_numpy(dtype=object)
        phenomes: dict[str, Phenome] = {}
        for block in genotypes.blocks(options.block_size, start_block=start_block):
            with _kernel_threads(self.threads), one_blas_thread():
                packed = layout.packed(block)
                parts: list[dict[str, VariantTests]] = []
                for first, last, kind in _runs(kinds[block.start : block.stop]):
                    if kind not in phenomes:
                        phenomes[kind] = prepare_phenome(
                            design,
                            ploidy=kind,
                            sex=sex,
                            rows=layout.rows,
                            n_columns=layout.n_columns,
                            options=options,
                        )
                    parts.append(phenomes[kind].test(packed[first:last]))
            tests = {name: _joined([part[name] for part in parts]) for name in parts[0]}
            yield BlockTests(block.start // options.block_size, block.start, block.stop, tests)


@dataclass(frozen=True, eq=False)
class _Layout:
    """How selected samples stand in a packed row: where the file has them, or repacked side by side."""

    rows: Index
    n_columns: int
    repack: bool

    @classmethod
    def of(cls, genotypes: Genotypes) -> _Layout:
        n_file, chosen = genotypes.reader.n_samples, genotypes.sample_index
        if chosen is None:
            return cls(np.arange(n_file, dtype=np.int64), n_file, False)
        if len(chosen) < REPACK_BELOW * n_file or len(np.unique(chosen)) < len(chosen):
            return cls(np.arange(len(chosen), dtype=np.int64), len(chosen), True)
        return cls(chosen, n_file, False)

    def packed(self, block: Block) -> Packed:
        return block.packed_selected() if self.repack else block.packed


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
