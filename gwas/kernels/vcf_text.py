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
    called_code,
    dosage_in_range,
    expected_dosage,
)

_TAB: Final = 9
_COLON: Final = 58
_COMMA: Final = 44
_DOT: Final = 46
_SLASH: Final = 47
_BAR: Final = 124
_LONGEST: Final = 19
_CODE: Final = np.array([3, 2, 0], dtype=np.uint8)


@njit(cache=True, nogil=True)
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
    rows = (data, begins, ends, layouts, alleles, n_alts, n_samples)
    if threshold is None:
        dosages = np.empty((len(begins), n_samples), dtype=np.float32)
        _dosages(*rows, dosages, status)
        return dosages, status
    packed = np.zeros((len(begins), (n_samples + 3) // 4), dtype=np.uint8)
    _hard_calls(*rows, np.float32(threshold), packed, status)
    return packed, status


@njit(cache=True, nogil=True)
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
) -> None:
    scratch = np.empty(64, dtype=np.float64)
    for row in range(len(begins)):
        allele, n_alt, layout = alleles[row], n_alts[row], layouts[row]
        wanted = (n_alt + 1) * (n_alt + 2) // 2 + 1
        if len(scratch) < wanted:
            scratch = np.empty(wanted, dtype=np.float64)
        end = min(ends[row], len(data))
        at = _samples_at(data, begins[row], end)
        failed, calls_alone = OK, layout[0] == 0 and layout[3] == 1
        for sample in range(n_samples):
            if calls_alone and at + 4 <= end:
                copies = _plain(data, at, end, allele, n_alt)
                if copies >= 0:
                    out[row, sample] = copies
                    at += 4
                    continue
            if at >= end or data[at] != _TAB:
                failed = FIELDS
                break
            failed, at, copies, _, dosage, given = _sample(
                data, at + 1, end, layout, allele, n_alt, True, scratch
            )
            if failed != OK:
                break
            if given:
                out[row, sample] = dosage
            elif copies >= 0:
                out[row, sample] = copies
            else:
                out[row, sample] = np.nan
        status[row] = failed if failed != OK or at == end else FIELDS


@njit(cache=True, nogil=True)
def _hard_calls(
    data: Any,
    begins: Any,
    ends: Any,
    layouts: Any,
    alleles: Any,
    n_alts: Any,
    n_samples: Any,
    threshold: Any,
    packed: Any,
    status: Any,
) -> None:
    scratch = np.empty(64, dtype=np.float64)
    for row in range(len(begins)):
        allele, n_alt, layout = alleles[row], n_alts[row], layouts[row]
        from_dosage = layout[0] < 0
        wanted = (n_alt + 1) * (n_alt + 2) // 2 + 1
        if len(scratch) < wanted:
            scratch = np.empty(wanted, dtype=np.float64)
        end = min(ends[row], len(data))
        at = _samples_at(data, begins[row], end)
        failed, calls_alone = OK, layout[0] == 0 and layout[3] == 1
        for sample in range(n_samples):
            if calls_alone and at + 4 <= end:
                copies = _plain(data, at, end, allele, n_alt)
                if copies >= 0:
                    packed[row, sample >> 2] |= np.uint8(_CODE[copies] << (2 * (sample & 3)))
                    at += 4
                    continue
            if at >= end or data[at] != _TAB:
                failed = FIELDS
                break
            failed, at, copies, _, dosage, given = _sample(
                data, at + 1, end, layout, allele, n_alt, from_dosage, scratch
            )
            if failed != OK:
                break
            if from_dosage:
                code = called_code(dosage, threshold) if given else np.uint8(1)
            elif copies < 0:
                code = np.uint8(1)
            else:
                code = _CODE[copies]
            packed[row, sample >> 2] |= code << np.uint8(2 * (sample & 3))
        status[row] = failed if failed != OK or at == end else FIELDS


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
def _sample(
    data: Any, at: Any, end: Any, layout: Any, allele: Any, n_alt: Any, dosages: Any, scratch: Any
) -> Any:
    """Read one sample: status, where it ends, ALT copies (-1: missing), ploidy, dosage, is it given."""
    copies, ploidy = -1, 0
    ds, has_ds = 0.0, False
    gp, has_gp = 0.0, False
    status, field = OK, 0
    while True:
        if field == layout[0]:
            status, at, copies, ploidy = _genotype(data, at, end, allele, n_alt)
        elif dosages and field == layout[1]:
            status, at, count = _numbers(data, at, end, scratch)
            if status == OK and count != max(n_alt, 1) and not (count == 1 and np.isnan(scratch[0])):
                status = NUMBER
            if status == OK and not np.isnan(scratch[0 if count == 1 else allele - 1]):
                ds, has_ds = scratch[0 if count == 1 else allele - 1], True
        elif dosages and field == layout[2]:
            status, at, count = _numbers(data, at, end, scratch)
            if status == OK:
                status, gp, has_gp = expected_dosage(scratch, count, n_alt, allele)
        else:
            while at < end and data[at] != _COLON and data[at] != _TAB:
                at += 1
        if status != OK or at >= end or data[at] == _TAB:
            break
        at += 1
        field += 1
        if field >= layout[3]:
            status = FIELDS
            break
    if status == OK and has_ds:
        status, ds = dosage_in_range(ds, ploidy)
        return status, at, copies, ploidy, np.float32(ds), True
    return status, at, copies, ploidy, np.float32(gp), has_gp


@njit(cache=True, nogil=True)
def _genotype(data: Any, at: Any, end: Any, allele: Any, n_alt: Any) -> Any:
    """Read a GT: status, its end, copies of ``allele`` on the scale of 0 to 2 (-1: missing), ploidy."""
    if at + 3 <= end and (at + 3 == end or data[at + 3] == _TAB or data[at + 3] == _COLON):
        first, second = np.int64(data[at]) - 48, np.int64(data[at + 2]) - 48
        between = data[at + 1]
        simple = 0 <= first <= 9 and 0 <= second <= 9 and between in (_SLASH, _BAR)
        if simple and first <= n_alt and second <= n_alt:
            return OK, at + 3, np.int64(first == allele) + np.int64(second == allele), 2
    copies, ploidy, missing = 0, 0, False
    # from version 4.4 on a call may begin with the phase of its first allele
    if at < end and (data[at] == _SLASH or data[at] == _BAR):
        at += 1
    while True:
        if at < end and data[at] == _DOT:
            missing = True
            at += 1
        else:
            number, digits = 0, 0
            while at < end and digits < 9 and 48 <= data[at] <= 57:
                number = number * 10 + int(data[at]) - 48
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


@njit(cache=True, nogil=True)
def _numbers(data: Any, at: Any, end: Any, out: Any) -> Any:
    """Read numbers between commas: status, where they end, how many; those past ``out`` fail."""
    count = 0
    while True:
        if count >= len(out):
            return NUMBER, at, count
        status, at, value = _number(data, at, end)
        if status != OK:
            return status, at, count
        out[count] = value
        count += 1
        if at >= end or data[at] != _COMMA:
            return OK, at, count
        at += 1


@njit(cache=True, nogil=True)
def _number(data: Any, at: Any, end: Any) -> Any:
    """Read a decimal number, ``.`` or ``nan``: status, where it ends, value (NaN if missing)."""
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
    mantissa, digits, power, seen, point = 0, 0, 0, False, False
    while here < at and (48 <= data[here] <= 57 or (data[here] == _DOT and not point)):
        if data[here] == _DOT:
            point = True
        else:
            seen = True
            if digits < _LONGEST - 1:
                mantissa = mantissa * 10 + int(data[here]) - 48
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
        exponent, seen = 0, False
        while here < at and 48 <= data[here] <= 57:
            exponent = min(exponent * 10 + int(data[here]) - 48, 9999)
            seen = True
            here += 1
        power += -exponent if minus else exponent
    if not seen or here != at:
        return NUMBER, at, np.nan
    value = np.float64(mantissa)
    # one division by an exact power of ten rounds once, as reading the decimal would
    if -22 <= power < 0:
        value = value / 10.0 ** np.float64(-power)
    elif power != 0:
        value = value * 10.0 ** np.float64(max(min(power, 400), -400))
    return OK, at, -value if negative else value
