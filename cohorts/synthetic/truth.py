"""The answer key: who is whom, what they had, which variants did it, and by which hazards."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cohorts.synthetic.condition_gp import RECORDING
from cohorts.synthetic.condition_hospital import HOSPITAL
from cohorts.synthetic.conditions import CONDITIONS, LOSS
from cohorts.synthetic.config import RegionConfig
from cohorts.synthetic.disease import Lives, levels
from cohorts.synthetic.effects import ARCHITECTURES, TRAITS, Effects
from cohorts.synthetic.gp import CODING
from cohorts.synthetic.hazards import CENTRES, DEATHS, DISEASES, FRAILTY, LEVELS, TREATMENTS
from cohorts.synthetic.people import ANCESTRIES, People
from cohorts.synthetic.places import Places
from cohorts.synthetic.tables import NEVER, day


def _calendar(days: NDArray[np.int32]) -> NDArray[np.datetime64]:
    """Days as datetime64[s]; `NEVER` becomes missing."""
    out = np.where(days >= NEVER, 0, days).astype("datetime64[D]").astype("datetime64[s]")
    out[days >= NEVER] = np.datetime64("NaT")
    return out


def people_table(
    start: int, people: People, lives: Lives, places: Places, config: RegionConfig
) -> pd.DataFrame:
    """One row a person: identity number, life dates, true levels and habits on the index date, genetics.

    Levels are in the traits' units, without measurement noise, as treated on that day; ``g_*`` are
    genetic values (trait units, or log hazards), ``liability_*`` log hazards.
    """
    n = len(people)
    who = np.arange(n)
    index = np.full(n, day(config.index_date), np.int32)
    area = people.area[who, people.home_at(who, index)]
    smoking = np.where(
        people.smoke_quit <= index, "ex", np.where(people.smoke_start <= index, "current", "never")
    )
    table = {
        "true_person": who + start,
        "sex": np.where(people.male, "M", "F"),
        "birth_date": _calendar(people.birth),
        "death_date": _calendar(lives.death),
        "cause_of_death": np.array([*DEATHS, ""], object)[lives.cause],
        "arrived": _calendar(people.arrive),
        "left": _calendar(people.leave),
        "ancestry": np.array(ANCESTRIES, object)[people.ancestry],
        "genotyped": people.genome >= 0,
        "smoking": smoking,
        "area": np.array(places.area_codes, object)[area],
        "pm25": places.pm25[area, places.air(config.index_date.year)],
    }
    for name in LEVELS:
        table[name] = levels(name, who, index, people, lives)
        table[f"own_{name}"] = lives.own[name]
    for name in TREATMENTS:
        table[f"started_{name}"] = _calendar(lives.treated[name])
    for code, name in enumerate(TRAITS):
        table[f"g_{name}"] = lives.genetic[:, code]
    for name, value in lives.liability.items():
        table[f"liability_{name}"] = value
    return pd.DataFrame(table)


def outcomes_table(start: int, lives: Lives) -> pd.DataFrame:
    """Columns true_person, disease, onset: every true onset, whether or not anyone wrote it down."""
    parts = []
    for disease, onset in lives.onset.items():
        who = np.flatnonzero(onset < NEVER)
        parts.append(
            pd.DataFrame({"true_person": who + start, "disease": disease, "onset": _calendar(onset[who])})
        )
    return pd.concat(parts, ignore_index=True)


def variants_table(effects: Effects, variants: pd.DataFrame, frequency: NDArray[np.float64]) -> pd.DataFrame:
    """Columns id, chrom, pos, trait, effect_allele, other_allele, effect, frequency, large, scale.

    ``effect`` is an allele's, in the trait's unit or as log hazard; ``frequency`` is the effect allele's
    in the genotype file.
    """
    at = effects.table["variant"].to_numpy()
    own = variants.iloc[at]
    return pd.DataFrame(
        {
            "id": own["id"].to_numpy(object),
            "chrom": own["chrom"].to_numpy(object),
            "pos": own["pos"].to_numpy(),
            "trait": effects.table["trait"].to_numpy(object),
            "effect_allele": own["alt"].to_numpy(object),
            "other_allele": own["ref"].to_numpy(object),
            "effect": effects.table["effect"].to_numpy(),
            "frequency": frequency[at],
            "large": effects.table["large"].to_numpy(),
            "scale": [ARCHITECTURES[trait].scale for trait in effects.table["trait"]],
        }
    )


def malformed_table(broken: Counter[tuple[str, str]]) -> pd.DataFrame:
    """Columns table, reason, rows: broken rows that were added on purpose."""
    rows = [(table, reason, count) for (table, reason), count in sorted(broken.items())]
    return pd.DataFrame(rows, columns=["table", "reason", "rows"])


def model(config: RegionConfig) -> dict[str, Any]:
    """The whole stated model as plain numbers and texts."""
    return {
        "form": (
            "log hazard per year = intercept + age(age at mid-year, linear between knots)"
            " + sum of coefficient * (value - centre) + ancestry + liability; constant within a calendar"
            " year, covariates as on 1 January or at birth; hazards with 'after' start on the 1 January"
            " after one of those diseases; deaths act from start_date, for the genotyped from index_date;"
            " conditions: own levels in place of the day's, home of birth, and dying = 1 in the last three"
            " years; ckd is not drawn but is filtration below 60 for good, diabetic_cvd the first day with"
            " diabetes and coronary disease or stroke"
        ),
        "seed": config.seed,
        "start_date": config.start_date.isoformat(),
        "index_date": config.index_date.isoformat(),
        "end_date": config.end_date.isoformat(),
        "centres": dict(CENTRES),
        "diseases": {name: asdict(item) for name, item in DISEASES.items()},
        "conditions": {name: asdict(item) for name, item in CONDITIONS.items()},
        "treatments": {name: asdict(item) for name, item in TREATMENTS.items()},
        "deaths": {name: asdict(item) for name, item in DEATHS.items()},
        "frailty_sd": dict(FRAILTY),
        "levels": {name: asdict(item) for name, item in LEVELS.items()},
        "coding": {name: asdict(item) for name, item in CODING.items()},
        "condition_recording": {name: asdict(item) for name, item in RECORDING.items()},
        "condition_hospital": {name: asdict(item) for name, item in HOSPITAL.items()},
        "kidney_loss": dict(LOSS),
        "genetics": {name: asdict(item) for name, item in ARCHITECTURES.items()},
    }
