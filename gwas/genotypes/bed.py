"""PLINK 1 binary files: BED (calls), BIM (variants), FAM (samples).

The format is described at https://www.cog-genomics.org/plink/1.9/formats#bed: three magic bytes, then
``ceil(samples / 4)`` bytes a variant, two bits a call, lowest bits first. The payload has no checksum, so
the exact length is all that can be verified; it is verified when the file is opened.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from io import RawIOBase
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from cohorts.errors import InputError
from gwas.genotypes.chromosomes import canonical_chromosomes
from gwas.genotypes.descriptor import Dosages, Genotypes, Index, Packed
from gwas.genotypes.options import OpenOptions

MAGIC: Final = b"\x6c\x1b\x01"
SAMPLE_MAJOR: Final = b"\x6c\x1b\x00"


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


def read_fam(path: Path) -> pd.DataFrame:
    """Read a .fam: columns ``fid iid father mother sex`` (``M``, ``F`` or None), file order.

    Raises
    ------
    InputError
        Unreadable, empty, a line without six fields, or a sample that occurs twice.
    """
    table = _read_fields(path, what="FID IID father mother sex phenotype")
    twice = table[1].duplicated(keep="first").to_numpy()
    if twice.any():
        raise InputError(
            "a sample ID occurs twice",
            where=f"{path}:{int(np.flatnonzero(twice)[0]) + 1}",
            found=f"{int(twice.sum())} repeated IID(s)",
            expected="each IID once, whatever its FID",
            fix="remove the duplicates or make the IIDs unique",
        )
    sex = table[4].map({"1": "M", "2": "F"}).astype(object)
    return pd.DataFrame(
        {
            "fid": table[0],
            "iid": table[1],
            "father": table[2],
            "mother": table[3],
            "sex": sex.where(sex.notna(), None),
        }
    )


def read_bim(path: Path) -> pd.DataFrame:
    """Read a .bim: columns ``chrom pos id ref alt cm``, file order; ALT is the first allele column.

    Raises
    ------
    InputError
        Unreadable, empty, a line without six fields, or a position that is not a whole number.
    """
    table = _read_fields(path, what="chromosome ID cM position allele1 allele2")
    pos = pd.to_numeric(table[3], errors="coerce")
    cm = pd.to_numeric(table[2], errors="coerce")
    for column, numbers, name in ((3, pos, "position"), (2, cm, "cM")):
        bad = numbers.isna() | (numbers % 1 != 0 if column == 3 else False) | (numbers.abs() > 2**53)
        if bad.any():
            row = int(np.flatnonzero(bad.to_numpy())[0])
            raise InputError(
                f"{name} is not a {'whole ' if column == 3 else ''}number",
                where=f"{path}:{row + 1}",
                found=repr(table[column].iloc[row][:20]),
                expected="a number",
                fix="correct the line",
            )
    return pd.DataFrame(
        {
            "chrom": canonical_chromosomes(table[0]),
            "pos": pos.astype(np.int64),
            "id": table[1],
            "ref": table[5],
            "alt": table[4],
            "cm": cm.astype(np.float64),
        }
    )


def _read_fields(path: Path, *, what: str) -> pd.DataFrame:
    """Read six whitespace-separated fields a line as strings; the row number is the line number - 1."""
    try:
        with warnings.catch_warnings():
            # a line longer than the names is a fault here, not a warning
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table = pd.read_csv(
                path,
                sep=r"\s+",
                header=None,
                names=list(range(7)),
                index_col=False,
                dtype=str,
                na_filter=False,
                quoting=3,
                skip_blank_lines=False,
                encoding="utf-8",
                on_bad_lines="error",
            )
        tidy = bool((table[5] != "").all() and (table[6] == "").all() and table[5].notna().all())
    except (pd.errors.ParserError, pd.errors.ParserWarning, UnicodeDecodeError, ValueError):
        tidy = False
    except OSError as error:
        raise InputError(
            "cannot be read", where=path, found=error.strerror, fix="check its permissions"
        ) from error
    if not tidy or len(table) == 0:
        return _read_fields_slowly(path, what=what)
    return table[[0, 1, 2, 3, 4, 5]]


def _read_fields_slowly(path: Path, *, what: str) -> pd.DataFrame:
    """Name the first line that is wrong; forgive blank lines at the end."""
    rows: list[list[str]] = []
    blank_since: int | None = None
    with open(path, "rb") as handle:
        for number, raw in enumerate(handle, start=1):
            try:
                fields = raw.decode("utf-8").split()
            except UnicodeDecodeError as error:
                raise InputError(
                    "is not text in UTF-8", where=f"{path}:{number}", fix="check that this is the right file"
                ) from error
            if not fields:
                blank_since = blank_since or number
                continue
            if blank_since is not None or len(fields) != 6 or "\x00" in raw.decode("utf-8"):
                raise InputError(
                    "a line cannot be understood",
                    where=f"{path}:{blank_since or number}",
                    found="a blank line" if blank_since else f"{len(fields)} fields",
                    expected=f"6 fields ({what})",
                    fix="correct the line",
                )
            rows.append(fields)
    if not rows:
        raise InputError("is empty", where=path, expected=f"lines of 6 fields ({what})", fix="check the file")
    return pd.DataFrame(rows, columns=list(range(6)), dtype=object)
