"""Loops over the carriers of a variant for tests of one coefficient; see :mod:`gwas.kernels.tilted`."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

from gwas.kernels.elementary import fast_exp, fast_log

FIRTH: Final = 0
SADDLE: Final = 1
SADDLE_OF_COUNTS: Final = 2

CLOSE: Final = 1e-3
"""The step, in standard errors, that is small enough to be the last: what is left is its cube."""
MAX_PASSES: Final = 60
MAX_STEP: Final = 5.0
FAR: Final = 150.0
"""A change of somebody's log odds beyond this is a coefficient without bound."""
SMALL: Final = 1e-4
"""What the non-carriers' fourth-order term may add to the log-likelihood before they are looked at one by one."""
FLAT: Final = 0.1
"""A score within so many standard deviations has no tail to approximate."""
BEYOND: Final = 1.5
"""How much further than its first guess a coefficient may go before the choice of whom to list is made anew."""
NOTHING: Final = 30.0
"""The opposite tail is left alone where its ln P is so much below the bound of the score's own."""
FEW_COPIES: Final = 20.0
"""Up to so many copies of the rarer allele the score is taken for a count of cases."""
CROWD: Final = 0.6
"""With more than this part of the people listed, all are."""

_SUM = {"reassoc", "contract", "nsz"}


@njit(cache=True, error_model="numpy", fastmath=_SUM)
def cumulants(t: Any, g: Any, p: Any, n: int, out: Any) -> None:
    """Cumulants of Σ g y, y Bernoulli(p), tilted by t: K(t) - t K'(0), K'(t) - K'(0), K'' to K''''."""
    k0, k1, k2, k3, k4 = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(n):
        e = fast_exp(t * g[i])
        left = 1.0 - p[i]
        d = left + p[i] * e
        inverse = 1.0 / d
        q = p[i] * e * inverse
        w = q * left * inverse
        gg = g[i] * g[i]
        k0 += fast_log(d) - t * g[i] * p[i]
        k1 += g[i] * (q - p[i])
        k2 += w * gg
        k3 += w * (1.0 - 2.0 * q) * gg * g[i]
        k4 += w * (1.0 - 6.0 * w) * gg * gg
    out[0], out[1], out[2], out[3], out[4] = k0, k1, k2, k3, k4


@njit(cache=True, error_model="numpy")
def _tilt(t: Any, g: Any, p: Any, n: int, rest: Any, k: Any) -> None:
    """Cumulants of those looked at and of the rest, who enter by their own second and third."""
    cumulants(t, g, p, n, k)
    second, third = rest[1], rest[2]
    k[0] += t * t * (0.5 * second + t * third / 6.0)
    k[1] += t * (second + 0.5 * t * third)
    k[2] += second + t * third
    k[3] += third


@njit(cache=True, error_model="numpy")
def _bounded(step: Any) -> Any:
    return min(max(step, -MAX_STEP), MAX_STEP)


@njit(cache=True, error_model="numpy")
def _penalised(
    s: Any, variance: Any, reach: Any, g: Any, p: Any, n: int, rest: Any, k: Any, out: Any
) -> None:
    """Maximise F = t s - K(t) + log K''(t) / 2 by Newton's method; out: found, t, its SE, 2 (F(t) - F(0))."""
    at_zero = 0.5 * np.log(variance)
    t, before, previous, step = _bounded(s / variance), -np.inf, 0.0, 0.0
    for _ in range(MAX_PASSES):
        if not abs(t) * reach < FAR:
            return
        _tilt(t, g, p, n, rest, k)
        value = t * s - k[0] + 0.5 * np.log(k[2]) if k[2] > 0.0 else -np.inf
        if value < before - 1e-9:
            # too far: half-way back to where it was better
            t = 0.5 * (t + previous)
            if abs(t - previous) * np.sqrt(1.0 + abs(step)) < 1e-12:
                return
            continue
        ratio = k[3] / k[2]
        slope = s - k[1] + 0.5 * ratio
        curve = k[2] - 0.5 * (k[4] / k[2] - ratio * ratio)
        if not curve > 0.1 * k[2]:
            curve = k[2]
        step = slope / curve
        if step * step * k[2] < CLOSE * CLOSE:
            step -= 0.5 * k[3] / curve * step * step
            information = k[2] + k[3] * step
            if not information > 0.0:
                return
            out[0] = 1.0
            out[1] = t + step
            out[2] = 1.0 / np.sqrt(information)
            out[3] = max(2.0 * (value + 0.5 * slope * step - at_zero), 0.0)
            return
        previous, before = t, value
        t += _bounded(step)


@njit(cache=True, error_model="numpy")
def _one_side(
    s: Any,
    variance: Any,
    reach: Any,
    g: Any,
    p: Any,
    n: int,
    rest: Any,
    counts: bool,
    enough: Any,
    k: Any,
    out: Any,
) -> None:
    """Tail of the score beyond s, by Lugannani and Rice: out[0] is a z of that tail, out[1] a bound of its ln P.

    Chernoff's bound K - t s holds always, and is near the truth at the end of what the score can be, where the
    approximation fails. Beyond that end there is no z, nor where the bound is below `enough` and the tail adds
    nothing.
    """
    sign = 1.0 if s > 0.0 else -1.0
    spread = np.sqrt(variance)
    if abs(s) < FLAT * spread:
        out[0], out[1] = abs(s) / spread, 0.0
        return
    low, high = 0.0, FAR / reach * sign
    t = _bounded(s / variance)
    for _ in range(MAX_PASSES):
        _tilt(t, g, p, n, rest, k)
        gap = s - k[1]
        if k[0] - t * s < enough:
            out[0], out[1] = np.nan, k[0] - t * s
            return
        if sign * gap > 0.0:
            low = t
        else:
            high = t
        step = gap / k[2] if k[2] > 0.0 else np.inf
        if abs(step) * np.sqrt(max(k[2], 0.0)) < CLOSE and k[2] > 1e-12 * spread * spread:
            step -= 0.5 * k[3] / k[2] * step * step
            w = np.sqrt(max(2.0 * (t * s - k[0] + step * (gap - 0.5 * step * k[2])), 0.0))
            t = abs(t + step)
            # whole copies move the score by about 1: the mean of P(S > s) and P(S >= s) on such a lattice
            v = (2.0 * (1.0 - 2.0 / (np.exp(t) + 1.0)) if counts else t) * np.sqrt(
                k[2] + k[3] * step + 0.5 * k[4] * step * step
            )
            out[0], out[1] = w + np.log(v / w) / w, -0.5 * w * w
            return
        if abs(low) * reach >= 0.99 * FAR:
            break
        t += _bounded(step)
        if not (t - low) * sign > 0.0 or not (high - t) * sign > 0.0:
            t = 0.5 * (low + high)
        if abs(high - low) < 1e-14 * abs(high):
            break
    # no root: s lies at the end of what the score can be, or beyond it
    t = FAR / reach * sign
    _tilt(t, g, p, n, rest, k)
    excess = sign * (s - k[1])
    out[0] = np.nan
    out[1] = -np.inf if excess > 1e-6 * spread else k[0] - t * s - (np.log(2.0) if counts else 0.0)


@njit(cache=True, error_model="numpy")
def _gather_calls(codes: Any, flip: Any, place: Any, who: Any, copies: Any, mean: Any) -> Any:
    """List who has a copy of the counted allele or no call (NaN where `mean` is); give how many there are."""
    # a byte of four people without the allele: 11 is no copy of ALT, 00 two
    none = np.uint8(0) if flip else np.uint8(0xFF)
    two, zero = (0.0, 2.0) if flip else (2.0, 0.0)
    n = 0
    for byte in range(codes.shape[0]):
        if codes[byte] == none:
            continue
        for call in range(4):
            sample = 4 * byte + call
            if sample >= place.shape[0] or place[sample] < 0:
                continue
            code = (codes[byte] >> (2 * call)) & 3
            value = two if code == 0 else (mean if code == 1 else (1.0 if code == 2 else zero))
            # written in any case and kept only where it counts: nothing here is worth a branch
            who[n], copies[n] = place[sample], value
            n += 1 if value != 0.0 else 0
    return n


@njit(cache=True, error_model="numpy")
def _gather_dosages(dosages: Any, flip: Any, place: Any, who: Any, copies: Any, mean: Any) -> Any:
    """As :func:`_gather_calls`, of dosages."""
    n = 0
    for sample in range(place.shape[0]):
        if place[sample] < 0:
            continue
        dosage = np.float64(dosages[sample])
        value = mean if np.isnan(dosage) else (2.0 - dosage if flip else dosage)
        if value != 0.0:
            who[n], copies[n] = place[sample], value
            n += 1
    return n


@njit(cache=True, error_model="numpy")
def _back_substitute(lower: Any, b: Any) -> None:
    """Solve L'a = b in place."""
    for i in range(b.shape[0] - 1, -1, -1):
        for j in range(i + 1, b.shape[0]):
            b[i] -= lower[j, i] * b[j]
        b[i] /= lower[i, i]


@njit(cache=True, error_model="numpy")
def _fourth_order(t: Any, second: Any, weight: Any) -> Any:
    """About what is left out where those not listed enter by their second and third cumulants."""
    moved = t * t * second
    return moved * moved / (8.0 * weight)


@njit(cache=True, error_model="numpy")
def _list(
    a: Any,
    people: Any,
    p: Any,
    residual: Any,
    first: Any,
    second: Any,
    third: Any,
    who: Any,
    n: int,
    room: Any,
    rest: Any,
) -> None:
    """Values beside the covariates and probabilities of those listed.

    `rest`: the score, the second and third cumulants of those not listed, the variance of the score.
    """
    k = a.shape[0]
    rest[:] = 0.0
    for b in range(k):
        rest[0] -= first[b] * a[b]
        for c in range(k):
            ab = a[b] * a[c]
            rest[1] += second[b, c] * ab
            for d in range(k):
                rest[2] -= third[b, c, d] * ab * a[d]
    for i in range(n):
        j = who[i]
        z = 0.0
        for b in range(k):
            z += people[j, b] * a[b]
        w = p[j] * (1.0 - p[j])
        rest[0] += residual[j] * z
        rest[1] -= w * z * z
        rest[2] += w * (1.0 - 2.0 * p[j]) * z * z * z
        # who is left out adds nothing whatever the coefficient
        room[0, i] = 0.0 if np.isnan(room[2, i]) else room[2, i] - z
        room[1, i] = p[j]
        rest[0] += residual[j] * room[0, i]
        rest[3] += w * room[0, i] * room[0, i]
    rest[3] += rest[1]


@njit(cache=True, error_model="numpy", fastmath=_SUM)
def _list_all(a: Any, design: Any, p: Any, residual: Any, who: Any, n: int, room: Any, rest: Any) -> None:
    """As :func:`_list`, with everybody listed."""
    rest[:] = 0.0
    g = room[0]
    g[:] = 0.0
    for b in range(a.shape[0]):
        row, factor = design[b], a[b]
        for i in range(g.shape[0]):
            g[i] -= factor * row[i]
    for i in range(n):
        g[who[i]] = 0.0 if np.isnan(room[2, i]) else g[who[i]] + room[2, i]
    score, variance = 0.0, 0.0
    for i in range(g.shape[0]):
        room[1, i] = p[i]
        score += residual[i] * g[i]
        variance += p[i] * (1.0 - p[i]) * g[i] * g[i]
    rest[0], rest[3] = score, variance


@njit(cache=True, error_model="numpy")
def _solve(method: int, counts: bool, g: Any, p: Any, n: int, rest: Any, k: Any, out: Any) -> Any:
    """Run the method on those listed; give the coefficient furthest from 0 that it looked at."""
    out[:] = np.nan
    out[0] = 0.0
    s = rest[0]
    reach = 0.0
    for i in range(n):
        reach = max(reach, abs(g[i]))
    variance = rest[3]
    if not (variance > 0.0 and reach > 0.0):
        return 0.0
    if method == FIRTH:
        _penalised(s, variance, reach, g, p, n, rest, k, out)
        return out[1] if out[0] == 1.0 else s / variance
    out[0], out[1], out[2] = 1.0, s / variance, 1.0 / np.sqrt(variance)
    _one_side(s, variance, reach, g, p, n, rest, counts, -np.inf, k, out[3:5])
    _one_side(-s, variance, reach, g, p, n, rest, counts, out[4] - NOTHING, k, out[5:7])
    return s / variance


@njit(cache=True, error_model="numpy")
def _test(
    a: Any,
    design: Any,
    people: Any,
    p: Any,
    residual: Any,
    first: Any,
    second: Any,
    third: Any,
    method: int,
    who: Any,
    n: int,
    mean: float,
    room: Any,
    out: Any,
) -> None:
    rest, k = room[3, :4], room[3, 4:9]
    copies, whole = 0.0, True
    for i in range(n):
        value = room[2, i]
        is_whole = value == 1.0 or value == 2.0
        copies += value if is_whole else 0.0
        whole = whole and (is_whole or value == mean)
    counts = method == SADDLE_OF_COUNTS and whole and copies <= FEW_COPIES
    few = n < CROWD * p.shape[0]
    if few:
        _list(a, people, p, residual, first, second, third, who, n, room, rest)
        guess = BEYOND * rest[0] / rest[3]
        few = _fourth_order(guess, rest[1], second[0, 0]) < SMALL
    if few:
        reached = _solve(method, counts, room[0], room[1], n, rest, k, out)
        few = _fourth_order(reached, rest[1], second[0, 0]) < SMALL
    if not few:
        _list_all(a, design, p, residual, who, n, room, rest)
        _solve(method, counts, room[0], room[1], p.shape[0], rest, k, out)


@njit(cache=True, error_model="numpy")
def tests_of_calls(
    packed: Any,
    rows: Any,
    flip: Any,
    means: Any,
    place: Any,
    a: Any,
    lower: Any,
    design: Any,
    people: Any,
    p: Any,
    residual: Any,
    first: Any,
    second: Any,
    third: Any,
    method: int,
    who: Any,
    room: Any,
    out: Any,
) -> None:
    for v in range(rows.shape[0]):
        j = rows[v]
        _back_substitute(lower, a[v])
        n = _gather_calls(packed[j], flip[j] != 0, place, who, room[2], means[j])
        _test(a[v], design, people, p, residual, first, second, third, method, who, n, means[j], room, out[v])


@njit(cache=True, error_model="numpy")
def tests_of_dosages(
    dosages: Any,
    rows: Any,
    flip: Any,
    means: Any,
    place: Any,
    a: Any,
    lower: Any,
    design: Any,
    people: Any,
    p: Any,
    residual: Any,
    first: Any,
    second: Any,
    third: Any,
    method: int,
    who: Any,
    room: Any,
    out: Any,
) -> None:
    for v in range(rows.shape[0]):
        j = rows[v]
        _back_substitute(lower, a[v])
        n = _gather_dosages(dosages[j], flip[j] != 0, place, who, room[2], means[j])
        _test(a[v], design, people, p, residual, first, second, third, method, who, n, means[j], room, out[v])
