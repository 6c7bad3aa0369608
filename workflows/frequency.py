"""How common the phenotypes of a study are on its index date, and how often they and its outcomes come after it.

Exact counts stay in here: what leaves is hidden where it is small and rounded elsewhere (:mod:`workflows.release`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
import pandas as pd

from phenotypes.definitions import Phenotype
from phenotypes.derivation import Derived
from phenotypes.prevalence import incidence, prevalence
from phenotypes.session import HubLike
from phenotypes.status import Statuses
from workflows.release import released_counts, released_incidence, released_prevalence
from workflows.reports.counts import Disclosure
from workflows.study import Study

#: Youngest age of each age band.
AGE_EDGES = (0, 18, 40, 50, 60, 70, 80)

#: States of a survival table (:class:`phenotypes.derivation.Derived`).
EVENT, COMPETING = 1, 2

PREVALENCE = ["phenotype", "on", "age_band", "sex", "people", "cases", "prevalence", "low", "high"]
INCIDENCE = ["phenotype", "year", "people", "person_years", "events", "rate", "low", "high"]


@dataclass(frozen=True, eq=False)
class Frequency:
    """Released tables of frequencies.

    Attributes
    ----------
    overall, prevalence
        Share of the study population that has each phenotype on the day `on`: all together, and by age and sex
        (:func:`workflows.release.released_prevalence`). The day is the index date; the day before it for a phenotype
        that reads no record from the index date on.
    incidence
        New cases per 1,000 person-years by calendar year, from the index date to the end of the data
        (:func:`workflows.release.released_incidence`).
    outcomes
        Follow-up of each outcome: people at risk, person-years, events, competing events and new cases per 1,000
        person-years.
    uncounted
        Phenotype to the reason why it is in none of the first three.
    """

    overall: pd.DataFrame
    prevalence: pd.DataFrame
    incidence: pd.DataFrame
    outcomes: pd.DataFrame
    uncounted: Mapping[str, str]


def frequencies(
    study: Study, hub: HubLike, persons: pd.DataFrame, derived: Derived, rule: Disclosure
) -> Frequency:
    """Count how common and how often new each phenotype is in the study population.

    Parameters
    ----------
    study
        With the index date and the end of the data.
    hub, persons, derived
        The pseudonymous hub, the study population, and what was derived for it.
    rule
        What may be shown.
    """
    uncounted = {
        name: why
        for name, found in derived.statuses.items()
        if (why := _why_not(derived.phenotypes[name], found))
    }
    about = study.study
    before, later = (
        _some(derived, [n for n, p in derived.phenotypes.items() if n not in uncounted and p.until == until])
        for until in ("index", "end")
    )
    # who turns the youngest age on the index date was younger the day before, and belongs to the youngest band
    edges = [edge for edge in AGE_EDGES if edge > study.population.age[0]]
    edges.insert(0, max(edge for edge in AGE_EDGES if edge <= study.population.age[0]))
    parts = [
        prevalence(hub, persons, some, on=day, age_edges=edges)
        for some, day in ((before, about.index_date - timedelta(days=1)), (later, about.index_date))
        if some.statuses
    ]
    cells = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=PREVALENCE)
    together = cells.groupby(["phenotype", "on"], sort=False)[["people", "cases"]].sum().reset_index()
    new = pd.DataFrame(columns=INCIDENCE)
    if later.statuses:
        # everybody has been registered for so long on the index date: what was found on joining is not new
        washout = study.population.registered_days
        after = about.data_end + timedelta(days=1)
        new = incidence(
            hub, persons, later, start=about.index_date, end=after, washout_days=washout, by=["year"]
        )
    return Frequency(
        released_prevalence(together, rule),
        released_prevalence(cells, rule),
        released_incidence(new, rule),
        _follow_up(derived.survival, rule),
        uncounted,
    )


def _follow_up(survival: pd.DataFrame, rule: Disclosure) -> pd.DataFrame:
    marked = survival.assign(events=survival["state"] == EVENT, competing=survival["state"] == COMPETING)
    by_outcome = marked.groupby("outcome", sort=False, observed=True)
    counted = by_outcome.agg(
        people=("person_id", "size"),
        person_years=("years", "sum"),
        events=("events", "sum"),
        competing=("competing", "sum"),
    )
    return released_counts(released_incidence(counted.reset_index(), rule), ["competing"], rule)


def _some(derived: Derived, names: list[str]) -> Derived:
    return replace(derived, statuses={name: derived.statuses[name] for name in names})


def _why_not(phenotype: Phenotype, found: Statuses) -> str:
    if phenotype.must_be_new:
        return "its definition is of new cases only"
    if np.isnan(found.days).any():
        return "its cases need not have a date"
    return ""
