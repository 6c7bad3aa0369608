"""``careome records``: what is in the sources of a study, and the hub made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workflows.application import Application

app = Application(
    help="What is in the sources of a study, and the pseudonymous hub made of them.", no_args_is_help=True
)

StudyFile = Annotated[
    Path,
    typer.Argument(help="The study file (YAML); study, privacy and sources are all that is needed of it."),
]
Scratch = Annotated[
    Path | None,
    typer.Option(help="Where identified rows lie while they are read; default beside the project key."),
]


@app.command("check")
def check(
    study: StudyFile,
    rejects: Annotated[
        Path | None,
        typer.Option(help="Keep where each refused row lies and why (Parquet), never what was in it."),
    ] = None,
    scratch: Scratch = None,
) -> None:
    """Read every source and tell, table by table, what was accepted and what was refused, and why.

    Ends with an error where a column by which people are linked, aged or followed cannot be read, or more was refused
    than a source's most_rejected allows.
    """
    from cohorts.errors import PrivacyError
    from workflows.keys import read_project_key
    from workflows.progress import Progress
    from workflows.records import check_shares, unread_lines
    from workflows.records_check import account_lines, check_records
    from workflows.study_file import read_hub_plan

    checked = read_hub_plan(study)
    with Progress() as progress, progress.step("Reading the sources"):
        account = check_records(checked, rejects=rejects, scratch=scratch)
    for line in account_lines(account):
        typer.echo(line)
    if rejects is not None:
        typer.echo(f"{rejects}: places of the refused rows")
    for line in unread_lines(account.intake):
        typer.echo(line, err=True)
    try:
        read_project_key(checked.privacy.key)
    except PrivacyError as error:
        # an account needs no key, but what is made of the records does
        typer.echo(f"warning: a run will be refused: {error}", err=True)
    check_shares(checked, account.intake)


@app.command("build")
def build(
    study: StudyFile,
    out: Annotated[Path, typer.Option("--out", help="A new file for the hub (DuckDB), made with mode 0600.")],
    scratch: Scratch = None,
) -> None:
    """Read and link every source, apply objections, replace identifiers, and keep the pseudonymous hub.

    It is what a run of the study makes and deletes again: for notebooks and 'careome phenotype diagnose --hub'.
    """
    from workflows.records_build import build_records, built_lines
    from workflows.study_file import read_hub_plan

    for line in built_lines(build_records(read_hub_plan(study), out, scratch=scratch)):
        typer.echo(line)
