"""Files appear whole or not at all."""

from __future__ import annotations

import os
import resource
import stat
import subprocess
import sys

import pandas as pd
import pytest

from cohorts.errors import OutputError
from workflows.outputs import atomic_text, exclusive, sha256_of, write_parquet, write_tsv


def test_a_failure_while_writing_keeps_the_old_file_and_leaves_no_temporary(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_text(target) as handle:
        handle.write("new")
        _ = 1 / 0
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_written_files_are_readable_by_the_owner_alone(tmp_path):
    write_tsv(tmp_path / "a.tsv", pd.DataFrame({"x": [1.5, None]}))
    assert stat.S_IMODE((tmp_path / "a.tsv").stat().st_mode) == 0o600
    assert (tmp_path / "a.tsv").read_text() == "x\n1.5\nNA\n"


def test_the_same_frame_gives_the_same_parquet_bytes(tmp_path):
    frame = pd.DataFrame({"x": range(1000), "y": ["a"] * 1000})
    write_parquet(tmp_path / "a.parquet", frame)
    write_parquet(tmp_path / "b.parquet", frame)
    assert sha256_of(tmp_path / "a.parquet") == sha256_of(tmp_path / "b.parquet")


def test_a_full_disk_is_reported_in_one_line_and_the_old_file_stays(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    script = (
        "import resource, signal, pathlib, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "from workflows.outputs import write_text\n"
        "from cohorts.errors import OutputError\n"
        "try:\n"
        "    write_text(pathlib.Path(sys.argv[1]), 'x' * 100000)\n"
        "except OutputError as error:\n"
        "    print(error); sys.exit(error.exit_code)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(target)], capture_output=True, text=True)
    assert done.returncode == OutputError.exit_code, done.stderr
    assert done.stdout.count("\n") == 1
    assert "cannot be written" in done.stdout
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 1000


def test_a_second_run_in_the_same_folder_is_refused(tmp_path):
    with exclusive(tmp_path), pytest.raises(OutputError, match="another run"), exclusive(tmp_path):
        pass
    with exclusive(tmp_path):
        pass
