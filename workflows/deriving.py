"""Phenotypes, traits and outcomes of a study: on the engine it declares, with what earlier runs have answered."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from cohorts.hub import Hub
from phenotypes.cache import RECORDS
from phenotypes.codelist import CodeList
from phenotypes.derivation import Derived, derive
from phenotypes.diagnostics import Diagnostics
from phenotypes.session import HubLike
from workflows.answers import KeptAnswers, records_identity
from workflows.folder import RunFolder
from workflows.outputs import private_folder
from workflows.progress import Progress
from workflows.study import Study


def derive_declared(
    study: Study,
    hub: Hub,
    persons: pd.DataFrame,
    codelists: Mapping[str, CodeList],
    *,
    folder: RunFolder,
    progress: Progress,
    inputs: Mapping[str, str],
    key: bytes,
    answers: KeptAnswers | None,
) -> Derived:
    """Derive all that a study declares.

    Parameters
    ----------
    study, hub, persons, codelists
        The study, its pseudonymous hub, its population and its code lists by name.
    folder, progress
        Of the run: counts of kept answers go into its audit trail and its log.
    inputs
        SHA-256 of the study's input files by name.
    key
        Of the project.
    answers
        The answers that earlier runs kept, if the study keeps any.
    """
    store = identity = None
    if answers is not None:
        identity = records_identity(study, inputs, hub, key=key)
        store, removed = answers.of(identity)
        folder.audit.record("kept answers opened", records=identity[:12], removed=removed)
        if removed:
            progress.note(f"{removed} kept answers removed: the records, or who is among them, changed")
    with engine_hub(study, hub, folder.scratch) as records:
        derived = derive(
            records,
            persons,
            index_date=study.study.index_date,
            data_end=study.study.data_end,
            phenotypes=study.phenotypes,
            traits=study.traits,
            outcomes=study.outcomes,
            codelists=codelists,
            cache=store,
            hub_id=identity,
        )
    if answers is not None:
        reused, asked = len(derived.reused), len(derived.identities)
        folder.audit.record("kept answers used", reused=reused, definitions=asked)
        progress.note(f"{reused} of {asked} definitions reused")
    for line in deserving_a_look(derived.diagnostics):
        progress.note(line)
    return derived


def deserving_a_look(diagnostics: Diagnostics) -> list[str]:
    """Definitions that find nobody, with the reason, and code lists of which nobody has a record.

    A list whose code system the records lack makes a definition quietly narrower, and no count shows it. An outcome
    and a phenotype may share a name; only what comes first while somebody is followed is an outcome.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> codes = pd.DataFrame({"codelist": ["insulin", "hba1c"], "system": ["bnf", "snomed"], "records": [0, 7]})
    >>> notes = pd.DataFrame({"kind": [], "definition": [], "note": []})
    >>> deserving_a_look(SimpleNamespace(notes=notes, codes=codes))
    ['nobody has a record of: insulin (bnf)']
    """
    lines = [
        f"{kind} {definition}: "
        + (note.replace("finds nobody:", "finds nobody while followed:", 1) if kind == "outcome" else note)
        for kind, definition, note in diagnostics.notes[["kind", "definition", "note"]].itertuples(
            index=False
        )
    ]
    unseen = [
        f"{name} ({', '.join(sorted(set(group['system'])))})"
        for name, group in diagnostics.codes.groupby("codelist", sort=False)
        if not group["records"].sum()
    ]
    return [*lines, f"nobody has a record of: {', '.join(unseen)}"] if unseen else lines


@contextmanager
def engine_hub(study: Study, hub: Hub, scratch: Path) -> Iterator[HubLike]:
    """The hub as the study's ``records.engine`` wants it; what Spark reads is removed with the block.

    On a cluster every worker must see `scratch`, which is in the run folder.
    """
    if study.records.engine == "local":
        yield hub
        return
    from cohorts.spark import start_spark
    from phenotypes.spark_session import SparkHub

    folder = scratch / "records-spark"
    private_folder(folder)
    try:
        # sources say their editions of ICD-10
        for table in (*RECORDS, "sources"):
            file = str(folder / f"{table}.parquet").replace("'", "''")
            hub.connection.execute(f"COPY \"{table}\" TO '{file}' (FORMAT parquet, COMPRESSION zstd)")
        with start_spark(study.records.spark_master, scratch=folder) as spark:
            yield SparkHub.read(spark, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
