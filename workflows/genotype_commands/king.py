"""``careome king``: OUT.kin0, and OUT.king.cutoff.in.id and .out.id, with PLINK 2's columns."""

from __future__ import annotations

from typing import Final

import numpy as np

from cohorts.errors import DesignError
from gwas.counts import AUTOSOME, variant_group
from gwas.genotypes import Genotypes
from gwas.relatedness import king_pairs, unrelated
from workflows.genotype_commands.outcome import Outcome, Table, sample_cells

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
    related = king_pairs(genotypes, at_least=wanted, threads=threads)
    chosen = np.arange(len(related.kinship))
    if king_table_filter is not None:
        chosen = np.flatnonzero(related.kinship >= lowest)
    # PLINK 2 names the later sample first and orders by it.
    chosen = chosen[np.argsort(related.row2[chosen] * n + related.row1[chosen])]
    ids = sample_cells(genotypes)
    first, second = related.row2[chosen], related.row1[chosen]
    columns = {
        **{f"{name}1": cells.take(first) for name, cells in ids.items()},
        **{f"{name.lstrip('#')}2": cells.take(second) for name, cells in ids.items()},
        "NSNP": related.nsnp[chosen],
        "HETHET": related.hethet[chosen],
        "IBS0": related.ibs0[chosen],
        "KINSHIP": related.kinship[chosen],
    }
    files = [Table("kin0", columns)]
    autosomal = int((variant_group(genotypes) == AUTOSOME).sum())
    notes = [f"{autosomal} autosomal variants, {pairs} pairs, {len(chosen)} listed"]
    if king_cutoff is not None:
        close = related.kinship > king_cutoff
        joined = {name: getattr(related, name)[close] for name in ("row1", "row2", "kinship")}
        kept = unrelated(n, joined, above=king_cutoff)
        for side, rows in (("in", kept), ("out", ~kept)):
            people = {name: cells.take(np.flatnonzero(rows)) for name, cells in ids.items()}
            files.append(Table(f"king.cutoff.{side}.id", people))
        notes.append(f"--king-cutoff {king_cutoff:g}: {int((~kept).sum())} removed, {int(kept.sum())} remain")
    return Outcome(files, notes)
