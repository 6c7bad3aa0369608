"""PLINK 2 binary files: PGEN (calls and dosages), PVAR (variants), PSAM (samples).

Header and lengths are checked here (:mod:`gwas.genotypes.pgen_header`); records are decoded by pgenlib in a
child process (:mod:`gwas.genotypes.parser_process`). Calls have no checksum: a byte changed within a record
that still decodes cannot be told from another call, which is what a manifest with SHA-256 is for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from cohorts.errors import InputError
from gwas.genotypes.bed import read_bim, read_fam
from gwas.genotypes.descriptor import Dosages, Genotypes, Index, Packed
from gwas.genotypes.options import OpenOptions
from gwas.genotypes.parser_process import ParserProcess, time_allowed
from gwas.genotypes.pgen_header import PgenHeader, read_header
from gwas.genotypes.psam import read_psam
from gwas.genotypes.pvar import PvarTable, read_pvar

LARGEST_FILL: Final = 1 << 23
"""Bytes decoded in one go: they stay in cache until packed, and memory does not grow with the block."""


@dataclass(frozen=True, eq=False)
class PgenReader:
    """Reads a PGEN file whose header has been checked.

    Attributes
    ----------
    records, alleles
        int64 (rows,): record of the file and allele (1 for the first ALT) of each row of the variants.
    total_only
        bool (rows,): the record stores dosages of all ALT alleles together, and has several.
    """

    path: Path
    n_samples: int
    has_dosages: bool
    records: Index
    alleles: Index
    total_only: npt.NDArray[np.bool_]
    parser: ParserProcess = field(repr=False)

    @property
    def coding(self) -> str:
        """What ALT is."""
        return "PLINK 2 PGEN, ALT as in the .pvar"

    def read(self, variants: Index) -> Packed:
        """Read hard calls of ``variants`` (rows, any order) as uint8 (m, ceil(n_samples / 4))."""
        from gwas.kernels.allele_counts import pack_words

        width = (self.n_samples + 3) // 4
        packed = np.empty((len(variants), width), dtype=np.uint8)
        for rows, allele, records in self._parts(variants, 1):
            packed[rows] = self.parser.fill(
                "calls",
                (len(records), 4 * width),
                np.int8,
                lambda out: pack_words(out.view(np.uint32), self.n_samples),
                timeout=time_allowed(len(records) * self.n_samples),
                what=self._named(records),
                records=records,
                allele=allele,
            )
        return packed

    def read_dosages(self, variants: Index) -> Dosages:
        """Read ``variants`` as float32 (m, n_samples): copies of ALT, NaN where missing.

        Dosages are multiples of 1/16384; a call without a dosage of its own is 0, 1 or 2.
        """
        unknown = self.total_only[variants]
        if unknown.any():
            raise InputError(
                "stores one dosage for several ALT alleles together",
                where=self.path,
                found=f"record {int(self.records[variants[unknown.argmax()]]) + 1}",
                expected="dosages of records with one ALT",
                fix="choose hard calls, or split the record with plink2 when importing",
            )
        dosages = np.empty((len(variants), self.n_samples), dtype=np.float32)
        for rows, allele, records in self._parts(variants, 4):
            filled = self.parser.fill(
                "dosages",
                (len(records), self.n_samples),
                np.float32,
                lambda out: np.where(out < 0, np.float32(np.nan), out),
                timeout=time_allowed(4 * len(records) * self.n_samples),
                what=self._named(records),
                records=records,
                allele=allele,
            )
            beyond = (filled > 2).any(axis=1)
            if beyond.any():
                raise InputError(
                    "holds a dosage above 2",
                    where=self.path,
                    found=f"in record {int(records[beyond.argmax()]) + 1}",
                    fix="the file is probably damaged: copy it again",
                )
            dosages[rows] = filled
        return dosages

    def _parts(self, variants: Index, width: int) -> Iterator[tuple[slice | Index, int, Index]]:
        """Split what is asked into runs of one allele that fit the room: rows of the answer, allele, records."""
        most = max(1, LARGEST_FILL // max(1, width * self.n_samples))
        records, alleles = self.records[variants], self.alleles[variants]
        for allele in np.unique(alleles).tolist():
            rows = np.flatnonzero(alleles == allele)
            for first in range(0, len(rows), most):
                part = rows[first : first + most]
                whole = len(part) == int(part[-1]) - int(part[0]) + 1
                yield slice(int(part[0]), int(part[-1]) + 1) if whole else part, allele, records[part]

    def _named(self, records: Index) -> str:
        return f"records {int(records.min()) + 1} to {int(records.max()) + 1}"


def open_pgen(path: Path, options: OpenOptions) -> Genotypes:
    """Open a PLINK 2 fileset.

    Parameters
    ----------
    path
        ``PREFIX.pgen``; beside it lie ``PREFIX.pvar``, ``.pvar.zst`` or ``.bim``, and ``PREFIX.psam`` or
        ``.fam``. The phase of calls is not used.
    options
        Choices at opening. The hard-call threshold is not used: a PGEN holds hard calls beside its dosages.

    Returns
    -------
    Genotypes
        REF and ALT as in the .pvar; a record of several ALT alleles is a row for each. Nothing but the text
        files and the header of the PGEN has been read.

    Raises
    ------
    InputError
        A file is missing, unreadable or damaged, the files do not fit one another, or dosages were asked of
        a file without any.
    """
    _beside(path, (".pgen",), "calls")
    pvar = _beside(path, (".pvar", ".pvar.zst", ".bim"), "variants (.pvar, .pvar.zst or .bim)")
    psam = _beside(path, (".psam", ".fam"), "samples (.psam or .fam)")
    samples = read_fam(psam).frame() if psam.suffix == ".fam" else read_psam(psam)
    table = _bim_table(pvar) if pvar.suffix == ".bim" else read_pvar(pvar)
    header = read_header(path, n_samples=len(samples), n_records=len(table.counts))
    _check_alleles(path, header, table)
    several = table.counts > 2
    arguments: dict[str, object] = {
        "path": str(path.resolve()),
        "n_samples": len(samples),
        "n_records": header.n_records,
    }
    if several.any():
        arguments["allele_starts"] = np.concatenate([[0], np.cumsum(table.counts)])
    reader = PgenReader(
        path=path,
        n_samples=len(samples),
        has_dosages=header.has_dosages,
        records=table.records,
        alleles=table.alleles,
        total_only=(several & ((header.types & 0x60) > 0))[table.records],
        parser=ParserProcess("gwas.genotypes.pgen_child:PgenParser", arguments, file=path),
    )
    return Genotypes(reader, samples, table.variants, values=options.values_of(reader))


def _beside(path: Path, ends: tuple[str, ...], what: str) -> Path:
    for end in ends:
        file = path.with_suffix(end)
        if file.is_file():
            return file
    raise InputError(
        "file not found",
        where=path.with_suffix(ends[0]),
        expected=f"a PLINK 2 fileset: beside the .pgen its {what}",
        fix="check the path",
    )


def _bim_table(path: Path) -> PvarTable:
    variants = read_bim(path).frame()
    records = np.arange(len(variants), dtype=np.int64)
    return PvarTable(variants, records, np.ones_like(records), np.full_like(records, 2))


def _check_alleles(path: Path, header: PgenHeader, table: PvarTable) -> None:
    """Compare what the PGEN knows of the numbers of alleles with the .pvar."""
    if header.alleles is not None:
        wrong = header.alleles != table.counts
    else:
        wrong = ((header.types & 0x08) > 0) & (table.counts < 3)
    if wrong.any():
        record = int(wrong.argmax())
        held = "more than 2" if header.alleles is None else str(header.alleles[record])
        raise InputError(
            "holds another number of alleles than its .pvar",
            where=path,
            found=f"{held} in record {record + 1}",
            expected=str(table.counts[record]),
            fix="copy the .pgen and .pvar again from one source",
        )
