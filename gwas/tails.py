"""-log10 P from log survival functions, so that no P is ever zero.

A P value below 1e-308 is not a number a computer can hold, but its logarithm is. The tail of Student's t is a series
in one by the degrees of freedom where these are many (:mod:`gwas.kernels.student`), the normal's with them, else
scipy's; far out it is the regularised incomplete beta function, whose logarithm comes from its continued fraction
(Abramowitz & Stegun 26.5.8, evaluated by Lentz's method).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gwas.kernels.student import student_tail

Floats = npt.NDArray[np.float64]

GENOME_WIDE: Final = float(-np.log10(5e-8))
"""-log10 of the P that a whole genome's tests are held to."""

_LN10: Final = float(np.log(10.0))
_LN2: Final = float(np.log(2.0))
_NORMAL: Final = 1e30
_SAFE: Final = 1e-200
_TINY: Final = 1e-300


def log10p_normal(z: npt.ArrayLike) -> Floats:
    """-log10 of the two-sided P of a standard normal statistic.

    Parameters
    ----------
    z
        Statistics, any shape; NaN gives NaN.

    Examples
    --------
    >>> log10p_normal([1.959963984540054, 100.0]).round(3).tolist()
    [1.301, 2173.571]
    """
    magnitude = np.abs(np.asarray(z, dtype=np.float64))
    # Student's t of so many degrees of freedom is normal to the last bit
    out = student_tail(magnitude.ravel(), np.full(magnitude.size, _NORMAL))
    rest = out == -1.0
    if rest.any():
        from scipy import special

        out[rest] = -(special.log_ndtr(-magnitude.ravel()[rest]) + _LN2) / _LN10
    return out.reshape(magnitude.shape)


def z_of_log10p(log10p: npt.ArrayLike) -> Floats:
    """|z| whose two-sided normal P has this -log10: the inverse of :func:`log10p_normal`.

    Parameters
    ----------
    log10p
        -log10 P, at least 0; NaN gives NaN.

    Examples
    --------
    >>> z_of_log10p([0.0, 1.301029995663981, 2173.8717945]).round(3).tolist()
    [0.0, 1.96, 100.007]
    """
    from scipy import special

    value = np.asarray(log10p, dtype=np.float64)
    return np.asarray(np.maximum(-special.ndtri_exp(-value * _LN10 - _LN2), 0.0), dtype=np.float64)


def log10p_t(t: npt.ArrayLike, df: npt.ArrayLike) -> Floats:
    """-log10 of the two-sided P of Student's t.

    Parameters
    ----------
    t
        Statistics, any shape; NaN gives NaN.
    df
        Degrees of freedom (positive), broadcast against `t`.

    Examples
    --------
    >>> log10p_t([2.0, 1e6], [10, 1000]).round(3).tolist()
    [1.134, 4501.598]
    """
    magnitude, freedom = np.broadcast_arrays(
        np.abs(np.asarray(t, dtype=np.float64)), np.asarray(df, dtype=np.float64)
    )
    out = student_tail(magnitude.ravel(), freedom.ravel())
    rest = out == -1.0
    if rest.any():
        out[rest] = _outside_series(magnitude.ravel()[rest], freedom.ravel()[rest])
    return out.reshape(magnitude.shape)


def _outside_series(t: Floats, df: Floats) -> Floats:
    from scipy import special

    p = 2.0 * special.stdtr(df, -t)
    far = (p < _SAFE) & np.isfinite(t)
    with np.errstate(divide="ignore"):
        out = -np.log10(p)
    if np.any(far):
        out[far] = -_log_beta_tail(t[far], df[far]) / _LN10
    return np.asarray(np.maximum(out, 0.0), dtype=np.float64)


def _log_beta_tail(t: Floats, df: Floats) -> Any:
    """Natural log of I_x(df/2, 1/2) at x = df / (df + t²), for x small enough (the far tail)."""
    from scipy import special

    a, b = df / 2.0, 0.5
    log_x = -np.log1p((t / df) * t)
    log_1mx = -np.log1p((df / t) / t)
    front = a * log_x + b * log_1mx - np.log(a) - special.betaln(a, b)
    return front + np.log(_beta_fraction(a, b, np.exp(log_x)))


def _beta_fraction(a: Floats, b: float, x: Floats) -> Floats:
    """Continued fraction of the incomplete beta function; each entry stops where it has converged by itself."""
    c = np.ones_like(x)
    d = 1.0 / _away_from_zero(1.0 - (a + b) * x / (a + 1.0))
    value, open_ended = d.copy(), np.ones(len(x), dtype=bool)
    for m in range(1, 100_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        change = np.ones_like(x)
        for term in (even, odd):
            d = 1.0 / _away_from_zero(1.0 + term * d)
            c = _away_from_zero(1.0 + term / c)
            change = d * c
            value[open_ended] *= change[open_ended]
        open_ended &= np.abs(change - 1.0) >= 1e-14
        if not open_ended.any():
            break
    return value


def _away_from_zero(value: Floats) -> Floats:
    return np.where(np.abs(value) < _TINY, _TINY, value)


def p_text(log10p: npt.ArrayLike, *, digits: int = 6) -> list[str]:
    """Write P values given by their -log10, however small, as decimal text.

    Parameters
    ----------
    log10p
        -log10 P; NaN becomes ``NA``.
    digits
        Significant digits.

    Examples
    --------
    >>> p_text([0.30103, 2173.872, float("nan")])
    ['0.5', '1.34276e-2174', 'NA']
    """
    texts = []
    for value in np.asarray(log10p, dtype=np.float64).ravel().tolist():
        if value != value:
            texts.append("NA")
        elif value < 300:
            texts.append(f"{10.0**-value:.{digits}g}")
        else:
            exponent = int(np.ceil(value))
            texts.append(f"{10.0 ** (exponent - value):.{digits}g}e-{exponent}")
    return texts
