"""The run folder: what a run leaves behind, and how a killed run goes on.

::

    run/
      run.log            what happened, line by line
      audit.jsonl        the audit trail (hash chain)
      manifest.json      SHA-256 of study, inputs and outputs; versions, seed, counts; written last
      ro-crate-metadata.json
      results/           Parquet and TSV
      reports/           cohort.html, patients/*.html

A folder with a manifest is finished and is never written to again. One without is an unfinished run:
the same study on the same inputs goes on in it, anything else is refused.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from cohorts.errors import OutputError
from workflows.audit import AuditTrail
from workflows.outputs import PRIVATE_FILE, exclusive, remove_unfinished, sha256_of, write_json, write_parquet

LOG = logging.getLogger("careome")
NOT_RESULTS = {".lock", "state.json", "manifest.json", "run.log", "audit.jsonl"}


class RunFolder:
    """One run's files. Use :func:`open_run_folder`.

    Attributes
    ----------
    path, results, reports, scratch
        Folders. `scratch` holds what must not outlive the run and is removed at its end.
    audit
        The audit trail of this run.
    """

    def __init__(self, path: Path, fingerprint: str) -> None:
        self.path = path
        self.fingerprint = fingerprint
        self.results = path / "results"
        self.reports = path / "reports"
        self.scratch = path / ".scratch"
        self.audit = AuditTrail(path / "audit.jsonl")
        self.counts: dict[str, Any] = {}

    def parts(self, name: str, fingerprint: str) -> PartStore:
        """Blocks of a long computation that survive a kill (see :class:`PartStore`)."""
        return PartStore(self.results / name, fingerprint)

    def finish(self, *, inputs: dict[str, str], facts: dict[str, Any]) -> dict[str, Any]:
        """Write ``manifest.json``, the last file of a run; from then on the folder is final."""
        self.audit.record("run finished", outputs=len(self._outputs()))
        manifest = {
            "status": "complete",
            "fingerprint": self.fingerprint,
            **facts,
            "counts": self.counts,
            "inputs": inputs,
            "outputs": {
                str(path.relative_to(self.path)): {"sha256": sha256_of(path), "bytes": path.stat().st_size}
                for path in self._outputs()
            },
            "audit": {"entries": self.audit.length, "head": self.audit.head},
        }
        write_json(self.path / "manifest.json", manifest)
        (self.path / "state.json").unlink(missing_ok=True)
        return manifest

    def _outputs(self) -> list[Path]:
        files = (p for p in self.path.rglob("*") if p.is_file() and self.scratch not in p.parents)
        return sorted(p for p in files if p.relative_to(self.path).as_posix() not in NOT_RESULTS)


class PartStore:
    """Parquet parts of one table, each trusted on resume only if its checksum still holds.

    Parameters
    ----------
    folder
        Where the parts lie.
    fingerprint
        Hash of everything the parts depend on; parts made under another are removed.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder = folder
        self.index = folder / "parts.json"
        self._known: dict[str, str] = {}
        if self.index.exists():
            held = json.loads(self.index.read_text(encoding="utf-8"))
            if held.get("fingerprint") == fingerprint:
                self._known = held["parts"]
            else:
                shutil.rmtree(folder)
        self.fingerprint = fingerprint

    def has(self, number: int) -> bool:
        """Whether part `number` is there, whole and unaltered."""
        path = self._path(number)
        return path.name in self._known and path.exists() and sha256_of(path) == self._known[path.name]

    def write(self, number: int, frame: pd.DataFrame) -> None:
        """Store part `number`."""
        path = self._path(number)
        write_parquet(path, frame)
        self._known[path.name] = sha256_of(path)
        write_json(self.index, {"fingerprint": self.fingerprint, "parts": self._known})

    def read(self, numbers: range) -> pd.DataFrame:
        """All parts, joined in order."""
        return pd.concat([pd.read_parquet(self._path(n)) for n in numbers], ignore_index=True)

    def _path(self, number: int) -> Path:
        return self.folder / f"part-{number:05d}.parquet"


def fingerprint_of(study: str, inputs: dict[str, str], version: str) -> str:
    """SHA-256 of all that decides what is made: the study's canonical text, its inputs' hashes, the version."""
    return hashlib.sha256(json.dumps([study, inputs, version], sort_keys=True).encode()).hexdigest()


@contextmanager
def open_run_folder(path: Path, *, study: str, inputs: dict[str, str], version: str) -> Iterator[RunFolder]:
    """Take a folder for one run, new or unfinished, and log into it.

    Parameters
    ----------
    path
        The run folder.
    study
        The study's canonical text.
    inputs
        SHA-256 of every input file by name.
    version
        The version of careome.

    Raises
    ------
    OutputError
        When another run holds the folder, it is finished, or it belongs to another study.
    """
    fingerprint = fingerprint_of(study, inputs, version)
    if path.exists() and not path.is_dir():
        raise OutputError("not a folder", where=path, fix="give another folder with --out")
    _refuse_foreign(path, fingerprint)
    with exclusive(path):
        write_json(path / "state.json", {"fingerprint": fingerprint})
        folder = RunFolder(path, fingerprint)
        # What a killed run left here may hold identifiers.
        shutil.rmtree(folder.scratch, ignore_errors=True)
        remove_unfinished(path)
        handler = _log_to(path / "run.log")
        try:
            folder.audit.record("run started", fingerprint=fingerprint, version=version)
            yield folder
        except BaseException as error:
            LOG.error("stopped: %s", type(error).__name__)
            folder.audit.record("run stopped", reason=type(error).__name__)
            raise
        finally:
            shutil.rmtree(folder.scratch, ignore_errors=True)
            logging.getLogger("careome").removeHandler(handler)
            handler.close()


def _refuse_foreign(path: Path, fingerprint: str) -> None:
    if (path / "manifest.json").exists():
        raise OutputError(
            "holds a finished run",
            where=path,
            fix="give another folder with --out, or remove this one if it is no longer needed",
        )
    state = path / "state.json"
    if state.exists():
        if json.loads(state.read_text(encoding="utf-8")).get("fingerprint") != fingerprint:
            raise OutputError(
                "holds an unfinished run of another study, other inputs or another version",
                where=path,
                fix="give another folder with --out, or remove this one",
            )
    elif path.exists() and any(path.iterdir()):
        raise OutputError(
            "is not empty and not a run folder", where=path, fix="give a new or empty folder with --out"
        )


def _log_to(path: Path) -> logging.Handler:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE_FILE))
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S"))
    logger = logging.getLogger("careome")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(handler)
    return handler
