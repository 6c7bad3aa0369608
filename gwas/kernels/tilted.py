"""Tests of one coefficient beside a fixed null model: approximate Firth, and the saddle-point of a score.

With the covariates' effects held at their null fit, a binary trait's log-likelihood as a function of a genotype's
coefficient t is t s - K(t): s is the score and K the cumulant generating function of Σ g̃ y, y Bernoulli with
the null's probabilities, g̃ the genotype beside the weighted covariates. So both methods need the same sums:

approximate Firth
    the largest t s - K(t) + ½ log K''(t), and the likelihood ratio against t = 0 (Mbatchou et al. 2021, Nat
    Genet 53:1097; the null model is itself fitted by Firth).
saddle-point
    the root of K'(t) = s, from which the score's tail follows (Lugannani & Rice; Dey et al. 2017, AJHG
    101:37).

The saddle-point approximates a density. With few carriers the score is as good as a count of cases among them,
and the approximation, at a point of that lattice, is several times too small (five carriers, three of them cases at
1:100: 1.7e-6 where 8.4e-6 is right). Lugannani and Rice's form for lattices, averaged over P(S >= s) and P(S > s)
(mid-P), only changes t to 2 tanh(t / 2) in the correction.
That is used for alleles with up to 20 copies, all whole (missing ones apart): beyond, the original's errors and the
lattice's steps cancel, and its type I error is the nearer to nominal. Dosages between whole numbers have no lattice.

Only those who carry the rarer allele (or miss a call) are looked at one by one. Everyone else has g̃ = -x'a, small
where carriers are few, and enters by the second and third cumulants, which come from products over everyone;
Dey et al. stop at the second. Where that would change the log-likelihood by more than 1e-4, everyone is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gwas.kernels.machine_code import MachineCode

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FIRTH: Final = 0
SADDLE: Final = 1
SADDLE_OF_COUNTS: Final = 2
COLUMNS: Final = 7

_NULL: Final = (
    *["float64:2"] * 2,
    *["float64:1"] * 3,
    "float64:2",
    "float64:3",
)
_REST: Final = ("int64:1", "uint8:1", "float64:1", "int64:1", *["float64:2"] * 2, *_NULL, "int64")
_WORK: Final = ("int64:1", "float64:2", "float64:2")
_CALLS: Final = MachineCode("tilted_loops", "tests_of_calls", "uint8:2", *_REST, *_WORK)
_DOSAGES: Final = MachineCode("tilted_loops", "tests_of_dosages", "float32:2", *_REST, *_WORK)


@dataclass(frozen=True, eq=False)
class TiltedNull:
    """A null model's probabilities, and their moments with the covariates.

    Attributes
    ----------
    design, people
        float64 (k, n), intercept first, and the same as (n, k).
    p, residual
        float64 (n,): probabilities, and outcome less probability.
    first, second, third
        float64 (k,), (k, k), (k, k, k): sums of x r, x x p(1-p) and x x x p(1-p)(1-2p).
    """

    design: Floats
    people: Floats
    p: Floats
    residual: Floats
    first: Floats
    second: Floats
    third: Floats

    @classmethod
    def of(cls, design: Floats, outcome: Floats, p: Floats) -> TiltedNull:
        """From the covariates (k, n), the outcome and its probabilities (n,)."""
        weights = p * (1.0 - p)
        skew = weights * (1.0 - 2.0 * p)
        third = np.stack([(design * (row * skew)) @ design.T for row in design])
        return cls(
            np.ascontiguousarray(design),
            np.ascontiguousarray(design.T),
            p,
            outcome - p,
            design @ (outcome - p),
            (design * weights) @ design.T,
            third,
        )


def tilted_tests(
    genotypes: npt.NDArray[np.uint8] | npt.NDArray[np.float32],
    variants: Ints,
    *,
    flip: npt.NDArray[np.bool_],
    means: Floats,
    place: Ints,
    on_basis: Floats,
    lower: Floats,
    null: TiltedNull,
    method: int,
) -> Floats:
    """Test some variants by approximate Firth or saddle-point.

    Parameters
    ----------
    genotypes
        Packed calls, uint8 (m, ceil(n_columns / 4)), or dosages of ALT, float32 (m, n_columns), NaN where missing.
    variants
        int64 (v,): rows to test.
    flip, means
        bool (m,) and float64 (m,): whether REF is counted, and what stands for a missing genotype; NaN leaves
        these people out.
    place
        int64 (n_columns,): where a sample stands in the null model, -1 if it does not.
    on_basis, lower
        float64 (v, k) and (k, k): L⁻¹X'Wg of these variants, and L, the Cholesky factor of X'WX, W the weights
        that genotypes are put beside the covariates with.
    null
        The null model.
    method
        ``FIRTH``; ``SADDLE``, as in SPAtest; ``SADDLE_OF_COUNTS``, corrected for whole copies where few.

    Returns
    -------
    ndarray of float64 (v, 7)
        Found (1 or 0), coefficient and SE per copy of the counted allele. ``FIRTH``: 2 × the penalised
        log-likelihood ratio. Saddle-point (coefficient and SE are the score test's): z of the score's own
        tail (NaN where the score is at its end), a bound of its ln P, and both of the opposite tail.
    """
    out = np.full((len(variants), COLUMNS), np.nan)
    if not len(variants):
        return out
    n = len(null.p)
    kernel: Any = _CALLS if genotypes.dtype == np.uint8 else _DOSAGES
    kernel(
        np.ascontiguousarray(genotypes),
        variants,
        flip.astype(np.uint8),
        means,
        place,
        np.array(on_basis, order="C"),
        np.ascontiguousarray(lower),
        null.design,
        null.people,
        null.p,
        null.residual,
        null.first,
        null.second,
        null.third,
        method,
        np.empty(n, dtype=np.int64),
        np.empty((4, max(n, 9))),
        out,
    )
    return out


def log10p_of_saddle(found: Floats) -> Floats:
    """-log10 of the two-sided P of what :func:`tilted_tests` gives for a saddle-point.

    Examples
    --------
    >>> log10p_of_saddle(np.array([[1, 0.1, 0.05, 1.96, 0.0, 1.96, 0.0]])).round(3).tolist()
    [1.301]
    """
    from scipy import special

    own, other = (np.fmin(special.log_ndtr(-found[:, k]), found[:, k + 1]) for k in (3, 5))
    return np.asarray(np.maximum(-np.logaddexp(own, other) / np.log(10.0), 0.0), dtype=np.float64)
