"""Passes over strips of people, for many variants in turn; see :mod:`gwas.kernels.maximum`.

A strip of covariates stays in the cache for every variant of a batch. What people contribute is single precision and
is added up within the strip.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

from gwas.kernels.elementary import fast_exp32
from gwas.kernels.maximum import STRIP

_SUM = {"reassoc", "contract", "arcp", "nsz"}
_ZERO: Final = np.float32(0.0)
_ONE: Final = np.float32(1.0)
_LEAST: Final = np.float32(-80.0)
_MOST: Final = np.float32(80.0)


@njit(error_model="numpy")
def decode(packed_row: Any, copies: Any, out: Any) -> None:
    """Look up four calls a byte in ``copies`` float32 (256, 4); ``out`` holds whole bytes."""
    for j in range(packed_row.shape[0]):
        byte = packed_row[j]
        for q in range(4):
            out[4 * j + q] = copies[byte, q]


@njit(error_model="numpy")
def gather(row: Any, positions: Any, out: Any) -> None:
    for i in range(positions.shape[0]):
        out[i] = row[positions[i]]


@njit(error_model="numpy", fastmath=_SUM)
def _open(g: Any, mean: Any, drop: Any, beta: Any, eta: Any, first: int, gt: Any, use: Any, e: Any) -> None:
    """Centred genotypes, who is used (1 or 0), and log odds without the covariates' part."""
    for i in range(STRIP):
        absent = np.isnan(g[first + i])
        gt[i] = _ZERO if absent else g[first + i] - mean
        use[i] = _ZERO if absent and drop else _ONE
        e[i] = eta[first + i] + beta * gt[i]


@njit(error_model="numpy", fastmath=_SUM)
def _add_rows(x: Any, by_gt: Any, by_e: Any, gt: Any, e: Any) -> None:
    """Add a strip of covariates to genotypes and log odds, four rows at a time."""
    k = x.shape[0]
    whole = k - k % 4
    for b in range(0, whole, 4):
        x0, x1, x2, x3 = x[b], x[b + 1], x[b + 2], x[b + 3]
        g0, g1, g2, g3 = by_gt[b], by_gt[b + 1], by_gt[b + 2], by_gt[b + 3]
        e0, e1, e2, e3 = by_e[b], by_e[b + 1], by_e[b + 2], by_e[b + 3]
        for i in range(STRIP):
            gt[i] += (g0 * x0[i] + g1 * x1[i]) + (g2 * x2[i] + g3 * x3[i])
            e[i] += (e0 * x0[i] + e1 * x1[i]) + (e2 * x2[i] + e3 * x3[i])
    for b in range(whole, k):
        xb, gb, eb = x[b], by_gt[b], by_e[b]
        for i in range(STRIP):
            gt[i] += gb * xb[i]
            e[i] += eb * xb[i]


@njit(error_model="numpy", fastmath=_SUM)
def add_sums(x: Any, r: Any, wg: Any, gradient: Any, cross: Any) -> None:
    """Add the products of a strip of covariates with residuals and with weighted genotypes."""
    k = x.shape[0]
    whole = k - k % 4
    for b in range(0, whole, 4):
        x0, x1, x2, x3 = x[b], x[b + 1], x[b + 2], x[b + 3]
        r0, r1, r2, r3 = _ZERO, _ZERO, _ZERO, _ZERO
        w0, w1, w2, w3 = _ZERO, _ZERO, _ZERO, _ZERO
        for i in range(STRIP):
            r0 += x0[i] * r[i]
            r1 += x1[i] * r[i]
            r2 += x2[i] * r[i]
            r3 += x3[i] * r[i]
            w0 += x0[i] * wg[i]
            w1 += x1[i] * wg[i]
            w2 += x2[i] * wg[i]
            w3 += x3[i] * wg[i]
        gradient[b] += r0
        gradient[b + 1] += r1
        gradient[b + 2] += r2
        gradient[b + 3] += r3
        cross[b] += w0
        cross[b + 1] += w1
        cross[b + 2] += w2
        cross[b + 3] += w3
    for b in range(whole, k):
        xb = x[b]
        rb, wb = _ZERO, _ZERO
        for i in range(STRIP):
            rb += xb[i] * r[i]
            wb += xb[i] * wg[i]
        gradient[b] += rb
        cross[b] += wb


@njit(error_model="numpy", fastmath=_SUM)
def add_products(x: Any, values: Any, out: Any) -> None:
    """Add the products of a strip of covariates with one row."""
    k = x.shape[0]
    whole = k - k % 4
    for b in range(0, whole, 4):
        x0, x1, x2, x3 = x[b], x[b + 1], x[b + 2], x[b + 3]
        s0, s1, s2, s3 = _ZERO, _ZERO, _ZERO, _ZERO
        for i in range(STRIP):
            s0 += x0[i] * values[i]
            s1 += x1[i] * values[i]
            s2 += x2[i] * values[i]
            s3 += x3[i] * values[i]
        out[b] += s0
        out[b + 1] += s1
        out[b + 2] += s2
        out[b + 3] += s3
    for b in range(whole, k):
        xb = x[b]
        sb = _ZERO
        for i in range(STRIP):
            sb += xb[i] * values[i]
        out[b] += sb


@njit(error_model="numpy", fastmath=_SUM)
def at_null(
    g: Any, mean: Any, drop: Any, null: Any, first: int, r: Any, wg: Any, bent: Any, total: Any
) -> None:
    """A strip in the null model, of which residuals, weights and the weights' slope are known."""
    r0, w0, s0 = null[0], null[1], null[2]
    u, d, f, c = _ZERO, _ZERO, _ZERO, _ZERO
    for i in range(STRIP):
        absent = np.isnan(g[first + i])
        gt = _ZERO if absent else g[first + i] - mean
        use = _ZERO if absent and drop else _ONE
        w = use * w0[first + i]
        ri = use * r0[first + i]
        wi = w * gt
        bi = s0[first + i] * gt * gt
        r[i] = ri
        wg[i] = wi
        bent[i] = bi
        u += ri * gt
        d += wi * gt
        f += w
        c += bi * gt
    total[0] += u
    total[1] += d
    total[2] += f
    total[3] += c


@njit(error_model="numpy", fastmath=_SUM)
def _at_estimate(e: Any, gt: Any, use: Any, y: Any, first: int, w: Any, r: Any, wg: Any, total: Any) -> None:
    u, d, f = _ZERO, _ZERO, _ZERO
    for i in range(STRIP):
        p = _ONE / (_ONE + fast_exp32(-min(max(e[i], _LEAST), _MOST)))
        ri = use[i] * (y[first + i] - p)
        wi = use[i] * p * (_ONE - p)
        w[i] = wi
        r[i] = ri
        wg[i] = wi * gt[i]
        u += ri * gt[i]
        d += wi * gt[i] * gt[i]
        f += wi
    total[0] += u
    total[1] += d
    total[2] += f


@njit(error_model="numpy")
def evaluate(
    g: Any,
    mean: Any,
    drop: Any,
    by: Any,
    beta: Any,
    strip_of_x: Any,
    null: Any,
    first: int,
    room: Any,
    total: Any,
) -> None:
    """Log odds, weights and residuals of a strip at a variant's estimate; ``room``: gt, use, e, w, r, wg."""
    _open(g, mean, drop, beta, null[3], first, room[0], room[1], room[2])
    _add_rows(strip_of_x, by[0], by[1], room[0], room[2])
    _at_estimate(room[2], room[0], room[1], null[4], first, room[3], room[4], room[5], total)
