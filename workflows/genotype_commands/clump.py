"""``careome clump``: OUT.clumps, independent lead variants of summary statistics, with PLINK 2's columns.

The leads are those of PLINK 1.9's and 2's ``--clump``: r2 is of maximum-likelihood haplotype frequencies in
founders. A lead takes away every variant linked to it, whatever its P; SP2 names those with P below p2.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from cohorts.errors import DesignError
from gwas.frequencies import founders
from gwas.genotypes import Genotypes
from gwas.polygenic.clumping import Clumps, Linkage, clump
from gwas.sumstats_reader import read_sumstats
from gwas.sumstats_writers import as_results
from gwas.tails import p_text
from workflows.genotype_commands.outcome import Outcome, Table

BINS: Final = (0.05, 0.01, 0.001, 0.0001)


def tables(
    genotypes: Genotypes,
    *,
    threads: int,
    clump_file: Path,
    p1: float,
    p2: float,
    r2: float,
    kb: float,
    unphased: bool = False,
    trait: str | None = None,
) -> Outcome:
    """Clump the summary statistics in a file (or of `trait` in a folder) by LD among the founders."""
    read = read_sumstats(clump_file, trait=trait)
    results = as_results(read)
    people = genotypes.select(samples=founders(genotypes))
    near = _near_a_candidate(results, p1=p1, kb=kb)
    if not near.any():
        best = float(results["LOG10_P"].max())
        raise DesignError(
            "no variant has a P small enough to lead a clump",
            where=clump_file,
            found=f"smallest P 1e-{best:.2f}",
            expected=f"P <= {p1:g}",
            fix="raise --clump-p1",
        )
    linkage: Linkage = "correlation" if unphased else "haplotype"
    # PLINK counts linked variants of any P, so that nothing but r2 and distance makes a member here.
    results = results[near].reset_index(drop=True)
    found = clump(
        results, people, p=p1, p2=1.0, r2=r2, kb=kb, linkage=linkage,
        name=str(clump_file), build=read.build,
    )  # fmt: skip
    origin = read.origin
    notes = [
        f"{len(read)} variants in {clump_file.name}"
        + (f"; left out: {origin.left_out}" if origin is not None and origin.left_out else ""),
        f"{len(results)} within {kb:g} kb of a variant with P <= {p1:g}",
        f"r2 of {linkage}s in {people.n_samples} founders" if linkage == "haplotype"
        else f"r2 of allele counts in {people.n_samples} founders",
    ]  # fmt: skip
    return Outcome([Table("clumps", _clumps(found, results["ID"], p2=p2))], notes)


def _near_a_candidate(results: pd.DataFrame, *, p1: float, kb: float) -> np.ndarray:
    """Which rows a lead could be or reach: LD need be known of them alone."""
    near = np.zeros(len(results), dtype=bool)
    strong = (results["LOG10_P"] >= -np.log10(p1) - 1e-12).to_numpy()
    pos = results["POS"].to_numpy(dtype=np.int64)
    for rows in results.groupby("#CHROM", sort=False).indices.values():
        leads = np.sort(pos[rows[strong[rows]]])
        if leads.size:
            after = np.searchsorted(leads, pos[rows] - kb * 1000, side="left")
            near[rows] = (after < leads.size) & (
                leads[np.minimum(after, leads.size - 1)] <= pos[rows] + kb * 1000
            )
    return near


def _clumps(found: Clumps, ids: pd.Series, *, p2: float) -> pd.DataFrame:
    """PLINK 2's default columns, one row a lead, most significant first."""
    members = found.members.assign(
        log10_p=found.log10_p[found.members["row"].to_numpy(dtype=np.int64)],
        id=ids.to_numpy()[found.members["row"].to_numpy(dtype=np.int64)],
    )
    members["bin"] = np.searchsorted(-np.log10(BINS), members["log10_p"], side="left")
    of = {lead: rows.sort_values("row") for lead, rows in members.groupby("lead", sort=False)}
    counts = np.zeros((len(found.leads), len(BINS) + 1), dtype=np.int64)
    names: list[str] = []
    for at, lead in enumerate(found.leads["row"].tolist()):
        mine = of.get(lead, members.iloc[:0])
        counts[at] = np.bincount(mine["bin"], minlength=len(BINS) + 1)
        names.append(",".join(mine.loc[mine["log10_p"] > -np.log10(p2), "id"]) or ".")
    return pd.DataFrame(
        {
            "#CHROM": found.leads["chrom"],
            "POS": found.leads["pos"],
            "ID": ids.to_numpy()[found.leads["row"].to_numpy(dtype=np.int64)],
            "P": p_text(found.leads["log10_p"].to_numpy()),
            "TOTAL": counts.sum(axis=1),
            **dict(zip(("NONSIG", *(f"S{cut:g}" for cut in BINS)), counts.T, strict=True)),
            "SP2": names,
        }
    )
