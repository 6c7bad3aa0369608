"""``careome compare-reference``: OUT.refcmp, alleles, strand and frequency beside a reference's."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gwas.frequencies import freq
from gwas.genotypes import Genotypes
from gwas.reference_comparison import MAX_DIFFERENCE, class_counts, compare_reference, read_reference
from workflows.genotype_commands.outcome import Outcome, Table, variant_columns


def tables(
    genotypes: Genotypes,
    *,
    threads: int,
    reference: Path,
    reference_column: str | None = None,
    max_difference: float = MAX_DIFFERENCE,
) -> Outcome:
    """One row a variant, and a table of how many are of each class; frequencies are founders'."""
    theirs = read_reference(reference, frequency_column=reference_column)
    ours = freq(genotypes)
    found = compare_reference(ours, theirs, max_difference=max_difference)
    frame = variant_columns(genotypes)
    frame.insert(1, "POS", genotypes.variants["pos"].to_numpy())
    frame = frame.assign(
        CLASS=found["class"].str.replace(", ", "-").str.replace(" ", "_"),
        SWAPPED=found["swapped"].astype(int),
        FLIPPED=found["flipped"].astype(int),
        ALT_FREQS=ours["alt_freq"].to_numpy(),
        OBS_CT=np.rint(ours["allele_count"].to_numpy()).astype(int),
        REF_PANEL_ALT_FREQ=found["reference_freq"],
        DIFF=found["difference"],
        LOG10_P=found["log10_p"],
        FST=found["fst"],
        OUTLIER=found["outlier"].astype(int),
    )
    counts = class_counts(found)
    notes = [f"{row.variants} variants {row[1]}: {row.meaning}" for row in counts.itertuples()]
    notes.append(
        f"{int(found['outlier'].sum())} variants differ by more than {max_difference:g} and by more than chance"
    )
    summary = counts.assign(**{"class": counts["class"].str.replace(", ", "-").str.replace(" ", "_")})
    summary.columns = ["CLASS", "VARIANTS", "MEANING"]
    return Outcome([Table("refcmp", frame), Table("refcmp.summary", summary)], notes)
