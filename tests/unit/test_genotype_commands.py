"""The genotype commands' faults: one line, the documented code, and no file where one was asked for."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click
import numpy as np
import pandas as pd
import pytest
import typer

from cohorts.errors import CareomeError, DesignError, InputError, OutputError
from gwas.kernels.packed import pack
from workflows import genotype_cli
from workflows.application import Application
from workflows.cli import _joined
from workflows.genotype_commands import BODIES, king, outcome
from workflows.genotype_commands.outcome import Table, write_tables

app = Application()
genotype_cli.register(app)


def run(*words: object) -> None:
    app(_joined([*map(str, words)]), standalone_mode=False)


def write_bed(
    prefix: Path,
    calls: np.ndarray,
    *,
    chrom: Sequence[str] | None = None,
    pos: Sequence[int] | None = None,
    ids: Sequence[str] | None = None,
    alleles: Sequence[str] | None = None,
    sex: int = 2,
) -> Path:
    m, n = calls.shape
    prefix.with_suffix(".bed").write_bytes(b"\x6c\x1b\x01" + pack(calls.astype(np.int8)).tobytes())
    columns = zip(
        chrom or ["1"] * m,
        ids or [f"v{i}" for i in range(m)],
        pos or range(1000, 1000 + m),
        alleles or ["A G"] * m,
        strict=True,
    )
    prefix.with_suffix(".bim").write_text("".join(f"{c} {v} 0 {p} {a}\n" for c, v, p, a in columns))
    prefix.with_suffix(".fam").write_text("".join(f"f{i} i{i} 0 0 {sex} -9\n" for i in range(n)))
    return prefix


@pytest.fixture
def calls() -> np.ndarray:
    return np.random.default_rng(1).choice([0, 1, 2], size=(30, 40))


@pytest.fixture
def small(tmp_path: Path, calls: np.ndarray) -> Path:
    return write_bed(tmp_path / "small", calls)


def files_beside(prefix: Path) -> set[str]:
    return {path.name for path in prefix.parent.iterdir() if path.stem != prefix.name}


def test_the_command_line_and_the_bodies_name_the_same_commands() -> None:
    assert list(genotype_cli.COMMANDS) == list(BODIES)


@pytest.mark.parametrize("command", sorted(set(BODIES) - {"project", "compare-reference", "clump"}))
def test_absent_genotypes_are_refused_and_nothing_is_written(command: str, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        run(command, "--bfile", tmp_path / "none", "--out", tmp_path / "o")
    assert list(tmp_path.iterdir()) == []


def test_a_fault_is_one_line_with_its_code(
    careome: Callable[..., subprocess.CompletedProcess[str]], small: Path
) -> None:
    done = careome("sex-check", "--bfile", small, "--out", small.parent / "o")
    assert done.returncode == DesignError.exit_code
    assert "Traceback" not in done.stderr
    *compiling, line = [line for line in done.stderr.splitlines() if line.startswith("careome:")]
    assert all("compiling" in said for said in compiling)
    assert "too few variants on X" in line
    assert "To fix:" in line
    assert files_beside(small) == set()


@pytest.mark.parametrize(
    "words",
    ["200 50", "200 50 1.5", "50 200 0.2", "1 1 0.2", "x y z", "250kb 5 0.1", "-2kb 0.1", "nan 1 0.2"],
)
def test_a_window_that_makes_no_sense_is_wrong_use(words: str) -> None:
    with pytest.raises(typer.BadParameter, match="indep-pairwise"):
        genotype_cli.window_step_r2(words)


@pytest.mark.parametrize(("chrom", "pos"), [(["1"] * 30, range(30, 0, -1)), (["1", "2"] * 15, range(1, 31))])
def test_pruning_refuses_variants_out_of_order(
    tmp_path: Path, calls: np.ndarray, chrom: list[str], pos: range
) -> None:
    shuffled = write_bed(tmp_path / "shuffled", calls, chrom=chrom, pos=pos)
    with pytest.raises(InputError, match="not in order"):
        run("prune", "--bfile", shuffled, "--out", tmp_path / "o")
    assert files_beside(shuffled) == set()


def test_a_table_of_all_pairs_is_refused_where_it_would_be_huge(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(king, "MOST_PAIRS", 100)
    with pytest.raises(DesignError, match="--king-table-filter"):
        run("king", "--bfile", small, "--out", small.parent / "o")
    run("king", "--bfile", small, "--king-table-filter", 0.3, "--out", small.parent / "o")
    assert files_beside(small) == {"o.kin0", "o.log"}


def test_all_pairs_are_listed_even_those_without_a_kinship(tmp_path: Path) -> None:
    homozygous = write_bed(tmp_path / "hom", np.zeros((5, 6)))
    run("king", "--bfile", homozygous, "--out", tmp_path / "o")
    table = pd.read_csv(tmp_path / "o.kin0", sep="\t")
    assert len(table) == 15
    assert table["KINSHIP"].isna().all()


def test_components_need_variants_that_can_be_told_apart(tmp_path: Path, calls: np.ndarray) -> None:
    unnamed = write_bed(tmp_path / "unnamed", calls, ids=["."] * 30)
    with pytest.raises(DesignError, match="29 repeated IDs"):
        run("pca", "--bfile", unnamed, "--pca", 2, "--out", tmp_path / "o")
    assert files_beside(unnamed) == set()


@pytest.fixture
def fitted(small: Path) -> Path:
    run("pca", "--bfile", small, "--pca", 2, "--out", small.parent / "fit")
    return small.parent / "fit"


def placed(bfile: Path, loadings: Path) -> pd.DataFrame:
    run("project", "--bfile", bfile, "--loadings", loadings, "--out", bfile.parent / "o")
    return pd.read_csv(bfile.parent / "o.sscore", sep="\t")


def test_projection_does_not_depend_on_order_or_on_which_allele_is_counted(
    small: Path, fitted: Path, calls: np.ndarray
) -> None:
    wanted = placed(small, fitted)
    order = np.random.default_rng(2).permutation(30)
    turned = np.arange(30) % 3 == 0
    other = write_bed(
        small.parent / "other",
        np.where(turned[:, None], 2 - calls, calls)[order],
        ids=[f"v{i}" for i in order],
        alleles=["G A" if turned[i] else "A G" for i in order],
    )
    pd.testing.assert_frame_equal(placed(other, fitted), wanted, rtol=1e-7)
    assert "10 with REF and ALT the other way round" in (small.parent / "o.log").read_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": [f"w{i}" for i in range(30)]}, "0 of its 30 variants"),
        ({"ids": [*["v0"] * 16, *(f"v{i}" for i in range(16, 30))]}, "14 of its 30 variants"),
        ({"alleles": ["A C"] * 30}, "30 variants with other alleles"),
    ],
)
def test_projection_refuses_other_variants(
    small: Path, fitted: Path, calls: np.ndarray, change: dict[str, list[str]], message: str
) -> None:
    other = write_bed(small.parent / "other", calls, **change)
    with pytest.raises(DesignError, match=message):
        placed(other, fitted)
    assert not (small.parent / "o.sscore").exists()
    assert not (small.parent / "o.log").exists()


@pytest.mark.parametrize("end", ["eigenvec.allele", "eigenval", "acount"])
@pytest.mark.parametrize("damage", ["absent", "empty", "cut", "word", "binary"])
def test_projection_refuses_damaged_components(small: Path, fitted: Path, end: str, damage: str) -> None:
    path = Path(f"{fitted}.{end}")
    text = path.read_text()
    if damage == "absent":
        path.unlink()
    elif damage == "empty":
        path.write_text("")
    elif damage == "cut":
        path.write_text(text[: text.rstrip("\n").rindex("\n") + 1])
    elif damage == "word":
        path.write_text(text.rstrip("\n")[:-1] + "x\n")
    else:
        path.write_bytes(b"\xff\xfe\x00" + text.encode())
    with pytest.raises(CareomeError) as raised:
        placed(small, fitted)
    assert raised.value.exit_code == InputError.exit_code
    assert not (small.parent / "o.sscore").exists()


def test_no_table_of_a_command_appears_where_a_later_one_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = pd.DataFrame({"#FID": ["a"], "F": [0.5]})
    (tmp_path / "o.smiss").write_text("old")
    written = outcome._texts

    def full_disk(table: pd.DataFrame) -> Iterator[str]:
        if "bad" in table.columns:
            raise OSError(28, "No space left on device")
        return written(table)

    monkeypatch.setattr(outcome, "_texts", full_disk)
    with pytest.raises(OutputError, match="No space left"):
        write_tables(tmp_path / "o", [Table("smiss", frame), Table("vmiss", frame.assign(bad=1))])
    assert [path.name for path in tmp_path.iterdir()] == ["o.smiss"]
    assert (tmp_path / "o.smiss").read_text() == "old"


def test_output_where_a_file_lies_in_the_way_is_refused(small: Path) -> None:
    (small.parent / "folder").write_text("")
    with pytest.raises(OutputError):
        run("het", "--bfile", small, "--out", small.parent / "folder" / "o")


def test_missing_values_are_na_and_numbers_have_nine_digits(tmp_path: Path) -> None:
    frame = pd.DataFrame({"ID": ["a", "b"], "P": [1 / 3, np.nan], "N": [3, 4]})
    (path,) = write_tables(tmp_path / "o", [Table("x", frame)])
    assert path.read_text() == "ID\tP\tN\na\t0.333333333\t3\nb\tNA\t4\n"


def test_status_that_is_not_case_control_is_refused(small: Path, tmp_path: Path) -> None:
    with pytest.raises(DesignError, match="0 cases and 0 controls"):
        run("test-missing", "--bfile", small, "--out", tmp_path / "o")
    pheno = tmp_path / "pheno.txt"
    pheno.write_text("IID sick height\n" + "".join(f"i{i} {i % 2} {150 + i}\n" for i in range(40)))
    with pytest.raises(DesignError, match="with --1 controls are 0"):
        run("test-missing", "--bfile", small, "--pheno", pheno, "--out", tmp_path / "o")
    with pytest.raises(InputError, match="not case-control"):
        run(
            "test-missing",
            "--bfile",
            small,
            "--pheno",
            pheno,
            "--pheno-name",
            "height",
            "--out",
            tmp_path / "o",
        )
    run(
        "test-missing",
        "--bfile",
        small,
        "--pheno",
        pheno,
        "--pheno-name",
        "sick",
        "--1",
        "--out",
        tmp_path / "o",
    )
    assert (tmp_path / "o.missing").read_text() == "CHR\tSNP\tF_MISS_A\tF_MISS_U\tP\n"


def test_mendelian_errors_need_a_child_with_both_parents(small: Path, tmp_path: Path) -> None:
    with pytest.raises(DesignError, match="no child has both parents"):
        run("mendel", "--bfile", small, "--out", tmp_path / "o")
    assert not list(tmp_path.glob("o.*"))


def test_a_reference_that_is_absent_leaves_no_file(small: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="file not found"):
        run("compare-reference", "--bfile", small, "--reference", tmp_path / "r", "--out", tmp_path / "o")
    assert not list(tmp_path.glob("o.*"))


def test_chromosomes_that_the_file_lacks_are_answered_with_those_it_has(small: Path) -> None:
    with pytest.raises(DesignError, match="no variant is left; found chromosomes 1 in small.bed"):
        run("freq", "--bfile", small, "--chr", "chr7", "--out", small.parent / "o")


def test_nobody_of_known_sex_is_told_at_once_and_in_the_log(
    tmp_path: Path, calls: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    chrom = ["1"] * 20 + ["X"] * 10
    write_bed(tmp_path / "x", calls, chrom=chrom, sex=0)
    run("freq", "--bfile", tmp_path / "x", "--out", tmp_path / "o")
    told = "warning: no sample has a sex, so everybody counts as a woman on X and Y (10 variants)"
    assert f"careome: {told}" in capsys.readouterr().err
    assert told in (tmp_path / "o.log").read_text()
    run("freq", "--bfile", tmp_path / "x", "--chr", "1", "--out", tmp_path / "o")
    assert "warning" not in capsys.readouterr().err
    assert "warning" not in (tmp_path / "o.log").read_text()


def test_het_of_x_is_refused(tmp_path: Path, calls: np.ndarray) -> None:
    write_bed(tmp_path / "x", calls, chrom=["X"] * 30)
    with pytest.raises(DesignError, match="no variant lies on an autosome"):
        run("het", "--bfile", tmp_path / "x", "--out", tmp_path / "o")


def test_a_folder_that_is_not_there_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no such folder"):
        run("freq", "--bfile", tmp_path / "absent", "--out", tmp_path / "new" / "o")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("out", ["/", ".", ""])
def test_a_prefix_without_a_name_is_refused_before_anything_is_read(tmp_path: Path, out: str) -> None:
    with pytest.raises(OutputError, match="a folder alone"):
        run("freq", "--bfile", tmp_path / "absent", "--out", out)


@pytest.mark.parametrize(
    "words",
    [
        ["freq", "--keep", "absent.txt"],
        ["freq", "--extract", "absent.txt"],
        ["compare-reference", "--reference", "absent.txt"],
        ["project", "--loadings", "absent"],
        ["test-missing", "--pheno", "absent.txt"],
    ],
)
def test_a_file_that_is_not_there_is_told_in_one_wording(small: Path, words: list[str]) -> None:
    with pytest.raises(InputError, match="^absent[^:]*: file not found"):
        run(words[0], "--bfile", small, *words[1:], "--out", small.parent / "o")


def test_an_absent_column_of_the_reference_is_named(small: Path) -> None:
    reference = small.parent / "ref.txt"
    reference.write_text("#CHROM POS ID REF ALT AFR EAS\n1 1000 v0 G A 0.1 0.2\n")
    with pytest.raises(InputError, match="has no column EUR; found #CHROM, POS, ID, REF, ALT, AFR, EAS"):
        run("compare-reference", "--bfile", small, "--reference", reference, "--reference-column", "EUR",
            "--out", small.parent / "o")  # fmt: skip


def test_r2_may_be_asked_by_plinks_name(small: Path) -> None:
    for name, words in (("a", []), ("b", ["--r2-unphased"])):
        run("ld", "--bfile", small, "--ld-window-r2", "0", *words, "--out", small.parent / name)
    assert (small.parent / "a.vcor").read_bytes() == (small.parent / "b.vcor").read_bytes()
    with pytest.raises(typer.BadParameter, match="give one"):
        run("ld", "--bfile", small, "--r2-unphased", "--r-unphased", "--out", small.parent / "o")


def test_a_kinship_that_cannot_be_is_refused(small: Path) -> None:
    with pytest.raises(click.BadParameter, match="2.0 is not in the range"):
        run("king", "--bfile", small, "--king-cutoff", "2", "--out", small.parent / "o")


def test_plinks_words_of_kinship_and_components_are_taken(small: Path) -> None:
    out = small.parent / "o"
    run("king", "--bfile", small, "--make-king-table", "--out", out)
    assert (small.parent / "o.kin0").exists()
    run("pca", "--bfile", small, "--pca", "3", "approx", "allele-wts", "--out", out)
    assert len((small.parent / "o.eigenval").read_text().split()) == 3
    run("pca", "--bfile", small, "--out", out, "--pca")
    assert len((small.parent / "o.eigenval").read_text().split()) == 10
    for words in (["0"], ["3", "meanimpute"], ["x"]):
        with pytest.raises(typer.BadParameter, match="expected a number of components"):
            run("pca", "--bfile", small, "--pca", *words, "--out", out)
