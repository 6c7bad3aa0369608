"""People analysed together: one missingness pattern, its covariates, and what does not depend on a trait.

Traits with a value in exactly the same people share a group. The covariates of all groups have one basis, of
everyone who has them whatever the traits, so that genotypes are multiplied with it once; a group takes out those who
have no value of its traits, and so no other trait can change it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gwas.design import covariate_basis, standardised_factor
from gwas.kernels.products import FixedPoint
from gwas.models import status
from gwas.models.tile import Basis, Calls, People, people_of

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Predictors:
    """Intercept and covariates X of the people used for each variant, m = 1 where they are the same for all.

    Attributes
    ----------
    sums, squares
        float64 (m, k): X'1 and the diagonal of X'X.
    inverse
        float64 (m, k): diagonal of (X'X)⁻¹.
    coefficients, with_genotype
        float64 (variants, k): (X'X)⁻¹ X'g, and X'g.
    """

    sums: Floats
    squares: Floats
    inverse: Floats
    coefficients: Floats
    with_genotype: Floats


@dataclass(frozen=True, eq=False)
class Common:
    """Covariates shared by all groups, among everyone who has them.

    Attributes
    ----------
    covariates, names
        float64 (samples, …) and names, as given.
    mask
        bool (samples,): those people.
    rows
        int64 (samples,): where each sample stands in a packed row.
    kept
        int64: the covariates that vary.
    standardised
        float64 (samples, kept): these, standardised among those people; 0 for others.
    basis
        Their orthonormal basis Q, at its place in a packed row.
    r
        float64 (1 + kept, 1 + kept): [1, standardised] = Q R.
    """

    covariates: Floats
    names: tuple[str, ...]
    mask: npt.NDArray[np.bool_]
    rows: Ints
    kept: Ints
    standardised: Floats
    basis: Basis
    r: Floats


def make_common(
    covariates: Floats, names: Sequence[str], mask: npt.NDArray[np.bool_], *, rows: Ints, n_columns: int
) -> Common:
    """Prepare what groups share; parameters as of :func:`make_group`."""
    found = covariate_basis(covariates, names, mask)
    values = np.zeros((n_columns, found.q.shape[1]))
    values[rows[mask]] = found.q
    whole = FixedPoint.of(values, 2, in_any_order=values.shape[1])
    columns = np.zeros(n_columns, dtype=bool)
    columns[rows[mask]] = True
    standardised = np.zeros((len(mask), len(found.names)))
    standardised[mask] = found.centred
    return Common(
        covariates,
        tuple(names),
        mask,
        rows,
        np.array([list(names).index(name) for name in found.names], dtype=np.int64),
        standardised,
        Basis(columns, values, whole.values()[:n_columns] - values),
        found.r,
    )


@dataclass(frozen=True, eq=False)
class Group:
    """Samples with one missingness pattern.

    Attributes
    ----------
    common
        Covariates of everyone.
    mask
        bool (samples,): the people.
    people
        The same in a packed row.
    n
        How many.
    to_basis
        float64 (common k, k): the group's orthonormal basis is the common one's rows times this.
    r
        float64 (k, k): R of X = QR, X the intercept and the covariates standardised among these people.
    to_covariates
        float64 (k, k): R'⁻¹.
    inflation
        float64 (k - 1,): variance inflation of each covariate by the others.
    """

    common: Common
    mask: npt.NDArray[np.bool_]
    people: People
    n: int
    to_basis: Floats
    r: Floats
    to_covariates: Floats
    inflation: Floats

    @property
    def k(self) -> int:
        """Predictors without the genotype, intercept included."""
        return len(self.r)

    @property
    def columns(self) -> npt.NDArray[np.bool_]:
        """bool (n_columns,): which samples of a packed row are analysed."""
        return self.people.columns

    @property
    def positions(self) -> Ints:
        """int64 (n,): the same as positions, in the order of the design's samples."""
        return self.common.rows[self.mask]

    # a thousand groups would not fit memory with arrays of people × covariates each, so these are made when asked
    # for

    @property
    def covariates(self) -> Floats:
        """float64 (n, k - 1): standardised among these people."""
        return covariate_basis(self.common.covariates, self.common.names, self.mask).centred

    @property
    def wide_basis(self) -> Floats:
        """float64 (n_columns, k): the group's orthonormal basis at its place in a packed row, 0 elsewhere."""
        return np.where(self.columns[:, None], self.common.basis.values @ self.to_basis, 0.0)

    def cross_of(self, within: Floats) -> tuple[Floats, Floats]:
        """X'1 and the diagonal of X'X, (m, k) each, of people for whom Q'Q is `within` (m, k, k)."""
        r = self.r
        crossed = within @ r
        return r[0, 0] * crossed[:, 0], np.einsum("mab,ab->mb", crossed, r)

    def predictors(self, on_basis: Floats) -> Predictors:
        """What the screen needs where everyone is used, of Q'g (m, k)."""
        back = self.to_covariates
        return Predictors(
            *self.cross_of(np.eye(self.k)[None]),
            inverse=(back**2).sum(axis=0)[None],
            coefficients=on_basis @ back,
            with_genotype=on_basis @ self.r,
        )

    def widen(self, values: Floats) -> Floats:
        """Place values (n, c) of the group's people into rows of a packed row's samples: (n_columns, c)."""
        wide = np.zeros((len(self.columns), values.shape[1]))
        wide[self.positions] = values
        return wide


def make_group(
    covariates: Floats, names: Sequence[str], mask: npt.NDArray[np.bool_], *, rows: Ints, n_columns: int
) -> Group:
    """Build a group that shares its covariates with no other.

    Parameters
    ----------
    covariates, names
        float64 (samples, k) and names.
    mask
        bool (samples,): the people of the group.
    rows
        int64 (samples,): where each sample stands in a packed row.
    n_columns
        Samples in a packed row.
    """
    return group_of(make_common(covariates, names, mask, rows=rows, n_columns=n_columns), mask)


def group_of(common: Common, mask: npt.NDArray[np.bool_]) -> Group:
    """Build the group of some of the common covariates' people, bool (samples,).

    Its covariates' cross products are those of everyone less those of who is left out; where that loses too much
    (a covariate nearly constant in the group, or nearly collinear) they are factored anew.

    Raises
    ------
    DesignError
        The covariates are collinear among these people.
    """
    basis = common.basis
    columns = np.zeros(len(basis.columns), dtype=bool)
    columns[common.rows[mask]] = True
    people, n = people_of(basis, columns), int(mask.sum())
    part = basis.values[people.part]
    within = np.eye(len(common.r)) - part.T @ part if people.left_out else part.T @ part
    found = standardised_factor(common.r.T @ within @ common.r, n)
    if found is None:
        anew = covariate_basis(common.covariates, common.names, mask)
        of = {name: i for i, name in enumerate(common.names[int(j)] for j in common.kept)}
        found = _standardising(common.standardised[mask], [of[name] for name in anew.names]), anew.r
    standard, r = found
    back = np.asarray(np.linalg.inv(r), dtype=np.float64)
    inflation = (back.T**2).sum(axis=0)[1:] * n
    return Group(common, mask, people, n, common.r @ standard @ back, r, back.T.copy(), inflation)


def _standardising(rows: Floats, kept: Sequence[int]) -> Floats:
    """What standardises some columns of `rows`: float64 (1 + columns, 1 + kept)."""
    chosen = rows[:, kept]
    mean = chosen.mean(axis=0)
    deviation = np.sqrt(((chosen - mean) ** 2).mean(axis=0))
    out = np.zeros((1 + rows.shape[1], 1 + len(kept)))
    out[0, 0], out[0, 1:] = 1.0, -mean / deviation
    out[1 + np.asarray(kept, dtype=np.int64), 1 + np.arange(len(kept))] = 1 / deviation
    return out


def screen(
    group: Group,
    calls: Calls,
    residual: Floats,
    predictors: Predictors,
    *,
    n_used: Ints,
    max_vif: float,
    max_corr: float,
) -> npt.NDArray[np.int8]:
    """Decide which variants can be tested, in PLINK 2's order of checks.

    Parameters
    ----------
    residual
        float64 (m,): sum of squares of the genotype that the covariates leave, over the people used.
    predictors
        The covariates of the people used.
    n_used
        int64 (m,): people used for each variant.
    max_vif, max_corr
        Largest variance inflation of any predictor, and largest absolute correlation of the genotype with a
        covariate. A covariate that the others alone inflate more than that does not count.

    Returns
    -------
    ndarray of int8 (m,)
        :mod:`gwas.models.status`.
    """
    out = np.zeros(len(residual), dtype=np.int8)
    total = np.maximum(calls.squares - calls.called * calls.imputed**2, 0.0)
    sums, n = predictors.sums[:, 1:], predictors.squares[:, :1]
    spread = predictors.squares[:, 1:] - sums**2 / n
    with np.errstate(invalid="ignore", divide="ignore"):
        inflation = predictors.inverse[:, 1:] * spread
        inflation = inflation + predictors.coefficients[:, 1:] ** 2 * spread / residual[:, None]
        along = (predictors.with_genotype[:, 1:] - sums * calls.mean[:, None]) / np.sqrt(
            spread * total[:, None]
        )
        out[~(residual > 1e-10 * total)] = status.RANK_DEFICIENT
        beyond = (inflation > max_vif) & (group.inflation <= max_vif)
        out[(total > max_vif * residual) | beyond.any(axis=1)] = status.VIF_TOO_HIGH
        out[(np.abs(along) > max_corr).any(axis=1)] = status.CORR_TOO_HIGH
    out[calls.constant] = status.CONSTANT
    out[n_used <= group.k + 1] = status.TOO_FEW_SAMPLES
    out[(calls.called == 0) & (n_used > 0)] = status.NO_CALLS
    return out
