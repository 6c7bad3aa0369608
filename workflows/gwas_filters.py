"""PLINK 2's sample and variant filters for one association run, in PLINK 2's order.

Samples by list, variants by list and chromosome, then samples by missingness, then variants by missingness,
Hardy-Weinberg test and frequency. Frequencies and the Hardy-Weinberg test use founders.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from cohorts.errors import DesignError, InputError
from gwas.genotypes import Genotypes
from gwas.genotypes.chromosomes import ploidy_class
from gwas.kernels.packed import count_genotypes
from gwas.missingness import missing_calls
from workflows.genotype_inputs import Filters
from workflows.gwas_tables import read_sample_list, read_variant_list

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
# decimal thresholds are not exact in binary: PLINK forgives the last bits too
_SLACK = 2.0**-44


def apply_filters(genotypes: Genotypes, filters: Filters) -> tuple[Genotypes, list[str]]:
    """Apply filters in order.

    Returns
    -------
    (genotypes, lines)
        What is left, and one line a filter saying what it took away and what remains.

    Raises
    ------
    InputError
        A list cannot be read, or a keep list names a sample that is not there.
    DesignError
        Nobody or nothing is left.
    """
    lines: list[str] = []
    genotypes = _by_lists(genotypes, filters, lines)
    if filters.mind is not None:
        found = missing_calls(genotypes)
        kept = found.by_sample <= filters.mind * found.of_sample * (1 + _SLACK)
        genotypes = _samples(genotypes, kept, f"--mind {filters.mind:g}", lines)
    if any(value is not None for value in (filters.geno, filters.hwe, filters.maf, filters.mac)):
        genotypes = _by_counts(genotypes, filters, lines)
    return genotypes, lines


def _by_lists(genotypes: Genotypes, filters: Filters, lines: list[str]) -> Genotypes:
    if filters.keep is not None:
        mask, unknown = read_sample_list(filters.keep, genotypes.samples)
        if unknown:
            raise InputError(
                "an unknown sample is listed",
                where=f"{filters.keep}:{unknown[0]}",
                found=f"{len(unknown)} entries that are not in the genotypes",
                expected="FID and IID (or IID) of its samples",
                fix="remove them from the list",
            )
        genotypes = _samples(genotypes, mask, "--keep", lines)
    if filters.remove is not None:
        mask, unknown = read_sample_list(filters.remove, genotypes.samples)
        genotypes = _samples(genotypes, ~mask, "--remove", lines)
        if unknown:
            lines.append(
                f"--remove: {len(unknown)} entries are not in the genotypes (first in line {unknown[0]})"
            )
    for path, wanted in ((filters.extract, True), (filters.exclude, False)):
        if path is not None:
            listed = genotypes.variants["id"].isin(read_variant_list(path)).to_numpy()
            option = "--extract" if wanted else "--exclude"
            genotypes = _variants(genotypes, listed == wanted, option, lines)
    return genotypes


def _samples(genotypes: Genotypes, kept: Mask, option: str, lines: list[str]) -> Genotypes:
    lines.append(f"{option}: {int((~kept).sum())} samples removed, {int(kept.sum())} remain")
    if not kept.any():
        raise DesignError("no sample is left", where=option, fix="relax the filter")
    return genotypes if kept.all() else genotypes.select(samples=kept)


def _variants(genotypes: Genotypes, kept: Mask, option: str, lines: list[str]) -> Genotypes:
    lines.append(f"{option}: {int((~kept).sum())} variants removed, {int(kept.sum())} remain")
    if not kept.any():
        raise DesignError("no variant is left", where=option, fix="relax the filter")
    return genotypes if kept.all() else genotypes.select(variants=kept)


@dataclass(frozen=True, eq=False)
class _Counts:
    """int64 (m, 4) counts of 0, 1, 2 copies of ALT and missing, of groups."""

    everyone: npt.NDArray[np.int64]
    male: npt.NDArray[np.int64]
    founders: npt.NDArray[np.int64]
    male_founders: npt.NDArray[np.int64]
    female_founders: npt.NDArray[np.int64]


def _count(genotypes: Genotypes) -> _Counts:
    samples: pd.DataFrame = genotypes.samples
    everyone = np.ones(len(samples), dtype=bool)
    male, female = np.asarray(samples["sex"] == "M"), np.asarray(samples["sex"] == "F")
    founder = np.asarray((samples["father"] == "0") & (samples["mother"] == "0"))
    parts: list[list[npt.NDArray[np.int64]]] = []
    for block in genotypes.blocks():
        packed = block.packed_selected()
        masks = (everyone, male, founder, male & founder, female & founder)
        parts.append([count_genotypes(packed, mask) for mask in masks])
    return _Counts(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _by_counts(genotypes: Genotypes, filters: Filters, lines: list[str]) -> Genotypes:
    counts = _count(genotypes)
    kinds = ploidy_class(genotypes.variants["chrom"])
    kept = np.ones(genotypes.n_variants, dtype=bool)

    def narrow(passing: Mask, option: str) -> None:
        nonlocal kept
        left = kept & passing
        lines.append(f"{option}: {int(kept.sum() - left.sum())} variants removed, {int(left.sum())} remain")
        if not left.any():
            raise DesignError("no variant is left", where=option, fix="relax the filter")
        kept = left

    if filters.geno is not None:
        # nobody but a male has a Y to miss
        on_y = (kinds == "y")[:, None]
        relevant = np.where(on_y, counts.male, counts.everyone)
        narrow(
            relevant[:, 3] <= filters.geno * relevant.sum(axis=1) * (1 + _SLACK), f"--geno {filters.geno:g}"
        )
    if filters.hwe is not None:
        narrow(_hwe_p(counts, kinds) >= filters.hwe * (1 - _SLACK), f"--hwe {filters.hwe:g}")
    alt, total = _alleles(counts, kinds)
    minor = np.minimum(alt, total - alt)
    if filters.maf is not None:
        narrow((total > 0) & (minor >= filters.maf * total * (1 - _SLACK)), f"--maf {filters.maf:g}")
    if filters.mac is not None:
        narrow(minor >= filters.mac * (1 - _SLACK), f"--mac {filters.mac:g}")
    return genotypes.select(variants=kept)


def _hwe_p(counts: _Counts, kinds: npt.NDArray[np.str_]) -> Floats:
    """Exact P among founders; on X of known sex, with males' alleles; 1 on Y and MT."""
    from gwas.hwe import hwe_exact, hwe_exact_x

    p = np.ones(len(kinds))
    diploid, on_x = kinds == "diploid", kinds == "x"
    none, one, two = counts.founders[diploid, :3].T
    p[diploid] = hwe_exact(one, none, two)
    female, male = counts.female_founders[on_x], counts.male_founders[on_x]
    p[on_x] = hwe_exact_x(female[:, 1], female[:, 0], female[:, 2], male[:, 0], male[:, 2])
    return np.where(np.isnan(p), 1.0, p)


def _alleles(counts: _Counts, kinds: npt.NDArray[np.str_]) -> tuple[Floats, Floats]:
    """ALT alleles and all alleles among founders; males carry one X, nobody two Y or MT."""

    def copies(table: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
        return (table[:, 1] + 2.0 * table[:, 2]), 2.0 * table[:, :3].sum(axis=1)

    alt, total = copies(counts.founders)
    male_alt, male_total = copies(counts.male_founders)
    on_x, on_y, on_mt = kinds == "x", kinds == "y", kinds == "mt"
    alt = np.select([on_x, on_y, on_mt], [alt - male_alt / 2, male_alt / 2, alt / 2], alt)
    total = np.select([on_x, on_y, on_mt], [total - male_total / 2, male_total / 2, total / 2], total)
    return alt, total
