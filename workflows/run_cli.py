"""``careome demo``, ``run``, ``synth``, ``key`` and ``verify``: a study from invented region to checked run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from workflows.application import Application, use_threads


def register(app: Application) -> None:
    """Add the commands."""
    for command in (demo, run, synth, key, verify):
        app.command()(command)


def demo(
    folder: Annotated[Path, typer.Argument(help="Where to put the region, the study and the run.")] = Path(
        "careome-demo"
    ),
    people: Annotated[int, typer.Option(min=2000, help="People in the region.")] = 20_000,
    genotyped: Annotated[int, typer.Option(min=200, help="How many of them are genotyped.")] = 6_000,
    variants: Annotated[int, typer.Option(min=500, help="Genotyped variants.")] = 20_000,
    seed: Annotated[int, typer.Option(min=0)] = 1,
    bfile: Annotated[
        Path | None, typer.Option(help="Real PLINK 1 genotypes to grow the region around, all of them.")
    ] = None,
    build: Annotated[
        Literal["GRCh36", "GRCh37", "GRCh38"], typer.Option(help="Genome build of --bfile.")
    ] = "GRCh38",
    threads: Annotated[int | None, typer.Option(min=1, help="Processors to use; default all.")] = None,
) -> None:
    """Make a synthetic region, run the study beside it, and compare the findings with the truth."""
    use_threads(threads)
    from workflows.demo import run_demo

    run_demo(
        folder, people=people, genotyped=genotyped, variants=variants, seed=seed, bfile=bfile, build=build
    )


def run(
    study: Annotated[Path, typer.Argument(help="The study file (YAML).")],
    out: Annotated[Path, typer.Option("--out", help="The run folder; an unfinished run goes on in it.")],
    threads: Annotated[int | None, typer.Option(min=1, help="Processors to use; default all.")] = None,
) -> None:
    """Run a study from extracts, and genotypes where it has some, to its reports."""
    use_threads(threads)
    from workflows.run import run_study
    from workflows.study_definitions import check_definitions
    from workflows.study_file import check_inputs, read_study

    checked = read_study(study)
    check_inputs(checked, study)
    check_definitions(checked)
    result = run_study(checked, out)
    for line in result.summary:
        typer.echo(line)


def synth(
    out: Annotated[Path, typer.Argument(help="Folder for extracts/, genotypes/ and truth/.")],
    people: Annotated[int, typer.Option(min=200)] = 20_000,
    genotyped: Annotated[int, typer.Option(min=50)] = 6_000,
    variants: Annotated[int, typer.Option(min=200)] = 20_000,
    activity: Annotated[
        float,
        typer.Option(min=0.01, max=10, help="How often people are seen: 1 is usual, 0.08 some 20 rows each."),
    ] = 1.0,
    seed: Annotated[int, typer.Option(min=0)] = 1,
    bfile: Annotated[
        Path | None, typer.Option(help="Real PLINK 1 genotypes to grow the region around.")
    ] = None,
    tables: Annotated[
        Literal["mixed", "parquet"],
        typer.Option("--format", help="Extracts as CSV with large tables as Parquet, or all as Parquet."),
    ] = "mixed",
    hub: Annotated[
        bool, typer.Option("--hub", help="Write hub.duckdb, linked and pseudonymous, instead of extracts.")
    ] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="Processors to use; default all.")] = None,
) -> None:
    """Write a synthetic region as its providers would hand it over, with its truth apart."""
    from cohorts.errors import OutputError
    from cohorts.synthetic import RegionConfig
    from workflows.progress import Progress
    from workflows.synth import counting, write_hub, write_region

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError("is there already", where=out, fix="remove it, or name another folder")
    if hub and (bfile is not None or tables != "mixed"):
        raise typer.BadParameter("a hub has neither extracts nor genotypes: leave out --bfile and --format")

    processes = use_threads(threads)
    with Progress() as progress, progress.counted("Synthetic region", "people") as advance:
        config = RegionConfig(
            people=people, genotyped=genotyped, variants=variants, seed=seed, activity=activity
        )
        advance.start(people)
        told = counting(advance, people)
        if hub:
            write_hub(config, out, processes=processes, progress=told)
        else:
            parquet = tables == "parquet"
            write_region(config, out, bfile=bfile, parquet=parquet, processes=processes, progress=told)
    if hub:
        typer.echo(f"{out}: hub.duckdb and truth.")
        return
    typer.echo(
        f"{out}: extracts, genotypes and truth. 'careome demo' lays a study file beside such a region."
    )


def key(path: Annotated[Path, typer.Argument(help="Where to write it.")]) -> None:
    """Make a project key (for the data custodian)."""
    from workflows.keys import new_project_key

    new_project_key(path)
    typer.echo(f"{path}: keep it secret and keep a copy; without it no pseudonym can be traced back")


def verify(run_folder: Annotated[Path, typer.Argument(help="A finished run folder.")]) -> None:
    """Check that nothing in a run folder has changed since the run."""
    from workflows.verify import verify_run

    typer.echo(verify_run(run_folder))
