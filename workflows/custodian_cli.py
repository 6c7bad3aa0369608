"""The data custodian's commands: keys, clerical review, withdrawals and re-identification."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

StudyFile = Annotated[Path, typer.Argument(help="The study file (YAML).")]
Key = Annotated[Path, typer.Option("--key", help="The custodian's private key, mode 0600.")]
Out = Annotated[Path, typer.Option("--out", help="A new file for the answer, made with mode 0600.")]


def _custodian_key(path: Annotated[Path, typer.Argument(help="Where to write the private key.")]) -> None:
    """Make the custodian's key pair: PATH stays with the custodian, PATH.pub is named in the study."""
    from workflows.sealing import new_custodian_key

    public = new_custodian_key(path)
    typer.echo(f"{path}: keep it secret and away from where studies run; without it no crosswalk opens")
    typer.echo(f"{public}: name it in the study file as privacy.custodian")


def _reidentify(
    study: StudyFile,
    people: Annotated[list[str], typer.Argument(help="Pseudonyms, as the reports' files are named.")],
    key: Key,
    reason: Annotated[str, typer.Option("--reason", help="Why, by whose decision; kept in the audit trail.")],
    out: Out,
) -> None:
    """Write the providers' own numbers of people behind pseudonyms to a private file."""
    from workflows.custodian import crosswalk_folder, reidentify
    from workflows.study_file import read_hub_plan

    checked = read_hub_plan(study)
    found = reidentify(checked, people, key=key, reason=reason, out=out)
    typer.echo(f"{found} of {len(set(people))} people found; the answer is in {out}")
    typer.echo(f"recorded in {crosswalk_folder(checked) / 'audit.jsonl'}")


def _withdrawals(
    study: StudyFile,
    runs: Annotated[list[Path], typer.Argument(help="Run folders, finished or not.")],
    key: Key,
    out: Out,
    also: Annotated[
        list[Path] | None,
        typer.Option(
            help="File or folder made beside runs: of other commands (.sscore, --keep lists), kept hubs, Parquet."
        ),
    ] = None,
    gone: Annotated[
        bool,
        typer.Option("--gone", help="Also people of past runs who are in no extract any more."),
    ] = False,
) -> None:
    """List which outputs of past runs hold people who have withdrawn or opted out since."""
    from workflows.custodian_withdrawals import trace_withdrawals
    from workflows.study_file import read_hub_plan

    traced = trace_withdrawals(read_hub_plan(study), runs, key=key, out=out, also=also or [], gone=gone)
    typer.echo(
        f"{traced.objected:,} people object; {traced.found:,} people are traced to {traced.files:,} files, of "
        f"{traced.runs} of {len(runs)} runs and beside them: {out}"
    )
    if traced.gone:
        done = "their outputs are listed too" if gone else "list their outputs with --gone, if some withdrew"
        typer.echo(f"{traced.gone:,} people of past runs are in no extract any more: {done}")
    for line in traced.unsearched:
        typer.echo(f"not searched: {line}")
    typer.echo("the next run of the study leaves out who objects; kept hubs and weights must be made again")


def _review(
    study: StudyFile,
    out: Out,
) -> None:
    """Link the study's patients and list the pairs for clerical review, without running the study."""
    from workflows.custodian_review import list_review
    from workflows.study_file import read_hub_plan

    listed, found = list_review(read_hub_plan(study), out)
    typer.echo(f"{listed:,} of {found:,} pairs to review are in {out}")
    typer.echo("fill in the column decision (same or different) and name the file as linkage.decisions")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("custodian-key")(_custodian_key)
    app.command("reidentify")(_reidentify)
    app.command("withdrawals")(_withdrawals)
    app.command("review")(_review)
