"""One genotype command from its inputs to its files: open, filter, compute, write, log."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workflows.genotype_commands import AUTOSOMAL, BODIES, OF_DOSAGES
from workflows.genotype_commands.outcome import Outcome, write_tables
from workflows.genotype_inputs import Filters, GenotypeSource
from workflows.gwas_filters import apply_filters
from workflows.installation import version
from workflows.outputs import refuse_no_folder, write_text

if TYPE_CHECKING:
    from gwas.genotypes import Genotypes


def run_command(
    name: str,
    *,
    source: GenotypeSource,
    out: Path,
    filters: Filters,
    threads: int,
    options: Mapping[str, Any],
    warn: Callable[[str], None] = lambda _: None,
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
    warn
        Told what the user should hear of at once; the log has it too.

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
    refuse_no_folder(out)
    genotypes = source.open()
    given = " ".join(f"{key}={value}" for key, value in options.items() if value not in (None, False))
    used = genotypes.values if name in OF_DOSAGES else "hard-call"
    lines = [f"careome {version()} {name} {given}".rstrip(), *source.told(genotypes, values=used)]
    by_frequency = (filters.maf, filters.mac, filters.mach_r2)
    if used != genotypes.values and any(bound is not None for bound in by_frequency):
        lines.append("filters by frequency: of dosages")
    genotypes, filtered = apply_filters(genotypes, filters)
    warnings = [] if name in AUTOSOMAL else _of_sex(genotypes)
    for text in warnings:
        warn(text)
    outcome: Outcome = import_module(BODIES[name]).tables(genotypes, threads=threads, **options)
    files = write_tables(out, outcome.tables)
    lines += [*filtered, *(f"warning: {text}" for text in warnings), *outcome.notes]
    lines += [f"{len(table)} rows: {file}" for table, file in zip(outcome.tables, files, strict=True)]
    lines.append(f"done in {time.monotonic() - started:.1f} s")
    log = out.with_name(out.name + ".log")
    write_text(log, "\n".join(lines) + "\n")
    return [*files, log]


def _of_sex(genotypes: Genotypes) -> list[str]:
    """Where variants lie on X or Y and nobody's sex is known, men cannot be told from women."""
    names, lengths = genotypes.variant_text("chrom").runs()
    sexed = sum(int(length) for name, length in zip(names, lengths, strict=True) if name in ("X", "Y"))
    if not sexed or any(sex is not None for sex in genotypes.sample_values("sex")):
        return []
    return [f"no sample has a sex, so everybody counts as a woman on X and Y ({sexed} variants)"]
