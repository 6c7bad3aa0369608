"""Clumping and thresholding: independent lead variants of summary statistics, and weights from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohorts.errors import DesignError, InputError
from gwas.genotypes import Genotypes
from gwas.polygenic.linkage import haplotype_r2, squared_correlation
from gwas.polygenic.matching import USED, match, require_used
from gwas.polygenic.weights import Weights, make_weights, weights_from_sumstats

Floats = NDArray[np.float64]
THRESHOLDS: Final = (5e-8, 1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.05, 0.1, 0.5, 1.0)
Linkage = Literal["haplotype", "correlation"]
LINKAGE: Final[dict[str, Callable[[NDArray[np.int8], NDArray[np.int8]], Floats]]] = {
    "haplotype": haplotype_r2,
    "correlation": squared_correlation,
}


@dataclass(frozen=True, eq=False)
class Clumps:
    """Lead variants and what they stand for.

    Parameters
    ----------
    leads
        One row a lead, most significant first: row (of the summary statistics), chrom, pos, id,
        log10_p (-log10 P), members (how many others it stands for).
    members
        One row a clumped variant: row, lead (row of its lead), r2.
    weights
        Effects of all rows of the summary statistics.
    log10_p
        -log10 P of all rows.
    flow
        How many rows are left after each step.
    """

    leads: pd.DataFrame
    members: pd.DataFrame
    weights: Weights
    log10_p: Floats
    flow: pd.DataFrame


def clump(
    sumstats: pd.DataFrame,
    genotypes: Genotypes,
    *,
    p: float = 1.0,
    p2: float = 1.0,
    r2: float = 0.1,
    kb: float = 250.0,
    linkage: Linkage = "haplotype",
    name: str = "sumstats",
    build: str | None = None,
) -> Clumps:
    """Pick lead variants greedily by P; each takes away the variants in linkage disequilibrium with it.

    Parameters
    ----------
    sumstats
        Summary statistics as :func:`weights_from_sumstats` takes them, with LOG10_P (-log10 P, preferred:
        it cannot underflow) or P.
    genotypes
        People in whom linkage disequilibrium is measured; unrelated, of the ancestry of the study.
    p
        Largest P of a lead.
    p2
        Largest P of a variant that a lead takes away.
    r2
        A variant with r^2 at or above this to a lead belongs to it.
    kb
        A lead reaches this far, in thousands of bases, to either side.
    linkage
        r^2 from maximum-likelihood ``haplotype`` frequencies, as PLINK 1.9's --clump, or the squared
        ``correlation`` of allele counts.
    name, build
        Name of the weights, and build of the positions.

    Returns
    -------
    Clumps

    Raises
    ------
    InputError
        If columns are absent or no variant is in both.
    DesignError
        If `p2` is below `p`.

    Notes
    -----
    As PLINK 1.9 --clump --clump-p1/-p2/-r2/-kb; pairs are compared over the people with both genotypes.
    Of equal P the earlier row leads.
    """
    if p2 < p:
        raise DesignError("p2 is below p", found=f"p {p:g}, p2 {p2:g}", expected="p at most p2")
    weights = weights_from_sumstats(sumstats, name=name, build=build)
    log10_p = _minus_log10_p(sumstats, name)
    matched = match(weights, genotypes.variants, by="auto", palindromic="keep")
    require_used(matched)
    found = matched.table
    usable = (found["status"] == USED).to_numpy() & np.isfinite(log10_p)
    looked_at = usable & (log10_p >= -np.log10(p2) - 1e-12)
    flow = pd.DataFrame(
        {
            "step": ["in the summary statistics", "in the genotypes with a P", f"P at most {p2:g}"],
            "remaining": [len(found), int(usable.sum()), int(looked_at.sum())],
        }
    )
    rows = np.flatnonzero(looked_at)
    variant = found["variant"].to_numpy()[rows]
    place = genotypes.variants.iloc[variant]
    leads: list[tuple[int, int]] = []
    members: list[tuple[int, int, float]] = []
    for chrom in pd.unique(place["chrom"]):
        inside = np.flatnonzero((place["chrom"] == chrom).to_numpy())
        inside = inside[np.argsort(place["pos"].to_numpy()[inside], kind="stable")]
        calls = _read(genotypes, variant[inside])
        one, theirs = _greedy(
            calls, place["pos"].to_numpy()[inside], log10_p[rows[inside]], rows[inside],
            least=-np.log10(p), least_member=-np.log10(p2), r2=r2, reach=kb * 1000, measure=LINKAGE[linkage],
        )  # fmt: skip
        leads += [(rows[inside[k]], n) for k, n in one]
        members += [(rows[inside[k]], rows[inside[lead]], value) for k, lead, value in theirs]
    table = found.loc[[row for row, _ in leads], ["chrom", "pos", "id"]].reset_index(drop=True)
    table.insert(0, "row", [row for row, _ in leads])
    table["log10_p"] = log10_p[table["row"].to_numpy(dtype=np.int64)]
    table["members"] = [n for _, n in leads]
    order = np.lexsort((table["row"], -table["log10_p"]))
    return Clumps(
        leads=table.iloc[order].reset_index(drop=True),
        members=pd.DataFrame(members, columns=["row", "lead", "r2"]),
        weights=weights,
        log10_p=log10_p,
        flow=pd.concat([flow, pd.DataFrame({"step": ["leads after clumping"], "remaining": [len(table)]})]),
    )


def threshold(clumps: Clumps, *, thresholds: Sequence[float] = THRESHOLDS) -> list[Weights]:
    """Make one score of the leads below each P threshold.

    Parameters
    ----------
    clumps
        Leads.
    thresholds
        P values; a threshold that no lead passes, or that adds none to the one before, gives no score.

    Returns
    -------
    list of Weights
        Named ``NAME_p5e-08``; effects are those of the summary statistics, with their standard errors,
        and their alleles are on the strand of the genotypes.

    Raises
    ------
    DesignError
        If no lead passes any threshold.
    """
    made: list[Weights] = []
    for cut in sorted(thresholds):
        chosen = clumps.leads[clumps.leads["log10_p"] >= -np.log10(cut) - 1e-12]
        if chosen.empty or (made and len(made[-1]) == len(chosen)):
            continue
        frame = clumps.weights.frame.iloc[np.sort(chosen["row"].to_numpy())]
        made.append(
            make_weights(
                f"{clumps.weights.name}_p{cut:g}",
                frame,
                build=clumps.weights.build,
                header={"method": "clumping and thresholding", "p": f"{cut:g}"},
                same_strand=True,
            )
        )
    if not made:
        best = clumps.leads["log10_p"].max() if len(clumps.leads) else float("nan")
        raise DesignError(
            "no lead variant passes a threshold",
            found=f"best -log10 P {best:.1f}",
            expected=f"P <= {max(thresholds)}",
        )
    return made


def _minus_log10_p(sumstats: pd.DataFrame, name: str) -> Floats:
    if "LOG10_P" in sumstats:
        return sumstats["LOG10_P"].to_numpy(dtype=np.float64, na_value=np.nan)
    if "P" not in sumstats:
        raise InputError("summary statistics lack columns", where=name, found="no LOG10_P or P")
    p = sumstats["P"].to_numpy(dtype=np.float64, na_value=np.nan)
    inside = np.isfinite(p) & (p >= 0) & (p <= 1)
    return np.asarray(-np.log10(np.where(inside, np.maximum(p, 5e-324), np.nan)))


def _read(genotypes: Genotypes, variants: NDArray[np.int64]) -> NDArray[np.int8]:
    """All calls of some variants in the order asked, (m, n) int8: one chromosome's at a time."""
    parts = [block.dosages() for block in genotypes.select(variants=variants).blocks(4096)]
    return np.vstack(parts) if parts else np.zeros((0, genotypes.n_samples), dtype=np.int8)


def _greedy(
    calls: NDArray[np.int8],
    pos: NDArray[np.int64],
    log10_p: Floats,
    rows: NDArray[np.intp],
    *,
    least: float,
    least_member: float,
    r2: float,
    reach: float,
    measure: Callable[[NDArray[np.int8], NDArray[np.int8]], Floats],
) -> tuple[list[tuple[int, int]], list[tuple[int, int, float]]]:
    """Leads (index, members) and members (index, lead, r2) of one chromosome, sorted by position."""
    free = np.ones(pos.size, dtype=bool)
    leads: list[tuple[int, int]] = []
    members: list[tuple[int, int, float]] = []
    left = np.searchsorted(pos, pos - reach, side="left")
    right = np.searchsorted(pos, pos + reach, side="right")
    for k in np.lexsort((rows, -log10_p)):
        if log10_p[k] < least - 1e-12:
            break
        if not free[k]:
            continue
        free[k] = False
        near = slice(left[k], right[k])
        window = left[k] + np.flatnonzero(free[near] & (log10_p[near] >= least_member - 1e-12))
        if not window.size:
            leads.append((int(k), 0))
            continue
        values = measure(calls[k], calls[window])
        linked = values >= r2
        free[window[linked]] = False
        leads.append((int(k), int(linked.sum())))
        members += [(int(i), int(k), float(v)) for i, v in zip(window[linked], values[linked], strict=True)]
    return leads, members
