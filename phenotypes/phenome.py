"""The phenome: for every person and phecode, on how many days it was recorded, and who is case, control or neither.

A case has a phecode on at least `min_dates` different days. Days are counted for the phecode: two ICD codes of one
phecode on one day are one date, and two codes of one phecode on two days are two dates, whatever the codes. Somebody
with fewer days than that, or with a phecode of the exclusion range, is excluded and never a control. A phecode
of one sex excludes the other, and is unknown for people whose sex is unknown.

The events are read twice in one pass each: to list the codes in use, and to keep the few columns of those that the map
knows. Phecodes are counted from that narrow table, a range of people at a time, so that memory stays bounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Any

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa

from cohorts.errors import DesignError
from cohorts.without_rows import WithoutRows
from phenotypes.code_systems import normalised
from phenotypes.editions import mark, marked, moved_codes, source_editions, spellings
from phenotypes.phecode_map import PhecodeMap
from phenotypes.session import HubLike, Session, session
from phenotypes.status import CASE, CONTROL, EXCLUDED, STATUSES, UNKNOWN

if TYPE_CHECKING:
    from scipy.sparse import csr_array

EPOCH = date(1970, 1, 1)
# Kept records that are exploded into phecodes at a time.
ROWS_AT_A_TIME = 8_000_000


@dataclass(frozen=True, eq=False, repr=False)
class Phenome(WithoutRows):
    """Phecodes of a population.

    Attributes
    ----------
    maps
        The map that was used.
    persons
        person_id, sex; the people, in the order given.
    who, phecode, n_dates, first_day
        One element for each person with a phecode on at least one day, sorted by person, then phecode: row of
        `persons` (int32), row of `maps.phecodes` (int16), number of different days (int32), first day counted from
        1970-01-01 (int32).
    min_dates
        Different days that make a case.
    codes
        Codes in use of the map's systems: system, code, records (int64), mapped_as (the code of the map that was
        taken, '' where none was), edition (of the sources meant, for codes that moved between editions of ICD-10; ''
        for all else).
    """

    maps: PhecodeMap
    persons: pd.DataFrame = field(repr=False)
    who: np.ndarray = field(repr=False)
    phecode: np.ndarray = field(repr=False)
    n_dates: np.ndarray = field(repr=False)
    first_day: np.ndarray = field(repr=False)
    min_dates: int
    codes: pd.DataFrame = field(repr=False)

    @property
    def names(self) -> tuple[str, ...]:
        """Every phecode of the map."""
        return tuple(self.maps.phecodes["phecode"])

    @cached_property
    def _by_phecode(self) -> tuple[np.ndarray, np.ndarray]:
        order = np.argsort(self.phecode, kind="stable")
        starts = np.searchsorted(self.phecode[order], np.arange(len(self.names) + 1))
        return order, starts

    def _rows(self, number: int) -> np.ndarray:
        order, starts = self._by_phecode
        rows: np.ndarray = order[starts[number] : starts[number + 1]]
        return rows

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.names)}

    @cached_property
    def _sex(self) -> np.ndarray:
        sex = self.persons["sex"].astype(object)
        return np.select([sex == "M", sex == "F"], [1, 2], 0).astype(np.int8)

    def status(self, phecode: str) -> np.ndarray:
        """Status of everyone for one phecode.

        Returns
        -------
        ndarray
            int8 positions in :data:`phenotypes.status.STATUSES`, in the order of `persons`.

        Raises
        ------
        DesignError
            Where the map has no such phecode.
        """
        if phecode not in self._numbers:
            raise DesignError("no such phecode in the map", where="phecodes", found=repr(phecode))
        number = self._numbers[phecode]
        status = np.full(len(self.persons), CONTROL, dtype=np.int8)
        status[self._recorded(self.maps.exclusions.get(phecode, ()))] = EXCLUDED
        rows = self._rows(number)
        status[self.who[rows]] = np.where(self.n_dates[rows] >= self.min_dates, CASE, EXCLUDED)
        only = self.maps.phecodes["sex"].iloc[number]
        if only is not None:
            status[self._sex == 0] = UNKNOWN
            status[self._sex == (2 if only == "M" else 1)] = EXCLUDED
        return status

    @cached_property
    def counts(self) -> pd.DataFrame:
        """People by status: phecode, name, category, sex, case, control, excluded, unknown (int64)."""
        table = self.maps.phecodes.copy()
        tally = np.zeros((len(self.names), len(STATUSES)), dtype=np.int64)
        # Phecodes of one range share their exclusions, which are then gathered once.
        barred = [self.maps.exclusions.get(name, frozenset()) for name in self.names]
        by_set: dict[frozenset[str], list[int]] = {}
        for number, others in enumerate(barred):
            by_set.setdefault(others, []).append(number)
        for others, numbers in by_set.items():
            mask = self._recorded(others)
            for number in numbers:
                tally[number] = self._tally(number, mask)
        for place, status in enumerate(STATUSES):
            table[status] = tally[:, place]
        return table

    def _recorded(self, phecodes: Iterable[str]) -> np.ndarray:
        """Who has any of some phecodes recorded (bool)."""
        mask = np.zeros(len(self.persons), dtype=bool)
        for name in phecodes:
            mask[self.who[self._rows(self._numbers[name])]] = True
        return mask

    def _tally(self, number: int, mask: np.ndarray) -> list[int]:
        """People by status for one phecode; `mask` tells who has what keeps from being a control."""
        rows = self._rows(number)
        who, cases = self.who[rows], self.n_dates[rows] >= self.min_dates
        only = self.maps.phecodes["sex"].iloc[number]
        of_sex = len(self.persons)
        barred = int(np.count_nonzero(mask))
        if only is not None:
            sex = 1 if only == "M" else 2
            right = self._sex[who] == sex
            who, cases = who[right], cases[right]
            of_sex = int(np.count_nonzero(self._sex == sex))
            barred = int(np.count_nonzero(mask & (self._sex == sex)))
        case = int(np.count_nonzero(cases))
        few = len(who) - case
        # who has the phecode itself is counted by it and not by the exclusions
        excluded = barred - int(np.count_nonzero(mask[who])) + few
        unknown = 0 if only is None else int(np.count_nonzero(self._sex == 0))
        other_sex = len(self.persons) - of_sex - unknown
        return [case, of_sex - case - excluded, excluded + other_sex, unknown]

    @property
    def long(self) -> pd.DataFrame:
        """A row for each person and phecode that is recorded.

        Columns: person_id int64, phecode (categorical), n_dates int32, first_date datetime64. Who is not in it has no
        record of the phecode; :meth:`status` tells controls from excluded people.
        """
        return pd.DataFrame(
            {
                "person_id": self.persons["person_id"].to_numpy(np.int64)[self.who],
                "phecode": pd.Categorical.from_codes(
                    self.phecode, categories=pd.Index(self.names, dtype=object)
                ),
                "n_dates": self.n_dates,
                "first_date": self.first_day.astype("datetime64[D]").astype("datetime64[s]"),
            }
        )

    def wide(self, phecodes: Iterable[str] | None = None, *, min_cases: int = 1) -> pd.DataFrame:
        """Case 1, control 0, neither NaN: a column for each phecode.

        Parameters
        ----------
        phecodes
            Which; all that have enough cases where None.
        min_cases
            Columns with fewer cases are left out.

        Returns
        -------
        DataFrame
            person_id int64, then float32 columns named by phecode.
        """
        columns: dict[str, Any] = {"person_id": self.persons["person_id"].to_numpy(np.int64)}
        for name in self.names if phecodes is None else phecodes:
            # what can have too few cases is not looked at in full
            if name in self._numbers and len(self._rows(self._numbers[name])) < min_cases:
                continue
            status = self.status(name)
            if int((status == CASE).sum()) >= min_cases:
                columns[name] = np.select(
                    [status == CASE, status == CONTROL], [np.float32(1), np.float32(0)], np.float32("nan")
                )
        return pd.DataFrame(columns)

    def sparse(self) -> csr_array:
        """Number of dates, people by phecodes: int32 of shape (n people, n phecodes), in compressed rows."""
        from scipy.sparse import csr_array

        shape = (len(self.persons), len(self.names))
        return csr_array((self.n_dates, (self.who, self.phecode)), shape=shape)


def phecodes(
    hub: HubLike,
    maps: PhecodeMap,
    persons: pd.DataFrame | None = None,
    *,
    min_dates: int = 2,
    start: date | None = None,
    end: date | None = None,
) -> Phenome:
    """Phecodes of a population.

    Parameters
    ----------
    hub
        Pseudonymous hub; read, not changed.
    maps
        The user's map. A recorded WHO code that it lacks counts as the longest of its codes, of three characters at
        least, that the code begins with (hospitals record fifth characters); codes of the clinical modification
        must be there. Of a source that declares its edition of ICD-10, a code that moved between editions counts as
        what the map has of it in either: a map is of one edition too.
    persons
        person_id and sex, one row a person; everyone in the hub where None.
    min_dates
        Different days that make a case.
    start, end
        Records of [start, end) alone; a bound that is None is open.

    Raises
    ------
    DesignError
        Where there are no people, one stands twice, or `min_dates` is below 1.

    Examples
    --------
    >>> phenome = phecodes(hub, PhecodeMap.read("phecodeX_WHO.csv.gz"), min_dates=2)  # doctest: +SKIP
    """
    if min_dates < 1:
        raise DesignError("a case needs a date", where="min_dates", found=min_dates, expected="1 or more")
    with session(hub) as opened:
        people = _people(opened, persons)
        editions = source_editions(opened)
        used = _used(opened, maps, editions)
        narrow, bundles = _narrow(opened, people, used, editions, start, end)
        parts = list(_counted(opened, narrow, bundles, len(people)))
    codes = used[["system", "raw", "records", "mapped_as", "edition"]].rename(columns={"raw": "code"})
    if parts:
        who, number, n, first = (np.concatenate(column) for column in zip(*parts, strict=True))
    else:
        who, number, n, first = (np.empty(0, kind) for kind in (np.int32, np.int16, np.int32, np.int32))
    return Phenome(maps, people, who, number, n, first, min_dates, codes)


def _people(opened: Session, persons: pd.DataFrame | None) -> pd.DataFrame:
    if persons is None:
        known = opened.table("people")
        persons = opened.frame(known.select("person_id", "sex").order_by("person_id"))
    if not {"person_id", "sex"} <= set(persons.columns):
        raise DesignError(
            "people lack a column", where="persons", found=list(persons.columns), expected="person_id and sex"
        )
    if persons.empty:
        raise DesignError("nobody to look for", where="persons", fix="widen the population")
    if persons["person_id"].duplicated().any():
        raise DesignError("people stand more than once", where="persons")
    return persons[["person_id", "sex"]].reset_index(drop=True)


def _used(opened: Session, maps: PhecodeMap, editions: Mapping[str, str]) -> pd.DataFrame:
    """Codes in use and what each means: system, raw, records, mapped_as, edition, phecodes (tuple)."""
    events = opened.table("events")
    coded = events.filter(events.system.isin(maps.systems), events.code.notnull())
    used = opened.frame(coded.group_by(["system", "code"]).agg(records=lambda t: t.count()))
    numbers = {name: i for i, name in enumerate(maps.phecodes["phecode"])}
    meant: dict[tuple[str, str], list[int]] = {}
    for system, code, phecode in maps.codes.itertuples(index=False):
        meant.setdefault((system, code), []).append(numbers[phecode])
    rows = []
    apart = _apart(opened, coded, used, editions)
    for system, raw, edition, records in apart.sort_values(["system", "code", "edition"]).itertuples(
        index=False
    ):
        clean = normalised(system, raw)
        tries = spellings(clean, edition or None) if system == "icd10" else (clean,)
        found = next((code for code in tries if (system, code) in meant), "")
        rows.append((system, raw, int(records), found, edition, tuple(meant.get((system, found), ()))))
    return pd.DataFrame(rows, columns=["system", "raw", "records", "mapped_as", "edition", "phecodes"])


def _apart(opened: Session, coded: Any, used: pd.DataFrame, editions: Mapping[str, str]) -> pd.DataFrame:
    """Codes in use (system, code, edition, records); those that moved by the edition of the source, '' elsewhere."""
    whole = used.assign(edition="")[["system", "code", "edition", "records"]]
    if not editions:
        return whole
    declared = coded.filter(coded.system == "icd10", coded.source.isin(sorted(editions)))
    rows = opened.frame(declared.group_by(["system", "source", "code"]).agg(records=lambda t: t.count()))
    moved = moved_codes(rows, editions)
    rows["edition"] = rows["source"].map(editions)
    apart = [code in moved.get(e, ()) for code, e in zip(rows["code"], rows["edition"], strict=True)]
    told = rows.loc[apart, whole.columns].groupby(["system", "code", "edition"], as_index=False).sum()
    rest = pd.concat([whole, told.assign(edition="", records=-told["records"])])
    rest = rest.groupby(["system", "code", "edition"], as_index=False).sum()
    return pd.concat([rest[rest["records"] > 0], told], ignore_index=True)


def _narrow(
    opened: Session,
    people: pd.DataFrame,
    used: pd.DataFrame,
    editions: Mapping[str, str],
    start: date | None,
    end: date | None,
) -> tuple[Any, list[tuple[int, ...]]]:
    """Kept table (who, day, bundle) of the records the map knows, and the phecodes of each bundle.

    Codes with the same phecodes share a bundle.
    """
    mapped = used[used["mapped_as"] != ""]
    bundles = {found: i for i, found in enumerate(dict.fromkeys(mapped["phecodes"]))}
    codes = opened.load(
        "careome_phecode_codes",
        pa.table(
            {
                "system": pa.array(mapped["system"].tolist(), pa.string()),
                "code": pa.array(
                    [
                        mark(e, raw) if e else raw
                        for raw, e in zip(mapped["raw"], mapped["edition"], strict=True)
                    ],
                    pa.string(),
                ),
                "bundle": pa.array([bundles[found] for found in mapped["phecodes"]], pa.int32()),
            }
        ),
    )
    rows = opened.load(
        "careome_phecode_people",
        pa.table(
            {
                "who": pa.array(np.arange(len(people), dtype=np.int32)),
                "person_id": pa.array(people["person_id"].to_numpy(np.int64)),
            }
        ),
    )
    events = opened.table("events")
    moved = {e: used.loc[used["edition"] == e, "raw"].tolist() for e in sorted(set(used["edition"]) - {""})}
    events = marked(events.filter(events.date.notnull()), moved, editions)
    if start is not None:
        events = events.filter(events.date >= ibis.date(start))
    if end is not None:
        events = events.filter(events.date < ibis.date(end))
    joined = events.join(codes, ["system", "code"]).join(rows, "person_id")
    kept = joined.select(
        "who",
        joined.date.delta(ibis.date(EPOCH), unit="day").cast("int32").name("day"),
        "bundle",
    )
    return opened.keep("careome_phecode_days", kept), list(bundles)


def _distinct(key: np.ndarray) -> np.ndarray:
    """Sorted without repeats. Not np.unique: its hash table (numpy 2.4) takes 25 s for 14 million, this 0.1 s."""
    key.sort()
    return key[np.concatenate([[True], key[1:] != key[:-1]])] if len(key) else key


def _counted(
    opened: Session, narrow: Any, bundles: list[tuple[int, ...]], people: int
) -> Iterator[tuple[np.ndarray, ...]]:
    """(who, phecode, n_dates, first_day) sorted by person, then phecode; a range of people at a time."""
    facts = opened.frame(
        narrow.aggregate(n=narrow.count(), first=narrow.day.min(), last=narrow.day.max())
    ).iloc[0]
    if not (total := int(facts["n"])):
        return
    first, days = int(facts["first"]), int(facts["last"]) - int(facts["first"]) + 1
    sizes = np.array([len(bundle) for bundle in bundles])
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    members = np.array([number for bundle in bundles for number in bundle], dtype=np.int64)
    phecodes = int(members.max()) + 1
    step = max(1, people * ROWS_AT_A_TIME // max(total, ROWS_AT_A_TIME))
    for low in range(0, people, step):
        rows = opened.frame(narrow.filter(narrow.who >= low, narrow.who < low + step))
        who = rows["who"].to_numpy(np.int64) - low
        # One number holds person, phecode and day; sorting whole numbers is far quicker than grouping rows.
        key = _distinct(
            (who * len(bundles) + rows["bundle"].to_numpy()) * days + rows["day"].to_numpy() - first
        )
        # // by one number is quick, np.divmod and % are not
        who = key // (len(bundles) * days)
        rest = key - who * (len(bundles) * days)
        bundle = rest // days
        day = rest - bundle * days
        n = sizes[bundle]
        ends = np.cumsum(n)
        inside = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - n, n)
        phecode = members[np.repeat(starts[bundle], n) + inside]
        key = _distinct((np.repeat(who, n) * phecodes + phecode) * days + np.repeat(day, n))
        pair = key // days
        begins = (
            np.flatnonzero(np.concatenate([[True], pair[1:] != pair[:-1]])) if len(pair) else np.empty(0, int)
        )
        found = pair[begins]
        yield (
            (found // phecodes + low).astype(np.int32),
            (found - found // phecodes * phecodes).astype(np.int16),
            np.diff(np.append(begins, len(pair))).astype(np.int32),
            (key[begins] - found * days + first).astype(np.int32),
        )
