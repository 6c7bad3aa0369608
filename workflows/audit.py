"""The audit trail: who did what when, each line bound to the one before it.

``audit.jsonl`` holds one JSON object a line. Each carries the SHA-256 of its own content together with
the hash of the line before, so an edit, a removal, an insertion or a swap breaks the chain; the number
of lines and the last hash are kept in ``manifest.json``, so that a shortened file is found too.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cohorts.errors import InputError
from workflows.outputs import PRIVATE_FILE

GENESIS = "0" * 64


def chained_hash(previous: str, entry: dict[str, Any]) -> str:
    """SHA-256 of the previous hash and the entry's canonical JSON (sorted keys, no spaces)."""
    content = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(f"{previous}\n{content}".encode()).hexdigest()


@dataclass
class AuditTrail:
    """Append-only audit file.

    Parameters
    ----------
    path
        The ``audit.jsonl`` to append to; an existing chain is checked first and continued.
    """

    path: Path
    head: str = field(init=False, default=GENESIS)
    length: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        if self.path.exists():
            self.length, self.head = verify_audit(self.path)

    def record(self, event: str, **details: Any) -> None:
        """Append one event. `details` are counts, names and hashes; never a person's data."""
        entry = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "user": _user(),
            "event": event,
            "details": details,
            "previous": self.head,
        }
        self.head = chained_hash(self.head, entry)
        self.length += 1
        line = json.dumps({**entry, "hash": self.head}, ensure_ascii=False) + "\n"
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE_FILE)
        try:
            os.write(descriptor, line.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def verify_audit(path: Path, *, head: str | None = None, length: int | None = None) -> tuple[int, str]:
    """Check the chain of an audit file and return its length and last hash.

    Parameters
    ----------
    path
        The ``audit.jsonl``.
    head, length
        What the chain must end with, as kept in the manifest; None skips that check.

    Raises
    ------
    InputError
        At the first line that does not follow from the one before, or when the end is not as kept.
    """
    previous, count = GENESIS, 0
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            entry = json.loads(line)
            claimed = entry.pop("hash")
        except (ValueError, KeyError, AttributeError) as error:
            raise _broken(f"{path}:{number}", "not an audit entry") from error
        if entry.get("previous") != previous or chained_hash(previous, entry) != claimed:
            raise _broken(f"{path}:{number}", "does not follow from the line before it")
        previous, count = claimed, number
    if length is not None and count != length:
        raise _broken(str(path), f"{count} entries where the manifest counts {length}")
    if head is not None and previous != head:
        raise _broken(str(path), "ends with another hash than the manifest holds")
    return count, previous


def _broken(where: str, found: str) -> InputError:
    return InputError(
        "the audit trail has been altered",
        where=where,
        found=found,
        fix="treat this run as untrusted and run the study again in a new folder",
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
