"""A killed run goes on where it was and ends with the same results."""

from __future__ import annotations

import shutil
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


@pytest.mark.parametrize(
    ("study", "moments"),
    [
        ("demo", ("identified.duckdb", "hub.duckdb", "parts.json")),
        ("records_study", ("identified.duckdb", "hub.duckdb", "prevalence.parquet")),
    ],
)
def test_killed_at_any_moment_the_same_command_ends_with_the_same_results(study, moments, tmp_path, request):
    demo, out = request.getfixturevalue(study), tmp_path / "run"
    for wait in moments:
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


def test_a_killed_build_leaves_no_hub_and_the_next_leaves_no_identified_rows(
    records_study, tmp_path, careome
):
    place = shutil.copytree(records_study, tmp_path / "place", ignore=shutil.ignore_patterns("run"))
    out = tmp_path / "hub.duckdb"
    command = [sys.executable, "-m", "workflows.cli", "records", "build", place / "hub.yaml", "--out", out]
    for wait in ("identified.duckdb", "hub.duckdb"):
        process = subprocess.Popen(
            list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        while not list((place / "custodian").rglob(wait)) and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not out.exists()
    (tmp_path / ".hub.duckdb.abc.part").write_text("half a hub, copied to another disk")
    done = careome("records", "build", place / "hub.yaml", "--out", out)
    assert done.returncode == 0, done.stderr
    assert out.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hub.duckdb", "place"]
    assert not list((place / "custodian").rglob("*.duckdb"))
