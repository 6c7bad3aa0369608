"""The body of ``careome wgr``: REGENIE's step 1, its options in and its files out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from cohorts.errors import InputError
from gwas.genotypes import Genotypes
from gwas.whole_genome import WholeGenomeFit, whole_genome_regression
from workflows.genotype_inputs import Filters, GenotypeSource
from workflows.gwas_filters import apply_filters
from workflows.gwas_options import TraitOptions
from workflows.gwas_traits import describe_design, read_design
from workflows.installation import version
from workflows.outputs import atomic_text, write_text

USED: Final = {"hard-call": "hard calls", "dosage": "dosages (to 1/127 of a copy)"}
MAC: Final = 5
"""Variants with fewer minor alleles are left out unless filters say otherwise."""


def run_wgr(
    *,
    source: GenotypeSource,
    pheno: Path,
    out: Path,
    covar: Path | None = None,
    pheno_name: Sequence[str] | None = None,
    covar_name: Sequence[str] | None = None,
    filters: Filters | None = None,
    traits: TraitOptions | None = None,
    folds: int = 10,
    calibrate: bool = False,
    unused: Sequence[str] = (),
    threads: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[Path]:
    """Predict every trait from all chromosomes but one, and write the predictions and the weights.

    Parameters
    ----------
    source, pheno, covar, pheno_name, covar_name, filters, traits
        As in :func:`workflows.association.run_gwas`.
    out
        Prefix of the outputs: ``OUT_pred.list`` and ``OUT_<i>.loco`` as REGENIE writes them,
        ``OUT.<trait>.weights``, a polygenic score in the PGS Catalog's columns (for the same files
        ``careome score --palindromic keep``: their strand is known), and ``OUT.log``; with `calibrate`
        ``OUT_pred.inflation``, for ``careome gwas --pred-inflation``.
    folds, calibrate, threads, progress
        See :func:`gwas.whole_genome.whole_genome_regression`. Its `mac` is `filters.mac`, by default
        :data:`MAC`.
    unused
        Options of REGENIE that were given and change nothing here, for the log.

    Returns
    -------
    list of Path
        The list, the predictions, the weights, the log.

    Raises
    ------
    CareomeError
        Whatever the user can mend, in one line.
    """
    begun = time.monotonic()
    opened = source.open()
    filters = filters or Filters()
    mac = MAC if filters.mac is None else max(filters.mac, 1)
    genotypes, filtered = apply_filters(opened, filters)
    design = read_design(
        genotypes,
        pheno,
        covar,
        pheno_name=pheno_name,
        covar_name=covar_name,
        options=traits or TraitOptions(),
    )
    for trait in design.traits:
        if "/" in trait.name:
            raise InputError(
                "a trait's name cannot be part of a file name", where=trait.name, fix="rename the column"
            )
    fit = whole_genome_regression(
        genotypes, design, folds=folds, mac=mac, calibrate=calibrate, threads=threads, progress=progress
    )
    files = [_write_list(fit, out), *_write_predictions(fit, genotypes, out), *_write_weights(fit, out)]
    if calibrate:
        files.insert(1, out.with_name(out.name + "_pred.inflation"))
        factors = zip(fit.offsets.traits, fit.offsets.inflation, strict=True)
        write_text(files[1], "".join(f"{name} {factor:.6g}\n" for name, factor in factors))
    lines = [
        f"careome {version()} wgr",
        *source.told(opened),
        f"whole-genome regression: {USED[genotypes.values]} of autosomes;"
        " other chromosomes get the prediction of them all",
        *(f"{option}: accepted for REGENIE's sake, changes nothing here" for option in unused),
        *filtered,
        *describe_design(design),
        *(f"left out: {count} variants, {why}" for why, count in fit.skipped_variants.items()),
        f"variants used: {len(fit.variants)}; {folds} folds by hash of the sample ID",
        *(
            f"{trait.name}: heritability {trait.heritability:.3f} (moments); {trait.prior.describe()}; held-out"
            f" {'R2' if trait.kind == 'quantitative' else 'part of the deviance'} {trait.held_out_r2:.4f};"
            f" factor {trait.factor:.3f}; {trait.sweeps} sweeps"
            for trait in fit.traits
        ),
        *(
            f"{trait.name}: chi-squares beside the predictions are {trait.inflation.factor:.3f} times a mixed"
            f" model's (standard error {trait.inflation.error:.3f})"
            for trait in fit.traits
            if trait.inflation is not None
        ),
        *(f"{name}: skipped, {why}" for name, why in fit.skipped.items() if name not in design.skipped),
        f"done in {time.monotonic() - begun:.1f} s",
    ]
    log = out.with_name(out.name + ".log")
    write_text(log, "\n".join(lines) + "\n")
    return [*files, log]


def _loco(out: Path, number: int) -> Path:
    return out.with_name(f"{out.name}_{number}.loco")


def _write_list(fit: WholeGenomeFit, out: Path) -> Path:
    path = out.with_name(out.name + "_pred.list")
    names = enumerate(fit.offsets.traits, start=1)
    write_text(path, "".join(f"{name} {_loco(out, i).resolve()}\n" for i, name in names))
    return path


def _write_predictions(fit: WholeGenomeFit, genotypes: Genotypes, out: Path) -> list[Path]:
    people = " ".join(
        f"{fid}_{iid}" for fid, iid in zip(genotypes.samples["fid"], genotypes.samples["iid"], strict=True)
    )
    paths = []
    for t in range(len(fit.offsets.traits)):
        path = _loco(out, t + 1)
        with atomic_text(path) as handle:
            handle.write(f"FID_IID {people}\n")
            for c, row in enumerate(fit.offsets.values[t], start=1):
                handle.write(f"{c} " + " ".join(["%.6g"] * len(row)) % tuple(row.tolist()) + "\n")
        paths.append(path)
    return paths


def _write_weights(fit: WholeGenomeFit, out: Path) -> list[Path]:
    paths = []
    columns = [fit.variants[name].tolist() for name in ("id", "chrom", "pos", "alt", "ref")]
    for t, trait in enumerate(fit.traits):
        path = out.with_name(f"{out.name}.{trait.name}.weights")
        weights = fit.weights[:, t]
        kept = np.flatnonzero(weights != 0).tolist()
        with atomic_text(path) as handle:
            handle.write("rsID\tchr_name\tchr_position\teffect_allele\tother_allele\teffect_weight\n")
            handle.writelines(
                "\t".join(str(column[j]) for column in columns) + f"\t{weights[j]:.6g}\n" for j in kept
            )
        paths.append(path)
    return paths
