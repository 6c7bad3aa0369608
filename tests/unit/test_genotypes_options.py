"""Choices at opening and selecting: understood as meant, or refused at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cohorts.errors import InputError
from gwas import kinship, ld_pairs, ld_prune, ld_scores, open_genotypes, pca
from gwas.genotypes import Genotypes, Region

MAGIC = b"\x6c\x1b\x01"


@pytest.fixture
def study(tmp_path: Path) -> Path:
    places = [("1", 5), ("2", 1500), ("2", 2500), ("22", 7), ("X", 9)]
    (tmp_path / "s.bim").write_text("".join(f"{c}\tv{c}_{p}\t0\t{p}\tA\tG\n" for c, p in places))
    people = [("f1", "a", 1, "2"), ("f2", "b", 2, "1"), ("f3", "c", 0, "-9"), ("f4", "d", 1, "NA")]
    (tmp_path / "s.fam").write_text("".join(f"{f} {i} 0 0 {s} {p}\n" for f, i, s, p in people))
    (tmp_path / "s.bed").write_bytes(
        MAGIC + bytes([0b11100010, 0b00111011, 0b10001110, 0b11101011, 0b00111100])
    )
    return tmp_path / "s"


@pytest.mark.parametrize(
    ("regions", "positions"),
    [
        ("22", [7]),
        ("chr2", [1500, 2500]),
        ("2:1,000-2,000,22", [1500, 7]),
        ("X 22", [7, 9]),
        (Region(chrom="2", start=2000), [2500]),
        (["2:1500", "X"], [1500, 9]),
    ],
)
def test_one_text_holds_one_or_several_regions(study: Path, regions: Any, positions: list[int]) -> None:
    assert open_genotypes(study, regions=regions).variants["pos"].tolist() == positions


@pytest.mark.parametrize(
    "choice", [{"values": "hardcall"}, {"verify": "x"}, {"bgen_ref": "ref-first"}, {"values": "dosages"}]
)
def test_a_choice_that_does_not_exist_is_refused(study: Path, choice: dict[str, Any]) -> None:
    (name,) = choice
    with pytest.raises(InputError, match=f"no such {name}; found {choice[name]!r}, expected one of"):
        open_genotypes(study, **choice)


@pytest.mark.parametrize("threads", [0, -1, 1.5])
@pytest.mark.parametrize(
    "method",
    [
        lambda g, n: kinship(g, threads=n),
        lambda g, n: ld_prune(g, threads=n),
        lambda g, n: ld_pairs(g, threads=n),
        lambda g, n: ld_scores(g, window_kb=1, threads=n),
        lambda g, n: pca(g, components=1, variants=[0, 1], rng=np.random.default_rng(1), threads=n),
    ],
    ids=["kinship", "ld_prune", "ld_pairs", "ld_scores", "pca"],
)
def test_a_number_of_threads_below_one_is_refused(
    study: Path, method: Callable[[Genotypes, Any], object], threads: float
) -> None:
    with pytest.raises(InputError, match="no such number of threads"):
        method(open_genotypes(study), threads)


def test_samples_and_variants_are_chosen_by_name(study: Path) -> None:
    chosen = open_genotypes(study).select(samples=["d", "b"], variants=np.array(["v22_7", "v1_5"]))
    assert chosen.samples["iid"].tolist() == ["d", "b"]
    assert chosen.variants["pos"].tolist() == [7, 5]
    by_place = open_genotypes(study).select(samples=[3, 1], variants=[3, 0])
    np.testing.assert_array_equal(chosen.read_block(0, 2).dosages(), by_place.read_block(0, 2).dosages())


def test_a_name_that_is_not_there_or_not_one_is_refused(study: Path) -> None:
    with pytest.raises(InputError, match="names are not there; found 1 of 2") as caught:
        open_genotypes(study).select(samples=["a", "secret"])
    assert "secret" not in str(caught.value)
    bim = study.with_suffix(".bim")
    bim.write_text(bim.read_text().replace("v2_1500", "v1_5"))
    with pytest.raises(InputError, match="names are of several variants; found 1 of 1"):
        open_genotypes(study).select(variants=["v1_5"])
    assert open_genotypes(study).select(variants=["v22_7"]).n_variants == 1


@pytest.mark.parametrize("choice", [[0.5], [None], [["a"]], "a"])
def test_a_choice_of_another_kind_is_refused(study: Path, choice: Any) -> None:
    with pytest.raises(TypeError, match="positions or names"):
        open_genotypes(study).select(samples=choice)


def test_components_need_no_generator_and_print_in_a_line(study: Path) -> None:
    genotypes = open_genotypes(study)
    first, again = (pca(genotypes, components=1, variants=[0, 1, 2, 3]) for _ in range(2))
    np.testing.assert_array_equal(first.scores, again.scores)
    assert len(repr(first)) < 200
