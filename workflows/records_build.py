"""A study's pseudonymous hub as a file of its own, for notebooks and ``careome phenotype diagnose --hub``."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from glob import escape
from pathlib import Path

import pandas as pd

from workflows.custodian import audit, refuse_output
from workflows.folder import fingerprint_of
from workflows.frames import cell, each_row, row_of
from workflows.hub_plan import HubPlan, canonical_text
from workflows.installation import version
from workflows.keys import read_project_key
from workflows.outputs import atomic_path, sha256_of
from workflows.progress import Progress
from workflows.records import LinkedRecords, identified_scratch, linked_hub, rejects_path, server_states
from workflows.study_file import check_inputs

STEPS = 4


@dataclass(frozen=True, eq=False)
class BuiltRecords:
    """What became of the records, and where what was made of them lies.

    Attributes
    ----------
    linked
        Counts of every step; its hub is closed.
    tables
        ``table``, ``rows`` of the hub.
    out, rejects, audit
        The hub, the places of refused rows, and the custodian's audit trail.
    """

    linked: LinkedRecords
    tables: pd.DataFrame
    out: Path
    rejects: Path
    audit: Path


def build_records(
    plan: HubPlan, out: Path, *, scratch: Path | None = None, progress: Progress | None = None
) -> BuiltRecords:
    """Make a study's pseudonymous hub, as a run of the study does, and keep it.

    What leaves a line in a run's audit trail leaves one in the custodian's: beside the crosswalks, or beside the
    project key where the study keeps none.

    Parameters
    ----------
    plan
        A study, or its part about the hub.
    out
        A new file, made with mode 0600; it is there whole or not at all. Not in a run folder, which is handed out.
    scratch
        Folder in which the identified rows lie meanwhile (:func:`workflows.records.identified_scratch`).
    progress
        Where to show the steps; by default standard error.

    Raises
    ------
    CareomeError
        A source cannot be read or loses more than it declares as bearable, or `out` is there already.
    """
    refuse_output(out)
    key = read_project_key(plan.privacy.key)
    inputs = {name: sha256_of(path) for name, path in check_inputs(plan).items()} | server_states(plan)
    run = fingerprint_of(canonical_text(plan), inputs, version())[:12]
    trail = plan.privacy.crosswalk or plan.privacy.key.parent
    record = partial(audit, trail)
    with (
        identified_scratch(plan, scratch) as folder,
        progress or Progress(total_steps=STEPS) as progress,
    ):
        linked = linked_hub(plan, folder, key=key, run=run, record=record, progress=progress)
        for unfinished in out.parent.glob(f".{escape(out.name)}.*.part"):
            unfinished.unlink()
        with progress.step("Writing the hub"), atomic_path(out) as temporary:
            tables = linked.hub.counts()
            linked.hub.connection.execute("CHECKPOINT")
            linked.hub.close()
            record("hub written", study=plan.study.name, hub=out.name, made=run, people=people_in(tables))
            shutil.move(folder / "hub.duckdb", temporary)
    return BuiltRecords(linked, tables, out, rejects_path(plan), trail / "audit.jsonl")


def people_in(tables: pd.DataFrame) -> int:
    """People of a hub, by the rows of its tables."""
    return int(cell(tables.set_index("table"), "people", "rows"))


def built_lines(built: BuiltRecords) -> Iterator[str]:
    """What was done, as lines of text: counts, and nobody."""
    counts = built.linked.intake.counts
    for source, mine in counts.groupby("source", sort=False):
        yield f"{source}: {_rows(mine)}"
    yield f"all: {_rows(counts)}"
    linked = row_of(built.linked.links.summary.set_index("source"), "all")
    yield (
        f"{linked['records']:,} records are of {linked['entities']:,} people: {linked['nhs']:,} linked by NHS number, "
        f"{linked['splink']:,} by probability, {linked['clerical']:,} by a clerk's word, {linked['single']:,} alone"
    )
    yield f"{len(built.linked.consent.excluded):,} people left out by objection"
    for row in each_row(built.linked.consent.counts):
        yield f"  {row.reason}: {row.people:,}"
    rows = {str(row.table): int(row.rows) for row in each_row(built.tables)}
    yield f"{built.out}: {rows['people']:,} people, {rows['events']:,} events"
    yield f"{built.rejects}: places of the refused rows"
    yield f"{built.audit}: a line for every step"


def _rows(counts: pd.DataFrame) -> str:
    read, accepted, rejected = (int(counts[name].sum()) for name in ("read", "accepted", "rejected"))
    return f"{read:,} read = {accepted:,} accepted + {rejected:,} rejected"
