"""Text columns held as integer keys until the moment they are handed over.

A million event rows have a few thousand distinct dates, codes and values. Each column is therefore an
array of integer keys with a function that renders a *distinct* key as text; faults are planted as keys
that no true row has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Ints = NDArray[np.int64] | NDArray[np.int32] | NDArray[np.int16] | NDArray[np.int8]

#: A day that never comes (an open end, a disease that never starts).
NEVER = 2**30
#: Keys that render as nothing, and as dates that no calendar has.
BLANK = -90_000
BAD_DATES: Mapping[int, str] = {
    -90_001: "2013-02-30",
    -90_002: "2009-13-05",
    -90_003: "0000-00-00",
    -90_004: "unknown",
}
BAD_VALUES: Mapping[int, str] = {-90_005: "see letter", -90_006: "sample haemolysed", -90_007: "-"}

_EPOCH = date(1970, 1, 1).toordinal()


def day(when: date) -> int:
    """Days since 1970-01-01, the calendar of this package."""
    return when.toordinal() - _EPOCH


@dataclass(frozen=True)
class Column:
    """Keys of a column, and how a distinct key reads as text."""

    keys: Ints
    render: Callable[[Ints], Sequence[str]]

    def take(self, rows: NDArray[np.int64]) -> Column:
        """The same column at `rows`."""
        return replace(self, keys=self.keys[rows])

    def categorical(self) -> pd.Categorical:
        """The column as text, each distinct text held once."""
        if len(self.keys) == 0:
            return pd.Categorical.from_codes([], categories=pd.Index([], dtype=object))
        keys = self.keys.astype(np.int64)
        low = int(keys.min())
        span = int(keys.max()) - low + 1
        if span > 4 * len(keys) + 1_000_000:
            used, codes = np.unique(keys, return_inverse=True)
        else:
            present = np.bincount(keys - low, minlength=span) > 0
            used = np.flatnonzero(present) + low
            codes = (np.cumsum(present) - 1)[keys - low]
        return pd.Categorical.from_codes(
            codes.astype(np.int32), categories=pd.Index(list(self.render(used)), dtype=object)
        )


def frame(columns: Mapping[str, Column]) -> pd.DataFrame:
    """Columns as one frame of text."""
    return pd.DataFrame({name: column.categorical() for name, column in columns.items()}, copy=False)


def dates(days: Ints) -> Column:
    """Days as ISO dates; `NEVER` and `BLANK` read as nothing."""
    return Column(np.where(days >= NEVER, BLANK, days).astype(np.int32), _iso)


def _iso(keys: Ints) -> list[str]:
    good = keys > BLANK
    out = np.datetime_as_string(np.where(good, keys, 0).astype("datetime64[D]")).astype(object)
    out[~good] = [BAD_DATES.get(int(key), "") for key in keys[~good]]
    return list(out)


def listed(keys: Ints, texts: Sequence[str]) -> Column:
    """Positions in a list of texts; negative positions read as nothing."""

    def render(used: Ints) -> list[str]:
        return [texts[key] if key >= 0 else "" for key in used]

    return Column(keys, render)


def hundredths(keys: Ints) -> Column:
    """Numbers held in hundredths; `BLANK` reads as nothing, planted bad values as text."""

    def render(used: Ints) -> list[str]:
        return [
            BAD_VALUES.get(int(k), "") if k <= BLANK else f"{k / 100:.2f}".rstrip("0").rstrip(".")
            for k in used
        ]

    return Column(keys, render)
