"""A damaged or mismatched genotype file is refused in one line that says what is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cohorts.errors import InputError
from gwas.genotypes import open_genotypes
from gwas.kernels.packed import pack


@pytest.fixture
def study(tmp_path: Path) -> Path:
    table = np.random.default_rng(1).integers(0, 3, (6, 9)).astype(np.int8)
    (tmp_path / "study.bed").write_bytes(b"\x6c\x1b\x01" + pack(table).tobytes())
    (tmp_path / "study.fam").write_text("".join(f"f s{i} 0 0 1 -9\n" for i in range(9)))
    (tmp_path / "study.bim").write_text("".join(f"chr2\tv{j}\t0\t{j}\tA\tC\n" for j in range(6)))
    return tmp_path / "study"


def refusal(prefix: Path) -> str:
    with pytest.raises(InputError) as caught:
        open_genotypes(prefix)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_whole_fileset_opens(study: Path) -> None:
    assert open_genotypes(study).variants["chrom"].unique().tolist() == ["2"]


def test_every_truncation_is_refused_with_both_sizes(study: Path) -> None:
    whole = study.with_suffix(".bed").read_bytes()
    for length in range(3, len(whole)):
        study.with_suffix(".bed").write_bytes(whole[:length])
        assert f"found {length} bytes, expected {len(whole)} bytes" in refusal(study)
    for length in range(3):
        study.with_suffix(".bed").write_bytes(whole[:length])
        assert "not a PLINK 1 BED file" in refusal(study)


def test_oversized_file_is_refused(study: Path) -> None:
    with study.with_suffix(".bed").open("ab") as handle:
        handle.write(b"\0")
    assert "too long" in refusal(study)


def test_sample_major_file_says_how_to_convert(study: Path) -> None:
    whole = study.with_suffix(".bed").read_bytes()
    study.with_suffix(".bed").write_bytes(b"\x6c\x1b\x00" + whole[3:])
    assert "--make-bed" in refusal(study)


def test_other_magic_is_refused(study: Path) -> None:
    study.with_suffix(".bed").write_bytes(b"BGZF" * 20)
    assert "found first bytes 42 47 5a" in refusal(study)


@pytest.mark.parametrize("end", [".bed", ".bim", ".fam"])
def test_missing_file_is_named(study: Path, end: str) -> None:
    study.with_suffix(end).unlink()
    assert "not found" in refusal(study.with_suffix(".bed")) or end == ".bed"
    with pytest.raises(InputError):
        open_genotypes(study)


@pytest.mark.parametrize(
    ("end", "number", "line", "expected"),
    [
        (".fam", 4, "f s3 0 0 1", "study.fam:4: a line cannot be understood; found 5 fields"),
        (".fam", 4, "f s3 0 0 1 -9 extra", "study.fam:4: a line cannot be understood; found 7 fields"),
        (".fam", 4, "f s3 0 0 1 -9 extra more", "study.fam:4: a line cannot be understood; found 8 fields"),
        (".fam", 3, "", "study.fam:3: a line cannot be understood; found a blank line"),
        (".fam", 9, "f s0 0 0 1 -9", "study.fam:9: a sample ID occurs twice"),
        (".bim", 2, "2 v1 0 one A C", "study.bim:2: position is not a whole number"),
        (".bim", 2, "2 v1 0 1.5 A C", "study.bim:2: position is not a whole number"),
        (".bim", 2, "2 v1 x 1 A C", "study.bim:2: cM is not a number"),
        (".bim", 6, "2 v1 0", "study.bim:6: a line cannot be understood; found 3 fields"),
    ],
)
def test_bad_line_is_named_by_file_and_number(
    study: Path, end: str, number: int, line: str, expected: str
) -> None:
    lines = study.with_suffix(end).read_text().splitlines()
    lines[number - 1] = line
    study.with_suffix(end).write_text("\n".join(lines) + "\n")
    assert expected in refusal(study)


@pytest.mark.parametrize("end", [".bim", ".fam"])
def test_list_of_another_length_is_refused(study: Path, end: str) -> None:
    lines = study.with_suffix(end).read_text().splitlines()
    study.with_suffix(end).write_text("\n".join(lines[:2]) + "\n")
    assert "belongs to another file" in refusal(study)


@pytest.mark.parametrize("end", [".bim", ".fam"])
def test_empty_and_binary_lists_are_refused(study: Path, end: str) -> None:
    study.with_suffix(end).write_text("")
    assert "is empty" in refusal(study)
    study.with_suffix(end).write_bytes(b"\xff\xfe\x00\x01" * 20)
    assert f"study{end}:1" in refusal(study)


def test_blank_lines_at_the_end_are_forgiven(study: Path) -> None:
    with study.with_suffix(".fam").open("a") as handle:
        handle.write("\n\n")
    assert open_genotypes(study).n_samples == 9


def test_file_that_shrinks_while_read_is_noticed(study: Path) -> None:
    genotypes = open_genotypes(study)
    whole = study.with_suffix(".bed").read_bytes()
    study.with_suffix(".bed").write_bytes(whole[:-4])
    with pytest.raises(InputError, match="ended early"):
        list(genotypes.blocks(2))


def attempt(prefix: Path) -> str | None:
    try:
        assert open_genotypes(prefix).n_samples == 9
    except InputError as error:
        return str(error)
    return None


def test_mutated_text_lists_never_crash(study: Path) -> None:
    rng = np.random.default_rng(7)
    outcomes: list[str | None] = []
    for end in (".bim", ".fam"):
        whole = study.with_suffix(end).read_bytes()
        for _ in range(150):
            broken = bytearray(whole)
            for _ in range(int(rng.integers(1, 4))):
                broken[int(rng.integers(len(broken)))] = int(rng.integers(256))
            study.with_suffix(end).write_bytes(bytes(broken))
            outcomes.append(attempt(study))
        study.with_suffix(end).write_bytes(whole)
    refused = [message for message in outcomes if message is not None]
    assert len(refused) > 50
    assert all("\n" not in message for message in refused)


def test_further_columns_of_a_fam_are_ignored_where_every_line_has_them(study: Path) -> None:
    fam = study.with_suffix(".fam")
    lines = fam.read_text().splitlines()
    fam.write_text("".join(f"{line} 1.5 NA\n" for line in lines) + "\n")
    assert open_genotypes(study).samples["iid"].tolist() == [f"s{i}" for i in range(9)]
    fam.write_text("".join(f"{line} 1.5{' NA' * (i != 4)}\n" for i, line in enumerate(lines)))
    assert "study.fam:5: a line cannot be understood; found 7 fields, expected 8 fields" in refusal(study)
