"""The examples in docstrings give what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest


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
