"""What the fields GT, DS and GP of a sample mean for one ALT allele.

Copies and dosages are on the scale of two alleles everywhere: a haploid call counts double, as does a DS beside
a haploid GT, which tools write on the scale of one (PLINK 2 reads it so too).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

OK: Final = 0
FIELDS: Final = 1
GENOTYPE: Final = 2
PLOIDY: Final = 3
NUMBER: Final = 4
RANGE: Final = 5
PROBABILITIES: Final = 6
REASONS: Final = {
    FIELDS: "a sample has more fields than FORMAT names, or there are too few or too many samples",
    GENOTYPE: "a GT that cannot be understood, or of an allele that the record does not have",
    PLOIDY: "a GT of more than two alleles",
    NUMBER: "a DS or GP that is no number, or not one number for each allele or genotype",
    RANGE: "a DS outside 0 to 2 (0 to 1 where GT is haploid)",
    PROBABILITIES: "a GP that does not add up to 1",
}
"""Why a record cannot be decoded, by status."""

ABSENT: Final = -2
"""Allele number of a place that a haploid call leaves empty; -1 is a missing allele."""
_SLACK: Final = 1e-3
_TOTAL_SLACK: Final = 0.1


@njit(cache=True, nogil=True, error_model="numpy")
def dosage_in_range(value: Any, ploidy: Any) -> Any:
    """Check a DS and bring it to the scale of two alleles: status and value.

    Examples
    --------
    >>> dosage_in_range(0.75, 1)
    (0, 1.5)
    """
    top = 1.0 if ploidy == 1 else 2.0
    if not -_SLACK <= value <= top + _SLACK:
        return RANGE, 0.0
    return OK, min(max(value, 0.0), top) * (2.0 / top)


@njit(cache=True, nogil=True, error_model="numpy")
def expected_dosage(probabilities: Any, count: Any, n_alt: Any, allele: Any) -> Any:
    """Expected copies of ``allele`` from genotype probabilities, in the order of the VCF specification.

    Genotype ``j/k`` (j <= k) is at ``k (k + 1) / 2 + j``; a haploid sample has one probability for each
    allele. The probabilities may miss 1 by their rounding and are divided by their sum.

    Returns
    -------
    tuple of (int, float, bool)
        Status, dosage from 0 to 2, and whether there is one: all zero or any missing is none.

    Examples
    --------
    >>> expected_dosage(np.array([0.25, 0.5, 0.25]), 3, 1, 1)
    (0, 1.0, True)
    >>> expected_dosage(np.array([0.25, 0.75]), 2, 1, 1)
    (0, 1.5, True)
    """
    n_alleles = n_alt + 1
    haploid = count == n_alleles and n_alt > 0
    if count == 1 and np.isnan(probabilities[0]):
        return OK, 0.0, False
    if not haploid and count != n_alleles * (n_alleles + 1) // 2:
        return NUMBER, 0.0, False
    total, copies = 0.0, 0.0
    j, k = 0, 0
    for index in range(count):
        p = probabilities[index]
        if np.isnan(p):
            return OK, 0.0, False
        if p < -_SLACK:
            return PROBABILITIES, 0.0, False
        total += p
        if haploid:
            copies += 2.0 * p * (index == allele)
        else:
            copies += p * (np.int64(j == allele) + np.int64(k == allele))
            j += 1
            if j > k:
                j, k = 0, k + 1
    if total < _SLACK:
        return OK, 0.0, False
    if abs(total - 1.0) > _TOTAL_SLACK:
        return PROBABILITIES, 0.0, False
    return OK, min(max(copies / total, 0.0), 2.0), True


@njit(cache=True, nogil=True, error_model="numpy")
def count_copies(numbers: Any, allele: Any, n_alt: Any, copies: Any, ploidy: Any) -> Any:
    """Count copies of an allele in calls given as allele numbers.

    Parameters
    ----------
    numbers
        int (n, places): allele of each place; -1 missing, -2 no such place (haploid).
    allele, n_alt
        The ALT allele, from 1, and how many there are.
    copies
        int8 (n,), filled: 0, 1, 2; -9 where an allele is missing.
    ploidy
        int8 (n,), filled: alleles of each call.

    Returns
    -------
    int
        Status.

    Examples
    --------
    >>> copies, ploidy = np.empty(3, np.int8), np.empty(3, np.int8)
    >>> count_copies(np.array([[0, 1], [1, -2], [-1, 1]], np.int8), 1, 1, copies, ploidy)
    0
    >>> copies.tolist(), ploidy.tolist()
    ([1, 2, -9], [2, 1, 2])
    """
    for sample in range(numbers.shape[0]):
        found, places, missing = 0, 0, False
        for place in range(numbers.shape[1]):
            number = numbers[sample, place]
            if number == ABSENT:
                continue
            if number < ABSENT or number > n_alt:
                return GENOTYPE
            places += 1
            missing |= number == -1
            found += int(number == allele)
        if places > 2:
            return PLOIDY
        if places == 0:
            missing = True
        copies[sample] = -9 if missing else found * 2 // places
        ploidy[sample] = places
    return OK


@njit(cache=True, nogil=True, error_model="numpy")
def add_dosages(
    ds: Any, gp: Any, gp_count: Any, allele: Any, n_alt: Any, copies: Any, ploidy: Any, out: Any
) -> Any:
    """Dosages of one allele: from DS, else from GP, else from the calls.

    Parameters
    ----------
    ds
        float32 (n, values) or (0, 0) where the record has none; NaN is missing.
    gp
        float32 (n, values) or (0, 0).
    gp_count
        int64 (n,): how many of a sample's ``gp`` are there.
    allele, n_alt
        The ALT allele, from 1, and how many there are.
    copies, ploidy
        int8 (n,): as :func:`count_copies` fills them; -9 and 0 where there are no calls.
    out
        float32 (n,), filled: 0 to 2, NaN where nothing is known.

    Returns
    -------
    int
        Status.

    Examples
    --------
    >>> out, none = np.empty(2, np.float32), np.zeros((0, 0), np.float32)
    >>> copies, ploidy = np.array([1, 1], np.int8), np.array([2, 2], np.int8)
    >>> add_dosages(np.array([[0.5], [np.nan]], np.float32), none, ploidy, 1, 1, copies, ploidy, out)
    0
    >>> out.tolist()
    [0.5, 1.0]
    """
    values = ds.shape[1]
    for sample in range(len(out)):
        out[sample] = np.nan if copies[sample] < 0 else copies[sample]
        if values > 0:
            if values != max(n_alt, 1):
                return NUMBER
            value = np.float64(ds[sample, allele - 1])
            if not np.isnan(value):
                status, value = dosage_in_range(value, ploidy[sample])
                if status != OK:
                    return status
                out[sample] = value
                continue
        if gp.shape[1] > 0 and gp_count[sample] > 0:
            status, value, given = expected_dosage(gp[sample], gp_count[sample], n_alt, allele)
            if status != OK:
                return status
            if given:
                out[sample] = value
    return OK
