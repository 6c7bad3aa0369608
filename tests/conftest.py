"""Where tests find real data and peer programs, and why they skip when those are absent."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("CAREOME_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def data_file() -> Callable[[str], Path]:
    """Path of a file in the shared test data; skips, with the reason, where it is absent."""

    def find(name: str) -> Path:
        path = DATA / name
        if not path.exists():
            pytest.skip(f"test data {name!r} not found (set CAREOME_DATA to the folder that holds it)")
        return path

    return find


def _peer(name: str) -> str:
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"peer program {name!r} is not installed")
    return program


@pytest.fixture(scope="session")
def plink2() -> str:
    """Path of Debian's plink2."""
    return _peer("plink2")


@pytest.fixture(scope="session")
def plink1() -> str:
    """Path of Debian's plink1.9."""
    return _peer("plink1.9")
