"""The review list without the study: patients are read and linked, and nothing else is made."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from cohorts.hub import connect
from cohorts.models import SourceModel
from cohorts.sources import TableSource, read_sources
from workflows.custodian import refuse_output, write_private
from workflows.hub_plan import HubPlan
from workflows.records import Extracts, check_shares, link_records

TABLES = ("patients", "addresses")


def list_review(study: HubPlan, out: Path) -> tuple[int, int]:
    """Write the pairs for clerical review to a new private file.

    Returns
    -------
    tuple of int
        Pairs listed, and pairs found.
    """
    refuse_output(out)
    quiet = study.model_copy(update={"linkage": study.linkage.model_copy(update={"review": None})})
    with tempfile.TemporaryDirectory(prefix="careome-", ignore_cleanup_errors=True) as name:
        scratch = Path(name)
        hub = connect(scratch / "identified.duckdb", spill=scratch / "spill")
        try:
            intake = read_sources(hub, only(study, TABLES), region_only(study, ("deprivation",)))
            check_shares(study, intake)
            links = link_records(quiet, Extracts(hub, intake, scratch / "identified.duckdb"), scratch)
        finally:
            hub.close()
    write_private(out, links.review)
    return len(links.review), links.review_found


def only(study: HubPlan, tables: tuple[str, ...]) -> dict[str, Mapping[str, TableSource] | SourceModel]:
    """Sources with these tables alone, where they are files; a layout is read whole."""
    sources: dict[str, Mapping[str, TableSource] | SourceModel] = {}
    for name, source in study.sources.items():
        found = source.read_from()
        if isinstance(found, Mapping):
            found = {table: files for table, files in found.items() if table in tables}
        sources[name] = found
    return sources


def region_only(study: HubPlan, tables: tuple[str, ...]) -> dict[str, TableSource]:
    """Tables about the region with these names."""
    return {name: table for name, table in study.region_tables().items() if name in tables}
