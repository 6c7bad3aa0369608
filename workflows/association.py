"""The body of ``careome gwas``: PLINK 2's or REGENIE's inputs and options in, either's result files out."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from cohorts.errors import InputError
from gwas.association import associate_tests
from gwas.design import Design, Kind
from gwas.engines.blas_threads import one_blas_thread
from gwas.engines.protocol import BlockTests
from gwas.genotypes import Genotypes
from gwas.models.coding import TEST_NAMES
from gwas.models.linear import Missing
from gwas.models.phenome import AssociationOptions
from gwas.models.result import VariantTests
from gwas.offsets import read_offsets
from workflows.association_journal import Journal, journal
from workflows.association_tables import VariantCells, parquet_parts, passing, text_rows
from workflows.genotype_inputs import Filters, GenotypeSource
from workflows.gwas_filters import apply_filters
from workflows.gwas_options import ModelOptions, OutputOptions, TraitOptions
from workflows.gwas_summary import Summary
from workflows.gwas_tables import read_variant_list
from workflows.gwas_traits import describe_design, interactions_of, read_design
from workflows.gwas_variants import variants_of_model
from workflows.installation import version
from workflows.outputs import write_text

if TYPE_CHECKING:
    from gwas.models.logistic import LogisticMode

SUFFIX: Final[Mapping[Kind, str]] = {"quantitative": "glm.linear", "binary": "glm.logistic.hybrid"}
RESULTS: Final = "results:"
"""The line of the log after which each trait has its own."""
TEXT_ROWS: Final = 1 << 21
PARQUET_ROWS: Final = 1 << 22
"""Rows, variants × traits, after which results are made safe; Parquet is held until then."""
TEXT_SECONDS: Final = 30.0
"""Longest time until then where results are text; parts of Parquet would depend on it."""
FEW_CASES: Final = 50
"""Controls a case, or cases a control, from which tests other than the saddle-point are warned of."""
TOO_LIBERAL: Final[Mapping[str, str]] = {
    "wald": "Wald tests reject many times too often",
    "score": "score tests reject many times too often",
    "score-firth": "Firth's test can reject twice too often",
    "score-firth-approx": "approximate Firth can reject twice too often",
}
"""What is known of tests where cases are few (`tests/validation/test_association_binary_null.py`)."""


def run_gwas(
    *,
    source: GenotypeSource,
    pheno: Path,
    out: Path,
    covar: Path | None = None,
    pheno_name: Sequence[str] | None = None,
    covar_name: Sequence[str] | None = None,
    filters: Filters | None = None,
    missing_genotypes: Missing = "mean",
    logistic: LogisticMode = "score-spa-firth",
    threads: int | None = None,
    vif: float = 50.0,
    max_corr: float = 0.999,
    block_size: int = 1024,
    pred: Path | None = None,
    pred_inflation: Path | None = None,
    traits: TraitOptions | None = None,
    model: ModelOptions | None = None,
    output: OutputOptions | None = None,
    started: Callable[[int, int], None] | None = None,
    progress: Callable[[int], None] | None = None,
    finished: Callable[[Design, Summary], None] | None = None,
) -> list[Path]:
    """Associate every trait with every variant and write one file a trait.

    A run that was killed goes on with the same command where it stopped, to the same bytes.

    Parameters
    ----------
    source
        The genotypes.
    pheno, covar
        Phenotype and covariate files, see :func:`workflows.gwas_tables.read_person_table`; they may be one.
    out
        Prefix of the outputs ``OUT.<trait>.glm.linear``, ``OUT.<trait>.glm.logistic.hybrid`` (in REGENIE's layout
        ``OUT_<trait>.regenie``) and ``OUT.log``.
    pheno_name, covar_name
        Columns to use, with ranges; None for all (of a shared file: all that are not the other's).
    filters
        PLINK 2's filters, see :mod:`workflows.gwas_filters`.
    missing_genotypes, logistic, vif, max_corr, block_size, threads
        See :func:`gwas.association.associate_blocks`. ``wald`` gives PLINK 2's logistic estimates. Where a trait
        has so few cases that the chosen test is known to reject too often, the log says so.
    pred
        List of whole-genome predictions, ``OUT_pred.list`` of ``careome wgr`` or of REGENIE's step 1.
    pred_inflation
        ``OUT_pred.inflation`` of ``careome wgr --calibrate``: quantitative chi-squares are divided by its factors.
    traits, model, output
        Further options.
    started, progress, finished
        Called with how many variants there are and how many an earlier run did; with the number just done; and
        with what came of it all.

    Returns
    -------
    list of Path
        The result files, then the log. They appear complete or not at all.

    Raises
    ------
    CareomeError
        Whatever the user can mend, in one line.
    """
    begun = time.monotonic()
    traits, model, output = traits or TraitOptions(), model or ModelOptions(), output or OutputOptions()
    # in one order, however they were named: covariates in another round differently
    more = () if model.condition_list is None else read_variant_list(model.condition_list)
    model = replace(model, conditions=tuple(sorted({*model.conditions, *more})), condition_list=None)
    if model.interactions is not None:
        logistic = "wald"
    opened = source.open()
    lines = [
        f"careome {version()} gwas",
        *source.told(opened),
        f"missing genotypes: {missing_genotypes}; binary traits: {_logistic(logistic, model)}",
        f"no result where VIF > {vif:g} or a correlation with a covariate > {max_corr:g}",
    ]
    lines += _describe(model, output, model.condition_missing or missing_genotypes)
    genotypes, filtered = apply_filters(opened, filters or Filters())
    genotypes, left = variants_of_model(genotypes, model)
    conditions = None
    if model.conditions:
        # frames take pandas, which tests do without
        from gwas.conditioning import condition_on

        whole = (opened if not source.regions else _whole(source)).select(samples=_same(genotypes, opened))
        conditions = condition_on(
            whole,
            model.conditions,
            missing=model.condition_missing or missing_genotypes,
            male_copies=1 if model.x_model == 1 else 2,
        )
    # a few columns are too little work to wake threads for
    with one_blas_thread("numpy"):
        design = read_design(
            genotypes,
            pheno,
            covar,
            pheno_name=pheno_name,
            covar_name=covar_name,
            conditions=conditions,
            options=traits,
        )
    if model.interactions is not None:
        model, design = interactions_of(design, model, standardise=traits.standardise)
        crossed = ", ".join(model.interactions or ())
        lines.append(
            f"interactions of the genotype with {crossed}, by Wald tests; these alone are counted below"
        )
    lines += filtered + left + describe_design(design) + _cautions(design, logistic)
    if pred is not None:
        people = list(zip(genotypes.sample_values("fid"), genotypes.sample_values("iid"), strict=True))
        wanted = [trait.name for trait in design.traits]
        chromosomes = set(genotypes.variant_values("chrom"))
        offsets = read_offsets(pred, people, traits=wanted, chromosomes=chromosomes, inflation=pred_inflation)
        design = design.with_offsets(offsets)
        lines.append(f"whole-genome predictions taken out: {pred}")
        lines += [
            f"{trait.name}: chi-squares divided by {offsets.inflation_of(trait.name):.4f} ({pred_inflation})"
            for trait in design.traits
            if pred_inflation is not None and trait.kind == "quantitative"
        ]
        lines += [
            f"{trait.name}: {count} people without prediction left out"
            for trait in design.traits
            if (count := design.without_offset(trait))
        ]
    options = AssociationOptions(
        missing=missing_genotypes,
        logistic=logistic,
        firth=model.firth,
        firth_se=model.firth_se,
        tail_below=model.tail_below,
        max_vif=vif,
        max_corr=max_corr,
        block_size=block_size,
        coding=model.coding,
        male_copies=1 if model.x_model == 1 else 2,
    )
    run = _Run(genotypes, design, model, options, output, out)
    summary, note = run.go(threads=threads, started=started, progress=progress)
    if note:
        lines.append(note)
    files = run.targets
    lines.append(RESULTS)
    lines += [
        f"{line}; {files.get(name, out.with_name(out.name + '.parquet'))}"
        for name, line in zip(summary.names, summary.lines(), strict=True)
    ]
    lines.append(f"{genotypes.n_variants} variants in {time.monotonic() - begun:.1f} s")
    log = out.with_name(out.name + ".log")
    write_text(log, "\n".join(lines) + "\n")
    if finished is not None:
        finished(design, summary)
    written = list(files.values()) or [out.with_name(out.name + ".parquet")]
    return [*written, log]


class _Run:
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

    def __init__(self, run: _Run, safe: Journal, summary: Summary, stretch: int) -> None:
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


def _logistic(mode: LogisticMode, model: ModelOptions) -> str:
    if mode == "wald":
        return "maximum likelihood" + (", Firth where it fails" if model.firth else "")
    tails = {
        "score-firth": "Firth",
        "score-firth-approx": "approximate Firth",
        "score-spa": "saddle-point",
        "score-spa-firth": "saddle-point with approximate Firth's effects",
    }
    return "score" + (f", {tails[mode]} where P < {model.tail_below:g}" if mode in tails else "")


def _cautions(design: Design, mode: LogisticMode) -> list[str]:
    """A line for each trait whose cases, or controls, are so few that the chosen test is known to be liberal."""
    if mode not in TOO_LIBERAL:
        return []
    lines = []
    for trait, people in zip(design.traits, design.people(), strict=True):
        few, many = sorted((people.cases or 1, people.controls or 1))
        if many >= FEW_CASES * few:
            lines.append(
                f"warning: {trait.name}: one in {(few + many) / few:.0f}; at fewer than 100 minor alleles"
                f" {TOO_LIBERAL[mode]}; --spa, or no such option, holds the level"
            )
    return lines


def _describe(model: ModelOptions, output: OutputOptions, condition_missing: Missing) -> list[str]:
    """What was chosen, of the things that change an answer."""
    lines = [
        f"coding: {model.coding}; X: model {model.x_model}" + (f", {model.build}" if model.build else "")
    ]
    if model.conditions:
        some = ", ".join(model.conditions[:10])
        lines.append(
            f"conditioned on {len(model.conditions)} variants: {some} (missing: {condition_missing})"
        )
    if output.p_below is not None:
        lines.append(f"written: rows with P <= {output.p_below:g}")
    return lines


def _whole(source: GenotypeSource) -> Genotypes:
    return replace(source, regions=()).open()


def _same(chosen: Genotypes, opened: Genotypes) -> np.ndarray:
    """Positions of one selection's samples among those of another."""
    at = {name: i for i, name in enumerate(opened.sample_values("iid"))}
    return np.array([at[name] for name in chosen.sample_values("iid")], dtype=np.int64)


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
