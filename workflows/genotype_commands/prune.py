"""``careome prune``: OUT.prune.in and OUT.prune.out, lists of variants as PLINK 2 writes them."""

from __future__ import annotations

import numpy as np

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
    chrom = genotypes.variant_text("chrom")
    anywhere, alone = ~chrom.equals("0"), founders(genotypes)
    placed = genotypes
    if not (anywhere.all() and alone.all()):
        placed = genotypes.select(variants=anywhere, samples=alone)
    _refuse_disorder(placed)
    kept = np.zeros(placed.n_variants, dtype=np.bool_)
    order: Order = "plink1" if indep_order == 1 else "plink2"
    kept[ld_prune(placed, window=window, step=step, r2=r2, kb=kb, order=order, threads=threads)] = True
    ids = placed.variant_text("id")
    notes = [
        f"{placed.n_samples} founders; {genotypes.n_variants - placed.n_variants} variants without a place",
        f"{int((~kept).sum())} variants removed, {int(kept.sum())} remain",
    ]
    if bool(chrom.equals("X").any()):
        notes.append("on X men weigh half, their heterozygous calls are missing")
    files = [
        Table(f"prune.{side}", {"ID": ids.take(np.flatnonzero(rows))}, header=False)
        for side, rows in (("in", kept), ("out", ~kept))
    ]
    return Outcome(files, notes)


def _refuse_disorder(genotypes: Genotypes) -> None:
    names, lengths = genotypes.variant_text("chrom").runs()
    back = np.diff(genotypes.variant_values("pos")) < 0
    back[np.cumsum(lengths)[:-1] - 1] = False
    if bool(back.any()) or len(set(names)) < len(names):
        raise InputError(
            "variants are not in order of position",
            where=genotypes.path.with_suffix(".bim"),
            expected="each chromosome in one piece, positions ascending",
            fix="sort the genotypes, e.g. with plink2 --sort-vars",
        )
