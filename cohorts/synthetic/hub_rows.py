"""A region as a pseudonymous hub, straight from its people: for measuring what reads hubs.

The way through extracts, linkage and pseudonyms is the real one; it takes hours for millions of people and
says nothing about a query. Here the rows come as if every record had been linked rightly, nobody had
opted out, and no row had been broken. The people and the truth are those of the same region's extracts;
the records about them are drawn anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohorts.hub import OPEN_END
from cohorts.synthetic import condition_gp, services
from cohorts.synthetic.codes import CARE_TYPES, UNITS
from cohorts.synthetic.condition_hospital import add_comorbidities, add_to_certificates, condition_admissions
from cohorts.synthetic.config import RegionConfig
from cohorts.synthetic.disease import Lives
from cohorts.synthetic.extracts import spans
from cohorts.synthetic.gp import CODES, DRUGS, Rows, gp_events, gp_prescriptions, stay
from cohorts.synthetic.people import People
from cohorts.synthetic.places import Places
from cohorts.synthetic.tables import BLANK, NEVER, Ints, day

Tables = Iterator[tuple[str, pd.DataFrame]]
#: Half of the 64 bits: pseudonyms are positive.
_ID_SPACE = 2**63
_OPEN = day(date.fromisoformat(OPEN_END))


def hub_person_ids(true_person: NDArray[np.int64], people: int) -> NDArray[np.int64]:
    """Pseudonyms of the people of a hub that was written without extracts.

    Distinct, spread evenly over 63 bits, and rising with the true identity, so that chunks come in order.
    Nothing is kept secret: the people are invented.

    Examples
    --------
    >>> bool((np.diff(hub_person_ids(np.arange(5), 5)) > 0).all())
    True
    """
    stride = _ID_SPACE // people
    noise = (true_person.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    ids: NDArray[np.int64] = true_person * stride + (noise % np.uint64(stride)).astype(np.int64)
    return ids


@dataclass(frozen=True)
class _Events:
    """Coded rows of one table: `code` is a position in `texts`, all of one source, kind and system."""

    source: str
    kind: str
    systems: Sequence[str]
    texts: Sequence[str]
    who: NDArray[np.int64]
    day: NDArray[np.int32]
    code: Ints
    value: NDArray[np.int32] | None = None
    unit: NDArray[np.int8] | None = None


class HubRows:
    """Rows of one chunk.

    Parameters
    ----------
    start
        True identity of the chunk's first person.
    people, lives, places, config
        The chunk and its surroundings.
    rng
        Randomness of this chunk's records.
    """

    def __init__(
        self,
        start: int,
        people: People,
        lives: Lives,
        places: Places,
        config: RegionConfig,
        rng: np.random.Generator,
    ) -> None:
        self.people, self.lives, self.places = people, lives, places
        self.config, self.rng = config, rng
        self.stay = stay(people, lives, config)
        self.true_person = np.arange(start, start + len(people))
        self.ids = hub_person_ids(self.true_person, config.people)

    def tables(self, samples: pd.DataFrame) -> Tables:
        """Frames named ``hub/`` and the table's name, with its columns (events lack ``row_id``)."""
        who = np.flatnonzero(self.stay.stop > self.stay.start)
        yield (
            "hub/people",
            pd.DataFrame(
                {
                    "person_id": self.ids[who],
                    "sex": _text(np.where(self.people.male[who], 0, 1), ("M", "F")),
                    "birth_date": _calendar(self.people.birth[who]),
                }
            ),
        )
        yield "hub/registrations", self._spans(who, self.people.practice, "practice")
        yield "hub/addresses", self._spans(who, self.people.area, "area")
        certificates = services.death_certificates(self.people, self.lives, self.config, self.rng)
        certificates = add_to_certificates(certificates, self.people, self.lives, self.rng)
        yield "hub/events", self._events(certificates)
        dead, days, codes = certificates
        yield (
            "hub/deaths",
            pd.DataFrame(
                {
                    "person_id": self.ids[dead],
                    "date": _calendar(days),
                    "underlying": _text(codes[:, 0], _plain(services.ICD10)),
                }
            ),
        )
        rows, first, last, kind = services.social_care(self.people, self.lives, self.config, self.rng)
        yield (
            "hub/care",
            pd.DataFrame(
                {
                    "person_id": self.ids[rows],
                    "start": _calendar(first),
                    "end": _calendar(np.where(last >= NEVER, _OPEN, last)),
                    "care_type": _text(kind, CARE_TYPES),
                }
            ),
        )
        yield from self._biobank(samples)
        yield "truth/links.parquet", pd.DataFrame({"true_person": self.true_person, "person_id": self.ids})

    def _spans(self, who: NDArray[np.int64], place: NDArray[np.int16], name: str) -> pd.DataFrame:
        stop = self.stay.stop[who].astype(np.int64)
        stop = np.where(stop > day(self.config.end_date), NEVER, stop)
        first = np.minimum(self.people.arrive[who], self.stay.start[who])
        row, code, start, end = spans(place[who], self.people.moved[who], first, stop)
        texts = self.places.practice_codes if name == "practice" else self.places.area_codes
        return pd.DataFrame(
            {
                "person_id": self.ids[who[row]],
                name: _text(code, texts),
                "start": _calendar(start),
                "end": _calendar(np.where(end >= NEVER, _OPEN, end)),
            }
        )

    def _events(
        self, certificates: tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int16]]
    ) -> pd.DataFrame:
        chunk = (self.people, self.lives)
        visits = gp_events(*chunk, self.places, self.config, self.rng)
        drugs = gp_prescriptions(*chunk, self.config, self.rng)
        more = condition_gp.condition_events(*chunk, self.places, self.config, self.rng)
        courses = condition_gp.condition_prescriptions(*chunk, self.config, self.rng)
        stays = [
            add_comorbidities(rows, *chunk, self.rng)
            for rows in (
                services.admissions(*chunk, self.config, self.rng),
                condition_admissions(*chunk, self.config, self.rng),
            )
        ]
        contact, contact_day, contact_code = services.community_contacts(*chunk, self.config, self.rng)
        dead, death_day, death_codes = certificates
        icd, opcs = _plain(services.ICD10), services.OPCS
        parts = [
            _gp("event", ["snomed"] * len(CODES), CODES, visits),
            _gp("prescription", ["bnf"] * len(DRUGS), DRUGS, drugs),
            _gp("event", condition_gp.SYSTEMS, condition_gp.CODES, more),
            _gp("prescription", ["bnf"] * len(condition_gp.DRUGS), condition_gp.DRUGS, courses),
            _Events(
                "community",
                "contact",
                ["snomed"] * len(services.COMMUNITY),
                services.COMMUNITY,
                contact,
                contact_day,
                contact_code,
            ),
            *(_wide("hospital", "diagnosis", "icd10", icd, s.who, s.start, s.diagnoses) for s in stays),
            *(_wide("hospital", "procedure", "opcs4", opcs, s.who, s.start, s.operations) for s in stays),
            _wide("deaths", "death", "icd10", icd, dead, death_day, death_codes),
        ]
        return _sorted_events(parts, self.ids)

    def _biobank(self, samples: pd.DataFrame) -> Tables:
        mine = samples["labelled_person"].to_numpy() - self.true_person[0]
        joined = day(self.config.index_date) - 1 - self.rng.integers(0, 5 * 365, len(self.people))
        joined = np.maximum(joined, self.people.arrive + 1)
        yield (
            "hub/samples",
            pd.DataFrame(
                {
                    "sample_id": samples["sample_id"].to_numpy(object),
                    "person_id": self.ids[mine],
                    "collected": _calendar(joined[mine]),
                }
            ),
        )
        who = np.unique(mine)
        yield (
            "hub/consents",
            pd.DataFrame(
                {
                    "person_id": self.ids[who],
                    "consented": np.ones(len(who), bool),
                    "consented_on": _calendar(joined[who]),
                    "withdrawn": np.full(len(who), np.datetime64("NaT", "s")),
                }
            ),
        )


def _gp(kind: str, systems: Sequence[str], texts: Sequence[str], rows: Rows) -> _Events:
    return _Events("gp", kind, systems, texts, rows.who, rows.day, rows.code, rows.value, rows.unit)


def _wide(
    source: str,
    kind: str,
    system: str,
    texts: Sequence[str],
    who: NDArray[np.int64],
    days: NDArray[np.int32],
    codes: NDArray[np.int16],
) -> _Events:
    """Rows with several codes (-1 for none) as one row a code."""
    row, column = np.nonzero(codes >= 0)
    return _Events(source, kind, [system] * len(texts), texts, who[row], days[row], codes[row, column])


def _sorted_events(parts: Sequence[_Events], ids: NDArray[np.int64]) -> pd.DataFrame:
    """All rows, by person, date, source, kind, system, code and value."""
    labels = [
        (part.source, part.kind, system, text)
        for part in parts
        for system, text in zip(part.systems, part.texts, strict=True)
    ]
    distinct = sorted(set(labels))
    at = {label: k for k, label in enumerate(distinct)}
    rank = np.array([at[label] for label in labels])
    first = np.cumsum([0, *(len(part.texts) for part in parts)])
    label = np.concatenate([rank[part.code + begin] for part, begin in zip(parts, first, strict=False)])
    who = np.concatenate([part.who for part in parts])
    days = np.concatenate([part.day for part in parts])
    value = np.concatenate([_filled(part.value, len(part.who), BLANK) for part in parts])
    unit = np.concatenate([_filled(part.unit, len(part.who), -1) for part in parts])
    order = np.lexsort((value, ((who << 16) + (days + 2**15)) * len(distinct) + label))
    label, value = label[order], value[order]
    columns = {
        name: _text(np.array(codes)[label], texts)
        for name, (codes, texts) in zip(
            ("source", "kind", "system", "code"), map(_coded, zip(*distinct, strict=True)), strict=True
        )
    }
    return pd.DataFrame(
        {
            "person_id": ids[who[order]],
            "date": _calendar(days[order]),
            **columns,
            "value": np.where(value == BLANK, np.nan, value / 100),
            "unit": _text(unit[order], UNITS),
        },
        copy=False,
    )


def _coded(texts: Sequence[str]) -> tuple[list[int], list[str]]:
    distinct = sorted(set(texts))
    at = {text: k for k, text in enumerate(distinct)}
    return [at[text] for text in texts], distinct


def _filled(values: Ints | None, n: int, blank: int) -> Ints:
    return np.full(n, blank, np.int32) if values is None else values


def _plain(codes: Sequence[str]) -> tuple[str, ...]:
    """ICD-10 as a hub holds it: without the filler of three-character codes."""
    return tuple(code.rstrip("X") if len(code) == 4 else code for code in codes)


def _text(codes: Ints, texts: Sequence[str]) -> pd.Categorical:
    """Positions in a list of distinct texts, -1 for none, as text held once."""
    return pd.Categorical.from_codes(codes.astype(np.int32), categories=pd.Index(list(texts), dtype=object))


def _calendar(days: Ints) -> NDArray[np.datetime64]:
    return days.astype("datetime64[D]").astype("datetime64[s]")
