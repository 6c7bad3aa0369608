"""What general practice writes down: visits, measurements with units, diagnoses, smoking, prescriptions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from cohorts.synthetic.codes import BNF, GP_BACKGROUND, SNOMED, UNITS
from cohorts.synthetic.config import RegionConfig
from cohorts.synthetic.disease import Lives, levels
from cohorts.synthetic.hazards import LEVELS
from cohorts.synthetic.people import YEAR, People
from cohorts.synthetic.places import Places
from cohorts.synthetic.tables import BLANK, NEVER, day

CODES: tuple[str, ...] = (*SNOMED.values(), *GP_BACKGROUND)
_CODE = {name: k for k, name in enumerate(SNOMED)}
_UNIT = {name: k for k, name in enumerate(UNITS)}
DRUGS: tuple[str, ...] = tuple(code for codes in BNF.values() for code in codes)
_DRUG_AT = dict(zip(BNF, np.cumsum([0, *map(len, BNF.values())])[:-1].tolist(), strict=True))
#: Day on which laboratories went over from % to mmol/mol for HbA1c.
_IFCC = day(date(2011, 6, 1))


@dataclass(frozen=True, kw_only=True)
class Coding:
    """How practices code a disease.

    Attributes
    ----------
    codes
        Names of the codes in use; a practice keeps to one per person.
    share
        Share of the ill who are ever coded.
    delay
        Mean years from onset to the first code.
    reviews
        Codes a year afterwards.
    mistaken
        Share of people without the disease who carry its code, half of them once only.
    """

    codes: tuple[str, ...]
    share: float
    delay: float
    reviews: float
    mistaken: float = 0.0


CODING: dict[str, Coding] = {
    "t2d": Coding(codes=("t2d", "t2d", "t2d_other"), share=0.95, delay=0.5, reviews=0.8, mistaken=0.003),
    "t1d": Coding(codes=("t1d",), share=0.97, delay=0.02, reviews=0.6, mistaken=0.0003),
    "chd": Coding(codes=("chd", "mi", "angina"), share=0.93, delay=0.05, reviews=0.4, mistaken=0.004),
    "asthma": Coding(codes=("asthma",), share=0.95, delay=0.3, reviews=0.45, mistaken=0.01),
    "lung_cancer": Coding(codes=("lung_cancer", "lung_cancer_other"), share=0.9, delay=0.1, reviews=0.3),
    "hypertension": Coding(codes=("hypertension",), share=0.95, delay=0.2, reviews=0.35, mistaken=0.01),
    "retinopathy": Coding(codes=("retinopathy",), share=0.85, delay=0.3, reviews=0.25),
    "nephropathy": Coding(codes=("nephropathy",), share=0.8, delay=0.3, reviews=0.2),
    "foot_ulcer": Coding(codes=("foot_ulcer",), share=0.8, delay=0.1, reviews=0.1),
    "dka": Coding(codes=("dka",), share=0.6, delay=0.05, reviews=0.0),
}
#: Share of HbA1c tests of the healthy that are high for another reason (steroids, acute illness), and by
#: how much on average, in mmol/mol.
PASSING_HBA1C = (0.0012, 16.0)
#: Treatment: drug names, days between issues.
_COURSES: dict[str, tuple[tuple[str, ...], int]] = {
    "statin": (("statin",), 84),
    "antihypertensive": (("antihypertensive",), 84),
    "metformin": (("metformin",), 70),
    "second_drug": (("sulfonylurea", "gliptin"), 84),
    "insulin": (("insulin",), 70),
}


@dataclass(frozen=True)
class Rows:
    """Dated rows about people: `who` (row of the chunk), `day`, and keys of the texts.

    `value` is in hundredths, `BLANK` for none; `unit` -1 for none.
    """

    who: NDArray[np.int64]
    day: NDArray[np.int32]
    code: NDArray[np.int16]
    value: NDArray[np.int32]
    unit: NDArray[np.int8]

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Rows:
        """Some of the rows."""
        return Rows(self.who[rows], self.day[rows], self.code[rows], self.value[rows], self.unit[rows])


def plain_rows(who: NDArray[np.int64], days: NDArray[np.int32], code: NDArray[np.int64] | int) -> Rows:
    """Rows without values."""
    n = len(who)
    return Rows(
        who,
        days.astype(np.int32),
        np.broadcast_to(np.asarray(code, np.int16), n),
        np.full(n, BLANK, np.int32),
        np.full(n, -1, np.int8),
    )


def join_rows(parts: list[Rows]) -> Rows:
    """All rows, one part after another."""
    return Rows(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in Rows.__dataclass_fields__)
    )


def in_order(rows: Rows) -> Rows:
    """Rows by person, day and code."""
    return rows.take(np.lexsort((rows.code, rows.day, rows.who)))


@dataclass(frozen=True)
class Stay:
    """When the region can write about each person: [`start`, `stop`), empty for some."""

    start: NDArray[np.int32]
    stop: NDArray[np.int32]


def stay(people: People, lives: Lives, config: RegionConfig) -> Stay:
    """Residence within the calendar."""
    start = np.maximum(people.arrive, day(config.start_date))
    stop = np.minimum(np.minimum(people.leave, lives.death), day(config.end_date) + 1)
    return Stay(start.astype(np.int32), np.maximum(stop, start).astype(np.int32))


def _visits(
    kind_rate: NDArray[np.float64], starts: NDArray[np.int64], present: Stay, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Poisson visits within residence: (person rows, days) for yearly rates (people, years)."""
    low = np.maximum(starts[None, :-1], present.start[:, None])
    high = np.minimum(starts[None, 1:], present.stop[:, None])
    length = np.maximum(high - low, 0)
    count = rng.poisson(kind_rate * length / YEAR)
    cell = np.repeat(np.arange(count.size), count.ravel())
    who = cell // count.shape[1]
    days = low.ravel()[cell] + (rng.random(len(cell)) * length.ravel()[cell]).astype(np.int64)
    return who, days.astype(np.int32)


def gp_events(
    people: People, lives: Lives, places: Places, config: RegionConfig, rng: np.random.Generator
) -> Rows:
    """All coded events of a chunk, sorted by person and day."""
    present = stay(people, lives, config)
    years = np.arange(config.start_date.year, config.end_date.year + 2)
    starts = (years - 1970).astype("datetime64[Y]").astype("datetime64[D]").astype(np.int64)
    age = (starts[None, :-1] + 182 - people.birth[:, None]) / YEAR
    ill = {
        name: lives.since(name)[:, None] < starts[None, :-1] for name in ("t2d", "t1d", "chd", "hypertension")
    }
    ill["statin"] = lives.treated["statin"][:, None] < starts[None, :-1]
    eager = rng.gamma(4.0, 0.25, len(people))[:, None]
    seen = config.activity
    diabetic = ill["t2d"] | ill["t1d"]
    later = np.interp(starts[:-1], starts[[0, -2]], [0.7, 1.15])
    plain = eager * np.interp(age, [0, 5, 18, 35, 60, 80, 95], [1.6, 0.9, 0.6, 0.7, 0.9, 1.3, 1.5])
    pressure = eager * np.interp(age, [16, 18, 35, 50, 70, 90], [0, 0.3, 0.3, 0.5, 0.8, 0.7]) * later
    pressure = pressure + ill["hypertension"] * 1.2 + diabetic * 1.0 + ill["chd"] * 0.6
    blood = eager * np.interp(age, [16, 18, 35, 50, 70, 90], [0, 0.06, 0.12, 0.28, 0.4, 0.35]) * later
    blood = blood + ill["hypertension"] * 0.5 + diabetic * 1.2 + ill["chd"] * 0.4 + ill["statin"] * 0.3
    who, days = _visits(seen * plain, starts, present, rng)
    parts = [plain_rows(who, days, len(SNOMED) + _skewed(len(who), len(GP_BACKGROUND), rng))]
    who, days = _visits(seen * np.where(age > 16, pressure, 0), starts, present, rng)
    parts += _check_visit(who, days, people, lives, rng)
    who, days = _visits(seen * np.where(age > 16, blood, 0), starts, present, rng)
    parts += _blood_visit(who, days, people, lives, places, rng)
    parts += _diagnoses(people, lives, present, rng)
    rows = join_rows(parts)
    return in_order(rows)


def _skewed(n: int, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    weight = 1.0 / (np.arange(size) + 3.0)
    drawn: NDArray[np.int64] = rng.choice(size, n, p=weight / weight.sum())
    return drawn


def _measured(
    name: str,
    who: NDArray[np.int64],
    days: NDArray[np.int32],
    value: NDArray[np.float64],
    unit: str,
    step: int,
) -> Rows:
    """Measurements rounded to `step` hundredths."""
    keys = np.maximum(np.round(value * 100 / step), 1).astype(np.int32) * step
    return Rows(
        who, days, np.full(len(who), _CODE[name], np.int16), keys, np.full(len(who), _UNIT[unit], np.int8)
    )


def _noisy(
    name: str,
    who: NDArray[np.int64],
    days: NDArray[np.int32],
    people: People,
    lives: Lives,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    return levels(name, who, days, people, lives) + LEVELS[name].noise * rng.normal(size=len(who))


def _check_visit(
    who: NDArray[np.int64], days: NDArray[np.int32], people: People, lives: Lives, rng: np.random.Generator
) -> list[Rows]:
    """Blood pressure, and sometimes weight and smoking."""
    parts = [_measured("sbp", who, days, _noisy("sbp", who, days, people, lives, rng), "mmHg", 100)]
    some = rng.random(len(who)) < 0.42
    w, d = who[some], days[some]
    parts.append(_measured("bmi", w, d, _noisy("bmi", w, d, people, lives, rng), "kg/m2", 10))
    some = rng.random(len(who)) < 0.35
    w, d = who[some], days[some]
    status = np.where(
        people.smoke_quit[w] <= d,
        _CODE["smoking_ex"],
        np.where(people.smoke_start[w] <= d, _CODE["smoking_current"], _CODE["smoking_never"]),
    )
    # some who gave up long ago are written down as never having smoked
    forgot = (status == _CODE["smoking_ex"]) & (rng.random(len(w)) < 0.06)
    parts.append(plain_rows(w, d, np.where(forgot, _CODE["smoking_never"], status)))
    return parts


def _blood_visit(
    who: NDArray[np.int64],
    days: NDArray[np.int32],
    people: People,
    lives: Lives,
    places: Places,
    rng: np.random.Generator,
) -> list[Rows]:
    """Lipids, HbA1c and kidney function, in the units of the practice's laboratory."""
    practice = people.practice[who, people.home_at(who, days)]
    parts: list[Rows] = []
    some = rng.random(len(who)) < 0.72
    w, d, mgdl = who[some], days[some], places.mgdl_practice[practice[some]]
    ldl = np.maximum(_noisy("ldl", w, d, people, lives, rng), 0.5)
    hdl = np.clip(
        1.6 - 0.25 * people.male[w] - 0.018 * (lives.own["bmi"][w] - 27) + rng.normal(0, 0.3, len(w)),
        0.5,
        3.5,
    )
    total = ldl + hdl + rng.lognormal(-0.5, 0.35, len(w))
    for name, value in (("ldl", ldl), ("hdl", hdl), ("total_cholesterol", total)):
        parts.append(_measured(name, w[~mgdl], d[~mgdl], value[~mgdl], "mmol/L", 10 if name != "ldl" else 5))
        parts.append(_measured(name, w[mgdl], d[mgdl], value[mgdl] * 38.67, "mg/dL", 100))
    diabetic = np.minimum(lives.onset["t2d"][who], lives.onset["t1d"][who]) < days + 365
    some = rng.random(len(who)) < np.where(diabetic, 0.9, np.where(days < _IFCC - 900, 0.15, 0.5))
    parts += _hba1c(who[some], days[some], practice[some], people, lives, places, rng)
    some = rng.random(len(who)) < 0.8
    w, d = who[some], days[some]
    egfr = np.clip(_noisy("egfr", w, d, people, lives, rng), 4, 140)
    parts.append(_measured("egfr", w, d, egfr, "mL/min/1.73m2", 100))
    parts.append(_measured("creatinine", w, d, creatinine(egfr, w, d, people), "umol/L", 100))
    unitless = rng.random(sum(len(part.who) for part in parts)) < 0.004
    joined = join_rows(parts)
    joined.unit[unitless] = -1
    return [joined]


def _hba1c(
    w: NDArray[np.int64],
    d: NDArray[np.int32],
    practice: NDArray[np.int16],
    people: People,
    lives: Lives,
    places: Places,
    rng: np.random.Generator,
) -> list[Rows]:
    value = _noisy("hba1c", w, d, people, lives, rng)
    share, rise = PASSING_HBA1C
    passing = rng.random(len(w)) < share
    value[passing] += rng.exponential(rise, int(passing.sum()))
    value = np.maximum(value, 18)
    percent = (d < _IFCC) | (
        places.late_ifcc_practice[practice] & (d < _IFCC + 1600) & (rng.random(len(d)) < 0.6)
    )
    wrong_code = percent & (rng.random(len(d)) < 0.02)
    old = percent & ~wrong_code
    dcct = value / 10.929 + 2.15
    return [
        _measured("hba1c", w[~percent], d[~percent], value[~percent], "mmol/mol", 100),
        _measured("hba1c_dcct", w[old], d[old], dcct[old], "%", 10),
        # the newer code with the older unit: the unit, not the code, says what it is
        _measured("hba1c", w[wrong_code], d[wrong_code], dcct[wrong_code], "%", 10),
    ]


def creatinine(
    egfr: NDArray[np.float64], w: NDArray[np.int64], d: NDArray[np.int32], people: People
) -> NDArray[np.float64]:
    """Serum creatinine in umol/L that gives `egfr` under CKD-EPI 2021, on the part above its knot."""
    male = people.male[w]
    age = np.maximum((d - people.birth[w]) / YEAR, 18)
    kappa, sex = np.where(male, 0.9, 0.7), np.where(male, 1.0, 1.012)
    ratio = (egfr / (142 * 0.9938**age * sex)) ** (-1 / 1.2)
    alpha = np.where(male, -0.302, -0.241)
    low = (egfr / (142 * 0.9938**age * sex)) ** (1 / alpha)
    return np.clip(88.4 * kappa * np.where(ratio >= 1, ratio, low), 20, 1500)


def _diagnoses(people: People, lives: Lives, present: Stay, rng: np.random.Generator) -> list[Rows]:
    """First code some time after onset (or on registering), again at reviews, and mistaken codes."""
    parts = []
    for disease, coding in CODING.items():
        onset = lives.onset[disease].astype(np.int64)
        found = onset + (YEAR * rng.exponential(coding.delay, len(onset))).astype(np.int64)
        late = onset < present.start
        found = np.where(late, present.start + rng.integers(0, 90, len(onset)), found)
        coded = (onset < NEVER) & (rng.random(len(onset)) < coding.share)
        mistaken = (onset >= NEVER) & (rng.random(len(onset)) < coding.mistaken)
        found = np.where(mistaken, rng.integers(present.start, present.stop + 1), found)
        who = np.flatnonzero((coded | mistaken) & (found < present.stop) & (found >= present.start))
        favourite = rng.integers(0, len(coding.codes), len(who))
        rate = np.where(mistaken[who] & (rng.random(len(who)) < 0.5), 0.0, coding.reviews)
        again = np.repeat(np.arange(len(who)), rng.poisson(rate * (present.stop[who] - found[who]) / YEAR))
        span = (present.stop[who] - found[who])[again]
        later = found[who][again] + (rng.random(len(again)) * span).astype(np.int64)
        keys = np.array([_CODE[name] for name in coding.codes])
        parts.append(plain_rows(who, found[who].astype(np.int32), keys[favourite]))
        parts.append(plain_rows(who[again], later.astype(np.int32), keys[favourite[again]]))
    return parts


def gp_prescriptions(people: People, lives: Lives, config: RegionConfig, rng: np.random.Generator) -> Rows:
    """Repeat prescriptions from the start of a treatment, and everyday drugs."""
    present = stay(people, lives, config)
    parts: list[Rows] = []
    for treatment, (drugs, gap) in _COURSES.items():
        start = np.maximum(lives.treated[treatment], present.start)
        who = np.flatnonzero(start < present.stop)
        gap = round(gap / config.activity)
        keys = np.concatenate([np.arange(len(BNF[name])) + _DRUG_AT[name] for name in drugs])
        favourite = keys[rng.integers(0, len(keys), len(who))]
        count = (present.stop[who] - start[who]) // gap + 1
        each = np.repeat(np.arange(len(who)), count)
        number = np.arange(len(each)) - np.repeat(np.cumsum(count) - count, count)
        days = start[who][each] + number * gap + rng.integers(-10, 11, len(each)) * (number > 0)
        taken = (rng.random(len(each)) < 0.92) | (number == 0)
        keep = taken & (days < present.stop[who[each]])
        parts.append(plain_rows(who[each][keep], days[keep].astype(np.int32), favourite[each][keep]))
    for who_has, rate, name in (
        (lives.onset["asthma"] < NEVER, 2.0, "inhaler"),
        (np.ones(len(people), bool), 0.35, "background"),
    ):
        who = np.flatnonzero(who_has)
        since = np.maximum(present.start, np.where(name == "inhaler", lives.onset["asthma"], 0))[who]
        span = np.maximum(present.stop[who] - since, 0)
        visit = np.repeat(np.arange(len(who)), rng.poisson(config.activity * rate * span / YEAR))
        when = since[visit] + (rng.random(len(visit)) * span[visit]).astype(np.int64)
        drug = _DRUG_AT[name] + rng.integers(0, len(BNF[name]), len(visit))
        parts.append(plain_rows(who[visit], when.astype(np.int32), drug))
    rows = join_rows(parts)
    return in_order(rows)
