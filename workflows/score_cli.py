"""``careome score``, ``convert`` and ``manifest``: genotype files in, scores or other files out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from workflows.application import Application, use_threads
from workflows.genotype_inputs import Filters, GenotypeSource
from workflows.genotype_options import filter_options, source_options, takes, words
from workflows.outputs import refuse_no_folder


def register(app: Application) -> None:
    """Add the commands."""
    for command in (score, convert, manifest):
        app.command()(command)


@takes(source=source_options, filters=filter_options)
def score(
    source: GenotypeSource,
    filters: Filters,
    score: Annotated[str, typer.Option("--score", help="PGS Catalog scoring files, comma-separated.")],
    out: Annotated[Path, typer.Option(help="Prefix of the result files.")],
    missing: Annotated[
        Literal["mean", "zero"], typer.Option(help="What a missing genotype counts as.")
    ] = "mean",
    freq: Annotated[Path | None, typer.Option("--read-freq", help="Reference allele frequencies.")] = None,
    palindromic: Annotated[
        Literal["drop", "keep", "frequency"],
        typer.Option(help="What to do with A/T and C/G; keep where the weights are of these very files."),
    ] = "drop",
    threads: Annotated[int | None, typer.Option(min=1)] = None,
) -> None:
    """Polygenic scores of published weights, with a log of every variant's match."""
    count = use_threads(threads)
    refuse_no_folder(out)
    from workflows.progress import Progress
    from workflows.scoring import run_score

    with Progress() as progress, progress.step("Scoring") as advance:
        files = run_score(
            source=source,
            filters=filters,
            score=[Path(name) for name in words(score)],
            out=out,
            missing=missing,
            freq=freq,
            palindromic=palindromic,
            threads=count,
            progress=advance,
        )
    typer.echo(Path(f"{out}.log").read_text(encoding="utf-8"), nl=False)
    for file in files:
        typer.echo(file)


@takes(source=source_options, filters=filter_options)
def convert(
    source: GenotypeSource,
    filters: Filters,
    out: Annotated[Path, typer.Option(help="Prefix of the files.")],
    make_bed: Annotated[bool, typer.Option("--make-bed", help="PLINK 1: OUT.bed, .bim, .fam.")] = False,
    make_pgen: Annotated[bool, typer.Option("--make-pgen", help="PLINK 2: OUT.pgen, .pvar, .psam.")] = False,
    export: Annotated[
        str | None,
        typer.Option(help="bgen-1.2 or bgen-1.3 [bits=8|16], or vcf [bgz] [vcf-dosage=DS]."),
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1)] = None,
) -> None:
    """Genotypes of any format, filtered, written as another."""
    use_threads(threads)
    refuse_no_folder(out)
    from workflows.convert import Target, run_convert
    from workflows.progress import Progress

    targets = [Target(format="bed")] * make_bed + [Target(format="pgen")] * make_pgen
    if export is not None:
        try:
            targets.append(Target.read(words(export)))
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
    if not targets:
        raise typer.BadParameter("nothing to write: give --make-bed, --make-pgen or --export")
    with Progress() as progress, progress.step("Converting"):
        files = run_convert(source=source, out=out, targets=targets, filters=filters)
    for file in files:
        typer.echo(file)


@takes(source=source_options)
def manifest(source: GenotypeSource) -> None:
    """SHA-256 of a genotype file, beside it; every later opening is held to it."""
    if source.regions:
        raise typer.BadParameter("a manifest is of a whole file")
    from workflows.convert import run_manifest

    typer.echo(run_manifest(source))
