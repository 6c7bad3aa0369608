"""``careome wgr``: REGENIE's step 1 by its option names."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workflows.application import Application, use_threads
from workflows.genotype_inputs import Filters, GenotypeSource
from workflows.genotype_options import filter_options, source_options, takes
from workflows.gwas_cli import Tables, table_options, trait_options
from workflows.gwas_options import TraitOptions

UNUSED = "REGENIE's, accepted for compatibility, changes nothing"


def register(app: Application) -> None:
    """Add the command."""
    app.command()(wgr)


@takes(tables=table_options, source=source_options, filters=filter_options, traits=trait_options)
def wgr(
    tables: Tables,
    source: GenotypeSource,
    filters: Filters,
    traits: TraitOptions,
    out: Annotated[Path, typer.Option("--out", help="Prefix of the result files.")],
    cv: Annotated[int, typer.Option("--cv", min=4, help="Folds; each is predicted by the others.")] = 10,
    calibrate: Annotated[
        bool,
        typer.Option(
            "--calibrate",
            help="Compare quantitative traits' tests with a mixed model's; for samples all of close relatives.",
        ),
    ] = False,
    bsize: Annotated[
        int | None, typer.Option("--bsize", min=1, help=f"{UNUSED}: there are no blocks to choose.")
    ] = None,
    loocv: Annotated[
        bool, typer.Option("--loocv", help=f"{UNUSED}: predictions are by other people anyway.")
    ] = False,
    lowmem: Annotated[bool, typer.Option("--lowmem", help=f"{UNUSED}: memory is bounded anyway.")] = False,
    step: Annotated[int, typer.Option("--step", min=1, max=1, help=f"{UNUSED}.")] = 1,
    threads: Annotated[int | None, typer.Option("--threads", min=1)] = None,
) -> None:
    """Whole-genome regression: what other chromosomes predict of each trait, for careome gwas --pred.

    Variants with fewer than five minor alleles are left out, or with fewer than --minMAC.
    """
    del step
    from workflows.outputs import refuse_no_folder

    count = use_threads(threads)
    refuse_no_folder(out)
    from workflows.progress import Progress
    from workflows.wgr import run_wgr

    with Progress() as progress, progress.step("Whole-genome regression") as advance:
        files = run_wgr(
            source=source,
            pheno=tables.pheno,
            out=out,
            covar=tables.covar,
            pheno_name=tables.pheno_name,
            covar_name=tables.covar_name,
            filters=filters,
            traits=traits,
            folds=cv,
            calibrate=calibrate,
            unused=[
                name
                for name, given in (("--bsize", bsize), ("--loocv", loocv), ("--lowmem", lowmem))
                if given
            ],
            threads=count,
            progress=advance,
        )
    typer.echo(Path(f"{out}.log").read_text(encoding="utf-8"), nl=False)
    for file in files:
        typer.echo(file)
