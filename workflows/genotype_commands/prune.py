"""``careome prune``: OUT.prune.in and OUT.prune.out, lists of variants as PLINK 2 writes them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cohorts.errors import InputError
from gwas.frequencies import founders
from gwas.genotypes import Genotypes
from gwas.kernels.ld import Order
from gwas.ld import ld_prune
from workflows.genotype_commands.outcome import Outcome, Table


def tables(
    genotypes: Genotypes,
    *,
    threads: int,
    window: int,
    step: int,
    kb: float | None,
    r2: float,
    indep_order: int = 2,
) -> Outcome:
    """Choose variants none of which are in strong LD within a window, among founders.

    Variants without a place (chromosome 0) are in neither list, as in PLINK 2.
    """
    chrom = genotypes.variants["chrom"]
    placed = genotypes.select(variants=(chrom != "0").to_numpy(), samples=founders(genotypes))
    _refuse_disorder(placed)
    kept = np.zeros(placed.n_variants, dtype=np.bool_)
    order: Order = "plink1" if indep_order == 1 else "plink2"
    kept[ld_prune(placed, window=window, step=step, r2=r2, kb=kb, order=order, threads=threads)] = True
    ids = placed.variants[["id"]]
    notes = [
        f"{placed.n_samples} founders; {genotypes.n_variants - placed.n_variants} variants without a place",
        f"{int((~kept).sum())} variants removed, {int(kept.sum())} remain",
    ]
    if bool((chrom == "X").any()):
        notes.append("on X men weigh half, their heterozygous calls are missing")
    return Outcome(
        [Table("prune.in", ids[kept], header=False), Table("prune.out", ids[~kept], header=False)], notes
    )


def _refuse_disorder(genotypes: Genotypes) -> None:
    variants: pd.DataFrame = genotypes.variants
    back = (variants["pos"].diff() < 0) & (variants["chrom"] == variants["chrom"].shift())
    if (
        bool(back.any())
        or variants["chrom"].ne(variants["chrom"].shift()).sum() > variants["chrom"].nunique()
    ):
        raise InputError(
            "variants are not in order of position",
            where=genotypes.path.with_suffix(".bim"),
            expected="each chromosome in one piece, positions ascending",
            fix="sort the genotypes, e.g. with plink2 --sort-vars",
        )
