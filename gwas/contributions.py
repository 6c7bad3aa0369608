"""What moves a person's risk from the average: Shapley values over groups of factors, exactly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import comb

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohorts.errors import DesignError
from gwas.absolute import Hazards

Floats = NDArray[np.float64]
MOST_GROUPS = 8


@dataclass(frozen=True)
class Contributions:
    """A person's risk taken apart.

    Parameters
    ----------
    reference
        Mean risk of the people compared with (probability).
    risk
        The person's risk (probability).
    parts
        Columns group, points: percentage points that the group adds, averaged over every order in which
        the groups could be brought in. A statistical contribution, not a cause.
    """

    reference: float
    risk: float
    parts: pd.DataFrame


def shapley(
    hazards: Hazards,
    split: Callable[[Floats], tuple[Floats, Floats]],
    mine: Floats,
    theirs: Floats,
    groups: Mapping[str, Sequence[int]],
) -> Contributions:
    """Exact Shapley values of the risk, the absent factors taken from each reference person in turn.

    Parameters
    ----------
    hazards
        The two hazards up to the horizon.
    split
        Splits factors (n, p) into those of the event's and those of death's model.
    mine
        The person's factors, shape (p,).
    theirs
        The reference people's, shape (r, p). Columns in no group are taken from `mine`.
    groups
        Name to column numbers; at most 8.

    Returns
    -------
    Contributions

    Raises
    ------
    DesignError
        If there are more than 8 groups: 2^groups coalitions are worked out.

    Notes
    -----
    Shapley 1953; the interventional value function v(S) = mean over reference people r of the risk with
    factors S of the person and the others of r.
    """
    names, k = list(groups), len(groups)
    if k > MOST_GROUPS:
        raise DesignError(
            "too many groups of factors", found=k, expected=f"at most {MOST_GROUPS}", fix="put some together"
        )
    theirs = theirs.copy()
    grouped = sorted({column for columns in groups.values() for column in columns})
    alone = np.setdiff1d(np.arange(mine.size), grouped)
    theirs[:, alone] = mine[alone]
    values = np.empty(2**k)
    for coalition in range(2**k):
        mixed = theirs.copy()
        for g, name in enumerate(names):
            if coalition >> g & 1:
                mixed[:, list(groups[name])] = mine[list(groups[name])]
        if coalition == 2**k - 1:
            mixed = mixed[:1]
        event, competing = split(mixed)
        values[coalition] = hazards.risk(
            event @ hazards.event.coefficients, competing @ hazards.competing.coefficients
        ).mean()
    points = np.zeros(k)
    for g in range(k):
        without = [c for c in range(2**k) if not c >> g & 1]
        for c in without:
            size = c.bit_count()
            points[g] += (values[c | 1 << g] - values[c]) / (k * comb(k - 1, size))
    parts = pd.DataFrame({"group": names, "points": 100 * points})
    return Contributions(reference=float(values[0]), risk=float(values[-1]), parts=parts)
