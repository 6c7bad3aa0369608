"""Kernels kept as machine code: the same answer from fresh, kept and damaged code, and no crash on wrong use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gwas.kernels.machine_code import MachineCode

COUNT = ("counting_loops", "count_rows", "uint64:2", "uint64:1", "int64", "int64:2")


def count() -> list[list[int]]:
    """One word: two copies, missing, one copy, none, and 28 more of two copies that are not kept."""
    out = np.empty((1, 4), dtype=np.int64)
    MachineCode(*COUNT)(np.array([[0b11100100]], np.uint64), np.array([0xFF], np.uint64), 4, out)
    return out.tolist()


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert count() == [[1, 1, 1, 1]]
    (file,) = tmp_path.glob("*.code")
    return file


def test_kept_code_is_used(kept: Path) -> None:
    before = kept.stat().st_mtime_ns
    assert count() == [[1, 1, 1, 1]]
    assert kept.stat().st_mtime_ns == before


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
def test_damaged_code_is_never_run_and_is_made_again(kept: Path, damage: str) -> None:
    whole = kept.read_bytes()
    if damage == "flipped":
        kept.write_bytes(whole[:200] + bytes([whole[200] ^ 1]) + whole[201:])
    else:
        kept.write_bytes(whole[: len(whole) // 2] if damage == "cut" else b"")
    assert count() == [[1, 1, 1, 1]]
    assert len(kept.read_bytes()) == len(whole)


def test_code_that_cannot_be_kept_is_run_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file" / "below"))
    assert count() == [[1, 1, 1, 1]]


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((1, 4), dtype=np.int32),
        np.zeros(4, dtype=np.int64),
        np.zeros((4, 2), dtype=np.int64).T,
        [[0, 0, 0, 0]],
    ],
)
def test_an_argument_of_another_type_is_refused(wrong: object) -> None:
    with pytest.raises(TypeError, match="count_rows"):
        MachineCode(*COUNT)(np.zeros((1, 1), np.uint64), np.zeros(1, np.uint64), 0, wrong)
    with pytest.raises(TypeError, match="4 arguments"):
        MachineCode(*COUNT)(np.zeros((1, 1), np.uint64))


def test_a_kernel_that_allocates_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    with pytest.raises(RuntimeError, match="allocates or raises"):
        MachineCode("allocating", "double", "int64:1")(np.zeros(3, np.int64))


@pytest.fixture(autouse=True)
def allocating(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module beside the kernels that allocates."""
    import gwas.kernels
    from gwas.kernels import machine_code

    folder = tmp_path_factory.mktemp("kernels")
    for source in Path(machine_code.__file__).parent.glob("*.py"):
        (folder / source.name).write_bytes(source.read_bytes())
    (folder / "allocating.py").write_text(
        "import numpy as np\nfrom numba import njit\n\n\n@njit\ndef double(values):\n"
        "    twice = np.empty(values.size, dtype=np.int64)\n    for k in range(values.size):\n"
        "        twice[k] = 2 * values[k]\n    values[:] = twice[::-1]\n"
    )
    monkeypatch.setattr(gwas.kernels, "__path__", [*gwas.kernels.__path__, str(folder)])
    monkeypatch.setattr(machine_code, "_HERE", folder)


COUNTING = """
import sys
from workflows.cli import main
try:
    main(sys.argv[1:])
finally:
    heavy = {"numba", "pandas", "scipy", "pyarrow"} & set(sys.modules)
    print(sorted(heavy), file=sys.stderr)
"""


@pytest.mark.parametrize("command", [["freq", "--missing", "--hardy"], ["missing"], ["hardy"], ["het"]])
def test_counting_commands_start_without_heavy_packages(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "a.bed").write_bytes(b"\x6c\x1b\x01" + bytes([0b11100100, 0b10110001]))
    (tmp_path / "a.bim").write_text("1 v1 0 5 A G\n23 v2 0 9 C T\n")
    (tmp_path / "a.fam").write_text("".join(f"f i{k} 0 0 {1 + k % 2} -9\n" for k in range(4)))
    words = [*command, "--bfile", str(tmp_path / "a"), "--out", str(tmp_path / "o")]
    for _ in range(2):
        # the first of the two may have to compile
        done = subprocess.run([sys.executable, "-c", COUNTING, *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "[]"


def test_compiling_is_told_once_and_nothing_where_nothing_is_compiled(tmp_path: Path) -> None:
    (tmp_path / "a.bed").write_bytes(b"\x6c\x1b\x01" + bytes([0b11100100]))
    (tmp_path / "a.bim").write_text("1 v1 0 5 A G\n")
    (tmp_path / "a.fam").write_text("".join(f"f i{k} 0 0 {1 + k % 2} -9\n" for k in range(4)))
    words = [
        sys.executable,
        "-m",
        "workflows.cli",
        "freq",
        "--bfile",
        str(tmp_path / "a"),
        "--out",
        str(tmp_path / "o"),
    ]
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    first, again = (subprocess.run(words, capture_output=True, text=True, env=environment) for _ in range(2))
    assert [done.stderr.count("compiling for this processor") for done in (first, again)] == [1, 0]
    assert len(list((tmp_path / "cache").glob("*.code"))) > 1


def test_linear_association_starts_without_heavy_packages(tmp_path: Path) -> None:
    n = 40
    rng = np.random.default_rng(1)
    (tmp_path / "a.bed").write_bytes(
        b"\x6c\x1b\x01" + bytes(rng.choice([0, 2, 3, 8, 11, 12], n // 4).tolist())
    )
    (tmp_path / "a.bim").write_text("1 v1 0 5 A G\n")
    (tmp_path / "a.fam").write_text("".join(f"f i{k} 0 0 {1 + k % 2} -9\n" for k in range(n)))
    people = "".join(f"f i{k} {rng.normal()} {rng.normal()}\n" for k in range(n))
    (tmp_path / "a.txt").write_text(f"FID IID Q AGE\n{people}")
    (tmp_path / "some").write_text("v1\n")
    words = [
        "gwas",
        "--bfile",
        str(tmp_path / "a"),
        "--out",
        str(tmp_path / "o"),
        "--extract",
        str(tmp_path / "some"),
    ]
    for option, name in (("--pheno", "Q"), ("--covar", "AGE")):
        words += [option, str(tmp_path / "a.txt"), f"{option}-name", name]
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", COUNTING, *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    # few people's t tails are scipy's
    assert done.stderr.splitlines()[-1] in ("[]", "['scipy']")
