"""Probability data of BGEN files into dosages and packed calls.

Method: the BGEN 1.2 specification (https://www.chg.ox.ac.uk/~gav/bgen_format/spec/v1.2.html). A probability
is an integer of ``bits`` bits over ``2**bits - 1``. Of each distribution the last probability is left out: it
is one less the others. Unphased genotypes are in colexicographic order (00, 01, 11, 02, 12, 22, ...), phased
ones one distribution over the alleles a haplotype. The dosage of an allele is the sum over genotypes of its
copies times the probability: whole numbers until one division in float64, then rounded to float32.

Nothing is read before the length of the data was compared with what its own header asks for.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from numba import njit

from gwas.kernels.dosages import call_code, call_limit

FAULTS: Final[tuple[str, ...]] = (
    "",
    "probability data are shorter than their header",
    "probability data are for another number of samples",
    "probability data are for another number of alleles",
    "a ploidy is outside the declared range",
    "a sample's ploidy is not 1 or 2",
    "the phased flag is neither 0 nor 1",
    "the number of bits is not 1 to 32",
    "probability data have the wrong length",
    "probabilities sum to more than 1",
)
"""What a status other than 0 means."""

_MISSING: Final = 0x80
_PLOIDY: Final = 0x3F


def decode(
    data: npt.NDArray[np.uint8], alts: npt.NDArray[np.int64], out: npt.NDArray[np.float32], n_alleles: int
) -> int:
    """Decode the uncompressed probability data of one variant (layout 2, BGEN 1.2 and 1.3).

    Parameters
    ----------
    data
        uint8: the whole uncompressed block, from its number of samples on.
    alts
        int64 (a,): alleles to count, by their place in the variant from 0.
    out
        float32 (a, n_samples), written: copies of each allele from 0 to 2, NaN where missing. A haploid
        sample is on the scale of 0 to 2 too.
    n_alleles
        Alleles in the variant's identifying block.

    Returns
    -------
    int
        0, or an index of :data:`FAULTS`; then ``out`` means nothing.

    Examples
    --------
    >>> block = np.array([2, 0, 0, 0, 2, 0, 2, 2, 2, 130, 0, 8, 51, 204, 0, 0], dtype=np.uint8)
    >>> out = np.empty((1, 2), dtype=np.float32)
    >>> decode(block, np.array([1]), out, 2), out.tolist()
    (0, [[0.800000011920929, nan]])
    """
    view = data.view()
    view.flags.writeable = False
    return int(_decode(view, alts, out, n_alleles))


@njit(cache=True, nogil=True)
def _decode(data: Any, alts: Any, out: Any, n_alleles: Any) -> Any:
    n = out.shape[1]
    if data.size < 10 + n:
        return 1
    if _number(data, 0, 4) != n:
        return 2
    if _number(data, 4, 2) != n_alleles:
        return 3
    lowest, highest = data[6], data[7]
    states = data[8 : 8 + n]
    phased, bits = data[8 + n], np.int64(data[9 + n])
    haploid = np.int64(0)
    for sample in range(n):
        ploidy = states[sample] & _PLOIDY
        if ploidy < lowest or ploidy > highest:
            return 4
        if ploidy != 1 and ploidy != 2:
            return 5
        haploid += np.int64(ploidy == 1)
    if phased > 1:
        return 6
    if bits < 1 or bits > 32:
        return 7
    of_haploid = n_alleles - 1
    of_diploid = 2 * of_haploid if phased else n_alleles * (n_alleles + 1) // 2 - 1
    total = (haploid * of_haploid + (n - haploid) * of_diploid) * bits
    values = data[10 + n :]
    if values.size != (total + 7) // 8:
        return 8
    if n_alleles == 2 and haploid == 0 and alts.size == 1:
        if bits == 8:
            return _pairs8(values, states, phased, alts[0] == 0, out[0])
        if bits == 16:
            return _pairs16(values, states, phased, alts[0] == 0, out[0])
    return _any(values, states, phased, bits, n_alleles, alts, out)


@njit(cache=True, nogil=True)
def _number(data: Any, at: Any, width: Any) -> Any:
    value = np.int64(0)
    for byte in range(width):
        value |= np.int64(data[at + byte]) << np.int64(8 * byte)
    return value


@njit(cache=True, nogil=True)
def _pairs8(values: Any, states: Any, phased: Any, of_first: Any, out: Any) -> Any:
    """Two alleles, two copies, eight bits: what a biobank's files hold."""
    weight = np.int32(1) if phased else np.int32(2)
    largest = np.int32(0)
    for sample in range(out.size):
        first, second = np.int32(values[2 * sample]), np.int32(values[2 * sample + 1])
        missing = states[sample] >= _MISSING
        largest = max(largest, np.int32(0) if missing else first + second)
        of_this = weight * first + second if of_first else np.int32(510) - weight * first - second
        dosage = np.float32(np.float64(of_this) / 255.0)
        out[sample] = np.float32(np.nan) if missing else dosage
    return 9 if largest > 255 and not phased else 0


@njit(cache=True, nogil=True)
def _pairs16(values: Any, states: Any, phased: Any, of_first: Any, out: Any) -> Any:
    weight = np.int32(1) if phased else np.int32(2)
    largest = np.int32(0)
    for sample in range(out.size):
        at = 4 * sample
        first = np.int32(values[at]) | np.int32(values[at + 1]) << np.int32(8)
        second = np.int32(values[at + 2]) | np.int32(values[at + 3]) << np.int32(8)
        missing = states[sample] >= _MISSING
        largest = max(largest, np.int32(0) if missing else first + second)
        of_this = weight * first + second if of_first else np.int32(131070) - weight * first - second
        dosage = np.float32(np.float64(of_this) / 65535.0)
        out[sample] = np.float32(np.nan) if missing else dosage
    return 9 if largest > 65535 and not phased else 0


@njit(cache=True, nogil=True)
def _bits_at(values: Any, at: Any, bits: Any) -> Any:
    """The ``bits``-bit number that starts at bit ``at``, lowest bits first; bytes past the end count as 0."""
    first = at >> 3
    number = np.int64(0)
    for byte in range(((at & 7) + bits + 7) >> 3):
        if first + byte < values.size:
            number |= np.int64(values[first + byte]) << np.int64(8 * byte)
    return (number >> (at & 7)) & ((np.int64(1) << bits) - 1)


@njit(cache=True, nogil=True)
def _any(values: Any, states: Any, phased: Any, bits: Any, n_alleles: Any, alts: Any, out: Any) -> Any:
    """Every number of bits, any number of alleles, one or two copies a sample."""
    top = (np.int64(1) << bits) - 1
    # one more than there are alleles: a variant of a single allele has an ALT without copies
    copies = np.zeros(n_alleles + 1, dtype=np.int64)
    at = np.int64(0)
    for sample in range(out.shape[1]):
        ploidy = np.int64(states[sample] & _PLOIDY)
        missing = states[sample] >= _MISSING
        copies[:] = 0
        good = True
        if phased or ploidy == 1:
            for _ in range(ploidy):
                at, fits = _one_copy(values, at, bits, n_alleles, 2 // ploidy, copies)
                good &= fits
        else:
            left = top
            for high in range(n_alleles):
                for low in range(high + 1):
                    if low == n_alleles - 1:
                        part = left
                    else:
                        part = _bits_at(values, at, bits)
                        at += bits
                        left -= part
                    copies[low] += part
                    copies[high] += part
            good = left >= 0
        if not (good or missing):
            return 9
        for row in range(alts.size):
            share = np.float32(np.float64(copies[alts[row]]) / np.float64(top))
            out[row, sample] = np.float32(np.nan) if missing else share
    return 0


@njit(cache=True, nogil=True)
def _one_copy(values: Any, at: Any, bits: Any, n_alleles: Any, weight: Any, copies: Any) -> Any:
    left = (np.int64(1) << bits) - 1
    for allele in range(n_alleles - 1):
        part = _bits_at(values, at, bits)
        at += bits
        left -= part
        copies[allele] += weight * part
    copies[n_alleles - 1] += weight * left
    return at, left >= 0


def decode_layout1(data: npt.NDArray[np.uint8], out: npt.NDArray[np.float32]) -> int:
    """Decode the uncompressed probability data of one variant of layout 1 (BGEN 1.1).

    Parameters
    ----------
    data
        uint8 (6 * n_samples,): three 16-bit probabilities a sample, over 32768; all zero is missing.
    out
        float32 (1, n_samples), written: copies of the second allele, NaN where missing. The three were
        rounded one by one, so they are divided by their sum.

    Returns
    -------
    int
        0, or an index of :data:`FAULTS`.

    Examples
    --------
    >>> out = np.empty((1, 2), dtype=np.float32)
    >>> decode_layout1(np.array([0, 0, 0, 64, 0, 64, 0, 0, 0, 0, 0, 0], dtype=np.uint8), out), out.tolist()
    (0, [[1.5, nan]])
    """
    view = data.view()
    view.flags.writeable = False
    return int(_decode_layout1(view, out))


@njit(cache=True, nogil=True)
def _decode_layout1(data: Any, out: Any) -> Any:
    if data.size != 6 * out.shape[1]:
        return 8
    for sample in range(out.shape[1]):
        at = 6 * sample
        none, one, two = _number(data, at, 2), _number(data, at + 2, 2), _number(data, at + 4, 2)
        total = none + one + two
        # each of the three may be half a unit too large
        if total > 32768 + 1:
            return 9
        share = np.float32(np.float64(one + 2 * two) / np.float64(max(total, 1)))
        out[0, sample] = np.float32(np.nan) if total == 0 else share
    return 0


def pack_calls(
    dosages: npt.NDArray[np.float32], threshold: float, out: npt.NDArray[np.uint8]
) -> npt.NDArray[np.uint8]:
    """Call the genotypes of a few variants; the rule of :func:`gwas.kernels.dosages.to_packed`.

    In one thread, so that decoders which run beside each other can use it.

    Parameters
    ----------
    dosages
        float32 (a, n): copies of ALT, NaN where missing.
    threshold
        Largest distance from a whole number.
    out
        uint8 (a, ceil(n / 4)), written: PLINK 1 two-bit codes; padding bits are zero.

    Examples
    --------
    >>> pack_calls(np.array([[2.0, np.nan, 0.95, 0.3]], dtype=np.float32), 0.1, np.empty((1, 1), np.uint8))
    array([[100]], dtype=uint8)
    """
    _pack_calls(dosages, call_limit(threshold), out)
    return out


@njit(cache=True, nogil=True)
def _pack_calls(dosages: Any, limit: Any, out: Any) -> None:
    n = dosages.shape[1]
    for row in range(dosages.shape[0]):
        for place in range(n >> 2):
            byte = np.uint8(0)
            for part in range(4):
                byte |= call_code(dosages[row, 4 * place + part], limit) << np.uint8(2 * part)
            out[row, place] = byte
        if n & 3:
            byte = np.uint8(0)
            for sample in range(n & ~3, n):
                byte |= call_code(dosages[row, sample], limit) << np.uint8(2 * (sample & 3))
            out[row, n >> 2] = byte
