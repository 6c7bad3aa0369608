"""BCF2 records: the binary form of VCF, inside BGZF.

VCF specification 4.3, section 6. A record is two lengths and two parts of those lengths: what all samples share,
and vectors of each FORMAT field for all samples, whose small head says what they are. Python slices find the
parts, so that no length in a damaged file can lead outside of its record; numpy and
:mod:`gwas.kernels.allele_values` do the rest.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cohorts.errors import InputError
from gwas.genotypes.byte_streams import ByteStream
from gwas.genotypes.vcf_header import LONGEST, VcfHeader
from gwas.genotypes.vcf_records import LAST_POSITION, RecordTable
from gwas.kernels.allele_values import ABSENT, OK, add_dosages, count_copies

MAGIC: Final = (b"BCF\2\1", b"BCF\2\2")
_FIXED: Final = struct.Struct("<IIiiiIHHI")
_INTEGERS: Final = {1: "<i1", 2: "<i2", 3: "<i4"}
_SIZES: Final = {0: 0, 1: 1, 2: 2, 3: 4, 5: 4, 7: 1}
_FLOAT: Final = 5
_TEXT: Final = 7
_FLOAT_END: Final = 0x7F800002


class Malformed(Exception):
    """A record that does not follow the specification, with the reason."""


def split_bcf_header(stream: ByteStream) -> tuple[bytes, int]:
    """Take the header's text from the start of a BCF file: the text, and where the records begin.

    Raises
    ------
    InputError
        If this is no BCF2, or its header does not fit in the file.
    """
    path = stream.path
    head = stream.read(0, 9)
    if head[:5] not in MAGIC:
        raise InputError(
            "is not a BCF2 file", where=path, expected="BCF version 2.1 or 2.2", fix="check the file"
        )
    length = int.from_bytes(head[5:9], "little")
    if length > LONGEST:
        raise InputError("is damaged", where=path, found="a header of over 1 GiB", fix="copy the file again")
    return stream.read(9, length).rstrip(b"\0"), 9 + length


@dataclass(frozen=True)
class Field:
    """Values of one FORMAT field of a record: bytes ``start`` to ``stop``, ``width`` values a sample."""

    kind: int
    width: int
    start: int
    stop: int


@dataclass
class _Cursor:
    """Reads typed values from one part of a record and never beyond it."""

    data: bytes
    at: int

    def take(self, size: int) -> bytes:
        piece = self.data[self.at : self.at + size]
        if len(piece) != size:
            raise Malformed("a value that is longer than its record")
        self.at += size
        return piece

    def head(self) -> tuple[int, int]:
        """Type and count of the values that follow."""
        byte = self.take(1)[0]
        kind, count = byte & 15, byte >> 4
        if kind not in _SIZES:
            raise Malformed("a value of an unknown type")
        if count == 15:
            count = self.integer()
        return kind, count

    def integer(self) -> int:
        byte = self.take(1)[0]
        if byte >> 4 != 1 or byte & 15 not in _INTEGERS:
            raise Malformed("a number that is none")
        return int.from_bytes(self.take(_SIZES[byte & 15]), "little", signed=True)

    def values(self) -> tuple[int, bytes]:
        kind, count = self.head()
        if count < 0:
            raise Malformed("a negative length")
        return kind, self.take(_SIZES[kind] * count)

    def text(self) -> str:
        kind, raw = self.values()
        if kind not in (0, _TEXT):
            raise Malformed("a text that is none")
        try:
            return raw.rstrip(b"\0").decode("utf-8")
        except UnicodeDecodeError as error:
            raise Malformed("text that is not UTF-8") from error


def scan_bcf(
    stream: ByteStream, header: VcfHeader, table: RecordTable, *, start: int, stop: int | None
) -> None:
    """Add the records in a stretch of the file to ``table``.

    Parameters
    ----------
    stream, header, table, start, stop
        As for :func:`gwas.genotypes.vcf_text.scan_text`.

    Raises
    ------
    InputError
        A record ends beyond the file or does not follow the specification.
    """
    for offset, record in _whole_records(stream, start, stop):
        place = f"the record at byte {offset} of the content"
        try:
            _add_record(header, table, offset, record)
        except Malformed as error:
            raise malformed(stream.path, place, str(error)) from error


def malformed(path: Path, place: str, found: str) -> InputError:
    """The refusal of a record."""
    return InputError(
        "a record cannot be understood; the file is damaged",
        where=f"{path}:{place}",
        found=found,
        fix="copy the file again",
    )


def _whole_records(stream: ByteStream, start: int, stop: int | None) -> Iterator[tuple[int, bytes]]:
    held, at = b"", start
    for _, data in stream.chunks(start, stop):
        held = held + data if held else data
        here = 0
        while len(held) - here >= 8:
            shared, own = struct.unpack_from("<II", held, here)
            size = 8 + shared + own
            if shared < 24 or size > LONGEST:
                raise malformed(stream.path, f"the record at byte {at + here} of the content", "its length")
            if len(held) - here < size:
                break
            yield at + here, held[here : here + size]
            here += size
        held, at = held[here:], at + here
    if held:
        raise InputError(
            "is damaged or truncated",
            where=stream.path,
            found="a last record that does not end",
            fix="copy the file again",
        )


def _add_record(header: VcfHeader, table: RecordTable, offset: int, record: bytes) -> None:
    shared, _, contig, place, _, _, n_info, n_allele, fields = _FIXED.unpack_from(record)
    if contig not in header.contigs or not -1 <= place < LAST_POSITION:
        raise Malformed("a contig that the header does not name, or a wrong position")
    if fields & 0xFFFFFF != len(header.samples):
        raise Malformed("another number of samples than in the header")
    if n_allele == 0:
        raise Malformed("no REF")
    chrom, pos = header.contigs[contig], place + 1
    if not table.wants(chrom, pos):
        return
    cursor = _Cursor(record[: 8 + shared], _FIXED.size)
    name = cursor.text() or "."
    ref, *alts = (cursor.text() for _ in range(n_allele))
    if not ref or not all(alts):
        raise Malformed("an allele without a name")
    cursor.values()
    quality: list[float] = []
    for _ in range(n_info):
        key = cursor.integer()
        kind, raw = cursor.values()
        if header.quality is not None and header.strings.get(key) == header.quality:
            quality = _quality(kind, raw)
    table.add(
        place=(offset, len(record)),
        chrom=chrom,
        pos=pos,
        name=name,
        ref=ref,
        alts=alts or ["."],
        keys=tuple(fields_of(header.strings, record)),
        quality=quality,
    )


def _quality(kind: int, raw: bytes) -> list[float]:
    if kind == _FLOAT:
        return [float(value) for value in np.frombuffer(raw, "<f4")]
    return [float(value) for value in np.frombuffer(raw, _INTEGERS[kind])] if kind in _INTEGERS else []


def fields_of(strings: dict[int, str], record: bytes) -> dict[str, Field]:
    """The FORMAT fields of a whole record and where their values are.

    Raises
    ------
    Malformed
        A field is not declared, does not fit, or bytes are left over.
    """
    shared, own, *_, last = _FIXED.unpack_from(record)
    if len(record) != 8 + shared + own:
        raise Malformed("its length")
    n_fields, n_samples = last >> 24, last & 0xFFFFFF
    cursor = _Cursor(record, 8 + shared)
    found: dict[str, Field] = {}
    for _ in range(n_fields):
        key = cursor.integer()
        kind, width = cursor.head()
        size = _SIZES[kind] * width * n_samples
        if key not in strings or width < 0 or cursor.at + size > len(record):
            raise Malformed("a field that is not declared or does not fit")
        found.setdefault(strings[key], Field(kind, width, cursor.at, cursor.at + size))
        cursor.at += size
    if cursor.at != len(record):
        raise Malformed("bytes behind its last field")
    return found


def decode_record(
    strings: dict[int, str],
    record: bytes,
    allele: int,
    n_alt: int,
    out: npt.NDArray[np.float32],
    *,
    calls_alone: bool,
    fields: frozenset[str],
) -> int:
    """Read one ALT allele of a whole record.

    Parameters
    ----------
    strings
        Names of fields by number.
    record
        Its bytes.
    allele, n_alt
        The ALT allele, from 1, and how many the record has.
    out
        float32 (n_samples,), filled with 0 to 2, NaN where missing.
    calls_alone
        Take GT and nothing else.
    fields
        Fields that may be read.

    Returns
    -------
    int
        Status; see :data:`gwas.kernels.allele_values.REASONS`.

    Raises
    ------
    Malformed
        If the record does not follow the specification.
    """
    n_samples = len(out)
    if _FIXED.unpack_from(record)[-1] & 0xFFFFFF != n_samples:
        raise Malformed("another number of samples than in the header")
    found = {name: field for name, field in fields_of(strings, record).items() if name in fields}
    copies, ploidy = np.full(n_samples, -9, np.int8), np.zeros(n_samples, np.int8)
    if "GT" in found:
        status = count_copies(_allele_numbers(record, found["GT"], n_samples), allele, n_alt, copies, ploidy)
        if status != OK:
            return int(status)
    values, counts = {}, np.zeros(n_samples, np.int64)
    for name in ("DS", "GP"):
        values[name] = np.zeros((n_samples, 0), np.float32)
        if name in found and not calls_alone:
            values[name], counts = _values(record, found[name], n_samples)
    return int(add_dosages(values["DS"], values["GP"], counts, allele, n_alt, copies, ploidy, out))


def _allele_numbers(record: bytes, field: Field, n_samples: int) -> npt.NDArray[Any]:
    """Alleles of a GT: int (n_samples, places), -1 missing, -2 no such place.

    Raises
    ------
    Malformed
        If the field is not of integers.
    """
    if field.kind not in _INTEGERS:
        raise Malformed("a GT that is not of integers")
    raw = np.frombuffer(record[field.start : field.stop], _INTEGERS[field.kind])
    raw = raw.reshape(n_samples, field.width)
    numbers: npt.NDArray[Any] = (raw >> 1) - raw.dtype.type(1)
    least = np.iinfo(raw.dtype).min
    numbers[raw == least + 1] = ABSENT
    # the rest of the negative numbers mean nothing in a GT
    numbers[(raw < 0) & (raw != least + 1)] = least
    return numbers


def _values(
    record: bytes, field: Field, n_samples: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Values of a DS or GP: float32 (n_samples, width), NaN missing; and how many each sample has.

    Raises
    ------
    Malformed
        If the field is not numeric.
    """
    piece = record[field.start : field.stop]
    if field.kind == _FLOAT:
        values = np.frombuffer(piece, "<f4").reshape(n_samples, field.width)
        ended = np.frombuffer(piece, "<u4").reshape(n_samples, field.width) == _FLOAT_END
    elif field.kind in _INTEGERS:
        raw = np.frombuffer(piece, _INTEGERS[field.kind]).reshape(n_samples, field.width)
        least = np.iinfo(raw.dtype).min
        values = np.where(raw < least + 8, np.nan, raw.astype(np.float64)).astype(np.float32)
        ended = raw == least + 1
    else:
        raise Malformed("a DS or GP that is not of numbers")
    return values, (~ended).sum(axis=1)
