"""What hospitals, community services, adult social care and the register of deaths write down."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cohorts.synthetic import condition_codes
from cohorts.synthetic.codes import (
    CARE_TYPES,
    COMMUNITY_BACKGROUND,
    DEATH_BACKGROUND,
    ICD10_BACKGROUND,
    OPCS_BACKGROUND,
    SNOMED,
)
from cohorts.synthetic.config import RegionConfig
from cohorts.synthetic.disease import Lives
from cohorts.synthetic.gp import Stay, stay
from cohorts.synthetic.hazards import DEATHS
from cohorts.synthetic.people import YEAR, People
from cohorts.synthetic.tables import NEVER, day

_DISEASE_CODES = (
    "E119", "E109", "I214", "I219", "I209", "I251", "I259", "J459", "C349", "C341", "I10X", "E113",
    "H360", "E112", "N083", "E115", "E111", "E101",
)  # fmt: skip
_CONDITION_CODES = (
    *(code for codes in condition_codes.ICD10.values() for code in codes),
    *condition_codes.ICD10_TYPE1.values(),
    *condition_codes.ICD10_HISTORY.values(),
    *condition_codes.ICD10_DECOYS.values(),
)
ICD10: tuple[str, ...] = tuple(
    dict.fromkeys((*_DISEASE_CODES, *ICD10_BACKGROUND, *DEATH_BACKGROUND, *_CONDITION_CODES))
)
_ICD = {code: k for k, code in enumerate(ICD10)}
OPCS: tuple[str, ...] = (
    "K751",
    "K753",
    "K401",
    "K451",
    "K498",
    *OPCS_BACKGROUND,
    *(code for codes in condition_codes.OPCS4.values() for code in codes),
)
COMMUNITY: tuple[str, ...] = (SNOMED["foot_ulcer"], SNOMED["retinopathy"], *COMMUNITY_BACKGROUND)
#: Diseases a hospital adds to any later stay, in this order, with the share of stays in which it does.
_COMORBID: tuple[tuple[str, str, float], ...] = (
    ("t2d", "E119", 0.8),
    ("t1d", "E109", 0.9),
    ("chd", "I259", 0.7),
    ("hypertension", "I10X", 0.6),
    ("asthma", "J459", 0.5),
    ("lung_cancer", "C349", 0.8),
)
#: Disease, share admitted at onset, codes of which one is the reason, code beside it, mean days in hospital.
_ACUTE: tuple[tuple[str, float, tuple[str, ...], str, float], ...] = (
    ("chd", 0.72, ("I214", "I219", "I209", "I251"), "", 5.0),
    ("lung_cancer", 0.85, ("C349", "C341"), "", 6.0),
    ("retinopathy", 0.2, ("E113",), "H360", 0.3),
    ("nephropathy", 0.3, ("E112",), "N083", 4.0),
    ("foot_ulcer", 0.5, ("E115",), "", 8.0),
    ("dka", 0.95, ("E101", "E111"), "", 4.0),
    ("asthma", 0.06, ("J459",), "", 2.0),
)


@dataclass(frozen=True)
class Admissions:
    """Hospital stays; codes are positions in `ICD10` and `OPCS`, -1 for none."""

    who: NDArray[np.int64]
    start: NDArray[np.int32]
    stop: NDArray[np.int32]
    diagnoses: NDArray[np.int16]
    operations: NDArray[np.int16]


def admissions(people: People, lives: Lives, config: RegionConfig, rng: np.random.Generator) -> Admissions:
    """Stays for the modelled diseases and for everything else, sorted by person and day."""
    present = stay(people, lives, config)
    who, days, reason, extra, length = _acute(lives, present, rng)
    other, other_days = _spread(_background_rate(people, present), present, rng)
    who = np.concatenate([who, other])
    days = np.concatenate([days, other_days])
    plain = _any_of(ICD10_BACKGROUND, len(other), rng)
    reason = np.concatenate([reason, plain])
    extra = np.concatenate([extra, np.full(len(other), -1)])
    length = np.concatenate([length, rng.exponential(2.5, len(other))])
    order = np.lexsort((reason, days, who))
    who, days, reason, extra, length = who[order], days[order], reason[order], extra[order], length[order]
    diagnoses = np.full((len(who), 6), -1, np.int16)
    diagnoses[:, 0] = reason
    more = extra >= 0
    diagnoses[more, 1] = extra[more]
    add_usual(diagnoses, who, days, lives, rng)
    stop = np.minimum(days + length.astype(np.int64), np.maximum(present.stop[who] - 1, days))
    return Admissions(who, days.astype(np.int32), stop.astype(np.int32), diagnoses, _operations(reason, rng))


def add_usual(
    diagnoses: NDArray[np.int16],
    who: NDArray[np.int64],
    days: NDArray[np.int64],
    lives: Lives,
    rng: np.random.Generator,
) -> None:
    """Write the diseases that a hospital adds to any stay into the free places of (stays, 6) codes."""
    used = (diagnoses >= 0).sum(axis=1)
    for disease, code, share in _COMORBID:
        adds = (lives.onset[disease][who] <= days) & (rng.random(len(who)) < share)
        adds &= (used < 6) & (diagnoses[:, 0] != _ICD[code])
        diagnoses[adds, used[adds]] = _ICD[code]
        used[adds] += 1


def _acute(
    lives: Lives, present: Stay, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Person, day, reason, accompanying code and length of stays at and after the onset of a disease."""
    parts: list[tuple[NDArray, ...]] = []
    for disease, share, codes, partner, mean in _ACUTE:
        onset = lives.onset[disease]
        here = (onset >= present.start) & (onset < present.stop)
        first = np.flatnonzero(here & (rng.random(len(onset)) < share))
        count = rng.poisson(
            np.where(onset < present.stop, 0.04 * (present.stop - np.maximum(onset, present.start)) / YEAR, 0)
        )
        again = np.repeat(np.arange(len(onset)), np.maximum(count, 0))
        low = np.maximum(onset, present.start)[again]
        later = low + (rng.random(len(again)) * (present.stop[again] - low)).astype(np.int64)
        who = np.concatenate([first, again])
        pick = _any_of(codes, len(who), rng)
        if disease == "dka":
            pick = np.where(lives.onset["t1d"][who] < NEVER, _ICD["E101"], _ICD["E111"])
        goes_with = np.full(len(who), _ICD[partner] if partner else -1)
        parts.append(
            (who, np.concatenate([onset[first], later]), pick, goes_with, rng.exponential(mean, len(who)))
        )
    who, days, pick, goes_with, length = (np.concatenate(column) for column in zip(*parts, strict=True))
    return who, days, pick, goes_with, length


def _any_of(codes: tuple[str, ...], n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Positions in `ICD10` of codes drawn evenly."""
    drawn: NDArray[np.int64] = np.array([_ICD[code] for code in codes])[rng.integers(0, len(codes), n)]
    return drawn


def _background_rate(people: People, present: Stay) -> NDArray[np.float64]:
    age = ((present.start + present.stop) / 2 - people.birth) / YEAR
    return np.interp(age, [0, 2, 10, 30, 60, 80, 95], [0.12, 0.06, 0.03, 0.06, 0.1, 0.25, 0.4])


def _spread(
    rate: NDArray[np.floating], present: Stay, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Poisson days over the stay of each person."""
    span = present.stop - present.start
    who: NDArray[np.int64] = np.repeat(np.arange(len(span), dtype=np.int64), rng.poisson(rate * span / YEAR))
    return who, (present.start[who] + rng.random(len(who)) * span[who]).astype(np.int64)


def _operations(reason: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int16]:
    out = np.full((len(reason), 3), -1, np.int16)
    heart = np.isin(reason, [_ICD[code] for code in ("I214", "I219", "I251")]) & (
        rng.random(len(reason)) < 0.5
    )
    out[heart, 0] = rng.choice(5, int(heart.sum()), p=[0.55, 0.2, 0.1, 0.05, 0.1])
    plain = (reason >= len(_DISEASE_CODES)) & (rng.random(len(reason)) < 0.35)
    out[plain, 0] = 5 + rng.integers(0, len(OPCS_BACKGROUND), int(plain.sum()))
    return out


def community_contacts(
    people: People, lives: Lives, config: RegionConfig, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int16]]:
    """Person, day and position in `COMMUNITY`: district nurses, podiatry, retinal screening."""
    present = stay(people, lives, config)
    age = (present.stop - people.birth) / YEAR
    known = rng.random(len(people)) < np.interp(age, [0, 5, 60, 75, 95], [0.25, 0.04, 0.06, 0.3, 0.7])
    who, days = _spread(known * 0.8, present, rng)
    code = 2 + rng.integers(0, len(COMMUNITY_BACKGROUND), len(who))
    parts = [(who, days, code)]
    for k, disease in enumerate(("foot_ulcer", "retinopathy")):
        onset = lives.onset[disease]
        seen = np.flatnonzero(
            (onset >= present.start) & (onset < present.stop) & (rng.random(len(onset)) < 0.75)
        )
        each = np.repeat(seen, 1 + rng.poisson(2.0, len(seen)))
        late = onset[each] + rng.integers(0, 300, len(each))
        inside = late < present.stop[each]
        parts.append((each[inside], late[inside], np.full(int(inside.sum()), k)))
    who, days, code = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((code, days, who))
    return who[order], days[order].astype(np.int32), code[order].astype(np.int16)


def social_care(
    people: People, lives: Lives, config: RegionConfig, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32], NDArray[np.int8]]:
    """Person, first day, day after the last (`NEVER` while it goes on), position in `CARE_TYPES`."""
    present = stay(people, lives, config)
    age = (present.stop - people.birth) / YEAR
    needs = rng.random(len(people)) < np.interp(
        age, [18, 19, 60, 75, 85, 95], [0, 0.015, 0.02, 0.1, 0.35, 0.6]
    )
    needs &= present.stop - present.start > 400
    who = np.repeat(np.flatnonzero(needs), 1 + rng.poisson(0.4, int(needs.sum())))
    start = present.stop[who] - (YEAR * rng.exponential(2.5, len(who))).astype(np.int64) - 30
    start = np.maximum(start, present.start[who])
    stop = start + (YEAR * rng.exponential(1.5, len(who))).astype(np.int64) + 7
    last = present.stop[who]
    goes_on = (stop >= last) & (last > day(config.end_date))
    stop = np.where(goes_on, NEVER, np.minimum(stop, np.maximum(last, start + 1)))
    order = np.lexsort((stop, start, who))
    kind = rng.integers(0, len(CARE_TYPES), len(who)).astype(np.int8)
    return who[order], start[order].astype(np.int32), stop[order].astype(np.int32), kind[order]


def death_certificates(
    people: People, lives: Lives, config: RegionConfig, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int16]]:
    """Person, day, and (n, 4) codes: underlying cause, then contributory ones (-1 for none)."""
    registered = (lives.death <= day(config.end_date)) & (
        (people.leave > lives.death) | (rng.random(len(people)) < 0.5)
    )
    who = np.flatnonzero(registered)
    codes = np.full((len(who), 4), -1, np.int16)
    codes[:, 0] = _any_of(DEATH_BACKGROUND, len(who), rng)
    for name, choices in (("chd", ("I219", "I259", "I251")), ("lung_cancer", ("C349",))):
        mine = lives.cause[who] == list(DEATHS).index(name)
        codes[mine, 0] = _any_of(choices, int(mine.sum()), rng)
    used = np.ones(len(who), np.int64)
    for disease, code, share in _COMORBID:
        adds = (lives.onset[disease][who] < lives.death[who]) & (rng.random(len(who)) < 0.5 * share)
        adds &= (used < 4) & (codes[:, 0] != _ICD[code])
        codes[adds, used[adds]] = _ICD[code]
        used[adds] += 1
    return who, lives.death[who], codes
