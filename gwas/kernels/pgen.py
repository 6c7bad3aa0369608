"""Records of a PGEN file into packed calls and dosages.

Written from the specification of the format (https://github.com/chrchang/plink-ng/tree/master/pgen_spec). A
record begins with one of four calls a sample, which may be packed as they are, as two common calls and a list of
the others, as a list of differences from the record before it that is none (LD-compressed), or as a list of
samples that differ from one call. What other ALT alleles, phases and dosages there are follows.

Nothing is read before the end of the record was compared with what is to be read, and no sample is written that
the file does not have. A record that contradicts itself is refused; a changed one that does not is another record.

The loops run as :class:`gwas.kernels.machine_code.MachineCode`, without numba.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from gwas.kernels.machine_code import MachineCode

SHORT: Final = -1
PADDED: Final = -2
CATEGORIES: Final = -3
LIST: Final = -4
REPEATED: Final = -5
LONG: Final = -6
ALLELES: Final = -7
TOO_MANY: Final = -8
UNCALLED: Final = -9

FAULTS: Final[dict[int, str]] = {
    SHORT: "ends before what it holds does",
    PADDED: "has calls of more samples than there are",
    CATEGORIES: "names no two calls that could be the common ones",
    LIST: "has a list of samples that cannot be",
    REPEATED: "lists as different a call that is not",
    LONG: "goes on behind what it holds",
    ALLELES: "has calls of other ALT alleles that cannot be",
    TOO_MANY: "holds a dosage above 2",
    UNCALLED: "has a call where its dosage is missing",
}
"""What is wrong with a record, by the status that the loops give."""

_RECORDS: Final = ("uint8:1", "int64:2", "int64:2", "int64")
_PLACES: Final = ("int64:1", "int64:1")
_MAIN: Final = MachineCode("pgen_loops", "decode_main", *_RECORDS, "uint8:2", "int32:1", "uint8:2", *_PLACES)
_ALLELES: Final = MachineCode(
    "pgen_allele_loops", "decode_alleles", *_RECORDS, "uint8:1", "int32:1", "uint8:2", *_PLACES
)
_DOSAGES: Final = MachineCode(
    "pgen_dosage_loops", "decode_dosages", *_RECORDS, "int32:1", "uint8:2", "float32:2", "float32:2", *_PLACES
)


def _values_of_bytes() -> npt.NDArray[np.float32]:
    of_code = np.array([2.0, np.nan, 1.0, 0.0], dtype=np.float32)
    byte = np.arange(256)
    return np.stack([of_code[(byte >> shift) & 3] for shift in (0, 2, 4, 6)], axis=1)


_VALUES: Final = _values_of_bytes()


class Steps(NamedTuple):
    """Records to decode one after another.

    Attributes
    ----------
    spans
        int64 (s, 2): first byte of each record and the end of it, within the data.
    told
        int64 (s, 4): type of the record; row of the answer, or -1 where the record is decoded for those after
        it alone; ALT allele to count, from 1; number of ALT alleles. The base of an LD-compressed record is the
        last before it in these steps that is not LD-compressed.
    """

    spans: npt.NDArray[np.int64]
    told: npt.NDArray[np.int64]


class Scratch:
    """What decoding needs beside its answer, and keeps from one call to the next: the base of what follows.

    Parameters
    ----------
    n
        Samples in the file.
    """

    def __init__(self, n: int) -> None:
        self.n = n
        self.base = np.zeros((1, (n + 3) // 4), dtype=np.uint8)
        self.main = np.empty((n + 3) // 4, dtype=np.uint8)
        self.samples = np.empty(max(n, 64), dtype=np.int32)


def decode_calls(
    data: npt.NDArray[np.uint8], steps: Steps, scratch: Scratch, out: npt.NDArray[np.uint8]
) -> tuple[int, int] | None:
    """Decode hard calls.

    Parameters
    ----------
    data
        uint8: bytes of the records.
    steps
        Which.
    scratch
        One for each file and thread.
    out
        uint8 (m, ceil(n / 4)), written: PLINK 1 two-bit codes; padding bits are zero.

    Returns
    -------
    (step, fault) or None
        Of the first record that cannot be; a fault is a key of :data:`FAULTS`.

    Examples
    --------
    >>> record = np.array([0b11100100, 0b01], dtype=np.uint8)  # 0, 1, 2, missing, 1
    >>> out = np.empty((1, 2), dtype=np.uint8)
    >>> decode_calls(record, Steps(np.array([[0, 2]]), np.array([[0, 0, 1, 1]])), Scratch(5), out)
    >>> from gwas.kernels.packed import decode
    >>> decode(out, 5).tolist()
    [[0, 1, 2, -9, 1]]
    """
    fault, places = _decode(data, steps, scratch, out)
    # what dosages there are is not looked at
    return fault or _behind(steps, places, steps.told[:, 0] & 0x60 == 0)


def decode_dosages(
    data: npt.NDArray[np.uint8], steps: Steps, scratch: Scratch, out: npt.NDArray[np.float32]
) -> tuple[int, int] | None:
    """Decode dosages, of hard calls where a sample has no other.

    Parameters
    ----------
    data, steps, scratch
        As in :func:`decode_calls`. A record with dosages must have one ALT allele.
    out
        float32 (m, n), written: copies of ALT in steps of 1/16384, NaN where missing.

    Returns
    -------
    (step, fault) or None
        As in :func:`decode_calls`.

    Examples
    --------
    >>> record = np.array([0b0100, 0b10, 0, 40], dtype=np.uint8)  # calls 0 and 1; a dosage of the second
    >>> out = np.empty((1, 2), dtype=np.float32)
    >>> decode_dosages(record, Steps(np.array([[0, 4]]), np.array([[0x60, 0, 1, 1]])), Scratch(2), out)
    >>> out.tolist()
    [[0.0, 0.625]]
    """
    calls = np.empty((len(out), len(scratch.main)), dtype=np.uint8)
    wrong, places = _decode(data, steps, scratch, calls)
    if wrong:
        return wrong
    fault = np.zeros(2, dtype=np.int64)
    _DOSAGES(data, *steps, scratch.n, scratch.samples, calls, _VALUES, out, places, fault)
    return _first(fault) or _behind(steps, places, True)


def _decode(
    data: npt.NDArray[np.uint8], steps: Steps, scratch: Scratch, out: npt.NDArray[np.uint8]
) -> tuple[tuple[int, int] | None, npt.NDArray[np.int64]]:
    """Decode calls; the first fault, and where dosages would begin in each record."""
    fault, places = np.zeros(2, dtype=np.int64), np.empty(len(steps.spans), dtype=np.int64)
    _MAIN(data, *steps, scratch.n, scratch.base, scratch.samples, out, places, fault)
    if not fault[1] and ((steps.told[:, 0] & 0x10 > 0) | (steps.told[:, 3] > 1)).any():
        _ALLELES(data, *steps, scratch.n, scratch.main, scratch.samples, out, places, fault)
    return _first(fault), places


def _first(fault: npt.NDArray[np.int64]) -> tuple[int, int] | None:
    return (int(fault[0]), int(fault[1])) if fault[1] else None


def _behind(
    steps: Steps, places: npt.NDArray[np.int64], whole: npt.NDArray[np.bool_] | bool
) -> tuple[int, int] | None:
    """The first record, of those looked at whole, that goes on behind what was read."""
    rest = np.flatnonzero((places != steps.spans[:, 1]) & (steps.told[:, 1] >= 0) & whole)
    return (int(rest[0]), LONG) if len(rest) else None
