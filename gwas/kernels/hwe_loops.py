"""The inner loops of the Hardy-Weinberg exact tests: one variant after another, never underflowing.

They run as :class:`gwas.kernels.machine_code.MachineCode`; this module is imported only to compile them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

# Two tables of equal probability can differ by rounding after a few thousand steps of the recurrence.
TIE = 1e-11
SCALE = 1e250
LN_SCALE = 575.6462732485115  # ln(1e250)
NEGLIGIBLE = 1e-18


@njit
def _add(total: float, level: int, term: float, term_level: int) -> tuple[float, int]:
    """Add ``term * SCALE**term_level`` to ``total * SCALE**level``."""
    while level < term_level:
        total /= SCALE
        level += 1
    while term_level < level and term > 0.0:
        term /= SCALE
        term_level += 1
    return total + term, level


@njit
def _ln_p(n_het: int, n_hom1: int, n_hom2: int, midp: bool) -> float:
    """Natural log of the exact P of one table.

    Probabilities are relative to that of the observed table (1), reached by the recurrence of Wigginton
    et al.; the likelier tables are summed at their own power of SCALE, so that P = 1e-5000 is just a number.
    """
    rare = min(n_hom1, n_hom2)
    common = max(n_hom1, n_hom2)
    tail = 1.0
    ties = 1
    centre = 0.0
    level = 0
    for direction in (-1, 1):
        het, hom_r, hom_c = n_het, rare, common
        term = 1.0
        term_level = 0
        while True:
            before = term
            if direction < 0:
                if het < 2:
                    break
                term *= (het * (het - 1.0)) / (4.0 * (hom_r + 1.0) * (hom_c + 1.0))
                het -= 2
                hom_r += 1
                hom_c += 1
            else:
                if hom_r < 1:
                    break
                term *= (4.0 * hom_r * hom_c) / ((het + 2.0) * (het + 1.0))
                het += 2
                hom_r -= 1
                hom_c -= 1
            falling = term < before
            if term > SCALE:
                term /= SCALE
                term_level += 1
            elif term < 1.0 and term_level > 0:
                term *= SCALE
                term_level -= 1
            if term_level == 0 and term <= 1.0 + TIE:
                tail += term
                if term >= 1.0 - TIE:
                    ties += 1
                if falling and term < NEGLIGIBLE * tail:
                    break
            else:
                centre, level = _add(centre, level, term, term_level)
    total, level = _add(centre, level, tail, 0)
    kept = tail - 0.5 * ties if midp else tail
    return float(np.log(kept) - (np.log(total) + level * LN_SCALE))


@njit
def hwe_ln_p(n_het: Any, n_hom1: Any, n_hom2: Any, midp: int, out: Any) -> None:
    """Natural logs of exact P for int64 arrays (m,) of counts; nan where a table is empty."""
    for k in range(n_het.size):
        if n_het[k] + n_hom1[k] + n_hom2[k] == 0:
            out[k] = np.nan
        else:
            out[k] = min(_ln_p(n_het[k], n_hom1[k], n_hom2[k], midp != 0), 0.0)


@njit
def _ln_factorials(out: Any) -> None:
    """ln k! for k = 0, 1, ... by compensated summation (max error some ulp, where lgamma drifts)."""
    total = 0.0
    lost = 0.0
    out[0] = 0.0
    for k in range(1, out.shape[0]):
        y = np.log(float(k)) - lost
        new = total + y
        lost = (new - total) - y
        total = new
        out[k] = total


@njit
def _ln_p_x(het: int, hom1: int, hom2: int, male1: int, male2: int, midp: bool, lf: Any) -> float:
    """Natural log of the joint exact P of females' proportions and of males' allele frequency."""
    females = het + hom1 + hom2
    males = male1 + male2
    n1 = 2 * hom1 + het + male1
    n2 = 2 * hom2 + het + male2
    ln2 = np.log(2.0)
    fixed = lf[n1] + lf[n2] + lf[females] + lf[males] - lf[n1 + n2]

    # The observed probability, in logs, is the yardstick of every other table.
    observed = fixed + het * ln2 - lf[het] - lf[hom1] - lf[hom2] - lf[male1] - lf[male2]
    tail = 0.0
    tied = 0.0
    for m1 in range(max(0, n1 - 2 * females), min(males, n1) + 1):
        f1 = n1 - m1
        f2 = 2 * females - f1
        if f2 < 0:
            continue
        m2 = males - m1
        # Start at the likeliest number of heterozygotes and walk both ways.
        mid = int(f1 * f2 / (2.0 * females)) if females > 0 else 0
        if (mid - f1) % 2 != 0:
            mid += 1
        mid = min(mid, min(f1, f2))
        if (mid - f1) % 2 != 0:
            mid -= 1
        a = (f1 - mid) // 2
        b = (f2 - mid) // 2
        ln_start = fixed + mid * ln2 - lf[mid] - lf[a] - lf[b] - lf[m1] - lf[m2] - observed
        if ln_start < -60.0:
            continue
        for direction in (-1, 1):
            h, x, y = mid, a, b
            ln_term = ln_start
            peak = ln_start
            while True:
                if direction < 0 or h != mid:
                    if ln_term <= 1e-9:
                        share = np.exp(ln_term)
                        tail += share
                        if ln_term >= -1e-9:
                            tied += share
                    if ln_term < peak - 45.0 and ln_term < -45.0:
                        break
                if direction < 0:
                    if h < 2:
                        break
                    ln_term += np.log((h * (h - 1.0)) / (4.0 * (x + 1.0) * (y + 1.0)))
                    h -= 2
                    x += 1
                    y += 1
                else:
                    if x < 1 or y < 1:
                        break
                    ln_term += np.log((4.0 * x * y) / ((h + 2.0) * (h + 1.0)))
                    h += 2
                    x -= 1
                    y -= 1
                peak = max(peak, ln_term)
    kept = tail - 0.5 * tied if midp else tail
    return float(np.log(kept) + observed)


@njit
def hwe_x_ln_p(
    het: Any, hom1: Any, hom2: Any, male1: Any, male2: Any, midp: int, factorials: Any, out: Any
) -> None:
    """Natural logs of the joint (females and males) exact P for int64 arrays (m,); nan where empty.

    ``factorials`` has a place for every whole number up to the most alleles of a variant, and is filled.
    """
    _ln_factorials(factorials)
    for k in range(het.size):
        if het[k] + hom1[k] + hom2[k] + male1[k] + male2[k] == 0:
            out[k] = np.nan
        else:
            p = _ln_p_x(het[k], hom1[k], hom2[k], male1[k], male2[k], midp != 0, factorials)
            out[k] = min(p, 0.0)
