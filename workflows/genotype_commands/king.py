"""``careome king``: OUT.kin0, and OUT.king.cutoff.in.id and .out.id, with PLINK 2's columns."""

from __future__ import annotations

from typing import Final

import numpy as np

from cohorts.errors import DesignError
from gwas.counts import AUTOSOME, variant_group
from gwas.genotypes import Genotypes
from gwas.relatedness import kinship, unrelated
from workflows.genotype_commands.outcome import Outcome, Table, sample_columns

MOST_PAIRS: Final = 20_000_000


def tables(
    genotypes: Genotypes,
    *,
    threads: int,
    king_table_filter: float | None = None,
    king_cutoff: float | None = None,
) -> Outcome:
    """KING-robust kinship of pairs, and a maximal set of people none of whom are related beyond a cutoff."""
    n = genotypes.n_samples
    pairs = n * (n - 1) // 2
    if king_table_filter is None and pairs > MOST_PAIRS:
        raise DesignError(
            "a table of all pairs would be very large",
            found=f"{pairs} pairs of {n} samples",
            expected=f"at most {MOST_PAIRS} without a filter",
            fix="give --king-table-filter, e.g. 0.0442 for the third degree",
        )
    lowest = -np.inf if king_table_filter is None else king_table_filter
    wanted = lowest if king_cutoff is None else min(lowest, king_cutoff)
    related = kinship(genotypes, at_least=wanted, threads=threads)
    # PLINK 2 names the later sample first and orders by it.
    listed = related if king_table_filter is None else related[related["kinship"] >= lowest]
    listed = listed.sort_values(["row2", "row1"], kind="stable")
    ids = sample_columns(genotypes)
    names = [str(name) for name in ids.columns]
    first, second = ids.iloc[listed["row2"]], ids.iloc[listed["row1"]]
    columns = {
        **{f"{name}1": first[name].to_numpy() for name in names},
        **{f"{name.lstrip('#')}2": second[name].to_numpy() for name in names},
        "NSNP": listed["nsnp"].to_numpy(),
        "HETHET": listed["hethet"].to_numpy(),
        "IBS0": listed["ibs0"].to_numpy(),
        "KINSHIP": listed["kinship"].to_numpy(),
    }
    files = [Table("kin0", listed[[]].assign(**columns))]
    autosomal = int((variant_group(genotypes) == AUTOSOME).sum())
    notes = [f"{autosomal} autosomal variants, {pairs} pairs, {len(listed)} listed"]
    if king_cutoff is not None:
        kept = unrelated(n, related, above=king_cutoff)
        files += [Table("king.cutoff.in.id", ids[kept]), Table("king.cutoff.out.id", ids[~kept])]
        notes.append(f"--king-cutoff {king_cutoff:g}: {int((~kept).sum())} removed, {int(kept.sum())} remain")
    return Outcome(files, notes)
