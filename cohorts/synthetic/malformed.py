"""Rows that a reader has to refuse: impossible dates, blank ids and codes, words for numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from cohorts.synthetic.tables import BAD_DATES, BAD_VALUES, BLANK, Column

#: How a column of each kind can go wrong, and with which keys.
BAD_KEYS: Mapping[str, tuple[int, ...]] = {
    "blank id": (BLANK,),
    "blank code": (BLANK,),
    "impossible date": tuple(BAD_DATES),
    "text in value": tuple(BAD_VALUES),
}


def spoil(
    columns: Mapping[str, Column],
    ways: Mapping[str, str],
    rate: float,
    rng: np.random.Generator,
) -> tuple[dict[str, Column], Counter[str]]:
    """Insert broken copies of rows next to their originals.

    Parameters
    ----------
    columns
        A table.
    ways
        Column to the way in which it goes wrong, a key of `BAD_KEYS`.
    rate
        Broken rows for each true one.
    rng
        Source of randomness.

    Returns
    -------
    columns : dict
        The table with broken rows; no true row is changed.
    counts : Counter
        Broken rows by way.
    """
    n = len(next(iter(columns.values())).keys)
    copies = np.sort(rng.integers(0, n, rng.poisson(rate * n))) if n else np.empty(0, np.int64)
    if len(copies) == 0:
        return dict(columns), Counter()
    at = np.arange(len(copies)) + copies + 1
    rows = np.insert(np.arange(n), copies + 1, copies)
    out = {name: replace(column, keys=column.keys[rows].astype(np.int64)) for name, column in columns.items()}
    chosen = rng.integers(0, len(ways), len(copies))
    counts: Counter[str] = Counter()
    for k, (name, way) in enumerate(ways.items()):
        mine = at[chosen == k]
        keys = np.array(BAD_KEYS[way])
        out[name].keys[mine] = keys[rng.integers(0, len(keys), len(mine))]
        if len(mine):
            counts[way] += len(mine)
    return out, counts
