"""What may leave: counts of people are hidden below a threshold and rounded above it.

Every number of people in a cohort report passes through here. Counts below the threshold, zero among
them, become ``<10``; all others are rounded to the nearest five, and totals are sums of nothing: they are
rounded on their own, so that neither a margin nor a difference of two rows gives a hidden cell back
exactly. (OpenSAFELY redacts and rounds to 5; ACRO's threshold is 10 and treats zeros as disclosive.)
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import pandas as pd

ROUNDED_TO = 5


def released_count(count: float, *, minimum: int = 10) -> int | str:
    """A number of people as it may be shown.

    Parameters
    ----------
    count
        Number of people; missing counts as hidden.
    minimum
        Smallest number shown.

    Returns
    -------
    int or str
        The count to the nearest five, or ``"<10"``.

    Examples
    --------
    >>> released_count(7), released_count(0), released_count(12), released_count(1003)
    ('<10', '<10', 10, 1005)
    """
    if math.isnan(count) or count < minimum:
        return hidden(minimum)
    return max(minimum, int(ROUNDED_TO * math.floor(count / ROUNDED_TO + 0.5)))


def hidden(minimum: int = 10) -> str:
    """What stands in place of a hidden count."""
    return f"<{minimum}"


def released_frame(frame: pd.DataFrame, columns: Iterable[str], *, minimum: int = 10) -> pd.DataFrame:
    """A copy of a frame in which the named columns of people counts may be shown."""
    shown = frame.copy()
    for column in columns:
        shown[column] = [released_count(float(n), minimum=minimum) for n in frame[column]]
    return shown
