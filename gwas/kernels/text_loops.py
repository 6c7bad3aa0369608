"""The inner loops of reading and writing tables of text: arrays in and out, nothing allocated, nothing raised.

They run as :class:`gwas.kernels.machine_code.MachineCode`; this module is imported only to compile them.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit

from gwas.kernels.elementary import bits, fast_exp

# powers of ten that a float64 holds exactly
_POWERS: Final = 10.0 ** np.arange(23)
_LN10: Final = 2.302585092994045684
_FAREST: Final = 300.0
_TAB: Final = np.uint8(9)
_NEWLINE: Final = np.uint8(10)
_RETURN: Final = np.uint8(13)
_SPACE: Final = np.uint8(32)
_ZERO: Final = np.uint8(48)
_POINT: Final = np.uint8(46)
_MINUS: Final = np.uint8(45)
_PLUS: Final = np.uint8(43)
_MOST_EXACT: Final = 2**53


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
    # the power of two gives that of ten or one less, which the loop mends
    power = int(np.floor(0.30102999566398 * ((bits(value) >> 52) - 1023)))
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
def _nine_digits(digits: int, out: Any) -> None:
    """The nine decimal digits of a whole number; no digit waits for another."""
    scale = 100_000_000
    for k in range(9):
        out[k] = _ZERO + np.uint8((digits // scale) % 10)
        scale //= 10


@njit
def _write_float(value: float, many: int, digit: Any, cell: Any, at: int) -> int:
    """Write one number from ``cell[at]``; gives where it ends, or -1 where it is not for this function."""
    if np.isnan(value):
        cell[at] = np.uint8(78)
        cell[at + 1] = np.uint8(65)
        return at + 2
    if value == 0.0 and not np.signbit(value):
        cell[at] = _ZERO
        return at + 1
    if not np.isfinite(value) or value == 0.0:
        return -1
    digits, power = _first_digits(abs(value), many)
    if digits < 0:
        return -1
    if value < 0.0:
        cell[at] = _MINUS
        at += 1
    for _ in range(many, 9):
        digits *= 10
    _nine_digits(digits, digit)
    shown = many
    while shown > 1 and digit[shown - 1] == _ZERO:
        shown -= 1
    if -4 <= power < 0:
        cell[at] = _ZERO
        cell[at + 1] = _POINT
        at += 2
        for _ in range(-power - 1):
            cell[at] = _ZERO
            at += 1
        # all nine, so that there is nothing to guess; what is too many is written over
        for k in range(9):
            cell[at + k] = digit[k]
        return at + shown
    before = power + 1 if 0 <= power < many else 1
    for k in range(before):
        cell[at + k] = digit[k] if k < shown else _ZERO
    at += before
    if shown > before:
        cell[at] = _POINT
        at += 1
        for k in range(before, 9):
            cell[at + k - before] = digit[k]
        at += shown - before
    if power < -4 or power >= many:
        cell[at] = np.uint8(101)
        cell[at + 1] = _MINUS if power < 0 else np.uint8(43)
        at += 2
        if abs(power) < 10:
            cell[at] = _ZERO
            at += 1
        at = _whole(abs(power), cell, at)
    return at


@njit
def write_floats(values: Any, many: int, digit: Any, out: Any, length: Any) -> None:
    """Write float64 (n,) with ``many`` (up to nine) significant digits, as C's ``%.9g``, into uint8 (n, 16).

    A nan is ``NA``. Infinities, minus zero and the few numbers whose last digit is in doubt are left with
    length -1. ``digit`` uint8 (9,) is room to work in.
    """
    for k in range(values.shape[0]):
        length[k] = _write_float(values[k], many, digit, out[k], 0)


@njit
def _copy(text: Any, first: int, many: int, out: Any, at: int) -> int:
    for byte in range(many):
        out[at + byte] = text[first + byte]
    return at + many


@njit
def _write_table(
    text: Any,
    start: Any,
    length: Any,
    values: Any,
    which: Any,
    many: Any,
    ending: Any,
    ending_start: Any,
    ending_length: Any,
    chosen: Any,
    between: int,
    digit: Any,
    out: Any,
) -> int:
    """The lines of one table; gives where they end, or -1 where a number is not for this function."""
    at = 0
    for k in range(start.shape[0]):
        at = _copy(text, start[k], length[k], out, at)
        out[at] = between
        at += 1
        for c in range(which.shape[0]):
            value = values[which[c], k]
            if many[c] < 0:
                # nan stays nan
                if value > _FAREST or value < 0.0:
                    return -1
                value = fast_exp(-_LN10 * value)
            at = _write_float(value, abs(many[c]), digit, out, at)
            if at < 0:
                return -1
            out[at] = between
            at += 1
        code = np.int64(chosen[k])
        at = _copy(ending, ending_start[code], ending_length[code], out, at)
        out[at] = _NEWLINE
        at += 1
    return at


@njit
def write_lines(
    text: Any,
    start: Any,
    length: Any,
    values: Any,
    which: Any,
    many: Any,
    ending: Any,
    ending_start: Any,
    ending_length: Any,
    chosen: Any,
    between: int,
    digit: Any,
    out: Any,
    end: Any,
) -> None:
    """Write tables of lines of a cell, numbers and one of a few last cells.

    ``values`` float64 (tables, columns, n), of which ``which`` int64 (numbers,) are written with ``many`` int64
    (numbers,) digits; a negative number of them says that the column holds -log10 of what is to be written.
    ``chosen`` uint8 (tables, n): last cells. ``out`` uint8 (tables, room). ``end`` int64 (tables,): where each table
    ends, or -1 where a number is not for this function.
    """
    for table in range(values.shape[0]):
        end[table] = _write_table(
            text,
            start,
            length,
            values[table],
            which,
            many,
            ending,
            ending_start,
            ending_length,
            chosen[table],
            between,
            digit,
            out[table],
        )


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
def _read_float(text: Any, at: int, end: int) -> tuple[float, int]:
    """Read a number; 1 behind it where there is none, or where its nearest float64 takes more than one rounding.

    Up to 2^53 of digits and a power of ten up to 22 are both exact, and so their product or quotient is rounded once.
    """
    sign = 1.0
    if at < end and (text[at] == _MINUS or text[at] == _PLUS):
        sign = -1.0 if text[at] == _MINUS else 1.0
        at += 1
    digits = np.int64(0)
    power = np.int64(0)
    many = 0
    behind = False
    while at < end:
        digit = np.int64(text[at]) - 48
        if 0 <= digit <= 9:
            if digits > _MOST_EXACT // 10:
                return 0.0, 1
            digits = 10 * digits + digit
            many += 1
            if behind:
                power -= 1
        elif text[at] == _POINT and not behind:
            behind = True
        else:
            break
        at += 1
    if many == 0:
        return 0.0, 1
    if at < end:
        if text[at] | 32 != 101 or at + 1 == end:
            return 0.0, 1
        at += 1
        below = text[at] == _MINUS
        if below or text[at] == _PLUS:
            at += 1
        if at == end or end - at > 4:
            return 0.0, 1
        exponent = np.int64(0)
        while at < end:
            digit = np.int64(text[at]) - 48
            if digit < 0 or digit > 9:
                return 0.0, 1
            exponent = 10 * exponent + digit
            at += 1
        power += -exponent if below else exponent
    if digits > _MOST_EXACT or power < -22 or power > 22:
        return 0.0, 1
    value = np.float64(digits)
    return sign * (value / _POWERS[-power] if power < 0 else value * _POWERS[power]), 0


@njit
def read_floats(text: Any, start: Any, length: Any, out: Any, unread: Any) -> None:
    """Read numbers into float64 (n,); ``unread`` uint8 (n,) marks the cells that are left to somebody else."""
    for k in range(start.shape[0]):
        value, other = _read_float(text, start[k], start[k] + length[k])
        out[k] = value
        unread[k] = other


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
