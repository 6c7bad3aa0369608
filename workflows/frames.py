"""Rows and cells of frames as plain values, for writing about them."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any

import pandas as pd


def each_row(frame: pd.DataFrame) -> Iterator[Any]:
    """Rows as named tuples, without the index.

    Examples
    --------
    >>> [row.n + 1 for row in each_row(pd.DataFrame({"n": [1, 2]}))]
    [2, 3]
    """
    yield from frame.itertuples(index=False)


def row_of(frame: pd.DataFrame, label: Hashable) -> Any:
    """One row as a Series, by its label, which must be unique.

    Raises
    ------
    KeyError
        If there is no such row or more than one.
    """
    found: Any = frame.loc[label]  # type: ignore[call-overload]
    if not isinstance(found, pd.Series):
        raise KeyError(f"{len(found)} rows have one label")
    return found


def cell(frame: pd.DataFrame, label: Hashable, column: str) -> Any:
    """One value, by row label and column."""
    return frame.at[label, column]
