"""A command line that takes an option of one value once.

click keeps the last of ``--chr 1-3 --chr 22`` and says nothing, so that a command does less than was asked.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Container
from typing import Any

import click
import typer
from typer.core import TyperCommand
from typer.main import get_command_name
from typer.models import CommandInfo


class OnceCommand(TyperCommand):
    """A command that refuses an option of one value given twice, under whichever of its names."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, and refuse what is repeated."""
        _, _, given = self.make_parser(ctx).parse_args(list(args))
        for parameter in given:
            single = isinstance(parameter, click.Option) and not (parameter.multiple or parameter.count)
            if single and given.count(parameter) > 1:
                name = next(word for word in args if word.partition("=")[0] in parameter.opts)
                raise click.UsageError(f"{name.partition('=')[0]} is given more than once", ctx=ctx)
        return super().parse_args(ctx, args)


class Application(typer.Typer):
    """A group of such commands."""

    def keep(self, names: Container[str]) -> None:
        """Forget every command but these."""
        self.registered_commands = [info for info in self.registered_commands if _name_of(info) in names]

    def command(self, name: str | None = None, **options: Any) -> Callable[[Any], Any]:
        """Add a command."""
        return super().command(name, **{"cls": OnceCommand, **options})


def _name_of(info: CommandInfo) -> str:
    return info.name or get_command_name(getattr(info.callback, "__name__", ""))


def use_threads(threads: int | None, *, blas: int | None = None) -> int:
    """Set the number of threads before numpy and numba are loaded, which read it once.

    Parameters
    ----------
    threads
        What was asked for; None takes every processor.
    blas
        Threads of BLAS, where it does so little that its threads would only wait.
    """
    count = threads or len(os.sched_getaffinity(0))
    for library in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
        own = count if library == "NUMBA" or blas is None else blas
        os.environ[f"{library}_NUM_THREADS"] = str(own)
    # Threads that wait for work must not keep a processor busy from those that have some.
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    return count
