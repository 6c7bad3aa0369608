"""Values of people by their IDs: what phenotypes and covariates are before a design aligns them to genotypes.

A table is made of a DataFrame where somebody has one. Importing pandas takes longer than testing a small file, and
commands that read text and write text need no frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cohorts.errors import DesignError

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Values = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class PersonTable:
    """One row a person.

    Attributes
    ----------
    ids
        Each once.
    columns
        Name → float64 (n,), NaN where missing, or object (n,) of text, None where missing.

    Examples
    --------
    >>> table = PersonTable(["a", "b"], {"height": np.array([1.5, 1.6])})
    >>> table.aligned(["b", "c"])["height"].tolist()
    [1.6, nan]
    """

    ids: Sequence[Any]
    columns: Mapping[str, Values]

    @classmethod
    def of(cls, frame: pd.DataFrame, what: str) -> PersonTable:
        """From a DataFrame with IDs as its index; `what` is what it holds, for messages.

        Raises
        ------
        DesignError
            A column's name occurs twice.
        """
        refuse_repeats(map(str, frame.columns), f"{what} name", what)
        return cls(frame.index.tolist(), {str(name): _values(frame[name]) for name in frame.columns})

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, name: str) -> Values:
        return self.columns[name]

    def is_text(self, name: str) -> bool:
        """Whether a column holds text."""
        return self.columns[name].dtype == object

    @cached_property
    def _place(self) -> dict[Any, int]:
        return {person: row for row, person in enumerate(self.ids)}

    def holds(self, people: Iterable[Any]) -> bool:
        """Whether anybody of these is here."""
        return any(person in self._place for person in people)

    def aligned(self, people: Sequence[Any]) -> PersonTable:
        """The same for these people, in this order; who is not here has no values."""
        if list(self.ids) == list(people):
            return self
        at = np.array([self._place.get(person, -1) for person in people], dtype=np.int64)
        none = at < 0
        found = {}
        for name, values in self.columns.items():
            found[name] = values[at] if len(values) else np.empty(len(at), dtype=values.dtype)
            found[name][none] = None
        return PersonTable(people, found)

    def of_rows(self, chosen: npt.NDArray[np.bool_]) -> PersonTable:
        """Some people, bool (n,)."""
        ids = [person for person, here in zip(self.ids, chosen.tolist(), strict=True) if here]
        return PersonTable(ids, {name: values[chosen] for name, values in self.columns.items()})

    def without(self, names: Iterable[str]) -> PersonTable:
        """The same without some columns."""
        left_out = set(names)
        return PersonTable(
            self.ids, {name: values for name, values in self.columns.items() if name not in left_out}
        )

    def beside(self, other: PersonTable) -> PersonTable:
        """Columns of both, of those who are in both."""
        both = self.of_rows(np.array([person in other._place for person in self.ids], dtype=bool))
        return PersonTable(both.ids, {**both.columns, **other.aligned(both.ids).columns})


def refuse_repeats(labels: Iterable[Any], kind: str, what: str) -> None:
    """Refuse IDs or names of which one occurs twice.

    Raises
    ------
    DesignError
        Saying how many are repeated.
    """
    listed = list(labels)
    repeated = len(listed) - len(set(listed))
    if repeated:
        raise DesignError(
            f"a {kind} occurs twice in the {what} table",
            found=f"{repeated} repeated",
            expected="each once",
            fix="remove the duplicates",
        )


def _values(column: pd.Series) -> Values:
    import pandas as pd

    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return np.asarray(column.astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan))
    text = column.astype(object).to_numpy(dtype=object, copy=True)
    text[column.isna().to_numpy()] = None
    return np.asarray(text)
