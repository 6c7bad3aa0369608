"""Scoring files: every kind in the wild is read, every damaged one refused in one line."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cohorts.errors import InputError
from gwas.polygenic.catalog import read_pgs_catalog, read_scores

HEAD = "#pgs_id=PGS9\n#genome_build=GRCh37\n"
COLUMNS = "rsID\tchr_name\tchr_position\teffect_allele\tother_allele\teffect_weight\n"


@pytest.mark.parametrize(
    ("name", "scores", "build", "n"),
    [
        ("PGS000001_hmPOS_GRCh37.txt.gz", ["PGS000001"], "GRCh37", 77),
        ("PGS000001_hmPOS_GRCh38.txt.gz", ["PGS000001"], "GRCh38", 77),
        ("PGS000002_hmPOS_GRCh38.txt.gz", ["PGS000002"], "GRCh38", 77),
        ("PGS001229_structured_GRCh38.txt.gz", ["PGS001229"], None, 51_209),
        ("OPGS017309.txt", ["OPGS017309"], "GRCh37", 697),
        ("OPGS017309_hmPOS_GRCh38.txt.gz", ["OPGS017309"], "GRCh38", 697),
        ("pgsc_calc_PGS001229_22.txt", ["PGS001229"], "GRCh37", 835),
        ("pgsc_calc_PGS001229_22_duplicate.txt", ["duplicatetest"], "GRCh37", 8),
        ("pgsc_calc_customgrch38.txt", ["custom"], "GRCh38", 2),
        ("pgsc_calc_multiscore.txt", ["PGS001229_22", "second_score"], None, 829),
        ("pgsc_calc_scorefile.txt", ["PGS001229_22"], "GRCh37", 835),
        ("pgsc_calc_test.scorefile", ["PGS001229_22"], None, 829),
    ],
)
def test_every_published_form_is_read(
    data_file: Callable[[str], Path], name: str, scores: list[str], build: str | None, n: int
) -> None:
    read = read_scores(data_file(f"pgs_catalog/{name}"))
    assert [one.name for one in read] == scores
    assert all(one.build == build and len(one) == n and one.sha256 for one in read)
    assert all(np.isfinite(one.frame["weight"]).all() for one in read)


def test_harmonised_positions_are_preferred_and_the_originals_can_be_asked_for(
    data_file: Callable[[str], Path],
) -> None:
    path = data_file("pgs_catalog/OPGS017309_hmPOS_GRCh38.txt.gz")
    harmonised, original = read_pgs_catalog(path), read_pgs_catalog(path, positions="original")
    assert (harmonised.build, harmonised.frame.loc[0, "pos"]) == ("GRCh38", 159346461)
    assert (original.build, original.frame.loc[0, "pos"]) == ("GRCh37", 159767493)


def test_dominant_and_recessive_weights_keep_their_type(data_file: Callable[[str], Path]) -> None:
    path = data_file("pgs_catalog/pgsc_calc_scorefile_dominant_and_recessive.txt")
    kinds = read_pgs_catalog(path).frame["effect_type"]
    assert kinds.value_counts().to_dict() == {"additive": 833, "dominant": 1, "recessive": 1}


def test_haplotypes_and_interactions_are_kept_as_rows_that_cannot_be_used(tmp_path: Path) -> None:
    body = "rsID\teffect_allele\teffect_weight\tis_haplotype\tis_interaction\n"
    (tmp_path / "a.txt").write_text(HEAD + body + "APOE_e2\te2\t0.5\tTrue\tFalse\nrs1\tA\t0.1\tFalse\tTrue\n")
    assert read_pgs_catalog(tmp_path / "a.txt").frame["effect_type"].tolist() == ["haplotype", "interaction"]


def test_weights_are_correctly_rounded(tmp_path: Path) -> None:
    text = "0.16220387987485377"
    (tmp_path / "a.txt").write_text(HEAD + COLUMNS + f"rs1\t1\t5\tA\tG\t{text}\n")
    assert read_pgs_catalog(tmp_path / "a.txt").frame.loc[0, "weight"] == float(text)


def test_byte_order_mark_blank_lines_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    text = "\ufeff" + (HEAD + "\n" + COLUMNS + "rs1\t1\t5\tA\tG\t0.5\n\n").replace("\n", "\r\n")
    (tmp_path / "a.txt").write_bytes(text.encode())
    read = read_pgs_catalog(tmp_path / "a.txt")
    assert (read.name, read.frame.loc[0, "weight"]) == ("PGS9", 0.5)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "no table"),
        (HEAD, "no table; found header lines only"),
        (HEAD + COLUMNS, "no weights"),
        (
            HEAD + COLUMNS + "rs1\t1\t5\tA\tG\n",
            ":4: a line has the wrong number of fields; found 5, expected 6",
        ),
        (HEAD + COLUMNS + "rs1\t1\t5\tA\tG\tbig\n", ":4: a weight is not a finite number; found 'big'"),
        (HEAD + COLUMNS + "rs1\t1\t5\tA\tG\tinf\n", ":4: a weight is not a finite number"),
        (HEAD + COLUMNS + "rs1\t1\t5.5\tA\tG\t1\n", ":4: a position is not a whole number; found '5.5'"),
        (HEAD + COLUMNS.replace("rsID", "effect_allele"), "a column comes twice"),
        (HEAD + "rsID\teffect_weight\nrs1\t1\n", "columns are absent"),
        (HEAD + "rsID\teffect_allele\tdosage_0_weight\tdosage_1_weight\nrs1\tA\t0\t1\n", "by genotype"),
        (
            HEAD + "rsID\teffect_allele\teffect_weight\tis_dominant\tis_recessive\nrs1\tA\t1\tTrue\tTrue\n",
            "both",
        ),
        (
            HEAD + "rsID\teffect_allele\teffect_weight\tis_dominant\nrs1\tA\t1\tperhaps\n",
            "neither true nor false",
        ),
        (
            HEAD + "rsID\teffect_allele\teffect_weight\teffect_type\nrs1\tA\t1\tmagic\n",
            "effect type not known",
        ),
        ("just some words\nof prose here\n", "not a scoring file"),
        ("ID\tA1\tscore\nrs1\tA\t0.1\nrs2\tA\t0.2\nrs3\tA\tx\n", ":4: a weight is not a finite number"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "a.txt"
    path.write_text(content)
    with pytest.raises(InputError) as caught:
        read_scores(path)
    assert words in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_truncated_or_flipped_gzip_is_refused(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress((HEAD + COLUMNS + "rs1\t1\t5\tA\tG\t0.5\n" * 50).encode()))
    path = tmp_path / "a.txt.gz"
    for damaged in (packed[:-5], packed[:20], bytes(packed[:40]) + b"\xff" + bytes(packed[41:])):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="damaged or not a text file"):
            read_scores(path)
    with pytest.raises(InputError, match="no such file"):
        read_scores(tmp_path / "none.txt")
