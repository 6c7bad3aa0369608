"""PLINK 2's sample and variant filters for one association run, in PLINK 2's order.

Samples by list, variants by list, then samples by missingness, then variants by missingness, Hardy-Weinberg test,
frequency and MaCH r2. Frequencies and the Hardy-Weinberg test use founders. Frequencies are those of dosages where
these are used; missingness and the Hardy-Weinberg test are of hard calls. Chromosomes and regions were chosen when
the file was opened, lists need no call, and every hard call is read once for all filters by counts of variants.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from cohorts.errors import DesignError
from gwas.counts import GenotypeTally, in_one_pass
from gwas.frequencies import AlleleTally, alleles, founders
from gwas.genotypes import Genotypes
from gwas.genotypes.chromosomes import ploidy_class
from gwas.missingness import missing_calls
from workflows.genotype_inputs import Filters
from workflows.gwas_tables import read_places, read_sample_list, read_variant_list

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
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
        A list cannot be read.
    DesignError
        Nobody or nothing is left.
    """
    lines: list[str] = []
    genotypes = _by_lists(genotypes, filters, lines)
    if filters.mind is not None:
        found = missing_calls(genotypes)
        kept = found.by_sample <= filters.mind * found.of_sample * (1 + _SLACK)
        genotypes = _samples(genotypes, kept, f"--mind {filters.mind:g}", lines)
    by_counts = (filters.geno, filters.hwe, filters.maf, filters.mac, filters.mach_r2)
    if any(value is not None for value in by_counts):
        genotypes = _by_counts(genotypes, filters, lines)
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


def _by_counts(genotypes: Genotypes, filters: Filters, lines: list[str]) -> Genotypes:
    kinds = ploidy_class(genotypes.variant_text("chrom"))
    calls = _Calls(genotypes)
    tests = _tests(genotypes, filters, kinds, calls)
    calls.count()
    kept = np.ones(genotypes.n_variants, dtype=bool)
    for option, passing in tests:
        left = kept & passing()
        lines.append(f"{option}: {int(kept.sum() - left.sum())} variants removed, {int(left.sum())} remain")
        if not left.any():
            raise DesignError("no variant is left", where=option, fix="relax the filter")
        kept = left
    return genotypes.select(variants=kept)


class _Calls:
    """Counts of hard calls that the filters ask for, taken in one pass."""

    def __init__(self, genotypes: Genotypes) -> None:
        sex = genotypes.sample_values("sex")
        self.genotypes = genotypes
        self.male, self.female = sex == "M", sex == "F"
        self.founder = founders(genotypes)
        self.tallies: list[GenotypeTally | AlleleTally] = []

    def of(self, mask: Mask) -> GenotypeTally:
        """Calls of some samples: to be counted."""
        tally = GenotypeTally(self.genotypes, mask)
        self.tallies.append(tally)
        return tally

    def count(self) -> None:
        """Read the file, if anything is to be counted."""
        if self.tallies:
            in_one_pass(self.genotypes, *self.tallies)


def _tests(
    genotypes: Genotypes, filters: Filters, kinds: npt.NDArray[np.str_], calls: _Calls
) -> list[tuple[str, Callable[[], Mask]]]:
    """Options in PLINK's order, and what passes each once `calls` are counted."""
    tests: list[tuple[str, Callable[[], Mask]]] = []
    if (geno := filters.geno) is not None:
        everyone, male = calls.of(np.ones(genotypes.n_samples, dtype=bool)), calls.of(calls.male)
        tests.append((f"--geno {geno:g}", lambda: _called(everyone.counts, male.counts, kinds, geno)))
    if (hwe := filters.hwe) is not None:
        groups = [calls.of(calls.founder & sex) for sex in (calls.founder, calls.female, calls.male)]
        midp = filters.hwe_midp
        option = f"--hwe {hwe:g}" + " midp" * midp
        tests.append((option, lambda: _hwe_p(groups, kinds, midp) >= hwe * (1 - _SLACK)))
    if filters.maf is not None or filters.mac is not None:
        tests += _frequency_tests(genotypes, filters, calls)
    if filters.mach_r2 is not None:
        low, high = filters.mach_r2
        tests.append((f"--mach-r2-filter {low:g} {high:g}", lambda: _imputed(genotypes, low, high)))
    return tests


def _frequency_tests(
    genotypes: Genotypes, filters: Filters, calls: _Calls
) -> list[tuple[str, Callable[[], Mask]]]:
    if genotypes.values == "dosage":
        summed = cache(lambda: alleles(genotypes))
    else:
        tally = AlleleTally(genotypes)
        calls.tallies.append(tally)
        summed = cache(tally.alleles)

    def frequent() -> Mask:
        found = summed()
        minor = np.minimum(found.alt, found.total - found.alt)
        return np.asarray((found.total > 0) & (minor >= (filters.maf or 0) * found.total * (1 - _SLACK)))

    def often() -> Mask:
        found = summed()
        minor = np.minimum(found.alt, found.total - found.alt)
        return np.asarray(minor >= (filters.mac or 0) * (1 - _SLACK))

    tests: list[tuple[str, Callable[[], Mask]]] = []
    if filters.maf is not None:
        tests.append((f"--maf {filters.maf:g}", frequent))
    if filters.mac is not None:
        tests.append((f"--mac {filters.mac:g}", often))
    return tests


def _called(everyone: Counts, male: Counts, kinds: npt.NDArray[np.str_], most: float) -> Mask:
    # nobody but a male has a Y to miss
    relevant = np.where((kinds == "y")[:, None], male, everyone)
    return np.asarray(relevant[:, 3] <= most * relevant.sum(axis=1) * (1 + _SLACK))


def _imputed(genotypes: Genotypes, low: float, high: float) -> Mask:
    """MaCH r2 of founders within bounds; X, Y, MT and what does not vary have none and pass, as in PLINK 2."""
    from gwas.imputation_quality import imputation_r2

    if not genotypes.reader.has_dosages:
        raise DesignError(
            "hard calls tell nothing of imputation",
            where="--mach-r2-filter",
            found=str(genotypes.path),
            fix="give a file with dosages, or leave the filter out",
        )
    diploid = np.flatnonzero(ploidy_class(genotypes.variant_text("chrom")) == "diploid")
    r2 = np.full(genotypes.n_variants, np.nan)
    chosen = genotypes.select(samples=founders(genotypes), variants=diploid)
    r2[diploid] = imputation_r2(chosen)["mach_r2"]
    return np.asarray(np.isnan(r2) | ((r2 >= low) & (r2 <= high)))


def _hwe_p(groups: Sequence[GenotypeTally], kinds: npt.NDArray[np.str_], midp: bool) -> Floats:
    """Exact P among founders, women and men of them; on X of known sex, with men's alleles; 1 on Y and MT."""
    from gwas.hwe import hwe_exact, hwe_exact_x

    founder, female, male = (group.counts for group in groups)
    p = np.ones(len(kinds))
    diploid, on_x = kinds == "diploid", kinds == "x"
    none, one, two = founder[diploid, :3].T
    p[diploid] = hwe_exact(one, none, two, midp=midp)
    women, men = female[on_x], male[on_x]
    p[on_x] = hwe_exact_x(women[:, 1], women[:, 0], women[:, 2], men[:, 0], men[:, 2], midp=midp)
    return np.where(np.isnan(p), 1.0, p)
