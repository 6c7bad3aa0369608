"""What holds records prints counts and columns, never a row.

A notebook shows the last value of a cell. For whatever holds people's records that must not be their rows:
who wants rows asks for a frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

_NAMES_SHOWN = 12


class WithoutRows:
    """Base of dataclasses that hold records: give them ``@dataclass(repr=False)``.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass(repr=False)
    ... class Found(WithoutRows):
    ...     on: date
    ...     persons: pd.DataFrame
    >>> Found(date(2020, 1, 1), pd.DataFrame({"person_id": [7, 8], "sex": ["F", "M"]}))
    Found(on: 2020-01-01; persons: 2 rows of person_id, sex)
    """

    def __repr__(self) -> str:
        told = (f"{field.name}: {_told(getattr(self, field.name))}" for field in fields(self) if field.repr)  # type: ignore[arg-type]
        return f"{type(self).__name__}({'; '.join(told)})"


def _told(value: Any) -> str:
    if isinstance(value, pd.DataFrame):
        return f"{len(value):,} rows of {_listed(value.columns)}"
    if isinstance(value, pd.Series | pd.Index | np.ndarray):
        return f"{len(value):,} values"
    if isinstance(value, Mapping):
        # keys that are not names may be people
        return _listed(value) if all(isinstance(key, str) for key in value) else f"{len(value):,} entries"
    if value is None or isinstance(value, bool | float | date):
        return str(value)
    return (
        f"{len(value):,} items" if isinstance(value, tuple | list | set | frozenset) else type(value).__name__
    )


def _listed(names: Any) -> str:
    listed = [str(name) for name in names]
    more = f" and {len(listed) - _NAMES_SHOWN} more" if len(listed) > _NAMES_SHOWN else ""
    return ", ".join(listed[:_NAMES_SHOWN]) + more if listed else "nothing"
