"""The project's secret key, which turns people into pseudonyms. Kept by the data custodian.

Whoever holds the key and a list of NHS numbers can undo the pseudonyms, so the file must be readable by
its owner alone, and a run refuses one that is not.
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from cohorts.errors import OutputError, PrivacyError
from workflows.outputs import PRIVATE_FILE, private_folder

KEY_BYTES = 32


def new_project_key(path: Path) -> None:
    """Write a new random key of 32 bytes (64 hexadecimal digits) with mode 0600; never overwrites one.

    Raises
    ------
    OutputError
        When the file exists already: replacing a key would silently change everyone's pseudonym.
    """
    private_folder(path.parent)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
    except FileExistsError as error:
        raise OutputError(
            "a project key is there already",
            where=path,
            fix="keep it, or give another path; a new key would change every pseudonym of the project",
        ) from error
    with os.fdopen(descriptor, "w", encoding="ascii") as handle:
        handle.write(secrets.token_hex(KEY_BYTES) + "\n")


def read_project_key(path: Path) -> bytes:
    """Read a key made by :func:`new_project_key`.

    Raises
    ------
    PrivacyError
        When the file is absent, readable by others, or not at least 32 bytes in hexadecimal.
    """
    if not path.is_file():
        raise PrivacyError("the project key is missing", where=path, fix=f"make one with: careome key {path}")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise PrivacyError(
            "the project key can be read by others",
            where=path,
            found=f"mode {mode:04o}",
            expected="mode 0600",
            fix=f"chmod 600 {path}, and consider whether the key has leaked",
        )
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except ValueError as error:
        raise PrivacyError(
            "not a project key",
            where=path,
            expected=f"{2 * KEY_BYTES} or more hexadecimal digits",
            fix="make one with: careome key PATH",
        ) from error
    if len(key) < KEY_BYTES:
        raise PrivacyError(
            "the project key is too short",
            where=path,
            found=f"{len(key)} bytes",
            expected=f"at least {KEY_BYTES} bytes",
            fix="make one with: careome key PATH",
        )
    return key
