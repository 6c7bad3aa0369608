"""Phenotypes of a hub described in suppressed tables: how common, how often new, how they overlap, why nobody."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
import pandas as pd

from cohorts.hub import Hub
from phenotypes.codelist import CodeList
from phenotypes.definitions import Phenotype
from phenotypes.derivation import Derived, derive
from phenotypes.library import Band
from phenotypes.narrow import last_day
from phenotypes.overlap import overlap
from phenotypes.prevalence import NobodyObserved, compare_with_bands, incidence, prevalence
from phenotypes.session import session
from phenotypes.why_zero import why_zero
from workflows.release import (
    released_counts,
    released_incidence,
    released_overlap,
    released_prevalence,
)
from workflows.reports.counts import SUPPRESSED, Disclosure

#: Pairs of definitions that are printed, those that overlap most.
PAIRS_SHOWN = 20

_PEOPLE = """
    SELECT p.person_id, p.sex, p.birth_date, i.imd_decile
    FROM people p
    LEFT JOIN (
        SELECT person_id, arg_max(area, row(start, area)) AS area FROM addresses WHERE start <= $on GROUP BY person_id
    ) a USING (person_id)
    LEFT JOIN deprivation i USING (area)
    ORDER BY person_id
"""


@dataclass(frozen=True)
class Described:
    """Tables that may be shown.

    Attributes
    ----------
    prevalence, incidence, overlap
        Released tables of :mod:`phenotypes.prevalence` and :mod:`phenotypes.overlap`.
    bands
        Prevalence beside published figures.
    codes
        phenotype, codelist, codes, in_use: entries of each list, and how many enough people have a record of.
    nobody
        Released tables of :func:`phenotypes.why_zero.why_zero` for each phenotype without a case.
    left_out
        By table ('prevalence', 'incidence'), what it does not tell and why.
    observed
        Sources whose records stand in for registrations, in a sentence each.
    """

    prevalence: pd.DataFrame
    incidence: pd.DataFrame
    overlap: pd.DataFrame
    bands: pd.DataFrame
    codes: pd.DataFrame
    nobody: Mapping[str, pd.DataFrame]
    left_out: Mapping[str, tuple[str, ...]]
    observed: tuple[str, ...] = ()


def describe(
    hub: Hub,
    phenotypes: Mapping[str, Phenotype],
    *,
    on: date,
    persons: Collection[int] | None = None,
    years: int = 5,
    by: Sequence[str] = ("sex",),
    bands: Mapping[str, Sequence[Band]] | None = None,
    rule: Disclosure | None = None,
) -> Described:
    """Describe phenotypes among everybody of a hub, or those of its people who are asked for.

    Definitions are asked of all records, and without their `onset` and `washout_days`: prevalence wants whoever
    has a condition, and incidence has a wash-out of a year. What cannot be counted, because nobody is registered then
    or a definition dates nobody, is left out and said; the rest is given.

    Parameters
    ----------
    hub
        Pseudonymous hub.
    phenotypes
        Definitions by name.
    on
        Day of the prevalence; incidence is that of the `years` years before it.
    persons
        person_id of those to describe; everybody where None.
    by
        'age_band', 'sex', 'imd_decile' (of the last address by `on`); for incidence also 'year'.
    bands
        Published figures by phenotype.
    rule
        What may be shown.
    """
    rule = rule or Disclosure()
    phenotypes = {
        name: replace(p, onset="any", washout_days=0, until="end") for name, p in phenotypes.items()
    }
    people = hub.frame(_PEOPLE, {"on": on})
    if persons is not None:
        people = people[people["person_id"].isin(persons)].reset_index(drop=True)
    with session(hub) as opened:
        last = last_day(opened)
    data_end = max(last, on + timedelta(days=1))
    ended = () if last >= on else (f"the last record of the hub is of {last}, before that day",)
    derived = derive(
        hub,
        people,
        index_date=on,
        data_end=data_end,
        phenotypes=phenotypes,
        codelists={
            f"{name}: {codes.name}": codes for name, p in phenotypes.items() for codes in _lists(p).values()
        },
    )
    without_year = [column for column in by if column != "year"]
    start = date(on.year - years, on.month, min(on.day, 28))
    end = on + timedelta(days=1)
    dated = {name: found for name, found in derived.statuses.items() if not np.isnan(found.days).any()}
    placed = replace(derived, statuses=dated)
    undated = tuple(
        f"{name} is left out: its cases have no date, since nothing dated must happen to be one"
        for name in derived.statuses
        if name not in dated
    )
    common = prevalence(hub, people, placed, on=on, by=without_year)
    absent = () if len(common) or not dated else (f"nobody is registered on {on}",)
    new, unobserved = _new_cases(hub, people, placed, start=start, end=end, by=by)
    asked = {name: listed for name, listed in (bands or {}).items() if name in dated and len(common)}
    compared = compare_with_bands(hub, people, placed, asked, on=on)
    shared = overlap(derived).sort_values("jaccard", ascending=False, kind="stable")
    empty = [name for name, found in derived.statuses.items() if not len(found.who)]
    return Described(
        released_prevalence(common.drop(columns="on"), rule),
        released_incidence(new, rule),
        released_overlap(shared, rule),
        _compared(compared, rule),
        _codes(derived.diagnostics.codes, rule),
        {
            name: released_counts(
                why_zero(hub, people, phenotypes[name], index_date=on, data_end=data_end), ["people"], rule
            )
            for name in empty
        },
        {"prevalence": ended + absent + undated, "incidence": unobserved + undated},
        _observed_by_records(hub),
    )


def _observed_by_records(hub: Hub) -> tuple[str, ...]:
    """Sources whose records stand in for registrations; hubs made before there were such say of none."""
    if "observed" not in hub.frame("SELECT * FROM sources LIMIT 0"):
        return ()
    rows = hub.frame("SELECT source, observed FROM sources WHERE observed IS NOT NULL ORDER BY source")
    return tuple(
        f"{source} does not say who was registered: people count from their first to their last record ({tables})."
        for source, tables in rows.itertuples(index=False)
    )


def _new_cases(
    hub: Hub, persons: pd.DataFrame, derived: Derived, *, start: date, end: date, by: Sequence[str]
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Incidence, or why there is none."""
    try:
        return incidence(hub, persons, derived, start=start, end=end, by=by), ()
    except NobodyObserved as error:
        columns = ["phenotype", *by, "people", "person_years", "events", "rate", "low", "high"]
        return pd.DataFrame(columns=columns), (f"{error.problem} ({error.found}): {error.fix}",)


def _lists(phenotype: Phenotype) -> dict[str, CodeList]:
    return {codes.id: codes for codes in phenotype.codelists()}


def _compared(compared: pd.DataFrame, rule: Disclosure) -> pd.DataFrame:
    shown = released_prevalence(compared, rule)
    return shown.assign(verdict=shown["verdict"].where(shown["cases"] != SUPPRESSED, "too few"))


def _codes(codes: pd.DataFrame, rule: Disclosure) -> pd.DataFrame:
    names = codes["codelist"].str.split(": ", n=1)
    counted = pd.DataFrame(
        {
            "phenotype": names.str[0],
            "codelist": names.str[1],
            "in_use": codes["people"] >= rule.smallest_shown,
        }
    )
    grouped = counted.groupby(["phenotype", "codelist"], sort=False)["in_use"]
    return grouped.agg(codes="size", in_use="sum").reset_index()


def tables(described: Described) -> list[tuple[str, str]]:
    """Headings and tables as plain text."""
    parts = [
        ("Prevalence", _with(described.prevalence, described.left_out["prevalence"])),
        ("New cases per 1,000 person-years", _with(described.incidence, described.left_out["incidence"])),
        ("Codes in use by people enough to be shown", _text(described.codes)),
    ]
    if len(described.bands):
        parts.append(("Beside published figures", _text(described.bands)))
    if len(described.overlap):
        most = described.overlap.head(PAIRS_SHOWN)
        days = ["" if np.isnan(days) else f"{days:.0f}" for days in most["median_days"]]
        text = _text(most.assign(median_days=days))
        parts.append((f"Overlap of {len(most)} of {len(described.overlap)} pairs", text))
    parts += [(f"Why {name} finds nobody", _steps(table)) for name, table in described.nobody.items()]
    return parts


def _steps(table: pd.DataFrame) -> str:
    """A paragraph for each step: parts of a rule are sentences, too long for the column of a table."""
    lines = []
    for row in table.to_dict("records"):
        said = f"{row['what']}: {row['people']}" + (f" ({row['note']})" if row["note"] else "")
        lines += textwrap.wrap(said, 100, initial_indent=f"  {row['step']:<7} ", subsequent_indent=" " * 12)
    return "\n".join(lines)


def _with(table: pd.DataFrame, left_out: Sequence[str]) -> str:
    """A table, where it has a row, and what it does not tell."""
    return "\n".join([*([_text(table)] if len(table) else []), *left_out])


def _text(table: pd.DataFrame) -> str:
    return table.to_string(index=False, na_rep="", float_format=lambda x: f"{x:.3g}")
