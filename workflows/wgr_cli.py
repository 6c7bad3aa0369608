"""``careome wgr``: REGENIE's step 1 by its option names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from workflows.genotype_inputs import Filters, GenotypeSource, filter_options, source_options, takes
from workflows.gwas_cli import Tables, table_options, trait_options
from workflows.gwas_options import TraitOptions


def register(app: typer.Typer, use_threads: Callable[[int | None], int]) -> None:
    """Add the command to an application.

    Parameters
    ----------
    app
        Where to.
    use_threads
        Sets the number of threads before numpy is loaded.
    """

    @takes(tables=table_options, source=source_options, filters=filter_options, traits=trait_options)
    def wgr(
        tables: Tables,
        source: GenotypeSource,
        filters: Filters,
        traits: TraitOptions,
        out: Annotated[Path, typer.Option("--out", help="Prefix of the result files.")],
        cv: Annotated[int, typer.Option("--cv", min=4, help="Folds; each is predicted by the others.")] = 10,
        min_mac: Annotated[
            float, typer.Option("--minMAC", min=1, help="Variants with fewer minor alleles are left out.")
        ] = 5,
        bsize: Annotated[
            int | None, typer.Option("--bsize", min=1, help="REGENIE's; there are no blocks to choose here.")
        ] = None,
        loocv: Annotated[
            bool, typer.Option("--loocv", help="REGENIE's; predictions are of other people anyway.")
        ] = False,
        lowmem: Annotated[
            bool, typer.Option("--lowmem", help="REGENIE's; memory is bounded anyway.")
        ] = False,
        step: Annotated[int, typer.Option("--step", min=1, max=1, help="REGENIE's.")] = 1,
        threads: Annotated[int | None, typer.Option("--threads", min=1)] = None,
    ) -> None:
        """Whole-genome regression: what other chromosomes predict of each trait, for careome gwas --pred."""
        del bsize, loocv, lowmem, step
        from cohorts.errors import OutputError

        count = use_threads(threads)
        if not out.parent.is_dir():
            raise OutputError("no such folder", where=out.parent, fix="make it first, or correct --out")
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
                mac=min_mac,
                threads=count,
                progress=advance,
            )
        typer.echo(Path(f"{out}.log").read_text(encoding="utf-8"), nl=False)
        for file in files:
            typer.echo(file)

    app.command()(wgr)
