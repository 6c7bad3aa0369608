"""The header of a VCF or BCF file: who is in it and which fields it declares.

VCF 4.1 to 4.5 (https://samtools.github.io/hts-specs). Lines that are not needed here are not judged: tools write
many that break the rules and harm nobody.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd

from cohorts.errors import InputError

LONGEST: Final = 1 << 30
"""Bytes that a header, or one line, may have."""
_COLUMNS: Final = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT"]
_META: Final = re.compile(r"##(INFO|FORMAT|FILTER|contig)=<(.*)>\s*$")
_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
QUALITY: Final = ("R2", "DR2", "INFO", "AR2")
"""INFO fields that hold a quality of imputation, the likeliest first."""
HEMIZYGOUS: Final = frozenset({"X", "Y", "MT"})
"""Chromosomes where a DS alone does not tell the scale of a male's dosage."""
_EXPECTED: Final = "a VCF file, which begins with ##fileformat=VCF"


@dataclass(frozen=True)
class VcfHeader:
    """What later steps need of a header.

    Attributes
    ----------
    samples
        Names, in file order.
    formats
        Declared FORMAT fields.
    quality
        The INFO field with the quality of imputation, or None. The first that is declared of ``R2``
        (minimac), ``DR2`` (Beagle), ``INFO`` (IMPUTE, GLIMPSE) and ``AR2`` (Beagle 4).
    strings, contigs
        BCF's dictionaries: what each number in a record stands for.
    """

    samples: tuple[str, ...]
    formats: frozenset[str]
    quality: str | None
    strings: dict[int, str]
    contigs: dict[int, str]


def sample_frame(path: Path, names: Sequence[str]) -> pd.DataFrame:
    """Samples as a :class:`~gwas.genotypes.Genotypes` wants them; a VCF knows no family or sex.

    Raises
    ------
    InputError
        There is none, a name is empty, or a sample occurs twice.
    """
    if not len(names):
        raise InputError(
            "has variants but no samples",
            where=path,
            found="no sample",
            expected="one column for each sample",
            fix="give the file with the genotypes",
        )
    repeated = sum(count > 1 for count in Counter(names).values())
    if repeated or not all(name.strip() for name in names):
        raise InputError(
            "sample names must be there and differ",
            where=path,
            found=f"{repeated} name(s) that occur more than once" if repeated else "an empty name",
            expected="each sample once",
            fix="rename or remove the samples",
        )
    table = pd.DataFrame({"iid": pd.Series(names, dtype=object)})
    table.insert(0, "fid", "0")
    table["father"] = table["mother"] = "0"
    table["sex"] = pd.Series([None] * len(table), dtype=object)
    return table


def split_header(path: Path, chunks: Iterator[tuple[int, bytes]]) -> tuple[bytes, int]:
    """Take the header's text from the start of a file: the text, and where the records begin.

    Raises
    ------
    InputError
        If this is no VCF, or its header does not end.
    """
    held = bytearray()
    searched = 0
    for _, data in chunks:
        held += data
        if not held.startswith(b"##fileformat=VCF"[: len(held)]):
            break
        while (end := held.find(b"\n", searched)) >= 0:
            if held.startswith(b"#CHROM", searched):
                return bytes(held[: end + 1]), end + 1
            if not held.startswith(b"##", searched):
                raise InputError(
                    "has no line of column names before its records",
                    where=path,
                    expected="a line that begins with #CHROM",
                    fix="restore the header",
                )
            searched = end + 1
        if len(held) > LONGEST:
            break
    if not held.startswith(b"##fileformat=VCF"):
        raise InputError("is not a VCF file", where=path, expected=_EXPECTED, fix="check the file")
    raise InputError(
        "is damaged or truncated", where=path, found="a header that does not end", fix="copy the file again"
    )


def parse_header(path: Path, raw: bytes) -> VcfHeader:
    """Understand a header's text.

    Raises
    ------
    InputError
        Not UTF-8, or wrong columns.
    """
    try:
        lines = raw.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError("has a header that is not UTF-8 text", where=path, fix="check the file") from error
    declared: dict[str, set[str]] = {"INFO": set(), "FORMAT": set(), "FILTER": set(), "contig": set()}
    strings, contigs = {0: "PASS"}, dict[int, str]()
    for kind, entries in _declarations(lines):
        name = entries.get("ID", "")
        if name in declared[kind]:
            continue
        declared[kind].add(name)
        dictionary = contigs if kind == "contig" else strings
        if "IDX" in entries and entries["IDX"].isdecimal():
            dictionary[int(entries["IDX"])] = name
        elif name not in dictionary.values():
            dictionary[max(dictionary, default=-1) + 1] = name
    quality = next((name for name in QUALITY if name in declared["INFO"]), None)
    samples = _samples(path, lines)
    return VcfHeader(samples, frozenset(declared["FORMAT"]), quality, strings, contigs)


def _declarations(lines: list[str]) -> Iterator[tuple[str, dict[str, str]]]:
    for line in lines:
        match = _META.match(line)
        if match:
            fields = _QUOTED.sub("", match[2]).split(",")
            yield match[1], dict(entry.split("=", 1) for entry in fields if "=" in entry)


def _samples(path: Path, lines: list[str]) -> tuple[str, ...]:
    columns = next((line for line in lines if line.startswith("#CHROM")), "").split("\t")
    if columns[: len(_COLUMNS)] != _COLUMNS[: len(columns)] or len(columns) < 8:
        raise InputError(
            "names of columns are wrong",
            where=path,
            expected="#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT and the samples, separated by tabs",
            fix="restore the header",
        )
    return tuple(columns[len(_COLUMNS) :])
