"""Effect, SE and -log10 P of every row from whichever of effect, ratio, Z, SE, interval and P a file has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from gwas.tails import log10p_normal, z_of_log10p

F64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

Z95: Final = 1.959963984540054


@dataclass(frozen=True, eq=False)
class Estimates:
    """Estimates of a block of rows; all arrays (rows,).

    Attributes
    ----------
    beta, se, log10p
        float64, NaN where they cannot be had.
    p_out_of_range, p_zero, usable
        bool.
    """

    beta: F64
    se: F64
    log10p: F64
    p_out_of_range: Mask
    p_zero: Mask
    usable: Mask


def estimate(
    number: Mapping[str, F64 | None], rows: int, *, se_of_log: bool, notes: dict[str, None]
) -> Estimates:
    """Work out effect, SE and -log10 P.

    Parameters
    ----------
    number
        Role to values, float64 (rows,), for those the file has: beta, odds_ratio, hazard_ratio, z, se, ci_low,
        ci_high, n, log10p, p and p_log10 (its -log10, inf where P is 0).
    rows
        How many.
    se_of_log
        The SE beside a ratio is that of its logarithm.
    notes
        Sentences on what had to be worked out are added to it.

    Returns
    -------
    Estimates
        Z alone gives beta = Z / sqrt(n + Z²) and its SE 1 / sqrt(n + Z²) (Zhu et al. 2016, Nat Genet 48:481).

    Examples
    --------
    >>> found = estimate({"odds_ratio": np.array([2.0]), "se": np.array([0.1])}, 1, se_of_log=True, notes={})
    >>> found.beta.round(3).tolist(), found.log10p.round(2).tolist()
    ([0.693], [11.38])
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        beta, se = _effect(number, rows, se_of_log)
        p, log10p = number.get("p"), _column(number, "log10p", rows)
        outside = (log10p < 0) | np.isinf(log10p)
        if p is not None:
            outside |= np.isnan(log10p) & ((p < 0) | (p > 1))
            from_p = number["p_log10"]
            assert from_p is not None
            log10p = np.where(np.isnan(log10p), from_p, log10p)
        zero = np.isposinf(log10p) & ~outside
        log10p = np.where(zero | outside, np.nan, log10p)
        if "beta" not in number and "odds_ratio" not in number and "hazard_ratio" not in number:
            beta, se = _standardised(number, rows)
            notes["Z alone: effects are in standard deviations of trait and genotype"] = None
        given = np.isfinite(se) & (se > 0)
        lacking = np.isfinite(beta) & (beta != 0) & ~given & (log10p > 0)
        if lacking.any():
            se = np.where(lacking, np.abs(beta) / z_of_log10p(log10p), se)
            notes["an SE that is missing is taken from effect and P"] = None
        whole = np.isfinite(beta) & np.isfinite(se) & (se > 0)
        lacking = whole & np.isnan(log10p) & ~outside
        if lacking.any():
            log10p = np.where(lacking, log10p_normal(beta / se), log10p)
            notes["a P that is missing or 0 is taken from effect and SE"] = None
    zero &= np.isnan(log10p)
    return Estimates(beta, se, log10p, outside, zero, whole & np.isfinite(log10p))


def ratio_se_is_of_log(ratio: F64, se: F64, number: Mapping[str, F64 | None]) -> bool:
    """Is the SE beside a ratio that of its logarithm? Told by P where there is one, else taken so.

    Parameters
    ----------
    ratio, se
        float64 (rows,).
    number
        As in :func:`estimate`.

    Examples
    --------
    >>> ratio, z = np.array([1.2, 3.0, 0.5]), np.array([2.0, 4.0, 3.0])
    >>> log_se = np.abs(np.log(ratio)) / z
    >>> p = {"log10p": log10p_normal(z)}
    >>> ratio_se_is_of_log(ratio, log_se, p), ratio_se_is_of_log(ratio, log_se * ratio, p)
    (True, False)
    """
    log10p = number.get("log10p")
    log10p = log10p if log10p is not None else number.get("p_log10")
    if log10p is None:
        return True
    with np.errstate(divide="ignore", invalid="ignore"):
        z = z_of_log10p(np.where(np.isfinite(log10p) & (log10p > 0.3), log10p, np.nan))
        implied = np.abs(np.log(ratio)) / z
        of_log = np.abs(np.log(se / implied))
        of_ratio = np.abs(np.log(se / ratio / implied))
    fine = np.isfinite(of_log) & np.isfinite(of_ratio)
    return not fine.any() or bool(np.median(of_log[fine]) <= np.median(of_ratio[fine]))


def _column(number: Mapping[str, F64 | None], role: str, rows: int) -> F64:
    found = number.get(role)
    return found if found is not None else np.full(rows, np.nan)


def _effect(number: Mapping[str, F64 | None], rows: int, se_of_log: bool) -> tuple[F64, F64]:
    beta, se = _column(number, "beta", rows), _column(number, "se", rows)
    low, high = _column(number, "ci_low", rows), _column(number, "ci_high", rows)
    ratio = number.get("odds_ratio")
    ratio = ratio if ratio is not None else number.get("hazard_ratio")
    if number.get("beta") is None and ratio is not None:
        beta = np.log(np.where(ratio > 0, ratio, np.nan))
        if not se_of_log:
            se = se / ratio
        width = np.log(np.where(high > 0, high, np.nan)) - np.log(np.where(low > 0, low, np.nan))
    elif ratio is not None:
        width = np.full(rows, np.nan)  # an interval beside both is as likely that of the ratio
    else:
        width = high - low
    return beta, np.where(np.isnan(se) & (width > 0), width / (2 * Z95), se)


def _standardised(number: Mapping[str, F64 | None], rows: int) -> tuple[F64, F64]:
    z, n = _column(number, "z", rows), _column(number, "n", rows)
    spread = 1.0 / np.sqrt(np.where(n > 0, n, np.nan) + z * z)
    return z * spread, spread
