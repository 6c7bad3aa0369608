"""Filters of :mod:`workflows.gwas_filters` that take counts of calls or sums of dosages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
# decimal thresholds are not exact in binary: PLINK forgives the last bits too
_SLACK = 2.0**-44


def samples_called(genotypes: Genotypes, mind: float) -> Mask:
    """Samples that miss no larger part of their calls than `mind`, bool (n,)."""
    found = missing_calls(genotypes)
    return np.asarray(found.by_sample <= mind * found.of_sample * (1 + _SLACK))


def variants_passing(genotypes: Genotypes, filters: Filters, lines: list[str]) -> Genotypes:
    """Leave variants out by missingness, Hardy-Weinberg test, frequency and MaCH r2; a line of each to `lines`."""
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
