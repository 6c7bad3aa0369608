"""A killed ``careome gwas`` goes on where it stopped and ends with the same bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import workflows.association_run as association_run
from cohorts.errors import OutputError
from gwas.kernels.packed import pack
from workflows.association import run_gwas
from workflows.association_journal import Journal
from workflows.genotype_inputs import GenotypeSource
from workflows.gwas_options import ModelOptions, OutputOptions

N, M = 60, 330
# a child that puts results on the disk every few blocks, and rests so that a kill finds it at work
CHILD = """
import sys, time
import workflows.association_run as association_run
from workflows.association_journal import Journal
from workflows.cli import main
association_run.TEXT_ROWS = 100
commit = Journal.commit
def slow(self, *args):
    commit(self, *args)
    time.sleep(0.05)
Journal.commit = slow
main(sys.argv[1:])
"""


class Killed(BaseException):
    """What stands for a kill: no handler of ours may see it."""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    rng = np.random.default_rng(9)
    calls = rng.binomial(2, 0.4, (M, N)).astype(np.int8)
    calls[rng.random(calls.shape) < 0.02] = -9
    prefix = tmp_path / "study"
    prefix.with_suffix(".bed").write_bytes(b"\x6c\x1b\x01" + pack(calls).tobytes())
    prefix.with_suffix(".fam").write_text("".join(f"f{i} s{i} 0 0 {i % 2 + 1} -9\n" for i in range(N)))
    prefix.with_suffix(".bim").write_text("".join(f"{1 + j // 99} v{j} 0 {j + 1} A G\n" for j in range(M)))
    rows = [f"f{i} s{i} {rng.normal():.4f} {rng.normal():.4f} {i % 2}\n" for i in range(N)]
    prefix.with_suffix(".txt").write_text("FID IID Q R CASE\n" + "".join(rows))
    return prefix


def go(study: Path, out: Path, **changes: Any) -> list[Path]:
    options: dict[str, Any] = {"block_size": 32, "threads": 1}
    return run_gwas(
        source=GenotypeSource(path=study), pheno=study.with_suffix(".txt"), out=out, **(options | changes)
    )


def contents(out: Path) -> dict[str, bytes]:
    """All results under a prefix; the log holds a time."""
    files = [path for path in out.parent.rglob("*") if path.is_file() and path.suffix != ".log"]
    return {path.relative_to(out.parent).as_posix(): path.read_bytes() for path in files}


def kill_at(monkeypatch: pytest.MonkeyPatch, operation: int) -> None:
    """Die in the middle of the n-th write: half of it is on the disk."""
    count = 0
    append, log, put = Journal._append, Journal._log, Journal.put

    def dying(write: Any, name: str) -> Any:
        def maybe(self: Journal, *arguments: Any) -> None:
            nonlocal count
            count += 1
            if count == operation:
                if name == "append":
                    with open(self.folder / arguments[0], "ab") as handle:
                        handle.write(arguments[1][: len(arguments[1]) // 2])
                elif name == "log":
                    with open(self.folder / "journal.jsonl", "ab") as handle:
                        handle.write(b'{"blocks": 3, "su')
                else:
                    (self.folder / arguments[0]).write_bytes(arguments[1][:20])
                raise Killed
            write(self, *arguments)

        return maybe

    monkeypatch.setattr(Journal, "_append", dying(append, "append"))
    monkeypatch.setattr(Journal, "_log", dying(log, "log"))
    monkeypatch.setattr(Journal, "put", dying(put, "put"))


@pytest.mark.parametrize("kind", ["text", "parquet", "interactions"])
def test_killed_in_any_write_the_same_run_ends_with_the_same_bytes(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Any
) -> None:
    monkeypatch.setattr(association_run, "TEXT_ROWS", 200)
    monkeypatch.setattr(association_run, "PARQUET_ROWS", 200)
    changes: dict[str, Any] = {"output": OutputOptions(format="parquet" if kind == "parquet" else "text")}
    if kind == "interactions":
        changes |= {"covar": study.with_suffix(".txt"), "covar_name": ["R"], "pheno_name": ["Q", "CASE"]}
        changes["model"] = ModelOptions(interactions=("R",))
    whole, again = tmp_path / "whole" / "run", tmp_path / "again" / "run"
    go(study, whole, **changes)
    rng = np.random.default_rng(2 if kind == "parquet" else 1)
    earlier: list[int] = []

    def started(total: int, done: int) -> None:
        assert total == M
        earlier.append(done)

    for operation in rng.integers(1, 14, 12):
        with monkeypatch.context() as patch:
            kill_at(patch, int(operation))
            try:
                go(study, again, started=started, **changes)
            except Killed:
                assert not [name for name in contents(again) if "unfinished" not in name]
                continue
        break
    else:
        go(study, again, started=started, **changes)
    assert contents(again) == contents(whole)
    assert not list(again.parent.glob(".*"))
    assert max(earlier) > 0
    assert earlier == sorted(earlier)
    if earlier[-1]:
        assert "of an earlier run" in again.with_name("run.log").read_text()


def interrupted(study: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave an unfinished run of some blocks."""
    monkeypatch.setattr(association_run, "TEXT_ROWS", 200)
    with monkeypatch.context() as patch:
        kill_at(patch, 10)
        with pytest.raises(Killed):
            go(study, out)


def test_slow_results_are_safe_before_their_stretch_is_full(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(association_run, "TEXT_SECONDS", 0.0)
    commits: list[int] = []
    commit = Journal.commit

    def counted(self: Journal, blocks: int, sums: Any) -> None:
        commits.append(blocks)
        commit(self, blocks, sums)

    monkeypatch.setattr(Journal, "commit", counted)
    go(study, tmp_path / "slow" / "run")
    assert commits == list(range(1, -(-M // 32) + 1))
    monkeypatch.setattr(association_run, "TEXT_SECONDS", 1e9)
    go(study, tmp_path / "fast" / "run")
    assert contents(tmp_path / "slow" / "run") == contents(tmp_path / "fast" / "run")


@pytest.mark.parametrize("changed", ["options", "phenotypes", "genotypes"])
def test_run_of_other_work_starts_anew_and_says_so(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    out = tmp_path / "out" / "run"
    interrupted(study, out, monkeypatch)
    changes: dict[str, Any] = {}
    if changed == "options":
        changes["model"] = ModelOptions(coding="dominant")
    elif changed == "phenotypes":
        table = study.with_suffix(".txt")
        fields = table.read_text().split("\n")
        fields[4] = "f3 s3 0.5 0.5 1"
        table.write_text("\n".join(fields))
    else:
        data = bytearray(study.with_suffix(".bed").read_bytes())
        data[100] ^= 0b1000
        study.with_suffix(".bed").write_bytes(bytes(data))
    log = go(study, out, **changes)[-1].read_text()
    assert "other options or inputs was put aside: started anew" in log
    go(study, tmp_path / "fresh" / "run", **changes)
    assert contents(out) == contents(tmp_path / "fresh" / "run")


def test_damaged_part_is_noticed_and_the_run_starts_anew(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out" / "run"
    interrupted(study, out, monkeypatch)
    part = next(out.parent.glob(".run.unfinished/run.Q*"))
    data = bytearray(part.read_bytes())
    data[50] ^= 1
    part.write_bytes(bytes(data))
    assert "is damaged: started anew" in go(study, out)[-1].read_text()
    go(study, tmp_path / "fresh" / "run")
    assert contents(out) == contents(tmp_path / "fresh" / "run")


def test_a_run_stopped_before_anything_was_safe_starts_anew_and_says_so(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out" / "run"
    interrupted(study, out, monkeypatch)
    journal = next(out.parent.glob(".run.unfinished/journal*"))
    journal.write_text(journal.read_text().splitlines(keepends=True)[0])
    assert "stopped before its results were safe: started anew" in go(study, out)[-1].read_text()


def test_full_disk_is_one_line_and_keeps_what_is_done(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out" / "run"
    monkeypatch.setattr(association_run, "TEXT_ROWS", 200)
    append, count = Journal._append, 0

    def full(self: Journal, name: str, data: bytes) -> None:
        nonlocal count
        count += 1
        if count > 7:
            raise OSError(28, "No space left on device")
        append(self, name, data)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "_append", full)
        with pytest.raises(OutputError, match="No space left on device.*goes on where it was"):
            go(study, out)
    earlier: list[int] = []
    go(study, out, started=lambda total, done: earlier.append(done))
    assert earlier[0] > 0


def test_two_runs_of_one_prefix_exclude_each_other(study: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "run"

    def second(total: int, done: int) -> None:
        with pytest.raises(OutputError, match="another run is writing here"):
            go(study, out)

    go(study, out, started=second)


def test_sigkill_at_random_times_ends_with_the_same_bytes(study: Path, tmp_path: Path) -> None:
    go(study, tmp_path / "whole" / "run", block_size=8)
    out = tmp_path / "again" / "run"
    out.parent.mkdir()
    command = [sys.executable, "-c", CHILD, "gwas", "--bfile", study, "--pheno", study.with_suffix(".txt")]
    command += ["--bsize", "8", "--threads", "1", "--out", out]
    rng = np.random.default_rng(3)
    for _ in range(2):
        child = subprocess.Popen(
            list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 60
        while not list(out.parent.glob(".run.unfinished/sums-*")) and time.monotonic() < deadline:
            assert child.poll() is None
            time.sleep(0.01)
        time.sleep(float(rng.uniform(0, 0.4)))
        assert child.poll() is None
        os.kill(child.pid, signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "of an earlier run" in done.stdout
    assert contents(out) == contents(tmp_path / "whole" / "run")
