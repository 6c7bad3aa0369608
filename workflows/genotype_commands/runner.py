"""One genotype command from its inputs to its files: open, filter, compute, write, log."""

from __future__ import annotations

import time
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from workflows.genotype_commands import BODIES, OF_DOSAGES
from workflows.genotype_commands.outcome import Outcome, write_tables
from workflows.genotype_inputs import Filters, GenotypeSource
from workflows.gwas_filters import apply_filters
from workflows.installation import version
from workflows.outputs import write_text


def run_command(
    name: str,
    *,
    source: GenotypeSource,
    out: Path,
    filters: Filters,
    threads: int,
    options: Mapping[str, Any],
) -> list[Path]:
    """Run the command ``name`` of :data:`workflows.genotype_commands.BODIES`.

    Parameters
    ----------
    source
        The genotypes to read.
    out
        Prefix of the files to write.
    filters
        PLINK 2's filters, see :mod:`workflows.gwas_filters`.
    threads
        Threads.
    options
        What the command itself takes.

    Returns
    -------
    list of Path
        The files, then the log. They appear complete or not at all.

    Raises
    ------
    CareomeError
        Whatever the user can mend, in one line.
    """
    started = time.monotonic()
    genotypes = source.open()
    given = " ".join(f"{key}={value}" for key, value in options.items() if value not in (None, False))
    used = genotypes.values if name in OF_DOSAGES else "hard-call"
    lines = [f"careome {version()} {name} {given}".rstrip(), *source.told(genotypes, values=used)]
    by_frequency = (filters.maf, filters.mac, filters.mach_r2)
    if used != genotypes.values and any(bound is not None for bound in by_frequency):
        lines.append("filters by frequency: of dosages")
    genotypes, filtered = apply_filters(genotypes, filters)
    outcome: Outcome = import_module(BODIES[name]).tables(genotypes, threads=threads, **options)
    files = write_tables(out, outcome.tables)
    lines += [*filtered, *outcome.notes]
    lines += [f"{len(table)} rows: {file}" for table, file in zip(outcome.tables, files, strict=True)]
    lines.append(f"done in {time.monotonic() - started:.1f} s")
    log = out.with_name(out.name + ".log")
    write_text(log, "\n".join(lines) + "\n")
    return [*files, log]
