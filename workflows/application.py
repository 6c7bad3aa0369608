"""A command line that takes an option of one value once.

click keeps the last of ``--chr 1-3 --chr 22`` and says nothing, so that a command does less than was asked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
import typer
from typer.core import TyperCommand


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

    def command(self, name: str | None = None, **options: Any) -> Callable[[Any], Any]:
        """Add a command."""
        return super().command(name, **{"cls": OnceCommand, **options})
