"""What a derivation found, counted: the tables a reader checks before believing a phenotype.

The counts here are exact and include small ones. They are for the study team inside the safe setting;
whatever leaves it passes the release rule of ``workflows`` first. Notes hold no numbers of people.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import ibis
import numpy as np
import pandas as pd

from cohorts.without_rows import WithoutRows
from phenotypes.ages import AGE_EDGES, ages_on, band_labels, band_of
from phenotypes.codelist import CodeList
from phenotypes.narrow import Records
from phenotypes.plain_english import phrase
from phenotypes.rules import Leaf, Rule, leaves
from phenotypes.status import STATUSES, Statuses


@dataclass(frozen=True, repr=False)
class Diagnostics(WithoutRows):
    """Tables about a derivation.

    Attributes
    ----------
    statuses
        phenotype, status, age_band, sex, n: everybody once for each phenotype.
    codes
        codelist, system, code, records, people, seen: each entry of each code list, with the records it
        means among the people of the study (an entry within a wider one is counted apart from it); `seen`
        is False for one that no record of theirs matches.
    traits
        trait, column, unit, people, mean, sd, and measurements read, repeated, no_value, unknown_unit,
        implausible, used, converted, adjusted; read is the sum of the next five.
    outcomes
        outcome, reason, n: everybody once for each outcome.
    notes
        kind ('phenotype', 'outcome', 'trait', 'code list'), definition, note: what deserves a look, such as why a
        definition finds nobody.
    """

    statuses: pd.DataFrame
    codes: pd.DataFrame
    traits: pd.DataFrame
    outcomes: pd.DataFrame
    notes: pd.DataFrame


_COUNTED = ["codelist", "system", "code", "records", "people", "seen"]


def age_bands(births: pd.Series, on: date) -> np.ndarray:
    """Ten-year age bands ('40-49', '90+', 'unknown') by year, month and day.

    Examples
    --------
    >>> age_bands(pd.Series(pd.to_datetime(["1972-01-02", "1920-05-01", None])), date(2012, 1, 1)).tolist()
    ['30-39', '90+', 'unknown']
    """
    labels = np.array([*band_labels(AGE_EDGES), "unknown"], dtype=object)
    found: np.ndarray = labels[band_of(ages_on(births, on), AGE_EDGES)]
    return found


def status_counts(persons: pd.DataFrame, index_date: date, statuses: Mapping[str, Statuses]) -> pd.DataFrame:
    """Counts by phenotype, status, age band and sex; combinations without anybody are left out."""
    band, bands = pd.factorize(age_bands(persons["birth_date"], index_date), sort=True)
    sex, names = pd.factorize(sexes(persons), sort=True)
    cell = band * len(names) + sex
    shape = (len(STATUSES), len(bands), len(names))
    parts = []
    for name, found in statuses.items():
        n = np.bincount(
            found.status.astype(np.int64) * (shape[1] * shape[2]) + cell,
            minlength=shape[0] * shape[1] * shape[2],
        )
        some = np.flatnonzero(n)
        i, j, k = np.unravel_index(some, shape)
        labels = {"status": np.array(STATUSES)[i], "age_band": bands[j], "sex": names[k]}
        parts.append(pd.DataFrame({"phenotype": name, **labels, "n": n[some]}))
    columns = ["phenotype", "status", "age_band", "sex", "n"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def sexes(persons: pd.DataFrame) -> np.ndarray:
    """'M', 'F' or 'unknown' for each person."""
    sex = persons["sex"].astype(object)
    return sex.where(sex.isin(["M", "F"]), "unknown").to_numpy()


def code_counts(records: Records, codelists: Mapping[str, CodeList]) -> pd.DataFrame:
    """Records and people of the study for each entry of each code list."""
    t = records.narrow
    numbers = sorted({records.number(codes) for codes in codelists.values()})
    # List by list: different people of all lists at once would not fit in the processor's cache.
    asked = [
        t.filter(t.list == ibis.literal(number, "int16"))
        .group_by(["list", "entry"])
        .agg(records=lambda r: r.count(), people=lambda r: r.who.nunique())
        for number in numbers
    ]
    known: dict[tuple[int, int], tuple[int, int]] = {}
    for counts in records.session.frames(asked):
        for number, entry, n, people in counts.itertuples(index=False):
            before = known.get((number, entry), (0, 0))
            known[number, entry] = before[0] + n, before[1] + people
    rows = []
    for name, codes in codelists.items():
        number = records.number(codes)
        for i, entry in enumerate(codes.entries):
            if entry.excluded:
                continue
            n, people = known.get((number, i), (0, 0))
            rows.append((name, entry.system, entry.text, int(n), int(people), bool(n)))
    return pd.DataFrame(rows, columns=_COUNTED)


def no_counts() -> pd.DataFrame:
    """Counts of no code list: the columns and no row."""
    return pd.DataFrame(columns=_COUNTED)


def why_nobody(rule: Rule, codes: pd.DataFrame, leaf_people: Mapping[Leaf, int]) -> str:
    """Why a rule finds nobody: which of its code lists are not in use, and which of its parts never hold.

    Parameters
    ----------
    rule
        What finds nobody.
    codes
        Result of :func:`code_counts`.
    leaf_people
        Number of people with a date of each leaf.
    """

    def why(leaf: Leaf) -> str:
        seen = codes.loc[codes["codelist"] == leaf.codelist.name, "seen"]
        if not seen.any():
            return f"none of the {len(seen)} codes of {leaf.codelist.name} is in these people's records"
        held = leaf_people[leaf] > 0
        return (
            f"some people have {phrase(leaf)}"
            if held
            else f"the codes are recorded, but nobody has {phrase(leaf)}"
        )

    return f"finds nobody: {'; '.join(dict.fromkeys(why(leaf) for leaf in leaves(rule)))}"


def traits_without_values(traits: pd.DataFrame) -> list[tuple[str, str]]:
    """(trait, note) for each trait that gives nobody a value, from the table of traits."""
    found = []
    for row in traits[traits["people"] == 0].to_dict("records"):
        lost = {key: row[key] for key in ("no_value", "unknown_unit", "implausible") if row[key]}
        why = "no record in the window"
        if lost:
            worst = str(max(lost, key=lambda key: lost[key])).replace("_", " ")
            why = f"every measurement is set aside, most for: {worst} (the unit asked for is {row['unit']})"
        found.append((str(row["trait"]), f"finds nobody: {why}"))
    return found
