"""The extracts: every provider's tables of a chunk of people, in its own hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohorts.synthetic import condition_gp, services
from cohorts.synthetic.codes import CARE_TYPES, UNITS
from cohorts.synthetic.condition_hospital import add_comorbidities, add_to_certificates, condition_admissions
from cohorts.synthetic.config import RegionConfig
from cohorts.synthetic.disease import Lives
from cohorts.synthetic.gp import CODES, DRUGS, Rows, gp_events, gp_prescriptions, stay
from cohorts.synthetic.identity_faults import STYLES, identity_rows
from cohorts.synthetic.malformed import spoil
from cohorts.synthetic.people import People
from cohorts.synthetic.places import Places
from cohorts.synthetic.tables import BLANK, NEVER, Column, Ints, dates, day, frame, hundredths, listed

Tables = Iterator[tuple[str, pd.DataFrame]]
_ID_SPACE = 2_147_483_647


class Extracts:
    """Tables of one chunk.

    Parameters
    ----------
    start
        True identity of the chunk's first person.
    people, lives, places, config
        The chunk and its surroundings.
    rng
        Randomness of this chunk's records.
    more
        Randomness of the records of :mod:`cohorts.synthetic.conditions`, which are rows after the others.
    """

    def __init__(
        self,
        start: int,
        people: People,
        lives: Lives,
        places: Places,
        config: RegionConfig,
        rng: np.random.Generator,
        more: np.random.Generator,
    ) -> None:
        self.start, self.people, self.lives = start, people, lives
        self.places, self.config, self.rng, self.more = places, config, rng, more
        self.stay = stay(people, lives, config)

    def tables(self, samples: pd.DataFrame, broken: Counter[tuple[str, str]]) -> Tables:
        """All tables; rows that were broken on purpose are added to `broken` by (table, way)."""
        self.broken = broken
        here = self.stay.stop > self.stay.start
        patients = here & ((self.rng.random(len(here)) < 0.98) | (self.people.genome >= 0))
        yield from self._gp(np.flatnonzero(patients))
        yield from self._hospital()
        yield from self._community()
        yield from self._social_care()
        yield from self._deaths()
        yield from self._biobank(samples)
        out = np.flatnonzero(self.rng.random(len(here)) < self.config.opted_out)
        since = day(date(2018, 5, 25)) + self.rng.integers(0, 1600, len(out))
        yield (
            "extracts/optouts.csv",
            pd.DataFrame(
                {"nhs_number": [str(n) for n in self.people.nhs[out]], "date": dates(since).categorical()}
            ),
        )

    # each provider: who it knows, then its tables

    def _gp(self, who: NDArray[np.int64]) -> Tables:
        registry = _Registry("gp", who, self)
        yield from registry.patients(self._last_seen(who))
        known = np.zeros(len(self.people), bool)
        known[who] = True
        yield from self._registrations(registry, who)
        yield from self._addresses(registry, who)
        chunk = (self.people, self.lives)
        visits = gp_events(*chunk, self.places, self.config, self.rng)
        drugs = gp_prescriptions(*chunk, self.config, self.rng)
        texts = _Texts(("snomed",) * len(CODES), CODES)
        yield self._coded(registry, "events", visits.take(known[visits.who]), texts, self.rng)
        texts = _Texts(("bnf",) * len(DRUGS), DRUGS)
        yield self._coded(registry, "prescriptions", drugs.take(known[drugs.who]), texts, self.rng)
        visits = condition_gp.condition_events(*chunk, self.places, self.config, self.more)
        texts = _Texts(condition_gp.SYSTEMS, condition_gp.CODES)
        yield self._coded(registry, "events", visits.take(known[visits.who]), texts, self.more)
        drugs = condition_gp.condition_prescriptions(*chunk, self.config, self.more)
        texts = _Texts(("bnf",) * len(condition_gp.DRUGS), condition_gp.DRUGS)
        yield self._coded(registry, "prescriptions", drugs.take(known[drugs.who]), texts, self.more)

    def _coded(
        self, registry: _Registry, table: str, rows: Rows, texts: _Texts, rng: np.random.Generator
    ) -> tuple[str, pd.DataFrame]:
        columns = {
            "patient_id": registry.ids(rows.who, rows.day),
            "date": dates(rows.day),
            "system": texts.system_of(rows.code),
            "code": listed(rows.code, texts.codes),
        }
        ways = {"patient_id": "blank id", "date": "impossible date", "code": "blank code"}
        if table == "events":
            columns |= {"value": hundredths(rows.value), "unit": listed(rows.unit, UNITS)}
            ways["value"] = "text in value"
        return self._finish(f"gp_{table}.parquet", columns, ways, rng)

    def _registrations(self, registry: _Registry, who: NDArray[np.int64]) -> Tables:
        first = np.minimum(self.people.arrive[who], self.stay.start[who])
        stays = spans(self.people.practice[who], self.people.moved[who], first, self._open_end(who))
        row, practice, start, stop = stays
        # between two practices there is often a short gap
        lag = np.where(start > first[row], self.rng.integers(0, 40, len(row)), 0)
        late = np.minimum(stop - 1, day(self.config.end_date))
        start = np.where(start + lag <= late, start + lag, start)
        yield self._finish(
            "gp_registrations.csv",
            {
                "patient_id": registry.ids(who[row], start),
                "practice": listed(practice, self.places.practice_codes),
                "start": dates(start),
                "end": dates(stop),
            },
            {"patient_id": "blank id", "start": "impossible date"},
        )

    def _addresses(self, registry: _Registry, who: NDArray[np.int64]) -> Tables:
        first = np.minimum(self.people.arrive[who], self.stay.start[who])
        row, area, start, stop = spans(
            self.people.area[who], self.people.moved[who], first, self._open_end(who)
        )
        yield self._finish(
            "gp_addresses.csv",
            {
                "patient_id": registry.ids(who[row], start),
                "area": listed(area, self.places.area_codes),
                "start": dates(start),
                "end": dates(stop),
            },
            {"patient_id": "blank id", "start": "impossible date"},
        )

    def _open_end(self, who: NDArray[np.int64]) -> NDArray[np.int64]:
        stop = self.stay.stop[who].astype(np.int64)
        return np.where(stop > day(self.config.end_date), NEVER, stop)

    def _hospital(self) -> Tables:
        rows = services.admissions(self.people, self.lives, self.config, self.rng)
        who = np.unique(rows.who)
        registry = _Registry("hospital", who, self)
        yield from registry.patients(_last(rows.who, rows.start, who))
        yield self._stays(registry, rows, self.rng)
        rows = condition_admissions(self.people, self.lives, self.config, self.more)
        new = np.setdiff1d(rows.who, who)
        others = _Registry("hospital", new, self, rng=self.more)
        yield from others.patients(_last(rows.who, rows.start, new))
        registry.join(others)
        yield self._stays(registry, rows, self.more)

    def _stays(
        self, registry: _Registry, rows: services.Admissions, rng: np.random.Generator
    ) -> tuple[str, pd.DataFrame]:
        rows = add_comorbidities(rows, self.people, self.lives, self.more)
        columns = {
            "patient_id": registry.ids(rows.who, rows.start),
            "admission_date": dates(rows.start),
            "discharge_date": dates(rows.stop),
        }
        columns |= {f"diag_{k + 1}": listed(rows.diagnoses[:, k], services.ICD10) for k in range(6)}
        columns |= {f"opcs_{k + 1}": listed(rows.operations[:, k], services.OPCS) for k in range(3)}
        ways = {
            "patient_id": "blank id",
            "admission_date": "impossible date",
            "discharge_date": "impossible date",
        }
        return self._finish("hospital_admissions.csv", columns, ways, rng)

    def _community(self) -> Tables:
        rows, days, code = services.community_contacts(self.people, self.lives, self.config, self.rng)
        who = np.unique(rows)
        registry = _Registry("community", who, self)
        yield from registry.patients(_last(rows, days, who))
        columns = {
            "patient_id": registry.ids(rows, days),
            "date": dates(days),
            "system": _constant("snomed", len(rows)),
            "code": listed(code, services.COMMUNITY),
        }
        ways = {"patient_id": "blank id", "date": "impossible date", "code": "blank code"}
        yield self._finish("community_contacts.csv", columns, ways)

    def _social_care(self) -> Tables:
        rows, start, stop, kind = services.social_care(self.people, self.lives, self.config, self.rng)
        who = np.unique(rows)
        registry = _Registry("social_care", who, self)
        yield from registry.patients(_last(rows, start, who))
        columns = {
            "patient_id": registry.ids(rows, start),
            "start": dates(start),
            "end": dates(stop),
            "care_type": listed(kind, CARE_TYPES),
        }
        yield self._finish(
            "social_care_care.csv", columns, {"patient_id": "blank id", "start": "impossible date"}
        )

    def _deaths(self) -> Tables:
        certificates = services.death_certificates(self.people, self.lives, self.config, self.rng)
        rows, days, code = add_to_certificates(certificates, self.people, self.lives, self.more)
        registry = _Registry("deaths", rows, self, duplicate=0.0)
        yield from registry.patients(days)
        columns = {"patient_id": registry.ids(rows, days), "date": dates(days)}
        names = ("underlying", "contributory_1", "contributory_2", "contributory_3")
        columns |= {name: listed(code[:, k], services.ICD10) for k, name in enumerate(names)}
        yield self._finish(
            "deaths_deaths.csv", columns, {"patient_id": "blank id", "date": "impossible date"}
        )

    def _biobank(self, samples: pd.DataFrame) -> Tables:
        labelled = samples["labelled_person"].to_numpy() - self.start
        mine = np.flatnonzero((labelled >= 0) & (labelled < len(self.people)))
        who = np.unique(labelled[mine])
        index = day(self.config.index_date)
        joined = index - 1 - self.rng.integers(0, 5 * 365, len(self.people))
        joined = np.maximum(joined, self.people.arrive + 1)
        registry = _Registry("biobank", who, self)
        yield from registry.patients(joined[who])
        # somebody who was sampled again came as the second registration, if there is one
        again = pd.Series(labelled[mine]).duplicated().to_numpy() & registry.twice[labelled[mine]]
        collected = joined[labelled[mine]]
        when = np.where(again, NEVER, collected)
        columns = {
            "patient_id": registry.ids(labelled[mine], when),
            "sample_id": listed(np.arange(len(mine)), list(samples["sample_id"].iloc[mine])),
            "collected": dates(collected),
        }
        ways = {"patient_id": "blank id", "collected": "impossible date"}
        yield self._finish("biobank_samples.csv", columns, ways)
        left = self.rng.random(len(who)) < self.config.withdrawn
        withdrawn = np.where(left, joined[who] + self.rng.integers(30, 3000, len(who)), NEVER)
        keys = registry.all_keys()
        at = np.searchsorted(who, keys % len(self.config_people) - self.start)
        columns = {
            "patient_id": Column(keys, registry.render),
            "consented": dates(joined[who][at]),
            "withdrawn": dates(withdrawn[at]),
        }
        yield self._finish("biobank_consents.csv", columns, {"patient_id": "blank id"})

    @property
    def config_people(self) -> range:
        """All true identities of the region."""
        return range(self.config.people)

    def _last_seen(self, who: NDArray[np.int64]) -> NDArray[np.int32]:
        return (self.stay.stop[who] - 1).astype(np.int32)

    def _finish(
        self,
        name: str,
        columns: Mapping[str, Column],
        ways: Mapping[str, str],
        rng: np.random.Generator | None = None,
    ) -> tuple[str, pd.DataFrame]:
        table, counts = spoil(columns, ways, self.config.faults.malformed, rng or self.rng)
        for way, count in counts.items():
            self.broken[name.split(".")[0], way] += count
        return f"extracts/{name}", frame(table)


@dataclass(frozen=True)
class _Texts:
    """Codes by position, and the system of each."""

    systems: Sequence[str]
    codes: Sequence[str]

    def system_of(self, keys: Ints) -> Column:
        names = tuple(dict.fromkeys(self.systems))
        return listed(np.array([names.index(name) for name in self.systems])[keys], names)


class _Registry:
    """One provider's local numbers, including people it registered twice."""

    def __init__(
        self,
        source: str,
        who: NDArray[np.int64],
        extracts: Extracts,
        *,
        duplicate: float | None = None,
        rng: np.random.Generator | None = None,
    ) -> None:
        self.source, self.who, self.extracts = source, who, extracts
        self.rng = rng = rng or extracts.rng
        config = extracts.config
        rate = config.faults.duplicate if duplicate is None else duplicate
        n = len(extracts.people)
        self.twice = np.zeros(n, bool)
        self.twice[who] = rng.random(len(who)) < rate
        span = extracts.stay.stop - extracts.stay.start
        # the second number is in use from this day on
        self.change = extracts.stay.start + (rng.random(n) * span).astype(np.int64)
        scramble = config.rng(f"ids of {source}")
        self.factor = int(scramble.integers(10**6, 10**9))
        self.offset = int(scramble.integers(10**6, 10**9))

    def join(self, others: _Registry) -> None:
        """Know `others` too, whose people are different ones; their patients' rows are their own."""
        self.twice[others.who] = others.twice[others.who]
        self.change[others.who] = others.change[others.who]

    def all_keys(self) -> NDArray[np.int64]:
        """Keys of all local numbers: the true identity, plus the number of people for second numbers."""
        first = self.who + self.extracts.start
        return np.concatenate([first, first[self.twice[self.who]] + self.extracts.config.people])

    def ids(self, who: NDArray[np.int64], days: NDArray[np.int32] | NDArray[np.int64]) -> Column:
        """Local numbers of `who` as used on `days`."""
        second = self.twice[who] & (days >= self.change[who])
        return Column(who + self.extracts.start + second * self.extracts.config.people, self.render)

    def render(self, keys: Ints) -> list[str]:
        """Keys as local numbers; negative keys as nothing."""
        prefix = STYLES[self.source].prefix
        # multiplication modulo a prime is one to one and hides the order
        numbers = (keys.astype(object) * self.factor + self.offset) % _ID_SPACE
        return [
            f"{prefix}{number:010d}" if key > BLANK else "" for key, number in zip(keys, numbers, strict=True)
        ]

    def patients(self, as_of: NDArray[np.int32] | NDArray[np.int64]) -> Tables:
        """The identity table and its key in the truth."""
        extracts, style = self.extracts, STYLES[self.source]
        keys = self.all_keys()
        who = keys % extracts.config.people - extracts.start
        second = keys >= extracts.config.people
        seen = np.zeros(len(extracts.people), np.int64)
        seen[self.who] = as_of
        first_seen = np.minimum(self.change, seen) if self.source == "gp" else seen
        days = np.where(second | ~self.twice[who], seen[who], first_seen[who]).astype(np.int32)
        order = self.rng.permutation(len(keys))
        keys, who, days = keys[order], who[order], days[order]
        rows = identity_rows(extracts.people, who, days, style, extracts.config.faults, self.rng)
        ids = self.render(keys)
        rows.insert(0, "patient_id", ids)
        blank = np.flatnonzero(self.rng.random(len(rows)) < 0.4 * extracts.config.faults.malformed)
        if len(blank):
            extra = rows.iloc[blank].assign(patient_id="")
            rows = pd.concat([rows, extra], ignore_index=True)
            extracts.broken[f"{self.source}_patients", "blank id"] += len(blank)
        yield f"extracts/{self.source}_patients.csv", rows[list(style.columns)]
        yield (
            "truth/links.parquet",
            pd.DataFrame({"source": self.source, "patient_id": ids, "true_person": who + extracts.start}),
        )


def _constant(text: str, n: int) -> Column:
    return listed(np.zeros(n, np.int8), (text,))


def _last(rows: NDArray[np.int64], days: NDArray[np.int32], who: NDArray[np.int64]) -> NDArray[np.int32]:
    """Last day of each of `who` (the distinct `rows`, which are sorted)."""
    return days[np.searchsorted(rows, who, side="right") - 1]


def spans(
    places: NDArray[np.int16], moved: NDArray[np.int32], first: NDArray[np.int32], last: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int16], NDArray[np.int64], NDArray[np.int64]]:
    """Consecutive stays of (people, HOMES) places within [first, last): row, place, start, stop.

    A move to the same place is no move; `last` may be `NEVER`.
    """
    edges = np.concatenate([first[:, None], moved, np.full((len(first), 1), NEVER)], axis=1).astype(np.int64)
    start = np.maximum(edges[:, :-1], first[:, None])
    stop = np.minimum(edges[:, 1:], last[:, None])
    keep = (stop > start) & (edges[:, :-1] < NEVER)
    row, home = np.nonzero(keep)
    place, begin, end = places[row, home], start[row, home], stop[row, home]
    new = np.r_[True, (row[1:] != row[:-1]) | (place[1:] != place[:-1])] if len(row) else np.empty(0, bool)
    ends = np.r_[np.flatnonzero(new)[1:] - 1, len(row) - 1] if len(row) else np.empty(0, np.int64)
    return row[new], place[new], begin[new], end[ends]
