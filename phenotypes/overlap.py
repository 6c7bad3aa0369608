"""How definitions overlap: who is a case of both, and which was first."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from phenotypes.derivation import Derived


def overlap(derived: Derived, names: Sequence[str] | None = None) -> pd.DataFrame:
    """Cases that pairs of definitions share.

    Parameters
    ----------
    derived
        Result of ``derive``.
    names
        Phenotypes to compare; all where None.

    Returns
    -------
    DataFrame
        A row for each pair, in the order given: a, b; cases_a, cases_b, both int64; jaccard (both over
        either), of_a and of_b (shares of each that are cases of the other) float64, NaN where nobody could be;
        and of those with a date in both: a_first, same_day, b_first int64 and median_days (date of b less
        date of a). True counts.

    Examples
    --------
    >>> overlap(derived, ["type_2_diabetes", "hypertension"])  # doctest: +SKIP
    """
    chosen = list(derived.statuses) if names is None else list(names)
    rows = []
    for a, b in combinations(chosen, 2):
        one, other = derived.statuses[a], derived.statuses[b]
        _, i, j = np.intersect1d(one.who, other.who, assume_unique=True, return_indices=True)
        later = (other.days[j] - one.days[i]).astype(np.float64)
        later = later[~np.isnan(later)]
        n_a, n_b, both = len(one.who), len(other.who), len(i)
        rows.append(
            {
                "a": a,
                "b": b,
                "cases_a": n_a,
                "cases_b": n_b,
                "both": both,
                "jaccard": _share(both, n_a + n_b - both),
                "of_a": _share(both, n_a),
                "of_b": _share(both, n_b),
                "a_first": int((later > 0).sum()),
                "same_day": int((later == 0).sum()),
                "b_first": int((later < 0).sum()),
                "median_days": float(np.median(later)) if len(later) else np.nan,
            }
        )
    return pd.DataFrame(rows, columns=_COLUMNS)


_COLUMNS = [
    "a", "b", "cases_a", "cases_b", "both", "jaccard", "of_a", "of_b", "a_first", "same_day", "b_first",
    "median_days",
]  # fmt: skip


def _share(part: int, whole: int) -> float:
    return part / whole if whole else np.nan
