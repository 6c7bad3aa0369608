"""An association run on its way to the disk: blocks of variants tested, written, and made safe stretch by stretch."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np

from cohorts.errors import InputError
from gwas.association import associate_tests
from gwas.design import Design, Kind
from gwas.engines.protocol import BlockTests
from gwas.genotypes import Genotypes
from gwas.models.coding import TEST_NAMES
from gwas.models.phenome import AssociationOptions
from gwas.models.result import VariantTests
from workflows.association_journal import Journal, journal
from workflows.association_tables import VariantCells, parquet_parts, passing, text_rows
from workflows.gwas_options import ModelOptions, OutputOptions
from workflows.gwas_summary import Summary
from workflows.installation import version

SUFFIX: Final[Mapping[Kind, str]] = {"quantitative": "glm.linear", "binary": "glm.logistic.hybrid"}
TEXT_ROWS: Final = 1 << 21
PARQUET_ROWS: Final = 1 << 22
"""Rows, variants × traits, after which results are made safe; Parquet is held until then."""
TEXT_SECONDS: Final = 30.0
"""Longest time until then where results are text; parts of Parquet would depend on it."""


class AssociationRun:
    """Tests, written stretch by stretch."""

    def __init__(
        self,
        genotypes: Genotypes,
        design: Design,
        model: ModelOptions,
        options: AssociationOptions,
        output: OutputOptions,
        out: Path,
    ) -> None:
        self.genotypes, self.design, self.options = genotypes, design, options
        self.model, self.output, self.out = model, output, out
        self.kinds: dict[str, Kind] = {trait.name: trait.kind for trait in design.traits}
        self.terms = _terms(model)
        self.block_size = options.block_size
        if model.interactions:
            from gwas.interaction import variants_at_once

            self.block_size = variants_at_once(genotypes, options.block_size)
        self.targets: dict[str, Path] = {}
        for name, kind in self.kinds.items():
            target = _result_path(out, name, kind, output)
            if output.format == "text":
                self.targets[name] = target

    def go(
        self,
        *,
        threads: int | None,
        started: Callable[[int, int], None] | None,
        progress: Callable[[int], None] | None,
    ) -> tuple[Summary, str | None]:
        size, most = self.block_size, self.genotypes.n_variants
        held = TEXT_ROWS if self.output.format == "text" else PARQUET_ROWS
        stretch = max(1, held // (size * len(self.kinds)))
        names = [path.name for path in self.targets.values()]
        with journal(self.out, self._key(), names) as safe:
            done = safe.resume()
            summary = Summary(list(self.kinds), done.sums)
            if started is not None:
                started(most, min(done.blocks * size, most))
            writer = _Writer(self, safe, summary, stretch)
            # the next block is tested while one is written
            with ThreadPoolExecutor(max_workers=1, thread_name_prefix="writer") as pool:
                pending: Future[None] | None = None
                for block in self._blocks(done.blocks, threads):
                    if pending is not None:
                        pending.result()
                    pending = pool.submit(writer.add, block)
                    if progress is not None:
                        progress((block.stop - block.start) // len(self.terms))
                if pending is not None:
                    pending.result()
            writer.flush()
            safe.finish(self._finished(safe))
        return summary, done.note

    def _blocks(self, start: int, threads: int | None) -> Iterator[BlockTests]:
        options = self.options
        if not self.model.interactions:
            return associate_tests(self.genotypes, self.design, options, start_block=start, threads=threads)
        from gwas.interaction import interaction_blocks

        return interaction_blocks(
            self.genotypes,
            self.design,
            self.model.interactions,
            missing=options.missing,
            firth=options.firth,
            max_vif=options.max_vif,
            max_corr=options.max_corr,
            coding=options.coding,
            block_size=options.block_size,
            start_block=start,
            threads=threads,
        )

    def _finished(self, safe: Journal) -> dict[str, Path]:
        if self.output.format == "text":
            return {path.name: path for path in self.targets.values()}
        folder = self.out.with_name(self.out.name + ".parquet")
        _refuse_foreign(folder)
        parts = sorted(path.name for path in safe.folder.glob("*.parquet"))
        # "<number of the trait>.<number of the stretch>.parquet"
        names = list(self.kinds)
        placed = {}
        for part in parts:
            trait, stretch, _ = part.split(".")
            placed[part] = folder / f"trait={names[int(trait)]}" / f"part-{stretch}.parquet"
        return placed

    def _key(self) -> str:
        """SHA-256 of all that the bytes of the results depend on."""
        digest = hashlib.sha256(version().encode())
        digest.update(json.dumps([asdict(self.options), asdict(self.output)], sort_keys=True).encode())
        for path in sorted(self.genotypes.path.parent.glob(self.genotypes.path.stem + ".*")):
            if path.suffix in {".bed", ".bim", ".fam", ".pgen", ".pvar", ".psam", self.genotypes.path.suffix}:
                found = path.stat()
                digest.update(f"{path.resolve()} {found.st_size} {found.st_mtime_ns}".encode())
        digest.update(f"{self.genotypes.values} {self.model!r}".encode())
        rows = self.genotypes.variant_index
        digest.update(b"all" if rows is None else np.ascontiguousarray(rows).tobytes())
        digest.update("\0".join(self.design.samples).encode())
        digest.update("\0".join(map(str, self.genotypes.sample_values("sex"))).encode())
        for trait in self.design.traits:
            digest.update(f"{trait.name} {trait.kind}".encode())
            digest.update(np.ascontiguousarray(trait.values).tobytes())
        if self.design.offsets is not None:
            digest.update(self.design.offsets.values.tobytes())
            digest.update(repr(self.design.offsets.inflation).encode())
        digest.update("\0".join(self.design.covariate_names).encode())
        digest.update(np.ascontiguousarray(self.design.covariates).tobytes())
        return digest.hexdigest()


class _Writer:
    """Takes blocks of tests in order and puts them on the disk every few blocks."""

    def __init__(self, run: AssociationRun, safe: Journal, summary: Summary, stretch: int) -> None:
        self.run, self.safe, self.summary, self.stretch = run, safe, summary, stretch
        self.cells = VariantCells.of(run.genotypes, rows=len(run.terms))
        below = run.output.p_below
        self.least = None if below is None else -float(np.log10(below))
        self.waiting: list[BlockTests] = []
        self.unsafe = 0
        self.blocks = 0
        self.flushed = time.monotonic()

    def add(self, block: BlockTests) -> None:
        output = self.run.output
        for i, tests in enumerate(block.tests.values()):
            written = passing(tests, self.least)
            withheld = 0 if written is None else int((~written).sum())
            self.summary.add(i, _summed(tests, len(self.run.terms)), withheld=withheld)
        if output.format == "text":
            for name, data in text_rows(
                self.cells,
                block,
                kinds=self.run.kinds,
                header_first=block.block == 0,
                least_log10p=self.least,
                terms=self.run.terms,
                layout=output.layout,
                confidence=output.confidence,
            ).items():
                self.safe.write(self.run.targets[name].name, data)
        else:
            self.waiting.append(block)
        self.unsafe += 1
        self.blocks = block.block + 1
        late = output.format == "text" and time.monotonic() - self.flushed >= TEXT_SECONDS
        if late or self.blocks % self.stretch == 0:
            self.flush()

    def flush(self) -> None:
        """Make everything so far safe."""
        if not self.unsafe:
            return
        if self.waiting:
            number = (self.blocks - 1) // self.stretch
            parts = parquet_parts(self.cells, self.waiting, least_log10p=self.least, terms=self.run.terms)
            at = {name: i for i, name in enumerate(self.run.kinds)}
            for name, data in parts:
                self.safe.put(f"{at[name]}.{number:05d}.parquet", data)
            self.waiting = []
        self.safe.commit(self.blocks, self.summary.state())
        self.unsafe, self.flushed = 0, time.monotonic()


def _terms(model: ModelOptions) -> tuple[str, ...]:
    """What TEST says of the rows of each variant."""
    if not model.interactions:
        return (TEST_NAMES[model.coding],)
    from gwas.interaction import interaction_terms

    return tuple(interaction_terms(model.interactions, coding=model.coding))


def _summed(tests: VariantTests, terms: int) -> VariantTests:
    """What is counted of a block: where there are interactions, those."""
    if terms == 1:
        return tests
    return tests.of(np.flatnonzero(np.arange(len(tests.n)) % terms))


def _refuse_foreign(folder: Path) -> None:
    """An older result is replaced; anything else of that name is not ours to remove."""
    if not folder.exists():
        return
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix != ".parquet":
            raise InputError("is there and holds other files", where=folder, fix="remove it or change --out")
    import shutil

    shutil.rmtree(folder)


def _result_path(out: Path, trait: str, kind: Kind, output: OutputOptions) -> Path:
    if "/" in trait or trait in {"", ".", ".."}:
        raise InputError("a trait's name cannot be part of a file name", where=trait, fix="rename the column")
    ending = f"_{trait}.regenie" if output.layout == "regenie" else f".{trait}.{SUFFIX[kind]}"
    return out.with_name(out.name + ending)
