"""A phenotype held against a reference that is believed: chart review, a registry, or a planted truth."""

from __future__ import annotations

import numpy as np
import pandas as pd

from phenotypes.derivation import Derived
from phenotypes.prevalence import wilson
from phenotypes.status import CASE

DAYS_IN_YEAR = 365.25


def accuracy(derived: Derived, reference: pd.DataFrame, *, level: float = 0.95) -> pd.DataFrame:
    """Sensitivity, specificity, predictive values and error of dates of phenotypes.

    Everybody derived counts. Who is excluded or unknown is not a case: a definition that sets true cases aside
    is as blind to them as one that calls them controls.

    Parameters
    ----------
    derived
        Result of ``derive``.
    reference
        phenotype, person_id and, where known, `onset` datetime64: the people who truly have each condition,
        once each. Who is not listed has not got it; people who were not derived are passed over.
    level
        Of the intervals (Wilson's).

    Returns
    -------
    DataFrame
        A row for each phenotype in `reference`: phenotype, people, true (truly have it), cases, both; then
        sensitivity, specificity, ppv and npv, each with `_low` and `_high`; and, among true cases with a date
        in both, dated, median_days (found date less onset), within_year (share found at most 365 days before
        or after onset). True counts.

    Examples
    --------
    >>> accuracy(derived, reviewed)  # doctest: +SKIP
    """
    rows = []
    for name, listed in reference.groupby("phenotype", sort=False, observed=True):
        found = derived.statuses[str(name)]
        position = pd.Index(derived.person_id).get_indexer(listed["person_id"].to_numpy(np.int64))
        ill = np.zeros(len(derived.person_id), dtype=bool)
        ill[position[position >= 0]] = True
        case = found.status == CASE
        both, true, cases, people = int((ill & case).sum()), int(ill.sum()), int(case.sum()), len(ill)
        row: dict[str, object] = {
            "phenotype": name, "people": people, "true": true, "cases": cases, "both": both
        }  # fmt: skip
        for what, k, n in (
            ("sensitivity", both, true),
            ("specificity", people - true - cases + both, people - true),
            ("ppv", both, cases),
            ("npv", people - true - cases + both, people - cases),
        ):
            low, high = wilson(np.array([k]), np.array([n]), level=level)
            row |= {what: k / n if n else np.nan, f"{what}_low": low[0], f"{what}_high": high[0]}
        rows.append(row | _dates(derived, listed, position, found.day))
    return pd.DataFrame(rows)


def _dates(
    derived: Derived, listed: pd.DataFrame, position: np.ndarray, day: np.ndarray
) -> dict[str, object]:
    if "onset" not in listed:
        return {"dated": 0, "median_days": np.nan, "within_year": np.nan}
    onset = (listed["onset"] - pd.Timestamp(derived.index_date)).dt.days.to_numpy(np.float64)
    late = (day[position] - onset)[position >= 0]
    late = late[~np.isnan(late)]
    return {
        "dated": len(late),
        "median_days": float(np.median(late)) if len(late) else np.nan,
        "within_year": float(np.mean(np.abs(late) <= DAYS_IN_YEAR)) if len(late) else np.nan,
    }
