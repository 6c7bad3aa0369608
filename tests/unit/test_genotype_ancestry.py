"""careome project with labels of the reference, and with some of its variants missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import typer

from cohorts.errors import DesignError, InputError
from gwas.kernels.packed import pack
from workflows import genotype_cli
from workflows.application import Application

app = Application()
genotype_cli.register(app)


def run(*words: object) -> None:
    app([*map(str, words)], standalone_mode=False)


def write_bed(prefix: Path, calls: npt.NDArray[np.int8], *, names: str, ids: npt.NDArray[np.int64]) -> Path:
    prefix.with_suffix(".bed").write_bytes(b"\x6c\x1b\x01" + pack(calls).tobytes())
    prefix.with_suffix(".bim").write_text("".join(f"1 v{v} 0 {1 + v} A G\n" for v in ids))
    prefix.with_suffix(".fam").write_text(
        "".join(f"f{i} {names}{i} 0 0 0 -9\n" for i in range(calls.shape[1]))
    )
    return prefix


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Components of two populations, their labels, and eight new people of each with 60 % of the variants."""
    folder = tmp_path_factory.mktemp("study")
    rng = np.random.default_rng(1)
    frequency = np.clip(rng.uniform(0.2, 0.8, 600) + rng.normal(0, 0.12, (2, 600)), 0.05, 0.95)
    calls = np.concatenate([rng.binomial(2, p[:, None], (600, 58)) for p in frequency], axis=1).astype(
        np.int8
    )
    old, new = np.r_[0:50, 58:108], np.r_[50:58, 108:116]
    write_bed(folder / "old", calls[:, old], names="r", ids=np.arange(600))
    some = np.flatnonzero(rng.random(600) < 0.6)
    write_bed(folder / "new", calls[some][:, new], names="n", ids=some)
    run("pca", "--bfile", folder / "old", "--pca", 2, "--out", folder / "pcs")
    labels = pd.DataFrame({"#IID": [f"r{i}" for i in range(100)], "panel": ["north"] * 50 + ["south"] * 50})
    labels.to_csv(folder / "labels.tsv", sep="\t", index=False)
    return folder


def test_new_people_get_the_group_they_resemble_though_variants_lack(study: Path) -> None:
    run("project", "--bfile", study / "new", "--loadings", study / "pcs", "--labels", study / "labels.tsv",
        "--out", study / "o")  # fmt: skip
    table = pd.read_csv(study / "o.ancestry", sep="\t")
    assert table.columns.tolist() == [
        "#FID", "IID", "GROUP", "PROB", "NEAREST", "DISTANCE_P", "REASON", "P_north", "P_south",
    ]  # fmt: skip
    named = table["GROUP"] != "unassigned"
    assert (table["GROUP"] == np.repeat(["north", "south"], 8))[named].all()
    assert named.sum() >= 14
    assert (table["REASON"] == ".").equals(named)
    log = (study / "o.log").read_text()
    assert "of 600 variants" in log
    assert "100 labelled people of 2 reference groups" in log


def test_a_plain_projection_falls_short(study: Path) -> None:
    first = {}
    for method in ("oadp", "plain"):
        run("project", "--bfile", study / "new", "--loadings", study / "pcs", "--method", method,
            "--out", study / method)  # fmt: skip
        first[method] = pd.read_csv(study / f"{method}.sscore", sep="\t")["PC1"].abs().mean()
    assert first["plain"] < 0.95 * first["oadp"]


def test_too_few_variants_in_common_are_refused(study: Path, tmp_path: Path) -> None:
    few = np.arange(0, 600, 3)
    calls = np.random.default_rng(2).binomial(2, 0.5, (200, 4)).astype(np.int8)
    write_bed(tmp_path / "few", calls, names="n", ids=few)
    with pytest.raises(DesignError, match="lack too many variants"):
        run("project", "--bfile", tmp_path / "few", "--loadings", study / "pcs", "--out", tmp_path / "o")


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("IID\tpanel\nx\tnorth\n", DesignError, "nobody"),
        ("IID\n r1\n", InputError, "column of labels"),
        ("name\tpanel\nr1\tnorth\n", InputError, "column IID"),
        ("IID\tpanel\nr1\tnorth\nr1\tsouth\n", InputError, "twice"),
        ("IID\tpanel\nr1\tnorth\nr2\tNA\n", DesignError, "too few groups"),
        ("", InputError, "not a table"),
    ],
)
def test_labels_that_cannot_be_used_are_refused_and_nothing_is_written(
    study: Path, tmp_path: Path, text: str, error: type[Exception], message: str
) -> None:
    (tmp_path / "labels").write_text(text)
    with pytest.raises(error, match=message):
        run("project", "--bfile", study / "new", "--loadings", study / "pcs", "--labels", tmp_path / "labels",
            "--out", tmp_path / "o")  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["labels"]


def test_a_label_column_without_labels_is_wrong_use(study: Path, tmp_path: Path) -> None:
    with pytest.raises(typer.BadParameter, match="label-column"):
        run("project", "--bfile", study / "new", "--loadings", study / "pcs", "--label-column", "x",
            "--out", tmp_path / "o")  # fmt: skip


def test_the_people_of_the_components_keep_their_fitted_scores(study: Path) -> None:
    run("project", "--bfile", study / "old", "--loadings", study / "pcs", "--labels", study / "labels.tsv",
        "--out", study / "again")  # fmt: skip
    fitted, again = (pd.read_csv(study / name, sep="\t") for name in ("pcs.eigenvec", "again.sscore"))
    np.testing.assert_allclose(again[["PC1", "PC2"]], fitted[["PC1", "PC2"]], atol=1e-9)
    table = pd.read_csv(study / "again.ancestry", sep="\t")
    assert (table["NEAREST"] == ["north"] * 50 + ["south"] * 50).mean() > 0.97
    log = (study / "again.log").read_text()
    assert "100 samples are of the people the components were made of: their fitted scores" in log


def test_namesakes_of_the_people_of_the_components_are_placed_by_their_genotypes(study: Path) -> None:
    for end in (".bed", ".bim"):
        (study / f"named{end}").write_bytes((study / f"new{end}").read_bytes())
    (study / "named.fam").write_text((study / "new.fam").read_text().replace(" n", " r"))
    for name in ("new", "named"):
        run("project", "--bfile", study / name, "--loadings", study / "pcs", "--out", study / f"at_{name}")
    new, named = (pd.read_csv(study / f"at_{name}.sscore", sep="\t") for name in ("new", "named"))
    np.testing.assert_array_equal(new[["PC1", "PC2"]], named[["PC1", "PC2"]])
    assert (
        "16 samples have the IID of one of those people and not the genotypes"
        in (study / "at_named.log").read_text()
    )
