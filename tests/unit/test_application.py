"""An option of one value is given once, for every command."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from click.testing import CliRunner

from workflows.application import OnceCommand
from workflows.cli import application


@pytest.mark.parametrize(
    "words",
    [
        ["freq", "--bfile", "a", "--out", "b", "--chr", "1-3", "--chr", "22"],
        ["convert", "--bfile", "a", "--make-bed", "--out", "b", "--bed", "c"],
        ["score", "--bfile", "a", "--score", "s", "--out", "b", "--maf", "0.1", "--maf=0.2"],
        ["run", "study.yaml", "--out", "b", "--out", "c"],
        ["sumstats", "convert", "a", "--out", "b", "--out", "c"],
    ],
)
def test_an_option_given_twice_is_refused(words: list[str], tmp_path: Path) -> None:
    done = CliRunner().invoke(typer.main.get_command(application()), words)
    assert done.exit_code == 2
    assert "is given more than once" in done.output


def test_every_command_refuses_repeats() -> None:
    def commands(group: object) -> list[object]:
        inner = getattr(group, "commands", None)
        return [group] if inner is None else [leaf for item in inner.values() for leaf in commands(item)]

    found = commands(typer.main.get_command(application()))
    assert len(found) > 20
    assert all(isinstance(command, OnceCommand) for command in found)


def test_an_option_of_many_values_may_be_repeated() -> None:
    once = typer.main.get_command(application()).commands["gwas"]  # type: ignore[attr-defined]
    words = ["--bfile", "a", "--pheno", "p", "--out", "o", "--condition", "rs1", "--condition", "rs2"]
    assert tuple(once.make_context("gwas", words).params["condition"]) == ("rs1", "rs2")
