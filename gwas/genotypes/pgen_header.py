"""The header of a PGEN file: what every record is and where it lies, checked before anything is decoded.

The format is described in the PGEN specification of the PLINK 2 authors
(https://github.com/chrchang/plink-ng/tree/master/pgen_spec). Calls have no checksum, but the header tells the
length of every record, so the length of the file is known to the byte.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from cohorts.errors import InputError

MAGIC: Final = b"\x6c\x1b"
BED: Final = 0x01
FIXED: Final = {0x02: 0x00, 0x03: 0x40, 0x04: 0xC0}
"""Storage modes with records of one length, and the type of those."""
INDEXED: Final = {0x20: 0x30, 0x21: 0x31}
"""Storage modes whose index is another file, and the mode byte of that file."""
EXTENSIBLE: Final = (0x11, 0x21)
BLOCK: Final = 1 << 16
LONGEST_EXTENSION: Final = 1 << 24


@dataclass(frozen=True, eq=False)
class PgenHeader:
    """What the header says.

    Attributes
    ----------
    mode
        Storage mode, the third byte.
    types
        uint8 (records,): record types; bits 5 and 6 say that dosages are stored, bit 3 that there are calls
        of a second or later ALT.
    offsets
        int64 (records + 1,): first byte of each record in the file, and the end of the last.
    alleles
        int64 (records,) alleles of each record with REF, or None where the header does not say.
    bases
        int64 (records,): the record that each is told by differences from, itself where by none; or None where
        every record stands alone.
    """

    mode: int
    types: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int64]
    alleles: npt.NDArray[np.int64] | None
    bases: npt.NDArray[np.int64] | None = None

    @property
    def n_records(self) -> int:
        """Number of records."""
        return len(self.types)

    @property
    def has_dosages(self) -> bool:
        """Whether any record stores dosages."""
        return bool((self.types & 0x60).any())


class _Bytes:
    """The bytes of a header, taken from its front."""

    def __init__(self, path: Path, limit: int) -> None:
        self.path = path
        self.at = 0
        self.handle = open(path, "rb")  # noqa: SIM115
        self.limit = limit

    def take(self, count: int) -> npt.NDArray[np.uint8]:
        if self.at + count > self.limit:
            raise _damaged(
                self.path,
                "is truncated in its header",
                f"{self.limit} bytes",
                f"at least {self.at + count} bytes",
            )
        raw = self.handle.read(count)
        if len(raw) != count:
            raise _damaged(self.path, "cannot be read whole", f"{len(raw)} bytes", f"{count} bytes")
        self.at += count
        return np.frombuffer(raw, dtype=np.uint8)

    def number(self, width: int) -> int:
        return int.from_bytes(self.take(width).tobytes(), "little")

    def varint(self) -> int:
        """A base-128 number, of at most 256 bits."""
        value = 0
        for shift in range(0, 259, 7):
            byte = self.number(1)
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise _damaged(self.path, "a number of its header has no end", "37 bytes", "at most 36 bytes")


def _damaged(path: Path, problem: str, found: str, expected: str) -> InputError:
    return InputError(
        problem,
        where=path,
        found=found,
        expected=expected,
        fix="copy the .pgen, .pvar and .psam again from one source",
    )


def read_header(path: Path, *, n_samples: int, n_records: int) -> PgenHeader:
    """Read and check the header of a PGEN file, and its index beside it where it has one.

    Parameters
    ----------
    path
        The .pgen; an external index is ``path`` + ``.pgi``.
    n_samples, n_records
        Samples of the .psam and records of the .pvar.

    Returns
    -------
    PgenHeader
        Types and places of the records, which fill the file to its last byte.

    Raises
    ------
    InputError
        Unreadable; not a PGEN; of other samples or variants than the .psam and .pvar; truncated, too long,
        or with a record that cannot be.
    """
    try:
        size = path.stat().st_size
        with open(path, "rb") as handle:
            start = handle.read(3)
        if len(start) < 3 or start[:2] != MAGIC:
            raise _damaged(path, "is not a PGEN file", f"first bytes {start.hex(' ') or '(none)'}", "6c 1b")
        mode = start[2]
        if mode == BED:
            return _bed(path, size, n_samples, n_records)
        if mode in FIXED:
            return _fixed(path, size, mode, n_samples, n_records)
        if mode in (0x10, 0x11, *INDEXED):
            return _variable(path, size, mode, n_samples, n_records)
    except OSError as error:
        raise InputError(
            "cannot be read", where=error.filename or path, found=error.strerror, fix="check the files"
        ) from error
    raise _damaged(path, "has a storage mode that is not known", f"{mode:#04x}", "a PGEN of PLINK 2")


def _bed(path: Path, size: int, n_samples: int, n_records: int) -> PgenHeader:
    offsets = 3 + np.arange(n_records + 1, dtype=np.int64) * ((n_samples + 3) // 4)
    _check_end(path, size, int(offsets[-1]))
    return PgenHeader(BED, np.zeros(n_records, dtype=np.uint8), offsets, None)


def _fixed(path: Path, size: int, mode: int, n_samples: int, n_records: int) -> PgenHeader:
    source = _Bytes(path, size)
    with source.handle:
        control = _counts(source, n_samples, n_records)
        if control & 0x3F:
            raise _damaged(
                path, "has a header that cannot be", f"control byte {control:#04x}", "no record types"
            )
        if control >> 6 == 3:
            source.take((n_records + 7) // 8)
    length = (n_samples + 3) // 4 + {0x02: 0, 0x03: 2, 0x04: 4}[mode] * n_samples
    offsets = source.at + np.arange(n_records + 1, dtype=np.int64) * length
    _check_end(path, size, int(offsets[-1]))
    return PgenHeader(mode, np.full(n_records, FIXED[mode], dtype=np.uint8), offsets, None)


def _counts(source: _Bytes, n_samples: int, n_records: int) -> int:
    """Check the dimensions; return the byte that says how the rest of the header is laid out."""
    source.take(3)
    for name, end, expected in (("variants", ".pvar", n_records), ("samples", ".psam", n_samples)):
        found = source.number(4)
        if found != expected:
            raise _damaged(
                source.path,
                f"holds another number of {name} than its {end}",
                f"{found} in its header",
                str(expected),
            )
    return source.number(1)


def _variable(path: Path, size: int, mode: int, n_samples: int, n_records: int) -> PgenHeader:
    index, index_size = path, size
    if mode in INDEXED:
        index = path.with_name(path.name + ".pgi")
        if not index.is_file():
            raise _damaged(path, "its index is missing", f"no file {index.name}", "an index beside it")
        index_size = index.stat().st_size
    source = _Bytes(index, index_size)
    with source.handle:
        if mode in INDEXED:
            magic = source.take(3).tobytes()
            if magic != MAGIC + bytes([INDEXED[mode]]):
                raise _damaged(
                    index, "is not the index of a PGEN file", magic.hex(" "), f"6c 1b {INDEXED[mode]:x}"
                )
            source.handle.seek(0)
            source.at = 0
        control = _counts(source, n_samples, n_records)
        if control & 0x08:
            raise _damaged(
                index, "has a header that cannot be", f"control byte {control:#04x}", "bit 3 clear"
            )
        starts, types, lengths, alleles = _tables(source, control, n_records)
        footer = _extensions(source) if mode in EXTENSIBLE else None
    first = 3 if mode in INDEXED else source.at
    if mode in INDEXED and source.at != index_size:
        _check_end(index, index_size, source.at)
    end = size if footer is None else footer
    if footer is not None and not first <= footer < size:
        raise _damaged(path, "is truncated", f"{size} bytes", f"more than {footer} bytes")
    offsets = np.concatenate([[first], first + np.cumsum(lengths, dtype=np.int64)])
    _check_end(path, end, int(offsets[-1]))
    wrong = np.flatnonzero(starts != offsets[:-1:BLOCK])
    if len(wrong):
        raise _damaged(
            index,
            "contradicts itself about where records lie",
            f"block {wrong[0] + 1} at byte {starts[wrong[0]]}",
            f"byte {offsets[wrong[0] * BLOCK]}",
        )
    _check_records(path, types, lengths, alleles, n_samples)
    return PgenHeader(mode, types, offsets, alleles, _bases(types))


def _tables(
    source: _Bytes, control: int, n_records: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.int64] | None]:
    """Starts of the blocks, and type, length and perhaps number of alleles of each record."""
    blocks = (n_records + BLOCK - 1) // BLOCK
    starts = source.take(8 * blocks).view("<u8").astype(np.int64)
    width, count_width = (control & 3) + 1, (control >> 4) & 3
    types = np.empty(n_records, dtype=np.uint8)
    lengths = np.empty(n_records, dtype=np.int64)
    alleles = np.empty(n_records, dtype=np.int64) if count_width else None
    for first in range(0, n_records, BLOCK):
        rows = slice(first, min(first + BLOCK, n_records))
        n = rows.stop - first
        if control & 4:
            types[rows] = source.take(n)
        else:
            pairs = source.take((n + 1) // 2)
            types[rows] = np.stack([pairs & 15, pairs >> 4], axis=1).reshape(-1)[:n]
        lengths[rows] = _numbers(source.take(n * width), width)
        if alleles is not None:
            alleles[rows] = _numbers(source.take(n * count_width), count_width)
        if control >> 6 == 3:
            source.take((n + 7) // 8)
    return starts, types, lengths, alleles


def _numbers(raw: npt.NDArray[np.uint8], width: int) -> npt.NDArray[np.int64]:
    """Little-endian numbers of ``width`` bytes."""
    wide = np.zeros((len(raw) // width, 8), dtype=np.uint8)
    wide[:, :width] = raw.reshape(-1, width)
    return wide.view("<i8").reshape(-1).astype(np.int64)


def _extensions(source: _Bytes) -> int | None:
    """Step over what may be ignored; return where the footer starts, if there is one."""
    in_header, in_footer = source.varint(), source.varint()
    footer = source.number(8) if in_footer else None
    lengths = [source.varint() for _ in range(in_header.bit_count())]
    for length in lengths:
        if length > LONGEST_EXTENSION:
            raise _damaged(
                source.path, "has a header that cannot be", f"an extension of {length} bytes", "less"
            )
        source.take(length)
    return footer


def _check_end(path: Path, size: int, end: int) -> None:
    if size != end:
        state = "is truncated" if size < end else "is too long"
        raise _damaged(
            path,
            f"{state}, or its other files belong to another",
            f"{size} bytes",
            f"{end} bytes by its header",
        )


def _bases(types: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64] | None:
    """The last record before each that is not told by differences from another."""
    differ = (types & 6) == 2
    if not differ.any():
        return None
    return np.maximum.accumulate(np.where(differ, 0, np.arange(len(types), dtype=np.int64)))


def _check_records(
    path: Path,
    types: npt.NDArray[np.uint8],
    lengths: npt.NDArray[np.int64],
    alleles: npt.NDArray[np.int64] | None,
    n_samples: int,
) -> None:
    """Refuse records of a type that cannot be, or too short for what their type says they hold."""
    quarter, eighth = (n_samples + 3) // 4, (n_samples + 7) // 8
    main = types & 7
    dosage = (types >> 5) & 3
    least = np.array([quarter, 2 + eighth, 1, 1, 1, 0, 1, 1])[main]
    least += np.where(types & 0x08, 1, 0)
    least += np.array([0, 1, 2 * n_samples, eighth])[dosage]
    least += np.where((types & 0x80) > 0, np.where(dosage == 2, 2 * n_samples, 0), 0)
    bad = lengths < least
    bad |= (main == 0) & (types == 0) & (lengths != quarter)
    bad |= (main == 5) | ((types & 0x80 > 0) & (dosage == 0))
    # the first record of a block has none before it that it could differ from
    bad[::BLOCK] |= (main[::BLOCK] == 2) | (main[::BLOCK] == 3)
    if alleles is not None:
        bad |= (alleles < 2) | ((types & 0x08 > 0) & (alleles < 3))
    if bad.any():
        record = int(np.flatnonzero(bad)[0])
        raise _damaged(
            path,
            f"record {record + 1} cannot be",
            f"type {types[record]:#04x} in {lengths[record]} bytes",
            f"a known type, in at least {least[record]} bytes here",
        )
