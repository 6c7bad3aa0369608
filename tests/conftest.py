"""Where tests find real data and peer programs, and why they skip when those are absent."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
SMALL = ["--people", "4000", "--genotyped", "1400", "--variants", "2500", "--threads", "2"]
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


def _helpers(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def vcf_files() -> ModuleType:
    """The helpers of vcf_files.py, which write small VCF, BCF and index files."""
    return _helpers("vcf_files")


@pytest.fixture(scope="session")
def pgen_records() -> ModuleType:
    """The helpers of pgen_records.py, which write and read records of a PGEN plainly."""
    return _helpers("pgen_records")


@pytest.fixture(scope="session")
def records_example() -> ModuleType:
    """The helpers of records_example.py, which write small sources of records."""
    return _helpers("records_example")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Any]:
    """A PostgreSQL server of our own; skips, with the reason, where none is installed."""
    helpers = _helpers("postgres_server")
    programs = helpers.binaries()
    if programs is None:
        pytest.skip("no PostgreSQL server is installed (Debian: apt-get install postgresql)")
    with helpers.postgres_server(programs) as server:
        yield server


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


@pytest.fixture(scope="session")
def gemma() -> str:
    """Path of Debian's gemma."""
    return _peer("gemma")


@pytest.fixture(scope="session")
def pruning_orders(plink2: str) -> dict[str, list[str]]:
    """Orders of LD pruning that this plink2 knows, with its options; before 2023 it had PLINK 1's alone."""
    told = subprocess.run([plink2, "--help", "indep-order"], capture_output=True, text=True, check=False)
    if "<mode>" not in told.stdout:
        return {"plink1": []}
    return {"plink1": ["--indep-order", "1"], "plink2": ["--indep-order", "2"]}


@pytest.fixture(scope="session")
def gwas_ssf() -> str:
    """Path of the GWAS Catalog's validator (gwas-sumstats-tools; it needs an environment of its own)."""
    return _peer("gwas-ssf")


def _careome(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "workflows.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
    )


@pytest.fixture(scope="session")
def careome() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line in a process of its own, as a user does."""
    return _careome


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished small demo."""
    folder = tmp_path_factory.mktemp("demo") / "careome-demo"
    done = _careome("demo", folder, *SMALL)
    assert done.returncode == 0, done.stderr[-3000:]
    (folder.parent / "printed.txt").write_text(done.stdout)
    return folder


@pytest.fixture(scope="session")
def records_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a small region, of a study of its records alone (study.yaml) and of that study's run (run/).

    hub.yaml says what a hub needs and nothing more.
    """
    import yaml

    from cohorts.synthetic import RegionConfig
    from workflows.demo import lay_out_study
    from workflows.genome_study import GENOME_KEYS
    from workflows.synth import write_region

    folder = tmp_path_factory.mktemp("records")
    write_region(RegionConfig(people=1_500, genotyped=400, variants=400, seed=5), folder / "region")
    lay_out_study(folder)
    whole = yaml.safe_load((folder / "study.yaml").read_text())
    study = {key: value for key, value in whole.items() if key not in GENOME_KEYS}
    study["phenotypes"]["chd_new"] = {
        "label": "New coronary disease",
        "onset": "incident",
        "any": [{"has": "coronary_disease"}],
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    hub = {key: study[key] for key in ("study", "privacy", "sources", "region")}
    hub["privacy"] = {"key": study["privacy"]["key"]}
    hub["study"] = {key: study["study"][key] for key in ("name", "index_date", "data_end")}
    (folder / "hub.yaml").write_text(yaml.safe_dump(hub, sort_keys=False))
    done = _careome("run", folder / "study.yaml", "--out", folder / "run", "--threads", "2")
    assert done.returncode == 0, done.stderr[-3000:]
    (folder / "printed.txt").write_text(done.stdout + done.stderr)
    return folder
