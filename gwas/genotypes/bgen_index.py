"""Where the variants of a BGEN file are, and what they are.

The file has no index of its own. It is scanned: each variant says how long it is, and after the last one the
file must end, so a shortened or lengthened file is found when it is opened. A bgenix index (.bgi) beside the
file saves the scan if it agrees with the file in size, first bytes and number of variants and its entries
cover the file without a gap; otherwise it is left aside.
"""

from __future__ import annotations

import sqlite3
import struct
from array import array
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path
from sys import intern
from typing import Final, NamedTuple
from zlib import crc32

import numpy as np
import numpy.typing as npt

from gwas.genotypes.bgen_header import SHORTEST_VARIANT, BgenHeader, damaged
from gwas.genotypes.chromosomes import canonical_chromosome
from gwas.genotypes.options import Region

LONGEST_IDENTITY: Final = 1 << 24
"""Bytes of identifiers and alleles past which a variant is taken for damage, so that no length in a damaged
file makes us read all of it."""

_U16 = struct.Struct("<H")
_U32 = struct.Struct("<I")
_PLACE = struct.Struct("<IH")
_AHEAD: Final = 1 << 16
_ONE_VARIANT: Final = 1 << 12
_NO_ID: Final = ("", ".")


class Identity(NamedTuple):
    """A variant's identifying block; ``key`` and ``end`` are places in the buffer it was read from."""

    key: int
    end: int
    samples: int | None
    varid: bytes
    rsid: bytes
    chrom: bytes
    pos: int
    alleles: list[bytes]


class Variant(NamedTuple):
    """A variant in words, where it is in the file, and a checksum of what identifies it."""

    start: int
    size: int
    crc: int
    chrom: str
    pos: int
    id: str
    alleles: tuple[str, ...]


class Columns:
    """Variants as columns, a few dozen bytes each, so that the millions of a biobank's file fit."""

    def __init__(self) -> None:
        self.starts, self.sizes, self.crcs = array("q"), array("q"), array("q")
        self.n_alleles, self.pos = array("q"), array("q")
        self.chrom: list[str] = []
        self.ids: list[str] = []
        self.refs: list[str] = []
        self.alts: list[str] = []

    def add(self, variant: Variant) -> None:
        """Append a variant; one of a single allele has the ALT ``.``."""
        start, size, crc, chrom, pos, name, alleles = variant
        self.starts.append(start)
        self.sizes.append(size)
        self.crcs.append(crc)
        self.n_alleles.append(len(alleles))
        self.pos.append(pos)
        self.chrom.append(intern(chrom))
        self.ids.append(name)
        self.refs.append(alleles[0])
        self.alts.extend(alleles[1:] or (".",))

    def records(self) -> Records:
        """What a reader needs of them."""
        return Records(
            starts=np.array(self.starts, dtype=np.int64),
            sizes=np.array(self.sizes, dtype=np.int64),
            crcs=np.array(self.crcs, dtype=np.uint32),
            n_alleles=np.array(self.n_alleles, dtype=np.int64),
        )


@dataclass(frozen=True, eq=False)
class Records:
    """Where records are: int64 ``starts`` and ``sizes`` in bytes, uint32 ``crcs``, int64 ``n_alleles``."""

    starts: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
    crcs: npt.NDArray[np.uint32]
    n_alleles: npt.NDArray[np.int64]


def read_identity(buffer: bytes, at: int, layout: int) -> Identity | None:
    """Read the identifying block at ``at``, or give None where the buffer ends before it does.

    Examples
    --------
    >>> block = b"\\1\\0v\\2\\0rs\\1\\0X" + b"\\7\\0\\0\\0" + b"\\2\\0" + b"\\1\\0\\0\\0A\\1\\0\\0\\0C"
    >>> read_identity(block, 0, 2)[3:]
    (b'v', b'rs', b'X', 7, [b'A', b'C'])
    >>> read_identity(block[:-1], 0, 2) is None
    True
    """
    try:
        samples = None
        if layout == 1:
            (samples,) = _U32.unpack_from(buffer, at)
            at += 4
        key = at + 2 + _U16.unpack_from(buffer, at)[0]
        rsid = key + 2 + _U16.unpack_from(buffer, key)[0]
        chrom = rsid + 2 + _U16.unpack_from(buffer, rsid)[0]
        pos, n_alleles = _PLACE.unpack_from(buffer, chrom)
        end = chrom + 6
        if layout == 1:
            n_alleles, end = 2, chrom + 4
        alleles = []
        for _ in range(n_alleles):
            first = end + 4
            end = first + _U32.unpack_from(buffer, end)[0]
            if end > len(buffer):
                return None
            alleles.append(buffer[first:end])
    except struct.error:
        return None
    return Identity(
        key,
        end,
        samples,
        buffer[at + 2 : key],
        buffer[key + 2 : rsid],
        buffer[rsid + 2 : chrom],
        pos,
        alleles,
    )


def payload(buffer: bytes, at: int, header: BgenHeader, n_alleles: int) -> tuple[int, int, int] | None:
    """Read the lengths of the probability data that begin at ``at``.

    Returns
    -------
    tuple or None
        Bytes from ``at`` to the data, bytes of the data, and bytes when uncompressed; None where the buffer
        ends before.

    Raises
    ------
    ValueError
        The uncompressed length cannot be that of so many samples and alleles, or of so few compressed bytes.
    """
    if header.layout == 1:
        whole = 6 * header.n_samples
        if header.compression == "none":
            return 0, whole, whole
        if at + 4 > len(buffer):
            return None
        before, stored = 4, _U32.unpack_from(buffer, at)[0]
    else:
        before = 4 if header.compression == "none" else 8
        if at + before > len(buffer):
            return None
        stored = _U32.unpack_from(buffer, at)[0] + 4 - before
        whole = stored if before == 4 else _U32.unpack_from(buffer, at + 4)[0]
        n = header.n_samples
        genotypes = n_alleles * (n_alleles + 1) // 2
        if not 10 + n + (n * (n_alleles - 1) + 7) // 8 <= whole <= 10 + n + 4 * n * (genotypes - 1):
            raise ValueError(f"{whole} bytes of probabilities for {n} samples and {n_alleles} alleles")
    # a byte of deflate stands for at most 1032
    if stored < 0 or (header.compression == "zlib" and whole > 1032 * stored + 1032):
        raise ValueError(f"{stored} compressed bytes for {whole}")
    return before, stored, whole


def scan(path: Path, header: BgenHeader) -> Columns:
    """Read the identifying block of every variant, in the order of the file.

    Raises
    ------
    InputError
        A length leads out of the file, text is not UTF-8, or the file does not end after the last variant.
    """
    columns = Columns()
    average = (header.size - header.first_variant) // header.n_variants
    windows = [_ONE_VARIANT if average > _ONE_VARIANT else _AHEAD, 1 << 20, LONGEST_IDENTITY]
    with open(path, "rb", buffering=0) as handle:
        base, buffer = header.first_variant, b""
        start = base
        for number in range(1, header.n_variants + 1):
            found = _variant_at(buffer, start - base, header)
            for wanted in windows:
                if found is not None:
                    break
                base, buffer = start, read_at(handle, start, min(wanted, header.size - start))
                found = _variant_at(buffer, 0, header)
            if found is None:
                raise damaged(
                    path,
                    f"is truncated or damaged at variant {number} of {header.n_variants}",
                    found=f"identifiers that run past byte {start + len(buffer)}",
                )
            identity, size = found
            if isinstance(size, str):
                raise damaged(path, f"is damaged at variant {number}", found=size)
            if start + size > header.size:
                raise damaged(
                    path,
                    f"is truncated or damaged at variant {number} of {header.n_variants}",
                    found=f"{header.size} bytes",
                    expected=f"at least {start + size}",
                )
            crc = crc32(buffer[identity.key : identity.end])
            columns.add(_in_words(path, start, size, crc, identity))
            start += size
    if start != header.size:
        raise damaged(
            path,
            "is too long, or its header is damaged",
            found=f"{header.size} bytes",
            expected=f"{start} bytes for {header.n_variants} variants",
        )
    return columns


def _variant_at(buffer: bytes, at: int, header: BgenHeader) -> tuple[Identity, int | str] | None:
    """The identifying block and the size of the whole variant, or what is wrong with it."""
    identity = read_identity(buffer, at, header.layout)
    if identity is None:
        return None
    if identity.samples not in (None, header.n_samples):
        return identity, f"{identity.samples} samples where the header has {header.n_samples}"
    if not identity.alleles or not all(identity.alleles):
        return identity, f"{len(identity.alleles)} alleles, or one without a letter"
    try:
        lengths = payload(buffer, identity.end, header, len(identity.alleles))
    except ValueError as error:
        return identity, str(error)
    if lengths is None:
        return None
    return identity, identity.end - at + lengths[0] + lengths[1]


def read_at(handle: RawIOBase, start: int, length: int) -> bytes:
    """Read so many bytes, or fewer at the end of the file."""
    handle.seek(start)
    whole = handle.read(length) or b""
    while len(whole) < length and (more := handle.read(length - len(whole))):
        whole += more
    return whole


def _in_words(path: Path, start: int, size: int, crc: int, identity: Identity) -> Variant:
    try:
        rsid = identity.rsid.decode("utf-8")
        name = rsid if rsid not in _NO_ID else identity.varid.decode("utf-8") or "."
        chrom = identity.chrom.decode("utf-8") or "0"
        alleles = tuple(allele.decode("utf-8") for allele in identity.alleles)
    except UnicodeDecodeError as error:
        raise damaged(
            path, f"the identifiers of the variant at byte {start} are not text in UTF-8"
        ) from error
    if not (name.isprintable() and chrom.isprintable() and "".join(alleles).isprintable()):
        raise damaged(path, f"the identifiers of the variant at byte {start} hold control characters")
    return Variant(start, size, crc, chrom, identity.pos, name, alleles)


def from_index(path: Path, header: BgenHeader, regions: Sequence[Region] | None) -> Columns | None:
    """Take the variants from the bgenix index beside the file, if there is one that agrees with the file.

    Parameters
    ----------
    path
        The BGEN; its index is ``PATH.bgi``.
    header
        Its header.
    regions
        Only variants on the chromosomes and between the positions of these.

    Returns
    -------
    Columns or None
        In the order of the file; None where there is no index, or it is not of this file.
    """
    index = path.with_name(path.name + ".bgi")
    if not index.is_file():
        return None
    try:
        with closing(
            sqlite3.connect(f"{index.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
        ) as database:
            database.execute("PRAGMA trusted_schema = OFF")
            if not _agrees(database, path, header):
                return None
            rows = _rows(database, regions)
    except sqlite3.Error:
        return None
    columns = Columns()
    with open(path, "rb", buffering=0) as handle:
        for row in rows:
            variant = _from_row(row, handle, path, header)
            if variant is None:
                return None
            columns.add(variant)
    return columns


def _agrees(database: sqlite3.Connection, path: Path, header: BgenHeader) -> bool:
    # a view or virtual table of these names could compute without end
    tables = dict(database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'"))
    if not all(str(tables.get(name)).startswith("CREATE TABLE") for name in ("Metadata", "Variant")):
        return False
    metadata = database.execute("SELECT file_size, first_1000_bytes FROM Metadata").fetchall()
    with open(path, "rb") as handle:
        if metadata != [(header.size, handle.read(1000))]:
            return False
    covered = database.execute(
        "SELECT count(*), min(file_start_position), max(file_start_position + size_in_bytes),"
        " sum(size_in_bytes), min(size_in_bytes), count(DISTINCT file_start_position) FROM Variant"
    ).fetchone()
    first, last, count = header.first_variant, header.size, header.n_variants
    return bool(
        covered[:4] == (count, first, last, last - first)
        and covered[4] >= SHORTEST_VARIANT
        and covered[5] == count
    )


def _rows(database: sqlite3.Connection, regions: Sequence[Region] | None) -> list[tuple[object, ...]]:
    query = (
        "SELECT file_start_position, size_in_bytes, chromosome, position, rsid, number_of_alleles, allele1,"
        " allele2 FROM Variant"
    )
    where, values = [], []
    if regions is not None:
        spelled = [name for (name,) in database.execute("SELECT DISTINCT chromosome FROM Variant")]
        for region in regions:
            for name in spelled:
                if canonical_chromosome(str(name) or "0") == region.chrom:
                    where.append("(chromosome = ? AND position BETWEEN ? AND ?)")
                    values += [name, region.start, 2**32 if region.stop is None else region.stop]
        query += f" WHERE {' OR '.join(where) or '0'}"
    return database.execute(f"{query} ORDER BY file_start_position", values).fetchall()


def _from_row(row: tuple[object, ...], handle: RawIOBase, path: Path, header: BgenHeader) -> Variant | None:
    """One entry of the index in words; None where it cannot be of this file."""
    start, size, chrom, pos, rsid, n_alleles, *alleles = row
    if not (isinstance(start, int) and isinstance(size, int)):
        return None
    if not (isinstance(chrom, str) and isinstance(pos, int) and isinstance(rsid, str)):
        return None
    if n_alleles != 2 or rsid in _NO_ID:
        buffer = read_at(handle, start, min(size, LONGEST_IDENTITY))
        identity = read_identity(buffer, 0, header.layout)
        if identity is None:
            return None
        crc = crc32(buffer[identity.key : identity.end])
        return _in_words(path, start, size, crc, identity)
    first, second = alleles
    if not (isinstance(first, str) and isinstance(second, str) and first and second and 0 <= pos < 2**32):
        return None
    texts = [text.encode() for text in (rsid, chrom, first, second)]
    if max(len(texts[0]), len(texts[1])) > 65535 or not (rsid + chrom + first + second).isprintable():
        return None
    place = _PLACE.pack(pos, 2) if header.layout == 2 else _U32.pack(pos)
    block = [_U16.pack(len(texts[0])), texts[0], _U16.pack(len(texts[1])), texts[1], place]
    block += [_U32.pack(len(texts[2])), texts[2], _U32.pack(len(texts[3])), texts[3]]
    return Variant(start, size, crc32(b"".join(block)), chrom or "0", pos, rsid, (first, second))
