"""``careome demo``: an invented region, the study beside it, and how its findings compare with the truth."""

from __future__ import annotations

import shutil
from importlib.resources import as_file, files
from pathlib import Path

import typer

from cohorts.errors import OutputError
from cohorts.synthetic import RegionConfig
from workflows.demo.comparison import compare_with_truth
from workflows.frames import each_row
from workflows.keys import new_project_key
from workflows.outputs import write_tsv
from workflows.progress import Progress
from workflows.run import STEPS, run_study
from workflows.sealing import new_custodian_key
from workflows.study_file import read_study
from workflows.synth import write_region


def run_demo(
    folder: Path,
    *,
    people: int = 20_000,
    genotyped: int = 6_000,
    variants: int = 20_000,
    seed: int = 1,
    bfile: Path | None = None,
    build: str = "GRCh38",
) -> None:
    """Make a region in `folder`, run its study and print where things are.

    Parameters
    ----------
    folder
        A new or empty folder.
    people, genotyped, variants, seed
        Size of the region, and its seed.
    bfile
        Real PLINK 1 genotypes to grow the region around; then `genotyped` and `variants` are the file's.
    build
        Their genome build.

    Raises
    ------
    OutputError
        When the folder holds something already.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(
            "is there already", where=folder, fix="remove it, or name another: careome demo FOLDER"
        )
    with Progress(total_steps=STEPS + 1) as progress:
        with progress.step("Making a synthetic region"):
            config = RegionConfig(people=people, genotyped=genotyped, variants=variants, seed=seed)
            write_region(config, folder / "region", bfile=bfile)
            lay_out_study(folder, build=build)
        result = run_study(read_study(folder / "study.yaml"), folder / "run", progress=progress)
    assert result.findings.genome is not None
    comparison = compare_with_truth(folder, result.findings.genome)
    write_tsv(folder / "comparison.tsv", comparison)
    typer.echo("\nFound")
    for line in result.summary:
        typer.echo(f"  {line}")
    typer.echo("\nAgainst the planted truth, which the study never read")
    width = int(comparison["what"].str.len().max())
    for row in each_row(comparison):
        typer.echo(f"  {row.what:<{width}}  {row.value}")
    typer.echo(f"\nOpen {folder / 'run' / 'reports' / 'cohort.html'} in a browser.")


def lay_out_study(folder: Path, *, build: str = "GRCh38") -> None:
    """Put the study file, its code lists and new keys beside a region in `folder`."""
    with as_file(files("workflows.demo")) as kit:
        shutil.copytree(kit / "codes", folder / "codes")
        text = (kit / "study.yaml").read_text(encoding="utf-8").replace("build: GRCh38", f"build: {build}")
    (folder / "study.yaml").write_text(text, encoding="utf-8")
    new_project_key(folder / "custodian" / "project.key")
    new_custodian_key(folder / "custodian" / "custodian.key")
