"""What sex the X and Y chromosomes speak for, and whether it is the one on record."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

F64 = npt.NDArray[np.float64]

ENOUGH_X: Final = 20
ENOUGH_Y: Final = 5


def sex_check(
    *,
    x_f: F64,
    autosomal_f: F64,
    y_call_rate: F64,
    n_x: int,
    n_y: int,
    expected: npt.ArrayLike,
    female_below: float = 0.4,
    male_above: float = 0.8,
    male_y_call_rate: float = 0.5,
) -> pd.DataFrame:
    """Infer sex from heterozygosity on X and calls on Y, and compare it with the one on record.

    A man has one X, so no heterozygote there and F = 1; a woman's X is as heterozygous as her other
    chromosomes. That is what is asked: her X against her own autosomes,
    ``1 - (1 - F_X) / (1 - F_autosomes)``. Against the frequencies of the whole set alone, women of a minority
    ancestry would look half male.

    Parameters
    ----------
    x_f, autosomal_f
        float64 (n,): inbreeding coefficient on X (outside PAR) and on the autosomes.
    y_call_rate
        float64 (n,): share of Y variants called; nan where there are none.
    n_x, n_y
        Number of variants behind them; below 20 and 5 they say nothing.
    expected
        (n,): ``M``, ``F`` or anything else for not known.
    female_below, male_above
        F on X that speaks for a woman and for a man; between them it is ``ambiguous``. PLINK's usual 0.2 is
        too near for a few hundred variants on X, whose F scatters by 0.1 among women.
    male_y_call_rate
        Y call rate from which on it speaks for a man.

    Returns
    -------
    DataFrame
        ``x_f`` (raw), ``x_f_adjusted``, ``y_call_rate``, ``expected``, ``inferred`` (``M``, ``F``,
        ``ambiguous``, or None where nothing can be said), ``status``: ``agrees``, ``disagrees``,
        ``ambiguous`` (X between the thresholds, or X and Y at odds: XXY, X0, mosaics, contamination) or
        ``not known``.

    Examples
    --------
    >>> sex_check(x_f=np.array([1.0, 0.1]), autosomal_f=np.zeros(2), y_call_rate=np.full(2, np.nan), n_x=300,
    ...           n_y=0, expected=["M", "M"])["status"].tolist()
    ['agrees', 'disagrees']
    """
    adjusted = 1.0 - np.divide(
        1.0 - x_f, 1.0 - autosomal_f, out=np.full(len(x_f), np.nan), where=autosomal_f < 1.0
    )
    by_x = np.select([adjusted > male_above, adjusted < female_below], ["M", "F"], default="ambiguous")
    by_y = np.where(y_call_rate >= male_y_call_rate, "M", "F")
    x_speaks = (n_x >= ENOUGH_X) & np.isfinite(adjusted)
    y_speaks = (n_y >= ENOUGH_Y) & np.isfinite(y_call_rate)
    inferred = np.where(x_speaks, by_x, np.where(y_speaks, by_y, "")).astype(object)
    inferred[x_speaks & y_speaks & (by_x != by_y)] = "ambiguous"
    inferred[inferred == ""] = None
    known = np.array([sex if sex in ("M", "F") else None for sex in np.asarray(expected, dtype=object)])
    status = np.select(
        [
            np.array([i is None or e is None for i, e in zip(inferred, known, strict=True)], dtype=bool),
            inferred == "ambiguous",
            inferred == known,
        ],
        ["not known", "ambiguous", "agrees"],
        default="disagrees",
    )
    return pd.DataFrame(
        {
            "x_f": x_f,
            "x_f_adjusted": adjusted,
            "y_call_rate": y_call_rate,
            "expected": known,
            "inferred": inferred,
            "status": status.astype(object),
        }
    )
