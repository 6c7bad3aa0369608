"""``careome pca``: OUT.eigenvec, OUT.eigenval, and OUT.eigenvec.allele with OUT.acount to project others on.

The last two have PLINK 2's format and scale, so that its ``--score`` can project with them too.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from cohorts.errors import DesignError
from gwas.components import pca
from gwas.counts import AUTOSOME, variant_group
from gwas.genotypes import Genotypes
from gwas.long_range_ld import in_long_range_ld
from workflows.genotype_commands.outcome import Outcome, Table, sample_columns, variant_columns

TOLERANCE: Final = 5e-4


def tables(
    genotypes: Genotypes, *, threads: int, components: int = 10, build: str | None = None, seed: int = 1
) -> Outcome:
    """Leading components of all autosomal variants left, less long-range LD where ``build`` is given."""
    variants = genotypes.variants
    autosomal = variant_group(genotypes) == AUTOSOME
    use = autosomal
    notes = [f"{int((~autosomal).sum())} variants off the autosomes left out"]
    if build is not None:
        use = autosomal & ~in_long_range_ld(variants["chrom"], variants["pos"], build=build)
        notes.append(f"{int((autosomal & ~use).sum())} variants in long-range LD ({build}) left out")
    ids = variants["id"][use]
    if ids.duplicated().any():
        raise DesignError(
            "variants cannot be told apart by their ID, so nobody could be projected on them",
            found=f"{int(ids.duplicated().sum())} repeated IDs",
            fix="give each an ID, e.g. with plink2 --set-all-var-ids, or leave them out with --exclude",
        )
    model = pca(
        genotypes,
        components=components,
        variants=np.flatnonzero(use),
        rng=np.random.default_rng(seed),
        threads=threads,
        tolerance=TOLERANCE,
    )
    notes.append(
        f"{len(model.variants)} variants, {genotypes.n_samples} samples; largest relative residual"
        f" {model.residual:.1e}; share of variance {model.eigenvalues.sum() / model.total_variance:.4f}"
    )
    if model.residual > TOLERANCE:
        notes.append(f"not converged to {TOLERANCE:g}: components of nearly equal eigenvalues may mix")
    vectors = pd.concat([sample_columns(genotypes), model.scores.reset_index(drop=True)], axis=1)
    values = pd.DataFrame({"value": model.eigenvalues})
    used = genotypes.select(variants=model.variants)
    # PLINK 2 splits a variant's weight between its two alleles, for genotypes of unit variance.
    weights = model.loadings * np.sqrt(len(model.variants)) / 2
    names = list(model.scores.columns)
    frame = variant_columns(used)
    alt_copies = np.rint(model.mean * model.called).astype(np.int64)
    allele = pd.concat(
        [
            frame.assign(A1=frame[a1], **dict(zip(names, (sign * weights).T, strict=True)))
            for a1, sign in (("REF", -1.0), ("ALT", 1.0))
        ]
    ).sort_index(kind="stable")
    return Outcome(
        [
            Table("eigenvec", vectors),
            Table("eigenval", values, header=False),
            Table("eigenvec.allele", allele),
            Table("acount", frame.assign(ALT_CTS=alt_copies, OBS_CT=2 * model.called)),
        ],
        notes,
    )
