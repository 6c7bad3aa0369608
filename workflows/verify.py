"""Checking a finished run: every output and the audit trail are as the manifest says."""

from __future__ import annotations

import json
from pathlib import Path

from cohorts.errors import InputError
from workflows.audit import verify_audit
from workflows.outputs import sha256_of


def verify_run(folder: Path) -> str:
    """Check a run folder against its manifest.

    Returns
    -------
    str
        One line saying what was checked.

    Raises
    ------
    InputError
        At the first file that is missing, altered or unknown to the manifest.
    """
    path = folder / "manifest.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        outputs, audit = manifest["outputs"], manifest["audit"]
    except FileNotFoundError as error:
        raise InputError(
            "not a finished run", where=folder, found="no manifest.json", fix="let the run finish first"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError("not a run manifest", where=path, fix="treat this run as untrusted") from error
    for name, facts in outputs.items():
        file = folder / name
        if not file.is_file():
            raise InputError("an output is missing", where=file, fix="run the study again in a new folder")
        if sha256_of(file) != facts["sha256"]:
            raise InputError(
                "an output has changed since the run",
                where=file,
                expected=f"SHA-256 {facts['sha256'][:12]}...",
                fix="treat this run as untrusted",
            )
    known = {*outputs, "manifest.json", "run.log", "audit.jsonl", ".lock"}
    for file in sorted(p for p in folder.rglob("*") if p.is_file()):
        if file.relative_to(folder).as_posix() not in known:
            raise InputError(
                "a file that the run did not write", where=file, fix="move it out of the run folder"
            )
    verify_audit(folder / "audit.jsonl", head=audit["head"], length=audit["entries"])
    return f"{folder}: {len(outputs)} outputs and {audit['entries']} audit entries are as the run left them"
