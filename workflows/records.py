"""From extracts with identifiers to a hub without them.

Everything identified lives in one DuckDB file in a scratch folder, and is gone when this module is done:
:func:`pseudonymous_hub` deletes it as soon as the hub has been built.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from cohorts.consent import ConsentResult, apply_consent
from cohorts.errors import InputError
from cohorts.hub import Hub, connect
from cohorts.linkage import Links, link
from cohorts.models import OmopSource, PostgresSource
from cohorts.observed import observed_lines
from cohorts.pseudonymise import BuiltHub, build_hub
from cohorts.sources import Intake, drop_intake, read_sources
from workflows.custodian import keep_crosswalk, keep_review, read_decisions
from workflows.frames import each_row
from workflows.hub_plan import HubPlan
from workflows.outputs import atomic_path, exclusive, private_folder
from workflows.progress import Progress
from workflows.reports.counts import Disclosure
from workflows.source_specs import observed_by

MEMORY = "1GB"
# beyond this share of the filled values of a decisive column its form is wrong, not its cells
MOST_UNREAD = 0.05
FEWEST_UNREAD = 20
BATCH_ROWS = 1 << 17


@dataclass(frozen=True, eq=False)
class Extracts:
    """What the providers handed over, with identifiers, and how many rows of it could be used."""

    hub: Hub
    intake: Intake
    file: Path


@dataclass(frozen=True, eq=False)
class LinkedRecords:
    """A pseudonymous hub, and how it came about.

    Attributes
    ----------
    hub
        Open; whoever made it closes it.
    flow
        What became of the rows of each table (:attr:`cohorts.pseudonymise.BuiltHub.flow`).
    births
        Precision to people whose birth date is known no better.
    """

    hub: Hub
    intake: Intake
    links: Links
    consent: ConsentResult
    flow: pd.DataFrame
    births: Mapping[str, int]


def linked_hub(
    plan: HubPlan,
    scratch: Path,
    *,
    key: bytes,
    run: str,
    record: Callable[..., None],
    progress: Progress,
) -> LinkedRecords:
    """Read the sources, link their people, leave out who objected and replace every identifier.

    Parameters
    ----------
    plan
        A study, or its part about the hub.
    scratch
        Folder for the identified rows, while there are any, and for ``hub.duckdb``.
    key
        Of the project.
    run
        Names the sealed crosswalk.
    record
        Takes an event of the audit trail and its counts.
    progress
        Where to show the steps.

    Raises
    ------
    CareomeError
        A source cannot be read, or loses more than it declares as bearable.
    """
    with progress.step("Reading the extracts"):
        extracts = read_extracts(plan, scratch)
        write_rejects(extracts, rejects_path(plan))
        stop_at_limits(plan, extracts)
        read = extracts.intake.counts[["read", "accepted", "rejected"]].sum()
        record("extracts read", **{str(name): int(rows) for name, rows in read.items()})
        for line in unread_lines(extracts.intake, show=Disclosure().show):
            progress.note(line)
        for line in observed_lines(extracts.intake.observed, show=Disclosure().show):
            progress.note(line)

    with progress.step("Linking people across sources"):
        links = link_records(plan, extracts, scratch)
        record("records linked", to_review=links.review_found, decided=int(links.decisions["honoured"].sum()))

    with progress.step("Applying objections, replacing identifiers"):
        built, consent = pseudonymous_hub(plan, extracts, links, scratch, key=key, run=run)
        if filled := built.births.get("month", 0) + built.births.get("year", 0):
            progress.note(
                f"{Disclosure().show(filled)} people: birth date known to the month or the year only, ages are rough"
            )
        record("objections applied", people=len(consent.excluded))
        record("identifiers dropped", crosswalk_kept=plan.privacy.crosswalk is not None)
    return LinkedRecords(built.hub, extracts.intake, links, consent, built.flow, built.births)


@contextmanager
def identified_scratch(plan: HubPlan, place: Path | None = None) -> Iterator[Path]:
    """An empty folder for identified rows, for the owner alone, that goes with the block.

    What a killed command of the same study left in it is removed first.

    Parameters
    ----------
    plan
        Names the folder.
    place
        Where it is made; by default beside the project key, which is the custodian's own place.

    Raises
    ------
    OutputError
        Another command of the study holds it.
    """
    folder = (place or plan.privacy.key.parent) / f".{plan.study.name}-records"
    with exclusive(folder):
        try:
            shutil.rmtree(folder / "rows", ignore_errors=True)
            yield folder / "rows"
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def read_extracts(plan: HubPlan, scratch: Path) -> Extracts:
    """Read every table that the plan names into an identified database below `scratch`."""
    private_folder(scratch)
    file = scratch / "identified.duckdb"
    file.unlink(missing_ok=True)
    hub = connect(file, memory_limit=MEMORY, threads=_threads(), spill=scratch / "identified-spill")
    try:
        intake = read_sources(
            hub,
            {name: source.read_from() for name, source in plan.sources.items()},
            plan.region_tables(),
            until=plan.study.data_end.isoformat(),
            editions={
                name: source.icd10_edition
                for name, source in plan.sources.items()
                if source.icd10_edition is not None
            },
            observed={
                name: rule
                for name, source in plan.sources.items()
                if (rule := observed_by(source)) is not None
            },
        )
    except BaseException:
        # half of the identified records is as much to be guarded as all of them
        hub.close()
        file.unlink(missing_ok=True)
        raise
    return Extracts(hub, intake, file)


def server_states(plan: HubPlan) -> dict[str, str]:
    """State of every table that a study reads from a server, by its place in the study file.

    A run holds them as it holds the hashes of its files: where rows have changed since, an interrupted run is not
    gone on with as if they had not.

    Raises
    ------
    CareomeError
        A server cannot be reached, or lacks a table.
    """
    states: dict[str, str] = {}
    for name, source in plan.sources.items():
        model = source.read_from()
        if isinstance(model, (PostgresSource, OmopSource)):
            states |= {f"sources.{name}.{table}": state for table, state in model.states().items()}
    return states


def check_shares(plan: HubPlan, intake: Intake) -> None:
    """Stop where a decisive column could not be read, or more of a source was refused than it declares as bearable.

    Raises
    ------
    InputError
        Naming the source, the table, the column where it is one, and the share.
    """
    for row in each_row(intake.unread):
        if row.unread >= FEWEST_UNREAD and row.unread > MOST_UNREAD * row.filled:
            place = f"{row.source}.{row.table}"
            declared = f"dates of the declared form {row.form}" if row.form else "ISO dates (YYYY-MM-DD)"
            sex = row.column == "sex"
            raise InputError(
                f"{row.unread / row.filled:.1%} of the filled values cannot be read, and no study could do without",
                where=f"sources.{place}.{row.column}",
                found=f"{row.unread:,} of {row.filled:,} unreadable",
                expected="M or F, male or female, 1 or 2" if sex else declared,
                fix=f"say how {place} writes it, with " + ("values: {sex: {...}}" if sex else "date_format"),
            )
    for name, source in plan.sources.items():
        if (most := source.most_rejected) is None:
            continue
        for table, refused, read in intake.worst_shares(name):
            if refused > most * read:
                what = "files were damaged" if table == "files" else "rows were refused"
                what = "filled values could not be read" if "." in table else what
                raise InputError(
                    "more was refused than the study bears",
                    where=f"sources.{name}.most_rejected" + ("" if table == "files" else f", table {table}"),
                    found=f"{refused:,} of {read:,} {what}",
                    expected=f"at most {most:.3%}",
                    fix="'careome records check' gives the reasons; mend the extract, or declare another limit",
                )


def unread_lines(intake: Intake, *, show: Callable[[int], object] = "{:,}".format) -> Iterator[str]:
    """What could not be read of the columns by which people are linked, aged or followed, a line for each.

    Parameters
    ----------
    intake
        What was read.
    show
        Writes a number of rows; true ones are for the study team.
    """
    for row in each_row(intake.unread):
        yield (
            f"warning: {row.source}.{row.table}.{row.column}: {show(int(row.unread))} of {show(int(row.filled))} "
            "filled values cannot be read"
        )


def stop_at_limits(plan: HubPlan, extracts: Extracts) -> None:
    """As :func:`check_shares`; what was read is deleted where it stops.

    Raises
    ------
    InputError
        Naming the source, the table and the share.
    """
    try:
        check_shares(plan, extracts.intake)
    except InputError:
        drop_intake(extracts.hub)
        extracts.file.unlink(missing_ok=True)
        raise


def rejects_path(plan: HubPlan) -> Path:
    """Where the places of refused rows are kept: a custodian's place, since who holds the files can look them up."""
    declared = plan.privacy.rejects
    return declared or plan.privacy.key.with_name(f"{plan.study.name}-rejected-rows.parquet")


def write_rejects(extracts: Extracts, path: Path) -> int:
    """Keep where every refused row lies and why, for the data manager; never what was in it.

    Columns: ``source``, ``table``, ``origin`` (what holds the rows), ``file`` (its number in the order of names),
    ``row`` (number in the file, from 1, without header and empty lines), ``lines``, ``reason``, ``column``.

    Returns
    -------
    int
        Rows written.
    """
    rows = extracts.hub.connection.execute(
        'SELECT source, "table", origin, file, "row", lines, reason, '
        "CASE WHEN reason LIKE '%: %' THEN split_part(reason, ': ', 1) END AS \"column\" "
        'FROM intake.rejects ORDER BY source, "table", origin, file, "row"'
    ).to_arrow_reader(BATCH_ROWS)
    written = 0
    with (
        atomic_path(path) as temporary,
        pq.ParquetWriter(temporary, rows.schema, compression="zstd") as writer,
    ):
        for batch in rows:
            writer.write_batch(batch)
            written += batch.num_rows
    return written


def link_records(plan: HubPlan, extracts: Extracts, scratch: Path) -> Links:
    """Link as the study declares, with what clerks have decided, and list what they should look at."""
    declared = plan.linkage
    with ExitStack() as closing:
        backend = None
        if declared.engine == "spark":
            from cohorts.linkage_spark import SparkBackend

            private_folder(scratch / "linkage-spark")
            backend = closing.enter_context(
                SparkBackend.start(declared.spark_master, scratch=scratch / "linkage-spark")
            )
        links = link(
            extracts.hub,
            threshold=declared.threshold,
            seed=plan.study.seed,
            decisions=read_decisions(declared.decisions),
            review=declared.review_band,
            review_most=declared.review_most,
            on=plan.study.index_date.isoformat(),
            backend=backend,
        )
    if declared.review is not None:
        keep_review(declared.review, links)
    return links


def pseudonymous_hub(
    plan: HubPlan, extracts: Extracts, links: Links, scratch: Path, *, key: bytes, run: str
) -> tuple[BuiltHub, ConsentResult]:
    """Leave out who objected, give everybody else a pseudonym, and delete what was identified.

    The custodian's table of local identifiers is sealed under the name of the `run` where the study's
    ``privacy.crosswalk`` says, never into the run folder.
    """
    consent = apply_consent(extracts.hub, links)
    target = scratch / "hub.duckdb"
    target.unlink(missing_ok=True)
    built = build_hub(
        extracts.hub, links, consent, key=key, target=target, memory_limit=MEMORY, threads=_threads()
    )
    drop_intake(extracts.hub)
    extracts.file.unlink()
    keep_crosswalk(plan, built.crosswalk, run)
    return built, consent


def _threads() -> int:
    return int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0)))
