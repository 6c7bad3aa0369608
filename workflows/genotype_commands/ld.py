"""``careome ld``: OUT.vcor, pairs in linkage disequilibrium, or OUT.unphased.vcor2, the matrix of a region.

Columns and file names are those of PLINK 2's ``--r2-unphased`` and, signed, ``--r-unphased ref-based``.
"""

from __future__ import annotations

from typing import Final

import pandas as pd

from cohorts.errors import DesignError
from gwas.frequencies import founders
from gwas.genotypes import Genotypes
from gwas.ld_table import ld_pairs, ld_region
from workflows.genotype_commands.outcome import Outcome, Table, variant_columns

LARGEST_MATRIX: Final = 5000


def tables(
    genotypes: Genotypes,
    *,
    threads: int,
    signed: bool = False,
    window_kb: float = 1000.0,
    window_variants: int | None = None,
    r2: float = 0.2,
    square: bool = False,
) -> Outcome:
    """LD among founders: pairs within a window, or with ``square`` all pairs of one chromosome's variants."""
    placed = genotypes.select(
        variants=(genotypes.variants["chrom"] != "0").to_numpy(), samples=founders(genotypes)
    )
    notes = [
        f"{placed.n_samples} founders; {genotypes.n_variants - placed.n_variants} variants without a place"
    ]
    if bool((placed.variants["chrom"] == "X").any()):
        notes.append("on X men weigh half")
    if not placed.n_variants:
        raise DesignError("no variant has a place", fix="check the filters and chromosome names")
    if square:
        chroms, pos = placed.variants["chrom"].unique(), placed.variants["pos"]
        if len(chroms) > 1:
            raise DesignError(
                "a matrix is of one chromosome",
                found=f"variants of {len(chroms)}",
                fix="choose a region with --chr, --from-bp and --to-bp",
            )
        matrix, variants = ld_region(
            placed,
            chrom=chroms[0],
            start=int(pos.min()),
            stop=int(pos.max()),
            signed=signed,
            most=LARGEST_MATRIX,
        )
        name = "unphased.vcor1" if signed else "unphased.vcor2"
        files = [
            Table(name, pd.DataFrame(matrix), header=False),
            Table(f"{name}.vars", variants[["id"]], header=False),
        ]
        return Outcome(files, notes)
    pairs = ld_pairs(
        placed, window_kb=window_kb, window_variants=window_variants, r2=r2, signed=signed, threads=threads
    )
    return Outcome([Table("vcor", _vcor(placed, pairs, signed))], notes)


def _vcor(genotypes: Genotypes, pairs: pd.DataFrame, signed: bool) -> pd.DataFrame:
    columns = variant_columns(genotypes)
    known = {"#CHROM": columns["#CHROM"], "POS": genotypes.variants["pos"], "ID": columns["ID"]}
    if signed:
        known["REF"] = columns["REF"]
    frame = {
        f"{name if end == 'A' else name.lstrip('#')}_{end}": values.to_numpy()[pairs[of]]
        for end, of in (("A", "first"), ("B", "second"))
        for name, values in known.items()
    }
    return pd.DataFrame({**frame, "UNPHASED_R" if signed else "UNPHASED_R2": pairs["r" if signed else "r2"]})
