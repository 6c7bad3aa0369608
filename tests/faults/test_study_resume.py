"""A killed run goes on where it was and ends with the same results."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

from workflows.outputs import sha256_of

pytestmark = pytest.mark.slow


def start(demo, out):
    command = [
        sys.executable,
        "-m",
        "workflows.cli",
        "run",
        demo / "study.yaml",
        "--out",
        out,
        "--threads",
        "2",
    ]
    return subprocess.Popen(
        list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def results(run):
    return {p.relative_to(run).as_posix(): p for p in (run / "results").rglob("*") if p.is_file()}


def test_killed_at_any_moment_the_same_command_ends_with_the_same_results(demo, tmp_path):
    out = tmp_path / "run"
    for wait in ("identified.duckdb", "hub.duckdb", "parts.json"):
        process = start(demo, out)
        deadline = time.monotonic() + 300
        while not list(out.rglob(wait)) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not (out / "manifest.json").exists()
    process = start(demo, out)
    _, errors = process.communicate(timeout=500)
    assert process.returncode == 0, errors[-2000:]
    assert not (out / ".scratch").exists()
    mine, theirs = results(out), results(demo / "run")
    assert set(mine) == set(theirs)
    for name, path in mine.items():
        if sha256_of(path) == sha256_of(theirs[name]):
            continue
        # Sums in another order of threads may differ in the last digits; nothing else may.
        assert path.suffix == ".parquet", name
        pd.testing.assert_frame_equal(
            pd.read_parquet(path), pd.read_parquet(theirs[name]), rtol=1e-9, atol=1e-12
        )


def test_two_runs_never_share_a_folder(demo, tmp_path, careome):
    out = tmp_path / "run"
    process = start(demo, out)
    while not (out / "state.json").exists() and process.poll() is None:
        time.sleep(0.02)
    second = careome("run", demo / "study.yaml", "--out", out)
    process.kill()
    process.communicate()
    assert second.returncode == 14, second.stderr
    assert "another run" in second.stderr
