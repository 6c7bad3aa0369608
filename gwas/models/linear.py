"""Linear regression of quantitative traits on one variant at a time.

By the Frisch-Waugh-Lovell theorem the coefficient of a genotype beside covariates is that of its residual:
with Q an orthonormal basis of intercept and covariates and y already a residual, everything needed is Q'g,
y'g and g'g. These come for all traits from one product of the genotypes with [Q, y₁, y₂, …].

A missing genotype is the variant's mean among the trait's people (``mean``), or its person is left out
(``complete-case``). The second is exact and cheap too: few people miss a call, so their part is taken away
from the cross products instead of fitting anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from gwas.kernels.downdate import whitened_products
from gwas.models import status
from gwas.models.group import Floats, Group, Ints, Predictors, screen
from gwas.models.result import VariantTests
from gwas.models.tile import Calls, Tile
from gwas.tails import log10p_t

Missing = Literal["mean", "complete-case"]

_SINGULAR: Final = 1e-9
_AT_ONCE: Final = 1 << 21
"""Numbers held at once where each variant has a matrix of its own."""
_TRAITS: Final = 64
"""Traits that are worked on together."""


@dataclass(frozen=True, eq=False)
class LinearNull:
    """Quantitative traits of one group, fitted on the covariates.

    Attributes
    ----------
    group
        The people.
    residuals
        float64 (n_columns, t): each trait's residual at its people's place in a packed row, 0 elsewhere.
    squares
        float64 (t,): sums of squares of the residuals.
    """

    group: Group
    residuals: Floats
    squares: Floats


def fit_linear_null(group: Group, outcomes: Floats, offsets: Floats | None = None) -> LinearNull:
    """Take the covariates out of traits.

    Parameters
    ----------
    group
        The people.
    outcomes
        float64 (n, t): the traits' values in these people.
    offsets
        float64 (n, t): predictions to be taken out, in standard deviations of what the covariates leave.
    """
    values, columns, back = group.common.basis.values, group.columns[:, None], group.to_basis
    residuals = group.widen(outcomes - outcomes.mean(axis=0))
    for first in range(0, residuals.shape[1], _TRAITS):
        part = residuals[:, first : first + _TRAITS]
        # twice is enough: the second pass removes what rounding left of the first
        for _ in range(2):
            part -= np.where(columns, values @ (back @ (back.T @ (values.T @ part))), 0.0)
    squares = np.einsum("nt,nt->t", residuals, residuals)
    if offsets is not None:
        unit = np.sqrt(squares / (group.n - group.k))
        return fit_linear_null(group, residuals[group.positions] - unit * offsets)
    return LinearNull(group, residuals, squares)


@dataclass(frozen=True, eq=False)
class Moments:
    """Cross products of a block's genotypes with covariates and traits, over the people used.

    Attributes
    ----------
    n
        int64 (m,): people used.
    residual
        float64 (m,): sum of squares of the genotype beside the covariates.
    with_traits
        float64 (m, t): product of genotype and trait residuals beside the covariates.
    trait_squares
        float64 (m, t): sums of squares of the traits beside the covariates.
    status
        int8 (m,).
    """

    n: Ints
    residual: Floats
    with_traits: Floats
    trait_squares: Floats
    status: npt.NDArray[np.int8]


def moments(
    null: LinearNull,
    calls: Calls,
    tile: Tile,
    on_basis: Floats,
    on_traits: Floats,
    absent: tuple[Floats, Floats] | None,
    *,
    max_vif: float,
    max_corr: float,
) -> Moments:
    """Bring a block's products to the people used.

    Parameters
    ----------
    null, calls
        The traits' group, and the block's calls among its people.
    tile
        The block, for its missing calls.
    on_basis, on_traits
        float64 (m, k) and (m, t): products of the oriented genotypes, missing as 0, with the group's wide
        basis and residuals.
    absent
        float64 (m, k) and (m, t): sums of these over those without a call, to give them the mean of the others;
        None to leave them out.
    max_vif, max_corr
        See :func:`gwas.association.associate_blocks`.
    """
    if absent is None:
        return _drop_missing(null, calls, tile, on_basis, on_traits, max_vif=max_vif, max_corr=max_corr)
    return _impute_mean(null, calls, on_basis, on_traits, absent, max_vif=max_vif, max_corr=max_corr)


def _impute_mean(
    null: LinearNull,
    calls: Calls,
    on_basis: Floats,
    on_traits: Floats,
    absent: tuple[Floats, Floats],
    *,
    max_vif: float,
    max_corr: float,
) -> Moments:
    group = null.group
    mean = calls.imputed
    squares = calls.squares
    if calls.missing.any():
        on_basis = on_basis + mean[:, None] * absent[0]
        on_traits = on_traits + mean[:, None] * absent[1]
        squares = squares + calls.missing * mean**2
    residual = squares - (on_basis**2).sum(axis=1)
    n = np.full(len(residual), group.n, dtype=np.int64)
    verdict = screen(
        group,
        calls,
        residual,
        group.predictors(on_basis),
        n_used=n,
        max_vif=max_vif,
        max_corr=max_corr,
    )
    return Moments(n, residual, on_traits, np.broadcast_to(null.squares, on_traits.shape), verdict)


def _drop_missing(
    null: LinearNull,
    calls: Calls,
    tile: Tile,
    on_basis: Floats,
    on_traits: Floats,
    *,
    max_vif: float,
    max_corr: float,
) -> Moments:
    group = null.group
    n, limits = calls.called, {"max_vif": max_vif, "max_corr": max_corr}
    residual = calls.squares - (on_basis**2).sum(axis=1)
    verdict = screen(
        group,
        calls,
        residual,
        group.predictors(on_basis),
        n_used=n,
        max_vif=max_vif,
        max_corr=max_corr,
    )
    trait_squares = np.tile(null.squares, (len(n), 1))
    # with as many predictors as people nothing can be solved; the screen has said so
    some = np.flatnonzero((calls.missing > 0) & (calls.called > group.k + 1)).astype(np.int64)
    if not len(some):
        return Moments(n, residual, on_traits, trait_squares, verdict)
    on_traits, residual = on_traits.copy(), residual.copy()
    step = max(1, _AT_ONCE // (group.k * (2 * group.k + on_traits.shape[1])))
    for first in range(0, len(some), step):
        part = some[first : first + step]
        _without_missing(
            null, calls, tile, part, on_basis, on_traits, residual, trait_squares, verdict, limits
        )
    return Moments(n, residual, on_traits, trait_squares, verdict)


def _without_missing(
    null: LinearNull,
    calls: Calls,
    tile: Tile,
    rows: Ints,
    on_basis: Floats,
    on_traits: Floats,
    residual: Floats,
    trait_squares: Floats,
    verdict: npt.NDArray[np.int8],
    limits: Mapping[str, float],
) -> None:
    """Take the people without a call out of some variants' moments, in place.

    With A = I - Σ qq' over those who leave, every moment beside the remaining covariates is a product of two of
    g, y and the covariates in the metric of A⁻¹, taken from the product without covariates.
    """
    group, k = null.group, null.group.k
    qq, qy, yy = tile.missing_cross_products(rows, group.wide_basis, null.residuals)
    left = np.eye(k) - qq
    columns = np.empty((len(rows), k, 1 + k + yy.shape[1]))
    columns[:, :, 0], columns[:, :, 1 : 1 + k], columns[:, :, 1 + k :] = (
        on_basis[rows],
        group.to_covariates,
        -qy,
    )
    sums, spread = group.cross_of(left)
    dots, squares, fine = whitened_products(left, columns, least=_SINGULAR)
    bad = rows[~fine]
    verdict[bad] = np.where(verdict[bad] == status.CONSTANT, status.CONSTANT, status.RANK_DEFICIENT)
    rows, dots, squares, yy = rows[fine], dots[fine], squares[fine], yy[fine]
    part = calls.of(rows)
    residual[rows] = part.squares - squares[:, 0]
    on_traits[rows] -= dots[:, 1 + k :]
    trait_squares[rows] -= yy + squares[:, 1 + k :]
    predictors = Predictors(
        sums[fine],
        spread[fine],
        inverse=squares[:, 1 : 1 + k],
        coefficients=dots[:, 1 : 1 + k],
        with_genotype=on_basis[rows] @ group.r,
    )
    verdict[rows] = screen(group, part, residual[rows], predictors, n_used=part.called, **limits)


def linear_tests(
    group: Group, calls: Calls, found: Moments, *, inflation: Sequence[float]
) -> list[VariantTests]:
    """Wald tests of a group's traits from the block's moments.

    Parameters
    ----------
    group, calls, found
        As above.
    inflation
        What squares of each trait's statistics are divided by, see :mod:`gwas.whole_genome.inflation`.

    Returns
    -------
    list of VariantTests
        t statistics with n - k - 1 degrees of freedom, trait by trait.
    """
    firth = np.zeros(len(found.n), dtype=bool)
    tests: list[VariantTests] = []
    for first in range(0, len(inflation), _TRAITS):
        part = slice(first, first + _TRAITS)
        divided = np.array(inflation[part], dtype=np.float64)[:, None]
        tests += [
            VariantTests(found.n, calls.alt_frequency, *row, firth)
            for row in zip(*_wald(group, calls, found, part, divided), strict=True)
        ]
    return tests


def _wald(
    group: Group, calls: Calls, found: Moments, part: slice, inflation: Floats
) -> tuple[Floats, Floats, Floats, Floats, npt.NDArray[np.int8]]:
    """Effect, SE, t, -log10 P and status, (traits, m) each."""
    freedom = np.maximum(found.n - group.k - 1, 1)
    with_traits = np.ascontiguousarray(found.with_traits[:, part].T)
    squares = found.trait_squares[:, part].T
    verdict = np.repeat(found.status[None], len(with_traits), axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        beta = with_traits / found.residual
        unexplained = squares - beta * with_traits
        verdict[(verdict == status.OK) & ~(unexplained > 1e-13 * squares)] = status.INVALID_RESULT
        fine = verdict == status.OK
        se = np.where(fine, np.sqrt(np.maximum(unexplained, 0.0) / freedom / found.residual), np.nan)
        if (inflation != 1.0).any():
            se *= np.sqrt(inflation)
        beta = np.where(fine, np.where(calls.flip, -beta, beta), np.nan)
        statistic = beta / se
    return beta, se, statistic, log10p_t(statistic, freedom), verdict
