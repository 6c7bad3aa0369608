"""Linear regression of quantitative traits on one variant at a time.

By the Frisch-Waugh-Lovell theorem the coefficient of a genotype beside covariates is that of its residual:
with Q an orthonormal basis of intercept and covariates and y already a residual, everything needed is Q'g,
y'g and g'g. These come for all traits from one product of the genotypes with [Q, y₁, y₂, …].

A missing genotype is the variant's mean among the trait's people (``mean``), or its person is left out
(``complete-case``). The second is exact and cheap too: few people miss a call, so their part is taken away
from the cross products instead of fitting anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from gwas.models import status
from gwas.models.group import Floats, Group, Ints, screen
from gwas.models.result import VariantTests
from gwas.models.tile import Calls, Tile
from gwas.tails import log10p_t

Missing = Literal["mean", "complete-case"]


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


def fit_linear_null(group: Group, outcomes: Floats) -> LinearNull:
    """Take the covariates out of traits.

    Parameters
    ----------
    group
        The people.
    outcomes
        float64 (n, t): the traits' values in these people.
    """
    centred = outcomes - outcomes.mean(axis=0)
    # twice is enough: the second pass removes what rounding left of the first
    for _ in range(2):
        centred = centred - group.basis.q @ (group.basis.q.T @ centred)
    return LinearNull(group, group.widen(centred), (centred**2).sum(axis=0))


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
    *,
    missing: Missing,
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
    missing, max_vif, max_corr
        See :func:`gwas.association.associate_blocks`.
    """
    adjust = _impute_mean if missing == "mean" else _drop_missing
    return adjust(null, calls, tile, on_basis, on_traits, max_vif=max_vif, max_corr=max_corr)


def _impute_mean(
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
    some = np.flatnonzero((calls.missing > 0) & (calls.called > 0)).astype(np.int64)
    squares = calls.squares.copy()
    if len(some):
        sums = tile.missing_sums(some, np.column_stack([group.wide_basis, null.residuals]))
        sums *= calls.mean[some, None]
        on_basis, on_traits = on_basis.copy(), on_traits.copy()
        on_basis[some] += sums[:, : group.k]
        on_traits[some] += sums[:, group.k :]
        squares[some] += calls.missing[some] * calls.mean[some] ** 2
    residual = squares - (on_basis**2).sum(axis=1)
    n = np.full(len(residual), group.n, dtype=np.int64)
    verdict = screen(
        group,
        calls,
        residual,
        group.cross[None],
        on_basis @ group.basis.r,
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
    n = calls.called
    residual = calls.squares - (on_basis**2).sum(axis=1)
    verdict = screen(
        group,
        calls,
        residual,
        group.cross[None],
        on_basis @ group.basis.r,
        n_used=n,
        max_vif=max_vif,
        max_corr=max_corr,
    )
    trait_squares = np.tile(null.squares, (len(n), 1))
    # with as many predictors as people nothing can be solved; the screen has said so
    some = np.flatnonzero((calls.missing > 0) & (calls.called > group.k + 1)).astype(np.int64)
    if not len(some):
        return Moments(n, residual, on_traits, trait_squares, verdict)
    qq, qy, yy = tile.missing_cross_products(some, group.wide_basis, null.residuals)
    left = np.eye(group.k) - qq
    safe = np.linalg.eigvalsh(left)[:, 0] > 1e-9
    bad, some = some[~safe], some[safe]
    verdict[bad] = np.where(verdict[bad] == status.CONSTANT, status.CONSTANT, status.RANK_DEFICIENT)
    left, qy, yy = left[safe], -qy[safe], yy[safe]
    b = on_basis[some]
    solved = np.linalg.solve(left, np.concatenate([b[:, :, None], qy], axis=2))
    g_on_q, y_on_q = solved[:, :, 0], solved[:, :, 1:]
    on_traits, residual = on_traits.copy(), residual.copy()
    residual[some] = calls.squares[some] - (b * g_on_q).sum(axis=1)
    on_traits[some] -= np.einsum("vk,vkt->vt", b, y_on_q)
    trait_squares[some] -= yy + np.einsum("vkt,vkt->vt", qy, y_on_q)
    part = calls.of(some)
    cross = group.basis.r.T @ left @ group.basis.r
    verdict[some] = screen(
        group,
        part,
        residual[some],
        cross,
        b @ group.basis.r,
        n_used=n[some],
        max_vif=max_vif,
        max_corr=max_corr,
    )
    return Moments(n, residual, on_traits, trait_squares, verdict)


def linear_tests(group: Group, calls: Calls, found: Moments, trait: int) -> VariantTests:
    """Wald tests of one trait of a group from the block's moments.

    Parameters
    ----------
    group, calls, found
        As above.
    trait
        Column of the trait in the group.

    Returns
    -------
    VariantTests
        t statistics with n - k - 1 degrees of freedom.
    """
    verdict = found.status.copy()
    freedom = np.maximum(found.n - group.k - 1, 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        beta = found.with_traits[:, trait] / found.residual
        unexplained = found.trait_squares[:, trait] - beta * found.with_traits[:, trait]
        verdict[(verdict == status.OK) & ~(unexplained > 1e-13 * found.trait_squares[:, trait])] = (
            status.INVALID_RESULT
        )
        fine = verdict == status.OK
        se = np.where(fine, np.sqrt(np.maximum(unexplained, 0.0) / freedom / found.residual), np.nan)
        beta = np.where(fine, np.where(calls.flip, -beta, beta), np.nan)
        statistic = beta / se
    return VariantTests(
        n=found.n,
        alt_frequency=calls.alt_frequency,
        beta=beta,
        se=se,
        statistic=statistic,
        log10p=log10p_t(statistic, freedom),
        status=verdict,
        firth=np.zeros(len(beta), dtype=bool),
    )
