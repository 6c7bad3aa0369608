"""What a package exports stays what it is, whichever of its modules are imported."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from importlib import import_module

import pytest

ROOMS = ("cohorts", "phenotypes", "gwas", "gwas.polygenic", "gwas.genotypes")


@pytest.mark.parametrize("room", ROOMS)
def test_no_module_has_the_name_of_an_export(room: str) -> None:
    package = import_module(room)
    modules = {module.name for module in pkgutil.iter_modules(package.__path__)}
    assert not modules & set(package.__all__)


def test_an_export_survives_the_import_of_its_module() -> None:
    rooms = ["cohorts", "phenotypes", "gwas", "gwas.polygenic"]
    program = f"""
from importlib import import_module
for name in {rooms!r}:
    room = import_module(name)
    exports = {{export: getattr(room, export) for export in room.__all__}}
    for home in set(room._HOME.values()):
        import_module(home)
    changed = [export for export, before in exports.items() if getattr(room, export) is not before]
    assert not changed, changed
"""
    subprocess.run([sys.executable, "-c", program], check=True)
