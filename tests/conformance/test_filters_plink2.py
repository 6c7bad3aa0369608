"""Filters and spellings of PLINK 2: the same words leave the same variants."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
import typer

from cohorts.errors import DesignError, InputError
from gwas.kernels.packed import pack
from workflows.cli import _joined
from workflows.genotype_inputs import Filters, GenotypeSource
from workflows.genotype_options import filter_options, source_options, takes
from workflows.gwas_filters import apply_filters


def left(folder: Path, *words: str) -> list[str]:
    """IDs that are left."""
    app, seen = typer.Typer(), []

    @app.command()
    @takes(source=source_options, filters=filter_options)
    def command(source: GenotypeSource, filters: Filters) -> None:
        seen.append(apply_filters(source.open(), filters)[0].variants["id"].tolist())

    app(_joined(["--bfile", str(folder / "s"), *words]), standalone_mode=False)
    (found,) = seen
    return found


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("filters")
    rng = np.random.default_rng(1)
    calls = np.where(rng.random((60, 40)) < 0.3, 1, rng.choice([0, 2], size=(60, 40)))
    (folder / "s.bed").write_bytes(b"\x6c\x1b\x01" + pack(calls.astype(np.int8)).tobytes())
    (folder / "s.fam").write_text("".join(f"f{i} i{i} 0 0 {1 + i % 2} -9\n" for i in range(40)))
    alleles = ["A G", "AT G", "I D", "c t", "0 G", "A <DEL>"]
    chrom = ["1"] * 20 + ["7"] * 20 + ["22"] * 10 + ["X"] * 10
    (folder / "s.bim").write_text(
        "".join(f"{c} v_{i} 0 {500 * i + 500} {alleles[i % 6]}\n" for i, c in enumerate(chrom))
    )
    (folder / "bed1.txt").write_text("1 500 1500 a\nchr7 12000 15500 b\n7 11000 11000 c\n1 900 1200 d\n")
    (folder / "bed0.txt").write_text("1\t499\t1500\n7\t12000\t15500\nX\t0\t26000\n")
    return folder


FILTERS = [
    ["--not-chr", "7", "X"],
    ["--not-chr", "1-7,X"],
    ["--chr", "7", "--from-kb", "12.5", "--to-kb", "15"],
    ["--chr", "7", "--from-mb", "0.0125", "--to-mb", "0.01501"],
    ["--chr", "1", "--from-kb", "0.5004", "--to-kb", "1.9999"],
    ["--snps-only"],
    ["--snps-only", "just-acgt"],
    ["--snp", "v_3"],
    ["--snps", "v_3,", "v_5-v_9"],
    ["--extract", "bed1", "bed1.txt"],
    ["--extract", "range", "bed1.txt"],
    ["--exclude", "bed1", "bed1.txt"],
    ["--extract", "bed0", "bed0.txt"],
    ["--exclude", "bed0", "bed0.txt"],
    ["--hwe", "0.01"],
    ["--hwe", "0.01", "midp"],
]


@pytest.mark.parametrize("words", FILTERS, ids=" ".join)
def test_the_same_words_leave_the_same_variants(words: list[str], study: Path, plink2: str) -> None:
    here = [str(study / word) if word.endswith(".txt") else word for word in words]
    command = [plink2, "--bfile", str(study / "s"), *here, "--write-snplist", "--out", str(study / "peer")]
    subprocess.run([*command, "--silent"], check=True)
    peer = (study / "peer.snplist").read_text().split()
    assert 0 < len(peer) < 60
    assert left(study, *here) == peer


def test_a_variant_that_is_not_there_is_named(study: Path) -> None:
    with pytest.raises(DesignError, match="no such variant; found v_99"):
        left(study, "--snps", "v_99")


@pytest.mark.parametrize("line", ["1 5", "1 9 5", "1 x 5", "1 0 5"])
def test_a_line_that_is_no_place_is_refused(line: str, study: Path) -> None:
    (study / "bad.txt").write_text(f"1 1 5\n{line}\n")
    with pytest.raises(InputError, match=r"bad.txt:2: a line is not a stretch"):
        left(study, "--extract", "bed1", str(study / "bad.txt"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--from-kb", "1", "--from-bp", "1", "--chr", "1"], "is enough"),
        (["--snps-only", "acgt"], "expected nothing or just-acgt"),
        (["--hwe", "2"], "expected 0 to 1"),
        (["--hwe", "0.1", "keep-fewhet"], "midp or nothing"),
        (["--extract", "bed2", "x"], "expected one file, or bed0"),
    ],
)
def test_words_that_mean_nothing_are_wrong_use(words: list[str], message: str, study: Path) -> None:
    with pytest.raises(typer.BadParameter, match=message):
        left(study, *words)


def test_a_dash_within_an_id_is_not_a_range(study: Path) -> None:
    kept = (study / "s.bim").read_text()
    try:
        (study / "s.bim").write_text(kept.replace("v_", "v-"))
        assert left(study, "--snps", "v-3-v-5", "v-8") == ["v-3", "v-4", "v-5", "v-8"]
    finally:
        (study / "s.bim").write_text(kept)
