"""The bodies of the genotype commands: one module a command, each giving tables to write."""

from __future__ import annotations

from typing import Final

BODIES: Final = {
    "freq": "workflows.genotype_commands.freq",
    "missing": "workflows.genotype_commands.missing",
    "hardy": "workflows.genotype_commands.hardy",
    "het": "workflows.genotype_commands.het",
    "sex-check": "workflows.genotype_commands.sex_check",
    "king": "workflows.genotype_commands.king",
    "prune": "workflows.genotype_commands.prune",
    "pca": "workflows.genotype_commands.pca",
    "project": "workflows.genotype_commands.project",
    "ld": "workflows.genotype_commands.ld",
    "ld-score": "workflows.genotype_commands.ld_score",
    "test-missing": "workflows.genotype_commands.missing_by_status",
    "mendel": "workflows.genotype_commands.mendel",
    "compare-reference": "workflows.genotype_commands.compare_reference",
    "clump": "workflows.genotype_commands.clump",
}
"""Module of each command; its ``tables(genotypes, *, threads, ...)`` returns an
:class:`workflows.genotype_commands.outcome.Outcome`."""

OF_DOSAGES: Final = frozenset({"freq", "het", "compare-reference"})
"""Commands that use dosages where there are some; the others count genotypes, which are hard calls."""

AUTOSOMAL: Final = frozenset({"het", "king", "pca", "project", "ld-score"})
"""Commands that look at autosomes alone, or at no chromosome in particular."""
