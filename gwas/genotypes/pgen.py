"""PLINK 2 binary files: PGEN (calls and dosages), PVAR (variants), PSAM (samples).

Everything is read here: header and lengths in :mod:`gwas.genotypes.pgen_header`, records by the loops of
:mod:`gwas.kernels.pgen`, which look at no byte outside the record. Calls have no checksum: a byte changed within a
record that still decodes cannot be told from another call, which is what a manifest with SHA-256 is for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BufferedReader
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from cohorts.errors import InputError
from gwas.genotypes.bed import read_bim, read_fam
from gwas.genotypes.descriptor import Dosages, Genotypes, Index, Packed
from gwas.genotypes.options import OpenOptions
from gwas.genotypes.pgen_header import BED, PgenHeader, read_header
from gwas.genotypes.psam import read_psam
from gwas.genotypes.pvar import PvarTable, read_pvar
from gwas.kernels.pgen import FAULTS, PADDED, Scratch, Steps, decode_calls, decode_dosages

MOST_BYTES: Final = 1 << 20
"""Bytes of records read in one go, or a single record: they stay in cache until decoded."""
_DAMAGED: Final = "the file is probably damaged: copy it again"
_Decode = Callable[[npt.NDArray[np.uint8], Steps, Scratch], tuple[int, int] | None]


@dataclass(frozen=True, eq=False)
class PgenReader:
    """Reads a PGEN file whose header has been checked.

    Attributes
    ----------
    header
        Types and places of the records.
    records, alleles
        int64 (rows,): record of the file and allele (1 for the first ALT) of each row of the variants.
    alts
        int64 (records,): ALT alleles of each record.
    """

    path: Path
    n_samples: int
    header: PgenHeader
    records: Index
    alleles: Index
    alts: Index

    @property
    def has_dosages(self) -> bool:
        """Whether any record holds dosages."""
        return self.header.has_dosages

    @property
    def coding(self) -> str:
        """What ALT is."""
        return "PLINK 2 PGEN, ALT as in the .pvar"

    def read(self, variants: Index) -> Packed:
        """Read hard calls of ``variants`` (rows, any order) as uint8 (m, ceil(n_samples / 4)).

        Raises
        ------
        InputError
            The file has shrunk, or a record cannot be decoded.
        """
        packed = np.empty((len(variants), (self.n_samples + 3) // 4), dtype=np.uint8)
        if self.header.mode == BED:
            self._read_bed(self.records[variants], packed)
        else:
            self._decode(variants, lambda data, steps, scratch: decode_calls(data, steps, scratch, packed))
        return packed

    def read_dosages(self, variants: Index) -> Dosages:
        """Read ``variants`` as float32 (m, n_samples): copies of ALT, NaN where missing.

        Dosages are multiples of 1/16384; a call without a dosage of its own is 0, 1 or 2.

        Raises
        ------
        InputError
            As :meth:`read`; or a record holds one dosage for several ALT alleles together.
        """
        if not self.has_dosages:
            from gwas.kernels.dosages import from_packed

            return from_packed(self.read(variants), self.n_samples)
        records = self.records[variants]
        unknown = (self.alts[records] > 1) & (self.header.types[records] & 0x60 > 0)
        if unknown.any():
            raise InputError(
                "stores one dosage for several ALT alleles together",
                where=self.path,
                found=f"record {int(records[unknown.argmax()]) + 1}",
                expected="dosages of records with one ALT",
                fix="choose hard calls, or split the record with plink2 when importing",
            )
        dosages = np.empty((len(variants), self.n_samples), dtype=np.float32)
        self._decode(variants, lambda data, steps, scratch: decode_dosages(data, steps, scratch, dosages))
        return dosages

    def _decode(self, variants: Index, decode: _Decode) -> None:
        """Read the records of ``variants`` and those they are told by, a few at a time, and decode them."""
        rows = np.arange(len(variants), dtype=np.int64)
        records = self.records[variants]
        rows, records = _with_bases(rows, records, self.header.bases)
        allele = np.where(rows < 0, 1, self.alleles[variants[rows]])
        told = np.stack(
            [self.header.types[records].astype(np.int64), rows, allele, self.alts[records]], axis=1
        )
        scratch = Scratch(self.n_samples)
        with self._opened() as file:
            for part in _parts(self.header.offsets, records):
                data, spans = self._bytes(file.fileno(), records[part])
                found = decode(data, Steps(spans, told[part]), scratch)
                if found is not None:
                    step, fault = found
                    raise self._damaged(int(records[part][step]), FAULTS[fault])

    def _bytes(self, file: int, records: Index) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        """The bytes of some records, each once where it is asked for again at once, and where each lies."""
        offsets = self.header.offsets
        first, last = offsets[records], offsets[records + 1]
        again = np.diff(records, prepend=-1) == 0
        ends = np.cumsum(np.where(again, 0, last - first))
        data = np.empty(int(ends[-1]), dtype=np.uint8)
        breaks = np.flatnonzero((np.diff(records) != 1) & ~again[1:]) + 1
        for one, other in pairwise([0, *breaks.tolist(), len(records)]):
            at = int(ends[one] - (last[one] - first[one]))
            self._fill(file, data[at : int(ends[other - 1])], int(first[one]))
        return data, np.stack([ends - (last - first), ends], axis=1)

    def _read_bed(self, records: Index, packed: Packed) -> None:
        breaks = np.flatnonzero(np.diff(records) != 1) + 1
        with self._opened() as file:
            for one, other in pairwise([0, *breaks.tolist(), len(records)]):
                if other > one:
                    start = int(self.header.offsets[records[one]])
                    self._fill(file.fileno(), packed[one:other].reshape(-1), start)
        if self.n_samples % 4:
            behind = packed[:, -1] >> (2 * (self.n_samples % 4)) > 0
            if behind.any():
                raise self._damaged(int(records[behind.argmax()]), FAULTS[PADDED])

    def _opened(self) -> BufferedReader:
        try:
            return open(self.path, "rb")
        except OSError as error:
            raise self._unreadable(error) from error

    def _fill(self, file: int, out: npt.NDArray[np.uint8], start: int) -> None:
        done = 0
        try:
            while done < len(out):
                got = os.preadv(file, [out[done:].data], start + done)
                if not got:
                    raise InputError(
                        "ended early although its length was right when it was opened",
                        where=self.path,
                        found=f"{start + done} bytes",
                        fix="make sure nothing writes to the file and run again",
                    )
                done += got
        except OSError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: OSError) -> InputError:
        return InputError(
            "cannot be read", where=self.path, found=error.strerror, fix="check the file and run again"
        )

    def _damaged(self, record: int, fault: str) -> InputError:
        return InputError(
            "cannot be decoded", where=self.path, found=f"record {record + 1} {fault}", fix=_DAMAGED
        )


def _with_bases(rows: Index, records: Index, bases: Index | None) -> tuple[Index, Index]:
    """Put before each record told by differences from another that other one, where it is not there already."""
    if bases is None or len(records) == 0:
        return rows, records
    base = bases[records]
    at = np.flatnonzero((base != records) & (np.concatenate([[-1], base[:-1]]) != base))
    return np.insert(rows, at, -1), np.insert(records, at, base[at])


def _parts(offsets: Index, records: Index) -> Iterator[slice]:
    """Split records into runs of few bytes."""
    ends = np.cumsum(offsets[records + 1] - offsets[records])
    first, before = 0, 0
    while first < len(records):
        stop = max(first + 1, int(np.searchsorted(ends, before + MOST_BYTES, "right")))
        yield slice(first, stop)
        first, before = stop, int(ends[stop - 1])


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
    samples = read_fam(psam) if psam.suffix == ".fam" else read_psam(psam)
    table = _bim_table(pvar) if pvar.suffix == ".bim" else read_pvar(pvar)
    header = read_header(path, n_samples=len(samples), n_records=len(table.counts))
    _check_alleles(path, header, table)
    reader = PgenReader(
        path=path,
        n_samples=len(samples),
        header=header,
        records=table.records,
        alleles=table.alleles,
        alts=table.counts - 1,
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
    variants = read_bim(path)
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
