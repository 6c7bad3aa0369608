"""``careome study``: check a study file, or print its schema."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workflows.application import Application

app = Application(help="Check a study file, or print its schema.", no_args_is_help=True)


@app.command("check")
def study_check(study: Annotated[Path, typer.Argument(help="The study file (YAML).")]) -> None:
    """Check a study file, that the files it names are there, and its code lists and definitions, as a run does."""
    from workflows.genome_study import GenomeStudy
    from workflows.keys import read_project_key
    from workflows.study_definitions import check_definitions, doubtful_codes
    from workflows.study_file import check_inputs, read_study

    checked = read_study(study)
    files = check_inputs(checked, study)
    read_project_key(checked.privacy.key)
    check_definitions(checked)
    for line in doubtful_codes(checked):
        typer.echo(line, err=True)
    kind = "of records and genotypes" if isinstance(checked, GenomeStudy) else "of records alone"
    typer.echo(f"{study}: fine, a study {kind}; {len(files)} input files found")


@app.command("schema")
def study_schema_command() -> None:
    """Print the JSON Schema of study files."""
    import json

    from workflows.genome_study import study_schema

    typer.echo(json.dumps(study_schema(), indent=2))
