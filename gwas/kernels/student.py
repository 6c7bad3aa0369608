"""Tail of Student's t for many statistics."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from gwas.kernels.machine_code import MachineCode

Floats = npt.NDArray[np.float64]

LEAST_FREEDOM: Final = 100.0
"""Degrees of freedom from which on the series holds."""
FAREST: Final = 0.1
"""Largest log(1 + t²/df) for which it does."""
_TAIL: Final = MachineCode("student_loops", "student_tail", "float64:1", "float64:1", "float64:1")


def student_tail(t: Floats, df: Floats) -> Floats:
    """-log10 of the two-sided P of Student's t by a series in 1 / df.

    Parameters
    ----------
    t, df
        float64 (n,): statistics and degrees of freedom.

    Returns
    -------
    ndarray of float64 (n,)
        -1 where the series does not hold, NaN where `t` is.

    Notes
    -----
    With s² = df log(1 + t²/df) the density is, but for a constant, exp(-s²/2) h(s²/df), h(u) = sqrt(u / (1 - exp(-u))).
    The powers of s in the series of h are integrated by parts down to erfc, taken as exp(-x²) times a Chebyshev series
    (Shepherd & Laframboise 1981, Math Comp 36:249). What the series leaves out is below 1e-13 of P.

    Examples
    --------
    >>> student_tail(np.array([0.0, 1.96, 300.0]), np.array([20_000.0, 20_000.0, 100.0])).round(4).tolist()
    [0.0, 1.3009, -1.0]
    """
    out = np.empty(len(t))
    _TAIL(np.ascontiguousarray(t), np.ascontiguousarray(df), out)
    return out
