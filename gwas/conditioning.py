"""Listed variants as covariates, for tests of what they leave unexplained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd

from cohorts.errors import DesignError, InputError
from gwas.genotypes.chromosomes import ploidy_class
from gwas.genotypes.descriptor import Genotypes
from gwas.models.linear import Missing


def condition_on(
    genotypes: Genotypes,
    ids: Sequence[str],
    *,
    missing: Missing = "complete-case",
    male_copies: Literal[1, 2] = 2,
) -> pd.DataFrame:
    """Dosages of listed variants, to go beside the other covariates.

    Parameters
    ----------
    genotypes
        Genotypes of the people to be analysed; dosages or hard calls as its ``values`` says.
    ids
        Names of variants.
    missing
        ``complete-case``: whoever misses one of them is left out, as PLINK 2 does; ``mean``: a missing genotype
        is the variant's mean.
    male_copies
        What a male's ALT on X counts as, see :func:`gwas.association.associate_blocks`.

    Returns
    -------
    DataFrame
        Index: IID; one float64 column a variant, named by its ID: copies of ALT.

    Raises
    ------
    InputError
        A variant is not there, or its name is not unique (several variants, or several ALT alleles).
    DesignError
        A variant has the same genotype in everyone.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from gwas.genotypes import open_genotypes
    >>> from gwas.kernels.packed import pack
    >>> prefix = pathlib.Path(tempfile.mkdtemp()) / "x"
    >>> calls = pack(np.array([[0, 1, 2, -9]], dtype=np.int8)).tobytes()
    >>> _ = prefix.with_suffix(".bed").write_bytes(bytes([108, 27, 1]) + calls)
    >>> _ = prefix.with_suffix(".bim").write_text("1 rs1 0 1 A G" + chr(10))
    >>> _ = prefix.with_suffix(".fam").write_text("".join(f"{i} {i} 0 0 0 -9 " + chr(10) for i in range(4)))
    >>> condition_on(open_genotypes(prefix), ["rs1"], missing="mean")["rs1"].tolist()
    [0.0, 1.0, 2.0, 1.0]
    """
    wanted = list(dict.fromkeys(ids))
    rows = _rows(genotypes, wanted)
    chosen = genotypes.select(variants=rows)
    if genotypes.values == "dosage":
        dosages = chosen.read_dosage_block(0, len(rows)).dosages.astype(np.float64)
    else:
        calls = chosen.read_block(0, len(rows)).dosages().astype(np.float64)
        dosages = np.where(calls < 0, np.nan, calls)
    if male_copies == 1:
        male = chosen.sample_values("sex") == "M"
        on_x = ploidy_class(chosen.variants["chrom"]) == "x"
        dosages = np.where(on_x[:, None] & male, dosages / 2, dosages)
    for name, values in zip(wanted, dosages, strict=True):
        known = values[~np.isnan(values)]
        if not len(known) or known.min() == known.max():
            raise DesignError(
                "a variant to condition on has the same genotype in everyone",
                where=name,
                found="a constant",
                expected="variants that vary among the people analysed",
                fix="leave it out",
            )
        if missing == "mean":
            values[np.isnan(values)] = known.mean()
    return pd.DataFrame(dosages.T, index=pd.Index(chosen.samples["iid"]), columns=wanted)


def _rows(genotypes: Genotypes, wanted: list[str]) -> np.ndarray:
    listed = genotypes.variants["id"].isin(wanted).to_numpy().nonzero()[0]
    found: dict[str, list[int]] = {name: [] for name in wanted}
    for row, name in zip(listed, genotypes.variants["id"].to_numpy()[listed], strict=True):
        found[name].append(int(row))
    absent = [name for name, rows in found.items() if not rows]
    if absent:
        raise InputError(
            "a variant to condition on is not in the genotypes",
            where=", ".join(absent[:3]),
            found=f"{len(absent)} of {len(wanted)} absent",
            expected="names as in the genotype file",
            fix="check the names",
        )
    double = [name for name, rows in found.items() if len(rows) > 1]
    if double:
        raise InputError(
            "a variant to condition on is not the only one of its name",
            where=", ".join(double[:3]),
            found=f"{len(found[double[0]])} variants or ALT alleles",
            expected="one",
            fix="give each variant and allele a name of its own",
        )
    return np.array([rows[0] for rows in found.values()], dtype=np.int64)
