"""``careome records``: what is in the sources of a study."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workflows.application import Application

app = Application(help="What is in the sources of a study.", no_args_is_help=True)


@app.command("check")
def check(
    study: Annotated[Path, typer.Argument(help="The study file (YAML).")],
    rejects: Annotated[
        Path | None,
        typer.Option(help="Keep where each refused row lies and why (Parquet), never what was in it."),
    ] = None,
    scratch: Annotated[
        Path | None,
        typer.Option(help="Where identified rows lie while they are read; default beside the project key."),
    ] = None,
) -> None:
    """Read every source and tell, table by table, what was accepted and what was refused, and why.

    Ends with an error where more was refused than a source's most_rejected allows.
    """
    from workflows.progress import Progress
    from workflows.records import check_shares
    from workflows.records_check import account_lines, check_records
    from workflows.study_file import read_study

    checked = read_study(study)
    with Progress() as progress, progress.step("Reading the sources"):
        account = check_records(checked, rejects=rejects, scratch=scratch)
    for line in account_lines(account):
        typer.echo(line)
    if rejects is not None:
        typer.echo(f"{rejects}: places of the refused rows")
    check_shares(checked, account.intake)
