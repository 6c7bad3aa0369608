"""Calls and dosages from the sample columns of VCF lines.

The bytes come from outside, so no byte is read before its offset was compared with the end of the line, every
loop advances, and whatever the grammar does not allow ends the line with a status.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from numba import njit

from gwas.kernels.allele_values import (
    FIELDS,
    GENOTYPE,
    NUMBER,
    OK,
    PLOIDY,
    dosage_in_range,
    expected_dosage,
)
from gwas.kernels.dosages import to_packed

_TAB: Final = 9
_COLON: Final = 58
_COMMA: Final = 44
_DOT: Final = 46
_SLASH: Final = 47
_BAR: Final = 124
_LONGEST: Final = 19
_TEN: Final = 10.0 ** np.arange(23)
_CODE: Final = np.array([3, 2, 0], dtype=np.uint8)


@njit(cache=True, nogil=True, error_model="numpy")
def count_tabs(data: Any, begins: Any, ends: Any) -> Any:
    """Count tabs in stretches of bytes.

    Parameters
    ----------
    data
        uint8 (k,).
    begins, ends
        int64 (m,): half-open stretches of ``data``.

    Returns
    -------
    ndarray of int64 (m,)

    Examples
    --------
    >>> count_tabs(np.frombuffer(b"a\\tb\\tc", np.uint8), np.array([0]), np.array([4])).tolist()
    [2]
    """
    counts = np.zeros(len(begins), dtype=np.int64)
    for row in range(len(begins)):
        total = 0
        for at in range(max(begins[row], 0), min(ends[row], len(data))):
            total += data[at] == _TAB
        counts[row] = total
    return counts


def decode_lines(
    data: npt.NDArray[np.uint8],
    begins: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    layouts: npt.NDArray[np.int32],
    alleles: npt.NDArray[np.int32],
    n_alts: npt.NDArray[np.int32],
    n_samples: int,
    threshold: float | None,
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """Decode one ALT allele of each line, for all samples.

    Parameters
    ----------
    data
        uint8 (k,): lines of a VCF.
    begins, ends
        int64 (m,): the line of each row, half-open, without its end-of-line.
    layouts
        int32 (m, 4): place of GT, DS and GP in a sample's fields, or -1; and how many fields there are.
    alleles, n_alts
        int32 (m,): the ALT allele, from 1, and how many the record has.
    n_samples
        Samples in the file.
    threshold
        None for dosages. For hard calls, how near a whole number a dosage must be where there is no GT.

    Returns
    -------
    values
        Dosages as float32 (m, n_samples), NaN where missing; or hard calls as uint8
        (m, ceil(n_samples / 4)), PLINK 1 codes.
    status
        int64 (m,): see :data:`gwas.kernels.allele_values.REASONS`; a row with a status other than 0 has no
        meaning.

    Examples
    --------
    >>> line = np.frombuffer(b"1\\t5\\t.\\tA\\tC\\t.\\t.\\t.\\tGT:DS\\t0/1:0.9\\t1\\t./.", np.uint8)
    >>> rows = np.array([0]), np.array([len(line)]), np.array([[0, 1, -1, 2]], np.int32)
    >>> of_alt = np.array([1], np.int32), np.array([1], np.int32)
    >>> values, status = decode_lines(line, *rows, *of_alt, 3, None)
    >>> values.round(3).tolist(), status.tolist()
    ([[0.8999999761581421, 2.0, nan]], [0])
    """
    status = np.zeros(len(begins), dtype=np.int64)
    lines = (begins, ends, layouts, alleles, n_alts)
    if threshold is None:
        dosages = np.empty((len(begins), n_samples), dtype=np.float32)
        n_alleles = int(n_alts.max(initial=0)) + 1
        scratch = np.empty(n_alleles * (n_alleles + 1) // 2 + 1, dtype=np.float64)
        _dosages(data, *lines, n_samples, dosages, status, scratch)
        return dosages, status
    packed = np.zeros((len(begins), (n_samples + 3) // 4), dtype=np.uint8)
    called = layouts[:, 0] == 0
    if called.all():
        _hard_calls(data, *lines, n_samples, packed, status)
        return packed, status
    for rows, of_gt in ((called, threshold), (~called, None)):
        values, status[rows] = decode_lines(
            data, begins[rows], ends[rows], layouts[rows], alleles[rows], n_alts[rows], n_samples, of_gt
        )
        packed[rows] = values if of_gt is not None else to_packed(values, threshold)
    return packed, status


@njit(cache=True, nogil=True, error_model="numpy")
def _dosages(
    data: Any,
    begins: Any,
    ends: Any,
    layouts: Any,
    alleles: Any,
    n_alts: Any,
    n_samples: Any,
    out: Any,
    status: Any,
    scratch: Any,
) -> None:
    for row in range(len(begins)):
        allele, n_alt, has_gt = alleles[row], n_alts[row], layouts[row, 0] == 0
        ds, gp, last = layouts[row, 1], layouts[row, 2], layouts[row, 3] - 1
        end = min(ends[row], len(data))
        at = _samples_at(data, begins[row], end)
        failed = OK
        for sample in range(n_samples):
            if last == 0 and has_gt and at + 4 <= end:
                copies = _plain(data, at, end, allele, n_alt)
                if copies >= 0:
                    out[row, sample] = copies
                    at += 4
                    continue
            if at >= end or data[at] != _TAB:
                failed = FIELDS
                break
            failed, stop, ds_at, gp_at = _fields(data, at + 1, end, ds, gp, last)
            copies, ploidy = -1, 0
            if failed == OK and has_gt:
                failed, _, copies, ploidy = _genotype(data, at + 1, stop, allele, n_alt)
            # written out, because a call of a function that takes arrays costs more than reading a DS
            dosage = np.nan
            if failed == OK and ds_at >= 0:
                failed, comma, dosage = _number(data, ds_at, stop)
                if failed == OK and comma < stop and data[comma] == _COMMA:
                    failed, dosage = _one_of(data, ds_at, stop, allele, n_alt, scratch)
                elif failed == OK and n_alt > 1 and not np.isnan(dosage):
                    failed = NUMBER
                if failed == OK and not np.isnan(dosage):
                    failed, dosage = dosage_in_range(dosage, ploidy)
            if failed == OK and gp_at >= 0 and np.isnan(dosage):
                failed, dosage = _expected(data, gp_at, stop, allele, n_alt, scratch)
            if failed != OK:
                break
            at = stop
            if not np.isnan(dosage):
                out[row, sample] = dosage
            else:
                out[row, sample] = copies if copies >= 0 else np.nan
        status[row] = failed if failed != OK or at == end else FIELDS


@njit(cache=True, nogil=True, error_model="numpy")
def _hard_calls(
    data: Any,
    begins: Any,
    ends: Any,
    layouts: Any,
    alleles: Any,
    n_alts: Any,
    n_samples: Any,
    packed: Any,
    status: Any,
) -> None:
    for row in range(len(begins)):
        allele, n_alt, last = alleles[row], n_alts[row], layouts[row, 3] - 1
        end = min(ends[row], len(data))
        at = _samples_at(data, begins[row], end)
        failed = OK
        for sample in range(n_samples):
            code = np.uint8(1)
            if last == 0 and at + 4 <= end:
                copies = _plain(data, at, end, allele, n_alt)
                if copies >= 0:
                    packed[row, sample >> 2] |= np.uint8(_CODE[copies] << (2 * (sample & 3)))
                    at += 4
                    continue
            if at >= end or data[at] != _TAB:
                failed = FIELDS
                break
            failed, stop, _, _ = _fields(data, at + 1, end, -1, -1, last)
            if failed == OK:
                failed, _, copies, _ = _genotype(data, at + 1, stop, allele, n_alt)
                if copies >= 0:
                    code = _CODE[copies]
            if failed != OK:
                break
            at = stop
            packed[row, sample >> 2] |= np.uint8(code << (2 * (sample & 3)))
        status[row] = failed if failed != OK or at == end else FIELDS


@njit(cache=True, nogil=True, error_model="numpy")
def _samples_at(data: Any, begin: Any, end: Any) -> Any:
    """Offset of the tab before the first sample."""
    at, tabs = max(begin, 0), 0
    while at < end:
        if data[at] == _TAB:
            tabs += 1
            if tabs == 9:
                break
        at += 1
    return at


@njit(cache=True, nogil=True, error_model="numpy")
def _plain(data: Any, at: Any, end: Any, allele: Any, n_alt: Any) -> Any:
    """Copies in a sample of four bytes, a tab and a diploid call as ``0/1``; -1 if it is not so.

    The caller has checked that four bytes are there.
    """
    if data[at] != _TAB or (at + 4 < end and data[at + 4] != _TAB):
        return -1
    if data[at + 2] != _SLASH and data[at + 2] != _BAR:
        return -1
    first, second = np.int64(data[at + 1]) - 48, np.int64(data[at + 3]) - 48
    if not (0 <= first <= 9 and 0 <= second <= 9 and first <= n_alt and second <= n_alt):
        return -1
    return np.int64(first == allele) + np.int64(second == allele)


@njit(cache=True, nogil=True, error_model="numpy")
def _fields(data: Any, at: Any, end: Any, ds: Any, gp: Any, last: Any) -> Any:
    """Find the end of a sample that begins at ``at``, and its DS and GP: status, end, their offsets or -1."""
    field = 0
    ds_at, gp_at = (at if ds == 0 else -1), (at if gp == 0 else -1)
    while at < end and data[at] != _TAB:
        if data[at] == _COLON:
            field += 1
            if field == ds:
                ds_at = at + 1
            elif field == gp:
                gp_at = at + 1
        at += 1
    return (OK if field <= last else FIELDS), at, ds_at, gp_at


@njit(cache=True, nogil=True, error_model="numpy")
def _genotype(data: Any, at: Any, end: Any, allele: Any, n_alt: Any) -> Any:
    """Read a GT: status, its end, copies of ``allele`` on the scale of 0 to 2 (-1: missing), ploidy."""
    if at + 3 <= end and (at + 3 == end or data[at + 3] == _TAB or data[at + 3] == _COLON):
        first, second = np.int64(data[at]) - 48, np.int64(data[at + 2]) - 48
        between = data[at + 1]
        simple = 0 <= first <= 9 and 0 <= second <= 9 and between in (_SLASH, _BAR)
        if simple and first <= n_alt and second <= n_alt:
            return OK, at + 3, np.int64(first == allele) + np.int64(second == allele), 2
    copies, ploidy, missing = 0, 0, False
    number: Any = 0
    # from version 4.4 on a call may begin with the phase of its first allele
    if at < end and (data[at] == _SLASH or data[at] == _BAR):
        at += 1
    while True:
        if at < end and data[at] == _DOT:
            missing = True
            at += 1
        else:
            number = digits = 0
            while at < end and digits < 9 and 48 <= data[at] <= 57:
                number = number * 10 + np.int64(data[at]) - 48
                digits += 1
                at += 1
            if digits == 0 or number > n_alt:
                return GENOTYPE, at, -1, 0
            copies += int(number == allele)
        ploidy += 1
        if at >= end or data[at] == _TAB or data[at] == _COLON:
            break
        if data[at] != _SLASH and data[at] != _BAR:
            return GENOTYPE, at, -1, 0
        if ploidy == 2:
            return PLOIDY, at, -1, 0
        at += 1
    if missing:
        return OK, at, -1, ploidy
    return OK, at, copies * 2 // ploidy, ploidy


@njit(cache=True, nogil=True, error_model="numpy")
def _one_of(data: Any, at: Any, end: Any, allele: Any, n_alt: Any, scratch: Any) -> Any:
    """Read the DS of one of several alleles: status and value."""
    status, count = _numbers(data, at, end, scratch)
    if status == OK and count != n_alt:
        status = NUMBER
    return status, scratch[allele - 1]


@njit(cache=True, nogil=True, error_model="numpy")
def _expected(data: Any, at: Any, end: Any, allele: Any, n_alt: Any, scratch: Any) -> Any:
    """Read a GP: status and expected dosage, NaN if it is missing."""
    status, count = _numbers(data, at, end, scratch)
    if status != OK:
        return status, np.nan
    status, value, given = expected_dosage(scratch, count, n_alt, allele)
    return status, (value if given else np.nan)


@njit(cache=True, nogil=True, error_model="numpy")
def _numbers(data: Any, at: Any, end: Any, out: Any) -> Any:
    """Read numbers between commas up to the end of a field: status and how many; those past ``out`` fail."""
    count = 0
    while True:
        if count >= len(out):
            return NUMBER, count
        status, at, value = _number(data, at, end)
        if status != OK:
            return status, count
        out[count] = value
        count += 1
        if at >= end or data[at] != _COMMA:
            return OK, count
        at += 1


@njit(cache=True, nogil=True, error_model="numpy")
def _number(data: Any, at: Any, end: Any) -> Any:
    """Read a number: status, where it ends, value (NaN if missing)."""
    begin = at
    mantissa: Any = 0
    while at < end and 48 <= data[at] <= 57:
        mantissa = mantissa * 10 + np.int64(data[at]) - 48
        at += 1
    digits, decimals = at - begin, 0
    if at < end and data[at] == _DOT:
        at += 1
        while at < end and 48 <= data[at] <= 57:
            mantissa = mantissa * 10 + np.int64(data[at]) - 48
            decimals += 1
            at += 1
    ended = at >= end or data[at] == _COMMA or data[at] == _COLON or data[at] == _TAB
    # such numbers are exact, and one division by an exact power of ten rounds once
    if ended and 0 < digits + decimals <= 15:
        return OK, at, mantissa / _TEN[decimals]
    return _odd_number(data, begin, end)


@njit(cache=True, nogil=True, error_model="numpy")
def _odd_number(data: Any, at: Any, end: Any) -> Any:
    """Read any number, ``.`` or ``nan``, as :func:`_number`."""
    begin = at
    while at < end and data[at] != _COMMA and data[at] != _COLON and data[at] != _TAB:
        at += 1
    if at - begin == 1 and data[begin] == _DOT:
        return OK, at, np.nan
    if at - begin == 3 and (data[begin] | 32) == 110 and (data[begin + 1] | 32) == 97:
        return (OK if (data[begin + 2] | 32) == 110 else NUMBER), at, np.nan
    here, negative = begin, False
    if here < at and (data[here] == 45 or data[here] == 43):
        negative = data[here] == 45
        here += 1
    mantissa: Any = 0
    exponent: Any = 0
    digits, power, seen, point = 0, 0, False, False
    while here < at and (48 <= data[here] <= 57 or (data[here] == _DOT and not point)):
        if data[here] == _DOT:
            point = True
        else:
            seen = True
            if digits < _LONGEST - 1:
                mantissa = mantissa * 10 + np.int64(data[here]) - 48
                digits += mantissa > 0
                power -= point
            else:
                power += not point
        here += 1
    if here < at and seen and (data[here] | 32) == 101:
        here += 1
        minus = here < at and data[here] == 45
        if here < at and (data[here] == 45 or data[here] == 43):
            here += 1
        seen = False
        while here < at and 48 <= data[here] <= 57:
            exponent = min(exponent * 10 + np.int64(data[here]) - 48, 9999)
            seen = True
            here += 1
        power += -exponent if minus else exponent
    if not seen or here != at:
        return NUMBER, at, np.nan
    value = np.float64(mantissa)
    # one division by an exact power of ten rounds once, as reading the decimal would
    if -22 <= power < 0:
        value = value / _TEN[-power]
    elif power != 0 and mantissa != 0:
        value = value * 10.0 ** np.float64(max(min(power, 400), -400))
    return OK, at, -value if negative else value
