"""Run folders: one run at a time, resumable, final once finished, and checkable."""

from __future__ import annotations

import pandas as pd
import pytest

from cohorts.errors import InputError, OutputError
from workflows.folder import open_run_folder
from workflows.outputs import write_text
from workflows.verify import verify_run

STUDY = {"study": "a study", "inputs": {"x": "00"}, "version": "1"}


def finished(path):
    with open_run_folder(path, **STUDY) as folder:
        write_text(folder.results / "a.txt", "result")
        folder.finish(inputs=STUDY["inputs"], facts={"seed": 1})


def test_a_finished_run_verifies_and_is_never_written_to_again(tmp_path):
    finished(tmp_path / "run")
    assert "1 outputs" in verify_run(tmp_path / "run")
    with pytest.raises(OutputError, match="finished"), open_run_folder(tmp_path / "run", **STUDY):
        pass


@pytest.mark.parametrize("harm", ["edit", "remove", "add", "audit"])
def test_verification_finds_what_changed_after_the_run(tmp_path, harm):
    finished(tmp_path / "run")
    target = tmp_path / "run" / "results" / "a.txt"
    if harm == "edit":
        target.write_text("Result")
    elif harm == "remove":
        target.unlink()
    elif harm == "add":
        (tmp_path / "run" / "extra.txt").write_text("x")
    else:
        audit = tmp_path / "run" / "audit.jsonl"
        audit.write_text(audit.read_text().splitlines()[0] + "\n")
    with pytest.raises(InputError):
        verify_run(tmp_path / "run")


def test_an_unfinished_run_goes_on_only_for_the_same_study(tmp_path):
    with pytest.raises(RuntimeError), open_run_folder(tmp_path / "run", **STUDY):
        raise RuntimeError("killed")
    with open_run_folder(tmp_path / "run", **STUDY):
        pass
    other = {**STUDY, "study": "another"}
    with pytest.raises(OutputError, match="another study"), open_run_folder(tmp_path / "run", **other):
        pass


def test_a_folder_with_foreign_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.doc").write_text("x")
    with pytest.raises(OutputError, match="not empty"), open_run_folder(tmp_path, **STUDY):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.doc"]


def test_parts_are_reused_only_while_their_bytes_and_fingerprint_hold(tmp_path):
    frame = pd.DataFrame({"x": [1, 2]})
    with open_run_folder(tmp_path / "run", **STUDY) as folder:
        parts = folder.parts("p", "f")
        parts.write(0, frame)
        parts.write(1, frame + 2)
        again = folder.parts("p", "f")
        assert again.has(0)
        assert again.read(range(2))["x"].tolist() == [1, 2, 3, 4]
        path = folder.results / "p" / "part-00001.parquet"
        path.write_bytes(path.read_bytes()[:-1])
        assert not again.has(1)
        assert not folder.parts("p", "other").has(0)


def test_scratch_does_not_outlive_the_run(tmp_path):
    with pytest.raises(RuntimeError), open_run_folder(tmp_path / "run", **STUDY) as folder:
        write_text(folder.scratch / "identified.db", "secret")
        raise RuntimeError
    assert not (tmp_path / "run" / ".scratch").exists()


def test_what_a_killed_run_was_writing_goes_when_it_goes_on(tmp_path):
    with pytest.raises(RuntimeError), open_run_folder(tmp_path / "run", **STUDY) as folder:
        write_text(folder.results / "kept.txt", "whole")
        (folder.results / ".part-00001.parquet.abc.part").write_text("ha")
        raise RuntimeError("killed")
    with open_run_folder(tmp_path / "run", **STUDY) as folder:
        assert [path.name for path in folder.results.rglob("*") if path.is_file()] == ["kept.txt"]
