"""People analysed together: one missingness pattern, its covariates, and what does not depend on a trait.

Traits with a value in exactly the same people share a group, and so one covariate basis. A group is built
from these people alone: no other trait can change it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gwas.design import CovariateBasis, covariate_basis
from gwas.models import status
from gwas.models.tile import Calls

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
class Group:
    """Samples with one missingness pattern.

    Attributes
    ----------
    columns
        bool (n_columns,): which samples of a packed row are analysed.
    positions
        int64 (n,): the same as positions, in increasing order of the design's samples.
    basis
        Orthonormal covariates of these people, see :class:`gwas.design.CovariateBasis`.
    wide_basis
        float64 (n_columns, k): that basis at its place in a packed row, 0 elsewhere.
    to_covariates
        float64 (k, k): R'⁻¹ of X = QR, X the intercept and the standardised covariates.
    inflation
        float64 (k - 1,): variance inflation of each covariate by the others.
    """

    columns: npt.NDArray[np.bool_]
    positions: Ints
    basis: CovariateBasis
    wide_basis: Floats
    to_covariates: Floats
    inflation: Floats

    @property
    def n(self) -> int:
        """How many people."""
        return len(self.positions)

    @property
    def k(self) -> int:
        """Predictors without the genotype, intercept included."""
        return int(self.basis.q.shape[1])

    def cross_of(self, within: Floats) -> tuple[Floats, Floats]:
        """X'1 and the diagonal of X'X, (m, k) each, of people for whom Q'Q is `within` (m, k, k)."""
        r = self.basis.r
        crossed = within @ r
        return r[0, 0] * crossed[:, 0], np.einsum("mab,ab->mb", crossed, r)

    def predictors(self, on_basis: Floats) -> Predictors:
        """What the screen needs where everyone is used, of Q'g (m, k)."""
        back = self.to_covariates
        return Predictors(
            *self.cross_of(np.eye(self.k)[None]),
            inverse=(back**2).sum(axis=0)[None],
            coefficients=on_basis @ back,
            with_genotype=on_basis @ self.basis.r,
        )

    def widen(self, values: Floats) -> Floats:
        """Place values (n, c) of the group's people into rows of a packed row's samples: (n_columns, c)."""
        wide = np.zeros((len(self.columns), values.shape[1]))
        wide[self.positions] = values
        return wide


def make_group(
    covariates: Floats, names: Sequence[str], mask: npt.NDArray[np.bool_], *, rows: Ints, n_columns: int
) -> Group:
    """Build a group.

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
    basis = covariate_basis(covariates, names, mask)
    positions = rows[mask]
    columns = np.zeros(n_columns, dtype=bool)
    columns[positions] = True
    wide = np.zeros((n_columns, basis.q.shape[1]))
    wide[positions] = basis.q
    to_covariates = np.asarray(np.linalg.inv(basis.r).T, dtype=np.float64)
    inflation = (to_covariates**2).sum(axis=0)[1:] * len(positions)
    return Group(columns, positions, basis, wide, to_covariates, inflation)


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
    total = np.maximum(calls.squares - calls.called * np.nan_to_num(calls.mean) ** 2, 0.0)
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
