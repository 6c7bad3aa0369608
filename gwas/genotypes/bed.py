"""PLINK 1 binary files: BED (calls), BIM (variants), FAM (samples).

The format is described at https://www.cog-genomics.org/plink/1.9/formats#bed: three magic bytes, then
``ceil(samples / 4)`` bytes a variant, two bits a call, lowest bits first. The payload has no checksum, so
the exact length is all that can be verified; it is verified when the file is opened.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO, RawIOBase
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cohorts.errors import InputError
from gwas.genotypes.chromosomes import canonical_text
from gwas.genotypes.columns import Columns
from gwas.genotypes.descriptor import Dosages, Genotypes, Index, Packed
from gwas.genotypes.options import OpenOptions
from gwas.kernels.text import TextColumn, integers_of_text, split_lines, text_of_strings

MAGIC: Final = b"\x6c\x1b\x01"
SAMPLE_MAJOR: Final = b"\x6c\x1b\x00"
PADDING_ROWS: Final = 64


@dataclass(frozen=True)
class BedReader:
    """Reads packed calls from a variant-major BED file whose length has been checked."""

    path: Path
    n_samples: int
    n_variants: int

    @property
    def has_dosages(self) -> bool:
        """A BED file holds hard calls alone."""
        return False

    @property
    def coding(self) -> str:
        """What ALT is."""
        return "PLINK 1 BED, ALT = first allele of the .bim"

    @property
    def row_bytes(self) -> int:
        """Bytes of one variant."""
        return (self.n_samples + 3) // 4

    def read(self, variants: Index) -> Packed:
        """Read ``variants`` (file positions, any order) as uint8 (m, ceil(n_samples / 4))."""
        packed = np.empty((len(variants), self.row_bytes), dtype=np.uint8)
        breaks = np.flatnonzero(np.diff(variants) != 1) + 1
        edges = [0, *breaks.tolist(), len(variants)]
        try:
            with open(self.path, "rb", buffering=0) as handle:
                for first, last in pairwise(edges):
                    if last > first:
                        handle.seek(len(MAGIC) + int(variants[first]) * self.row_bytes)
                        self._fill(handle, packed[first:last])
        except OSError as error:
            raise InputError(
                "cannot be read", where=self.path, found=error.strerror, fix="check the file and run again"
            ) from error
        return packed

    def read_dosages(self, variants: Index) -> Dosages:
        """Read ``variants`` as float32 (m, n_samples): 0, 1, 2, or NaN where missing."""
        from gwas.kernels.dosages import from_packed

        return from_packed(self.read(variants), self.n_samples)

    def _fill(self, handle: RawIOBase, rows: Packed) -> None:
        view = rows.reshape(-1).data
        done = 0
        while done < len(view):
            got = handle.readinto(view[done:])
            if not got:
                raise InputError(
                    "ended early although its length was right when it was opened",
                    where=self.path,
                    found=f"{done} bytes of a run of {len(view)}",
                    expected=f"{len(view)} bytes",
                    fix="make sure nothing writes to the file and run again",
                )
            done += got


def open_bed(path: Path, options: OpenOptions) -> Genotypes:
    """Open a PLINK 1 fileset.

    Parameters
    ----------
    path
        ``PREFIX.bed``; the .bim and .fam lie beside it.
    options
        Choices at opening.

    Returns
    -------
    Genotypes
        ALT is the first allele of the .bim, REF the second; nothing but the text files and the length
        and first bytes of the BED has been read.

    Raises
    ------
    InputError
        A file is missing, unreadable, of the wrong length or kind, or a line cannot be understood.
    """
    bed, bim, fam = (path.with_suffix(end) for end in (".bed", ".bim", ".fam"))
    for file in (bed, bim, fam):
        if not file.is_file():
            raise InputError(
                "file not found",
                where=file,
                expected="a PLINK 1 fileset (.bed, .bim, .fam)",
                fix="check the path",
            )
    samples, variants = read_fam(fam), read_bim(bim)
    _check_bed(bed, n_samples=len(samples), n_variants=len(variants))
    reader = BedReader(bed, len(samples), len(variants))
    return Genotypes(reader, samples, variants, values=options.values_of(reader))


def _check_bed(bed: Path, *, n_samples: int, n_variants: int) -> None:
    try:
        with open(bed, "rb") as handle:
            magic = handle.read(len(MAGIC))
            size = os.fstat(handle.fileno()).st_size
    except OSError as error:
        raise InputError(
            "cannot be read", where=bed, found=error.strerror, fix="check its permissions"
        ) from error
    if magic == SAMPLE_MAJOR:
        raise InputError(
            "calls are stored sample by sample",
            where=bed,
            found="sample-major BED",
            expected="variant-major BED",
            fix="rewrite it with plink1.9 --make-bed",
        )
    if magic != MAGIC:
        raise InputError(
            "is not a PLINK 1 BED file",
            where=bed,
            found=f"first bytes {magic.hex(' ') or '(none)'}",
            expected=f"first bytes {MAGIC.hex(' ')}",
            fix="check that the file is complete and of this format",
        )
    expected = len(MAGIC) + n_variants * ((n_samples + 3) // 4)
    if size != expected:
        state = "is truncated" if size < expected else "is too long"
        raise InputError(
            f"{state}, or its .fam or .bim belongs to another file",
            where=bed,
            found=f"{size} bytes",
            expected=f"{expected} bytes for {n_samples} samples and {n_variants} variants",
            fix="copy the three files again from one source",
        )
    _check_padding(bed, n_samples=n_samples, n_variants=n_variants)


def _check_padding(bed: Path, *, n_samples: int, n_variants: int) -> None:
    """Up to three samples lost at the end of a .fam leave the length right, but not the bits behind the last.

    The format has these bits zero; some rows over the whole file are looked at.
    """
    if n_samples % 4 == 0:
        return
    width = (n_samples + 3) // 4
    rows = set(np.linspace(0, n_variants - 1, PADDING_ROWS).astype(np.int64).tolist())
    with open(bed, "rb", buffering=0) as handle:
        last = [os.pread(handle.fileno(), 1, len(MAGIC) + (row + 1) * width - 1) for row in rows]
    if any(byte and byte[0] >> (2 * (n_samples % 4)) for byte in last):
        raise InputError(
            "has calls of more samples than its .fam names, or is damaged",
            where=bed,
            found="bits that are not zero behind the last sample",
            expected=f"{n_samples} samples",
            fix="copy the three files again from one source",
        )


def read_fam(path: Path) -> Columns:
    """Read a .fam: columns ``fid iid father mother sex`` (``M``, ``F`` or None) and ``PHENO1``, file order.

    The phenotype is text as the file has it, under PLINK 2's name for it.

    Raises
    ------
    InputError
        Unreadable, empty, a line with fewer than six fields or not as many as the first, or a sample that
        occurs twice.
    """
    fid, iid, father, mother, sex, pheno = _read_fields(
        path, what="FID IID father mother sex phenotype", more=True
    )
    _refuse_repeats(path, iid.strings())
    letter = np.full(len(sex.start), None, dtype=object)
    letter[sex.equals("1")], letter[sex.equals("2")] = "M", "F"
    return Columns(
        {"fid": fid, "iid": iid, "father": father, "mother": mother, "sex": letter, "PHENO1": pheno}
    )


def _refuse_repeats(path: Path, names: Sequence[str]) -> None:
    repeated = len(names) - len(set(names))
    if repeated:
        seen: set[str] = set()
        for row, name in enumerate(names):
            if name in seen:
                raise InputError(
                    "a sample ID occurs twice",
                    where=f"{path}:{row + 1}",
                    found=f"{repeated} repeated IID(s)",
                    expected="each IID once, whatever its FID",
                    fix="remove the duplicates or make the IIDs unique",
                )
            seen.add(name)


def read_bim(path: Path) -> Columns:
    """Read a .bim: columns ``chrom pos id ref alt cm``, file order; ALT is the first allele column.

    Raises
    ------
    InputError
        Unreadable, empty, a line without six fields, or a position that is not a whole number.
    """
    chrom, name, cm, pos, alt, ref = _read_fields(path, what="chromosome ID cM position allele1 allele2")
    return Columns(
        {
            "chrom": canonical_text(chrom),
            "pos": _numbers(path, pos, "position").astype(np.int64),
            "id": name,
            "ref": ref,
            "alt": alt,
            "cm": _numbers(path, cm, "cM").astype(np.float64),
        }
    )


def _numbers(path: Path, column: TextColumn, name: str) -> npt.NDArray[Any]:
    """Numbers of a column, whole ones where they are positions."""
    whole = integers_of_text(column)
    if whole is not None:
        return whole
    out = np.empty(len(column.start), dtype=np.float64)
    for row, word in enumerate(column.strings()):
        try:
            value = np.nan if "_" in word else float(word)
        except ValueError:
            value = np.nan
        if not abs(value) <= 2**53 or (name == "position" and value % 1 != 0):
            raise InputError(
                f"{name} is not a {'whole ' if name == 'position' else ''}number",
                where=f"{path}:{row + 1}",
                found=repr(word[:20]),
                expected="a number",
                fix="correct the line",
            )
        out[row] = value
    return out


def _read_fields(path: Path, *, what: str, more: bool = False) -> list[TextColumn]:
    """Read six fields a line, parted by spaces and tabs; the row number is the line number - 1.

    With `more`, further fields are ignored, as PLINK does with GEMMA's phenotypes, if every line has as many.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            "cannot be read", where=path, found=error.strerror, fix="check its permissions"
        ) from error
    readable = bool(data) and _is_text(data)
    if readable and not data.endswith((b"\n", b"\r")):
        raise InputError(
            "ends in the middle of a line",
            where=path,
            expected="a newline at the end of its last line",
            fix="copy the file again, or end its last line if it is whole",
        )
    width = max(6, len(data[: 1 << 16].split(b"\n", 1)[0].split())) if more else 6
    columns = split_lines(data, width) if readable else None
    return columns[:6] if columns else _read_fields_slowly(path, data, what=what, width=width)


def _is_text(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _read_fields_slowly(path: Path, data: bytes, *, what: str, width: int) -> list[TextColumn]:
    """Name the first line that is wrong; forgive blank lines at the end."""
    rows: list[list[str]] = []
    blank_since: int | None = None
    for number, raw in enumerate(BytesIO(data), start=1):
        try:
            line = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                "is not text in UTF-8", where=f"{path}:{number}", fix="check that this is the right file"
            ) from error
        fields = line.split()
        if not fields:
            blank_since = blank_since or number
            continue
        if blank_since is not None or len(fields) != width or "\x00" in line:
            raise InputError(
                "a line cannot be understood",
                where=f"{path}:{blank_since or number}",
                found="a blank line" if blank_since else f"{len(fields)} fields",
                expected=f"6 fields ({what})" if width == 6 else f"{width} fields, as in the first line",
                fix="correct the line",
            )
        rows.append(fields[:6])
    if not rows:
        raise InputError("is empty", where=path, expected=f"lines of 6 fields ({what})", fix="check the file")
    return [text_of_strings(column) for column in zip(*rows, strict=True)]
