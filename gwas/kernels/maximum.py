"""Maximum likelihood of many variants at once, where the null model's fit is a good start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gwas.kernels.machine_code import MachineCode
from gwas.kernels.odds import expit
from gwas.kernels.packed import DECODE

Floats = npt.NDArray[np.float64]

_NULL: Final = ("float32:3", "float32:2", "float64", "int64")
_ROOM: Final = ("float32:2", "float64:1", "float32:3", "float32:2", *["float64:2"] * 4)
_VARIANTS: Final = ("int64:1", "uint8:1", "float64:1", "int64:1")
_MAXIMUM_OF_CALLS: Final = MachineCode(
    "maximum_loops",
    "maximise_calls",
    "uint8:2",
    *_VARIANTS,
    *("float32:3", "int64"),
    *_NULL,
    "float32:1",
    *_ROOM,
)
_MAXIMUM_OF_DOSAGES: Final = MachineCode(
    "maximum_loops", "maximise_dosages", "float32:2", *_VARIANTS, *_NULL, *_ROOM
)
BATCH: Final = 8
"""Variants that go through a strip of people together, so that covariates come from the cache."""
STRIP: Final = 1024
"""People whose contributions are added up in single precision."""
_NOBODY: Final = -1000.0
_COPIES: Final = np.stack([np.where(DECODE < 0, np.nan, DECODE), np.where(DECODE < 0, np.nan, 2.0 - DECODE)])


@dataclass(frozen=True, eq=False)
class StartingPoint:
    """A null model's fit, from which the fits of many variants start.

    It is made once a null model: made anew for every block, its sums could round otherwise, and a variant's answer
    would depend on the block that it stands in.

    Attributes
    ----------
    covariates
        float32 (strips, k, 1024): covariates for which the null model's information is the identity, in strips of
        people, 0 beyond the last.
    people
        float32 (5, strips * 1024): outcome - p, p (1 - p), p (1 - p) (1 - 2 p), log odds, outcome. Beyond the last
        person the log odds are such that nothing is added to any sum.
    whole
        Sum of p (1 - p).
    """

    covariates: npt.NDArray[np.float32]
    people: npt.NDArray[np.float32]
    whole: float

    @classmethod
    def of(cls, covariates: Floats, outcome: Floats, offset: Floats, coefficients: Floats) -> StartingPoint:
        """Evaluate covariates (k, n) at `coefficients` (k,) on top of a known `offset` (n,)."""
        k, n = covariates.shape
        eta = offset + coefficients @ covariates
        p = expit(eta)
        weights = p * (1.0 - p)
        lower = np.linalg.cholesky((covariates * weights) @ covariates.T)
        strips = -(-n // STRIP)
        white = np.zeros((k, strips * STRIP), dtype=np.float32)
        white[:, :n] = np.linalg.solve(lower, covariates)
        people = np.zeros((5, strips * STRIP), dtype=np.float32)
        people[3] = _NOBODY
        people[:, :n] = outcome - p, weights, weights * (1.0 - 2.0 * p), eta, outcome
        layout = np.ascontiguousarray(white.reshape(k, strips, STRIP).transpose(1, 0, 2))
        return cls(layout, people, float(weights.sum()))


def maximise_variants(
    genotypes: npt.NDArray[np.uint8] | npt.NDArray[np.float32],
    variants: npt.NDArray[np.int64],
    *,
    flip: npt.NDArray[np.bool_],
    means: Floats,
    positions: npt.NDArray[np.int64],
    start: StartingPoint,
    drop_missing: bool,
) -> Floats:
    """Coefficient and standard error of each of the chosen variants.

    Parameters
    ----------
    genotypes, variants, flip, means, positions, drop_missing
        As in :func:`gwas.kernels.refit.refit_variants`.
    start
        The null model's fit.

    Returns
    -------
    ndarray of float64 (v, 3)
        Found (1 or 0), coefficient, standard error. What is not found within a few steps is for
        :func:`gwas.kernels.refit.refit_variants`.

    Notes
    -----
    The null model's likelihood to the third order gives a first estimate, for which one pass of the people
    suffices. From there Newton's method goes on with the covariates' own information as it is in the null model,
    scaled; where a genotype at its estimate is not apart from the covariates, their information is summed anew. The
    score of the coefficient is followed as a cubic through its values and slopes at the last two estimates.
    Single precision, in which people's contributions are, leaves errors of some 1e-6 standard errors, as much
    as the steps that are not taken.
    """
    out = np.zeros((len(variants), 3))
    strips, k, _ = start.covariates.shape
    calls = genotypes.dtype == np.uint8
    given: list[Any] = [np.ascontiguousarray(genotypes), variants, flip.astype(np.uint8), means, positions]
    room: list[Any] = []
    wide = strips * STRIP
    if calls:
        every = len(positions) > 4 * (genotypes.shape[1] - 1) and bool((np.diff(positions) == 1).all())
        room.append(np.empty(4 * genotypes.shape[1], dtype=np.float32))
        given += [_COPIES.astype(np.float32), int(every and positions[0] == 0)]
    kernel: Any = _MAXIMUM_OF_CALLS if calls else _MAXIMUM_OF_DOSAGES
    kernel(
        *given,
        start.covariates,
        start.people,
        start.whole,
        int(drop_missing),
        *room,
        np.empty((BATCH, wide), dtype=np.float32),
        np.empty(BATCH),
        np.empty((BATCH, 2, k), dtype=np.float32),
        np.empty((6, STRIP), dtype=np.float32),
        np.empty((BATCH, 3 * k + 5)),
        np.empty((BATCH, 3 * k + 4)),
        np.empty((4 + 2 * k, max(k, BATCH, 4))),
        out,
    )
    return out
