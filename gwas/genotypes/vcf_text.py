"""One pass over the lines of a text VCF: are they whole, where are they, which variants."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np

from cohorts.errors import InputError
from gwas.genotypes.byte_streams import ByteStream
from gwas.genotypes.vcf_header import LONGEST, VcfHeader
from gwas.genotypes.vcf_records import LAST_POSITION, RecordTable
from gwas.kernels.vcf_text import count_tabs

_FIXED: Final = 9


def scan_text(
    stream: ByteStream, header: VcfHeader, table: RecordTable, *, start: int, stop: int | None
) -> None:
    """Add the records in a stretch of the file to ``table``.

    Parameters
    ----------
    stream
        The file's content.
    header
        Its header.
    table
        Collects the records.
    start, stop
        Offsets of the first line and behind the last; None is the end of the file.

    Raises
    ------
    InputError
        The last line does not end, a line has too few or too many columns, or one of its fixed columns
        cannot be understood.
    """
    key = None if header.quality is None else re.compile(rf"(?:^|;){header.quality}=([^;]*)".encode())
    for offset, data in _whole_lines(stream, start, stop):
        ends = [-1]
        while (end := data.find(b"\n", ends[-1] + 1)) >= 0:
            ends.append(end)
        edges = np.array(ends, dtype=np.int64)
        begins, stops = edges[:-1] + 1, edges[1:]
        buffer = np.frombuffer(data, dtype=np.uint8)
        tabs = count_tabs(buffer, begins, stops)
        for begin, end, found in zip(begins.tolist(), stops.tolist(), tabs.tolist(), strict=True):
            _add_line(stream.path, header, table, data, begin, end, found, offset, key)


def _whole_lines(stream: ByteStream, start: int, stop: int | None) -> Iterator[tuple[int, bytes]]:
    held, at = b"", start
    for _, data in stream.chunks(start, stop):
        held = held + data if held else data
        cut = held.rfind(b"\n") + 1
        if cut:
            yield at, held[:cut]
            held, at = held[cut:], at + cut
        if len(held) > LONGEST:
            raise InputError("has a line of over 1 GiB", where=stream.path, fix="check the file")
    if held:
        raise InputError(
            "is damaged or truncated",
            where=stream.path,
            found="a last line that does not end",
            fix="copy the file again",
        )


def _add_line(
    path: Path,
    header: VcfHeader,
    table: RecordTable,
    data: bytes,
    begin: int,
    end: int,
    tabs: int,
    offset: int,
    key: re.Pattern[bytes] | None,
) -> None:
    expected = _FIXED - 1 + len(header.samples)
    edges = [begin - 1]
    for _ in range(min(_FIXED, tabs)):
        edges.append(data.find(b"\t", edges[-1] + 1, end))
    columns = [data[a + 1 : b] for a, b in pairwise(edges)]
    if tabs != expected:
        raise InputError(
            "a record has the wrong number of columns; the file is damaged or truncated",
            where=f"{path}:{_name(columns)}",
            found=f"{tabs + 1} columns",
            expected=f"{expected + 1} columns ({_FIXED} and one for each of {len(header.samples)} samples)",
            fix="copy the file again",
        )
    try:
        chrom, place, name, ref, alt = (column.decode("utf-8") for column in columns[:5])
        keys = columns[8].decode("ascii")
        pos = int(place) if place.isdecimal() else -1
    except UnicodeDecodeError:
        chrom, pos, name, ref, alt, keys = "", -1, "", "", "", ""
    alts = alt.split(",")
    if not (chrom and 0 <= pos <= LAST_POSITION and name and ref and all(alts) and keys):
        raise InputError(
            "a record cannot be understood",
            where=f"{path}:{_name(columns)}",
            found="an empty column, a position that is no number, or text that is not UTF-8",
            expected="CHROM POS ID REF ALT QUAL FILTER INFO FORMAT",
            fix="correct or remove the line",
        )
    if not table.wants(chrom, pos):
        return
    fields = tuple(keys.split(":"))
    if "GT" in fields[1:]:
        raise InputError(
            "GT must be the first field of FORMAT", where=f"{path}:{_name(columns)}", fix="correct the line"
        )
    match = key.search(columns[7]) if key else None
    table.add(
        place=(offset + begin, end - begin + 1),
        chrom=chrom,
        pos=pos,
        name=name,
        ref=ref,
        alts=alts,
        keys=fields,
        quality=_numbers(match[1]) if match else [],
    )


def _numbers(text: bytes) -> list[float]:
    try:
        return [float("nan") if entry == b"." else float(entry) for entry in text.split(b",")]
    except ValueError:
        return [float("nan")]


def _name(columns: list[bytes]) -> str:
    """A record's place, if it can be shown."""
    place = b":".join(columns[:2])[:60]
    return place.decode("ascii") if place.isascii() and place.decode("ascii").isprintable() else "a record"
