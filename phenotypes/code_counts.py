"""Which codes a hub's records use, and how often."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from cohorts.errors import InputError
from phenotypes.code_systems import normalised
from phenotypes.codelist_files import read_rows
from phenotypes.session import HubLike, session


def codes_in_use(hub: HubLike) -> pd.DataFrame:
    """Every code recorded in a hub.

    One pass over the events. Different spellings of a code are added up; people are counted for each spelling, so
    that one with two spellings of a code counts twice.

    Returns
    -------
    DataFrame
        system, code (normalised), records int64, people int64; sorted by system and code.

    Examples
    --------
    >>> codes_in_use(hub)  # doctest: +SKIP
    """
    with session(hub) as opened:
        events = opened.table("events")
        used = opened.frame(
            events.filter(events.system.notnull(), events.code.notnull())
            .group_by(["system", "code"])
            .agg(records=lambda t: t.count(), people=lambda t: t.person_id.nunique())
        )
    return _tidy(used)


def read_counts(path: str | Path) -> pd.DataFrame:
    """Read code counts from a CSV file with the columns system, code, records and people.

    Raises
    ------
    InputError
        Where a column is missing or a count is not a whole number.
    """
    rows = [(number, row) for number, row in read_rows(Path(path), ("system", "code", "records", "people"))]
    for number, row in rows:
        for column in ("records", "people"):
            if not row[column].isdecimal():
                raise InputError(
                    "not a whole number",
                    where=f"{path}:{number}, {column}",
                    found=repr(row[column]),
                    fix="give exact counts; suppressed ones cannot be added up",
                )
    used = pd.DataFrame([row for _, row in rows], columns=["system", "code", "records", "people"])
    return _tidy(used)


def _tidy(used: pd.DataFrame) -> pd.DataFrame:
    clean = used[["system", "code", "records", "people"]].copy()
    clean["code"] = [normalised(s, c) for s, c in zip(clean["system"], clean["code"], strict=True)]
    clean = clean.astype({"records": "int64", "people": "int64"})
    return clean.groupby(["system", "code"], as_index=False, sort=True)[["records", "people"]].sum()
