"""The loop of :mod:`gwas.kernels.student`; this module is imported only to compile it."""

from __future__ import annotations

from fractions import Fraction
from math import factorial
from typing import Any, Final

import numpy as np
from numba import njit
from scipy import special

from gwas.kernels.elementary import fast_log
from gwas.kernels.student import FAREST, LEAST_FREEDOM

TERMS: Final = 9
_LOG10E: Final = float(np.log10(np.e))
_LOWEST: Final = 0.01
_TURN: Final = 3.75


def _series() -> list[float]:
    """Coefficients of sqrt(u / (1 - exp(-u)))."""
    inside = [Fraction((-1) ** j, factorial(j + 1)) for j in range(TERMS)]
    ratio: list[Fraction] = []
    for j in range(TERMS):
        ratio.append(Fraction(int(j == 0)) - sum((ratio[i] * inside[j - i] for i in range(j)), Fraction(0)))
    root = [Fraction(1)]
    for j in range(1, TERMS):
        root.append((ratio[j] - sum((root[i] * root[j - i] for i in range(1, j)), Fraction(0))) / 2)
    return [float(value) for value in root]


def _near_scaled_erfc(v: Any) -> Any:
    """(1 + 2 x) exp(x²) erfc(x), of v = (x - 3.75) / (x + 3.75)."""
    x = _TURN * (1.0 + v) / np.maximum(1.0 - v, 1e-300)
    return (1.0 + 2.0 * x) * special.erfcx(x)


_H: Final = np.array(_series())
_CHEBYSHEV: Final = np.polynomial.chebyshev.chebinterpolate(_near_scaled_erfc, 27)


@njit(error_model="numpy", fastmath={"contract"})
def _scaled_erfc(x: Any) -> Any:
    v = (x - _TURN) / (x + _TURN)
    one, two = 0.0, 0.0
    for j in range(_CHEBYSHEV.shape[0] - 1, 0, -1):
        one, two = 2.0 * v * one - two + _CHEBYSHEV[j], one
    return (v * one - two + _CHEBYSHEV[0]) / (1.0 + 2.0 * x)


@njit(error_model="numpy")
def _log_of_sum(x: Any) -> Any:
    """log(1 + x), x >= 0, also where it is tiny."""
    if x > _LOWEST:
        return fast_log(1.0 + x)
    total = 0.0
    for j in range(9, 0, -1):
        total = 1.0 / j - x * total
    return x * total


@njit(error_model="numpy")
def student_tail(t: Any, df: Any, out: Any) -> None:
    """-log10 P, -1 where the series does not hold, NaN where t is."""
    for i in range(t.shape[0]):
        if np.isnan(t[i]):
            out[i] = np.nan
            continue
        freedom = df[i]
        u = _log_of_sum(t[i] / freedom * t[i]) if abs(t[i]) < 1e6 else np.inf
        if not (u <= FAREST and freedom >= LEAST_FREEDOM):
            out[i] = -1.0
            continue
        s = np.sqrt(freedom * u)
        beyond = np.sqrt(0.5 * np.pi) * _scaled_erfc(np.sqrt(0.5) * s)
        everything = np.sqrt(0.5 * np.pi)
        power, scale = s, 1.0
        tail, whole = beyond, everything
        for j in range(1, TERMS):
            beyond = power + (2 * j - 1) * beyond
            everything = (2 * j - 1) * everything
            power *= s * s
            scale /= freedom
            tail += _H[j] * scale * beyond
            whole += _H[j] * scale * everything
        out[i] = max((0.5 * freedom * u - fast_log(tail / whole)) * _LOG10E, 0.0)
