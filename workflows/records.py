"""From extracts with identifiers to a hub without them.

Everything identified lives in one DuckDB file in the run's scratch folder, and is gone when this module
is done: :func:`pseudonymous_hub` deletes it as soon as the hub has been built.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from cohorts.consent import ConsentResult, apply_consent
from cohorts.errors import InputError
from cohorts.hub import Hub, connect
from cohorts.linkage import Links, link
from cohorts.models import OmopSource, PostgresSource
from cohorts.pseudonymise import BuiltHub, build_hub
from cohorts.sources import Intake, drop_intake, read_sources
from workflows.custodian import keep_crosswalk, keep_review, read_decisions
from workflows.outputs import atomic_path, private_folder
from workflows.study import Study

MEMORY = "1GB"
BATCH_ROWS = 1 << 17


@dataclass(frozen=True, eq=False)
class Extracts:
    """What the providers handed over, with identifiers, and how many rows of it could be used."""

    hub: Hub
    intake: Intake
    file: Path


def read_extracts(study: Study, scratch: Path) -> Extracts:
    """Read every table that the study names into an identified database below `scratch`."""
    private_folder(scratch)
    file = scratch / "identified.duckdb"
    file.unlink(missing_ok=True)
    hub = connect(file, memory_limit=MEMORY, threads=_threads(), spill=scratch / "identified-spill")
    try:
        intake = read_sources(
            hub,
            {name: source.read_from() for name, source in study.sources.items()},
            study.region_tables(),
            until=study.study.data_end.isoformat(),
            editions={
                name: source.icd10_edition
                for name, source in study.sources.items()
                if source.icd10_edition is not None
            },
        )
    except BaseException:
        # half of the identified records is as much to be guarded as all of them
        hub.close()
        file.unlink(missing_ok=True)
        raise
    return Extracts(hub, intake, file)


def server_states(study: Study) -> dict[str, str]:
    """State of every table that a study reads from a server, by its place in the study file.

    A run holds them as it holds the hashes of its files: where rows have changed since, an interrupted run is not
    gone on with as if they had not.

    Raises
    ------
    CareomeError
        A server cannot be reached, or lacks a table.
    """
    states: dict[str, str] = {}
    for name, source in study.sources.items():
        model = source.read_from()
        if isinstance(model, (PostgresSource, OmopSource)):
            states |= {f"sources.{name}.{table}": state for table, state in model.states().items()}
    return states


def check_shares(study: Study, intake: Intake) -> None:
    """Stop where more of a source was refused than it declares as bearable.

    Raises
    ------
    InputError
        Naming the source, the table and the share.
    """
    for name, source in study.sources.items():
        if (most := source.most_rejected) is None:
            continue
        for table, refused, read in intake.worst_shares(name):
            if refused > most * read:
                what = "files were damaged" if table == "files" else "rows were refused"
                raise InputError(
                    "more was refused than the study bears",
                    where=f"sources.{name}.most_rejected" + ("" if table == "files" else f", table {table}"),
                    found=f"{refused:,} of {read:,} {what}",
                    expected=f"at most {most:.3%}",
                    fix="'careome records check' gives the reasons; mend the extract, or declare another limit",
                )


def stop_at_limits(study: Study, extracts: Extracts) -> None:
    """As :func:`check_shares`; what was read is deleted where it stops.

    Raises
    ------
    InputError
        Naming the source, the table and the share.
    """
    try:
        check_shares(study, extracts.intake)
    except InputError:
        drop_intake(extracts.hub)
        extracts.file.unlink(missing_ok=True)
        raise


def rejects_path(study: Study) -> Path:
    """Where the places of refused rows are kept: a custodian's place, since who holds the files can look them up."""
    declared = study.privacy.rejects
    return declared or study.privacy.key.with_name(f"{study.study.name}-rejected-rows.parquet")


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


def link_records(study: Study, extracts: Extracts, scratch: Path) -> Links:
    """Link as the study declares, with what clerks have decided, and list what they should look at."""
    declared = study.linkage
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
            seed=study.study.seed,
            decisions=read_decisions(declared.decisions),
            review=declared.review_band,
            review_most=declared.review_most,
            on=study.study.index_date.isoformat(),
            backend=backend,
        )
    if declared.review is not None:
        keep_review(declared.review, links)
    return links


def pseudonymous_hub(
    study: Study, extracts: Extracts, links: Links, scratch: Path, *, key: bytes, run: str
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
    keep_crosswalk(study, built.crosswalk, run)
    return built, consent


def _threads() -> int:
    return int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0)))
