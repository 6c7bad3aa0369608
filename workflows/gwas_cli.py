"""``careome gwas``: PLINK 2's and REGENIE's option names in, one meaning out.

Options are given as the lists below, each a function that checks its own and makes one value of them;
:func:`workflows.genotype_options.takes` puts them into the command.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from workflows.application import Application, use_threads
from workflows.genotype_inputs import Filters, GenotypeSource
from workflows.genotype_options import filter_options, source_options, takes, words
from workflows.gwas_options import ModelOptions, OutputOptions, TraitOptions

SHOWN = 30
"""Traits and files that are shown; the log and the folder have them all."""
MODIFIERS = {
    "hide-covar", "omit-ref", "allow-no-covars", "skip-invalid-pheno", "log10", "firth", "firth-fallback",
    "no-firth", "dominant", "recessive", "hetonly", "interaction",
}  # fmt: skip
"""PLINK 2's words after --glm that have a meaning here; the first five say what is done anyway."""
BUILDS = {
    "b37": "GRCh37", "hg19": "GRCh37", "grch37": "GRCh37",
    "b38": "GRCh38", "hg38": "GRCh38", "grch38": "GRCh38",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Tables:
    """Phenotype and covariate files, and which of their columns."""

    pheno: Path
    pheno_name: list[str] | None
    covar: Path | None
    covar_name: list[str] | None


def table_options(
    *,
    pheno: Annotated[
        Path, typer.Option("--pheno", "--phenoFile", help="Phenotypes (FID IID ...); NA, -9: missing.")
    ],
    pheno_name: Annotated[
        list[str] | None,
        typer.Option(
            "--pheno-name", "--phenoCol", "--phenoColList", help="Names or ranges: QT1-QT10,BMI,QT{1:3}."
        ),
    ] = None,
    covar: Annotated[
        Path | None, typer.Option("--covar", "--covarFile", help="Covariates (FID IID ...); the same.")
    ] = None,
    covar_name: Annotated[
        list[str] | None,
        typer.Option(
            "--covar-name", "--covarCol", "--covarColList", help="Covariates; default all of the file."
        ),
    ] = None,
) -> Tables:
    """The files of traits and covariates."""
    return Tables(pheno=pheno, pheno_name=_listed(pheno_name), covar=covar, covar_name=_listed(covar_name))


def trait_options(
    *,
    categories: Annotated[
        list[str] | None, typer.Option("--catCovarList", help="Covariates that are categories.")
    ] = None,
    qt: Annotated[bool, typer.Option("--qt", help="All traits are quantitative.")] = False,
    bt: Annotated[bool, typer.Option("--bt", help="All traits are binary; default: told by values.")] = False,
    zero_one: Annotated[bool, typer.Option("--1", help="Binary traits are 0/1; 1/2 is refused.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Only people with every trait.")] = False,
    apply_rint: Annotated[
        bool, typer.Option("--apply-rint", help="Normal scores of quantitative traits (Blom, REGENIE).")
    ] = False,
    quantile_normalize: Annotated[
        bool, typer.Option("--pheno-quantile-normalize", help="The same by PLINK 2's formula.")
    ] = False,
    standardize: Annotated[
        bool,
        typer.Option(
            "--covar-variance-standardize",
            help="Covariates to variance 1; changes no result but interactions.",
        ),
    ] = False,
) -> TraitOptions:
    """The options that say what traits and covariates are."""
    if qt and bt:
        raise typer.BadParameter(
            "--qt and --bt exclude each other; without both each trait is told by its values"
        )
    if apply_rint and quantile_normalize:
        raise typer.BadParameter("--apply-rint and --pheno-quantile-normalize are two formulas for one thing")
    return TraitOptions(
        kind="quantitative" if qt else "binary" if bt else None,
        zero_one=zero_one,
        categories=tuple(_listed(categories) or ()),
        complete=strict,
        rank_normal="blom" if apply_rint else "plink" if quantile_normalize else None,
        standardise=standardize,
    )


@dataclass(frozen=True, kw_only=True)
class HowTested:
    """How variants are tested."""

    model: ModelOptions
    logistic: str
    vif: float
    max_corr: float
    block_size: int


def model_options(
    *,
    glm: Annotated[
        str | None,
        typer.Option(
            "--glm", help=f"PLINK 2's tests of binary traits, with modifiers: {', '.join(sorted(MODIFIERS))}."
        ),
    ] = None,
    test: Annotated[
        Literal["additive", "dominant", "recessive", "hetonly"] | None,
        typer.Option("--test", help="What a genotype counts as."),
    ] = None,
    firth: Annotated[bool, typer.Option("--firth", help="Score tests, Firth where P < --pThresh.")] = False,
    approx: Annotated[
        bool, typer.Option("--approx", help="With --firth: covariates' effects fixed.")
    ] = False,
    spa: Annotated[
        bool, typer.Option("--spa", help="Score tests, saddle-point where P < --pThresh.")
    ] = False,
    firth_se: Annotated[
        bool, typer.Option("--firth-se", help="With --firth: SE from the estimate and its P (REGENIE).")
    ] = False,
    p_thresh: Annotated[
        float, typer.Option("--pThresh", min=0, max=1, help="Score P below which --firth and --spa begin.")
    ] = 0.05,
    interaction: Annotated[
        list[str] | None,
        typer.Option(
            "--interaction", help="Covariates to multiply the genotype with; --glm interaction: all of them."
        ),
    ] = None,
    condition: Annotated[
        list[str] | None, typer.Option("--condition", help="Variant to condition on; may be repeated.")
    ] = None,
    condition_list: Annotated[
        Path | None, typer.Option("--condition-list", help="File with variants to condition on.")
    ] = None,
    condition_missing: Annotated[
        Literal["mean", "complete-case"] | None,
        typer.Option(help="What a missing genotype of those is; default as --missing-genotypes."),
    ] = None,
    xchr_model: Annotated[
        int,
        typer.Option(
            "--xchr-model",
            min=0,
            max=2,
            help="X: left out (0), males 0/1 (1) or 0/2 (2); sex is a covariate.",
        ),
    ] = 2,
    build: Annotated[
        str | None,
        typer.Option("--build", "--split-par", help="Tells the pseudo-autosomal part of X: b37, b38."),
    ] = None,
    vif: Annotated[float, typer.Option("--vif", min=1, help="Largest variance inflation.")] = 50.0,
    max_corr: Annotated[
        float, typer.Option("--max-corr", min=0, max=1, help="Largest correlation with a covariate.")
    ] = 0.999,
    bsize: Annotated[
        int, typer.Option("--bsize", min=1, help="Variants at a time; changes no result.")
    ] = 1024,
) -> HowTested:
    """The options that say how variants are tested.

    Without a word about it binary traits get the saddle-point's P and Firth's effects; ``--glm`` asks for PLINK 2's.
    """
    given = set(words(glm or ""))
    if unknown := sorted(given - MODIFIERS):
        raise typer.BadParameter(
            f"--glm {unknown[0]} is not supported; there are {', '.join(sorted(MODIFIERS))}"
        )
    codings = sorted(({test} if test else set()) | (given & {"dominant", "recessive", "hetonly"}))
    if len(codings) > 1:
        raise typer.BadParameter(f"one coding at a time: {' and '.join(codings)} were given")
    if len(given & {"firth", "firth-fallback", "no-firth"}) + firth + spa > 1:
        raise typer.BadParameter("one of --firth, --spa and --glm's firth, firth-fallback and no-firth")
    if (approx or firth_se) and not firth:
        raise typer.BadParameter(f"{'--approx' if approx else '--firth-se'} goes with --firth")
    crossed = tuple(_listed(interaction) or ()) if interaction or "interaction" in given else None
    if crossed is not None and (spa or firth or "firth" in given):
        raise typer.BadParameter(
            "interactions are tested by maximum likelihood, and by Firth where it fails: leave --spa and firth out"
        )
    logistic = "score-spa" if spa else "score-firth" if firth or "firth" in given else "score-spa-firth"
    if logistic == "score-spa-firth" and (glm is not None or crossed is not None):
        logistic = "wald"
    return HowTested(
        model=ModelOptions(
            coding=codings[0] if codings else "additive",  # type: ignore[arg-type]
            interactions=crossed,
            conditions=tuple(_listed(condition) or ()),
            condition_list=condition_list,
            condition_missing=condition_missing,
            x_model=xchr_model,  # type: ignore[arg-type]
            build=_build(build),
            firth="no-firth" not in given,
            firth_se=firth_se,
            # PLINK's firth is Firth's test of every variant
            tail_below=1.0 if "firth" in given else p_thresh,
        ),
        logistic="score-firth-approx" if approx else logistic,
        vif=vif,
        max_corr=max_corr,
        block_size=bsize,
    )


def output_options(
    *,
    out_format: Annotated[
        Literal["text", "parquet"], typer.Option(help="parquet: OUT.parquet, a folder for each trait.")
    ] = "text",
    out_columns: Annotated[
        Literal["plink2", "regenie"], typer.Option(help="regenie: OUT_<trait>.regenie in its columns.")
    ] = "plink2",
    pfilter: Annotated[
        float | None,
        typer.Option(
            "--pfilter", "--pThreshOut", min=1e-300, max=1, help="Write only rows with P not above this."
        ),
    ] = None,
    ci: Annotated[
        float | None, typer.Option("--ci", min=0.01, max=0.99999, help="Add confidence intervals, e.g. 0.95.")
    ] = None,
) -> OutputOptions:
    """The options that say what is written."""
    if ci is not None and (out_format == "parquet" or out_columns == "regenie"):
        raise typer.BadParameter("--ci goes with PLINK 2's text")
    return OutputOptions(format=out_format, layout=out_columns, p_below=pfilter, confidence=ci)


def register(app: Application) -> None:
    """Add the command."""
    app.command()(gwas)


@takes(
    tables=table_options,
    source=source_options,
    filters=filter_options,
    traits=trait_options,
    tests=model_options,
    output=output_options,
)
def gwas(
    tables: Tables,
    source: GenotypeSource,
    filters: Filters,
    traits: TraitOptions,
    tests: HowTested,
    output: OutputOptions,
    out: Annotated[Path, typer.Option("--out", help="Prefix of the result files.")],
    missing_genotypes: Annotated[
        Literal["mean", "complete-case"], typer.Option(help="complete-case is what PLINK 2 does.")
    ] = "mean",
    threads: Annotated[int | None, typer.Option("--threads", min=1)] = None,
    pred: Annotated[
        Path | None, typer.Option("--pred", help="OUT_pred.list of careome wgr or of REGENIE's step 1.")
    ] = None,
    pred_inflation: Annotated[
        Path | None,
        typer.Option(help="OUT_pred.inflation of careome wgr --calibrate: divide chi-squares by it."),
    ] = None,
    ignore_pred: Annotated[
        bool, typer.Option("--ignore-pred", help="REGENIE's for going without --pred.")
    ] = False,
    step: Annotated[int, typer.Option("--step", min=2, max=2, help="REGENIE's; step 1 is careome wgr.")] = 2,
) -> None:
    """Association of every trait with every variant, with PLINK 2's and REGENIE's options."""
    del step
    if ignore_pred and pred is not None:
        raise typer.BadParameter("--pred and --ignore-pred exclude each other")
    # what reads Parquet takes a variant to have one row
    plain = output.format == "text" and output.layout == "plink2"
    if tests.model.interactions is not None and (pred is not None or not plain):
        raise typer.BadParameter("interactions go without --pred, and with PLINK 2's text")
    if pred_inflation is not None and pred is None:
        raise typer.BadParameter("--pred-inflation goes with --pred")
    threads = use_threads(threads, blas=1)
    offsets = (pred, pred_inflation)
    _run(tables, source, filters, traits, tests, output, out, missing_genotypes, threads, offsets)


def _run(
    tables: Tables,
    source: GenotypeSource,
    filters: Filters,
    traits: TraitOptions,
    tests: HowTested,
    output: OutputOptions,
    out: Path,
    missing_genotypes: Literal["mean", "complete-case"],
    threads: int,
    offsets: tuple[Path | None, Path | None],
) -> None:
    from workflows.outputs import refuse_no_folder

    refuse_no_folder(out)
    from workflows.association import RESULTS, run_gwas
    from workflows.gwas_summary import summary_table
    from workflows.progress import Progress

    table: list[str] = []
    with Progress() as progress, progress.counted("Association", "variants") as advance:
        files = run_gwas(
            source=source,
            pheno=tables.pheno,
            out=out,
            covar=tables.covar,
            pheno_name=tables.pheno_name,
            covar_name=tables.covar_name,
            filters=filters,
            missing_genotypes=missing_genotypes,
            logistic=tests.logistic,  # type: ignore[arg-type]
            threads=threads,
            vif=tests.vif,
            max_corr=tests.max_corr,
            block_size=tests.block_size,
            pred=offsets[0],
            pred_inflation=offsets[1],
            traits=traits,
            model=tests.model,
            output=output,
            started=advance.start,
            progress=advance,
            finished=lambda design, summary: table.extend(summary_table(design, summary, most=SHOWN)),
        )
    lines = Path(f"{out}.log").read_text(encoding="utf-8").splitlines()
    told = lines[: lines.index(RESULTS)]
    typer.echo("\n".join(told if len(told) <= 4 * SHOWN else [*told[: 4 * SHOWN], f"(more in {out}.log)"]))
    typer.echo("\n".join([*table, lines[-1]]))
    for file in [*files[:SHOWN], *([files[-1]] if len(files) > SHOWN else [])]:
        typer.echo(file)


def _listed(values: Sequence[str] | None) -> list[str] | None:
    return None if values is None else [word for value in values for word in words(value)]


def _build(text: str | None) -> Literal["GRCh37", "GRCh38"] | None:
    if text is None:
        return None
    if text.lower() not in BUILDS:
        raise typer.BadParameter(f"--build {text!r}: expected b37 or b38")
    return BUILDS[text.lower()]  # type: ignore[return-value]
