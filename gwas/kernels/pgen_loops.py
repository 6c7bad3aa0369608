"""Records of a PGEN one after another; see :mod:`gwas.kernels.pgen`, which runs them as machine code."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from gwas.kernels.pgen import LONG
from gwas.kernels.pgen_lists import count_code
from gwas.kernels.pgen_tracks import allele_track, dosage_tracks, main_track, phase_track


@njit
def _follows(told: Any, step: Any) -> Any:
    """Whether the next record is told by its differences from this one."""
    main = told[step, 0] & 7
    after = told[step + 1, 0] & 7 if step + 1 < told.shape[0] else np.int64(2)
    return (main < 2 or main > 3) and (after == 2 or after == 3)


@njit
def _calls(
    data: Any, at: Any, end: Any, told: Any, step: Any, n: Any, rows: Any, samples: Any, row: Any
) -> Any:
    """Calls of the asked allele of one record; the place behind them and their phases, or a fault."""
    kind, alts = told[step, 0], told[step, 3]
    base, main = rows[0], rows[1]
    target = row if alts == 1 else main
    at = main_track(data, at, end, kind & 7, n, base, samples, target)
    if at < 0:
        return at
    if _follows(told, step):
        for byte in range(base.shape[0]):
            base[byte] = target[byte]
    if told[step, 1] < 0:
        return end
    mixed = np.int64(0)
    if alts > 1:
        at, mixed = allele_track(data, at, end, kind, n, alts, told[step, 2], main, samples, row)
        if at < 0:
            return at
    elif kind & 0x10:
        mixed = count_code(row, n, 2)
    if kind & 0x10:
        at = phase_track(data, at, end, mixed)
    return at


@njit
def decode_calls(
    data: Any, spans: Any, told: Any, n: Any, rows: Any, samples: Any, out: Any, fault: Any
) -> None:
    """Write the calls of the asked records into uint8 (m, ceil(n / 4)); ``fault`` is the step and the fault."""
    for step in range(spans.shape[0]):
        end = spans[step, 1]
        row = out[told[step, 1]] if told[step, 1] >= 0 else rows[2]
        at = _calls(data, spans[step, 0], end, told, step, n, rows, samples, row)
        # what dosages follow is not looked at
        if at >= 0 and at != end and told[step, 0] & 0x60 == 0:
            at = np.int64(LONG)
        if at < 0:
            fault[0] = step
            fault[1] = at
            return


@njit
def decode_dosages(
    data: Any, spans: Any, told: Any, n: Any, rows: Any, samples: Any, values: Any, out: Any, fault: Any
) -> None:
    """Write the dosages of the asked records into float32 (m, n); ``values`` float32 (256, 4) are of bytes."""
    row = rows[2]
    for step in range(spans.shape[0]):
        end = spans[step, 1]
        at = _calls(data, spans[step, 0], end, told, step, n, rows, samples, row)
        if at >= 0 and told[step, 1] >= 0:
            dosages = out[told[step, 1]]
            _of_calls(row, n, values, dosages)
            if told[step, 0] & 0x60:
                at = dosage_tracks(data, at, end, told[step, 0], n, samples, dosages)
            if at >= 0 and at != end:
                at = np.int64(LONG)
        if at < 0:
            fault[0] = step
            fault[1] = at
            return


@njit
def _of_calls(row: Any, n: Any, values: Any, dosages: Any) -> None:
    for byte in range(n >> 2):
        for part in range(4):
            dosages[4 * byte + part] = values[row[byte], part]
    for sample in range(n & ~3, n):
        dosages[sample] = values[row[sample >> 2], sample & 3]
