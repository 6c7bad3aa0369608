"""What :mod:`gwas.kernels.products` does for packed calls, for dosages: float32 (m, n), NaN where missing."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from numba import njit, prange

Floats = npt.NDArray[np.float64]
Dosages = npt.NDArray[np.float32]

TILE_VARIANTS: Final = 64
TILE_SAMPLES: Final = 4096
"""Dosages of a tile stay in the processor's cache while they are multiplied."""


def dosage_products(
    dosages: Dosages, flip: npt.NDArray[np.bool_], linear: npt.NDArray[Any], squared: npt.NDArray[Any]
) -> tuple[Floats, Floats]:
    """Products of dosages, and of their squares, with matrices of samples × columns.

    Parameters
    ----------
    dosages
        float32 (m, n): copies of ALT from 0 to 2, NaN where missing.
    flip
        bool (m,): count REF instead of ALT in this variant.
    linear
        float64 or float32 (n, c), C order. Rows of samples outside an analysis are 0.
    squared
        Same dtype, (n, d); d may be 0.

    Returns
    -------
    (m, c) and (m, d) of float64
        Sums over samples; a missing dosage counts 0.

    Examples
    --------
    >>> copies = np.array([[0.5, np.nan, 1.5]], dtype=np.float32)
    >>> products, squares = dosage_products(copies, np.array([False]), np.ones((3, 1)), np.ones((3, 1)))
    >>> products.item(), squares.item()
    (2.0, 2.5)
    """
    out = np.zeros((dosages.shape[0], linear.shape[1]))
    out_squared = np.zeros((dosages.shape[0], squared.shape[1]))
    _tiles(np.ascontiguousarray(dosages), flip, linear, squared, out, out_squared)
    return out, out_squared


@njit(parallel=True, cache=True)
def _tiles(dosages: Any, flip: Any, linear: Any, squared: Any, out: Any, out_squared: Any) -> None:
    for tile in prange((dosages.shape[0] + TILE_VARIANTS - 1) // TILE_VARIANTS):
        _tile(dosages, tile * TILE_VARIANTS, flip, linear, squared, out, out_squared)


@njit(cache=True)
def _tile(dosages: Any, first: int, flip: Any, linear: Any, squared: Any, out: Any, out_squared: Any) -> None:
    last, n = min(first + TILE_VARIANTS, dosages.shape[0]), dosages.shape[1]
    # every product has the same shape, whatever the block: zeros fill the last tile
    for begin in range(0, n, TILE_SAMPLES):
        end = min(begin + TILE_SAMPLES, n)
        copies = np.zeros((TILE_VARIANTS, end - begin), dtype=linear.dtype)
        for row in range(first, last):
            _orient(dosages[row, begin:end], flip[row], copies[row - first])
        _add(np.dot(copies, linear[begin:end]), out, first, last)
        if squared.shape[1] > 0:
            for row in range(copies.shape[0]):
                for column in range(copies.shape[1]):
                    copies[row, column] *= copies[row, column]
            _add(np.dot(copies, squared[begin:end]), out_squared, first, last)


@njit(cache=True)
def _orient(dosages: Any, flip: bool, copies: Any) -> None:
    for sample in range(dosages.shape[0]):
        value = dosages[sample]
        if not np.isnan(value):
            copies[sample] = 2.0 - value if flip else value


@njit(cache=True)
def _add(part: Any, out: Any, first: int, last: int) -> None:
    for row in range(first, last):
        for column in range(out.shape[1]):
            out[row, column] += part[row - first, column]


def summarise_dosages(dosages: Dosages, columns: npt.NDArray[np.bool_]) -> Floats:
    """Sum the dosages of some samples, variant by variant.

    Parameters
    ----------
    dosages
        float32 (m, n), NaN where missing.
    columns
        bool (n,): the samples.

    Returns
    -------
    ndarray of float64 (m, 5)
        Samples with a dosage, sum, sum of squares, least and largest dosage (0 where there is none).

    Examples
    --------
    >>> copies = np.array([[0.5, np.nan, 1.5]], dtype=np.float32)
    >>> summarise_dosages(copies, np.ones(3, dtype=bool)).tolist()
    [[2.0, 2.0, 2.5, 0.5, 1.5]]
    """
    out = np.zeros((len(dosages), 5))
    _summarise(np.ascontiguousarray(dosages), np.flatnonzero(columns), out)
    return out


@njit(parallel=True, cache=True)
def _summarise(dosages: Any, positions: Any, out: Any) -> None:
    for row in prange(dosages.shape[0]):
        _summarise_row(dosages[row], positions, out[row])


@njit(cache=True)
def _summarise_row(dosages: Any, positions: Any, out: Any) -> None:
    for i in range(positions.shape[0]):
        value = np.float64(dosages[positions[i]])
        if not np.isnan(value):
            if out[0] == 0.0:
                out[3], out[4] = value, value
            out[0] += 1.0
            out[1] += value
            out[2] += value * value
            out[3] = min(out[3], value)
            out[4] = max(out[4], value)


def absent_sums(dosages: Dosages, variants: npt.NDArray[np.int64], columns: Floats) -> Floats:
    """Sum the columns (n, c) over the samples without a dosage, for some variants: float64 (v, c)."""
    out = np.zeros((len(variants), columns.shape[1]))
    for v, row in enumerate(variants):
        out[v] = columns[np.isnan(dosages[row])].sum(axis=0)
    return out


def absent_cross_products(
    dosages: Dosages, variants: npt.NDArray[np.int64], basis: Floats, traits: Floats
) -> tuple[Floats, Floats, Floats]:
    """Sums of q q', q y and y² over the samples without a dosage: float64 (v, k, k), (v, k, t), (v, t)."""
    v, k, t = len(variants), basis.shape[1], traits.shape[1]
    qq, qy, yy = np.empty((v, k, k)), np.empty((v, k, t)), np.empty((v, t))
    for i, row in enumerate(variants):
        absent = np.isnan(dosages[row])
        q, y = basis[absent], traits[absent]
        qq[i], qy[i], yy[i] = q.T @ q, q.T @ y, (y * y).sum(axis=0)
    return qq, qy, yy
