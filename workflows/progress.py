"""What a run is doing, how far it is and how long it has taken.

On a terminal a live bar (rich); into a pipe or file one plain line a step. Every line also goes to the
run's log. Nothing here ever receives a person's data: only step names and counts.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

LOG = logging.getLogger("careome")
Advance = Callable[[int], None]


BASE_COLUMNS = 5
LINE_EVERY = 30.0
"""Seconds between two lines where there is no terminal."""


class Counted:
    """How far a counted step is; made by :meth:`Progress.counted`."""

    def __init__(self, progress: Progress, name: str, unit: str, task: Any) -> None:
        self.progress, self.name, self.unit, self.task = progress, name, unit, task
        self.total = self.earlier = self.units = 0
        self.begun = self.said = time.monotonic()

    def start(self, total: int, earlier: int = 0) -> None:
        """Say how many units there are, and how many of them an earlier run did."""
        self.total, self.earlier, self.begun = total, earlier, time.monotonic()
        if self.task is not None:
            self.progress._live.update(self.task, total=total, completed=earlier)

    def __call__(self, units: int) -> None:
        """Say that some more are done."""
        self.units += units
        now = time.monotonic()
        if self.task is not None:
            self.progress._live.update(self.task, completed=self.earlier + self.units, rate=self.told())
        elif now - self.said >= LINE_EVERY and not self.progress.quiet:
            self.said = now
            sys.stderr.write(f"{self.name}: {self.told()}\n")
            sys.stderr.flush()

    def told(self) -> str:
        """``120,000 of 500,000 variants, 31,000 a second, 0:12 left``."""
        seconds = max(time.monotonic() - self.begun, 1e-9)
        done, rate = self.earlier + self.units, self.units / seconds
        text = f"{done:,} of {self.total:,} {self.unit}, {rate:,.0f} a second"
        if done >= self.total or not self.units:
            return f"{text}, {seconds:.1f} s"
        left = int((self.total - done) / rate)
        return f"{text}, {left // 60}:{left % 60:02d} left"


class Progress:
    """Show the steps of a piece of work, one after another.

    Parameters
    ----------
    total_steps
        How many steps are planned, for the counter before each name; 0 hides the counter.
    quiet
        Show nothing (the log still gets every line).
    """

    def __init__(self, *, total_steps: int = 0, quiet: bool = False) -> None:
        self.total_steps = total_steps
        self.quiet = quiet
        self.done = 0
        self.started = time.monotonic()
        self._live: Any = None

    def __enter__(self) -> Progress:
        if not self.quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                SpinnerColumn,
                TaskProgressColumn,
                TextColumn,
                TimeElapsedColumn,
            )
            from rich.progress import Progress as Live

            self._live = Live(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                TaskProgressColumn(),
                TimeElapsedColumn(),
                console=Console(stderr=True),
            )
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    @contextmanager
    def step(self, name: str, total: int | None = None) -> Iterator[Advance]:
        """Time one step; the value given is called with how many of `total` units were just done."""
        label = f"[{self.done + 1}/{self.total_steps}] {name}" if self.total_steps else name
        begun = time.monotonic()
        task = self._live.add_task(label.replace("[", r"\["), total=total, rate="") if self._live else None

        def advance(units: int = 1) -> None:
            if task is not None:
                self._live.advance(task, units)

        LOG.info("%s ...", label)
        try:
            yield advance
        except BaseException:
            LOG.info("%s stopped after %.1f s", label, time.monotonic() - begun)
            raise
        seconds = time.monotonic() - begun
        self.done += 1
        LOG.info("%s done in %.1f s", label, seconds)
        if task is not None:
            self._live.update(task, total=total or 1, completed=total or 1)
            self._live.stop_task(task)
        elif not self.quiet:
            elapsed = time.monotonic() - self.started
            sys.stderr.write(f"{label}: {seconds:.1f} s (total {elapsed:.0f} s)\n")
            sys.stderr.flush()

    @contextmanager
    def counted(self, name: str, unit: str) -> Iterator[Counted]:
        """Time one step whose size is known once it has begun: shows units per second and the time left.

        Parameters
        ----------
        name
            What is done.
        unit
            What is counted, as a plural: ``variants``.
        """
        if self._live is not None:
            from rich.progress import TextColumn

            rate = TextColumn("{task.fields[rate]}")
            if len(self._live.columns) == BASE_COLUMNS:
                self._live.columns = (*self._live.columns, rate)
        task = self._live.add_task(name, total=None, rate="") if self._live is not None else None
        count = Counted(self, name, unit, task)
        LOG.info("%s ...", name)
        yield count
        if task is not None:
            self._live.update(task, total=count.total or 1, completed=count.total or 1)
            self._live.stop_task(task)
        self.done += 1
        LOG.info("%s done, %s", name, count.told())
        if self._live is None and not self.quiet:
            sys.stderr.write(f"{name}: {count.told()}\n")
            sys.stderr.flush()

    def note(self, text: str) -> None:
        """Say one line beside the steps, for instance a count that the user should see."""
        LOG.info("%s", text)
        if self._live is not None:
            self._live.console.print(f"    {text}", highlight=False, markup=False)
        elif not self.quiet:
            sys.stderr.write(f"    {text}\n")
