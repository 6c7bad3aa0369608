"""What a Spark task does: read a range of the genotype file and run the local engine on it.

Nothing here knows Spark. Workers import this module alone, so that they start without hail.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import pandas as pd

from cohorts.errors import CareomeError, InputError
from gwas.design import Design
from gwas.engines.local import LocalEngine
from gwas.engines.protocol import BlockTests
from gwas.genotypes.descriptor import Genotypes, Index


@dataclass(frozen=True, eq=False)
class Task:
    """A range of blocks: its first block and row, and the descriptor's variants there."""

    block: int
    row: int
    variants: pd.DataFrame
    variant_index: Index | None


def ranges(genotypes: Genotypes, size: int, start_block: int, blocks_per_task: int) -> Iterator[Task]:
    """Cut the blocks from `start_block` on into tasks; blocks are where the local engine has them."""
    step = size * blocks_per_task
    for row in range(start_block * size, genotypes.n_variants, step):
        part = genotypes.select(variants=range(row, min(row + step, genotypes.n_variants)))
        yield Task(row // size, row, part.variants[["chrom"]], part.variant_index)


def portable(genotypes: Genotypes) -> Genotypes:
    """What a task needs of the descriptor: an absolute path, and of the samples their sex alone."""
    reader: Any = genotypes.reader
    return replace(
        genotypes,
        reader=replace(reader, path=reader.path.resolve()),
        samples=genotypes.samples[["sex"]],
        variants=genotypes.variants.iloc[:0],
        variant_index=None,
    )


def anonymous(design: Design) -> Design:
    """The design with numbers for sample IDs, which no task needs."""
    return replace(design, samples=tuple(str(i) for i in range(len(design.samples))))


def run_task(shared: Any, task: Task) -> list[BlockTests] | CareomeError:
    """Test a task's blocks, in a worker; a fault of the user's travels back as a value, as one line."""
    whole, design, options, wanted = shared.value
    try:
        if release() != wanted:
            raise InputError(
                "a machine of the cluster runs another release of careome",
                found=release(),
                expected=wanted,
                fix="install the same release on every machine",
            )
        part = replace(whole, variants=task.variants, variant_index=task.variant_index)
        return [
            replace(
                tests,
                block=tests.block + task.block,
                start=tests.start + task.row,
                stop=tests.stop + task.row,
            )
            for tests in LocalEngine(threads=1).associate(part, design, options)
        ]
    except CareomeError as error:
        return error


def release() -> str:
    """The installed release of careome."""
    try:
        return version("careome")
    except PackageNotFoundError:
        return "not installed"
