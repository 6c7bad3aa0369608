"""BGEN files: dosages of imputed genotypes, layout 1 (BGEN 1.1) and layout 2 (1.2 and 1.3).

Everything is parsed here, with every length checked before it is used: no foreign parser sees the file, so no
process of its own is needed. A file whose lengths do not lead exactly to its end is refused when it is
opened; damage inside the probabilities of a variant is found when they are read (zlib data carry a checksum;
zstd and uncompressed data have none, there only what contradicts itself is found).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import RawIOBase
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
import numpy.typing as npt
import pandas as pd

from cohorts.errors import InputError
from gwas.genotypes.bgen_header import BgenHeader, damaged, read_header
from gwas.genotypes.bgen_index import (
    Columns,
    Identity,
    Records,
    from_index,
    payload,
    read_at,
    read_identity,
    scan,
)
from gwas.genotypes.chromosomes import canonical_chromosomes
from gwas.genotypes.descriptor import HARD_CALL_THRESHOLD, Dosages, Genotypes, Index, Packed
from gwas.genotypes.options import OpenOptions
from gwas.genotypes.oxford_samples import read_sample_file, sample_frame


class _Run(NamedTuple):
    """Asked rows ``first`` to ``last`` that are alleles of one record."""

    record: int
    first: int
    last: int


@dataclass(frozen=True, eq=False)
class BgenReader:
    """Reads dosages and hard calls of the records of a BGEN.

    Attributes
    ----------
    path
        The file.
    header
        What its beginning says, without the sample identifiers.
    records
        Where the records are.
    record_of, alts
        int64, one entry a row of the variant table: its record, and which of its alleles it counts.
    hard_call_threshold
        Largest distance of a dosage from a whole number that is still called.
    ref_last
        Whether REF is the last allele of a variant instead of the first.
    """

    path: Path
    header: BgenHeader
    records: Records
    record_of: Index
    alts: Index
    hard_call_threshold: float = HARD_CALL_THRESHOLD
    ref_last: bool = False

    @property
    def n_samples(self) -> int:
        """Samples in the file."""
        return self.header.n_samples

    @property
    def has_dosages(self) -> bool:
        """A BGEN holds probabilities."""
        return True

    @property
    def coding(self) -> str:
        """What ALT is, and how calls are made."""
        ref = "last" if self.ref_last else "first"
        return f"BGEN, REF = {ref} allele; hard calls within {self.hard_call_threshold:g} of a whole number"

    def read(self, variants: Index) -> Packed:
        """Call ``variants`` from their dosages: uint8 (m, ceil(n_samples / 4)), PLINK 1 codes."""
        from gwas.kernels.bgen_probabilities import pack_calls

        packed = np.empty((len(variants), (self.n_samples + 3) // 4), dtype=np.uint8)

        def store(run: _Run, decoder: _Decoder) -> None:
            dosages = np.empty((run.last - run.first, self.n_samples), dtype=np.float32)
            decoder.decode(run.record, self.alts[variants[run.first : run.last]], dosages)
            pack_calls(dosages, self.hard_call_threshold, packed[run.first : run.last])

        self._each(variants, store)
        return packed

    def read_dosages(self, variants: Index) -> Dosages:
        """Read ``variants`` as float32 (m, n_samples): copies of ALT from 0 to 2, NaN where missing."""
        dosages = np.empty((len(variants), self.n_samples), dtype=np.float32)

        def store(run: _Run, decoder: _Decoder) -> None:
            decoder.decode(
                run.record, self.alts[variants[run.first : run.last]], dosages[run.first : run.last]
            )

        self._each(variants, store)
        return dosages

    def _each(self, variants: Index, store: Callable[[_Run, _Decoder], None]) -> None:
        """Decode every record once, several at a time; the first fault in order is the one raised."""
        import numba

        runs = []
        for record, places in groupby(
            range(len(variants)), key=lambda place: self.record_of[variants[place]]
        ):
            found = list(places)
            runs.append(_Run(int(record), found[0], found[-1] + 1))

        def work(part: Iterable[_Run]) -> None:
            with open(self.path, "rb", buffering=0) as handle:
                decoder = _Decoder(self, handle)
                for run in part:
                    store(run, decoder)

        threads = min(numba.get_num_threads(), len(runs))
        size = -(-len(runs) // (4 * threads)) if threads else 1
        parts = [runs[at : at + size] for at in range(0, len(runs), size)]
        try:
            with ThreadPoolExecutor(max_workers=max(threads, 1), thread_name_prefix="bgen") as pool:
                for done in [pool.submit(work, part) for part in parts]:
                    done.result()
        except OSError as error:
            raise InputError(
                "cannot be read", where=self.path, found=error.strerror, fix="check the file and run again"
            ) from error


class _Decoder:
    """Decodes records of one open file, in one thread."""

    def __init__(self, reader: BgenReader, handle: RawIOBase) -> None:
        self.reader = reader
        self.handle = handle
        self.zstd: Any = None
        if reader.header.compression == "zstd":
            import zstandard

            self.zstd = zstandard.ZstdDecompressor()

    def decode(self, record: int, alts: Index, out: npt.NDArray[np.float32]) -> None:
        """Write the copies of each of ``alts`` to ``out``."""
        from gwas.kernels import bgen_probabilities as kernels

        records, header = self.reader.records, self.reader.header
        start, size = int(records.starts[record]), int(records.sizes[record])
        buffer = read_at(self.handle, start, size)
        identity = read_identity(buffer, 0, header.layout)
        if (
            len(buffer) < size
            or identity is None
            or crc32(buffer[identity.key : identity.end]) != records.crcs[record]
        ):
            raise InputError(
                f"the variant at byte {start} is not the one that was there, or that its index names",
                where=self.reader.path,
                fix="make sure nothing writes to the file, remove an old .bgi, and run again",
            )
        data = self._uncompressed(buffer, identity, record)
        n_alleles = int(records.n_alleles[record])
        if header.layout == 1:
            status = kernels.decode_layout1(data, out)
            if self.reader.ref_last:
                np.subtract(np.float32(2), out, out=out)
        else:
            status = kernels.decode(data, alts, out, n_alleles)
        if status:
            raise self._fault(identity, record, kernels.FAULTS[status])

    def _uncompressed(self, buffer: bytes, identity: Identity, record: int) -> npt.NDArray[np.uint8]:
        header = self.reader.header
        try:
            lengths = payload(buffer, identity.end, header, int(self.reader.records.n_alleles[record]))
        except ValueError as error:
            raise self._fault(identity, record, str(error)) from error
        if lengths is None or identity.end + lengths[0] + lengths[1] != len(buffer):
            raise self._fault(identity, record, "its length is not that of its place in the file")
        before, _, whole = lengths
        stored = memoryview(buffer)[identity.end + before :]
        if header.compression == "none":
            return np.frombuffer(stored, dtype=np.uint8)
        data = self._inflate(stored, whole) if header.compression == "zlib" else self._expand(stored, whole)
        if data is None:
            raise self._fault(
                identity, record, f"its probabilities do not decompress to the {whole} bytes it declares"
            )
        return np.frombuffer(data, dtype=np.uint8)

    def _inflate(self, stored: memoryview, whole: int) -> bytes | None:
        stream = zlib.decompressobj()
        try:
            # with one byte more a stream that is too long shows, and one of the right length reaches its checksum
            data = stream.decompress(stored, whole + 1)
        except zlib.error:
            return None
        return data if stream.eof and len(data) == whole and not stream.unused_data else None

    def _expand(self, stored: memoryview, whole: int) -> bytes | None:
        import zstandard

        try:
            if zstandard.frame_content_size(stored) not in (whole, -1):
                return None
            data: bytes = self.zstd.decompress(stored, max_output_size=whole, allow_extra_data=False)
        except zstandard.ZstdError:
            return None
        return data if len(data) == whole else None

    def _fault(self, identity: Identity, record: int, found: str) -> InputError:
        name = identity.rsid.decode("utf-8", "replace") or identity.varid.decode("utf-8", "replace")
        unsupported = "ploidy is not" in found
        return InputError(
            f"variant {name[:60]!r} (record {record + 1}) cannot be {'used' if unsupported else 'decoded'}",
            where=self.reader.path,
            found=found,
            fix="leave the variant out" if unsupported else "copy the file again from its source",
        )


def open_bgen(path: Path, options: OpenOptions) -> Genotypes:
    """Open a BGEN file.

    Parameters
    ----------
    path
        The BGEN. ``PATH.bgi`` saves a scan if it is of this file; ``STEM.sample`` names the samples where
        neither the file nor ``options`` do.
    options
        Choices at opening.

    Returns
    -------
    Genotypes
        REF is the first allele, or the last where ``options.bgen_ref`` says so; each other allele has a row of
        its own. ``id`` is the rsid, or the other
        identifier of the variant where that is empty or ``.``; a chromosome without a name is ``0``.

    Raises
    ------
    InputError
        A file is missing, damaged, of a version that is not known, or without sample identifiers; or the
        sample file is of other people.

    Examples
    --------
    >>> open_bgen(Path("nowhere.bgen"), OpenOptions())
    Traceback (most recent call last):
    ...
    cohorts.errors.InputError: nowhere.bgen: file not found; expected a BGEN file. To fix: check the path.
    """
    header = read_header(path)
    samples = _samples(path, header, options.sample_file)
    try:
        columns = from_index(path, header, options.regions) or scan(path, header)
    except OSError as error:
        raise InputError(
            "cannot be read", where=path, found=error.strerror, fix="check the file and run again"
        ) from error
    reader = _reader(path, header, columns.records(), options)
    return Genotypes(reader, samples, _table(columns, reader), values=options.values_of(reader))


def _reader(path: Path, header: BgenHeader, records: Records, options: OpenOptions) -> BgenReader:
    rows = np.maximum(records.n_alleles - 1, 1)
    record_of = np.repeat(np.arange(len(rows), dtype=np.int64), rows)
    first_row = np.cumsum(rows) - rows
    alts = np.arange(len(record_of), dtype=np.int64) - first_row[record_of] + 1
    ref_last = options.bgen_ref == "last"
    if ref_last:
        # a variant of a single allele keeps its ALT that nobody has
        alts = np.where(records.n_alleles[record_of] > 1, alts - 1, alts)
    light = header.without_samples()
    return BgenReader(path, light, records, record_of, alts, options.hard_call_threshold, ref_last)


def _table(columns: Columns, reader: BgenReader) -> pd.DataFrame:
    record_of = reader.record_of

    def of_record(values: list[str]) -> npt.NDArray[np.object_]:
        return np.array(values, dtype=object)[record_of]

    ref, alt = of_record(columns.refs), np.array(columns.alts, dtype=object)
    if reader.ref_last and len(record_of):
        several = reader.records.n_alleles[record_of] > 1
        ends = np.append(record_of[1:] != record_of[:-1], True)
        starts = np.roll(ends, 1)
        # the file's order is A, B, C: with C as REF its rows count A and B
        last = np.array(columns.alts, dtype=object)[ends][np.cumsum(starts) - 1]
        ref, alt = (
            np.where(several, last, ref),
            np.where(several, np.where(starts, ref, np.roll(alt, 1)), alt),
        )
    return pd.DataFrame(
        {
            "chrom": canonical_chromosomes(pd.Series(of_record(columns.chrom), dtype=object)),
            "pos": np.array(columns.pos, dtype=np.int64)[record_of],
            "id": of_record(columns.ids),
            "ref": ref,
            "alt": alt,
            "cm": np.zeros(len(record_of)),
        }
    )


def _samples(path: Path, header: BgenHeader, sample_file: Path | None) -> pd.DataFrame:
    inside = header.sample_ids
    if sample_file is None and inside is None:
        sample_file = path.with_suffix(".sample")
        if not sample_file.is_file():
            raise InputError(
                "holds no sample identifiers",
                where=path,
                expected=f"them in {sample_file.name}",
                fix="give its .sample file (sample_file)",
            )
    samples = sample_frame(["0"] * len(inside), inside) if inside else None
    if sample_file is not None:
        named = read_sample_file(sample_file)
        _check_same_people(path, header, sample_file, named)
        samples = named
    assert samples is not None
    twice = samples["iid"].duplicated(keep="first").to_numpy()
    if twice.any():
        raise InputError(
            "a sample ID occurs twice",
            where=sample_file or path,
            found=f"{int(twice.sum())} repeated ID(s)",
            expected="each ID once",
            fix="make the IDs unique",
        )
    if not "".join(samples["iid"]).isprintable():
        raise damaged(sample_file or path, "a sample identifier holds control characters")
    return samples


def _check_same_people(path: Path, header: BgenHeader, sample_file: Path, named: pd.DataFrame) -> None:
    if len(named) != header.n_samples:
        raise InputError(
            "has another number of samples than the BGEN",
            where=sample_file,
            found=f"{len(named)} samples",
            expected=f"{header.n_samples} of {path.name}",
            fix="give the .sample file of this BGEN",
        )
    if header.sample_ids is None:
        return
    fid, iid = named["fid"].tolist(), named["iid"].tolist()
    joined = [f"{first}_{second}" for first, second in zip(fid, iid, strict=True)]
    inside = list(header.sample_ids)
    if inside not in (iid, fid, joined):
        wrong = sum(one != other for one, other in zip(inside, iid, strict=True))
        raise InputError(
            "names other samples than the BGEN itself, or in another order",
            where=sample_file,
            found=f"{wrong} of {len(iid)} different",
            expected=f"the identifiers in {path.name}",
            fix="give the .sample file of this BGEN, or none",
        )
