"""The command line: one function a command, each handing on to one function of `workflows`.

Faults a user can act on are printed as one line on standard error, without a traceback, and end with the
exit code that :mod:`cohorts.errors` documents. Heavy packages are imported inside the commands so that
``careome --help`` answers at once.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer

from cohorts.errors import CareomeError
from workflows import (
    codes_cli,
    custodian_cli,
    genotype_cli,
    gwas_cli,
    phenotype_cli,
    plot_cli,
    records_cli,
    sumstats_cli,
    wgr_cli,
)
from workflows.application import Application
from workflows.genotype_inputs import Filters, GenotypeSource
from workflows.genotype_options import filter_options, source_options, takes, words
from workflows.installation import check_installation, version
from workflows.outputs import refuse_no_folder

app = Application(
    name="careome",
    help="From a region's care records and genotypes to associations, scores and calibrated risk.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
study_app = Application(help="Check a study file, or print its schema.", no_args_is_help=True)
app.add_typer(study_app, name="study")
app.add_typer(sumstats_cli.app, name="sumstats")
app.add_typer(plot_cli.app, name="plot")
app.add_typer(codes_cli.app, name="codes")
app.add_typer(records_cli.app, name="records")
app.add_typer(phenotype_cli.app, name="phenotype")

# PLINK lets these take several words; they reach the command as one comma-separated value.
SEVERAL_WORDS = {
    "--pheno-name", "--covar-name", "--chr", "--score", "--indep-pairwise", "--bgen", "--region",
    "--mach-r2-filter", "--export", "--phenoCol", "--phenoColList", "--covarCol", "--covarColList",
    "--catCovarList", "--condition", "--glm", "--vcf", "--bcf", "--pfile", "--pgen", "--pca", "--not-chr",
    "--snps", "--snp", "--snps-only", "--extract", "--exclude", "--hwe",
}  # fmt: skip
# and these may stand alone
NO_WORDS = {"--glm", "--pca", "--snps-only"}


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    given = _joined(sys.argv[1:] if arguments is None else arguments)
    # Whatever is written, by us or by a library, is for its owner alone.
    os.umask(0o077)
    try:
        check_installation()
        app(args=given, prog_name="careome", standalone_mode=True)
    except CareomeError as error:
        sys.stderr.write(f"careome: {error}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.stderr.write("careome: interrupted; the same command goes on where it was\n")
        sys.exit(130)
    sys.exit(0)


def _joined(given: list[str]) -> list[str]:
    """``--pheno-name A B`` as ``--pheno-name A,B``, and ``--glm`` alone with an empty value."""
    joined: list[str] = []
    at = 0
    while at < len(given):
        word = given[at]
        at += 1
        joined.append(word)
        if word not in SEVERAL_WORDS:
            continue
        first = at
        while at < len(given) and not given[at].startswith("--"):
            at += 1
        if at > first or word in NO_WORDS:
            joined.append(",".join(given[first:at]))
    return joined


@app.callback(invoke_without_command=True)
def _root(
    show_version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if show_version:
        typer.echo(f"careome {version()}")
        raise typer.Exit


@app.command()
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
    _use_threads(threads)
    from workflows.demo import run_demo

    run_demo(
        folder, people=people, genotyped=genotyped, variants=variants, seed=seed, bfile=bfile, build=build
    )


@app.command()
def run(
    study: Annotated[Path, typer.Argument(help="The study file (YAML).")],
    out: Annotated[Path, typer.Option("--out", help="The run folder; an unfinished run goes on in it.")],
    threads: Annotated[int | None, typer.Option(min=1, help="Processors to use; default all.")] = None,
) -> None:
    """Run a study from extracts, and genotypes where it has some, to its reports."""
    _use_threads(threads)
    from workflows.run import run_study
    from workflows.study_file import check_inputs, read_study

    checked = read_study(study)
    check_inputs(checked, study)
    result = run_study(checked, out)
    for line in result.summary:
        typer.echo(line)


@app.command()
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

    processes = _use_threads(threads)
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


@app.command()
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
    count = _use_threads(threads)
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


@app.command()
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
    _use_threads(threads)
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


@app.command()
@takes(source=source_options)
def manifest(source: GenotypeSource) -> None:
    """SHA-256 of a genotype file, beside it; every later opening is held to it."""
    if source.regions:
        raise typer.BadParameter("a manifest is of a whole file")
    from workflows.convert import run_manifest

    typer.echo(run_manifest(source))


@app.command()
def key(path: Annotated[Path, typer.Argument(help="Where to write it.")]) -> None:
    """Make a project key (for the data custodian)."""
    from workflows.keys import new_project_key

    new_project_key(path)
    typer.echo(f"{path}: keep it secret and keep a copy; without it no pseudonym can be traced back")


@app.command()
def verify(run_folder: Annotated[Path, typer.Argument(help="A finished run folder.")]) -> None:
    """Check that nothing in a run folder has changed since the run."""
    from workflows.verify import verify_run

    typer.echo(verify_run(run_folder))


@study_app.command("check")
def study_check(study: Annotated[Path, typer.Argument(help="The study file (YAML).")]) -> None:
    """Check a study file and that the files it names are there."""
    from workflows.genome_study import GenomeStudy
    from workflows.keys import read_project_key
    from workflows.study_file import check_inputs, read_study

    checked = read_study(study)
    files = check_inputs(checked, study)
    read_project_key(checked.privacy.key)
    kind = "of records and genotypes" if isinstance(checked, GenomeStudy) else "of records alone"
    typer.echo(f"{study}: fine, a study {kind}; {len(files)} input files found")


@study_app.command("schema")
def study_schema_command() -> None:
    """Print the JSON Schema of study files."""
    import json

    from workflows.genome_study import study_schema

    typer.echo(json.dumps(study_schema(), indent=2))


def _use_threads(threads: int | None) -> int:
    """Set the number of threads before numpy and numba are loaded, which read it once."""
    count = threads or len(os.sched_getaffinity(0))
    for library in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
        os.environ[f"{library}_NUM_THREADS"] = str(count)
    # Threads that wait for work must not keep a processor busy from those that have some.
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    return count


gwas_cli.register(app, _use_threads)
wgr_cli.register(app, _use_threads)
genotype_cli.register(app, _use_threads)
custodian_cli.register(app)

if __name__ == "__main__":
    main()
