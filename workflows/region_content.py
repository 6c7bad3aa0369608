"""What the cohort report shows around lead variants: neighbours with their linkage, and genes."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from gwas.genotypes import Genotypes
from workflows.figures.genes import Genes
from workflows.figures.regional import region_of, with_linkage
from workflows.release import released_loci
from workflows.reports.content import Gene, Region

SHOWN: Final = 4
FLANK: Final = 250_000


def regions(
    results: pd.DataFrame, leads: pd.DataFrame, genotypes: Genotypes, genes: Genes
) -> tuple[Region, ...]:
    """The surroundings of the first lead variants of a trait.

    Parameters
    ----------
    results
        Results of the trait; variants seen in few copies are left out.
    leads
        Lead variants, strongest first, with ``#CHROM``, ``POS`` and ``ID``.
    genotypes
        Of the people analysed, in whom linkage disequilibrium is measured.
    genes
        Of the genotypes' build.
    """
    tested = released_loci(results[results["ERRCODE"] == "."])
    return tuple(_regions(tested, leads.head(SHOWN), genotypes, genes))


def _regions(
    tested: pd.DataFrame, leads: pd.DataFrame, genotypes: Genotypes, genes: Genes
) -> Iterator[Region]:
    for _, lead in leads.iterrows():
        chrom, pos = str(lead["#CHROM"]), int(lead["POS"])
        near = tested[(tested["#CHROM"].astype(str) == chrom) & ((tested["POS"] - pos).abs() <= FLANK)]
        region = with_linkage(region_of(near, trait=None, lead=f"{chrom}:{pos}", flank=FLANK), genotypes)
        start, stop = max(pos - FLANK, 1), pos + FLANK
        yield Region(
            lead=str(region["ID"][region["LEAD"]].iloc[0]),
            chrom=chrom,
            start=start,
            stop=stop,
            variant=region["ID"].to_numpy(dtype=str),
            pos=region["POS"].to_numpy(dtype=np.int64),
            log10_p=region["LOG10_P"].to_numpy(dtype=np.float64),
            r2=region["R2"].to_numpy(dtype=np.float64),
            genes=tuple(_gene(row) for row in genes.within(chrom, start, stop).to_dict("records")),
        )


def _gene(row: Mapping[Hashable, Any]) -> Gene:
    return Gene(**{str(key): value for key, value in row.items() if key != "chrom"})
