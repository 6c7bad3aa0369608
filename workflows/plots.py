"""The body of ``careome plot``: result files of any known layout in, one picture out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from cohorts.errors import InputError, OutputError
from gwas.sumstats_reader import read_sumstats, sumstats_blocks
from gwas.sumstats_tables import trait_folders
from workflows.outputs import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES: Final = (".png", ".svg", ".pdf")
STREAMED: Final = ({"#CHROM", "POS"}, {"LOG10_P", "P"})
VARIANT: Final = ["trait", "chrom", "pos", "id", "effect_allele", "other_allele", "beta", "se", "log10p", "n"]


def write_figure(figure: Figure, out: Path, *, dpi: int = 200) -> Path:
    """Write a figure in the format of the file's suffix, atomically; the same figure gives the same bytes.

    Raises
    ------
    OutputError
        If the suffix is not .png, .svg or .pdf.
    """
    import matplotlib as mpl

    check_suffix(out)
    kind = out.suffix.lower()[1:]
    dates: dict[str, Any] = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[kind]
    with (
        mpl.rc_context({"svg.hashsalt": "careome", "svg.fonttype": "none", "pdf.fonttype": 42}),
        atomic_path(out) as part,
    ):
        figure.savefig(part, format=kind, dpi=dpi, metadata=dates)
    return out


def check_suffix(out: Path) -> None:
    """Refuse a picture of an unknown format before anything is read."""
    if out.suffix.lower() not in SUFFIXES:
        raise OutputError(
            "not a format of pictures",
            where=out,
            found=out.suffix or "no suffix",
            expected=", ".join(SUFFIXES),
            fix="name the file with one of them",
        )


def scan_of(path: Path) -> pd.DataFrame | Path:
    """Results as figures read them: our own Parquet as it lies, to be streamed, else a frame read whole."""
    if path.is_dir() or path.suffix == ".parquet":
        import pyarrow.dataset as ds

        try:
            names = set(ds.dataset(path, format="parquet", partitioning="hive").schema.names)
        except (OSError, ValueError) as error:
            raise InputError("not a Parquet file of results", where=path, found=str(error)) from error
        if STREAMED[0] <= names and STREAMED[1] & names:
            return path
    return read_sumstats(path).frame


def variant_rows(paths: Sequence[Path], variant: str, *, names: Sequence[str] = ()) -> pd.DataFrame:
    """One variant in many results, its effect always of the first result's effect allele.

    Parameters
    ----------
    paths
        Results of one trait each, or our Parquet of many.
    variant
        Its name, or ``chromosome:base``.
    names
        Of the results, in order; by default the trait that the file tells, or the file's name.

    Returns
    -------
    DataFrame
        Columns ``trait chrom pos id effect_allele other_allele beta se log10p n``, and ``kind``; results
        without the variant are left out.

    Raises
    ------
    InputError
        If no result has it, or one has it with other alleles.
    """
    paths = [part for path in paths for part in trait_folders(path).values() or [path]]
    if names and len(names) != len(paths):
        raise InputError(
            "as many names as results are needed", found=f"{len(names)} names, {len(paths)} results"
        )
    parts: list[pd.DataFrame] = []
    for at, path in enumerate(paths):
        rows = _variant_in(path, variant)
        if names:
            rows["trait"] = names[at]
        parts += [_turned(rows, parts[0] if parts else rows, path)] if len(rows) else []
    if not parts:
        raise InputError("no result has the variant", where=paths[0], found=variant)
    return pd.concat(parts, ignore_index=True)


def _variant_in(path: Path, variant: str) -> pd.DataFrame:
    chrom, _, base = variant.removeprefix("chr").partition(":")
    parts = []
    for block in sumstats_blocks(path):
        f = block.frame
        found = (f["chrom"] == chrom) & (f["pos"] == int(base)) if base.isdigit() else f["id"] == variant
        if found.any():
            parts.append(f[found].assign(trait=block.trait, kind=block.kind))
    if not parts:
        return pd.DataFrame(columns=[*VARIANT, "kind"])
    rows = pd.concat(parts, ignore_index=True)
    if len(rows) > 1:
        raise InputError(
            "several rows for the variant",
            where=path,
            found=f"{len(rows)} rows of {variant}",
            fix="name a variant of two alleles, in results of one trait",
        )
    return rows[[*VARIANT, "kind"]]


def _turned(rows: pd.DataFrame, first: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The effect of the same allele as in `first`."""
    effect, other = first["effect_allele"].iloc[0], first["other_allele"].iloc[0]
    mine = (rows["effect_allele"].iloc[0], rows["other_allele"].iloc[0])
    if mine == (effect, other):
        return rows
    if mine != (other, effect):
        raise InputError(
            "the variant has other alleles here",
            where=path,
            found="/".join(mine),
            expected=f"{effect}/{other}",
            fix="harmonise the results first: careome sumstats",
        )
    return rows.assign(beta=-rows["beta"], effect_allele=effect, other_allele=other)


def phewas_frame(rows: pd.DataFrame, categories: Path | None) -> pd.DataFrame:
    """Rows of :func:`variant_rows` as :func:`workflows.figures.phewas.phewas` takes them.

    `categories` is a table (tabs) with columns ``phenotype``, ``category`` and, if wanted, ``label``; its
    order of categories is kept.
    """
    frame = pd.DataFrame(
        {"phenotype": rows["trait"], "LOG10_P": rows["log10p"], "BETA": rows["beta"].astype(float)}
    )
    if categories is None:
        return frame
    try:
        table = pd.read_csv(categories, sep="\t", dtype=str, comment="#")
    except (OSError, ValueError) as error:
        raise InputError("cannot read categories", where=categories, found=str(error)) from error
    if not {"phenotype", "category"} <= set(table):
        raise InputError(
            "categories lack a column",
            where=categories,
            found=", ".join(map(str, table.columns)),
            expected="phenotype, category, and label if wanted",
        )
    table = table.drop_duplicates("phenotype").set_index("phenotype")
    order = {name: k for k, name in enumerate(table["category"].unique())}
    frame["category"] = frame["phenotype"].map(table["category"])
    if "label" in table:
        frame["phenotype"] = frame["phenotype"].map(table["label"]).fillna(frame["phenotype"])
    rank = frame["category"].map(order).fillna(len(order)).to_numpy()
    return frame.iloc[np.argsort(rank, kind="stable")].reset_index(drop=True)


def forest_frame(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of :func:`variant_rows` as :func:`workflows.figures.forest.forest` takes them."""
    frame = pd.DataFrame(
        {"label": rows["trait"], "BETA": rows["beta"].astype(float), "SE": rows["se"].astype(float)}
    )
    return frame.assign(N=rows["n"].astype(float)) if rows["n"].notna().all() else frame
