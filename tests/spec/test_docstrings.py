"""The examples in docstrings give what they say, and what docstrings refer to is there."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import re
from pkgutil import resolve_name

import pytest

REFERENCE = re.compile(r":(?:mod|class|func|meth|attr|data):`~?([\w.]+)`")


@pytest.mark.parametrize("package", ["cohorts", "phenotypes", "gwas", "workflows"])
def test_every_example_in_a_docstring_runs_and_gives_what_it_says(package, capsys):
    home = importlib.import_module(package)
    tried = 0
    for info in pkgutil.walk_packages(home.__path__, f"{package}."):
        found = doctest.testmod(
            importlib.import_module(info.name), optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
        )
        assert found.failed == 0, capsys.readouterr().out
        tried += found.attempted
    assert tried >= 10


def leads_somewhere(name: str) -> bool:
    try:
        resolve_name(name)
    except (ImportError, AttributeError, ValueError):
        # a field without a default is no attribute of its class
        owner, _, field = name.rpartition(".")
        try:
            return field in getattr(resolve_name(owner), "__dataclass_fields__", {})
        except (ImportError, AttributeError, ValueError):
            return False
    return True


@pytest.mark.parametrize("package", ["cohorts", "phenotypes", "gwas", "workflows"])
def test_every_reference_in_a_docstring_leads_somewhere(package):
    home = importlib.import_module(package)
    tried = 0
    for info in pkgutil.walk_packages(home.__path__, f"{package}."):
        module = importlib.import_module(info.name)
        text = inspect.getsource(module)
        owners = [
            info.name,
            *(f"{info.name}.{name}" for name in re.findall(r"^class (\w+)", text, re.MULTILINE)),
        ]
        for name in REFERENCE.findall(text):
            tried += 1
            lost = not leads_somewhere(name) and not any(leads_somewhere(f"{o}.{name}") for o in owners)
            assert not lost, f"{info.name}: {name}"
    assert tried >= 10
