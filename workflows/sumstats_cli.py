"""``careome sumstats``: options in, one function of :mod:`workflows.sumstats` called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from workflows.application import Application

app = Application(help="Summary statistics of other programs.", no_args_is_help=True)


@app.callback()
def _root() -> None:
    """Summary statistics of other programs."""


@app.command()
def convert(
    path: Annotated[Path, typer.Argument(help="The file; its layout is told by its header.")],
    to: Annotated[
        Literal["plink2", "regenie", "ssf", "ldsc", "cojo", "saige"],
        typer.Option(help="ssf is GWAS-SSF with its metadata."),
    ],
    out: Annotated[Path, typer.Option(help="Prefix of the result files.")],
    layout: Annotated[
        str | None, typer.Option("--from", help="Its layout, where the header cannot tell.")
    ] = None,
    columns: Annotated[
        str | None, typer.Option(help="What columns are, e.g. effect_allele=A1,other_allele=A2.")
    ] = None,
    kind: Annotated[
        Literal["quantitative", "binary", "survival"] | None, typer.Option(help="What the effects are.")
    ] = None,
    trait: Annotated[
        str | None, typer.Option(help="Its name, default the file's; in Parquet of several, which.")
    ] = None,
    from_build: Annotated[str | None, typer.Option(help="Genome build, e.g. GRCh37.")] = None,
    to_build: Annotated[str | None, typer.Option(help="Genome build after --chain.")] = None,
    chain: Annotated[Path | None, typer.Option(help="UCSC chain file from one build to the other.")] = None,
    harmonise: Annotated[
        Path | None,
        typer.Option(help="Variants to harmonise to: .bim, .pvar, VCF or a table of frequencies."),
    ] = None,
    palindromic: Annotated[
        Literal["frequency", "drop", "keep"], typer.Option(help="What to do with A/T and C/G.")
    ] = "frequency",
    merge_alleles: Annotated[
        Path | None, typer.Option(help="Keep the variants of this list: SNP A1 A2, as LDSC's w_hm3.snplist.")
    ] = None,
    maf: Annotated[float | None, typer.Option(min=0, max=0.5, help="Least minor allele frequency.")] = None,
    info: Annotated[float | None, typer.Option(min=0, help="Least imputation quality.")] = None,
    p: Annotated[float | None, typer.Option("--p", help="Largest P.")] = None,
    ssf_p: Annotated[
        Literal["p_value", "neg_log_10_p_value"], typer.Option(help="Which of the two a GWAS-SSF file has.")
    ] = "neg_log_10_p_value",
    metadata: Annotated[
        Path | None, typer.Option(help="YAML: fields of GWAS-SSF's metadata that the file cannot tell.")
    ] = None,
) -> None:
    """Read, lift over, filter, harmonise and write summary statistics."""
    from workflows.outputs import refuse_no_folder
    from workflows.progress import Progress
    from workflows.sumstats import Selection, run_convert_sumstats

    if p is not None and not 0 < p <= 1:
        raise typer.BadParameter("--p is not above 0 and at most 1")
    refuse_no_folder(out)
    roles = {}
    for pair in columns.split(",") if columns else []:
        role, sign, name = pair.partition("=")
        if not sign:
            raise typer.BadParameter("--columns takes ROLE=NAME,ROLE=NAME")
        roles[role.strip()] = name.strip()
    with Progress() as progress, progress.step("Converting") as advance:
        files = run_convert_sumstats(
            path,
            to=to,
            out=out,
            layout=layout,
            columns=roles,
            kind=kind,
            trait=trait,
            from_build=from_build,
            to_build=to_build,
            chain=chain,
            reference=harmonise,
            palindromic=palindromic,
            merge_alleles=merge_alleles,
            selection=Selection(maf=maf, info=info, p=p),
            metadata=metadata,
            ssf_p=ssf_p,
            progress=advance,
        )
    typer.echo(Path(f"{out}.log").read_text(encoding="utf-8"), nl=False)
    for file in files:
        typer.echo(file)
