"""Is this installation really ours?

``cohorts`` and ``workflows`` are also the names of unrelated packages. Installed into the same
environment they overwrite or shadow our folders, and the failure that follows explains nothing. The
command checks for that first.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from cohorts.errors import InputError

PACKAGES = ("cohorts", "phenotypes", "gwas", "workflows")


def version() -> str:
    """The installed version of careome."""
    for folder in _metadata_folders(["careome"]):
        with open(folder / "METADATA", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("Version:"):
                    return line.partition(":")[2].strip()
    # installed in an unusual way; importing this takes longer than many a command
    from importlib import metadata

    return metadata.version("careome")


def check_installation() -> None:
    """Refuse to start where another distribution has taken one of our package names.

    Raises
    ------
    InputError
        Naming the other distribution and how to be rid of it.
    """
    home = Path(__file__).resolve().parent.parent
    for rival in _metadata_folders(PACKAGES):
        package, _, found = rival.stem.partition("-")
        raise InputError(
            f"another package is installed under our name '{package}'",
            where=package,
            found=f"{package} {found}",
            expected="the package of careome",
            fix=f"use an environment of its own for careome, or: pip uninstall {package}, "
            "then install careome again with --force-reinstall",
        )
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None or Path(spec.origin).resolve().parent.parent != home:
            raise InputError(
                f"Python finds another '{package}' before ours",
                where=package,
                found=spec.origin if spec else "nothing",
                expected=home / package,
                fix="leave the folder that holds it, or clear PYTHONPATH",
            )


def _metadata_folders(distributions: Sequence[str]) -> list[Path]:
    """Folders that installed distributions of these names leave beside their packages."""
    found = []
    for folder in sys.path:
        try:
            entries = os.listdir(folder or ".")
        except OSError:
            continue
        found += [
            Path(folder, entry)
            for entry in entries
            if entry.endswith(".dist-info") and entry.partition("-")[0].lower() in distributions
        ]
    return found
