"""An account of a study's sources before anything is done with them: what is in them, what is refused and why.

Nothing about a person: counts, reasons, years and codes counted by system.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cohorts.hub import Hub
from cohorts.observed import observed_lines
from cohorts.sources import Intake, drop_intake
from workflows.frames import each_row
from workflows.hub_plan import HubPlan
from workflows.records import Extracts, identified_scratch, read_extracts, write_rejects

# columns that say when, of each table that has some
DATED = {
    "registrations": ("start",),
    "events": ("date",),
    "prescriptions": ("date",),
    "admissions": ("admission_date",),
    "contacts": ("date",),
    "care": ("start",),
    "addresses": ("start",),
    "deaths": ("date",),
    "samples": ("collected",),
}
CODED = ("events", "prescriptions", "contacts")


@dataclass(frozen=True, eq=False)
class RecordsAccount:
    """What the sources of a study hold.

    Attributes
    ----------
    intake
        Rows read, accepted and refused, with reasons and notes.
    years
        ``source``, ``table``, ``first``, ``last``: years of the earliest and the latest accepted row.
    codes
        ``source``, ``table``, ``system``, ``codes``, ``rows``: different codes of each system.
    """

    intake: Intake
    years: pd.DataFrame
    codes: pd.DataFrame


def check_records(
    plan: HubPlan, *, rejects: Path | None = None, scratch: Path | None = None
) -> RecordsAccount:
    """Read the sources of a study and give the account of them; what was read is deleted.

    Parameters
    ----------
    plan
        A study, or its part about the hub.
    rejects
        Where to keep the places of refused rows, as Parquet; None keeps none.
    scratch
        Folder in which the identified rows lie for the time of the reading
        (:func:`workflows.records.identified_scratch`).

    Raises
    ------
    InputError
        A source cannot be read.
    """
    with identified_scratch(plan, scratch) as folder:
        extracts = read_extracts(plan, folder)
        try:
            account = account_of(extracts)
            if rejects is not None:
                write_rejects(extracts, rejects)
        finally:
            drop_intake(extracts.hub)
            extracts.file.unlink(missing_ok=True)
    return account


def account_of(extracts: Extracts) -> RecordsAccount:
    """The account of an intake that has been read."""
    return RecordsAccount(extracts.intake, _years(extracts.hub), _codes(extracts.hub))


def _years(hub: Hub) -> pd.DataFrame:
    queries = [
        f"SELECT source, '{table}' AS \"table\", min(year({column})) AS first, max(year({column})) AS last "
        f"FROM intake.{table} WHERE {column} IS NOT NULL GROUP BY source"
        for table, columns in DATED.items()
        for column in columns
    ]
    return hub.frame(f"SELECT * FROM ({' UNION ALL '.join(queries)}) ORDER BY ALL")


def _codes(hub: Hub) -> pd.DataFrame:
    plain = [
        f"SELECT source, '{table}' AS \"table\", system, code FROM intake.{table} WHERE code IS NOT NULL"
        for table in CODED
    ]
    wide = [
        f"SELECT source, 'admissions', '{system}', code FROM "
        f"(UNPIVOT intake.admissions ON COLUMNS('^{stem}_[0-9]+$') INTO NAME n VALUE code)"
        for stem, system in (("diag", "icd10"), ("opcs", "opcs4"))
    ]
    deaths = (
        "SELECT source, 'deaths', system, code FROM (UNPIVOT intake.deaths "
        "ON underlying, COLUMNS('^contributory_[0-9]+$') INTO NAME n VALUE code)"
    )
    return hub.frame(
        'SELECT source, "table", system, count(DISTINCT code) AS codes, count(*) AS "rows" '
        f"FROM ({' UNION ALL '.join([*plain, *wide, deaths])}) GROUP BY ALL ORDER BY ALL"
    )


def account_lines(account: RecordsAccount) -> Iterator[str]:
    """The account as lines of text."""
    intake = account.intake
    for source, counts in intake.counts.groupby("source", sort=False):
        yield str(source)
        for row in each_row(counts):
            yield (
                f"  {row.table}: {row.read:,} read = {row.accepted:,} accepted + {row.rejected:,} rejected"
                + _span(account.years, str(source), str(row.table))
            )
            origins = _of(intake.origins, str(source), str(row.table))
            if len(origins) > 1 or any(origins["origin"] != row.table):
                for part in each_row(origins):
                    files = "1 file" if part.files == 1 else f"{part.files:,} files"
                    yield f"    from {part.origin} ({files}): {part.read:,} read, {part.rejected:,} rejected"
            for code in each_row(_of(account.codes, str(source), str(row.table))):
                yield f"    {code.system}: {code.codes:,} different codes in {code.rows:,} rows"
            for reason in each_row(_of(intake.rejects, str(source), str(row.table))):
                yield f"    rejected {reason.rows:,}: {reason.reason}"
            for note in each_row(_of(intake.notes, str(source), str(row.table))):
                yield f"    noted {note.rows:,}: {note.note}"
    yield from observed_lines(intake.observed)
    total = intake.counts[["read", "accepted", "rejected"]].sum()
    for row in each_row(intake.lost):
        yield f"{row.source}: {row.lost:,} of {row.files:,} files are damaged, and everybody in them is missing"
    yield f"all: {total['read']:,} read = {total['accepted']:,} accepted + {total['rejected']:,} rejected"


def _of(frame: pd.DataFrame, source: str, table: str) -> pd.DataFrame:
    return frame[(frame["source"] == source) & (frame["table"] == table)]


def _span(years: pd.DataFrame, source: str, table: str) -> str:
    found = _of(years, source, table)
    if found.empty:
        return ""
    first, last = int(found["first"].iloc[0]), int(found["last"].iloc[0])
    return f", {first}" if first == last else f", {first} to {last}"
