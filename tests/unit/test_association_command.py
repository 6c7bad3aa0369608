"""``careome gwas``: input files as people write them, one-line refusals, nothing half-written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import workflows.association_run as association_run
from cohorts.errors import CareomeError, DesignError, InputError
from gwas.genotypes import Genotypes, open_genotypes
from gwas.kernels.packed import pack
from workflows.association import run_gwas
from workflows.genotype_inputs import Filters, GenotypeSource
from workflows.genotype_options import chromosomes
from workflows.gwas_tables import expand_names, read_person_table, read_sample_list

N = 40


def samples(folder: Path) -> Genotypes:
    """Five people."""
    prefix = folder / "five"
    prefix.with_suffix(".bed").write_bytes(b"\x6c\x1b\x01" + bytes(2))
    prefix.with_suffix(".fam").write_text("".join(f"f{i} s{i} 0 0 0 -9\n" for i in range(5)))
    prefix.with_suffix(".bim").write_text("1 v 0 1 A G\n")
    return open_genotypes(prefix)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    rng = np.random.default_rng(9)
    calls = rng.binomial(2, 0.4, (30, N)).astype(np.int8)
    prefix = tmp_path / "in" / "study"
    prefix.parent.mkdir()
    prefix.with_suffix(".bed").write_bytes(b"\x6c\x1b\x01" + pack(calls).tobytes())
    prefix.with_suffix(".fam").write_text("".join(f"f{i} s{i} 0 0 {i % 2 + 1} -9\n" for i in range(N)))
    prefix.with_suffix(".bim").write_text("".join(f"{j // 10 + 1} v{j} 0 {j + 1} A G\n" for j in range(30)))
    lines = [
        f"f{i} s{i} {rng.normal():.4f} {rng.normal():.4f} {1 + i % 2} {i % 3} 7 {rng.normal():.4f}"
        for i in range(N)
    ]
    header = "FID IID QT1 QT2 CASE MIXED FLAT AGE"
    prefix.with_suffix(".txt").write_text("\n".join([header, *lines]) + "\n")
    return prefix


def go(study: Path, **changes: Any) -> list[Path]:
    options: dict[str, Any] = {
        "source": GenotypeSource(path=study),
        "pheno": study.with_suffix(".txt"),
        "pheno_name": ["QT1-CASE"],
        "covar": study.with_suffix(".txt"),
        "covar_name": ["AGE"],
        "out": study.parent.parent / "out" / "run",
    }
    return run_gwas(**(options | changes))


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_each_trait_gets_its_file_and_the_log_tells_what_was_done(study: Path) -> None:
    done: list[int] = []
    files = go(study, progress=done.append)
    names = ["run.QT1.glm.linear", "run.QT2.glm.linear", "run.CASE.glm.logistic.hybrid", "run.log"]
    assert [file.name for file in files] == names
    assert files_in(files[0].parent) == sorted(names)
    assert sum(done) == 30
    table = pd.read_csv(files[2], sep="\t")
    assert len(table) == 30
    log = files[3].read_text()
    for words in (
        "CASE: binary, 40 people, 20 cases and 20 controls (1 = control, 2 = case)",
        "lambda",
        "AGE",
    ):
        assert words in log
    assert "s7" not in log


def test_flat_trait_beside_others_is_skipped_and_logged(study: Path) -> None:
    files = go(study, pheno_name=["QT1", "FLAT"])
    assert [file.name for file in files] == ["run.QT1.glm.linear", "run.log"]
    assert "FLAT: skipped, the trait is constant" in files[1].read_text()


def test_shared_file_without_names_uses_the_other_columns_as_covariates(study: Path) -> None:
    table = pd.read_csv(study.with_suffix(".txt"), sep=" ")[["FID", "IID", "QT1", "QT2", "AGE"]]
    table.to_csv(study.with_suffix(".txt"), sep=" ", index=False)
    log = go(study, pheno_name=["QT1"], covar_name=None)[-1].read_text()
    assert "covariates: QT2, AGE" in log


def replaced(study: Path, old: str, new: str, *, end: str = ".txt") -> None:
    path = study.with_suffix(end)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"pheno_name": ["NOPE"]}, InputError, "no column named NOPE"),
        ({"covar_name": ["AGE", "X1-X3"]}, InputError, "no column named X1-X3"),
        ({"covar": None}, InputError, "no covariate file"),
        ({"pheno_name": ["MIXED"]}, DesignError, "MIXED: ambiguous case-control coding"),
        ({"pheno_name": ["FLAT"]}, DesignError, "no trait can be analysed.*FLAT: the trait is constant"),
        ({"covar_name": ["AGE", "FLAT"]}, DesignError, "FLAT: a covariate has the same value"),
        ({"filters": Filters(mac=1000)}, DesignError, "no variant is left"),
        ({"pheno": Path("nowhere.txt")}, InputError, "nowhere.txt: file not found"),
        ({"source": GenotypeSource(path=Path("nowhere.bed"))}, InputError, "nowhere"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line_and_leaves_nothing(
    study: Path, changes: dict[str, Any], kind: type[CareomeError], message: str
) -> None:
    with pytest.raises(kind, match=message) as caught:
        go(study, **changes)
    assert "\n" not in str(caught.value)
    assert files_in(study.parent.parent / "out") == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\nf3 s3 ", "\nf3 s4 ", "study.txt:6: a sample ID occurs twice"),
        ("\nf3 s3 ", "\nf3 ", "study.txt:5: a line has the wrong number of fields"),
        ("\nf3 s3 ", "\nf3 s3 oops ", "study.txt:5: a line has the wrong number of fields"),
        ("FID IID QT1 QT2", "FID IID QT1 QT1", "study.txt:1: column QT1 occurs twice"),
        ("FID IID QT1", "Family Person QT1", "study.txt:1: has no header"),
    ],
)
def test_bad_phenotype_file_is_refused_with_its_line(study: Path, old: str, new: str, message: str) -> None:
    replaced(study, old, new)
    with pytest.raises(InputError, match=message):
        go(study)


def test_number_that_is_not_one_is_named_by_line_without_its_value(study: Path) -> None:
    lines = study.with_suffix(".txt").read_text().splitlines()
    fields = lines[4].split()
    fields[2] = "secret"
    lines[4] = " ".join(fields)
    study.with_suffix(".txt").write_text("\n".join(lines))
    with pytest.raises(InputError, match=r"study.txt:5: column QT1 mixes numbers and text") as caught:
        go(study)
    assert "secret" not in str(caught.value)


def test_ids_of_other_people_are_refused(study: Path) -> None:
    path = study.with_suffix(".txt")
    path.write_text(path.read_text().replace(" s", " x"))
    with pytest.raises(InputError, match="no ID in both"):
        go(study)
    path.write_text(path.read_text().replace(" x", " s").replace("\nf", "\ng"))
    with pytest.raises(InputError, match="the IIDs match but the FIDs do not"):
        go(study)


def test_unknown_samples_in_a_list_are_counted_in_the_log(study: Path) -> None:
    listed = study.parent / "list"
    listed.write_text("f1 s1\nf2 s2\nf99 s99\nf4 s4\nf5 s5\nf6 s6\nf7 s7\nf8 s8\n")
    for option, kept in (("keep", 7), ("remove", 33)):
        log = go(study, filters=Filters(**{option: listed}))[-1].read_text()
        assert f"--{option}: {40 - kept} samples removed, {kept} remain" in log
        assert f"--{option}: 1 entries are not in the genotypes (first in line 3)" in log
        assert "s99" not in log


def test_unknown_variants_in_a_list_are_counted_in_the_log(study: Path) -> None:
    listed = study.parent / "list"
    ids = [line.split()[1] for line in study.with_suffix(".bim").read_text().splitlines()]
    listed.write_text("\n".join([*ids[:2], "rs_unknown", "rs_other"]) + "\n")
    for option in ("extract", "exclude"):
        log = go(study, filters=Filters(**{option: listed}))[-1].read_text()
        assert f"--{option}: 2 entries are not in the genotypes (first in line 3)" in log


def test_a_list_of_nobody_is_refused(study: Path) -> None:
    listed = study.parent / "list"
    listed.write_text("f99 s99\n")
    with pytest.raises(DesignError, match="--keep: no sample is left"):
        go(study, filters=Filters(keep=listed))


def test_failure_midway_leaves_old_results_and_no_temporaries(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = go(study)
    before = {file.name: file.read_bytes() for file in files}
    original: Callable[..., Any] = association_run.associate_tests

    def broken(*arguments: Any, **options: Any) -> Any:
        for number, frame in enumerate(original(*arguments, **options)):
            if number == 2:
                raise InputError("ended early", where="study.bed")
            yield frame

    monkeypatch.setattr(association_run, "associate_tests", broken)
    with pytest.raises(InputError, match="ended early"):
        go(study, block_size=8, covar=None, covar_name=None)
    folder = files[0].parent
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_results_do_not_depend_on_block_size_or_threads_to_the_byte(study: Path) -> None:
    first = [file.read_bytes() for file in go(study, threads=1)[:-1]]
    again = go(study, block_size=64, threads=2, out=study.parent / "again")[:-1]
    assert [file.read_bytes() for file in again] == first


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FID IID A\nf1 s1 1.5\nf0 s0 NA\n", {"s1": 1.5, "s0": None}),
        ("#FID\tIID\tA\nf1\ts1\t-9\nf2\ts2\tnan\nf0\ts0\t2e3\n", {"s1": None, "s2": None, "s0": 2000.0}),
        ("#IID A\ns4 1\n\ns2 2\n", {"s4": 1.0, "s2": 2.0}),
        ("IID A\r\ns4 1\r\n", {"s4": 1.0}),
        ("f1 s1 3\nf3 s3 4\n", {"s1": 3.0, "s3": 4.0}),
        ("FID IID A\nf1 s1 1\nzz s2 9\nf9 s9 9\n", {"s1": 1.0}),
    ],
)
def test_person_tables_are_read_in_every_usual_form(
    tmp_path: Path, text: str, expected: dict[str, float | None]
) -> None:
    (tmp_path / "table").write_bytes(text.encode())
    table = read_person_table(tmp_path / "table", samples(tmp_path), columns=None)
    (column,) = table.columns.values()
    found = dict(zip(table.ids, column.tolist(), strict=True))
    assert {k: None if np.isnan(v) else v for k, v in found.items()} == expected


def test_text_columns_are_categories(tmp_path: Path) -> None:
    (tmp_path / "table").write_text("IID site\ns0 A\ns1 NONE\ns2 B\n")
    table = read_person_table(tmp_path / "table", samples(tmp_path), columns=None)
    assert table["site"].tolist() == ["A", None, "B"]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (["QT1-QT3"], ["QT1", "QT2", "QT3"]),
        (["HDL-C"], ["HDL-C"]),
        (["QT2", "QT1-QT3"], ["QT2", "QT1", "QT3"]),
        (["QT{1:2}", "HDL-C"], ["QT1", "QT2", "HDL-C"]),
        (["HDL-C-QT1"], ["HDL-C", "QT1"]),
    ],
)
def test_names_and_ranges(wanted: list[str], expected: list[str]) -> None:
    assert expand_names(wanted, ["HDL-C", "QT1", "QT2", "QT3"], where="t") == expected


def test_chromosome_lists() -> None:
    assert chromosomes(["1-3", "22", "chrX", "25"]) == ["1", "2", "3", "22", "X", "XY"]
    with pytest.raises(InputError, match="not a chromosome or range"):
        chromosomes(["1-"])


def test_a_chromosome_without_variants_is_refused(study: Path) -> None:
    with pytest.raises(DesignError, match="9: no variant is left"):
        go(study, source=GenotypeSource(path=study, regions=("9",)))


def test_sample_lists_by_iid_or_by_both_ids(tmp_path: Path) -> None:
    for text, expected in (
        ("s1\ns3\n", [1, 3]),
        ("f1 s1\nf9 s2\n", [1]),
        ("#IID\ns4\n", [4]),
        ("#FID IID\nf0 s0\n", [0]),
    ):
        (tmp_path / "list").write_text(text)
        mask, _ = read_sample_list(tmp_path / "list", samples(tmp_path))
        assert np.flatnonzero(mask).tolist() == expected


def test_prefix_may_hold_dots(study: Path) -> None:
    for end in (".bed", ".bim", ".fam"):
        study.with_suffix(end).rename(study.parent / f"study.v1{end}")
    assert open_genotypes(study.parent / "study.v1").n_samples == N


def test_people_left_out_of_a_trait_are_counted_by_reason(study: Path) -> None:
    path = study.with_suffix(".txt")
    lines = [line.split() for line in path.read_text().splitlines()]
    lines[3][2] = "NA"
    lines[4][2] = "-9"
    lines[4][-1] = lines[5][-1] = "NA"
    path.write_text("\n".join(" ".join(line) for line in lines[:-1]) + "\n")
    log = go(study, pheno_name=["QT1"])[-1].read_text()
    left_out = "(3 without a value, 1 more without a covariate)"
    assert f"QT1: quantitative, {N - 4} people of {N} {left_out}" in log


def test_a_table_of_many_traits_says_where_the_others_are() -> None:
    from gwas.design import make_design
    from workflows.gwas_summary import Summary, summary_table

    names = [f"T{k}" for k in range(33)]
    values = np.random.default_rng(1).normal(size=(20, 33))
    people = [f"s{k}" for k in range(20)]
    design = make_design(people, pd.DataFrame(values, index=people, columns=names))
    heading, *rows, last = summary_table(design, Summary(names), most=30)
    assert len(rows) == 30
    assert all(row.index(" 20 ") + 3 == heading.index("people") + len("people") for row in rows)
    assert last.endswith("3 more traits in the log")


def test_a_table_between_commas_is_refused_as_such(study: Path) -> None:
    path = study.with_suffix(".txt")
    path.write_text(path.read_text().replace(" ", ","))
    with pytest.raises(InputError, match="found fields between commas.*put tabs for the commas"):
        go(study)
