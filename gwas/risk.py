"""Fitting absolute risk of an event by a horizon, when death may come first.

Two cause-specific Cox models, one of the event and one of competing death, are joined by the product
integral into a cumulative incidence. The model abstains, with a reason, where the data cannot carry it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from cohorts.errors import DesignError
from gwas.cox import CoxFit, fit_cox
from gwas.risk_model import REACHED, Average, Floats, RiskModel, Status, numeric_factors

__all__ = ["Average", "RiskModel", "check_splits", "fit_risk"]

FEWEST_EVENTS = 10


def check_splits(**people: Iterable[Hashable]) -> None:
    """Refuse to go on when anybody is in two of the named groups of people.

    Raises
    ------
    DesignError
        With the two names and how many they share; never who.

    Examples
    --------
    >>> check_splits(discovery=[1, 2], target=[3], validation=[4])
    """
    names = list(people)
    groups = {name: set(ids) for name, ids in people.items()}
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            shared = len(groups[first] & groups[second])
            if shared:
                raise DesignError(
                    f"{first} and {second} share people",
                    found=f"{shared} in both",
                    expected="none",
                    fix="split by family before anything is learnt, and keep to the split",
                )


def fit_risk(
    frame: pd.DataFrame,
    *,
    factors: Sequence[str],
    time: str = "years",
    state: str = "state",
    entry: str | None = None,
    horizon: float = 10.0,
    age: str = "age",
    sex: str = "sex",
    person: str = "person_id",
    discovery: Iterable[Hashable] = (),
    events_per_factor: float = 10.0,
    shrink_below: float = 10.0,
) -> RiskModel:
    """Fit absolute risk with competing mortality.

    Parameters
    ----------
    frame
        One row a person: `person` (or the index, where there is no such column), `time` in years from
        the index date, `state` 0 censored, 1 event, 2 death without it, and the factors. Sex may be
        'M'/'F' (then M is 1) or a number.
    factors
        Columns that enter the model; numeric.
    time, state, entry
        Names of the follow-up columns; `entry`, if given, the time of coming under observation.
    horizon
        Years over which risk is wanted.
    age, sex
        Columns by which people are called alike; they need not be factors.
    discovery
        People that the polygenic weights came from: none of them may be in `frame`.
    events_per_factor
        With fewer than half as many events a factor it abstains.
    shrink_below
        With fewer events a factor than this the coefficients are shrunk.

    Returns
    -------
    RiskModel
        Its `status` is ``abstained`` with a `reason` where the data cannot carry the model; that is an
        answer, not an error.

    Raises
    ------
    DesignError
        If a column is absent or not numeric, a person comes twice, or target and discovery overlap.

    Notes
    -----
    People with a factor missing are left out and counted in `flow`. Shrinkage is van Houwelingen and
    le Cessie's, (chi2 - p) / chi2 of the likelihood ratio (Stat Med 1990;9:1303). Death's model takes the
    same factors when it has enough events, else age and sex, else none.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> n = 2000
    >>> people = pd.DataFrame({"person_id": range(n), "age": rng.uniform(40, 70, n), "sex": "F"})
    >>> t = rng.exponential(100 * np.exp(-0.05 * (people.age - 55)))
    >>> people["years"], people["state"] = np.minimum(t, 10), (t < 10).astype(int)
    >>> model = fit_risk(people, factors=["age"])
    >>> model.status
    'fitted'
    """
    factors = tuple(factors)
    columns = list(dict.fromkeys([*factors, age, sex, time, state, *([entry] if entry else [])]))
    absent = [name for name in columns if name not in frame]
    if absent:
        raise DesignError("columns are absent", found=", ".join(absent), expected=", ".join(columns))
    table = frame.set_index(person) if person in frame.columns else frame
    if table.index.has_duplicates:
        raise DesignError("a person comes twice", found=f"{int(table.index.duplicated().sum())} repeats")
    check_splits(discovery=discovery, target=table.index)
    table = pd.DataFrame(numeric_factors(table, columns), index=table.index, columns=columns)
    steps = [_count("in the target set", table, state)]
    table = table[table[[time, state]].notna().all(axis=1) & (table[time] > 0)]
    steps.append(_count("with follow-up after the index date", table, state))
    table = table[table[[*factors, age, sex]].notna().all(axis=1)]
    steps.append(_count("with every factor known", table, state))
    begin = table[entry].to_numpy() if entry else None
    settings = {"horizon": horizon, "age": age, "sex": sex, "person": person}
    event, competing, names, status, reason, shrinkage = _fit(
        table, factors, time, state, begin, settings, events_per_factor, shrink_below
    )
    return RiskModel(
        factors=factors,
        competing_factors=names,
        horizon=float(horizon),
        status=status,
        reason=reason,
        shrinkage=shrinkage,
        event=event,
        competing=competing,
        people=table[list(dict.fromkeys([*factors, age, sex]))],
        age=age,
        sex=sex,
        person=person,
        discovery=frozenset(discovery),
        flow=pd.DataFrame(steps, columns=["step", "people", "events", "deaths"]),
    )


_Fit = tuple["CoxFit | None", "CoxFit | None", tuple[str, ...], Status, str, float]


def _fit(
    table: pd.DataFrame,
    factors: tuple[str, ...],
    time: str,
    state: str,
    begin: Floats | None,
    settings: Mapping[str, object],
    events_per_factor: float,
    shrink_below: float,
) -> _Fit:
    horizon = float(str(settings["horizon"]))
    exits = table[time].to_numpy()
    happened = (table[state] == 1).to_numpy()
    events, p = int((happened & (exits <= horizon)).sum()), max(len(factors), 1)
    floor = max(FEWEST_EVENTS, events_per_factor * p / 2)
    if events < floor:
        return _abstain(f"too few events for {p} factors; at least {floor:g} are needed")
    if exits.max() < horizon * (1 - REACHED):
        return _abstain(f"nobody was followed for {horizon:g} years")
    values = table[list(factors)].to_numpy()
    varies = values.std(axis=0) > 0
    if not varies.all():
        constant = ", ".join(name for name, v in zip(factors, varies, strict=True) if not v)
        return _abstain(f"no variation among these people in: {constant}")
    try:
        event = fit_cox(values, exits, happened, entry=begin)
        status: Status = "fitted"
        reason, shrinkage = "", 1.0
        if events < shrink_below * p:
            chi2 = 2 * (event.log_likelihood - event.null_log_likelihood)
            shrinkage = (chi2 - p) / chi2 if chi2 > p else 0.0
            if shrinkage < 0.5:
                return _abstain(f"the events are too few to tell the effects of {p} factors from chance")
            event = fit_cox(values, exits, happened, entry=begin, shrink=shrinkage)
            status, reason = "shrunk", f"few events for {p} factors"
        competing, names = _fit_competing(table, factors, exits, state, begin, settings)
    except DesignError as error:
        return _abstain(str(error).rstrip("."))
    return event, competing, names, status, reason, shrinkage


def _abstain(reason: str) -> _Fit:
    return None, None, (), "abstained", reason, np.nan


def _fit_competing(
    table: pd.DataFrame,
    factors: tuple[str, ...],
    exits: Floats,
    state: str,
    begin: Floats | None,
    settings: Mapping[str, object],
) -> tuple[CoxFit | None, tuple[str, ...]]:
    died = (table[state] == 2).to_numpy()
    deaths = int(died.sum())
    if not deaths:
        return None, ()
    few = tuple(name for name in factors if name in (settings["age"], settings["sex"]))
    names = factors if deaths >= 10 * len(factors) else few if deaths >= 10 * len(few) else ()
    names = tuple(name for name in names if table.loc[died, name].std() > 0)
    return fit_cox(table[list(names)].to_numpy(), exits, died, entry=begin), names


def _count(step: str, table: pd.DataFrame, state: str) -> tuple[str, int, int, int]:
    return step, len(table), int((table[state] == 1).sum()), int((table[state] == 2).sum())
