"""PLINK 2's sample and variant filters for one association run, in PLINK 2's order.

Samples by list, variants by list, then samples by missingness, then variants by missingness, Hardy-Weinberg test,
frequency and MaCH r2. Frequencies and the Hardy-Weinberg test use founders. Frequencies are those of dosages where
these are used; missingness and the Hardy-Weinberg test are of hard calls. Chromosomes and regions were chosen when
the file was opened, lists need no call, and every hard call is read once for all filters by counts of variants.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

import numpy as np
import numpy.typing as npt

from cohorts.errors import DesignError
from gwas.genotypes import Genotypes
from workflows.genotype_inputs import Filters
from workflows.gwas_tables import read_places, read_sample_list, read_variant_list

Mask = npt.NDArray[np.bool_]


def apply_filters(genotypes: Genotypes, filters: Filters) -> tuple[Genotypes, list[str]]:
    """Apply filters in order.

    Returns
    -------
    (genotypes, lines)
        What is left, and one line a filter saying what it took away and what remains.

    Raises
    ------
    InputError
        A list cannot be read.
    DesignError
        Nobody or nothing is left.
    """
    lines: list[str] = []
    genotypes = _by_lists(genotypes, filters, lines)
    by_counts = (filters.mind, filters.geno, filters.hwe, filters.maf, filters.mac, filters.mach_r2)
    if any(value is not None for value in by_counts):
        # counting takes modules that most runs do without
        from workflows.gwas_count_filters import samples_called, variants_passing

        if filters.mind is not None:
            called = samples_called(genotypes, filters.mind)
            genotypes = _samples(genotypes, called, f"--mind {filters.mind:g}", lines)
        if any(value is not None for value in by_counts[1:]):
            genotypes = variants_passing(genotypes, filters, lines)
    return genotypes, lines


def _by_lists(genotypes: Genotypes, filters: Filters, lines: list[str]) -> Genotypes:
    for path, wanted in ((filters.keep, True), (filters.remove, False)):
        if path is not None:
            listed, unknown = read_sample_list(path, genotypes)
            option = "--keep" if wanted else "--remove"
            genotypes = _samples(genotypes, listed == wanted, option, lines)
            lines += _strangers(option, unknown)
    genotypes = _by_names(genotypes, filters, lines)
    for path, kind, wanted in (
        (filters.extract, filters.extract_as, True),
        (filters.exclude, filters.exclude_as, False),
    ):
        if path is not None and kind != "ids":
            within = within_places(genotypes, read_places(path, first=0 if kind == "bed0" else 1))
            option = f"{'--extract' if wanted else '--exclude'} {kind}"
            genotypes = _variants(genotypes, within == wanted, option, lines)
        elif path is not None:
            names = read_variant_list(path)
            ids = genotypes.variant_text("id").strings()
            option = "--extract" if wanted else "--exclude"
            here = set(ids)
            strangers = [line for name, line in names.items() if name not in here]
            listed = np.array([name in names for name in ids], dtype=bool)
            genotypes = _variants(genotypes, listed == wanted, option, lines)
            lines += _strangers(option, strangers)
    return genotypes


def _by_names(genotypes: Genotypes, filters: Filters, lines: list[str]) -> Genotypes:
    """Chromosomes, kinds of alleles and IDs that the command line names."""
    if filters.not_chr:
        kept = ~np.isin(genotypes.variant_values("chrom").astype(str), filters.not_chr)
        genotypes = _variants(genotypes, kept, f"--not-chr {','.join(filters.not_chr)}", lines)
    if filters.snps_only is not None:
        alleles_of = genotypes.variant_text("ref"), genotypes.variant_text("alt")
        kept = np.logical_and.reduce([column.length == 1 for column in alleles_of])
        if filters.snps_only == "acgt":
            kept &= np.logical_and.reduce(
                [
                    np.logical_or.reduce([column.equals(word) for word in "ACGTacgt.0"])
                    for column in alleles_of
                ]
            )
        genotypes = _variants(
            genotypes, kept, "--snps-only" + " just-acgt" * (filters.snps_only == "acgt"), lines
        )
    if filters.snps:
        ids = genotypes.variant_values("id")
        last = {name: row for row, name in enumerate(ids.tolist())}
        kept = np.zeros(len(ids), dtype=bool)
        for item in filters.snps:
            begin, end = _ends(item, last)
            kept |= ids == begin
            if begin != end:
                kept[int(np.argmax(ids == begin)) : last[end] + 1] = True
        genotypes = _variants(genotypes, kept, "--snps", lines)
    return genotypes


def _ends(item: str, known: Container[str]) -> tuple[str, str]:
    """First and last ID of a range; an ID may hold a dash."""
    if item in known:
        return item, item
    for dash in (at for at, letter in enumerate(item) if letter == "-"):
        if item[:dash] in known and item[dash + 1 :] in known:
            return item[:dash], item[dash + 1 :]
    raise DesignError("no such variant", where="--snps", found=item, fix="check the ID")


def within_places(genotypes: Genotypes, places: Sequence[tuple[str, int, int]]) -> Mask:
    """Variants in any of the places (chromosome, first and last position), bool (m,)."""
    chrom, pos = genotypes.variant_values("chrom"), genotypes.variant_values("pos")
    inside = np.zeros(len(pos), dtype=bool)
    for name in {place[0] for place in places}:
        here = np.flatnonzero(chrom == name)
        spans = np.array(sorted((first, last) for of, first, last in places if of == name), dtype=np.int64)
        # the farthest end of all that begin no later
        reach = np.maximum.accumulate(spans[:, 1])
        begun = np.searchsorted(spans[:, 0], pos[here], side="right") - 1
        inside[here] = (begun >= 0) & (reach[np.maximum(begun, 0)] >= pos[here])
    return inside


def _strangers(option: str, lines: Sequence[int]) -> list[str]:
    """What a list names that the genotypes lack is passed over, as in PLINK, and counted."""
    return (
        [f"{option}: {len(lines)} entries are not in the genotypes (first in line {lines[0]})"]
        if lines
        else []
    )


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
