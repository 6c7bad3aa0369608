"""What hospitals and death certificates say about the diseases of :mod:`cohorts.synthetic.conditions`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from cohorts.synthetic.condition_codes import ICD10, ICD10_DECOYS, ICD10_HISTORY, ICD10_TYPE1, OPCS4
from cohorts.synthetic.conditions import CONDITIONS
from cohorts.synthetic.config import RegionConfig
from cohorts.synthetic.disease import Lives, levels
from cohorts.synthetic.gp import Stay, stay
from cohorts.synthetic.hazards import DEATHS
from cohorts.synthetic.people import YEAR, People
from cohorts.synthetic.services import ICD10 as TEXTS
from cohorts.synthetic.services import OPCS, Admissions, add_usual
from cohorts.synthetic.tables import NEVER, day

_ICD = {code: k for k, code in enumerate(TEXTS)}
_OPCS = {code: k for k, code in enumerate(OPCS)}
#: First day of the edition of the classification that split I48.
EDITION_2016 = day(date(2016, 4, 1))


@dataclass(frozen=True, kw_only=True)
class Hospital:
    """How hospitals see a disease.

    Attributes
    ----------
    admitted
        Share admitted for it at onset.
    again
        Later stays for it a year, within six years.
    days
        Mean length of stay.
    operated
        Share of stays for it with an operation of it.
    beside
        Share of later stays, for whatever reason, with its code beside the reason.
    mistaken
        Share of those without it, past the age `from_age`, who have one stay with its code.
    underlying
        Share of deaths of the ill from no other modelled cause that are put down to it.
    """

    admitted: float
    again: float
    days: float
    operated: float = 0.0
    beside: float = 0.0
    mistaken: float = 0.0
    from_age: float = 40.0
    underlying: float = 0.0


HOSPITAL: Mapping[str, Hospital] = {
    "dementia": Hospital(
        admitted=0.15, again=0.06, days=12, beside=0.6, mistaken=0.002, from_age=70, underlying=0.55
    ),
    "colorectal_cancer": Hospital(
        admitted=0.9, again=0.2, days=6, operated=0.6, beside=0.4, mistaken=0.0004, underlying=0.6
    ),
    "breast_cancer": Hospital(
        admitted=0.85, again=0.1, days=2, operated=0.6, beside=0.35, mistaken=0.0006, underlying=0.35
    ),
    "prostate_cancer": Hospital(
        admitted=0.5, again=0.08, days=2, operated=0.35, beside=0.45, mistaken=0.0006, underlying=0.3
    ),
    "stroke": Hospital(
        admitted=0.87, again=0.05, days=10, beside=0.0, mistaken=0.002, from_age=50, underlying=0.35
    ),
    "copd": Hospital(admitted=0.2, again=0.12, days=5, beside=0.72, mistaken=0.002, underlying=0.4),
    "heart_failure": Hospital(
        admitted=0.5, again=0.15, days=8, beside=0.6, mistaken=0.002, from_age=60, underlying=0.2
    ),
    "atrial_fibrillation": Hospital(
        admitted=0.28, again=0.04, days=2, beside=0.8, mistaken=0.001, from_age=60
    ),
    "ckd": Hospital(admitted=0.02, again=0.01, days=4, beside=0.5, mistaken=0.001, from_age=60),
    "depression": Hospital(admitted=0.015, again=0.005, days=15, beside=0.3, mistaken=0.002, from_age=18),
    "neuropathy": Hospital(admitted=0.03, again=0.01, days=4, beside=0.25),
    "amputation": Hospital(admitted=0.98, again=0.1, days=14, operated=0.97),
    "severe_hypoglycaemia": Hospital(admitted=0.65, again=0.06, days=2),
}
#: Share of stays of the ill in which only their history is coded, by key of `ICD10_HISTORY`.
_HISTORY_SHARE = 0.3
#: Stays a year for neighbouring reasons from the age of 45 on, all together.
_DECOY_RATE = 0.006


def condition_admissions(
    people: People, lives: Lives, config: RegionConfig, rng: np.random.Generator
) -> Admissions:
    """Stays for these diseases and for neighbouring reasons, sorted by person and day."""
    present = stay(people, lives, config)
    parts = [_stays(name, item, people, lives, present, rng) for name, item in HOSPITAL.items()]
    parts.append(_decoy_stays(people, present, rng))
    who, days, reason, length, operation = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((reason, days, who))
    who, days, reason = who[order], days[order], reason[order]
    stop = np.minimum(days + length[order].astype(np.int64), np.maximum(present.stop[who] - 1, days))
    diagnoses = np.full((len(who), 6), -1, np.int16)
    diagnoses[:, 0] = reason
    add_usual(diagnoses, who, days, lives, rng)
    operations = np.full((len(who), 3), -1, np.int16)
    operations[:, 0] = operation[order]
    return Admissions(who, days.astype(np.int32), stop.astype(np.int32), diagnoses, operations)


def _stays(
    name: str, item: Hospital, people: People, lives: Lives, present: Stay, rng: np.random.Generator
) -> tuple[NDArray, ...]:
    """Person, day, reason, length and operation (-1 for none) of the stays for one disease."""
    onset = lives.onset[name].astype(np.int64)
    n = len(onset)
    here = (onset >= present.start) & (onset < present.stop)
    first = np.flatnonzero(here & (rng.random(n) < item.admitted))
    low = np.maximum(onset, present.start)
    high = np.minimum(onset + int(6 * YEAR), present.stop)
    span = np.maximum(high - low, 0)
    again = np.repeat(np.arange(n), rng.poisson(item.again * span / YEAR))
    later = low[again] + (rng.random(len(again)) * span[again]).astype(np.int64)
    when = present.start + (rng.random(n) * (present.stop - present.start)).astype(np.int64)
    wrong = (onset >= NEVER) & (rng.random(n) < item.mistaken) & (when < present.stop)
    only = CONDITIONS[name].only if name in CONDITIONS else ""
    wrong &= (when - people.birth >= item.from_age * YEAR) & ((only == "") | (people.male == (only == "M")))
    mistaken = np.flatnonzero(wrong)
    who = np.concatenate([first, again, mistaken])
    days = np.concatenate([onset[first], later, when[mistaken]])
    operation = np.full(len(who), -1)
    if name in OPCS4:
        choices = np.array([_OPCS[code] for code in OPCS4[name]])
        drawn = choices[rng.integers(0, len(choices), len(who))]
        done = (rng.random(len(who)) < item.operated) & (np.arange(len(who)) < len(first) + len(again))
        operation = np.where(done, drawn, -1)
    length = rng.exponential(item.days, len(who))
    return who, days, _codes(name, who, days, people, lives, rng), length, operation


def _codes(
    name: str,
    who: NDArray[np.int64],
    days: NDArray[np.int64],
    people: People,
    lives: Lives,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Positions in `TEXTS` of codes of a disease as people have it on those days."""
    choices = np.array([_ICD[code] for code in ICD10[name]])
    if name == "ckd":
        level = levels("egfr", who, days.astype(np.int32), people, lives)
        staged: NDArray[np.int64] = choices[np.select([level < 15, level < 30], [4, 3], 2)]
        return staged
    codes = choices[rng.integers(0, len(choices), len(who))]
    if name == "atrial_fibrillation":
        codes = np.where(days < EDITION_2016, _ICD["I48X"], codes)
    type1 = lives.onset["t1d"][who] < NEVER
    for usual, other in ICD10_TYPE1.items():
        codes = np.where(type1 & (codes == _ICD[usual]), _ICD[other], codes)
    return codes


def _decoy_stays(people: People, present: Stay, rng: np.random.Generator) -> tuple[NDArray, ...]:
    start = np.maximum(present.start.astype(np.int64), people.birth + int(45 * YEAR))
    span = np.maximum(present.stop - start, 0)
    who = np.repeat(np.arange(len(span)), rng.poisson(_DECOY_RATE * span / YEAR))
    days = start[who] + (rng.random(len(who)) * span[who]).astype(np.int64)
    male = people.male[who]
    codes = list(ICD10_DECOYS.values())
    drawn = np.array([_ICD[code] for code in codes])[rng.integers(0, len(codes), len(who))]
    for name, right in (("prostatic hyperplasia", male), ("benign breast lump", ~male)):
        drawn = np.where((drawn == _ICD[ICD10_DECOYS[name]]) & ~right, _ICD["R074"], drawn)
    return who, days, drawn, rng.exponential(2.0, len(who)), np.full(len(who), -1)


def add_comorbidities(
    stays: Admissions, people: People, lives: Lives, rng: np.random.Generator
) -> Admissions:
    """The stays with these diseases beside their reasons, as far as there is room."""
    who, days = stays.who, stays.start
    codes = stays.diagnoses.copy()
    for name, item in HOSPITAL.items():
        ill = lives.onset[name][who] <= days
        drawn = _codes(name, who, days.astype(np.int64), people, lives, rng)
        _put(codes, ill & (rng.random(len(who)) < item.beside), drawn)
        if name in ICD10_HISTORY:
            past = lives.onset[name][who] + int(YEAR) <= days
            history = np.full(len(who), _ICD[ICD10_HISTORY[name]])
            _put(codes, past & (rng.random(len(who)) < _HISTORY_SHARE), history)
    return Admissions(who, days, stays.stop, codes, stays.operations)


def _put(codes: NDArray[np.int16], wanted: NDArray[np.bool_], drawn: NDArray[np.int64]) -> None:
    """Write `drawn` into the first free place of the rows, unless the row has that code."""
    used = (codes >= 0).sum(axis=1)
    adds = np.flatnonzero(wanted & (used < codes.shape[1]) & ~(codes == drawn[:, None]).any(axis=1))
    codes[adds, used[adds]] = drawn[adds]


def add_to_certificates(
    certificates: tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int16]],
    people: People,
    lives: Lives,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int16]]:
    """Death certificates with these diseases as underlying or contributory causes."""
    who, days, codes = certificates
    codes = codes.copy()
    free = lives.cause[who] == list(DEATHS).index("other")
    for name, item in HOSPITAL.items():
        ill = lives.onset[name][who] < days
        drawn = _codes(name, who, days.astype(np.int64), people, lives, rng)
        blamed = free & ill & (rng.random(len(who)) < item.underlying)
        codes[blamed, 0] = drawn[blamed]
        free &= ~blamed
        _put(codes, ill & (rng.random(len(who)) < 0.5 * item.beside), drawn)
    return who, days, codes
