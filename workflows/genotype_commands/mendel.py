"""``careome mendel``: OUT.mendel, .lmendel, .fmendel and .imendel with PLINK 1.9's columns."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from cohorts.errors import DesignError
from gwas.genotypes import Genotypes
from gwas.mendel import MendelErrors, mendel_errors
from workflows.genotype_commands.outcome import Outcome, Table

A, B, ANY = "A", "B", "*"
PATTERNS: Final = {
    1: (A, A, "AB"),
    2: (B, B, "AB"),
    3: (B, ANY, A),
    4: (ANY, B, A),
    5: (B, B, A),
    6: (A, ANY, B),
    7: (ANY, A, B),
    8: (A, A, B),
    9: (ANY, A, B),
    10: (ANY, B, A),
}
"""Father, mother and child of each error; A is homozygous for ALT, B for REF."""


def tables(genotypes: Genotypes, *, threads: int, build: str | None = None) -> Outcome:
    """Errors one by one, by variant, by nuclear family and by person."""
    found = mendel_errors(genotypes, build=build, listed=True)
    if found.trios.empty:
        raise DesignError(
            "no child has both parents among the samples",
            where=genotypes.path,
            expected="father and mother by IID, in one family (FID)",
            fix="check the .fam file or the filters",
        )
    judged = ~found.variants["chrom"].isin(["Y", "MT"])
    lost = int((~judged).sum())
    by_variant = found.variants.loc[judged, ["chrom", "id", "errors"]]
    files = [
        Table("mendel", _listed(found)),
        Table("lmendel", by_variant.set_axis(["CHR", "SNP", "N"], axis=1)),
        Table("fmendel", _families(found)),
        Table("imendel", _people(found)),
    ]
    return Outcome(
        files,
        [
            f"{len(found.trios)} trios, {int(found.variants['errors'].sum())} errors in "
            f"{int(found.variants['tested'].sum())} comparisons; {lost} variants on Y and MT not judged"
        ],
    )


def _listed(found: MendelErrors) -> pd.DataFrame:
    assert found.errors is not None, "the errors were asked for"
    variants = found.variants.iloc[found.errors["variant"]]
    trios = found.trios.iloc[found.errors["trio"]]
    ref, alt = variants["ref"].to_numpy(), variants["alt"].to_numpy()
    said = []
    for code, a, b in zip(found.errors["code"], alt, ref, strict=True):
        father, mother, child = (
            {A: f"{a}/{a}", B: f"{b}/{b}", ANY: "*/*", "AB": f"{a}/{b}"}[who] for who in PATTERNS[code]
        )
        said.append(f"{father} x {mother} -> {child}")
    return pd.DataFrame(
        {
            "FID": trios["fid"].to_numpy(),
            "KID": trios["child"].to_numpy(),
            "CHR": variants["chrom"].to_numpy(),
            "SNP": variants["id"].to_numpy(),
            "CODE": found.errors["code"].to_numpy(),
            "ERROR": np.array(said, dtype=object),
        }
    )


def _families(found: MendelErrors) -> pd.DataFrame:
    grouped = found.trios.groupby(["fid", "father", "mother"], sort=False)["errors"].agg(["size", "sum"])
    return grouped.reset_index().set_axis(["FID", "PAT", "MAT", "CHLD", "N"], axis=1)


def _people(found: MendelErrors) -> pd.DataFrame:
    """Everybody of each nuclear family in turn, with the errors in which the person's call may be wrong."""
    rows = []
    for (fid, father, mother), part in found.trios.groupby(["fid", "father", "mother"], sort=False):
        rows += [(fid, father, part["father_blamed"].sum()), (fid, mother, part["mother_blamed"].sum())]
        rows += [(fid, child, n) for child, n in zip(part["child"], part["child_blamed"], strict=True)]
    return pd.DataFrame(rows, columns=["FID", "IID", "N"])
