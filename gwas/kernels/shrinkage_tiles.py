"""Products and updates that whole-genome regression needs of a few variants at a time.

Many regressions (traits × folds) stand side by side as columns. A tile of variants × 2,048 samples is decoded
into a buffer of its own thread and multiplied there at once with all columns; genotypes never stand decoded in
main memory. Tiles of samples are fixed, and their sums are added in one order, so that the number of threads
changes nothing.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit, prange

from gwas.kernels.decoding import decode_words

SAMPLES: Final = 2048
"""Samples in a tile."""
STEPS: Final = 127
"""Steps of a copy that dosages are brought to, a byte each: 254 is two copies."""
NO_DOSAGE: Final = 255
"""The byte of a missing dosage."""
_DOSAGES: Final = 2
"""Numbers of a variant in ``values`` where genotypes are dosages."""


def tiles_of(width: int) -> int:
    """Tiles in a row of `width` bytes."""
    return -(-4 * width // SAMPLES)


@njit(cache=True, nogil=True)
def _tiles(packed: Any, values: Any) -> Any:
    """Tiles in a row."""
    samples = packed.shape[1] * (1 if values.shape[1] == _DOSAGES else 4)
    return (samples + SAMPLES - 1) // SAMPLES


@njit(cache=True, nogil=True)
def _decoded_dosages(bytes_: Any, values: Any, tile: int) -> Any:
    """Standardised dosages of a tile: float32 (m, samples)."""
    first, last = tile * SAMPLES, min((tile + 1) * SAMPLES, bytes_.shape[1])
    out = np.empty((bytes_.shape[0], last - first), dtype=np.float32)
    table = np.zeros(256, dtype=np.float32)
    for row in range(bytes_.shape[0]):
        for code in range(NO_DOSAGE):
            table[code] = (np.float32(code) / np.float32(STEPS) - values[row, 0]) * values[row, 1]
        for i in range(last - first):
            out[row, i] = table[bytes_[row, first + i]]
    return out


@njit(cache=True, nogil=True)
def _decoded(packed: Any, values: Any, tile: int) -> Any:
    """Standardised calls, or dosages, of a tile: float32 (m, samples)."""
    if values.shape[1] == _DOSAGES:
        return _decoded_dosages(packed, values, tile)
    m, width = packed.shape
    byte0 = tile * (SAMPLES // 4)
    byte1 = min(byte0 + SAMPLES // 4, width)
    n, words = 4 * (byte1 - byte0), (byte1 - byte0) // 4
    source = packed.reshape(packed.size)
    calls = np.empty(m * n, dtype=np.float32)
    for row in range(m):
        decode_words(source, row * width + byte0, words, values, row, calls, row * n)
        for byte in range(byte0 + 4 * words, byte1):
            code = packed[row, byte]
            for k in range(4):
                calls[row * n + 4 * (byte - byte0) + k] = values[row, (code >> (2 * k)) & 3]
    return calls.reshape(m, n)


@njit(parallel=True, cache=True)
def scores(packed: Any, values: Any, residuals: Any, parts: Any) -> None:
    """``Z S`` by tile of samples.

    Parameters
    ----------
    packed
        uint8 (m, bytes), C order: PLINK 1 two-bit codes, four samples a byte; or dosages, a byte each, in
        :data:`STEPS` of a copy, :data:`NO_DOSAGE` where missing.
    values
        float32 (m, 4), C order: what the codes 00, 01, 10 and 11 of each variant stand for; or float32 (m, 2):
        what is taken from a dosage, and what the difference is multiplied by.
    residuals
        float32 (4 * bytes, c), C order; zero for the padding of the last byte.
    parts
        float32 (tiles, m, c): written; their sum is the product.
    """
    for tile in prange(parts.shape[0]):
        _score(packed, values, residuals, parts, tile)


@njit(cache=True, nogil=True)
def _score(packed: Any, values: Any, residuals: Any, parts: Any, tile: int) -> None:
    calls = _decoded(packed, values, tile)
    first = tile * SAMPLES
    parts[tile] = np.dot(calls, residuals[first : first + calls.shape[1]])


@njit(parallel=True, cache=True)
def scores_and_gram(packed: Any, values: Any, residuals: Any, parts: Any, grams: Any) -> None:
    """As :func:`scores`, and ``Z Z'`` by tile of samples: float32 (tiles, m, m).

    The padding of the last byte decodes as code 00 and counts in the second: clear it in ``values`` or give
    rows of whole bytes. (Callers give the padding the code of a missing call.)
    """
    for tile in prange(parts.shape[0]):
        _score_and_gram(packed, values, residuals, parts, grams, tile)


@njit(cache=True, nogil=True)
def _score_and_gram(packed: Any, values: Any, residuals: Any, parts: Any, grams: Any, tile: int) -> None:
    calls = _decoded(packed, values, tile)
    first = tile * SAMPLES
    parts[tile] = np.dot(calls, residuals[first : first + calls.shape[1]])
    grams[tile] = np.dot(calls, calls.T)


@njit(parallel=True, cache=True)
def take_away(packed: Any, values: Any, steps: Any, weights: Any, residuals: Any) -> None:
    """``S -= W * (Z' steps)`` in place.

    Parameters
    ----------
    packed, values
        As in :func:`scores`.
    steps
        float32 (m, c), C order.
    weights, residuals
        float32 (4 * bytes, c), C order.
    """
    for tile in prange(_tiles(packed, values)):
        _take_away(packed, values, steps, weights, residuals, tile)


@njit(cache=True, nogil=True)
def _take_away(packed: Any, values: Any, steps: Any, weights: Any, residuals: Any, tile: int) -> None:
    calls = _decoded(packed, values, tile)
    change = np.dot(calls.T, steps)
    first = tile * SAMPLES
    for i in range(change.shape[0]):
        for c in range(change.shape[1]):
            residuals[first + i, c] -= weights[first + i, c] * change[i, c]


@njit(parallel=True, cache=True)
def add_predictions(packed: Any, values: Any, effects: Any, column: Any, stride: int, out: Any) -> None:
    """``out[i, t] += (Z' effects)[i, t * stride + column[i]]``.

    Parameters
    ----------
    packed, values
        As in :func:`scores`.
    effects
        float32 (m, traits * stride), C order.
    column
        int64 (4 * bytes,): which of a trait's columns is a sample's own.
    stride
        Columns of a trait.
    out
        float32 (4 * bytes, traits).
    """
    for tile in prange(_tiles(packed, values)):
        _add_prediction(packed, values, effects, column, stride, out, tile)


@njit(cache=True, nogil=True)
def _add_prediction(
    packed: Any, values: Any, effects: Any, column: Any, stride: int, out: Any, tile: int
) -> None:
    calls = _decoded(packed, values, tile)
    change = np.dot(calls.T, effects)
    first = tile * SAMPLES
    for i in range(change.shape[0]):
        for t in range(out.shape[1]):
            out[first + i, t] += change[i, t * stride + column[first + i]]


@njit(parallel=True, cache=True)
def shrink(
    score: Any,
    gram: Any,
    effects: Any,
    steps: Any,
    information: Any,
    noise: Any,
    variances: Any,
    log_weights: Any,
    active: Any,
    rounds: int,
) -> None:
    """Coordinate ascent on the effects of neighbouring variants, under mixtures of normals.

    Parameters
    ----------
    score
        float32 (c, m): products of the variants with the residuals; left as after the steps.
    gram
        float32 (m, m): mean products of the variants.
    effects, steps
        float32 (c, m): effects, updated, and how much they changed.
    information
        float64 (c,): sum of the weights of the column's people.
    noise
        float64 (c,): residual variance.
    variances, log_weights
        float64 (c, k): the mixture; a variance of 0 is a spike.
    active
        bool (c,): columns to update.
    rounds
        Times to go through the variants.

    Notes
    -----
    The posterior mean of one effect given the others: under component k it is N(t / (d + λ_k),
    noise / (d + λ_k)) with λ_k = noise / variance_k and t = z'r + d β, and the component's weight is
    proportional to w_k √(λ_k / (d + λ_k)) exp(t² / (2 noise (d + λ_k))).
    """
    for c in prange(score.shape[0]):
        if active[c]:
            _shrink(
                score[c],
                gram,
                effects[c],
                steps[c],
                information[c],
                noise[c],
                variances[c],
                log_weights[c],
                rounds,
            )


@njit(cache=True, nogil=True, fastmath={"contract", "reassoc"})
def _shrink(
    score: Any,
    gram: Any,
    effects: Any,
    steps: Any,
    information: float,
    noise: float,
    variances: Any,
    log_weights: Any,
    rounds: int,
) -> None:
    m, k = score.shape[0], variances.shape[0]
    weight, mean = np.empty(k), np.empty(k)
    for _ in range(rounds):
        for j in range(m):
            d = information * gram[j, j]
            if d <= 0.0:
                continue
            t = score[j] + d * effects[j]
            highest = -np.inf
            for a in range(k):
                mean[a], weight[a] = 0.0, log_weights[a]
                if variances[a] > 0.0:
                    ratio = noise / variances[a]
                    mean[a] = t / (d + ratio)
                    weight[a] += 0.5 * np.log(ratio / (d + ratio)) + 0.5 * t * mean[a] / noise
                highest = max(highest, weight[a])
            total, found = 0.0, 0.0
            for a in range(k):
                share = np.exp(weight[a] - highest)
                total += share
                found += share * mean[a]
            step = found / total - effects[j]
            if step != 0.0:
                effects[j] += step
                steps[j] += step
                factor = np.float32(information * step)
                for i in range(m):
                    score[i] -= factor * gram[j, i]
