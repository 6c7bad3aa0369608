"""Answers kept from one derivation to the next, by what they depend on.

An answer depends on the definition (with the content of its code lists), the people, the records, the index
date and the end of the data. Its key is the SHA-256 of all of them, so that what changed is asked again and
nothing else is: another code list in one definition costs that definition alone. This package writes no
files; a caller gives a store, any mapping of keys to Arrow tables (a ``dict`` will do).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from typing import Any, Protocol, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa

from phenotypes.codelist import CodeList
from phenotypes.definitions import Outcome, Phenotype, Trait
from phenotypes.editions import source_editions
from phenotypes.session import Session
from phenotypes.status import Statuses
from phenotypes.trait import TraitValues

#: Raised when a release gives another answer to the same definition.
MEANING = 3
#: Tables and columns on which answers depend.
RECORDS: dict[str, tuple[str, ...]] = {
    "events": ("person_id", "date", "source", "kind", "system", "code", "value", "unit"),
    "registrations": ("person_id", "start", "end"),
    "deaths": ("person_id", "date"),
}
_T = TypeVar("_T")


class AnswerStore(Protocol):
    """Where answers are kept. They hold pseudonymous people: a store belongs in the run's own folder."""

    def get(self, key: str, /) -> pa.Table | None:
        """The table kept under a key, if there is one."""

    def __setitem__(self, key: str, answer: pa.Table, /) -> None:
        """Keep a table under a key."""


@dataclass(frozen=True)
class Survival:
    """Survival rows of one outcome, what became of everyone, and what deserves a look."""

    rows: pd.DataFrame
    flow: pd.DataFrame
    note: str | None = None


@dataclass(frozen=True)
class Cache:
    """The answers of one store that hold for one population and one state of the records.

    Attributes
    ----------
    store
        Where answers are; None keeps nothing.
    context
        What every answer depends on, apart from its definition.
    """

    store: AnswerStore | None
    context: str = ""

    @classmethod
    def of(
        cls,
        store: AnswerStore | None,
        session: Session,
        persons: pd.DataFrame,
        *,
        index_date: date,
        data_end: date | None,
        hub_id: str | None = None,
    ) -> Cache:
        """The cache for some people and records; the records are read once where `hub_id` is not given."""
        if store is None:
            return cls(None)
        parts = [
            str(MEANING),
            version("careome"),
            hub_id or session.fingerprint(RECORDS),
            people_id(persons),
            str(index_date),
            str(data_end),
            str(sorted(source_editions(session).items())),
        ]
        return cls(store, "\n".join(parts))

    def statuses(self, phenotype: Phenotype) -> tuple[Statuses, str | None] | None:
        """Statuses kept for a phenotype, and the note on it."""
        return self._load("phenotype", phenotype.id, _statuses_of)

    def keep_statuses(self, phenotype: Phenotype, found: Statuses, note: str | None) -> None:
        """Keep the statuses of a phenotype."""
        columns = {
            "status": found.status,
            "day": found.day.astype(np.float32),
            "n_dates": found.n_dates,
        }
        self._keep("phenotype", phenotype.id, pa.table(columns), {"note": note})

    def values(self, trait: Trait) -> TraitValues | None:
        """Values kept for a trait."""

        def decode(table: pa.Table, told: dict[str, Any]) -> TraitValues:
            arrays = [column.to_numpy() for column in table.columns]
            return TraitValues(dict(zip(trait.columns, arrays, strict=True)), told["tally"])

        return self._load("trait", trait.id, decode)

    def keep_values(self, trait: Trait, found: TraitValues) -> None:
        """Keep the values of a trait."""
        columns = {str(i): array for i, array in enumerate(found.columns.values())}
        self._keep("trait", trait.id, pa.table(columns), {"tally": found.tally})

    def survival(self, outcome: Outcome) -> Survival | None:
        """Survival kept for an outcome."""

        def decode(table: pa.Table, told: dict[str, Any]) -> Survival:
            rows, flow = table.to_pandas(), pd.DataFrame(told["flow"], columns=["reason", "n"])
            rows.insert(1, "outcome", outcome.name)
            flow.insert(0, "outcome", outcome.name)
            return Survival(rows, flow, told["note"])

        return self._load("outcome", outcome.id, decode)

    def keep_survival(self, outcome: Outcome, found: Survival) -> None:
        """Keep the survival of an outcome."""
        flow = [[str(reason), int(n)] for reason, n in found.flow[["reason", "n"]].to_numpy()]
        table = pa.Table.from_pandas(found.rows.drop(columns="outcome"), preserve_index=False)
        self._keep("outcome", outcome.id, table, {"flow": flow, "note": found.note})

    def counts(self, name: str, codes: CodeList) -> pd.DataFrame | None:
        """Counts kept for the entries of a code list, under the name it has now."""

        def decode(table: pa.Table, told: dict[str, Any]) -> pd.DataFrame:
            rows: pd.DataFrame = table.to_pandas()
            rows.insert(0, "codelist", name)
            return rows

        return self._load("codes", codes.id, decode)

    def keep_counts(self, codes: CodeList, found: pd.DataFrame) -> None:
        """Keep the counts of a code list."""
        table = pa.Table.from_pandas(found.drop(columns="codelist"), preserve_index=False)
        self._keep("codes", codes.id, table, {})

    def _key(self, kind: str, identity: str) -> str:
        return hashlib.sha256(f"{kind}\n{identity}\n{self.context}".encode()).hexdigest()

    def _load(self, kind: str, identity: str, decode: Callable[[pa.Table, dict[str, Any]], _T]) -> _T | None:
        table = None if self.store is None else self.store.get(self._key(kind, identity))
        if table is None:
            return None
        return decode(table, json.loads((table.schema.metadata or {}).get(b"careome", b"{}")))

    def _keep(self, kind: str, identity: str, table: pa.Table, told: dict[str, Any]) -> None:
        if self.store is not None:
            marked = {**(table.schema.metadata or {}), b"careome": json.dumps(told).encode()}
            self.store[self._key(kind, identity)] = table.replace_schema_metadata(marked)


def people_id(persons: pd.DataFrame) -> str:
    """SHA-256 of the people, their sex and birth dates, in their order."""
    digest = hashlib.sha256()
    digest.update(persons["person_id"].to_numpy(np.int64).tobytes())
    sex = persons["sex"]
    digest.update(((sex == "M").to_numpy(np.int8) + 2 * (sex == "F").to_numpy(np.int8)).tobytes())
    digest.update(pd.to_datetime(persons["birth_date"]).to_numpy("datetime64[D]").tobytes())
    return digest.hexdigest()


def _statuses_of(table: pa.Table, told: dict[str, Any]) -> tuple[Statuses, str | None]:
    n_dates, day = table["n_dates"].to_numpy(), table["day"].to_numpy()
    status = table["status"].to_numpy()
    who = np.flatnonzero(status == 0).astype(np.int32)
    return Statuses(status, who, day[who], n_dates[who]), told["note"]
