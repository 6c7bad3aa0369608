"""Do genotype counts fit Hardy-Weinberg proportions? Exact tests, for the autosomes and for X."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from gwas.kernels.machine_code import MachineCode

Counts = npt.ArrayLike
LN_10: Final = float(np.log(10.0))

_LN_P: Final = MachineCode("hwe_loops", "hwe_ln_p", "int64:1", "int64:1", "int64:1", "int64", "float64:1")
_X_LN_P: Final = MachineCode("hwe_loops", "hwe_x_ln_p", *["int64:1"] * 5, "int64", "float64:1", "float64:1")


def hwe_exact(
    n_het: Counts, n_hom1: Counts, n_hom2: Counts, *, midp: bool = False
) -> npt.NDArray[np.float64]:
    """Exact test of Hardy-Weinberg proportions, one P for each variant.

    Conditional on the allele counts, P is the sum of the probabilities of all tables no likelier than the
    observed one. For a variant on X give the counts of females only, or use :func:`hwe_exact_x`.

    Parameters
    ----------
    n_het, n_hom1, n_hom2 : array_like of int, broadcastable to shape (m,)
        Numbers of heterozygotes and of the two homozygotes; missing genotypes are left out.
    midp : bool
        Count tables exactly as likely as the observed one by half, which takes away most of the test's
        conservativeness for rare variants.

    Returns
    -------
    ndarray of float64, shape (m,) (or 0-d for scalars)
        P; 1 for a monomorphic variant, nan where there is no genotype at all. Below 1e-308 it is 0: ask
        :func:`hwe_exact_log10` then.

    Raises
    ------
    ValueError
        If a count is negative.

    References
    ----------
    Wigginton, Cutler and Abecasis (2005), Am J Hum Genet 76:887, with outward recurrence from the observed
    table; mid-P: Graffelman and Moreno (2013), Stat Appl Genet Mol Biol 12:433.

    Examples
    --------
    >>> float(hwe_exact(57, 14, 50).round(6))
    0.84228
    """
    return np.exp(_ln(_checked(n_het, n_hom1, n_hom2), midp))


def hwe_exact_log10(
    n_het: Counts, n_hom1: Counts, n_hom2: Counts, *, midp: bool = False
) -> npt.NDArray[np.float64]:
    """-log10 of :func:`hwe_exact`, which never underflows (P = 1e-5000 gives 5000).

    Examples
    --------
    >>> bool(hwe_exact_log10(0, 10_000, 10_000) > 6000)
    True
    """
    return -_ln(_checked(n_het, n_hom1, n_hom2), midp) / LN_10 + 0.0


def hwe_exact_x(
    female_het: Counts,
    female_hom1: Counts,
    female_hom2: Counts,
    male_1: Counts,
    male_2: Counts,
    *,
    midp: bool = False,
) -> npt.NDArray[np.float64]:
    """Joint exact test on X: females in Hardy-Weinberg proportions and males with the same allele frequency.

    Parameters
    ----------
    female_het, female_hom1, female_hom2 : array_like of int, broadcastable to shape (m,)
        Females' genotypes.
    male_1, male_2 : array_like of int
        Males with allele 1 and with allele 2 (a male carries one; heterozygous males are left out).
    midp : bool
        As for :func:`hwe_exact`.

    Returns
    -------
    ndarray of float64, shape (m,)
        P; nan where there is no genotype.

    References
    ----------
    Graffelman and Weir (2016), Heredity 116:558.

    Examples
    --------
    >>> float(hwe_exact_x(57, 14, 50, 0, 0).round(6)) == float(hwe_exact(57, 14, 50).round(6))
    True
    """
    counts = _checked(female_het, female_hom1, female_hom2, male_1, male_2)
    flat = [np.ravel(c) for c in counts]
    het, hom1, hom2, men1, men2 = flat
    most = int((2 * (het + hom1 + hom2) + men1 + men2).max(initial=0))
    ln_p = np.empty(len(het), dtype=np.float64)
    _X_LN_P(*flat, int(midp), np.empty(most + 1, dtype=np.float64), ln_p)
    p: npt.NDArray[np.float64] = np.exp(ln_p.reshape(counts[0].shape))
    return p


def _checked(*counts: Counts) -> list[npt.NDArray[np.int64]]:
    arrays = [np.asarray(c) for c in counts]
    if any(a.size and (a < 0).any() for a in arrays):
        raise ValueError("a genotype count is negative")
    return [np.array(a, dtype=np.int64) for a in np.broadcast_arrays(*arrays)]


def _ln(counts: list[npt.NDArray[np.int64]], midp: bool) -> npt.NDArray[np.float64]:
    flat = [np.ravel(c) for c in counts]
    ln_p = np.empty(len(flat[0]), dtype=np.float64)
    _LN_P(*flat, int(midp), ln_p)
    return ln_p.reshape(counts[0].shape)
