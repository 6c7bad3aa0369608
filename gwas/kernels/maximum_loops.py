"""Loops that maximise the likelihood of many variants from one null model; see :mod:`gwas.kernels.maximum`.

They run as :class:`gwas.kernels.machine_code.MachineCode`; this module is imported only to compile them. Sums over
strips of people, and all steps, are double. Covariates are such that their information in the null model is the
identity.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

from gwas.kernels.logistic_loops import cholesky, dot, solve
from gwas.kernels.maximum import BATCH, STRIP
from gwas.kernels.refit_loops import fill_dosages
from gwas.kernels.strip_loops import add_products, add_sums, at_null, decode, evaluate, gather

MAX_SWEEPS: Final = 10
SMALL_STEP: Final = 1e-5
"""A step below this, in standard errors, is the last."""
BETA_ERROR: Final = 2e-6
"""Error of the last step, in standard errors, that a cubic leaves."""
SE_ERROR: Final = 3e-6
"""Relative error of the standard error, likewise."""
NEAR: Final = 3e-3
"""Part of the step before, and of its length in standard errors, beyond which what the cubic says rests on how exact
the score was there."""
LEAN: Final = 1e-9
"""Squared length of the covariates' last step, in standard errors, by the sum of the null model's weights."""
APART: Final = 1e-4
"""Part of a genotype's information that covariates may take, for the null model's to be theirs: SE within 1e-5."""
MIXED: Final = 0.05
"""The same, far from the maximum, where it only has to lead there."""
FAR: Final = 0.01
"""Squared length of a step, in standard errors, from which on it is far."""

SCALED: Final = 0.02
"""What counts of the intercept's part, whose information is known but for its products with other covariates."""

_ZERO: Final = np.float32(0.0)


@njit(error_model="numpy")
def _direct(state: Any, by: Any) -> None:
    """What covariates add to genotypes and log odds at a variant's estimate, in single precision."""
    k = by.shape[1]
    beta = state[2 * k]
    for b in range(k):
        by[0, b] = np.float32(-state[b])
        by[1, b] = np.float32(state[k + b] - beta * state[b])


@njit(error_model="numpy")
def _information(
    g: Any, mean: Any, drop: Any, x: Any, null: Any, state: Any, by: Any, room: Any, unused: Any, info: Any
) -> None:
    """The covariates' information at a variant's estimate, summed anew."""
    strips, k = x.shape[0], x.shape[1]
    info[:] = 0.0
    _direct(state, by)
    beta = np.float32(state[2 * k])
    for s in range(strips):
        evaluate(g, mean, drop, by, beta, x[s], null, s * STRIP, room, unused)
        w, wx = room[3], room[4]
        for a in range(k):
            for i in range(STRIP):
                wx[i] = w[i] * x[s, a, i]
            add_products(x[s, : a + 1], wx, info[a])
    for a in range(k):
        for b in range(a):
            info[b, a] = info[a, b]


@njit(error_model="numpy")
def _begin(sums: Any, state: Any, whole: Any, k: int) -> bool:
    """Where a variant's fit starts: the null model's likelihood to the third order.

    ``state``: the genotype's coefficients on covariates, the covariates' coefficients; the coefficient here and where
    the last step began, score and information there, length of the last step.
    """
    gradient, cross, bent = sums[:k], sums[k : 2 * k], sums[2 * k : 3 * k]
    share = sums[3 * k + 2] / whole
    if not share > 0.0:
        return False
    slope, left, third = sums[3 * k], sums[3 * k + 1], sums[3 * k + 3]
    for b in range(k):
        state[b] = cross[b] / share
        slope -= state[b] * gradient[b]
        left -= state[b] * cross[b]
    if not left > 0.0:
        return False
    beta = slope / left
    curved = left + 0.5 * third * beta
    if curved > 0.5 * left and curved < 2.0 * left:
        beta = slope / curved
    for b in range(k):
        state[k + b] = (gradient[b] - 0.5 * beta * beta * bent[b]) / share
        state[2 * k + 5 + b] = bent[b]
    state[2 * k] = beta
    state[2 * k + 1] = 0.0
    state[2 * k + 2] = slope
    state[2 * k + 3] = left
    state[2 * k + 4] = np.inf
    return True


@njit(error_model="numpy")
def _advance(
    sums: Any, state: Any, inverse: Any, exact: bool, share: Any, lean_below: Any, k: int, out: Any
) -> int:
    """One step; 1 when it was the last, -1 when it leads nowhere.

    The score of a coefficient, the covariates following it, is known with its slope here and where the step began:
    the cubic through both gives the next, and the information there. Covariates have a last step to go, which
    changes the information by about as much as it would in the null model.
    """
    gradient, cross = sums[:k], sums[k : 2 * k]
    along, lean = inverse[0], inverse[1]
    slope, left, shift = sums[3 * k], sums[3 * k + 1], 0.0
    moved = 0.0
    for b in range(k):
        if not exact:
            along[b] = cross[b] / share
            lean[b] = gradient[b] / share
        slope -= along[b] * gradient[b]
        left -= along[b] * cross[b]
        shift += lean[b] * gradient[b]
        moved += lean[b] * state[2 * k + 5 + b]
    if abs(moved) < 0.1 * left:
        left += moved
    if not left > 0.0:
        return -1
    beta = state[2 * k]
    step = slope / left
    back = beta - state[2 * k + 1]
    error = np.sqrt(left)
    fine = abs(step) * error < SMALL_STEP or (abs(step) * error < 1e-3 and abs(step) < SE_ERROR)
    here = left
    if abs(step) < 0.5 * abs(back):
        chord = (state[2 * k + 2] - slope - left * back) / (back * back)
        bend = (state[2 * k + 3] - left) / (2.0 * back)
        cubic = 2.0 * (chord - bend) / back
        square = chord + cubic * back
        cubed = step
        for _ in range(4):
            cubed = slope / (left - square * cubed - cubic * cubed * cubed)
        near = abs(cubed) < NEAR * min(back * back * error, abs(back))
        if near and abs(cubed - step) < 0.5 * abs(step):
            step = cubed
            here = left - 2.0 * square * step - 3.0 * cubic * step * step
            off = back * back * abs(step) / 6.0
            fine = fine or (off < SE_ERROR and off * abs(step) * error < BETA_ERROR)
        elif abs(cubed - step) < 0.1 * abs(step):
            step = cubed
    if not here > 0.0:
        return -1
    for b in range(k):
        state[k + b] += lean[b] - along[b] * step
    state[2 * k] = beta + step
    state[2 * k + 1] = beta
    state[2 * k + 2] = slope
    state[2 * k + 3] = left
    length = np.sqrt(step * step * left + shift)
    if fine and shift < lean_below:
        out[0], out[1], out[2] = 1.0, state[2 * k], 1.0 / np.sqrt(here)
        return 1
    if not length < 0.7 * state[2 * k + 4]:
        return -1
    state[2 * k + 4] = length
    return 0


@njit(error_model="numpy")
def _taken(cross: Any) -> Any:
    """What covariates take of a genotype's information by shares that a change of scale does not follow.

    The first is the intercept, whose own information is just what the scale is.
    """
    return dot(cross[1:], cross[1:]) + SCALED * cross[0] * cross[0]


@njit(error_model="numpy")
def _solve_exactly(info: Any, sums: Any, inverse: Any, k: int) -> bool:
    lower = info[k:]
    if not cholesky(info[:k], lower):
        return False
    solve(lower, sums[k : 2 * k], inverse[0])
    solve(lower, sums[:k], inverse[1])
    return True


@njit(error_model="numpy")
def _maximise(
    copies: Any,
    means: Any,
    drop: Any,
    x: Any,
    null: Any,
    whole: Any,
    by: Any,
    room: Any,
    state: Any,
    sums: Any,
    small: Any,
    out: Any,
) -> None:
    """Maximum likelihood of a batch; out: 1 where found, coefficient, SE.

    A genotype is taken beside the covariates as the null model weighs them, so that its coefficient and theirs
    hardly depend on one another, and the null model's information of the covariates mostly serves to the end.
    """
    strips, k = x.shape[0], x.shape[1]
    m = copies.shape[0]
    active, inverse, info, unused = small[0], small[1:3, :k], small[3 : 3 + 2 * k, :k], small[3 + 2 * k]
    sums[:] = 0.0
    for s in range(strips):
        for v in range(m):
            mean = np.float32(means[v])
            total = sums[v, 3 * k :]
            at_null(copies[v], mean, drop, null, s * STRIP, room[4], room[5], room[0], total)
            add_sums(x[s], room[4], room[5], sums[v, :k], sums[v, k : 2 * k])
            add_products(x[s], room[0], sums[v, 2 * k : 3 * k])
    for v in range(m):
        active[v] = 1.0 if _begin(sums[v], state[v], whole, k) else 0.0
    for _ in range(MAX_SWEEPS):
        if not active[:m].any():
            return
        sums[:] = 0.0
        for v in range(m):
            _direct(state[v], by[v])
        for s in range(strips):
            for v in range(m):
                if active[v] == 0.0:
                    continue
                beta = np.float32(state[v, 2 * k])
                evaluate(
                    copies[v],
                    np.float32(means[v]),
                    drop,
                    by[v],
                    beta,
                    x[s],
                    null,
                    s * STRIP,
                    room,
                    sums[v, 3 * k :],
                )
                add_sums(x[s], room[4], room[5], sums[v, :k], sums[v, k : 2 * k])
        for v in range(m):
            if active[v] == 0.0:
                continue
            share = sums[v, 3 * k + 2] / whole
            taken = _taken(sums[v, k : 2 * k]) / share
            far = dot(sums[v, :k], sums[v, :k]) / share + sums[v, 3 * k] ** 2 / sums[v, 3 * k + 1] > FAR
            exact = not taken < (MIXED if far else APART) * sums[v, 3 * k + 1]
            done = -1
            if exact:
                _information(
                    copies[v], np.float32(means[v]), drop, x, null, state[v], by[v], room, unused, info[:k]
                )
            if not exact or _solve_exactly(info, sums[v], inverse, k):
                done = _advance(sums[v], state[v], inverse, exact, share, LEAN * whole, k, out[v])
            if done != 0:
                active[v] = 0.0


@njit(error_model="numpy")
def maximise_calls(
    packed: Any,
    rows: Any,
    flip: Any,
    means: Any,
    positions: Any,
    table: Any,
    everyone: int,
    x: Any,
    null: Any,
    whole: Any,
    drop: int,
    row: Any,
    copies: Any,
    some: Any,
    by: Any,
    room: Any,
    state: Any,
    sums: Any,
    small: Any,
    out: Any,
) -> None:
    n = positions.shape[0]
    for first in range(0, rows.shape[0], BATCH):
        m = min(BATCH, rows.shape[0] - first)
        for v in range(m):
            j = rows[first + v]
            some[v] = means[j]
            if everyone != 0:
                decode(packed[j], table[flip[j]], copies[v])
            else:
                decode(packed[j], table[flip[j]], row)
                gather(row, positions, copies[v])
            copies[v, n:] = _ZERO
        _maximise(copies[:m], some, drop != 0, x, null, whole, by, room, state, sums, small, out[first:])


@njit(error_model="numpy")
def maximise_dosages(
    dosages: Any,
    rows: Any,
    flip: Any,
    means: Any,
    positions: Any,
    x: Any,
    null: Any,
    whole: Any,
    drop: int,
    copies: Any,
    some: Any,
    by: Any,
    room: Any,
    state: Any,
    sums: Any,
    small: Any,
    out: Any,
) -> None:
    n = positions.shape[0]
    for first in range(0, rows.shape[0], BATCH):
        m = min(BATCH, rows.shape[0] - first)
        for v in range(m):
            j = rows[first + v]
            some[v] = means[j]
            fill_dosages(dosages[j], positions, flip[j] != 0, copies[v])
            copies[v, n:] = _ZERO
        _maximise(copies[:m], some, drop != 0, x, null, whole, by, room, state, sums, small, out[first:])
