"""Damaged genotype files of every format: refused in one line or read, never a crash or a hang; truncation is
always noticed, and with a manifest every change is.

A plain VCF that ends after a whole line cannot be told from a shorter one: only a manifest notices.
"""

from __future__ import annotations

import importlib.util
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cohorts.errors import InputError
from gwas.genotypes import Genotypes, open_genotypes
from gwas.genotypes.manifest import fileset, read_manifest, verify_files
from workflows.convert import Target, run_convert, run_manifest
from workflows.genotype_inputs import GenotypeSource

_SPEC = importlib.util.spec_from_file_location("mutants", Path(__file__).with_name("mutants.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
mutation = importlib.util.module_from_spec(_SPEC)
sys.modules["mutants"] = mutation
_SPEC.loader.exec_module(mutation)

N, M = 23, 40
LONGEST = 20
FORMATS = {
    "bed": ("a.bed", Target(format="bed")),
    "pgen": ("a.pgen", Target(format="pgen")),
    "bgen": ("a.bgen", Target(format="bgen-1.2", bits=8)),
    "bgen-zstd": ("a.bgen", Target(format="bgen-1.3")),
    "vcf": ("a.vcf", Target(format="vcf")),
    "vcf.gz": ("a.vcf.gz", Target(format="vcf.gz")),
    "bcf": ("a.bcf", None),
}
Seen = tuple[pd.DataFrame, pd.DataFrame, np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(5)
    dosages = np.round(np.clip(rng.beta(0.3, 0.6, (M, N)) * 2.2 - 0.1, 0, 2), 2)
    names = [f"s{i}" for i in range(N)]
    fixed = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT"]
    lines = ["##fileformat=VCFv4.2", "##contig=<ID=1>", "##contig=<ID=22>"]
    lines += ['##FORMAT=<ID=GT,Number=1,Type=String,Description="g">']
    lines += ['##FORMAT=<ID=DS,Number=A,Type=Float,Description="d">', "\t".join([*fixed, *names])]
    for row, values in enumerate(dosages):
        cells = [f"{('0/0', '0/1', '1/1')[round(d)]}:{d:.2f}" for d in values]
        cells[row % N] = "./.:."
        lines.append(
            "\t".join(
                [
                    ("1", "22")[row >= M / 2],
                    str(1000 + row),
                    f"v{row}",
                    "A",
                    "G",
                    ".",
                    ".",
                    ".",
                    "GT:DS",
                    *cells,
                ]
            )
        )
    path = tmp_path_factory.mktemp("original") / "original.vcf"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def made(original: Path, tmp_path: Path) -> Callable[[str], Path]:
    """A file of a format, made from the same genotypes."""

    def make(name: str) -> Path:
        file, target = FORMATS[name]
        if target is not None:
            run_convert(source=GenotypeSource(path=original), out=tmp_path / "a", targets=[target])
        else:
            plink2 = _plink2()
            words = [
                plink2,
                "--vcf",
                original,
                "dosage=DS",
                "--export",
                "bcf",
                "vcf-dosage=DS",
                "--out",
                tmp_path / "a",
            ]
            subprocess.run([*map(str, words)], capture_output=True, check=True)
        return tmp_path / file

    return make


def _plink2() -> str:
    program = shutil.which("plink2")
    if program is None:
        pytest.skip("peer program 'plink2' is not installed")
    return program


def everything(path: Path) -> Seen:
    """Open and read all there is."""
    beside = path.with_suffix(".sample")
    opened: Genotypes = open_genotypes(path, verify="off", sample_file=beside if beside.exists() else None)
    packed = [block.packed_selected() for block in opened.blocks(64)]
    dosages = [block.dosages for block in opened.dosage_blocks(64)]
    return opened.samples, opened.variants, np.concatenate(packed), np.concatenate(dosages)


def same(a: Seen, b: Seen) -> bool:
    return (
        a[0].equals(b[0])
        and a[1].equals(b[1])
        and np.array_equal(a[2], b[2])
        and np.array_equal(a[3], b[3], equal_nan=True)
    )


@contextmanager
def no_longer_than(seconds: int) -> Iterator[None]:
    def late(*_: object) -> None:
        raise TimeoutError(f"took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def outcome(path: Path, whole: Seen) -> str:
    with no_longer_than(LONGEST):
        try:
            found = everything(path)
        except InputError as error:
            return "two lines" if "\n" in str(error) else "error"
    return "same" if same(found, whole) else "silent"


def damage(path: Path, count: int, seed: int) -> Counter[tuple[str, str, str]]:
    """Damage every file of a set in turn; (file, kind of damage, outcome) counted."""
    beside = path.with_suffix(".sample") if path.suffix == ".bgen" else None
    run_manifest(GenotypeSource(path=path, sample_file=beside))
    manifest = read_manifest(path)
    assert manifest is not None
    whole = everything(path)
    found: Counter[tuple[str, str, str]] = Counter()
    for file in fileset(path, beside):
        data = file.read_bytes()
        for mutant in mutation.mutants(data, count, np.random.default_rng(seed)):
            file.write_bytes(mutant.data)
            with pytest.raises(InputError, match="has changed since its manifest was made"):
                verify_files(path, manifest)
            result = outcome(path, whole)
            assert result != "two lines"
            found[file.suffix, mutant.kind, result] += 1
            whole_lines = file.suffix in (".vcf", ".sample") and mutant.data.endswith(b"\n")
            if mutant.kind == "truncated" and not (path.suffix == ".vcf" and whole_lines):
                assert result != "silent", f"{file.name} cut at {mutant.place}"
        file.write_bytes(data)
        assert outcome(path, whole) == "same"
    return found


def show(name: str, found: Counter[tuple[str, str, str]]) -> None:
    total: Counter[str] = Counter()
    silent = {(file, kind): count for (file, kind, result), count in found.items() if result == "silent"}
    for (_, _, result), count in found.items():
        total[result] += count
    sys.stdout.write(f"{name}: {dict(total)}; silent {silent}\n")


@pytest.mark.parametrize("name", FORMATS)
def test_damage_is_refused_or_harmless_and_never_fatal(name: str, made: Callable[[str], Path]) -> None:
    found = damage(made(name), 100 if name in ("bed", "pgen") else 200, seed=1)
    show(name, found)
    assert sum(found.values()) >= 120
    assert sum(count for (_, _, result), count in found.items() if result == "error") > 0.3 * sum(
        found.values()
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_thousands_of_damaged_files(name: str, made: Callable[[str], Path]) -> None:
    found = damage(made(name), 3000, seed=2)
    show(name, found)


def test_every_command_refuses_what_its_manifest_does_not_know(made: Callable[[str], Path]) -> None:
    path = made("bed")
    run_manifest(GenotypeSource(path=path))
    data = bytearray(path.read_bytes())
    data[50] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(InputError, match=r"a\.bed: has changed since its manifest was made; found SHA-256"):
        GenotypeSource(path=path).open()
    assert GenotypeSource(path=path, verify="size").open().n_samples == N
    path.write_bytes(bytes(data) + b"\0")
    with pytest.raises(InputError, match=r"a\.bed: has changed since its manifest was made; found \d+ bytes"):
        GenotypeSource(path=path, verify="size").open()
    path.write_bytes(bytes(data))
    path.with_suffix(".fam").unlink()
    with pytest.raises(InputError, match=r"a\.fam: is named by the manifest and not there"):
        GenotypeSource(path=path).open()


def test_a_damaged_manifest_is_refused(made: Callable[[str], Path]) -> None:
    path = made("bed")
    manifest = run_manifest(GenotypeSource(path=path))
    whole = manifest.read_bytes()
    for text in (b"", b"{}", whole[:-30], whole.replace(b'"samples"', b'"sample"'), b"\xff\xfe", b"[]"):
        manifest.write_bytes(text)
        with pytest.raises(InputError, match="manifest"):
            GenotypeSource(path=path).open()
    manifest.write_bytes(whole.replace(b'"variants": 40', b'"variants": 41'))
    with pytest.raises(InputError, match="another number of samples or variants"):
        GenotypeSource(path=path).open()
