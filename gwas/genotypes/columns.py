"""A table of samples or variants that becomes a DataFrame only when somebody asks for one.

Importing pandas takes longer than counting a small file, and commands that count need no frame: they read names
as bytes and write them as bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gwas.kernels.text import TextColumn, text_of_strings

if TYPE_CHECKING:
    import pandas as pd

Index = npt.NDArray[np.int64]
Column = TextColumn | npt.NDArray[Any]


class Columns:
    """Named columns of one length.

    Parameters
    ----------
    held
        Cells as bytes where the frame has strings, else arrays, of the frame's dtypes.
    """

    def __init__(self, held: Mapping[str, Column]) -> None:
        self.held = dict(held)

    def __len__(self) -> int:
        first = next(iter(self.held.values()))
        return len(first.start if isinstance(first, TextColumn) else first)

    def take(self, rows: Index) -> Columns:
        """Some rows, in this order."""
        return Columns(
            {
                name: column.take(rows) if isinstance(column, TextColumn) else column[rows]
                for name, column in self.held.items()
            }
        )

    def frame(self) -> pd.DataFrame:
        """The same as a DataFrame, strings as objects."""
        import pandas as pd

        return pd.DataFrame(
            {
                name: pd.Series(column.strings(), dtype=object) if isinstance(column, TextColumn) else column
                for name, column in self.held.items()
            }
        )


class FrameField:
    """A field of :class:`gwas.genotypes.Genotypes` given a DataFrame or :class:`Columns`, and read as a frame."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type | None = None) -> pd.DataFrame:
        if instance is None:
            # a dataclass asks its class for a default, and there is none
            raise AttributeError(self.name)
        held = instance.__dict__[self.name]
        if isinstance(held, Columns):
            held = instance.__dict__[self.name] = held.frame()
        frame: pd.DataFrame = held
        return frame

    def __set__(self, instance: Any, value: pd.DataFrame | Columns) -> None:
        instance.__dict__[self.name] = value


def taken(table: pd.DataFrame | Columns, rows: Index) -> pd.DataFrame | Columns:
    """Some rows of either."""
    return table.take(rows) if isinstance(table, Columns) else table.iloc[rows].reset_index(drop=True)


def array_of(table: pd.DataFrame | Columns, name: str) -> npt.NDArray[Any]:
    """A column as an array, strings as objects."""
    column = table.held[name] if isinstance(table, Columns) else table[name].to_numpy()
    return np.array(column.strings(), dtype=object) if isinstance(column, TextColumn) else column


def text_of(table: pd.DataFrame | Columns, name: str) -> TextColumn:
    """A column of strings as bytes."""
    column = table.held[name] if isinstance(table, Columns) else table[name].tolist()
    return column if isinstance(column, TextColumn) else text_of_strings([str(value) for value in column])
