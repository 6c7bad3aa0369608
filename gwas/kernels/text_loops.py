"""The inner loops of reading and writing tables of text: arrays in and out, nothing allocated, nothing raised.

They run as :class:`gwas.kernels.machine_code.MachineCode`; this module is imported only to compile them.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

# powers of ten that a float64 holds exactly
_POWERS: Final = 10.0 ** np.arange(23)
_TAB: Final = np.uint8(9)
_NEWLINE: Final = np.uint8(10)
_RETURN: Final = np.uint8(13)
_SPACE: Final = np.uint8(32)
_ZERO: Final = np.uint8(48)
_POINT: Final = np.uint8(46)
_MINUS: Final = np.uint8(45)


@njit
def _whole(value: int, out: Any, at: int) -> int:
    """Write a whole number not below zero from ``out[at]``; gives where it ends."""
    width = 1
    left = value
    while left >= 10:
        left //= 10
        width += 1
    for k in range(width - 1, -1, -1):
        out[at + k] = _ZERO + np.uint8(value % 10)
        value //= 10
    return at + width


@njit
def write_integers(values: Any, out: Any, length: Any) -> None:
    """Write int64 (n,) as text into uint8 (n, 20); the least int64 has no positive counterpart and is refused
    with length -1."""
    for k in range(values.shape[0]):
        value = values[k]
        at = 0
        if value < 0:
            value = -value
            out[k, 0] = _MINUS
            at = 1
        length[k] = _whole(value, out[k], at) if value >= 0 else -1


@njit
def _first_digits(value: float, many: int) -> tuple[int, int]:
    """The first digits of a positive number, rounded, and the power of ten of the first.

    The product with an exact power of ten is off by half a unit in the last place at most; where that could
    change the rounding, or where the power is not exact, the digits are -1.
    """
    power = int(np.floor(np.log10(value)))
    least, beyond = _POWERS[many - 1], _POWERS[many]
    scaled = 0.0
    for _ in range(3):
        shift = many - 1 - power
        if shift > 22 or shift < -22:
            return -1, 0
        scaled = value * _POWERS[shift] if shift >= 0 else value / _POWERS[-shift]
        if scaled < least:
            power -= 1
        elif scaled >= beyond:
            power += 1
        else:
            break
    part = scaled - np.floor(scaled)
    if abs(part - 0.5) < 1e-6 or scaled < least or scaled >= beyond:
        return -1, 0
    digits = int(np.floor(scaled + 0.5))
    if digits == int(beyond):
        return int(least), power + 1
    return digits, power


@njit
def write_floats(values: Any, many: int, out: Any, length: Any) -> None:
    """Write float64 (n,) with ``many`` (up to nine) significant digits, as C's ``%.9g``, into uint8 (n, 16).

    A nan is ``NA``. Infinities, minus zero and the few numbers whose last digit is in doubt are left with
    length -1.
    """
    for k in range(values.shape[0]):
        value = values[k]
        length[k] = -1
        if np.isnan(value):
            out[k, 0] = np.uint8(78)
            out[k, 1] = np.uint8(65)
            length[k] = 2
            continue
        if value == 0.0 and not np.signbit(value):
            out[k, 0] = _ZERO
            length[k] = 1
            continue
        if not np.isfinite(value) or value == 0.0:
            continue
        digits, power = _first_digits(abs(value), many)
        if digits < 0:
            continue
        cell = out[k]
        at = 0
        if value < 0.0:
            cell[0] = _MINUS
            at = 1
        shown = many
        while digits % 10 == 0 and shown > 1:
            digits //= 10
            shown -= 1
        if -4 <= power < 0:
            cell[at] = _ZERO
            cell[at + 1] = _POINT
            at += 2
            for _ in range(-power - 1):
                cell[at] = _ZERO
                at += 1
            length[k] = _whole(digits, cell, at)
            continue
        before = power + 1 if 0 <= power < many else 1
        if shown <= before:
            at = _whole(digits, cell, at)
            for _ in range(before - shown):
                cell[at] = _ZERO
                at += 1
        else:
            # the point goes between two digits: write one place to the right, then move the first ones back
            end = _whole(digits, cell, at + 1)
            for _ in range(before):
                cell[at] = cell[at + 1]
                at += 1
            cell[at] = _POINT
            at = end
        if power < -4 or power >= many:
            cell[at] = np.uint8(101)
            cell[at + 1] = _MINUS if power < 0 else np.uint8(43)
            at += 2
            if abs(power) < 10:
                cell[at] = _ZERO
                at += 1
            at = _whole(abs(power), cell, at)
        length[k] = at


@njit
def place(text: Any, start: Any, length: Any, at: Any, after: int, out: Any) -> None:
    """Copy each cell to its place in ``out`` and put the byte ``after`` behind it; the places move on."""
    for k in range(start.shape[0]):
        to = at[k]
        first = start[k]
        for byte in range(length[k]):
            out[to + byte] = text[first + byte]
        out[to + length[k]] = np.uint8(after)
        at[k] = to + length[k] + 1


@njit
def split_lines(text: Any, start: Any, length: Any, result: Any) -> None:
    """Find the fields of lines, parted by spaces and tabs.

    ``start`` and ``length`` are int64 (lines, fields); ``result`` is int64 (1,): how many lines were found, or -1
    where a line has another number of fields, is blank, or holds a byte that is no plain text.
    """
    fields = start.shape[1]
    row = 0
    column = 0
    inside = False
    result[0] = -1
    n = text.shape[0]
    for k in range(n + 1):
        byte = text[k] if k < n else _NEWLINE
        if byte > _SPACE:
            if not inside:
                if column == fields or row == start.shape[0]:
                    return
                start[row, column] = k
                inside = True
            continue
        if inside:
            length[row, column] = k - start[row, column]
            column += 1
            inside = False
        if byte == _NEWLINE:
            if column != fields:
                # the last line may end without a newline, and then there is nothing behind it
                if k == n and column == 0 and (n == 0 or text[n - 1] == _NEWLINE):
                    break
                return
            row += 1
            column = 0
        elif byte == _RETURN:
            if k + 1 >= n or text[k + 1] != _NEWLINE:
                return
        elif byte != _SPACE and byte != _TAB:
            return
    result[0] = row


@njit
def read_integers(text: Any, start: Any, length: Any, out: Any, bad: Any) -> None:
    """Read whole numbers of at most fifteen digits into int64 (n,); ``bad`` int64 (1,) counts what is not one."""
    bad[0] = 0
    for k in range(start.shape[0]):
        at, end = start[k], start[k] + length[k]
        negative = text[at] == _MINUS
        if negative:
            at += 1
        value = np.int64(0)
        if at == end or end - at > 15:
            bad[0] += 1
        for byte in range(at, end):
            digit = np.int64(text[byte]) - 48
            if digit < 0 or digit > 9:
                bad[0] += 1
                break
            value = 10 * value + digit
        out[k] = -value if negative else value


@njit
def run_starts(text: Any, start: Any, length: Any, new: Any) -> None:
    """Mark in uint8 (n,) the cells that differ from the one before."""
    for k in range(start.shape[0]):
        same = k > 0 and length[k] == length[k - 1]
        if same:
            for byte in range(length[k]):
                if text[start[k] + byte] != text[start[k - 1] + byte]:
                    same = False
                    break
        new[k] = 0 if same else 1
