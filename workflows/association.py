"""The body of ``careome gwas``: PLINK 2's or REGENIE's inputs and options in, either's result files out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from gwas.design import Design
from gwas.engines.blas_threads import one_blas_thread
from gwas.genotypes import Genotypes
from gwas.models.linear import Missing
from gwas.models.phenome import AssociationOptions
from gwas.offsets import read_offsets
from workflows.association_run import AssociationRun
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

RESULTS: Final = "results:"
"""The line of the log after which each trait has its own."""
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
    run = AssociationRun(genotypes, design, model, options, output, out)
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
