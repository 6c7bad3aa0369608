"""``careome freq``: OUT.afreq, or OUT.acount, with PLINK 2's columns."""

from __future__ import annotations

import pandas as pd

from gwas.frequencies import freq
from gwas.genotypes import Genotypes
from workflows.genotype_commands.outcome import Outcome, Table, variant_columns


def tables(genotypes: Genotypes, *, threads: int, counts: bool = False, nonfounders: bool = False) -> Outcome:
    """Frequencies of ALT, or with ``counts`` the counts behind them."""
    found = freq(genotypes, nonfounders=nonfounders)
    frame = variant_columns(genotypes)
    if counts:
        return Outcome([Table("acount", with_counts(frame, found))], [_who(nonfounders)])
    frame["ALT_FREQS"] = found["alt_freq"]
    frame["OBS_CT"] = found["allele_count"].astype(int)
    return Outcome([Table("afreq", frame)], [_who(nonfounders)])


def with_counts(frame: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """``frame`` with the columns ALT_CTS and OBS_CT of a .acount file."""
    return frame.assign(
        ALT_CTS=found["alt_count"].to_numpy(), OBS_CT=found["allele_count"].to_numpy().astype(int)
    )


def _who(nonfounders: bool) -> str:
    return "counted: everybody" if nonfounders else "counted: founders"
