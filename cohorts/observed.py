"""Observation by records: a declared substitute where a source cannot say who was registered when.

Who is observed is what registrations (OMOP: ``observation_period``, CPRD: registration with a practice) say. FHIR R4
seldom has them, nor do many files. A study may declare for such a source that a person counts as observed from the day
of the first to the day of the last of their records in it, that day included. It is off unless declared.

The rule: events, prescriptions, admissions (to the day of discharge) and contacts count, or those of them that the
declaration names. Deaths, addresses, care packages, samples and consents do not: they come to people whom nobody would
have seen fall ill. A gap between two records ends nothing, however long. Who would be observed for fewer days than
`least_days` is not observed at all.

What it does to results, and why registrations are better:

- Immortal time: whoever is observed on a day has a record on that day or later, and so lived until then. Nobody can die
  between; survival after the index date looks better than it is, more so the rarer the records are.
- Follow-up ends with the last record, which is late for people who come often. Who stays well and away ends early.
- Healthy people without a record are missing from every denominator, and people come when they are ill: prevalence is
  too high (informed presence). Where the records are check-ups, it is the health-conscious who are there, and it may be
  too low (healthy visitor).
- What is written down at the first visit is often old: a wash-out from the first record is no wash-out from a
  registration.

Source: Observational Health Data Sciences and Informatics, The Book of OHDSI, 2021, chapter 4 (observation periods
inferred from records); Goldstein B.A. et al., Controlling for informed presence bias, Am J Epidemiol 2016;184:847-55.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pandas as pd

from cohorts.errors import InputError
from cohorts.hub import Hub

#: Tables whose rows may count, and the first and last day of a row.
COUNTED: dict[str, tuple[str, str]] = {
    "events": ("date", "date"),
    "prescriptions": ("date", "date"),
    "admissions": ("admission_date", "coalesce(discharge_date, admission_date)"),
    "contacts": ("date", "date"),
}
COLUMNS = ("source", "tables", "least_days", "people", "short", "without")


@dataclass(frozen=True)
class ObservedByRecords:
    """Who counts as observed in a source without registrations.

    Attributes
    ----------
    tables
        Of :data:`COUNTED`: whose rows count.
    least_days
        Days, both ends included, that somebody must be observed for.

    Examples
    --------
    >>> ObservedByRecords(least_days=90).tables
    ('events', 'prescriptions', 'admissions', 'contacts')
    """

    tables: tuple[str, ...] = tuple(COUNTED)
    least_days: int = 1


def observe_by_records(hub: Hub, source: str, rule: ObservedByRecords) -> pd.DataFrame:
    """Give the people of a source that has been read a registration from their first to their last record.

    Parameters
    ----------
    hub
        Identified hub with the tables ``intake.…`` of that source.
    source
        Its name.
    rule
        What counts.

    Returns
    -------
    DataFrame
        One row, :data:`COLUMNS`: how many people count as observed, how many had too few days, and how many no record.

    Raises
    ------
    InputError
        The source has registrations.
    """
    found = hub.connection.execute(
        "SELECT count(*) FROM intake.registrations WHERE source = ?", [source]
    ).fetchone()
    if found and found[0]:
        raise InputError(
            "the source itself says who was registered when, or observed",
            where=f"source {source!r}, observed",
            found=f"{found[0]:,} registrations",
            fix="leave observed out: records stand in for registrations where there are none",
        )
    days = " UNION ALL ".join(
        f"SELECT record, {first} AS first, {last} AS last FROM intake.{table} WHERE source = $source"
        for table, (first, last) in COUNTED.items()
        if table in rule.tables
    )
    hub.connection.execute(
        "CREATE OR REPLACE TEMP TABLE __observed AS "
        f"SELECT record, min(first) AS first, max(last) + 1 AS until FROM ({days}) GROUP BY record",
        {"source": source},
    )
    hub.connection.execute(
        'INSERT INTO intake.registrations (record, source, start, "end") '
        "SELECT record, $source, first, until FROM __observed WHERE until - first >= $least ORDER BY record",
        {"source": source, "least": rule.least_days},
    )
    counted = hub.frame(
        "SELECT count(*) FILTER (until - first >= $least) AS people, "
        "count(*) FILTER (until - first < $least) AS short, "
        "(SELECT count(*) FROM intake.patients WHERE source = $source) - count(*) AS without FROM __observed",
        {"source": source, "least": rule.least_days},
    )
    hub.connection.execute("DROP TABLE __observed")
    tables = ", ".join(t for t in COUNTED if t in rule.tables)
    hub.connection.execute("UPDATE intake.sources SET observed = ? WHERE source = ?", [tables, source])
    told = counted.astype("int64").assign(source=source, tables=tables, least_days=rule.least_days)
    return told[list(COLUMNS)]


def observed_lines(observed: pd.DataFrame, *, show: Callable[[int], object] = "{:,}".format) -> Iterator[str]:
    """What was done, a line for each source.

    Parameters
    ----------
    observed
        Rows of :func:`observe_by_records`.
    show
        Writes a number of people; true ones are for the study team.

    Examples
    --------
    >>> row = ("clinic", "events, contacts", 1, 4_000, 0, 3)
    >>> print(*observed_lines(pd.DataFrame([row], columns=COLUMNS)))
    clinic: observed by records (events, contacts): 4,000 people from their first to their last; 3 have none
    """
    for row in observed.to_dict("records"):
        line = (
            f"{row['source']}: observed by records ({row['tables']}): {show(row['people'])} people from their first to "
            f"their last; {show(row['without'])} have none"
        )
        if row["least_days"] > 1:
            line += f"; {show(row['short'])} observed for fewer than {row['least_days']} days do not count"
        yield line
