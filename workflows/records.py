"""From extracts with identifiers to a hub without them.

Everything identified lives in one DuckDB file in the run's scratch folder, and is gone when this module
is done: :func:`pseudonymous_hub` deletes it as soon as the hub has been built.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cohorts.consent import ConsentResult, apply_consent
from cohorts.hub import Hub, connect
from cohorts.linkage import Links
from cohorts.pseudonymise import BuiltHub, build_hub
from cohorts.readers import TableSource
from cohorts.sources import Intake, drop_intake, read_sources
from workflows.outputs import private_folder, write_parquet
from workflows.study import Study, Table, TablePath

MEMORY = "1GB"


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
    sources = {name: _tables(source) for name, source in study.sources.items()}
    intake = read_sources(hub, sources, _tables(study.region), until=study.study.data_end.isoformat())
    return Extracts(hub, intake, file)


def pseudonymous_hub(
    study: Study, extracts: Extracts, links: Links, scratch: Path, *, key: bytes
) -> tuple[BuiltHub, ConsentResult]:
    """Leave out who objected, give everybody else a pseudonym, and delete what was identified.

    The custodian's table of local identifiers goes where the study's ``privacy.crosswalk`` says, never
    into the run folder.
    """
    consent = apply_consent(extracts.hub, links)
    target = scratch / "hub.duckdb"
    target.unlink(missing_ok=True)
    built = build_hub(
        extracts.hub, links, consent, key=key, target=target, memory_limit=MEMORY, threads=_threads()
    )
    drop_intake(extracts.hub)
    extracts.file.unlink()
    if study.privacy.crosswalk is not None:
        write_parquet(study.privacy.crosswalk, built.crosswalk)
    return built, consent


def _tables(entries: object) -> Mapping[str, TableSource]:
    named = ((name, getattr(entries, name)) for name in type(entries).model_fields)  # type: ignore[attr-defined]
    return {name: _source(entry) for name, entry in named if entry is not None}


def _source(entry: TablePath) -> TableSource:
    return TableSource(entry.path, entry.columns) if isinstance(entry, Table) else TableSource(entry)


def _threads() -> int:
    return int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0)))
