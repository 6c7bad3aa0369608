"""``careome plot``: results of any layout in, a picture in the format of its suffix out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from cohorts.errors import InputError, OutputError
from workflows.cli import application
from workflows.plots import forest_frame, phewas_frame, scan_of, variant_rows

STARTS = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}


def results(path: Path, *, seed: int = 1, turned: bool = False) -> Path:
    """A small scan in PLINK 2's columns; `turned`: the other allele is the effect allele."""
    rng = np.random.default_rng(seed)
    m = 300
    beta, se = rng.normal(0, 0.1, m), np.full(m, 0.1)
    beta[150] = 0.9
    table = pd.DataFrame(
        {
            "#CHROM": np.repeat(["1", "2", "X"], m // 3), "POS": np.tile(np.arange(1, m // 3 + 1) * 10_000, 3),
            "ID": [f"rs{k}" for k in range(m)], "REF": "G", "ALT": "A", "A1": "G" if turned else "A",
            "A1_FREQ": 0.3, "TEST": "ADD", "OBS_CT": 1000 + seed, "BETA": -beta if turned else beta, "SE": se,
        }
    )  # fmt: skip
    table["T_STAT"] = table["BETA"] / table["SE"]
    from scipy.stats import norm

    table["P"] = 2 * norm.sf(table["T_STAT"].abs())
    table["ERRCODE"] = "."
    table.to_csv(path, sep="\t", index=False)
    return path


def plot(*arguments: object) -> str:
    done = CliRunner().invoke(application(), ["plot", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("suffix", list(STARTS))
def test_a_picture_has_the_format_of_its_suffix_and_the_same_bytes_twice(tmp_path: Path, suffix: str) -> None:
    scan = results(tmp_path / "a.glm.linear")
    for name in ("one", "two"):
        plot("manhattan", scan, "--out", tmp_path / f"{name}{suffix}")
    made = (tmp_path / f"one{suffix}").read_bytes()
    assert made.startswith(STARTS[suffix])
    assert made == (tmp_path / f"two{suffix}").read_bytes()


def test_each_kind_of_plot_is_made(tmp_path: Path) -> None:
    one, two = results(tmp_path / "a.glm.linear"), results(tmp_path / "b.glm.linear", seed=2)
    (tmp_path / "genes.txt").write_text("GENE1 2 400000 600000 +\n")
    genes = ("--genes", tmp_path / "genes.txt")
    plot("qq", one, "--out", tmp_path / "qq.png")
    plot("miami", one, two, "--names", "A,B", *genes, "--out", tmp_path / "miami.png")
    plot("regional", one, "--lead", "rs150", "--flank", "200", *genes, "--out", tmp_path / "regional.svg")
    assert "GENE1" in (tmp_path / "regional.svg").read_text()
    plot("phewas", one, two, "--variant", "rs150", "--out", tmp_path / "phewas.png")
    plot("forest", one, two, "--variant", "2:510000", "--out", tmp_path / "forest.svg")
    assert "per copy of A" in (tmp_path / "forest.svg").read_text()
    assert {p.name for p in tmp_path.glob("*.png")} == {"qq.png", "miami.png", "phewas.png"}


def test_an_unknown_format_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="not a format"):
        plot("qq", tmp_path / "none.txt", "--out", tmp_path / "a.jpg")


def test_own_parquet_is_streamed_and_other_is_read(tmp_path: Path) -> None:
    frame = pd.read_csv(results(tmp_path / "a.txt"), sep="\t", dtype={"#CHROM": str})
    pq.write_table(pa.Table.from_pandas(frame), tmp_path / "a.parquet")
    assert scan_of(tmp_path / "a.parquet") == tmp_path / "a.parquet"
    read = scan_of(tmp_path / "a.txt")
    assert isinstance(read, pd.DataFrame)
    assert len(read) == 300


def test_effects_of_one_variant_are_of_one_allele(tmp_path: Path) -> None:
    one, two = results(tmp_path / "a.txt"), results(tmp_path / "b.txt", turned=True)
    rows = variant_rows([one, two], "rs150", names=["A", "B"])
    assert list(rows["trait"]) == ["A", "B"]
    assert list(rows["effect_allele"]) == ["A", "A"]
    np.testing.assert_allclose(rows["beta"], 0.9)
    assert list(forest_frame(rows)["N"]) == [1001, 1001]
    with pytest.raises(InputError, match="no result has"):
        variant_rows([one], "rs9999")
    other = pd.read_csv(one, sep="\t").assign(REF="T", ALT="C", A1="C")
    other.to_csv(tmp_path / "c.txt", sep="\t", index=False)
    with pytest.raises(InputError, match="other alleles"):
        variant_rows([one, tmp_path / "c.txt"], "rs150")


def test_categories_order_the_phenotypes(tmp_path: Path) -> None:
    rows = pd.DataFrame({"trait": ["x", "y", "z"], "log10p": [1.0, 2, 3], "beta": [0.1, -0.1, 0.0]})
    table = tmp_path / "categories.tsv"
    table.write_text("phenotype\tcategory\tlabel\nz\tHeart\tZed\nx\tSkin\tEx\n")
    frame = phewas_frame(rows, table)
    assert frame["phenotype"].tolist() == ["Zed", "Ex", "y"]
    assert frame["category"].tolist()[:2] == ["Heart", "Skin"]
    table.write_text("a\tb\n")
    with pytest.raises(InputError, match="lack a column"):
        phewas_frame(rows, table)


def folder_of_traits(tmp_path: Path) -> Path:
    """Results of two traits, A of 300 rows and B of 200, as gwas --out-format parquet lays them."""
    folder = tmp_path / "run.parquet"
    for trait, rows in (("A", 300), ("B", 200)):
        frame = pd.read_csv(
            results(tmp_path / "t.txt", seed=len(trait) + rows), sep="\t", dtype={"#CHROM": str}
        )
        (folder / f"trait={trait}").mkdir(parents=True)
        for part, some in enumerate(np.array_split(np.arange(rows), 2)):
            target = folder / f"trait={trait}" / f"part-{part:05d}.parquet"
            pq.write_table(pa.Table.from_pandas(frame.iloc[some], preserve_index=False), target)
    return folder


def test_one_trait_of_a_folder_is_drawn_and_several_are_refused(tmp_path: Path) -> None:
    folder = folder_of_traits(tmp_path)
    plot("qq", folder, "--trait", "B", "--out", tmp_path / "b.svg")
    assert "200 variants" in (tmp_path / "b.svg").read_text()
    with pytest.raises(InputError, match=r"several traits; found 2 traits: A, B.*--trait"):
        plot("manhattan", folder, "--out", tmp_path / "a.png")
    with pytest.raises(InputError, match="no trait named C"):
        plot("manhattan", folder, "--trait", "C", "--out", tmp_path / "a.png")


def test_each_trait_of_a_folder_is_a_phenotype_and_a_test_with_or_without_the_variant(tmp_path: Path) -> None:
    folder = folder_of_traits(tmp_path)
    assert list(variant_rows([folder], "rs150")["trait"]) == ["A", "B"]
    assert list(variant_rows([folder], "rs299")["trait"]) == ["A"]
    plot("phewas", folder, "--variant", "rs299", "--out", tmp_path / "one.svg")
    assert "P = 0.05 / 2" in (tmp_path / "one.svg").read_text()


def test_results_that_are_not_there_are_not_found(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none.txt: file not found"):
        plot("qq", tmp_path / "none.txt", "--out", tmp_path / "a.png")
