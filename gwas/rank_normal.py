"""Rank-based inverse normal transform of quantitative traits.

Two conventions are in use. REGENIE (``--apply-rint``) takes Blom's scores, Φ⁻¹((r - 3/8) / (n + 1/4)), among the
people analysed; PLINK 2 (``--pheno-quantile-normalize``) takes Φ⁻¹((r - 1/2) / n) among everyone who has the
phenotype, before people without covariates are left out. Ties have their mean rank in both.

References: Blom G. Statistical Estimates and Transformed Beta-Variables. Wiley 1958; Beasley TM, Erickson S, Allison
DB. Behav Genet 2009;39:580-595 (https://doi.org/10.1007/s10519-009-9281-0).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from gwas.design import Design, Floats

RankNormal = Literal["blom", "plink"]
OFFSETS: Final = {"blom": 3 / 8, "plink": 1 / 2}


def rank_normal(values: npt.ArrayLike, *, offset: float = 3 / 8) -> Floats:
    """Normal scores Φ⁻¹((r - c) / (n + 1 - 2 c)) of ranks r.

    Parameters
    ----------
    values
        (n,); NaN is missing, stays missing and is not counted.
    offset
        c: 3/8 is Blom's, 1/2 PLINK 2's.

    Returns
    -------
    float64 (n,)

    Examples
    --------
    >>> rank_normal([3.0, 1.0, np.nan, 2.0, 2.0]).round(3).tolist()
    [1.049, -1.049, nan, 0.0, 0.0]
    """
    from scipy.special import ndtri
    from scipy.stats import rankdata

    given = np.asarray(values, dtype=np.float64)
    known = ~np.isnan(given)
    scores = np.full(given.shape, np.nan)
    n = int(known.sum())
    scores[known] = ndtri((rankdata(given[known]) - offset) / (n + 1 - 2 * offset))
    return scores


def rank_normal_design(design: Design, method: RankNormal) -> Design:
    """Transform every quantitative trait of a design within its own people.

    Parameters
    ----------
    design
        From :func:`gwas.design.make_design`.
    method
        ``blom``: Blom's scores among the people analysed for the trait (REGENIE). ``plink``: PLINK 2's scores
        among all who have the trait.

    Returns
    -------
    Design
        With the transform named in the coding of each transformed trait.
    """
    traits = []
    for trait in design.traits:
        if trait.kind == "quantitative":
            values = np.where(design.mask(trait), trait.values, np.nan) if method == "blom" else trait.values
            scores = rank_normal(values, offset=OFFSETS[method])
            traits.append(replace(trait, values=scores, coding=f"rank-normalised ({method})"))
        else:
            traits.append(trait)
    return replace(design, traits=tuple(traits))
