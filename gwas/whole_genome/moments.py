"""First pass: how neighbouring variants go together, and how much of each trait all of them explain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from gwas.kernels import shrinkage_tiles as kernel
from gwas.whole_genome.panel import Panel
from gwas.whole_genome.response import Response

F32 = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

PROBES: Final = 6
EXPECTED: Final = 0.2
LEAST: Final = 0.01
MOST: Final = 0.8


def first_pass(
    panel: Panel, responses: Sequence[Response], signs: npt.NDArray[np.int8]
) -> tuple[list[F32], Floats]:
    """Grams of the blocks, and heritabilities by Haseman-Elston regression.

    Parameters
    ----------
    panel
        The variants.
    responses
        The traits.
    signs
        int8 (people, PROBES): random signs, for the trace of the squared relationship matrix.

    Returns
    -------
    (list of float32 (b, b), float64 (traits,))
        Mean products of each block's variants; variance explained by all variants, as part of the variance
        of the (working) residual.

    Notes
    -----
    With K the relationship matrix of the trait's people beside the covariates, h² solves
    y'Ky - tr K y'y/n = h² (tr K² - (tr K)²/n) (Haseman-Elston in its moment form; traces by random vectors as
    in Wu and Sankararaman 2018, Bioinformatics 34:i187). It is drawn towards 0.2 as far as its standard error
    is large, and kept within 0.01 and 0.8.
    """
    rows, stride = 4 * panel.width, 1 + PROBES
    right = np.zeros((rows, stride * len(responses)), np.float32)
    squares = np.empty(len(responses))
    for t, response in enumerate(responses):
        score, weight = response.work(response.start, slice(None))
        outcome = score / np.sqrt(weight.mean())
        both = _beside(response.covariates, np.column_stack([outcome, signs[response.people]]))
        squares[t] = both[:, 0] @ both[:, 0]
        right[response.people, t * stride : (t + 1) * stride] = both
    grams: list[F32] = []
    spread, back = np.zeros(right.shape[1]), np.zeros_like(right)
    tiles, ones = kernel.tiles_of(panel.width), np.ones_like(right)
    for _, first, last, packed in panel.passes():
        values, b = panel.values[first:last], last - first
        parts = np.empty((tiles, b, right.shape[1]), np.float32)
        squared = np.empty((tiles, b, b), np.float32)
        kernel.scores_and_gram(packed, values, right, parts, squared)
        grams.append((squared.sum(axis=0, dtype=np.float64) / panel.n).astype(np.float32))
        score = parts.sum(axis=0)
        spread += (score.astype(np.float64) ** 2).sum(axis=0)
        kernel.take_away(packed, values, -score, ones, back)
    return grams, np.array(
        [
            _heritability(response, spread[c : c + stride], back[:, c : c + stride], squares[t], panel.m)
            for t, response in enumerate(responses)
            for c in (t * stride,)
        ]
    )


def _heritability(response: Response, spread: Floats, back: F32, squares: float, m: int) -> float:
    n = len(response.people)
    of_traces = _beside(response.covariates, back[response.people, 1:].astype(np.float64)) / m
    trace, trace_of_square = float(spread[1:].mean()) / m, float((of_traces**2).sum(axis=0).mean())
    freedom = trace_of_square - trace**2 / n
    if not freedom > 0:
        return EXPECTED
    found = (spread[0] / m - trace * squares / n) / freedom * (n / squares)
    precision, expected = freedom / 2.0, 1.0 / EXPECTED**2
    drawn = (found * precision + EXPECTED * expected) / (precision + expected)
    return float(np.clip(drawn, LEAST, MOST))


def _beside(covariates: Floats, values: Floats) -> Floats:
    return values - covariates @ (covariates.T @ values)
