"""What general practice writes about the diseases of :mod:`cohorts.synthetic.conditions`.

Diagnoses come late or never, some are mistaken, and far more people carry a neighbouring code (a family
history, a suspicion, a screening test) than have the disease. Rates are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from cohorts.synthetic.codes import SNOMED, UNITS
from cohorts.synthetic.condition_codes import BNF, GP_DECOYS, GP_READ2, GP_SNOMED, URINE_ACR
from cohorts.synthetic.conditions import CONDITIONS
from cohorts.synthetic.config import RegionConfig
from cohorts.synthetic.disease import Lives, levels
from cohorts.synthetic.gp import Rows, Stay, creatinine, in_order, join_rows, plain_rows, stay
from cohorts.synthetic.hazards import LEVELS
from cohorts.synthetic.people import YEAR, People
from cohorts.synthetic.places import Places
from cohorts.synthetic.tables import NEVER, day

_LABELS: tuple[tuple[str, str], ...] = tuple(
    dict.fromkeys(
        [
            *(("snomed", code) for codes in GP_SNOMED.values() for code in codes),
            *(("read2", code) for codes in GP_READ2.values() for code in codes),
            *(("snomed", code) for code in GP_DECOYS.values()),
            *(("snomed", code) for code in (SNOMED["egfr"], SNOMED["creatinine"], URINE_ACR)),
        ]
    )
)
_AT = {label: k for k, label in enumerate(_LABELS)}
#: Code systems and codes of :func:`condition_events`, by position.
SYSTEMS: tuple[str, ...] = tuple(system for system, _ in _LABELS)
CODES: tuple[str, ...] = tuple(code for _, code in _LABELS)
#: Drugs of :func:`condition_prescriptions`, by position.
DRUGS: tuple[str, ...] = tuple(dict.fromkeys(code for codes in BNF.values() for code in codes))

#: Practices that wrote Read v2, and the day on which the last of them stopped.
READ_SHARE = 1 / 3
READ_UNTIL = day(date(2015, 1, 1))


@dataclass(frozen=True, kw_only=True)
class Recording:
    """How practices write a disease down.

    Attributes
    ----------
    share
        Share of the ill who are ever coded.
    delay
        Mean years from onset to the first code.
    reviews
        Codes a year afterwards.
    mistaken
        Share of those without the disease, past the age `from_age`, who carry its code once.
    from_age
        Age from which mistakes are made.
    """

    share: float
    delay: float
    reviews: float
    mistaken: float = 0.0
    from_age: float = 18.0


RECORDING: Mapping[str, Recording] = {
    "heart_failure": Recording(share=0.82, delay=0.3, reviews=0.5, mistaken=0.002, from_age=50),
    "stroke": Recording(share=0.92, delay=0.1, reviews=0.3, mistaken=0.002, from_age=50),
    "atrial_fibrillation": Recording(share=0.86, delay=0.5, reviews=0.4, mistaken=0.002, from_age=50),
    "ckd": Recording(share=0.68, delay=1.5, reviews=0.4, mistaken=0.004, from_age=60),
    "copd": Recording(share=0.75, delay=1.0, reviews=0.6, mistaken=0.004, from_age=40),
    "breast_cancer": Recording(share=0.95, delay=0.1, reviews=0.25, mistaken=0.001, from_age=30),
    "prostate_cancer": Recording(share=0.95, delay=0.15, reviews=0.25, mistaken=0.001, from_age=50),
    "colorectal_cancer": Recording(share=0.94, delay=0.1, reviews=0.25, mistaken=0.0006, from_age=40),
    "depression": Recording(share=0.82, delay=0.4, reviews=0.35, mistaken=0.012, from_age=16),
    "dementia": Recording(share=0.68, delay=1.2, reviews=0.6, mistaken=0.003, from_age=70),
    "neuropathy": Recording(share=0.62, delay=1.0, reviews=0.2, mistaken=0.0003, from_age=40),
    "amputation": Recording(share=0.8, delay=0.1, reviews=0.1, mistaken=0.0001, from_age=40),
    "severe_hypoglycaemia": Recording(share=0.35, delay=0.05, reviews=0.05, mistaken=0.0001),
}


@dataclass(frozen=True, kw_only=True)
class Decoy:
    """A neighbouring code: yearly rate from an age on, for one sex or both, times `times` after `among`."""

    rate: float
    from_age: float = 18.0
    only: str = ""
    among: tuple[str, ...] = ()
    times: float = 1.0


DECOYS: Mapping[str, Decoy] = {
    "family history of breast cancer": Decoy(rate=0.006, from_age=25, only="F"),
    "family history of coronary disease": Decoy(rate=0.010, from_age=25),
    "family history of diabetes": Decoy(rate=0.008, from_age=25),
    "family history of bowel cancer": Decoy(rate=0.003, from_age=30),
    "family history of stroke": Decoy(rate=0.003, from_age=30),
    "transient ischaemic attack": Decoy(rate=0.0015, from_age=55, among=("stroke",), times=8.0),
    "screening for depression": Decoy(rate=0.01, among=("t2d", "chd"), times=10.0),
    "anxiety": Decoy(rate=0.008, from_age=16, among=("depression",), times=6.0),
    "mild cognitive impairment": Decoy(rate=0.003, from_age=65),
    "suspected heart failure": Decoy(rate=0.003, from_age=60, among=("heart_failure",), times=3.0),
    "raised PSA": Decoy(rate=0.008, from_age=50, only="M", among=("prostate_cancer",), times=4.0),
    "benign prostatic hyperplasia": Decoy(rate=0.012, from_age=55, only="M"),
    "fibroadenosis of breast": Decoy(rate=0.003, only="F"),
    "irritable bowel": Decoy(rate=0.006),
    "atrial flutter": Decoy(rate=0.0003, from_age=60, among=("atrial_fibrillation",), times=10.0),
    "palpitations": Decoy(rate=0.006, among=("atrial_fibrillation",), times=4.0),
    "mild hypoglycaemia": Decoy(rate=0.0003, among=("insulin",), times=300.0),
    "acute kidney injury": Decoy(rate=0.002, from_age=60, among=("ckd",), times=5.0),
    "leg swelling": Decoy(rate=0.010, from_age=60, among=("heart_failure",), times=3.0),
    "memory loss": Decoy(rate=0.005, from_age=65, among=("dementia",), times=3.0),
}


@dataclass(frozen=True, kw_only=True)
class Course:
    """Repeat prescriptions of one drug after a disease (or in the well: `after` empty, `share` of all).

    Attributes
    ----------
    drug
        Key of :data:`cohorts.synthetic.condition_codes.BNF`.
    after
        The disease, or ''.
    share
        Who is ever given it.
    years
        Mean years it is taken, 0 for all of life.
    from_age
        Youngest, for those without the disease.
    """

    drug: str
    after: str
    share: float
    years: float = 0.0
    from_age: float = 18.0


COURSES: tuple[Course, ...] = (
    Course(drug="loop_diuretic", after="heart_failure", share=0.75),
    Course(drug="mra", after="heart_failure", share=0.35),
    Course(drug="anticoagulant", after="atrial_fibrillation", share=0.7),
    Course(drug="antiplatelet", after="stroke", share=0.7),
    Course(drug="antiplatelet", after="chd", share=0.5, years=1.5),
    Course(drug="lama", after="copd", share=0.7),
    Course(drug="antidepressant", after="depression", share=0.72, years=2.5),
    Course(drug="dementia_drug", after="dementia", share=0.4, years=3.0),
    Course(drug="breast_hormone", after="breast_cancer", share=0.7, years=5.0),
    Course(drug="prostate_hormone", after="prostate_cancer", share=0.4, years=3.0),
    Course(drug="nerve_pain", after="neuropathy", share=0.4, years=4.0),
    Course(drug="glucagon", after="severe_hypoglycaemia", share=0.3, years=0.5),
    Course(drug="loop_diuretic", after="", share=0.03, years=2.0, from_age=65),
    Course(drug="anticoagulant", after="", share=0.02, years=0.5, from_age=40),
    Course(drug="antidepressant", after="", share=0.06, years=0.8),
    Course(drug="lama", after="", share=0.006, years=1.0, from_age=40),
    Course(drug="nerve_pain", after="", share=0.03, years=1.0, from_age=35),
    Course(drug="amitriptyline", after="", share=0.06, years=1.0),
)
_GAP = 84


def condition_events(
    people: People, lives: Lives, places: Places, config: RegionConfig, rng: np.random.Generator
) -> Rows:
    """Coded events of a chunk, sorted by person and day; codes are positions in `CODES`."""
    present = stay(people, lives, config)
    rows = [
        *_diagnoses(people, lives, places, present, config, rng),
        *_decoys(people, lives, present, config, rng),
        *_kidney_tests(people, lives, present, config, rng),
        *_urine_tests(people, lives, present, config, rng),
    ]
    return in_order(join_rows(rows))


def _diagnoses(
    people: People,
    lives: Lives,
    places: Places,
    present: Stay,
    config: RegionConfig,
    rng: np.random.Generator,
) -> list[Rows]:
    reads = config.rng("read practices").random(len(places.practice_codes)) < READ_SHARE
    parts = []
    for name, recording in RECORDING.items():
        who, days, codes = _coded(name, recording, people, lives, present, rng)
        practice = people.practice[who, people.home_at(who, days)]
        snomed = np.array([_AT["snomed", code] for code in GP_SNOMED[name]])
        read = np.array([_AT["read2", code] for code in GP_READ2[name]])
        old = reads[practice] & (days < READ_UNTIL)
        parts.append(plain_rows(who, days, np.where(old, read[codes % len(read)], snomed[codes])))
    return parts


def _coded(
    name: str,
    recording: Recording,
    people: People,
    lives: Lives,
    present: Stay,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]]:
    """Person, day and which of the disease's codes: first code, then at reviews; mistaken ones once."""
    onset = lives.onset[name].astype(np.int64)
    n = len(onset)
    found = onset + (YEAR * rng.exponential(recording.delay, n)).astype(np.int64)
    found = np.where(onset < present.start, present.start + rng.integers(0, 90, n), found)
    coded = (onset < NEVER) & (rng.random(n) < recording.share)
    only = CONDITIONS[name].only if name in CONDITIONS else ""
    mistaken = (onset >= NEVER) & (rng.random(n) < recording.mistaken)
    mistaken &= (people.male == (only == "M")) | (only == "")
    when = present.start + (rng.random(n) * (present.stop - present.start)).astype(np.int64)
    mistaken &= when - people.birth >= recording.from_age * YEAR
    found = np.where(mistaken, when, found)
    who = np.flatnonzero((coded | mistaken) & (found >= present.start) & (found < present.stop))
    span = (present.stop[who] - found[who]) / YEAR
    again = np.repeat(
        np.arange(len(who)), rng.poisson(np.where(mistaken[who], 0.0, recording.reviews) * span)
    )
    later = found[who][again] + (rng.random(len(again)) * span[again] * YEAR).astype(np.int64)
    favourite = rng.integers(0, len(GP_SNOMED[name]), len(who))
    row = np.concatenate([np.arange(len(who)), again])
    days = np.concatenate([found[who], later]).astype(np.int32)
    codes = _stage(who[row], days, people, lives) if name == "ckd" else favourite[row]
    return who[row], days, codes


def _stage(
    who: NDArray[np.int64], days: NDArray[np.int32], people: People, lives: Lives
) -> NDArray[np.int64]:
    """Which code of chronic kidney disease fits the filtration of the day; 3A or 3B are told apart from 2008."""
    level = levels("egfr", who, days, people, lives)
    stage = np.select([level < 15, level < 30, level < 45], [4, 3, 2], 1)
    return np.where((stage <= 2) & (days < day(date(2008, 1, 1))), 0, stage)


def _decoys(
    people: People, lives: Lives, present: Stay, config: RegionConfig, rng: np.random.Generator
) -> list[Rows]:
    parts = []
    for name, decoy in DECOYS.items():
        start = np.maximum(present.start, people.birth + int(decoy.from_age * YEAR))
        right = np.ones(len(people), bool) if not decoy.only else people.male == (decoy.only == "M")
        who, days = _poisson(config.activity * decoy.rate * right, start, present.stop, rng)
        if decoy.among:
            since = np.minimum.reduce([lives.since(cause) for cause in decoy.among])
            more = config.activity * decoy.rate * (decoy.times - 1) * right
            extra, extra_days = _poisson(more, np.maximum(start, since), present.stop, rng)
            who, days = np.concatenate([who, extra]), np.concatenate([days, extra_days])
        parts.append(plain_rows(who, days, _AT["snomed", GP_DECOYS[name]]))
    return parts


def _poisson(
    rate: NDArray[np.floating] | float,
    start: NDArray[np.int32] | NDArray[np.int64],
    stop: NDArray[np.int32],
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Days at `rate` a year in [start, stop), which may be empty."""
    span = np.maximum(stop.astype(np.int64) - start, 0)
    who: NDArray[np.int64] = np.repeat(np.arange(len(span)), rng.poisson(rate * span / YEAR))
    return who, (start[who] + rng.random(len(who)) * span[who]).astype(np.int32)


def _kidney_tests(
    people: People, lives: Lives, present: Stay, config: RegionConfig, rng: np.random.Generator
) -> list[Rows]:
    """Tests that the ill get beside the usual ones, and passing falls of filtration in acute illness.

    A fall lasts some weeks and gives two low results, less than 90 days apart.
    """
    sick = np.minimum(lives.onset["ckd"], lives.onset["heart_failure"])
    who, days = _poisson(config.activity, np.maximum(present.start, sick), present.stop, rng)
    level = levels("egfr", who, days, people, lives) + LEVELS["egfr"].noise * rng.normal(size=len(who))
    old = np.maximum(present.start, people.birth + int(60 * YEAR))
    fallen, first = _poisson(0.006 * min(config.activity, 1.0), old, present.stop, rng)
    second = first + rng.integers(5, 45, len(first)).astype(np.int32)
    depth = rng.uniform(0.3, 0.65, len(fallen))
    usual = levels("egfr", fallen, first, people, lives)
    inside = second < present.stop[fallen]
    who = np.concatenate([who, fallen, fallen[inside]])
    days = np.concatenate([days, first, second[inside]])
    level = np.concatenate([level, usual * depth, (usual * (depth + 0.2))[inside]])
    level = np.clip(level, 4, 140)
    return [
        _measured(SNOMED["egfr"], who, days, level, "mL/min/1.73m2", 100),
        _measured(SNOMED["creatinine"], who, days, creatinine(level, who, days, people), "umol/L", 100),
    ]


def _urine_tests(
    people: People, lives: Lives, present: Stay, config: RegionConfig, rng: np.random.Generator
) -> list[Rows]:
    """Albumin to creatinine ratio of diabetics and of those with kidney disease, tenfold in nephropathy."""
    sick = np.minimum(np.minimum(lives.onset["t2d"], lives.onset["t1d"]), lives.onset["kidney_disease"])
    who, days = _poisson(0.6 * config.activity, np.maximum(present.start, sick), present.stop, rng)
    leaks = np.minimum(lives.onset["nephropathy"], lives.onset["kidney_disease"])[who] <= days
    value = np.exp(rng.normal(np.where(leaks, np.log(10.0), np.log(0.9)), 0.7))
    return [_measured(URINE_ACR, who, days, np.clip(value, 0.1, 500), "mg/mmol", 10)]


def _measured(
    code: str,
    who: NDArray[np.int64],
    days: NDArray[np.int32],
    value: NDArray[np.floating],
    unit: str,
    step: int,
) -> Rows:
    keys = np.maximum(np.round(value * 100 / step), 1).astype(np.int32) * step
    rows = plain_rows(who, days, _AT["snomed", code])
    return Rows(rows.who, rows.day, rows.code, keys, np.full(len(who), UNITS.index(unit), np.int8))


def condition_prescriptions(
    people: People, lives: Lives, config: RegionConfig, rng: np.random.Generator
) -> Rows:
    """Courses of drugs, sorted by person and day; codes are positions in `DRUGS`."""
    present = stay(people, lives, config)
    n = len(people)
    gap = round(_GAP / config.activity)
    parts = []
    for course in COURSES:
        drugs = np.array([DRUGS.index(code) for code in BNF[course.drug]])
        if course.after:
            start = lives.onset[course.after] + (YEAR * rng.exponential(0.3, n)).astype(np.int64)
            given = lives.onset[course.after] < NEVER
        else:
            start = present.start + (rng.random(n) * (present.stop - present.start)).astype(np.int64)
            given = start - people.birth >= course.from_age * YEAR
        lasts = YEAR * rng.exponential(course.years, n) if course.years else np.full(n, float(NEVER))
        stop = np.minimum(start + lasts, present.stop).astype(np.int64)
        begin = np.maximum(start, present.start)
        who = np.flatnonzero(given & (rng.random(n) < course.share) & (begin < stop))
        count = (stop[who] - begin[who]) // gap + 1
        each = np.repeat(np.arange(len(who)), count)
        number = np.arange(len(each)) - np.repeat(np.cumsum(count) - count, count)
        days = begin[who][each] + number * gap + rng.integers(-10, 11, len(each)) * (number > 0)
        keep = ((rng.random(len(each)) < 0.92) | (number == 0)) & (days < stop[who[each]])
        favourite = drugs[rng.integers(0, len(drugs), len(who))]
        parts.append(plain_rows(who[each][keep], days[keep].astype(np.int32), favourite[each][keep]))
    return in_order(join_rows(parts))
