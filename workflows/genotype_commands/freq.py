"""``careome freq``: OUT.afreq, or OUT.acount, with PLINK 2's columns; and what else the same pass can count."""

from __future__ import annotations

import numpy as np

from gwas.counts import Tally, in_one_pass
from gwas.frequencies import Alleles, AlleleTally, alleles
from gwas.genotypes import Genotypes
from gwas.missingness import MissingTally
from workflows.genotype_commands.hardy import HardyTally, tests_of
from workflows.genotype_commands.missing import rates_of
from workflows.genotype_commands.outcome import Outcome, Table, variant_cells


def tables(
    genotypes: Genotypes,
    *,
    threads: int,
    counts: bool = False,
    nonfounders: bool = False,
    missing: bool = False,
    hardy: bool = False,
    midp: bool = False,
) -> Outcome:
    """Frequencies of ALT, or with ``counts`` the counts behind them; missing calls and tests if asked."""
    # dosages are read for themselves; whatever is counted of hard calls shares one pass
    dosed = genotypes.values == "dosage"
    called = None if dosed else AlleleTally(genotypes, nonfounders=nonfounders)
    lacking = MissingTally(genotypes) if missing else None
    tests = HardyTally(genotypes, nonfounders=nonfounders) if hardy else None
    asked: list[Tally] = [tally for tally in (called, lacking, tests) if tally is not None]
    if asked:
        in_one_pass(genotypes, *asked)
    found = alleles(genotypes, nonfounders=nonfounders) if called is None else called.alleles()
    outcomes = [_frequencies(genotypes, found, counts=counts, nonfounders=nonfounders)]
    if lacking is not None:
        outcomes.append(rates_of(genotypes, lacking.calls()))
    if tests is not None:
        outcomes.append(tests_of(genotypes, tests, midp=midp))
    return Outcome(
        [table for outcome in outcomes for table in outcome.tables],
        [note for outcome in outcomes for note in outcome.notes],
    )


def _frequencies(genotypes: Genotypes, found: Alleles, *, counts: bool, nonfounders: bool) -> Outcome:
    variants, total = variant_cells(genotypes), found.total.astype(np.int64)
    who = "counted: everybody" if nonfounders else "counted: founders"
    if counts:
        return Outcome([Table("acount", {**variants, "ALT_CTS": found.alt, "OBS_CT": total})], [who])
    return Outcome([Table("afreq", {**variants, "ALT_FREQS": found.frequency, "OBS_CT": total})], [who])
