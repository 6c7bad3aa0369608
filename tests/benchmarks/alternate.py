"""Time commands against one another by turns, so that what else the machine does falls on all of them alike."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PEER_THREADS = {"OPENBLAS_NUM_THREADS": "1"}
"""A PLINK 2 built from source is four times slower where OpenBLAS brings threads of its own."""


@dataclass(frozen=True)
class Run:
    """One run: wall and processor seconds (user and system), and the largest memory in MB."""

    wall: float
    cpu: float
    peak: float


def careome(*words: object) -> list[str]:
    """The command line of careome under this Python."""
    return [sys.executable, "-m", "workflows.cli", *map(str, words)]


def run_once(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Run:
    """Run a command to its end; a failure stops the benchmark."""
    started = time.perf_counter()
    child = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, **(environment or {})},
    )
    assert child.stderr is not None
    said = child.stderr.read()
    _, status, used = os.wait4(child.pid, 0)
    wall = time.perf_counter() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(command)}\n{said.decode()}")
    return Run(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def alternate(commands: Mapping[str, Sequence[str]], *, times: int) -> dict[str, list[Run]]:
    """Run every command once in turn, ``times`` over, after one round that does not count (warm caches)."""
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    for turn in range(times + 1):
        for name, command in commands.items():
            run = run_once(command, PEER_THREADS)
            if turn:
                runs[name].append(run)
    return runs


def report(title: str, runs: Mapping[str, Sequence[Run]]) -> str:
    """A row of a Markdown table for each command; ratios are to the last one, the peer."""
    *_, peer = runs.values()
    rows = []
    for name, of in runs.items():
        wall, cpu = sorted(run.wall for run in of), [run.cpu for run in of]
        ratio = statistics.median(run.wall / other.wall for run, other in zip(of, peer, strict=True))
        cpu_ratio = statistics.median(cpu) / statistics.median(run.cpu for run in peer)
        rows.append(
            f"| {title} | {name} | {wall[0]:.2f} | {statistics.median(wall):.2f} |"
            f" {statistics.median(cpu):.2f} | {max(run.peak for run in of):.0f} | {ratio:.2f} | {cpu_ratio:.2f} |"
        )
    return "\n".join(rows)


HEAD = (
    "| work | program | wall min | wall median | CPU median | peak MB | wall ratio | CPU ratio |\n"
    "|---|---|---|---|---|---|---|---|"
)


def first_run(command: Sequence[str], folder: Path) -> Run:
    """Run with an empty cache of compiled kernels, as on the first day; ``folder`` must be new."""
    folder.mkdir()
    return run_once(command, {"NUMBA_CACHE_DIR": str(folder)})
