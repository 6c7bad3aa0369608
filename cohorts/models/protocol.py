"""What a model of a source gives to the reader of sources."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from cohorts.hub import Hub
from cohorts.streams import Stream


@dataclass(frozen=True)
class Opened:
    """A source that is being read.

    Attributes
    ----------
    tables
        Name of a canonical table to what opens its streams. Streams are drawn one after the other, and only
        while the source is open.
    notes
        (table, note, rows) of what the source holds and is not read; looked at once all tables are drawn.
    by_ingredient
        The vocabulary of the source is in the hub and tells what products contain
        (:func:`cohorts.models.vocabulary.add_ingredients`).
    lost
        How many files could not be read, of how many: nobody can say how many rows went with them.
    """

    tables: Mapping[str, Callable[[], Iterable[Stream]]]
    notes: list[tuple[str, str, int]] = field(default_factory=list)
    lost: tuple[int, int] = (0, 0)
    by_ingredient: bool = False


@runtime_checkable
class SourceModel(Protocol):
    """A source in a layout of its own."""

    def opened(self, hub: Hub) -> AbstractContextManager[Opened]:
        """Open the source; temporary tables may be made in the identified hub and go when it is closed."""
        ...
