"""Is this installation really ours?

``cohorts`` and ``workflows`` are also the names of unrelated packages. Installed into the same
environment they overwrite or shadow our folders, and the failure that follows explains nothing. The
command checks for that first.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from pathlib import Path

from cohorts.errors import InputError

PACKAGES = ("cohorts", "phenotypes", "gwas", "workflows")


def version() -> str:
    """The installed version of careome."""
    return importlib.metadata.version("careome")


def check_installation() -> None:
    """Refuse to start where another distribution has taken one of our package names.

    Raises
    ------
    InputError
        Naming the other distribution and how to be rid of it.
    """
    home = Path(__file__).resolve().parent.parent
    for package in PACKAGES:
        rival = _distribution(package)
        if rival is not None:
            raise InputError(
                f"another package is installed under our name '{package}'",
                where=package,
                found=rival,
                expected="the package of careome",
                fix=f"use an environment of its own for careome, or: pip uninstall {package}, "
                "then install careome again with --force-reinstall",
            )
        found = importlib.util.find_spec(package)
        if found is None or found.origin is None or Path(found.origin).resolve().parent.parent != home:
            raise InputError(
                f"Python finds another '{package}' before ours",
                where=package,
                found=found.origin if found else "nothing",
                expected=home / package,
                fix="leave the folder that holds it, or clear PYTHONPATH",
            )


def _distribution(name: str) -> str | None:
    try:
        other = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    return f"{other.metadata['Name']} {other.version}"
